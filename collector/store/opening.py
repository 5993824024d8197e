"""The collector's state, wherever it is: the one place that knows which store it is in."""

from __future__ import annotations

from tillwatch.collector.store import sqlite
from tillwatch.collector.store.db import Db, Fence, Postgres, Where
from tillwatch.collector.store.reader import SqliteReader


def open_db(where: Where) -> Db:
    """For reading and writing; all tables are there, made or brought up to date where they were not. Raises StoreError."""
    if isinstance(where, Postgres):
        from tillwatch.collector.store.postgres.schema import open_postgres  # noqa: PLC0415 - its library is an extra

        return open_postgres(where)
    return sqlite.open_db(where)


def open_store(where: Where, lease: Fence | None = None) -> sqlite.Store:
    """For the one writer. lease: what `lock.locked` gave, by which a server knows that it still is the one. Raises StoreError."""
    if isinstance(where, Postgres):
        from tillwatch.collector.store.postgres.store import PostgresStore  # noqa: PLC0415 - its library is an extra

        return PostgresStore(where, lease)
    return sqlite.SqliteStore(where)


def open_reader(where: Where) -> SqliteReader:
    """Read-only. Raises StoreError: there is nothing yet, or it is of another version."""
    return SqliteReader(where)
