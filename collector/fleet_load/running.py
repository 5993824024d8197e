"""A run: the processes of the load, from their start to the last of them, and what they say added up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from tillwatch.collector.child import end
from tillwatch.collector.fleet_load import ledger, sender
from tillwatch.collector.fleet_load.figures import Figures, of_plain, together
from tillwatch.collector.fleet_load.sealing import Plan, Sealer
from tillwatch.collector.fleet_load.terminals import Fleet, share

PROBE = 20
"""Batches that are sealed to see how long this machine takes for one."""
MARGIN = 1.5
"""Other processes want the processor, too: a plan that begins late sends all that is overdue at once."""
BIRTHS_PER_S = 2_000
"""At least, that a collector answers: the first life message of each terminal goes out while the plan begins."""
LEAD_S = 2.0
END_S = 90.0
"""For a process to end by itself once it was told to: its goodbyes, and its connections."""
MAX_LINE = 4 * 1024 * 1024


class RunError(Exception):
    """A process of the load has ended before its time. The text has its last words."""


@dataclass(frozen=True, slots=True)
class Load:
    """interval_s: between two batches of a terminal; for_s: how long, 0 until it is stopped; ahead_s: of that, how much is sealed before it begins; tls:
    folder of the certificates, or None; ack_key: the collector's public key, empty to believe every ack.
    """

    fleet: Fleet
    interval_s: float
    readings: int
    for_s: float
    ahead_s: float
    faults: float
    processes: int
    connections: int
    host: str
    port: int
    tls: Path | None
    ack_key: bytes


@dataclass(frozen=True, slots=True)
class Ran:
    """seconds: from the first batch that was due to the last ack."""

    figures: Figures
    seconds: float
    sent: list[ledger.Sent]


async def run(load: Load, progress: Callable[[Figures, float], None]) -> Ran:
    """Until it is over, or told to stop by SIGINT or SIGTERM. Raises RunError. progress: told about once a second what was done, and for how long."""
    with tempfile.TemporaryDirectory(prefix="tillwatch-load-") as folder:
        running = _Run(load, Path(folder))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, running.stop)
        try:
            return await running.run(progress)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


def begin_in_s(load: Load, sealing_s: float, cores: int) -> float:
    """Seconds from now to the first batch: what is sealed ahead is ready by then, and the first terminals have said that they are there."""
    planned = min(load.ahead_s, load.for_s or load.ahead_s) / load.interval_s
    each = load.fleet.count / load.processes * planned * sealing_s * max(1.0, load.processes / cores)
    return LEAD_S + each * MARGIN + load.fleet.count / BIRTHS_PER_S


class _Run:
    def __init__(self, load: Load, folder: Path) -> None:
        self._load, self._folder = load, folder
        self._children: list[asyncio.subprocess.Process] = []
        self._figures: list[Figures] = []
        self._why: list[str] = []

    def stop(self) -> None:
        for child in self._children:
            if child.stdin is not None:
                with contextlib.suppress(OSError, RuntimeError):
                    child.stdin.write(b"stop\n")

    async def run(self, progress: Callable[[Figures, float], None]) -> Ran:
        specs = self._specs()
        begin = specs[0].begin_ms / 1000
        self._figures = [Figures() for _ in specs]
        log = self._folder / "log"
        try:
            with log.open("wb") as words:
                for spec in specs:
                    Path(spec.spool).mkdir(mode=0o700)
                    child = await asyncio.create_subprocess_exec(
                        sys.executable, "-P", "-m", sender.__name__,
                        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=words, limit=MAX_LINE,
                    )  # fmt: skip
                    self._children.append(child)
                    assert child.stdin is not None
                    child.stdin.write(sender.line(spec))
            hearing = asyncio.gather(*(self._hear(place, child) for place, child in enumerate(self._children)))
            while not hearing.done():
                await asyncio.wait({hearing}, timeout=1.0)
                progress(together(self._figures), max(time.time() - begin, 0.0))
            seconds = max(max(await hearing) - begin, 0.001)
            # They end by themselves: asyncio loses the exit code of a child that is signalled as it ends.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await asyncio.gather(*(child.wait() for child in self._children))
        finally:
            await asyncio.gather(*(end(child, END_S) for child in self._children))
        if self._why or any(child.returncode for child in self._children):
            said = "; ".join(self._why) or log.read_text("utf-8", "replace")[-2000:]
            raise RunError(f"a process of the load has ended: {said}")
        names = self._load.fleet.name
        rows = (row for spec in specs for row in msgpack.unpackb(Path(spec.ledger).read_bytes()))
        return Ran(together(self._figures), seconds, [ledger.Sent(names(n), *rest) for n, *rest in rows])

    async def _hear(self, place: int, child: asyncio.subprocess.Process) -> float:
        """When it had the last ack, UTC s."""
        assert child.stdout is not None
        last = 0.0
        while line := await child.stdout.readline():
            said: dict[str, Any] = json.loads(line)
            if said["kind"] == "failed":
                self._why.append(said["why"])
            if "figures" in said:
                figures = of_plain(said["figures"])
                last = said["last_ack"]
                self._figures[place] = figures
        return last

    def _specs(self) -> Sequence[sender.Spec]:
        load = self._load
        parts = share(load.fleet.count, load.processes)
        run = secrets.token_hex(8)
        now_ms = time.time_ns() // 1_000_000
        sealing_s = _seconds_to_seal(load)
        begin_ms = now_ms + round(begin_in_s(load, sealing_s, len(os.sched_getaffinity(0))) * 1000)
        return [
            sender.Spec(
                fleet=load.fleet.count,
                seed=load.fleet.seed,
                first=part.start,
                last=part.stop,
                begin_ms=begin_ms,
                interval_ms=max(round(load.interval_s * 1000), 1),
                until_ms=begin_ms + round(load.for_s * 1000) if load.for_s else 0,
                readings=load.readings,
                faults=load.faults,
                run=run,
                ahead_s=load.ahead_s,
                host=load.host,
                port=load.port,
                connections=_of_share(load.connections, len(part), load.fleet.count),
                tls=str(load.tls) if load.tls is not None else "",
                ack_key=load.ack_key.hex(),
                ledger=str(self._folder / f"ledger.{place}"),
                spool=str(self._folder / f"spool.{place}"),
            )
            for place, part in enumerate(parts)
        ]


def _of_share(connections: int, some: int, terminals: int) -> int:
    return min(max(round(connections * some / terminals), 1), some)


def _seconds_to_seal(load: Load) -> float:
    """Of one batch, with what it holds; wall time, so that a busy machine counts."""
    now_ms = time.time_ns() // 1_000_000
    probe = Sealer(Plan(load.fleet, now_ms, 60_000, 0, load.readings, load.faults, "probe"), range(1))
    begun = time.monotonic()
    for n in range(PROBE):
        probe.batch(0, now_ms + n, 60_000)
    return (time.monotonic() - begun) / PROBE
