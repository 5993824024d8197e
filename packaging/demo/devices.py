"""The simulated devices of the demo's bank: a UPS, a host and a printer over SNMP, and a UPS on a serial line. Each starts and stops
to answer, drifts as a real one, and has the faults that the demo's script switches.

    now = clock(60.0)                                 # a simulated minute is a second
    ups = SnmpUps(now, "branch-a/ups")
    await ups.start()                                 # ups.port, community "public"
    ups.model.mains_fail(); ...; ups.model.mains_return()
    host.fill_disk(5.0); host.free_disk()             # percent of the file system in a simulated minute
    printer.paper_out(); printer.paper_loaded()
    ups.stop(); await ups.start()                     # silent; answering again on the same port
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from drift import Drift, Now, clock
from megatec_ups import MegatecUps
from snmp_responder import SnmpResponder, Value, counter, counter64, gauge, integer, object_id, text, ticks
from ups_model import LOW_CHARGE, UpsModel

__all__ = ["Host", "MegatecUps", "Printer", "SnmpDevice", "SnmpUps", "clock"]

M2 = "1.3.6.1.2.1"
GIB = 2**30


def rounded(value: Callable[[], float], scale: float = 1.0) -> Callable[[], int]:
    return lambda: round(value() * scale)


class SnmpDevice:
    """A device that answers SNMP v1 and v2c on loopback. port 0: one that is free; known after `start`."""

    def __init__(self, now: Now, tree: dict[str, Value], *, port: int = 0, community: str = "public") -> None:
        self.now = now
        self.community = community
        self._responder = SnmpResponder(port, community, tree)

    @property
    def port(self) -> int:
        return self._responder.port

    async def start(self) -> None:
        await self._responder.start()

    def stop(self) -> None:
        self._responder.stop()

    close = stop


def system_group(seed: str, description: str, object_: str, name: str, location: str) -> dict[str, Value]:
    """SNMPv2-MIB. It has been up for some days of its own at the start."""
    before = random.Random(f"{seed}/uptime").uniform(3, 90) * 86_400
    start = time.monotonic()
    return {
        f"{M2}.1.1.0": text(description),
        f"{M2}.1.2.0": object_id(object_),
        f"{M2}.1.3.0": ticks(lambda: int((before + time.monotonic() - start) * 100)),
        f"{M2}.1.4.0": text("branch support"),
        f"{M2}.1.5.0": text(name),
        f"{M2}.1.6.0": text(location),
        f"{M2}.1.7.0": integer(72),
    }


class SnmpUps(SnmpDevice):
    """RFC 1628, as a network card in a UPS answers it. model: what goes on inside; its mains_fail and mains_return are the faults."""

    ALARMS = (2, 3, 4, 14)
    """upsAlarmOnBattery, LowBattery, DepletedBattery, UpsOutputOff: the rows that this device can have."""

    def __init__(
        self,
        now: Now,
        seed: str,
        *,
        name: str = "ups",
        location: str = "",
        runtime_min: float = 30.0,
        recharge_min: float = 60.0,
        **net: Any,
    ) -> None:
        self.model = ups = UpsModel(now, seed, runtime_min, recharge_min)
        base = f"{M2}.33.1"
        tree = system_group(seed, "UPS network card, RFC 1628", "1.3.6.1.2.1.33", name, location)
        tree |= {
            f"{base}.1.1.0": text("Example Power"),
            f"{base}.1.2.0": text("EP-1000"),
            f"{base}.1.3.0": text("2.14"),
            f"{base}.1.4.0": text("1.3.0"),
            f"{base}.1.5.0": text(name),
            f"{base}.2.1.0": integer(lambda: 4 if ups.dead else 3 if ups.low else 2),
            f"{base}.2.2.0": integer(lambda: ups.seconds_on_battery),
            f"{base}.2.3.0": integer(lambda: ups.minutes_remaining),
            f"{base}.2.4.0": integer(lambda: round(ups.charge)),
            f"{base}.2.5.0": integer(lambda: round(ups.battery_voltage * 10)),
            f"{base}.2.6.0": integer(lambda: round(ups.battery_current * 10)),
            f"{base}.2.7.0": integer(lambda: round(ups.temperature)),
            f"{base}.3.1.0": counter(lambda: ups.line_bads),
            f"{base}.3.2.0": integer(1),
            f"{base}.3.3.1.2.1": integer(lambda: round(ups.input_frequency * 10)),
            f"{base}.3.3.1.3.1": integer(lambda: round(ups.input_voltage)),
            f"{base}.3.3.1.4.1": integer(lambda: round(ups.load / 100 * 7000 / 230) if ups.mains else 0),
            f"{base}.3.3.1.5.1": integer(lambda: round(ups.load * 7) if ups.mains else 0),
            f"{base}.4.1.0": integer(lambda: 2 if ups.dead else 3 if ups.mains else 5),
            f"{base}.4.2.0": integer(lambda: round(ups.output_frequency * 10)),
            f"{base}.4.3.0": integer(1),
            f"{base}.4.4.1.2.1": integer(lambda: round(ups.output_voltage)),
            f"{base}.4.4.1.3.1": integer(lambda: round(ups.load / 100 * 7000 / 230)),
            f"{base}.4.4.1.4.1": integer(lambda: round(ups.load * 7)),
            f"{base}.4.4.1.5.1": integer(lambda: round(ups.load)),
            f"{base}.6.1.0": gauge(lambda: len(self._alarms())),
            f"{base}.7.1.0": object_id(f"{base}.7.7.1"),
            f"{base}.7.3.0": integer(6),
            f"{base}.7.4.0": text(""),
            f"{base}.9.1.0": integer(230),
            f"{base}.9.2.0": integer(500),
            f"{base}.9.3.0": integer(230),
            f"{base}.9.4.0": integer(500),
            f"{base}.9.5.0": integer(1000),
            f"{base}.9.6.0": integer(700),
            f"{base}.9.7.0": integer(lambda: round(runtime_min * LOW_CHARGE / 100)),
            f"{base}.9.8.0": integer(2),
            f"{base}.9.9.0": integer(180),
            f"{base}.9.10.0": integer(265),
        }
        for alarm in self.ALARMS:
            tree[f"{base}.6.2.1.2.{alarm}"] = object_id(partial(self._alarm, alarm, f"{base}.6.3.{alarm}"))
            tree[f"{base}.6.2.1.3.{alarm}"] = ticks(partial(self._alarm_since, alarm))
        super().__init__(now, tree, **net)

    def _alarms(self) -> list[int]:
        ups = self.model
        present = (not ups.mains, ups.low and not ups.dead, ups.dead, ups.dead)
        return [alarm for alarm, there in zip(self.ALARMS, present, strict=True) if there]

    def _alarm(self, alarm: int, name: str) -> str | None:
        return name if alarm in self._alarms() else None

    def _alarm_since(self, alarm: int) -> int | None:
        return self.model.seconds_on_battery * 100 if alarm in self._alarms() else None


class Host(SnmpDevice):
    """A branch server over HOST-RESOURCES-MIB and IF-MIB: two processors, memory, swap, `/` and `/var`, one interface and loopback."""

    UNIT = 4096
    SIZE = {"/": 64 * GIB, "/var": 200 * GIB}  # noqa: RUF012 - a constant of the device

    def __init__(self, now: Now, seed: str, *, name: str = "server", location: str = "", **net: Any) -> None:
        self._used = {"/": 0.38, "/var": 0.61}
        self._filling = 0.0
        self._filled_at = now()
        cpus = [Drift(now, f"{seed}/cpu{i}", 17, 12, 180) for i in (1, 2)]
        memory = Drift(now, f"{seed}/memory", 0.52, 0.05)
        processes = Drift(now, f"{seed}/processes", 210, 8)
        tree = system_group(seed, "Linux branch-server 6.1.0 #1 SMP x86_64", "1.3.6.1.4.1.8072.3.2.10", name, location)
        host, uptime = f"{M2}.25", tree[f"{M2}.1.3.0"]
        tree |= {
            f"{host}.1.1.0": uptime,
            f"{host}.1.5.0": gauge(2),
            f"{host}.1.6.0": gauge(rounded(processes)),
            f"{host}.2.2.0": integer(16 * GIB // 1024),
        }
        storage: dict[int, tuple[str, str, int, Callable[[], float]]] = {
            1: ("2", "Physical memory", 16 * GIB, memory),
            3: ("3", "Virtual memory", 20 * GIB, lambda: 0.42 * memory() / 0.52),
            10: ("3", "Swap space", 4 * GIB, lambda: 0.02),
            31: ("4", "/", self.SIZE["/"], lambda: self.used("/")),
            32: ("4", "/var", self.SIZE["/var"], lambda: self.used("/var")),
        }
        for index, (sort, label, size, used) in storage.items():
            unit = self.UNIT if sort == "4" else 1024
            tree |= {
                f"{host}.2.3.1.1.{index}": integer(index),
                f"{host}.2.3.1.2.{index}": object_id(f"{host}.2.1.{sort}"),
                f"{host}.2.3.1.3.{index}": text(label),
                f"{host}.2.3.1.4.{index}": integer(unit),
                f"{host}.2.3.1.5.{index}": integer(size // unit),
                f"{host}.2.3.1.6.{index}": integer(rounded(used, size / unit)),
                f"{host}.2.3.1.7.{index}": counter(0),
            }
        for i, cpu in enumerate(cpus, 1):
            tree |= {
                f"{host}.3.2.1.1.{i}": integer(i),
                f"{host}.3.2.1.2.{i}": object_id(f"{host}.3.1.3"),
                f"{host}.3.2.1.3.{i}": text(f"CPU {i}"),
                f"{host}.3.2.1.5.{i}": integer(2),
                f"{host}.3.3.1.2.{i}": integer(rounded(cpu)),
            }
        tree |= {
            f"{host}.3.2.1.1.20": integer(20),
            f"{host}.3.2.1.2.20": object_id(f"{host}.3.1.6"),
            f"{host}.3.2.1.3.20": text("SCSI disk (/dev/sda)"),
            f"{host}.3.2.1.5.20": integer(2),
            f"{host}.3.2.1.6.20": counter(0),
        }
        tree |= interfaces(now, seed)
        super().__init__(now, tree, **net)

    def fill_disk(self, percent_per_minute: float) -> None:
        """Something writes to /var and does not stop. The rate is in simulated minutes."""
        self.used("/var")
        self._filling = percent_per_minute / 100 / 60

    def free_disk(self) -> None:
        """Somebody deleted what was too much."""
        self._filling = 0.0
        self._used["/var"] = 0.61

    def used(self, mount: str) -> float:
        """The part in use, 0 to 1."""
        at = self.now()
        seconds, self._filled_at = at - self._filled_at, at
        self._used["/var"] = min(1.0, self._used["/var"] + self._filling * seconds)
        return self._used[mount]


def interfaces(now: Now, seed: str) -> dict[str, Value]:
    """IF-MIB of a loopback and one gigabit interface that is up."""
    chance = random.Random(f"{seed}/net")
    tree: dict[str, Value] = {f"{M2}.2.1.0": integer(2)}
    for index, (name, sort, rate) in enumerate((("lo", 24, 900.0), ("eth0", 6, 42_000.0)), 1):
        start, rate_in, rate_out = (
            chance.randrange(10**9),
            rate * chance.uniform(0.8, 1.2),
            rate * chance.uniform(0.3, 0.6),
        )

        def received(start: int = start, rate: float = rate_in) -> int:
            return start + int(rate * now())

        def sent(start: int = start, rate: float = rate_out) -> int:
            return start // 2 + int(rate * now())

        table, extended = f"{M2}.2.2.1", f"{M2}.31.1.1.1"
        tree |= {
            f"{table}.1.{index}": integer(index),
            f"{table}.2.{index}": text(name),
            f"{table}.3.{index}": integer(sort),
            f"{table}.4.{index}": integer(1500),
            f"{table}.5.{index}": gauge(1_000_000_000),
            f"{table}.7.{index}": integer(1),
            f"{table}.8.{index}": integer(1),
            f"{table}.10.{index}": counter(received),
            f"{table}.13.{index}": counter(0),
            f"{table}.14.{index}": counter(0),
            f"{table}.16.{index}": counter(sent),
            f"{table}.19.{index}": counter(0),
            f"{table}.20.{index}": counter(0),
            f"{extended}.1.{index}": text(name),
            f"{extended}.6.{index}": counter64(received),
            f"{extended}.10.{index}": counter64(sent),
            f"{extended}.15.{index}": gauge(1000),
            f"{extended}.18.{index}": text("branch LAN" if name == "eth0" else ""),
        }
    return tree


class Printer(SnmpDevice):
    """A monochrome office printer over Printer-MIB and HOST-RESOURCES-MIB with one tray of 500 sheets; prints some pages a minute."""

    SHEETS = 500
    NO_PAPER = bytes((0b0100_0000, 0b0000_0100))
    """hrPrinterDetectedErrorState: bit 1 noPaper, bit 13 inputTrayEmpty; bit 0 is the highest of the first octet."""

    def __init__(self, now: Now, seed: str, *, name: str = "printer", location: str = "", **net: Any) -> None:
        chance = random.Random(f"{seed}/printer")
        self._pages = chance.randrange(20_000, 90_000)
        self._session = chance.randrange(100, 2_000)
        self._sheets = 420.0
        self._toner = chance.uniform(45, 80)
        self._rate = chance.uniform(0.3, 1.2)
        self._printed = 0.0
        self._at = now()
        self._empty = False
        tree = system_group(seed, "Example LaserPrinter 4020", "1.3.6.1.4.1.32473.1.1", name, location)
        host, printer = f"{M2}.25", f"{M2}.43"
        tree |= {
            f"{host}.3.2.1.1.1": integer(1),
            f"{host}.3.2.1.2.1": object_id(f"{host}.3.1.5"),
            f"{host}.3.2.1.3.1": text("Example LaserPrinter 4020"),
            f"{host}.3.2.1.5.1": integer(lambda: 5 if self._empty else 2),
            f"{host}.3.2.1.6.1": counter(0),
            f"{host}.3.5.1.1.1": integer(lambda: 1 if self._empty else 3),
            f"{host}.3.5.1.2.1": text(lambda: self.NO_PAPER if self._empty else b"\0\0"),
            f"{printer}.5.1.1.16.1": text(name),
            f"{printer}.5.1.1.17.1": text(f"EX{chance.randrange(10**8):08}"),
            f"{printer}.6.1.1.2.1.1": text("Front cover"),
            f"{printer}.6.1.1.3.1.1": integer(4),
            f"{printer}.8.2.1.2.1.1": integer(3),
            f"{printer}.8.2.1.8.1.1": integer(8),
            f"{printer}.8.2.1.9.1.1": integer(self.SHEETS),
            f"{printer}.8.2.1.10.1.1": integer(self._sheets_left),
            f"{printer}.8.2.1.11.1.1": integer(lambda: 9 if self._empty else 0),
            f"{printer}.8.2.1.13.1.1": text("Tray 1"),
            f"{printer}.8.2.1.18.1.1": text("Tray 1"),
            f"{printer}.9.2.1.6.1.1": integer(0),
            f"{printer}.10.2.1.3.1.1": integer(7),
            f"{printer}.10.2.1.4.1.1": counter(lambda: self._pages + self._printed_pages()),
            f"{printer}.10.2.1.5.1.1": counter(lambda: self._session + self._printed_pages()),
            f"{printer}.10.2.1.15.1.1": integer(lambda: 17 if self._empty else 0),
            f"{printer}.11.1.1.4.1.1": integer(3),
            f"{printer}.11.1.1.5.1.1": integer(3),
            f"{printer}.11.1.1.6.1.1": text("Black Toner Cartridge"),
            f"{printer}.11.1.1.7.1.1": integer(19),
            f"{printer}.11.1.1.8.1.1": integer(100),
            f"{printer}.11.1.1.9.1.1": integer(lambda: max(0, round(self._toner - self._printed_pages() / 60))),
            f"{printer}.16.5.1.2.1.1": text(lambda: "LOAD TRAY 1: A4" if self._empty else "Ready"),
            # A row that is always there, as many makers do; the second comes and goes.
            f"{printer}.18.1.1.2.1.1": integer(1),
            f"{printer}.18.1.1.3.1.1": integer(7),
            f"{printer}.18.1.1.4.1.1": integer(5),
            f"{printer}.18.1.1.5.1.1": integer(1),
            f"{printer}.18.1.1.7.1.1": integer(1),
            f"{printer}.18.1.1.8.1.1": text("Power save allowed"),
            f"{printer}.18.1.1.2.1.2": integer(lambda: self._alert(3)),
            f"{printer}.18.1.1.3.1.2": integer(lambda: self._alert(3)),
            f"{printer}.18.1.1.4.1.2": integer(lambda: self._alert(8)),
            f"{printer}.18.1.1.5.1.2": integer(lambda: self._alert(1)),
            f"{printer}.18.1.1.7.1.2": integer(lambda: self._alert(808)),
            f"{printer}.18.1.1.8.1.2": text(lambda: "Tray 1 empty" if self._empty else None),
        }
        super().__init__(now, tree, **net)

    def paper_out(self) -> None:
        """The tray is empty and somebody wants to print."""
        self._print()
        self._empty, self._sheets = True, 0.0

    def paper_loaded(self) -> None:
        self._print()
        self._empty, self._sheets = False, float(self.SHEETS)

    def _print(self) -> None:
        at = self.now()
        minutes, self._at = (at - self._at) / 60, at
        if not self._empty:
            self._printed += minutes * self._rate
            self._sheets -= minutes * self._rate
            if self._sheets < 20:  # somebody refills in time, unless the script says otherwise
                self._sheets = float(self.SHEETS)

    def _printed_pages(self) -> int:
        self._print()
        return int(self._printed)

    def _sheets_left(self) -> int:
        self._print()
        return int(self._sheets)

    def _alert(self, value: int) -> int | None:
        return value if self._empty else None
