"""The real agent's process keeps within its bounds whatever is beside it, says what it leaves out, and goes on with everything else. A disk that is
full or turns read-only: test_disk.py.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.agent.lying import EndlessUpsd, Noise, many_parts
from tests.chaos import launch
from tillwatch.agent.identity import SPOOL
from tillwatch.agent.settings import SpoolConfig
from tillwatch.agent.spool import Spool
from tillwatch.agent.wire import Sealed

CEILING_MIB = 64
"""MemoryHigh of the shipped unit."""
MOST_FDS = 64
"""Of the 512 that the unit allows; each device holds one or two."""
PATIENCE_S = 60.0
YEARS_10 = 3_652 * 86_400 * 10**9
TOML = """
[terminal]
state_dir = "state"
[sampling]
fast = "0.5s"
normal = "0.5s"
slow = "1s"
seal = "0.5s"
[system]
only = ["", "cpu"]
"""


class Agent:
    """The process as its service manager runs it."""

    def __init__(self, folder, more="", *before):
        self.folder = folder
        (folder / "agent.toml").write_text(TOML + more)
        self.log = folder / "log"
        program = [*(before or [sys.executable, "-m"]), "tillwatch.agent", "run", "--config", folder / "agent.toml"]
        with self.log.open("w") as log:
            self.child = subprocess.Popen(program, stderr=log, stdin=subprocess.DEVNULL)
        self.pid = self.child.pid

    @property
    def text(self):
        return self.log.read_text()

    @property
    def highest_mib(self):
        """The most that was ever resident of it (VmHWM), compiling the profiles before it stays left out: that was another image of the process."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024

    @property
    def fds(self):
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    async def stop(self):
        begun = time.monotonic()
        self.child.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(self.child.wait, 20)
        return code, time.monotonic() - begun


@pytest.fixture
def start(tmp_path):
    running = []

    def go(*args):
        running.append(Agent(tmp_path, *args))
        return running[-1]

    yield go
    for one in running:
        if one.child.poll() is None:
            one.child.kill()
            one.child.wait()


def read(collector, component, signal_name):
    return [each for each in collector.readings if (each.component, each.signal) == (component, signal_name)]


def sockets_of(pid):
    """(protocol, local port, remote port, state) of the process's own IP sockets."""
    own = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(fd.readlink())
            if target.startswith("socket:["):
                own.add(target[8:-1])
    found = []
    for protocol in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        for line in Path(f"/proc/{pid}/net/{protocol}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in own:
                local, remote = (int(each.rpartition(":")[2], 16) for each in fields[1:3])
                found.append((protocol.rstrip("6"), local, remote, fields[3]))
    return found


LISTEN, UNCONNECTED = "0A", "07"
"""Of a TCP socket, and of a UDP socket that takes datagrams from anybody (include/net/tcp_states.h)."""


async def test_nobody_can_reach_the_agent_but_by_traps(start, broker, collector, until, unused_udp_port, tmp_path):
    """All kinds of sources, orders from a distance and bundles; only a connection that it opened itself, and the one port for traps."""
    (tmp_path / "secret").write_text("passphrase-1")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "tap.sock"))
    listener.listen()
    agent = start(
        f"""
[commands]
enabled = true
[bundles]
enabled = true
[smart]
program = "/bin/false"
[ipmi]
program = "/bin/false"
[[snmp]]
name = "card"
host = "127.0.0.1"
port = 1
timeout = "0.2s"
[[snmp]]
name = "v3"
host = "127.0.0.1"
port = 1
version = "3"
user = "u"
auth_file = "secret"
priv_file = "secret"
timeout = "0.2s"
[[serial]]
name = "line"
port = "/dev/ttyS99"
shim = "megatec_q1"
[[serial]]
name = "tap"
port = "unix:{tmp_path / "tap.sock"}"
shim = "id003"
mode = "hosted"
[[nut]]
name = "ups"
port = 1
[[xfs]]
name = "atm"
port = 1
[traps]
listen = "127.0.0.1"
port = {unused_udp_port}
"""
    )
    names = {"drives", "bmc", "card", "v3", "line", "ups", "atm", "traps"}
    await until(lambda: {r.component for r in collector.readings if r.signal == "monitor.source"} >= names, PATIENCE_S)
    for _ in range(20):
        found = sockets_of(agent.pid)
        assert ("tcp", broker.port) in {(protocol, remote) for protocol, _, remote, _ in found}, (
            "the list is read right"
        )
        assert [each for each in found if each[0] == "tcp" and each[3] == LISTEN] == []
        assert {port for protocol, port, _, state in found if protocol == "udp" and state == UNCONNECTED} <= {
            unused_udp_port
        }
        assert not [each for each in found if each[0] == "raw"]
        await asyncio.sleep(0.05)  # polls come and go
    assert ("udp", unused_udp_port) in {(protocol, port) for protocol, port, _, _ in sockets_of(agent.pid)}
    listener.close()
    assert (await agent.stop())[0] == 0


