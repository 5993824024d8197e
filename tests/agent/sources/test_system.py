"""The machine that runs the tests, and what psutil says on others."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from types import SimpleNamespace

import psutil
import pytest

from tests.agent.counters import assert_catalogued, write_tree
from tillwatch.agent.model import PollClass, Quality, State
from tillwatch.agent.sources import SourceError, mmc, system
from tillwatch.agent.sources.system import SystemSource


def disk(used=1, total=4):
    return SimpleNamespace(used=used, total=total, free=total - used, percent=100 * used / total)


def partition(mountpoint, device, fstype="ext4", opts="rw"):
    return SimpleNamespace(mountpoint=mountpoint, device=device, fstype=fstype, opts=opts)


@pytest.fixture
def source():
    return SystemSource()


def by_name(samples):
    return {(sample.component, sample.signal): sample for sample in samples}


async def test_this_machine(source):
    found = {wanted: await source.poll(wanted) for wanted in PollClass}
    everything = [sample for samples in found.values() for sample in samples]
    assert_catalogued(everything)
    assert len(by_name(everything)) == len(everything)
    assert (
        len({sample.signal for sample in found[PollClass.FAST]} & {sample.signal for sample in found[PollClass.NORMAL]})
        == 0
    )
    fast, normal, slow = (by_name(found[wanted]) for wanted in PollClass)
    assert 0 <= fast["host", "host.cpu.percent"].value <= 100
    assert fast["host", "host.uptime"].value > 0
    memory = psutil.virtual_memory()
    assert slow["host", "host.memory.total"].value == memory.total
    assert 0 < fast["host", "host.memory.available"].value <= memory.total
    root = normal["host/disk:/", "host.disk.free"]
    assert root.label == "/"
    assert root.value == pytest.approx(psutil.disk_usage("/").free, rel=0.1)
    assert slow["host", "identity.name"].value
    assert not [sample for sample in everything if sample.component.startswith("host/net:lo")]
    await source.close()


async def test_values_are_short_decimals(source):
    for wanted in PollClass:
        for sample in await source.poll(wanted):
            if isinstance(sample.value, float):
                assert round(sample.value, 3) == sample.value


async def test_processor_use_is_that_since_the_poll_before(source, monkeypatch):
    answers = iter([12.34, 99.96])
    monkeypatch.setattr(psutil, "cpu_percent", lambda: next(answers))
    for expected in (12.3, 100.0):
        assert by_name(await source.poll(PollClass.FAST))["host", "host.cpu.percent"].value == expected


async def test_the_name_is_the_first_part_of_every_component():
    source = SystemSource("atm-7")
    for wanted in PollClass:
        assert {sample.component.partition("/")[0] for sample in await source.poll(wanted)} == {"atm-7"}


async def test_file_systems(source, monkeypatch):
    mounts = [
        partition("/var/lib/x/bind", "/dev/sda1"),
        partition("/", "/dev/sda1"),
        partition("/snap/core", "/dev/loop3", "squashfs"),
        partition("/boot/efi", "/dev/sda2", "vfat"),
    ]
    monkeypatch.setattr(psutil, "disk_partitions", lambda: mounts)
    monkeypatch.setattr(psutil, "disk_usage", lambda path: disk(used=3 if path == "/" else 1))
    inodes = {"/": SimpleNamespace(f_files=200, f_ffree=30), "/boot/efi": SimpleNamespace(f_files=0, f_ffree=0)}
    monkeypatch.setattr(system.os, "statvfs", inodes.__getitem__)
    found = by_name(await source.poll(PollClass.NORMAL))
    assert {component for component, _ in found if "disk:" in component} == {"host/disk:/", "host/disk:/boot/efi"}
    assert found["host/disk:/", "host.disk.percent"].value == 75.0
    assert found["host/disk:/", "host.disk.free"].value == 1
    assert found["host/disk:/", "host.disk.percent"].state is State.OK
    assert found["host/disk:/", "host.disk.inodes.percent"].value == 85.0
    assert ("host/disk:/boot/efi", "host.disk.inodes.percent") not in found


@pytest.mark.parametrize(("percent", "state"), [(90, State.OK), (91, State.WARN), (97, State.WARN), (98, State.CRIT)])
async def test_how_full_is_too_full(source, monkeypatch, percent, state):
    monkeypatch.setattr(psutil, "disk_usage", lambda path: disk(used=percent, total=100))
    assert by_name(await source.poll(PollClass.NORMAL))["host/disk:/", "host.disk.percent"].state is state


async def test_in_a_container_the_root_is_read_all_the_same(source, monkeypatch):
    monkeypatch.setattr(psutil, "disk_partitions", lambda: [partition("/etc/hosts", "/dev/vda1")])
    assert ("host/disk:/", "host.disk.free") in by_name(await source.poll(PollClass.NORMAL))


async def test_fixed_drives_of_windows_only(source, monkeypatch):
    mounts = [
        partition("C:\\", "C:\\", "NTFS", "rw,fixed"),
        partition("D:\\", "D:\\", "", "cdrom"),
        partition("X:\\", "X:\\", "NTFS", "rw,remote"),
    ]
    monkeypatch.setattr(system, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setattr(system.os, "sep", "\\")
    monkeypatch.setattr(psutil, "disk_partitions", lambda: mounts)
    monkeypatch.setattr(psutil, "disk_usage", lambda path: disk())
    found = by_name(await source.poll(PollClass.NORMAL))
    assert {component for component, _ in found if "disk:" in component} == {"host/disk:C:"}


@pytest.mark.skipif(sys.platform != "linux", reason="partitions are told from drives by /sys/block")
async def test_drives_without_their_partitions(source, monkeypatch):
    io = SimpleNamespace(read_bytes=1, write_bytes=2, read_count=3, write_count=4, busy_time=5)
    names = ["sda", "sda1", "loop0", "dm-0", "nvme0n1"]
    monkeypatch.setattr(psutil, "disk_io_counters", lambda *, perdisk, nowrap: dict.fromkeys(names, io))
    monkeypatch.setattr(
        system.os.path, "isdir", lambda path: path in ("/sys/block/sda", "/sys/block/nvme0n1", "/sys/block/loop0")
    )
    samples = await source.poll(PollClass.NORMAL)
    assert_catalogued(samples)
    drives = {sample.component: 0 for sample in samples if "drive:" in sample.component}
    assert list(drives) == ["host/drive:nvme0n1", "host/drive:sda"]


async def test_a_machine_without_drives(source, monkeypatch):
    monkeypatch.setattr(psutil, "disk_io_counters", lambda *, perdisk, nowrap: None)
    assert not [sample for sample in await source.poll(PollClass.NORMAL) if "drive:" in sample.component]


@pytest.mark.parametrize(
    ("isup", "flags", "received", "oper"),
    [
        (True, "up,running", 0, "up"),
        (False, "up,broadcast", 900, "down"),
        (False, "up,broadcast", 0, "unused"),
        (False, "broadcast", 900, "adminDown"),
        (False, "", 900, "down"),
    ],
)
async def test_interfaces(source, monkeypatch, isup, flags, received, oper):
    io = SimpleNamespace(
        bytes_recv=received, bytes_sent=1, packets_recv=1, packets_sent=1, errin=7, errout=0, dropin=0, dropout=0
    )
    names = ["eth0", "lo", "veth12ab", "docker0", "br-1234", "tun0"]
    link = SimpleNamespace(isup=isup, flags=flags, speed=1000)
    monkeypatch.setattr(psutil, "net_if_stats", lambda: dict.fromkeys(names, link))
    monkeypatch.setattr(psutil, "net_io_counters", lambda *, pernic, nowrap: dict.fromkeys(names, io))
    fast, normal = await source.poll(PollClass.FAST), await source.poll(PollClass.NORMAL)
    assert_catalogued(fast + normal)
    found = by_name(fast + normal)
    assert {component for component, _ in found if "net:" in component} == {"host/net:eth0", "host/net:tun0"}
    assert found["host/net:eth0", "net.oper"].value == oper
    assert found["host/net:eth0", "net.rx.errors"].value == 7
    assert (("host/net:eth0", "net.speed") in found) == isup
    if isup:
        assert found["host/net:eth0", "net.speed"].value == 1_000_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="/sys is Linux'")
async def test_the_kernels_own_sensors_are_parts_of_the_machine(tmp_path):
    write_tree(
        tmp_path,
        {
            "sys/class/hwmon/hwmon0/name": "coretemp",
            "sys/class/hwmon/hwmon0/temp1_input": "45000",
            "sys/class/hwmon/hwmon0/temp1_label": "Core 0",
            "sys/class/hwmon/hwmon0/fan1_input": "1200",
            "sys/class/hwmon/hwmon0/in1_input": "792",
            "sys/class/power_supply/BAT0/type": "Battery",
            "sys/class/power_supply/BAT0/capacity": "81",
            "sys/devices/system/edac/mc/mc0/ue_count": "1",
            "proc/mdstat": "md0 : active raid1 sda1[0] sdb1[1]\n      248896 blocks [2/2] [UU]\n",
            "sys/block/mmcblk0/device/life_time": "0x02 0x01",
        },
    )
    source = SystemSource("atm-7", tmp_path)
    samples = [*await source.poll(PollClass.NORMAL), *await source.poll(PollClass.SLOW)]
    assert_catalogued(samples)
    found = by_name(samples)
    for component, signal, value in (
        ("temperature:coretemp Core 0", "host.temperature", 45.0),
        ("fan:coretemp 1", "host.fan.speed", 1200),
        ("voltage:coretemp 1", "host.voltage", 0.792),
        ("battery", "host.battery.charge", 81),
        ("memory:mc0", "memory.ecc.uncorrected", 1),
        ("raid:md0", "raid.state", "active"),
        ("drive:mmcblk0", "drive.wear", 10),
    ):
        assert found[f"atm-7/{component}", signal].value == value


@pytest.mark.parametrize(
    ("secsleft", "plugged", "expected"),
    [
        (5400, False, {"host.battery.charge": 81.0, "host.battery.runtime": 90, "host.battery.plugged": "unplugged"}),
        (-2, True, {"host.battery.charge": 81.0, "host.battery.plugged": "plugged"}),
        (-1, None, {"host.battery.charge": 81.0}),
    ],
)
async def test_battery_where_the_kernel_has_no_files(source, monkeypatch, secsleft, plugged, expected):
    monkeypatch.setattr(system, "sys", SimpleNamespace(platform="darwin"))
    battery = SimpleNamespace(percent=81.0, secsleft=secsleft, power_plugged=plugged)
    monkeypatch.setattr(psutil, "sensors_battery", lambda: battery, raising=False)
    samples = [sample for sample in await source.poll(PollClass.NORMAL) if sample.component == "host/battery"]
    assert_catalogued(samples)
    assert {sample.signal: sample.value for sample in samples} == expected


async def test_what_the_platform_has_not_is_absent(source, monkeypatch, caplog, tmp_path):
    monkeypatch.delattr(psutil, "sensors_battery", raising=False)
    source._root = tmp_path
    assert await source.poll(PollClass.NORMAL)
    assert not caplog.records


def broken(*_args, **_kwargs):
    raise OSError(5, "Input/output error")


async def test_one_group_that_fails_is_logged_on_the_transition_and_takes_nothing_with_it(source, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    with monkeypatch.context() as patched:
        patched.setattr(psutil, "net_io_counters", broken)
        for _ in range(3):
            found = by_name(await source.poll(PollClass.NORMAL))
            assert ("host", "host.users") in found
            assert not [component for component, _ in found if "net:" in component]
    assert [record.getMessage() for record in caplog.records] == [
        "host: traffic: OSError: [Errno 5] Input/output error"
    ]
    await source.poll(PollClass.NORMAL)
    assert [record.getMessage() for record in caplog.records][1:] == ["host: traffic can be read again"]


async def test_a_file_system_that_cannot_be_read_is_unknown_and_the_others_are_read(source, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(
        psutil, "disk_partitions", lambda: [partition("/", "/dev/sda1"), partition("/data", "/dev/sdb1")]
    )
    monkeypatch.setattr(system.os, "statvfs", lambda path: SimpleNamespace(f_files=0, f_ffree=0))
    with monkeypatch.context() as patched:
        patched.setattr(psutil, "disk_usage", lambda path: disk() if path == "/" else broken())
        for _ in range(2):
            found = by_name(await source.poll(PollClass.NORMAL))
            ill = found["host/disk:/data", "host.disk.percent"]
            assert (ill.value, ill.quality, ill.state) == (None, Quality.ERROR, State.UNKNOWN)
            assert found["host/disk:/", "host.disk.percent"].value == 25.0
    monkeypatch.setattr(psutil, "disk_usage", lambda path: disk())
    assert by_name(await source.poll(PollClass.NORMAL))["host/disk:/data", "host.disk.percent"].value == 25.0
    assert [record.getMessage() for record in caplog.records] == [
        "host: file system /data: [Errno 5] Input/output error",
        "host: file system /data can be read again",
    ]


async def test_a_mount_that_is_not_ours_to_see_is_left_out(source, monkeypatch):
    def usage(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(psutil, "disk_usage", usage)
    assert not [sample for sample in await source.poll(PollClass.NORMAL) if "disk:" in sample.component]


async def test_nothing_can_be_read(source, monkeypatch):
    for name in ("cpu_count", "virtual_memory", "swap_memory"):
        monkeypatch.setattr(psutil, name, broken)
    monkeypatch.setattr(mmc, "read", broken)
    monkeypatch.setattr(source, "_identity", broken, raising=False)
    broken.__name__ = "_identity"
    with pytest.raises(SourceError, match=r"^identity: OSError.*; sizes: OSError"):
        await source.poll(PollClass.SLOW)


async def test_more_parts_than_are_kept_are_declared(source, monkeypatch, caplog):
    link = SimpleNamespace(isup=True, flags="up", speed=0)
    monkeypatch.setattr(psutil, "net_if_stats", lambda: {f"eth{n:03}": link for n in range(system.MAX_PARTS + 6)})
    samples = await source.poll(PollClass.FAST)
    assert len([sample for sample in samples if sample.signal == "net.oper"]) == system.MAX_PARTS
    assert by_name(samples)["host/links", "monitor.omitted"].value == 6
    assert_catalogued(samples)
    assert "all links: 70 parts, of which 64 are read" in caplog.text
    monkeypatch.setattr(psutil, "net_if_stats", lambda: {"eth0": link})
    assert by_name(await source.poll(PollClass.FAST))["host/links", "monitor.omitted"].value == 0


async def test_a_file_system_that_hangs_costs_a_poll_and_not_the_agent(source, monkeypatch):
    let_go = threading.Event()
    monkeypatch.setattr(system, "POLL_BOUND_S", 0.05)
    with monkeypatch.context() as patched:
        patched.setattr(psutil, "disk_usage", lambda _path: let_go.wait(60) and disk())
        with pytest.raises(SourceError, match=r"^reading file system / did not come back"):
            await source.poll(PollClass.NORMAL)
        assert await source.poll(PollClass.FAST)
        with pytest.raises(SourceError, match=r"^reading file system / still has not come back"):
            await source.poll(PollClass.SLOW)
        let_go.set()
        async with asyncio.timeout(60):
            while source._busy:
                await asyncio.sleep(0.01)
    monkeypatch.setattr(system, "POLL_BOUND_S", 10.0)
    assert await source.poll(PollClass.NORMAL)


async def test_no_thread_stays(source):
    for wanted in PollClass:
        await source.poll(wanted)
    for thread in threading.enumerate():
        if thread.name == "system":
            await asyncio.to_thread(thread.join, 10)
            assert not thread.is_alive()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dell Inc.\n", "Dell Inc."),
        ("To be filled by O.E.M.\n", ""),
        ("Default string\n", ""),
        ("Raspberry Pi 4\0", "Raspberry Pi 4"),
    ],
)
def test_dmi_fields_that_nobody_filled_in(tmp_path, text, expected):
    (tmp_path / "field").write_text(text)
    assert system._dmi(str(tmp_path / "field")) == expected
    assert system._dmi(str(tmp_path / "absent")) == ""


async def test_a_poll_gives_what_json_can_say(source):
    for wanted in PollClass:
        json.dumps([sample.value for sample in await source.poll(wanted)], allow_nan=False)
