"""The rows of alarms, incidents and the log of states: how they are written, and how the fold gets back what goes on living."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgpack

from tillwatch.collector.alarm.alarms import Alarm, Mask
from tillwatch.collector.changes import Dirty, Membership
from tillwatch.collector.diagnosis.order import LATE_NS, Order
from tillwatch.collector.duty.windows import Window
from tillwatch.collector.fold import Fold
from tillwatch.collector.incident.incidents import CLOSED, COLUMNS, DROPPED, Incident
from tillwatch.collector.records import OFFLINE, Correction, LateSpan, StateChange
from tillwatch.collector.rollout.rolling import MAX_REMEMBERED
from tillwatch.collector.rollout.states import Bundle, Member, Rollout
from tillwatch.collector.store import foretold
from tillwatch.collector.store.db import Db
from tillwatch.collector.trust.expected import Expected, Grant, RefusedClaim

ALARM = (
    "id, rule, terminal, component, episode, condition, level, raised_at, cleared_at, incident, detail, acked_at, acked_by, ack_until,"
    " returned, drill, marks"
)

_STATES = """
    SELECT s.terminal, s.since, s.at, s.kind, s.body FROM state_change s
    JOIN (SELECT terminal, max(seq) AS last FROM state_change WHERE kind = 'state' GROUP BY terminal) l ON l.terminal = s.terminal
    WHERE s.seq >= l.last ORDER BY s.seq
"""
"""The state that each terminal is in, and what was found out of it since."""

_COMMANDS = """
    SELECT * FROM command WHERE state IN ('asked', 'sent') OR (state = 'expired' AND sent_at > 0 AND expires_at >= ?)
    OR n = (SELECT max(n) FROM command) ORDER BY n
