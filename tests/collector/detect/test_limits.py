"""Limits with hysteresis and duration: examples a person can check, and a reference that remembers everything."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.detect.limits import QUIET, Limits, LimitState, Step, due_at, level_of, settle, step

S = 1_000_000_000
DISK = Limits(above=(Step(90, 3), Step(97, 2)), deadband=2, for_ns=10 * S, hold_ns=20 * S)
BATTERY = Limits(below=(Step(50, 3), Step(20, 1)), deadband=5)


def run(limits: Limits, values: list[tuple[int, float | str]]) -> list[int]:
    state, levels = QUIET, []
    for at, value in values:
        state = step(limits, settle(limits, state, at * S), at * S, value, 0)
        levels.append(state.level)
    return levels


def test_a_level_needs_its_time_and_the_way_back_its_deadband_and_hold():
    assert run(DISK, [(0, 91), (5, 91), (10, 91), (15, 89), (20, 87), (39, 87), (40, 87)]) == [0, 0, 3, 3, 3, 3, 0]


def test_a_value_that_gets_worse_before_it_is_confirmed_loses_no_time():
    assert run(DISK, [(0, 91), (6, 98), (10, 98)]) == [0, 0, 2]


def test_a_short_excursion_is_no_alarm():
    assert run(DISK, [(0, 99), (9, 80), (10, 99), (19, 80)]) == [0, 0, 0, 0]


def test_inside_the_deadband_the_level_stays():
    assert run(BATTERY, [(0, 49), (1, 54), (2, 56), (3, 19), (4, 24), (5, 26)]) == [3, 3, 0, 1, 1, 3]


def test_words_and_judgements():
    words = Limits(words={"battery": 2})
    assert run(words, [(0, "normal"), (1, "battery"), (2, "other")]) == [0, 2, 0]
    judged = Limits(judged={3: 2, 2: 3})
    assert [level_of(judged, 0, 1.0, j) for j in (0, 1, 2, 3, 4)] == [0, 0, 3, 2, 0]


def test_time_alone_confirms_and_says_when():
    state = step(DISK, QUIET, 0, 95, 0)
    assert due_at(DISK, state) == 10 * S
    assert settle(DISK, state, 10 * S - 1).level == 0
    assert settle(DISK, state, 10 * S).level == 3


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(80, 100)), max_size=30))
def test_never_raised_before_its_time_and_never_cleared_before_its_hold(steps):
    at, state = 0, QUIET
    abnormal_since: int | None = None
    normal_since: int | None = None
    for gap, value in steps:
        at += gap
        before = settle(DISK, state, at * S)
        state = step(DISK, before, at * S, value, 0)
        if value > 90 and abnormal_since is None:
            abnormal_since = at
        if value <= 88:
            abnormal_since = None
        if value <= 88 and normal_since is None:
            normal_since = at
        if value > 90:
            normal_since = None
        if state.level and not before.level:
            assert abnormal_since is None or at - abnormal_since >= 10
        if before.level and not state.level:
            assert normal_since is not None
            assert at - normal_since >= 20


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(80, 100)), max_size=30), st.data())
def test_ticks_between_readings_change_no_outcome_once_due(steps, data):
    """A timer that fires at its due time gives what the next reading would have confirmed anyway, when that agrees."""
    at, plain, ticked = 0, QUIET, QUIET
    for gap, value in steps:
        due = due_at(DISK, ticked)
        at += gap
        if due is not None and due <= at * S and data.draw(st.booleans()):
            ticked = settle(DISK, ticked, due)
        plain = step(DISK, settle(DISK, plain, at * S), at * S, value, 0)
        ticked = step(DISK, settle(DISK, ticked, at * S), at * S, value, 0)
        assert plain == ticked


def test_quiet_is_one_value_so_that_nothing_is_kept_of_it():
    state = run_state(BATTERY, [49, 100])
    assert (state.level, state.wanted) == (0, 0)


def run_state(limits: Limits, values: list[float]) -> LimitState:
    state = QUIET
    for at, value in enumerate(values):
        state = step(limits, settle(limits, state, at * S), at * S, value, 0)
    return state
