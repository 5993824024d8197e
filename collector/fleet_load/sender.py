"""One process of the load: its share of the terminals over its share of the connections. `python -m tillwatch.collector.fleet_load.sender`, with one line of
JSON on standard input, which is a `Spec`. Its figures are lines of JSON on standard output, one a second; a line `stop`, or the end of standard input, ends
it in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import json
import logging
import resource
import signal
import ssl
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import msgpack

from tillwatch.agent.wire import AckState, ack_topic, batch_topic, life_topic
from tillwatch.collector.fleet_load.acks import AckError, Acks
from tillwatch.collector.fleet_load.certificates import context_of
from tillwatch.collector.fleet_load.connection import Connection
from tillwatch.collector.fleet_load.figures import Figures
from tillwatch.collector.fleet_load.sealing import Plan, Sealer
from tillwatch.collector.fleet_load.spool import Spool
from tillwatch.collector.fleet_load.stream import Stream, StreamError, Turn
from tillwatch.collector.fleet_load.terminals import Fleet, number

TICK_S = 0.01
AT_ONCE = 256
"""Batches that fall due between two looks at what was heard."""
BIRTHS = 256
"""Life messages that wait for their first answer: a collector takes a group of as many, and no broker drops one of them."""
BIRTH_PATIENCE_S = 5.0
"""After which an unanswered birth does not hold up the next ones."""
SLICES = 64
"""Of the streams, one is looked through for time-outs at each tick: each stream about twice a second."""
CONNECTING = 64
"""Connections that are being made at a time."""
STALL_S = 60.0
"""Without an ack, at the end of a run: twice the time after which a stream sends again."""
GOODBYES = 200
"""Life messages that say `offline`, at a time; nobody answers them."""
GOODBYE_S = 0.1


@dataclass(frozen=True, slots=True)
class Spec:
    """fleet, seed: which fleet; first, last: the terminals of this process; begin_ms, interval_ms, until_ms, readings, faults, run: of the plan; ahead_s: of
    the plan what is sealed before the run begins; connections: over how many; tls: folder of the certificates, empty for plain MQTT; ack_key: public, hex;
    ledger: where it is written what was sent; spool: an own folder.
    """

    fleet: int
    seed: str
    first: int
    last: int
    begin_ms: int
    interval_ms: int
    until_ms: int
    readings: int
    faults: float
    run: str
    ahead_s: float
    host: str
    port: int
    connections: int
    tls: str
    ack_key: str
    ledger: str
    spool: str

    @property
    def plan(self) -> Plan:
        fleet = Fleet(self.fleet, self.seed)
        return Plan(fleet, self.begin_ms, self.interval_ms, self.until_ms, self.readings, self.faults, self.run)


class Sender:
    def __init__(self, spec: Spec) -> None:
        self.figures = Figures()
        self.stopping = asyncio.Event()
        self._spec, self._plan = spec, spec.plan
        self._numbers = range(spec.first, spec.last)
        self._sealer = Sealer(self._plan, self._numbers)
        self._spool = Spool(Path(spec.spool))
        self._acks = Acks(bytes.fromhex(spec.ack_key))
        self._streams = [Stream(n, self._plan.epoch(n)) for n in self._numbers]
        self._ahead: list[list[int]] = [[] for _ in self._numbers]
        self._digests: list[bytes] = [b""] * len(self._numbers)
        self._due = [(self._plan.first_due(n), i) for i, n in enumerate(self._numbers)]
        heapq.heapify(self._due)
        self._of: list[Connection] = []
        self._births: deque[int] = deque()
        self._born: deque[tuple[float, int]] = deque()
        self._slice = 0
        self._heard = 0.0
        self.last_ack = 0.0
        """UTC s."""
        self._connections = self._connect()

    # Before the run.

    def seal_ahead(self) -> int:
        """How many batches there were."""
        plan, count = self._plan, 0
        begun = time.process_time()
        upto = plan.begin_ms + round(self._spec.ahead_s * 1000)
        for i, n in enumerate(self._numbers):
            due = plan.first_due(n)
            while due < upto and not plan.ends(due):
                self._ahead[i].append(self._seal(i, due, plan.interval_ms))
                due += plan.interval_ms
            count += len(self._ahead[i])
        self.figures.sealing_cpu_s = time.process_time() - begun
        return count

    def _connect(self) -> list[Connection]:
        spec, plan = self._spec, self._plan
        count = len(self._numbers)
        edges = [count * each // spec.connections for each in range(spec.connections + 1)]
        found = []
        for first, last in pairwise(edges):
            names = [plan.fleet.name(self._numbers[i]) for i in range(first, last)]
            own = last - first == 1
            connection = Connection(
                spec.host,
                spec.port,
                names[0] if own else f"{names[0]}-and-{len(names)}-{plan.run[:8]}",
                [ack_topic(name) for name in names],
                tls=partial(context_of, Path(spec.tls), names[0]) if spec.tls else None,
                will=partial(self._will, first) if own else None,
                hear=self._hear,
                up=partial(self._up, range(first, last)),
                down=partial(self._down, range(first, last)),
            )
            found.append(connection)
            self._of += [connection] * (last - first)
        return found

    # What happens.

    def _will(self, i: int) -> tuple[str, bytes]:
        return self._life(i, "offline")

    def _up(self, some: range) -> None:
        self.figures.connected += 1
        for i in some:
            self._streams[i].connect()
        self._births.extend(some)

    def _down(self, some: range) -> None:
        self.figures.connected -= 1
        self.figures.lost += not self.stopping.is_set()
        for i in some:
            self._streams[i].connect()

    def _hear(self, topic: str, payload: bytes) -> None:
        # gmqtt hands over as bytes what is not UTF-8.
        levels = topic.split("/") if type(topic) is str else []
        i = number(levels[2]) - self._spec.first if len(levels) == 4 else -1
        if not 0 <= i < len(self._streams):
            self.figures.failed["an ack of a terminal that is not of this fleet"] += 1
            return
        stream, now = self._streams[i], time.monotonic()
        try:
            ack = self._acks.read(levels[2], payload)
            sampled = stream.sampling
            turn = stream.acked(ack, now)
            if turn.settled:
                self._settled(i, turn.settled, ack.digest)
        except (AckError, StreamError) as error:
            self.figures.failed[str(error)[:200]] += 1
            return
        self._heard = now
        self.figures.slow += ack.state is AckState.SLOW
        self.figures.paced += stream.sampling != sampled
        self._carry_out(i, turn)

    def _settled(self, i: int, places: list[int], digest: bytes) -> None:
        own = self._spool.digest(places[-1])
        if digest and own[: len(digest)] != digest:
            raise StreamError("the collector acknowledges another batch than the one that was sent")
        self._digests[i] = own
        for place in places:
            self._spool.release(place)
        self.figures.acknowledged += len(places)
        self.last_ack = time.time()

    def _carry_out(self, i: int, turn: Turn) -> None:
        figures = self.figures
        if turn.leave:
            self._of[i].leave()
        for seconds in turn.latencies:
            figures.latencies.add(seconds)
        if turn.life:
            figures.asked += 1
            self._of[i].publish(*self._life(i))
        if turn.send:
            topic = batch_topic(self._plan.fleet.name(self._numbers[i]))
            for place in turn.send:
                payload = self._spool.payload(place)
                figures.sent_bytes += len(payload)
                self._of[i].publish(topic, payload)
            figures.resent += turn.resent
            figures.sent += len(turn.send) - turn.resent

    def _life(self, i: int, state: str = "online") -> tuple[str, bytes]:
        stream = self._streams[i]
        sealed = self._sealer.life(i, time.time_ns() // 1_000_000, stream.base, stream.end, state)
        return life_topic(self._plan.fleet.name(self._numbers[i])), sealed

    def _seal(self, i: int, due: int, span: int) -> int:
        one = self._sealer.batch(i, due, span)
        self.figures.readings += one.n
        return self._spool.put(one.digest, one.payload)

    # What is due.

    def _fall_due(self) -> None:
        now_ms, now, plan = time.time_ns() // 1_000_000, time.monotonic(), self._plan
        for _ in range(AT_ONCE):
            if not self._due or self._due[0][0] > now_ms:
                return
            due, i = self._due[0]
            if plan.ends(due):
                heapq.heappop(self._due)
                continue
            self.figures.late_s = max(self.figures.late_s, (now_ms - due) / 1000)
            stream, ahead = self._streams[i], self._ahead[i]
            every = plan.interval_ms
            if ahead:
                place = ahead.pop(0)
            else:
                # The collector's wishes hold for what is not sealed yet.
                every = max(every * stream.pace * stream.sampling // 100, round(stream.spacing * 1000))
                place = self._seal(i, due, every)
            heapq.heapreplace(self._due, (due + every, i))
            self._carry_out(i, stream.sealed(place, now))

    def _give_birth(self) -> None:
        now = time.monotonic()
        while self._born and (self._streams[self._born[0][1]].greeted or now - self._born[0][0] > BIRTH_PATIENCE_S):
            self._born.popleft()
        while self._births and len(self._born) < BIRTHS:
            i = self._births.popleft()
            if self._of[i].open and not self._streams[i].greeted:
                self._of[i].publish(*self._life(i))
                self._streams[i].greet(now)
                self._born.append((now, i))

    def _time_out(self) -> None:
        now = time.monotonic()
        self._slice = (self._slice + 1) % SLICES
        for i in range(self._slice, len(self._streams), SLICES):
            if self._streams[i].deadline:
                self._carry_out(i, self._streams[i].tick(now))

    # The run.

    async def run(self) -> None:
        """Until the plan is fulfilled and all is settled, or nothing moves any more."""
        gate = asyncio.Semaphore(CONNECTING)
        tasks = [asyncio.create_task(self._keep(each, gate)) for each in self._connections]
        try:
            self._heard = time.monotonic()
            while not self._over():
                self._give_birth()
                self._fall_due()
                self._time_out()
                behind = bool(self._due) and self._due[0][0] <= time.time_ns() // 1_000_000
                await asyncio.sleep(0 if behind else TICK_S)
            await self._say_goodbye()
        finally:
            self.stopping.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._write_ledger()
            self._spool.close()

    async def _keep(self, connection: Connection, gate: asyncio.Semaphore) -> None:
        async with gate:
            running = asyncio.create_task(connection.run())
            try:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(connection.begun.wait(), STALL_S)
            except asyncio.CancelledError:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                raise
        if connection.denied:
            self.figures.failed[connection.denied] += 1
            self.stopping.set()
        try:
            await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def _over(self) -> bool:
        if self.stopping.is_set():
            # What is not due yet was never sent.
            self._due.clear()
        stalled = time.monotonic() - self._heard > STALL_S
        strangers = self.figures.failed.total() >= len(self._streams)
        if self._due:
            # Nobody was ever answered, or all were told that they are not known.
            return (
                (stalled or strangers) and not any(stream.greeted for stream in self._streams) and not self.figures.sent
            )
        return stalled or not any(stream.waiting for stream in self._streams)

    async def _say_goodbye(self) -> None:
        for first in range(0, len(self._streams), GOODBYES):
            for i in range(first, min(first + GOODBYES, len(self._streams))):
                if self._streams[i].greeted:
                    self._of[i].publish(*self._life(i, "offline"))
            await asyncio.sleep(GOODBYE_S)

    def told(self) -> Figures:
        figures = self.figures
        figures.unsettled = sum(stream.waiting for stream in self._streams)
        figures.greeted = sum(stream.greeted for stream in self._streams)
        figures.verified = self._acks.proven
        figures.cpu_s = time.process_time()
        figures.rss_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return figures

    def _write_ledger(self) -> None:
        rows = [
            [stream.n, stream.epoch, stream.base - 1, stream.end - 1, digest]
            for stream, digest in zip(self._streams, self._digests, strict=True)
        ]
        Path(self._spec.ledger).write_bytes(msgpack.packb(rows))


def word(kind: str, **what: object) -> None:
    sys.stdout.write(json.dumps({"kind": kind, **what}) + "\n")
    sys.stdout.flush()


async def _listen(sender: Sender) -> None:
    """The end of standard input, or any line, is the end of the run."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.readline()
    sender.stopping.set()


