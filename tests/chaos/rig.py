"""The whole line in processes of its own, as an installation has it: mosquitto with TLS and client certificates, the collector, agents that
enrolled with it and poll devices. Every connection to the broker goes through a proxy that can be broken, every process can be struck.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import shutil
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.device import CountingUps
from tests.chaos.plan import BROKER, COLLECTOR, Fault, Kind, Step
from tests.chaos.proxy import Proxy
from tillwatch.agent import spool_file
from tillwatch.agent.identity import SPOOL
from tillwatch.collector.authority import open_authority
from tillwatch.collector.config import load_config
from tillwatch.collector.intake.mosquitto import CONFIG, write_mosquitto

POLL_S = 0.5
"""The shortest that the configuration takes."""
SEAL_S = 1.0
DEVICES = 2
"""Of each agent."""
LOOK_S = 0.05
UP_S = 60.0
"""For a part to come up or to end; on an idle machine it takes a hundredth of that."""
FLOW_S = 150.0
"""For batches to flow again after a fault: an agent waits 30 s for a lost ack, and one that met a dead broker several times in a row backs
off for up to a minute."""
DRAIN_S = 400.0
"""For every backlog: as above, and the half-open connection that a keep-alive finds after two minutes."""

_RULES = """
[fold]
silent_after = 3.0
silent_least = "4s"
default_interval = "2s"
reopen = "10s"
[[rule]]
id = "terminal.silent"
for = "1s"
[[rule]]
id = "ups.on-battery"
for = "1s"
hold = "1s"
[[rule]]
id = "ups.battery-low"
for = "1s"
hold = "1s"
"""


class Part:
    """One process that is meant to run, whatever strikes it. Its log is one file over all its lives."""

    def __init__(self, name: str, folder: Path, *command: str) -> None:
        self.name, self.command = name, command
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
        super().__init__(name, folder, *_python("agent", "run", self.config))
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
                device.runs[-1].ended = device.runs[-1].ended or how

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


class Rig:
    """folder: data, configuration and logs. story: what struck when, for whoever reads a failure."""

    def __init__(self, folder: Path, agents: int) -> None:
        self.folder = folder
        self.story: list[str] = []
        self.struck = 0
        self.agents = [Agent(f"till-{number}", folder) for number in range(1, agents + 1)]
        self._ports = _free_ports(2)
        self._config = folder / "collector.toml"
        self._config.write_text("")
        mosquitto = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
        assert mosquitto, "mosquitto is missing: make packages"
        self.broker = Part(BROKER, folder, mosquitto, "-c", str(folder / "mosquitto" / CONFIG))
        self.collector = Part(COLLECTOR, folder, *_python("collector", "run", "--no-console", self._config))
        self.parts = {part.name: part for part in (self.broker, self.collector, *self.agents)}
        self._links = {part.name: Proxy(self._ports[0]) for part in (self.collector, *self.agents)}
        self._began = time.monotonic()

    @property
    def database(self) -> Path:
        return self.folder / "collector" / "collector.db"

    async def start(self) -> None:
        for link in self._links.values():
            await link.start()
        (self.folder / "rules.toml").write_text(_RULES)
        broker, enrolment = self._ports
        self._config.write_text(
            f'[collector]\ndata_dir = "{self.folder / "collector"}"\n[rules]\nfile = "rules.toml"\n'
            f'[broker]\nembedded = false\nhost = "127.0.0.1"\nport = {self._links[COLLECTOR].port}\naddress = "127.0.0.1"\n'
            f'[enrolment]\nhost = "127.0.0.1"\nport = {enrolment}\naddress = "127.0.0.1"\n'
        )
        # The broker's files come from the collector's authority, which is made by the collector's first start.
        await self.collector.start()
        await self._listening(self.collector, enrolment)
        # It has no persistence: a kill is a wipe, every session and every queued message is gone.
        authority = open_authority(load_config(self._config).authority)
        write_mosquitto(
            self.folder / "mosquitto",
            authority,
            {},
            hosts=("127.0.0.1",),
            port=broker,
            listen="127.0.0.1",
            user=getpass.getuser(),
        )
        await self.broker.start()
        await self._listening(self.broker, broker)
        async with asyncio.TaskGroup() as enrolling:
            for agent in self.agents:
                enrolling.create_task(self._enrol(agent))
        await asyncio.gather(*(agent.start() for agent in self.agents))
        await self.wait(lambda: all(mark >= 1 for mark in self.marks().values()), UP_S, "every terminal's first batch")
        self.tell("the line runs")

    async def _enrol(self, agent: Agent) -> None:
        for device in agent.devices:
            await device.start()
        agent.configure(self._links[agent.name].port)
        place = ("--branch", "Harbour", "--region", "North", "--class", "atm")
        token = await _run(*_python("collector", "enrol-token", agent.name, *place, self._config))
        await _run(*_python("agent", "enrol", token.strip(), agent.config))

    async def close(self) -> None:
        """End everything, whatever state it is in."""
        await asyncio.gather(*(part.kill() for part in self.parts.values()))
        for link in self._links.values():
            await link.close()
        for agent in self.agents:
            for device in agent.devices:
                device.stop()

    # Faults.

    async def strike(self, step: Step) -> None:
        """Let the faults of a step happen, all at once, until the last is over."""
        if step.under_load:
            before = self.marks()
            await self.wait(lambda: self.marks() != before, FLOW_S, "a batch to be stored")
        self._all_alive()
        async with asyncio.TaskGroup() as striking:
            for fault in step.faults:
                striking.create_task(self._strike(fault))

    async def _strike(self, fault: Fault) -> None:
        self.tell(str(fault))
        self.struck += 1
        match fault.kind:
            case Kind.CUT | Kind.STALL | Kind.HALF_OPEN:
                link = self._links[fault.target]
                {Kind.CUT: link.cut, Kind.STALL: link.stall, Kind.HALF_OPEN: link.half_open}[fault.kind]()
                await asyncio.sleep(fault.hold)
                link.heal()
                return
            case Kind.BLACKOUT:
                both = (self.collector, self.broker)
                await asyncio.gather(*(part.kill() for part in both))
                await asyncio.sleep(fault.hold)
                for part in both if fault.after < 0.5 else reversed(both):
                    await part.start()
                return
        part = self.parts[fault.target]
        match fault.kind:
            case Kind.KILL:
                await part.kill()
            case Kind.TWICE:
                await part.kill()
                await asyncio.sleep(fault.hold)
                await part.start()
                await asyncio.sleep(fault.after)
                await part.kill()
            case Kind.PAUSE:
                part.pause()
                await asyncio.sleep(fault.hold)
                part.resume()
                return
            case Kind.PAUSE_KILL:
                part.pause()
                await asyncio.sleep(fault.hold)
                await part.kill()
            case Kind.RESTART:
                await part.end()
        await asyncio.sleep(fault.hold)
        await part.start()

    # The end.

    async def drain(self) -> None:
        """The devices fall silent; return when all that they ever told is acknowledged."""
        for agent in self.agents:
            for device in agent.devices:
                device.quiet = True
        await asyncio.gather(*(self._drained(agent) for agent in self.agents))

    async def _drained(self, agent: Agent) -> None:
        # The first sealing after the silence may have passed by an answer that was just coming in; the third has not.
        last = agent.spool().next_seq + 2
        await self.wait(lambda: agent.spool().acked >= last, DRAIN_S, f"{agent.name} to drain")

    async def end(self) -> None:
        """End the agents, then the collector, as a service manager does."""
        self._all_alive()
        await asyncio.gather(*(agent.end() for agent in self.agents))
        await self.collector.end()
        await self.broker.kill()

    # Looking.

    def marks(self) -> dict[str, int]:
        """The last batch stored of each terminal."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)) as db:
            marks = dict(db.execute("SELECT terminal, max(mark) FROM stream GROUP BY terminal").fetchall())
        return {agent.name: marks.get(agent.name, 0) for agent in self.agents}

    async def wait(self, condition: Callable[[], bool], bound: float, what: str) -> None:
        deadline = time.monotonic() + bound
        while not condition():
            self._all_alive()
            assert time.monotonic() < deadline, f"waited {bound:.0f} s for {what}\n{self.report()}"
            await asyncio.sleep(LOOK_S)

    def tell(self, what: str) -> None:
        self.story.append(f"{time.monotonic() - self._began:7.2f}  {what}")

    def report(self) -> str:
        logs = "\n".join(f"{part.name}:\n{part.tail()}" for part in self.parts.values())
        return "\n".join([*self.story, f"marks: {self.marks() if self.database.exists() else '-'}", logs])

    def _all_alive(self) -> None:
        for part in self.parts.values():
            assert not part.died, f"{part.name} ended by itself\n{self.report()}"

    async def _listening(self, part: Part, port: int) -> None:
        deadline = time.monotonic() + UP_S
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                assert not part.died, part.tail()
                assert time.monotonic() < deadline, f"{part.name} does not listen\n{part.tail()}"
                await asyncio.sleep(LOOK_S)
            else:
                writer.close()
                await writer.wait_closed()
                return


@asynccontextmanager
async def running(folder: Path, agents: int) -> AsyncIterator[Rig]:
    rig = Rig(folder, agents)
    try:
        await rig.start()
        yield rig
    finally:
        await rig.close()


def _python(package: str, *arguments: str | Path) -> tuple[str, ...]:
    """The command line of a package; its last argument is the configuration."""
    *words, config = map(str, arguments)
    return (sys.executable, "-P", "-m", f"tillwatch.{package}", *words, "--config", config)


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), UP_S)
    assert process.returncode == 0, err.decode()
    return out.decode()


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports
