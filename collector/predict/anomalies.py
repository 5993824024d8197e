"""Scores of several sources (series by themselves, devices across their signals, peers) become one episode a part: opened only where a score is rarer than
the part's share of the terminal's budget of false alarms, kept open while it lasts, closed when the part has been usual for the hold time. Whoever
cried is believed less for a while: the next score must be above a fading memory of the last ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tillwatch.collector.predict.finding import kind_of
from tillwatch.collector.predict.series import Registry
from tillwatch.collector.predict.settings import YEAR_DAYS, Tables
from tillwatch.collector.predict.tail import Tail

SERIES, DEVICE, PEERS = "series", "device", "peers"
SOURCES = (SERIES, DEVICE, PEERS)
LASTS = 0.5
"""Of the threshold: a score above this says that it goes on."""
MEMORY_HALF_LIFE_DAYS = 30.0
"""An oddity that comes back each month is a habit of the part, and is told again as loud as it ever was only after that."""
BELIEVED = 1.25
"""Times the last peak that a new one must reach while that is fresh: the same again is no news."""

SHADOW_DAYS = 7
"""Days on which a part is looked at before it can be called unusual: the tails of its own series settle with the values that come after they were learnt,
and a new fleet has to show first how high chance goes.
"""

Scores = NDArray[np.float32]
Index = NDArray[np.intp]


class Anomalies:
    """Arrays over the registry's components. peak: of each source the highest score of the day; threshold: as of today; open: UTC ns since when an episode
    is open, 0 where none is; loud: when it last went on; source: which one opened it; height: of the episode, in thresholds; memory: what is left of the last.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.tail = Tail()
        self.group = np.zeros((len(SOURCES), 0), np.int32)
        self.peak = np.zeros((len(SOURCES), 0), np.float32)
        self.threshold = np.zeros((len(SOURCES), 0), np.float32)
        self.days = np.zeros((len(SOURCES), 0), np.uint8)
        self.open = np.zeros(0, np.int64)
        self.loud = np.zeros(0, np.int64)
        self.source = np.zeros(0, np.int8)
        self.height = np.zeros(0, np.float32)
        self.memory = np.zeros(0, np.float32)

    def __len__(self) -> int:
        return len(self.open)

    def grow(self, registry: Registry) -> None:
        """Parts that are new since the last call."""
        count = len(registry.components) - len(self)
        if count <= 0:
            return
        new = registry.components[len(self) :]
        groups = np.array([[self.tail.group(source, kind_of(part)) for _, part in new] for source in SOURCES], np.int32)
        self.group = np.concatenate([self.group, groups], axis=1)
        self.peak = np.concatenate([self.peak, np.full((len(SOURCES), count), -1, np.float32)], axis=1)
        # What is new opens nothing before it has been looked at for SHADOW_DAYS.
        self.threshold = np.concatenate([self.threshold, np.full((len(SOURCES), count), np.inf, np.float32)], axis=1)
        self.days = np.concatenate([self.days, np.zeros((len(SOURCES), count), np.uint8)], axis=1)
        for name in ("open", "loud", "source", "height", "memory"):
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.zeros(count, array.dtype)]))

    def observe(self, source: str, at: int, parts: Index, scores: Scores, until: int = 0) -> tuple[int, ...]:
        """Scores of a tick, at most one a part, of those that have learnt. until: UTC ns, when it is looked at next, where that is not at once. Returns the
        parts whose episode it opened, in order.
        """
        if not len(parts):
            return ()
        which = SOURCES.index(source)
        self.peak[which, parts] = np.maximum(self.peak[which, parts], scores)
        height = scores / self.threshold[which, parts]
        is_open = self.open[parts] > 0
        goes_on = is_open & (height >= LASTS)
        self.loud[parts[goes_on]] = max(at, until)
        self.height[parts[goes_on]] = np.maximum(self.height[parts[goes_on]], height[goes_on])
        begins = ~is_open & (height >= np.maximum(1.0, self.memory[parts]))
        new = parts[begins]
        self.open[new], self.loud[new], self.source[new] = at, max(at, until), which
        self.height[new] = height[begins]
        return tuple(int(each) for each in new)

    def settle(self, now: int) -> tuple[int, ...]:
        """Parts that have been usual for the hold time, in order."""
        over = np.flatnonzero((self.open > 0) & (now - self.loud >= self._tables.hold_ns))
        self.memory[over] = np.minimum(self.height[over] * BELIEVED, _MOST)
        self.open[over] = 0
        return tuple(int(each) for each in over)

    def close(self, part: int) -> None:
        """Somebody replaced it, or the terminal has left: no episode, and no memory of one."""
        self.open[part], self.memory[part], self.height[part] = 0, 0, 0

    def end_day(self, registry: Registry) -> None:
        """What was seen becomes what is rare, and thresholds follow: a part's share of its terminal's budget, over the sources that look at it."""
        groups, peaks = [], []
        for which in range(len(SOURCES)):
            usable = (self.peak[which] >= 0) & (self.open == 0)
            groups.append(self.group[which, usable].astype(np.intp))
            peaks.append(self.peak[which, usable])
        self.tail.add(np.concatenate(groups), np.concatenate(peaks))
        looked = self.peak >= 0
        terminals = [terminal for terminal, _ in registry.components]
        shares: dict[str, int] = {}
        for terminal, count in zip(terminals, looked.sum(axis=0).tolist(), strict=True):
            shares[terminal] = shares.get(terminal, 0) + count
        each = np.array([max(shares[terminal], 1) for terminal in terminals], np.float64)
        self.days += looked & (self.days < SHADOW_DAYS)
        chance = self._tables.anomaly_budget / YEAR_DAYS / each
        for which in range(len(SOURCES)):
            threshold = self.tail.threshold(self.group[which].astype(np.intp), chance)
            self.threshold[which] = np.where(self.days[which] >= SHADOW_DAYS, threshold, np.inf)
        self.peak[:] = -1
        self.memory *= np.float32(0.5 ** (1 / MEMORY_HALF_LIFE_DAYS))

    _KEPT = ("group", "peak", "threshold", "days", "open", "loud", "source", "height", "memory")

    def state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._KEPT} | {"tail": self.tail.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        for name in self._KEPT:
            setattr(self, name, np.array(state[name], getattr(self, name).dtype))
        self.tail.restore(state["tail"])


_MOST = 50.0
"""Thresholds: a memory of more would outlast a year."""
