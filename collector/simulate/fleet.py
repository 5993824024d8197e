"""The bank that is simulated: regions, branches and their terminals, and what each class of terminal is made of. Names of components and
signals are those that the agent's sources give, so that the rules that are shipped judge them. The same seed makes the same bank.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sin
from random import Random

from tillwatch.agent.model import Value

ATM, POS, SERVER = "atm", "pos", "server"
BRANCH_SIZE = 10
"""Terminals of a branch in a bank of many; a small bank has branches of SMALL_BRANCH, or it would have one or two."""
SMALL_BRANCH = 5
SMALL_BANK = 100
REGION_BRANCHES = 8
SMALL_REGION = 4
"""Branches of a region: the least that can show that a region, and not its branches one by one, is away."""
WEEK_H = 7 * 24

UPS, SWITCH, ROUTER, ROOM = "ups", "switch", "router", "room"
"""Devices that the server of a branch reads for all of it."""
CABINET = "atm/Auxiliaries"
DISPENSER = "atm/CashDispenser"
READER = "atm/CardReader"
RECEIPTS = "atm/ReceiptPrinter"


@dataclass(frozen=True, slots=True)
class Part:
    """One signal while nothing is wrong. swing: of a gauge, by how much a day moves it; gauges are read every hour, the rest when it changes."""

    component: str
    signal: str
    value: Value
    swing: float = 0.0

    @property
    def gauge(self) -> bool:
        return isinstance(self.value, float)


_COMPUTER = (
    Part("host", "host.memory.percent", 54.0, 6.0),
    Part("host/disk:C", "host.disk.percent", 58.0, 1.0),
    Part("host/temperature:cpu", "host.temperature", 52.0, 7.0),
    Part("host/fan:cpu", "host.fan.speed", 2100),
    Part("host/program:application", "host.program.state", "running"),
    Part("sda", "drive.wear", 21),
)
PARTS: dict[str, tuple[Part, ...]] = {
    ATM: (
        *_COMPUTER,
        Part("atm", "monitor.source", "ok"),
        Part(DISPENSER, "atm.device", "online"),
        Part(f"{DISPENSER} dispenser", "atm.cash", "ok"),
        Part(f"{DISPENSER} shutter", "atm.shutter", "closed"),
        *(Part(f"{DISPENSER} unit:{n}", "atm.unit", "ok") for n in range(1, 5)),
        *(Part(f"{DISPENSER} unit:{n}", "atm.unit.supply", "ok") for n in range(1, 5)),
        Part(f"{DISPENSER} unit:1", "atm.unit.count", 1400.0, 600.0),
        Part(READER, "atm.device", "online"),
        Part(f"{READER} media", "atm.media", "notPresent"),
        Part(RECEIPTS, "atm.device", "online"),
        Part(f"{RECEIPTS} paper:upper", "atm.paper", "full"),
        Part("atm/PinPad", "atm.epp", "ready"),
        Part(CABINET, "atm.mode", "run"),
        Part(f"{CABINET} cabinetDoor", "env.door", "closed"),
        Part(f"{CABINET} seismicSensor", "env.vibration", "clear"),
        Part("acceptor", "acceptor.state", "idle"),
        Part("acceptor", "acceptor.cashbox", "attached"),
    ),
    POS: (
        *_COMPUTER,
        Part("printer", "printer.paper", "present"),
        Part("printer", "printer.error", "none"),
        Part("cardreader", "cardreader.fault", "none"),
    ),
    SERVER: (
        *_COMPUTER,
        Part("host/raid:md0", "raid.state", "active"),
        Part(UPS, "monitor.source", "ok"),
        Part(UPS, "ups.output.source", "normal"),
        Part(UPS, "ups.battery.status", "normal"),
        Part(UPS, "ups.battery.charge", 100.0),
        Part(UPS, "ups.output.load", 44.0, 9.0),
        Part(UPS, "ups.battery.replace", "no"),
        Part(UPS, "ups.fault", "none"),
        Part(SWITCH, "monitor.source", "ok"),
        Part(SWITCH, "net.module.state", "ok"),
        Part(ROUTER, "monitor.source", "ok"),
        Part(f"{ROUTER}/wan:line", "net.wan.state", "connected"),
        Part(f"{ROUTER}/wan:lte", "net.wan.state", "standby"),
        Part(ROOM, "env.temperature", 23.0, 2.0),
        Part(f"{ROOM}/door", "env.door", "closed"),
    ),
}


@dataclass(frozen=True, slots=True)
class Unit:
    """One terminal."""

    name: str
    kind: str
    branch: str
    region: str

    @property
    def parts(self) -> tuple[Part, ...]:
        return PARTS[self.kind]


@dataclass(frozen=True, slots=True)
class Branch:
    """units: its server first."""

    name: str
    region: str
    units: tuple[Unit, ...]

    @property
    def server(self) -> Unit:
        return self.units[0]


@dataclass(frozen=True, slots=True)
class Bank:
    branches: tuple[Branch, ...]

    @property
    def units(self) -> tuple[Unit, ...]:
        return tuple(unit for branch in self.branches for unit in branch.units)

    @property
    def regions(self) -> dict[str, tuple[Branch, ...]]:
        names = dict.fromkeys(branch.region for branch in self.branches)
        return {name: tuple(branch for branch in self.branches if branch.region == name) for name in names}


def make_bank(terminals: int) -> Bank:
    """As many terminals as asked for, in branches of one server, somewhat more ATMs than tills, and tills."""
    small = terminals < SMALL_BANK
    size, of_region = (SMALL_BRANCH, SMALL_REGION) if small else (BRANCH_SIZE, REGION_BRANCHES)
    branches = []
    for number, first in enumerate(range(0, terminals, size), 1):
        name, region = f"branch-{number:02d}", f"region-{(number - 1) // of_region + 1}"
        kinds = [SERVER, *((ATM, POS)[i % 2] for i in range(min(size, terminals - first) - 1))]
        units = [Unit(f"{kind}-{number:02d}-{i}", kind, name, region) for i, kind in enumerate(kinds)]
        branches.append(Branch(name, region, tuple(units)))
    return Bank(tuple(branches))


def week_of(part: Part, rng: Random) -> list[float]:
    """A gauge over the hours of a week, on this one terminal, twice over so that any week of it is one slice."""
    at = part.value
    assert isinstance(at, float)
    own = at + rng.uniform(-0.5, 0.5) * part.swing if part.swing else at
    days = [own + part.swing * sin(2 * pi * (h % 24 - 8) / 24) for h in range(WEEK_H)]
    week = [round(value + rng.uniform(-0.1, 0.1) * part.swing, 1) for value in days]
    return week * 2
