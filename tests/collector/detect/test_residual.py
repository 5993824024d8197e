"""Residuals against what is usual: chance comes as often as it is said to, and what is far off is rare at once."""

from __future__ import annotations

import numpy as np
import pytest

from tillwatch.collector.detect.residual import AT_ONCE, LASTING, NBYTES, Residuals

ROWS = 200
EVERY = np.arange(ROWS)
LOW, HIGH, LEAST = np.full(ROWS, -3, np.float32), np.full(ROWS, 3, np.float32), np.zeros(ROWS, np.float32)


def used(draw, ticks: int = 1_500) -> tuple[Residuals, np.random.Generator]:
    rng, residuals = np.random.default_rng(4), Residuals()
    residuals.grow(ROWS)
    for _ in range(ticks):
        residuals.step(EVERY, draw(rng).astype(np.float32), LOW, HIGH, LEAST)
    return residuals, rng


def normal(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(ROWS)


def heavy(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_t(3, ROWS)


@pytest.mark.parametrize(("draw", "times"), [(normal, 2), (heavy, 5)])
def test_chance_is_about_as_rare_as_it_is_said_to_be(draw, times: float):
    """A tail that is no exponential one comes more often; how often over a fleet is for predict/tail.py to see."""
    residuals, rng = used(draw)
    nats = np.concatenate(
        [residuals.step(EVERY, draw(rng).astype(np.float32), LOW, HIGH, LEAST).nats for _ in range(1_000)]
    )
    for chance in (1e-2, 1e-3):
        assert (nats > -np.log(chance)).mean() < times * chance


def test_what_is_nine_deviations_off_is_rare_at_once_and_two_when_it_lasts():
    residuals, rng = used(normal)
    values = normal(rng).astype(np.float32)
    values[0] = 9
    found = residuals.step(EVERY, values, LOW, HIGH, LEAST)
    assert found.nats[0] > 10
    assert found.which[0] == AT_ONCE
    lasting = 0.0
    for _ in range(40):
        values = normal(rng).astype(np.float32)
        values[1] += 2.5
        found = residuals.step(EVERY, values, LOW, HIGH, LEAST)
        lasting = max(lasting, float(found.nats[1]) if found.which[1] == LASTING else 0.0)
    assert lasting > 8


def test_what_stands_still_has_a_least_scale():
    residuals = Residuals()
    residuals.grow(1)
    one, band = np.zeros(1, np.intp), np.array([100], np.float32)
    for value in (100.0, 99.5):
        found = residuals.step(one, np.array([value], np.float32), band, band, np.zeros(1, np.float32))
        assert found.nats[0] == 0


def test_what_nobody_knows_is_not_judged_and_not_learnt():
    residuals, _ = used(normal, 50)
    before = residuals.state()
    nan = np.full(ROWS, np.nan, np.float32)
    found = residuals.step(EVERY, np.full(ROWS, 40, np.float32), nan, nan, LEAST)
    assert not found.nats.any()
    assert np.array_equal(before, residuals.state())


def test_it_goes_on_where_it_stopped():
    residuals, rng = used(heavy, 100)
    again = Residuals.restore(residuals.state())
    values = heavy(rng).astype(np.float32)
    one, other = (each.step(EVERY, values, LOW, HIGH, LEAST) for each in (residuals, again))
    assert np.array_equal(one.nats, other.nats)
    assert residuals.state().nbytes == NBYTES * ROWS
