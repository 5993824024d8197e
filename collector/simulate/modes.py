"""What breaks, how often, and what it looks like from the terminal: the fault model. Rates are per terminal, branch, region and year; the order
of size is that of the trade (three to six calls an ATM and year, more for recyclers), not of one bank. Spans are in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from random import Random

from tillwatch.agent.model import State, Value
from tillwatch.collector.simulate.fleet import (
    ATM,
    CABINET,
    DISPENSER,
    POS,
    READER,
    RECEIPTS,
    ROOM,
    ROUTER,
    SERVER,
    SWITCH,
    UPS,
)

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
ALL = (ATM, POS, SERVER)


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time that varies: lognormal, half of them shorter than the median, none outside least and most."""

    least: float
    median: float
    most: float

    def draw(self, rng: Random) -> float:
        wide = log(self.most / self.median) / 2.5
        return min(max(self.median * exp(rng.gauss(0.0, wide)), self.least), self.most)


@dataclass(frozen=True, slots=True)
class Step:
    """after: s since the fault began; value: what the signal says from then on; state: its judgement where the catalogue has none."""

    after: float
    component: str
    signal: str
    value: Value
    state: State | None = None


@dataclass(frozen=True, slots=True)
class PartMode:
    """A part that fails. lasts: until it is well again by itself; None: until somebody has mended it. who: mends it, `field` by a visit, `desk` from
    afar, `branch` by hand. on, off: of a fault that comes and goes, for how long.
    """

    name: str
    kinds: tuple[str, ...]
    per_year: float
    steps: tuple[Step, ...]
    lasts: Span | None = None
    who: str = "field"
    on: Span | None = None
    off: Span | None = None


def _one(component: str, signal: str, value: Value, state: State | None = None) -> tuple[Step, ...]:
    return (Step(0, component, signal, value, state),)


_GLITCH = Span(15, 45, 120)
_SHORT = Span(10, 20, 40)
_RESTLESS = Span(2 * HOUR, 4 * HOUR, 9 * HOUR)

