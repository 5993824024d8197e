from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from tests.collector.learn import made
from tillwatch.collector.learn.episodes import Told
from tillwatch.collector.learn.holdout import MEASURES, Ranked, judge

ROWS = st.lists(st.tuples(st.integers(0, 10), st.booleans(), st.integers(1, 3)), min_size=2, max_size=50)


@given(ROWS)
def test_ranks_are_counted_as_scikit_learn_does(rows: list[tuple[int, bool, int]]) -> None:
    score, failed, weight = (np.array(column) for column in zip(*rows, strict=True))
    ranked = Ranked(score.astype(float), failed)
    if failed.any():
        expected = average_precision_score(failed, score, sample_weight=weight)
        np.testing.assert_allclose(ranked.average_precision(weight.astype(float)), expected)
    if failed.any() and not failed.all():
        expected = roc_auc_score(failed, score, sample_weight=weight)
        np.testing.assert_allclose(ranked.auc(weight.astype(float)), expected)
    else:
        assert np.isnan(ranked.auc(weight.astype(float)))


@given(ROWS, st.floats(0, 1))
def test_recall_at_a_rate_keeps_the_rate(rows: list[tuple[int, bool, int]], rate: float) -> None:
    score, failed, _ = (np.array(column) for column in zip(*rows, strict=True))
    recall, realised = Ranked(score.astype(float), failed).recall_at(rate, np.ones(len(rows)))
    if failed.any() and not failed.all():
        assert realised <= rate
        within = [failed[score >= t].sum() / failed.sum() for t in range(12) if np.mean(score[~failed] >= t) <= rate]
        np.testing.assert_allclose(recall, max(within))


def test_the_law_itself_is_judged_right() -> None:
    whole = made.panel(400, 60, seed=1)
    chance = made.law(whole)
    found = judge(chance, whole, 0.2, made.TELLING)
    assert set(found) == set(MEASURES)
    for measure in found.values():
        assert measure.low <= measure.value <= measure.high
    assert found["calibration_slope"].low < 1 < found["calibration_slope"].high
    episodes = Told(chance, whole, made.TELLING).at_threshold(0.2)
    assert 0 < len(episodes.first) < np.count_nonzero(chance >= 0.2)
    assert found["precision"].value == pytest.approx(np.mean(whole.failed[episodes.first]))
    years = len(whole) * whole.years_a_row
    assert found["false_alarms"].value == pytest.approx(episodes.false / years)


def test_the_interval_is_that_of_units_not_of_rows() -> None:
    """The same rows thought to be of units of their own seem surer than they are where a few units have most of the failures."""
    rng = np.random.default_rng(3)
    whole = made.panel(60, 100, seed=3)
    chance = np.repeat(np.where(rng.random(60) < 0.1, 0.3, 0.01), 100)
    clustered = replace(whole, failed=rng.random(len(whole)) < chance)
    score = np.full(len(whole), 0.05)
    wide = judge(score, clustered, 0.5, made.TELLING)["calibration_ratio"]
    narrow = judge(score, replace(clustered, unit=np.arange(len(whole))), 0.5, made.TELLING)["calibration_ratio"]
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_what_is_not_defined_is_nan() -> None:
    whole = made.panel(10, 10)
    none = judge(np.full(100, 0.1), replace(whole, failed=np.zeros(100, bool)), 0.5, made.TELLING)
    assert none["false_alarms"].value == 0
    assert all(np.isnan(none[name].value) for name in ("auc", "ap", "precision", "recall", "calibration_slope"))
    empty = judge(np.zeros(0), whole.rows(np.zeros(100, bool)), 0.5, made.TELLING)
    assert all(np.isnan(measure.value) for measure in empty.values())
