"""The demo's small bank: three branches whose terminals are real agents, each a process of its own with its own keys, spool and TLS
connection, reading simulated devices over real protocols. And the collector and the ticket desk that they report to.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devices import Host, MegatecUps, Printer, SnmpDevice, SnmpUps, clock
from line import Line

HERE = Path(__file__).parent
FAST = 60.0
"""Simulated seconds in a second: a UPS that lasts half an hour is empty in 30 s."""
START_S = 60.0
"""For a part to come up; on two cores it takes a tenth of that."""


class DemoError(Exception):
    """The demo cannot go on. The text says what failed, and which log tells more."""


@dataclass(slots=True)
class Member:
    """One terminal: what it is, the devices it polls, the line that it reaches the centre by, and its agent while that runs."""

    name: str
    branch: str
    region: str
    kind: str
    devices: dict[str, SnmpDevice | MegatecUps] = field(default_factory=dict)
    reads_itself: bool = False
    line: Line | None = None
    agent: asyncio.subprocess.Process | None = None


def members() -> list[Member]:
    now = clock(FAST)

    def place(branch: str) -> dict[str, Any]:
        return {"location": f"{branch} branch"}

    return [
        Member(
            "atm-harbour-1",
            "Harbour",
            "North",
            "atm",
            {"ups": SnmpUps(now, "h1", runtime_min=25.0, **place("Harbour"))},
        ),
        Member("atm-harbour-2", "Harbour", "North", "atm", {"ups": MegatecUps(now, "h2", runtime_min=60.0)}),
        Member("pos-harbour-1", "Harbour", "North", "pos", {"printer": Printer(now, "h3", **place("Harbour"))}),
        Member("srv-market-1", "Market", "South", "server", {"server": Host(now, "m1", **place("Market"))}),
        Member("atm-market-1", "Market", "South", "atm", {"ups": SnmpUps(now, "m2", **place("Market"))}),
        Member("pos-market-1", "Market", "South", "pos", {"printer": Printer(now, "m3", **place("Market"))}),
        Member("srv-station-1", "Station", "South", "server", {"ups": SnmpUps(now, "s1", **place("Station"))}),
        Member("atm-station-1", "Station", "South", "atm", {"ups": SnmpUps(now, "s2", **place("Station"))}),
        Member("atm-station-2", "Station", "South", "atm", {"ups": MegatecUps(now, "s3", runtime_min=60.0)}),
        Member("pos-station-1", "Station", "South", "pos", {"printer": Printer(now, "s4", **place("Station"))}),
        Member("this-machine", "Head office", "North", "server", reads_itself=True),
    ]


def free_port(wanted: int = 0) -> int:
    """The wanted port if nobody has it, else a free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    msg = "no free port on loopback"
    raise DemoError(msg)


SUPERVISOR = "supervisor"
"""The account of the demo: who looks needs none, who acts signs in with it."""


class Bank:
    """say: shown to the person who watches."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.members = members()
        self.console = f"http://127.0.0.1:{free_port(8080)}"
        self.desk = ""
        self.password = "-".join(secrets.token_hex(2) for _ in range(4))
        self._say = say
        self._running: list[asyncio.subprocess.Process] = []
        self._config = folder / "collector.toml"
        self._broker = free_port(8883)
        self.lines = {branch: Line(self._broker) for branch in sorted({each.branch for each in self.members})}
        for each in self.members:
            each.line = self.lines[each.branch]

    def member(self, name: str) -> Member:
        return next(m for m in self.members if m.name == name)

    async def start(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        secret = self.folder / "webhook.secret"
        secret.write_text(f"whsec_{secrets.token_urlsafe(32).replace('-', 'A').replace('_', 'B')}=\n")
        desk = await self._spawn(
            "desk",
            str(HERE / "ticket_receiver.py"),
            "--secret-file",
            str(secret),
            "--log",
            str(self.folder / "tickets.jsonl"),
        )
        self.desk = await self._first_line(desk, "desk")
        self._write_config(secret)
        await self._spawn("collector", "-m", "tillwatch.collector", "run", "--config", str(self._config))
        await self._wait_port(int(self.console.rsplit(":", 1)[1]), "collector")
        self._say(f"collector and console run: {self.console}")
        account = ("people", "add", SUPERVISOR, "--role", "supervisor", "--config", str(self._config))
        await self._run("-m", "tillwatch.collector", *account, said=f"{self.password}\n")
        for line in self.lines.values():
            await line.start()
        for member in self.members:
            for device in member.devices.values():
                started = device.start()
                if started is not None:
                    await started
        await asyncio.gather(*(self._enrol(member) for member in self.members))
        self._say(
            f"{len(self.members)} terminals in {len({m.branch for m in self.members})} places are enrolled, each with keys of its own"
        )
        await asyncio.gather(*(self.start_agent(member) for member in self.members))

    def _write_config(self, secret: Path) -> None:
        enrol = free_port(8843)
        self._config.write_text(
            f"""[collector]
