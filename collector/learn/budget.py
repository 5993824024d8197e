"""The threshold that a budget of false alarms leaves: as many true alarms as the budget buys, and no alarm beyond the last true one. Each row
above the threshold is an alarm here, also where the day before was one; episodes.py counts what people are told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Threshold:
    """value: alarm where the probability is at or above it (above 1: never). What it did on the rows that it was chosen on: false_alarms a
    unit and year, recall, precision (nan where nothing was raised). counted: what an alarm is, a row or an episode.
    """

    value: float
    false_alarms: float
    recall: float
    precision: float
    counted: str = "rows"


NEVER = 2.0
"""A threshold that no probability reaches."""


@dataclass(frozen=True, slots=True)
class _Steps:
    """What each threshold would do, from the highest score down; hits, false: sums of weights of the rows at or above it."""

    score: Scores
    hits: Scores
    false: Scores
    doubt: Scores
    """The standard error of `false`: of counts, the root of the sum of the squared weights."""


def _steps(score: Scores, failed: NDArray[np.bool_], weights: Scores) -> _Steps:
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last = np.r_[np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1]  # equal scores are raised together
    hits, others = weights[order] * failed[order], weights[order] * ~failed[order]
    doubt = np.sqrt(np.cumsum(others**2))
    return _Steps(ranked[last], np.cumsum(hits)[last], np.cumsum(others)[last], doubt[last])


def _threshold(steps: _Steps, chosen: int, failures: float, years: float) -> Threshold:
    """Half way down to the next score: a row that repeats the last one raised is on the safe side of rounding."""
    below = steps.score[chosen + 1] if chosen + 1 < len(steps.score) else 0.0
    hits, false = float(steps.hits[chosen]), float(steps.false[chosen])
    return Threshold(float((steps.score[chosen] + below) / 2), false / years, hits / failures, hits / (hits + false))


def by_budget(
    score: Scores, failed: NDArray[np.bool_], *, years: float, budget: float, weights: Scores | None = None
) -> Threshold:
    """score: of rows that the model never saw, by unit or by time. years: unit-years that all rows stand for. budget: false alarms a unit and
    year. The highest threshold that reaches the most failures within the budget, where a standard error of the count is taken as spent: a
    budget that is just met on the rows at hand is overspent every other year.
    """
    if years <= 0 or budget < 0:
        raise ValueError(
            "budget: needs the unit-years that were watched, and false alarms a unit and year of 0 or more"
        )
    weight = np.ones(len(score)) if weights is None else weights
    steps = _steps(score, failed, weight) if len(score) else None
    within = -1 if steps is None else int(np.searchsorted(steps.false + steps.doubt, budget * years, side="right")) - 1
    if steps is None or within < 0 or steps.hits[within] == 0:
        return Threshold(NEVER, 0.0, 0.0 if failed.any() else float("nan"), float("nan"))
    chosen = int(np.searchsorted(steps.hits, steps.hits[within]))
    return _threshold(steps, chosen, float(np.sum(weight[failed])), years)
