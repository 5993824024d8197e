"""What the predictions say, in whatever order and however often it is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from tests.collector.sending import T0, S
from tests.collector.stories.foreseen import found, over
from tillwatch.collector.alarm.foretelling import MAX_OPEN, SaidError, check
from tillwatch.collector.alarm.rules import parse_rules
from tillwatch.collector.fold import Fold
from tillwatch.collector.journal import Journal, Kind
from tillwatch.collector.predict.finding import LATER, SOON, Finding


class Heard:
    """A fold without a store."""

    def __init__(self, *terminals: str) -> None:
        self.fold, self.journal = Fold({}), Journal()
        self.enter(Kind.STARTED, {"down_since": 0})
        for name in terminals:
            place = {"branch": "hill", "region": "north", "class": "atm"}
            self.enter(Kind.OPERATOR, {"action": "enrol", "public": name.encode().ljust(32, b"\0"), **place}, name)

    def enter(self, kind: Kind, facts: dict[str, Any], terminal: str = "") -> None:
        self.fold.apply(self.journal.append(kind, T0, terminal=terminal, facts=facts))

    def say(self, *findings: Finding, **place: int) -> None:
        facts = {"position": self.journal.n, "findings": [each.facts() for each in findings], **place}
        self.enter(Kind.FINDING, facts)

    def shown(self) -> tuple[Any, Any, Any]:
        """What is open, what is raised, and what becomes of it in the store."""
        book = self.fold.book
        raised = {key: bool(alarm.open) for key, alarm in book.alarms.items() if alarm.open}
        return dict(self.fold.foretelling.open), raised, dict(self.fold.foretelling.newest)


@st.composite
def episodes(draw: st.DrawFn) -> list[Finding]:
    """Versions of some episodes of one detector, as an engine tells of them: each begins, changes and perhaps ends before the next one begins."""
    told: list[Finding] = []
    at = T0
    for _ in range(draw(st.integers(1, 3))):
        at += draw(st.integers(1, 5)) * S
        begun, versions = at, draw(st.integers(1, 3))
        for _ in range(versions):
            at += S
            word, demoted = draw(st.sampled_from((LATER, SOON))), draw(st.booleans())
            told.append(found("atm-1", "ups", at, begun=begun, word=word, demoted=demoted))
        if draw(st.booleans()):
            at += S
            told.append(over(told[-1], at))
    return told


@settings(max_examples=100, deadline=None)
@given(told=episodes(), others=episodes(), data=st.data())
def test_order_and_repetition_change_nothing_of_what_stands_in_the_end(told, others, data) -> None:
    everything = [*told, *(replace(each, component="fan", id=f"f{each.id}") for each in others)]
    straight, mixed = Heard("atm-1"), Heard("atm-1")
    for each in everything:
        straight.say(each)
    again = data.draw(st.lists(st.sampled_from(everything), max_size=5))
    for each in data.draw(st.permutations([*everything, *again])):
        mixed.say(each)
    assert mixed.shown() == straight.shown()


def test_what_was_said_for_a_position_is_heard_once() -> None:
    heard = Heard("atm-1")
    heard.say(found("atm-1", "ups", T0), position=5, part=0)
    heard.say(found("atm-1", "fan", T0), position=5, part=1)
    before = heard.shown()
    heard.fold.take_dirty()
    for position, part in ((5, 1), (5, 0), (4, 9)):
        heard.say(found("atm-1", "board", T0 + S), position=position, part=part)
    assert heard.shown() == before
    dirty = heard.fold.take_dirty()
    assert (dirty.findings, dirty.foretold, dirty.alarms) == ({}, None, {})


def test_the_same_again_changes_nothing() -> None:
    heard = Heard("atm-1")
    heard.say(found("atm-1", "ups", T0))
    heard.fold.take_dirty()
    heard.say(found("atm-1", "ups", T0))
    dirty = heard.fold.take_dirty()
    assert (dirty.findings, dirty.alarms, dirty.events) == ({}, {}, [])


def test_one_alarm_for_one_family_on_one_part_with_all_its_evidence() -> None:
    heard = Heard("atm-1")
    heard.say(found("atm-1", "ups", T0), found("atm-1", "ups", T0, look="ups.battery.cycles", word=SOON))
    (alarm,) = heard.fold.book.alarms.values()
    assert set(alarm.detail["evidence"]) == {"wear/ups.battery.age later", "wear/ups.battery.cycles soon"}
    assert alarm.level == 3
    heard.say(over(found("atm-1", "ups", T0, look="ups.battery.cycles"), T0 + S))
    assert heard.fold.book.alarms[alarm.key].open
    heard.say(over(found("atm-1", "ups", T0), T0 + 2 * S))
    assert not heard.fold.book.alarms[alarm.key].open


def test_what_becomes_soon_is_told_once_more() -> None:
    heard = Heard("atm-1")
    heard.say(found("atm-1", "ups", T0))
    heard.say(found("atm-1", "ups", T0 + S, begun=T0, word=SOON))
    (alarm,) = heard.fold.book.alarms.values()
    assert set(alarm.detail["evidence"]) == {"wear/ups.battery.age later", "wear/ups.battery.age soon"}
    assert [event.kind for event in heard.fold.dirty.events] == ["raised", "evidence"]


def test_more_than_anybody_reads_is_counted_and_left_out() -> None:
    heard = Heard("atm-1", "atm-2")
    heard.say(*(found("atm-1", f"disk:{n}", T0) for n in range(MAX_OPEN + 3)), found("atm-2", "ups", T0))
    assert (len(heard.fold.foretelling.open), heard.fold.foretelling.left_out) == (MAX_OPEN + 1, 3)
    assert heard.fold.dirty.foretold is not None
    assert heard.fold.dirty.foretold[2] == 3
    heard.say(over(found("atm-1", "disk:0", T0), T0 + S))
    heard.say(found("atm-1", "late", T0 + S))
    assert heard.fold.foretelling.left_out == 3


def test_nobody_foresees_anything_of_a_stranger() -> None:
    heard = Heard("atm-1")
    heard.say(found("nobody", "ups", T0), over(found("nobody", "ups", T0), T0 + S))
    assert (heard.fold.foretelling.open, heard.fold.dirty.findings) == ({}, {})


def test_a_later_word_on_an_earlier_episode_is_kept_for_its_outcome() -> None:
    heard = Heard("atm-1")
    first = found("atm-1", "ups", T0)
    heard.say(first)
    heard.say(over(first, T0 + S))
    heard.say(found("atm-1", "ups", T0 + 2 * S))
    heard.fold.take_dirty()
    heard.say(over(first, T0 + 9 * S, "hit"))
    assert [(each.id, each.outcome) for each in heard.fold.dirty.findings.values()] == [(first.id, "hit")]
    assert len(heard.fold.foretelling.open) == 1


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"position": None}, "kind"),
        ({"position": 2**63}, "kind"),
        ({"findings": [1]}, "int"),
        ({"findings": "x"}, "str"),
        ({"findings": [{"id": "a"}]}, "Finding"),
        ({"grades": [{"terminal": "atm-1"}]}, "Grade"),
        *(
            ({"grades": [{"terminal": "a", "grade": "low", "score": 0.0, "at": 1, "since": 1, "pace": pace}]}, "pace")
            for pace in (float("nan"), 0.49, 2.01, "2")
        ),
        ({"records": [{"detector": 1, "kind": "a"}]}, "name"),
    ],
)
def test_what_has_another_form_is_named(change, what) -> None:
    facts = {"position": 1, "findings": [found("atm-1", "ups", T0).facts()]}
    check(facts)
    with pytest.raises(SaidError, match=what):
        check(facts | change)


@pytest.mark.parametrize(
    ("name", "value"), [("family", "magic"), ("status", "maybe"), ("begun", "now"), ("terminal", "")]
)
def test_a_finding_of_another_form_is_named(name, value) -> None:
    with pytest.raises(SaidError):
        check({"position": 1, "findings": [{**found("atm-1", "ups", T0).facts(), name: value}]})


@pytest.mark.parametrize(
    "row",
    [
        "words = { later = 2, soon = 3, over = 0 }", "words = { later = 3, soon = 3 }", "words = { later = 3, soon = 3, over = 3 }",
        'explains = "power"', 'symptom_of = ["power"]', "latched = true", 'axis = "security"',
    ],
)  # fmt: skip
def test_no_site_makes_a_fault_of_a_prediction(row: str) -> None:
    with pytest.raises(ValueError, match="planned work"):
        parse_rules(f'[[rule]]\nid = "predicted.wear"\n{row}\n')
