"""The processes that the line is made of: how each is started, ended, stopped and looked at, with a clock and a disk of its own."""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import signal
import ssl
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import launch
from tests.chaos.device import CountingUps
from tests.chaos.disk import Disk
from tillwatch.agent import identity, spool_file
from tillwatch.agent.identity import SPOOL

POLL_S = 0.5
"""The shortest that the configuration takes."""
SEAL_S = 1.0
DEVICES = 2
"""Of each agent."""
UP_S = 60.0
"""For a part to come up or to end; on an idle machine it takes a hundredth of that."""
AGENT_DISK, COLLECTOR_DISK = 16 << 20, 128 << 20
"""Bytes. The spools stay below a tenth of it; the collector's holds the database of the longest run, and that once more, rebuilt."""
SOONER: dict[str, dict[str, int | str]] = {
    "agent": {
        "tillwatch.agent.mqtt:KEEPALIVE": 4,
        "tillwatch.agent.uplink:BACKOFF_MOST": 5,
        "tillwatch.agent.uplink:FIRST_FLUSH": 1,
        "tillwatch.agent.window:ACK_TIMEOUT": 6,
    },
    "collector": {
        "tillwatch.collector.intake.mqtt:KEEPALIVE_S": 4,
        "tillwatch.collector.intake.mqtt:BACKOFF_MOST_S": 3,
        "tillwatch.collector.ingest:RETRY_S": 1,
        "tillwatch.collector.clock:HOLD_NS": 2 * 10**9,
        "tillwatch.collector.trust.authority:datetime": "clock",
    },
}
"""What an installation waits minutes for is waited for in seconds here, so that many faults meet it, and a clock that was set is believed now
and then. The authority dates its certificates by the clock that was set.
"""


class Clock:
    """What a part takes for UTC, whichever of its processes. changes: (UTC ns, by how many ns it is wrong from then on)."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.changes: list[tuple[int, int]] = []
        file.write_bytes(launch.OFF.pack(0))
        with file.open("r+b") as opened:
            self._said = mmap.mmap(opened.fileno(), launch.OFF.size)

    def set(self, off_s: int) -> None:
        self.changes.append((time.time_ns(), off_s * 10**9))
        launch.OFF.pack_into(self._said, 0, off_s * 10**9)


class Part:
    """One process that is meant to run, whatever strikes it. Its log is one file over all its lives."""

    def __init__(self, name: str, folder: Path, *command: str, disk: Disk | None = None) -> None:
        self.name, self.command, self.disk = name, command, disk
        self.clock = Clock(folder / f"{name}.clock")
        self.log = folder / f"{name}.log"
        self.process: asyncio.subprocess.Process | None = None

    @property
    def died(self) -> bool:
        """Whether it ended without having been ended."""
        return self.process is not None and self.process.returncode is not None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    async def kill(self) -> None:
        """SIGKILL, which also ends what is stopped."""
        process, self.process = self.process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def end(self) -> None:
        """SIGTERM, and the exit that a service manager expects."""
        process, self.process = self.process, None
        assert process is not None
        process.terminate()
        code = await asyncio.wait_for(process.wait(), UP_S)
        # A process that is told to end before it has set its handlers ends of the signal.
        assert code in (0, -signal.SIGTERM), f"{self.name} ended with {code}:\n{self.tail()}"

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def tail(self, size: int = 3000) -> str:
        return self.log.read_text("utf-8", "replace")[-size:] if self.log.exists() else ""


class Agent(Part):
    """A terminal: its process and the devices that it polls, which are told of each of its starts and ends."""

    def __init__(self, name: str, folder: Path) -> None:
        self.config = folder / f"{name}.toml"
        self.state = folder / name
        clock = folder / f"{name}.clock"
        command = launched(clock, "agent", "run", self.config)
        super().__init__(name, folder, *command, disk=Disk(self.state, AGENT_DISK))
        self.full_since = 0.0
        """By time.monotonic(), while its disk is full."""
        self.devices = [CountingUps(f"ups-{number}") for number in range(1, DEVICES + 1)]

    def configure(self, port: int) -> None:
        devices = "".join(
            f'[[snmp]]\nname = "{device.name}"\nhost = "127.0.0.1"\nport = {device.port}\ntimeout = "30s"\nretries = 0\n'
            for device in self.devices
        )
        self.config.write_text(
            f'[terminal]\nstate_dir = "{self.state}"\n[collector]\nport = {port}\n[system]\nenabled = false\n'
            f'[sampling]\nfast = "{POLL_S}s"\nnormal = "1h"\nslow = "1h"\nseal = "{SEAL_S}s"\n{devices}'
        )

    async def start(self) -> None:
        for device in self.devices:
            device.began()
        await super().start()

    async def kill(self) -> None:
        await super().kill()
        self._ended("killed")

    async def end(self) -> None:
        await super().end()
        self._ended("stopped")

    def _ended(self, how: str) -> None:
        for device in self.devices:
            if device.runs:
                run = device.runs[-1]
                if not run.ended and self.full_since:
                    run.unsealed_s = time.monotonic() - self.full_since
                run.ended = run.ended or how

    def towards_broker(self) -> ssl.SSLContext:
        """As the agent itself."""
        context = ssl.create_default_context(cafile=str(self.state / identity.CA_CERT))
        context.load_cert_chain(self.state / identity.TLS_CERT, self.state / identity.TLS_KEY)
        return context

    def spool(self) -> Spooled:
        with closing(spool_file.connect(self.state / SPOOL, read_only=True)) as db:
            ((next_seq, acked, lost),) = db.execute("SELECT next_seq, acked, lost FROM epochs").fetchall()
            ((waiting,),) = db.execute("SELECT count(*) FROM sealed").fetchall()
            ((parked,),) = db.execute("SELECT count(*) FROM parked").fetchall()
        return Spooled(next_seq, acked, lost, waiting, parked)


@dataclass(frozen=True, slots=True)
class Spooled:
    """What the spool says of its only epoch. waiting: batches that are sealed and not acknowledged."""

    next_seq: int
    acked: int
    lost: int
    waiting: int
    parked: int


def python(package: str, *arguments: str | Path) -> tuple[str, ...]:
    """The command line of a package; its last argument is the configuration."""
    *words, config = map(str, arguments)
    return (sys.executable, "-P", "-m", f"tillwatch.{package}", *words, "--config", config)


def launched(clock: Path, package: str, *arguments: str | Path) -> tuple[str, ...]:
    """The same under launch.py: its clock is what the file says, and it waits less."""
    interpreter, safe, _, program, *rest = python(package, *arguments)
    sooner = [f"{name}={number}" for name, number in SOONER[package].items()]
    return (interpreter, safe, launch.__file__, str(clock), *sooner, program, *rest)
