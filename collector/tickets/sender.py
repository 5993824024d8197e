"""The task in the collector that empties one queue of the outbox into one receiver. Nothing is sent before a preflight has found that it can work, and
where it is barred later, all waits until one finds that again.

Everything it knows is in the outbox: it may be ended at any point, by SIGKILL too, and what it left is sent again under the same identity.
What the ticket system said goes to `on_change` (the journal) before the row is recorded as done, so the journal hears of each answer at
least once. SQLite is touched on one thread of the sender's own: the collector's loop never waits for a disk.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

from tillwatch.collector.store.db import Db
from tillwatch.collector.tickets import outbox
from tillwatch.collector.tickets.delivery import (
    DELIVERY_S,
    MARGIN_S,
    SECOND,
    TRIPPED,
    Gate,
    Pace,
    Row,
    RowState,
    lease_ns,
    settle,
)
from tillwatch.collector.tickets.guarded import place_of
from tillwatch.collector.tickets.message import Op, TicketMessage
from tillwatch.collector.tickets.outbox import Taken
from tillwatch.collector.tickets.port import DRILLS, Barred, Dead, Done, Link, Outcome, Problem, Receiver, Uncertain
from tillwatch.collector.tickets.store_thread import StoreThread

log = logging.getLogger(__name__)

IDLE_S = 30.0
"""The longest sleep: rows that another process brought back (the command line) are found within it."""

ASK_AGAIN_S = (5.0, 300.0)
"""Between preflights, after the first and at most: a system that is away is back in seconds or hours; a secret is replaced by a person."""


class OnChange(Protocol):
    """Called with what the ticket system said of an incident's ticket: {incident, connector, external_id, url, state, origin}. It may be called again
    with the same after a crash.
    """

    def __call__(self, facts: dict[str, Any]) -> Awaitable[None]: ...


async def _unheard(facts: dict[str, Any]) -> None:
    """Nobody asked to hear of changes."""


class OutboxSender:
    """Sends the rows of one queue through one receiver, until `run` is cancelled.

    connect: opens the sender's own connection (outbox.connect); it is called on the sender's thread. connector: the queue, the receiver's name if
    empty. clock: UTC ns. alone: no other sender can be at work on this store, so that what is on its way at the start was left by one that ended.
    delivery_s: of one attempt; margin_s: until its lease ends.
    """

    def __init__(
        self,
        connect: Callable[[], Db],
        port: Receiver,
        *,
        on_change: OnChange = _unheard,
        clock: Callable[[], int] = time.time_ns,
        pace: Pace | None = None,
        jitter: Callable[[], float] = random.random,
        connector: str = "",
        alone: bool = True,
        delivery_s: float = DELIVERY_S,
        margin_s: float = MARGIN_S,
    ) -> None:
        self._store = StoreThread(connect, f"outbox {connector or port.name}")
        self._port = port
        self._on_change = on_change
        self._clock = clock
        self._pace = pace or Pace()
        self._jitter = jitter
        self.connector = connector or port.name
        self._alone = alone
        self._delivery_s = delivery_s
        self._margin_s = margin_s
        self._owner = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        self._cleared = False
        self._asked = 0
        self._ask_at = 0.0
        self._told: tuple[str, ...] = ()
        self._gate = Gate()
        self._down_since: int | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._wanted = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: BaseException | None = None

    @property
    def disabled(self) -> str:
        """Why the ticket system wants no more messages; empty while it does."""
        return self._gate.disabled

    @property
    def down_since(self) -> int | None:
        """Since when the ticket system has not taken messages, UTC ns; None while it does."""
        return self._down_since

    def enable(self) -> None:
        """Send again after the endpoint had disabled itself: a person's decision. A restart of the collector asks once more, too."""
        self._gate = Gate(failures=TRIPPED)  # one message first: it may say no again
        self.wake()

    def wake(self) -> None:
        """New rows were committed. May be called from any thread, and before `run`."""
        if self._loop is None:
            self._wanted.set()
        else:
            with suppress(RuntimeError):  # the loop has ended, and with it the need to wake
                self._loop.call_soon_threadsafe(self._wanted.set)

    async def run(self) -> None:
        """Send until cancelled. Requests under way are given up then, and settled at the next start like those of a crash."""
        self._loop = asyncio.get_running_loop()
        try:
            if self._alone and (
                left := await self._store.surely(outbox.recover, self.connector, self._clock(), self._port.settle_s)
            ):
                log.warning(
                    f"{self.connector}: {left} ticket messages were under way when the sender ended; they are sent again under the same id"
                )
            while True:
                self._wanted.clear()
                if not self._cleared:
                    await self._ask()
                # Before the rows are taken: the attempt ends, and with it all it writes, before their lease does, however long this is stopped.
                deadline = self._loop.time() + self._delivery_s
                now = self._clock()
                room = self._gate.room(now, len(self._sending)) if self._cleared else 0
                due = await self._store.surely(self._take, now, room) if room else []
                for taken in due:
                    task = asyncio.create_task(self._send(taken, deadline))
                    self._sending.add(task)
                    task.add_done_callback(self._sent)
                await self._sleep(now)
                if self._failure is not None:
                    raise self._failure
        finally:
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)
            await self._port.close()
            await self._store.close()
            self._loop = None

    def _take(self, conn: Db, now: int, room: int) -> list[Taken]:
        return outbox.take_due(
            conn,
            self.connector,
            now,
            room,
            owner=self._owner,
            lease_until=now + lease_ns(self._delivery_s, self._port.settle_s, self._margin_s),
            together=self._port.coalesces,
        )

    async def _ask(self) -> None:
        """Whether the receiver can work, if it is time to ask."""
        assert self._loop is not None
        if self._loop.time() < self._ask_at:
            return
        try:
            problems = await self._port.preflight()
        except Exception as error:  # a connector that stumbles stops itself and no other
            problems = [Problem(f"the preflight failed: {place_of(error)}", "report this line")]
        told = tuple(f"{each.what}; {each.mend}" for each in problems)
        if not told:
            self._cleared, self._asked = True, 0
            if self._told:
                log.info(f"{self.connector}: can take messages now")
            self._told = ()
            self._gate = Gate(failures=TRIPPED) if self._gate.tripped else self._gate
            return
        first, most = ASK_AGAIN_S
        self._ask_at = self._loop.time() + min(most, first * 2**self._asked) * (0.5 + self._jitter() / 2)
        self._asked = min(self._asked + 1, 10)
        if told != self._told:
            self._down_since = self._down_since or self._clock()
            for each in told:
                log.error(f"{self.connector}: {each}")
            self._told = told

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
        self._wanted.set()

    async def _sleep(self, looked_at: int) -> None:
        """Until something comes due after the moment of the last look (not after now: what came due between would be slept over)."""
        wait = IDLE_S
        if not self._cleared:
            assert self._loop is not None
            wait = min(wait, self._ask_at - self._loop.time())
        elif closed_s := self._gate.closed_s(looked_at):
            wait = min(wait, closed_s)
        elif self._gate.room(looked_at, len(self._sending)):
            due = await self._store.surely(outbox.next_due, self.connector, looked_at)
            wait = wait if due is None else min(wait, (due - self._clock()) / SECOND)
        # Not wait_for: before Python 3.12 it swallows a cancellation that comes together with the event, and run() would not end.
        with suppress(TimeoutError):
            async with asyncio.timeout(max(wait, 0.0)):
                await self._wanted.wait()

    async def _send(self, taken: Taken, deadline: float) -> None:
        row, link = taken.row, taken.link
        outcome = await self._deliver(taken, deadline)
        # A person who was called has no ticket, and a drill has none anywhere.
        tickets = row.op is not Op.NOTIFY and self.connector != DRILLS
        if isinstance(outcome, Done) and tickets:
            link = _linked(row.op, link or Link("", "", ""), outcome)
            facts: dict[str, Any] = {"incident": row.incident, "connector": self.connector}
            facts["external_id"] = link.external_id
            facts |= {"url": link.url, "state": link.state, "origin": "delivered"}
            if outcome.updated_at:
                facts["updated_at"] = outcome.updated_at
            if outcome.merged:
                facts["merged_into"] = link.external_id
            try:
                await self._on_change(facts)
            except Exception as error:  # the row stays undone and is sent again: the journal must hear of it
                outcome = Uncertain(f"the answer could not be journalled: {place_of(error)}")
        now = self._clock()
        settled = settle(row, outcome, now, settle_s=self._port.settle_s, pace=self._pace, jitter=self._jitter())
        before = self._gate
        self._gate = before.after(outcome, now, pace=self._pace, jitter=self._jitter())
        self._say(row, settled, before, now)
        if isinstance(outcome, Done) and outcome.also:
            log.warning(f"{row.incident}: {outcome.also}")
        if isinstance(outcome, Barred):
            self._cleared, self._ask_at = False, 0.0
        kept = link if settled.state is RowState.DONE and tickets else None
        if not await self._store.surely(_record, settled, now, self.connector, kept):
            log.error(
                f"{self.connector}: another sender took {row.incident} message {row.seq} meanwhile; what came of it here is not kept"
            )

    async def _deliver(self, taken: Taken, deadline: float) -> Outcome:
        try:
            message = TicketMessage.unpack(taken.body).after([TicketMessage.unpack(each) for each in taken.earlier])
        except ValueError as error:
            return Dead(str(error))
        try:
            async with asyncio.timeout_at(deadline):
                return await self._port.deliver(message, taken.link, doubtful=taken.row.doubtful, leg=taken.leg)
        except TimeoutError:
            return Uncertain(f"{self.connector} took longer than {self._delivery_s:g} s")
        except Exception as error:  # one message that a connector stumbles over stops no other
            return Uncertain(f"the connector {self.connector} failed: {place_of(error)}")

    def _say(self, row: Row, settled: Row, before: Gate, now: int) -> None:
        """One line when something turns worse, one when it is well again. While the endpoint is ill, single rows say nothing."""
        name, gate, message = self.connector, self._gate, f"{row.incident} message {row.seq} ({row.op})"
        if gate.disabled and not before.disabled:
            self._down_since = self._down_since or now
            log.error(f"{name}: {gate.disabled}; all ticket messages wait until it is enabled again")
        elif gate.barred and not before.barred:
            self._down_since = self._down_since or now
            log.error(f"{name}: {gate.barred}; all its messages wait until a preflight finds that mended")
        elif settled.state is RowState.DEAD:
            log.error(f"{message} is dead: {settled.answer}")
        elif gate.tripped and not before.tripped:
            self._down_since = now
            log.warning(f"{name}: {settled.answer}; ticket messages wait and are tried one at a time")
        elif before.tripped and not gate.tripped:
            down_s = (now - (self._down_since or now)) / SECOND
            self._down_since = None
            log.info(f"{name}: takes ticket messages again after {down_s:.0f} s")
        elif not gate.tripped and settled.state is RowState.DONE and row.answer:
            log.info(f"{message} was delivered at attempt {row.attempts}")
        elif not gate.tripped and settled.state is not RowState.DONE and settled.answer != row.answer:
            log.warning(f"{message} waits: {settled.answer}")


def _linked(op: Op, known: Link, told: Done) -> Link:
    """What is known of the ticket now."""
    if told.state:
        state = told.state
    elif op is Op.UPDATE and known.state:
        state = known.state
    else:
        state = "resolved" if op is Op.RESOLVE else "open"
    adopted = told.merged or (known.adopted and told.external_id in ("", known.external_id))
    return Link(told.external_id or known.external_id, told.url or known.url, state, adopted)


def _record(conn: Db, row: Row, now: int, connector: str, link: Link | None) -> bool:
    return outbox.record_outcome(conn, row, now, connector=connector, link=link)
