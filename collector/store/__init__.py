"""What one transaction keeps."""

from __future__ import annotations

import sqlite3
from importlib.resources import files
from pathlib import Path

SCHEMA = 1
BUSY_S = 10.0
"""How long a command waits for a running collector's transaction: its groups commit within tens of milliseconds."""


class StoreError(Exception):
    """The database cannot be used. The text names the file and the mend."""


def open_db(path: Path, *, create: bool = True) -> sqlite3.Connection:
    """A connection in autocommit mode (write between BEGIN IMMEDIATE and COMMIT) to the collector's database, its tables made if need be.

    create: False for commands that only look. Raises StoreError.
    """
    if not create and not path.exists():
        raise StoreError(f"{path}: there is no database yet; start the collector first, or set data_dir in [collector]")
    try:
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot open the database: {error}; look at the folder's owner and rights") from None
    try:
        # Before the first table: it cannot be switched on later without rewriting the whole file.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        version = _make_tables(connection)
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"{path}: cannot use the database: {error}; run `tillwatch-collector doctor`") from None
    if version != SCHEMA:
        connection.close()
        raise StoreError(
            f"{path}: tables of version {version}, this program has {SCHEMA}; use the program that wrote them, or a newer one"
        )
    return connection


def _make_tables(connection: sqlite3.Connection) -> int:
    version = _version(connection)
    if version:
        return version
    connection.execute("BEGIN IMMEDIATE")
    version = _version(connection)  # another process may have been first
    if not version:
        for statement in _statements((files(__package__) / "schema_v1.sql").read_text("utf-8")):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA}")
        version = SCHEMA
    connection.execute("COMMIT")
    return version


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _statements(script: str) -> list[str]:
    """executescript() commits at once; one by one the statements stay within the transaction."""
    statements, waiting = [], ""
    for line in script.splitlines(keepends=True):
        waiting += line
        if sqlite3.complete_statement(waiting):
            statements.append(waiting)
            waiting = ""
    return statements
