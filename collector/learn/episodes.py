"""Alarms as people are told them: a unit that is above the threshold every second day is one finding that stands, not fifteen. An episode begins where the
score reaches the threshold, and ends as the predictions end it; it is right where the unit fails within the horizon of its beginning. The budget of
false alarms is spent on episodes that are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tillwatch.collector.learn.budget import NEVER, Threshold
from tillwatch.collector.learn.panel import Ints, Panel, Probabilities, Times

EPISODES = "episodes"
CANDIDATES = 200
"""Thresholds that are tried, the ranks of their rows in even ratios: two of them differ by 6 % of the rows above, less than a standard error of any count."""
BEYOND, SPARE = 4.0, 25.0
"""Lower thresholds are not tried once so many times the budget, and so many episodes, are false: what is merged further down never brings them back."""


@dataclass(frozen=True, slots=True)
class Telling:
    """How long a finding stands, in days. stays: of the threshold, below which it is silent; silent: days of silence after which it ends; grace: after the
    horizon, until it is called false; rest_hit, rest_false: how long the unit is not told of again once that is known.
    """

    stays: float
    silent: float
    grace: float
    rest_hit: float
    rest_false: float


@dataclass(frozen=True, slots=True)
class Counted:
    """first: the row of the panel at which each episode begins; hit: whether it came true; failure: which failure it told of, -1 for none."""

    first: Ints
    hit: NDArray[np.bool_]
    failure: Ints

    @property
    def hits(self) -> int:
        """Failures that were told of, each once."""
        return len(np.unique(self.failure[self.hit]))

    @property
    def false(self) -> int:
        return int(np.count_nonzero(~self.hit))


class Told:
    """The rows of a panel by unit and time. What a row is judged by does not hang on the threshold and is reckoned once: failure: which failure lies within
    its horizon; judged: the first row at which it is known what became of an episode that begins there; rested: the first at which it has rested then.
    """

    def __init__(self, score: Probabilities, panel: Panel, telling: Telling) -> None:
        day = panel.day
        self.order = np.lexsort((panel.at, panel.unit))
        self.stays, self.silent = telling.stays, round(telling.silent * day)
        self.score = np.asarray(score, np.float64)[self.order]
        self.unit, self.at, self.failed = panel.unit[self.order], panel.at[self.order], panel.failed[self.order]
        self.years = len(panel) * panel.years_a_row
        self.failure, last = self._failures(panel.horizon)
        # A failure lies between the last row that has it ahead and the next look, and in any case within the horizon of the row.
        fails = np.minimum(last + panel.cadence, self.at + panel.horizon)
        judged = np.where(self.failed, fails, self.at + panel.horizon + round(telling.grace * day))
        rests = np.where(self.failed, round(telling.rest_hit * day), round(telling.rest_false * day))
        times = Times(self.unit, self.at)
        self.judged, self.rested = times.end(self.unit, judged - 1), times.end(self.unit, judged + rests - 1)
        new = np.r_[True, self.unit[1:] != self.unit[:-1]] if len(self.unit) else np.zeros(0, np.bool_)
        self._starts = np.flatnonzero(new)
        self._ends = np.r_[self._starts[1:], len(self.unit)].astype(np.int64)

    def _failures(self, horizon: int) -> tuple[Ints, Ints]:
        """Of each row the failure that it has ahead, -1 for none, and the last row that has the same. Rows in a row look at one failure."""
        failure, last = np.full(len(self.at), -1, np.int64), np.zeros(len(self.at), np.int64)
        ahead = np.flatnonzero(self.failed)
        if not len(ahead):
            return failure, last
        # A row without it in between is another failure; so is another unit, or a gap in which that row would have been.
        apart = (np.diff(ahead) > 1) | (np.diff(self.unit[ahead]) != 0) | (np.diff(self.at[ahead]) > horizon)
        number = np.r_[0, np.cumsum(apart)]
        failure[ahead] = number
        last[ahead] = self.at[ahead][np.r_[np.flatnonzero(apart), len(ahead) - 1]][number]
        return failure, last

    @property
    def failures(self) -> int:
        return int(self.failure.max(initial=-1)) + 1

    def first_of_failures(self) -> Ints:
        """A row of the panel for each failure."""
        _, first = np.unique(self.failure[self.failure >= 0], return_index=True)
        return self.order[np.flatnonzero(self.failure >= 0)[first]]

    def at_threshold(self, limit: float) -> Counted:
        """The episodes that a threshold makes."""
        first = self._begun(limit)
        return Counted(self.order[first], self.failed[first], self.failure[first])

    def _begun(self, limit: float) -> Ints:
        """Of all units at once, episode by episode."""
        standing = np.flatnonzero(self.score >= limit * self.stays)
        high = self.score[standing] >= limit
        rows = standing[high]
        if not len(rows):
            return rows
        unit, at = self.unit[standing], self.at[standing]
        apart = (unit[1:] != unit[:-1]) | (at[1:] - at[:-1] > self.silent)
        run = np.r_[0, np.cumsum(apart)]
        # It stands until it is known what became of it, or until the run of rows above ends; after that it may be told anew.
        over = standing[np.r_[np.flatnonzero(apart), len(standing) - 1]][run][high] + 1
        over = np.minimum(over, self.judged[rows])
        row, end = self._starts, self._ends
        rest_from = rest_to = np.full(len(row), -1, np.int64)
        found: list[Ints] = []
        while len(row):
            place = np.searchsorted(rows, row)
            inside = np.flatnonzero(place < len(rows))
            inside = inside[rows[place[inside]] < end[inside]]
            place, end, rest_from, rest_to = place[inside], end[inside], rest_from[inside], rest_to[inside]
            now = rows[place]
            rests = (rest_from <= now) & (now < rest_to)
            found.append(now[~rests])
            # Told anew before the first is judged: the rests of both are one.
            rest_from, rest_to = (
                np.where(rests | (now < rest_from), rest_from, self.judged[now]),
                np.where(rests, rest_to, np.maximum(rest_to, self.rested[now])),
            )
            row = np.where(rests, rest_to, over[place])
        return np.sort(np.concatenate(found))


def by_episodes(score: Probabilities, panel: Panel, telling: Telling, *, budget: float) -> Threshold:
    """score: of all rows of a panel, from a model that did not see the row's unit, or its time. budget: false episodes a unit and year, of which a standard
    error of the count is taken as spent. Of the thresholds within it the one that tells of most failures, then the one with the fewest false, then the highest.
    """
    if budget < 0:
        raise ValueError("budget: false episodes a unit and year, 0 or more")
    told = Told(score, panel, telling)
    failures, allowed = told.failures, budget * told.years
    best: tuple[int, int, float] | None = None
    chosen: Counted | None = None
    for limit in _candidates(told.score):
        found = told.at_threshold(limit)
        false, hits = found.false, found.hits
        if false + np.sqrt(false) <= allowed and hits and (best is None or (hits, -false) > best[:2]):
            best, chosen = (hits, -false, limit), found
        if false > BEYOND * allowed + SPARE:
            break
    if best is None or chosen is None:
        return Threshold(NEVER, 0.0, 0.0 if failures else float("nan"), float("nan"), EPISODES)
    hits, false, limit = best[0], -best[1], best[2]
    return Threshold(limit, false / told.years, hits / failures, float(np.mean(chosen.hit)), EPISODES)


def _candidates(score: Probabilities) -> Iterator[float]:
    """From the highest down, each half way to the next score: a row that repeats one that was raised is on the safe side of rounding."""
    if not len(score):
        return
    ranked = np.sort(score)[::-1]
    known = np.unique(score)
    ranks = np.unique(np.rint(np.geomspace(1, len(ranked), CANDIDATES)).astype(np.int64)) - 1
    for value in np.unique(ranked[ranks])[::-1].tolist():
        below = int(np.searchsorted(known, value)) - 1
        yield (value + (float(known[below]) if below >= 0 else 0.0)) / 2
