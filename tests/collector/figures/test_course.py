"""The course of an incident against a plain reading of its minutes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tillwatch.collector.duty.policy import parse_policy
from tillwatch.collector.figures.course import PHASES, course_of, phases, repair_met, response_met
from tillwatch.collector.incident.incidents import Incident
from tillwatch.collector.records import IncidentEvent

M = 60 * 10**9
POLICY = parse_policy()
BUSINESS = POLICY.calendars["business"].in_zone("UTC")
MONDAY = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp()) * 10**9  # no holiday
ALWAYS = POLICY.calendars["always"]
TARGET = POLICY.targets[2]


def incident(**fields):
    known = {
        "corr_id": "I",
        "terminal": "t",
        "branch": "b",
        "level": 2,
        "state": "closed",
        "opened_at": 10 * M,
        "restored_at": 0,
        "seq": 1,
    }
    return Incident(**{**known, "occurred_at": 4 * M, "announced_at": 12 * M, "component": "dispenser", **fields})


def event(minute, kind, **detail):
    return IncidentEvent("I", kind, minute * M, detail)


def minutes(course):
    return {phase: length // M for phase, length in (phases(course) or {}).items()}


def test_the_phases_are_what_lies_between_the_marks():
    told = [
        event(22, "acknowledged", by="ann"),
        event(40, "in_repair", by="ann"),
        event(72, "restored", since=70 * M),
        event(100, "resolved", by="ann", verdict="part_changed"),
        event(340, "closed", by="policy"),
    ]
    course = course_of(incident(), told, 1000 * M)
    assert minutes(course) == {"detect": 6, "respond": 12, "travel": 18, "repair": 30, "verify": 30}
    assert (course.visits, course.verdict, course.settled_by, course.by_a_person) == (1, "part_changed", "ann", True)


def test_what_nobody_did_takes_no_time():
    alone = course_of(incident(), [event(50, "restored", since=48 * M), event(50, "resolved", by="policy")], 1000 * M)
    assert minutes(alone) == {"detect": 6, "respond": 38, "travel": 0, "repair": 0, "verify": 2}
    assert not alone.by_a_person
    never_on_site = course_of(incident(), [event(20, "acknowledged", by="ann"), event(50, "restored")], 1000 * M)
    assert minutes(never_on_site) == {"detect": 6, "respond": 10, "travel": 0, "repair": 30}
    assert phases(course_of(incident(), [event(20, "acknowledged", by="ann")], 1000 * M)) is None


def test_a_repair_that_did_not_hold_is_none_and_the_time_in_between_cost_nobody_anything():
    told = [
        event(20, "in_repair", by="ann"),
        event(30, "restored"),
        event(31, "resolved", by="ann"),
        event(90, "reopened"),
        event(100, "in_repair", by="bob"),
        event(120, "restored"),
    ]
    course = course_of(incident(reopened=1), told, 1000 * M)
    assert (course.restored, course.resolved, course.visits) == (120 * M, 0, 2)
    assert minutes(course) == {"detect": 6, "respond": 10, "travel": 0, "repair": 40}


def test_rows_of_an_older_version_have_no_events():
    course = course_of(incident(occurred_at=0, responded_at=15 * M, restored_at=40 * M, closed_at=50 * M), [], 1000 * M)
    assert minutes(course) == {"detect": 0, "respond": 5, "travel": 0, "repair": 25, "verify": 10}


def test_the_gravest_level_counts():
    assert (
        course_of(
            incident(level=3), [event(11, "level", level=1, was=2), event(30, "level", level=3, was=1)], 99 * M
        ).level
        == 1
    )


@pytest.mark.parametrize(
    ("answered", "restored", "known", "met"),
    [
        (40, 0, 50, True),
        (41, 0, 50, False),
        (0, 0, 40, None),  # not due yet
        (0, 0, 41, False),
        (0, 35, 99, None),  # over before it was due
        (0, 60, 99, False),
        (70, 60, 99, False),
    ],
)
def test_response_is_judged_when_it_is_due(answered, restored, known, met):
    told = ([event(answered, "acknowledged", by="ann")] if answered else []) + (
        [event(restored, "restored")] if restored else []
    )
    assert response_met(course_of(incident(), told, known * M), TARGET, ALWAYS, known * M) is met


LENGTH = 700
times = st.lists(st.integers(10, LENGTH - 10), min_size=0, max_size=6, unique=True).map(sorted)


@settings(max_examples=150)
@given(
    times,
    st.lists(st.integers(10, LENGTH), max_size=4, unique=True).map(sorted),
    st.booleans(),
    st.integers(LENGTH, LENGTH + 60),
)
def test_repair_is_judged_by_open_minutes_without_pauses_and_holds(turns, holds, net, known):
    """turns: restored, reopened, restored ... by turns; holds: since, until, since ... The week begins at 04:00 of a Monday."""
    begin = MONDAY + 240 * M
    told = [
        IncidentEvent("I", "restored" if i % 2 == 0 else "reopened", begin + at * M, {}) for i, at in enumerate(turns)
    ]
    pairs = [
        (begin + since * M, begin + until * M, "part") for since, until in zip(holds[::2], holds[1::2], strict=False)
    ]
    if len(holds) % 2:
        pairs.append((begin + holds[-1] * M, 0, "part"))
    row = incident(opened_at=begin + 10 * M, occurred_at=begin, held=tuple(pairs))
    course = course_of(row, told, begin + known * M)
    spent, over = 0, False
    for minute in range(10, known):
        at = begin + minute * M
        restored = sum(turn <= minute for turn in turns) % 2 == 1
        on_hold = any(since <= at < (until or begin + known * M) for since, until, _ in pairs)
        over = len(turns) % 2 == 1 and minute >= turns[-1]
        local = (minute + 240) % 1440
        if not over and not restored and not (net and on_hold) and 540 <= local < 1050:
            spent += M
    expected = False if spent > TARGET.repair_ns else True if len(turns) % 2 else None
    assert repair_met(course, course.restored, TARGET, BUSINESS, begin + known * M, net=net) is expected


@given(st.integers(0, 9), st.integers(10, 30), *[st.integers(0, 90)] * 4, times)
def test_the_phases_add_up_to_the_time_to_restore(failed, opened, answered, arrived, restored, resolved, back):
    told = [
        event(at, "acknowledged" if at == answered else "in_repair", by="ann")
        for at in sorted({answered, arrived})
        if at
    ]
    told += [event(at, "restored" if i % 2 == 0 else "reopened") for i, at in enumerate(back)]
    told += [event(max([restored, *back]) if len(back) % 2 == 0 else back[-1], "restored")]
    told += [event(resolved, "resolved", by="ann")] if resolved else []
    course = course_of(incident(occurred_at=failed * M, opened_at=opened * M), told, 1000 * M)
    spent = phases(course)
    if spent is None:
        assert not course.restored
        return
    end = max(course.restored, course.opened)
    working = sum(min(b, end) - max(a, course.failed) for a, b in course.pauses if max(a, course.failed) < min(b, end))
    assert sum(spent[phase] for phase in PHASES[:4]) == end - course.failed - working
    assert all(length >= 0 for length in spent.values())


def test_what_was_merged_is_answered_by_the_first_answer_and_ends_with_it():
    """The one that goes on takes over who answered the other; the other one is over then."""
    kept = course_of(
        incident(), [event(30, "acknowledged", by="li"), event(40, "took_in", other="J", responded_at=20 * M)], 90 * M
    )
    assert (kept.responded, kept.resolved) == (20 * M, 0)
    gone = course_of(incident(), [event(20, "acknowledged", by="li"), event(40, "merged", into="J", by="li")], 90 * M)
    assert (gone.responded, gone.resolved, gone.settled_by) == (20 * M, 40 * M, "li")
