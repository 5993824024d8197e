"""A connection to PostgreSQL that is used as one of SQLite is: the same statements (`dialect.py`), the same kinds of values (`values.py`), the same classes of
faults. It connects when it is first needed and again when it was lost between two transactions; a transaction that is lost is told and nothing of it was kept.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg import RawCursor
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult

from tillwatch.collector.store.db import Parameters, Postgres
from tillwatch.collector.store.postgres import values
from tillwatch.collector.store.postgres.dialect import Table, Translated, translate, upsert, upsert_of

LEAST_VERSION = 130_000
"""PostgreSQL 13: the first whose snapshots can be asked for as text."""
CONNECT_S = 5
"""Waiting for a server that does not answer: less than a lease lasts, so that a dead one is noticed within it. libpq waits as long for each host of the address."""
STATEMENT_S = 60
"""One statement of the writer: a hundred times the longest that was measured. Migrations lift it for themselves."""
LOOK_S = 600
"""One question of a reader: a year's figures of a large fleet. A reader's snapshot holds back the clearing of rows that were replaced for as long."""
WRITER_IDLE_S = 10
"""A writer that says nothing for so long in the middle of its transaction is stopped or cut off: the server ends it, and what it locked is free. No longer than a
lease is good for.
"""
GONE_S = 15
"""From when on a server that does not acknowledge what it was sent counts as gone: also for statements that the kernel would wait for for a quarter of an hour."""
WRITER_LOCK = 0x74696C6C
"""Key of the lock that a transaction of a writer holds: as in SQLite there is one at a time. Locks of this kind are each database's own."""
BITE = 2_000
"""Rows that a scan has in memory at a time."""
_SIZE = """
    SELECT ((SELECT coalesce(sum(octet_length(bodies) + octet_length(heads) + octet_length(signatures)), 0) FROM segment)
        + (SELECT coalesce(sum(pg_table_size(oid)), 0) FROM pg_class
           WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relname <> 'segment')) / 8192
"""
"""Of what is kept, in pages of 8 KiB. Of sealed frames their bytes: rows that were retired leave room that the server uses again and does not give back."""
LOST = "PostgreSQL: the connection was lost in the middle of a transaction"
_COLUMNS = """
    SELECT a.attname, coalesce(a.attnum = ANY (i.indkey), false) FROM pg_attribute a
    LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
    WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""


class PostgresError(sqlite3.OperationalError):
    """What PostgreSQL refused, or that it cannot be reached."""


def told(error: psycopg.Error) -> sqlite3.Error:
    """As the class that SQLite would have raised. The text is one line and has no values in it."""
    state = f" ({error.sqlstate})" if error.sqlstate else ""
    text = f"PostgreSQL: {' '.join(str(error).splitlines()[:1]) or type(error).__name__}{state}"
    if isinstance(error, psycopg.IntegrityError):
        return sqlite3.IntegrityError(text)
    return PostgresError(text)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise told(error) from error


class PostgresCursor:
    """The rows of one statement, all of them here already. cursor: None for a word about transactions, which has none."""

    def __init__(self, cursor: RawCursor[tuple[Any, ...]] | None) -> None:
        self._cursor = cursor
        self.rowcount = -1 if cursor is None else cursor.rowcount
        self.description = None if cursor is None else cursor.description

    def __iter__(self) -> PostgresCursor:
        return self

    def __next__(self) -> Any:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    def fetchone(self) -> Any:
        with _told():
            return self._cursor.fetchone() if self._cursor is not None and self.description is not None else None

    def fetchmany(self, size: int, /) -> list[Any]:
        with _told():
            return self._cursor.fetchmany(size) if self._cursor is not None and self.description is not None else []

    def fetchall(self) -> list[Any]:
        with _told():
            return self._cursor.fetchall() if self._cursor is not None and self.description is not None else []


class PostgresDb:
    """Of one thread at a time, as it is used; `interrupt` is for others."""

    def __init__(self, where: Postgres, *, read_only: bool, timeout_s: float) -> None:
        self.where = where
        self._read_only = read_only
        self._lock_ms = max(1, round(timeout_s * 1000))
        self._conn: psycopg.Connection[tuple[Any, ...]] | None = None
        self._tables: dict[str, Table] = {}
        self._within = False
        self.numbers = count()
        self.connection()

    # The connection itself.

    def connection(self) -> psycopg.Connection[tuple[Any, ...]]:
        """The one there is, or a new one if it was lost. Not within a transaction: what a lost one did is gone, and it must not go on elsewhere."""
        if self._conn is not None and self._conn.pgconn.status == ConnStatus.OK:
            return self._conn
        self.lose()
        if self._within:
            raise PostgresError(LOST)
        with _told():
            self._conn = self._connected()
        return self._conn

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        where = self.where
        given: dict[str, Any] = {
            "application_name": "tillwatch",
            "connect_timeout": CONNECT_S,
            "target_session_attrs": "read-write",
        }
        given |= {
            "keepalives_idle": GONE_S,
            "keepalives_interval": 5,
            "keepalives_count": 2,
            "tcp_user_timeout": GONE_S * 1000,
        }
        given |= conninfo_to_dict(where.url)
        if where.password_file is not None:
            given["password"] = password_in(where.password_file)
        if where.ca_file is not None:
            given |= {"sslmode": "verify-full", "sslrootcert": str(where.ca_file)}
        conn = psycopg.Connection[tuple[Any, ...]].connect(**given, client_encoding="utf-8", autocommit=True)
        try:
            if conn.pgconn.server_version < LEAST_VERSION:
                msg = f"PostgreSQL: the server is version {conn.pgconn.server_version // 10_000}; from {LEAST_VERSION // 10_000} on it can be used"
                raise PostgresError(msg)
            if conn.pgconn.parameter_status(b"server_encoding") != b"UTF8":
                msg = "PostgreSQL: the database is not in UTF8; make one with ENCODING 'UTF8'"
                raise PostgresError(msg)
            values.register(conn)
            self._set_up(conn)
        except BaseException:
            conn.close()
            raise
        return conn

    def _set_up(self, conn: psycopg.Connection[tuple[Any, ...]]) -> None:
        statement, idle = (LOOK_S, LOOK_S) if self._read_only else (STATEMENT_S, WRITER_IDLE_S)
        settings = [
            f"SET statement_timeout = '{statement}s'",
            f"SET lock_timeout = {self._lock_ms}",
            f"SET idle_in_transaction_session_timeout = '{idle}s'",
            f"SET default_transaction_read_only = {'on' if self._read_only else 'off'}",
        ]
        if not self._read_only:
            # What is acknowledged to a terminal must be on a disk; a site that replicates synchronously has more than this set, and keeps it.
            settings.append(
                "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')"
            )
        _run(conn.pgconn, "; ".join(settings))

    @property
    def in_transaction(self) -> bool:
        """Also of one that was lost, until its end is asked for."""
        return self._within

    def interrupt(self) -> None:
        if self._conn is not None and self._conn.pgconn.status == ConnStatus.OK:
            with contextlib.suppress(psycopg.Error):
                self._conn.cancel_safe(timeout=CONNECT_S)

    def close(self) -> None:
        if self._conn is not None:
            self._conn.close()

    def lose(self) -> None:
        """Let go of this connection; the next statement outside of a transaction makes another one."""
        self.close()
        self._conn = None

    # Statements.

    def execute(self, sql: str, parameters: Parameters = (), /) -> PostgresCursor:
        match sql.split(None, 2)[:2]:
            case ["BEGIN", *how]:
                self.begin(immediate=how == ["IMMEDIATE"])
                return PostgresCursor(None)
            case ["COMMIT" | "ROLLBACK" as word, *_]:
                self.end(word)
                return PostgresCursor(None)
            case ["PRAGMA", "user_version"]:
                sql = _VERSION if self.has("schema_version") else "SELECT 0"
            case ["PRAGMA", what]:
                sql = _pragma(what)
        translated = self.translated(sql)
        return self.own(translated.text, translated.values(parameters))

    def executemany(self, sql: str, parameters: Any, /) -> PostgresCursor:
        translated = self.translated(sql)
        cursor = RawCursor(self.connection())
        with _told():
            cursor.executemany(translated.text, [translated.values(each) for each in parameters])
        return PostgresCursor(cursor)

    def scan(self, sql: str, parameters: Parameters = (), /) -> Iterator[Any]:
        """The rows of a query bite by bite; other statements may come between. Within one transaction, its own if there is none."""
        translated, name = self.translated(sql), f"scan_{next(self.numbers)}"
        own = not self.in_transaction
        if own:
            self.begin(immediate=False)
        try:
            cursor = RawCursor(self.connection())
            with _told():
                cursor.execute(f"DECLARE {name} NO SCROLL CURSOR FOR {translated.text}", translated.values(parameters))
            while rows := self.execute(f"FETCH {BITE} FROM {name}").fetchall():
                yield from rows
            self.execute(f"CLOSE {name}")
            if own:
                self.end("COMMIT")
        finally:
            if own and self.in_transaction:
                self.end("ROLLBACK")

    def begin(self, *, immediate: bool, also: str = "") -> PGresult:
        """immediate: as the one writer. also: statements in the same breath, of which the last one's result is given."""
        if self._within:
            raise PostgresError("cannot start a transaction within a transaction")
        pgconn = self.connection().pgconn
        first = (
            f"BEGIN; SELECT pg_advisory_xact_lock({WRITER_LOCK})"
            if immediate
            else "BEGIN ISOLATION LEVEL REPEATABLE READ"
        )
        try:
            result = _run(pgconn, f"{first}{also}")
        except BaseException:
            self._roll_back()
            raise
        self._within = True
        return result

    def end(self, word: str) -> None:
        """word: COMMIT or ROLLBACK. A commit of a transaction in which a statement failed is refused: PostgreSQL would roll it back and say nothing."""
        if not self._within:
            msg = f"cannot {word.lower()}: no transaction is active"
            raise PostgresError(msg)
        if word == "ROLLBACK":
            self._within = False
            self._roll_back()
            return
        pgconn = self.connection().pgconn
        if pgconn.transaction_status == TransactionStatus.INERROR:
            raise PostgresError("PostgreSQL: a statement of this transaction failed; nothing of it is kept")
        _run(pgconn, word)
        self._within = False

    def _roll_back(self) -> None:
        """Whatever is left of a transaction; of a connection that was lost nothing is."""
        if self._conn is None or self._conn.pgconn.transaction_status not in _WITHIN:
            return
        try:
            _run(self._conn.pgconn, "ROLLBACK")
        except PostgresError:
            self.lose()

    def own(self, sql: str, parameters: Sequence[Any]) -> PostgresCursor:
        """A statement in PostgreSQL's own words."""
        cursor = RawCursor(self.connection())
        with _told():
            cursor.execute(sql, parameters, binary=True)
        return PostgresCursor(cursor)

    def script(self, sql: str) -> None:
        """Statements of PostgreSQL's own, without parameters and answers."""
        _run(self.connection().pgconn, sql)

    def translated(self, sql: str) -> Translated:
        parts = upsert_of(sql)
        return translate(sql if parts is None else upsert(parts[0], parts[1], self.table(parts[1]), *parts[2:]))

    def has(self, table: str) -> bool:
        return bool(
            self.own(
                "SELECT count(*) FROM pg_class WHERE relname = $1 AND pg_table_is_visible(oid)", [table]
            ).fetchone()[0]
        )

    def table(self, name: str) -> Table:
        if name not in self._tables:
            with _told():
                rows = RawCursor(self.connection()).execute(_COLUMNS, [name]).fetchall()
            self._tables[name] = Table(tuple(row[0] for row in rows), tuple(row[0] for row in rows if row[1]))
        return self._tables[name]

    def forget_tables(self) -> None:
        """They are others now."""
        self._tables.clear()


