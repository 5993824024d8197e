"""Trends to limits and run-outs, once a day, all series of one entry of the table at once; sensors that say low before they say out, one by one. The
detectors are those of collector/detect; here stands which series they look at, and what is kept for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tillwatch.collector.detect import runout, trend
from tillwatch.collector.detect.days_left import no_scores, remember, width
from tillwatch.collector.predict.daily import Daily
from tillwatch.collector.predict.finding import RUNOUT, TREND
from tillwatch.collector.predict.foretold import REFILLED, Foretold, Renewed, plain
from tillwatch.collector.predict.series import NONE, Registry
from tillwatch.collector.predict.settings import DAY_NS, Tables
from tillwatch.collector.predict.watched import Watched

OF = {"last": "last", "mean": "mean", "min": "least", "max": "most"}
"""The table's words for the daily values."""
STALE_DAYS = 3
"""A series that was not read for longer says nothing of tomorrow."""
LATE_DAYS = 7
"""Days that are put once more where they came late: a terminal that was cut off for a week tells what it read."""
WEEK = 7
SHOWN_DAYS = 6
"""Daily values that a finding carries: the chart leads to the rest."""

Index = NDArray[np.intp]
Floats = NDArray[np.float64]


@dataclass(slots=True)
class Group:
    """The series of one entry. rows, wholes: of the registry, wholes NONE where there is none; scores: how wrong past forecasts were; stores: of a run-out."""

    watched: Watched
    rows: list[int] = field(default_factory=list)
    wholes: list[int] = field(default_factory=list)
    scores: NDArray[np.float32] = field(default_factory=lambda: no_scores(0))
    stores: runout.Stores = field(default_factory=lambda: runout.unknown(0))

    def grow(self) -> None:
        more = len(self.rows) - len(self.scores)
        if more > 0:
            self.scores = np.concatenate([self.scores, no_scores(more)])
            if self.watched.kind == RUNOUT:
                have, new = self.stores._asdict(), runout.unknown(more)._asdict()
                self.stores = runout.Stores(**{name: np.concatenate([have[name], new[name]]) for name in have})