data_dir = "{self.folder / "collector"}"
[broker]
host = "127.0.0.1"
port = {self._broker}
[enrolment]
host = "127.0.0.1"
port = {enrol}
address = "127.0.0.1"
[console]
port = {self.console.rsplit(":", 1)[1]}
anonymous = true
[rules]
file = "{HERE / "rules.toml"}"
[policy]
file = "{HERE / "policy.toml"}"
[tickets.webhook]
url = "{self.desk}/"
secret_file = "{secret}"
"""
        )

    async def _enrol(self, member: Member) -> None:
        place = ("--branch", member.branch, "--region", member.region, "--class", member.kind)
        token = await self._run(
            "-m", "tillwatch.collector", "enrol-token", member.name, *place, "--config", str(self._config)
        )
        config = self.folder / f"{member.name}.toml"
        config.write_text(self._agent_config(member))
        await self._run("-m", "tillwatch.agent", "enrol", token.strip(), "--config", str(config))

    def _agent_config(self, member: Member) -> str:
        assert member.line is not None
        text = f"""[collector]
host = "127.0.0.1"
port = {member.line.port}
[sampling]
fast = "1s"
normal = "2s"
slow = "1m"
seal = "2s"
[terminal]
state_dir = "{self.folder / member.name}"
[system]
enabled = {str(member.reads_itself).lower()}
"""
        for name, device in member.devices.items():
            if isinstance(device, MegatecUps):
                text += f'[[serial]]\nname = "{name}"\nport = "{device.path}"\nshim = "megatec_q1"\n'
            else:
                text += f'[[snmp]]\nname = "{name}"\nhost = "127.0.0.1"\nport = {device.port}\ncommunity = "{device.community}"\n'
        return text

    async def start_agent(self, member: Member) -> None:
        member.agent = await self._spawn(
            member.name, "-m", "tillwatch.agent", "run", "--config", str(self.folder / f"{member.name}.toml")
        )

    async def kill_agent(self, member: Member) -> None:
        """As if somebody had pulled the plug: nothing is said, nothing is saved."""
        assert member.agent is not None
        self._running.remove(member.agent)
        member.agent.kill()
        await member.agent.wait()

    async def stop(self) -> None:
        """End what was started, last started first, and wait for it."""
        for process in reversed(self._running):
            if process.returncode is None:
                process.terminate()
        for process in self._running:
            try:
                await asyncio.wait_for(process.wait(), 8)
            except TimeoutError:
                process.kill()
                await process.wait()
        for line in self.lines.values():
            line.cut()
        for member in self.members:
            for device in member.devices.values():
                device.close()

    def died(self) -> str:
        """The name of a part that ended by itself, or nothing."""
        return next(
            (
                f"process {p.pid} ended with {p.returncode}; see the logs in {self.folder}"
                for p in self._running
                if p.returncode is not None
            ),
            "",
        )

    async def _spawn(self, name: str, *arguments: str) -> asyncio.subprocess.Process:
        log = (self.folder / f"{name}.log").open("ab")
        stdout = asyncio.subprocess.PIPE if name == "desk" else log
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        self._running.append(process)
        return process

    async def _run(self, *arguments: str, said: str = "") -> str:
        """What it prints. said: to its standard input."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(said.encode())
        if process.returncode:
            msg = f"{' '.join(arguments[:3])} failed: {err.decode().strip()}"
            raise DemoError(msg)
        return out.decode()

    async def _first_line(self, process: asyncio.subprocess.Process, name: str) -> str:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), START_S)
        if not line:
            msg = f"{name} did not start; see {self.folder / name}.log"
            raise DemoError(msg)
        return line.decode().strip()

    async def _wait_port(self, port: int, name: str) -> None:
        deadline = asyncio.get_running_loop().time() + START_S
        while asyncio.get_running_loop().time() < deadline and not self.died():
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.2)
            else:
                writer.close()
                return
        log = self.folder / f"{name}.log"
        msg = f"{name} did not start:\n{log.read_text()[-2000:]}\n(see {log})"
        raise DemoError(msg)
