"""From which score on a budget of false alarms is kept: the highest scores of each series or part over the whole fleet, by kind, and the exponential tail of those.
What lasts for days counts once, by its highest day, and what came before a fault is not counted at all (predict/anomalies.py sees to both), so that neither a
month of warm days nor the faults themselves raise the bar that they must pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 512
STEP = 0.125
"""Scores are natural logarithms of how rare a value is, or standard deviations of days; 64 is beyond anything that chance does."""
USUAL = 0.05
"""Share of days from which a day is out of the ordinary."""
TAIL = 0.0025
"""Share of days from which the tail is taken to be exponential: what is harmless comes once or twice a year to each part, and lies beyond it."""
TAIL_LEAST = 12
"""Days beyond the beginning of the tail, that it means something; at most USUAL of all."""
FAR = 4.0
"""The slope is that from the beginning of the tail to where so many times fewer days lie: the last few of them may be faults that nobody told of."""
LEAST = 300
"""Days of a group until it is looked at."""
ENOUGH = 3_000
"""Days of a group that speak for themselves. Between the two it stands nearer to what is assumed, the fewer it has: harmless things come late."""
HALF_LIFE_DAYS = 90.0
"""A season: what was usual for the fleet in summer is half forgotten in winter."""
MAX_GROUPS = 512
"""Signals and kinds of parts times sources of scores: 2 MB. What comes later shares the first place of its source."""
LEAST_SLOPE = 0.5
"""A tail that falls off faster is not believed: the next value may be of another kind."""
MARGIN = 1.5
"""Standard errors that the slope is taken steeper by: what few days did not show is told late rather than wrong."""


@dataclass(frozen=True, slots=True)
class First:
    """What is assumed of a group before anything was seen: the score beyond which USUAL of its days lie, and how far it goes for each factor e of rarity."""

    level: float
    slope: float


class Tail:
    """seen: (groups x BINS) days by their highest score, halved with HALF_LIFE_DAYS. usual: of each group, the score from which a day is out of the ordinary;
    level, rate, slope: where its tail begins, which share of days lies beyond that, and how far it goes for each factor e of rarity; own: how much of
    that is its own, beside what was assumed first. All as of the last fit.
    """

    usual: NDArray[np.float64]
    level: NDArray[np.float64]
    rate: NDArray[np.float64]
    slope: NDArray[np.float64]
    own: NDArray[np.float64]
    first_level: NDArray[np.float64]
    first_slope: NDArray[np.float64]
    _KEPT = ("usual", "level", "rate", "slope", "own", "first_level", "first_slope")

    def __init__(self) -> None:
        self.names: list[str] = []
        self.source: list[int] = []
        self.seen = np.zeros((0, BINS), np.float64)
        for name in self._KEPT:
            setattr(self, name, np.zeros(0))
        self._index: dict[str, int] = {}
        self._first: dict[str, int] = {}

    def group(self, source: str, kind: str, first: First) -> int:
        """Of the scores of one source on series or parts of one kind, of which `first` is assumed where it is new."""
        name = f"{source}|{kind}"
        found = self._index.get(name)
        if found is None:
            if len(self.names) >= MAX_GROUPS and source in self._first:
                found = self._first[source]
            else:
                found = self._new(name, source, first)
            self._index[name] = found
        return found

    def _new(self, name: str, source: str, first: First) -> int:
        index = len(self.names)
        self.names.append(name)
        self.source.append(self._first.setdefault(source, index))
        self.seen = np.concatenate([self.seen, np.zeros((1, BINS))])
        values = (first.level, first.level, USUAL, first.slope, 0.0, first.level, first.slope)
        for field, value in zip(self._KEPT, values, strict=True):
            setattr(self, field, np.append(getattr(self, field), value))
        return index

    def fade(self) -> None:
        """A day is over."""
        self.seen *= 0.5 ** (1 / HALF_LIFE_DAYS)

    def add(self, groups: NDArray[np.intp], peaks: NDArray[np.float32]) -> None:
        """Days that are over, each by its highest score, and the group of each."""
        bins = np.clip(peaks / STEP, 0, BINS - 1).astype(np.intp)
        np.add.at(self.seen, (groups, bins), 1.0)

    def fit(self) -> None:
        """All groups, to what was seen."""
        for group in range(len(self.names)):
            seen = self.seen[group]
            count = float(seen.sum())
            if count < LEAST:
                continue
            beyond = min(USUAL * count, max(TAIL_LEAST, TAIL * count))
            begin, end = _beyond(seen, beyond), _beyond(seen, beyond / FAR)
            slope = (end - begin) / float(np.log(FAR)) * (1 + MARGIN / float(np.sqrt(beyond)))
            self.usual[group], self.level[group] = _beyond(seen, USUAL * count), begin
            self.rate[group] = beyond / count
            self.slope[group] = max(slope, LEAST_SLOPE)
            self.own[group] = min(float(np.log(count / LEAST) / np.log(ENOUGH / LEAST)), 1.0)

    def threshold(self, groups: NDArray[np.intp], chance: NDArray[np.float64]) -> NDArray[np.float32]:
        """The score that a member of the group has on a day with this chance, at most; infinite where that is beyond what is told apart."""
        rate, own = self.rate[groups], self.own[groups]
        seen = self.level[groups] + self.slope[groups] * np.log(rate / np.minimum(chance, rate))
        assumed = self.first_level[groups] + self.first_slope[groups] * np.log(USUAL / np.minimum(chance, USUAL))
        beyond = own * seen + (1 - own) * np.maximum(assumed, seen)
        # Scores beyond the last bin are not told apart.
        return np.where(beyond < (BINS - 1) * STEP, beyond, np.inf).astype(np.float32)

    def state(self) -> dict[str, Any]:
        return {
            "names": list(self.names), "source": list(self.source), "seen": self.seen,
            "index": [[name, index] for name, index in self._index.items()],
        } | {name: getattr(self, name) for name in self._KEPT}  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        self.names, self.source = [str(each) for each in state["names"]], [int(each) for each in state["source"]]
        self.seen = np.array(state["seen"], np.float64)
        for name in self._KEPT:
            setattr(self, name, np.array(state[name], np.float64))
        self._index = {str(name): int(index) for name, index in state["index"]}
        self._first = {}
        for name, first in zip(self.names, self.source, strict=True):
            self._first.setdefault(name.partition("|")[0], first)


def _beyond(seen: NDArray[np.float64], days: float) -> float:
    """The score above which so many days lie, interpolated within its bin."""
    above = np.cumsum(seen[::-1])[::-1]
    place = int(np.searchsorted(-above, -days, side="right")) - 1
    inside = (above[place] - days) / seen[place] if seen[place] > 0 else 1.0
    return float((place + min(max(inside, 0.0), 1.0)) * STEP)
