"""Reads the log of a period from the store, read-only, beside a running collector: the only place in figures/ that knows tables. What is read is
bounded by the period, not by the age of the store.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

import msgpack

from tillwatch.collector.alarm.alarms import SHELF_NS, SHELVED
from tillwatch.collector.alarm.drills import WATCHDOG
from tillwatch.collector.alarm.rules import PREDICTED, Rules, parse_rules
from tillwatch.collector.duty.policy import Policy, parse_policy
from tillwatch.collector.figures.availability import HEARD, History
from tillwatch.collector.figures.kpi import Delivery
from tillwatch.collector.figures.load import Shelf, Standing, Turn
from tillwatch.collector.figures.rollup import FLEET, Log, Place, Progress, Scope
from tillwatch.collector.incident.incidents import COLUMNS, Incident
from tillwatch.collector.records import IncidentEvent, StateChange
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.folded import correction_of, late_of, state_of
from tillwatch.collector.terminal.fleet import Component

BUSY_S = 10.0
"""Waiting for the collector, which holds the file for milliseconds."""
MAKER = "identity.maker"
MACHINE = "host"
"""The component that tells who made the machine itself."""

_ANCHOR = """
    SELECT seq, since, at, kind, body FROM state_change WHERE terminal = :terminal AND since < :before AND kind = 'state'
    ORDER BY seq DESC LIMIT 1
"""
_STATES = """
    SELECT since, at, kind, body FROM state_change WHERE terminal = :terminal AND since >= :since AND since < :end AND seq >= :seq ORDER BY seq
"""
_LATE = "SELECT t0, t1, body FROM late_span WHERE terminal = :terminal AND t0 < :end AND t1 > :start ORDER BY seq"
_CORRECTIONS = (
    "SELECT n, t0, t1, body FROM correction WHERE terminal = :terminal AND t0 < :end AND t1 > :start ORDER BY n"
)
_INCIDENTS = f"SELECT {COLUMNS} FROM incident WHERE opened_at >= :start ORDER BY opened_at, corr_id"  # noqa: S608 - a constant list of columns
_EVENTS = """
    SELECT e.incident, e.kind, e.at, e.body FROM incident_event e JOIN incident i ON i.corr_id = e.incident
    WHERE i.opened_at >= :start AND i.opened_at < :end ORDER BY e.seq
"""
_TURNS = """
    SELECT e.alarm, e.at, e.kind, a.rule, a.terminal, a.component, e.level, a.drill,
        CASE WHEN a.acked_at <> 0 OR EXISTS (
            SELECT 1 FROM incident_event p WHERE p.incident = a.incident AND p.kind IN ('acknowledged', 'assigned', 'in_repair')
        ) THEN 1 WHEN a.condition = 'normal' THEN 0 END
    FROM alarm_event e JOIN alarm a ON a.id = e.alarm
    WHERE e.at >= :start AND e.at < :end AND e.kind IN ('raised', 'recurred', 'cleared') ORDER BY e.at, e.seq
"""
_MUTED = "SELECT alarm, at FROM alarm_event WHERE at >= :start AND at < :end AND kind IN ('masked', 'not told')"
_EPISODES = """
    SELECT rule, terminal, component, level, raised_at, cleared_at, drill FROM alarm
    WHERE raised_at < :end AND (cleared_at = 0 OR cleared_at > :start) ORDER BY id
"""
_SHELVES = """
    SELECT e.alarm, e.kind, e.at, e.detail, a.rule, a.terminal, a.component FROM alarm_event e JOIN alarm a ON a.id = e.alarm
    WHERE e.at >= :start AND e.at < :end AND e.kind IN ('masked', 'unmasked') ORDER BY e.seq
"""
_DELIVERIES = """
    SELECT o.incident, o.level, o.created_at, coalesce(o.done_at, 0), i.terminal, i.branch, i.region
    FROM outbox o JOIN incident i ON i.corr_id = o.incident WHERE o.created_at >= :start AND o.created_at < :end AND o.op <> 'notify' AND i.drill = 0 ORDER BY o.id