@pytest.mark.long
async def test_devices_that_lie(start, collector, until, tmp_path):
    """Ten thousand parts, lists and lines without an end, noise, a program that prints without an end: the machine itself goes on being read."""
    table, noise, lines, line = many_parts(), Noise(), EndlessUpsd(lines=True), EndlessUpsd(lines=False)
    chatter = tmp_path / "smartctl"
    chatter.write_text('#!/bin/sh\nexec yes \'{"model_name": "x"}\'\n')
    chatter.chmod(0o755)
    for each in (table, noise, lines, line):
        await each.start()
    try:
        agent = start(
            f"""
[smart]
program = "{chatter}"
drives = ["/dev/x"]
[[snmp]]
name = "table"
host = "127.0.0.1"
port = {table.port}
[[snmp]]
name = "noise"
host = "127.0.0.1"
port = {noise.port}
timeout = "0.5s"
[[nut]]
name = "lines"
port = {lines.port}
[[nut]]
name = "line"
port = {line.port}
"""
        )
        liars = {"noise", "lines", "line", "drives"}

        def told():
            return {r.component for r in collector.readings if r.signal == "monitor.source" and r.value == "failed"}

        await until(lambda: told() >= liars, PATIENCE_S)
        await until(lambda: read(collector, "table", "monitor.omitted"), PATIENCE_S)
        await until(lambda: len(read(collector, "host", "host.cpu.percent")) >= 5, PATIENCE_S)
        fds, seen = agent.fds, len(read(collector, "host", "host.cpu.percent"))
        await until(lambda: len(read(collector, "host", "host.cpu.percent")) >= seen + 20, PATIENCE_S)
        assert agent.highest_mib < CEILING_MIB
        assert agent.fds <= min(MOST_FDS, fds + 8)
        assert read(collector, "table", "monitor.omitted")[-1].value > 0
        assert not [r for r in collector.readings if isinstance(r.value, str) and "4111" in r.value]
        assert "Traceback" not in agent.text
        assert (await agent.stop())[0] == 0
    finally:
        for each in (table, noise, lines, line):
            each.stop()


@pytest.mark.long
async def test_a_broker_that_is_gone_for_long(start, terminal, until, tmp_path):
    """Nobody has listened for weeks and the spool is full: it stays within its bound, counters are thinned, the oldest goes, and the loss is counted."""
    bound, table, file = 1 << 20, many_parts(), tmp_path / "state" / SPOOL
    spool = Spool(file, terminal.who.terminal, terminal.who.key.public, SpoolConfig(bound))
    while spool.fill < 0.98:
        spool.append(lambda _: Sealed(os.urandom(4_000), bytes(32), 100), time.time_ns())
    first = spool.floor
    spool.close()

    def kept():
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
            return db.execute("SELECT sum(length(bytes)), min(seq), max(seq) FROM sealed").fetchone()

    await table.start()
    try:
        more = f'[spool]\nmax_bytes = {bound}\n[[snmp]]\nname = "table"\nhost = "127.0.0.1"\nport = {table.port}\n'
        agent = start(more)
        await until(lambda: "counters are thinned" in agent.text, PATIENCE_S)
        await until(lambda: kept()[1] > first + 2, PATIENCE_S, "the oldest going")
        fds, last = agent.fds, kept()[2]
        await until(lambda: kept()[2] > last + 10, PATIENCE_S, "ten more batches")
        assert kept()[0] <= bound
        files = [file.with_name(f"{SPOOL}{end}") for end in ("", "-wal", "-shm")]
        # Beside the sealed batches the file has its indexes and pages that are free, and SQLite its log.
        assert sum(each.stat().st_size for each in files if each.exists()) < 3 * bound
        assert agent.highest_mib < CEILING_MIB
        assert agent.fds <= fds + 4
        assert (await agent.stop())[0] == 0
    finally:
        table.stop()