PART_MODES: tuple[PartMode, ...] = (
    # The cash way: nearly two thirds of an ATM's hard faults are of dispenser and card reader.
    PartMode("dispenser-fails", (ATM,), 1.1, (
        Step(0, DISPENSER, "atm.device", "hardwareError"),
        Step(40, f"{DISPENSER} dispenser", "atm.cash", "stop"),
    )),
    PartMode("shutter-jams", (ATM,), 0.8, _one(f"{DISPENSER} shutter", "atm.shutter", "jammedClosed"), who="branch"),
    PartMode("cassette-fails", (ATM,), 0.7, _one(f"{DISPENSER} unit:2", "atm.unit", "inoperable")),
    PartMode("cassette-low", (ATM,), 5.0, (
        Step(0, f"{DISPENSER} unit:1", "atm.unit.supply", "low"),
        Step(14 * HOUR, f"{DISPENSER} unit:1", "atm.unit.supply", "empty"),
    ), who="branch"),
    PartMode("card-jams", (ATM,), 0.8, _one(f"{READER} media", "atm.media", "jammed"), who="branch"),
    PartMode("reader-fails", (ATM,), 0.5, _one(READER, "atm.device", "hardwareError")),
    PartMode("receipts-out", (ATM,), 3.0, (
        Step(0, f"{RECEIPTS} paper:upper", "atm.paper", "low"),
        Step(9 * HOUR, f"{RECEIPTS} paper:upper", "atm.paper", "out"),
    ), who="branch"),
    PartMode("receipts-fail", (ATM,), 0.3, _one(RECEIPTS, "atm.device", "offline")),
    PartMode("pin-pad-fails", (ATM,), 0.1, _one("atm/PinPad", "atm.epp", "notReady")),
    PartMode("notes-jam", (ATM,), 0.8, _one("acceptor", "acceptor.state", "outOfService"), who="branch"),
    PartMode("cashbox-full", (ATM,), 2.0, _one("acceptor", "acceptor.cashbox", "full"), who="branch"),
    PartMode("cabinet-left-open", (ATM,), 0.3, _one(f"{CABINET} cabinetDoor", "env.door", "open"), who="branch"),
    PartMode("shaken", (ATM,), 0.05, _one(f"{CABINET} seismicSensor", "env.vibration", "alarm"), Span(70, 120, 600)),
    PartMode("left-in-supervisor", (ATM,), 0.4, _one(CABINET, "atm.mode", "supervisor"), who="branch"),
    PartMode("replenished", (ATM,), 12.0, _one(CABINET, "atm.mode", "supervisor"), Span(6 * MINUTE, 12 * MINUTE, 24 * MINUTE)),
    # Tills.
    PartMode("roll-ends", (POS,), 3.0, _one("printer", "printer.paper", "empty"), who="branch"),
    PartMode("printer-jams", (POS,), 0.6, _one("printer", "printer.error", "jammed"), who="branch"),
    PartMode("till-reader-jams", (POS,), 0.5, _one("cardreader", "cardreader.fault", "jam"), who="branch"),
    # Any computer.
    PartMode("disk-fills", ALL, 0.2, (
        Step(0, "host/disk:C", "host.disk.percent", 91.5),
        Step(5 * HOUR, "host/disk:C", "host.disk.percent", 94.0),
        Step(16 * HOUR, "host/disk:C", "host.disk.percent", 97.8),
    ), who="desk"),
    PartMode("memory-leaks", ALL, 0.15, _one("host", "host.memory.percent", 94.0), who="desk"),
    PartMode("hot", ALL, 0.15, _one("host/temperature:cpu", "host.temperature", 89.0), Span(HOUR, 4 * HOUR, 10 * HOUR)),
    PartMode("fan-stands", ALL, 0.06, _one("host/fan:cpu", "host.fan.speed", 0, State.CRIT)),
    PartMode("program-ends", ALL, 0.35, _one("host/program:application", "host.program.state", "missing"), who="desk"),
    PartMode("drive-wears", ALL, 0.05, _one("sda", "drive.wear", 91, State.WARN)),
    PartMode("drive-dies", ALL, 0.03, _one("sda", "drive.wear", 104, State.CRIT)),
    # What the server of a branch reads for it.
    PartMode("raid-degraded", (SERVER,), 0.15, _one("host/raid:md0", "raid.state", "degraded")),
    PartMode("ups-fails", (SERVER,), 0.12, _one(UPS, "ups.fault", "failed")),
    PartMode("ups-battery-worn", (SERVER,), 0.2, _one(UPS, "ups.battery.replace", "yes")),
    PartMode("switch-module", (SERVER,), 0.1, _one(SWITCH, "net.module.state", "degraded")),
    PartMode("spare-line-down", (SERVER,), 0.6, _one(f"{ROUTER}/wan:lte", "net.wan.state", "failed"), who="desk"),
    PartMode("ups-unreadable", (SERVER,), 0.2, _one(UPS, "monitor.source", "failed", State.UNKNOWN), who="desk"),
    PartMode("room-hot", (SERVER,), 0.2, _one(ROOM, "env.temperature", 34.5, State.WARN), Span(HOUR, 5 * HOUR, 12 * HOUR)),
    # What comes and goes: one fault each, however often it does.
    PartMode("reader-loose", (ATM,), 0.15, _one(READER, "atm.device", "offline"), on=Span(210, 240, 280),
             off=Span(330, 350, 400)),
    PartMode("roll-sensor-flaps", (POS,), 0.15, _one("printer", "printer.paper", "empty"), _RESTLESS,
             on=Span(150, 180, 240), off=Span(90, 120, 180)),
    PartMode("router-answers-badly", (SERVER,), 0.1, _one(ROUTER, "monitor.source", "failed", State.UNKNOWN), _RESTLESS,
             on=Span(100, 140, 200), off=Span(100, 140, 200)),
    # What is over before it is a fault: nobody may be told.
    PartMode("glitch-dispenser", (ATM,), 6.0, _one(DISPENSER, "atm.device", "offline"), _GLITCH),
    PartMode("glitch-reader", (ATM,), 4.0, _one(f"{READER} media", "atm.media", "jammed"), _SHORT),
    PartMode("glitch-paper", (POS,), 4.0, _one("printer", "printer.error", "doorOpen"), Span(15, 40, 90)),
    PartMode("glitch-mains", (SERVER,), 6.0, _one(UPS, "ups.output.source", "battery"), Span(2, 5, 14)),
    PartMode("glitch-hot", ALL, 1.0, _one("host/temperature:cpu", "host.temperature", 87.0), Span(30, 120, 240)),
)  # fmt: skip


