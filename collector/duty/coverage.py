"""Who is on duty over a stretch of time, and when nobody is: the roster laid out role by role and place by place. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.duty.roster import Person, Roster, Shift
from tillwatch.collector.duty.targets import Target

MAX_PLACES = 200
"""Regions and branches that a look lays out: those that shifts name. Beyond it the rest is counted."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """From since to until (UTC ns) these people have the role. Nobody: a gap."""

    since: int
    until: int
    people: tuple[Person, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One role in one place. branch, region: empty for all that have no shifts of their own; called: a step of the escalation tells it over a channel, so that a
    gap leaves a fault unheard.
    """

    role: str
    branch: str
    region: str
    called: bool
    stretches: tuple[Stretch, ...]

    @property
    def gaps(self) -> tuple[Stretch, ...]:
        return tuple(each for each in self.stretches if not each.people)


def called_roles(targets: Mapping[int, Target]) -> dict[str, tuple[int, ...]]:
    """Role -> the levels at which a step tells it over a channel."""
    found: dict[str, list[int]] = {}
    for level, target in sorted(targets.items()):
        for step in target.steps:
            if step.channels and level not in found.setdefault(step.role, []):
                found[step.role].append(level)
    return {role: tuple(levels) for role, levels in found.items()}


def stretches(roster: Roster, role: str, branch: str, region: str, start: int, end: int) -> tuple[Stretch, ...]:
    """Without a hole from start to end, each other than the next."""
    if not roster.shifts:
        return ()
    shifts = [each for each in roster.shifts if each.role == role and each.nearness(branch, region)]
    turns = sorted({start, end, *(at for shift in shifts for at in _turns(shift, start, end))})
    found: list[Stretch] = []
    for since, until in pairwise(turns):
        people = roster.on_duty(role, since, branch, region)
        if found and found[-1].people == people:
            found[-1] = Stretch(found[-1].since, until, people)
        else:
            found.append(Stretch(since, until, people))
    return tuple(found)


def _turns(shift: Shift, start: int, end: int) -> Iterator[int]:
    """When a shift begins or ends in between."""
    if shift.until:
        start, end = max(start, shift.since), min(end, shift.until)
    for since, until in shift.hours.spans(start, end):
        yield since
        yield until


def places(roster: Roster, region_of: Mapping[str, str]) -> list[tuple[str, str]]:
    """(branch, region) for which somebody else may be on duty than elsewhere: everywhere, then each region and each branch that a shift names."""
    named = dict.fromkeys(scope for shift in roster.shifts for scope in shift.scopes)
    regions = sorted(scope.partition(":")[2] for scope in named if scope.startswith("region:"))
    branches = sorted(scope.partition(":")[2] for scope in named if scope.startswith("branch:"))
    return [
        ("", ""),
        *(("", region) for region in regions),
        *((branch, region_of.get(branch, "")) for branch in branches),
    ]


def coverage(policy: Policy, region_of: Mapping[str, str], start: int, end: int) -> tuple[list[Row], int]:
    """By role in the order of the policy, everywhere first; and how many places were left out beyond MAX_PLACES. region_of: of the fleet's branches. A place in
    which a role has no shift of its own is left out: the wider one says it.
    """
    called, wanted = called_roles(policy.targets), places(policy.roster, region_of)
    rows = []
    for role in policy.roster.roles:
        own = {scope for shift in policy.roster.shifts if shift.role == role for scope in shift.scopes}
        for branch, region in wanted[:MAX_PLACES]:
            scope = f"branch:{branch}" if branch else f"region:{region}" if region else ""
            if scope and scope not in own:
                continue
            laid = stretches(policy.roster, role, branch, region, start, end)
            rows.append(Row(role, branch, region, role in called, laid))
    return rows, max(0, len(wanted) - MAX_PLACES)
