from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tillwatch.collector.learn.drift import LEAST_ROWS, Drift, stability

NAMES = ("jams", "age")
COUNTS = arrays.arrays(np.int64, (3, 11), elements=st.integers(0, 10_000))


def rows(count: int, seed: int, *, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    matrix = np.column_stack([rng.poisson(0.3, count), rng.normal(shift, 1, count)]).astype(np.float32)
    matrix[rng.random(count) < 0.1, 0] = np.nan
    return matrix, rng.uniform(0, 0.1, count)


@pytest.fixture
def drift() -> Drift:
    return Drift.learnt(NAMES, *rows(20_000, 1))


def test_the_same_fleet_is_ok(drift: Drift) -> None:
    for seed in range(2, 6):
        drift.add(*rows(1_000, seed))
    verdict = drift.verdict()
    assert verdict.level == "ok"
    assert max(verdict.features.values()) < 0.05


def test_a_feature_that_moved_is_named(drift: Drift) -> None:
    drift.add(*rows(2_000, 2, shift=0.6))
    verdict = drift.verdict()
    assert verdict.level == "retrain"  # one of two features is more than a fifth of them
    assert "age" in verdict.reason
    assert "jams" not in verdict.reason


def test_a_small_move_is_worth_a_look(drift: Drift) -> None:
    drift.add(*rows(5_000, 2, shift=0.4))
    assert drift.verdict().level == "look"


def test_another_score_is_another_fleet(drift: Drift) -> None:
    matrix, score = rows(2_000, 2)
    drift.add(matrix, score * 3)
    verdict = drift.verdict()
    assert verdict.level == "retrain"
    assert verdict.score > 0.25


def test_what_is_no_longer_read_is_drift(drift: Drift) -> None:
    matrix, score = rows(2_000, 2)
    matrix[:, 1] = np.nan
    drift.add(matrix, score)
    assert "age" in drift.verdict().reason


def test_few_rows_say_nothing(drift: Drift) -> None:
    drift.add(*rows(LEAST_ROWS - 1, 2, shift=9))
    verdict = drift.verdict()
    assert verdict.level == "ok"
    assert str(LEAST_ROWS) in verdict.reason


def test_memory_does_not_grow_and_parts_make_it_again(drift: Drift) -> None:
    drift.add(*rows(3_000, 2))
    size = drift.now.nbytes
    drift.add(*rows(30_000, 3, shift=0.5))
    assert drift.now.nbytes == size
    again = Drift.from_parts(drift.parts())
    assert again.verdict() == drift.verdict()
    again.begin()
    assert again.now.sum() == 0


@given(COUNTS, COUNTS)
def test_the_index_is_never_negative_and_nothing_for_the_same(then: np.ndarray, now: np.ndarray) -> None:
    assert np.all(stability(then, now) >= 0)
    np.testing.assert_allclose(stability(then, then * 3), 0, atol=1e-12)
