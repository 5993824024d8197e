"""Scores of several sources (series by themselves, series over days, devices across their signals, peers) become one episode a part: opened only where a score
is rarer than the share that this series or part has of the terminal's budget of false alarms, kept open while it lasts, closed when the part has been
usual for the hold time. Whoever cried is believed less for a while: the next score must be above a fading memory of the last ones.

What is rare is learnt from what came to nothing. Days out of the ordinary in a row are one event, which waits until it is over; where a fault of the same
device came meanwhile it was no chance, and is not learnt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tillwatch.agent.model import device_of
from tillwatch.collector.predict.finding import kind_of
from tillwatch.collector.predict.series import Registry
from tillwatch.collector.predict.settings import DAY_NS, YEAR_DAYS, Tables
from tillwatch.collector.predict.tail import First, Tail

SERIES, DAYS, DEVICE, PEERS = "series", "days", "device", "peers"
SOURCES = (SERIES, DAYS, DEVICE, PEERS)
OF_ROWS = frozenset({SERIES, DAYS})
"""Sources that score a row of the registry; the others score a component."""
FIRST = {
    SERIES: First(float(np.log(96 / 0.05)), 6.0),
    DAYS: First(2.5, 1.7),
    DEVICE: First(float(np.log(96 / 0.05)), 6.0),
    PEERS: First(3.0, 1.5),
}
"""Until a group has days of its own. The highest of 96 ticks a day, and a tail in which a disk that jumps and a program that was started lie; days
beyond two and a half standard deviations, and warm rooms that lie at ten.
"""
FIRST_COUNTS = First(2.0, 0.8)
"""Of counters over days: they count by chance, and what makes them count more does not come as a jump."""
SHARE = {SERIES: 0.2, DAYS: 1.0, DEVICE: 0.2, PEERS: 1.0}
"""Of the budget, for each place of a source: what lasted for days is what somebody can still be sent for."""
CONFIRM_NS = 6 * 3600 * 10**9
"""For which single readings must have been unusual: what jumps and stays has failed already, and its alarm comes within that."""
LASTS = 0.5
"""Of the threshold: a score above this says that it goes on. Of an event's highest day: what is less is another event."""
MEMORY_HALF_LIFE_DAYS = 30.0
"""An oddity that comes back each month is a habit of the part, and is told again as loud as it ever was only after that."""
BELIEVED = 1.25
"""Times the last peak that a new one must reach while that is fresh: the same again is no news."""

SHADOW_DAYS = 7
"""Days on which something is looked at before it can be called unusual: the tails of its own series settle with the values that come after they were learnt,
and a new fleet has to show first how high chance goes. What is held against three weeks has none.
"""

EXPLAINED_NS = 4 * DAY_NS
"""After an alarm of a part, or a visit to it: the days that `detect/lasting.py` looks at, and one."""
RENEWED_NS = 30 * DAY_NS
"""After it was replaced: until the new one has been learnt."""

Scores = NDArray[np.float32]
Index = NDArray[np.intp]


