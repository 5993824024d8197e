"""The store in PostgreSQL: what the embedded one keeps, in the same tables by the same statements, with a fence: a writer that is not the one any more is told
so and writes nothing. Its transactions ask for their lease; a mark of a stream that is not what this process left there, or an entry of the journal that is there
already, says the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from tillwatch.collector.fold import Fold
from tillwatch.collector.journal import Journal
from tillwatch.collector.store.db import Db, Fence, Postgres, scan
from tillwatch.collector.store.postgres.bulk import MAX_ROWS, Pipeline, Plan
from tillwatch.collector.store.postgres.connection import LOOK_S, PostgresDb
from tillwatch.collector.store.postgres.lease import asks
from tillwatch.collector.store.postgres.schema import open_postgres
from tillwatch.collector.store.postgres.values import BYTEA, INT8, TEXT
from tillwatch.collector.store.sqlite import GROUP, STREAM, Commit, FencedError, Store
from tillwatch.collector.terminal.digests import RECENT

_MOVED = Plan(
    """
    UPDATE stream SET mark = u.mark, tail = u.tail, current = u.current
    FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bytea[], $5::bigint[], $6::bigint[]) AS u (terminal, epoch, mark, tail, current, was)
    WHERE stream.terminal = u.terminal AND stream.epoch = u.epoch AND stream.mark = u.was
    """,
    (TEXT, BYTEA, INT8, BYTEA, INT8, INT8),
    None,
)
_RECENT = f"""
    SELECT t.id, j.facts, j.payload_digest FROM terminal t CROSS JOIN LATERAL (
        SELECT n, facts, payload_digest FROM journal WHERE terminal = t.id AND kind = 3 AND payload IS NOT NULL ORDER BY n DESC LIMIT {RECENT}
    ) j ORDER BY t.id, j.n
"""  # noqa: S608 - a constant
_BEGUN = "INSERT INTO stream VALUES (?,?,?,?,?)"
_JOURNAL = "INSERT INTO journal"


class PostgresStore(Store):
    """fence: the lease by which this process writes, None where it is the one writer for another reason."""

    conn: PostgresDb

    def __init__(self, where: Postgres, fence: Fence | None = None) -> None:
        super().__init__(where, open_postgres(where))
        self.fence = fence
        self._pipeline = Pipeline(self.conn)
        self._marks: dict[tuple[str, bytes], int] = {}
        self._moving: dict[tuple[str, bytes], int] = {}

    def _load(self, db: Db, fold: Fold) -> Journal:
        # One state of it, also where another one writes. Nothing is locked: who is slow here is in nobody's way.
        db.execute("BEGIN")
        self.conn.allow(LOOK_S)
        journal = super()._load(db, fold)
        db.execute("COMMIT")
        self._marks = {
            (terminal.id, epoch): stream.mark
            for terminal in fold.fleet.terminals.values()
            for epoch, stream in terminal.streams.items()
        }
        return journal

    def _recent(self, db: Db, terminals: Sequence[str]) -> Iterator[tuple[str, bytes, bytes]]:  # noqa: ARG002 - all that there are
        # One question for the whole fleet: a hundred thousand would take longer than all else.
        yield from scan(db, _RECENT)

    def _begin(self) -> None:
        fence = self.fence
        if fence is None:
            self.conn.begin(immediate=True)
        elif not self.conn.begin(immediate=True, also=f"; {asks(fence)}").ntuples:
            msg = f"{self.where}: the lease of {fence.name} is not that of epoch {fence.epoch} any more; another collector writes now or will"
            raise FencedError(msg)

    def write(self, group: Commit) -> None:
        """Pack it and send it; `end` hears what became of it."""
        self._moving = {}
        with self._undone(GROUP):
            # Planning asks the server; nothing may be on its way then.
            begun = self._pipeline.plan_of(_BEGUN)
            plans = [(sql, rows, self._pipeline.plan_of(sql)) for sql, rows in group.rows]
            for sql, rows, plan in plans:
                if sql == STREAM:
                    assert begun is not None
                    self._send_streams(rows, begun)
                elif plan is not None:
                    self._pipeline.send(sql, plan, rows)
                else:
                    self._pipeline.answers()
                    self.conn.executemany(sql, rows)
            self._pipeline.flush()

    def _send_streams(self, rows: Sequence[tuple[Any, ...]], plan: Plan) -> None:
        moved, begun = [], []
        for row in {(row[0], row[1]): row for row in rows}.values():
            was = self._marks.get((row[0], row[1]))
            self._moving[row[0], row[1]] = row[2]
            if was is None:
                begun.append(row)
            else:
                moved.append((*row, was))
        for first in range(0, len(moved), MAX_ROWS):
            some = moved[first : first + MAX_ROWS]
            self._pipeline.send(f"{len(some)}", _MOVED, some)
        if begun:
            self._pipeline.send(_BEGUN, plan, begun)

    def end(self, group: Commit, *, deliver: bool = True) -> None:
        with self._undone(GROUP):
            self._answered()
        super().end(group, deliver=deliver)
        self._marks |= self._moving

    def _answered(self) -> None:
        try:
            for label, changed in self._pipeline.answers():
                if label.isdigit() and int(label) != changed:
                    msg = f"{self.where}: {int(label) - changed} marks of streams are not where this collector left them; another one writes"
                    raise FencedError(msg)
        except sqlite3.IntegrityError as error:
            if any(note.startswith((_JOURNAL, _BEGUN)) for note in getattr(error, "__notes__", ())):
                msg = f"{self.where}: {error}; another collector wrote what this one was about to"
                raise FencedError(msg) from error
            raise

    def abandon(self) -> None:
        self._pipeline.drop()
        super().abandon()

    def _hours(self, keys: Sequence[tuple[str, str, int]]) -> Iterator[tuple[str, str, int, bytes]]:
        return iter(
            self.conn.own(
                "SELECT r.terminal, r.component, r.hour, r.signals FROM unnest($1::text[], $2::text[], $3::bigint[]) AS u (terminal, component, hour)"
                " JOIN rollup r USING (terminal, component, hour)",
                [list(column) for column in zip(*keys, strict=True)],
            ).fetchall()
        )

    def _put(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        plan = self._pipeline.plan_of(sql)
        assert plan is not None
        self._pipeline.send(sql, plan, rows)
        self._pipeline.answers()
