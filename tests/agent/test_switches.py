"""A file switches a source off before its next poll and on again when it goes, whatever the source is; and nobody is left to believe that all is well."""

import asyncio
import contextlib

import pytest

from tests.agent.sources.xfs_server import Terminal as XfsTerminal
from tests.agent.test_sampler import Device, JumpingLoop
from tillwatch.agent import service
from tillwatch.agent.buffer import Buffer
from tillwatch.agent.config import load
from tillwatch.agent.hint import Hint
from tillwatch.agent.model import PollClass, Quality, Sample, State
from tillwatch.agent.prepared import library_of
from tillwatch.agent.sampler import Sampler
from tillwatch.agent.settings import Config, Intervals, WindowsConfig
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.traps import TrapSource
from tillwatch.agent.sources.xfs4iot import XfsSource
from tillwatch.agent.switches import FOLDER, KINDS, SwitchedOff, Switches, all_switches

NAMES = frozenset({"cpu.load", "monitor.source", "monitor.reason", "monitor.interval"})
EVERYTHING = """
[smart]
enabled = true
[ipmi]
enabled = true
[[snmp]]
name = "card"
host = "192.0.2.8"
[[serial]]
name = "line"
port = "/dev/ttyS99"
shim = "megatec_q1"
[[serial]]
name = "tap"
port = "unix:/nowhere.sock"
shim = "id003"
mode = "hosted"
[[nut]]
name = "ups"
[[xfs]]
name = "atm"
[traps]
port = 10162
"""
SECONDS = 300.0


@pytest.fixture
def loop_run():
    loop = JumpingLoop()
    yield loop.run_until_complete
    loop.close()


def everything(folder):
    """Each kind of source that there is, as the service makes them, and Windows' own."""
    (folder / "agent.toml").write_text(EVERYTHING)
    settings = load(folder / "agent.toml", folder)
    windows = Config(None, folder, windows=WindowsConfig(enabled=True, parts=("storage", "devices", "events", "pos")))
    found = service.sources_of(settings, library_of, {})
    found += [each for each in service.sources_of(windows, library_of, {}) if each[0].name.startswith("windows")]
    return [source for source, _ in found], {**settings.kinds(), **windows.kinds()}


async def watched(sampler, sources, intervals, steps):
    task = asyncio.create_task(sampler.run([(source, intervals) for source in sources]))
    for step in steps:
        await asyncio.sleep(SECONDS)
        step()
    await asyncio.sleep(SECONDS)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def spied(source, monkeypatch):
    """The source itself, but for the device behind it."""
    log = []

    async def poll(_):
        log.append("poll")
        return [Sample(source.name, "cpu.load", 1.0)]

    closing = source.close

    async def close():
        log.append("close")
        await closing()

    monkeypatch.setattr(source, "poll", poll)
    monkeypatch.setattr(source, "close", close)
    return log


@pytest.mark.parametrize("by", ["name", "kind"])
def test_every_source_is_switched_off_and_on_within_one_interval(loop_run, tmp_path, monkeypatch, by):
    sources, kinds = everything(tmp_path)
    assert {source.name for source in sources} == set(kinds), "a source without a switch"
    assert set(kinds.values()) == set(KINDS)
    logs = {source.name: spied(source, monkeypatch) for source in sources}
    folder = tmp_path / FOLDER
    folder.mkdir()
    files = {folder / (name if by == "name" else kind) for name, kind in kinds.items()}
    seen = []
    buffer = Buffer()
    sampler = Sampler(buffer, NAMES, 60.0, switches=Switches(tmp_path, kinds))

    def off():
        assert all(log and "close" not in log for log in logs.values())
        for file in files:
            file.touch()

    def count():
        seen.append({name: log.count("poll") for name, log in logs.items()})

    def on():
        count()
        for file in files:
            file.unlink()

    # Within one interval of the switch, and no earlier, what is already under way ends.
    loop_run(watched(sampler, sources, Intervals(60.0, 60.0, 60.0), [off, count, on, lambda: None]))
    before, after = seen
    assert before == after, "polled although it was off"
    items = buffer._items
    for name, kind in kinds.items():
        assert logs[name].count("poll") > after[name], "it was not read again"
        assert "close" in logs[name][: logs[name].index("poll", after[name])], "it was not closed"
        told = [
            (item.value, item.state, item.quality)
            for item in items
            if (item.component, item.signal) == (name, "monitor.source")
        ]
        states = [each for at, each in enumerate(told) if at == 0 or told[at - 1] != each]
        assert states == [
            ("ok", State.OK, Quality.GOOD),
            ("failed", State.UNKNOWN, Quality.ERROR),
            ("ok", State.OK, Quality.GOOD),
        ]
        reasons = {item.value for item in items if (item.component, item.signal) == (name, "monitor.reason")}
        assert (
            f"switched off by {folder / (name if by == 'name' else kind)}; remove the file to read it again" in reasons
        )


def test_a_source_that_rests_hears_of_its_switch_as_soon(loop_run, tmp_path):
    """Left alone for a day by itself; its reason is told all the same, and it is read again when the switch goes."""
    (tmp_path / FOLDER).mkdir()
    switch = tmp_path / FOLDER / "dev"
    switch.touch()
    device = Device()
    device.rest = 86_400.0
    sampler = Sampler(Buffer(), NAMES, 60.0, switches=Switches(tmp_path, {"dev": "snmp"}))
    loop_run(watched(sampler, [device], Intervals(10.0, 60.0, 60.0), [switch.unlink]))
    assert len(device.polls) == 1