@dataclass(slots=True)
class Looked:
    """What one source looks at, arrays over its places (rows or components). part: the component of each; peak: the highest score of the day, -1 before one;
    high: of the event that it is in, 0 outside of one; threshold: as of today; days: on which it was looked at, up to SHADOW_DAYS; since: UTC ns
    since when it is beyond its threshold, 0 where it is not.
    """

    part: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    group: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))
    peak: Scores = field(default_factory=lambda: np.zeros(0, np.float32))
    high: Scores = field(default_factory=lambda: np.zeros(0, np.float32))
    threshold: Scores = field(default_factory=lambda: np.zeros(0, np.float32))
    days: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    since: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def grow(self, parts: Iterable[int], groups: Iterable[int]) -> None:
        part, group = np.array(list(parts), np.int32), np.array(list(groups), np.int16)
        more = len(part)
        self.part, self.group = np.concatenate([self.part, part]), np.concatenate([self.group, group])
        self.peak = np.concatenate([self.peak, np.full(more, -1, np.float32)])
        self.high = np.concatenate([self.high, np.zeros(more, np.float32)])
        # What is new opens nothing before it has been looked at for SHADOW_DAYS.
        self.threshold = np.concatenate([self.threshold, np.full(more, np.inf, np.float32)])
        self.days = np.concatenate([self.days, np.zeros(more, np.uint8)])
        self.since = np.concatenate([self.since, np.zeros(more, np.int64)])

    def stands(self, at: int, places: Index, height: Scores) -> NDArray[np.bool_]:
        """Which places have been beyond their threshold for CONFIRM_NS. height: in thresholds."""
        since = np.where((self.since[places] == 0) & (height >= 1), at, self.since[places])
        self.since[places] = np.where(height < LASTS, 0, since)
        stands: NDArray[np.bool_] = (since > 0) & (at - since >= CONFIRM_NS)
        return stands

    def end_day(self, tail: Tail, muted: NDArray[np.bool_]) -> None:
        """Its days go into the tail. muted: components of which nothing is learnt."""
        day = np.flatnonzero((self.peak >= 0) & ~muted[self.part])
        peak, high, group = self.peak[day], self.high[day], self.group[day].astype(np.intp)
        odd = (peak >= tail.usual[group]) & (tail.own[group] > 0)
        goes_on = odd & ((high == 0) | (peak >= LASTS * high))
        over = (high > 0) & ~goes_on
        tail.add(group[over], high[over])
        tail.add(group[~goes_on], peak[~goes_on])
        self.high[day] = np.where(goes_on, np.maximum(high, peak), 0)
        self.days[day] = np.minimum(self.days[day] + 1, SHADOW_DAYS)

    def set_thresholds(self, tail: Tail, chance: NDArray[np.float64], shadow: int) -> None:
        """chance: of a false alarm, of one place of each component; shadow: days without one."""
        threshold = tail.threshold(self.group.astype(np.intp), chance[self.part])
        self.threshold = np.where(self.days >= shadow, threshold, np.float32(np.inf)).astype(np.float32)
        self.peak[:] = -1

    def state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def restore(self, state: Mapping[str, Any]) -> None:
        for name in self.__slots__:
            setattr(self, name, np.array(state[name], getattr(self, name).dtype))


