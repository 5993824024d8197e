"""The only durable copy of what was read until the collector says stored. A batch gets its number in the transaction that stores it,
leaves on the collector's word only, and where a bound is reached the oldest go first, counted and declared by the floor. A spool that
cannot be written says so and stops nothing; one that is damaged is moved aside, never deleted, and a new epoch begins.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tillwatch.agent import clock
from tillwatch.agent.keys import sha256
from tillwatch.agent.model import MS
from tillwatch.agent.settings import SpoolConfig
from tillwatch.agent.spool_book import MAX_PARKED, ROW_COST, Book, Epoch, Slot
from tillwatch.agent.spool_file import commit, connect, is_corrupt, is_dead, prepare
from tillwatch.agent.wire import Sealed, VerifyKey, WireError, claim_of, frame_of


class SpoolFullError(Exception):
    """The spool cannot be written now: disk full, read-only, unreadable. The text says why; the caller keeps what it has and tries later."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What people must hear of. signal: of the catalogue, the reading that carries it."""

    signal: str
    text: str


Seal = Callable[[Slot], Sealed]
Reseal = Callable[[Slot, bytes, VerifyKey], Sealed]
"""Seals the readings of a payload again, whose signature the given key verifies. Raises WireError where that cannot be."""


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
        self._book: Book | None = None
        self._dead = False
        """The connection could not be written: reading goes on over it, the next write tries a new one."""
        self._ran = 0
        self._opened_up = 0

    @property
    def book(self) -> Book:
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

        It reaches the disk with the next batch: after a power cut before that the batches are here once more and the collector has them, as
        where its ack never came. Each flush to flash costs blocks of the file system's own journal.
        """
        if seq > self.acked or seq >= self.floor:
            with self._transaction(soon=True) as book:
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

    def _open(self) -> Book:
        db = connect(self.file)
        try:
            # A second net below the own accounting: a payload may waste most of its last page.
            prepare(db, 2 * self._limits.max_bytes + 4 * MAX_PARKED)
            row = db.execute("SELECT * FROM epochs ORDER BY gen DESC LIMIT 1").fetchone()
            now = Epoch(*row) if row else Epoch(0, b"", "", b"")
            boot, ran, ended = db.execute("SELECT boot, ran, ended FROM run").fetchone()
            book = Book(db, now)
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
    def _transaction(self, *, soon: bool = False) -> Iterator[Book]:
        """A copy of the book to change; it becomes the book when the commit stands. soon: as of `commit`."""
        before = self._renewed() if self._dead else self.book
        with self._telling():
            book = replace(before, now=replace(before.now))
            with commit(before.db, soon=soon):
                yield book
                if self.offering:
                    book.now.offered = book.now.next_seq
                book.save(self._ran_ms())
            self._book = book

    def _renewed(self) -> Book:
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
