"""How messages come to the fold: over the intake of one machine, through an opener with its broker left out, and through an opener and a real broker. Each is given
messages that come at one moment, and says when all of them are stored.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import pytest

from tests.scale.broker import Broker, Till
from tests.scale.line import answering
from tests.scale.year.told import Told
from tillwatch.collector.ingest import Ingest
from tillwatch.collector.intake import Intake, Message
from tillwatch.collector.intake import forwarded as forwarded_module
from tillwatch.collector.intake import mqtt as mqtt_module
from tillwatch.collector.intake.amqp import AmqpSettings
from tillwatch.collector.intake.forwarded import ForwardedIntake
from tillwatch.collector.intake.mqtt import MqttIntake, MqttSettings
from tillwatch.collector.intake.topology import FOLD, LIFE_KIND, MQTT_EXCHANGE, PART, batch_key
from tillwatch.collector.journal import Kind
from tillwatch.collector.opening import opener as opener_module
from tillwatch.collector.opening.figures import Figures
from tillwatch.collector.opening.groups import ANSWER_KIND
from tillwatch.collector.opening.keys import KeyReader, Known
from tillwatch.collector.opening.opener import Opener, _Session
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.store.db import Postgres, connect

GROUP = 512
"""Messages of a transaction at most, as a collector has it."""
LOOK_S = 0.02
"""Between two looks whether an opener has settled all of it with the broker."""
WAIT_S = 60


class Clock:
    """UTC ns of the simulation. It goes forward only with what is told."""

    def __init__(self, now: int) -> None:
        self.now = now

    def read(self) -> int:
        return self.now


@asynccontextmanager
async def simulated_time(clock: Clock) -> AsyncIterator[None]:
    """Both intakes and the openers stamp messages with it. What they count in seconds of their own, such as who sends too fast, stays of this machine."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (mqtt_module, forwarded_module, opener_module):
            patch.setattr(module, "time", SimpleNamespace(time_ns=clock.read, monotonic=time.monotonic))
        yield


class Line(Protocol):
    """acks: the last one of each terminal, as it went out."""

    acks: dict[str, bytes]

    async def send(self, messages: Sequence[Told]) -> None: ...

    async def stored(self, until: int) -> None:
        """Returns when so many entries of the journal are stored."""
        ...

    async def close(self) -> None: ...


