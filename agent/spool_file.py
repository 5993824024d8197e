"""The spool's file: how it is opened, which schema it has, what its errors mean. Steps from one schema to the next are numbered, each in its
own transaction, so that a file of any older agent opens and a step that fails leaves the file as it was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCHEMA_VERSION = 3
WHY_SINCE = 2
"""The first schema that says why an epoch began."""
CACHE_KIB = 256
"""SQLite's page cache: the spool is written once and read once, a larger one is only resident memory."""
PAGE = 1_024
"""Bytes. A batch changes some six pages beside its own bytes, and each goes whole into the log and onto flash, which wears: 4,096, SQLite's own choice, write
twice as much. For a file that is made from now on; an older one keeps its own.
"""
WAL_LIMIT = 4 << 20
_CORRUPT = {11, 26}
"""SQLITE_CORRUPT, SQLITE_NOTADB."""
_DEAD = {8, 10, 14}
"""SQLITE_READONLY, SQLITE_IOERR, SQLITE_CANTOPEN: the file behind an open connection may be gone for good, as when its disk was mounted anew."""


class SpoolVersionError(Exception):
    """The file was written by a newer version of the agent."""


class CorruptError(sqlite3.DatabaseError):
    sqlite_errorcode = 11


def connect(file: Path, *, read_only: bool = False) -> sqlite3.Connection:
    uri = f"{file.resolve().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    return sqlite3.connect(uri, uri=True, timeout=1.0, isolation_level=None)


def prepare(db: sqlite3.Connection, max_bytes: int) -> None:
    """Check the file, bring it to SCHEMA_VERSION and bound it. Raises CorruptError, SpoolVersionError and what SQLite raises."""
    db.execute(f"PRAGMA page_size = {PAGE}")
    db.execute("PRAGMA journal_mode = WAL")
    # NORMAL can lose the last commits when the power goes, and terminals get switched off.
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    db.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
    if (said := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise CorruptError(said)
    migrate(db)
    page = db.execute("PRAGMA page_size").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {max_bytes // page}")


def migrate(db: sqlite3.Connection, folder: Path = Path(__file__).parent) -> None:
    """Bring the file to SCHEMA_VERSION, one numbered step at a time, each in its own transaction."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise SpoolVersionError(
            f"the spool has schema {version}, this agent knows {SCHEMA_VERSION}: install the newer agent again"
        )
    for step in range(version + 1, SCHEMA_VERSION + 1):
        script = (folder / f"schema_v{step}.sql").read_text(encoding="utf-8")
        try:
            db.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {step}; COMMIT;")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


@contextmanager
def commit(db: sqlite3.Connection, *, soon: bool = False) -> Iterator[None]:
    """soon: the commit may reach the disk with the next one that must; a power cut before undoes it whole, and it alone."""
    db.execute("PRAGMA synchronous = NORMAL" if soon else "PRAGMA synchronous = FULL")
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def is_corrupt(error: sqlite3.Error) -> bool:
    return _code(error) in _CORRUPT


def is_dead(error: sqlite3.Error) -> bool:
    """Whether only a new connection can find the file again."""
    return _code(error) in _DEAD


def _code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
