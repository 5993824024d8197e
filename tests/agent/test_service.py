"""The agent as its service manager runs it: a process, signals, a broker, a collector."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.agent.sources.upsd import Upsd
from tests.agent.sources.xfs_server import Terminal
from tests.variants import long_after
from tillwatch.agent import doctor, service
from tillwatch.agent.clock import Reference
from tillwatch.agent.config import load
from tillwatch.agent.identity import SPOOL, Broker
from tillwatch.agent.model import PollClass, Sample
from tillwatch.agent.prepared import Prepared, library_of
from tillwatch.agent.service import _Chosen
from tillwatch.agent.settings import Config, ConfigError, Intervals, SpoolConfig, SystemConfig, WindowsConfig
from tillwatch.agent.spool import Spool
from tillwatch.agent.uplink import Uplink

TOML = """
[terminal]
state_dir = "state"
[sampling]
fast = "0.5s"
normal = "0.5s"
seal = "0.5s"
[system]
name = "host"
"""


class Process:
    def __init__(self, folder, config=TOML, **environment):
        (folder / "agent.toml").write_text(config)
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "tillwatch.agent", "run", "--config", folder / "agent.toml"],
                stderr=log,
                env={**os.environ, **environment},
            )

    def stop(self, number=signal.SIGTERM):
        started = time.monotonic()
        self.child.send_signal(number)
        code = self.child.wait(60)
        return code, time.monotonic() - started


@pytest.fixture
def start(tmp_path):
    running = []

    def go(*args, **environment):
        running.append(Process(tmp_path, *args, **environment))
        return running[-1]

    yield go
    for process in running:
        if process.child.poll() is None:
            process.child.kill()
            process.child.wait()


def command(folder, *args):
    return subprocess.run(
        [sys.executable, "-m", "tillwatch.agent", *args, "--config", folder / "agent.toml"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("number", long_after(1, [signal.SIGTERM, signal.SIGINT]))
async def test_reads_sends_and_ends_cleanly(start, collector, until, number):
    agent = start()
    await until(
        lambda: {r.signal for r in collector.readings} >= {"host.cpu.percent", "agent.rss", "monitor.interval"}, 60
    )
    assert not [r for r in collector.readings if r.signal.startswith("unmapped.")]
    loop = asyncio.get_running_loop()
    code, seconds = await loop.run_in_executor(None, agent.stop, number)
    assert code == 0, agent.log.read_text()
    assert seconds < 5
    await until(lambda: collector.lives[-1].state == "offline")
    last = collector.stored[-1][0]
    assert collector.lives[-1].next == last.seq + 1
    assert "Traceback" not in agent.log.read_text()
    assert "ERROR" not in agent.log.read_text()


async def test_killed_and_started_again_goes_on_where_it_was(start, collector, until):
    for _ in range(3):
        agent = start()
        before = len(collector.stored)
        await until(lambda before=before: len(collector.stored) > before + 2, 60)
        agent.child.kill()
        agent.child.wait()
    seqs = [header.seq for header, _ in collector.stored]
    assert seqs == list(range(1, len(seqs) + 1))
    assert len({header.epoch for header, _ in collector.stored}) == 1


async def test_ends_cleanly_without_a_broker_and_keeps_what_it_read(start, terminal, until, tmp_path):
    agent = start()
    await until((tmp_path / "state" / "spool.db").exists, 60)
    await until(lambda: "waits in the spool" in agent.log.read_text(), 60)
    code, seconds = agent.stop()
    assert (code, seconds < 5) == (0, True)
    shown = json.loads(command(tmp_path, "show", "--json").stdout)
    assert shown["terminal"] == "atm-1"
    assert shown["spool"]["waiting"] >= 1


async def test_source_that_does_not_let_go_delays_no_end(terminal, monkeypatch, caplog):
    monkeypatch.setattr(service, "CLOSE_SOURCES", 0.05)
    caplog.set_level("INFO", "tillwatch.agent")

    class Stuck:
        name, classes = "stuck", frozenset({PollClass.FAST})

        async def poll(self, _):
            return []

        async def close(self):
            await asyncio.Event().wait()

    spool = Spool(terminal.state_dir / SPOOL, terminal.who.terminal, terminal.who.key.public, SpoolConfig())
    link = Uplink(terminal.who, spool, Broker("127.0.0.1", terminal.port, tls=False), None)
    stop = asyncio.Event()
    asyncio.get_running_loop().call_soon(stop.set)
    prepared = Prepared(Config(None, terminal.state_dir), frozenset(), frozenset(), verbose=False)
    agent = service._Agent(prepared, terminal.who, spool, link, {}, Reference())
    async with asyncio.timeout(60):
        await agent.run([(Stuck(), Intervals())], stop)
    assert caplog.messages[-1] == "stopped"


async def test_agent_without_sources_still_tells_that_it_lives(start, collector, until):
    agent = start(TOML + "enabled = false\n")
    await until(lambda: len(collector.stored) >= 3, 60)
    assert {reading.component for reading in collector.readings} == {"agent"}
    assert agent.stop()[0] == 0


async def test_damaged_spool_is_told_as_a_reading(start, collector, until, tmp_path):
    (tmp_path / "state" / "spool.db").write_bytes(b"this is no database" * 1000)
    agent = start()
    told = await until(
        lambda: [r.value for r in collector.readings if (r.component, r.signal) == ("agent", "agent.spool.set-aside")],
        30,
    )
    assert "moved aside" in told[0]
    assert list((tmp_path / "state").glob("spool.corrupt-*"))
    assert "moved aside" in agent.log.read_text()


async def test_parts_of_the_machine_that_are_not_wanted():
    class Machine:
        name, classes = "host", frozenset(PollClass)

        async def poll(self, _):
            return [
                Sample(name, "net.oper", "up") for name in ("host", "host/net:eth0", "host/net:docker0", "host/disk:/")
            ]

    async def parts(**chosen):
        source = _Chosen(Machine(), SystemConfig(**chosen))
        return [sample.component for sample in await source.poll(PollClass.FAST)]

    assert await parts(disable=("net:docker*",)) == ["host", "host/net:eth0", "host/disk:/"]
    assert await parts(only=("", "disk:*")) == ["host", "host/disk:/"]


DEVICES = """
[system]
enabled = false
[[nut]]
name = "ups"
[[xfs]]
name = "atm"
[[xfs]]
name = "off"
enabled = false
[[snmp]]
name = "card"
host = "192.0.2.8"
[[snmp]]
name = "printer"
host = "192.0.2.9"
[traps]
"""


async def test_what_an_atm_and_a_upsd_say_reaches_the_collector(start, collector, until, tmp_path):
    """The resident process with its own catalogue; what is lost turns `failed` with its reason."""
    terminal, upsd = Terminal(), Upsd(tmp_path, {"ups.status": "OL", "battery.charge": "87"})
    await terminal.start()
    upsd.start()
    devices = (
        f'enabled = false\n[[xfs]]\nname = "atm"\nport = {terminal.port}\nnormal = "30s"\n'
        f'[[nut]]\nname = "ups"\nport = {upsd.port}\n'
    )
    try:
        agent = start(TOML + devices)
        wanted = {("atm/CashRecycler1 unit:A", "atm.unit.reject.rate", 2.333), ("ups", "ups.battery.charge", 87)}
        await until(lambda: {(r.component, r.signal, r.value) for r in collector.readings} >= wanted, 60)
        upsd.stop()
        failed = ("ups", "monitor.source", "failed")
        await until(lambda: failed in {(r.component, r.signal, r.value) for r in collector.readings}, 60)
    finally:
        upsd.stop()
        await terminal.stop()
    assert not [r for r in collector.readings if r.signal.startswith("unmapped.")]
    assert terminal.deaths == []
    code, _ = await asyncio.get_running_loop().run_in_executor(None, agent.stop)
    assert code == 0, agent.log.read_text()
    assert agent.log.read_text().count(f"WARNING ups: 127.0.0.1:{upsd.port}: ") == 1
    assert "Traceback" not in agent.log.read_text()


async def test_sources_that_hint(tmp_path):
    """Of what is configured; a device whose traps are heard of can be read early, one that is switched off is told and nothing else."""
    (tmp_path / "agent.toml").write_text(DEVICES + "port = 10162\n")
    settings = load(tmp_path / "agent.toml", tmp_path)
    hints = {}
    sources = [source for source, _ in service.sources_of(settings, library_of, hints)]
    assert [source.name for source in sources] == ["card", "printer", "ups", "atm", "traps", "off"]
    assert set(hints) == {"atm", "card", "printer"}
    for source in sources:
        await source.close()


async def test_windows_is_marked_as_not_yet_run(tmp_path, caplog):
    """Where it is configured, whatever the machine: once in the log, and by doctor; only doctor asks without a memory."""
    windows = WindowsConfig(enabled=True, parts=("storage", "events"))
    settings = Config(None, tmp_path, system=SystemConfig(enabled=False), windows=windows)
    sources = [source.name for source, _ in service.sources_of(settings, library_of, {})]
    assert sources == ["windows-storage", "windows-events"]
    assert [
        message for message in caplog.messages if "have not run on a Windows machine yet" in message
    ] == caplog.messages
    assert len(caplog.messages) == 1
    found = [finding async for finding in doctor._sources(settings)]
    assert [finding.check for finding in found] == ["windows", "source windows-storage", "source windows-events"]
    assert found[0].result == "warn"
    assert "have not run on a Windows machine yet" in found[0].text


def test_a_certificate_that_is_none_is_told_with_its_place(tmp_path):
    (tmp_path / "agent.toml").write_text('[[xfs]]\nname = "atm"\nhost = "192.0.2.7"\nca = "ca.pem"\n')
    settings = load(tmp_path / "agent.toml", tmp_path)
    for text in (None, "no certificate"):
        if text is not None:
            (tmp_path / "ca.pem").write_text(text)
        with pytest.raises(ConfigError, match=r"agent\.toml:1: ca .*ca\.pem: .*; it is a PEM file"):
            service.sources_of(settings, library_of, {})


async def test_tells_the_service_manager(start, terminal, until, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        agent = start(TOML, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="200000")
        loop = asyncio.get_running_loop()
        heard = [await loop.run_in_executor(None, manager.recv, 100) for _ in range(4)]
        assert heard[0] == b"READY=1"
        assert heard[1:] == [b"WATCHDOG=1"] * 3
        code, _ = await loop.run_in_executor(None, agent.stop)
        assert code == 0
        rest = []
        while not rest or rest[-1] == b"WATCHDOG=1":
            rest.append(manager.recv(100))
        assert rest[-1] == b"STOPPING=1"


def test_second_agent_is_refused(start, terminal, tmp_path):
    agent = start()
    deadline = time.monotonic() + 60
    while "terminal atm-1" not in agent.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    second = command(tmp_path, "run")
    assert second.returncode == 4
    assert "another tillwatch-agent" in second.stderr


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (TOML + "[sampling2]\n", "agent.toml:10: unknown key `sampling2`"),
        (TOML + '[[snmp]]\nname = "ups"\nhost = "127.0.0.1"\nprofile = "no-such"\n', "agent.toml:10: "),
        (TOML + '[[serial]]\nname = "ups"\nport = "/dev/null"\nshim = "no_such"\n', "agent.toml:10: "),
        (
            TOML + '[[serial]]\nname = "a"\nport = "/dev/null"\nshim = "ebds"\nmode = "exclusive"\n',
            "agent.toml:10: a: shim ebds may not own its port",
        ),
    ],
)
def test_wrong_configuration_is_told_and_nothing_starts(start, terminal, config, said):
    agent = start(config)
    assert agent.child.wait(60) == 2
    assert said in agent.log.read_text()
    assert "Traceback" not in agent.log.read_text()


def test_not_enrolled(start, tmp_path):
    agent = start()
    assert agent.child.wait(60) == 3
    assert "enrol TOKEN" in agent.log.read_text()


async def test_journal_gets_levels_and_no_times(start, terminal, until, tmp_path):
    (tmp_path / "log").touch()
    status = (tmp_path / "log").stat()
    agent = start(TOML, JOURNAL_STREAM=f"{status.st_dev}:{status.st_ino}")
    await until(lambda: "waits in the spool" in agent.log.read_text(), 60)
    lines = agent.log.read_text().splitlines()
    assert lines[0].startswith("<6>terminal atm-1")
    assert any(line.startswith("<4>broker") for line in lines)


def test_doctor_finds_what_is_wrong_with_the_mend(terminal, tmp_path):
    (tmp_path / "agent.toml").write_text(TOML)
    told = command(tmp_path, "doctor", "--json")
    assert told.returncode == 1, told.stderr
    found = {each["check"]: each for each in json.loads(told.stdout)}
    assert found["broker"]["result"] == "fail"
    assert found["broker"]["mend"]
    for check in ("configuration", "state directory", "identity", "spool", "source host"):
        assert found[check]["result"] == "ok", found[check]


def test_doctor_is_content(broker, terminal, tmp_path):
    (tmp_path / "agent.toml").write_text(TOML)
    told = command(tmp_path, "doctor")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "\033" not in told.stdout
