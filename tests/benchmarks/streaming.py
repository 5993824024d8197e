"""The streaming detector of a fleet: processor time of a point and series with every part at work, and of a bare EWMA and CUSUM beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.options import Options, progress
from tests.benchmarks.results import BenchError, Metric
from tillwatch.collector.detect.streaming.fleet import FleetStreams
from tillwatch.collector.detect.streaming.settings import DEFAULT

WARM, TICKS = 40, 20
"""Ticks after the learning that are not measured, and that are."""
TICK_NS = 300 * 10**9
UNSEEN_LEAST = 0.002
"""Two of a thousand values never seen before are what novelty has to work on; less would measure a fleet that stands still."""
_WORK = "every part, in one tick over all series, after the learning; a day's wave and autocorrelated noise, 1 of 100 values wild; processor time"
METRICS = (
    Metric("streaming.us_per_point_10k", "us", f"10,000 series; {_WORK}"),
    Metric("streaming.us_per_point_100k", "us", f"100,000 series; {_WORK}"),
    Metric("streaming.bare_us_per_point_10k", "us", "EWMA z with clipped update and two-sided CUSUM alone, the same values, 10,000 series"),
    Metric("streaming.bare_us_per_point_100k", "us", "the same with 100,000 series"),
    Metric("streaming.ratio_to_bare_10k", "1", "us_per_point through bare_us_per_point of the same run, 10,000 series"),
    Metric("streaming.ratio_to_bare_100k", "1", "the same with 100,000 series"),
    Metric("streaming.state_bytes_per_series", "B", "all arrays of the state through their rows, as allocated"),
    Metric("streaming.unseen_percent_100k", "%", "of the measured values: features that fell into a bin not visited before, of 100,000 series"),
)  # fmt: skip


def measure(options: Options, _folder: Path, run: int) -> dict[str, float]:
    small, large = (200, 400) if options.quick else (10_000, 100_000)
    full_small, bare_small, bytes_each, _ = _fleet(small, run)
    full_large, bare_large, _, unseen = _fleet(large, run)
    progress(f"streaming: {full_small:.3f} us a point with {small} series, {full_large:.3f} with {large}")
    return {
        "streaming.us_per_point_10k": full_small,
        "streaming.us_per_point_100k": full_large,
        "streaming.bare_us_per_point_10k": bare_small,
        "streaming.bare_us_per_point_100k": bare_large,
        "streaming.ratio_to_bare_10k": full_small / bare_small,
        "streaming.ratio_to_bare_100k": full_large / bare_large,
        "streaming.state_bytes_per_series": bytes_each,
        "streaming.unseen_percent_100k": 100 * unseen,
    }


def _fleet(count: int, seed: int) -> tuple[float, float, float, float]:
    """us a point of the full set and of the bare one, bytes a series, share of values in unseen bins."""
    rng = np.random.default_rng(seed)
    streams, bare = FleetStreams(), Bare(count)
    rows = streams.add(count)
    noise = np.zeros(count, np.float32)
    spent = [0.0, 0.0]
    new = 0
    for tick in range(DEFAULT.learning + WARM + TICKS):
        noise = np.float32(0.9) * noise + rng.standard_normal(count, dtype=np.float32)
        values = noise + np.float32(5 * np.sin(tick / 288 * 2 * np.pi))
        wild = rng.integers(0, count, count // 100)
        values[wild] *= rng.integers(2, 1000, wild.size).astype(np.float32)
        hour = np.full(count, tick // 12, np.uint8)
        measured = tick >= DEFAULT.learning + WARM
        full_s, said = _timed(lambda at=tick, x=values, h=hour: streams.step(at * TICK_NS, rows, x, h))
        bare_s, _ = _timed(lambda x=values: bare.step(x))
        if measured:
            spent[0] += full_s
            spent[1] += bare_s
            new += int((streams._pending[:, :count] >= 0).sum())
    if np.isnan(said.p).any():
        raise BenchError("streaming: some series were not judged after their learning: not the work that was meant")
    unseen = new / (3 * TICKS * count)
    if unseen < UNSEEN_LEAST:
        raise BenchError(f"streaming: {unseen:.4%} of the values were unseen: not the work that was meant")
    points = TICKS * count
    return spent[0] / points * 1e6, spent[1] / points * 1e6, streams.nbytes_per_series, unseen


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    done = work()
    return time.process_time() - start, done


class Bare:
    """The least that is called a detector: what the rest of the set is measured against."""

    def __init__(self, count: int) -> None:
        self.level, self.scale = np.zeros(count, np.float32), np.ones(count, np.float32)
        self.up, self.down = np.zeros(count, np.float32), np.zeros(count, np.float32)

    def step(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        limit = 4 * self.scale
        away = np.clip(values - self.level, -limit, limit)
        z = away / self.scale
        self.level += np.float32(0.02) * away
        self.scale += np.float32(0.02) * (np.float32(1.2533) * np.abs(away) - self.scale)
        self.up = np.maximum(self.up + z - np.float32(0.5), 0)
        self.down = np.maximum(self.down - z - np.float32(0.5), 0)
        return np.maximum(self.up, self.down)
