"""The figures of service: how fast people answer and repair, and how well. Over the incidents opened in a period that were told to
people; drills are counted by themselves and nowhere else. Formulas after alarms.md 10 and market.md 8.1:

- response met: first word of a person within the target of the level (30 min), in its open hours, of all that was due;
- repair met: restored within the target (4 h), in open hours, of all that was due; gross, and net of holds. The same up to resolved: the
  contract says which of the two counts;
- MTTA: mean from opened to the first word of a person, by the clock on the wall;
- MTTR: mean from failed to restored, = detect + respond + travel + repair; verify, from restored to resolved, comes on top;
- failures: incidents of level 1 and 2. MTBF = time up (network) / failures;
- reopened: settled, and the fault was back within the time of verification; of all that were resolved;
- first-time fix: resolved at the first visit, not reopened, and no new incident on that component within 7 and 30 days; of those resolved by
  a person so long ago that it can be told;
- repeat: a new incident on the same component within 30 days; of those resolved so long ago;
- no fault found, false alarm: of those with a verdict;
- duplicates: told before it was found that something wider explains them; of all;
- undelivered: messages that the ticket system did not have after 5 minutes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.figures.course import PHASES, Course, phases, repair_met, response_met
from tillwatch.collector.figures.tally import Mean, Ratio, mean_of, ratio_of
from tillwatch.collector.incident.service_clocks import hours_of, target_of

DAY_NS = 86_400 * 10**9
FIX_DAYS = (7, 30)
REPEAT_DAYS = 30
LATE_NS = 5 * 60 * 10**9
"""A message that waits for longer reaches people later than the shortest target allows (level 2, alarms.md 9)."""
GRAVE = 2
"""Up to this level an incident is a failure: 3 is secondary."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message to the ticket system. terminal, branch, region: of its incident; done_at: 0 while it is not there."""

    incident: str
    level: int
    created_at: int
    done_at: int
    terminal: str = ""
    branch: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """An incident with all that its course says of it. None: not to be told, or not yet."""

    course: Course
    response: bool | None
    restored: Mapping[bool, bool | None]
    resolved: Mapping[bool, bool | None]
    spent: Mapping[str, int] | None
    first_fix: Mapping[int, bool | None]
    repeated: bool | None


def judge(courses: Sequence[Course], policy: Policy, classes: Mapping[str, str], known: int) -> list[Judged]:
    """classes: terminal -> its class; known: the time up to which the log is known. restored, resolved: net -> whether within the target.

    courses: of all incidents since the beginning of the period, in any order: later ones tell which fault came back.
    """
    opened: dict[tuple[str, str], list[int]] = defaultdict(list)
    for each in courses:
        if each.told and not each.incident.drill and each.incident.terminal:
            opened[each.incident.terminal, each.incident.component].append(each.opened)
    return [_judged(each, policy, classes, known, opened) for each in courses]


def _judged(
    course: Course,
    policy: Policy,
    classes: Mapping[str, str],
    known: int,
    opened: Mapping[tuple[str, str], Sequence[int]],
) -> Judged:
    incident = course.incident
    target = target_of(policy, incident.fault, course.level)
    hours = hours_of(policy, replace(incident, level=course.level), classes.get(incident.terminal, ""))

    def returned(days: int) -> bool | None:
        """None: it cannot be told yet, or it is no component of a terminal."""
        until = course.resolved + days * DAY_NS
        if not course.resolved or not incident.terminal or until > known:
            return None
        later = opened.get((incident.terminal, incident.component), ())
        return any(course.resolved < at <= until for at in later)

    def fixed(days: int) -> bool | None:
        back = returned(days)
        if back is None or not (course.by_a_person or course.visits):
            return None
        return not back and course.visits <= 1 and not incident.reopened

    return Judged(
        course,
        response_met(course, target, hours, known),
        {net: repair_met(course, course.restored, target, hours, known, net=net) for net in (False, True)},
        {net: repair_met(course, course.resolved, target, hours, known, net=net) for net in (False, True)},
        phases(course),
        {days: fixed(days) for days in FIX_DAYS},
        returned(REPEAT_DAYS),
    )