class Anomalies:
    """Arrays over the registry's components. open: UTC ns since when an episode is open, 0 where none is; loud: when it last went on; source: which one opened
    it; height: of the episode, in thresholds; memory: what is left of the last; muted: UTC ns until when it opens nothing and nothing of it is learnt.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.tail = Tail()
        self.looked = {source: Looked() for source in SOURCES}
        self.open = np.zeros(0, np.int64)
        self.loud = np.zeros(0, np.int64)
        self.source = np.zeros(0, np.int8)
        self.height = np.zeros(0, np.float32)
        self.memory = np.zeros(0, np.float32)
        self.muted = np.zeros(0, np.int64)
        self._terminal = np.zeros(0, np.int32)
        self._terminals: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.open)

    def grow(self, registry: Registry) -> None:
        """Parts and series that are new since the last call."""
        for source, looked in self.looked.items():
            have = len(looked.part)
            if source in OF_ROWS:
                new = [name for _, _, name in registry.names[have:]]
                counts = registry.counts[have:]
                parts: Iterable[int] = registry.component[have:]
            else:
                new = [kind_of(part) for _, part in registry.components[have:]]
                counts = [False] * len(new)
                parts = range(have, len(registry.components))
            if new:
                firsts = [FIRST_COUNTS if source == DAYS and count else FIRST[source] for count in counts]
                looked.grow(parts, [self.tail.group(source, *each) for each in zip(new, firsts, strict=True)])
        self._own(registry)
        count = len(registry.components) - len(self)
        for name in ("open", "loud", "source", "height", "memory", "muted"):
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.zeros(count, array.dtype)]))

    def _own(self, registry: Registry) -> None:
        new = registry.components[len(self._terminal) :]
        mine = [self._terminals.setdefault(terminal, len(self._terminals)) for terminal, _ in new]
        self._terminal = np.concatenate([self._terminal, np.array(mine, np.int32)])

    def observe(
        self, source: str, at: int, places: Index, scores: Scores, until: int = 0
    ) -> tuple[tuple[int, int], ...]:
        """Scores of a tick, at most one a place, of those that have learnt. until: UTC ns, when it is looked at next, where that is not at once. Returns the
        parts whose episode it opened, in order, and the place of each that was farthest beyond its threshold.
        """
        if not len(places):
            return ()
        looked = self.looked[source]
        looked.peak[places] = np.maximum(looked.peak[places], scores)
        every = (scores / looked.threshold[places]).astype(np.float32)
        stands = looked.stands(at, places, every) if not until else np.ones(len(places), np.bool_)
        # The highest of each part, the first of equals.
        order = np.lexsort((-every, looked.part[places]))
        parts = looked.part[places][order]
        first = order[np.flatnonzero(np.r_[True, parts[1:] != parts[:-1]])]
        parts, height, places = looked.part[places[first]], every[first], places[first]
        is_open = self.open[parts] > 0
        goes_on = is_open & (height >= LASTS)
        self.loud[parts[goes_on]] = max(at, until)
        self.height[parts[goes_on]] = np.maximum(self.height[parts[goes_on]], height[goes_on])
        begins = ~is_open & stands[first] & (height >= np.maximum(1.0, self.memory[parts])) & (at >= self.muted[parts])
        new = parts[begins]
        self.open[new], self.loud[new], self.source[new] = at, max(at, until), SOURCES.index(source)
        self.height[new] = height[begins]
        return tuple(zip(new.tolist(), places[begins].tolist(), strict=True))

    def settle(self, now: int) -> tuple[int, ...]:
        """Parts that have been usual for the hold time, in order."""
        over = np.flatnonzero((self.open > 0) & (now - self.loud >= self._tables.hold_ns))
        self.memory[over] = np.minimum(self.height[over] * BELIEVED, _MOST)
        self.open[over] = 0
        return tuple(int(each) for each in over)

    def close(self, part: int) -> None:
        """Somebody replaced it, or the terminal has left: no episode, and no memory of one."""
        self.open[part], self.memory[part], self.height[part] = 0, 0, 0

    def explained(self, registry: Registry, terminal: str, component: str, until: int) -> None:
        """What the part showed until now was no chance, and what it shows until then is known to others, UTC ns."""
        parts = {registry.component[row] for row in registry.rows_of(terminal)}
        mine = [part for part in parts if part < len(self) and _related(registry.components[part][1], component)]
        device = registry.known_part(terminal, device_of(component))
        if device is not None and device < len(self):
            mine.append(device)
        self.muted[mine] = np.maximum(self.muted[mine], until)
        for looked in self.looked.values():
            looked.high[np.isin(looked.part, np.array(mine, np.int32))] = 0

    def end_day(self, registry: Registry, now: int) -> None:
        """What was seen becomes what is rare, and thresholds follow: the share of its terminal's budget, over all that is looked at there."""
        self._own(registry)
        self.tail.fade()
        shares = np.zeros(len(self._terminals))
        for source, looked in self.looked.items():
            np.add.at(shares, self._terminal[looked.part[looked.peak >= 0]], SHARE[source])
        chance = self._tables.anomaly_budget / YEAR_DAYS / np.maximum(shares, 1)[self._terminal]
        for looked in self.looked.values():
            looked.end_day(self.tail, self.muted > now)
        self.tail.fit()
        for source, looked in self.looked.items():
            looked.set_thresholds(self.tail, chance * SHARE[source], 1 if source == DAYS else SHADOW_DAYS)
        self.memory *= np.float32(0.5 ** (1 / MEMORY_HALF_LIFE_DAYS))

    _KEPT = ("open", "loud", "source", "height", "memory", "muted")

    def state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._KEPT} | {
            "tail": self.tail.state(),
            "looked": {source: looked.state() for source, looked in self.looked.items()},
        }

    def restore(self, state: Mapping[str, Any], registry: Registry) -> None:
        """The registry has been restored before."""
        for name in self._KEPT:
            setattr(self, name, np.array(state[name], getattr(self, name).dtype))
        self.tail.restore(state["tail"])
        for source, looked in self.looked.items():
            looked.restore(state["looked"][source])
        self._own(registry)


def _related(one: str, other: str) -> bool:
    """Whether they are the same part, or one is of the other."""
    shorter, longer = sorted((one, other), key=len)
    return longer.startswith(shorter) and longer[len(shorter) : len(shorter) + 1] in {"", "/", " "}


_MOST = 50.0
"""Thresholds: a memory of more would outlast a year."""