class _Folding:
    """An intake with its loop, and word of how much of it is stored."""

    def __init__(self, pipeline: Pipeline, intake: Intake) -> None:
        self._pipeline, self._change = pipeline, asyncio.Event()
        self._stored = pipeline.journal.n
        intake.settled = partial(self._hear, intake.settled)  # type: ignore[method-assign]
        self._task = asyncio.create_task(Ingest(pipeline, intake, max_n=GROUP, max_wait_s=0.0).run())
        self._task.add_done_callback(lambda _: self._change.set())

    def _hear(self, settled: Any, count: int, *, stored: bool) -> None:
        assert stored
        settled(count, stored=stored)
        # The next group is not folded before this one has been settled.
        self._stored = self._pipeline.journal.n
        self._change.set()

    async def stored(self, until: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while self._stored < until:
                self._change.clear()
                await self._change.wait()
                assert not self._task.done(), self._task

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class OverMqtt:
    """One machine. What a client of MQTT calls is called."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.acks: dict[str, bytes] = {}
        self._intake = MqttIntake(MqttSettings("127.0.0.1", 1, "year"), knows=pipeline.knows)
        self._intake.publish_ack = self.acks.__setitem__  # type: ignore[method-assign]
        self._folding = _Folding(pipeline, self._intake)

    async def send(self, messages: Sequence[Told]) -> None:
        for one in messages:
            self._intake._on_message(None, one.topic, one.payload, 1, {})
        assert not self._intake.dropped

    async def stored(self, until: int) -> None:
        await self._folding.stored(until)

    async def close(self) -> None:
        await self._folding.close()


class _Channel:
    """Of a broker that is not there."""

    async def basic_ack(self, *_: object, **__: object) -> None:
        pass


def _delivery(tag: int, key: str, body: bytes, kind: str, reply_to: str = "") -> Any:
    properties = SimpleNamespace(message_type=kind or None, reply_to=reply_to or None)
    return SimpleNamespace(delivery_tag=tag, routing_key=key, body=body, header=SimpleNamespace(properties=properties))


class ThroughOpener:
    """A session of an opener and the fold's intake, whole but for the broker between them: what one publishes is delivered to the other."""

    def __init__(self, pipeline: Pipeline, where: Postgres, epoch: int) -> None:
        self.acks: dict[str, bytes] = {}
        self.figures = Figures()
        self._known = Known()
        self._reader = KeyReader(self._known, partial(connect, where, read_only=True, timeout_s=5))
        self._session: Any = _Session("opener", self._known, self.figures)
        self._session._taking, self._session._relaying = _Channel(), _Channel()
        self._session._sending = self._session._telling = None
        self._session._outgoing = self._outgoing = SimpleNamespace(send=self._send)
        self._session._answers = "answers"
        self._intake: Any = ForwardedIntake(AmqpSettings((("127.0.0.1", 1),), "v", "u", "p"), epoch)
        self._intake._acking = _Channel()
        self._folding = _Folding(pipeline, self._intake)
        self._parts = self._lives = 0
        self._stack = AsyncExitStack()

    async def open(self) -> ThroughOpener:
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(opener_module, "publish", self._publish)
        patch.setattr(opener_module, "GATHER_S", 0.0)
        await self._reader.load()
        working = (
            self._reader.run(),
            self._session._send(),
            self._session._relay(),
            self._intake._send_out(self._outgoing),
        )
        tasks = [asyncio.create_task(one) for one in working]

        async def end() -> None:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self._stack.push_async_callback(end)
        return self

    async def _publish(self, _: Any, exchange: str, key: str, body: bytes, *, kind: str = "", reply_to: str = "", durable: bool = False) -> None:  # fmt: skip
        if exchange == FOLD:
            await self._intake._on_group(_delivery(0, key, body, kind, reply_to))
        else:
            assert (exchange, kind, durable) == (PART, LIFE_KIND, True)
            await self._partition(key, body, kind)

    async def _send(self, exchange: str, key: str, body: bytes, kind: str = "") -> None:
        if kind == ANSWER_KIND:
            await self._session._on_said(_delivery(0, key, body, kind))
        else:
            assert exchange == MQTT_EXCHANGE
            self.acks[key.split(".")[2]] = body

    async def _partition(self, key: str, body: bytes, kind: str = "") -> None:
        self._parts += 1
        await self._session._on_message(_delivery(self._parts, key, body, kind))

    async def send(self, messages: Sequence[Told]) -> None:
        for one in messages:
            if one.kind is Kind.LIFE:
                self._lives += 1
                await self._session._on_life(_delivery(self._lives, f"tw.1.{one.terminal}.life", one.payload, ""))
            else:
                await self._partition(batch_key(one.terminal), one.payload)

    async def stored(self, until: int) -> None:
        await self._folding.stored(until)
        assert not self.figures.dropped

    async def close(self) -> None:
        await self._folding.close()
        await self._stack.aclose()


class OverRabbitMq:
    """A terminal each with a connection of its own over MQTT and TLS, a node, an opener and the fold."""

    def __init__(self, pipeline: Pipeline, where: Postgres, epoch: int, broker: Broker, folder: Path) -> None:
        self.acks: dict[str, bytes] = {}
        self._where, self._broker, self._folder = where, broker, folder
        self._intake = ForwardedIntake(broker.settings("fold"), epoch)
        self._folding = _Folding(pipeline, self._intake)
        known = Known()
        reader = KeyReader(known, partial(connect, where, read_only=True, timeout_s=5))
        self.opener = Opener(broker.settings("opener"), "opener", known, reader)
        self._tills: dict[str, Till] = {}
        self._stack = AsyncExitStack()

    async def open(self) -> OverRabbitMq:
        await self._stack.enter_async_context(answering(self._broker, self._broker.authority, self._where))
        await self._intake.start()
        self._stack.push_async_callback(self._intake.stop)
        opening = asyncio.create_task(self.opener.run())

        async def end() -> None:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            for till in self._tills.values():
                await till.close()

        self._stack.push_async_callback(end)
        return self

    async def _till(self, name: str) -> Till:
        if name not in self._tills:
            till = self._tills[name] = Till(name, self._broker, self._folder)
            till.client.on_message = lambda _c, _topic, payload, *_: self.acks.__setitem__(name, bytes(payload))
            await till.connect()
            await till.subscribe(f"tw/1/{name}/ack")
        return self._tills[name]

    async def send(self, messages: Sequence[Told]) -> None:
        for one in messages:
            (await self._till(one.terminal)).publish(Message(one.topic, one.payload, 0))

    async def stored(self, until: int) -> None:
        await self._folding.stored(until)

    async def close(self) -> None:
        # What is not settled comes again to the next one, and a will that does is kept again.
        async with asyncio.timeout(WAIT_S):
            while self.opener.figures.waiting:
                await asyncio.sleep(LOOK_S)
        await self._folding.close()
        await self._stack.aclose()
