"""The rows of what the predictions say: findings, risks and hit rates as the fold keeps them, and as people are shown them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgpack

from tillwatch.collector.changes import Dirty
from tillwatch.collector.predict.finding import CLOSED, OPEN, Finding, Grade, Record, record_of
from tillwatch.collector.read import RiskView
from tillwatch.collector.store.db import Db

if TYPE_CHECKING:
    from tillwatch.collector.fold import Fold

Rows = list[tuple[str, Sequence[tuple[Any, ...]]]]
ALL = 2**62
"""Rows, where a negative number of them is asked for: all there are."""

_NEWEST = """
    SELECT f.status, f.begun, f.at, f.terminal, f.component, f.detector, f.body FROM finding f
    JOIN (SELECT terminal, component, detector, max(begun) AS begun FROM finding GROUP BY terminal, component, detector) l
    ON l.terminal = f.terminal AND l.component = f.component AND l.detector = f.detector AND l.begun = f.begun
    ORDER BY f.id
"""
_AT_RISK = """
    SELECT r.terminal, t.branch, t.region, t.class, r.body, r.score FROM risk r JOIN terminal t ON t.id = r.terminal
    WHERE (:branch IS NULL OR t.branch = :branch) AND (:region IS NULL OR t.region = :region) AND r.score > 0
    ORDER BY r.score DESC, r.terminal LIMIT :limit
"""


def load(db: Db, fold: Fold) -> None:
    """What is open, and of each detector on each component the last episode."""
    foretelling = fold.foretelling
    for status, begun, at, terminal, component, detector, body in db.execute(_NEWEST):
        foretelling.newest[terminal, component, detector] = (begun, status == CLOSED, at)
        if status == OPEN:
            foretelling.load(Finding.of(msgpack.unpackb(body)))
    row = db.execute("SELECT position, part, left_out FROM foretold").fetchone()
    if row is not None:
        foretelling.reached, foretelling.left_out = (row[0], row[1]), row[2]
    foretelling.paces |= {grade.terminal: grade.pace for grade in grades(db)}


def rows(dirty: Dirty) -> Rows:
    findings = [
        (f.id, f.terminal, f.component, f.detector, f.family, f.status, f.begun, f.at, f.ended, int(f.demoted), f.outcome,
         msgpack.packb(f.facts()))
        for f in dirty.findings.values()
    ]  # fmt: skip
    risks = [
        (g.terminal, g.grade, g.score, g.at, msgpack.packb(g.facts())) for g in dirty.grades.values() if g is not None
    ]
    rates = [(r.detector, r.kind, msgpack.packb(asdict(r))) for r in dirty.hit_rates.values()]
    return [
        ("INSERT OR REPLACE INTO finding VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", findings),
        ("INSERT OR REPLACE INTO risk VALUES (?,?,?,?,?)", risks),
        ("DELETE FROM risk WHERE terminal = ?", [(name,) for name, grade in dirty.grades.items() if grade is None]),
        ("INSERT OR REPLACE INTO hit_rate VALUES (?,?,?)", rates),
        ("INSERT OR REPLACE INTO foretold VALUES (1,?,?,?)", [dirty.foretold] if dirty.foretold is not None else []),
    ]


def grades(db: Db) -> list[Grade]:
    return [Grade.of(msgpack.unpackb(body)) for (body,) in db.execute("SELECT body FROM risk ORDER BY terminal")]


def records(db: Db) -> list[Record]:
    rows = db.execute("SELECT body FROM hit_rate ORDER BY detector, kind")
    return [record_of(msgpack.unpackb(body)) for (body,) in rows]


def findings(db: Db, terminal: str | None, *, open_only: bool, limit: int) -> list[Finding]:
    """Those that last first, then the newest."""
    rows = db.execute(
        "SELECT body FROM finding WHERE (:terminal IS NULL OR terminal = :terminal) AND (:open_only = 0 OR status = 'open') "
        "ORDER BY status <> 'open', demoted, begun DESC, id LIMIT :limit",
        {"terminal": terminal, "open_only": int(open_only), "limit": limit if limit >= 0 else ALL},
    )
    return [Finding.of(msgpack.unpackb(body)) for (body,) in rows]


def finding(db: Db, number: str) -> Finding:
    """Raises KeyError."""
    row = db.execute("SELECT body FROM finding WHERE id = ?", (number,)).fetchone()
    if row is None:
        raise KeyError(number)
    return Finding.of(msgpack.unpackb(row[0]))


def at_risk(db: Db, *, branch: str | None = None, region: str | None = None, limit: int) -> list[RiskView]:
    wanted = {"branch": branch, "region": region, "limit": limit if limit >= 0 else ALL}
    found = db.execute(_AT_RISK, wanted).fetchall()
    of: Mapping[str, list[Finding]] = {row[0]: [] for row in found}
    for (body,) in db.execute(
        "SELECT body FROM finding WHERE status = 'open' AND terminal IN (SELECT value FROM json_each(?)) ORDER BY begun, id",
        (json.dumps(list(of)),),
    ):
        one = Finding.of(msgpack.unpackb(body))
        of[one.terminal].append(one)
    return [
        RiskView(name, where, region_, kind, Grade.of(msgpack.unpackb(body)), tuple(of[name]))
        for name, where, region_, kind, body, _ in found
    ]


def watched_since(db: Db) -> int:
    """UTC ns since when there is a terminal to learn from; 0: there is none."""
    return int(db.execute("SELECT min(enrolled_at) FROM terminal").fetchone()[0] or 0)


def reached(db: Db) -> tuple[int, int]:
    """(position, part) of what the predictions said last, as far as it is journaled."""
    row = db.execute("SELECT position, part FROM foretold").fetchone()
    return (row[0], row[1]) if row is not None else (0, -1)
