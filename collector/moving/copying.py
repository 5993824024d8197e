"""Every row of every table from one database into another, in the order of the primary keys, a chunk a transaction. How far it is stands in the target, in the
transaction of the rows themselves: whoever is killed goes on behind the last chunk. At the end both sides are read once more and held against each other, row by
row; a table that differs, as where the source went on in between, is copied anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import msgpack

from tillwatch.collector.store.db import Db

PROGRESS = "move_progress"
"""The table in the target that is there as long as a copy is not whole."""
_PROGRESS = f"CREATE TABLE {PROGRESS} (name TEXT PRIMARY KEY, last TEXT, done BIGINT NOT NULL, whole BIGINT NOT NULL)"
"""Types that both engines know. last: the key of the last row, msgpack in hexadecimal."""
FIRST_ROWS = 64
"""Of a table whose rows nobody has seen yet; the next chunks are as many as have CHUNK_BYTES."""
MOST_ROWS = 20_000
CHUNK_BYTES = 4 * 1024**2
"""Of one transaction of the target: what is read again at most after a kill, and what both sides hold in memory."""
AGAIN = 2
"""Times that a table is copied where it differs. One is for a source that went on between two runs."""

Told = Callable[[str, int, int], None]
"""(what, rows done, rows of it)."""


class DifferentError(Exception):
    """What arrived is not what was sent. The text names the table."""


@dataclass(frozen=True, slots=True)
class Table:
    """columns in their order; key: the primary key's."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]

    def page(self, *, behind: bool) -> str:
        """A query for the rows in order of the key; behind: those after the one given first."""
        key = ", ".join(self.key)
        where = f" WHERE ({key}) > ({', '.join('?' * len(self.key))})" if behind else ""
        return f"SELECT {', '.join(self.columns)} FROM {self.name}{where} ORDER BY {key} LIMIT ?"  # noqa: S608 - names of the schema

    @property
    def insert(self) -> str:
        return f"INSERT INTO {self.name} ({', '.join(self.columns)}) VALUES ({', '.join('?' * len(self.columns))})"  # noqa: S608 - the same

    def key_of(self, row: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(row[self.columns.index(name)] for name in self.key)


def layout(file: sqlite3.Connection) -> list[Table]:
    """The tables of the collector, as its file has them; the other engine has the same."""
    names = file.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> ? ORDER BY name",
        (PROGRESS,),
    )
    tables = []
    for (name,) in names.fetchall():
        columns = file.execute(f"PRAGMA table_info({name})").fetchall()
        key = sorted((each for each in columns if each[5]), key=lambda each: each[5])
        tables.append(Table(name, tuple(each[1] for each in columns), tuple(each[1] for each in key)))
    return tables


def unfinished(target: Db) -> bool:
    """Whether a copy into this database was begun and is not whole."""
    try:
        target.execute(f"SELECT count(*) FROM {PROGRESS}").fetchone()  # noqa: S608 - a constant
    except sqlite3.Error:
        return False
    return True


def begin(target: Db) -> None:
    target.execute(_PROGRESS)


def end(target: Db) -> None:
    target.execute(f"DROP TABLE {PROGRESS}")


def copy(source: Db, target: Db, tables: Sequence[Table], told: Told = lambda *_: None) -> int:
    """Copy what the target has not got yet, and compare; the number of rows. source: in one consistent state for as long as this takes. Raises DifferentError and
    sqlite3.Error.
    """
    for _ in range(AGAIN):
        for table in tables:
            _copied(source, target, table, told)
        different = [table for table in tables if not _same(source, target, table, told)]
        if not different:
            return sum(_count(target, table) for table in tables)
        for table in different:
            _anew(target, table)
    names = ", ".join(table.name for table in different)
    raise DifferentError(f"{names}: what arrived is not what was sent; the source was left as it is")


def rows(db: Db, table: Table, behind: tuple[Any, ...] | None = None) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a table, chunk by chunk, in the order of its key."""
    wanted = FIRST_ROWS
    while True:
        given = (wanted,) if behind is None else (*behind, wanted)
        chunk = [tuple(row) for row in db.execute(table.page(behind=behind is not None), given).fetchall()]
        if chunk:
            yield chunk
        if len(chunk) < wanted:
            return
        behind = table.key_of(chunk[-1])
        each = max(1, sum(map(_size, chunk)) // len(chunk))
        wanted = max(1, min(MOST_ROWS, CHUNK_BYTES // each))


def _size(row: tuple[Any, ...]) -> int:
    return sum(len(value) if isinstance(value, bytes | str) else 8 for value in row)


def _copied(source: Db, target: Db, table: Table, told: Told) -> None:
    found = target.execute(f"SELECT last, done, whole FROM {PROGRESS} WHERE name = ?", (table.name,)).fetchone()  # noqa: S608 - a constant
    last, done, whole = found or (None, 0, 0)
    if whole:
        return
    of = _count(source, table)
    for chunk in rows(source, table, tuple(msgpack.unpackb(bytes.fromhex(last))) if last is not None else None):
        done += len(chunk)
        _in_one(target, table, chunk, (msgpack.packb(table.key_of(chunk[-1])).hex(), done, 0))
        told(f"copied, {table.name}", done, of)
    _in_one(target, table, [], (None, done, 1))


def _in_one(target: Db, table: Table, chunk: Sequence[tuple[Any, ...]], state: tuple[str | None, int, int]) -> None:
    """The rows and how far it is with them, together or not at all."""
    target.execute("BEGIN IMMEDIATE")
    try:
        if chunk:
            target.executemany(table.insert, chunk)
        target.execute(f"DELETE FROM {PROGRESS} WHERE name = ?", (table.name,))  # noqa: S608 - a constant
        target.execute(f"INSERT INTO {PROGRESS} (name, last, done, whole) VALUES (?,?,?,?)", (table.name, *state))  # noqa: S608 - the same
        target.execute("COMMIT")
    except BaseException:
        if target.in_transaction:
            target.execute("ROLLBACK")
        raise


def _anew(target: Db, table: Table) -> None:
    target.execute("BEGIN IMMEDIATE")
    target.execute(f"DELETE FROM {table.name}")  # noqa: S608 - a name of the schema
    target.execute(f"DELETE FROM {PROGRESS} WHERE name = ?", (table.name,))  # noqa: S608 - a constant
    target.execute("COMMIT")


def _same(source: Db, target: Db, table: Table, told: Told) -> bool:
    of, done = _count(source, table), 0
    for one, other in zip_longest(rows(source, table), rows(target, table)):
        if one != other:
            return False
        done += len(one)
        told(f"compared, {table.name}", done, of)
    return True


def _count(db: Db, table: Table) -> int:
    return int(db.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0])  # noqa: S608 - a name of the schema
