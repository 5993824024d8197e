"""A store with rows of the log in it, written as the collector writes them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgpack

from tillwatch.collector.changes import Dirty
from tillwatch.collector.store import folded
from tillwatch.collector.store.sqlite import open_db


def make_store(path: Path, dirty: Dirty, terminals=(), *, known: int, policy: str = "") -> None:
    """terminals: (id, branch, region, class)."""
    db = open_db(path)
    db.execute("BEGIN")
    for sql, rows in folded.rows(dirty):
        db.executemany(sql, rows)
    for row in terminals:
        db.execute("INSERT INTO terminal VALUES (?,?,?,?,'active',0,?)", (*row, b""))
    db.execute("INSERT OR REPLACE INTO meta VALUES ('advanced_to', ?)", (known,))
    if policy:
        from tillwatch.collector.duty.policy import shipped_policy

        db.execute("INSERT OR REPLACE INTO meta VALUES ('policy', ?)", (msgpack.packb([shipped_policy(), policy]),))
    db.execute("COMMIT")
    db.close()


def add_delivery(path: Path, incident: str, created_at: int, done_at: int | None, seq: int = 1) -> None:
    with sqlite3.connect(path) as db:
        db.execute(
            "INSERT INTO outbox (connector, incident, op, seq, body, level, created_at, state, done_at) VALUES ('webhook', ?, 'open', ?, x'', 2, ?, 'done', ?)",
            (incident, seq, created_at, done_at),
        )
