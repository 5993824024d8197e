"""What parts show before they fail: the signals that tell of wear and of what is left (SIGNS), and how each mode of `modes.py` announces itself (PRECURSORS). The
orders of size are those of the trade: SMART counters speak before about half of the drives that die, rejects rise before a third to a half of
the faults of a cash way, electronics and jams come without a word. What no signal shows cannot be foretold, and the report says how much that is.
"""

from __future__ import annotations

from dataclasses import dataclass

from tillwatch.collector.simulate.fleet import (
    ATM,
    DISPENSER,
    POS,
    READER,
    RECEIPTS,
    ROOM,
    ROUTER,
    SERVER,
    UPS,
)
from tillwatch.collector.simulate.modes import ALL, DAY, HOUR, Span

GAUGE, COUNTER, SUPPLY, AGEING = "gauge", "counter", "supply", "ageing"


@dataclass(frozen=True, slots=True)
class Sign:
    """One signal. share: of the terminals that have it, the rest tells at most the word when it is too late; every: hours between two readings.

    gauge: at (its middle, where `fleet.PARTS` has no week of it) with spread between terminals, noise between readings and season (what the summer adds),
    and never beyond ceiling while its part is well. counter: at times a day, volatile where it begins anew with the agent. supply: from at
    (full) to low, refilled every `days`, with `spare` of it left. ageing: from at by `rate` a day.
    """

    component: str
    signal: str
    kinds: tuple[str, ...]
    form: str
    at: float
    every: int = 6
    share: float = 1.0
    spread: float = 0.0
    noise: float = 0.0
    season: float = 0.0
    floor: float = 0.0
    ceiling: float = float("inf")
    digits: int = 1
    volatile: bool = False
    low: float = 0.0
    days: float = 0.0
    spare: tuple[float, float] = (0.0, 0.0)
    rate: tuple[float, float] = (0.0, 0.0)


REJECTS = tuple(f"{DISPENSER} unit:{n}" for n in (1, 2))
CASSETTE = f"{DISPENSER} unit:1"
ROLL = f"{RECEIPTS} paper:upper"
SPARE_LINE = f"{ROUTER}/wan:lte"

