"""The course of an incident, out of its row and its events: when it failed, was found, was taken on, was worked on, worked again and was settled, and
what of that met its target. Judged from the log alone, with all that is known by now: what happens after the period to an incident that was
opened in it still belongs to it.

- failed: by the readings; opened: found by the collector. The clocks run from here;
- responded: first word of a person (acknowledged, assigned, in repair or resolved);
- repair: the first time that somebody was at work on it;
- restored: works again, by the readings; where they do not say so, resolved;
- resolved: settled by a person, or by policy;
- pauses: between an end and the fault's return. Such an end was none, but the time in between did not cost anybody anything.

Level: the gravest that it had. Targets and hours: of this level, of the terminal's class and of the branch, in the policy (duty/).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tillwatch.collector.duty.calendars import Calendar
from tillwatch.collector.duty.targets import Target
from tillwatch.collector.figures.intervals import Span, subtract, total
from tillwatch.collector.incident.incidents import DROPPED, SETTLING, Incident
from tillwatch.collector.records import IncidentEvent

PHASES = ("detect", "respond", "travel", "repair", "verify")
"""Failed -> opened -> responded -> at work -> restored -> resolved. The first four make up the time to restore."""
AUTOMATIC = ("", "policy")
"""`by` of what nobody did."""


@dataclass(frozen=True, slots=True)
class Course:
    """Times in UTC ns, 0 for not yet. settled_by: who resolved it, of AUTOMATIC where nobody did; visits: how many times somebody went to work on it."""

    incident: Incident
    level: int
    failed: int
    opened: int
    responded: int = 0
    repair: int = 0
    restored: int = 0
    resolved: int = 0
    pauses: tuple[Span, ...] = ()
    holds: tuple[Span, ...] = ()
    visits: int = 0
    settled_by: str = ""
    verdict: str = ""

    @property
    def told(self) -> bool:
        """What was over, or explained, before anybody was told of it is no incident for people."""
        return self.incident.announced and self.incident.state not in (SETTLING, DROPPED)

    @property
    def by_a_person(self) -> bool:
        return self.settled_by not in AUTOMATIC


def course_of(incident: Incident, events: Iterable[IncidentEvent], known: int) -> Course:
    """known: the time up to which the log is known, UTC ns; a hold that lasts ends there. Rows of an older version have no events."""
    level = incident.level
    responded = repair = restored = resolved = visits = 0
    settled_by, verdict = "", incident.verdict
    pauses: list[Span] = []
    seen = False
    for event in events:
        seen = True
        kind, by = event.kind, str(event.detail.get("by", ""))
        if kind in ("acknowledged", "assigned", "in_repair") or (kind == "resolved" and by not in AUTOMATIC):
            responded = responded or event.at
        if kind == "in_repair":
            visits += 1
            repair = repair or event.at
        elif kind == "restored":
            restored = int(event.detail.get("since") or event.at)
        elif kind == "took_in" and (first := int(event.detail.get("responded_at", 0))):
            responded = min(first, responded or first)
        elif kind in ("resolved", "merged") or (kind == "closed" and not resolved):
            resolved, settled_by = event.at, by
        elif kind == "reopened":
            ended = min((each for each in (restored, resolved) if each), default=event.at)
            pauses.append((ended, event.at))
            restored = resolved = 0
        elif kind == "level":
            level = min(level, int(event.detail.get("level", level)), int(event.detail.get("was", level)))
        verdict = str(event.detail.get("verdict") or verdict)
    if not seen:
        responded, repair = incident.responded_at, incident.repair_at
        restored, resolved = incident.restored_at, incident.resolved_at or incident.closed_at
    return Course(
        incident,
        level,
        incident.occurred_at or incident.opened_at,
        incident.opened_at,
        responded,
        repair,
        restored or resolved,
        resolved,
        tuple(pauses),
        tuple((since, until or known) for since, until, _ in incident.held),
        visits,
        settled_by,
        verdict,
    )


def phases(course: Course) -> Mapping[str, int] | None:
    """Ns of each of PHASES, pauses taken out; without verify while it is not resolved, None while it is not restored.

    Where nobody was at work on it, travel is nothing and repair what followed the response; where nobody responded, it waited to the end.
    """
    if not course.restored:
        return None
    opened = max(course.failed, course.opened)
    restored = max(opened, course.restored)
    responded = _between(opened, course.responded or course.repair or restored, restored)
    repair = _between(responded, course.repair or responded, restored)
    marks = [min(course.failed, opened), opened, responded, repair, restored]
    if course.resolved:
        marks.append(max(restored, course.resolved))
    lengths = [total(subtract([(a, b)], course.pauses)) for a, b in pairwise(marks)]
    return dict(zip(PHASES, lengths, strict=False))


def _between(least: int, at: int, most: int) -> int:
    return min(max(least, at), most)


def response_met(course: Course, target: Target, hours: Calendar, known: int) -> bool | None:
    """Whether the first word of a person came within the target, in open time. None: still to come, or over before it was due."""
    if course.responded:
        return hours.between(course.opened, course.responded) <= target.response_ns
    end = course.restored or known
    return False if hours.between(course.opened, end) > target.response_ns else None


def repair_met(course: Course, end: int, target: Target, hours: Calendar, known: int, *, net: bool) -> bool | None:
    """Whether it ended (at `end`, 0 for not yet) within the target, in open time without pauses; net: nor holds. None: still to come."""
    out: Sequence[Span] = (*course.pauses, *(course.holds if net else ()))
    running = subtract([(course.opened, end or known)], out)
    spent = sum(hours.between(since, until) for since, until in running)
    if spent > target.repair_ns:
        return False
    return True if end else None
