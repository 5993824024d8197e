"""From a message to an ack, top to bottom: open, decide, journal, fold, commit, ack. One group of messages is one transaction, and nothing is
acknowledged before it is stored. Whatever a message brings, it can only be refused; it stops nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple

import msgpack

from tillwatch.agent.wire import (
    AckState,
    Life,
    Opened,
    Refusal,
    SigningKey,
    WireError,
    claim_of,
    frame_of,
    open_batch,
    open_life,
    seal_ack,
)
from tillwatch.collector import sequence
from tillwatch.collector.alarm.diagnosis import Cards
from tillwatch.collector.alarm.foretelling import SaidError, check
from tillwatch.collector.clock import JournalTime, SteadyClock
from tillwatch.collector.config import changes
from tillwatch.collector.fold import SUSPECT_SKEW_MS, Fold
from tillwatch.collector.intake import Message
from tillwatch.collector.journal import Entry, Journal, Kind
from tillwatch.collector.long_ago import LongAgo
from tillwatch.collector.proof.signed_acts import sealed
from tillwatch.collector.refusals import Refusals, Unfit, UnfitError
from tillwatch.collector.replies import Reply, reply_to
from tillwatch.collector.store import requests
from tillwatch.collector.store.beside import written
from tillwatch.collector.store.sqlite import Commit, SqliteStore, StoreError
from tillwatch.collector.terminal.fleet import MAX_COMPONENTS, MAX_EPOCHS, MAX_SIGNALS, Terminal
from tillwatch.collector.tickets.message import TicketMessage
from tillwatch.collector.trust import succession

log = logging.getLogger(__name__)

MAX_FORKS = 16
"""Batches of a second history kept of one terminal since the start: enough to prove it, not enough to fill the disk."""
ENROL_EVERY_NS = 10 * 10**9
"""Between two answers to messages of one terminal under a key that is not known: enough for it to present its rotations, and whoever holds
its certificate without its key cannot make the terminal stop for longer than one of them takes.
"""
IDENTITY_ACTS = frozenset({"enrol", "certify", "rotate", "revoke"})
APART_NS = 10**9
"""By which the journal's time may be ahead of a message's own before the latter is written down too."""


class Incoming(NamedTuple):
    """A message as it was looked at; opened: of a batch; acts: how many acts were folded until then, any of which may change a key."""

    message: Message
    opened: Opened | WireError | None
    acts: int


class Pipeline:
    """clock: UTC ns; steady: the clock to use instead, and to take the jumps of. refusals: what was not taken, by reason and by terminal;
    by_risk: whether terminals are told to be read at the pace of their last grade.
    on_refused: told the terminal of each message that cannot be opened. bind: the authority's word for an act's public key of a terminal from a time on; on_identity: called with the terminals whose keys or
    certificates have changed, once that is stored; on_act: with the facts of each act, likewise.
    """

    def __init__(
        self,
        store: SqliteStore,
        key: SigningKey,
        units: Mapping[str, str],
        *,
        page: str = "",
        cards: Cards | None = None,
        language: str = "en",
        clock: Callable[[], int] = time.time_ns,
        steady: SteadyClock | None = None,
        bind: Callable[[str, str, bytes, int], bytes] | None = None,
    ) -> None:
        self.store = store
        self.refusals = Refusals()
        self.on_refused: Callable[[str], None] = lambda _: None
        self.on_act: Callable[[Mapping[str, Any]], None] = lambda _: None
        self.on_messages: Callable[[Sequence[TicketMessage]], None] = lambda _: None
        self._key = key
        self._units = units
        self._page = page
        self._cards, self._language = cards, language
        self._clock = clock if steady is None else steady.now
        self._time = JournalTime(steady)
        self._running_since = 0
        self._asked: set[str] = set()
        self.by_risk = True
        self.on_identity: Callable[[set[str]], None] = lambda _: None
        self._bind = bind
        self._forks: Counter[str] = Counter()
        self._long_ago = LongAgo(store)
        self._told_enrol: dict[str, int] = {}
        self._lock = asyncio.Lock()
        self._acts = 0
        self._load()

    def _load(self) -> None:
        self._acts += 1
        self.fold = Fold(self._units, self._page, self._cards, self._language)
        self.journal: Journal = self.store.load(self.fold)

    def knows(self, terminal: str) -> bool:
        """Whether it is enrolled, as of now: the fold behind it may be another one after a failed commit."""
        return self.fold.fleet.knows(terminal)

    def terminal(self, name: str) -> Terminal | None:
        """As it is known now; not to be kept, since a store that refuses makes the fold load anew."""
        return self.fold.fleet.terminals.get(name)

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
        async with self._lock:
            await self._keep([self._record(kind, facts=facts) for kind, facts in entries], also)
        self._ask_anew()
        await self.take_requests()

    async def stop(self) -> None:
        async with self._lock:
            await self._keep([self._record(Kind.STOPPED)])

    async def take_opened(self, incoming: Sequence[Incoming]) -> dict[str, Reply]:
        """One group that was opened before: as `take`, behind whatever else is being written."""
        ahead = await self._follow_clock()
        if ahead:
            incoming = [
                each._replace(message=each.message._replace(received=each.message.received + ahead))
                for each in incoming
            ]
        async with self._lock:
            return await self._take(incoming)

    async def _follow_clock(self) -> int:
        """Journal that this machine's clock was set, if it was; what to add to the times of messages, in ns."""
        ahead, jump = self._time.look()
        if jump is not None:
            async with self._lock:
                await self._keep([self._record(Kind.STARTED, facts={"down_since": self.fold.advanced_to, **jump})])
            self._ask_anew()
        return ahead

    def _ask_anew(self) -> None:
        self._running_since = self.journal.at
        self._asked.clear()

    def _ask_for_life(self, terminal: Terminal, reply: Reply, mark: int) -> None:
        """Once after each start, where the terminal has not told its uptime since: over a start in which this machine's clock was set, ages
        would be wrong by as much. A want below the floor is answered with a life message (delivery.md 6.4).
        """
        told = terminal.up_received >= self._running_since or terminal.id in self._asked
        if mark and reply.state is AckState.OK and not told:
            self._asked.add(terminal.id)
            reply.want = 1

    async def take(self, messages: Sequence[Message]) -> dict[str, Reply]:
        """One group: what to tell the terminals once this returns. Raises StoreError, and then nothing has changed."""
        async with self._lock:
            return await self._take([self.look(message) for message in messages])

    def look(self, message: Message) -> Incoming:
        """Open a batch, which is most of the work on it and needs nothing but the terminals' keys."""
        opened: Opened | WireError | None = None
        if message.topic.endswith("/batch"):
            try:
                opened = open_batch(message.topic, message.payload, self.fold.fleet)
            except WireError as error:
                opened = error
        return Incoming(message, opened, self._acts)

    async def _take(self, incoming: Sequence[Incoming]) -> dict[str, Reply]:
        replies: dict[str, Reply] = {}
        entries: list[Entry] = []
        strangers: dict[str, Reply] = {}
        for each in incoming:
            message = each.message
            try:
                # A key may have come or gone since: by an operator's act, or with a rotation in this very group.
                opened = each.opened if each.acts == self._acts else self.look(message).opened
                if opened is None:
                    self._life(message, entries, replies)
                else:
                    self._batch(message, opened, entries, replies)
            except (WireError, UnfitError) as error:
                self._refuse(message, error)
                if error.reason is Refusal.UNKNOWN_KEY:
                    self._ask_for_rotations(message, strangers)
        for terminal, reply in strangers.items():
            told = replies.setdefault(terminal, reply)
            # What is wanted may be gone; the message that tells so is under the key that is not known.
            if told.state is AckState.RESEND and told.epoch == reply.epoch:
                told.state, told.want = AckState.ENROL, 0
        if not incoming:
            self.fold.advance(self.now())
        now = self._clock()
        also = [self.refusals.keep(now)] if self.refusals.due(now) else []
        if entries or also or self._changed():
            await self._keep(entries, also)
        return replies

    def _changed(self) -> bool:
        dirty = self.fold.dirty
        return bool(
            dirty.terminals or dirty.components or dirty.limits or dirty.alarms or dirty.messages or dirty.commands
        )

    def _batch(
        self, message: Message, opened: Opened | WireError, entries: list[Entry], replies: dict[str, Reply]
    ) -> None:
        header, digest = opened.header, opened.digest
        if header is None:
            assert isinstance(opened, WireError)
            raise opened
        stamp: dict[str, Any]
        terminal = self.fold.fleet.terminals[header.terminal]
        self._check_epoch(terminal, header.epoch)
        if not terminal.sealed_in_time(header.key, header.epoch, header.seq):
            stamp = {"kind": "retired", "epoch": header.epoch, "seq": header.seq, "boot": header.boot, "up": header.up}
            stamp["detail"] = f"key {header.key.hex()} still signs, after it has handed over to another one"
            self._forked(terminal, stamp, entries, message, digest)
            raise WireError(Refusal.RETIRED_KEY, f"batch {header.seq} under key {header.key.hex()} of {terminal.id}")
        stored = None
        known = terminal.streams.get(header.epoch)
        if known is not None and header.seq <= known.mark:
            recent = self.fold.fleet.recalled(terminal.id, header.epoch, header.seq)
            stored = recent or self._long_ago.digest(terminal.id, header.epoch, header.seq, self._clock())
        reply = reply_to(replies, terminal.id, header.epoch)
        decision = sequence.decide(terminal.streams, header, digest, stored)
        stamp = {"epoch": header.epoch, "seq": header.seq}
        match decision.verdict:
            case sequence.Verdict.DUPLICATE:
                self._ask_for_life(terminal, reply, decision.stream.mark)
            case sequence.Verdict.GAP:
                # What follows a fork is ahead of its place: to ask for it again would bring the fork again, and so for ever.
                if reply.state is not AckState.FORK:
                    reply.state, reply.want = AckState.RESEND, decision.want
            case sequence.Verdict.FORK:
                reply.state = AckState.FORK
                facts = {**stamp, "boot": header.boot, "up": header.up, "detail": decision.detail}
                self._forked(terminal, facts, entries, message, digest)
            case sequence.Verdict.ACCEPT if isinstance(opened, WireError):
                self.count(opened.reason, terminal.id, message.received)
                log.error("terminal %s, batch %d is refused: %s", terminal.id, header.seq, opened.detail)
                reply.refused = (*reply.refused, (header.seq, opened.detail))
                entries.append(
                    self._record(Kind.REFUSED, message, terminal.id, {**stamp, "detail": opened.detail}, digest)
                )
            case sequence.Verdict.ACCEPT:
                entries.append(self._accept(terminal, opened, message, stamp))
                if reply.state is AckState.RESEND:
                    reply.state, reply.want = AckState.OK, 0
                self._ask_for_life(terminal, reply, decision.stream.mark)

    def _accept(self, terminal: Terminal, opened: Opened, message: Message, stamp: dict[str, Any]) -> Entry:
        """Age and clock correction are computed once, here, and kept beside the frame."""
        header = opened.header
        at = self._at(message)
        utc = at if at - message.received <= APART_NS else message.received
        if utc != at:
            stamp["utc"] = utc
        historical, skew = terminal.reckon(header.boot, header.up, header.sent, at, utc)
        if historical:
            stamp["historical"] = True
        correction = skew if abs(skew) > SUSPECT_SKEW_MS else 0
        if correction:
            stamp["correction_ms"] = correction
        ticks = {id(column.at): column.at for column in opened.columns}.values()
        span = (min(map(min, ticks)) + correction, max(map(max, ticks)) + correction)
        over = terminal.over_limit
        entry = self._record(Kind.BATCH, message, terminal.id, stamp, opened.digest, span, opened)
        if terminal.over_limit > over and self.count(Unfit.OVER_LIMIT, terminal.id, message.received) and not over:
            log.error(
                "terminal %s has more than %d components or %d signals: what comes beyond is kept and not shown; look at what it invents",
                terminal.id,
                MAX_COMPONENTS,
                MAX_SIGNALS,
            )
        return entry

    def _check_epoch(self, terminal: Terminal, epoch: bytes) -> None:
        if epoch not in terminal.streams and len(terminal.streams) >= MAX_EPOCHS:
            raise UnfitError(
                Unfit.EPOCHS, f"{MAX_EPOCHS} epochs are enough for a terminal; enrol the machine under a new name"
            )

    def _forked(
        self,
        terminal: Terminal,
        facts: dict[str, Any],
        entries: list[Entry],
        message: Message,
        digest: bytes,
    ) -> None:
        self._forks[terminal.id] += 1
        if self._forks[terminal.id] <= MAX_FORKS:
            log.error("terminal %s: %s; look for a second machine, and enrol it anew", terminal.id, facts["detail"])
            entries.append(self._record(Kind.FORK, message, terminal.id, facts, digest))

    def _life(self, message: Message, entries: list[Entry], replies: dict[str, Reply]) -> None:
        try:
            life = open_life(message.topic, message.payload, self.fold.fleet)
        except WireError as error:
            if error.reason is not Refusal.UNKNOWN_KEY:
                raise
            life = self._succeeded(message, entries)
        if not self.fold.fleet.terminals[life.terminal].told_in_time(life.key, life.epoch, life.n):
            raise WireError(Refusal.RETIRED_KEY, f"life message {life.n} under key {life.key.hex()} of {life.terminal}")
        self._check_epoch(self.fold.fleet.terminals[life.terminal], life.epoch)
        digest = sha256(frame_of(message.payload)).digest()
        stamp: dict[str, Any] = {"state": life.state}
        decision = sequence.on_life(self.fold.fleet.terminals[life.terminal].streams, life)
        if decision.moved:
            # Where the stream goes on is known from the chain alone, also when the message is retired one day.
            stamp |= {"epoch": life.epoch, "seq": decision.stream.mark}
        if decision.loss is not None:
            stamp["loss"] = list(decision.loss)
            log.error(
                "terminal %s: batches %d to %d are gone: dropped by it, or lost here with a backup",
                life.terminal,
                *decision.loss,
            )
        entries.append(self._record(Kind.LIFE, message, life.terminal, stamp, digest, content=life))
        if life.state == "online":
            reply = reply_to(replies, life.terminal, life.epoch)
            if reply.state is AckState.RESEND:
                reply.want = decision.stream.mark + 1
            elif reply.state is not AckState.FORK:
                reply.want = 0

    def _succeeded(self, message: Message, entries: list[Entry]) -> Life:
        """A life message under a key that is not known yet, if the rotations that it presents lead there from one that is. Raises WireError."""
        terminal = self.fold.fleet.terminals[message.topic.split("/")[2]]
        try:
            life, chain = succession.first_word(terminal, message.topic, message.payload)
        except succession.ConflictError as error:
            self._forks[terminal.id] += 1
            if self._forks[terminal.id] <= MAX_FORKS:
                log.error("terminal %s: %s; look for a second machine", terminal.id, error.detail)
                told = {"action": "conflict", "actor": f"terminal {terminal.id}", "detail": error.detail}
                entries.append(self._record(Kind.OPERATOR, terminal=terminal.id, facts=told))
            raise
        for rotation, statement in chain:
            facts = succession.rotation_facts(rotation, statement)
            facts["actor"] = f"terminal {terminal.id}"
            if self._bind is not None:
                facts["bound_at"] = message.received
                facts["binding"] = self._bind("rotate", terminal.id, rotation.new, message.received)
            entries.append(self._record(Kind.OPERATOR, terminal=terminal.id, facts=facts))
            log.info("terminal %s: its key was rotated after batch %d", terminal.id, rotation.seq)
        return life

    def _ask_for_rotations(self, message: Message, strangers: dict[str, Reply]) -> None:
        """Answer a terminal whose key is not known, so that it presents what led to it, or says that it must be enrolled."""
        name = message.topic.split("/")[2]
        last = self._told_enrol.get(name, -ENROL_EVERY_NS)
        if not 0 <= message.received - last < ENROL_EVERY_NS and self.fold.fleet.terminals[name].state == "active":
            self._told_enrol[name] = message.received
            strangers[name] = Reply(AckState.ENROL, claim_of(message.payload).epoch)

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
        payload = message.payload if message else None
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

    async def _keep(self, entries: Sequence[Entry], also: Sequence[Callable[[sqlite3.Connection], None]] = ()) -> None:
        group: Commit = self.store.prepare(self.fold, entries, also)
        try:
            await written(self.store.begin)
            self.store.write(group)
            await written(partial(self.store.end, group))
        except BaseException:
            # The fold is ahead of the store: what is kept is the truth.
            self.store.abandon()
            self._load()
            raise
        if group.dirty.messages:
            self.on_messages(group.dirty.messages)
        acts = [entry for entry in entries if entry.kind is Kind.OPERATOR]
        if changed := {entry.terminal for entry in acts if entry.facts_map().get("action") in IDENTITY_ACTS}:
            self.on_identity(changed)
        for entry in acts:
            self.on_act(entry.facts_map())

    async def operate(self, facts: dict[str, Any], also: Callable[[sqlite3.Connection], None] | None = None) -> None:
        """Journal what an operator did, in one transaction with `also`."""
        async with self._lock:
            entry = self._record(Kind.OPERATOR, None, str(facts.get("terminal", "")), sealed(self._key, facts))
            await self._keep([entry], [also] if also else [])

    async def take_requests(self) -> None:
        """Journal what operators did beside the collector, and what the predictions say. What cannot be folded is dropped, or it would stop every start."""
        for number, facts in requests.waiting(self.store.conn):
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
                self._load()
                await self.change(settle)

    async def foretold(
        self, facts: dict[str, Any], settle: Callable[[sqlite3.Connection], None] = lambda _: None
    ) -> None:
        """Journal what the predictions say: as a fact of the log, nobody's act. What was heard before is not journaled again: who was killed meanwhile
        says it twice. Raises SaidError.
        """
        check(facts)
        async with self._lock:
            heard = self.fold.foretelling.known(facts)
            await self._keep([] if heard else [self._record(Kind.FINDING, facts=facts)], [settle])

    async def change(self, change: Callable[[sqlite3.Connection], object]) -> None:
        """Let a change of the file, which changes nothing of what it says, have its turn between two groups."""
        async with self._lock:
            await written(partial(self.store.change, change))

    async def ticket_changed(self, facts: dict[str, Any]) -> None:
        """Journal what a ticket system said, or how it does: facts as incident/ticketing.py takes them."""
        async with self._lock:
            await self._keep([self._record(Kind.TICKET_CHANGE, facts=facts)])

    def ack(self, terminal: str, reply: Reply, *, slow: bool) -> bytes:
        state = self.fold.fleet.terminals[terminal]
        epoch = reply.epoch or state.epoch
        stream = state.streams.get(epoch) or sequence.Stream(epoch)
        pace = self.fold.foretelling.paces.get(terminal, 1.0) if self.by_risk else 1.0
        return seal_ack(self._key, terminal, reply.ack(epoch, stream, slow=slow, time=self._clock(), pace=pace))

    def _refuse(self, message: Message, error: WireError | UnfitError) -> None:
        levels = message.topic.split("/")
        named = levels[2] if len(levels) == 4 else ""
        who = named if self.fold.fleet.knows(named) else ""
        if self.count(error.reason, who, message.received):
            log.warning("message refused (%s) on %.96r: %s", error.reason, message.topic, error.detail)
        if isinstance(error, WireError):
            self.on_refused(named)

    def count(self, reason: str, who: str, at: int = 0, n: int = 1) -> bool:
        """Count what was not taken; at: UTC ns, 0 for now. True where it is to be logged."""
        return self.refusals.add(str(reason), who, at or self._clock(), n)
