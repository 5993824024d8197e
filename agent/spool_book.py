"""What the spool's file holds, as rows and as sums: the epoch that is sealed into, the batches that wait, and those that were refused and are kept.
Every method runs inside a transaction of the spool's, and keeps the sums right.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from tillwatch.agent import clock
from tillwatch.agent.card_numbers import REFUSED_FOR
from tillwatch.agent.wire import FIRST_PREV, Sealed, new_epoch

ROW_COST = 96
"""Bytes that a stored batch takes beside its payload: the row, its index entry, its share of a page."""
MAX_PARKED = 4 << 20
"""Bytes of refused batches that are kept for a person to look at."""
RESEAL_AT_ONCE = 50
"""Former batches sealed again in one transaction: some 30 ms, so that the event loop goes on in between."""


@dataclass(frozen=True, slots=True)
class Slot:
    """The place in the stream that a batch is sealed for."""

    epoch: bytes
    seq: int
    prev: bytes
    floor: int
    lost: int


@dataclass(slots=True)
class Epoch:
    """A row of `epochs`, in the order of its columns."""

    gen: int
    epoch: bytes
    terminal: str
    public: bytes
    next_seq: int = 1
    acked: int = 0
    tail: bytes = FIRST_PREV
    lost: int = 0
    lives: int = 0
    offered: int = 1
    why: str = ""


@dataclass(slots=True)
class Book:
    """The epoch that is sealed into and the sums over what waits."""

    db: sqlite3.Connection
    now: Epoch
    floor: int = 1
    batches: int = 0
    size: int = 0
    former: int = 0

    def slot(self) -> Slot:
        return Slot(self.now.epoch, self.now.next_seq, self.now.tail, self.floor, self.now.lost)

    def begin(self, terminal: str, public: bytes, why: str = "") -> None:
        epoch = new_epoch(clock.now(), os.urandom(8))
        self.now = Epoch(self.now.gen + 1, epoch, terminal, public, why=why)
        self.db.execute("INSERT INTO epochs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(self.now))
        self.count()

    def put(self, sealed: Sealed, at: int, ran: int) -> None:
        now = self.now
        self.db.execute(
            "INSERT INTO sealed (gen, seq, n, at, bytes, ran) VALUES (?, ?, ?, ?, ?, ?)",
            (now.gen, now.next_seq, sealed.n, at, sealed.payload, ran),
        )
        now.next_seq += 1
        now.tail = sealed.digest
        self.batches += 1
        self.size += len(sealed.payload) + ROW_COST

    def save(self, ran: int) -> None:
        """Write the epoch's row: the last act of every transaction."""
        now = self.now
        self.db.execute(
            "UPDATE epochs SET public = ?, next_seq = ?, acked = ?, tail = ?, lost = ?, lives = ?, offered = ? WHERE gen = ?",
            (now.public, now.next_seq, now.acked, now.tail, now.lost, now.lives, now.offered, now.gen),
        )
        self.db.execute("UPDATE run SET ran = ?", (ran,))

    def delete(self, which: str, values: Sequence[int]) -> None:
        count, size, former = self._measure(which, values)
        self.db.execute(f"DELETE FROM sealed WHERE {which}", values)  # noqa: S608 - constants of this file
        self.batches -= count
        self.size -= size
        self.former -= former
        self._find_floor()

    def drop_oldest(self) -> None:
        row, n = self.db.execute("SELECT id, n FROM sealed ORDER BY id LIMIT 1").fetchone()
        self.delete("id = ?", (row,))
        self.count_lost(n)

    def count_lost(self, n: int) -> None:
        self.now.lost += n

    def park(self, which: str, values: Sequence[int], reason: str) -> None:
        # An older agent may have sealed it. What the collector must not keep is not kept here either.
        kept = "x''" if reason.startswith(REFUSED_FOR) else "bytes"
        self.db.execute(
            "INSERT INTO parked (epoch, seq, n, at, reason, bytes)"  # noqa: S608 - constants of this file
            f" SELECT (SELECT epoch FROM epochs WHERE epochs.gen = sealed.gen), seq, n, at, ?, {kept} FROM sealed WHERE {which}",
            (reason, *values),
        )
        self.delete(which, values)
        while self.db.execute("SELECT coalesce(sum(length(bytes)), 0) FROM parked").fetchone()[0] > MAX_PARKED:
            row, n = self.db.execute("SELECT id, n FROM parked ORDER BY id LIMIT 1").fetchone()
            self.db.execute("DELETE FROM parked WHERE id = ?", (row,))
            self.count_lost(n)

    def former_rows(self) -> list[tuple[int, int, int, bytes, str, bytes]]:
        return self.db.execute(
            "SELECT id, at, ran, bytes, terminal, public FROM sealed JOIN epochs USING (gen) WHERE gen < ? ORDER BY id LIMIT ?",
            (self.now.gen, RESEAL_AT_ONCE),
        ).fetchall()

    def oldest(self) -> int | None:
        """`ran` of the oldest batch that waits."""
        row = self.db.execute("SELECT ran FROM sealed ORDER BY id LIMIT 1").fetchone()
        return None if row is None else int(row[0])

    def count(self) -> None:
        """Take the sums anew; the file may hold tens of thousands of batches, so this is for the opening and for a new epoch."""
        self.batches, self.size, self.former = self._measure("1", ())
        self._find_floor()

    def _measure(self, which: str, values: Sequence[int]) -> tuple[int, int, int]:
        """Of the batches that fit: how many, their cost, and how many of them are of a former epoch."""
        count, size, former = self.db.execute(
            f"SELECT count(*), coalesce(sum(length(bytes) + {ROW_COST}), 0), coalesce(sum(gen < {self.now.gen}), 0)"  # noqa: S608 - constants of this file
            f" FROM sealed WHERE {which}",
            values,
        ).fetchone()
        return count, size, former

    def _find_floor(self) -> None:
        row = self.db.execute("SELECT min(seq) FROM sealed WHERE gen = ?", (self.now.gen,)).fetchone()
        self.floor = self.now.next_seq if row[0] is None else row[0]
