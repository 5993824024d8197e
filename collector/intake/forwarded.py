"""The intake of the one collector that folds: groups of messages that openers took from the broker and opened. Nothing here is durable: an opener keeps
what was not answered, and the broker what the opener has not settled. Acks go back with the answer, and the openers publish them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from tillwatch.collector.intake import Message
from tillwatch.collector.intake.amqp import AmqpSettings, Delivery, Link, keep_linked, tell
from tillwatch.collector.intake.fairness import Dropped
from tillwatch.collector.intake.outgoing import Outgoing
from tillwatch.collector.intake.topology import DOWN, FOLD, FOLD_KEY, HELLO, MQTT_EXCHANGE, down_key
from tillwatch.collector.opening.groups import (
    ANSWER_KIND,
    Answer,
    Group,
    GroupError,
    Hello,
    open_group,
    pack_answer,
    pack_hello,
)
from tillwatch.collector.opening.window import WINDOW, Turn, Turns

log = logging.getLogger(__name__)

MAX_GROUPS = 64
"""Groups that wait here at most, with those that the broker holds for this fold: with 16 openers each has its window. A group more is refused, and the
opener asks again.
"""
MAX_SLOW = 10_000
"""Terminals remembered as too fast between two calls of take_slow()."""
MAX_UNSENT = 20_000
"""Messages to terminals that wait for a broker that is away; what is too much is dropped, and made good by the next."""
UNTOLD = frozenset((str(Dropped.MUTED),))
"""Who is not heard is not told to slow down either."""


@dataclass(slots=True)
class _Work:
    """A group that is being folded. open: messages that were not settled yet; lost: whether the store refused any."""

    group: Group
    reply_to: str
    open: int
    lost: bool = False
    acks: list[tuple[str, bytes]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


class ForwardedIntake:
    """The Intake behind openers. epoch: of the lease under which this collector folds."""

    def __init__(self, settings: AmqpSettings, epoch: int) -> None:
        self.dropped = 0
        self.groups = 0
        self.rerouted = self.unsent = 0
        self._settings, self._epoch = settings, epoch
        self._turns = Turns()
        self._waiting: deque[tuple[Message, _Work]] = deque()
        self._given: deque[tuple[str, _Work]] = deque()
        """Terminal and group of each message that get_batch gave and that is not settled."""
        self._acks: list[tuple[str, bytes]] = []
        self._refused: list[str] = []
        self._wanted = 1
        self._enough = asyncio.Event()
        self._slow: set[str] = set()
        self._told: Counter[tuple[str, str]] = Counter()
        self._unsent: deque[tuple[str, str, str, bytes]] = deque()
        self._unsaid = 0
        """Messages dropped since the broker last took all that waited."""
        self._to_send = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._listens = asyncio.Event()

    @property
    def connected(self) -> bool:
        return self._listens.is_set()

    async def start(self) -> None:
        """Returns at once; the connection is made, and made again, in the background."""
        self._task = asyncio.create_task(keep_linked(self._settings, self._session), name="forwarded intake")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def wait_connected(self) -> None:
        await self._listens.wait()

    async def get_batch(self, max_n: int, max_wait_s: float) -> list[Message]:
        if not self._waiting:
            await self._until(1)
        if len(self._waiting) < max_n and max_wait_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max_wait_s):
                    await self._until(max_n)
        batch: list[Message] = []
        while self._waiting and len(batch) < max_n:
            message, work = self._waiting.popleft()
            self._given.append((message.topic.split("/")[2], work))
            batch.append(message)
        return batch

    def settled(self, count: int, *, stored: bool) -> None:
        of: dict[str, _Work] = {}
        done = []
        for _ in range(count):
            terminal, work = self._given.popleft()
            of[terminal] = work
            work.open -= 1
            work.lost = work.lost or not stored
            if not work.open:
                done.append(work)
        acks, self._acks = self._acks, []
        refused, self._refused = self._refused, []
        for terminal, ack in acks:
            if terminal in of:
                of[terminal].acks.append((terminal, ack))
            else:
                self._send("", MQTT_EXCHANGE, down_key(terminal, DOWN[0]), ack)
        for terminal in refused:
            if terminal in of:
                of[terminal].refused.append(terminal)
        for work in done:
            self._answer(work)

    def publish_ack(self, terminal: str, payload: bytes) -> None:
        self._acks.append((terminal, payload))

    def publish_command(self, terminal: str, payload: bytes) -> None:
        self._send("", MQTT_EXCHANGE, down_key(terminal, DOWN[1]), payload)

    def publish_directive(self, terminal: str, payload: bytes) -> None:
        self._send("", MQTT_EXCHANGE, down_key(terminal, DOWN[2]), payload)

    def refused(self, terminal: str) -> None:
        self._refused.append(terminal)

    def take_dropped(self) -> Mapping[tuple[str, str], int]:
        told, self._told = self._told, Counter()
        return told

    def take_slow(self) -> frozenset[str]:
        slow = frozenset(self._slow)
        self._slow.clear()
        return slow

    async def _until(self, count: int) -> None:
        self._wanted = count
        self._enough.clear()
        await self._enough.wait()

    def _answer(self, work: _Work) -> None:
        group = work.group
        if work.lost:
            self._turns.refused(group.opener, group.number)
            packed = pack_answer(Answer(group.number, stored=False))
        else:
            packed = pack_answer(Answer(group.number, True, work.acks, work.refused))
            self._turns.stored(group.opener, group.number, packed)
        self._send(ANSWER_KIND, "", work.reply_to, packed)

    def _send(self, kind: str, exchange: str, key: str, body: bytes) -> None:
        if len(self._unsent) >= MAX_UNSENT:
            self._unsent.popleft()
            if not self._unsaid:
                log.warning(
                    "the broker takes nothing: %d messages wait for it, and the oldest are dropped until it does; what they said is asked for again",
                    MAX_UNSENT,
                )
            self._unsaid += 1
        self._unsent.append((kind, exchange, key, body))
        self._to_send.set()

    async def _session(self, link: Link) -> None:
        channel = await link.channel(prefetch=WINDOW)
        self._acking = channel
        said = await channel.queue_declare(
            exclusive=True,
            auto_delete=True,
            arguments={"x-max-length": MAX_GROUPS, "x-overflow": "reject-publish"},
        )
        queue = str(said.queue)
        outgoing = Outgoing(self._settings, link, self)
        await outgoing.start()
        await channel.queue_bind(queue, FOLD, FOLD_KEY)
        await channel.basic_consume(queue, self._on_group)
        # What waited was of a connection that is gone, and its answers may be too; openers send it again.
        await tell(channel, HELLO, "", pack_hello(Hello(fold=self._epoch)))
        link.serve(f"groups are taken under epoch {self._epoch}")
        self._listens.set()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(outgoing.run())
                group.create_task(self._send_out(outgoing))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            self._listens.clear()

    async def _on_group(self, delivery: Delivery) -> None:
        """Nothing is awaited before the group has its place: these are tasks in the order of the deliveries."""
        properties = delivery.header.properties
        try:
            group = open_group(delivery.body, time.time_ns())
        except GroupError as error:
            log.error("a group is not understood and passed over: %s; all collectors must be of one version", error)
        else:
            self._take(group, str(properties.reply_to or ""))
        # The broker sends the next as soon as this is said: what waits here is bounded by what openers may send.
        await self._acking.basic_ack(delivery.delivery_tag or 0, wait=False)

    def _take(self, group: Group, reply_to: str) -> None:
        turn = self._turns.turn(group.opener, group.run, group.place, group.number)
        if turn is Turn.ANSWER:
            self._send(ANSWER_KIND, "", reply_to, self._turns.answer(group.opener, group.number))
        if turn is not Turn.TAKE:
            return
        self.groups += 1
        for (terminal, why), n in group.dropped.items():
            self.dropped += n
            self._told[terminal, why] += n
            if why not in UNTOLD and terminal and len(self._slow) < MAX_SLOW:
                self._slow.add(terminal)
        work = _Work(group, reply_to, len(group.messages))
        if not group.messages:
            self._answer(work)
        self._waiting.extend((message, work) for message in group.messages)
        if len(self._waiting) >= self._wanted:
            self._enough.set()

    async def _send_out(self, outgoing: Outgoing) -> None:
        while True:
            self._to_send.clear()
            while self._unsent:
                kind, exchange, key, body = self._unsent[0]
                # An opener that has gone meanwhile hears nothing: its messages are the next one's.
                await outgoing.send(exchange, key, body, kind)
                self._unsent.popleft()
            if self._unsaid:
                log.warning("the broker takes messages again; %d were dropped meanwhile", self._unsaid)
                self._unsaid = 0
            await self._to_send.wait()
