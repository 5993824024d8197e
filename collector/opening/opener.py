"""One opener: takes messages from its partitions, opens what it can, sends groups to the fold, and when the fold has stored one, publishes the acks for the
terminals and lets the broker forget it. What it cannot open it forwards as it came: the fold looks, counts and refuses. It keeps nothing: when it ends, the
broker gives what was not stored to the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Mapping, Sequence

from tillwatch.agent.wire import MAX_PAYLOAD, WireError, open_batch
from tillwatch.collector.card_data import without_cards
from tillwatch.collector.intake import Message
from tillwatch.collector.intake.amqp import (
    AmqpSettings,
    Delivery,
    FullError,
    Link,
    ReturnedError,
    keep_linked,
    publish,
    tell,
)
from tillwatch.collector.intake.fairness import SHARE, FairQueue
from tillwatch.collector.intake.outgoing import Outgoing
from tillwatch.collector.intake.topology import (
    DOWN,
    FOLD,
    FOLD_KEY,
    HELLO,
    LIFE_KIND,
    LIFE_QUEUE,
    MQTT_EXCHANGE,
    PART,
    PARTITION_QUEUES,
    PARTITIONS,
    PROBE_KIND,
    batch_key,
    down_key,
    terminal_of,
)
from tillwatch.collector.intake.topology_check import check_topology
from tillwatch.collector.opening.figures import Figures
from tillwatch.collector.opening.groups import (
    ANSWER_KIND,
    MAX_DROPPED,
    MAX_MESSAGES,
    MAX_PAYLOADS,
    Group,
    GroupError,
    Hello,
    open_answer,
    open_hello,
    pack_group,
    pack_hello,
)
from tillwatch.collector.opening.keys import KeyReader, Known
from tillwatch.collector.opening.share import HELLO_S, Members, Share
from tillwatch.collector.opening.tags import Tags
from tillwatch.collector.opening.window import Window

log = logging.getLogger(__name__)

PREFETCH = SHARE
"""Messages of a partition on their way at a time: no more of one terminal, then, than it may have waiting anyhow."""
ROOM = 2 * PARTITIONS * PREFETCH
"""Of the queue inside: twice what the broker sends, so that a terminal is only dropped for what it does itself."""
GATHER_S = 0.005
"""A group waits so long for more, as at the intake over MQTT."""
ANSWER_S = 15.0
"""Without an answer, before groups are sent again. The fold tells when it begins, and the broker when nobody is there: this is for what neither saw,
and above the pause of a fold whose store refuses.
"""
PATIENCE = 3
"""Times in a row that groups are sent again without an answer to any. Then another node is tried: nodes that lost sight of each other may not know the queue for the
answers, nor this one that of the fold, long after they are connected again.
"""
NOBODY_S = 20.0
"""So long a node may know of no fold before another one is tried: longer than another collector takes to follow one that was lost."""
AWAY_S = 0.5
"""Before groups are sent again to a fold that is not there, or has no room."""
SETTLE_S = 1.0
"""For the others' greetings, before the first partition is asked for."""
RELAYED = 64
"""Life messages sent on at a time."""


class Opener:
    """name: unlike that of any other process."""

    def __init__(self, settings: AmqpSettings, name: str, known: Known, reader: KeyReader) -> None:
        self.figures = Figures()
        self._settings, self._name = settings, name
        self._known, self._reader = known, reader
        self._connections = 0

    async def run(self) -> None:
        """Until cancelled."""
        await self._load_keys()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reader.run(), name="keys")
            group.create_task(keep_linked(self._settings, self._session), name="partitions")

    async def _load_keys(self) -> None:
        failing = False
        while True:
            try:
                await self._reader.load()
            except sqlite3.Error as error:
                if not failing:
                    log.warning("keys cannot be read (%s); trying again until they can", error)
                failing = True
                await asyncio.sleep(HELLO_S)
            else:
                log.info("keys of %d terminals", len(self._known))
                return

    async def _session(self, link: Link) -> None:
        self._connections += 1
        # A name of each connection: what the fold remembers of the one before is of groups that came back to the broker.
        session = _Session(f"{self._name}.{self._connections}", self._known, self.figures)
        outgoing = Outgoing(self._settings, link, self.figures)
        try:
            await session.run(link, outgoing)
        finally:
            self.figures.connected = False


