"""What a tick of readings shows: how rare each value is for its own series, and how rare a device's values are together. One call a tick and detector, over all
series at once; counters are looked at by their rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tillwatch.collector.detect import residual
from tillwatch.collector.detect.multivariate import MAX_SIGNALS, DeviceDistances
from tillwatch.collector.detect.streaming.fleet import FleetStreams
from tillwatch.collector.detect.streaming.surprise import Part
from tillwatch.collector.predict.series import NONE, Registry

HOUR_NS = 3600 * 10**9
GAP_NS = 72 * HOUR_NS
"""What a counter counted over longer is no rate of now."""
SIZES = (4, 8, MAX_SIGNALS)
"""A device is held in the smallest room that its signals fit: covariances grow with the square."""
LEAST_SIGNALS = 2
"""One signal goes together with nothing."""
RAREST = 1e-38
"""Probabilities below are this one: its logarithm is still finite in float32."""

HALF = np.float32(0.5)
"""Of what is counted in whole numbers, the least standard deviation: one more is no news by itself."""
_OF_RESIDUAL = np.array([Part.LEVEL, Part.DRIFT], np.uint8)

Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Seen:
    """Of a tick: rows; values as they were looked at (rates of counters, a unit an hour); nats: -ln of how rare, 0 where it is not judged; low, high: what is
    usual; part: which part of the detector says so (streaming.surprise.Part).
    """

    rows: Index
    values: NDArray[np.float64]
    nats: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    part: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class SeenDevices:
    """Of a tick, of all devices that told something: parts (indices of the registry's components), nats, and the row that contributed most to each."""

    parts: Index
    nats: NDArray[np.float32]
    rows: Index


class Senses:
    """begun: UTC ns of the first value of each row; bucket: the last tick that it was looked at in; counts: whether it is a counter."""

    def __init__(self, learn_ns: int) -> None:
        self._learn_ns = learn_ns
        self.streams = FleetStreams()
        self.residuals = residual.Residuals()
        self.begun = np.zeros(0, np.int64)
        self.bucket = np.full(0, -1, np.int64)
        self.counts = np.zeros(0, np.bool_)
        self._judged = np.zeros(0, np.bool_)
        self._least = np.zeros(0, np.float32)
        self._count = np.zeros(0, np.float64)
        self._counted = np.zeros(0, np.int64)
        self._slot = np.full(0, NONE, np.int32)
        self._device = np.full(0, NONE, np.int32)
        self._of_size = [DeviceDistances(0, size) for size in SIZES]
        self._parts: list[list[int]] = [[] for _ in SIZES]
        self._slots: list[list[list[int]]] = [[] for _ in SIZES]

    def grow(self, registry: Registry) -> None:
        """Rows that are new since the last call."""
        have, more = len(self.begun), len(registry) - len(self.begun)
        if more <= 0:
            return
        self.streams.add(more)
        self.residuals.grow(len(registry))
        self._least = np.concatenate([self._least, np.array(registry.whole[have:], np.float32) * HALF])
        self.begun = np.concatenate([self.begun, np.zeros(more, np.int64)])
        self.bucket = np.concatenate([self.bucket, np.full(more, -1, np.int64)])
        self.counts = np.concatenate([self.counts, np.array(registry.counts[have:], np.bool_)])
        self._judged = np.concatenate([self._judged, np.array(registry.judged[have:], np.bool_)])
        self._count = np.concatenate([self._count, np.full(more, np.nan)])
        self._counted = np.concatenate([self._counted, np.zeros(more, np.int64)])
        self._slot = np.concatenate([self._slot, np.full(more, NONE, np.int32)])
        self._device = np.concatenate([self._device, np.full(more, NONE, np.int32)])

    def step(
        self, bucket: int, at: NDArray[np.int64], rows: Index, given: NDArray[np.float64], hour: NDArray[np.uint8]
    ) -> Seen:
        """One value a row. at: UTC ns of each; hour: local hour of the week of each."""
        values = self._rates(at, rows, given)
        fresh = rows[self.begun[rows] == 0]
        self.begun[fresh] = at[self.begun[rows] == 0]
        self.bucket[rows] = bucket
        chosen = np.flatnonzero(self._judged[rows] & np.isfinite(values))
        rows, values, at = rows[chosen], values[chosen], at[chosen]
        found = self.streams.step(at, rows, values.astype(np.float32), hour[chosen])
        learnt = np.isfinite(found.p) & (at - self.begun[rows] >= self._learn_ns)
        nats = np.where(learnt, -np.log(np.maximum(np.where(learnt, found.p, 1), RAREST)), 0).astype(np.float32)
        usual = found.expected
        rare = self.residuals.step(rows, values.astype(np.float32), usual.low, usual.high, self._least[rows])
        graver = rare.nats > nats
        part = np.where(graver, _OF_RESIDUAL[rare.which], found.kind)
        nats = np.where(learnt & graver, rare.nats, nats)
        return Seen(
            rows,
            values,
            nats,
            found.expected.low,
            found.expected.high,
            np.where(learnt, part, 0).astype(np.uint8),
        )

    def devices(self, seen: Seen) -> SeenDevices:
        """The same tick, device by device. Those that have learnt and are usual are in it, too, with what they have."""
        parts, nats, rows = [], [], []
        held = self._device[seen.rows]
        for size, distances in enumerate(self._of_size):
            mine = np.flatnonzero((held >= 0) & (held % len(SIZES) == size))
            if not len(mine):
                continue
            index = held[mine] // len(SIZES)
            which, place = np.unique(index.astype(np.intp), return_inverse=True)
            values = np.full((len(which), SIZES[size]), np.nan)
            values[place, self._slot[seen.rows[mine]]] = seen.values[mine]
            found = distances.step(which, values)
            known = np.flatnonzero(found.known)
            parts.append(np.array(self._parts[size], np.intp)[which[known]])
            nats.append(-np.log(np.maximum(found.p[known], RAREST)).astype(np.float32))
            most = found.contributions[known].argmax(axis=1)
            rows.append(
                np.array(
                    [
                        self._slots[size][device][slot]
                        for device, slot in zip(which[known].tolist(), most.tolist(), strict=True)
                    ],
                    np.intp,
                )
            )
        if not parts:
            return SeenDevices(np.empty(0, np.intp), np.empty(0, np.float32), np.empty(0, np.intp))
        return SeenDevices(np.concatenate(parts), np.concatenate(nats), np.concatenate(rows))

    def join(self, registry: Registry, first: int, last: int) -> None:
        """Devices of the rows from `first` to before `last`, which have been there for a day: their signals are known by then. A signal that comes later than
        its device was joined is looked at by itself.
        """
        of_device: dict[tuple[str, str], list[int]] = {}
        for row in range(first, last):
            if registry.judged[row]:
                of_device.setdefault(registry.device(row), []).append(row)
        joined = {part for parts in self._parts for part in parts}
        for (terminal, device), rows in of_device.items():
            part = registry.part(terminal, device)
            if len(rows) < LEAST_SIGNALS or part in joined:
                continue
            kept = rows[:MAX_SIGNALS]
            size = next(i for i, most in enumerate(SIZES) if len(kept) <= most)
            index = len(self._parts[size])
            self._add(size, part, kept, index)

    def _add(self, size: int, part: int, rows: list[int], index: int) -> None:
        self._parts[size].append(part)
        # Contributions of empty places are 0 and never the most, but where all are: then the first signal stands for the device.
        self._slots[size].append([*rows, *[rows[0]] * (SIZES[size] - len(rows))])
        self._of_size[size].grow(index + 1)
        self._device[rows] = index * len(SIZES) + size
        self._slot[rows] = np.arange(len(rows))

    def _rates(self, at: NDArray[np.int64], rows: Index, given: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values as they are looked at. A counter that went back, or was not told for days, has no rate now."""
        counts = np.flatnonzero(self.counts[rows])
        if not len(counts):
            return given
        values = given.copy()
        mine, now = rows[counts], at[counts]
        rise, lasted = given[counts] - self._count[mine], now - self._counted[mine]
        usable = (rise >= 0) & (lasted > 0) & (lasted <= GAP_NS)
        values[counts] = np.where(usable, rise / np.maximum(lasted / HOUR_NS, 1e-9), np.nan)
        self._count[mine], self._counted[mine] = given[counts], now
        return values

    _KEPT = ("begun", "bucket", "counts", "_judged", "_least", "_count", "_counted", "_slot", "_device")

    def state(self) -> dict[str, Any]:
        return {name.strip("_"): getattr(self, name) for name in self._KEPT} | {
            "streams": self.streams.state(),
            "residuals": self.residuals.state(),
            "sizes": [each.state() for each in self._of_size],
            "parts": [list(each) for each in self._parts],
            "slots": [[list(rows) for rows in each] for each in self._slots],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        for name in self._KEPT:
            setattr(self, name, np.array(state[name.strip("_")], getattr(self, name).dtype))
        self.streams = FleetStreams.restore(state["streams"])
        self.residuals = residual.Residuals.restore(state["residuals"])
        self._of_size = [DeviceDistances.restore(each) for each in state["sizes"]]
        self._parts = [[int(part) for part in each] for each in state["parts"]]
        self._slots = [[[int(row) for row in rows] for rows in each] for each in state["slots"]]
