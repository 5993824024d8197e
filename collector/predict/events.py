"""What predictions are held against, out of the store, in the order in which it happened: alarms that came and went, what technicians found, and that
somebody was there. Of each moment of the log it is the same whenever it is read, so whoever reads it again learns the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgpack

from tillwatch.collector.alarm.alarms import MAINTENANCE
from tillwatch.collector.alarm.rules import PREDICTED, Rules
from tillwatch.collector.incident.incidents import CONSEQUENCE, ROOT
from tillwatch.collector.predict.finding import Happened
from tillwatch.collector.store.db import Db

_ALARMS = """
    SELECT e.seq, e.at, e.alarm, e.kind, e.level, e.detail, a.rule, a.terminal, a.component
    FROM alarm_event e JOIN alarm a ON a.id = e.alarm
    WHERE e.seq > ? AND e.kind IN ('raised', 'recurred', 'cleared', 'not told') AND a.drill = 0 ORDER BY e.seq
"""
_INCIDENTS = """
    SELECT e.seq, e.at, e.incident, e.kind, e.body FROM incident_event e
    WHERE e.seq > ? AND e.kind IN ('verdict', 'in_repair') ORDER BY e.seq
"""
_JOINED = "SELECT body FROM incident_event WHERE incident = ? AND kind = 'joined' AND seq < ? ORDER BY seq"
_ALARM = "SELECT rule, terminal, component FROM alarm WHERE id = ? AND drill = 0"

Row = tuple[int, Happened]
"""(seq, what happened)."""


@dataclass(slots=True)
class _Stream:
    """Rows of one table behind `seq`, in its order. at: of the last one; a row never counts as earlier than the one before it."""

    seq: int
    at: int
    rows: Iterator[Row] = field(default=iter(()))
    ahead: Row | None = None

    def due(self, until: int) -> Happened | None:
        """The next one, if it happened by then (UTC ns)."""
        if self.ahead is None and (row := next(self.rows, None)) is not None:
            self.ahead = row[0], replace(row[1], at=max(row[1].at, self.at))
        return self.ahead[1] if self.ahead is not None and self.ahead[1].at <= until else None

    def taken(self) -> None:
        assert self.ahead is not None
        (self.seq, event), self.ahead = self.ahead, None
        self.at = event.at


class Events:
    """cursor: [seq, at] of alarms and of incidents, of what was read last."""

    def __init__(self, cursor: list[list[int]] | None = None) -> None:
        (alarm, alarm_at), (incident, incident_at) = cursor or ((0, 0), (0, 0))
        self._alarms, self._incidents = _Stream(alarm, alarm_at), _Stream(incident, incident_at)

    @property
    def cursor(self) -> list[list[int]]:
        return [[each.seq, each.at] for each in (self._alarms, self._incidents)]

    def open(self, db: Db) -> None:
        """Read on, in the one state of the store that `db` is in until `shut`."""
        self._alarms.rows = _alarms(db, self._alarms.seq)
        self._incidents.rows = _incidents(db, self._incidents.seq)

    def shut(self) -> None:
        for each in (self._alarms, self._incidents):
            each.rows, each.ahead = iter(()), None

    def until(self, at: int, rules: Rules) -> Iterator[Happened]:
        """All up to this time, UTC ns. rules: of that time."""
        while True:
            found = [(event.at, i, event) for i, each in enumerate(self._each()) if (event := each.due(at)) is not None]
            if not found:
                return
            _, i, event = min(found, key=lambda one: one[:2])
            self._each()[i].taken()
            rule = rules.by_id.get(event.rule)
            yield replace(event, party=rule.party) if rule is not None else event

    def _each(self) -> tuple[_Stream, _Stream]:
        return self._alarms, self._incidents


def _alarms(db: Db, after: int) -> Iterator[Row]:
    """One that rose within planned work tells of the work: it is left out."""
    held: list[tuple[int, int, Row]] = []
    for seq, at, alarm, kind, level, detail, rule, terminal, component in db.execute(_ALARMS, (after,)):
        while held and held[0][1] < at:
            yield held.pop(0)[2]
        if kind == "not told":
            if msgpack.unpackb(detail).get("because") == MAINTENANCE:
                held = [each for each in held if each[0] != alarm]
            continue
        if rule not in PREDICTED:
            what = "cleared" if kind == "cleared" else "raised"
            held.append((alarm, at, (seq, Happened(at, what, terminal, component, rule, level=level))))
    yield from (row for _, _, row in held)


def _incidents(db: Db, after: int) -> Iterator[Row]:
    for seq, at, incident, kind, packed in db.execute(_INCIDENTS, (after,)):
        value = str(msgpack.unpackb(packed).get("verdict", "")) if kind == "verdict" else ""
        what = "verdict" if kind == "verdict" else "maintained"
        for rule, terminal, component in _own(db, incident, seq):
            yield seq, Happened(at, what, terminal, component, rule, value, incident=incident)


def _own(db: Db, incident: str, before: int) -> Iterator[tuple[str, str, str]]:
    """What was broken in it by then, each alarm once."""
    roles: dict[int, str] = {}
    for (packed,) in db.execute(_JOINED, (incident, before)):
        joined: Mapping[str, Any] = msgpack.unpackb(packed)
        roles[int(joined["alarm"])] = str(joined["role"])
    for alarm, role in roles.items():
        row = db.execute(_ALARM, (alarm,)).fetchone() if role in (ROOT, CONSEQUENCE) else None
        if row is not None:
            yield row
