"""How long something lasts, as a range, and how wide that range must be: split-conformal quantiles of what past forecasts were wrong by (Vovk, Gammerman and
Shafer 2005; scaled by each series' own error as in Lei et al. 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil, inf, isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

COVERED = 0.9
"""Share of the ranges that shall hold what comes."""
SCORES = 26
"""Kept scores a series: one a week, half a year of them. 104 B in float32."""
LEAST_SCORES = 19
"""A 95 % quantile of fewer scores is beyond the highest of them (the order statistic is ceil(0.95 (n + 1))), so fewer say nothing of one's own."""
POOLED = 512
"""Scores of one kind of series, at least so many of those there are, that stand in for those of a new one: enough for a quantile to within a hundredth of rank."""
NORMAL = 1.645
"""Standard errors to either side that hold 90 % of normal noise. A range is never narrower: past weeks may have been lucky."""
PRIOR = 2.5
"""Standard errors to either side where nothing was scored yet, instead of NORMAL: a forecast that nobody has held against
what came gets half as much again.
"""


@dataclass(frozen=True, slots=True)
class DaysLeft:
    """Days from the end of the day it was reckoned on. low, high: the range that shall hold the day with probability COVERED; infinite: not within what can
    be foreseen.
    """

    low: float
    median: float
    high: float

    def silent(self, horizon: float) -> bool:
        """Whether there is nothing to say yet: the near end lies beyond the horizon (days), or the range is wider than the horizon."""
        return not (self.low <= horizon and isfinite(self.high) and self.high - self.low <= horizon)

    def dates(self, today: int) -> tuple[date | None, date | None, date | None]:
        """The days on which it ends, near, middle and far, None for none that can be foreseen. today: day number (1970-01-01 is 0) in the time of the branch,
        of which this was reckoned at the end: half a day left ends tomorrow.
        """
        near, middle, far = (
            _EPOCH + timedelta(days=today + ceil(each)) if each < _FORESEEN else None
            for each in (self.low, self.median, self.high)
        )
        return near, middle, far


_EPOCH = date(1970, 1, 1)
_FORESEEN = 36_525
"""A hundred years of days: what lies beyond has no date."""

NEVER = DaysLeft(inf, inf, inf)


class Range(NamedTuple):
    """DaysLeft of many series: float64 arrays of one length."""

    low: NDArray[np.float64]
    median: NDArray[np.float64]
    high: NDArray[np.float64]

    def speaks(self, horizon: float) -> NDArray[np.bool_]:
        """Of which series something is to be said: the near end crosses the horizon (days), and the range is not wider than the horizon."""
        with np.errstate(invalid="ignore"):
            return (self.low <= horizon) & np.isfinite(self.high) & (self.high - self.low <= horizon)

    def of(self, row: int) -> DaysLeft:
        """One of them."""
        return DaysLeft(float(self.low[row]), float(self.median[row]), float(self.high[row]))


def no_scores(count: int) -> NDArray[np.float32]:
    """(count x SCORES) places for the scores of so many series, all empty (nan)."""
    return np.full((count, SCORES), np.nan, np.float32)


def remember(scores: NDArray[np.float32], week: int, found: NDArray[np.float64]) -> None:
    """Write the scores of a week in place of those of half a year ago. nan leaves the place empty."""
    scores[:, week % SCORES] = found


def width(
    scores: NDArray[np.float32], pool: NDArray[np.float32] | None = None, covered: float = COVERED
) -> NDArray[np.float64]:
    """How many standard errors to either side hold the share `covered` of what came, for each row of scores (series x SCORES, nan where empty).

    A series with fewer than LEAST_SCORES takes the pool (any length, of the same kind of series); without one, PRIOR.
    """
    spare = PRIOR
    if pool is not None:
        said = pool[np.isfinite(pool)]
        said = said[:: max(len(said) // POOLED, 1)]  # of all series, not of the last ones
        if len(said) >= LEAST_SCORES:
            spare = float(np.sort(np.abs(said))[_rank(len(said), covered)])
    have = np.isfinite(scores).sum(axis=1)
    ordered = np.sort(np.where(np.isfinite(scores), np.abs(scores), np.inf), axis=1)
    rank = np.array([_rank(n, covered) if n else 0 for n in range(scores.shape[1] + 1)])
    own = ordered[np.arange(len(scores)), rank[have]].astype(np.float64)
    return np.maximum(np.where(have >= LEAST_SCORES, own, spare), NORMAL)


def _rank(n: int, covered: float) -> int:
    """Index of the conformal quantile among n sorted scores."""
    return min(ceil(covered * (n + 1)), n) - 1
