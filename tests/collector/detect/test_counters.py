from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tillwatch.collector.detect.counters import (
    CONFIRMING,
    GAP_NS,
    LEARNED,
    CounterState,
    Event,
    consumption,
    step,
    step_day,
    unseen,
)

HOUR = 3600 * 10**9
DAY = 24 * HOUR


def run(values: list[float], *, every: int = HOUR) -> tuple[float, list[Event], CounterState | None]:
    state: CounterState | None = None
    total, events = 0.0, []
    for position, value in enumerate(values):
        state, increment, event = step(state, (position + 1) * every, value)
        assert increment >= 0
        total += increment
        events.append(event)
    return total, events, state


def test_what_rises_is_consumed() -> None:
    assert run([100, 130, 130, 141])[:2] == (41, [Event.FIRST, Event.COUNTED, Event.COUNTED, Event.COUNTED])


def test_service_sets_it_back() -> None:
    total, events, _ = run([1000, 1010, 4, 9])
    assert (total, events[2]) == (10 + 4 + 5, Event.RESET)


@pytest.mark.parametrize("bits", [32, 64])
def test_it_wraps(bits: int) -> None:
    total, events, _ = run([2**bits - 4096, 2**bits - 2048, 2048])
    assert (total, events[2]) == (2048 + 4096, Event.WRAPPED)


def test_a_middling_count_does_not_wrap() -> None:
    """At half of 2^32 a fall to little is service, whatever the width of the counter."""
    total, events, _ = run([2**31, 2**31 + 10, 3])
    assert (total, events[2]) == (13, Event.RESET)


def test_a_little_less_is_no_consumption() -> None:
    """Two readings out of order: the highest count stands."""
    total, events, _ = run([100, 105, 103, 106])
    assert (total, events[2]) == (6, Event.BACKWARDS)


def test_a_count_that_stays_lower_is_the_count() -> None:
    """A counter kept in memory lost its last hour in a power cut; what it rose since is counted once."""
    total, events, _ = run([100, 110, 101, 103, 104, 106])
    assert events[2:5] == [Event.BACKWARDS] * (CONFIRMING - 1) + [Event.REBASED]
    assert total == 10 + 3 + 2


def test_a_lie_is_not_counted() -> None:
    known = [100.0 * n for n in range(1, LEARNED + 3)]
    total, events, _ = run([*known, 9e9, known[-1] + 100])
    assert events[-2:] == [Event.JUMPED, Event.COUNTED]
    assert total == known[-1] + 100 - known[0]


def test_a_counter_that_stays_where_it_jumped_goes_on_from_there() -> None:
    known = [100.0 * n for n in range(1, LEARNED + 3)]
    total, events, _ = run([*known, 9e9, 9e9 + 50, 9e9 + 90])
    assert events[-3:] == [Event.JUMPED, Event.SETTLED, Event.COUNTED]
    assert total == known[-1] - known[0] + 40


def test_late_and_impossible_readings_change_nothing() -> None:
    state, _, _ = step(None, 10, 5)
    assert step(state, 10, 7) == (state, 0, Event.LATE)
    for bad in (-1.0, float("nan"), float("inf"), 2.0**64):
        assert step(state, 20, bad) == (state, 0, Event.BAD)


def test_over_a_gap_it_is_counted_and_said() -> None:
    state, _, _ = step(None, 0, 5)
    assert step(state, GAP_NS + 1, 50)[1:] == (45, Event.GAP)


@given(st.lists(st.tuples(st.sampled_from(["use", "reset", "wrap"]), st.integers(0, 50)), max_size=60))
def test_the_sum_is_what_was_consumed(history: list[tuple[str, int]]) -> None:
    """Whatever is set back or wraps, if it was read just before and before it has half of its count again."""
    state, _, _ = step(None, 0, 200.0)
    value, consumed, counted, at = 200, 0, 0.0, 0
    for what, amount in history:
        if what == "wrap":
            # Replaced by a counter near its end, which is a life of its own: read, then over the top.
            value = 2**32 - 1 - amount
            state = CounterState(at, value, at)
            value = 50
            consumed += 51 + amount
        elif what == "reset" and value >= 200:
            value = amount
            consumed += amount
        else:
            value += amount
            consumed += amount
        at += HOUR
        state, increment, _ = step(state, at, value)
        counted += increment
    assert counted == consumed


@given(st.lists(st.one_of(st.integers(0, 2**33).map(float), st.just(float("nan"))), max_size=80))
def test_never_negative_and_never_more_than_it_showed(values: list[float]) -> None:
    shown = sum(value for value in values if value == value) + 2**32 * len(values)
    total, _, _ = run(values)
    assert 0 <= total <= shown


row = st.lists(
    st.one_of(
        st.integers(0, 300), st.integers(2**32 - 300, 2**32 - 1), st.integers(0, 2**40), st.none()
    ),
    min_size=30,
    max_size=30,
)  # fmt: skip


@settings(max_examples=60)
@given(st.lists(row, min_size=1, max_size=4))
def test_many_at_once_are_the_same_as_one_by_one(rows: list[list[int | None]]) -> None:
    values = np.array([[np.nan if value is None else float(value) for value in each] for each in rows])
    counters = unseen(len(rows))
    states: list[CounterState | None] = [None] * len(rows)
    for day in range(values.shape[1]):
        increments, events = step_day(counters, float(day), values[:, day])
        for position, value in enumerate(values[:, day]):
            states[position], increment, event = step(states[position], day * DAY, float(value))
            assert (increments[position], Event(events[position])) == (increment, event)


def test_days_without_a_reading_share_what_was_consumed() -> None:
    values = np.array([[0.0, 10, np.nan, np.nan, 40, 45], [5.0, np.nan, 7, 3, np.nan, 4]])
    used, events = consumption(values)
    assert used[0].tolist()[1:] == [10, 10, 10, 10, 5]
    assert np.isnan(used[0, 0])
    assert events[1].tolist() == [Event.FIRST, Event.BAD, Event.COUNTED, Event.RESET, Event.BAD, Event.COUNTED]
