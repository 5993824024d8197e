"""Reads the machine that the agent runs on: processor, memory, file systems, drives, network, sensors, battery, identity. What a
platform has not is absent; what fails is logged when it starts to fail and when it recovers, and takes nothing else with it.
It never wakes a drive, and a file system or sensor that hangs costs one poll, not the agent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil

from tillwatch.agent.model import PollClass, Quality, Sample, State, Value
from tillwatch.agent.sources import SourceError, edac, hwmon, mdraid, mmc, power_supply
from tillwatch.agent.wire import MAX_NAME

log = logging.getLogger(__name__)

POLL_BOUND_S = 10.0
"""Reading file systems and sensors takes milliseconds; a dying drive or a stuck sensor bus may never answer."""

MAX_PARTS = 64
"""Components of one sort, such as interfaces. A terminal has a handful; a host of containers must not fill its batches with them."""

MIN_CPU_SPAN_S = 0.2
"""The shortest time over which processor use says something: 20 ticks of a processor's clock."""

DISK_WARN, DISK_CRIT = 90.0, 97.0
"""Percent in use: the same limits as for a host that is read over SNMP (host-resources.yaml)."""

IMAGES = {"squashfs", "iso9660", "udf", "erofs", "cramfs", "romfs"}
"""File systems that are full by nature."""

NO_DRIVE = ("loop", "ram", "zram", "sr", "fd", "dm-", "nbd")
"""Block devices of Linux that are memory, removable, or counted by the drives below them."""

NO_INTERFACE = (
    "lo",
    "veth",
    "docker",
    "br-",
    "virbr",
    "vnet",
    "ifb",
    "dummy",
    "cni",
    "cali",
    "flannel",
    "lxc",
    "podman",
    "Loopback ",
)
"""Beginnings of the names of loopback and of what container and virtual-machine software makes."""

UNFILLED = {
    "",
    "none",
    "default string",
    "not specified",
    "not applicable",
    "system manufacturer",
    "system product name",
    "0123456789",
}
"""What makers leave in DMI fields, in lower case; besides `To be filled by O.E.M.`."""

DMI = {
    "identity.maker": ("/sys/class/dmi/id/sys_vendor",),
    "identity.model": ("/sys/class/dmi/id/product_name", "/proc/device-tree/model"),
    "identity.serial": ("/sys/class/dmi/id/product_serial", "/proc/device-tree/serial-number"),
}
"""The serial number is readable for root only, unless the service unit gives the agent leave."""


