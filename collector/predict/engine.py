"""The engine of predictions: readings and what happened go in, findings with their evidence come out. Pure: the same calls give the same
output bit for bit, also where state() and restore() lie between them. Follower, simulated year and back-test all use it, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tillwatch.agent.model import MS, Quality, device_of
from tillwatch.collector.learn.drift import Drift
from tillwatch.collector.predict.buffer import Buffer, Readings
from tillwatch.collector.predict.daily import Daily
from tillwatch.collector.predict.expected import Expected
from tillwatch.collector.predict.failures import Asked, Failures, units_of
from tillwatch.collector.predict.finding import (
    FAILURE,
    RUNOUT,
    TREND,
    WEAR,
    Finding,
    Grade,
    Happened,
    Record,
    kind_of,
    unit_of,
)
from tillwatch.collector.predict.foretold import REFILLED, Foretelling, Foretold, Renewed
from tillwatch.collector.predict.grades import Places, differs, reckon
from tillwatch.collector.predict.ledger import Ledger, standing
from tillwatch.collector.predict.lifetimes import Lifetimes
from tillwatch.collector.predict.panel import Unit
from tillwatch.collector.predict.record import Judged, Records
from tillwatch.collector.predict.series import NONE, Registry
from tillwatch.collector.predict.settings import DAY_NS, MODEL, Tables
from tillwatch.collector.predict.spoken import Spoken
from tillwatch.collector.predict.strays import Strays
from tillwatch.collector.predict.unusual import Unusual

if TYPE_CHECKING:
    from tillwatch.agent.wire import Column
    from tillwatch.collector.learn.fallback import Fallback
    from tillwatch.collector.learn.hazard import Hazard

VERSION = 2
"""Of the state. One of another version is not read: the journal is walked again."""
TICK_NS = 15 * 60 * 10**9
"""How often readings are looked at: a series has one value a tick, the last one, however often its terminal is asked, so that a grade that changes
the pace changes nothing of what is usual.
"""
DAY_AFTER_NS = 2 * 3600 * 10**9
"""After midnight, UTC, until a day is reckoned: what waited in a terminal over a short cut of its line is there by then."""
MAX_DAYS = 30
"""Days reckoned one by one after a gap; of a longer one only the last ones, since nothing was read meanwhile."""


@dataclass(frozen=True, slots=True)
class Models:
    """What was learnt from the past of a fleet; None: the fixed fallback of the tables. drift: what the hazard's questions are watched against."""

    hazard: Hazard | Fallback | None = None
    drift: Drift | None = None


Gather = Callable[[int, Asked], None]
"""Told at the end of each day (UTC ns) of every unit that a model would be asked of."""


@dataclass(frozen=True, slots=True)
class Said:
    """What is new or has changed. limits: bound -> how often it was reached since the engine began."""

    findings: tuple[Finding, ...] = ()
    grades: tuple[Grade, ...] = ()
    records: tuple[Record, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict)


