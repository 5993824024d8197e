"""What became of findings: each outcome by what happened, and what the record makes of a detector."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.predict.finding import (
    ANOMALY,
    FALSE,
    HIT,
    LATER,
    OPEN,
    PREVENTED,
    TREND,
    UNKNOWN,
    WEAR,
    Finding,
    Happened,
)
from tillwatch.collector.predict.record import LEAST_JUDGED, MAX_PENDING, WINDOW_NS, Records, wilson
from tillwatch.collector.predict.settings import DAY_NS, parse_tables

TABLES = parse_tables()
DAY = DAY_NS
SEEN = {"T": 10_000 * DAY}


def found(
    family: str = ANOMALY,
    component: str = "atm/CDM1 dispenser",
    begun: int = 0,
    due: tuple[int, int, int] | None = None,
) -> Finding:
    detector = f"{family}/x"
    return Finding(
        f"{component}{begun}", detector, family, "T", component, "kind", "s", OPEN, LATER, begun, begun, due
    )  # fmt: skip


def raised(at: int, component: str = "atm/CDM1", party: str = "hardware", rule: str = "atm.device") -> Happened:
    return Happened(at, "raised", "T", component, rule, level=2, party=party)


def outcomes(judged: list) -> list[str]:
    return [each.outcome for each in judged]


def test_a_fault_of_the_same_unit_within_the_range_is_a_hit_once():
    records = Records(TABLES)
    records.opened(found(), 0)
    assert records.happened(raised(DAY, "atm/PTR1")) == []
    assert outcomes(records.happened(raised(2 * DAY))) == [HIT]
    assert records.happened(raised(3 * DAY)) == []
    assert records.record("anomaly/x", "kind").hits == 1


@pytest.mark.parametrize("party", ["network", "branch", "planned", "monitoring", "software"])
def test_alarms_that_are_no_fault_of_a_part_judge_nothing(party: str):
    records = Records(TABLES)
    records.opened(found(), 0)
    assert records.happened(raised(DAY, party=party)) == []


def test_what_fills_up_is_a_software_matter_and_still_a_hit_of_a_trend():
    records = Records(TABLES)
    records.opened(found(TREND, "host/disk:C"), 0)
    assert outcomes(records.happened(raised(DAY, "host/disk:C", "software", "disk.full"))) == [HIT]


def test_a_prediction_does_not_make_itself_true():
    records = Records(TABLES)
    records.opened(found(), 0)
    assert records.happened(raised(DAY, "atm/CDM1 dispenser", rule="predicted.wear")) == []


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [("true_fault", HIT), ("part_changed", HIT), ("false_alarm", FALSE), ("no_fault_found", FALSE)],
)
def test_a_verdict_on_its_own_incident_judges_it(verdict: str, outcome: str):
    records = Records(TABLES)
    records.opened(found(), 0)
    said = Happened(DAY, "verdict", "T", "atm/CDM1 dispenser", "predicted.anomaly", verdict)
    assert outcomes(records.happened(said)) == [outcome]


def test_that_another_alarm_was_false_says_nothing_of_a_prediction():
    records = Records(TABLES)
    records.opened(found(), 0)
    assert records.happened(Happened(DAY, "verdict", "T", "atm/CDM1 dispenser", "atm.device", "false_alarm")) == []


def test_what_has_not_come_by_the_far_end_and_grace_is_false_and_a_range_that_moves_on_does_not_help():
    records = Records(TABLES)
    records.opened(found(TREND, due=(5 * DAY, 10 * DAY, 20 * DAY)), 0)
    assert records.advance(20 * DAY + TABLES.grace_ns - 1, SEEN) == []
    assert outcomes(records.advance(20 * DAY + TABLES.grace_ns, SEEN)) == [FALSE]


def test_nobody_can_tell_of_a_terminal_that_was_out_of_service_or_not_seen():
    records = Records(TABLES)
    records.opened(found(), 0)
    records.happened(Happened(DAY, "life_cycle", "T", value="scrapped"))
    assert outcomes(records.advance(90 * DAY, SEEN)) == [UNKNOWN]
    records.opened(found(begun=100 * DAY), 100 * DAY)
    assert outcomes(records.advance(190 * DAY, {"T": 101 * DAY})) == [UNKNOWN]
    assert records.record("anomaly/x", "kind").false == 0


def test_what_was_replaced_in_time_counts_neither_way():
    records = Records(TABLES)
    records.opened(found(WEAR), 0)
    records.opened(found(ANOMALY, begun=1), 0)
    assert outcomes(records.renewed("T", "atm/CDM1 dispenser", DAY, (WEAR, TREND))) == [PREVENTED]
    record = records.record("wear/x", "kind")
    assert (record.hits, record.false, record.prevented, record.precision) == (0, 0, 1, None)


def test_a_trend_that_turned_after_somebody_was_there_was_prevented():
    records = Records(TABLES)
    records.opened(found(TREND), 0)
    assert records.closed(found(TREND), DAY) == []
    records.happened(Happened(DAY, "maintained", "T"))
    assert outcomes(records.closed(found(TREND), 2 * DAY)) == [PREVENTED]


def test_a_fault_that_nobody_told_of_is_missed_by_those_who_look_once_a_day():
    records = Records(TABLES)
    for hour in range(5):
        records.happened(raised(hour * DAY // 24, "atm/CDM1 dispenser"), ("anomaly/x", "wear/x"))
    records.happened(raised(2 * DAY, "atm/CDM1 dispenser"), ("anomaly/x",))
    assert records.record("anomaly/x", "atm/CDM1 dispenser").missed == 2
    assert records.record("wear/x", "atm/CDM1 dispenser").missed == 1


def judge(records: Records, at: int, outcome: str) -> None:
    records.opened(found(begun=at), at)
    if outcome == HIT:
        records.happened(raised(at))
    else:
        records.happened(Happened(at, "verdict", "T", "atm/CDM1 dispenser", "predicted.anomaly", "false_alarm"))


def test_a_detector_that_is_wrong_too_often_is_demoted_and_comes_back_when_it_is_right():
    records = Records(TABLES)
    for at in range(LEAST_JUDGED - 1):
        judge(records, at, FALSE)
    assert not records.demoted("anomaly/x", "kind")
    for at in range(2 * LEAST_JUDGED):
        judge(records, 10 + at, FALSE)
    assert records.demoted("anomaly/x", "kind")
    assert records.changed()[-1].demoted
    at = 100
    while records.demoted("anomaly/x", "kind"):
        judge(records, at, HIT)
        at += 1
    record = records.record("anomaly/x", "kind")
    assert record.precision is not None
    assert record.precision >= TABLES.floor[ANOMALY]


def test_what_was_judged_half_a_year_ago_is_forgotten():
    records = Records(TABLES)
    for at in range(3 * LEAST_JUDGED):
        judge(records, at, FALSE)
    assert records.demoted("anomaly/x", "kind")
    records.advance(WINDOW_NS + 100, SEEN)
    assert not records.demoted("anomaly/x", "kind")
    assert records.record("anomaly/x", "kind").false == 0


def test_findings_that_wait_are_bounded():
    records = Records(TABLES)
    given_up = [each for at in range(MAX_PENDING + 3) for each in records.opened(found(begun=at), at)]
    assert outcomes(given_up) == [UNKNOWN] * 3


@given(hits=st.integers(0, 500), more=st.integers(0, 500))
def test_the_interval_holds_the_share_and_narrows(hits: int, more: int):
    judged = hits + more
    low, high = wilson(hits, judged)
    assert 0 <= low <= high <= 1
    if judged:
        assert low - 1e-9 <= hits / judged <= high + 1e-9
        narrow_low, narrow_high = wilson(10 * hits, 10 * judged)
        assert narrow_high - narrow_low < high - low


def test_nothing_judged_says_nothing():
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(2, 2)[0] == pytest.approx(0.342, abs=1e-3)