def test_a_component_is_switched_off_and_the_rest_is_read(loop_run, tmp_path):
    device = Device()
    device.samples = [Sample("dev/cpu", "cpu.load", 1.0), Sample("dev/disk:/boot", "cpu.load", 2.0)]
    switch = tmp_path / FOLDER / "dev" / "disk:" / "boot"
    switch.parent.mkdir(parents=True)
    buffer = Buffer()
    sampler = Sampler(buffer, NAMES, 60.0, switches=Switches(tmp_path, {"dev": "snmp"}))
    seen = []

    def values():
        items, buffer._items = buffer._items, []
        seen.append({(i.component, i.signal, i.value) for i in items if i.signal != "monitor.interval"})

    def off():
        values()
        switch.touch()

    def on():
        values()
        switch.unlink()

    loop_run(watched(sampler, [device], Intervals(10.0, 60.0, 60.0), [off, values, on]))
    values()
    _, at_once, while_off, back = seen
    part = "dev/disk:/boot"
    for those in (at_once, while_off):
        assert (part, "cpu.load", 2.0) not in those
        assert {(part, "monitor.source", "failed"), (part, "monitor.reason", f"switched off by {switch}")} <= those
        assert {("dev/cpu", "cpu.load", 1.0), ("dev", "monitor.source", "ok")} <= those
    assert {(part, "cpu.load", 2.0), (part, "monitor.source", "ok"), (part, "monitor.reason", "")} <= back


async def test_an_order_from_a_distance_does_not_get_past_it(tmp_path):
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "dev").touch()
    device = Device()
    sampler = Sampler(Buffer(), NAMES, 60.0, {"dev": Hint(0.0)}, switches=Switches(tmp_path, {"dev": "snmp"}))
    task = asyncio.create_task(sampler.run([(device, Intervals(60.0, 60.0, 60.0))]))
    assert "switched off by" in (await asyncio.wait_for(sampler.poll_now(["dev"]), 60))["dev"]
    with pytest.raises(SourceError, match="switched off by"):
        await asyncio.wait_for(sampler.read_by("dev", lambda source: source.poll(PollClass.FAST)), 60)
    assert device.polls == []
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_what_was_open_is_closed_and_opened_again(tmp_path, unused_udp_port):
    """Services over XFS4IoT, by the name that the switch had first, and the one port that an agent may listen on."""
    terminal = XfsTerminal()
    await terminal.start()
    traps = TrapSource("traps", [], listen="127.0.0.1", port=unused_udp_port)
    atm = XfsSource("atm", "127.0.0.1", port=terminal.port)
    sampler = Sampler(Buffer(), NAMES, 60.0, switches=Switches(tmp_path, {"atm": "xfs", "traps": "traps"}))
    sampler._hints = {"atm": Hint(0.0), "traps": Hint(0.0)}
    task = asyncio.create_task(sampler.run([(each, Intervals(60.0, 60.0, 60.0)) for each in (atm, traps)]))
    try:
        assert await asyncio.wait_for(sampler.poll_now(["atm", "traps"]), 60) == {"atm": "", "traps": ""}
        (tmp_path / "xfs4iot.off").touch()
        (tmp_path / FOLDER).mkdir()
        (tmp_path / FOLDER / "traps").touch()
        reasons = await asyncio.wait_for(sampler.poll_now(["atm", "traps"]), 60)
        assert "xfs4iot.off" in reasons["atm"]
        assert traps._transport is None
        async with asyncio.timeout(60):
            while any(terminal.open.values()):
                await asyncio.sleep(0.01)
        (tmp_path / "xfs4iot.off").unlink()
        (tmp_path / FOLDER / "traps").unlink()
        assert await asyncio.wait_for(sampler.poll_now(["atm", "traps"]), 60) == {"atm": "", "traps": ""}
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await terminal.stop()


TABLES = {
    "smart": "[smart]\n",
    "ipmi": "[ipmi]\n",
    "snmp": '[[snmp]]\nname = "it"\nhost = "192.0.2.8"\n',
    "serial": '[[serial]]\nname = "it"\nport = "/dev/ttyS99"\nshim = "megatec_q1"\n',
    "nut": '[[nut]]\nname = "it"\n',
    "xfs": '[[xfs]]\nname = "it"\n',
    "traps": '[[snmp]]\nname = "ups"\nhost = "192.0.2.8"\n[traps]\n',
}


@pytest.mark.parametrize("kind", TABLES)
async def test_enabled_false_is_told_with_its_line(tmp_path, kind):
    text = TABLES[kind] + "enabled = false\n"
    (tmp_path / "agent.toml").write_text("[system]\nenabled = false\n" + text)
    settings = load(tmp_path / "agent.toml", tmp_path)
    off = [source for source, _ in service.sources_of(settings, library_of, {}) if isinstance(source, SwitchedOff)]
    assert len(off) == 1
    with pytest.raises(SourceError, match=r"switched off by enabled = false, .*agent\.toml:\d+"):
        await off[0].poll(PollClass.NORMAL)
    assert kind not in settings.kinds().values()


def test_switches_that_name_nothing_are_found(tmp_path):
    for name in ("ups", "typo", "host/cpu", "snmp"):
        file = tmp_path / FOLDER / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    found = {
        path.relative_to(tmp_path / FOLDER).as_posix(): known for path, known in all_switches(tmp_path, ["ups", "host"])
    }
    assert found == {"ups": True, "typo": False, "host/cpu": True, "snmp": True}


def test_a_name_that_no_file_can_have_switches_nothing(tmp_path):
    switches = Switches(tmp_path, {})
    for name in ("..", ".", "x" * 300, "a\0b"):
        assert switches.why_off(name) == ""
