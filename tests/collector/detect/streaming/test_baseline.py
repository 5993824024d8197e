from __future__ import annotations

import numpy as np

from tillwatch.collector.detect.streaming.baseline import DAY, HOURS, Baseline

ROW = np.array([0])
LEVEL, OWN = np.array([2], np.float32), np.array([3], np.float32)


def hour(value: int) -> np.ndarray:
    return np.array([value], np.uint8)


def taught(values: dict[int, float], times: int) -> Baseline:
    baseline = Baseline(1)
    for _ in range(times):
        for at, value in values.items():
            baseline.learn(ROW, hour(at), np.array([value], np.float32))
    return baseline


def test_what_was_never_seen_is_what_the_series_is_otherwise() -> None:
    centre, spread = Baseline(1).usual(ROW, hour(5), LEVEL, OWN)
    assert (centre[0], spread[0]) == (2, 3)


def test_a_cell_speaks_the_more_the_more_values_it_has_had() -> None:
    found = [float(taught({5: 10}, times).usual(ROW, hour(5), LEVEL, OWN)[0][0]) for times in (1, 5, 20, 200)]
    assert 2 < found[0] < found[1] < found[2] < found[3]
    assert abs(found[3] - 10) < 0.1


def test_the_same_hour_of_other_days_stands_in_for_a_cell_without_values() -> None:
    monday_and_tuesday = taught({5: 10, 5 + DAY: 10}, 50)
    assert abs(float(monday_and_tuesday.usual(ROW, hour(5 + 2 * DAY), LEVEL, OWN)[0][0]) - 10) < 1.5
    assert float(monday_and_tuesday.usual(ROW, hour(6), LEVEL, OWN)[0][0]) == 2


def test_a_weekday_comes_to_differ_from_the_other_days() -> None:
    week = {7 + DAY * day: (10.0 if day < 5 else -4.0) for day in range(7)}
    baseline = taught(week, 100)
    for at, value in week.items():
        assert abs(float(baseline.usual(ROW, hour(at), LEVEL, OWN)[0][0]) - value) < 1.5


def test_one_lie_moves_a_cell_by_a_few_spreads_only() -> None:
    baseline = taught({5: 10}, 100)
    before = baseline.usual(ROW, hour(5), LEVEL, OWN)
    baseline.learn(ROW, hour(5), np.array([1e15], np.float32))
    after = baseline.usual(ROW, hour(5), LEVEL, OWN)
    assert abs(after[0][0] - before[0][0]) < 0.1
    assert np.isfinite(baseline.centre).all()


def test_the_wildest_values_leave_numbers() -> None:
    baseline = taught({at: (-1) ** at * 1e30 for at in range(HOURS)}, 3)
    assert np.isfinite(baseline.centre).all()
    assert np.isfinite(baseline.spread).all()
