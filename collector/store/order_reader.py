"""The part of the store's reader that is about commands to terminals, and the diagnostic bundles that came back as readings."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import msgpack

from tillwatch.agent.model import AGENT, MS
from tillwatch.agent.wire import ALLOWED, PIECE, Assembly, CommandKind
from tillwatch.collector.diagnosis.order import OPEN, Order, Reach, allowed_of
from tillwatch.collector.diagnosis.reading import Bundle
from tillwatch.collector.store import readings_reader
from tillwatch.collector.store.db import Db
from tillwatch.collector.terminal.fleet import Component, Terminal

ROUND_NS = 900 * 10**9
"""Round the time of a command in which the readings of its bundle are looked for: a terminal's clock may be off by minutes before it is corrected."""


class OrderReader:
    """Of the reader."""

    def snapshot(self) -> AbstractContextManager[Db]:
        raise NotImplementedError

    def reach(self, terminal: str) -> Reach:
        with self.snapshot() as db:
            row = db.execute(
                "SELECT id, branch, region, class, state, enrolled_at, status FROM terminal WHERE id = ?", (terminal,)
            ).fetchone()
            if row is None:
                raise KeyError(terminal)
            kept = db.execute(
                "SELECT state FROM component WHERE terminal = ? AND name = ?", (terminal, AGENT)
            ).fetchone()
            waiting = db.execute(
                "SELECT count(*) FROM command WHERE terminal = ? AND state IN (?, ?)", (terminal, *OPEN)
            ).fetchone()[0]
            packed = db.execute("SELECT value FROM meta WHERE key = 'settings'").fetchone()
        known = Terminal(row[0], row[1], row[2], row[3], row[5], row[4])
        known.unpack_status(row[6])
        said = Component.unpack(AGENT, kept[0]).series.get(ALLOWED) if kept else None
        settings = msgpack.unpackb(packed[0]) if packed else {}
        return Reach(
            enabled=settings.get("diagnosis.enabled") == "True",
            allowed=allowed_of(said.value) if said is not None else None,
            told_at=said.received if said is not None else 0,
            connection="revoked" if known.state == "revoked" else known.connection,
            waiting=waiting,
        )

    def orders(self, terminal: str | None = None, *, open_only: bool = False, limit: int = 500) -> Sequence[Order]:
        with self.snapshot() as db:
            rows = db.execute(
                "SELECT * FROM command WHERE (:terminal IS NULL OR terminal = :terminal) AND (:open_only = 0 OR state IN ('asked', 'sent'))"
                " ORDER BY n DESC LIMIT :limit",
                {"terminal": terminal, "open_only": int(open_only), "limit": limit},
            ).fetchall()
        return [Order.of_row(row) for row in rows]

    def takers(self) -> int:
        """Terminals whose last word was that they take commands: a look at each one's agent, for the doctor."""
        with self.snapshot() as db:
            kept = db.execute("SELECT state FROM component WHERE name = ?", (AGENT,)).fetchall()
        said = (Component.unpack(AGENT, state).series.get(ALLOWED) for (state,) in kept)
        return sum(bool(allowed_of(each.value)) for each in said if each is not None)

    def order(self, n: int) -> Order:
        with self.snapshot() as db:
            return _order(db, n)

    def bundle(self, n: int) -> Bundle:
        with self.snapshot() as db:
            order = _order(db, n)
            if order.kind != CommandKind.COLLECT_BUNDLE:
                raise KeyError(str(n))
            found = Assembly(order.number)
            until = (order.done_at or order.expires_at) + ROUND_NS
            span = (order.asked_at - ROUND_NS) // MS, until // MS
            values, retired = readings_reader.between(db, order.terminal, AGENT, PIECE, *span)
            for value in values:
                found.take(value)
        return Bundle(order, found.whole(), found.missing, retired)


def _order(db: Db, n: int) -> Order:
    row = db.execute("SELECT * FROM command WHERE n = ?", (n,)).fetchone()
    if row is None:
        raise KeyError(str(n))
    return Order.of_row(row)
