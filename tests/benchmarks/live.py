"""Terminals that live: each seals a batch now and then, hands it to the broker at once and believes an ack of the collector as the real agent
does; some of them come with a backlog. A process of its own: `python -m tests.benchmarks.live SPEC`, SPEC being JSON of `Spec`.

It says `ready` when the collector has answered every life message, waits for `go`, and ends with one JSON object: `ack_ms`, from the newest
reading of a batch to the believed ack, of every live batch; `drained_s` and `drained`, the backlogs; `up` and `down`, bytes a reading that the live terminals' MQTT packets had each way.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import fleet
from tillwatch.agent.model import MS, Clock
from tillwatch.agent.mqtt import Link
from tillwatch.agent.window import Action, Discard, Send, SendLife, Window
from tillwatch.agent.wire import (
    FIRST_PREV,
    AckState,
    Life,
    SigningKey,
    VerifyKey,
    ack_topic,
    batch_topic,
    life_topic,
    new_epoch,
    open_ack,
    seal,
    seal_life,
)

GREET_S = 0.5
TICK_S = 0.5
BOOT = b"livelive"
UP_MS = 48 * 3600 * 1000
PUBLISH = 7
"""Bytes that MQTT adds to topic and payload of a batch: fixed header 3, length of the topic 2, packet id 2."""
ACK = 5 + 4
"""The same of an ack, which has no packet id, and the PUBACK that the batch gets."""


@dataclass(frozen=True, slots=True)
class Spec:
    """live terminals seal a batch every `every_s` for `seconds`, or while there is a backlog: `backlogged` terminals with `backlog` batches
    each, sealed `backlog_every_s` apart before now.
    """

    port: int
    collector: str
    live: int
    every_s: float
    seconds: float
    backlogged: int = 0
    backlog: int = 0
    backlog_every_s: float = 10.0

    def names(self) -> tuple[list[str], list[str]]:
        return [f"live-{n:03}" for n in range(self.live)], [f"back-{n:03}" for n in range(self.backlogged)]


def key_of(name: str) -> SigningKey:
    return SigningKey(name.encode().ljust(32, b"\0"))


class Terminal:
    def __init__(self, name: str, collector: VerifyKey) -> None:
        self.name = name
        self.key = key_of(name)
        self.epoch = new_epoch(time.time_ns(), random.randbytes(8))
        self.window = Window(self.epoch, 1, 1, 1)
        self.ack_ms: list[float] = []
        self.up = self.down = self.readings = 0
        self.greeted, self.drained = asyncio.Event(), asyncio.Event()
        self._collector = collector
        self._ticks = fleet.wandering(random.Random(name))
        self._prev = FIRST_PREV
        self._sealed: dict[int, bytes] = {}
        self._read_at: dict[int, float] = {}
        self._link: Link | None = None
        self._going = False
        self._n = 0

    def seal(self, ago_ms: int = 0) -> None:
        """One batch of now, or of so long ago."""
        read_at, now = time.monotonic(), time.time_ns() // MS - ago_ms
        batch = fleet.batch(self._ticks, now)
        seq = self.window.end
        one = seal(
            self.key, batch, terminal=self.name, epoch=self.epoch, seq=seq, prev=self._prev, floor=1, sent=now * MS, boot=BOOT,
            up=UP_MS - ago_ms, clock=Clock("ntp", 5),
        )  # fmt: skip
        self._prev = one.digest
        self._sealed[seq] = one.payload
        if not ago_ms:
            self._read_at[seq] = read_at
        self.readings += one.n
        self._do(self.window.sealed(seq + 1, 1, time.monotonic()))

    async def connect(self, port: int) -> None:
        self._link = await Link.connect(
            "127.0.0.1", port, client_id=self.name, tls=None, will=(life_topic(self.name), self._life("offline")),
            subscribe=ack_topic(self.name), on_message=self._heard,
        )  # fmt: skip
        while not self.greeted.is_set():
            self._link.publish(life_topic(self.name), self._life())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.greeted.wait(), GREET_S)

    def go(self) -> None:
        self._going = True
        self.window.connect(time.monotonic())
        self._do(self.window.offered_now(time.monotonic()))

    def tick(self) -> None:
        self._do(self.window.tick(time.monotonic()))

    async def close(self) -> None:
        if self._link is not None:
            await self._link.close()

    def _life(self, state: str = "online") -> bytes:
        self._n += 1
        now = time.time_ns()
        return seal_life(
            self.key, Life(self.name, self.key.key_id, self.epoch, 1, self.window.end, 0, BOOT, UP_MS, now, self._n, state)
        )  # fmt: skip

    def _heard(self, topic: str, payload: bytes) -> None:
        self.greeted.set()
        self.down += len(topic) + len(payload) + ACK
        if not self._going:
            return
        ack = open_ack(self.name, payload, lambda _: self._collector)
        if ack.state in (AckState.REFUSED, AckState.ENROL, AckState.FORK):
            raise SystemExit(f"{self.name}: the collector answers {ack.state}")
        self._do(self.window.acked(ack, time.monotonic()))
        if self.window.base == self.window.end:
            self.drained.set()

    def _do(self, actions: list[Action]) -> None:
        if not self._going or self._link is None:
            return
        for action in actions:
            if isinstance(action, Send):
                payload = self._sealed[action.seq]
                self._link.publish(batch_topic(self.name), payload)
                self.up += len(batch_topic(self.name)) + len(payload) + PUBLISH
            elif isinstance(action, SendLife):
                self._link.publish(life_topic(self.name), self._life())
            elif isinstance(action, Discard):
                now = time.monotonic()
                for seq in [seq for seq in self._sealed if seq <= action.seq]:
                    del self._sealed[seq]
                    if at := self._read_at.pop(seq, 0.0):
                        self.ack_ms.append((now - at) * 1000)


async def _live(terminal: Terminal, every_s: float, until: asyncio.Event) -> None:
    # Spread over the interval, as a fleet is that was not started at once.
    at = time.monotonic() + every_s * random.random()
    while not until.is_set():
        await asyncio.sleep(max(at - time.monotonic(), 0))
        terminal.drained.clear()
        terminal.seal()
        at += every_s


async def _tick(terminals: list[Terminal]) -> None:
    while True:
        await asyncio.sleep(TICK_S)
        for terminal in terminals:
            terminal.tick()


async def main(spec: Spec) -> None:
    collector = VerifyKey(bytes.fromhex(spec.collector))
    live, back = ([Terminal(name, collector) for name in names] for names in spec.names())
    for terminal in back:
        for n in range(spec.backlog, 0, -1):
            terminal.seal(round(n * spec.backlog_every_s * 1000))
    await asyncio.gather(*(terminal.connect(spec.port) for terminal in (*live, *back)))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    over = asyncio.Event()
    begin = time.monotonic()
    for terminal in (*live, *back):
        terminal.go()
    tasks = [asyncio.create_task(_live(terminal, spec.every_s, over)) for terminal in live]
    ticking = asyncio.create_task(_tick([*live, *back]))
    await asyncio.gather(*(terminal.drained.wait() for terminal in back))
    drained = time.monotonic() - begin
    if spec.seconds > drained:
        await asyncio.sleep(spec.seconds - drained)
    over.set()
    await asyncio.gather(*tasks)
    await asyncio.gather(*(terminal.drained.wait() for terminal in live))
    said = {
        "ack_ms": sorted(ms for terminal in live for ms in terminal.ack_ms),
        "drained_s": drained,
        "drained": spec.backlogged * spec.backlog,
        "up": sum(t.up for t in live) / max(sum(t.readings for t in live), 1),
        "down": sum(t.down for t in live) / max(sum(t.readings for t in live), 1),
        "resent": sum(t.window.resent for t in (*live, *back)),
    }
    print(json.dumps(said), flush=True)
    ticking.cancel()
    await asyncio.gather(*(terminal.close() for terminal in (*live, *back)))


if __name__ == "__main__":
    asyncio.run(main(Spec(**json.loads(Path(sys.argv[1]).read_text()))))
