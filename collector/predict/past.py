"""The stored history as an engine hears it: the log in its order, with the readings of sealed batches, and where those are not there any more, with the
last value of each hour out of the roll-ups. Reads one consistent state of the store, and holds an hour of one terminal at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

import msgpack

from tillwatch.agent.model import MS, Quality, State
from tillwatch.agent.wire import Column
from tillwatch.collector.changes import HOUR_MS
from tillwatch.collector.journal import Entry, Kind
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.log import Fault, Log, Logged
from tillwatch.device_profiles.catalogue import kept_catalogue

HOUR_NS = HOUR_MS * MS
MAX_FAULTS = 20
"""Told of a damaged log: `verify --log` tells all of them."""
_ROLLUPS = (
    "SELECT hour, signals FROM rollup WHERE terminal = ? AND component = ? AND hour BETWEEN ? AND ? ORDER BY hour"
)

Wanted = Callable[[str, str], bool]
"""(component, signal) -> whether it is read."""


def everything(_component: str, _signal: str) -> bool:
    """All of it."""
    return True


@dataclass(slots=True)
class Told:
    """What a walk met. batches: with their readings; hourly: terminals -> the last hour, since 1970, that came out of roll-ups; faults: what does not fit."""

    entries: int = 0
    batches: int = 0
    hourly: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


class Hours:
    """The last reading of each hour, of each terminal once. first: the first hour since 1970 that is read."""

    def __init__(self, db: Db, wanted: Wanted = everything, *, first: int = 0) -> None:
        self._db = db
        self._wanted = wanted
        self._first = first
        self._taken: dict[str, int] = {}
        self._parts: dict[str, dict[str, None]] = {}

    def taken(self, terminal: str) -> int:
        """The last hour that was told, since 1970."""
        return self._taken.get(terminal, self._first - 1)

    def leave(self, terminal: str, component: str) -> None:
        """It need not be read any more."""
        self._of(terminal).pop(component, None)

    def take(self, terminal: str, at: int) -> list[Column]:
        """What is new of a terminal in hours that were over at this time, UTC ns. Empty within the same hour."""
        first, last = self.taken(terminal) + 1, at // HOUR_NS - 1
        if last < first:
            return []
        self._taken[terminal] = last
        columns: list[Column] = []
        for component in tuple(self._of(terminal)):
            columns += self._columns(terminal, component, first, last)
        return columns

    def _of(self, terminal: str) -> dict[str, None]:
        known = self._parts.get(terminal)
        if known is None:
            rows = self._db.execute("SELECT name FROM component WHERE terminal = ? ORDER BY name", (terminal,))
            known = self._parts[terminal] = dict.fromkeys(name for (name,) in rows)
        return known

    def _columns(self, terminal: str, component: str, first: int, last: int) -> list[Column]:
        found: dict[str, tuple[list[int], list[object]]] = {}
        for _, packed in self._db.execute(_ROLLUPS, (terminal, component, first, last)):
            for signal, row in msgpack.unpackb(packed).items():
                if row[4] is not None and self._wanted(component, signal):
                    at, values = found.setdefault(signal, ([], []))
                    at.append(row[5] // MS)
                    values.append(row[4])
        return [_column(component, signal, at, values) for signal, (at, values) in found.items()]


def _column(component: str, signal: str, at: list[int], values: list[object]) -> Column:
    numeric = all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)
    odd = None if numeric else {i: (Quality.GOOD, judged(signal, each)) for i, each in enumerate(values)}
    return Column(component, signal, at, values, Quality.GOOD, State.NONE, numeric, odd)  # type: ignore[arg-type]  # as they were read


@cache
def _words(signal: str) -> dict[str, State]:
    known = kept_catalogue().signals.get(signal)
    return {word: State[said.upper()] for word, said in known.states} if known is not None else {}


def judged(signal: str, value: object) -> State:
    """What the catalogue says of a word: a roll-up does not keep what the terminal said of it."""
    return _words(signal).get(value, State.NONE) if isinstance(value, str) else State.NONE


Progress = Callable[[int, float], None]
"""(UTC ns of the entry that was read, share that is done)."""


class Past:
    """db: in one consistent state for as long as it is read. frames: whether sealed batches are opened, or roll-ups read in their place at once; since: batches
    from before (UTC ns) are passed over.
    """

    def __init__(self, db: Db, wanted: Wanted = everything, *, frames: bool = True, since: int = 0) -> None:
        self._db, self._frames, self._since = db, frames, since
        self.hours = Hours(db, wanted, first=since // HOUR_NS)
        self.told = Told()

    def walk(
        self, until: int, progress: Progress = lambda _at, _share: None
    ) -> Iterator[tuple[Logged, Sequence[Column]]]:
        """Every entry up to this time, UTC ns. With a batch that has no frame the hours of its terminal that were not told yet; else nothing beside it."""
        log = Log(self._db)
        head, _ = log.head()
        for logged in log.walk(self.fault, frames=self._wants):
            entry = logged.entry
            if entry.at > until:
                break
            self.told.entries += 1
            if self.told.entries % 1024 == 0:
                progress(entry.at, entry.n / max(head, 1))
            columns: Sequence[Column] = ()
            if entry.kind is Kind.BATCH and entry.at >= self._since:
                self.told.batches += 1
                if logged.frame is None:
                    columns = self.hours.take(entry.terminal, entry.at)
                    if columns:
                        self.told.hourly[entry.terminal] = self.hours.taken(entry.terminal)
            yield logged, columns

    def _wants(self, entry: Entry) -> bool:
        return self._frames and entry.at >= self._since

    def fault(self, fault: Fault) -> None:
        """Something in the log does not fit. A frame that is not there is no fault here: that is what the hours are for."""
        if fault.what != "hole" and len(self.told.faults) < MAX_FAULTS:
            self.told.faults.append(fault)
