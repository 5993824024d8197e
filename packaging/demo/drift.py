"""Time and movement of simulated devices: a clock that may run faster than the wall's, and values that wander as loads and
temperatures do. What wanders is a function of the seed and the time alone, so that a run can be repeated.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable

Now = Callable[[], float]
"""Simulated seconds since the start."""


def clock(scale: float = 1.0) -> Now:
    """A clock that starts at 0. scale 60: a simulated minute is a second."""
    start = time.monotonic()
    return lambda: (time.monotonic() - start) * scale


class Drift:
    """mean, give or take spread: two waves of about `period` seconds, their lengths and phases from the seed."""

    def __init__(self, now: Now, seed: str, mean: float, spread: float, period: float = 600.0) -> None:
        chance = random.Random(seed)
        self._now, self._mean, self._spread = now, mean, spread
        self._waves = [(math.tau / (period * chance.uniform(0.3, 1.7)), chance.uniform(0, math.tau)) for _ in range(2)]

    def __call__(self) -> float:
        at = self._now()
        return self._mean + self._spread * sum(math.sin(speed * at + phase) for speed, phase in self._waves) / 2
