"""Which faults announce themselves, and how: drawn for all faults of the year from random numbers of their own, so that what breaks, and when, is the same with
and without. Every terminal gets its traces here; what only looks like the beginning of a fault is strewn in between.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from random import Random

from tillwatch.collector.simulate.faults import Blow
from tillwatch.collector.simulate.fleet import Unit
from tillwatch.collector.simulate.modes import PartMode
from tillwatch.collector.simulate.precursors import (
    AGEING,
    BY_MODE,
    COUNTER,
    GAUGE,
    HARMLESS,
    SIGNS,
    SUPPLY,
    Precursor,
    Sign,
)
from tillwatch.collector.simulate.stations import Key
from tillwatch.collector.simulate.times import DAY, S
from tillwatch.collector.simulate.traces import AgeingTrace, CounterTrace, GaugeTrace, Ramp, SupplyTrace
from tillwatch.collector.simulate.truth import Fault, Omen
from tillwatch.collector.simulate.world import World

AnyTrace = GaugeTrace | CounterTrace | SupplyTrace | AgeingTrace
CAPACITY = "atm.unit.capacity"
DRIVE = "sda"
SERIAL = (DRIVE, "identity.serial")
NEW_DRIVE = frozenset({"drive-wears", "drive-dies"})
LEAST = {SUPPLY: 2 * DAY, AGEING: 20 * DAY}
"""What runs out faster than this, or wears, came without a warning: use is seen from day to day."""
WORN = {"drive-wears": 89.4, "ups-battery-worn": 22.0}
"""What the ageing signal says when the fault comes."""
FAST = 0.3
"""Of the time that something harmless lasts, until it is at its full."""


class Omens:
    """What announces the faults that are drawn already (blows), in the ledger's omens and in the traces of the stations."""

    def __init__(self, world: World, blows: Iterable[Blow], seed: int, start: int, end: int) -> None:
        self._world, self._seed, self._start = world, seed, start
        self._traces: dict[str, dict[Key, AnyTrace]] = {}
        self._coming: dict[tuple[str, str, int], Omen] = {}
        self._struck: dict[int, Omen] = {}
        self._ramps: dict[int, list[Ramp]] = {}
        self._drives: dict[str, int] = defaultdict(int)
        faults: dict[str, list[tuple[int, PartMode]]] = defaultdict(list)
        for at, mode, whom in blows:
            if isinstance(mode, PartMode) and isinstance(whom, Unit):
                faults[whom.name].append((at, mode))
        for unit in world.bank.units:
            self._equip(unit, faults[unit.name])
            self._announce(unit, faults[unit.name])
            self._strew(unit, end)

    # Before the year.

    def _equip(self, unit: Unit, faults: list[tuple[int, PartMode]]) -> None:
        """Its traces. A supply is told when it is to run low, so that its fillings can be laid around that."""
        station = self._world.stations[unit.name]
        traces: dict[Key, AnyTrace] = {}
        untold: list[Key] = []
        texts: dict[Key, str] = {SERIAL: f"{unit.name}-1"}
        for sign in SIGNS:
            key = sign.component, sign.signal
            if unit.kind not in sign.kinds:
                continue
            rng = Random(f"{self._seed}/{unit.name}/{sign.component}/{sign.signal}/precursor")
            if rng.random() >= sign.share:
                untold.append(key)
                continue
            ends = [at for at, mode in faults if mode.name in BY_MODE and BY_MODE[mode.name].ends == key]
            traces[key] = self._make(sign, rng, station.weeks.get(key), ends)
            if sign.form == SUPPLY and sign.signal == "atm.unit.count":
                full = Sign(sign.component, CAPACITY, sign.kinds, GAUGE, max(sign.at, sign.low), every=24, digits=0)
                traces[sign.component, CAPACITY] = GaugeTrace.make(full, rng, None)
            trace = traces[key]
            if isinstance(trace, SupplyTrace):
                self._world.ledger.filled[unit.name, sign.component, sign.signal] = trace.filled
        self._traces[unit.name] = traces
        station.bear(traces, texts, untold)

    def _make(self, sign: Sign, rng: Random, week: list[float] | None, ends: list[int]) -> AnyTrace:
        if sign.form == COUNTER:
            return CounterTrace.make(sign, rng, self._start)
        if sign.form == SUPPLY:
            return SupplyTrace.make(sign, rng, self._start, ends)
        if sign.form == AGEING:
            return AgeingTrace.make(sign, rng, self._start)
        return GaugeTrace.make(sign, rng, week)

    def _announce(self, unit: Unit, faults: list[tuple[int, PartMode]]) -> None:
        rng, traces = Random(f"{self._seed}/{unit.name}/precursor"), self._traces[unit.name]
        aged: set[Key] = set()
        for at, mode in faults:
            precursor = BY_MODE.get(mode.name)
            if precursor is None:
                continue
            # Drawn for each, announced or not, so that one fault more changes nothing of the others' shares.
            speaks, lasts = rng.random() < precursor.share, round(precursor.lasts.draw(rng) * S)
            parts = precursor.shown
            if not speaks or not any(key in traces for key in parts) or at - self._start < DAY:
                continue
            begins = max(self._start, at - lasts)
            if precursor.ends is not None:
                trace = traces[precursor.ends]
                if isinstance(trace, AgeingTrace):
                    if precursor.ends in aged or at - begins < LEAST[AGEING]:
                        continue
                    aged.add(precursor.ends)
                    trace.until(at, lasts, WORN[mode.name])
            omen = Omen(mode.name, unit.name, parts, begins, at)
            self._ramps[id(omen)] = [
                traces[rise.component, rise.signal].rise(rise, begins, at)
                for rise in precursor.rises
                if (rise.component, rise.signal) in traces
            ]
            self._coming[unit.name, mode.name, at] = omen
            self._world.ledger.omens.append(omen)

    def _strew(self, unit: Unit, end: int) -> None:
        for kind in HARMLESS:
            if unit.kind not in kind.kinds:
                continue
            rng, at = Random(f"{self._seed}/{unit.name}/{kind.name}/precursor"), self._start
            while (at := at + round(rng.expovariate(kind.per_year) * 365 * DAY)) < end:
                lasts = round(kind.lasts.draw(rng) * S)
                for rise in kind.rises:
                    ramp = self._traces[unit.name][rise.component, rise.signal].rise(rise, at, at + round(lasts * FAST))
                    ramp.stop = at + lasts

    # In the year.

    def strike(self, at: int, unit: Unit, mode: PartMode) -> None:
        """The fault comes now, if nobody has mended what announced it."""
        omen = self._coming.pop((unit.name, mode.name, at), None)
        if omen is not None and omen.ended:
            return
        if omen is not None:
            self._date(at, omen)
        fault = self._world.break_part(at, unit, mode)
        if omen is None:
            return
        if fault is None:
            self._over(at, omen)
        else:
            omen.fault = fault.id
            self._struck[fault.id] = omen

    def _date(self, at: int, omen: Omen) -> None:
        """Of a supply it shows only in its time when the filling was that is the last."""
        trace = self._end_of(omen)
        if isinstance(trace, SupplyTrace):
            trace.at(at)
            begins = trace.runs_out(omen.strikes)
            omen.begins = begins if begins and omen.strikes - begins >= LEAST[SUPPLY] else omen.strikes

    def _end_of(self, omen: Omen) -> AnyTrace | None:
        ends = BY_MODE[omen.mode].ends
        return None if ends is None else self._traces[omen.terminal][ends]

    def ended(self, at: int, fault: Fault) -> None:
        """A fault was mended: what it was of is as new."""
        omen = self._struck.pop(fault.id, None)
        if omen is not None:
            self._over(at, omen)
        elif (precursor := BY_MODE.get(fault.mode)) is not None:
            self._renew(at, fault.where, precursor)

    def _over(self, at: int, omen: Omen) -> None:
        omen.ended = at
        for ramp in self._ramps.pop(id(omen), ()):
            ramp.stop = at
        self._renew(at, omen.terminal, BY_MODE[omen.mode])

    def _renew(self, at: int, terminal: str, precursor: Precursor) -> None:
        traces = self._traces[terminal]
        if precursor.mode in NEW_DRIVE:
            self._drives[terminal] += 1
            self._world.stations[terminal].replace(at, SERIAL, f"{terminal}-{1 + self._drives[terminal]}")
            for key, trace in traces.items():
                if key[0] == DRIVE:
                    trace.renew(at)
        elif precursor.ends in traces:
            traces[precursor.ends].renew(at)

    # What a technician finds who was sent because of a prediction.

    def found(self, at: int, terminal: str, component: str) -> Omen | None:
        """What is going bad there and has not failed yet."""
        for (where, _, strikes), omen in self._coming.items():
            if where != terminal or omen.ended or strikes <= at or not touches(omen.parts, component):
                continue
            self._date(at, omen)
            if omen.begins <= at:
                return omen
        return None

    def prevent(self, at: int, omen: Omen) -> None:
        omen.prevented = True
        self._over(at, omen)


def touches(parts: Iterable[Key], component: str) -> bool:
    """Whether a look at this component shows one of these parts: it, or one of the same unit of a terminal's platform."""
    return not component or any(component.partition(" ")[0] == name.partition(" ")[0] for name, _ in parts)
