"""Which terminals are to be looked at next: those where an hour of work avoids the most visits, branch by branch, since the way there is paid once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tillwatch.collector.predict.finding import LOW, Grade
from tillwatch.collector.predict.settings import DAY_NS, Tables

AHEAD_NS = 14 * DAY_NS
"""What is due within two weeks goes on the list: it can be joined with a round that is planned."""


@dataclass(frozen=True, slots=True)
class Due:
    """One terminal. overdue_ns: how long it should have been looked at, 0 where that is still to come; worth: expected visits avoided an hour of work there,
    without the way.
    """

    terminal: str
    grade: Grade
    overdue_ns: int
    worth: float


@dataclass(frozen=True, slots=True)
class Round:
    """One branch with its terminals, the most worth first. minutes: of work and the way, once; avoided: expected visits; worth: avoided an hour."""

    branch: str
    due: tuple[Due, ...]
    minutes: int
    avoided: float
    worth: float


def rounds(tables: Tables, grades: Iterable[Grade], branches: Mapping[str, str], now: int) -> tuple[Round, ...]:
    """branches: terminal -> branch. On the list is who has an inspection due within AHEAD_NS, and who is at more than low risk."""
    by_branch: dict[str, list[Due]] = {}
    for grade in grades:
        if grade.grade == LOW and grade.inspect_by > now + AHEAD_NS:
            continue
        minutes = grade.effort_min or tables.effort_min
        due = Due(grade.terminal, grade, max(now - grade.inspect_by, 0), round(grade.score / (minutes / 60), 4))
        by_branch.setdefault(branches.get(grade.terminal, ""), []).append(due)
    made = [_round(tables, branch, due) for branch, due in by_branch.items()]
    return tuple(sorted(made, key=lambda each: (-each.worth, each.branch)))


def _round(tables: Tables, branch: str, due: list[Due]) -> Round:
    minutes = tables.visit_min + sum(each.grade.effort_min or tables.effort_min for each in due)
    avoided = round(sum(each.grade.score for each in due), 4)
    ordered = tuple(sorted(due, key=lambda each: (-each.worth, -each.overdue_ns, each.terminal)))
    return Round(branch, ordered, minutes, avoided, round(avoided / (minutes / 60), 4))
