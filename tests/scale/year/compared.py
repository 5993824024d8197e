"""What two stores hold, row by row, in the order of their keys; neither of them is in memory as a whole."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from tillwatch.collector.store.db import Db, scan

SHOWN = 3
Differences = list[tuple[Any, Any]]


def columns(file: Db, table: str) -> tuple[list[str], list[str]]:
    """All of them, and those that rows are ordered by."""
    rows = file.execute(f"PRAGMA table_info({table})").fetchall()
    names = [str(row[1]) for row in rows]
    return names, [str(row[1]) for row in rows if row[5]] or names


def compare(file: Db, other: Db, table: str, leave: frozenset[str] = frozenset()) -> tuple[int, Differences]:
    """Rows of the first one, and the first that differ. leave: columns that are not looked at."""
    names, key = columns(file, table)
    asked = f"SELECT {', '.join(name for name in names if name not in leave)} FROM {table} ORDER BY {', '.join(key)}"
    count = 0
    different: Differences = []
    for mine, theirs in zip_longest(scan(file, asked), scan(other, asked)):
        count += mine is not None
        if mine != theirs and len(different) < SHOWN:
            different.append((mine, theirs))
    return count, different