class Engine:
    """Calls come in the order of the journal. Time is what `advance` is told: it runs every tick and every day that is due by then. gather: who trains is
    told what would be asked, and nothing is said of failures.
    """

    def __init__(self, tables: Tables, models: Models | None = None, gather: Gather | None = None) -> None:
        self.tables = tables
        self.models = models or Models()
        self._registry = Registry(tables)
        self._buffer = Buffer()
        self._daily = Daily()
        self._places = Places()
        self._records = Records(tables)
        self._ledger = Ledger()
        self._failures = Failures(tables, self.models.hazard, self.models.drift)
        self._gather = gather
        self._unusual = Unusual(tables, self._registry, self._daily, self._records, self._ledger, self._failures)
        self._spoken = Spoken()
        self._expected = Expected(tables, self._registry, self._daily)
        self._lifetimes = Lifetimes(tables, self._registry, self._daily, self._spoken)
        self._foretelling = Foretelling(tables, self._records, self._ledger)
        self._strays = Strays(self._registry, self._daily, tables.compared)
        self._grades: dict[str, Grade] = {}
        self._seen: dict[str, int] = {}
        self._tick = -1
        self._day = -1
        self._concerned: dict[str, None] = {}
        self._regraded: dict[str, None] = {}

    def place(self, terminal: str, branch: str, region: str, terminal_class: str, zone: str = "") -> None:
        """Where a terminal stands; again where that changed. zone: IANA name, UTC where it is empty or not known."""
        self._places.put(terminal, branch, region, terminal_class, zone)
        self._unusual.zone(terminal, zone)

    def read(
        self, terminal: str, columns: Sequence[Column], at: int, *, correction_ms: int = 0, historical: bool = False
    ) -> None:
        """An accepted batch. at: when it was received, UTC ns; correction_ms: to be added to the times of its readings; historical: it waited long."""
        del historical  # a reading counts for the time that it was read at, however late it comes
        self._places.heard(terminal, at)
        self._seen[terminal] = max(at, self._seen.get(terminal, 0))
        component = None
        for column in columns:
            if column.component != component:
                component = column.component
                self._registry.see(terminal, component)
            if column.signal in self.tables.words:
                self._words(terminal, column, correction_ms)
            elif column.numeric:
                row = self._registry.row(terminal, column.component, column.signal)
                if row != NONE:
                    self._numbers(row, column, correction_ms)

    def _numbers(self, row: int, column: Column, correction_ms: int) -> None:
        at, values = column.at, column.values
        if column.quality is Quality.ERROR or column.odd:
            usual = column.quality
            good = [
                i for i in range(len(at)) if (column.odd or {}).get(i, (usual, column.state))[0] is not Quality.ERROR
            ]
            at, values = [at[i] for i in good], [values[i] for i in good]
        self._buffer.add(row, at, values, correction_ms)  # type: ignore[arg-type]  # numeric: all of them are numbers

    def _words(self, terminal: str, column: Column, correction_ms: int) -> None:
        for reading in column.readings():
            word, at = reading.value, reading.at + correction_ms * MS
            if not isinstance(word, str) or not word or reading.quality is Quality.ERROR:
                continue
            if self._spoken.hear((terminal, column.component, column.signal), at, word):
                self._expected.word(terminal, column.component, column.signal, at, word)
                renewed = self._lifetimes.word(terminal, column.component, column.signal, at, word)
                self._renewed(renewed)

    def happened(self, event: Happened) -> None:
        """What predictions are held against, in the order of the journal."""
        self._places.happened(event)
        could = self._watching(event.terminal, event.component) if event.what == "raised" else ()
        self._unusual.happened(event)
        self._judged(self._records.happened(event, could))
        self._failures.happened(event)
        self._renewed(self._lifetimes.changed(event, self._ledger))
        if event.what == "life_cycle" and self._places.of(event.terminal).away:
            for finding in self._ledger.of_terminal(event.terminal):
                self._ledger.end(finding.detector, finding.terminal, finding.component, event.at)
        self._concerned[event.terminal] = None

    def _watching(self, terminal: str, component: str) -> tuple[str, ...]:
        """Detectors that look at a component, each once."""
        found = [
            *self._unusual.watches(terminal, component), *self._expected.watches(terminal, component),
            *self._lifetimes.watches(terminal, component), *self._failures.watches(),
        ]  # fmt: skip
        return tuple(dict.fromkeys(found))

    def advance(self, now: int) -> Said:
        """Journal time, UTC ns."""
        tick, day = now // TICK_NS, (now - DAY_AFTER_NS) // DAY_NS - 1
        if self._tick < 0:
            self._tick, self._day = tick - 1, day
        if tick > self._tick:
            self._run(tick * TICK_NS, now, day)
            self._tick = tick
        return self._said(now)

    def _run(self, until: int, now: int, day: int) -> None:
        """Ticks and days that are due, in order."""
        self._unusual.grow()
        readings = self._buffer.take(until, now)
        done = 0
        for each in range(max(self._day + 1, day - MAX_DAYS + 1), day + 1):
            ends = (each + 1) * DAY_NS + DAY_AFTER_NS
            mine = int(np.searchsorted(readings.at, ends))
            self._ticks(readings.taken(np.arange(done, mine)))
            done = mine
            self._end_day(each, ends)
        self._day = max(day, self._day)
        self._ticks(readings.taken(np.arange(done, len(readings))))
        self._note(self._unusual.settle(until))

    def _ticks(self, readings: Readings) -> None:
        if not len(readings):
            return
        self._daily.add(readings)
        buckets = readings.at // TICK_NS
        starts = np.flatnonzero(np.r_[True, buckets[1:] != buckets[:-1]])
        for start, end in zip(starts, [*starts[1:], len(readings)], strict=True):
            self._note(self._unusual.tick(int(buckets[start]), readings.taken(np.arange(start, end))))

    def _end_day(self, day: int, now: int) -> None:
        self._daily.grow(len(self._registry))
        self._note(self._unusual.days(day, now))
        self._note(self._unusual.peers(day, now, self._like))
        self._unusual.end_day(now)
        expected, filled = self._expected.day(day)
        worn, replaced = self._lifetimes.day(day)
        self._renewed([*filled, *replaced])
        failing: list[Foretold] = []
        if self._gather is None:
            failing = self._failures.day(now, self._asked(day), self._ledger)
        else:
            self._gather(now, self._asked(day))
        told = [each for each in (*expected, *worn, *failing) if not self._places.of(each.terminal).away]
        self._judged(self._foretelling.tell(told, (WEAR, TREND, RUNOUT, FAILURE), now))
        self._judged(self._records.advance(now, self._seen))
        for finding in self._ledger.open():
            self._ledger.put(self._as_of(finding, now))
        for terminal in self._places.by_id:
            self._regraded[terminal] = None

    def _asked(self, day: int) -> Asked:
        """Every kind of part of every terminal that is in service."""

        def parts() -> Iterator[tuple[str, str, Unit]]:
            for terminal, component in self._registry.components:
                place = self._places.of(terminal)
                if not place.away:
                    model = self._spoken.last(terminal, component, MODEL)
                    yield (
                        terminal,
                        component,
                        Unit(terminal, unit_of(component), place.terminal_class, model, place.since),
                    )

        units, components = units_of(parts())
        worn = [[self._lifetimes.share(u.terminal, c) for c in cs] for u, cs in zip(units, components, strict=True)]
        shares = np.array([max((s for s in each if s == s), default=np.nan) for each in worn], np.float32)  # noqa: PLR0124 - nan is unlike itself
        # The fixed rule does not look at it.
        learns = self._gather is not None or self.models.hazard is not None
        strayed = self._strays.day(day, [(unit.terminal, unit.kind) for unit in units]) if learns else None
        return Asked(units, shares, components, strayed)

    def _like(self, terminal: str, component: str) -> str:
        """What makes peers of two parts: kind, model of the part or its device, and class of the terminal."""
        model = self._spoken.last(terminal, component, MODEL) or self._spoken.last(
            terminal, device_of(component), MODEL
        )
        place = self._places.of(terminal)
        return "" if place.away else f"{kind_of(component)}|{model}|{place.terminal_class}"

    def _as_of(self, finding: Finding, now: int) -> Finding:
        """With the record of its detector as of today."""
        record = self._records.record(finding.detector, finding.kind)
        if record == finding.record and record.demoted == finding.demoted:
            return finding
        self._concerned[finding.terminal] = None
        return replace(finding, at=now, record=record, demoted=record.demoted)

    def _note(self, terminals: Sequence[str]) -> None:
        for terminal in terminals:
            self._concerned[terminal] = None

    def _judged(self, judged: Sequence[Judged]) -> None:
        for each in judged:
            self._ledger.judged(each.id, each.outcome, each.at)
            self._concerned[each.terminal] = None

    def _renewed(self, renewed: Sequence[Renewed]) -> None:
        """Of a part that was replaced the old days are forgotten, too."""
        self._judged(self._foretelling.renew(renewed))
        for each in renewed:
            if each.why != REFILLED:
                rows = [
                    r for r in self._registry.rows_of(each.terminal) if self._registry.names[r][1] == each.component
                ]
                self._daily.forget([r for r in rows if r < len(self._daily)])
                self._unusual.renewed(each.terminal, each.component, each.at)

    def _said(self, now: int) -> Said:
        findings = self._ledger.news(now)
        self._regraded |= self._concerned
        self._concerned.clear()
        grades = tuple(self._graded(now))
        self._regraded.clear()
        return Said(findings, grades, self._records.changed(), self.limits())

    def _graded(self, now: int) -> Iterator[Grade]:
        for terminal in self._regraded:
            place = self._places.of(terminal)
            before = self._grades.get(terminal)
            if place.away:
                continue
            found = [
                (each, self._records.trust(each.family, each.record or self._records.record(each.detector, each.kind)))
                for each in standing(self._ledger.of_terminal(terminal))
            ]
            grade = reckon(self.tables, terminal, place, found, before=before, now=now)
            if differs(before, grade):
                self._grades[terminal] = grade
                yield grade

    def limits(self) -> dict[str, int]:
        """Bounds that were reached, and how often."""
        counts = {
            "series": self._registry.refused,
            "readings": self._buffer.dropped,
            "readings ahead": self._buffer.ahead,
            "readings late": self._daily.late,
            "findings": self._ledger.refused,
            "records": self._records.refused,
            "words": self._spoken.refused,
            "parts": self._lifetimes.refused,
            "events": self._failures.forgotten,
        }
        return {name: count for name, count in counts.items() if count}

    def grades(self) -> Mapping[str, Grade]:
        """As they were told last."""
        return self._grades

    @property
    def series(self) -> int:
        """Series that are followed."""
        return len(self._registry)

    def drift(self) -> tuple[str, str]:
        """Level and reason of learn/drift.py: whether the fleet is still the one that the model learnt from; empty where nothing was learnt."""
        return self._failures.drift()

    def branches(self) -> dict[str, str]:
        """Terminal -> branch, for inspection.rounds."""
        return {terminal: place.branch for terminal, place in self._places.by_id.items()}

    def state(self) -> dict[str, Any]:
        """All that is kept, msgpack-able beside numpy arrays."""
        return {
            "v": VERSION,
            "registry": self._registry.state(),
            "buffer": self._buffer.state(),
            "daily": self._daily.state(),
            "places": self._places.state(),
            "records": self._records.state(),
            "ledger": self._ledger.state(),
            "unusual": self._unusual.state(),
            "spoken": self._spoken.state(),
            "expected": self._expected.state(),
            "lifetimes": self._lifetimes.state(),
            "failures": self._failures.state(),
            "foretelling": self._foretelling.state(),
            "grades": [each.facts() for each in self._grades.values()],
            "seen": dict(self._seen),
            "tick": self._tick,
            "day": self._day,
            "concerned": [list(self._concerned), list(self._regraded)],
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any], tables: Tables, models: Models | None = None) -> Self:
        """Goes on exactly where state() was taken. Raises ValueError where it is of another version."""
        if state.get("v") != VERSION:
            msg = f"the state of the predictions has version {state.get('v')!r}, this is {VERSION}: it is built anew from the journal"
            raise ValueError(msg)
        engine = cls(tables, models)
        engine._registry.restore(state["registry"])
        engine._buffer.restore(state["buffer"])
        engine._daily.restore(state["daily"])
        engine._places.restore(state["places"])
        engine._records.restore(state["records"])
        engine._ledger.restore(state["ledger"])
        engine._unusual.restore(state["unusual"])
        engine._spoken.restore(state["spoken"])
        engine._expected.restore(state["expected"])
        engine._lifetimes.restore(state["lifetimes"])
        engine._failures.restore(state["failures"])
        engine._foretelling.restore(state["foretelling"])
        engine._grades = {each["terminal"]: Grade.of(each) for each in state["grades"]}
        engine._seen = {str(terminal): int(at) for terminal, at in state["seen"].items()}
        engine._tick, engine._day = int(state["tick"]), int(state["day"])
        engine._concerned, engine._regraded = (dict.fromkeys(each) for each in state["concerned"])
        for terminal, place in engine._places.by_id.items():
            engine._unusual.zone(terminal, place.zone)
        return engine
