from __future__ import annotations

import numpy as np
import pytest

from tillwatch.collector.detect.streaming import tail


@pytest.mark.parametrize("draw", ["exponential", "standard_gamma"])
def test_the_probability_of_an_exponential_tail_is_as_stated(draw: str) -> None:
    rng = np.random.default_rng(1)
    series, ticks = 400, 4000
    high, excess = np.full(series, 3, np.float32), np.full(series, 1, np.float32)
    since = np.zeros(series, np.float32)
    exceeded = {0.01: 0, 0.001: 0}
    for tick in range(ticks):
        value = (rng.exponential(2, series) if draw == "exponential" else rng.standard_gamma(3, series)).astype(
            np.float32
        )
        nats = tail.exceedance(value, high, excess, since, np.full(series, tick, np.float32), 0.97, 0.003, 0.005)
        if tick >= ticks // 2:
            for p in exceeded:
                exceeded[p] += int((nats > -np.log(p)).sum())
    for p, times in exceeded.items():
        assert 0.5 < times / (series * ticks / 2 * p) < 2


def test_what_lasts_does_not_teach_at_once_that_it_is_usual() -> None:
    high, excess = np.full(1, 3, np.float32), np.full(1, 1, np.float32)
    said = [
        float(
            tail.exceedance(
                np.full(1, 40, np.float32),
                high,
                excess,
                np.zeros(1, np.float32),
                np.full(1, 1000, np.float32),
                0.97,
                0.003,
                0.005,
            )[0]
        )
        for _ in range(20)
    ]
    assert said[0] > 30
    assert said[-1] > 15


def test_an_unseen_value_is_the_less_news_the_more_often_unseen_values_come_and_the_nearer_it_lies() -> None:
    def nats(distance: float, rate: float) -> float:
        return float(
            tail.unseen(
                np.full(1, distance, np.float32), np.full(1, rate, np.float32), np.full(1, 0.1, np.float32), 0.003, 0.05
            )[0]
        )

    assert nats(0, 0.01) == 0
    assert nats(0.1, 0.3) < nats(0.1, 0.01) < nats(1, 0.01)


def test_the_share_of_unseen_values_is_followed() -> None:
    rng = np.random.default_rng(2)
    rate, size = np.full(500, tail.RATE_START), np.full(500, tail.SIZE_START)
    for _ in range(3000):
        tail.unseen(np.where(rng.random(500) < 0.1, np.float32(0.5), np.float32(0)), rate, size, 0.003, 0.05)
    assert 0.09 < rate.mean() < 0.11
    assert 0.48 < size.mean() < 0.52


def test_a_quantile_from_a_wilder_time_comes_down() -> None:
    rng = np.random.default_rng(3)
    high, excess, since = np.full(50, 500, np.float32), np.full(50, 100, np.float32), np.zeros(50, np.float32)
    for tick in range(12_000):
        tail.exceedance(
            rng.exponential(1, 50).astype(np.float32),
            high,
            excess,
            since,
            np.full(50, 5000 + tick, np.float32),
            0.97,
            0.003,
            0.005,
        )
    assert 2 < np.median(high) < 6
    assert np.median(excess) < 3
