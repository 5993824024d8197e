"""Intervals that hold for what comes next: conformal prediction over parts, each of which gave many readings.

A threshold comes from groups (a part, a drive, a machine), each with the same weight however many of its rows are calibrated on, and with one
group more at infinity for the one that is asked about: for a row of a new group the score stays below it with at least the level's probability,
whatever the distribution, as long as groups are exchangeable (Lee, Barber and Willett 2023, "Distribution-free inference with hierarchical data";
with one row a group it is split conformal prediction, Vovk 2005). With too few groups the threshold is infinite, and so is the interval: that is
the true answer. numpy only, no clock, no files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

KNOTS = 25
"""Where the local quantiles are held: more would follow the noise of some hundred parts."""
NEIGHBOURS = 0.15
"""Of the weight of all rows, how much a local quantile looks at: 15 parts of a hundred at 90 % leave some on either side of both ends."""
FOLDS = 10
"""Local quantiles for one fold of the groups come from the others, so that no row is judged by itself; with few folds they come from much fewer groups
than those in use later, are rougher, and make the interval wider than its level.
"""


def groups_needed(level: float) -> int:
    """The fewest groups for a finite threshold at this level: 9 at 90 %."""
    return int(np.ceil(_of(level) / (1 - level) - 1e-9))


def threshold(scores: Floats, level: float, groups: Ints | None = None) -> float:
    """What the score of a new group's row stays at or below with the level's probability at least; infinite with fewer than
    `groups_needed(level)` groups.

    scores: (n,), no nan; groups: (n,), any integers, rows of one number belong together; None: each row stands alone.
    """
    _of(level)
    if np.isnan(scores).any():
        raise ValueError("scores hold nan: leave out what could not be judged before calibrating")
    weights = group_weights(np.arange(len(scores)) if groups is None else groups)
    count = len(scores) if groups is None else len(np.unique(groups))
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weights[order]) / (count + 1)
    at = int(np.searchsorted(reached, level - 1e-12))  # sums of weights miss their whole by rounding
    return float(scores[order][at]) if at < len(scores) else float("inf")


def group_weights(groups: Ints) -> Floats:
    """(n,): one over the rows of each row's group, so that each group weighs one."""
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    found: Floats = 1.0 / counts[inverse]
    return found


@dataclass(frozen=True)
class Calibration:
    """What turns a prediction into an interval.

    at: (k,) predictions, rising; low, high: (k,) quantiles of truth minus prediction there, below and above 0; stretch: how far, in units of high minus low, both ends
    are moved outwards (inwards where negative) for the level to hold over all.
    """

    level: float
    at: Floats
    low: Floats
    high: Floats
    stretch: float

    def interval(self, predicted: Floats) -> tuple[Floats, Floats]:
        """Both ends, (n,) each; minus and plus infinity where too few groups were calibrated on."""
        low, high = np.interp(predicted, self.at, self.low), np.interp(predicted, self.at, self.high)
        if np.isinf(self.stretch):
            return np.full(len(predicted), -np.inf), np.full(len(predicted), np.inf)
        more = self.stretch * (high - low)
        # An inward move ends at the prediction: an interval that does not hold what it is given for is read as a mistake.
        return predicted + np.minimum(low - more, 0), predicted + np.maximum(high + more, 0)


def calibrate(predicted: Floats, truth: Floats, groups: Ints, level: float) -> Calibration:
    """From predictions for parts which the model had not seen (out of fold), and what came true: all (n,), no nan.

    The width follows the prediction: local quantiles of the residual are taken from rows with the nearest predictions, then both ends are stretched
    together by the group-wise threshold (conformalised quantile regression, Romano, Patterson and Candes 2019). Deterministic.
    """
    _of(level)
    if len(predicted) == 0:
        nothing = np.zeros(1)
        return Calibration(level, nothing, nothing, nothing, float("inf"))
    unique, inverse = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(unique))[inverse] % FOLDS
    scores = np.full(len(predicted), np.inf)
    for one in range(FOLDS):
        seen, judged = fold != one, fold == one
        if seen.any() and judged.any():
            local = _local(predicted[seen], truth[seen], groups[seen], level)
            low, high = (np.interp(predicted[judged], local[0], ends) for ends in local[1:])
            residual, width = truth[judged] - predicted[judged], high - low
            # The least stretch of `interval` that holds the truth: of both ends only the one on the truth's side can miss it.
            scores[judged] = np.where(residual < 0, low - residual, residual - high) / width
    at, low, high = _local(predicted, truth, groups, level)
    return Calibration(level, at, low, high, threshold(scores, level, groups))


def _local(predicted: Floats, truth: Floats, groups: Ints, level: float) -> tuple[Floats, Floats, Floats]:
    """Knots over the predictions, and there the two quantiles of the residual that leave out the same share on either side."""
    order = np.argsort(predicted, kind="stable")
    ranked, residual, weights = predicted[order], (truth - predicted)[order], group_weights(groups)[order]
    place = np.cumsum(weights) - weights / 2
    total = float(weights.sum())
    # Knots at equal shares of the weight; where many predictions are the same, one knot stands for them.
    at = np.unique(np.interp(np.linspace(0, total, KNOTS), place, ranked))
    where = np.interp(at, ranked, place)
    reach = max(NEIGHBOURS * total / 2, float(weights.max()))
    ends = np.empty((2, len(at)))
    for knot, centre in enumerate(where):
        # The nearest by rank; at either border the window is pushed inside instead of halved.
        middle = min(max(float(centre), reach), max(total - reach, reach))
        near = np.abs(place - middle) <= reach
        ends[:, knot] = _quantiles(residual[near], weights[near], ((1 - level) / 2, (1 + level) / 2))
    # A width of nothing (a model that was right to the last digit) would make every later miss infinite.
    least = 1e-6 * (1 + float(np.abs(predicted).max()))
    return at, np.minimum(ends[0], -least), np.maximum(ends[1], least)


def _quantiles(values: Floats, weights: Floats, shares: tuple[float, float]) -> list[float]:
    order = np.argsort(values, kind="stable")
    reached = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
    return [float(np.interp(share, reached, values[order])) for share in shares]


def _of(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(
            f"a level lies between 0 and 1, not at {level}: 0.9 for an interval that holds nine times out of ten"
        )
    return level
