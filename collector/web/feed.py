"""What every open page shows, read once for all of them: one poller asks the store for its revision, and only when it moved
reads the fleet, finds the rows that differ and tells the pages that show them. A page then fetches what changed at its own pace.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tillwatch.agent.model import MS
from tillwatch.collector.incident.incident_views import ConsoleReader
from tillwatch.collector.people.roles import Scope
from tillwatch.collector.read import AlarmView, TerminalView, WaitingView
from tillwatch.collector.web.reads import Reads

log = logging.getLogger(__name__)

POLL_S = 1.0
"""An engineer must see a change within two seconds; the revision is one cheap read."""

MAX_OPEN_ALARMS = 5_000
"""Open alarms read for the fleet. More means a flood that no list helps with; the pages then say "at least"."""

REMOVED_KEPT = 1_000
"""Removed terminals remembered for pages that are behind; older pages get the whole fleet again."""

DOCUMENTS_KEPT = 64
"""Documents kept for one revision: pages differ by a few polls; whoever invents tokens costs work, not memory."""

CONDITIONS = ("crit", "unknown", "warn", "ok")
"""Worst first, as the store orders them: what is not known may be worse than what is known to be a warning."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures above the fleet. levels: open alarms of level 1, 2, 3, without those that are over. newest: when anything last arrived, UTC ns, 0 for never."""

    terminals: int
    conditions: dict[str, int]
    levels: tuple[int, int, int]
    at_least: bool
    silent: int
    newest: int


def summarise(terminals: Iterable[TerminalView], alarms: Sequence[AlarmView]) -> Summary:
    conditions = dict.fromkeys(CONDITIONS, 0)
    total = silent = newest = 0
    for view in terminals:
        total += 1
        conditions[view.condition if view.condition in conditions else "unknown"] += 1
        silent += view.connection == "silent"
        newest = max(newest, view.last_received)
    levels = [0, 0, 0]
    for alarm in alarms:
        levels[min(max(alarm.level, 1), 3) - 1] += alarm.condition != "normal"
    return Summary(total, conditions, (levels[0], levels[1], levels[2]), len(alarms) >= MAX_OPEN_ALARMS, silent, newest)


Row = tuple[str | int, ...]

ROW_FIELDS = (
    "id", "rank", "condition", "reason", "branch", "region", "class", "connection", "level", "alarm", "alarms", "at", "lost", "components", "unknown",
    "state", "stated",
)  # fmt: skip
"""The names of a row's places; console.js reads rows by them. `at` and `stated` are UTC milliseconds."""

_BRANCH, _REGION = ROW_FIELDS.index("branch"), ROW_FIELDS.index("region")
WHOLE = Scope()