@dataclass(frozen=True, slots=True)
class Drills:
    """Injected faults. detect: from the injection to the incident; respond: from there to the first word of a person."""

    n: int
    detect: Mean
    respond: Mean
    response: Ratio


@dataclass(frozen=True, slots=True)
class Kpi:
    """See the head of this module. not_told: over, or explained, before anybody was told; open: not restored yet."""

    incidents: int
    levels: Mapping[int, int]
    not_told: int
    open: int
    failures: int
    response: Ratio
    restored_net: Ratio
    restored_gross: Ratio
    resolved_net: Ratio
    resolved_gross: Ratio
    acknowledge: Mean
    restore: Mean
    phases: Mapping[str, Mean]
    reopened: Ratio
    first_fix_7: Ratio
    first_fix_30: Ratio
    repeated: Ratio
    no_fault_found: Ratio
    false_alarms: Ratio
    duplicates: Ratio
    undelivered: Ratio
    drills: Drills

    def mtbf(self, up_ns: int) -> int | None:
        """Ns. up_ns: operating time of the same scope."""
        return up_ns // self.failures if self.failures else None

    def plain(self) -> dict[str, Any]:
        return {each.name: _plain(getattr(self, each.name)) for each in fields(self)}


def _plain(value: Any) -> Any:
    match value:
        case Ratio() | Mean():
            return value.plain()
        case Drills():
            return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
        case dict():
            return {str(key): _plain(one) for key, one in value.items()}
    return value


def kpi(judged: Iterable[Judged], deliveries: Iterable[Delivery], known: int) -> Kpi:
    """The figures of a scope, from the incidents opened in it in the period, and its messages of the period."""
    everything = list(judged)
    drills = [each for each in everything if each.course.incident.drill]
    real = [each for each in everything if not each.course.incident.drill]
    them = [each for each in real if each.course.told]
    courses = [each.course for each in them]
    spent = [each.spent for each in them if each.spent is not None]
    restoring = [sum(one[phase] for phase in PHASES[:4]) for one in spent]
    said = [each.verdict for each in courses if each.verdict]
    return Kpi(
        incidents=len(them),
        levels={level: sum(each.level == level for each in courses) for level in (1, 2, 3)},
        not_told=len(real) - len(them),
        open=sum(not each.restored for each in courses),
        failures=sum(each.level <= GRAVE for each in courses),
        response=ratio_of(each.response for each in them),
        restored_net=ratio_of(each.restored[True] for each in them),
        restored_gross=ratio_of(each.restored[False] for each in them),
        resolved_net=ratio_of(each.resolved[True] for each in them),
        resolved_gross=ratio_of(each.resolved[False] for each in them),
        acknowledge=mean_of(each.responded - each.opened for each in courses if each.responded),
        restore=mean_of(restoring),
        phases={phase: mean_of(one[phase] for one in spent if phase in one) for phase in PHASES},
        reopened=ratio_of(bool(each.incident.reopened) for each in courses if each.resolved or each.incident.reopened),
        first_fix_7=ratio_of(each.first_fix[7] for each in them),
        first_fix_30=ratio_of(each.first_fix[30] for each in them),
        repeated=ratio_of(each.repeated for each in them),
        no_fault_found=ratio_of(verdict == "no_fault_found" for verdict in said),
        false_alarms=ratio_of(verdict == "false_alarm" for verdict in said),
        duplicates=ratio_of(bool(each.incident.parent) for each in courses),
        undelivered=ratio_of(_late(each, known) for each in deliveries),
        drills=_drills(drills),
    )


def _late(each: Delivery, known: int) -> bool | None:
    waited = (each.done_at or known) - each.created_at
    if waited > LATE_NS:
        return True
    return False if each.done_at else None


def _drills(them: Sequence[Judged]) -> Drills:
    courses = [each.course for each in them]
    return Drills(
        len(them),
        mean_of(max(0, each.opened - each.failed) for each in courses),
        mean_of(each.responded - each.opened for each in courses if each.responded),
        ratio_of(each.response for each in them),
    )