"""
_LAST_ROWS = "SELECT (SELECT count(*) FROM correction), (SELECT max(n) FROM correction), (SELECT max(seq) FROM late_span), (SELECT max(until) FROM outage)"
_BELONGING = "SELECT id, branch, region, class FROM terminal ORDER BY id"


def read_policy(db: Db) -> Policy:
    """The policy that is in force, as it stands in the store."""
    row = db.execute("SELECT value FROM meta WHERE key = 'policy'").fetchone()
    if row is None:
        return parse_policy()
    shipped, site = msgpack.unpackb(row[0])
    return parse_policy(site, shipped=shipped, replay=True)


def read_rules(db: Db) -> Rules:
    """The table of rules that is in force: for what its alarms are called."""
    row = db.execute("SELECT value FROM meta WHERE key = 'rules'").fetchone()
    if row is None:
        return parse_rules()
    shipped, site = msgpack.unpackb(row[0])
    return parse_rules(site, shipped=shipped, replay=True)


def read_log(
    db: Db,
    start: int,
    end: int,
    scopes: Collection[Scope] = (FLEET,),
    progress: Progress = lambda _, __: None,
    within: Scope = FLEET,
) -> Log:
    """All that is needed for the figures of [start, end) of the terminals that are in any of the scopes, and in `within`, in one consistent state of the store. What
    was only foreseen is in none of them.
    """
    db.execute("BEGIN")
    try:
        return _read(db, start, end, frozenset(scopes), within, progress)
    finally:
        db.execute("COMMIT")


def read_time(db: Db, terminal: str, start: int, end: int) -> Log:
    """Of one terminal all that decides its time, and nothing of alarms and incidents. Raises KeyError for a terminal that there is none of."""
    db.execute("BEGIN")
    try:
        places = _places(db, frozenset({Scope("terminal", terminal)}))
        place = places[terminal]
        history = _history(db, terminal, start, end)
        outages = _outages(db, {"start": start, "end": end})
        return Log(known=_known(db), places={terminal: place}, histories={terminal: history}, outages=outages)
    finally:
        db.execute("COMMIT")


def _history(db: Db, terminal: str, start: int, end: int) -> History:
    wanted = {"terminal": terminal, "start": start, "end": end}
    return History(
        list(_states(db, terminal, start, end)),
        [late_of(terminal, *row) for row in db.execute(_LATE, wanted)],
        [correction_of(row[0], terminal, *row[1:]) for row in db.execute(_CORRECTIONS, wanted)],
    )


def _outages(db: Db, span: Mapping[str, Any]) -> list[tuple[int, int]]:
    """When the collector itself was away."""
    return db.execute(
        "SELECT since, until FROM outage WHERE since < :end AND until > :start ORDER BY since", span
    ).fetchall()


def _read(db: Db, start: int, end: int, scopes: frozenset[Scope], within: Scope, progress: Progress) -> Log:
    span: dict[str, Any] = {"start": start, "end": end}
    places = {name: place for name, place in _places(db, scopes).items() if within in place.scopes}
    parts = (scopes, frozenset({within}))
    histories = {}
    for done, name in enumerate(places):
        progress(done, len(places))
        histories[name] = _history(db, name, start, end)
    incidents = [
        incident
        for row in db.execute(_INCIDENTS, span)
        if _concerns(parts, places, (incident := Incident.of_row(row)).terminal, incident.branch, incident.region)
        and incident.fault not in PREDICTED
    ]
    events: dict[str, list[IncidentEvent]] = defaultdict(list)
    for name, kind, at, body in db.execute(_EVENTS, span):
        events[name].append(IncidentEvent(name, kind, at, msgpack.unpackb(body)))
    muted = set(db.execute(_MUTED, span))
    return Log(
        known=_known(db),
        places=places,
        histories=histories,
        outages=_outages(db, span),
        incidents=incidents,
        events=events,
        turns=[
            Turn(
                at,
                kind,
                rule,
                terminal,
                component,
                level,
                (alarm, at) in muted,
                bool(drill),
                None if acted is None else bool(acted),
            )
            for alarm, at, kind, rule, terminal, component, level, drill, acted in db.execute(_TURNS, span)
            if terminal in places and rule not in PREDICTED
        ],
        episodes=[
            Standing(rule, terminal, component, level, since, until, bool(drill))
            for rule, terminal, component, level, since, until, drill in db.execute(_EPISODES, span)
            if terminal in places and rule not in PREDICTED
        ],
        shelves=[shelf for shelf in _shelves(db, start, end) if shelf.terminal in places],
        deliveries=[Delivery(*row) for row in db.execute(_DELIVERIES, span) if _concerns(parts, places, *row[4:])],
    )


def fingerprint(db: Db) -> bytes:
    """Of all that the figures of a period long over can still depend on: corrections, late readings, absences, policy and rules, and where each terminal
    belongs. The same: the figures are the same.
    """
    said = sha256()
    for query in (_LAST_ROWS, "SELECT value FROM meta WHERE key IN ('policy', 'rules') ORDER BY key", _BELONGING):
        for row in db.execute(query):
            said.update(repr(row).encode())
    return said.digest()


def head(db: Db) -> int:
    """The number of the journal's last entry."""
    return int(db.execute("SELECT coalesce(max(n), 0) FROM journal").fetchone()[0])


