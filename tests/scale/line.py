"""Openers and a fold in this process, on a real broker, and what a test looks at there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial

from tests.collector.conftest import World
from tests.mosquitto import HOSTS
from tests.scale.broker import USER, VHOST, Broker
from tillwatch.collector.ingest import Ingest
from tillwatch.collector.intake.amqp import AmqpSettings, Link, open_link
from tillwatch.collector.intake.forwarded import ForwardedIntake
from tillwatch.collector.opening.figures import Figures
from tillwatch.collector.opening.keys import KeyReader, Known
from tillwatch.collector.opening.listening import Enrolled, Folding, opener_app, opener_listener
from tillwatch.collector.opening.opener import Opener
from tillwatch.collector.store.db import Where, connect
from tillwatch.collector.trust.authority import Authority


@contextlib.asynccontextmanager
async def linked(broker: Broker, user: str = USER) -> AsyncIterator[Link]:
    link = await open_link(broker.settings(user=user), "127.0.0.1", broker.amqp)
    try:
        yield link
    finally:
        await link.close()


@contextlib.asynccontextmanager
async def answering(broker: Broker, authority: Authority, database: Where) -> AsyncIterator[None]:
    """A collector that answers the broker's questions about terminals."""
    read = partial(connect, database, read_only=True, timeout_s=5)
    app = opener_app(Figures(), VHOST, Enrolled(Known(), read), Folding(read))
    listener = opener_listener(app, "127.0.0.1", broker.access_port, authority.server_file(HOSTS))
    await listener.start()
    try:
        yield
    finally:
        await listener.stop()


class Line:
    """Openers and the fold of one world, on one broker; others: nodes beside it, in the order in which they are called."""

    def __init__(self, broker: Broker, world: World, *others: Broker) -> None:
        self.brokers, self.world = (broker, *others), world
        self.openers: list[Opener] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.epoch = 0

    def settings(self, name: str = "test") -> AmqpSettings:
        hosts = tuple(("127.0.0.1", one.amqp) for one in self.brokers)
        return replace(self.brokers[0].settings(name), hosts=hosts)

    def open(self, name: str) -> asyncio.Task[None]:
        known = Known()
        reader = KeyReader(known, partial(connect, self.world.path, read_only=True, timeout_s=5))
        one = Opener(self.settings(name), name, known, reader)
        self.openers.append(one)
        self.tasks.append(asyncio.create_task(one.run()))
        return self.tasks[-1]

    async def fold(self) -> tuple[ForwardedIntake, asyncio.Task[None]]:
        self.epoch += 1
        intake = ForwardedIntake(self.settings("fold"), self.epoch)
        await intake.start()
        await asyncio.wait_for(intake.wait_connected(), 60)
        ingest = Ingest(self.world.pipeline, intake, max_n=512, max_wait_s=0.005)
        self.tasks.append(asyncio.create_task(ingest.run()))
        return intake, self.tasks[-1]

    async def ready(self) -> None:
        async with asyncio.timeout(60):
            while not all(one.figures.connected for one in self.openers):
                await asyncio.sleep(0.02)

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def until(what: Callable[[], bool], within: float = 60) -> None:
    async with asyncio.timeout(within):
        while not what():
            await asyncio.sleep(0.02)


def mark(world: World, name: str) -> int:
    terminal = world.pipeline.terminal(name)
    return max((stream.mark for stream in terminal.streams.values()), default=0) if terminal else 0
