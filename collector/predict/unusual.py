"""From a tick of readings to findings of what is unusual: one a part, with what was usual and what is. senses.py looks, anomalies.py decides, this one says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tillwatch.agent.model import device_of
from tillwatch.collector.detect.lasting import NEW, increments, lasting
from tillwatch.collector.detect.streaming.surprise import Part
from tillwatch.collector.predict.anomalies import (
    DAYS,
    DEVICE,
    EXPLAINED_NS,
    PEERS,
    RENEWED_NS,
    SERIES,
    SOURCES,
    Anomalies,
)
from tillwatch.collector.predict.buffer import Readings
from tillwatch.collector.predict.daily import Daily
from tillwatch.collector.predict.failures import Failures
from tillwatch.collector.predict.finding import (
    ANOMALY,
    LATER,
    MAX_FACTORS,
    MAX_READINGS,
    OPEN,
    Finding,
    Happened,
    finding_id,
    kind_of,
)
from tillwatch.collector.predict.foretold import plain
from tillwatch.collector.predict.ledger import Ledger
from tillwatch.collector.predict.peering import Group, Odd, Peers
from tillwatch.collector.predict.record import Records
from tillwatch.collector.predict.senses import Seen, Senses
from tillwatch.collector.predict.series import Registry
from tillwatch.collector.predict.settings import DAY_NS, Tables
from tillwatch.collector.tickets.words import zone_of

REASONS = {
    Part.LEVEL: "anomaly.level",
    Part.DRIFT: "anomaly.drift",
    Part.NOVELTY: "anomaly.novelty",
    Part.SEASONAL: "anomaly.seasonal",
}
DETECTORS = {source: f"{ANOMALY}/{source}" for source in SOURCES}
EXPLAIN = frozenset({"raised", "cleared", "verdict", "maintained"})
"""Of `Happened`."""
NOTABLE = 3.0
"""Nats: a signal that is unusual once in twenty values is shown beside the strongest one."""
MINUTE_NS = 60 * 10**9


class Unusual:
    def __init__(
        self,
        tables: Tables,
        registry: Registry,
        daily: Daily,
        records: Records,
        ledger: Ledger,
        failures: Failures,
    ) -> None:
        self._tables = tables
        self._registry = registry
        self._records = records
        self._ledger = ledger
        self._failures = failures
        self.senses = Senses(tables.learn_ns)
        self._daily = daily
        self.peering = Peers(tables, registry, daily)
        self.anomalies = Anomalies(tables)
        self.late = 0
        self._part_of_row = np.zeros(0, np.intp)
        self._joined = 0
        self._rows_yesterday = 0
        self._zones: dict[str, int] = {"": 0}
        self._clocks: list[tzinfo] = [UTC]
        self._zone_of: dict[str, int] = {}
        self._zone_of_row = np.zeros(0, np.int16)

    def zone(self, terminal: str, name: str) -> None:
        """The clock by which a terminal's weeks go."""
        index = self._zones.get(name)
        if index is None:
            index = self._zones[name] = len(self._clocks)
            self._clocks.append(zone_of(name))
        if self._zone_of.get(terminal, 0) != index:
            self._zone_of[terminal] = index
            rows = [row for row in self._registry.rows_of(terminal) if row < len(self._zone_of_row)]
            self._zone_of_row[rows] = index

    def grow(self) -> None:
        """What is new in the registry since the last call."""
        have = len(self._part_of_row)
        if len(self._registry) > have:
            self.senses.grow(self._registry)
            new = self._registry.component[have:]
            self._part_of_row = np.concatenate([self._part_of_row, np.array(new, np.intp)])
            zones = [self._zone_of.get(terminal, 0) for terminal, _, _ in self._registry.names[have:]]
            self._zone_of_row = np.concatenate([self._zone_of_row, np.array(zones, np.int16)])
        self.anomalies.grow(self._registry)

    def tick(self, bucket: int, readings: Readings) -> Sequence[str]:
        """Readings of one tick. Returns the terminals whose findings changed."""
        order = np.lexsort((readings.at, readings.rows))
        rows = readings.rows[order]
        last = order[np.flatnonzero(np.r_[rows[1:] != rows[:-1], True])]
        new = self.senses.bucket[readings.rows[last]] < bucket
        self.late += int(len(new) - new.sum())
        last = last[new]
        if not len(last):
            return ()
        mine = readings.rows[last].astype(np.intp)
        at = readings.at[last]
        seen = self.senses.step(bucket, at, mine, readings.values[last], self._hours(at, mine))
        now = int(at.max())
        return [*self._series(seen, now), *self._devices(seen, now)]

    def _hours(self, at: NDArray[np.int64], rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Local hour of the week, of the tick's first reading: a tick lies within one hour."""
        seconds = int(at.min()) // 10**9
        hours = np.zeros(len(self._clocks), np.uint8)
        for index, clock in enumerate(self._clocks):
            local = datetime.fromtimestamp(seconds, clock)
            hours[index] = local.weekday() * 24 + local.hour
        return hours[self._zone_of_row[rows]]

    def _series(self, seen: Seen, now: int) -> Sequence[str]:
        learnt = np.flatnonzero((seen.part > 0) & ~self.senses.counts[seen.rows])
        if not len(learnt):
            return ()
        parts = self._part_of_row[seen.rows[learnt]]
        opened = self.anomalies.observe(SERIES, now, seen.rows[learnt], seen.nats[learnt])
        return [self._say(SERIES, part, seen, learnt[parts == part], row, now) for part, row in opened]

    def _devices(self, seen: Seen, now: int) -> Sequence[str]:
        found = self.senses.devices(seen)
        opened = self.anomalies.observe(DEVICE, now, found.parts, found.nats)
        said = []
        for part, _ in opened:
            terminal, device = self._registry.components[part]
            if any(
                f.family == ANOMALY and device_of(f.component) == device for f in self._ledger.of_terminal(terminal)
            ):
                self.anomalies.close(part)  # one of its parts is told of already
                continue
            row = int(found.rows[found.parts == part][0])
            said.append(self._say(DEVICE, part, seen, np.flatnonzero(seen.rows == row), row, now))
        return said

    def _say(self, source: str, part: int, seen: Seen, mine: NDArray[np.intp], row: int, now: int) -> str:
        """mine: places in `seen` of what it rests on; row: of the registry, what is farthest from usual."""
        _, component = self._registry.components[part]
        order = mine[np.lexsort((-seen.nats[mine], seen.rows[mine] != row))]
        first = order[0]
        signal = self._registry.names[row][2]
        unit = self._tables.units.get(signal, "")
        if unit and self._registry.counts[row]:
            unit = f"{unit}/h"
        notable = [i for i in order if i == first or seen.nats[i] >= NOTABLE]
        names = [self._registry.names[int(seen.rows[i])] for i in notable]
        values: dict[str, Any] = {"what": signal, "unit": unit, "value": plain(seen.values[first])}
        if source == DEVICE:
            values["device"] = component
        else:
            values |= {"low": plain(seen.low[first]), "high": plain(seen.high[first])}
        reason = REASONS.get(Part(int(seen.part[first])), "anomaly.level") if source == SERIES else "anomaly.device"
        shown = [(n, plain(seen.values[i]), round(float(seen.nats[i]), 2)) for n, i in zip(names, notable, strict=True)]
        return self._tell(source, part, signal, reason, values, shown, now)

    def _tell(
        self,
        source: str,
        part: int,
        signal: str,
        reason: str,
        values: Mapping[str, Any],
        shown: Sequence[tuple[tuple[str, str, str], float, float]],
        now: int,
    ) -> str:
        """shown: name, value and nats of the series that it rests on, the strongest first."""
        terminal, component = self._registry.components[part]
        detector, kind = DETECTORS[source], kind_of(component)
        record = self._records.record(detector, kind)
        finding = Finding(
            id=finding_id(detector, terminal, component, now), detector=detector, family=ANOMALY, terminal=terminal, component=component,
            kind=kind, signal=signal, status=OPEN, word=LATER, begun=now, at=now, reason=reason, values=values,
            factors=tuple((name[2], value, nats) for name, value, nats in shown)[:MAX_FACTORS],
            readings=tuple((name[1], name[2], now, value) for name, value, _ in shown)[:MAX_READINGS],
            record=record, demoted=record.demoted, model=self._tables.digest,
        )  # fmt: skip
        if self._ledger.put(finding):
            self._failures.unusual(terminal, component, now)
            for given_up in self._records.opened(finding, now):
                self._ledger.judged(given_up.id, given_up.outcome, now)
        return terminal

    def peers(self, day: int, now: int, group: Group) -> Sequence[str]:
        """Parts against their like, of the day that is over. They are looked at next tomorrow. Returns the terminals whose findings changed."""
        strongest: dict[int, Odd] = {}
        for odd in self.peering.day(day, group):
            part = int(self._part_of_row[odd.row])
            if part not in strongest or odd.nats > strongest[part].nats:
                strongest[part] = odd
        parts = np.array(list(strongest), np.intp)
        nats = np.array([each.nats for each in strongest.values()], np.float32)
        said = []
        for part, _ in self.anomalies.observe(PEERS, now, parts, nats, now + DAY_NS):
            odd = strongest[part]
            name = self._registry.names[odd.row]
            values = {
                "what": name[2], "unit": self._tables.units.get(name[2], ""), "value": plain(odd.value), "low": plain(odd.low),
                "high": plain(odd.high), "peers": odd.peers,
            }  # fmt: skip
            shown = [(name, plain(odd.value), round(odd.nats, 2))]
            said.append(self._tell(PEERS, part, name[2], "anomaly.peers", values, shown, now))
        return said

    def days(self, day: int, now: int) -> Sequence[str]:
        """Series over days, of the day that is over. They are looked at next tomorrow. Returns the terminals whose findings changed."""
        judged = np.flatnonzero(np.array(self._registry.judged, np.bool_))
        if not len(judged):
            return ()
        counts = np.array(self._registry.counts, np.bool_)[judged]
        values, last = self._daily.window("mean", judged, day), self._daily.window("last", judged, day)
        values[counts] = increments(last[counts])
        # Of a count one more or less is no news, of what is told in whole numbers a step of one is none.
        steps = np.where(_whole(last), np.float32(1), np.float32(0))
        least = np.where(counts, np.float32(1 / NEW), steps)
        found = lasting(values, least)
        known = np.flatnonzero(np.isfinite(found.z))
        said = []
        for part, row in self.anomalies.observe(DAYS, now, judged[known], found.z[known], now + DAY_NS):
            place = int(np.searchsorted(judged, row))
            name = self._registry.names[row]
            unit = self._tables.units.get(name[2], "")
            values_said = {
                "what": name[2], "unit": f"{unit}/d" if unit and counts[place] else unit, "value": plain(found.value[place]),
                "low": plain(found.low[place]), "high": plain(found.high[place]),
            }  # fmt: skip
            shown = [(name, plain(found.value[place]), round(float(found.z[place]), 2))]
            said.append(self._tell(DAYS, part, name[2], "anomaly.days", values_said, shown, now))
        return said

    def happened(self, event: Happened) -> None:
        """What explains what is unusual there, and is told by others."""
        if event.what in EXPLAIN:
            self.anomalies.explained(self._registry, event.terminal, event.component, event.at + EXPLAINED_NS)

    def renewed(self, terminal: str, component: str, at: int) -> None:
        """A part was replaced: the new one has habits of its own."""
        self.anomalies.explained(self._registry, terminal, component, at + RENEWED_NS)

    def settle(self, now: int) -> Sequence[str]:
        """Episodes that are over."""
        return [self._end(part, now) for part in self.anomalies.settle(now)]

    def _end(self, part: int, now: int) -> str:
        terminal, component = self._registry.components[part]
        detector = DETECTORS[SOURCES[int(self.anomalies.source[part])]]
        ended = self._ledger.end(detector, terminal, component, now)
        if ended is not None:
            for judged in self._records.closed(ended, now):
                self._ledger.judged(judged.id, judged.outcome, now)
        return terminal

    def end_day(self, now: int) -> None:
        """Thresholds of tomorrow, and the devices whose signals are known by now."""
        self.senses.join(self._registry, self._joined, self._rows_yesterday)
        self._joined, self._rows_yesterday = self._rows_yesterday, len(self._registry)
        self.anomalies.grow(self._registry)
        self.anomalies.end_day(self._registry, now)

    def watches(self, terminal: str, component: str) -> tuple[str, ...]:
        """Those that look at a component: it has a signal that has learnt what is usual."""
        rows = self._registry.rows_of(terminal)
        looked = any(
            row < len(self.senses.begun) and self.senses.begun[row] and self._registry.names[row][1] == component
            for row in rows
        )
        return (DETECTORS[SERIES], DETECTORS[DAYS]) if looked else ()

    def state(self) -> dict[str, Any]:
        return {
            "senses": self.senses.state(), "anomalies": self.anomalies.state(), "peers": self.peering.state(), "late": self.late, "joined": self._joined,
            "rows_yesterday": self._rows_yesterday,
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """The registry has been restored before."""
        self.senses.restore(state["senses"])
        self.anomalies.restore(state["anomalies"], self._registry)
        self.peering.restore(state["peers"])
        self.late, self._joined = int(state["late"]), int(state["joined"])
        self._rows_yesterday = int(state["rows_yesterday"])
        rows = len(self.senses.begun)
        self._part_of_row = np.array(self._registry.component[:rows], np.intp)
        self._zone_of_row = np.zeros(rows, np.int16)


def _whole(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which rows have whole numbers only, beside nan."""
    found: NDArray[np.bool_] = (np.isnan(values) | (values == np.rint(values))).all(axis=1)
    return found