def _concerns(
    parts: Collection[frozenset[Scope]], places: Mapping[str, Place], terminal: str, branch: str, region: str
) -> bool:
    """Whether it belongs to any of the scopes of each part: that of a terminal with it, that of a whole branch or region where the scope is not smaller."""
    if terminal:
        return terminal in places
    around = (FLEET, Scope("region", region), Scope("branch", branch))
    return not any(scopes.isdisjoint(around) for scopes in parts)


def _known(db: Db) -> int:
    """Up to when the log says anything: the time that the collector has reached."""
    row = db.execute("SELECT value FROM meta WHERE key = 'advanced_to'").fetchone()
    last = db.execute("SELECT at FROM journal ORDER BY n DESC LIMIT 1").fetchone()
    return max(int(row[0]) if row else 0, int(last[0]) if last else 0)


def _places(db: Db, scopes: frozenset[Scope]) -> dict[str, Place]:
    """The terminals in any of the scopes. Who made one is looked up of those only that may be among them: it is what takes time here."""
    found = {}
    by_maker = any(scope.kind == "vendor" for scope in scopes)
    for name, branch, region, terminal_class in db.execute(
        "SELECT id, branch, region, class FROM terminal ORDER BY id"
    ).fetchall():
        place = Place(name, branch, region, terminal_class)
        if terminal_class == WATCHDOG or (not by_maker and scopes.isdisjoint(place.scopes)):
            continue
        place = replace(place, vendor=_maker(db, name))
        if not scopes.isdisjoint(place.scopes):
            found[name] = place
    return found


def _maker(db: Db, terminal: str) -> str:
    """Who made a terminal: of a self-service terminal what its own services say, else what the machine says."""
    machine = ""
    for name, state in db.execute(
        "SELECT name, state FROM component WHERE terminal = ? AND instr(name, '/') = 0 ORDER BY name", (terminal,)
    ):
        if MAKER.encode() not in state:
            continue
        series = Component.unpack(name, state).series
        maker = series[MAKER].value if MAKER in series else None
        if not isinstance(maker, str) or not maker.strip():
            continue
        if "atm.services" in series:
            return maker.strip()
        machine = maker.strip() if name == MACHINE else machine
    return machine


def _states(db: Db, terminal: str, start: int, end: int) -> Iterator[StateChange]:
    """The rows that say anything of the period. What was said before the last time that the terminal was surely heard decides nothing in it: a row of
    such a state to which no later row goes back is where reading begins.
    """
    seq, since, before = 0, 0, start + 1
    while (row := db.execute(_ANCHOR, {"terminal": terminal, "before": before}).fetchone()) is not None:
        before = row[1]
        if state_of(terminal, *row[1:]).state in HEARD:
            seq, since = row[:2]
            break
    wanted = {"terminal": terminal, "since": since, "end": end, "seq": seq}
    for row in db.execute(_STATES, wanted):
        yield state_of(terminal, *row)


def _shelves(db: Db, start: int, end: int) -> Iterator[Shelf]:
    """Shelves of the period: none lasts longer than SHELF_NS. One that was left or renewed before its end ended then."""
    open_: dict[int, Shelf] = {}
    found: list[Shelf] = []
    for alarm, kind, at, packed, rule, terminal, component in db.execute(
        _SHELVES, {"start": start - SHELF_NS, "end": end}
    ):
        detail = msgpack.unpackb(packed)
        if detail.get("kind") != SHELVED:
            continue
        if (before := open_.pop(alarm, None)) is not None:
            found.append(replace(before, until=min(before.until, at)))
        if kind == "masked":
            until, by, reason = int(detail["until"]), str(detail["by"]), str(detail["reason"])
            open_[alarm] = Shelf(rule, terminal, component, at, until, by, reason)
    yield from (shelf for shelf in (*found, *open_.values()) if shelf.until > start)