class _Session:
    def __init__(self, name: str, known: Known, figures: Figures) -> None:
        self._name, self._known, self._figures = name, known, figures
        self._queue = FairQueue(ROOM, ROOM * MAX_PAYLOAD, known.knows)
        self._window: Window[tuple[Sequence[Message], Mapping[tuple[str, str], int]]] = Window()
        self._tags = Tags()
        self._members = Members(name)
        self._share = Share(name, PARTITION_QUEUES)
        self._work = asyncio.Event()
        self._changed = asyncio.Event()
        self._left: deque[Message] = deque()
        self._heard = 0.0
        """When anything was last heard of what is on its way to the fold."""
        self._in_vain = 0
        self._returned: float | None = None
        """Since when this node has no queue of a fold."""
        self._lives: asyncio.Queue[tuple[int, str, bytes]] = asyncio.Queue()

    async def run(self, link: Link, outgoing: Outgoing) -> None:
        await check_topology(link)
        self._outgoing = outgoing
        await outgoing.start()
        self._taking = await link.channel(prefetch=PREFETCH)
        self._relaying = await link.channel(confirms=True, prefetch=2 * RELAYED)
        self._sending = await link.channel(confirms=True)
        self._telling = await link.channel()
        said = await self._telling.queue_declare(exclusive=True, auto_delete=True)
        self._answers = str(said.queue)
        await self._telling.queue_bind(self._answers, HELLO)
        await self._telling.basic_consume(self._answers, self._on_said, no_ack=True)
        await self._greet()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(outgoing.run())
                group.create_task(self._keep_greeting())
                group.create_task(self._keep_share(link))
                group.create_task(self._send())
                group.create_task(self._relay())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            # Who goes says so: the others need not wait until it is missed.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(1):
                    await tell(self._telling, HELLO, "", pack_hello(Hello(self._name, bye=True)))

    async def _greet(self) -> None:
        await tell(self._telling, HELLO, "", pack_hello(Hello(self._name)))

    async def _keep_greeting(self) -> None:
        while True:
            await asyncio.sleep(HELLO_S)
            await self._greet()

    async def _keep_share(self, link: Link) -> None:
        await asyncio.sleep(SETTLE_S)
        held: dict[str, str] = {}
        while True:
            now = time.monotonic()
            present = self._members.present(now)
            self._share.settle(present, now)
            for queue in self._share.let_go(now):
                await self._taking.basic_cancel(held.pop(queue))
            for queue in self._share.ask(now):
                consumer = await self._taking.basic_consume(queue, self._on_message)
                held[queue] = str(consumer.consumer_tag)
            if not link.serves:
                await self._relaying.basic_consume(LIFE_QUEUE, self._on_life)
                link.serve(f"{self._share.own} of {PARTITIONS} partitions are first its own")
            figures = self._figures
            figures.connected, figures.queues, figures.own_queues = True, len(held), self._share.own
            figures.members, figures.keys = len(present), len(self._known)
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HELLO_S / 4):
                    await self._changed.wait()

    async def _on_message(self, delivery: Delivery) -> None:
        """Nothing is awaited here but at the end: these are tasks, and in the order of the deliveries only as long as none of them waits."""
        tag, kind = delivery.delivery_tag or 0, delivery.header.properties.message_type
        self._tags.came(tag)
        terminal = terminal_of(delivery.routing_key or "")
        if terminal is None or kind == PROBE_KIND:
            await self._settle([tag])
            return
        life = kind == LIFE_KIND
        topic = f"tw/1/{terminal}/{'life' if life else 'batch'}"
        self._figures.messages += 1
        self._figures.waiting = len(self._tags)
        why = self._queue.put(Message(topic, delivery.body, time.time_ns(), None, tag), terminal, life=life)
        if why is None:
            self._work.set()
        else:
            self._figures.dropped[why] += 1
            await self._settle([tag])

    async def _on_life(self, delivery: Delivery) -> None:
        terminal = terminal_of(delivery.routing_key or "")
        probe = delivery.header.properties.message_type == PROBE_KIND
        self._lives.put_nowait((delivery.delivery_tag or 0, "" if probe else terminal or "", delivery.body))

    async def _relay(self) -> None:
        """Life messages into the partition of their terminal, behind the batches that are there already."""
        while True:
            chunk = [await self._lives.get()]
            while len(chunk) < RELAYED and not self._lives.empty():
                chunk.append(self._lives.get_nowait())
            waiting = [(terminal, body) for _, terminal, body in chunk if terminal]
            while waiting:
                sent = await asyncio.gather(
                    *(
                        publish(self._relaying, PART, batch_key(terminal), body, kind=LIFE_KIND, durable=True)
                        for terminal, body in waiting
                    ),
                    return_exceptions=True,
                )
                if lost := [error for error in sent if error and not isinstance(error, ReturnedError)]:
                    raise lost[0]
                self._figures.relayed += sum(error is None for error in sent)
                waiting = [one for one, error in zip(waiting, sent, strict=True) if error is not None]
                if waiting:
                    await asyncio.sleep(AWAY_S)
            await self._relaying.basic_ack(chunk[-1][0], multiple=True)

    async def _on_said(self, delivery: Delivery) -> None:
        try:
            if delivery.header.properties.message_type == ANSWER_KIND:
                await self._on_answer(delivery.body)
            else:
                await self._on_hello(open_hello(delivery.body))
        except GroupError as error:
            log.error("what the fold or an opener says is not understood: %s", error)

    async def _on_hello(self, hello: Hello) -> None:
        if hello.fold:
            log.info("a fold begins to take groups, epoch %d", hello.fold)
            self._again()
        elif hello.opener and self._members.heard(hello.opener, time.monotonic(), bye=hello.bye):
            self._changed.set()
            if not hello.bye:
                await self._greet()

    async def _on_answer(self, packed: bytes) -> None:
        answer = open_answer(packed)
        self._heard, self._in_vain = time.monotonic(), 0
        for terminal in answer.refused:
            self._queue.refused(terminal)
        if not answer.stored:
            self._again()
            return
        for terminal, ack in answer.acks:
            await self._outgoing.send(MQTT_EXCHANGE, down_key(terminal, DOWN[0]), ack)
        self._figures.acks += len(answer.acks)
        done = self._window.answered(answer.number)
        self._figures.answered += len(done)
        await self._settle([message.tag for messages, _ in done for message in messages])
        self._work.set()

    def _again(self) -> None:
        if self._window.unanswered:
            self._figures.resent += 1
        self._window.again()
        self._work.set()

    async def _settle(self, tags: Sequence[int]) -> None:
        if reached := self._tags.settle(tags):
            await self._taking.basic_ack(reached, multiple=True, wait=False)
        self._figures.waiting = len(self._tags)

    async def _send(self) -> None:
        while True:
            self._work.clear()
            if not self._window.unanswered:
                self._heard = time.monotonic()
            elif time.monotonic() - self._heard > ANSWER_S:
                self._in_vain += 1
                if self._in_vain == PATIENCE:
                    raise ConnectionError(f"no fold has answered over this node for {PATIENCE * ANSWER_S:g} s")
                log.warning("the fold has not answered for %g s: its groups are sent again", ANSWER_S)
                self._heard = time.monotonic()
                self._again()
            if self._window.room and (self._queue.count or self._left):
                if self._queue.count < MAX_MESSAGES:
                    await asyncio.sleep(GATHER_S)
                self._gather()
            try:
                sent = await self._send_waiting()
                self._returned = None if sent else self._returned
            except ReturnedError as error:
                # Nobody folds, or it has no room. It says when it begins; until then this asks.
                now = time.monotonic()
                self._returned = None if isinstance(error, FullError) else self._returned or now
                if self._returned and now - self._returned > NOBODY_S:
                    raise ConnectionError(f"nobody has folded behind this node for {NOBODY_S:g} s") from None
                self._again()
                self._work.clear()
                sent = False
                await self._pause(AWAY_S)
            if not sent and not (self._window.room and (self._queue.count or self._left)):
                await self._pause(1.0)

    async def _pause(self, most_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                await self._work.wait()

    async def _send_waiting(self) -> bool:
        sending = self._window.next()
        if sending is None:
            return False
        while sending is not None:
            messages, dropped = sending.group
            group = Group(self._name, sending.run, sending.place, sending.number, messages, dropped)
            self._figures.groups += 1
            await publish(self._sending, FOLD, FOLD_KEY, pack_group(group), reply_to=self._answers)
            sending = self._window.next()
        return True

    def _gather(self) -> None:
        """The next group, opened."""
        waiting = self._left or deque(self._queue.take(MAX_MESSAGES))
        messages: list[Message] = []
        size = 0
        while waiting and (not messages or size + len(waiting[0].payload) <= MAX_PAYLOADS):
            message = waiting.popleft()
            size += len(message.payload)
            messages.append(self._look(message))
        self._left = waiting
        told = self._queue.take_dropped()
        dropped: dict[tuple[str, str], int] = {}
        for (terminal, why), n in told.items():
            # Of more than fit one group the rest is told without names.
            who = terminal if len(dropped) < MAX_DROPPED - 3 else ""
            dropped[who, str(why)] = dropped.get((who, str(why)), 0) + n
        self._window.add((messages, dropped))

    def _look(self, message: Message) -> Message:
        if message.topic.endswith("/batch"):
            try:
                opened = without_cards(open_batch(message.topic, message.payload, self._known))
            except WireError:
                pass  # the fold says why
            else:
                self._figures.opened += 1
                return message._replace(opened=opened)
        self._figures.forwarded += 1
        return message