def row(view: TerminalView, worst: AlarmView | None) -> Row:
    """One terminal as the fleet table takes it. rank orders worst first: level, then condition."""
    condition = view.condition if view.condition in CONDITIONS else "unknown"
    rank = (view.level or 4) * 10 + CONDITIONS.index(condition)
    return (
        view.id, rank, condition, view.reason, view.branch, view.region, view.terminal_class, view.connection, view.level, worst.text if worst else "",
        view.open_alarms, view.last_received // MS, view.lost, view.components, view.unknown_components,
        view.state.state if view.state is not None else "", view.state.since // MS if view.state is not None else 0,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """What one poll found different."""

    revision: str
    terminals: frozenset[str]
    alarms: bool
    store: bool
    incidents: bool = False
    undelivered: bool = False
    deliveries: bool = False
    foretold: bool = False


@dataclass(slots=True)
class _Fleet:
    """Rows with the tick at which each last changed. A tick is a poll that found a difference; it never goes back."""

    tick: int = 0
    rows: dict[str, Row] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    removed: list[tuple[int, str]] = field(default_factory=list)
    forgotten: int = 0

    def take(self, rows: dict[str, Row]) -> frozenset[str]:
        """Replaces the rows; gives the terminals that differ."""
        differ = {key for key, value in rows.items() if self.rows.get(key) != value}
        gone = self.rows.keys() - rows.keys()
        if not differ and not gone:
            return frozenset()
        self.tick += 1
        for key in differ:
            self.changed[key] = self.tick
        for key in gone:
            self.changed.pop(key, None)
            self.removed.append((self.tick, key))
        if len(self.removed) > REMOVED_KEPT:
            self.forgotten = self.removed[-REMOVED_KEPT - 1][0]
            del self.removed[:-REMOVED_KEPT]
        self.rows = rows
        return frozenset(differ | gone)


class Feed:
    """The fleet as last read, and who wants to know of changes. Everything but the reads runs on the event loop."""

    def __init__(self, reads: Reads, now: Callable[[], int] = time.time_ns) -> None:
        self.revision = ""
        self.terminals: dict[str, TerminalView] = {}
        self.alarms: Sequence[AlarmView] = ()
        self.summary = summarise((), ())
        self.undelivered: tuple[WaitingView, ...] = ()
        self.problem = ""
        self.closing = False
        self._reads = reads
        self._now = now
        self._waiting: Sequence[WaitingView] = ()
        self._undone = (0, 0)
        self._foretold = (0, -1)
        self._fleet = _Fleet()
        self._handled = -1
        self._life = time.time_ns() // MS  # a page that outlived the process asks with a tick of another life
        self._listeners: dict[object, Callable[[Change], None]] = {}
        self._documents: dict[tuple[int, Scope], bytes] = {}
        self._first = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._poll(), name="poll the store")

    def close(self) -> None:
        """Tells every listener that the console goes down, so that open streams end by themselves."""
        self.closing = True
        self._tell(Change(self.revision, frozenset(), alarms=False, store=False))

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def ready(self) -> None:
        """Waits for the first answer of the store, good or bad."""
        await self._first.wait()

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Calls `listener` after each change until the function that this returns is called."""
        key = object()
        self._listeners[key] = listener

        def forget() -> None:
            self._listeners.pop(key, None)

        return forget

    def summary_of(self, scope: Scope) -> Summary:
        """The figures above one part of the fleet."""
        if scope.whole:
            return self.summary
        terminals = self.terminals_of(scope)
        return summarise(terminals.values(), [alarm for alarm in self.alarms if alarm.terminal in terminals])

    def terminals_of(self, scope: Scope) -> Mapping[str, TerminalView]:
        if scope.whole:
            return self.terminals
        return {name: view for name, view in self.terminals.items() if scope.covers(view.branch, view.region)}

    def document(self, since: str, scope: Scope = WHOLE) -> bytes:
        """The fleet for the table, gzipped JSON: the rows that changed after `since`, a token of an earlier document, or all of them, of whose part of
        the fleet it is for. Made once for all pages that ask the same, so fifty viewers cost what one costs.
        """
        life, _, number = since.partition("-")
        tick = int(number) if life == str(self._life) and number.isdecimal() else -1
        fleet = self._fleet
        if not fleet.forgotten <= tick <= fleet.tick:
            tick = -1
        if (made := self._documents.get((tick, scope))) is not None:
            return made
        rows = fleet.rows.values() if tick < 0 else [fleet.rows[key] for key, at in fleet.changed.items() if at > tick]
        rows = [row for row in rows if scope.covers(str(row[_BRANCH]), str(row[_REGION]))]
        body = {
            "token": f"{self._life}-{fleet.tick}",
            "whole": tick < 0,
            "fields": ROW_FIELDS,
            "rows": rows,
            "removed": [] if tick < 0 else [key for at, key in fleet.removed if at > tick and key not in fleet.rows],
        }
        made = gzip.compress(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(), compresslevel=4)
        if len(self._documents) < DOCUMENTS_KEPT:
            self._documents[tick, scope] = made
        return made

    async def _poll(self) -> None:
        while True:
            try:
                change = await self._once()
                if self.problem:
                    log.info("the store can be read again")
                    self.problem, change = "", change or Change(self.revision, frozenset(), alarms=False, store=True)
            except Exception as error:  # whatever the store throws, the pages stay up and say so
                change = None
                if not self.problem:
                    log.warning("the store cannot be read: %s", error)
                    change = Change(self.revision, frozenset(), alarms=False, store=True)
                self.problem = str(error) or type(error).__name__
            self._first.set()
            if change is not None:
                self._tell(change)
            await asyncio.sleep(POLL_S)

    def _tell(self, change: Change) -> None:
        for listener in tuple(self._listeners.values()):
            try:
                listener(change)
            except Exception:  # one page that is going away must not keep the news from the others
                log.debug("a page did not take a change", exc_info=True)

    async def _once(self) -> Change | None:
        revision = await self._reads.revision()
        if revision == self.revision:
            # What waits becomes late by time alone, and nothing is written where the collector itself is down.
            late = self._look()
            return Change(revision, frozenset(), alarms=False, store=False, undelivered=True) if late else None
        terminals, alarms, rows, handled, self._waiting, undone, foretold = await self._reads.whole(_read_fleet)
        moved = self._fleet.take(rows)
        told = Change(
            revision, moved, alarms=alarms != self.alarms, store=False, incidents=handled != self._handled, undelivered=self._look(),
            deliveries=undone != self._undone, foretold=foretold != self._foretold,
        )  # fmt: skip
        self.terminals, self.alarms, self._handled, self._undone, self._foretold = (
            terminals,
            alarms,
            handled,
            undone,
            foretold,
        )
        self.summary = summarise(terminals.values(), alarms)
        self.revision = revision
        self._documents.clear()
        return told

    def _look(self) -> bool:
        """Whether something else than before waits too long."""
        now, before = self._now(), self.undelivered
        self.undelivered = tuple(each for each in self._waiting if each.late(now))
        return self.undelivered != before


def _read_fleet(
    reader: ConsoleReader,
) -> tuple[
    dict[str, TerminalView],
    Sequence[AlarmView],
    dict[str, Row],
    int,
    Sequence[WaitingView],
    tuple[int, int],
    tuple[int, int],
]:
    terminals = {view.id: view for view in reader.terminals()}
    alarms = tuple(reader.alarms(open_only=True, limit=MAX_OPEN_ALARMS))
    worst: dict[str, AlarmView] = {}
    for alarm in alarms:  # level 1 first, newest first within a level
        if alarm.condition != "normal":
            worst.setdefault(alarm.terminal, alarm)
    rows = {key: row(view, worst.get(key)) for key, view in terminals.items()}
    return terminals, alarms, rows, reader.handled(), reader.waiting(), reader.undone(), reader.foretold()
