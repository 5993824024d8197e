"""How much each terminal is at risk: expected visits within the horizon out of its open findings, each weighed with what its detector's record is worth,
its latest hard faults, an inspection that is overdue and its age. A grade is left late, so that nobody's round changes every day.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tillwatch.collector.predict.finding import GRADES, HIGH, LOW, MAX_FACTORS, MEDIUM, RUNOUT, Finding, Grade, Happened
from tillwatch.collector.predict.foretold import routine
from tillwatch.collector.predict.record import PART_FAULTS
from tillwatch.collector.predict.settings import DAY_NS, YEAR_DAYS, Tables

MAX_FAULTS = 20
"""Latest hard faults of a terminal that count."""
HARD = 2
"""Levels that stop the business or a part of it."""
OLDEST_YEARS = 10.0
"""Beyond this, age says no more: what had to fail has been replaced."""
TOLD_AGAIN = 0.05
"""A score that moved by less is not told."""
FADED = 8
"""Halvings after which a fault no longer counts."""
LEAST_AHEAD_NS = DAY_NS
"""Nobody is sent before tomorrow by a grade: what is due at once has an alarm."""


@dataclass(frozen=True, slots=True)
class Place:
    """A terminal: where it stands; since: first seen, UTC ns; visited: when somebody was last there, or it was enrolled; faults: UTC ns of its latest hard
    faults; away: it is out of service, so that it has no grade.
    """

    branch: str = ""
    region: str = ""
    terminal_class: str = ""
    zone: str = ""
    since: int = 0
    visited: int = 0
    faults: tuple[int, ...] = ()
    away: bool = False


@dataclass(slots=True)
class Places:
    """Every terminal that was heard of."""

    by_id: dict[str, Place] = field(default_factory=dict)

    def of(self, terminal: str) -> Place:
        return self.by_id.get(terminal, Place())

    def put(self, terminal: str, branch: str, region: str, terminal_class: str, zone: str) -> None:
        self.by_id[terminal] = replace(
            self.of(terminal), branch=branch, region=region, terminal_class=terminal_class, zone=zone
        )

    def heard(self, terminal: str, at: int) -> None:
        """First of all a terminal begins with what came of it first."""
        place = self.by_id.get(terminal)
        if place is None or not place.since:
            self.by_id[terminal] = replace(self.of(terminal), since=at, visited=at)

    def happened(self, event: Happened) -> None:
        place = self.of(event.terminal)
        match event.what:
            case "enrolled":
                place = replace(place, since=event.at, visited=event.at, away=False)
            case "maintained":
                place = replace(place, visited=event.at)
            case "verdict" if event.value != "drill":
                place = replace(place, visited=event.at)
            case "life_cycle":
                place = replace(place, away=event.value != "in_service")
            case "raised" if event.party in PART_FAULTS and 0 < event.level <= HARD:
                place = replace(place, faults=(*place.faults, event.at)[-MAX_FAULTS:])
            case _:
                return
        self.by_id[event.terminal] = place

    def state(self) -> list[list[Any]]:
        return [[terminal, asdict(place)] for terminal, place in self.by_id.items()]

    def restore(self, state: Iterable[Sequence[Any]]) -> None:
        self.by_id = {str(terminal): Place(**{**facts, "faults": tuple(facts["faults"])}) for terminal, facts in state}


def nearness(finding: Finding, now: int, horizon_ns: int) -> float:
    """How likely it comes within the horizon, were the detector always right: the probability where one is told, else how much of the range lies in it."""
    if finding.probability is not None:
        return finding.probability
    if finding.due is None:
        return 1.0
    low, _, high = finding.due
    end = now + horizon_ns
    if high <= end:
        return 1.0
    return max(0.0, min(1.0, (end - low) / max(high - low, 1)))


def reckon(
    tables: Tables,
    terminal: str,
    place: Place,
    findings: Iterable[tuple[Finding, float]],
    *,
    before: Grade | None,
    now: int,
) -> Grade:
    """findings: open ones that are not demoted, each with the share of its detector's findings that come true. A probability that was calibrated is weighed
    too: the record is of the whole way from the reading to the verdict.
    """
    table = tables.grade
    reasons: list[tuple[str, float]] = []
    effort: dict[str, int] = {}
    by_part: dict[str, float] = {}
    for finding, trust in findings:
        weight = (
            trust
            * nearness(finding, now, tables.horizon_ns)
            * (table.routine if finding.family == RUNOUT or routine(finding) else 1.0)
        )
        reasons.append((finding.id, round(weight, 4)))
        effort[finding.component] = tables.effort(finding.kind)
        by_part[finding.component] = max(weight, by_part.get(finding.component, 0.0))
    faults = sum(0.5 ** ((now - at) / table.fade_ns) for at in place.faults if now - at < FADED * table.fade_ns)
    grade_before = before.grade if before else LOW
    inspect_by = place.visited + tables.inspect_ns[grade_before]
    years = min(max(now - place.since, 0) / (DAY_NS * YEAR_DAYS), OLDEST_YEARS)
    facts = {
        "faults": table.fault * faults,
        "overdue": table.overdue if place.visited and now > inspect_by else 0.0,
        "age": table.age * years,
    }
    reasons += [(name, round(weight, 4)) for name, weight in facts.items() if weight >= 0.5e-4]
    # One visit mends whatever ails a part, so of the findings on one part only the heaviest counts.
    score = round(sum(by_part.values()) + sum(facts.values()), 4)
    grade, since = _graded(tables, score, before, now)
    inspect_by = max(place.visited + tables.inspect_ns[grade], since + LEAST_AHEAD_NS)
    return Grade(
        terminal, grade, score, now, since, tuple(sorted(reasons, key=lambda each: (-each[1], each[0]))[:MAX_FACTORS]),
        tables.pace[grade], inspect_by, sum(effort.values()),
    )  # fmt: skip


def _graded(tables: Tables, score: float, before: Grade | None, now: int) -> tuple[str, int]:
    steps = {LOW: 0.0, MEDIUM: tables.grade.medium, HIGH: tables.grade.high}
    asked = HIGH if score >= steps[HIGH] else MEDIUM if score >= steps[MEDIUM] else LOW
    if before is None:
        return asked, now
    if GRADES.index(asked) > GRADES.index(before.grade):
        return asked, now
    eased = steps[before.grade] * (1 - tables.grade.ease)
    if asked == before.grade or score >= eased or now - before.since < tables.grade.hold_ns:
        return before.grade, before.since
    return asked, now


def differs(one: Grade | None, other: Grade) -> bool:
    """Whether the other is worth telling."""
    if one is None:
        return other.grade != LOW or bool(other.reasons)
    shown = (one.grade, one.pace, one.inspect_by, one.effort_min, [name for name, _ in one.reasons])
    return (
        shown != (other.grade, other.pace, other.inspect_by, other.effort_min, [name for name, _ in other.reasons])
        or abs(one.score - other.score) >= TOLD_AGAIN
    )
