from __future__ import annotations

import json

import pytest

from tests.collector.figures.test_course import POLICY, M, event, incident
from tillwatch.collector.figures.course import course_of
from tillwatch.collector.figures.kpi import DAY_NS, LATE_NS, Delivery, judge, kpi

KNOWN = 100 * DAY_NS
DAY = 1440


def fault(at=10, *events, **fields):
    """An incident opened at this minute, with events so many minutes later."""
    told = [event(at + after, kind, **detail) for after, kind, detail in events]
    row = incident(corr_id=f"I{at}", opened_at=at * M, occurred_at=(at - 2) * M, **fields)
    return course_of(row, told, KNOWN)


def mended(at=10, *, answer=10, arrive=20, restore=50, settle=60, verdict="true_fault", **fields):
    return fault(
        at,
        (answer, "acknowledged", {"by": "ann"}),
        (arrive, "in_repair", {"by": "ann"}),
        (restore, "restored", {}),
        (settle, "resolved", {"by": "ann", "verdict": verdict}),
        **fields,
    )


def figures(*courses, deliveries=(), known=KNOWN):
    return kpi(judge(courses, POLICY, {}, known), deliveries, known)


def counts(ratio):
    return ratio.part, ratio.base, ratio.open


def test_a_month_of_faults():
    it = figures(
        mended(10),
        mended(3 * DAY, answer=31, restore=300, component="reader"),
        fault(5 * DAY, (2000, "acknowledged", {"by": "bob"}), level=1, component="host"),
        fault(6 * DAY, (5, "restored", {}), (5, "resolved", {"by": "policy"}), level=3, component="printer"),
    )
    assert (it.incidents, it.levels, it.open, it.failures) == (4, {1: 1, 2: 2, 3: 1}, 1, 3)
    assert counts(it.response) == (1, 3, 1)  # the one of level 3 was over before anybody had to answer
    assert counts(it.restored_gross) == counts(it.restored_net) == (2, 4, 0)  # 300 min and the open one missed 4 h
    assert it.acknowledge.mean == (10 + 31 + 2000) * M // 3
    assert it.restore.total == (52 + 302 + 7) * M
    assert it.restore.n == 3
    assert sum(it.phases[phase].total for phase in ("detect", "respond", "travel", "repair")) == it.restore.total
    assert it.phases["verify"].total == (10 + 0 + 0) * M  # the second was settled before its readings were well
    assert it.mtbf(30 * DAY_NS) == 10 * DAY_NS


def test_holds_are_taken_out_of_the_net_figure_only():
    it = figures(mended(10, restore=400, settle=400, held=((50 * M, 300 * M, "part"),)))
    assert counts(it.restored_gross) == (0, 1, 0)
    assert counts(it.restored_net) == (1, 1, 0)
    assert counts(it.resolved_net) == (1, 1, 0)


def test_a_fault_that_comes_back_was_not_fixed():
    first, again = mended(10), mended(10 + 8 * DAY)
    it = figures(first, again, mended(11, component="reader"))
    assert counts(it.first_fix_7) == (3, 3, 0)
    assert counts(it.first_fix_30) == (2, 3, 0)
    assert counts(it.repeated) == (1, 3, 0)
    elsewhere = figures(first, mended(10 + 8 * DAY, terminal="other"))
    assert counts(elsewhere.repeated) == (0, 2, 0)


def test_whether_a_fix_holds_is_told_when_its_days_are_over():
    early = figures(mended(10), mended(10 + 3 * DAY), known=20 * DAY_NS)
    assert counts(early.first_fix_7) == (1, 2, 0)
    assert counts(early.first_fix_30) == (0, 0, 2)
    assert early.first_fix_30.share is None


def test_two_visits_or_a_reopening_are_no_first_time_fix():
    twice = fault(
        10,
        (5, "in_repair", {"by": "ann"}),
        (90, "in_repair", {"by": "bob"}),
        (99, "restored", {}),
        (99, "resolved", {"by": "bob"}),
    )
    it = figures(
        twice, mended(10, component="reader", reopened=1), fault(9, (1, "resolved", {"by": "policy"}), component="x")
    )
    assert counts(it.first_fix_7) == (0, 2, 1)
    assert counts(it.reopened) == (1, 3, 0)


def test_verdicts_duplicates_and_late_messages():
    it = figures(
        mended(10, verdict="no_fault_found"),
        mended(20, verdict="false_alarm", parent="HWM-1"),
        mended(30),
        mended(40, verdict=""),
        deliveries=[
            Delivery("a", 1, 0, LATE_NS),
            Delivery("b", 1, 0, LATE_NS + 1),
            Delivery("c", 2, KNOWN - LATE_NS, 0),
            Delivery("d", 2, KNOWN - LATE_NS - 1, 0),
        ],
    )
    assert counts(it.no_fault_found) == counts(it.false_alarms) == (1, 3, 0)
    assert counts(it.duplicates) == (1, 4, 0)
    assert counts(it.undelivered) == (2, 3, 1)


def test_drills_count_by_themselves_and_nowhere_else():
    it = figures(mended(10, drill=True, answer=40, verdict="drill"), mended(10 + DAY))
    assert (it.incidents, it.drills.n, it.failures) == (1, 1, 1)
    assert it.drills.detect.mean == 2 * M
    assert it.drills.respond.mean == 40 * M
    assert counts(it.drills.response) == (0, 1, 0)
    assert counts(it.no_fault_found) == (0, 1, 0)
    assert counts(it.repeated) == (0, 1, 0)  # the drill on the same component is no repeat


def test_what_nobody_was_told_of_is_no_incident_for_people():
    it = figures(fault(10, state="dropped", announced_at=0), fault(20, state="settling", announced_at=0))
    assert (it.incidents, it.not_told, it.response.base) == (0, 2, 0)


def test_nothing_divides_by_nothing():
    it = figures()
    plain = json.loads(json.dumps(it.plain()))
    assert plain["response"] == {"share": None, "part": 0, "base": 0, "open": 0}
    assert plain["restore"]["mean_ns"] is None
    assert plain["phases"]["travel"]["mean_ns"] is None
    assert it.mtbf(10) is None


@pytest.mark.parametrize("level", [1, 2, 3])
def test_targets_are_those_of_the_level_and_its_hours(level):
    night = mended(10, answer=300, restore=400, level=level)
    it = figures(night)
    # 1970-01-01 00:10 UTC is 08:10 in Shanghai: 300 min later it is 13:10; the business calendar, of level 3, opens at 09:00.
    assert counts(it.response) == (0, 1, 0)
    assert counts(it.restored_net) == (0, 1, 0)
    assert counts(figures(mended(10, answer=60, restore=280, level=level)).response) == (int(level == 3), 1, 0)
    assert counts(figures(mended(10, answer=60, restore=280, level=level)).restored_net) == (int(level == 3), 1, 0)
