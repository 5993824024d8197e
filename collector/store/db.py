"""What every part of the collector needs of a database, and no more: SQLite's connection has it as it is, PostgreSQL's gets it from
`postgres/connection.py`. SQL is written once, as SQLite reads it and PostgreSQL can: `?`, `?1` and `:name` for parameters, `INSERT OR REPLACE`,
`BEGIN IMMEDIATE` for the one writer, `BEGIN` for one consistent state; no numbers where a condition is meant (`drill = 0`, not `NOT drill`), a name for every
query in FROM, `RETURNING` for the number of a new row. Faults are the classes of sqlite3 for both.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Parameters = Sequence[Any] | Mapping[str, Any]


class Cursor(Protocol):
    """The rows of one statement."""

    @property
    def rowcount(self) -> int: ...
    @property
    def description(self) -> Any: ...
    def fetchone(self) -> Any: ...
    def fetchmany(self, size: int, /) -> list[Any]: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __next__(self) -> Any: ...


class Db(Protocol):
    """A connection outside of transactions that are not asked for. Every call raises sqlite3.Error."""

    @property
    def in_transaction(self) -> bool: ...
    def execute(self, sql: str, parameters: Parameters = ..., /) -> Cursor: ...
    def executemany(self, sql: str, parameters: Any, /) -> Cursor: ...
    def interrupt(self) -> None:
        """End what another thread runs on this connection."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Postgres:
    """A database of a PostgreSQL server. url: `postgresql://user@host/database`, several hosts separated by commas, without password; password_file: whose
    first line is it; ca_file: of the authority that the server's certificate must be from, None where the bank trusts the way to it; data_dir: where this machine's own
    files stand that belong to it.
    """

    url: str
    password_file: Path | None = None
    ca_file: Path | None = None
    data_dir: Path = Path("/var/lib/tillwatch-collector")

    def __str__(self) -> str:
        return self.url


Where = Path | Postgres
"""Of the collector's state: its file, or a database of a server."""


class Fence(Protocol):
    """By which a transaction knows that its writer still is the one: a lease as it was taken."""

    @property
    def name(self) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def until(self) -> float:
        """By this process's monotonic clock, before when it surely is still good; 0.0 where it is not held any more."""


def connect(where: Where, *, read_only: bool, timeout_s: float) -> Db:
    """timeout_s: how long to wait for a transaction of somebody else. Raises sqlite3.Error. Makes no tables: see `opening.py`."""
    if isinstance(where, Postgres):
        from tillwatch.collector.store.postgres.connection import PostgresDb  # noqa: PLC0415 - its library is an extra

        return PostgresDb(where, read_only=read_only, timeout_s=timeout_s)
    if read_only:
        uri = f"{where.absolute().as_uri()}?mode=ro"
        return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=timeout_s, check_same_thread=False)
    return sqlite3.connect(where, isolation_level=None, timeout=timeout_s, check_same_thread=False)


def scan(db: Db, sql: str, parameters: Parameters = ()) -> Iterator[Any]:
    """The rows of a query that may be very many, without all of them being in memory at once."""
    bites = getattr(db, "scan", None)
    yield from db.execute(sql, parameters) if bites is None else bites(sql, parameters)
