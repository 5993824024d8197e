"""Clocks of service levels: due times against a plain count of minutes, and the same steps however time is cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.collector.duty.clocks_of_places import BERLIN, DAY, HOUR, MINUTE, ns, said
from tillwatch.collector.duty.calendars import Calendar, always
from tillwatch.collector.duty.clocks import (
    NEVER,
    REPAIR,
    RESPONSE,
    Clock,
    Escalation,
    OnDuty,
    Step,
    Target,
    advance,
    next_due,
    next_step,
    steps_due,
)
from tillwatch.collector.duty.policy import parse_policy
from tillwatch.collector.duty.roster import Person

BUSINESS = Calendar("business", BERLIN, (*(((9 * 60, 17 * 60),),) * 5, (), ()))
ROLES = ("duty", "backup", "head", "director")
PHONE = {"phone": "+49 30 5550100"}


def somebody(role: str, at: int) -> tuple[Person, ...]:
    return (Person(role, role, PHONE),)


def nobody(role: str, at: int) -> tuple[Person, ...]:
    return ()


def all_but(*empty: str) -> OnDuty:
    return lambda role, at: () if role in empty else somebody(role, at)


def response(minute: int, role: str, *channels: str) -> Step:
    return Step(RESPONSE, minute * MINUTE, role, channels or ("phone",))


TARGET = Target(
    1,
    30 * MINUTE,
    4 * HOUR,
    (
        response(0, "duty"),
        response(5, "backup"),
        response(10, "head"),
        Step(REPAIR, 2 * HOUR, "head", ("sms",)),
        Step(REPAIR, 3 * HOUR, "head", ("phone",)),
        Step(REPAIR, 4 * HOUR, "director", ("phone",)),
    ),
)


def roles(call) -> list[str]:
    return [each.step.role for each in call.steps] if call else []


# Clocks.


def test_a_clock_runs_in_its_hours_only():
    clock = Clock(REPAIR, ns("2026-03-27 16:00", BERLIN), 4 * HOUR)  # a Friday; the clocks are set on Sunday
    assert said(clock.due(BUSINESS), BERLIN) == "2026-03-30 12:00"
    assert clock.due(always()) == clock.start + 4 * HOUR
    assert clock.spent(BUSINESS, ns("2026-03-30 10:00", BERLIN)) == (2 * HOUR, 2 * HOUR)


def test_a_hold_pauses_the_repair_and_not_the_response():
    start = ns("2026-03-02 10:00", BERLIN)
    for kind, due in ((RESPONSE, start + 4 * HOUR), (REPAIR, start + 5 * HOUR)):
        clock = Clock(kind, start, 4 * HOUR).hold(start + HOUR)
        assert clock.due(always()) == (NEVER if kind == REPAIR else due)
        clock = clock.hold(start + 90 * MINUTE).resume(start + 2 * HOUR).resume(start + 3 * HOUR)
        assert clock.due(always()) == due
    assert clock.spent(always(), start + 3 * HOUR) == (3 * HOUR, 2 * HOUR)
    assert clock.stop(start + 4 * HOUR).spent(always(), start + 9 * HOUR) == (4 * HOUR, 3 * HOUR)


def test_a_target_that_is_over_before_the_hold_stays_missed():
    clock = Clock(REPAIR, 0, HOUR).hold(2 * HOUR)
    assert clock.due(always()) == HOUR
    assert not clock.missed(always(), HOUR)
    assert clock.missed(always(), HOUR + 1)
    assert clock.stop(3 * HOUR).missed(always(), 3 * HOUR)
    assert not Clock(REPAIR, 0, HOUR).stop(HOUR).missed(always(), 9 * HOUR)


def test_stopping_ends_a_hold_and_the_first_stop_counts():
    clock = Clock(REPAIR, 0, HOUR).hold(10).stop(20).stop(30)
    assert clock == Clock(REPAIR, 0, HOUR, ((10, 20),), 20)
    assert clock.hold(40) is clock


def test_holds_within_holds_count_once():
    clock = Clock(REPAIR, 0, HOUR, ((0, 100), (10, 20), (50, 60)))
    assert clock.spent(always(), 200) == (200, 100)
    assert clock.due(always()) == HOUR + 100


@st.composite
def held_clocks(draw) -> Clock:
    start = ns("2026-10-23 08:00", BERLIN)  # the night after the next day has an hour twice
    spans = sorted(draw(st.lists(st.tuples(st.integers(-300, 3000), st.integers(0, 900)), max_size=4)))
    held = [(start + since * MINUTE, start + (since + length) * MINUTE) for since, length in spans]
    if draw(st.booleans()):
        held.append((start + draw(st.integers(3000, 4000)) * MINUTE, 0))
    return Clock(REPAIR, start, draw(st.integers(1, 900)) * MINUTE, tuple(held))


@settings(max_examples=150, deadline=None)
@given(held_clocks(), st.sampled_from([BUSINESS, always()]), st.integers(0, 5000))
def test_due_and_spent_are_as_a_plain_count_of_minutes(clock, calendar, until):
    gross = net = 0
    due = None
    for at in range(clock.start, clock.start + 8 * DAY, MINUTE):
        if at == clock.start + until * MINUTE:
            assert clock.spent(calendar, at) == (gross, net)
        if due is None and net == clock.target_ns:
            due = at
        if not calendar.is_open(at):
            continue
        gross += MINUTE
        net += 0 if any(since <= at < (end or NEVER) for since, end in clock.held) else MINUTE
    if due is None:
        assert clock.due(calendar) > clock.start + 7 * DAY
    else:
        assert clock.due(calendar) == due


# Steps.


def test_steps_fall_due_in_order_and_repair_goes_on_after_the_acknowledgement():
    start = ns("2026-03-02 10:00", BERLIN)
    clocks = [Clock(RESPONSE, start, 30 * MINUTE), Clock(REPAIR, start, 4 * HOUR)]
    state, told, at = Escalation(), [], start
    while (due := next_due(TARGET, always(), clocks, state, at, somebody)) is not None:
        at = due
        state, call = advance(TARGET, always(), clocks, state, at, somebody)
        told.append(((at - start) // MINUTE, *((person.id, channels) for person, channels in call.people)))
        if call.steps[-1].step.role == "backup":
            clocks[0] = clocks[0].stop(start + 7 * MINUTE)
    assert told == [
        (0, ("duty", ("phone",))),
        (5, ("backup", ("phone",))),
        (120, ("head", ("phone",))),  # he has no other way to be told: see Person.reach
        (180, ("head", ("phone",))),
        (240, ("director", ("phone",))),
    ]


def test_outside_the_hours_nobody_is_told_until_they_begin():
    start = ns("2026-03-06 18:00", BERLIN)  # a Friday evening
    clock = Clock(RESPONSE, start, 30 * MINUTE)
    assert steps_due(TARGET, BUSINESS, Escalation(), clock, start + DAY) == []
    due, step = next_step(TARGET, BUSINESS, Escalation(), clock, start)
    assert (said(due, BERLIN), step.role) == ("2026-03-09 09:00", "duty")


def test_an_overdue_step_is_due_now_and_none_after_the_stop():
    clock = Clock(RESPONSE, 0, 30 * MINUTE)
    assert next_step(TARGET, always(), Escalation(), clock, HOUR) == (HOUR, TARGET.steps[0])
    done = Escalation(frozenset(key for key, _ in TARGET.keyed(RESPONSE)[:2]))
    assert next_step(TARGET, always(), done, clock.stop(9 * MINUTE), HOUR) is None
    assert next_step(TARGET, always(), done, clock.stop(10 * MINUTE), HOUR) == (HOUR, TARGET.steps[2])
    held = Clock(REPAIR, 0, 4 * HOUR).hold(HOUR)
    assert next_step(TARGET, always(), Escalation(), held, HOUR) is None


def test_steps_missed_while_down_fire_at_once_as_one_call():
    clocks = [Clock(RESPONSE, 0, 30 * MINUTE), Clock(REPAIR, 0, 4 * HOUR)]
    state, call = advance(TARGET, always(), clocks, Escalation(), 3 * HOUR, somebody)
    assert [(each.due // MINUTE, each.step.role) for each in call.steps] == [
        *((0, "duty"), (5, "backup"), (10, "head")),
        *((120, "head"), (180, "head")),
    ]
    assert [person.id for person, _ in call.people] == ["duty", "backup", "head"]  # each once
    assert advance(TARGET, always(), clocks, state, 3 * HOUR, somebody) == (state, None)


def test_an_empty_shift_makes_the_next_step_due_at_once_and_is_told():
    clock = Clock(RESPONSE, 0, 30 * MINUTE)
    state, call = advance(TARGET, always(), [clock], Escalation(), 0, all_but("duty", "backup"))
    assert (roles(call), call.nobody) == (["duty", "backup", "head"], ("duty", "backup"))
    assert [person.id for person, _ in call.people] == ["head"]
    assert next_due(TARGET, always(), [clock], state, 0, somebody) is None


def test_a_whole_roster_that_is_empty_is_told_once():
    clock = Clock(RESPONSE, 0, 30 * MINUTE)
    state, call = advance(TARGET, always(), [clock], Escalation(), 0, nobody)
    assert call.nobody == ("duty", "backup", "head")
    assert call.people == ()
    assert advance(TARGET, always(), [clock], state, HOUR, nobody) == (state, None)


def test_a_step_that_only_counts_is_not_brought_forward():
    target = Target(3, 30 * MINUTE, HOUR, (response(0, "duty"), Step(RESPONSE, 30 * MINUTE, ""), response(25, "head")))
    clock = Clock(RESPONSE, 0, 30 * MINUTE)
    state, call = advance(target, always(), [clock], Escalation(), 0, all_but("duty"))
    assert roles(call) == ["duty", "head"]
    _, call = advance(target, always(), [clock], state, 30 * MINUTE, nobody)
    assert (roles(call), call.people, call.nobody) == ([""], (), ())


def test_somebody_hears_of_it_where_the_shift_has_ended_meanwhile():
    def until_ten(role: str, at: int) -> tuple[Person, ...]:
        return somebody(role, at) if at < 10 * MINUTE else ()

    clock = Clock(RESPONSE, 0, 30 * MINUTE)
    _, call = advance(replace(TARGET, steps=TARGET.steps[:2]), always(), [clock], Escalation(), HOUR, until_ten)
    assert [person.id for person, _ in call.people] == ["duty", "backup"]
    assert call.nobody == ()


def test_nobody_is_told_twice_when_the_level_falls_or_the_policy_moves_his_turn():
    clock = Clock(RESPONSE, 0, 30 * MINUTE)
    state, _ = advance(TARGET, always(), [clock], Escalation(), 10 * MINUTE, somebody)
    milder = Target(2, 30 * MINUTE, 4 * HOUR, (response(0, "duty"), response(12, "backup"), response(20, "manager")))
    _, call = advance(milder, always(), [clock], state, 20 * MINUTE, somebody)
    assert roles(call) == ["manager"]


def test_a_reminder_goes_to_those_who_were_told_until_somebody_takes_it_on():
    target = replace(TARGET, remind_ns=4 * MINUTE, steps=TARGET.steps[:2])
    clock = Clock(RESPONSE, 0, 30 * MINUTE)
    state, told, at = Escalation(), [], 0
    while (due := next_due(target, always(), [clock], state, at, somebody)) is not None and due <= 12 * MINUTE:
        at = due
        state, call = advance(target, always(), [clock], state, at, somebody)
        told.append((at // MINUTE, call.reminder, [person.id for person, _ in call.people]))
    assert told == [
        (0, False, ["duty"]),
        (4, True, ["duty"]),
        (5, False, ["backup"]),
        (8, True, ["duty", "backup"]),
        (12, True, ["duty", "backup"]),
    ]
    assert next_due(target, always(), [clock.stop(13 * MINUTE)], state, at, somebody) is None


def test_reminders_of_a_night_are_one_in_the_morning():
    target = replace(TARGET, remind_ns=10 * MINUTE, steps=TARGET.steps[:1])
    clock = Clock(RESPONSE, ns("2026-03-05 16:55", BERLIN), 30 * MINUTE)
    state, _ = advance(target, BUSINESS, [clock], Escalation(), clock.start, somebody)
    due = next_due(target, BUSINESS, [clock], state, clock.start, somebody)
    assert said(due, BERLIN) == "2026-03-06 09:00"
    state, call = advance(target, BUSINESS, [clock], state, due, somebody)
    assert call.reminder
    assert said(next_due(target, BUSINESS, [clock], state, due, somebody), BERLIN) == "2026-03-06 09:05"


# However time is cut.

STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from([RESPONSE, REPAIR]),
        st.sampled_from([0, 5, 7, 30, 120, 240, 600]).map(lambda minute: minute * MINUTE),
        st.sampled_from(ROLES),
        st.sampled_from([("phone",), ("sms", "mail"), ()]),
    ),
    max_size=8,
)
TARGETS = st.builds(
    Target,
    st.just(1),
    st.just(30 * MINUTE),
    st.just(4 * HOUR),
    STEPS.map(tuple),
    st.sampled_from([0, 5 * MINUTE, 60 * MINUTE]),
)
MINUTES = st.integers(0, 4000).map(lambda minute: minute * MINUTE)


def shifts(gaps: dict[str, list[int]]) -> OnDuty:
    """Each role has nobody in these hours."""
    return lambda role, at: () if at // HOUR % 24 in gaps.get(role, ()) else somebody(role, at)


Act = Callable[[list[Clock], int], list[Clock]]
ACTS: dict[str, Act] = {
    "acknowledge": lambda clocks, at: [clocks[0].stop(at), clocks[1]],
    "hold": lambda clocks, at: [each.hold(at) for each in clocks],
    "resume": lambda clocks, at: [each.resume(at) for each in clocks],
    "restore": lambda clocks, at: [clocks[0], clocks[1].stop(at)],
}


def run(target, calendar, start, acts, on_duty, cuts, *, by_timer=False):
    """Like the fold: time is brought up to each act before it is done; a timer wakes it in between, or somebody else does."""
    clocks, state, calls, now = (
        [Clock(RESPONSE, start, target.response_ns), Clock(REPAIR, start, target.repair_ns)],
        Escalation(),
        [],
        start,
    )

    def step(at: int) -> None:
        nonlocal state, now
        now = at
        state, call = advance(target, calendar, clocks, state, at, on_duty)
        if call is not None:
            calls.append(call)

    stops = sorted([(at, 0, name) for at, name in acts] + [(cut, 1, "") for cut in cuts])
    for at, _, name in [*stops, (start + 5000 * MINUTE, 2, "")]:
        while by_timer and (due := next_due(target, calendar, clocks, state, now, on_duty)) is not None and due <= at:
            step(due)
        step(at)
        if name:
            clocks = ACTS[name](clocks, at)
    return state, calls


@settings(max_examples=400, deadline=None)
@given(
    TARGETS,
    st.sampled_from([BUSINESS, always()]),
    st.integers(0, 2000).map(lambda minute: ns("2026-10-23 08:00", BERLIN) + minute * MINUTE),
    st.lists(st.tuples(MINUTES, st.sampled_from(sorted(ACTS))), max_size=6, unique_by=lambda act: act[0]),
    st.dictionaries(st.sampled_from(ROLES), st.lists(st.integers(0, 23), max_size=20)),
    st.lists(MINUTES, max_size=12),
)
@example(
    Target(1, 30 * MINUTE, 240 * MINUTE, (Step(RESPONSE, 30 * MINUTE, "duty", ("phone",)),)),
    BUSINESS,
    ns("2026-10-23 16:30", BERLIN),
    [],
    {},
    [],
)
def test_any_cut_of_time_fires_the_same_steps_each_once(target, calendar, start, acts, gaps, cuts):
    on_duty = shifts(gaps)
    acts = [(start + at, name) for at, name in acts]
    states, fired, calls = {}, {}, {}
    ways = {"once": ([], False), "cut": ([start + cut for cut in cuts], False), "timer": ([], True)}
    for way, (at, by_timer) in ways.items():
        states[way], calls[way] = run(target, calendar, start, acts, on_duty, at, by_timer=by_timer)
        steps = [each for call in calls[way] for each in call.steps]
        fired[way] = sorted(steps, key=lambda each: each.key)
        assert len({each.key for each in steps}) == len(steps)
    assert states["once"] == states["cut"] == states["timer"]
    assert fired["once"] == fired["cut"] == fired["timer"]
    # By timer nothing is late.
    assert all(each.due == call.at for call in calls["timer"] for each in call.steps)
    # What is due with the end of the hours is due then, and not with their next beginning.
    assert all(calendar.is_open(call.at) or calendar.is_open(call.at - 1) for call in calls["timer"])
    assert {each.step.role for each in fired["once"] if each.empty} == {
        r for call in calls["once"] for r in call.nobody
    }


@settings(max_examples=150, deadline=None)
@given(TARGETS, st.lists(MINUTES, max_size=8), st.dictionaries(st.sampled_from(ROLES), st.lists(st.integers(0, 23))))
def test_a_step_that_tells_somebody_reaches_somebody_or_says_that_nobody_was_there(target, cuts, gaps):
    start = ns("2026-10-23 08:00", BERLIN)
    _, calls = run(target, always(), start, [], shifts(gaps), [start + cut for cut in cuts])
    for call in calls:
        for each in call.steps:
            reached = {person.id for person, _ in call.people}
            assert each.empty or not each.step.channels or each.step.role in reached


@pytest.mark.parametrize("level", [1, 2, 3])
def test_the_shipped_targets_run_through(level):
    target = parse_policy().targets[level]
    clocks = [Clock(RESPONSE, 0, target.response_ns), Clock(REPAIR, 0, target.repair_ns)]
    state, call = advance(target, always(), clocks, Escalation(), DAY - 1, somebody)
    assert {each.key for each in call.steps} == state.done
    assert len(state.done) == len(target.steps)
