"""Readings that wait for their tick, as columns. A tick takes those of its time, oldest first; what is from later waits on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tillwatch.agent.model import MS

MAX_WAITING = 4_000_000
"""Readings, 20 B each. A fleet of 2,000 terminals that all send the backlog of a day at once is half of that. What does not fit is not looked at: it stays in
the journal, and the daily values only lose detail.
"""
PACKED = 100_000
"""Readings that wait as Python objects until they become an array: 80 B each there."""
AHEAD_NS = 86_400 * 10**9
"""Readings from later than a day ahead come from a clock that is wrong: they would wait for years."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Readings:
    """rows; at: UTC ns; values. Ordered by time, then by row, then as they came."""

    rows: NDArray[np.int32]
    at: Ints
    values: Floats

    def __len__(self) -> int:
        return len(self.rows)

    def taken(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Readings:
        return Readings(self.rows[chosen], self.at[chosen], self.values[chosen])


def no_readings() -> Readings:
    return Readings(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0))


def joined(parts: Sequence[Readings]) -> Readings:
    return Readings(
        np.concatenate([each.rows for each in parts]),
        np.concatenate([each.at for each in parts]),
        np.concatenate([each.values for each in parts]),
    )


class Buffer:
    """dropped: readings that found no place; ahead: those from too far ahead."""

    def __init__(self) -> None:
        self.dropped = 0
        self.ahead = 0
        self._packed: list[Readings] = []
        self._waiting = 0
        self._rows: list[int] = []
        self._counts: list[int] = []
        self._at: list[int] = []
        self._values: list[float] = []

    def __len__(self) -> int:
        return self._waiting + len(self._at)

    def add(self, row: int, at_ms: Sequence[int], values: Sequence[float], correction_ms: int) -> None:
        """Readings of one series. at_ms: as the terminal said, UTC ms."""
        if len(self) + len(at_ms) > MAX_WAITING:
            self.dropped += len(at_ms)
            return
        self._rows.append(row)
        self._counts.append(len(at_ms))
        self._at.extend(at_ms if not correction_ms else [each + correction_ms for each in at_ms])
        self._values.extend(values)
        if len(self._at) >= PACKED:
            self._pack()

    def take(self, until: int, now: int) -> Readings:
        """All from before `until`, UTC ns, which then wait no more."""
        self._pack()
        if not self._packed:
            return no_readings()
        waiting = joined(self._packed)
        possible = (waiting.at <= now + AHEAD_NS) & (waiting.at >= 0) & np.isfinite(waiting.values)
        self.ahead += int(len(waiting) - possible.sum())
        due = possible & (waiting.at < until)
        rest = possible & ~due
        self._packed = [waiting.taken(rest)] if rest.any() else []
        self._waiting = int(rest.sum())
        taken = waiting.taken(due)
        return taken.taken(np.lexsort((taken.rows, taken.at)))

    def _pack(self) -> None:
        if self._at:
            rows = np.repeat(np.array(self._rows, np.int32), self._counts)
            self._packed.append(Readings(rows, np.array(self._at, np.int64) * MS, np.array(self._values, np.float64)))
            self._waiting += len(rows)
            self._rows, self._counts, self._at, self._values = [], [], [], []

    def state(self) -> dict[str, Any]:
        self._pack()
        waiting = joined(self._packed) if self._packed else no_readings()
        return {
            "rows": waiting.rows,
            "at": waiting.at,
            "values": waiting.values,
            "dropped": self.dropped,
            "ahead": self.ahead,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        waiting = Readings(
            np.array(state["rows"], np.int32), np.array(state["at"], np.int64), np.array(state["values"], np.float64)
        )
        self._packed = [waiting] if len(waiting) else []
        self._waiting = len(waiting)
        self.dropped, self.ahead = int(state["dropped"]), int(state["ahead"])
