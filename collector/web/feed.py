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
from tillwatch.collector.alarm.rules import Rules
from tillwatch.collector.incident.incident_views import ConsoleReader
from tillwatch.collector.people.roles import Scope
from tillwatch.collector.read import AlarmView, Mark, TerminalView, WaitingView
from tillwatch.collector.web.reads import Reads
from tillwatch.collector.web.translation import Translation

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

WHOLE_S = 15.0
"""How often the whole fleet is read while the store changes, whatever is known of what did: a part that falls silent leaves no word. At 10,000
terminals that is half a second of a core; reading only what was touched takes some hundredths.
"""

ROW_FIELDS = (
    "id", "rank", "condition", "branch", "region", "class", "connection", "level", "alarm", "at", "unknown", "state", "stated", "cells", "version", "ring",
)  # fmt: skip
"""The names of a row's places; fleet.js reads rows by them. `alarm` is the rule of the worst one, its words stand once in the document; `at` and
`stated` are UTC milliseconds; `cells` has a letter for each of component_groups.GROUPS.
"""

_BRANCH, _REGION, _ALARM = (ROW_FIELDS.index(name) for name in ("branch", "region", "alarm"))
WHOLE = Scope()


def row(view: TerminalView, worst: AlarmView | None) -> Row:
    """One terminal as the fleet table takes it. rank orders worst first: level, then condition."""
    condition = view.condition if view.condition in CONDITIONS else "unknown"
    rank = (view.level or 4) * 10 + CONDITIONS.index(condition)
    return (
        view.id, rank, condition, view.branch, view.region, view.terminal_class, view.connection, view.level, worst.rule if worst else "",
        view.last_received // MS, view.unknown_components, view.state.state if view.state is not None else "",
        view.state.since // MS if view.state is not None else 0, view.cells.letters, view.version, view.ring,
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


@dataclass(frozen=True, slots=True)
class _Gone:
    """A terminal that is not where it was: it does not exist any more, or belongs to another place. Told to those who saw it there."""

    tick: int
    terminal: str
    branch: str
    region: str


@dataclass(slots=True)
class _Fleet:
    """Rows with the tick at which each last changed. A tick is a poll that found a difference; it never goes back."""

    tick: int = 0
    rows: dict[str, Row] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    removed: list[_Gone] = field(default_factory=list)
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
            if key in self.rows and _place(self.rows[key]) != _place(rows[key]):
                self.removed.append(_Gone(self.tick, key, *_place(self.rows[key])))
        for key in gone:
            self.changed.pop(key, None)
            self.removed.append(_Gone(self.tick, key, *_place(self.rows[key])))
        if len(self.removed) > REMOVED_KEPT:
            self.forgotten = self.removed[-REMOVED_KEPT - 1].tick
            del self.removed[:-REMOVED_KEPT]
        self.rows = rows
        return frozenset(differ | gone)

    def gone(self, since: int, scope: Scope) -> list[str]:
        """What is not in this part of the fleet any more."""
        return [
            one.terminal
            for one in self.removed
            if one.tick > since
            and scope.covers(one.branch, one.region)
            and not (one.terminal in self.rows and scope.covers(*_place(self.rows[one.terminal])))
        ]


def _place(row: Row) -> tuple[str, str]:
    return str(row[_BRANCH]), str(row[_REGION])


@dataclass(frozen=True, slots=True)
class _Read:
    """What one look at the store gave. worst: the gravest alarm of each terminal; more: others may have changed, which were not read."""

    mark: Mark
    terminals: dict[str, TerminalView]
    alarms: Sequence[AlarmView]
    worst: dict[str, AlarmView]
    rows: dict[str, Row]
    handled: int
    waiting: Sequence[WaitingView]
    undone: tuple[int, int]
    foretold: tuple[int, int]
    rules: Rules
    more: bool = False


class Feed:
    """The fleet as last read, and who wants to know of changes. Everything but the reads runs on the event loop."""

    def __init__(
        self, reads: Reads, now: Callable[[], int] = time.time_ns, translation: Translation | None = None
    ) -> None:
        self.revision = ""
        self.terminals: dict[str, TerminalView] = {}
        self.alarms: Sequence[AlarmView] = ()
        self.summary = summarise((), ())
        self.undelivered: tuple[WaitingView, ...] = ()
        self.problem = ""
        self.closing = False
        self._reads = reads
        self._now = now
        self._last: _Read | None = None
        self._whole_at = time.monotonic()
        self._whole: asyncio.Task[_Read] | None = None
        self._fresh: _Read | None = None  # the whole fleet, not shown yet
        self._partly = self._due = False
        self._fleet = _Fleet()
        self._life = time.time_ns() // MS  # a page that outlived the process asks with a tick of another life
        self._listeners: dict[object, Callable[[Change], None]] = {}
        self._translation = translation
        self._documents: dict[tuple[int, Scope, str], bytes] = {}
        self._words: dict[str, dict[str, str]] = {}
        self._summaries: dict[Scope, Summary] = {}
        self._first = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._poll(), name="poll the store")

    def close(self) -> None:
        """Tells every listener that the console goes down, so that open streams end by themselves."""
        self.closing = True
        self._tell(Change(self.revision, frozenset(), alarms=False, store=False))

    async def stop(self) -> None:
        for task in (self._task, self._whole):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

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
        if (made := self._summaries.get(scope)) is None:
            terminals = self.terminals_of(scope)
            made = summarise(terminals.values(), [alarm for alarm in self.alarms if alarm.terminal in terminals])
            if len(self._summaries) < DOCUMENTS_KEPT:
                self._summaries[scope] = made
        return made

    def terminals_of(self, scope: Scope) -> Mapping[str, TerminalView]:
        if scope.whole:
            return self.terminals
        return {name: view for name, view in self.terminals.items() if scope.covers(view.branch, view.region)}

    def worst(self, terminal: str) -> AlarmView | None:
        """The gravest open alarm of a terminal."""
        return self._last.worst.get(terminal) if self._last is not None else None

    def document(self, since: str, scope: Scope = WHOLE, language: str = "en") -> bytes:
        """The fleet for the table, gzipped JSON: the rows that changed after `since`, a token of an earlier document, or all of them, of whose part of
        the fleet it is for, with the words of their alarms. Made once for all pages that ask the same, so fifty viewers cost what one costs.
        """
        life, _, number = since.partition("-")
        tick = int(number) if life == str(self._life) and number.isdecimal() else -1
        fleet = self._fleet
        if not fleet.forgotten <= tick <= fleet.tick:
            tick = -1
        if (made := self._documents.get((tick, scope, language))) is not None:
            return made
        rows = fleet.rows.values() if tick < 0 else [fleet.rows[key] for key, at in fleet.changed.items() if at > tick]
        rows = [row for row in rows if scope.covers(*_place(row))]
        body = {
            "token": f"{self._life}-{fleet.tick}",
            "whole": tick < 0,
            "fields": ROW_FIELDS,
            "rows": rows,
            "alarms": self._told(rows, language),
            "removed": [] if tick < 0 else fleet.gone(tick, scope),
        }
        made = gzip.compress(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(), compresslevel=4)
        if len(self._documents) < DOCUMENTS_KEPT:
            self._documents[tick, scope, language] = made
        return made

    def _told(self, rows: Iterable[Row], language: str) -> dict[str, str]:
        """Rule -> what its alarm says, of the alarms of these rows."""
        words = self._words.get(language)
        if words is None:
            words = self._words[language] = {}
            rules = self._last.rules if self._last is not None else None
            for alarm in self.alarms:
                if alarm.rule not in words:
                    words[alarm.rule] = alarm.text
                    if self._translation is not None and rules is not None and alarm.rule in rules.by_id:
                        words[alarm.rule] = self._translation.text(rules, alarm.rule, language)
        return {rule: words[rule] for rule in {str(row[_ALARM]) for row in rows} if rule in words}

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

    @property
    def _caught_up(self) -> bool:
        return self._fresh is None and self._last is not None

    async def _read_all(self) -> None:
        """Reads the whole fleet beside the polls, which go on meanwhile: when it is due, or something may have changed that nothing names."""
        if self._whole is not None and self._whole.done():
            done, self._whole, self._due = self._whole, None, True  # asked for again if it failed
            self._fresh, self._due = await done, False
        overdue = self._partly and time.monotonic() - self._whole_at > WHOLE_S
        if self._whole is None and self._fresh is None and self._last is not None and (overdue or self._due):
            self._whole_at, self._partly, self._due = time.monotonic(), False, False
            self._whole = asyncio.create_task(self._reads.whole(_read_whole), name="read the whole fleet")

    async def _once(self) -> Change | None:
        revision = await self._reads.revision()
        await self._read_all()
        if revision == self.revision and self._caught_up:
            # What waits becomes late by time alone, and nothing is written where the collector itself is down.
            late = self._look()
            return Change(revision, frozenset(), alarms=False, store=False, undelivered=True) if late else None
        last, start = self._last, self._fresh or self._last
        read = await self._reads.whole(
            lambda reader: _read_on(reader, start) if start is not None else _read_whole(reader)
        )
        self._partly |= start is not None and self._fresh is None
        self._due |= read.more
        self._fresh = None
        self._last = read
        before = last.terminals if last is not None else {}
        others = {key for key, view in read.terminals.items() if before.get(key) != view}  # also by what no row shows
        moved = self._fleet.take(read.rows) | others
        told = Change(
            revision, moved, alarms=read.alarms != self.alarms, store=False, incidents=last is None or read.handled != last.handled, undelivered=self._look(),
            deliveries=last is None or read.undone != last.undone, foretold=last is None or read.foretold != last.foretold,
        )  # fmt: skip
        self.terminals, self.alarms = read.terminals, read.alarms
        if moved or told.alarms:
            self.summary = summarise(read.terminals.values(), read.alarms)
        self.revision = revision
        for made in (self._documents, self._summaries, self._words):
            made.clear()
        return told

    def _look(self) -> bool:
        """Whether something else than before waits too long."""
        now, before = self._now(), self.undelivered
        waiting = self._last.waiting if self._last is not None else ()
        self.undelivered = tuple(each for each in waiting if each.late(now))
        return self.undelivered != before


