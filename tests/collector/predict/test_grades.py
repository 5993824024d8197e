"""Grades: what makes one grave, and that it does not flap."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.predict.finding import (
    ANOMALY,
    FAILURE,
    GRADES,
    HIGH,
    LATER,
    LOW,
    MEDIUM,
    OPEN,
    RUNOUT,
    Finding,
    Grade,
    Happened,
)
from tillwatch.collector.predict.grades import Place, Places, differs, nearness, reckon
from tillwatch.collector.predict.settings import DAY_NS, parse_tables

TABLES = parse_tables()
NOW = 20_000 * DAY_NS
PLACE = Place(since=NOW - DAY_NS, visited=NOW - DAY_NS)
FINDING = Finding("id", "anomaly/series", ANOMALY, "T", "ups", "ups", "s", OPEN, LATER, NOW, NOW)


def grade(*trusts: float, place: Place = PLACE, before: Grade | None = None, now: int = NOW) -> Grade:
    findings = [(replace(FINDING, id=f"f{i}", component=f"ups/{i}"), trust) for i, trust in enumerate(trusts)]
    return reckon(TABLES, "T", place, findings, before=before, now=now)


def test_nothing_wrong_is_low_and_asked_seldom():
    found = grade()
    assert (found.grade, found.pace, found.reasons) == (LOW, TABLES.pace[LOW], ())
    assert found.inspect_by == PLACE.visited + TABLES.inspect_ns[LOW]


def test_findings_add_up_over_parts_and_not_on_one_part():
    assert grade(0.3).grade == MEDIUM
    assert grade(0.3, 0.4).grade == HIGH
    same = [(replace(FINDING, id=name), 0.4) for name in "ab"]
    assert reckon(TABLES, "T", PLACE, same, before=None, now=NOW).score < 0.41


def test_a_run_out_counts_in_part_since_somebody_comes_by_anyway():
    paper = [(replace(FINDING, family=RUNOUT), 0.8)]
    assert reckon(TABLES, "T", PLACE, paper, before=None, now=NOW).grade == LOW


def test_a_graver_terminal_is_asked_more_often_and_looked_at_sooner():
    low, medium, high = grade(), grade(0.3), grade(0.9)
    assert low.pace > medium.pace > high.pace
    assert low.inspect_by > medium.inspect_by > high.inspect_by
    assert high.effort_min == TABLES.effort("ups")


def test_hard_faults_fade_and_an_inspection_that_is_overdue_counts():
    faults = replace(PLACE, faults=(NOW - DAY_NS, NOW - 2 * DAY_NS, NOW - 3 * DAY_NS))
    assert grade(place=faults).score > grade(place=faults, now=NOW + 60 * DAY_NS).score > 0
    overdue = grade(place=replace(PLACE, visited=NOW - 400 * DAY_NS))
    assert ("overdue", TABLES.grade.overdue) in overdue.reasons


def test_a_grade_is_left_late():
    before = grade(0.3)
    eased = TABLES.grade.medium * (1 - TABLES.grade.ease)
    just_below = grade(eased + 0.01, before=before, now=NOW + 30 * DAY_NS)
    assert just_below.grade == MEDIUM
    too_soon = grade(0.0, before=before, now=NOW + DAY_NS)
    assert too_soon.grade == MEDIUM
    assert grade(0.0, before=before, now=NOW + TABLES.grade.hold_ns).grade == LOW


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40))
def test_a_grade_that_is_graver_at_once_is_never_milder_again_before_its_hold(scores: list[float]):
    before: Grade | None = None
    for day, trust in enumerate(scores):
        found = grade(trust, before=before, now=NOW + day * DAY_NS)
        if before is not None and GRADES.index(found.grade) < GRADES.index(before.grade):
            assert found.at - before.since >= TABLES.grade.hold_ns
        before = found


def test_how_near_is_the_probability_or_the_share_of_the_range_within_the_horizon():
    horizon = TABLES.horizon_ns
    assert nearness(replace(FINDING, family=FAILURE, probability=0.2), NOW, horizon) == 0.2
    assert nearness(FINDING, NOW, horizon) == 1.0
    assert nearness(replace(FINDING, due=(NOW, NOW, NOW + horizon)), NOW, horizon) == 1.0
    assert nearness(replace(FINDING, due=(NOW, NOW, NOW + 2 * horizon)), NOW, horizon) == 0.5
    assert nearness(replace(FINDING, due=(NOW + 2 * horizon,) * 2 + (NOW + 3 * horizon,)), NOW, horizon) == 0.0


def test_what_happened_is_kept_of_a_place():
    places = Places()
    places.put("T", "B", "R", "atm", "Asia/Shanghai")
    places.heard("T", NOW)
    places.happened(Happened(NOW + 1, "maintained", "T"))
    places.happened(Happened(NOW + 2, "raised", "T", "ups", "ups.fault", level=2, party="hardware"))
    places.happened(Happened(NOW + 3, "raised", "T", "ups", "net", level=2, party="network"))
    places.happened(Happened(NOW + 4, "raised", "T", "ups", "ups.fan", level=3, party="hardware"))
    assert places.of("T") == Place("B", "R", "atm", "Asia/Shanghai", NOW, NOW + 1, (NOW + 2,))
    places.happened(Happened(NOW + 5, "life_cycle", "T", value="in_store"))
    assert places.of("T").away


def test_a_score_that_moves_a_little_is_not_told():
    assert not differs(None, grade())
    assert differs(None, grade(0.3))
    assert not differs(grade(0.3), grade(0.31))
    assert differs(grade(0.3), grade(0.5))
