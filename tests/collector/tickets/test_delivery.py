from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.tickets.delivery import (
    IN_FLIGHT,
    LONGEST_WAIT_S,
    SECOND,
    TRIPPED,
    UPDATE_REFUSALS,
    Gate,
    Pace,
    Row,
    RowState,
    settle,
    take,
)
from tillwatch.collector.tickets.message import Op
from tillwatch.collector.tickets.port import Dead, Disabled, Done, Retry, Uncertain

NOW = 1_772_352_000 * SECOND
PACE = Pace()
ROW = Row(1, "HWM-1-1", Op.OPEN, 1, 2, NOW, RowState.PENDING)
DECLINED = Retry("declined", refused=True)

jitters = st.floats(0, 1, exclude_max=True)
failures = st.one_of(
    st.builds(Retry, st.just("r"), st.none() | st.floats(0, 1e9), st.booleans()),
    st.just(Uncertain("u")),
    st.just(Disabled("d")),
)


def settled(row: Row, outcome, jitter: float = 0.5, now: int = NOW) -> Row:
    return settle(row, outcome, now, settle_s=30, pace=PACE, jitter=jitter)


@given(st.sampled_from([Op.OPEN, Op.UPDATE, Op.RESOLVE]), st.integers(0, 10**6), failures, jitters, st.booleans())
def test_no_failure_ends_a_message_that_nothing_follows_and_none_waits_past_the_bound(
    op, attempts, outcome, jitter, doubtful
) -> None:
    state = RowState.UNCERTAIN if doubtful else RowState.PENDING
    after = settled(take(replace(ROW, op=op, attempts=attempts, state=state), "me"), outcome, jitter)
    assert after.state in {RowState.PENDING, RowState.UNCERTAIN}
    assert after.not_before <= NOW + LONGEST_WAIT_S * SECOND


@given(st.sampled_from([Op.OPEN, Op.RESOLVE]), failures)
def test_opening_and_resolving_never_give_way(op, outcome) -> None:
    after = settled(take(replace(ROW, op=op, attempts=10**6, followed=True), "me"), outcome)
    assert after.state is not RowState.DEAD


def test_a_refused_update_gives_way_to_what_follows_it_after_an_hour_and_says_why() -> None:
    update = replace(ROW, op=Op.UPDATE, followed=True, attempts=UPDATE_REFUSALS - 2)
    before = settled(take(update, "me"), DECLINED)
    assert before.state is RowState.PENDING
    after = settled(take(before, "me"), DECLINED)
    assert after.state is RowState.DEAD
    assert after.answer == "gave way to a later message: declined"
    assert settled(take(before, "me"), Uncertain("timeout")).state is RowState.UNCERTAIN


@given(failures)
def test_a_doubt_stays_until_it_is_done(outcome) -> None:
    doubtful = settled(take(ROW, "me"), Uncertain("timeout"))
    assert doubtful.state is RowState.UNCERTAIN
    taken = take(doubtful, "me")
    assert taken.doubtful
    assert settled(taken, outcome).state is RowState.UNCERTAIN
    assert settled(taken, Done("7")).state is RowState.DONE


def test_what_is_uncertain_settles_first() -> None:
    assert settled(take(ROW, "me"), Uncertain("timeout"), jitter=0).not_before == NOW + 30 * SECOND


@given(st.integers(1, 5000), jitters)
def test_back_off_has_full_jitter_and_a_cap(count, jitter) -> None:
    assert 0 <= PACE.back_off(count, jitter) <= PACE.cap_s
    assert PACE.back_off(count, 0) == 0
    assert PACE.back_off(count, 0.5) <= PACE.back_off(count + 1, 0.5)


def test_back_off_reaches_its_cap() -> None:
    assert PACE.back_off(1, 0.999) < PACE.base_s
    assert PACE.back_off(40, 0.5) == PACE.cap_s / 2


def test_what_was_asked_for_is_waited_for_within_reason() -> None:
    assert settled(take(ROW, "me"), Retry("429", after_s=120), jitter=0).not_before == NOW + 120 * SECOND
    assert (
        settled(take(ROW, "me"), Retry("429", after_s=1e8), jitter=0).not_before
        == NOW + int(PACE.retry_after_s) * SECOND
    )
    assert settled(take(ROW, "me"), Retry("429", after_s=-5), jitter=0).not_before == NOW


def test_a_dead_message_is_left_to_a_person_with_its_reason() -> None:
    after = settled(take(ROW, "me"), Dead("x" * 9000))
    assert after.state is RowState.DEAD
    assert len(after.answer) == 500


def gate_after(gate: Gate, *outcomes, now: int = NOW, jitter: float = 0.5) -> Gate:
    for outcome in outcomes:
        gate = gate.after(outcome, now, pace=PACE, jitter=jitter)
    return gate


def test_an_ill_endpoint_gets_one_attempt_at_a_time_and_a_success_opens_it() -> None:
    gate = gate_after(Gate(), *[Uncertain("500")] * (TRIPPED - 1))
    assert gate.room(NOW, 0) == IN_FLIGHT
    gate = gate_after(gate, Uncertain("500"))
    assert gate.tripped
    assert gate.room(NOW, 0) == 0
    later = NOW + 60 * SECOND
    assert gate.room(later, 0) == 1
    assert gate.room(later, 1) == 0
    well = gate_after(gate, Done(), now=later)
    assert well.room(later, 1) == IN_FLIGHT - 1


def test_one_poison_row_between_successes_does_not_trip_it() -> None:
    gate = gate_after(Gate(), *[DECLINED, Done(), Uncertain("500"), Done()] * 5)
    assert not gate.tripped
    assert gate.room(NOW, 0) == IN_FLIGHT


def test_a_wait_that_was_asked_for_outlasts_a_success_that_was_under_way() -> None:
    gate = gate_after(Gate(), Retry("429", after_s=10), Done(), jitter=0)
    assert gate.room(NOW + 9 * SECOND, 0) == 0
    assert gate.room(NOW + 10 * SECOND, 0) == IN_FLIGHT


def test_gone_stops_everything_for_good() -> None:
    gate = gate_after(Gate(), Disabled("gone"), Done())
    assert gate.disabled == "gone"
    assert gate.room(NOW + 10**9 * SECOND, 0) == 0


def test_a_dead_message_says_nothing_of_the_endpoint() -> None:
    assert gate_after(Gate(), *[Dead("unreadable")] * 10) == Gate()


@given(st.lists(failures.filter(lambda o: not isinstance(o, Disabled)), max_size=30), jitters)
def test_a_closed_gate_opens_within_the_bound_and_on_a_clock_that_was_set_back(outcomes, jitter) -> None:
    gate = gate_after(Gate(), *outcomes, jitter=jitter)
    assert gate.room(NOW + int(LONGEST_WAIT_S) * SECOND, 0) >= 1
    assert gate.room(NOW - 86400 * SECOND, 0) >= 1


@pytest.mark.parametrize("state", [RowState.PENDING, RowState.UNCERTAIN])
def test_taking_counts(state) -> None:
    taken = take(replace(ROW, state=state, attempts=3), "me")
    assert (taken.state, taken.attempts, taken.doubtful) == (RowState.SENDING, 4, state is RowState.UNCERTAIN)
