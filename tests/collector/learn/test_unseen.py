"""Parts that were not taught are what a model is judged on, each part alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.collector.learn.test_remaining_life import QUICK, worn
from tillwatch.collector.learn.histories import History
from tillwatch.collector.learn.remaining_life import fit, from_parts
from tillwatch.collector.learn.unseen import judge


def test_parts_that_wear_are_told_better_than_by_one_figure() -> None:
    lives = [worn(seed) for seed in range(40)]
    model = fit(lives, QUICK)
    found = judge(model)
    assert found.error < found.usual_error / 2
    assert 0.75 < found.held <= 1
    assert [each.index for each in found.parts] == list(range(40))
    assert found.parts[3].life == pytest.approx(lives[3].age[-1])
    assert found.error == pytest.approx(np.mean([each.error for each in found.parts]))
    assert model.out_of_fold is not None
    assert model.cap / 10 < found.usual_error < model.cap


def test_noise_is_told_no_better_than_by_one_figure() -> None:
    rng = np.random.default_rng(3)
    lives = [
        History(f"part {i}", np.arange(1.0, n + 1), rng.normal(size=(n, 2)))
        for i, n in enumerate(rng.integers(30, 120, 30))
    ]
    found = judge(fit(lives, replace(QUICK, sensors=("a", "b"))))
    assert found.error > 0.8 * found.usual_error


def test_a_part_is_judged_by_what_others_were_off_by() -> None:
    """One part that ends without a sign: its own miss must not widen the range that it is judged by."""
    lives = [worn(seed, 60) for seed in range(24)]
    sudden = worn(99, 60)
    lives.append(History("sudden", sudden.age[:25], sudden.values[:25]))
    found = judge(fit(lives, QUICK))
    assert found.parts[-1].held < 0.5
    assert np.median([each.held for each in found.parts]) > 0.85


def test_a_stored_model_has_nothing_to_be_judged_by() -> None:
    model = fit([worn(seed) for seed in range(6)], QUICK)
    with pytest.raises(ValueError, match="fit it again"):
        judge(from_parts(model.parts()))