class SystemSource:
    """The machine itself. name: the device's name in component names: `host`, `host/disk:/`, `host/net:eth0`, `host/temperature:coretemp Core 0`.
    root: where /sys and /proc of the sensors are (not those of psutil).
    """

    classes = frozenset(PollClass)

    def __init__(self, name: str = "host", root: Path = Path("/")) -> None:
        self.name = name
        self._root = root
        self._linux = (self._temperatures, self._fans, self._electrical, self._supplies, self._ecc, self._arrays)
        self._failing: dict[str, str] = {}
        self._busy = False
        self._reading = ""
        psutil.cpu_percent()  # the first answer is the use since this call
        self._cpu_since = time.monotonic()

    async def poll(self, wanted: PollClass) -> list[Sample]:
        """All samples of one class. SourceError: nothing could be read, or the last reading has not come back yet."""
        if wanted is PollClass.FAST:
            # /proc and its like: never blocks, so it needs no thread; psutil keeps the last processor times by thread.
            await asyncio.sleep(max(0.0, self._cpu_since + MIN_CPU_SPAN_S - time.monotonic()))
            return self._collect((self._cpu, self._load, self._memory, self._swap, self._life, self._links))
        if wanted is PollClass.SLOW:
            return await self._bounded((self._identity, self._sizes, self._flash))
        own = self._linux if sys.platform == "linux" else (self._battery,)
        return await self._bounded((self._disks, self._drives, self._traffic, self._users, *own))

    async def close(self) -> None:
        """Nothing is held open; a reading that hangs ends with the process."""

    async def _bounded(self, groups: Iterable[Callable[[], Iterable[Sample]]]) -> list[Sample]:
        """Collects in a thread that lives as long as this takes, because a hanging read cannot be interrupted."""
        if self._busy:
            raise SourceError(f"reading {self._reading} still has not come back; look at the kernel log for that part")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[list[Sample]] = loop.create_future()

        def settle(samples: list[Sample] | None, error: Exception | None) -> None:
            self._busy = False
            if done.done():  # too late: nobody waits any more
                return
            if error:
                done.set_exception(error)
            else:
                done.set_result(samples or [])

        def noting() -> Iterator[Callable[[], Iterable[Sample]]]:
            for group in groups:
                self._reading = group.__name__.lstrip("_")
                yield group

        def work() -> None:
            samples, failed = None, None
            try:
                samples = self._collect(noting())
            except Exception as error:
                failed = error
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(settle, samples, failed)

        self._busy = True
        threading.Thread(target=work, name="system", daemon=True).start()
        try:
            async with asyncio.timeout(POLL_BOUND_S):
                return await done
        except TimeoutError:
            raise SourceError(f"reading {self._reading} did not come back within {POLL_BOUND_S:g} s") from None

    def _collect(self, groups: Iterable[Callable[[], Iterable[Sample]]]) -> list[Sample]:
        samples: list[Sample] = []
        worked = False
        for group in groups:
            what = group.__name__.lstrip("_")
            try:
                found = list(group())
            except Exception as error:
                self._failed(what, f"{type(error).__name__}: {error}")
            else:
                worked = True
                parts = list(dict.fromkeys(sample.component for sample in found))
                omitted = max(0, len(parts) - MAX_PARTS)
                if omitted:
                    kept = set(parts[:MAX_PARTS])
                    found = [sample for sample in found if sample.component in kept]
                    self._failed(f"all {what}", f"{len(parts)} parts, of which {MAX_PARTS} are read")
                self._recovered(what)
                if omitted or self._recovered(f"all {what}"):
                    samples.append(self._sample(what, "monitor.omitted", omitted))
                samples += found
        if not worked:
            raise SourceError("; ".join(f"{what}: {why}" for what, why in self._failing.items()))
        return samples

    def _failed(self, what: str, why: str) -> None:
        if what not in self._failing:
            log.warning("%s: %s: %s", self.name, what, why)
        self._failing[what] = why

    def _recovered(self, what: str) -> bool:
        if failed := what in self._failing:
            log.info("%s: %s can be read again", self.name, what)
            del self._failing[what]
        return failed

    def _sample(self, part: str, signal: str, value: Value, unit: str = "", state: State = State.NONE) -> Sample:
        component = f"{self.name}/{part}" if part else self.name
        return Sample(component, signal, value, state, label=part.partition(":")[2], unit=unit)

    def _cpu(self) -> Iterator[Sample]:
        self._cpu_since = time.monotonic()
        yield self._sample("", "host.cpu.percent", round(psutil.cpu_percent(), 1), "%")

    def _load(self) -> Iterator[Sample]:
        # Windows has none; psutil imitates it there with a thread of its own.
        for span, value in zip(
            ("1m", "5m", "15m"), () if sys.platform == "win32" else psutil.getloadavg(), strict=False
        ):
            yield self._sample("", f"host.cpu.load.{span}", round(value, 2))

    def _memory(self) -> Iterator[Sample]:
        memory = psutil.virtual_memory()
        yield self._sample("", "host.memory.used", memory.used, "B")
        yield self._sample("", "host.memory.available", memory.available, "B")
        yield self._sample("", "host.memory.percent", round(memory.percent, 1), "%")

    def _swap(self) -> Iterator[Sample]:
        swap = psutil.swap_memory()
        if swap.total:
            yield self._sample("", "host.swap.used", swap.used, "B")
            yield self._sample("", "host.swap.percent", round(swap.percent, 1), "%")

    def _life(self) -> Iterator[Sample]:
        yield self._sample("", "host.uptime", max(0, int(time.time() - psutil.boot_time())), "s")
        yield self._sample("", "host.processes", len(psutil.pids()))

    def _sizes(self) -> Iterator[Sample]:
        yield self._sample("", "host.cpu.count", psutil.cpu_count() or 1)
        yield self._sample("", "host.memory.total", psutil.virtual_memory().total, "B")
        if swap := psutil.swap_memory().total:
            yield self._sample("", "host.swap.total", swap, "B")

    def _users(self) -> Iterator[Sample]:
        yield self._sample("", "host.users", len(psutil.users()))

    def _disks(self) -> Iterator[Sample]:
        seen = set()
        mounts = [(part.mountpoint, part) for part in psutil.disk_partitions() if part.fstype not in IMAGES]
        if sys.platform == "win32":
            mounts = [(path, part) for path, part in mounts if "fixed" in part.opts]
        for path, part in sorted(mounts, key=lambda mount: (len(mount[0]), mount[0])):
            if part.device not in seen:  # bind mounts show one file system many times
                seen.add(part.device)
                yield from self._disk(path)
        if sys.platform != "win32" and "/" not in dict(mounts):  # a container's overlay
            yield from self._disk("/")

    def _disk(self, path: str) -> Iterator[Sample]:
        what = self._reading = f"file system {path}"
        part = f"disk:{path.rstrip(os.sep) or path}"
        try:
            usage = psutil.disk_usage(path)
        except OSError as error:
            self._failed(what, str(error))
            if not isinstance(error, PermissionError):  # a mount that is not ours to see is not ill
                yield replace(self._sample(part, "host.disk.percent", None, "%", State.UNKNOWN), quality=Quality.ERROR)
            return
        self._recovered(what)
        yield self._sample(part, "host.disk.total", usage.total, "B")
        yield self._sample(part, "host.disk.free", usage.free, "B")
        state = State.CRIT if usage.percent > DISK_CRIT else State.WARN if usage.percent > DISK_WARN else State.OK
        yield self._sample(part, "host.disk.percent", round(usage.percent, 1), "%", state)
        if sys.platform != "win32":
            inodes = os.statvfs(path)
            if inodes.f_files:  # btrfs and FAT have none to run out of
                used = 100 * (inodes.f_files - inodes.f_ffree) / inodes.f_files
                yield self._sample(part, "host.disk.inodes.percent", round(used, 1), "%")

    def _drives(self) -> Iterator[Sample]:
        # The kernel's own counters: no drive is asked. None on a machine without drives.
        for drive, io in sorted((psutil.disk_io_counters(perdisk=True, nowrap=False) or {}).items()):
            if sys.platform == "linux" and (drive.startswith(NO_DRIVE) or not os.path.isdir(f"/sys/block/{drive}")):  # noqa: PTH112 - a partition
                continue
            part = f"drive:{drive}"
            yield self._sample(part, "host.disk.io.read.bytes", io.read_bytes, "B")
            yield self._sample(part, "host.disk.io.write.bytes", io.write_bytes, "B")
            yield self._sample(part, "host.disk.io.read.count", io.read_count)
            yield self._sample(part, "host.disk.io.write.count", io.write_count)
            if (busy := getattr(io, "busy_time", None)) is not None:  # Linux and BSD
                yield self._sample(part, "host.disk.io.busy", busy, "ms")

    def _links(self) -> Iterator[Sample]:
        counters = psutil.net_io_counters(pernic=True, nowrap=False)
        for nic, link in sorted(psutil.net_if_stats().items()):
            if nic.startswith(NO_INTERFACE):
                continue
            flags = getattr(link, "flags", "")
            if link.isup:
                oper, state = "up", State.OK
            elif flags and "up" not in flags.split(","):
                oper, state = "adminDown", State.OK
            elif nic in counters and not counters[nic].bytes_recv:
                oper, state = "unused", State.OK
            else:
                oper, state = "down", State.WARN
            yield self._sample(f"net:{nic}", "net.oper", oper, state=state)
            if link.isup and link.speed:
                yield self._sample(f"net:{nic}", "net.speed", link.speed * 1_000_000, "bit/s")

    def _traffic(self) -> Iterator[Sample]:
        for nic, io in sorted(psutil.net_io_counters(pernic=True, nowrap=False).items()):
            if nic.startswith(NO_INTERFACE):
                continue
            part = f"net:{nic}"
            yield self._sample(part, "net.rx.bytes", io.bytes_recv, "B")
            yield self._sample(part, "net.tx.bytes", io.bytes_sent, "B")
            yield self._sample(part, "net.rx.packets", io.packets_recv)
            yield self._sample(part, "net.tx.packets", io.packets_sent)
            yield self._sample(part, "net.rx.errors", io.errin)
            yield self._sample(part, "net.tx.errors", io.errout)
            yield self._sample(part, "net.rx.drops", io.dropin)
            yield self._sample(part, "net.tx.drops", io.dropout)

    # The kernel's own files say more than psutil, which also has no such sensors on other systems than Linux and FreeBSD.
    def _temperatures(self) -> Iterator[Sample]:
        return self._own(hwmon.read(self._root, "temp"))

    def _fans(self) -> Iterator[Sample]:
        return self._own(hwmon.read(self._root, "fan"))

    def _electrical(self) -> Iterator[Sample]:
        return self._own(hwmon.read(self._root, "in", "curr", "power"))

    def _ecc(self) -> Iterator[Sample]:
        return self._own(edac.read(self._root))

    def _arrays(self) -> Iterator[Sample]:
        return self._own(mdraid.read(self._root))

    def _flash(self) -> Iterator[Sample]:
        return self._own(mmc.read(self._root))

    def _own(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """Samples of a part of the machine, which has no name for itself."""
        for sample in samples:
            yield replace(sample, component=f"{self.name}/{sample.component}"[:MAX_NAME])

    def _supplies(self) -> Iterator[Sample]:
        return self._own(power_supply.read(self._root))

    def _battery(self) -> Iterator[Sample]:
        battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
        if battery is None:
            return
        yield self._sample("battery", "host.battery.charge", round(battery.percent, 1), "%")
        if battery.secsleft >= 0:  # POWER_TIME_UNKNOWN and POWER_TIME_UNLIMITED are negative
            yield self._sample("battery", "host.battery.runtime", battery.secsleft // 60, "min")
        if battery.power_plugged is not None:
            plugged = ("plugged", State.OK) if battery.power_plugged else ("unplugged", State.WARN)
            yield self._sample("battery", "host.battery.plugged", plugged[0], state=plugged[1])

    def _identity(self) -> Iterator[Sample]:
        import platform  # noqa: PLC0415 - needed once a day

        yield self._sample("", "identity.name", platform.node())
        system = f"{platform.system()} {platform.release()}"
        with contextlib.suppress(OSError, AttributeError):
            system = platform.freedesktop_os_release()["PRETTY_NAME"]
        yield self._sample("", "identity.firmware", system)
        yield self._sample("", "identity.description", f"{platform.system()} {platform.release()} {platform.machine()}")
        for signal, paths in DMI.items():
            if text := next(filter(None, map(_dmi, paths)), ""):
                yield self._sample("", signal, text)


def _dmi(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(256).strip("\0 \n")
    except OSError:
        return ""
    return "" if text.lower() in UNFILLED or text.lower().startswith("to be filled") else text