class Expected:
    """sensors: (entry, terminal, component) -> what is known of the sensor."""

    def __init__(self, tables: Tables, registry: Registry, daily: Daily) -> None:
        self._tables = tables
        self._registry = registry
        self._daily = daily
        self._groups = {each.id: Group(each) for each in tables.watch.by_id.values() if each.kind != "sensor"}
        self._sensors: dict[tuple[str, str, str], tuple[runout.Episodes, str]] = {}
        self._looked = 0

    def word(self, terminal: str, component: str, signal: str, at: int, word: str) -> None:
        """A sensor's word, UTC ns. In order of time for each sensor."""
        for watched in self._tables.watch.of(signal, component):
            if watched.sensed is not None:
                key = watched.id, terminal, component
                state, _ = self._sensors.get(key, (runout.Episodes(), ""))
                self._sensors[key] = runout.sense(state, watched.sensed, at, word), signal

    def watches(self, terminal: str, component: str) -> Iterator[str]:
        """Detectors that look at a component."""
        for row in self._registry.rows_of(terminal):
            _, part, signal = self._registry.names[row]
            if part == component:
                yield from (
                    _detector(each) for each in self._tables.watch.of(signal, component) if each.kind != "sensor"
                )

    def day(self, day: int) -> tuple[list[Foretold], list[Renewed]]:
        """The day is over, and its values are in."""
        self._look()
        said: list[Foretold] = []
        renewed: list[Renewed] = []
        for group in self._groups.values():
            if not group.rows:
                continue
            group.grow()
            rows = np.array(group.rows, np.intp)
            if group.watched.kind == TREND:
                said += self._trend(group, rows, day)
            else:
                renewed += self._put(group, rows, day)
                said += self._runout(group, rows, day)
        said += self._low(day)
        return said, renewed

    def _look(self) -> None:
        """Series that are new since yesterday."""
        for row in range(self._looked, len(self._registry)):
            _, component, signal = self._registry.names[row]
            for watched in self._tables.watch.of(signal, component):
                if watched.id in self._groups:
                    self._groups[watched.id].rows.append(row)
                    self._groups[watched.id].wholes.append(NONE)
        self._looked = len(self._registry)
        for group in self._groups.values():
            if group.watched.whole:
                names = (self._registry.names[row] for row in group.rows)
                group.wholes = [
                    self._registry.known(terminal, part, group.watched.whole) for terminal, part, _ in names
                ]

    def _limits(self, group: Group) -> Floats:
        """In the signal's unit, nan where it is not known."""
        watched, rules = group.watched, self._tables.rules
        if not watched.share:
            limit = watched.limit_at(rules)
            return np.full(len(group.rows), np.nan if limit is None else limit)
        limits = [watched.limit_at(rules, None if np.isnan(whole) else float(whole)) for whole in self._wholes(group)]
        return np.array([np.nan if limit is None else limit for limit in limits], np.float64)

    def _wholes(self, group: Group) -> Floats:
        wholes = np.array(group.wholes, np.intp)
        return np.where(wholes == NONE, np.nan, self._daily.value[np.maximum(wholes, 0)])

    def _trend(self, group: Group, rows: Index, day: int) -> Iterator[Foretold]:
        watched = group.watched
        values = self._daily.window(OF[watched.of], rows, day)
        fitted = trend.fit(values)
        limits = self._limits(group)
        found = trend.time_to(fitted, limits, width(group.scores, group.scores.ravel()), rising=watched.rising)
        if day % WEEK == 0:
            remember(group.scores, day // WEEK, trend.score(values))
        fresh = self._daily.newest[rows] > day - STALE_DAYS
        for place in np.flatnonzero(found.speaks(watched.horizon) & fresh & np.isfinite(limits)):
            left = found.of(int(place))
            kind = "reached" if left.high <= 0 else "rising" if watched.rising else "falling"
            numbers = {"slope": plain(abs(fitted.slope[place])), "limit": plain(limits[place])}
            yield self._foretold(group, int(place), day, TREND, left, f"trend.{kind}", values[place], numbers)

    def _put(self, group: Group, rows: Index, day: int) -> Iterator[Renewed]:
        limits, wholes = self._limits(group), self._wholes(group)
        for each in range(day - LATE_DAYS + 1, day + 1):
            here = np.flatnonzero((self._daily.count(rows, each) > 0) & np.isfinite(limits))
            if not len(here):
                continue
            room = {name: self._room(group, rows[here], limits[here], name, each) for name in ("least", "most", "last")}
            least, most = np.minimum(room["least"], room["most"]), np.maximum(room["least"], room["most"])
            filled = runout.put(group.stores, here, each, least, most, room["last"], wholes[here])
            for place in here[filled]:
                terminal, component, _ = self._registry.names[group.rows[place]]
                yield Renewed(terminal, component, each * DAY_NS + DAY_NS // 2, REFILLED)

    def _room(self, group: Group, rows: Index, limits: Floats, name: str, day: int) -> Floats:
        """Units left until the limit, of one of the day's values."""
        values = self._daily.of_day(name, rows, day).astype(np.float64)
        return np.maximum(limits - values if group.watched.rising else values - limits, 0.0)

    def _runout(self, group: Group, rows: Index, day: int) -> Iterator[Foretold]:
        used = runout.window(group.stores, day)
        habit = runout.sudden(used, group.stores.full, runout.use(used))
        found = runout.days_left(group.stores.level, habit, width(group.scores, group.scores.ravel()))
        if day % WEEK == 0:
            remember(group.scores, day // WEEK, runout.score(used))
        fresh = (group.stores.last > day - STALE_DAYS) & np.isfinite(group.stores.level)
        for place in np.flatnonzero(found.speaks(group.watched.horizon) & fresh & runout.missed(group.stores, day)):
            values = self._daily.window("last", rows[place : place + 1], day)[0]
            numbers = {"used": plain(float(np.mean(habit.mean[place])))}
            left = found.of(int(place))
            reason = "runout.reached" if left.high <= 0 else "runout.used"
            yield self._foretold(group, int(place), day, RUNOUT, left, reason, values, numbers)

    def _foretold(
        self,
        group: Group,
        place: int,
        day: int,
        family: str,
        left: Any,
        reason: str,
        values: NDArray[np.float32],
        numbers: Mapping[str, float],
    ) -> Foretold:
        row, watched = group.rows[place], group.watched
        terminal, component, signal = self._registry.names[row]
        days: list[int] = np.flatnonzero(np.isfinite(values)).tolist()[-SHOWN_DAYS:]
        first = day - len(values) + 1
        readings = tuple((component, signal, (first + i) * DAY_NS + DAY_NS // 2, plain(values[i])) for i in days)
        shown = {
            "text": watched.text_en, "text.zh": watched.text_zh, "what": signal, "unit": self._tables.units.get(signal, ""),
            "value": plain(self._daily.value[row]), **numbers,
        }  # fmt: skip
        return Foretold(
            _detector(watched), family, terminal, component, signal, left, watched.lead, reason, shown, (), readings
        )

    def _low(self, day: int) -> Iterator[Foretold]:
        now = (day + 1) * DAY_NS
        for (entry, terminal, component), (state, signal) in self._sensors.items():
            watched = self._tables.watch.by_id.get(entry)
            if watched is None or not state.since:
                continue
            left, held = runout.after_low(state, now)
            if not left.silent(watched.horizon):
                shown = {
                    "text": watched.text_en,
                    "text.zh": watched.text_zh,
                    "what": signal,
                    "since_at": state.since,
                    "held_share": plain(held),
                }
                readings = ((component, signal, state.since, "low"),)
                yield Foretold(
                    _detector(watched), RUNOUT, terminal, component, signal, left, watched.lead, "runout.sensor", shown, (), readings
                )  # fmt: skip

    def state(self) -> dict[str, Any]:
        return {
            "looked": self._looked,
            "groups": {
                name: {
                    "rows": list(g.rows),
                    "wholes": list(g.wholes),
                    "scores": g.scores,
                    "stores": dict(g.stores._asdict()),
                }
                for name, g in self._groups.items()
            },
            "sensors": [[*key, asdict(state), signal] for key, (state, signal) in self._sensors.items()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """An entry that the tables no longer have is left out; one that they did not have begins with the series that come."""
        self._looked = int(state["looked"])
        for name, held in state["groups"].items():
            if name in self._groups:
                group = self._groups[name]
                group.rows, group.wholes = [int(r) for r in held["rows"]], [int(r) for r in held["wholes"]]
                group.scores = np.array(held["scores"], np.float32)
                kinds = {field: array.dtype for field, array in group.stores._asdict().items()}
                group.stores = runout.Stores(
                    **{field: np.array(held["stores"][field], kind) for field, kind in kinds.items()}
                )
        for entry, terminal, component, facts, signal in state["sensors"]:
            lasted = {name: tuple(facts[name]) for name in ("lengths", "longer")}
            self._sensors[entry, terminal, component] = runout.Episodes(**{**facts, **lasted}), signal


def _detector(watched: Watched) -> str:
    return f"{TREND if watched.kind == TREND else RUNOUT}/{watched.id}"
