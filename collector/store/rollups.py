"""Single signals of one component out of its hourly roll-ups, by few look-ups: what it said last on a day, and when it began to say something else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgpack

from tillwatch.agent.model import MS, Value
from tillwatch.collector.changes import HOUR_MS
from tillwatch.collector.store.db import Db
from tillwatch.collector.terminal.fleet import Series

DAY_HOURS = 24
HOUR_NS = HOUR_MS * MS
BACK_ROWS = 31 * DAY_HOURS
"""Hours with any reading of the component among which the last word of a signal is looked for: what never changes is read once a day or at each start. Hours in
which nothing came, such as two weeks in the workshop, cost nothing.
"""
_ROW, _MEMBERS = 64, 6
"""Bytes and members of a roll-up without text: a count, a sum, two extremes, a value and its time, with 9 bytes at most each."""
_HOURS = "SELECT hour, signals FROM rollup WHERE terminal = ? AND component = ? AND hour BETWEEN ? AND ? ORDER BY hour"
NEWEST = " DESC"
_FIRST = "SELECT hour FROM rollup WHERE terminal = ? AND component = ? ORDER BY hour LIMIT 1"


def member(packed: bytes, key: bytes, signal: str) -> list[Any] | None:
    """One signal of an hour: [n, sum, min, max, last, last_at], None where it is not in it. Most components have many signals: only the wanted one is unpacked,
    from behind its name. key: the name as msgpack spells it.
    """
    place = packed.find(key)
    if place < 0:
        return None
    try:
        row = msgpack.unpackb(packed[place + len(key) : place + len(key) + _ROW])
    except msgpack.ExtraData as error:
        row = error.unpacked
    except ValueError:
        row = None
    if type(row) is list and len(row) == _MEMBERS:
        return row
    # The name was part of something else, or the latest value is a long text.
    found: list[Any] | None = msgpack.unpackb(packed).get(signal)
    return found


class Told:
    """What one signal of one component told. series: with its open hour, which is in no roll-up yet."""

    def __init__(self, db: Db, terminal: str, component: str, signal: str, series: Series | None = None) -> None:
        self._db = db
        self._series = series
        self._of = terminal, component
        self._signal, self._key = signal, msgpack.packb(signal)

    def rows(self, first: int, last: int, order: str = "") -> Iterator[list[Any]]:
        """Of the hours from first to last (since 1970, UTC) in which it was read. order: empty, or NEWEST and what follows it."""
        opened = [self._series.rollup()] if self._series is not None and first <= self._series.hour <= last else []
        yield from opened if order else ()
        for _, packed in self._db.execute(f"{_HOURS}{order}", (*self._of, first, last)):
            if (row := member(packed, self._key, self._signal)) is not None:
                yield row
        yield from () if order else opened

    def of_day(self, day: int) -> list[Any] | None:
        """The last hour of a day (since 1970, UTC) in which it was read."""
        return next(self.rows(day * DAY_HOURS, day * DAY_HOURS + DAY_HOURS - 1, NEWEST), None)

    def by(self, day: int) -> list[Any] | None:
        """The last hour up to the end of a day in which it was read."""
        return next(self.rows(0, day * DAY_HOURS + DAY_HOURS - 1, f"{NEWEST} LIMIT {BACK_ROWS}"), None)

    def daily(self, start: int, end: int) -> Iterator[tuple[int, Value]]:
        """(UTC ns, value): the last word of each day between two UTC ns."""
        for day in range(day_of(start), day_of(end - 1) + 1):
            if (row := self.of_day(day)) is not None:
                yield row[5], row[4]

    def turns(self, start: int, end: int) -> list[tuple[int, Value, Value]]:
        """(UTC ns, before, after) where it said something else from then on. Where it says the same at both ends of a time it is taken to have done so all
        along: what changes once in years is found by halving, and what changed and changed back between two looks is not seen.
        """
        first = day_of(max(start, first_hour(self._db, *self._of)))
        return sorted(self._halve(first, self.by(first), day_of(end - 1), self.by(day_of(end - 1))))

    def _halve(
        self, first: int, early: list[Any] | None, last: int, late: list[Any] | None
    ) -> Iterator[tuple[int, Value, Value]]:
        if first >= last or late is None or (early is not None and early[4] == late[4]):
            return
        if last - first > 1:
            middle = (first + last) // 2
            between = self.by(middle)
            yield from self._halve(first, early, middle, between)
            yield from self._halve(middle, between, last, late)
        elif early is not None:
            hours = self.rows(last * DAY_HOURS, last * DAY_HOURS + DAY_HOURS - 1)
            yield next((row[5] for row in hours if row[4] == late[4]), late[5]), early[4], late[4]


def first_hour(db: Db, terminal: str, component: str) -> int:
    """UTC ns from which on anything is kept of a component; 0: nothing is."""
    row = db.execute(_FIRST, (terminal, component)).fetchone()
    return int(row[0]) * HOUR_NS if row else 0


def day_of(at: int) -> int:
    return at // HOUR_NS // DAY_HOURS
