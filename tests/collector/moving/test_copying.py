"""Rows arrive whole, whatever ends the copy on its way and however often; what differs is seen and mended."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.collector.moving.filling import filled
from tillwatch.collector.moving import copying
from tillwatch.collector.moving.copying import DifferentError, Table
from tillwatch.collector.store.sqlite import open_db


class Killed(BaseException):
    pass


class Mortal:
    """A connection whose owner dies at its n-th statement, with the transaction that was open."""

    def __init__(self, db: sqlite3.Connection, statements: int) -> None:
        self.db, self.left = db, statements

    in_transaction = property(lambda self: False)

    def execute(self, sql: str, given: Any = (), /) -> sqlite3.Cursor:
        self._live()
        return self.db.execute(sql, given)

    def executemany(self, sql: str, given: Any, /) -> sqlite3.Cursor:
        self._live()
        return self.db.executemany(sql, given)

    def _live(self) -> None:
        self.left -= 1
        if self.left < 0:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise Killed

    interrupt = close = lambda self: None


@pytest.fixture
def source(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    filled(tmp_path / "from.db")
    with closing(open_db(tmp_path / "from.db")) as db:
        yield db


@pytest.fixture
def target(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_db(tmp_path / "into.db")) as db:
        yield db


def _dump(db: sqlite3.Connection, tables: list[Table]) -> dict[str, list[tuple]]:
    return {table.name: [row for chunk in copying.rows(db, table) for row in chunk] for table in tables}


def test_every_row_of_every_table_arrives(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    tables = copying.layout(source)
    assert {table.name for table in tables} >= {"journal", "segment", "terminal", "meta", "outbox", "rollout"}
    assert all(table.key for table in tables)
    copying.begin(target)
    there = {table.name: source.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0] for table in tables}
    assert all(there.values())
    assert copying.copy(source, target, tables) == sum(there.values())
    assert copying.unfinished(target)
    copying.end(target)
    assert not copying.unfinished(target)
    assert _dump(target, tables) == _dump(source, tables)


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_who_is_killed_anywhere_goes_on_behind_it(
    source: sqlite3.Connection, target: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(copying, "FIRST_ROWS", chunk)
    monkeypatch.setattr(copying, "MOST_ROWS", chunk)
    tables = [table for table in copying.layout(source) if table.name in {"terminal_key", "journal", "meta"}]
    copying.begin(target)
    kills = 0
    for statements in range(2, 10_000, 5):
        try:
            copying.copy(source, Mortal(target, statements), tables)
        except Killed:
            kills += 1
        else:
            break
    assert kills > 3
    assert _dump(target, tables) == _dump(source, tables)


def test_what_changed_between_two_runs_is_copied_anew(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    tables = copying.layout(source)
    copying.begin(target)
    copying.copy(source, target, tables)
    source.execute("UPDATE terminal SET branch = 'another' WHERE id = (SELECT min(id) FROM terminal)")
    source.execute("DELETE FROM token")
    copying.copy(source, target, tables)
    assert _dump(target, tables) == _dump(source, tables)


def test_a_target_that_does_not_keep_what_it_was_given_is_told(
    source: sqlite3.Connection, target: sqlite3.Connection
) -> None:
    target.execute(
        "CREATE TRIGGER lies AFTER INSERT ON terminal BEGIN UPDATE terminal SET branch = 'x' WHERE id = new.id; END"
    )
    copying.begin(target)
    with pytest.raises(DifferentError, match="terminal: what arrived"):
        copying.copy(source, target, copying.layout(source))
    assert copying.unfinished(target)


def test_chunks_are_as_large_as_their_bytes_allow(source: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "FIRST_ROWS", 2)
    monkeypatch.setattr(copying, "CHUNK_BYTES", 20_000)
    (segments,) = (table for table in copying.layout(source) if table.name == "segment")
    chunks = list(copying.rows(source, segments))
    assert sum(map(len, chunks)) == 40
    assert max(map(len, chunks)) < 20
    assert [row for chunk in chunks for row in chunk] == sorted(
        (row for chunk in chunks for row in chunk), key=lambda row: row[0]
    )
