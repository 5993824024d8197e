"""Whether a figure that is looked at again and again stands still: the straight line through it rises by no more than its own noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SIGMAS = 3.0
"""Standard errors of the slope: an honest run fails once in some hundred."""


@dataclass(frozen=True, slots=True)
class Trend:
    """rise: by how much the line rises from the first to the last; noise: how much of that the scatter alone may make."""

    rise: float
    noise: float


def trend(values: Sequence[float]) -> Trend:
    """By least squares over values at equal distances, at least three."""
    count = len(values)
    middle, mean = (count - 1) / 2, sum(values) / count
    spread = sum((at - middle) ** 2 for at in range(count))
    slope = sum((at - middle) * (value - mean) for at, value in enumerate(values)) / spread
    left = sum((value - mean - slope * (at - middle)) ** 2 for at, value in enumerate(values))
    error = math.sqrt(left / (count - 2) / spread)
    return Trend(slope * (count - 1), SIGMAS * error * (count - 1))