SIGNS: tuple[Sign, ...] = (
    # A computer. The ceilings lie below the limits of the shipped rules: what passes them is the fault itself.
    Sign("host", "host.memory.percent", ALL, GAUGE, 0, every=1, noise=1.2, ceiling=91.0),
    Sign("host/disk:C", "host.disk.percent", ALL, GAUGE, 0, every=1, noise=0.15, ceiling=89.8),
    Sign("host/temperature:cpu", "host.temperature", ALL, GAUGE, 0, every=1, noise=1.0, season=2.5, ceiling=84.0),
    Sign("host/fan:cpu", "host.fan.speed", ALL, GAUGE, 2100, spread=150, noise=18, season=60, floor=300, digits=0),
    Sign("sda", "drive.wear", ALL, AGEING, 30, every=24, spread=25, digits=0, rate=(0.008, 0.05)),
    Sign("sda", "drive.errors.reported", ALL, COUNTER, 0.0005, every=24, ceiling=9),
    Sign("sda", "drive.timeouts", ALL, COUNTER, 0.003, every=24),
    Sign("sda", "drive.link.errors", (SERVER,), COUNTER, 0.01, every=24),
    Sign("sda", "drive.latency.read", ALL, GAUGE, 28, every=24, spread=8, noise=5, digits=0),
    # An ATM.
    Sign(CASSETTE, "atm.unit.count", (ATM,), SUPPLY, 2500, every=1, share=0.7, digits=0, low=200, days=7, spare=(0.35, 0.55)),
    Sign("acceptor", "atm.unit.count", (ATM,), SUPPLY, 0, every=3, share=0.4, digits=0, low=1000, days=14, spare=(0.35, 0.6)),
    Sign(ROLL, "printer.tray.level", (ATM,), SUPPLY, 100, share=0.5, digits=0, low=8, days=21, spare=(0.25, 0.4)),
    *(Sign(unit, "atm.unit.reject.rate", (ATM,), GAUGE, 0.6, spread=0.2, noise=0.12, digits=2) for unit in REJECTS),
    Sign(READER, "cardreader.reads", (ATM,), COUNTER, 160, spread=60),
    Sign(READER, "cardreader.reads.failed", (ATM,), COUNTER, 2.5, spread=1.0),
    Sign("acceptor", "acceptor.stacked", (ATM,), COUNTER, 42, spread=12, volatile=True),
    Sign("acceptor", "acceptor.rejected", (ATM,), COUNTER, 4, spread=1.5, volatile=True),
    Sign("acceptor", "acceptor.jams", (ATM,), COUNTER, 0.02, volatile=True),
    # A till.
    Sign("printer", "printer.tray.level", (POS,), SUPPLY, 100, every=3, share=0.4, digits=0, low=3, days=8, spare=(0.2, 0.35)),
    Sign("printer", "printer.cuts", (POS,), COUNTER, 180, spread=60),
    Sign("printer", "printer.cuts.failed", (POS,), COUNTER, 0.05),
    Sign("cardreader", "cardreader.reads", (POS,), COUNTER, 120, spread=40),
    Sign("cardreader", "cardreader.reads.failed", (POS,), COUNTER, 2, spread=0.8),
    # What a server reads for its branch.
    Sign(UPS, "ups.battery.runtime", (SERVER,), AGEING, 58, spread=10, noise=0.8, floor=20, rate=(-0.012, -0.004)),
    Sign(UPS, "ups.battery.temperature", (SERVER,), GAUGE, 26, spread=2, noise=0.3, season=2.5, ceiling=33.5),
    Sign(UPS, "ups.temperature", (SERVER,), GAUGE, 31, spread=2, noise=0.5, season=2),
    Sign(ROOM, "env.temperature", (SERVER,), GAUGE, 0, every=1, noise=0.3, season=1.0),
    Sign(SPARE_LINE, "net.rx.errors", (SERVER,), COUNTER, 3, every=3, spread=1),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rise:
    """What one signal does until the fault: a gauge moves by so much or to a value, a counter counts so many times as fast. bend: 1 evenly, above it
    ever faster. wobble: share of it by which it is unsteady.
    """

    component: str
    signal: str
    by: float = 0.0
    to: float = 0.0
    times: float = 1.0
    bend: float = 1.0
    wobble: float = 0.0


@dataclass(frozen=True, slots=True)
class Precursor:
    """share: of the faults of this mode that announce themselves, where the terminal has the signal; lasts: for how long before; ends: the level whose
    end the fault is, of a supply or of something that ages.
    """

    mode: str
    share: float
    lasts: Span
    rises: tuple[Rise, ...] = ()
    ends: tuple[str, str] | None = None

    @property
    def shown(self) -> tuple[tuple[str, str], ...]:
        """(component, signal) of all that shows it."""
        return (*([self.ends] if self.ends else ()), *((rise.component, rise.signal) for rise in self.rises))


_REJECTS = tuple(Rise(unit, "atm.unit.reject.rate", by=4.5, bend=1.5, wobble=0.2) for unit in REJECTS)
PRECURSORS: tuple[Precursor, ...] = (
    # Supplies: every one of them has an end that can be seen coming, where the device tells the level.
    Precursor("cassette-low", 1.0, Span(2 * DAY, 8 * DAY, 13 * DAY), ends=(CASSETTE, "atm.unit.count")),
    Precursor("cashbox-full", 1.0, Span(4 * DAY, 16 * DAY, 26 * DAY), ends=("acceptor", "atm.unit.count")),
    Precursor("receipts-out", 1.0, Span(5 * DAY, 24 * DAY, 40 * DAY), ends=(ROLL, "printer.tray.level")),
    Precursor("roll-ends", 1.0, Span(2 * DAY, 9 * DAY, 15 * DAY), ends=("printer", "printer.tray.level")),
    # What wears.
    Precursor("drive-wears", 0.95, Span(60 * DAY, 200 * DAY, 365 * DAY), ends=("sda", "drive.wear")),
    Precursor("ups-battery-worn", 0.8, Span(50 * DAY, 140 * DAY, 300 * DAY), ends=(UPS, "ups.battery.runtime")),
    # What fills up: most over days, the rest at once (a dump, a program that runs away).
    Precursor("disk-fills", 0.8, Span(3 * DAY, 12 * DAY, 45 * DAY), (Rise("host/disk:C", "host.disk.percent", to=89.5),)),
    Precursor("memory-leaks", 0.85, Span(DAY, 5 * DAY, 20 * DAY), (Rise("host", "host.memory.percent", to=91),)),
    # What gets hot, or slow.
    Precursor("hot", 0.4, Span(8 * DAY, 30 * DAY, 80 * DAY), (Rise("host/temperature:cpu", "host.temperature", by=14),)),
    Precursor("fan-stands", 0.6, Span(3 * DAY, 14 * DAY, 50 * DAY), (
        Rise("host/fan:cpu", "host.fan.speed", by=-750, bend=1.5, wobble=0.3),
        Rise("host/temperature:cpu", "host.temperature", by=4),
    )),
    Precursor("room-hot", 0.3, Span(DAY, 4 * DAY, 12 * DAY), (Rise(ROOM, "env.temperature", by=5.5),)),
    Precursor("ups-fails", 0.3, Span(DAY, 5 * DAY, 15 * DAY), (Rise(UPS, "ups.temperature", by=9, bend=1.5),)),
    # What counts its errors.
    Precursor("drive-dies", 0.55, Span(2 * DAY, 14 * DAY, 60 * DAY), (
        Rise("sda", "drive.errors.reported", times=1200, bend=1.5),
        Rise("sda", "drive.timeouts", times=600, bend=1.5),
        Rise("sda", "drive.latency.read", by=350, bend=2, wobble=0.3),
    )),
    Precursor("raid-degraded", 0.35, Span(DAY, 6 * DAY, 20 * DAY), (Rise("sda", "drive.link.errors", times=900, bend=1.5),)),
    Precursor("dispenser-fails", 0.35, Span(2 * DAY, 8 * DAY, 25 * DAY), _REJECTS),
    Precursor("cassette-fails", 0.4, Span(DAY, 6 * DAY, 20 * DAY), _REJECTS[1:]),
    Precursor("reader-fails", 0.5, Span(2 * DAY, 10 * DAY, 30 * DAY), (Rise(READER, "cardreader.reads.failed", times=9),)),
    Precursor("card-jams", 0.3, Span(DAY, 6 * DAY, 20 * DAY), (Rise(READER, "cardreader.reads.failed", times=6),)),
    Precursor("notes-jam", 0.45, Span(DAY, 6 * DAY, 18 * DAY), (
        Rise("acceptor", "acceptor.rejected", times=5), Rise("acceptor", "acceptor.jams", times=60, bend=1.5),
    )),
    Precursor("printer-jams", 0.35, Span(DAY, 5 * DAY, 15 * DAY), (Rise("printer", "printer.cuts.failed", times=60, bend=1.5),)),
    Precursor("till-reader-jams", 0.4, Span(DAY, 6 * DAY, 20 * DAY), (Rise("cardreader", "cardreader.reads.failed", times=7),)),
    Precursor("spare-line-down", 0.35, Span(4 * HOUR, 30 * HOUR, 6 * DAY), (Rise(SPARE_LINE, "net.rx.errors", times=40),)),
)  # fmt: skip
BY_MODE = {each.mode: each for each in PRECURSORS}


@dataclass(frozen=True, slots=True)
class Harmless:
    """What looks like the beginning of a fault and is none: it comes whatever the pace, on a fleet without faults too."""

    name: str
    kinds: tuple[str, ...]
    per_year: float
    lasts: Span
    rises: tuple[Rise, ...]


HARMLESS: tuple[Harmless, ...] = (
    Harmless("worn notes", (ATM,), 1.5, Span(DAY, 2 * DAY, 4 * DAY), (
        *(Rise(unit, "atm.unit.reject.rate", by=0.8) for unit in REJECTS), Rise("acceptor", "acceptor.rejected", times=2),
    )),
    Harmless("dirty head", (ATM,), 1.0, Span(4 * DAY, 10 * DAY, 25 * DAY), (Rise(READER, "cardreader.reads.failed", times=1.8),)),
    Harmless("dirty till reader", (POS,), 1.0, Span(4 * DAY, 10 * DAY, 25 * DAY), (Rise("cardreader", "cardreader.reads.failed", times=1.8),)),
    Harmless("large files", ALL, 1.5, Span(DAY, 3 * DAY, 9 * DAY), (Rise("host/disk:C", "host.disk.percent", by=7),)),
    Harmless("many programs", ALL, 2.0, Span(DAY, 2 * DAY, 6 * DAY), (Rise("host", "host.memory.percent", by=9),)),
    Harmless("warm days", ALL, 2.0, Span(DAY, 3 * DAY, 8 * DAY), (Rise("host/temperature:cpu", "host.temperature", by=3.5),)),
    Harmless("warm room", (SERVER,), 2.0, Span(DAY, 2 * DAY, 6 * DAY), (
        Rise(ROOM, "env.temperature", by=2), Rise(UPS, "ups.battery.temperature", by=1.5), Rise(UPS, "ups.temperature", by=2),
    )),
    Harmless("bad weather", (SERVER,), 4.0, Span(8 * HOUR, DAY, 3 * DAY), (Rise(SPARE_LINE, "net.rx.errors", times=4),)),
)  # fmt: skip
