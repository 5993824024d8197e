"""A terminal that does what an agent does at the wire: go-back-N with a window, rewinding where it is told or not answered, and coming back after a loss."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from tests.collector.sending import MS, S, Sender, reading
from tests.scale.broker import Broker, Till
from tillwatch.agent.wire import Ack, VerifyKey, batch_topic, open_ack
from tillwatch.collector.intake import Message

WINDOW = 8
REWIND_S = 4.0
"""Shorter than an agent's 30 s, so that a test ends."""


class Agent:
    """name: of a terminal that is enrolled with Sender's key; total: batches that it has to say. done: all of them are acknowledged."""

    def __init__(self, name: str, brokers: list[Broker], folder: Path, key: VerifyKey, now: int, total: int) -> None:
        self.sender = Sender(name, boot_at=now - 3600 * S)
        self.name, self.brokers, self.folder, self.key = name, brokers, folder, key
        self.now, self.total = now, total
        self.acked = 0
        self.resent = 0
        self.done = asyncio.Event()
        self._heard = asyncio.Event()
        self._next = 1

    def batch(self, seq: int) -> Message:
        while self.sender.seq < seq:
            at = self.now + self.sender.seq * MS
            self.sender.batch([reading("host", "host.memory.percent", at, 40.0 + self.sender.seq % 20)], at)
        return Message(batch_topic(self.name), self.sender.sealed[seq - 1][1].payload, 0)

    async def run(self) -> None:
        turn = 0
        while not self.done.is_set():
            till = Till(self.name, self.brokers[turn % len(self.brokers)], self.folder)
            turn += 1
            try:
                await till.connect()
                await till.subscribe(f"tw/1/{self.name}/ack")
                await self._speak(till)
            except Exception:  # a broker that is killed is lost in many ways, and comes back
                await asyncio.sleep(0.3)
            finally:
                await till.close()

    async def _speak(self, till: Till) -> None:
        listening = asyncio.create_task(self._listen(till))
        try:
            till.publish(self.sender.life(self.now + self.sender.seq * MS, floor=self.acked + 1))
            self._next = self.acked + 1
            while not self.done.is_set() and not till.lost.is_set():
                self._heard.clear()
                while self._next <= min(self.total, self.acked + WINDOW):
                    till.publish(self.batch(self._next))
                    self._next += 1
                try:
                    async with asyncio.timeout(REWIND_S):
                        lost = asyncio.create_task(till.lost.wait())
                        heard = asyncio.create_task(self._heard.wait())
                        try:
                            await asyncio.wait({lost, heard}, return_when=asyncio.FIRST_COMPLETED)
                        finally:
                            lost.cancel()
                            heard.cancel()
                            await asyncio.gather(lost, heard, return_exceptions=True)
                except TimeoutError:
                    self.resent += self._next - self.acked - 1
                    self._next = self.acked + 1
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _listen(self, till: Till) -> None:
        while True:
            _, payload = await till.received.get()
            ack: Ack = open_ack(self.name, payload, lambda _: self.key)
            if ack.epoch != self.sender.epoch:
                continue
            self.acked = max(self.acked, ack.seq)
            if ack.want and ack.want <= self.total:
                self._next = max(ack.want, self.acked + 1)
            if self.acked >= self.total:
                self.done.set()
            self._heard.set()


async def all_done(agents: list[Agent], within_s: float) -> None:
    """Raises TimeoutError naming who is not."""
    try:
        async with asyncio.timeout(within_s):
            await asyncio.gather(*(one.done.wait() for one in agents))
    except TimeoutError:
        late = {one.name: one.acked for one in agents if not one.done.is_set()}
        msg = f"not acknowledged: {late}"
        raise TimeoutError(msg) from None


@contextlib.asynccontextmanager
async def speaking(agents: list[Agent]):  # type: ignore[no-untyped-def]
    tasks = [asyncio.create_task(one.run()) for one in agents]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
