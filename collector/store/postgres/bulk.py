"""Many rows in one statement: each column goes over as one array, and the statements of a group one behind the other without waiting for an answer. It is the
fold's own time that is saved: a row costs about a microsecond to pack, a statement of its own some twenty.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from struct import Struct, pack
from typing import Any

import psycopg
from psycopg.pq import ExecStatus, Format, PipelineStatus
from psycopg.pq.abc import PGconn, PGresult

from tillwatch.collector.store.postgres.answers import hear
from tillwatch.collector.store.postgres.connection import PostgresDb, told
from tillwatch.collector.store.postgres.dialect import conflict, upsert_of
from tillwatch.collector.store.postgres.values import BYTEA, FLOAT8, INT8, TEXT, kept

MAX_PLANS = 128
"""Statements that are prepared: the store has some forty."""
MAX_ROWS = 10_000
"""Of one statement. A start writes the state of all terminals, half a million rows for a hundred thousand of them: a statement may take a minute, and one parameter
have 1 GiB.
"""
_INSERT = re.compile(r"INSERT INTO (\w+)\s*(?:\(([\w\s,]+)\))?\s*VALUES \(\?(?:,\s*\?)*\)", re.IGNORECASE)
_PLACES = re.compile(r"VALUES \(\?(?:,\s*\?)*\)", re.IGNORECASE)
_DELETE = re.compile(r"DELETE FROM (\w+) WHERE (\w+ = \?(?: AND \w+ = \?)*)", re.IGNORECASE)
_ARRAY = {"bigint": INT8, "text": TEXT, "bytea": BYTEA, "double precision": FLOAT8}
_LETTER = {INT8: "q", FLOAT8: "d"}
_NULL = pack(">i", -1)
_length = Struct(">i").pack
_TYPES = """
    SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
    WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """One statement for many rows. types: of its columns, the elements' own; key: of a row, where of several with one key the last counts."""

    text: str
    types: tuple[int, ...]
    key: Callable[[Any], Any] | None


def array(kind: int, column: Sequence[Any]) -> bytes:
    """In PostgreSQL's binary form. Raises OverflowError for an integer of more than 64 bits, as sqlite3 does."""
    count = len(column)
    if kind in _LETTER and None not in column:
        values: list[Any] = [8] * (2 * count)
        values[1::2] = column
        try:
            return _numbers(_LETTER[kind], count).pack(1, 0, kind, count, 1, *values)
        except Exception as error:  # struct.error, and it says neither which nor why
            raise OverflowError(f"a number that 64 bits cannot hold: {error}") from None
    head = pack(">5i", 1, int(None in column), kind, count, 1)
    return head + b"".join(chain.from_iterable(_sized(kind, column)))


@lru_cache(maxsize=2048)
def _numbers(letter: str, count: int) -> Struct:
    return Struct(">5i" + f"i{letter}" * count)


def _sized(kind: int, column: Sequence[Any]) -> Iterator[tuple[bytes, bytes]]:
    for value in column:
        if value is None:
            yield _NULL, b""
            continue
        data = value if kind == BYTEA else kept(value).encode() if kind == TEXT else pack(">" + _LETTER[kind], value)
        yield _length(len(data)), data


def plan(sql: str, db: PostgresDb) -> Plan | None:
    """None: it is not of a kind that can be said for many rows at once."""
    parts = upsert_of(sql)
    if (match := _INSERT.fullmatch(sql)) is not None:
        table, how = match[1], ""
        columns = _names(match[2]) or db.table(table).columns
    elif parts is not None and _PLACES.fullmatch(parts[3]):
        how, table, columns = parts[0], parts[1], parts[2] or db.table(parts[1]).columns
    elif (match := _DELETE.fullmatch(sql)) is not None:
        table, columns = match[1], tuple(re.findall(r"(\w+) = \?", match[2]))
        types = _types(db, table, columns)
        equal = " AND ".join(f"{table}.{name} = u.{name}" for name in columns)
        text = f"DELETE FROM {table} USING {_unnest(types)} AS u ({', '.join(columns)}) WHERE {equal}"  # noqa: S608 - names out of the schema
        return Plan(text, types, None)
    else:
        return None
    types = _types(db, table, columns)
    known = db.table(table)
    text = f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM {_unnest(types)}"  # noqa: S608 - names out of the schema
    if not how:
        return Plan(text, types, None)
    key = itemgetter(*(columns.index(name) for name in known.key))
    return Plan(f"{text} {conflict(how, known, columns)}", types, key)


