"""What rules did, out of the log of alarms and incidents: bounded by the index of its times, so that years behind it cost nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgpack

from tillwatch.collector.incident.incidents import DROPPED, LIVING
from tillwatch.collector.oversight import Fix, IncidentRef, RuleCount, RuleRecord, Shown
from tillwatch.collector.predict.record import RIGHT, WRONG
from tillwatch.collector.store.db import Db

DAY_NS = 86_400 * 10**9
MAX_WORST = 10
"""Terminals of one rule that are named; the rest are in its incidents."""
MAX_INCIDENTS = 50
MAX_FIXES = 20
MAX_FIXED = 5_000
"""Incidents of one fault that are looked through for what was found, the newest."""

_EVENTS = """
    SELECT a.rule, a.terminal, e.kind, count(*), max(e.at) FROM alarm_event e JOIN alarm a ON a.id = e.alarm
    WHERE e.at >= ? AND e.kind IN ('raised', 'recurred', 'acknowledged') AND a.drill = 0 AND (? = '' OR a.rule = ?)
    GROUP BY a.rule, a.terminal, e.kind"""
_OPEN = "SELECT rule, terminal, count(*) FROM alarm WHERE condition <> 'normal' AND drill = 0 GROUP BY rule, terminal"
_OF_PEOPLE = """
    SELECT i.corr_id, i.terminal, i.branch, i.region, i.body, e.kind, e.body FROM incident_event e JOIN incident i ON i.corr_id = e.incident
    WHERE e.at >= ? AND e.kind IN ('announced', 'verdict', 'escalated') AND i.drill = 0"""


@dataclass(slots=True)
class _Sum:
    raised: int = 0
    terminals: set[str] = field(default_factory=set)
    acknowledged: int = 0
    incidents: int = 0
    right: int = 0
    wrong: int = 0
    told: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    open: int = 0
    last_at: int = 0

    def count(self) -> RuleCount:
        return RuleCount(
            self.raised, len(self.terminals), self.acknowledged, self.incidents, self.right, self.wrong, self.calls, self.open, self.last_at,
        )  # fmt: skip


def fired(db: Db, since: int, shown: Shown, only: str = "") -> dict[str, RuleCount]:
    """since: UTC ns; only: this rule."""
    return {rule: each.count() for rule, each in _sums(db, since, shown, only).items()}


def _sums(db: Db, since: int, shown: Shown, only: str) -> dict[str, _Sum]:
    found: dict[str, _Sum] = defaultdict(_Sum)
    for rule, terminal, kind, count, last_at in db.execute(_EVENTS, (since, only, only)):
        if not shown(terminal):
            continue
        each = found[rule]
        if kind == "acknowledged":
            each.acknowledged += count
            continue
        each.raised += count
        each.terminals.add(terminal)
        each.last_at = max(each.last_at, last_at)
    for rule, terminal, count in db.execute(_OPEN):
        if shown(terminal) and only in ("", rule):
            found[rule].open += count
    for fault, kind, detail in _of_people(db, since, shown, only):
        _heard(found[fault], kind, detail)
    return found


def _of_people(db: Db, since: int, shown: Shown, only: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(fault, kind, detail) of what happened to incidents."""
    faults: dict[str, str] = {}
    for corr_id, terminal, branch, region, body, kind, detail in db.execute(_OF_PEOPLE, (since,)):
        if corr_id not in faults:
            faults[corr_id] = str(msgpack.unpackb(body).get("fault", ""))
        if only in ("", faults[corr_id]) and shown(terminal, branch, region):
            yield faults[corr_id], kind, msgpack.unpackb(detail) if kind != "announced" else {}


def _heard(each: _Sum, kind: str, detail: dict[str, Any]) -> None:
    match kind:
        case "announced":
            each.incidents += 1
        case "verdict":
            said = str(detail.get("verdict", ""))
            each.right += said in RIGHT
            each.wrong += said in WRONG
        case "escalated" if detail.get("people"):
            each.calls += 1
            each.told.update(str(role) for role in detail.get("roles", ()))


def record(db: Db, rule: str, since: int, now: int, shown: Shown) -> RuleRecord:
    """since, now: UTC ns."""
    each = _sums(db, since, shown, rule).get(rule, _Sum())
    days = [0] * (now // DAY_NS - since // DAY_NS + 1)
    worst: Counter[str] = Counter()
    rows = db.execute(
        "SELECT a.terminal, e.at FROM alarm_event e JOIN alarm a ON a.id = e.alarm"
        " WHERE e.at BETWEEN ? AND ? AND a.rule = ? AND e.kind IN ('raised', 'recurred') AND a.drill = 0",
        (since, now, rule),
    )
    for terminal, at in rows:
        if shown(terminal):
            days[at // DAY_NS - since // DAY_NS] += 1
            worst[terminal] += 1
    incidents, fixes = _incidents(db, rule, shown)
    return RuleRecord(
        each.count(),
        tuple(days),
        tuple(sorted(worst.items(), key=lambda each: (-each[1], each[0]))[:MAX_WORST]),
        dict(each.told.most_common()),
        incidents,
        fixes,
    )


def _incidents(db: Db, rule: str, shown: Shown) -> tuple[tuple[IncidentRef, ...], tuple[Fix, ...]]:
    """Of one fault, among the newest incidents: those that are not settled first, and what technicians found."""
    rows = db.execute(
        "SELECT corr_id, state, level, terminal, branch, region, opened_at, body FROM incident WHERE drill = 0 AND opened_at > 0"
        " ORDER BY opened_at DESC, corr_id LIMIT ?",
        (MAX_FIXED,),
    )
    refs: list[IncidentRef] = []
    fixes: dict[tuple[str, str], Fix] = {}
    for corr_id, state, level, terminal, branch, region, opened_at, packed in rows:
        body = msgpack.unpackb(packed)
        if body.get("fault") != rule or state == DROPPED or not shown(terminal, branch, region):
            continue
        refs.append(IncidentRef(corr_id, state, level, terminal, branch, opened_at))
        if verdict := str(body.get("verdict", "")):
            key = verdict, str(body.get("part", ""))
            known = fixes.get(key)
            fixes[key] = Fix(*key, known.count + 1 if known else 1, known.last_at if known else opened_at, known.last_incident if known else corr_id)  # fmt: skip
    refs.sort(key=lambda each: (each.state not in LIVING, -each.opened_at))
    found = sorted(fixes.values(), key=lambda each: (-each.count, -each.last_at))
    return tuple(refs[:MAX_INCIDENTS]), tuple(found[:MAX_FIXES])
