"""The days of each series: how many readings, their mean, least, highest and last. A ring of nine weeks in float32, into which late readings are still put."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tillwatch.collector.predict.buffer import Readings
from tillwatch.collector.predict.settings import DAY_NS

DAYS = 64
"""Days kept: nine weeks show a drift of weeks. What the trend is reckoned from."""
KEPT = ("n", "mean", "least", "most", "last")
BYTES = DAYS * len(KEPT) * 4 + 20
"""A series."""

Ring = NDArray[np.float32]


class Daily:
    """Rows are those of the registry; each of KEPT is (rows x DAYS), day d in column d % DAYS, n 0 and the others nan where there was no reading. newest:
    last day of each row, UTC days since 1970; -1 for none. latest: UTC ns of the last reading of each row, value: what
    it was, exact, for counters beyond what float32 tells apart.
    """

    def __init__(self) -> None:
        self.newest = np.full(0, -1, np.int32)
        self.latest = np.zeros(0, np.int64)
        self.value = np.full(0, np.nan)
        self.n, self.mean, self.least, self.most, self.last = (np.zeros((0, DAYS), np.float32) for _ in KEPT)
        self.late = 0

    def __len__(self) -> int:
        return len(self.newest)

    def grow(self, rows: int) -> None:
        if rows <= len(self):
            return
        more = max(rows, min(2 * len(self), len(self) + 10_000)) - len(self)
        self.newest = np.concatenate([self.newest, np.full(more, -1, np.int32)])
        self.latest = np.concatenate([self.latest, np.zeros(more, np.int64)])
        self.value = np.concatenate([self.value, np.full(more, np.nan)])
        self.n = np.concatenate([self.n, np.zeros((more, DAYS), np.float32)])
        for name in KEPT[1:]:
            ring = np.full((more, DAYS), np.nan, np.float32)
            setattr(self, name, np.concatenate([getattr(self, name), ring]))

    def add(self, readings: Readings) -> None:
        """readings: in order of time. Those from before the ring are left out and counted in `late`."""
        if not len(readings):
            return
        self.grow(int(readings.rows.max()) + 1)
        days = readings.at // DAY_NS
        order = np.lexsort((days, readings.rows))
        rows, day, values = readings.rows[order], days[order], readings.values[order]
        first = np.flatnonzero(np.r_[True, (rows[1:] != rows[:-1]) | (day[1:] != day[:-1])])
        last = np.r_[first[1:], len(rows)] - 1
        row, of_day = rows[first], day[first].astype(np.int32)
        n = (last - first + 1).astype(np.float32)
        total = np.add.reduceat(values, first)
        least, most = np.minimum.reduceat(values, first), np.maximum.reduceat(values, first)
        at = readings.at[order][last]
        for each in np.unique(of_day):  # a backlog holds some days, a usual tick one or two
            here = np.flatnonzero(of_day == each)
            self._merge(
                row[here], int(each), n[here], total[here], least[here], most[here], values[last][here], at[here]
            )

    def _merge(
        self,
        rows: NDArray[np.int32],
        day: int,
        n: NDArray[np.float32],
        total: NDArray[np.float64],
        least: NDArray[np.float64],
        most: NDArray[np.float64],
        last: NDArray[np.float64],
        at: NDArray[np.int64],
    ) -> None:
        self._open(rows, day)
        kept = self.newest[rows] - day < DAYS
        self.late += int(n[~kept].sum())
        rows, n, at = rows[kept], n[kept], at[kept]
        total, least, most, last = total[kept], least[kept], most[kept], last[kept]
        place = day % DAYS
        before = self.n[rows, place]
        had = before > 0
        old = np.where(had, self.mean[rows, place], 0.0).astype(np.float64)
        self.mean[rows, place] = (old * before + total) / (before + n)
        self.least[rows, place] = np.fmin(self.least[rows, place], least)
        self.most[rows, place] = np.fmax(self.most[rows, place], most)
        newer = (at > self.latest[rows]) | (self.newest[rows] > day) | ~had
        self.last[rows[newer], place] = last[newer]
        self.n[rows, place] = before + n
        latest = at > self.latest[rows]
        self.value[rows[latest]] = last[latest]
        self.latest[rows] = np.maximum(self.latest[rows], at)

    def _open(self, rows: NDArray[np.int32], day: int) -> None:
        """Days between the newest one and this one are without readings."""
        ahead = rows[self.newest[rows] < day]
        if not len(ahead):
            return
        gone = np.minimum(day - self.newest[ahead], DAYS)
        for back in range(int(gone.max())):
            passed = ahead[gone > back]
            self.n[passed, (day - back) % DAYS] = 0
            for name in KEPT[1:]:
                getattr(self, name)[passed, (day - back) % DAYS] = np.nan
        self.newest[ahead] = day

    def forget(self, rows: Sequence[int]) -> None:
        """All days: those of an old part say nothing of the new one. What was read last stays."""
        chosen = np.array(rows, np.intp)
        self.n[chosen] = 0
        for name in KEPT[1:]:
            getattr(self, name)[chosen] = np.nan

    def window(self, name: str, rows: NDArray[np.intp], today: int) -> Ring:
        """(rows x DAYS) of one of KEPT up to today, oldest first, nan (n: 0) for days without readings."""
        columns = np.arange(today - DAYS + 1, today + 1) % DAYS
        ring: Ring = getattr(self, name)[rows][:, columns]
        days = np.arange(today - DAYS + 1, today + 1)
        unknown = (days[None, :] > self.newest[rows][:, None]) | (days[None, :] <= self.newest[rows][:, None] - DAYS)
        return np.where(unknown, np.float32(0 if name == "n" else np.nan), ring)

    def of_day(self, name: str, rows: NDArray[np.intp], day: int) -> Ring:
        """One of KEPT on one day, nan (n: 0) where it is not in the ring."""
        inside = (day <= self.newest[rows]) & (day > self.newest[rows] - DAYS)
        ring: Ring = getattr(self, name)[rows, day % DAYS]
        return np.where(inside, ring, np.float32(0 if name == "n" else np.nan))

    def count(self, rows: NDArray[np.intp], day: int) -> Ring:
        """Readings of a day."""
        return self.of_day("n", rows, day)

    def state(self) -> dict[str, Any]:
        return {"newest": self.newest, "latest": self.latest, "value": self.value, "late": self.late} | {
            n: getattr(self, n) for n in KEPT
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.newest, self.latest = np.array(state["newest"], np.int32), np.array(state["latest"], np.int64)
        self.value = np.array(state["value"], np.float64)
        self.late = int(state["late"])
        for name in KEPT:
            setattr(self, name, np.array(state[name], np.float32))
