"""The only durable copy of what was read until the collector says stored. A batch gets its number in the transaction that stores it,
leaves on the collector's word only, and where a bound is reached the oldest go first, counted and declared by the floor. A spool that
cannot be written says so and stops nothing; one that is damaged is moved aside, never deleted, and a new epoch begins.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from tillwatch.agent import clock
from tillwatch.agent.keys import sha256
from tillwatch.agent.model import MS
from tillwatch.agent.settings import SpoolConfig
from tillwatch.agent.spool_file import commit, connect, is_corrupt, is_dead, prepare
from tillwatch.agent.wire import FIRST_PREV, Sealed, VerifyKey, WireError, claim_of, frame_of, new_epoch

ROW_COST = 96
"""Bytes that a stored batch takes beside its payload: the row, its index entry, its share of a page."""
MAX_PARKED = 4 << 20
"""Bytes of refused batches that are kept for a person to look at."""
RESEAL_AT_ONCE = 50
"""Former batches sealed again in one transaction: some 30 ms, so that the event loop goes on in between."""


class SpoolFullError(Exception):
    """The spool cannot be written now: disk full, read-only, unreadable. The text says why; the caller keeps what it has and tries later."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What people must hear of. signal: of the catalogue, the reading that carries it."""

    signal: str
    text: str


@dataclass(frozen=True, slots=True)
class Slot:
    """The place in the stream that a batch is sealed for."""

    epoch: bytes
    seq: int
    prev: bytes
    floor: int
    lost: int


Seal = Callable[[Slot], Sealed]
Reseal = Callable[[Slot, bytes, VerifyKey], Sealed]
"""Seals the readings of a payload again, whose signature the given key verifies. Raises WireError where that cannot be."""


@dataclass(slots=True)
class _Epoch:
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


