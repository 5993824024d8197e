"""All that happened to one terminal within some time, out of the tables and the acts in the journal. Every question goes by an index that begins with the
terminal, and every kind has a bound: a year of one terminal costs the same in a store of ten thousand.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgpack

from tillwatch.collector.alarm.rules import PREDICTED
from tillwatch.collector.duty.windows import Window, covers
from tillwatch.collector.incident.incidents import COLUMNS, Incident
from tillwatch.collector.journal import Kind
from tillwatch.collector.records import OFFLINE
from tillwatch.collector.store import rollups
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.folded import state_of
from tillwatch.collector.terminal.dossier import (
    ALARM,
    CHANGE,
    INCIDENT,
    KINDS,
    MAINTENANCE,
    MAX_MOMENTS,
    NOTE,
    PART,
    RESTART,
    STATE,
    Moment,
    RepairView,
    Timeline,
)
from tillwatch.collector.terminal.fleet import Component

HOST = "host"
UPTIME = "host.uptime"
IDENTITY = "identity."
SLACK_NS = 5 * 60 * 10**9
"""By which an uptime may disagree with the time between two of its readings: clocks are corrected."""
MAX_ACTS = 20_000
"""Acts of one terminal, or windows of all places, that are looked through: eight years of monthly windows in each of 200 branches."""
OF_TERMINAL = frozenset({
    "enrol", "certify", "rotate", "revoke", "conflict", "token", "claim-refused", "life-cycle", "asset", "correct", "drill", "command",
})  # fmt: skip
"""Acts that change what a terminal is or how it is treated. What people do about alarms and incidents stands with these."""
WHO = frozenset({"action", "actor", "terminal", "role", "via", "note", "reason", "text"})

_STATES = """
    SELECT terminal, since, at, kind, body FROM state_change WHERE terminal = :terminal AND since < :end AND since >= coalesce(
        (SELECT max(since) FROM state_change WHERE terminal = :terminal AND since <= :start AND kind = 'state'), 0)
    ORDER BY since DESC, seq DESC LIMIT :limit"""
_ALARMS = """
    SELECT id, rule, component, level, raised_at, cleared_at, incident, drill, condition FROM alarm
    WHERE terminal = :terminal AND raised_at < :end AND (cleared_at = 0 OR cleared_at > :start) ORDER BY raised_at DESC, id DESC LIMIT :limit"""
_INCIDENTS = f"""
    SELECT {", ".join(f"i.{each.strip()}" for each in COLUMNS.split(","))} FROM incident i WHERE i.corr_id IN
        (SELECT incident FROM alarm WHERE terminal = :terminal AND incident <> '')
    ORDER BY i.opened_at DESC, i.corr_id DESC LIMIT :limit"""  # noqa: S608 - constant columns
_VERDICTS = """
    SELECT incident, at, body FROM incident_event WHERE kind = 'verdict' AND incident IN
        (SELECT incident FROM alarm WHERE terminal = ? AND incident <> '') ORDER BY seq"""
_ACTS = """
    SELECT n, at, facts FROM journal
    WHERE terminal = :terminal AND at >= :start AND at < :end AND kind = 5 AND payload IS NULL AND terminal <> '' ORDER BY at DESC LIMIT :limit"""
_WINDOWS = """
    SELECT n, at, facts FROM journal
    WHERE at < :end AND kind = 5 AND payload IS NULL AND terminal = '' AND instr(facts, x'77696e646f77') > 0 ORDER BY at DESC LIMIT :limit"""
"""The literals are those of the indexes journal_of_terminal and journal_windows."""
_OF_ALL = "SELECT n, at, kind FROM journal WHERE payload IS NULL AND kind IN (1, 2, 7) AND at >= :start AND at < :end ORDER BY n DESC LIMIT :limit"


def timeline(db: Db, terminal: str, start: int, end: int, kinds: Sequence[str], planned: Iterable[Window]) -> Timeline:
    """planned: the windows of the policy. Raises KeyError."""
    place = db.execute("SELECT branch, region FROM terminal WHERE id = ?", (terminal,)).fetchone()
    if place is None:
        raise KeyError(terminal)
    wanted = {"terminal": terminal, "start": start, "end": end, "limit": MAX_MOMENTS + 1}
    known = incidents_of(db, terminal, MAX_MOMENTS + 1) if {INCIDENT, PART} & set(kinds) else []
    makers: Mapping[str, Callable[[], Iterable[Moment]]] = {
        STATE: lambda: _states(db, wanted),
        ALARM: lambda: _alarms(db, wanted),
        INCIDENT: lambda: _incidents(wanted, known),
        MAINTENANCE: lambda: _windows(db, wanted, place, planned),
        CHANGE: lambda: (*_acts(db, wanted), *_versions(db, wanted), *_of_rules(db, wanted)),
        PART: lambda: _parts(db, wanted, known),
        NOTE: lambda: _notes(db, wanted),
        RESTART: lambda: (*_restarts(db, wanted), *_of_collector(db, wanted)),
    }
    found: list[Moment] = []
    left_out = {}
    for kind in KINDS:
        if kind in kinds:
            made = sorted(makers[kind](), key=lambda moment: moment.at)
            if len(made) > MAX_MOMENTS:
                left_out[kind] = len(made) - MAX_MOMENTS
            found += made[-MAX_MOMENTS:]
    return Timeline(
        start, end, tuple(sorted(found, key=lambda moment: (moment.at, KINDS.index(moment.kind)))), left_out
    )


def _states(db: Db, wanted: Mapping[str, Any]) -> list[Moment]:
    found: list[Moment] = []
    begins: dict[int, int] = {}
    for row in reversed(db.execute(_STATES, wanted).fetchall()):
        change = state_of(*row)
        if change.kind == "cause":
            place = begins.get(change.since)
            if place is not None and found[place].what == OFFLINE:
                values = {**found[place].values, "cause": change.cause, "party": change.party}
                found[place] = replace(found[place], text=change.why, values=values)
            continue
        if found and found[-1].at == change.since:
            found.pop()  # what was known later of the same stretch
        begins[change.since] = len(found)
        values = {"reason": change.reason, "party": change.party, "cause": change.cause, "lost": list(change.lost)}
        found.append(Moment(STATE, change.since, what=change.state, level=change.level, text=change.why, values=values))
    ended = [replace(each, until=then.at) for each, then in itertools.pairwise(found)]
    return [*ended, *(replace(each, lasts=True) for each in found[-1:])]


def _alarms(db: Db, wanted: Mapping[str, Any]) -> Iterator[Moment]:
    for number, rule, component, level, raised, cleared, incident, drill, condition in db.execute(_ALARMS, wanted):
        values = {"incident": incident, "drill": bool(drill), "foretold": rule in PREDICTED, "condition": condition}
        yield Moment(ALARM, raised, cleared, not cleared, rule, component, level, str(number), values=values)


def incidents_of(db: Db, terminal: str, limit: int = MAX_MOMENTS) -> list[Incident]:
    """Those that an alarm of the terminal is or was part of, the newest first."""
    return [Incident.of_row(row) for row in db.execute(_INCIDENTS, {"terminal": terminal, "limit": limit})]


def _incidents(wanted: Mapping[str, Any], known: Iterable[Incident]) -> Iterator[Moment]:
    for each in known:
        begun, ended = each.occurred_at or each.opened_at, each.restored_at or each.resolved_at or each.closed_at
        if begun < wanted["end"] and (not ended or ended > wanted["start"]) and each.announced:
            values = {
                "scope": each.scope,
                "state": each.state,
                "branch": each.branch,
                "verdict": each.verdict,
                "drill": each.drill,
            }
            yield Moment(
                INCIDENT, begun, ended, not ended, each.fault, each.component, each.level, each.corr_id, each.owner, each.cause, values
            )  # fmt: skip


def _windows(db: Db, wanted: Mapping[str, Any], place: tuple[str, str], planned: Iterable[Window]) -> Iterator[Moment]:
    """Windows that are over are in the journal alone. One that was cancelled ended then, or never began."""
    earlier = {**wanted, "start": 0, "limit": MAX_ACTS}
    cancelled: dict[str, int] = {}
    ours = []
    for _, at, packed in (*db.execute(_WINDOWS, earlier), *db.execute(_ACTS, earlier)):
        if b"window" not in packed:
            continue
        facts: dict[str, Any] = msgpack.unpackb(packed)
        if facts.get("action") == "window":
            if _touches(str(facts.get("scope", "")), wanted["terminal"], place):
                ours.append(Window.of_facts(facts))
        elif facts.get("action") == "window-cancel":
            cancelled[str(facts.get("id"))] = at
    for window in (*(each for each in planned if each.touches(wanted["terminal"], *place)), *ours):
        stop = cancelled.get(window.id, 0)
        for since, until in window.spans(wanted["start"], wanted["end"]):
            ended = min(until, stop) if stop else until
            if ended > since:
                values = {"scope": window.scope, "approved_by": window.approved_by, "change_ref": window.change_ref}
                yield Moment(MAINTENANCE, since, ended, ref=window.id, by=window.by, text=window.reason, values=values)


def _touches(scope: str, terminal: str, place: tuple[str, str]) -> bool:
    """Before a window is made of its facts: those of all other places are thousands."""
    return scope.partition("/")[0] == terminal or covers(scope, terminal, *place)


def _acts(db: Db, wanted: Mapping[str, Any]) -> Iterator[Moment]:
    for n, at, packed in db.execute(_ACTS, {**wanted, "limit": MAX_ACTS}):
        facts: dict[str, Any] = msgpack.unpackb(packed)
        action = str(facts.get("action", ""))
        if action in OF_TERMINAL:
            text = str(facts.get("reason") or facts.get("note") or "")
            values = {"state": facts.get("state", ""), "kind": facts.get("kind", "")}
            if action == "asset":
                values["fields"] = sorted(facts.get("fields", {}))
            yield Moment(CHANGE, at, what=action, ref=str(n), by=str(facts.get("actor", "")), text=text, values=values)


def _of_rules(db: Db, wanted: Mapping[str, Any]) -> Iterator[Moment]:
    for n, at, kind in db.execute(_OF_ALL, wanted):
        if kind == Kind.RULES_CHANGED:
            yield Moment(CHANGE, at, what="rules", ref=str(n))


def _of_collector(db: Db, wanted: Mapping[str, Any]) -> Iterator[Moment]:
    for n, at, kind in db.execute(_OF_ALL, wanted):
        if kind == Kind.STARTED:
            yield Moment(RESTART, at, what="collector", ref=str(n))


def _versions(db: Db, wanted: Mapping[str, Any]) -> Iterator[Moment]:
    """Words that devices say of themselves and that changed: firmware, serial numbers, models."""
    rows = db.execute("SELECT name, state FROM component WHERE terminal = ? ORDER BY name", (wanted["terminal"],))
    for name, packed in rows.fetchall():
        for signal, series in Component.unpack(name, packed).series.items():
            if signal.startswith(IDENTITY):
                told = rollups.Told(db, wanted["terminal"], name, signal, series)
                for at, before, after in told.turns(wanted["start"], wanted["end"]):
                    yield Moment(CHANGE, at, what=signal, component=name, values={"before": before, "after": after})


def _restarts(db: Db, wanted: Mapping[str, Any]) -> Iterator[Moment]:
    """When the machine started: where its uptime is less than the time since it was read before."""
    row = db.execute(
        "SELECT state FROM component WHERE terminal = ? AND name = ?", (wanted["terminal"], HOST)
    ).fetchone()
    series = Component.unpack(HOST, row[0]).series.get(UPTIME) if row is not None else None
    if series is None:
        return
    before = 0
    for at, up_s in rollups.Told(db, wanted["terminal"], HOST, UPTIME, series).daily(wanted["start"], wanted["end"]):
        if not isinstance(up_s, int | float):
            continue
        begun = at - int(up_s * 1e9)
        if before and begun > before + SLACK_NS and begun >= wanted["start"]:
            yield Moment(RESTART, begun, what="machine", component=HOST)
        before = at


def repairs(db: Db, terminal: str, limit: int, known: Iterable[Incident] | None = None) -> list[RepairView]:
    """Verdicts on its incidents, the newest first: an incident that was open again had several. known: those incidents, where they were read already."""
    of = incidents_of(db, terminal) if known is None else known
    own = {each.corr_id: each for each in of if each.terminal == terminal and not each.drill}
    said = [(name, at, msgpack.unpackb(body)) for name, at, body in db.execute(_VERDICTS, (terminal,)) if name in own]
    judged = {name for name, _, _ in said}
    said += [
        (name, each.resolved_at or each.closed_at, {"verdict": each.verdict, "part": each.part})
        for name, each in own.items()
        if each.verdict and name not in judged
    ]
    found = [
        RepairView(
            at, name, own[name].component, own[name].fault, str(what.get("verdict", "")), str(what.get("part", ""))
        )
        for name, at, what in said
    ]
    return sorted(found, key=lambda each: -each.at)[:limit]


def _parts(db: Db, wanted: Mapping[str, Any], known: Iterable[Incident]) -> Iterator[Moment]:
    for each in repairs(db, wanted["terminal"], wanted["limit"], known):
        if (each.part or each.verdict == "part_changed") and wanted["start"] <= each.at < wanted["end"]:
            yield Moment(PART, each.at, what=each.fault, component=each.component, ref=each.incident, text=each.part)


def _notes(db: Db, wanted: Mapping[str, Any]) -> Iterator[Moment]:
    for n, at, by, text in db.execute(
        "SELECT n, at, by, text FROM terminal_note WHERE terminal = :terminal AND at >= :start AND at < :end ORDER BY n DESC LIMIT :limit",
        wanted,
    ):
        yield Moment(NOTE, at, ref=str(n), by=by, text=text)
