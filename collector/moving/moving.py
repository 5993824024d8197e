"""The way from the collector's file into PostgreSQL and back, with the collector stopped: who holds what meanwhile, what is refused, and what keeps a collector from
starting on the half of it, or later by accident on what was left behind.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tillwatch.collector.moving import copying
from tillwatch.collector.moving.copying import DifferentError, Told
from tillwatch.collector.store.db import Db, Postgres, Where, connect
from tillwatch.collector.store.lock import locked
from tillwatch.collector.store.opening import open_db
from tillwatch.collector.store.sqlite import StoreError

WAIT_S = 10.0
ACTS_S = 2.0
"""For a command beside the collector to end, which holds the lock for an instant."""


class MoveError(Exception):
    """The state cannot be moved. The text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Moved:
    """entries: of the journal; rows: of all tables; seconds: it took."""

    source: str
    target: str
    entries: int
    rows: int
    seconds: float


def left_mark(database: Path) -> Path:
    """Beside the file of a collector whose state has moved away; it says where to."""
    return database.with_name(f"{database.name}.moved")


def into_postgres(database: Path, target: Postgres, told: Told = lambda *_: None) -> Moved:
    """Move the state of the stopped collector of this file. What was begun before goes on. Raises MoveError, InUseError and StoreError."""
    if not database.is_file():
        raise MoveError(f"{database} is not there; without a file there is nothing to move: start the collector")
    if (mark := left_mark(database)).exists():
        raise MoveError(f"{database} has moved to {_said(mark)} already; remove {mark} only if that is not so")
    with locked(database, ACTS_S), locked(target):
        moved = _moved(database, target, told)
        mark.write_text(f"{target}\n", encoding="utf-8")
    return moved


def into_file(source: Postgres, database: Path, told: Told = lambda *_: None) -> Moved:
    """The other way, into a file that is not there, or was begun by this before. Raises as `into_postgres`."""
    with locked(source), locked(database, ACTS_S):
        moved = _moved(source, database, told)
        left_mark(database).unlink(missing_ok=True)
    return moved


def _moved(source: Where, target: Where, told: Told) -> Moved:
    began = time.monotonic()
    with closing(open_db(source)):
        pass  # what an older version wrote is brought up to date first: both sides have the same tables
    try:
        with closing(open_db(target)) as into, _snapshot(source) as out:
            file = out if isinstance(source, Path) else into
            assert isinstance(file, sqlite3.Connection)
            tables = copying.layout(file)
            if not copying.unfinished(into):
                _empty(into, tables, target)
                copying.begin(into)
            rows = copying.copy(out, into, tables, told)
            _numbers_go_on(target, into)
            copying.end(into)
            entries = int(into.execute("SELECT coalesce(max(n), 0) FROM journal").fetchone()[0])
    except DifferentError as error:
        raise MoveError(f"{error}; look at the disks and the memory of both machines") from None
    except sqlite3.Error as error:
        raise MoveError(
            f"{error}; nothing is lost: mend that, and run the same command again, it goes on where it was"
        ) from None
    return Moved(str(source), str(target), entries, rows, time.monotonic() - began)


@contextmanager
def _snapshot(where: Where) -> Iterator[Db]:
    with closing(connect(where, read_only=True, timeout_s=WAIT_S)) as db:
        db.execute("BEGIN")
        try:
            yield db
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")


def _empty(into: Db, tables: list[copying.Table], target: Where) -> None:
    full = [table.name for table in tables if into.execute(f"SELECT 1 FROM {table.name} LIMIT 1").fetchone()]  # noqa: S608 - names of the schema
    if full:
        raise MoveError(f"{target} has a state already ({', '.join(full[:3])}); name a new, empty one")


def _numbers_go_on(target: Where, into: Db) -> None:
    if isinstance(target, Postgres):
        from tillwatch.collector.store.postgres.connection import PostgresDb  # noqa: PLC0415 - its library is an extra
        from tillwatch.collector.store.postgres.schema import renumber  # noqa: PLC0415 - the same

        assert isinstance(into, PostgresDb)
        renumber(into)


def _said(mark: Path) -> str:
    try:
        return mark.read_text(encoding="utf-8").strip()
    except OSError:
        return "another place"


def may_start(database: Path, where: Where) -> None:
    """Raises StoreError where the state is not whole here, or has moved away."""
    if isinstance(where, Path):
        if (mark := left_mark(database)).exists():
            raise StoreError(
                f"the state of this collector has moved to {_said(mark)}: set [store] postgres; or move it back: tillwatch-collector move --back"
            )
        if not where.is_file():
            return
    with closing(connect(where, read_only=True, timeout_s=WAIT_S)) as db:
        if copying.unfinished(db):
            raise StoreError(
                f"{where}: a move into it was broken off; run tillwatch-collector move again, it goes on where it was"
            )
