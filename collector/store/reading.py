"""Connections for whoever only reads: of the schema that this program knows, or of whatever is there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tillwatch.collector.store.db import Db, Where, connect
from tillwatch.collector.store.sqlite import SCHEMA_VERSION, StoreError

READ_S = 10.0
"""Waiting for the collector, which holds a file for milliseconds."""

OCCUPIED = """SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class
    WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"""
"""Bytes on the disks of a server of PostgreSQL, with indexes and with room that rows have left."""


def is_made(where: Where) -> bool:
    """Whether a collector has ever been started on it. Raises StoreError where that cannot be told."""
    if isinstance(where, Path):
        return where.is_file()
    try:
        with closing(connected(where)) as db:
            return bool(version_of(where, db))
    except sqlite3.Error as error:
        msg = f"{where} cannot be read: {error}"
        raise StoreError(msg) from None


def reading(where: Where, timeout_s: float = READ_S) -> Db:
    """A connection that cannot write, of the schema that this program knows. Raises StoreError."""
    if isinstance(where, Path) and not where.is_file():
        msg = f"{where} is not there; has the collector been started once with this data directory?"
        raise StoreError(msg)
    db = None
    try:
        db = connected(where, timeout_s)
        version = version_of(where, db)
    except sqlite3.Error as error:
        if db is not None:
            db.close()
        msg = f"{where} cannot be read: {error}; has the collector been started once with this configuration?"
        raise StoreError(msg) from None
    if version != SCHEMA_VERSION:
        db.close()
        if not version:
            msg = f"{where} holds no store of a collector; has one been started on it once?"
        else:
            msg = f"{where} has schema {version}, this program reads {SCHEMA_VERSION}; start the collector of this version once"
        raise StoreError(msg)
    return db


def connected(where: Where, timeout_s: float = READ_S) -> Db:
    """A connection that cannot write, of whatever is there. Raises sqlite3.Error."""
    return connect(where, read_only=True, timeout_s=timeout_s)


def version_of(where: Where, db: Db) -> int:
    """0 of a database without tables."""
    if isinstance(where, Path):
        return int(db.execute("PRAGMA user_version").fetchone()[0])
    there = db.execute("SELECT to_regclass('schema_version')").fetchone()[0] is not None
    return int(db.execute("PRAGMA user_version").fetchone()[0]) if there else 0