def _read_whole(reader: ConsoleReader) -> _Read:
    mark = reader.touched(None).mark
    terminals = {view.id: view for view in reader.terminals()}
    alarms = tuple(reader.alarms(open_only=True, limit=MAX_OPEN_ALARMS))
    worst = _worst(alarms)
    rows = {key: row(view, worst.get(key)) for key, view in terminals.items()}
    return _Read(
        mark,
        terminals,
        alarms,
        worst,
        rows,
        reader.handled(),
        reader.waiting(),
        reader.undone(),
        reader.foretold(),
        reader.in_force().rules,
    )


def _read_on(reader: ConsoleReader, last: _Read) -> _Read:
    """What changed since then. The mark is taken first: what comes in meanwhile is read twice rather than not at all."""
    touched = reader.touched(last.mark)
    if touched.terminals is None:
        return _read_whole(reader)
    alarms, worst = last.alarms, last.worst
    if touched.alarms:
        alarms = tuple(reader.alarms(open_only=True, limit=MAX_OPEN_ALARMS))
        worst = _worst(alarms)
    fresh = {view.id: view for view in reader.terminals_of(touched.terminals)}
    rows = last.rows | {key: row(view, worst.get(key)) for key, view in fresh.items()}
    return _Read(
        touched.mark, last.terminals | fresh, alarms, worst, rows, reader.handled(), reader.waiting(), reader.undone(), reader.foretold(),
        reader.in_force().rules, touched.more,
    )  # fmt: skip


def _worst(alarms: Sequence[AlarmView]) -> dict[str, AlarmView]:
    worst: dict[str, AlarmView] = {}
    for alarm in alarms:  # level 1 first, newest first within a level
        if alarm.condition != "normal":
            worst.setdefault(alarm.terminal, alarm)
    return worst
