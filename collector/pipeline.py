"""From a message to an ack, top to bottom: open, decide, journal, fold, commit, ack. One group of messages is one transaction, and nothing is
acknowledged before it is stored. Whatever a message brings, it can only be refused; it stops nothing else.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

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
from tillwatch.collector.card_data import unread_card, without_cards
from tillwatch.collector.clock import SteadyClock
from tillwatch.collector.fold import SUSPECT_SKEW_MS
from tillwatch.collector.intake import Message
from tillwatch.collector.journal import Entry, Kind
from tillwatch.collector.journalling import Journalling
from tillwatch.collector.long_ago import LongAgo
from tillwatch.collector.refusals import Refusals, Unfit, UnfitError
from tillwatch.collector.replies import Reply, reply_to
from tillwatch.collector.store.sqlite import Store
from tillwatch.collector.terminal.fleet import MAX_COMPONENTS, MAX_EPOCHS, MAX_SIGNALS, Terminal
from tillwatch.collector.trust import clones, succession

log = logging.getLogger(__name__)

MAX_FORKS = 16
"""Batches of a second history kept of one terminal since the start: enough to prove it, not enough to fill the disk."""
ENROL_EVERY_NS = 10 * 10**9
"""Between two answers to messages of one terminal under a key that is not known: enough for it to present its rotations, and whoever holds
its certificate without its key cannot make the terminal stop for longer than one of them takes.
"""
APART_NS = 10**9
"""By which the journal's time may be ahead of a message's own before the latter is written down too."""


class Incoming(NamedTuple):
    """A message as it was looked at; opened: of a batch; acts: how many acts were folded until then, any of which may change a key."""

    message: Message
    opened: Opened | WireError | None
    acts: int


class Pipeline(Journalling):
    """refusals: what was not taken, by reason and by terminal; by_risk: whether terminals are told to be read at the pace of their last grade.
    on_refused: told the terminal of each message that cannot be opened. bind: the authority's word for an act's public key of a terminal from a
    time on. The rest as `Journalling` has it.
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
        bind: Callable[[str, str, bytes, int], bytes] | None = None,
    ) -> None:
        super().__init__(store, key, units, page=page, cards=cards, language=language, clock=clock, steady=steady)
        self.refusals = Refusals()
        self.on_refused: Callable[[str], None] = lambda _: None
        self.by_risk = True
        self._bind = bind
        self._asked: dict[str, int] = {}
        self._forks: Counter[str] = Counter()
        self._long_ago = LongAgo(store)
        self._told_enrol: dict[str, int] = {}

    def knows(self, terminal: str) -> bool:
        """Whether it is enrolled, as of now: the fold behind it may be another one after a failed commit."""
        return self.fold.fleet.knows(terminal)

    def terminal(self, name: str) -> Terminal | None:
        """As it is known now; not to be kept, since a store that refuses makes the fold load anew."""
        return self.fold.fleet.terminals.get(name)

    async def take_opened(self, incoming: Sequence[Incoming]) -> dict[str, Reply]:
        """One group that was opened before: as `take`, behind whatever else is being written."""
        ahead = await self._follow_clock()
        if ahead:
            incoming = [
                each._replace(message=each.message._replace(received=each.message.received + ahead))
                for each in incoming
            ]
        async with self._turn():
            return await self._take(incoming)

    def _ask_for_life(self, terminal: Terminal, reply: Reply, mark: int) -> None:
        """Once after each start, where the terminal has not told its uptime since: over a start in which this machine's clock was set, ages
        would be wrong by as much. A want below the floor is answered with a life message (delivery.md 6.4).
        """
        since = self._running_since
        told = terminal.up_received >= since or self._asked.get(terminal.id) == since
        if mark and reply.state is AckState.OK and not told:
            self._asked[terminal.id] = since
            reply.want = 1

    async def take(self, messages: Sequence[Message]) -> dict[str, Reply]:
        """One group: what to tell the terminals once this returns. Raises StoreError, and then nothing has changed."""
        async with self._turn():
            return await self._take([self.look(message) for message in messages])

    def look(self, message: Message) -> Incoming:
        """Open a batch, which is most of the work on it and needs nothing but the terminals' keys."""
        opened: Opened | WireError | None = None
        if message.topic.endswith("/batch"):
            try:
                opened = self._vouched(message.opened) or without_cards(
                    open_batch(message.topic, message.payload, self.fold.fleet)
                )
            except WireError as error:
                opened = unread_card(error, message.payload)
        return Incoming(message, opened, self._acts)

    def _vouched(self, opened: Opened | None) -> Opened | None:
        """What another process of ours has opened, if the key that it was opened with may still sign: that table is some seconds old. Where it may
        not, the message is opened here, which says why it is refused.
        """
        if opened is None or not self.fold.fleet.knows(opened.header.terminal):
            return None
        known = self.fold.fleet.key(opened.header.terminal, opened.header.key)
        return None if isinstance(known, Refusal) else opened

    async def _take(self, incoming: Sequence[Incoming]) -> dict[str, Reply]:
        replies: dict[str, Reply] = {}
        entries: list[Entry] = []
        strangers: dict[str, Reply] = {}
        await self._let_time_pass(self._at(incoming[0].message) if incoming else self.now())
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
        now = self._clock()
        also = [self.refusals.keep(now)] if self.refusals.due(now) else []
        if entries or also or self._changed():
            await self._keep(entries, also)
        return replies

    def _changed(self) -> bool:
        dirty = self.fold.dirty
        return bool(
            dirty.terminals
            or dirty.components
            or dirty.limits
            or dirty.alarms
            or dirty.messages
            or dirty.commands
            or dirty.rollouts
            or dirty.members
        )

    def _batch(
        self, message: Message, opened: Opened | WireError, entries: list[Entry], replies: dict[str, Reply]
    ) -> None:
        header, digest = opened.header, opened.digest
        if header is None:
            assert isinstance(opened, WireError)
            raise opened
        withheld: dict[str, Any] = {}
        if isinstance(opened, WireError) and opened.reason is Refusal.CARD_DATA:
            message, withheld = message._replace(payload=b""), {"withheld": Refusal.CARD_DATA.value}
        stamp: dict[str, Any]
        terminal = self.fold.fleet.terminals[header.terminal]
        self._check_epoch(terminal, header.epoch)
        if not terminal.sealed_in_time(header.key, header.epoch, header.seq):
            stamp = {"kind": "retired", "epoch": header.epoch, "seq": header.seq, "boot": header.boot, "up": header.up}
            stamp |= withheld
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
        stamp = {"epoch": header.epoch, "seq": header.seq, **withheld}
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
        if decision.moved or not clones.copied(self.fold.fleet.terminals[life.terminal].speakers, life):
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
