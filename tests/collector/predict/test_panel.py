"""The panel of the hazard: the same columns for every fleet, and nothing of what comes later."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.predict.finding import Happened
from tillwatch.collector.predict.panel import CHANGED, EVENTS, VISITED, Event, Unit, event_of, rows
from tillwatch.collector.predict.settings import DAY_NS

UNITS = [Unit("T", "ups", "atm", "UPS 1500", DAY_NS), Unit("T", "host/disk", "atm"), Unit("U", "ups", "pos")]
ALL = np.arange(len(UNITS))


def at(day: float) -> np.ndarray:
    return np.full(len(UNITS), round(day * DAY_NS))


def test_events_count_for_the_part_and_for_the_terminal():
    events = [Event(98 * DAY_NS, "T", "ups", "hardware"), Event(99 * DAY_NS, "T", "", VISITED)]
    found = rows(UNITS, events, ALL, at(100), np.array([0.5, np.nan, np.nan], np.float32))
    value = {name: found.values[:, index].tolist() for index, name in enumerate(found.names)}
    assert value["hardware count 3 d"] == [1, 0, 0]
    assert value["hardware count 1 d"] == [0, 0, 0]
    assert value["terminal hardware count 7 d"] == [1, 1, 0]
    assert value["hardware days since"][0] == 2
    assert value["terminal visited count 3 d"] == [1, 1, 0]
    assert value["age"][0] == 99
    assert np.isnan(value["age"][1])
    assert value["wear"][0] == 0.5
    assert found.words["kind"] == ("host/disk", "ups")


def test_columns_are_the_same_whatever_happened():
    some = rows(UNITS, [Event(0, "T", "ups", each) for each in EVENTS], ALL, at(1))
    none = rows(UNITS[:1], [], np.zeros(1, np.int64), np.zeros(1, np.int64))
    assert some.names == none.names
    assert some.subjects == none.subjects


def test_what_says_nothing_of_what_comes_is_left_out():
    assert event_of(Happened(0, "raised", "T", "ups", "predicted.wear", party="planned")) is None
    assert event_of(Happened(0, "cleared", "T", "ups", "ups.fault", party="hardware")) is None
    assert event_of(Happened(0, "verdict", "T", "ups", value="true_fault")) is None
    changed = event_of(Happened(5, "verdict", "T", "ups", value="part_changed"))
    assert changed == Event(5, "T", "ups", CHANGED)
    other = event_of(Happened(5, "raised", "T", "ups", "x", party="host"))
    assert other is not None
    assert other.event == "other"


EVENT = st.builds(
    Event, st.integers(0, 60).map(lambda day: day * DAY_NS), st.sampled_from("TU"), st.sampled_from(["ups", "host/disk:C", ""]), st.sampled_from(EVENTS)
)  # fmt: skip


@given(before=st.lists(EVENT, max_size=12), later=st.lists(EVENT, max_size=6))
def test_nothing_that_happens_later_changes_a_row(before: list[Event], later: list[Event]):
    now = 60 * DAY_NS
    after = [Event(each.at + now + 1, each.terminal, each.component, each.event) for each in later]
    one, other = (rows(UNITS, events, ALL, at(60)).values for events in (before, [*after, *before]))
    assert np.array_equal(one, other, equal_nan=True)
