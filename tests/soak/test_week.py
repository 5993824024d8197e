"""A week of a terminal in an hour: the real agent with its usual intervals on a clock that goes 168 times as fast, while the broker goes away, a device lies, the
disk is full and the clock is set, again and again. Memory, threads, open files and disk stand still.

TILLWATCH_WEEK_S: real seconds, 3,600 for the week; the pace stays, so that fewer are fewer days. An agent at this pace takes a tenth of a core.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.agent.conftest import Broker, Collector, Terminal, free_port
from tests.chaos.disk import Disk, can_mount
from tests.soak import accelerated
from tests.soak.accelerated import Clock
from tests.soak.flat import trend
from tillwatch.agent.identity import SPOOL

FACTOR = 168.0
WEEK_S = int(os.environ.get("TILLWATCH_WEEK_S", "3600"))
ROUNDS = 14
"""Every fault once in each; what is compared is taken at their ends, when all is well again."""
HOLD = 0.12
"""Of a round: as long as each fault lasts."""
DISK = 16 << 20
"""Bytes of the terminal's disk. A fault's backlog takes a tenth of it."""
DRAIN_S = 60.0
LEAST_KIB = 256.0
"""Of rise in the second half that is not looked into: the allocator takes memory in pieces of this size."""
MAX_LOG = 64 << 10
"""Bytes of log in a round: every fault is told once as it begins and once as it ends."""
YEAR_NS = 365 * 86_400 * 10**9


class _Device:
    """A UPS behind NUT that tells the truth or lies: names that never come again, texts without end, half answers."""

    def __init__(self) -> None:
        self.lies = False
        self._chance = random.Random(9)
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (line := await reader.readline()) and not line.startswith(b"LOGOUT"):
                writer.write(self._lie() if self.lies else _answer(_TRUTH))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _lie(self) -> bytes:
        chance = self._chance
        said = {f"ups.{chance.randbytes(8).hex()}": chance.randbytes(90).hex() for _ in range(chance.randrange(1_900))}
        said |= {
            "battery.charge": chance.choice(["-1", "nan", "1e400", "9" * 200, ""]),
            "ups.status": chance.randbytes(40).hex(),
        }
        whole = _answer(said)
        return chance.choice(
            [whole, whole[: chance.randrange(len(whole))] + b"\n", chance.randbytes(4_000), b"\n" * 3_000]
        )


_TRUTH = {
    "ups.status": "OL",
    "battery.charge": "98",
    "battery.runtime": "2520",
    "input.voltage": "231.0",
    "ups.load": "24",
}


def _answer(said: dict[str, str]) -> bytes:
    lines = [f'VAR ups {name} "{value}"' for name, value in said.items()]
    return "\n".join(["BEGIN LIST VAR ups", *lines, "END LIST VAR ups", ""]).encode()


class _Forgetful(Collector):
    """What it has acknowledged it does not keep: this process is looked at by nobody, and a week is long."""

    def __init__(self, terminal: Terminal, clock: Clock) -> None:
        super().__init__(terminal)
        self.answer = lambda ack: replace(ack, time=clock.right_ns() // 10**6 * 10**6)
        self.batches = 0

    def batch(self, topic: str, payload: bytes) -> None:
        super().batch(topic, payload)
        self.batches += len(self.stored)
        for kept in (self.stored, self.heard, self.lives, self.gaps):
            kept.clear()


@dataclass(frozen=True, slots=True)
class _Look:
    """At the end of a round. disk_kib: of all files in the state directory."""

    anonymous_kib: float
    rss_kib: float
    handles: int
    threads: float
    disk_kib: float
    log_bytes: int
    cpu_s: float


class _Agent:
    def __init__(self, folder: Path, state: Path, clock: Path, device: int) -> None:
        self.state, self._log = state, folder / "agent.log"
        config = folder / "agent.toml"
        config.write_text(
            f'[terminal]\nstate_dir = "{state}"\n[system]\nname = "host"\n[[nut]]\nname = "ups"\nhost = "127.0.0.1"\nport = {device}\nups = "ups"\n'
        )
        command = (sys.executable, accelerated.__file__, str(clock), "tillwatch.agent", "run", "--config", str(config))
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stderr=log)

    def stream(self) -> tuple[int, int]:
        """The next batch, and the last that is acknowledged."""
        with closing(sqlite3.connect(f"file:{self.state / SPOOL}?mode=ro", uri=True, timeout=10)) as db:
            return db.execute("SELECT next_seq, acked FROM epochs ORDER BY gen DESC LIMIT 1").fetchone()

    def epochs(self) -> int:
        with closing(sqlite3.connect(f"file:{self.state / SPOOL}?mode=ro", uri=True, timeout=10)) as db:
            return int(db.execute("SELECT max(gen) FROM epochs").fetchone()[0])

    async def drained(self) -> None:
        """All that was sealed until now is acknowledged, and at least one batch that was sealed after."""
        last = self.stream()[0]
        deadline = time.monotonic() + DRAIN_S
        while self.stream()[1] < last:
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, f"{self.stream()} and not {last}\n{self.said()}"
            await asyncio.sleep(0.05)

    async def look(self) -> _Look:
        proc = Path(f"/proc/{self.process.pid}")
        anonymous, rss, threads, handles = [], [], [], []
        for _ in range(9):
            rollup = {
                words[0]: int(words[1])
                for line in (proc / "smaps_rollup").read_text().splitlines()
                if len(words := line.split()) == 3
            }
            anonymous.append(rollup["Anonymous:"])
            rss.append(rollup["Rss:"])
            threads.append(len(list((proc / "task").iterdir())))
            handles.append(len(list((proc / "fd").iterdir())))
            await asyncio.sleep(0.1)
        disk = sum(path.stat().st_blocks * 512 for path in self.state.iterdir() if path.is_file())
        cpu = time.clock_gettime_ns((~self.process.pid << 3) | 2) / 1e9
        # A connection that is just being made has handles of its own: the fewest are those that stay.
        return _Look(
            median(anonymous), median(rss), min(handles), median(threads), disk / 1024, self._log.stat().st_size, cpu
        )

    def said(self, most: int = 3_000) -> str:
        return self._log.read_text("utf-8", "replace")[-most:]

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.mark.long
@pytest.mark.timeout(WEEK_S + 900)
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
async def test_a_week_of_faults_leaves_nothing_behind(tmp_path: Path) -> None:
    clock = Clock.begin(tmp_path / "clock", FACTOR)
    terminal = Terminal(tmp_path, free_port())
    disk = Disk(terminal.state_dir, DISK) if can_mount(tmp_path) else None
    if disk is not None:
        kept = {path.name: path.read_bytes() for path in terminal.state_dir.iterdir()}
        disk.mount()
        for name, content in kept.items():
            (terminal.state_dir / name).write_bytes(content)
            (terminal.state_dir / name).chmod(0o600)
    else:
        print("the disk is never full: only root mounts, and not everywhere")
    device = _Device()
    await device.start()
    broker = Broker(tmp_path, terminal.port)
    collector = _Forgetful(terminal, clock)
    await collector.connect()
    agent = _Agent(tmp_path, terminal.state_dir, tmp_path / "clock", device.port)
    looks: list[_Look] = []
    begun = time.monotonic()
    try:
        await _until_sealed(agent)
        round_s = WEEK_S / ROUNDS
        for number in range(ROUNDS):
            for fault in (_broker_away, _lies, _full, _jump):
                async with fault(broker, collector, device, disk, clock):
                    await asyncio.sleep(round_s * HOLD)
                assert agent.process.poll() is None, agent.said()
                await agent.drained()
            await asyncio.sleep(max(0.0, begun + round_s * (number + 1) - time.monotonic()))
            await agent.drained()
            looks.append(await agent.look())
            print(json.dumps({"round": number + 1, **asdict(looks[-1])}), flush=True)
        epochs = agent.epochs()
    finally:
        agent.end()
        await collector.close()
        broker.kill()
        await device.close()
        if disk is not None:
            disk.close()
    days = (time.monotonic() - begun) * FACTOR / 86_400
    late = looks[ROUNDS // 2 :]
    memory = trend([each.anonymous_kib for each in late])
    logged = [b.log_bytes - a.log_bytes for a, b in pairwise(looks)]
    figures: dict[str, Any] = {
        "days": round(days, 2),
        "batches": collector.batches,
        "disk_was_full": disk is not None,
        "anonymous_kib_first_last": [looks[0].anonymous_kib, looks[-1].anonymous_kib],
        "anonymous_kib_rise_of_second_half": round(memory.rise, 1),
        "anonymous_kib_noise": round(memory.noise, 1),
        "rss_mib_last": round(looks[-1].rss_kib / 1024, 1),
        "handles": [min(each.handles for each in looks), max(each.handles for each in looks)],
        "threads": [min(each.threads for each in looks), max(each.threads for each in looks)],
        "disk_kib_most": [max(each.disk_kib for each in looks[: ROUNDS // 2]), max(each.disk_kib for each in late)],
        "log_bytes_of_a_round": [min(logged), max(logged)],
        "cpu_s_per_day": round(looks[-1].cpu_s / days, 2),
        "epochs": epochs,
    }
    print(json.dumps(figures), flush=True)
    assert "Traceback" not in agent.said(ROUNDS * MAX_LOG), agent.said(ROUNDS * MAX_LOG)
    assert memory.rise <= max(memory.noise, LEAST_KIB), figures
    assert max(each.handles for each in late) <= max(each.handles for each in looks[: ROUNDS // 2]), figures
    assert max(each.threads for each in late) <= max(each.threads for each in looks[: ROUNDS // 2]), figures
    assert figures["disk_kib_most"][1] <= figures["disk_kib_most"][0] * 1.1 + 64, figures
    assert max(logged) <= MAX_LOG, figures
    assert epochs == 1, "nothing of it is a new history"


async def _until_sealed(agent: _Agent) -> None:
    deadline = time.monotonic() + DRAIN_S
    while not (agent.state / SPOOL).exists() or agent.stream()[1] < 2:
        assert agent.process.poll() is None, agent.said()
        assert time.monotonic() < deadline, agent.said()
        await asyncio.sleep(0.1)


@asynccontextmanager
async def _broker_away(broker: Broker, collector: Collector, *_: Any) -> AsyncIterator[None]:
    await collector.close()
    broker.kill()
    yield
    broker.start()
    await collector.connect()


@asynccontextmanager
async def _lies(_: Any, __: Any, device: _Device, *___: Any) -> AsyncIterator[None]:
    device.lies = True
    yield
    device.lies = False


@asynccontextmanager
async def _full(_: Any, __: Any, ___: Any, disk: Disk | None, ____: Any) -> AsyncIterator[None]:
    if disk is not None:
        disk.fill()
    yield
    if disk is not None:
        disk.free()


@asynccontextmanager
async def _jump(_: Any, __: Any, ___: Any, ____: Any, clock: Clock) -> AsyncIterator[None]:
    clock.set(random.choice([-3, 1, 20]) * YEAR_NS)
    yield
    clock.set(0)
