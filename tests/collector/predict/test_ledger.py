"""Which findings stand, how often they are told, and what rests."""

from __future__ import annotations

from dataclasses import replace

from tillwatch.collector.predict.finding import ANOMALY, CLOSED, FALSE, HIT, LATER, OPEN, OVER, SOON, Finding
from tillwatch.collector.predict.ledger import MAX_OPEN_TERMINAL, RESTS, Ledger, standing

HOUR = 3600 * 10**9
FINDING = Finding("id", "anomaly/series", ANOMALY, "T", "ups", "ups", "s", OPEN, LATER, 0, 0)
KEY = FINDING.detector, FINDING.terminal, FINDING.component


def at(hours: float, **changed: object) -> Finding:
    return replace(FINDING, at=round(hours * HOUR), **changed)  # type: ignore[arg-type]  # names of the finding


def told(ledger: Ledger) -> list[Finding]:
    return list(ledger.news(0))


def test_a_finding_is_told_when_it_is_new_when_its_word_changes_and_once_a_day():
    ledger = Ledger()
    assert ledger.put(at(0))
    assert len(told(ledger)) == 1
    assert not ledger.put(at(1, probability=0.5))
    assert told(ledger) == []
    ledger.put(at(2, word=SOON))
    assert [each.word for each in told(ledger)] == [SOON]
    ledger.put(at(25, word=SOON, probability=0.6))
    assert told(ledger) == []
    ledger.put(at(26, word=SOON, probability=0.7))
    assert [each.probability for each in told(ledger)] == [0.7]
    ledger.put(at(90, word=SOON, probability=0.7))
    assert told(ledger) == []


def test_it_keeps_its_beginning_and_its_name():
    ledger = Ledger()
    ledger.put(at(0))
    ledger.put(at(30, id="other", begun=30 * HOUR, word=SOON))
    found = ledger.get(*KEY)
    assert found is not None
    assert (found.id, found.begun) == ("id", 0)


def test_what_ended_waits_for_its_outcome_and_is_told_of_it():
    ledger = Ledger()
    ledger.put(at(0))
    ledger.end(*KEY, HOUR)
    ledger.judged("id", FALSE, 2 * HOUR)
    ended = told(ledger)
    assert [(each.status, each.word, each.outcome, each.ended) for each in ended] == [(CLOSED, OVER, FALSE, HOUR)]
    ledger.judged("id", HIT, 3 * HOUR)
    assert told(ledger) == []


def test_a_judgement_ends_what_stands_and_lets_it_rest():
    for outcome, rest in RESTS.items():
        ledger = Ledger()
        ledger.put(at(0))
        ledger.judged("id", outcome, HOUR)
        assert len(ledger) == 0
        assert not ledger.put(replace(FINDING, at=rest, id="again"))
        assert ledger.put(replace(FINDING, at=rest + HOUR, id="again"))


def test_places_are_bounded_a_terminal():
    ledger = Ledger()
    for number in range(MAX_OPEN_TERMINAL + 2):
        ledger.put(replace(FINDING, component=f"p{number}", id=str(number)))
    assert len(list(ledger.of_terminal("T"))) == MAX_OPEN_TERMINAL
    assert ledger.refused == 2
    assert ledger.put(replace(FINDING, terminal="U", id="u"))


def test_only_what_is_open_and_not_demoted_counts():
    assert list(standing([FINDING, replace(FINDING, demoted=True), replace(FINDING, status=CLOSED)])) == [FINDING]


def test_it_is_restored_as_it_was():
    ledger = Ledger()
    for number in range(4):
        ledger.put(
            replace(FINDING, component=f"p{number}", id=str(number), values={"a": 1.5}, factors=(("x", 2.0, 0.5),))
        )
    ledger.end(FINDING.detector, "T", "p0", HOUR)
    ledger.judged("1", HIT, HOUR)
    again = Ledger()
    again.restore(ledger.state())
    assert again.state() == ledger.state()
    assert list(again.open()) == list(ledger.open())
    assert told(again) == told(ledger)
