"""The same state in both stores: a file's rows, as they are, in the tables of a database that has none."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from tillwatch.collector.store.db import Db, Postgres, connect
from tillwatch.collector.store.opening import open_db
from tillwatch.collector.store.postgres.schema import renumber

GROUP = 2_000


def tables_of(db: Db) -> list[str]:
    """Those of the schema."""
    rows = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
    return [str(name) for (name,) in rows]


def copied(path: Path, where: Postgres) -> Postgres:
    """path: a file of this version, or of an older one, which is brought up to date."""
    open_db(path).close()
    with closing(connect(path, read_only=True, timeout_s=10)) as old, closing(open_db(where)) as new:
        for table in tables_of(old):
            rows = iter(old.execute(f"SELECT * FROM {table}"))
            while some := [_row(table, row) for row in islice(rows, GROUP)]:
                places = ",".join("?" * len(some[0]))
                new.execute("BEGIN IMMEDIATE")
                new.executemany(f"INSERT INTO {table} VALUES ({places})", some)
                new.execute("COMMIT")
        renumber(new)  # type: ignore[arg-type]  # of a server
        new.execute("ANALYZE")
    return where


def _row(table: str, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """SQLite keeps a number in a column of bytes, where an earlier version wrote one."""
    return (row[0], b"%d" % row[1]) if table == "meta" and isinstance(row[1], int) else row