WORKS: tuple[PartMode, ...] = (
    PartMode("works-dispenser", (ATM,), 0, _one(DISPENSER, "atm.device", "offline"), Span(10 * MINUTE, 20 * MINUTE, 40 * MINUTE)),
    PartMode("works-door", (ATM,), 0, _one(f"{CABINET} cabinetDoor", "env.door", "open"), Span(16 * MINUTE, 25 * MINUTE, 40 * MINUTE)),
    PartMode("works-mode", (ATM,), 0, _one(CABINET, "atm.mode", "supervisor"), Span(10 * MINUTE, 30 * MINUTE, 40 * MINUTE)),
)  # fmt: skip
"""What a planned visit looks like from the terminal."""
LEFT = PartMode("left-after-works", (ATM,), 0, _one(READER, "atm.device", "offline"))
LEFT_SHARE = 0.03
"""Of the ATMs that were worked on: something is broken when the people leave."""


@dataclass(frozen=True, slots=True)
class OutMode:
    """A terminal, a branch or more is out of reach. what: `power`, `network`, `crash` (the machine stands and is started anew), `agent` (stopped
    in order), `killed` (the agent ended without a word), `mains` (a branch on its UPS), `centre` (the collector's own line), `collector`
    (it stood still). lasts: None until it is mended. of: terminal, branch, region or centre.
    """

    name: str
    of: str
    what: str
    per_year: float
    lasts: Span | None
    who: str = "field"
    kinds: tuple[str, ...] = ALL


OUT_MODES: tuple[OutMode, ...] = (
    OutMode("crashes", "terminal", "crash", 0.5, Span(6 * MINUTE, 12 * MINUTE, 45 * MINUTE)),
    OutMode("hangs", "terminal", "crash", 0.4, None, "branch"),
    OutMode("cable-out", "terminal", "network", 0.3, None, kinds=(ATM, POS)),
    OutMode("supply-dies", "terminal", "power", 0.2, None),
    OutMode("agent-stopped", "terminal", "agent", 0.25, None, "desk"),
    OutMode("agent-killed", "terminal", "killed", 0.2, None, "desk"),
    OutMode("reboots", "terminal", "crash", 2.0, Span(5, 10, 20)),
    OutMode("mains-cut", "branch", "mains", 2.5, Span(3 * MINUTE, 25 * MINUTE, 5 * HOUR)),
    OutMode("line-cut", "branch", "network", 2.0, Span(8 * MINUTE, 70 * MINUTE, 10 * HOUR)),
    OutMode("switch-dies", "branch", "network", 0.25, None),
    OutMode("line-blinks", "branch", "network", 6.0, Span(4, 10, 25)),
    OutMode("region-cut", "region", "network", 1.5, Span(12 * MINUTE, 50 * MINUTE, 4 * HOUR)),
    OutMode("centre-cut", "centre", "centre", 1.0, Span(15 * MINUTE, 35 * MINUTE, 90 * MINUTE)),
    OutMode("collector-away", "centre", "collector", 5.0, Span(5 * MINUTE, 25 * MINUTE, 3 * HOUR)),
)

LEMON = (0.3, 1.0, 3.0)
"""How much worse than the average a terminal may be: a few machines make most of the calls."""
BATTERY_S = Span(35 * MINUTE, 60 * MINUTE, 100 * MINUTE)
"""How long the UPS of a branch carries it."""
RECHARGE_S = 5 * HOUR
AGAIN = 0.04
"""Share of mended faults that come back soon: the wrong part, a loose plug."""
AGAIN_AFTER = Span(40 * MINUTE, 100 * MINUTE, 200 * MINUTE)
