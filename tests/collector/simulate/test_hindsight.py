"""Findings are held against the list of faults: a seer who knows it is right in all that can be seen, one who guesses is not."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from tillwatch.collector.predict.finding import ANOMALY, FALSE, HIT, LATER, OPEN, PREVENTED, RUNOUT, UNKNOWN, Finding
from tillwatch.collector.predict.settings import parse_tables
from tillwatch.collector.simulate.foresight import Foretold, Told
from tillwatch.collector.simulate.hindsight import Hindsight, look_back, may_be, plain_rows
from tillwatch.collector.simulate.judge import judge
from tillwatch.collector.simulate.omens import CAPACITY
from tillwatch.collector.simulate.precursors import CASSETTE, READER
from tillwatch.collector.simulate.times import DAY, HOUR
from tillwatch.collector.simulate.year import START, Outcome, simulate

TABLES = parse_tables()


@cache
def small() -> Outcome:
    return simulate(40, 50, 3, pace=4.0)


def finding(
    terminal: str, component: str, signal: str, at: int, due: tuple[int, int, int] | None = None, family: str = ANOMALY
) -> Told:
    found = Finding(
        f"{terminal}{component}{signal}{at}", family, family, terminal, component, "", signal, OPEN, LATER, at, at, due
    )
    return Told(found, at)


def seen(*told: Told) -> Hindsight:
    foretold = Foretold(TABLES, {each.first.id: each for each in told})
    outcome = replace(small(), foretold=foretold)
    return look_back(outcome, judge(outcome))


def outcome_of(told: Told) -> str:
    return seen(told).outcomes[told.first.id]


@pytest.mark.long
def test_who_sees_all_that_can_be_seen_foretells_that_and_no_more():
    omens = [omen for omen in small().ledger.omens if omen.fault and omen.strikes - omen.begins > 4 * HOUR]
    told = [
        finding(o.terminal, *o.parts[0], max(o.begins, o.strikes - 10 * DAY), (o.strikes, o.strikes, o.strikes))
        for o in omens
    ]
    found = seen(*told)
    assert set(found.outcomes.values()) == {HIT}
    assert sum(row.rightly for row in found.rows.values()) == len(omens) > 50
    for name, row in plain_rows(found).items():
        assert row["recall"] >= row["recall_bound"], name
        assert row["precision"] in (1.0, None)
        assert row["lead_days"] is None or row["lead_days"]["p10"] > 0


def test_without_predictions_a_low_sensor_tells_hours_before_the_end_and_the_rest_when_it_has_failed():
    rows = plain_rows(look_back(small(), judge(small())))
    assert 12 < rows["cassette-low"]["without"]["lead_hours"]["median"] < 14
    assert rows["cassette-low"]["without"]["before_the_worst"] > 0.9
    assert rows["shutter-jams"]["without"]["lead_hours"]["p90"] < 0
    assert all(row["recall"] == 0 for row in rows.values())
    assert 0 < rows["card-jams"]["recall_bound"] < 0.8
    assert rows["shutter-jams"]["recall_bound"] == 0


def quiet(component: str, at: int) -> str:
    """An ATM on whose part nothing breaks after that."""
    struck = {
        f.where
        for f in small().ledger.faults
        if f.start > at
        and not f.mode.startswith(("glitch", "works"))
        and any(e.component.startswith(component) for e in f.effects)
    }
    return next(unit.name for unit in small().bank.units if unit.kind == "atm" and unit.name not in struck)


def test_what_comes_to_nothing_is_false_and_counts_against_every_mode_that_it_may_be():
    at = START + 2 * DAY
    told = finding(quiet(READER, at), READER, "cardreader.reads.failed", at)
    found = seen(told)
    assert found.outcomes[told.first.id] == FALSE
    assert found.rows["card-jams"].findings[FALSE] == found.rows["reader-fails"].findings[FALSE] == 1
    assert found.rows["cassette-low"].findings[FALSE] == 0
    assert found.false_per_year() == found.false_per_year(ANOMALY) == pytest.approx(365 / (40 * (50 - 37)))


def test_work_that_is_due_is_no_claim_that_something_fails():
    at = START + 2 * DAY
    told = finding(quiet(READER, at), READER, "cardreader.reads", at)
    assert outcome_of(replace(told, service=True)) == PREVENTED
    assert outcome_of(told) == FALSE


def test_what_the_year_is_too_short_for_is_not_judged():
    at = small().end - 10 * DAY
    assert outcome_of(finding(quiet(READER, at), READER, "cardreader.reads.failed", at)) == UNKNOWN


def test_a_cassette_that_was_filled_first_is_nobodys_mistake():
    at = START + 2 * DAY
    terminal = next(u.name for u in small().bank.units if (u.name, CASSETTE, "atm.unit.count") in small().ledger.filled
                    and not any(f.where == u.name and f.mode == "cassette-low" for f in small().ledger.faults))  # fmt: skip
    due = at + DAY, at + 9 * DAY, at + 11 * DAY
    assert outcome_of(finding(terminal, CASSETTE, "atm.unit.count", at, due, RUNOUT)) == PREVENTED


def test_a_finding_that_was_taken_back_well_before_the_fault_did_not_foretell_it():
    omen = next(o for o in small().ledger.omens if o.fault and o.strikes - o.begins > 5 * DAY)
    kept = finding(omen.terminal, *omen.parts[0], omen.strikes - 4 * DAY)
    assert sum(row.foretold for row in seen(kept).rows.values()) >= 1
    gone = Told(kept.first, kept.at, ended=omen.strikes - 2 * DAY)
    assert sum(row.foretold for row in seen(gone).rows.values()) == 0


def test_a_finding_is_of_the_modes_that_its_signal_announces_else_of_those_of_its_part():
    told = finding("x", "host", "host.memory.percent", 1).first
    assert (may_be(told, "memory-leaks"), may_be(told, "disk-fills")) == (True, False)
    low = finding("x", "printer", "printer.tray.level", 1).first
    assert (may_be(low, "roll-ends"), may_be(low, "printer-jams")) == (True, False)
    rate = finding("x", CASSETTE, CAPACITY, 1).first
    assert (may_be(rate, "cassette-fails"), may_be(rate, "reader-fails")) == (True, False)