_WITHIN = (TransactionStatus.INTRANS, TransactionStatus.INERROR, TransactionStatus.ACTIVE)
_FINE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)
_VERSION = "SELECT version FROM schema_version"
_PRAGMAS = {
    # Of every commit of every database of the server: that it says too often that something changed does no harm.
    "data_version": "SELECT hashtextextended(pg_current_snapshot()::text, 0)",
    "page_size": "SELECT 8192",
    "page_count": _SIZE,
    "freelist_count": "SELECT 0",
}
"""The questions of which PostgreSQL has its own forms. Free room is the server's own matter."""


def _pragma(what: str) -> str:
    if what not in _PRAGMAS:
        msg = f"PostgreSQL knows no PRAGMA {what}"
        raise sqlite3.NotSupportedError(msg)
    return _PRAGMAS[what]


def _run(pgconn: PGconn, statements: str) -> PGresult:
    """The result of the last one; they go over together."""
    with _told():
        result = pgconn.exec_(statements.encode())
    if result.status not in _FINE:
        raise told(psycopg.errors.error_from_result(result))
    return result


def password_in(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").split("\n", 1)[0]
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: the password of PostgreSQL cannot be read: {getattr(error, 'strerror', 'not UTF-8')}; see that the collector's user may read it"
        raise PostgresError(msg) from None
