"""The panel of failures out of a collector's own store: alarms, incidents and verdicts say what failed, the engine says which units there were each day and how
worn they were, and the engine's own panel makes the rows. So a model is asked tomorrow what it was taught with.

A unit failed where an alarm of FAILURES was raised on it, or a technician found it at fault. A verdict that nothing was wrong takes the failure away. Days
on which a unit was broken already are left out: what is down cannot fail.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from tillwatch.collector.learn.panel import DAY_NS, Ints, Panel, labels
from tillwatch.collector.predict.engine import Engine
from tillwatch.collector.predict.failures import Asked
from tillwatch.collector.predict.feed import Feed, Surroundings
from tillwatch.collector.predict.finding import ANOMALY, Happened, unit_of
from tillwatch.collector.predict.panel import SEEN_UNUSUAL, Event, Unit, event_of, rows
from tillwatch.collector.predict.past import Past, Progress, Told
from tillwatch.collector.predict.record import PART_FAULTS, RIGHT, WRONG
from tillwatch.collector.predict.settings import Tables, life_signals
from tillwatch.collector.predict.strays import NAMES
from tillwatch.collector.predict.watched import Watch
from tillwatch.collector.store.db import Db

FAILURES = frozenset({"hardware"})
"""Parties whose alarms are failures. Of supplies, cash and power a visit is no repair, unless the verdict says so."""
MAX_ROWS = 300_000
"""Of a panel: some 120 columns in float32 are 150 MB, and three times that while it is taught. A fleet of more is seen every other day, and so on."""
LEAST_LOOKS = 2
"""How often a failure is looked at at least within its horizon, however large the fleet: of more rows, whole terminals are left out."""
MAX_EVENTS = 2_000_000
"""A fleet of 1,000 for three years, six a day on four of them. Beyond it training says so and ends: choose fewer terminals or less time."""
SEED = 0


class PastError(Exception):
    """The history cannot be made into a panel. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is looked at. until: UTC ns; horizon: ns; kinds: patterns of kinds of parts, all where it is empty; most: rows."""

    until: int
    horizon: int
    kinds: tuple[str, ...] = ()
    most: int = MAX_ROWS

    def covers(self, kind: str) -> bool:
        return not self.kinds or any(fnmatchcase(kind.lower(), each.lower()) for each in self.kinds)


@dataclass(frozen=True, slots=True)
class FromStore:
    """The panel; terminals: of `of` that it has; units: by their index in it; every: days between two looks; told: what was read for it."""

    panel: Panel
    units: tuple[Unit, ...]
    terminals: int
    of: int
    every: int
    told: Told


@dataclass(slots=True)
class _Failure:
    at: int
    counts: bool


@dataclass(slots=True)
class Failed:
    """What failed when, out of what happened. down: (unit, since, until or 0) of alarms of parts, during which a unit is broken already."""

    _of_rule: dict[tuple[str, str, str], _Failure] = field(default_factory=dict)
    _all: list[tuple[str, str, _Failure]] = field(default_factory=list)
    _since: dict[tuple[str, str, str], int] = field(default_factory=dict)
    down: list[tuple[tuple[str, str], int, int]] = field(default_factory=list)

    def happened(self, event: Happened) -> None:
        """In order of time."""
        unit, key = (event.terminal, unit_of(event.component)), (event.rule, event.terminal, event.component)
        match event.what:
            case "raised" if event.party in PART_FAULTS:
                failure = self._of_rule[key] = _Failure(event.at, event.party in FAILURES)
                self._all.append((event.terminal, event.component, failure))
                if event.party in FAILURES:
                    self._since.setdefault(key, event.at)
            case "cleared" if key in self._since:
                self.down.append((unit, self._since.pop(key), event.at))
            case "verdict" if (known := self._of_rule.get(key)) is not None:
                known.counts = (known.counts or event.value in RIGHT) and event.value not in WRONG

    def times(self) -> Iterator[tuple[tuple[str, str], int]]:
        """(unit, UTC ns)."""
        return (((terminal, unit_of(component)), at) for (terminal, component), at in self.of_parts())

    def of_parts(self) -> Iterator[tuple[tuple[str, str], int]]:
        """((terminal, component), UTC ns), in order of time."""
        return (((terminal, component), each.at) for terminal, component, each in self._all if each.counts)

    def over(self, until: int) -> Iterator[tuple[tuple[str, str], int, int]]:
        """(unit, since, until), those that last yet until the end."""
        yield from self.down
        for (_, terminal, component), since in self._since.items():
            yield (terminal, unit_of(component)), since, until


class _Heard:
    """Stands between the log and the engine: notes what happened, and lets through what wear needs."""

    def __init__(self, engine: Engine, failed: Failed) -> None:
        self._engine, self._failed = engine, failed
        self.events: list[Event] = []
        self.place, self.read = engine.place, engine.read

    def happened(self, event: Happened) -> None:
        self._engine.happened(event)
        self._failed.happened(event)
        if (found := event_of(event)) is not None:
            self.events.append(found)
            if len(self.events) > MAX_EVENTS:
                raise PastError(
                    f"more than {MAX_EVENTS:,} events are in this history; train on an earlier --until, or on one --component"
                )


@dataclass(slots=True)
class _Looks:
    """The units of every so many days, as the engine told them. chosen: terminals, all where it is None."""

    scope: Scope
    every: int
    chosen: frozenset[str] | None
    units: dict[tuple[str, str], int] = field(default_factory=dict)
    named: dict[int, Unit] = field(default_factory=dict)
    unit: list[Ints] = field(default_factory=list)
    at: list[Ints] = field(default_factory=list)
    worn: list[NDArray[np.float32]] = field(default_factory=list)
    strayed: list[NDArray[np.float32]] = field(default_factory=list)

    def __call__(self, now: int, asked: Asked) -> None:
        if now // DAY_NS % self.every or now > self.scope.until:
            return
        mine = [
            i
            for i, each in enumerate(asked.units)
            if (self.chosen is None or each.terminal in self.chosen) and self.scope.covers(each.kind)
        ]
        index = np.array([self._index(asked.units[i]) for i in mine], np.int64)
        self.unit.append(index)
        self.at.append(np.full(len(index), now, np.int64))
        self.worn.append(asked.worn[mine])
        if asked.strayed is not None:
            self.strayed.append(asked.strayed[mine])

    def _index(self, unit: Unit) -> int:
        index = self.units.setdefault((unit.terminal, unit.kind), len(self.units))
        self.named[index] = unit
        return index


def panel_of(db: Db, tables: Tables, scope: Scope, progress: Progress = lambda _at, _share: None) -> FromStore:
    """db: in one consistent state. Raises PastError where there is nothing to make rows of."""
    first, fleet = _fleet(db, tables, scope)
    if not fleet:
        raise PastError("the store knows no such part; train when terminals have reported for some months")
    days = max((scope.until - first) // DAY_NS, 0)
    every, chosen = _looks(fleet, days, scope)
    looks, failed = _Looks(scope, every, chosen), Failed()
    engine = Engine(_only_wear(tables), gather=looks)
    heard = _Heard(engine, failed)
    past = Past(db, frames=False)
    known = Surroundings()
    feed = Feed(heard, known, db, past.fault)
    known.events.open(db)
    unusual = _unusual(db, scope.until)
    held = next(unusual, None)
    for logged, columns in past.walk(scope.until, progress):
        entry = logged.entry
        while held is not None and held.at <= entry.at:
            heard.happened(held)
            held = next(unusual, None)
        feed.events(entry.at)
        engine.advance(entry.at)
        feed.entry(logged)
        if columns:
            engine.read(entry.terminal, columns, entry.at)
            for column in columns:
                # Of a part that nothing wears and nobody measures it is enough that it is there.
                if not fleet.get(entry.terminal, {}).get(column.component, False):
                    past.hours.leave(entry.terminal, column.component)
    known.events.shut()
    engine.advance(scope.until)
    return FromStore(_panel(looks, heard.events, failed, scope), tuple(looks.named[i] for i in range(len(looks.named))),
                     len(chosen) if chosen is not None else len(fleet), len(fleet), every, past.told)  # fmt: skip


def _only_wear(tables: Tables) -> Tables:
    """What is unusual and what runs out was found when it happened, and stands in the store."""
    return replace(tables, unjudged=tables.gauges | tables.counters, watch=Watch({}, {}))


def _fleet(db: Db, tables: Tables, scope: Scope) -> tuple[int, dict[str, dict[str, bool]]]:
    """When the first terminal was enrolled, and of each terminal its parts: whether one of their signals tells wear, or may stray."""
    from tillwatch.collector.terminal.fleet import Component  # noqa: PLC0415 - the fold's own

    row = db.execute("SELECT min(enrolled_at) FROM terminal").fetchone()
    needed = life_signals(tables.lives) | tables.compared
    fleet: dict[str, dict[str, bool]] = {}
    for terminal, name, state in db.execute("SELECT terminal, name, state FROM component ORDER BY terminal, name"):
        series = Component.unpack(name, state).series
        if scope.covers(unit_of(name)):
            fleet.setdefault(terminal, {})[name] = any(signal in needed for signal in series)
    return int(row[0] or 0), fleet


def _looks(fleet: Mapping[str, Mapping[str, bool]], days: int, scope: Scope) -> tuple[int, frozenset[str] | None]:
    """How often it is looked, in days, and at which terminals (None: all), so that there are no more rows than may be."""
    units = {terminal: len({unit_of(name) for name in parts}) for terminal, parts in fleet.items()}
    rows_a_look = sum(units.values())
    longest = max(scope.horizon // DAY_NS // LEAST_LOOKS, 1)
    every = min(max(-(-rows_a_look * days // scope.most), 1), longest)
    if rows_a_look * days // every <= scope.most:
        return every, None
    share = scope.most * every / (rows_a_look * days)
    count = max(int(len(units) * share), 1)
    return every, frozenset(random.Random(SEED).sample(sorted(units), count))  # noqa: S311 - a draw, no secret


def _unusual(db: Db, until: int) -> Iterator[Happened]:
    """What the engine found unusual, when it did."""
    found = db.execute(
        "SELECT begun, terminal, component FROM finding WHERE family = ? AND begun <= ? ORDER BY begun, id",
        (ANOMALY, until),
    )
    return (Happened(at, SEEN_UNUSUAL, terminal, component) for at, terminal, component in found)


def _panel(looks: _Looks, events: Iterable[Event], failed: Failed, scope: Scope) -> Panel:
    unit = np.concatenate(looks.unit) if looks.unit else np.zeros(0, np.int64)
    at = np.concatenate(looks.at) if looks.at else np.zeros(0, np.int64)
    worn = np.concatenate(looks.worn) if looks.worn else np.zeros(0, np.float32)
    strayed = np.concatenate(looks.strayed) if looks.strayed else np.zeros((0, len(NAMES)), np.float32)
    units = [looks.named[i] for i in range(len(looks.named))]
    if not len(unit):
        raise PastError("no part was seen over a whole day of this time; give another --until, or wait")
    times = [(looks.units[name], when) for name, when in failed.times() if name in looks.units]
    pairs = np.array(times, np.int64).reshape(-1, 2)
    hits, _ = labels(
        unit, at, failed_unit=pairs[:, 0], failed_at=pairs[:, 1], horizon=scope.horizon, seen_until=scope.until
    )
    # Of the last horizon only those that failed are known: kept alone, they would teach that everything fails in the end.
    keep = (at + scope.horizon <= scope.until) & ~_down(looks.units, failed.over(scope.until), unit, at)
    unit, at, hits = unit[keep], at[keep], hits[keep]
    features = rows(units, events, unit, at, worn[keep], strayed[keep])
    return Panel(unit, at, features, hits, scope.horizon, looks.every * DAY_NS)


def _down(
    units: Mapping[tuple[str, str], int], over: Iterable[tuple[tuple[str, str], int, int]], unit: Ints, at: Ints
) -> NDArray[np.bool_]:
    """Rows at which the unit was broken already."""
    order = np.lexsort((at, unit))
    ordered, down = unit[order], np.zeros(len(unit), np.bool_)
    for name, since, until in over:
        index = units.get(name)
        if index is None:
            continue
        first, last = np.searchsorted(ordered, index), np.searchsorted(ordered, index, side="right")
        mine = order[first:last]
        here = at[mine]
        down[mine[np.searchsorted(here, since) : np.searchsorted(here, until)]] = True
    return down
