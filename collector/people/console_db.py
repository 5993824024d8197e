"""The console's own file, `console.db` beside the collector's store: accounts and their secrets, sessions, tokens, preferences. Readable by its owner
only. What is a change of it becomes record through `unsaid`, in the transaction of the change: none takes effect without being told.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgpack

SCHEMA_VERSION = 1
BUSY_MS = 5_000
"""Waiting for another process's transaction, a command's: each takes some milliseconds."""
MAX_UNSAID = 100_000
"""Acts that wait for the collector, some 20 MB. Past it the console takes no sign-in: what nobody can look up later must not happen."""
FILE = "console.db"


class ConsoleDbError(Exception):
    """The console's file cannot be used. The text says where it is and what to do."""


def place(store: Path) -> Path:
    """Where it is, beside the collector's store."""
    return store.with_name(FILE)


def open_console(path: Path) -> sqlite3.Connection:
    """Open it, made if it is not there; in autocommit mode. Raises ConsoleDbError."""
    try:
        # Never opened beside SQLite where it is there: a close() drops every POSIX lock that this process holds on the file, also those of its other
        # connections, and the next command that ends takes their log away (sqlite.org/howtocorrupt.html, 2.2).
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)  # one that was copied here may be open to others; SQLite gives its other files the same mode
        db = sqlite3.connect(path, isolation_level=None, timeout=BUSY_MS / 1000, check_same_thread=False)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            db.close()
            msg = f"{path} was written by a newer tillwatch (schema {version}, this one knows {SCHEMA_VERSION}); install that version again"
            raise ConsoleDbError(msg)
        if version < SCHEMA_VERSION:
            _upgrade(db)
    except (OSError, sqlite3.Error) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        msg = f"{path}: {why}; the accounts of the console stand there: run this as the collector's user, or restore the file from a backup"
        raise ConsoleDbError(msg) from None
    return db


def _upgrade(db: sqlite3.Connection) -> None:
    with transaction(db):
        version = db.execute("PRAGMA user_version").fetchone()[0]  # another process may have been faster
        while version < SCHEMA_VERSION:
            version += 1
            text = (files("tillwatch.collector.people") / f"console_v{version}.sql").read_text(encoding="utf-8")
            for statement in _statements(text):
                db.execute(statement)
            db.execute(f"PRAGMA user_version={version}")


def _statements(text: str) -> Iterator[str]:
    """executescript() would commit first."""
    held = ""
    for line in text.splitlines(keepends=True):
        held += line
        if sqlite3.complete_statement(held):
            yield held
            held = ""


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def say(db: sqlite3.Connection, facts: Mapping[str, Any]) -> None:
    """Have it become record. facts: of an Operator entry, with `action` and `actor`, and no secret. Call it inside the transaction of what it tells of.

    Raises ConsoleDbError where too much waits already.
    """
    waits = db.execute("SELECT coalesce(max(n) - min(n), 0) FROM unsaid").fetchone()[0]
    if waits >= MAX_UNSAID:
        raise ConsoleDbError(
            f"{waits} acts wait for the collector already; start it, or look why it does not take them"
        )
    db.execute("INSERT INTO unsaid (facts) VALUES (?)", (msgpack.packb(dict(facts)),))


def unsaid(db: sqlite3.Connection, limit: int = 100) -> list[tuple[int, dict[str, Any]]]:
    """What waits to become record, the oldest first, with its number."""
    rows = db.execute("SELECT n, facts FROM unsaid ORDER BY n LIMIT ?", (limit,)).fetchall()
    return [(n, msgpack.unpackb(facts)) for n, facts in rows]


def said(db: sqlite3.Connection, number: int) -> None:
    db.execute("DELETE FROM unsaid WHERE n = ?", (number,))