async def _tell(sender: Sender) -> None:
    while True:
        await asyncio.sleep(1.0)
        word("figures", figures=sender.told().plain(), last_ack=sender.last_ack)


async def serve(spec: Spec) -> None:
    import asyncio.sslproto  # noqa: PLC0415 - asyncio loads it anyway with ssl

    # 32 KiB instead of 256 for each TLS connection: what comes are acks of 200 bytes.
    asyncio.sslproto.SSLProtocol.max_size = 32 * 1024
    sender = Sender(spec)
    word("sealed", count=sender.seal_ahead())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, sender.stopping.set)
    tasks = [asyncio.create_task(_listen(sender)), asyncio.create_task(_tell(sender))]
    try:
        await sender.run()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    word("end", figures=sender.told().plain(), last_ack=sender.last_ack)


def main() -> int:
    # A Ctrl-C at a terminal goes to all its processes: who started this one says when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # One line for each connection of a fleet that a broker drops would be all that is read; the figures have their number.
    logging.getLogger("tillwatch.collector.intake.transport").setLevel(logging.ERROR)
    try:
        asyncio.run(serve(Spec(**json.loads(sys.stdin.readline()))))
    except (OSError, ssl.SSLError) as error:
        word("failed", why=str(error))
        return 1
    return 0


def line(spec: Spec) -> bytes:
    """As it is written to standard input."""
    return json.dumps(asdict(spec)).encode() + b"\n"


if __name__ == "__main__":
    sys.exit(main())
