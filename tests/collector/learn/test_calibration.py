from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.learn.calibration import Calibration, calibrate, log_odds, probability, slope


def drawn(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = probability(rng.normal(-3, 1.5, rows))
    return truth, rng.random(rows) < truth


@pytest.mark.parametrize("rows", [4_000, 40_000], ids=["a line", "bent"])
def test_an_overconfident_score_is_put_right_on_rows_not_seen(rows: int) -> None:
    truth, failed = drawn(rows, 1)
    score = probability(1 + 2 * log_odds(truth))
    put_right = calibrate(score, failed)
    truth, failed = drawn(40_000, 2)
    score = probability(1 + 2 * log_odds(truth))
    assert slope(score, failed)[0] < 0.6
    chance = put_right(score)
    assert 0.9 < slope(chance, failed)[0] < 1.1
    assert 0.9 < chance.sum() / failed.sum() < 1.1


def test_weights_undo_the_thinning_of_rows() -> None:
    truth, failed = drawn(60_000, 3)
    keep = failed | (np.arange(len(failed)) % 10 == 0)
    weights = np.where(failed[keep], 1.0, 10.0)
    put_right = calibrate(truth[keep], failed[keep], weights)
    assert 0.95 < put_right(truth).sum() / failed.sum() < 1.05


@given(st.floats(0, 5), st.floats(0, 5), st.floats(-5, 5), st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_the_ranking_stays(rising: float, falling: float, offset: float, scores: list[float]) -> None:
    found = Calibration(rising, falling, offset)(np.sort(scores))
    assert np.all(np.diff(found) >= 0)
    assert np.all((found >= 0) & (found <= 1))


def test_a_score_that_ranks_the_wrong_way_round_says_the_base_rate() -> None:
    truth, failed = drawn(2_000, 4)
    chance = calibrate(1 - truth, failed)(np.array([0.1, 0.9]))
    assert chance[0] == chance[1] == pytest.approx(failed.mean(), rel=0.05)


def test_one_outcome_has_no_odds() -> None:
    with pytest.raises(ValueError, match="none failed"):
        calibrate([0.1, 0.2], np.array([False, False]))
    assert np.isnan(slope([0.1, 0.2], np.array([True, True]))).all()


def test_a_separable_score_stays_finite() -> None:
    failed = np.arange(100) >= 90
    found = calibrate(np.linspace(0.01, 0.99, 100), failed)
    assert np.isfinite(list(found.parts().values())).all()
    assert Calibration.from_parts(found.parts()) == found
