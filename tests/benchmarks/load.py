"""The load: a fleet of terminals that hand over batches made before, each with a link and a go-back-N window of the real agent, acks read. A
process of its own: `python -m tests.benchmarks.load MESSAGES PORT [CERTIFICATES]`.

It says `ready` when the collector has answered every life message, waits for `go`, says `warm` at a tenth of the work and ends with one JSON
object when the collector has acknowledged all. Signatures of acks are not verified: that would take the processor from what is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import sys
import time
from pathlib import Path

import msgpack

from tests.benchmarks import fleet
from tillwatch.agent.mqtt import Link
from tillwatch.agent.uplink import small_tls_buffers
from tillwatch.agent.window import Send, SendLife, Window
from tillwatch.agent.wire import Ack, AckState, ack_topic, batch_topic, frame_of, life_topic

GREET_S = 0.5
"""Between two life messages of a terminal that is not answered yet: the collector may not have subscribed when the first one came."""
TICK_S = 0.5
STALL_S = 60.0
"""Without an ack, twice the time after which a window sends again: nobody is there who acknowledges."""
WARM = 0.1


class Work:
    """How much of it the collector has acknowledged."""

    def __init__(self, total: int) -> None:
        self.warm, self.done = asyncio.Event(), asyncio.Event()
        self.last = time.monotonic()
        self._total, self._stored = total, 0

    def stored(self, count: int) -> None:
        self.last = time.monotonic()
        self._stored += count
        if self._stored >= self._total * WARM:
            self.warm.set()
        if self._stored >= self._total:
            self.done.set()


class Terminal:
    def __init__(self, stream: fleet.Stream, work: Work) -> None:
        self.stream = stream
        self.window = Window(stream.epoch, 1, len(stream.batches) + 1, 1)
        self.greeted = asyncio.Event()
        self.going = False
        self._link: Link | None = None
        self._work = work
        self._topic = batch_topic(stream.name)

    async def connect(self, port: int, tls: ssl.SSLContext | None) -> None:
        name = self.stream.name
        self._link = await Link.connect(
            "127.0.0.1",
            port,
            client_id=name,
            tls=tls,
            will=(life_topic(name), self.stream.life),
            subscribe=ack_topic(name),
            on_message=self._heard,
        )
        deadline = time.monotonic() + STALL_S
        while not self.greeted.is_set():
            if time.monotonic() > deadline:
                raise SystemExit(f"{name}: the collector does not answer its life messages")
            self._link.publish(life_topic(name), self.stream.life)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.greeted.wait(), GREET_S)

    def go(self) -> None:
        self.going = True
        self.window.connect(time.monotonic())
        self._carry_out(self.window.offered_now(time.monotonic()))

    def tick(self) -> None:
        self._carry_out(self.window.tick(time.monotonic()))

    async def close(self) -> None:
        if self._link is not None:
            await self._link.close()

    def _heard(self, _: str, payload: bytes) -> None:
        self.greeted.set()
        if not self.going:
            return
        ack = _read(payload)
        if ack.state in (AckState.REFUSED, AckState.ENROL, AckState.FORK):
            raise SystemExit(f"{self.stream.name}: the collector answers {ack.state}")
        before = self.window.base
        self._carry_out(self.window.acked(ack, time.monotonic()))
        self._work.stored(self.window.base - before)

    def _carry_out(self, actions: list[object]) -> None:
        assert self._link is not None
        for action in actions:
            if isinstance(action, Send):
                self._link.publish(self._topic, self.stream.batches[action.seq - 1])
            elif isinstance(action, SendLife):
                self._link.publish(life_topic(self.stream.name), self.stream.life)


def _read(payload: bytes) -> Ack:
    frame = frame_of(payload)
    header = msgpack.unpackb(frame[2 : 2 + int.from_bytes(frame[:2], "big")])
    state = AckState(header["state"])
    return Ack(header["epoch"], header["seq"], header["want"], state, header["window"], header["min_interval"], 0)


def _tls(folder: Path, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / f"{name}.pem")
    return context


async def main(file: Path, port: int, certificates: Path | None) -> None:
    if certificates is not None:
        small_tls_buffers()
    streams = fleet.load(file)
    work = Work(sum(len(stream.batches) for stream in streams))
    terminals = [Terminal(stream, work) for stream in streams]
    contexts = [certificates and _tls(certificates, stream.name) for stream in streams]
    await asyncio.gather(*(t.connect(port, context) for t, context in zip(terminals, contexts, strict=True)))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    work.last = time.monotonic()
    ticking = asyncio.create_task(_tick(terminals, work))
    begin = time.monotonic()
    for terminal in terminals:
        terminal.go()
    await work.warm.wait()
    print("warm", flush=True)
    await work.done.wait()
    seconds = time.monotonic() - begin
    print(json.dumps({"seconds": seconds, "resent": sum(t.window.resent for t in terminals)}), flush=True)
    ticking.cancel()
    await asyncio.gather(*(t.close() for t in terminals))


async def _tick(terminals: list[Terminal], work: Work) -> None:
    while True:
        await asyncio.sleep(TICK_S)
        if time.monotonic() - work.last > STALL_S:
            raise SystemExit(f"the collector has acknowledged nothing for {STALL_S:.0f} s")
        for terminal in terminals:
            terminal.tick()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None))
