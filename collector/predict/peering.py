"""Each part against those of the same kind, model and class of terminal, once a day by its mean of the day: what is common to all, such as a season, is not
seen here. One detector a signal, of detect/peers.py; here stands who is whose peer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tillwatch.collector.detect.peers import LEAST_PEERS, PeerDistances, Setting
from tillwatch.collector.predict.daily import Daily
from tillwatch.collector.predict.series import Registry
from tillwatch.collector.predict.settings import Tables

SETTING = Setting(window=7, max_age=3)
"""Days: a week takes the weekdays out; who was not read for longer than a weekend neither is judged nor judges."""
LEAST = {
    "%": 2.0, "C": 2.0, "V": 0.5, "rpm": 100.0, "W": 5.0, "VA": 5.0, "A": 0.1, "min": 2.0, "ms": 1.0, "Hz": 0.1, "dBm": 3.0, "dB": 3.0,
    "B": 1e8, "bit/s": 1e5,
}  # fmt: skip
"""By unit, a difference from its peers that nobody would act on. Elsewhere 1."""
RAREST = 1e-38
WIDE = 2.0
"""Spreads of the peers to either side that are called most of them."""

Group = Callable[[str, str], str]
"""Of a terminal's component: what makes peers of two. Empty for none."""


@dataclass(frozen=True, slots=True)
class Odd:
    """A series among its peers. row: of the registry; nats: -ln of how often a sound one is as far; value: its mean of the day; low, high: where most are."""

    row: int
    nats: float
    value: float
    low: float
    high: float
    peers: int


class Peers:
    """rows: of each signal, in the order of its detector's devices."""

    def __init__(self, tables: Tables, registry: Registry, daily: Daily) -> None:
        self._tables = tables
        self._registry = registry
        self._daily = daily
        self._rows: dict[str, list[int]] = {}
        self._distances: dict[str, PeerDistances] = {}
        self._looked = 0

    def day(self, day: int, group: Group) -> Iterator[Odd]:
        """Of the day that is over, all series that have peers."""
        for row in range(self._looked, len(self._registry)):
            if self._registry.judged[row] and not self._registry.counts[row]:
                self._rows.setdefault(self._registry.names[row][2], []).append(row)
        self._looked = len(self._registry)
        for signal, rows in self._rows.items():
            if len(rows) >= LEAST_PEERS:
                yield from self._signal(signal, np.array(rows, np.intp), day, group)

    def _signal(self, signal: str, rows: NDArray[np.intp], day: int, group: Group) -> Iterator[Odd]:
        distances = self._distances.get(signal)
        if distances is None:
            distances = self._distances[signal] = PeerDistances(0, self._least(signal), SETTING)
        distances.grow(len(rows))
        names = [group(*self._registry.names[row][:2]) for row in rows]
        index = {name: number for number, name in enumerate(dict.fromkeys(names))}
        groups = np.array([index[name] if name else -1 for name in names], np.int64)
        values = self._daily.of_day("mean", rows, day).astype(np.float64)
        found = distances.step(values, groups)
        nats = -np.log(np.maximum(found.p, RAREST))
        for i in np.flatnonzero(found.known & np.isfinite(found.z) & np.isfinite(values)).tolist():
            z, away = float(found.z[i]), float(found.difference[i])
            spread = abs(away / z) if z else self._least(signal)
            middle = float(values[i]) - away
            yield Odd(
                int(rows[i]), float(nats[i]), float(values[i]), middle - WIDE * spread, middle + WIDE * spread, int(found.peers[i])
            )  # fmt: skip

    def _least(self, signal: str) -> float:
        return LEAST.get(self._tables.units.get(signal, ""), 1.0)

    def state(self) -> dict[str, Any]:
        return {
            "rows": [[signal, list(rows)] for signal, rows in self._rows.items()],
            "distances": {signal: each.state() for signal, each in self._distances.items()},
            "looked": self._looked,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self._rows = {str(signal): [int(row) for row in rows] for signal, rows in state["rows"]}
        self._distances = {
            signal: PeerDistances.restore(arrays, self._least(signal), SETTING)
            for signal, arrays in state["distances"].items()
        }
        self._looked = int(state["looked"])