def _names(listed: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in listed.split(",")) if listed else ()


def _types(db: PostgresDb, table: str, columns: Sequence[str]) -> tuple[int, ...]:
    found = dict(db.own(_TYPES, (table,)).fetchall())
    return tuple(_ARRAY[found[name]] for name in columns)


def _unnest(types: Sequence[int]) -> str:
    said = {number: name for name, number in _ARRAY.items()}
    return f"unnest({', '.join(f'${n}::{said[kind]}[]' for n, kind in enumerate(types, 1))})"


class Pipeline:
    """Statements on their way. Of one connection, within one transaction; what is sent by one thread may be answered to another, one after the other."""

    def __init__(self, db: PostgresDb) -> None:
        self._db = db
        self._plans: dict[str, Plan | None] = {}
        self._prepared: dict[str, bytes] = {}
        self._of: PGconn | None = None
        self._waiting: list[tuple[str, str]] = []

    def plan_of(self, sql: str) -> Plan | None:
        if sql not in self._plans:
            self._plans[sql] = plan(sql, self._db)
        return self._plans[sql]

    def send(self, label: str, it: Plan, rows: Sequence[Sequence[Any]]) -> None:
        """label: what is told with the answer, that of each statement where there are more rows than one may have."""
        if it.key is not None and len(rows) > 1:
            rows = list({it.key(row): row for row in rows}.values())
        for first in range(0, len(rows), MAX_ROWS):
            self._send(label, it, rows[first : first + MAX_ROWS])

    def _send(self, label: str, it: Plan, rows: Sequence[Sequence[Any]]) -> None:
        values = [array(kind, column) for kind, column in zip(it.types, zip(*rows, strict=True), strict=True)]
        pgconn = self._db.connection().pgconn
        if self._of is not pgconn:
            self._of = pgconn
            self._prepared.clear()
        if pgconn.pipeline_status == PipelineStatus.OFF:
            pgconn.enter_pipeline_mode()
        name = self._prepared.get(it.text)
        if name is None:
            name = self._prepared[it.text] = b"tw_%d" % next(self._db.numbers)
            pgconn.send_prepare(name, it.text.encode())
            self._waiting.append(("", it.text))
        pgconn.send_query_prepared(name, values, _BINARY[: len(values)], Format.BINARY)
        self._waiting.append((label, ""))

    def flush(self) -> None:
        """The server may begin."""
        if self._waiting and self._of is not None:
            self._of.send_flush_request()
            self._of.flush()

    def answers(self) -> list[tuple[str, int]]:
        """(label, rows that were changed) of each statement, in order. Blocks until all are there. Raises sqlite3.Error for the first that failed, with its label
        as a note.
        """
        waiting, self._waiting = self._waiting, []
        pgconn = self._of
        if pgconn is None or not waiting:
            return []
        done: list[tuple[str, int]] = []
        failed: list[tuple[str, PGresult]] = []
        try:
            pgconn.pipeline_sync()
            for label, prepared in waiting:
                fine = True
                while (result := _next(pgconn, self._db.answer_s)) is not None:
                    fine = result.status in _FINE
                    if fine and label:
                        done.append((label, result.command_tuples or 0))
                    elif not fine:
                        failed.append((label, result))
                if prepared and not fine:
                    del self._prepared[prepared]
            _next(pgconn, self._db.answer_s)  # the sync
            pgconn.exit_pipeline_mode()
        except psycopg.Error as error:
            # Half of the answers are gone: nothing can be made of this connection any more.
            self._db.lose()
            raise told(error) from error
        if failed:
            fault = told(psycopg.errors.error_from_result(failed[0][1]))
            fault.add_note(failed[0][0])
            raise fault
        return done

    def drop(self) -> None:
        """Hear out what was sent, and forget it."""
        with suppress(sqlite3.Error):
            self.answers()


_BINARY = [Format.BINARY] * 64
_FINE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


def _next(pgconn: PGconn, answer_s: float) -> PGresult | None:
    hear(pgconn, answer_s)
    return pgconn.get_result()
