"""What happens becomes record: journal, fold, commit. A group of entries is one transaction, whoever brings it: messages of terminals, acts of
operators, the predictions, ticket systems, the start and the stop. When the store refuses one, nothing of it has happened.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import msgpack

from tillwatch.agent.wire import Life, Opened, SigningKey
from tillwatch.collector.alarm.diagnosis import Cards
from tillwatch.collector.alarm.foretelling import SaidError, check
from tillwatch.collector.clock import JournalTime, SteadyClock
from tillwatch.collector.config import changes
from tillwatch.collector.fold import Fold
from tillwatch.collector.intake import Message
from tillwatch.collector.journal import Entry, Journal, Kind
from tillwatch.collector.proof.signed_acts import sealed
from tillwatch.collector.store import requests
from tillwatch.collector.store.beside import written
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.sqlite import Commit, FencedError, Store, StoreError
from tillwatch.collector.tickets.message import TicketMessage

log = logging.getLogger(__name__)

STEP = 2_000
"""Timers that come due between two commits: some two seconds of work. Where a region falls silent at once there are a hundred times as many, and a service
manager waits a minute for a word.
"""
IDENTITY_ACTS = frozenset({"enrol", "certify", "rotate", "revoke"})


class Journalling:
    """clock: UTC ns; steady: the clock to use instead, and to take the jumps of. on_identity: called with the terminals whose keys or
    certificates have changed, once that is stored; fenced: set once the store has said that another one is the writer; kept: groups that were stored since the start; likewise on_act with the facts of each act, and on_messages with what is to be told outside.
    """

    def __init__(
        self,
        store: Store,
        key: SigningKey,
        units: Mapping[str, str],
        *,
        page: str = "",
        cards: Cards | None = None,
        language: str = "en",
        clock: Callable[[], int] = time.time_ns,
        steady: SteadyClock | None = None,
    ) -> None:
        self.store = store
        self.on_identity: Callable[[set[str]], None] = lambda _: None
        self.on_act: Callable[[Mapping[str, Any]], None] = lambda _: None
        self.on_messages: Callable[[Sequence[TicketMessage]], None] = lambda _: None
        self._key = key
        self._units = units
        self._page = page
        self._cards, self._language = cards, language
        self._clock = clock if steady is None else steady.now
        self._time = JournalTime(steady)
        self.kept = 0
        self.fenced = asyncio.Event()
        self._running_since = 0
        self._lock = asyncio.Lock()
        self._acts = 0
        self._load()

    def _load(self) -> None:
        self._stale = True
        fold = Fold(self._units, self._page, self._cards, self._language)
        journal: Journal = self.store.load(fold)
        self._acts += 1
        self.fold, self.journal, self._stale = fold, journal, False

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One after the other, and none on a fold that is ahead of the store: what is kept is loaded first, where it could not be when a group failed. Raises
        StoreError: it still cannot, or FencedError: it must not any more.
        """
        async with self._lock:
            try:
                if self.fenced.is_set():
                    raise FencedError("another collector is the one writer; this process takes nothing any more")
                if self._stale:
                    await written(self._load)
                yield
            except FencedError:
                self.fenced.set()
                raise

    def now(self) -> int:
        """The journal's time, UTC ns."""
        return max(self._clock() + self._time.lead, self.fold.advanced_to)

    async def start(
        self, shipped: str, site: str, settings: Mapping[str, str] | None = None, policy: tuple[str, str] | None = None
    ) -> None:
        """Journal that the collector runs, and its rules, policy (shipped, site's own) and settings if they changed; None: as they were."""
        self._time.start(self._clock(), self.fold.advanced_to)
        entries: list[tuple[Kind, dict[str, Any]]] = [(Kind.STARTED, {"down_since": self.fold.advanced_to})]
        new = self.fold.book.tables(shipped, site, policy)
        if new != self.fold.book.tables() or self.store.meta("rules") is None:
            entries.append((Kind.RULES_CHANGED, new))
        also = []
        packed = self.store.meta("settings")
        if settings is not None and (changed := changes(msgpack.unpackb(packed) if packed else {}, settings)):
            entries.append((Kind.OPERATOR, {"action": "configure", "actor": "collector", "changed": changed}))
            row = ("settings", msgpack.packb(dict(settings)))
            also.append(lambda db: db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", row))
        async with self._turn():
            await self._keep([self._record(kind, facts=facts) for kind, facts in entries], also)
        self._running_since = self.journal.at
        await self.take_requests()

    async def stop(self) -> None:
        async with self._turn():
            await self._keep([self._record(Kind.STOPPED)])

    async def _follow_clock(self) -> int:
        """Journal that this machine's clock was set, if it was; what to add to the times of messages, in ns."""
        ahead, jump = self._time.look()
        if jump is not None:
            async with self._turn():
                await self._keep([self._record(Kind.STARTED, facts={"down_since": self.fold.advanced_to, **jump})])
            self._running_since = self.journal.at
        return ahead

    def _record(
        self,
        kind: Kind,
        message: Message | None = None,
        terminal: str = "",
        facts: dict[str, Any] | None = None,
        digest: bytes | None = None,
        span: tuple[int, int] | None = None,
        content: Opened | Life | None = None,
    ) -> Entry:
        """Append to the journal and fold. The entry's time never lies before what time alone has already done."""
        # Empty where the bytes must not be kept: the digest stays, and the facts say why.
        payload = (message.payload or None) if message else None
        entry = self.journal.append(
            kind, self._at(message), terminal=terminal, facts=facts, payload=payload, payload_digest=digest, span=span
        )
        self.fold.apply(entry, content)
        self._acts += kind is Kind.OPERATOR
        return entry

    def _at(self, message: Message | None) -> int:
        """The journal's time for an entry to come: it never lies before what time alone has already done."""
        now = message.received + self._time.lead if message else self.now()
        return max(now, self.fold.advanced_to, self.journal.at + 1)

    async def _keep(self, entries: Sequence[Entry], also: Sequence[Callable[[Db], None]] = ()) -> None:
        group: Commit = self.store.prepare(self.fold, entries, also)
        try:
            await written(self.store.begin)
            self.store.write(group)
            await written(partial(self.store.end, group))
        except BaseException as error:
            # The fold is ahead of the store: what is kept is the truth, as soon as it can be read.
            self.store.abandon()
            self._stale = True
            if isinstance(error, FencedError):
                raise  # who must end needs none of it, and a large fleet takes long to load
            with suppress(StoreError):
                await written(self._load)
            raise
        self.kept += 1
        if group.dirty.messages:
            self.on_messages(group.dirty.messages)
        acts = [entry for entry in entries if entry.kind is Kind.OPERATOR]
        if changed := {entry.terminal for entry in acts if entry.facts_map().get("action") in IDENTITY_ACTS}:
            self.on_identity(changed)
        for entry in acts:
            self.on_act(entry.facts_map())

    async def _let_time_pass(self, until: int) -> None:
        """What time alone brings, up to this UTC ns of the journal; step by step where it is much."""
        while not self.fold.advance(until, STEP):
            await self._keep([])

    async def operate(self, facts: dict[str, Any], also: Callable[[Db], None] | None = None) -> None:
        """Journal what an operator did, in one transaction with `also`."""
        async with self._turn():
            entry = self._record(Kind.OPERATOR, None, str(facts.get("terminal", "")), sealed(self._key, facts))
            await self._keep([entry], [also] if also else [])

    async def operate_all(self, acts: Sequence[dict[str, Any]]) -> None:
        """Several acts in one transaction: all of them or none."""
        async with self._turn():
            entries = [
                self._record(Kind.OPERATOR, None, str(facts.get("terminal", "")), sealed(self._key, facts))
                for facts in acts
            ]
            await self._keep(entries)

    async def take_requests(self) -> None:
        """Journal what operators did beside the collector, and what the predictions say. What cannot be folded is dropped, or it would stop every start."""
        async with self._lock:
            # The store has one connection, and a change or a group may be under way on it in a thread.
            waiting = self.store.read(requests.waiting)
        for number, facts in waiting:
            settle = partial(requests.settle, number=number)
            try:
                if facts.get("action") == requests.FINDINGS:
                    await self.foretold({name: value for name, value in facts.items() if name != "action"}, settle)
                else:
                    await self.operate(facts, settle)
            except StoreError:
                raise
            except SaidError as error:
                log.error("what the predictions left at position %.20s is dropped: %s", facts.get("position"), error)
                await self.change(settle)
            except Exception:
                log.exception("act %d of %s is dropped: %s", number, facts.get("actor"), facts.get("action"))
                async with self._lock:
                    self._load()
                await self.change(settle)

    async def foretold(self, facts: dict[str, Any], settle: Callable[[Db], None] = lambda _: None) -> None:
        """Journal what the predictions say: as a fact of the log, nobody's act. What was heard before is not journaled again: who was killed meanwhile
        says it twice. Raises SaidError.
        """
        check(facts)
        async with self._turn():
            heard = self.fold.foretelling.known(facts)
            await self._keep([] if heard else [self._record(Kind.FINDING, facts=facts)], [settle])

    async def change(self, change: Callable[[Db], object]) -> None:
        """Let a change of the file, which changes nothing of what it says, have its turn between two groups."""
        async with self._turn():
            await written(partial(self.store.change, change))

    async def ticket_changed(self, facts: dict[str, Any]) -> None:
        """Journal what a ticket system said, or how it does: facts as incident/ticketing.py takes them."""
        async with self._turn():
            await self._keep([self._record(Kind.TICKET_CHANGE, facts=facts)])
