"""What simulated terminals read: the signals of three kinds of terminals, with level, noise and the day's business, each value a function of terminal
and time alone. Nothing is remembered between two readings, so that a terminal costs no memory and a run can be made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi, sin
from random import Random

from tillwatch.agent.model import AGENT, MS, Reading, State, Value

CLASSES = ("atm",) * 4 + ("pos",) * 5 + ("server",)
"""Of ten neighbours, which are one branch."""
_NOISES = 4096
_draws = Random("noise of a simulated fleet")  # noqa: S311 - noise, and no secret
_NOISE = tuple(_draws.uniform(-1.0, 1.0) for _ in range(_NOISES))
_QUARTER_MS, _DAY_MS = 900_000, 86_400_000
_OPEN, _CLOSED = 7.0, 20.0
"""Hours, UTC, between which there is business."""
FAULT_MS, EVERY_MS = 600_000, 1_800_000
"""How long a fault lasts, and from one to the next of the same terminal: every alarm of the shipped table that is meant is raised and ends within."""


def business(at_ms: int) -> float:
    """The share of the busiest moment, 0 to 1."""
    hour = at_ms % _DAY_MS / 3_600_000
    return sin(pi * (hour - _OPEN) / (_CLOSED - _OPEN)) if _OPEN < hour < _CLOSED else 0.0


def _sums() -> list[float]:
    total, sums = 0.0, [0.0]
    for quarter in range(_DAY_MS // _QUARTER_MS):
        total += 0.05 + business(quarter * _QUARTER_MS + _QUARTER_MS // 2)
        sums.append(total)
    return sums


_SUMS = _sums()


def done(at_ms: int) -> float:
    """Business done since 1970, in quarters of an hour at full trade; it never falls, and stands still at no time."""
    days, rest = divmod(at_ms, _DAY_MS)
    quarter, part = divmod(rest, _QUARTER_MS)
    return days * _SUMS[-1] + _SUMS[quarter] + (_SUMS[quarter + 1] - _SUMS[quarter]) * part / _QUARTER_MS


@dataclass(frozen=True, slots=True)
class Gauge:
    """own: by how much terminals differ; busy: what business adds; noise: how far it strays from one minute to the next."""

    component: str
    signal: str
    at: float
    own: float
    busy: float
    noise: float
    state: State = State.NONE

    def value(self, n: int, place: int, at_ms: int) -> Value:
        own = _NOISE[(n * 31 + place * 977) % _NOISES]
        noise = _NOISE[(n * 131 + place * 29 + at_ms // 60_000) % _NOISES]
        return round(self.at + own * self.own + business(at_ms) * self.busy + noise * self.noise, 1)


@dataclass(frozen=True, slots=True)
class Counter:
    """by: what it rises in a quarter of an hour at full trade."""

    component: str
    signal: str
    by: float
    state: State = State.NONE

    def value(self, n: int, place: int, at_ms: int) -> Value:
        return int(done(at_ms) * self.by * (1.0 + 0.5 * _NOISE[(n * 31 + place * 977) % _NOISES]))


@dataclass(frozen=True, slots=True)
class Word:
    """What stays the same while nothing is wrong."""

    component: str
    signal: str
    word: str
    state: State = State.OK

    def value(self, _n: int, _place: int, _at_ms: int) -> Value:
        return self.word


Signal = Gauge | Counter | Word


@dataclass(frozen=True, slots=True)
class Fault:
    """What the readings say instead while it lasts: value and judgement, by component and signal."""

    instead: dict[tuple[str, str], tuple[Value, State]]


_MACHINE: tuple[Signal, ...] = (
    Gauge("host", "host.cpu.percent", 12, 6, 30, 5),
    Gauge("host", "host.memory.percent", 48, 10, 6, 0.6, State.OK),
    Gauge("host/disk:/", "host.disk.percent", 45, 20, 0, 0.1, State.OK),
    Gauge("host/temperature:Core 0", "host.temperature", 48, 4, 8, 1.5, State.OK),
    Word("host/net:eth0", "net.oper", "up"),
    Counter("host/net:eth0", "net.rx.bytes", 4_000_000),
    Counter("host/net:eth0", "net.tx.bytes", 1_500_000),
    Counter("host/net:eth0", "net.rx.errors", 0.001),
    Gauge("host", "host.processes", 140, 20, 8, 2),
    Counter(AGENT, "agent.cpu", 1.5),
    Word(AGENT, "agent.spool.state", "ok"),
)
_UPS: tuple[Signal, ...] = (
    Word("ups", "ups.output.source", "normal"),
    Gauge("ups", "ups.battery.charge", 98.5, 0.5, 0, 0.4, State.OK),
    Gauge("ups/output:1", "ups.output.load", 25, 8, 12, 2, State.OK),
    Gauge("ups/input:1", "ups.input.voltage", 230, 2, -2, 1.5),
    Gauge("ups", "ups.battery.temperature", 25, 2, 2, 0.4, State.OK),
)
_CASH: tuple[Signal, ...] = (
    Word("dispenser", "atm.cash", "ok"),
    Word("dispenser", "atm.shutter", "closed"),
    Word("dispenser/unit:1", "atm.unit.supply", "ok"),
    Gauge("dispenser/unit:1", "atm.unit.count", 1_400, 300, -200, 20),
    Word("reader", "atm.chip", "online"),
    Word("pinpad", "atm.epp", "ready"),
)
_PRINTER: tuple[Signal, ...] = (
    Word("printer", "printer.paper", "present"),
    Word("printer", "printer.cover", "closed"),
    Word("printer", "printer.online", "online"),
    Counter("printer", "printer.lines", 120),
)
KINDS: dict[str, tuple[Signal, ...]] = {
    "atm": (*_MACHINE, *_CASH, *_UPS[:3]),
    "pos": (*_MACHINE, *_PRINTER),
    "server": (*_MACHINE, *_UPS),
}
FAULTS: dict[str, tuple[Fault, ...]] = {
    "atm": (
        Fault({("dispenser", "atm.shutter"): ("jammedClosed", State.CRIT)}),
        Fault({("ups", "ups.output.source"): ("battery", State.WARN)}),
    ),
    "pos": (
        Fault({("printer", "printer.paper"): ("empty", State.CRIT)}),
        Fault({("host/disk:/", "host.disk.percent"): (98.2, State.CRIT)}),
    ),
    "server": (Fault({("ups", "ups.output.source"): ("battery", State.WARN)}),),
}


def kind_of(n: int) -> str:
    return CLASSES[n % len(CLASSES)]


def fault_of(n: int, share: float, at_ms: int) -> Fault | None:
    """The fault that terminal n shows at that time. share: of the terminals that ever show one, 0 to 1; each begins at a time of its own."""
    if (_NOISE[(n * 7919 + 3) % _NOISES] + 1) / 2 >= share or (at_ms + n * 97_003) % EVERY_MS >= FAULT_MS:
        return None
    faults = FAULTS[kind_of(n)]
    return faults[n // len(CLASSES) % len(faults)]


def readings(
    n: int, upto_ms: int, span_ms: int, count: int, share: float = 0.0, *, first: bool = False
) -> tuple[Reading, ...]:
    """`count` readings of terminal n: all its signals again and again over the span, the newest at upto_ms. Where count is less than a terminal has
    signals, the first ones of them; where it is no multiple, one tick the fewer. first: how often each component is read is told as well.
    """
    signals: Sequence[Signal] = KINDS[kind_of(n)][:count]
    ticks = max(count // len(signals), 1)
    found = []
    if first:
        names = dict.fromkeys((AGENT, *(one.component for one in signals)))
        interval = max(span_ms // 1000, 1)
        found = [Reading(name, "monitor.interval", upto_ms * MS, interval) for name in names]
    for tick in range(ticks):
        at_ms = upto_ms - (ticks - 1 - tick) * span_ms // ticks
        fault = fault_of(n, share, at_ms) if share else None
        at = at_ms * MS
        for place, one in enumerate(signals):
            value, state = one.value(n, place, at_ms), one.state
            if fault is not None:
                value, state = fault.instead.get((one.component, one.signal), (value, state))
            found.append(Reading(one.component, one.signal, at, value, state=state))
    return tuple(found)
