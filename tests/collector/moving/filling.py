"""Rows for every table of the collector's schema, also those that no collector of today fills: what is moved must not depend on who wrote it."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

from tillwatch.collector.store.sqlite import open_db

TEXTS = ("", "atm-1", "温度", "a'b\"c", "\x01\x02", "nul\x00inside", "Ünï", "z" * 300)
LARGE = {
    "payload",
    "facts",
    "data",
    "digests",
    "bodies",
    "heads",
    "signatures",
    "state",
    "status",
    "body",
    "value",
    "detail",
}
"""Columns without a bound of their own; no index has them, and one of PostgreSQL takes 2,704 bytes."""
NUMBERS = (0, 1, -1, 2**63 - 1, -(2**63), 1_764_000_000_000_000_000)


def filled(path: Path, rows: int = 40, seed: int = 1) -> None:
    """Make a collector's file with so many rows in every table."""
    chance = random.Random(seed)
    db = open_db(path)
    try:
        db.execute("BEGIN IMMEDIATE")
        for (name,) in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        ).fetchall():
            columns = db.execute(f"PRAGMA table_info({name})").fetchall()
            for n in range(rows):
                _insert(db, name, columns, n, chance)
        db.execute("COMMIT")
    finally:
        db.close()


def _insert(db: sqlite3.Connection, name: str, columns: list[tuple], n: int, chance: random.Random) -> None:
    values = []
    for _, column, kind, needed, _, key in columns:
        if key and kind == "INTEGER":
            values.append(n * 3 + 1)
        elif not needed and not key and chance.random() < 0.2:
            values.append(None)
        elif kind == "INTEGER":
            values.append(chance.choice(NUMBERS) if chance.random() < 0.3 else n * 7 + chance.randrange(7))
        elif kind == "REAL":
            values.append(chance.random() * 10 ** chance.randrange(-9, 9))
        elif kind == "BLOB":
            sizes = (0, 1, 32, 5000) if column in LARGE else (0, 1, 12)
            values.append(chance.randbytes(chance.choice(sizes)) + n.to_bytes(4, "big"))
        else:
            values.append(f"{chance.choice(TEXTS)}{n}")
    db.execute(f"INSERT OR IGNORE INTO {name} VALUES ({','.join('?' * len(values))})", values)