"""
"""Of which something may still come, and the last one, whose number the next one is above."""

_ROLLOUTS = "SELECT * FROM (SELECT * FROM rollout ORDER BY n DESC LIMIT ?) AS newest ORDER BY n"

Rows = list[tuple[str, Sequence[tuple[Any, ...]]]]


def alarm_of(row: tuple[Any, ...]) -> Alarm:
    """row: the columns of ALARM."""
    masks, turns = msgpack.unpackb(row[16]) if row[16] else ((), ())
    kept = Alarm(*(*row[:10], msgpack.unpackb(row[10]), *row[11:14]))
    marks = tuple(Mask(*each) for each in masks)
    return replace(kept, masks=marks, turns=tuple(turns), returned=bool(row[14]), drill=bool(row[15]))


def load(db: Db, fold: Fold) -> None:
    """Only the last episode of a condition goes on living, and what may still come of an incident."""
    book = fold.book
    for row in db.execute(f"SELECT {ALARM} FROM alarm ORDER BY id"):  # noqa: S608 - a constant list of columns
        book.load(alarm_of(row))
    horizon = fold.advanced_to - book.policy.incident.verify_ns
    for row in db.execute(f"SELECT {COLUMNS} FROM incident ORDER BY opened_at, corr_id"):  # noqa: S608 - a constant list of columns
        incident = Incident.of_row(row)
        superseded = book.conclude(incident)
        if book.lasting(incident) or not _settled(incident, horizon):
            book.load_incident(incident)
        if superseded is not None and _settled(superseded, horizon):
            book.forget(superseded.corr_id)
    for row in db.execute(
        "SELECT incident, alarm, rule, terminal, component, role, since, until FROM incident_alarm WHERE until = 0 ORDER BY incident, alarm"
    ):
        member = Membership(*row)
        book.members.setdefault(member.incident, {})[member.rule, member.terminal, member.component] = member
    for row in db.execute(_STATES):
        state = state_of(*row)
        known = fold.standing.states.get(state.terminal)
        if state.kind == "state" or (known is not None and known.state == OFFLINE and known.since == state.since):
            fold.standing.states[state.terminal] = state
    fold.away = db.execute("SELECT since, until FROM outage ORDER BY until DESC LIMIT 1").fetchone() or fold.away
    for window_id, body in db.execute("SELECT id, body FROM maintenance ORDER BY id"):
        fold.masking.made[window_id] = Window.unpack(body)
    fold.device_files.of = dict(db.execute("SELECT terminal, detail FROM asset ORDER BY terminal"))
    for row in db.execute(_COMMANDS, (fold.advanced_to - LATE_NS,)):
        fold.diagnosing.load(Order.of_row(row))
    bundles = (
        Bundle.of_row(row)
        for row in db.execute("SELECT n, name, digest, at, by, reason, x'', body FROM config_bundle ORDER BY n")
    )
    rollouts = (Rollout.of_row(row) for row in db.execute(_ROLLOUTS, (MAX_REMEMBERED,)))
    fold.rolling.load(
        bundles, rollouts, (Member.of_row(row) for row in db.execute("SELECT * FROM terminal_ring ORDER BY terminal"))
    )
    for row in db.execute("SELECT * FROM expected_terminal ORDER BY serial"):
        fold.expecting.load(Expected.of_row(row))
    for row in db.execute("SELECT * FROM enrol_grant ORDER BY at, name"):
        fold.expecting.load_grant(Grant.of_row(row))
    for row in db.execute("SELECT * FROM refused_claim ORDER BY serial"):
        fold.expecting.load_refused(RefusedClaim.of_row(row))
    foretold.load(db, fold)


def _settled(incident: Incident, horizon: int) -> bool:
    return incident.state in (CLOSED, DROPPED) and incident.closed_at <= horizon


def rows(dirty: Dirty) -> Rows:
    alarms = [
        (a.id, a.rule, a.terminal, a.component, a.episode, a.condition, a.level, a.raised_at, a.cleared_at, a.incident,
         msgpack.packb(a.detail), a.acked_at, a.acked_by, a.ack_until, int(a.returned), int(a.drill), _marks(a))
        for a in dirty.alarms.values()
    ]  # fmt: skip
    return [
        ("INSERT OR REPLACE INTO alarm VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", alarms),
        ("INSERT INTO alarm_event (alarm, kind, at, level, detail) VALUES (?,?,?,?,?)",
         [(e.alarm, e.kind, e.at, e.level, msgpack.packb(e.detail)) for e in dirty.events]),
        ("INSERT OR REPLACE INTO incident VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)", [i.row() for i in dirty.incidents.values()]),
        ("INSERT OR REPLACE INTO incident_alarm VALUES (?,?,?,?,?,?,?,?)",
         [(m.incident, m.alarm, m.rule, m.terminal, m.component, m.role, m.since, m.until) for m in dirty.memberships.values()]),
        ("INSERT INTO incident_event (incident, kind, at, body) VALUES (?,?,?,?)",
         [(e.incident, e.kind, e.at, msgpack.packb(e.detail)) for e in dirty.incident_events]),
        ("INSERT INTO state_change (terminal, since, at, kind, body) VALUES (?,?,?,?,?)",
         [(s.terminal, s.since, s.at, s.kind, pack_state(s)) for s in dirty.states]),
        ("INSERT INTO late_span (terminal, t0, t1, body) VALUES (?,?,?,?)",
         [(s.terminal, s.since, s.until, msgpack.packb([s.at, s.reason, s.party, s.lost, s.level])) for s in dirty.late]),
        ("INSERT OR REPLACE INTO correction VALUES (?,?,?,?,?)",
         [(c.n, c.terminal, c.since, c.until, msgpack.packb([c.counts_as, c.reason, c.party, c.by, c.at])) for c in dirty.corrections]),
        ("INSERT OR REPLACE INTO outage VALUES (?,?)", dirty.outages),
        ("INSERT OR REPLACE INTO detector VALUES (?,?,?,?)", [(*key, body) for key, body in dirty.backlogs.items() if body is not None]),
        ("DELETE FROM detector WHERE detector = ? AND terminal = ? AND component = ?",
         [key for key, body in dirty.backlogs.items() if body is None]),
        ("INSERT OR REPLACE INTO maintenance VALUES (?,?)", [(name, body) for name, body in dirty.windows.items() if body is not None]),
        ("DELETE FROM maintenance WHERE id = ?", [(name,) for name, body in dirty.windows.items() if body is None]),
        ("INSERT OR REPLACE INTO asset VALUES (?,?)", [(name, body) for name, body in dirty.assets.items() if body is not None]),
        ("DELETE FROM asset WHERE terminal = ?", [(name,) for name, body in dirty.assets.items() if body is None]),
        ("INSERT OR REPLACE INTO terminal_note VALUES (?,?,?,?,?)", [(e.n, e.terminal, e.at, e.by, e.text) for e in dirty.notes]),
        ("INSERT OR REPLACE INTO command VALUES (?,?,?,?,?,?,?,?,?,?,?)", [order.row() for order in dirty.commands.values()]),
        ("INSERT OR REPLACE INTO config_bundle VALUES (?,?,?,?,?,?,?,?)", [bundle.row() for bundle in dirty.bundles.values()]),
        ("INSERT OR REPLACE INTO rollout VALUES (?,?,?,?,?,?,?,?)", [rollout.row() for rollout in dirty.rollouts.values()]),
        ("INSERT OR REPLACE INTO terminal_ring VALUES (?,?,?,?,?,?,?,?)", [member.row() for member in dirty.members.values()]),
        ("INSERT OR REPLACE INTO expected_terminal VALUES (?,?,?,?,?,?,?,?,?,?)", [e.row() for e in dirty.expected.values() if e is not None]),
        ("DELETE FROM expected_terminal WHERE serial = ?", [(serial,) for serial, e in dirty.expected.items() if e is None]),
        ("INSERT OR REPLACE INTO enrol_grant VALUES (?,?,?,?,?,?,?,?,?)", [grant.row() for grant in dirty.grants.values()]),
        ("INSERT OR REPLACE INTO refused_claim VALUES (?,?,?,?)", [claim.row() for claim in dirty.refused_claims.values() if claim is not None]),
        ("DELETE FROM refused_claim WHERE serial = ?", [(serial,) for serial, claim in dirty.refused_claims.items() if claim is None]),
        *foretold.rows(dirty),
    ]  # fmt: skip


def _marks(alarm: Alarm) -> bytes:
    if not alarm.masks and not alarm.turns:
        return b""
    masks = [[m.kind, m.since, m.until, m.ref, m.by, m.reason] for m in alarm.masks]
    packed: bytes = msgpack.packb([masks, alarm.turns])
    return packed


def pack_state(state: StateChange) -> bytes:
    packed: bytes = msgpack.packb(
        [state.state, state.reason, state.party, state.cause, state.lost, state.level, state.readings, state.why]
    )
    return packed


def state_of(terminal: str, since: int, at: int, kind: str, body: bytes) -> StateChange:
    name, reason, party, cause, lost, level, readings, why = msgpack.unpackb(body)
    return StateChange(
        terminal,
        since,
        at,
        name,
        reason,
        party,
        cause,
        tuple(lost),
        level,
        tuple((c, s, t) for c, s, t in readings),
        kind,
        why,
    )


def late_of(terminal: str, since: int, until: int, body: bytes) -> LateSpan:
    at, reason, party, lost, level = msgpack.unpackb(body)
    return LateSpan(terminal, since, until, at, reason, party, tuple(lost), level)


def correction_of(n: int, terminal: str, since: int, until: int, body: bytes) -> Correction:
    counts_as, reason, party, by, at = msgpack.unpackb(body)
    return Correction(n, terminal, since, until, counts_as, reason, party, by, at)
