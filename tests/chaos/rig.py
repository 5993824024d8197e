"""The whole line in processes of its own, as an installation has it: mosquitto with TLS and client certificates, or the broker inside the
collector; the collector; agents that enrolled with it and poll devices. Every connection to the broker goes through a proxy that can be
broken and a relay that can repeat and swap its messages; every process can be struck, its clock set, and its disk filled.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import random
import shutil
import socket
import sqlite3
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

from tests.chaos.disk import Disk, can_mount
from tests.chaos.parts import COLLECTOR_DISK, UP_S, Agent, Part, launched, python
from tests.chaos.plan import BROKER, CLOCK, COLLECTOR, DISK, LINK, Fault, Kind, Line, Step
from tests.chaos.proxy import Proxy
from tests.chaos.scrambler import Relay
from tillwatch.collector.config import load_config
from tillwatch.collector.intake.mosquitto import CONFIG, write_mosquitto
from tillwatch.collector.trust.authority import Authority, open_authority

LOOK_S = 0.05
HOSTS = ("127.0.0.1",)
PORTS = 20_000, 32_768
"""From where Linux begins (net.ipv4.ip_local_port_range) downwards."""
HARM = 3
"""Messages that such a fault repeats or swaps at the least."""
FULL_S = CLOCK_S = 1.2
"""Seconds that such a fault lasts at the least: some batches, or one sealing, meet it."""
FLOW_S = 60.0
"""For batches to flow again after a fault: some back-offs and ack timeouts as below, on a machine that is busy."""
DRAIN_S = 120.0
"""For every backlog: as above."""
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


class Rig:
    """folder: data, configuration and logs. embedded: the broker in the collector, and no mosquitto. disks: give each part but the broker
    one of its own. story: what struck when, for whoever reads a failure.
    """

    def __init__(
        self, folder: Path, agents: int, *, embedded: bool = False, disks: bool = False, seed: int = 0
    ) -> None:
        self.folder = folder
        self.embedded, self.disks, self._seed = embedded, disks, seed
        self.story: list[str] = []
        self.struck = 0
        self._excused: set[str] = set()
        """Who may end by itself just now."""
        self.agents = [Agent(f"till-{number}", folder) for number in range(1, agents + 1)]
        self._ports = _free_ports(2)
        self._config = folder / "collector.toml"
        self._config.write_text("")
        clock = folder / f"{COLLECTOR}.clock"
        command = launched(clock, "collector", "run", "--no-console", self._config)
        self.collector = Part(COLLECTOR, folder, *command, disk=Disk(folder / COLLECTOR, COLLECTOR_DISK))
        self.parts: dict[str, Part] = {part.name: part for part in (self.collector, *self.agents)}
        linked = list(self.agents if embedded else self.parts.values())
        if not embedded:
            mosquitto = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
            assert mosquitto, "mosquitto is missing: make packages"
            self.parts[BROKER] = Part(BROKER, folder, mosquitto, "-c", str(folder / "mosquitto" / CONFIG))
        self._linked = [part.name for part in linked]
        self._relays: dict[str, Relay] = {}
        self._links: dict[str, Proxy] = {}
        self._began = time.monotonic()

    def line(self) -> Line:
        """What may be struck."""
        return Line([agent.name for agent in self.agents], self.embedded, self.disks)

    @property
    def database(self) -> Path:
        return self.folder / "collector" / "collector.db"

    async def start(self) -> None:
        if self.disks:
            for part in self.parts.values():
                if part.disk is not None:
                    part.disk.mount()
        (self.folder / "rules.toml").write_text(_RULES)
        broker, enrolment = self._ports
        self._configure(broker)
        # The broker's files come from the collector's authority, which is made by the collector's first start.
        await self.collector.start()
        await self._listening(self.collector, enrolment)
        authority = open_authority(load_config(self._config).authority)
        await self._connect(authority, broker)
        if not self.embedded:
            # The collector learns its way to the broker only now.
            await self.collector.end()
            self._configure(self._links[COLLECTOR].port)
            await self.collector.start()
            # It has no persistence: a kill is a wipe, every session and every queued message is gone.
            user = getpass.getuser()
            write_mosquitto(
                self.folder / "mosquitto", authority, {}, hosts=HOSTS, port=broker, listen=HOSTS[0], user=user
            )
            await self.parts[BROKER].start()
            await self._listening(self.collector, enrolment)
        await self._listening(self.parts[COLLECTOR if self.embedded else BROKER], broker)
        async with asyncio.TaskGroup() as enrolling:
            for agent in self.agents:
                enrolling.create_task(self._enrol(agent))
        await asyncio.gather(*(agent.start() for agent in self.agents))
        await self.wait(lambda: all(mark >= 1 for mark in self.marks().values()), UP_S, "every terminal's first batch")
        self.tell("the line runs")

    def _configure(self, broker: int) -> None:
        embedded = "true" if self.embedded else "false"
        self._config.write_text(
            f'[collector]\ndata_dir = "{self.folder / COLLECTOR}"\n[rules]\nfile = "rules.toml"\n'
            f'[broker]\nembedded = {embedded}\nhost = "127.0.0.1"\nport = {broker}\naddress = "127.0.0.1"\n'
            f'[enrolment]\nhost = "127.0.0.1"\nport = {self._ports[1]}\naddress = "127.0.0.1"\n'
        )

    async def _connect(self, authority: Authority, broker: int) -> None:
        """The way of each client: proxy, relay, broker."""
        shown = authority.server_file(HOSTS, path=self.folder / "relay.pem")
        for number, name in enumerate(self._linked):
            towards_client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.ca_file))
            towards_client.verify_mode = ssl.CERT_REQUIRED
            towards_client.load_cert_chain(shown)
            part = self.parts[name]
            towards_broker = part.towards_broker if isinstance(part, Agent) else authority.client_context
            relay = self._relays[name] = Relay(broker, towards_client, towards_broker, self._seed + number)
            await relay.start()
            link = self._links[name] = Proxy(relay.port)
            await link.start()

    async def _enrol(self, agent: Agent) -> None:
        for device in agent.devices:
            await device.start()
        agent.configure(self._links[agent.name].port)
        place = ("--branch", "Harbour", "--region", "North", "--class", "atm")
        token = await _run(*python("collector", "enrol-token", agent.name, *place, self._config))
        await _run(*python("agent", "enrol", token.strip(), agent.config))

    async def close(self) -> None:
        """End everything, whatever state it is in."""
        await asyncio.gather(*(part.kill() for part in self.parts.values()))
        for link in self._links.values():
            await link.close()
        for relay in self._relays.values():
            await relay.close()
        for agent in self.agents:
            for device in agent.devices:
                device.stop()
        for part in self.parts.values():
            if part.disk is not None:
                part.disk.close()

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
        if fault.kind in LINK:
            await self._strike_link(fault)
        elif fault.kind in DISK:
            await self._strike_disk(fault)
        elif fault.kind in CLOCK:
            await self._strike_clock(fault)
        elif fault.kind is Kind.BLACKOUT:
            both = (self.collector, self.parts[BROKER])
            await asyncio.gather(*(part.kill() for part in both))
            await asyncio.sleep(fault.hold)
            for part in both if fault.after < 0.5 else reversed(both):
                await part.start()
        else:
            await self._strike_process(fault)

    async def _strike_process(self, fault: Fault) -> None:
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

    async def _strike_link(self, fault: Fault) -> None:
        link = self._links[fault.target]
        match fault.kind:
            case Kind.CUT:
                link.cut()
            case Kind.STALL:
                link.stall()
            case Kind.HALF_OPEN:
                link.half_open()
            case Kind.DEAD:
                link.dead()
            case Kind.SCRAMBLE:
                relay = self._relays[fault.target]
                before = relay.harm
                relay.scramble(on=True)
                await self.wait(lambda: relay.harm >= before + HARM, FLOW_S, f"messages of {fault.target}")
                relay.scramble(on=False)
                return
        await asyncio.sleep(fault.hold)
        link.heal()

    async def _strike_disk(self, fault: Fault) -> None:
        part = self.parts[fault.target]
        assert part.disk is not None
        if isinstance(part, Agent):
            part.full_since = time.monotonic()
        else:
            self._excused.add(part.name)
        part.disk.fill()
        await asyncio.sleep(FULL_S + fault.hold)
        if fault.kind is Kind.FULL_KILL:
            await part.kill()
            await part.start()
            await asyncio.sleep(fault.after)
        part.disk.free()
        if isinstance(part, Agent):
            # What was read meanwhile is in its memory alone: a kill before the next sealing would take all of it.
            before = part.spool().next_seq
            await self.wait(lambda: part.spool().next_seq > before, FLOW_S, f"{part.name} to seal again")
            part.full_since = 0.0
        else:
            await self._supervise(part)

    async def _supervise(self, collector: Part) -> None:
        """Where a start met the full disk the collector may have ended, with the reason as its last word: a service manager starts it again."""
        deadline = time.monotonic() + UP_S
        while not await _listens(self._ports[1]):
            assert time.monotonic() < deadline, f"it does not come up again\n{self.report()}"
            if collector.died:
                word = collector.tail().splitlines()[-1]
                assert "room on that disk" in word or "nothing was acknowledged" in word, self.report()
                await collector.start()
            await asyncio.sleep(LOOK_S)
        self._excused.clear()

    async def _strike_clock(self, fault: Fault) -> None:
        part = self.parts[fault.target]
        part.clock.set(fault.off)
        if fault.kind is Kind.CLOCK_KILL:
            await part.kill()
            await part.start()
        await asyncio.sleep(CLOCK_S + fault.hold)
        part.clock.set(0)

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
        if not self.embedded:
            await self.parts[BROKER].kill()

    async def command(self, *words: str | Path) -> str:
        """What a command of the collector says; it must succeed."""
        return await _run(*python("collector", *words, self._config))

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

    def scrambled(self) -> str:
        return f"{sum(relay.harm for relay in self._relays.values())} messages repeated or swapped"

    def tell(self, what: str) -> None:
        line = f"{time.monotonic() - self._began:7.2f}  {what}"
        self.story.append(line)
        print("embedded " if self.embedded else "mosquitto", line, flush=True)

    def report(self) -> str:
        logs = "\n".join(f"{part.name}:\n{part.tail()}" for part in self.parts.values())
        return "\n".join([*self.story, f"marks: {self.marks() if self.database.exists() else '-'}", logs])

    def _all_alive(self) -> None:
        for part in self.parts.values():
            died = part.died and part.name not in self._excused
            assert not died, f"{part.name} ended by itself\n{self.report()}"

    async def _listening(self, part: Part, port: int) -> None:
        deadline = time.monotonic() + UP_S
        while not await _listens(port):
            assert not part.died, part.tail()
            assert time.monotonic() < deadline, f"{part.name} does not listen\n{part.tail()}"
            await asyncio.sleep(LOOK_S)


@asynccontextmanager
async def running(
    folder: Path, agents: int, *, embedded: bool = False, disks: bool = False, seed: int = 0
) -> AsyncIterator[Rig]:
    """disks: some that can be filled, where this user may mount."""
    rig = Rig(folder, agents, embedded=embedded, disks=disks and can_mount(folder), seed=seed)
    try:
        await rig.start()
        yield rig
    finally:
        await rig.close()


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), UP_S)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _free_ports(count: int) -> list[int]:
    """Below those that the system gives to whoever connects: while a broker is down its port is free, and no connection of another test may have it then."""
    found: set[int] = set()
    while len(found) < count:
        port = random.randrange(*PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.add(port)
    return list(found)
