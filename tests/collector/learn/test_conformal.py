from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.learn.conformal import Calibration, calibrate, group_weights, groups_needed, threshold

LEVELS = st.sampled_from([0.5, 0.8, 0.9, 0.95])
SCORES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)


@given(SCORES, LEVELS)
def test_of_exchangeable_scores_each_in_turn_stays_below_as_often_as_promised(
    scores: list[float], level: float
) -> None:
    """Leave-one-out over a finite population is exactly the chance that the promise is about: no tolerance is needed."""
    population = np.array(scores)
    below = [score <= threshold(np.delete(population, one), level) for one, score in enumerate(population)]
    assert np.mean(below) >= level - 1e-9


@given(st.lists(st.lists(st.floats(-100, 100), min_size=1, max_size=5), min_size=2, max_size=25), LEVELS)
def test_a_row_of_a_new_group_stays_below_as_often_as_promised(rows: list[list[float]], level: float) -> None:
    groups = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    scores = np.concatenate([np.array(row) for row in rows])
    below = [
        np.mean(scores[groups == one] <= threshold(scores[groups != one], level, groups[groups != one]))
        for one in range(len(rows))
    ]
    assert np.mean(below) >= level - 1e-9


@given(SCORES, st.tuples(LEVELS, LEVELS))
def test_a_higher_level_never_has_a_lower_threshold(scores: list[float], levels: tuple[float, float]) -> None:
    low, high = sorted(levels)
    assert threshold(np.array(scores), low) <= threshold(np.array(scores), high)


@given(LEVELS)
def test_one_group_too_few_has_no_finite_threshold_and_one_more_has(level: float) -> None:
    needed = groups_needed(level)
    assert np.isinf(threshold(np.zeros(needed - 1), level))
    assert np.isfinite(threshold(np.zeros(needed), level))


def test_many_rows_of_one_part_count_as_one_part() -> None:
    scores, groups = np.zeros(1000), np.zeros(1000, np.intp)
    assert np.isinf(threshold(scores, 0.9, groups))
    assert group_weights(np.array([7, 7, 3])).tolist() == [0.5, 0.5, 1.0]


@pytest.mark.parametrize("level", [0.0, 1.0, 90.0])
def test_a_level_in_percent_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        threshold(np.zeros(3), level)


def test_what_could_not_be_judged_is_refused() -> None:
    with pytest.raises(ValueError, match="nan"):
        threshold(np.array([1.0, np.nan]), 0.9)


def drawn(seed: int, groups: int, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Residuals that grow with the prediction, lean to one side and are alike within a group."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), rows)
    predicted = rng.uniform(0, 100, groups * rows)
    common = rng.gamma(2.0, 1.0, groups)[group]
    return predicted, predicted + predicted / 10 * (0.7 * common + 0.3 * rng.normal(size=len(group))), group


@pytest.mark.parametrize("level", [0.8, 0.9])
def test_intervals_hold_for_new_groups_and_are_wide_where_predictions_are_poor(level: float) -> None:
    held, narrow, wide = [], [], []
    for seed in range(40):
        found = calibrate(*drawn(seed, 60, 10), level)
        predicted, truth, _ = drawn(1000 + seed, 200, 1)
        low, high = found.interval(predicted)
        held.append(np.mean((low <= truth) & (truth <= high)))
        narrow.append(np.mean((high - low)[predicted < 20]))
        wide.append(np.mean((high - low)[predicted > 80]))
    # 40 calibrations, each of 60 groups: the mean is known to about .006.
    assert level - 0.02 <= np.mean(held) <= level + 0.04
    assert np.mean(wide) > 3 * np.mean(narrow)


def test_a_higher_level_has_a_wider_interval() -> None:
    widths = []
    for level in (0.5, 0.8, 0.9, 0.95):
        low, high = calibrate(*drawn(1, 100, 5), level).interval(np.linspace(0, 100, 11))
        widths.append(np.mean(high - low))
    assert widths == sorted(widths)


@pytest.mark.parametrize("groups", [0, 1, 8])
def test_with_too_few_parts_the_interval_says_that_it_knows_nothing(groups: int) -> None:
    low, high = calibrate(*drawn(1, groups, 20), 0.9).interval(np.array([10.0, 50.0]))
    assert np.isneginf(low).all()
    assert np.isposinf(high).all()


@given(st.floats(-10, 10), st.floats(-1000, 1000))
def test_an_interval_holds_the_prediction_that_it_is_for(stretch: float, predicted: float) -> None:
    found = Calibration(0.9, np.array([0.0, 100.0]), np.array([-5.0, -20.0]), np.array([1.0, 40.0]), stretch)
    low, high = found.interval(np.array([predicted]))
    assert low <= predicted <= high


def test_a_model_that_was_always_right_has_a_finite_interval() -> None:
    truth = np.repeat(np.arange(20.0), 3)
    low, high = calibrate(truth, truth, np.repeat(np.arange(20), 3), 0.9).interval(np.array([5.0, 100.0]))
    assert np.isfinite(high).all()
    assert (high - low < 0.01).all()