@pytest.mark.long
@pytest.mark.parametrize("jump", [YEARS_10, -YEARS_10])
async def test_a_clock_that_jumps_by_ten_years(start, collector, until, tmp_path, jump):
    clock = tmp_path / "clock"
    clock.write_bytes(struct.pack(launch.OFF.format, 0))
    agent = start("", sys.executable, Path(launch.__file__), clock)
    await until(lambda: len(read(collector, "host", "host.cpu.percent")) >= 4, PATIENCE_S)
    fds = agent.fds
    with clock.open("r+b") as file:
        file.write(launch.OFF.pack(jump))
    seen = len(read(collector, "host", "host.cpu.percent"))
    await until(lambda: len(read(collector, "host", "host.cpu.percent")) >= seen + 10, PATIENCE_S)
    assert agent.highest_mib < CEILING_MIB
    assert agent.fds <= fds + 4
    assert "Traceback" not in agent.text
    assert (await agent.stop())[0] == 0


CGROUP = Path("/sys/fs/cgroup/pids")
BOMB = "import os, time\nfor _ in range(200):\n try:\n  if os.fork() == 0: time.sleep(60); os._exit(0)\n except OSError: time.sleep(0.01)\ntime.sleep(60)\n"


@pytest.fixture
def crowded():
    """A control group with room for 24 processes and threads, which is what keeps the bomb from everything else."""
    group = CGROUP / f"tillwatch-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("no control group for pids can be made here")
    (group / "pids.max").write_text("24")
    yield group
    deadline = time.monotonic() + 60
    while pids := (group / "cgroup.procs").read_text().split():
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        assert time.monotonic() < deadline
        time.sleep(0.05)
    group.rmdir()


@pytest.mark.long
async def test_a_fork_bomb_beside_it(start, collector, until, tmp_path, crowded):
    """No process and no thread can be made any more: what needs one fails and says so, the rest is read and sent; all comes back."""
    smartctl = tmp_path / "smartctl"
    smartctl.write_text('#!/bin/sh\necho \'{"smartctl": {"exit_status": 0}, "device": {"name": "/dev/x", "protocol": "ATA"}, "ata_smart_attributes": {"table": [{"id": 5, "name": "R", "raw": {"value": 0, "string": "0"}}]}}\'\n')  # fmt: skip
    smartctl.chmod(0o755)
    agent = start(f'[smart]\nprogram = "{smartctl}"\ndrives = ["/dev/x"]\n')

    def states():
        return [each.value for each in read(collector, "drives", "monitor.source")]

    await until(lambda: "ok" in states(), PATIENCE_S)
    (crowded / "cgroup.procs").write_text(str(agent.pid))
    bomb = subprocess.Popen([sys.executable, "-c", f"open({str(crowded / 'cgroup.procs')!r}, 'w').write('0')\n{BOMB}"])
    try:
        await until(lambda: states()[-1] == "failed", PATIENCE_S)
        fds, sealed = agent.fds, len(collector.stored)
        await until(lambda: len(collector.stored) >= sealed + 10, PATIENCE_S)
        assert agent.child.poll() is None
        assert agent.highest_mib < CEILING_MIB
        assert agent.fds <= fds + 4
    finally:
        for pid in (crowded / "cgroup.procs").read_text().split():
            if int(pid) != agent.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        await asyncio.to_thread(bomb.wait, 20)
    await until(lambda: states()[-1] == "ok", PATIENCE_S)
    seen = len(read(collector, "host", "host.cpu.percent"))
    await until(lambda: len(read(collector, "host", "host.cpu.percent")) > seen, PATIENCE_S)
    assert (await agent.stop())[0] == 0
