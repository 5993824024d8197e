"""From which score on a budget of false alarms is kept: the highest score of each part and day over the whole fleet, and the exponential tail of those.
The highest of a day takes the dependence between its readings out of the reckoning, and a fleet has many days a day. The tail is fitted where
faults are too few to matter, and extended to where the budget lies, so that the faults themselves do not raise the bar that they must pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 512
STEP = 0.125
"""Scores are natural logarithms of how rare a value is; 64 is beyond anything that chance does."""
TAIL = 0.05
"""Share of days from which the tail is taken to be exponential."""
FAR = 0.01
"""Share at which the slope of the tail ends: a fault a part in half a year still leaves it to chance."""
FAR_LEAST = 12
"""Days beyond the far end, that it means something."""
LEAST = 300
"""Days of a group until it is looked at, beside all others of its source."""
ENOUGH = 3_000
"""Days of a group that speak for themselves."""
HALF_LIFE_DAYS = 90.0
"""A season: what was usual for the fleet in summer is half forgotten in winter."""
MAX_GROUPS = 256
"""Kinds of parts times sources of scores. What comes later shares the first place of its source."""
LEAST_SLOPE = 0.5
"""A tail that falls off faster is not believed: the next value may be of another kind."""
TICKS_A_DAY = 96
MARGIN = 2.0
"""Standard errors that the slope is taken steeper by: what few days did not show is told late rather than wrong."""


class Tail:
    """seen: (groups x BINS) days by their highest score, halved with HALF_LIFE_DAYS. level and slope: of each group, as of the last fit."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.source: list[int] = []
        self.seen = np.zeros((0, BINS), np.float64)
        self.level = np.zeros(0)
        self.slope = np.ones(0)
        self._index: dict[str, int] = {}
        self._first: dict[str, int] = {}

    def group(self, source: str, kind: str) -> int:
        """Of the scores of one source on parts of one kind."""
        name = f"{source}|{kind}"
        found = self._index.get(name)
        if found is None:
            if len(self.names) >= MAX_GROUPS and source in self._first:
                found = self._first[source]
            else:
                found = self._new(name, source)
            self._index[name] = found
        return found

    def _new(self, name: str, source: str) -> int:
        index = len(self.names)
        self.names.append(name)
        self.source.append(self._first.setdefault(source, index))
        self.seen = np.concatenate([self.seen, np.zeros((1, BINS))])
        # Before anything was seen: scores of independent ticks that are as rare as they say, of which a day has TICKS_A_DAY.
        self.level = np.append(self.level, np.log(TICKS_A_DAY / TAIL))
        self.slope = np.append(self.slope, 1.0)
        return index

    def add(self, groups: NDArray[np.intp], peaks: NDArray[np.float32]) -> None:
        """The highest scores of parts whose day is over, and the group of each."""
        self.seen *= 0.5 ** (1 / HALF_LIFE_DAYS)
        bins = np.clip(peaks / STEP, 0, BINS - 1).astype(np.intp)
        np.add.at(self.seen, (groups, bins), 1.0)
        sources = np.array(self.source, np.intp)
        for first in sorted(set(self.source)):
            own = np.flatnonzero(sources == first)
            together = _fit(self.seen[own].sum(axis=0))
            for group in own:
                self._set(int(group), _fit(self.seen[group]), together)

    def _set(self, group: int, own: tuple[float, float] | None, together: tuple[float, float] | None) -> None:
        count = self.seen[group].sum()
        if own is not None and count >= ENOUGH:
            level, slope = own
        elif own is not None and together is not None:
            level, slope = max(own[0], together[0]), max(own[1], together[1])
        elif together is not None:
            level, slope = together
        else:
            return
        self.level[group], self.slope[group] = level, slope

    def threshold(self, groups: NDArray[np.intp], chance: NDArray[np.float64]) -> NDArray[np.float32]:
        """The score that a part of the group has on a day with this chance, at most."""
        beyond: NDArray[np.float64] = self.level[groups] + self.slope[groups] * np.log(TAIL / np.minimum(chance, TAIL))
        return beyond.astype(np.float32)

    def state(self) -> dict[str, Any]:
        return {
            "names": list(self.names), "source": list(self.source), "seen": self.seen, "level": self.level, "slope": self.slope,
            "index": [[name, index] for name, index in self._index.items()],
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        self.names, self.source = [str(each) for each in state["names"]], [int(each) for each in state["source"]]
        self.seen = np.array(state["seen"], np.float64)
        self.level, self.slope = np.array(state["level"], np.float64), np.array(state["slope"], np.float64)
        self._index = {str(name): int(index) for name, index in state["index"]}
        self._first = {}
        for name, first in zip(self.names, self.source, strict=True):
            self._first.setdefault(name.partition("|")[0], first)


def _fit(seen: NDArray[np.float64]) -> tuple[float, float] | None:
    """Where the tail begins, and how far it goes for each factor e of rarity. None while there are too few days."""
    count = float(seen.sum())
    if count < LEAST:
        return None
    far = max(FAR, FAR_LEAST / count)
    begin, end = _beyond(seen, count * TAIL), _beyond(seen, count * far)
    slope = max((end - begin) / float(np.log(TAIL / far)), LEAST_SLOPE)
    return begin, slope * (1 + MARGIN / float(np.sqrt(count * TAIL)))


def _beyond(seen: NDArray[np.float64], days: float) -> float:
    """The score above which so many days lie, interpolated within its bin."""
    above = np.cumsum(seen[::-1])[::-1]
    place = int(np.searchsorted(-above, -days, side="right")) - 1
    inside = (above[place] - days) / seen[place] if seen[place] > 0 else 1.0
    return float((place + min(max(inside, 0.0), 1.0)) * STEP)
