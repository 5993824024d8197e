"""How far a value is from what is usual at its hour, at once and over the last ticks, and how rare that is for this very series: the tail of each is
exponential beyond a running quantile, on the linear scale (Siffer et al., KDD 2017). The streams of detect/streaming rank what never happened before;
this one weighs what happens all the time against what it always was. Arrays over the fleet, one call a tick.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Index = NDArray[np.intp]

WEIGHT = np.float32(0.1)
"""Of a new value in the mean over the last ticks: some ten of them."""
SPREAD = np.float32(np.sqrt(0.1 / 1.9))
"""Standard deviation of that mean, of independent values of standard deviation 1."""
MOST = np.float32(50)
"""Standard deviations beyond which further says nothing more."""
LEAST_SHARE = np.float32(0.005)
"""Of the value: sensors tell no less, and what stands still has no scale of its own."""
QUANTILE = 0.97
QUANTILE_STEP = np.float32(0.02)
HIGH_START, EXCESS_START = np.float32(2.2), np.float32(0.6)
"""Of normal values: the 0.97 quantile of the absolute value is 2.17, what is beyond it lies 0.4 further on average; a little more is assumed."""
EXCESS_FLOOR = np.float32(0.25)
"""A tail that falls off faster than that of normal values is not believed."""
EXCESS_STEP = np.float32(0.01)
EARLY = np.float32(10)
"""Exceedances whose weight the assumed excess has."""
LEARNT_MOST = np.float32(4)
"""Excesses that one value can count for: a fault that lasts does not become usual within a day."""
AT_ONCE, LASTING = 0, 1
COLUMNS = 6
"""Mean, values seen, and for each of the two a high and an excess."""
NBYTES = COLUMNS * 4


@dataclass(frozen=True, slots=True)
class Rarity:
    """nats: -ln of the tail probability of the graver one, 0 where it is usual or nothing is known; which: AT_ONCE or LASTING."""

    nats: Floats
    which: NDArray[np.uint8]


class Residuals:
    """state: (COLUMNS x rows) float32."""

    def __init__(self) -> None:
        self._state = _fresh(0)

    def __len__(self) -> int:
        return int(self._state.shape[1])

    def grow(self, rows: int) -> None:
        """To so many rows."""
        self._state = np.concatenate([self._state, _fresh(rows - len(self))], axis=1)

    def step(self, rows: Index, values: Floats, low: Floats, high: Floats, least: Floats) -> Rarity:
        """One value a row, each once. low, high: the band of 3 standard deviations about what is usual, nan where nothing is known; least: the standard
        deviation that each has at least, in its unit.
        """
        known = np.isfinite(low) & np.isfinite(high)
        middle = np.where(known, (low + high) / 2, 0)
        scale = np.maximum(np.where(known, (high - low) / 6, 1), np.maximum(least, LEAST_SHARE * np.abs(middle)))
        z = np.where(known, np.clip((values - middle) / np.maximum(scale, np.float32(1e-12)), -MOST, MOST), 0).astype(
            np.float32
        )
        x = self._state[:, rows]
        mean = x[0] + WEIGHT * (z - x[0])
        x[0] = np.where(known, mean, x[0])
        x[1] += known
        sizes = np.stack([np.abs(z), np.abs(x[0]) / SPREAD])
        nats = np.stack([_rare(sizes[i], x[2 + 2 * i : 4 + 2 * i], x[1], known) for i in (AT_ONCE, LASTING)])
        self._state[:, rows] = x
        which = nats.argmax(axis=0)
        # Two chances to be rare.
        graver = np.maximum(nats.max(axis=0) - np.float32(np.log(2)), 0)
        return Rarity(np.where(known, graver, 0).astype(np.float32), which.astype(np.uint8))

    def state(self) -> NDArray[np.float32]:
        """A copy."""
        return self._state.copy()

    @classmethod
    def restore(cls, state: NDArray[np.float32]) -> Residuals:
        """From what `state` gave."""
        made = cls()
        made._state = np.array(state, np.float32)
        return made


def _fresh(rows: int) -> Floats:
    state = np.zeros((COLUMNS, rows), np.float32)
    state[[2, 4]], state[[3, 5]] = HIGH_START, EXCESS_START
    return state


def _rare(size: Floats, tail: Floats, count: Floats, known: NDArray[np.bool_]) -> Floats:
    """tail: high and excess, learnt in place."""
    high, excess = tail
    over = size - high
    above = known & (over > 0)
    nats = np.where(above, np.float32(-np.log1p(-QUANTILE)) + over / excess, 0).astype(np.float32)
    step = np.maximum(EXCESS_STEP, 1 / (EARLY + np.float32(1 - QUANTILE) * count))
    learnt = np.minimum(over, LEARNT_MOST * excess)
    tail[0] = np.where(known, high + QUANTILE_STEP * excess * (above - np.float32(1 - QUANTILE)), high)
    tail[1] = np.maximum(np.where(above, excess + step * (learnt - excess), excess), EXCESS_FLOOR)
    return nats
