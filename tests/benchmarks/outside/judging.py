"""How sure a figure is: the bootstrap over the units of a data set (series, engine, machine, file, drive)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 200
"""Enough for a standard error to two figures."""


def standard_error(
    units: Sequence[object] | int,
    statistic: Callable[[NDArray[np.intp]], float],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> float:
    """Of a statistic of units drawn with replacement; statistic takes their indices. Draws of which it is not defined (nan) are left out."""
    count = units if isinstance(units, int) else len(units)
    rng = np.random.default_rng(seed)
    found = np.array([statistic(rng.integers(0, count, count)) for _ in range(resamples)])
    return float(np.nanstd(found, ddof=1))
