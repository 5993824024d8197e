"""From scores to probabilities that hold on units never seen: a straight line over the log odds (Platt), bent where there are failures enough
to say how (beta calibration, Kull 2017). Monotone, so the ranking stays. Numpy only: it is fitted again for every bootstrap of a card.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

EDGE = 1e-9
"""Probabilities are kept this far from 0 and 1: log odds of a sure thing are no number."""
BEND_FAILURES = 500
"""Below this many failures a second slope follows the noise of the few at the top."""
STEPS = 50
"""Newton's method for at most three coefficients is done in ten, or never."""
RIDGE = 1e-6

Weights = NDArray[np.float64] | None


def log_odds(probability: ArrayLike) -> NDArray[np.float64]:
    held = np.clip(np.asarray(probability, np.float64), EDGE, 1 - EDGE)
    return np.log(held) - np.log1p(-held)


def probability(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-np.clip(odds, -700, 700)))


def logistic(
    columns: NDArray[np.float64], failed: NDArray[np.bool_], weights: Weights = None, start: Weights = None
) -> NDArray[np.float64]:
    """Coefficients of a logistic regression of failed on the columns (rows, n), which hold the constant where one is wanted."""
    weight = np.ones(len(failed)) if weights is None else weights
    found = np.zeros(columns.shape[1]) if start is None else start.copy()
    for _ in range(STEPS):
        expected = probability(columns @ found)
        slope = columns.T @ (weight * (failed - expected)) - RIDGE * found
        curve = (columns * (weight * expected * (1 - expected))[:, None]).T @ columns + RIDGE * np.eye(len(found))
        step = np.clip(np.linalg.solve(curve, slope), -4.0, 4.0)  # a separable start would leap out of sight
        found = found + step
        if np.abs(step).max() < 1e-8:
            break
    return found


@dataclass(frozen=True, slots=True)
class Calibration:
    """log odds = rising * ln p - falling * ln (1 - p) + offset; rising and falling are at least 0."""

    rising: float = 1.0
    falling: float = 1.0
    offset: float = 0.0

    def __call__(self, score: ArrayLike) -> NDArray[np.float64]:
        held = np.clip(np.asarray(score, np.float64), EDGE, 1 - EDGE)
        return probability(self.rising * np.log(held) - self.falling * np.log1p(-held) + self.offset)

    def parts(self) -> dict[str, float]:
        return {"rising": self.rising, "falling": self.falling, "offset": self.offset}

    @classmethod
    def from_parts(cls, parts: Mapping[str, Any]) -> Calibration:
        return cls(float(parts["rising"]), float(parts["falling"]), float(parts["offset"]))


def calibrate(score: ArrayLike, failed: NDArray[np.bool_], weights: Weights = None) -> Calibration:
    """Fitted on scores of rows whose units the scoring model never saw; weights undo the thinning of rows. Needs both outcomes."""
    if failed.all() or not failed.any():
        raise ValueError("calibration: all rows or none failed: there is no odds to fit")
    held = np.clip(np.asarray(score, np.float64), EDGE, 1 - EDGE)
    one = np.ones(len(held))
    if np.count_nonzero(failed) >= BEND_FAILURES:
        rising, falling, offset = logistic(np.stack([np.log(held), -np.log1p(-held), one], axis=1), failed, weights)
        if rising >= 0 and falling >= 0:
            return Calibration(float(rising), float(falling), float(offset))
    slope, offset = logistic(np.stack([log_odds(held), one], axis=1), failed, weights)
    if slope < 0:  # it ranks the wrong way round: all that is known is how many fail
        return Calibration(0.0, 0.0, float(log_odds(np.average(failed, weights=weights))))
    return Calibration(float(slope), float(slope), float(offset))


def slope(
    chance: ArrayLike, failed: NDArray[np.bool_], weights: Weights = None, start: Weights = None
) -> NDArray[np.float64]:
    """(slope, offset) of what happened on the log odds of what was said: 1 and 0 where the probabilities hold; a slope below 1 is
    overconfidence. nan where all failed or none.
    """
    if failed.all() or not failed.any():
        return np.array([np.nan, np.nan])
    odds = log_odds(chance)
    return logistic(np.stack([odds, np.ones(len(odds))], axis=1), failed, weights, start)
