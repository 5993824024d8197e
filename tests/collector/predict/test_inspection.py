"""The list of what is to be looked at next."""

from __future__ import annotations

from tillwatch.collector.predict.finding import HIGH, LOW, MEDIUM, Grade
from tillwatch.collector.predict.inspection import AHEAD_NS, rounds
from tillwatch.collector.predict.settings import DAY_NS, parse_tables

TABLES = parse_tables()
NOW = 20_000 * DAY_NS


def grade(terminal: str, name: str, score: float, effort: int, inspect_by: int = NOW + 100 * DAY_NS) -> Grade:
    return Grade(terminal, name, score, NOW, NOW, inspect_by=inspect_by, effort_min=effort)


def test_an_hour_of_work_goes_where_it_avoids_most_and_the_way_is_paid_once_a_branch():
    grades = [
        grade("A1", HIGH, 0.8, 60),
        grade("A2", MEDIUM, 0.3, 10),
        grade("B1", HIGH, 0.8, 120),
        grade("C1", LOW, 0.1, 10),
    ]
    found = rounds(TABLES, grades, {"A1": "A", "A2": "A", "B1": "B", "C1": "C"}, NOW)
    assert [each.branch for each in found] == ["A", "B"]
    assert [each.terminal for each in found[0].due] == ["A2", "A1"]
    assert found[0].minutes == 70 + TABLES.visit_min
    assert found[0].worth == round(1.1 / (found[0].minutes / 60), 4)


def test_what_is_due_soon_is_on_the_list_at_any_risk():
    soon, later, overdue = NOW + AHEAD_NS, NOW + AHEAD_NS + 1, NOW - DAY_NS
    grades = [grade("A", LOW, 0.0, 0, soon), grade("B", LOW, 0.0, 0, later), grade("C", LOW, 0.0, 0, overdue)]
    found = rounds(TABLES, grades, {}, NOW)
    assert [(each.terminal, each.overdue_ns) for each in found[0].due] == [("C", DAY_NS), ("A", 0)]
    assert found[0].minutes == 2 * TABLES.effort_min + TABLES.visit_min