class Spool:
    """One writer, the one that holds the state directory. Every method but the constructor and close may raise SpoolFullError.

    former_keys: public keys that were rotated into this one; their epoch goes on.
    """

    def __init__(
        self, file: Path, terminal: str, public: bytes, limits: SpoolConfig, former_keys: Collection[bytes] = ()
    ) -> None:
        self.file = file
        self.trouble = ""
        self.notices: list[Notice] = []
        """The service takes them out and sends them."""
        self.offering = False
        """Whether what is stored goes out at once: then it is written down as offered in the same transaction."""
        self.ended = ""
        """How the agent before this one ended: `clean`, `killed`, or empty where there was none."""
        self.rebooted = False
        """Whether the machine was started anew since the file was last written."""
        self._terminal, self._public, self._limits = terminal, public, limits
        self._former_keys = former_keys
        self._book: _Book | None = None
        self._dead = False
        """The connection could not be written: reading goes on over it, the next write tries a new one."""
        self._ran = 0
        self._opened_up = 0

    @property
    def book(self) -> _Book:
        """What is committed; not to be changed."""
        self.open()
        assert self._book is not None
        return self._book

    @property
    def is_open(self) -> bool:
        return self._book is not None

    @property
    def epoch(self) -> bytes:
        return self.book.now.epoch

    @property
    def next_seq(self) -> int:
        return self.book.now.next_seq

    @property
    def acked(self) -> int:
        return self.book.now.acked

    @property
    def offered(self) -> int:
        """Batches below it may be with the collector; from it on none can be, unless this file went back in time."""
        return self.book.now.offered

    @property
    def floor(self) -> int:
        """The oldest seq of the epoch that is still here; next_seq when nothing is."""
        return self.book.floor

    @property
    def lost(self) -> int:
        """Readings thinned or dropped since the epoch began."""
        return self.book.now.lost

    @property
    def batches(self) -> int:
        return self.book.batches

    @property
    def size(self) -> int:
        """Bytes that the batches which wait take."""
        return self.book.size

    @property
    def former(self) -> int:
        """Batches of former epochs that wait to be sealed again."""
        return self.book.former

    @property
    def fill(self) -> float:
        """How much of the bound the batches that wait take, 0 to 1."""
        return self.book.size / self._limits.max_bytes

    def open(self) -> None:
        if self._book is None:
            with self._telling():
                try:
                    self._book = self._open()
                except sqlite3.DatabaseError as error:
                    if not is_corrupt(error):
                        raise
                    self._move_aside(str(error))
                    self._book = self._open()

    def append(self, seal: Seal, at: int, lost: int = 0) -> int:
        """Seal and store one batch; its seq. lost: readings thinned since the last call. Raises what `seal` raises, with nothing changed."""
        with self._transaction() as book:
            book.count_lost(lost)
            seq = book.now.next_seq
            sealed = seal(book.slot())
            while book.batches and book.size + len(sealed.payload) + ROW_COST > self._limits.max_bytes:
                book.drop_oldest()
            book.put(sealed, at, self._ran_ms())
        return seq

    def read(self, seq: int) -> bytes | None:
        """The payload of a batch of this epoch; None if it is no longer here."""
        book = self.book
        with self._telling():
            row = book.db.execute("SELECT bytes FROM sealed WHERE gen = ? AND seq = ?", (book.now.gen, seq)).fetchone()
        return None if row is None else bytes(row[0])

    def digest(self, seq: int) -> bytes:
        """Of the batch with this number, as long as it or the one behind it is here, or it is the last one; else empty."""
        if seq == self.next_seq - 1:
            return self.book.now.tail if seq else b""
        if (payload := self.read(seq)) is not None:
            return sha256(frame_of(payload))
        if (after := self.read(seq + 1)) is not None and seq:
            return claim_of(after).prev
        return b""

    def change_key(self, public: bytes) -> None:
        """From the next batch on another key seals; the epoch goes on. The rotation is written down before."""
        with self._transaction() as book:
            book.now.public = public
        self._public = public

    @property
    def lives(self) -> int:
        """The number of the last life message of the epoch."""
        return self.book.now.lives

    def ack(self, seq: int, refused: Iterable[tuple[int, str]] = ()) -> None:
        """The collector has settled all up to seq. refused: batches of these that it did not take, with its reasons: they leave the stream too
        and are kept, within a bound, for a person to look at. One transaction: no hole is ever left in the middle of the stream.
        """
        if seq > self.acked or seq >= self.floor:
            with self._transaction() as book:
                for number, reason in refused:
                    if number <= seq:
                        book.park("gen = ? AND seq = ?", (book.now.gen, number), reason)
                book.now.acked = max(seq, book.now.acked)
                book.delete("gen = ? AND seq <= ?", (book.now.gen, seq))

    def offer(self) -> None:
        """Write down that all that is stored may go out from now on. Must stand before the first of it is sent."""
        with self._transaction() as book:
            book.now.offered = book.now.next_seq

    def expire(self) -> None:
        """Drop what is older than the limit, oldest first, as declared loss."""
        limit = int(self._limits.max_age * 1_000)
        if self.oldest_age() * 1_000 > limit:
            with self._transaction() as book:
                while (oldest := book.oldest()) is not None and self._ran_ms() - oldest > limit:
                    book.drop_oldest()

    def oldest_age(self) -> float:
        """Seconds since the oldest batch that waits was stored, 0 when none does; time in which no agent ran is not counted. No clock has a
        say in it: one that jumps by years must not make every batch look expired.
        """
        book = self.book
        with self._telling():
            oldest = book.oldest()
        return 0.0 if oldest is None else (self._ran_ms() - oldest) / 1_000

    def next_life(self) -> int:
        """The number of the next life message of the epoch. Where it cannot be written down it still counts on in memory."""
        lives = self.book.now.lives + 1
        try:
            with self._transaction() as book:
                book.now.lives = lives
        except SpoolFullError:
            if self._book is None:
                raise
            self._book.now.lives = lives
        return lives

    def begin_epoch(self, why: str, stored: int = 0) -> None:
        """A new history: the collector has seen another one under this one's name. All up to `stored` is with the collector as it is here;
        what else waits is sealed again by `reseal`.
        """
        with self._transaction() as book:
            book.delete("gen = ? AND seq <= ?", (book.now.gen, stored))
            book.begin(self._terminal, self._public, why)
        self.offering = False
        self.notices.append(Notice("agent.epoch.reason", why))

    def reseal(self, seal: Reseal) -> None:
        """Seal the oldest batches of former epochs into this one; call it until `former` is 0."""
        with self._transaction() as book:
            for row, at, ran, payload, terminal, public in book.former_rows():
                try:
                    if terminal != self._terminal:
                        book.park("id = ?", (row,), f"read by {terminal}, not by {self._terminal}")
                        continue
                    sealed = seal(book.slot(), payload, VerifyKey(public))
                except WireError as error:
                    book.park("id = ?", (row,), f"could not be sealed again: {error}")
                    continue
                book.delete("id = ?", (row,))
                book.put(sealed, at, ran)
            if not book.former:
                book.db.execute("DELETE FROM epochs WHERE gen < ?", (book.now.gen,))

    @contextmanager
    def beside(self) -> Iterator[tuple[sqlite3.Connection, int]]:
        """One transaction for what is kept beside the batches, and the ms that agents have run over this file."""
        with self._transaction() as book:
            yield book.db, self._ran_ms()

    def parked(self) -> int:
        """Refused batches that are kept."""
        book = self.book
        with self._telling():
            return int(book.db.execute("SELECT count(*) FROM parked").fetchone()[0])

    def close(self, *, clean: bool = False) -> None:
        """clean: nothing that was read is left behind; the next start will know."""
        if self._book is not None:
            with contextlib.suppress(sqlite3.Error):
                if clean:
                    self._book.db.execute("UPDATE run SET ended = 1, ran = ?", (self._ran_ms(),))
                self._book.db.close()
        self._book = None
        self._dead = False

    def _open(self) -> _Book:
        db = connect(self.file)
        try:
            # A second net below the own accounting: a payload may waste most of its last page.
            prepare(db, 2 * self._limits.max_bytes + 4 * MAX_PARKED)
            row = db.execute("SELECT * FROM epochs ORDER BY gen DESC LIMIT 1").fetchone()
            now = _Epoch(*row) if row else _Epoch(0, b"", "", b"")
            boot, ran, ended = db.execute("SELECT boot, ran, ended FROM run").fetchone()
            book = _Book(db, now)
            with commit(db):
                if now.terminal == self._terminal and now.public in self._former_keys:
                    now.public = self._public
                    book.save(ran)
                elif (now.terminal, now.public) != (self._terminal, self._public):
                    book.begin(self._terminal, self._public)
                db.execute("UPDATE run SET boot = ?, ended = 0", (clock.boot_id(),))
            book.count()
        except BaseException:
            db.close()
            raise
        if not self.ended and row:
            self.ended = "clean" if ended else "killed"
        self.rebooted = self.rebooted or (bool(boot) and boot != clock.boot_id())
        if self._book is None or self._book.now.epoch != now.epoch:
            self.offering = False
        self._ran, self._opened_up = ran, clock.uptime_ns()
        return book

    def _ran_ms(self) -> int:
        return self._ran + (clock.uptime_ns() - self._opened_up) // MS

    @contextmanager
    def _transaction(self) -> Iterator[_Book]:
        """A copy of the book to change; it becomes the book when the commit stands."""
        before = self._renewed() if self._dead else self.book
        with self._telling():
            book = replace(before, now=replace(before.now))
            with commit(before.db):
                yield book
                if self.offering:
                    book.now.offered = book.now.next_seq
                book.save(self._ran_ms())
            self._book = book

    def _renewed(self) -> _Book:
        with self._telling():
            fresh = self._open()
        self.close()
        self._book, self._dead = fresh, False
        return fresh

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self.trouble = f"{self.file}: {error}"
            if is_corrupt(error):
                # Where it cannot be moved now it is found damaged again at the next try.
                with contextlib.suppress(OSError):
                    self._move_aside(str(error))
            self._dead = self._book is not None and is_dead(error)
            raise SpoolFullError(self.trouble) from None
        except OSError as error:
            self.trouble = f"{self.file}: {error.strerror}"
            raise SpoolFullError(self.trouble) from None
        self.trouble = ""

    def _move_aside(self, why: str) -> None:
        self.close()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        aside = self.file.with_name(f"{self.file.stem}.corrupt-{stamp}")
        attempt = 1
        while aside.exists():
            aside = self.file.with_name(f"{self.file.stem}.corrupt-{stamp}.{attempt}")
            attempt += 1
        self.file.replace(aside)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                self.file.with_name(self.file.name + suffix).replace(aside.with_name(aside.name + suffix))
        self.notices.append(
            Notice(
                "agent.spool.set-aside",
                f"the spool was damaged ({why}); moved aside to {aside.name}, a new epoch begins",
            )
        )


@dataclass(slots=True)
class _Book:
    """The epoch that is sealed into and the sums over what waits. Its methods run inside a transaction and keep the sums right."""

    db: sqlite3.Connection
    now: _Epoch
    floor: int = 1
    batches: int = 0
    size: int = 0
    former: int = 0

    def slot(self) -> Slot:
        return Slot(self.now.epoch, self.now.next_seq, self.now.tail, self.floor, self.now.lost)

    def begin(self, terminal: str, public: bytes, why: str = "") -> None:
        epoch = new_epoch(clock.now(), os.urandom(8))
        self.now = _Epoch(self.now.gen + 1, epoch, terminal, public, why=why)
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
        self.db.execute(
            "INSERT INTO parked (epoch, seq, n, at, reason, bytes)"  # noqa: S608 - constants of this file
            f" SELECT (SELECT epoch FROM epochs WHERE epochs.gen = sealed.gen), seq, n, at, ?, bytes FROM sealed WHERE {which}",
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
