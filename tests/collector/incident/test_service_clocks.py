"""The clocks of an incident that goes on for long."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.collector.sending import T0
from tests.collector.stories.stage import HOUR, MINUTE, S
from tillwatch.collector.duty.policy import parse_policy
from tillwatch.collector.incident.incidents import OPEN, WELL, Incident
from tillwatch.collector.incident.service_clocks import MAX_HELD, bounded, clocks_of

POLICY = parse_policy()
CALENDARS = [POLICY.calendars[name] for name in ("always", "opening", "business")]
steps = st.lists(
    st.tuples(st.integers(S, 40 * HOUR), st.integers(1, 40 * HOUR), st.sampled_from((WELL, WELL, WELL, "parts"))),
    min_size=MAX_HELD - 2,
    max_size=MAX_HELD + 20,
)


def incident(held: tuple[tuple[int, int, str], ...]) -> Incident:
    return Incident("HWM-1", "atm-1", "hill", 2, OPEN, T0, 0, 0, fault="disk.full", held=held)


def pauses(steps: list[tuple[int, int, str]]) -> tuple[tuple[int, int, str], ...]:
    held, at = [], T0
    for ill, well, reason in steps:
        held.append((at + ill, at + ill + well, reason))
        at += ill + well
    return tuple(held)


@pytest.mark.parametrize("hours", CALENDARS, ids=lambda each: each.name)
@given(steps=steps)
def test_the_clock_shows_the_same_with_fewer_pauses(hours, steps):
    before = incident(pauses(steps))
    after = bounded(before, hours)
    end = before.held[-1][1]
    assert len(after.held) <= max(MAX_HELD, sum(reason != WELL for *_, reason in before.held) * 2 + 1)
    assert [each for each in after.held if each[2] != WELL] == [each for each in before.held if each[2] != WELL]
    assert all(a[1] <= b[0] for a, b in zip(after.held, after.held[1:], strict=False))
    for at in (end, end + HOUR, end + 100 * HOUR):
        assert clocks_of(POLICY, after)[1].spent(hours, at) == clocks_of(POLICY, before)[1].spent(hours, at)
    for target in (MINUTE, 4 * HOUR, 900 * HOUR):
        due = clocks_of(POLICY, before)[1].after(hours, target)
        moved = clocks_of(POLICY, after)[1].after(hours, target)
        assert moved == due if due > end else moved <= end, "what is still to come comes when it would have"


def test_few_pauses_stay_as_they_are():
    before = incident(pauses([(HOUR, HOUR, WELL)] * MAX_HELD))
    assert bounded(before, CALENDARS[0]) is before
