"""The log as it is kept, in order of its numbers: pages of the chain, rows, and the sealed frames wherever they are. Whatever does not fit is
told to the caller and the walk goes on behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256

import msgpack

from tillwatch.agent.wire import WireError, frame_of
from tillwatch.collector.journal import GENESIS, Entry, Kind, chain
from tillwatch.collector.store import pages, segments
from tillwatch.collector.store.db import Db

SEALED = frozenset({Kind.BATCH, Kind.LIFE, Kind.REFUSED, Kind.FORK})
"""Entries with a frame."""
_MAY_BE_WITHHELD = frozenset({Kind.REFUSED, Kind.FORK})
_NOTHING = sha256(b"").digest()
"""Of an entry that came without a frame: a fork that was seen in other ways."""
MAX_UNPACKED = 8
"""Pages that stay unpacked for the questions about single entries: those of one proof lie in three or four."""
ROWS = 500
_ENTRY = "n, at, kind, terminal, facts, payload_digest, digest, payload"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that does not fit. n: the first entry concerned; last: the last one; what: `hole` or `damage`."""

    what: str
    n: int
    last: int
    text: str


@dataclass(frozen=True, slots=True)
class Logged:
    """An entry with its frame. state: `sealed` (frame is there), `plain` (there never was one), `retired`, `withheld` (it was never kept: there was
    card data in it), `missing`, or `unread` (nobody asked).
    """

    entry: Entry
    frame: bytes | None
    state: str


Report = Callable[[Fault], None]


class Log:
    """db: a connection in one consistent state for as long as a call or an iteration takes."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._unpacked: dict[int, list[Entry]] = {}

    def head(self) -> tuple[int, bytes]:
        """The last entry and its digest; (0, GENESIS) of an empty log."""
        ends = [
            self._db.execute(f"SELECT {n}, digest FROM {table} ORDER BY {n} DESC LIMIT 1").fetchone()  # noqa: S608 - constants
            for n, table in (("n", "journal"), ("last_n", "page"))
        ]
        return max((end for end in ends if end), default=(0, GENESIS))

    # Walking all of it.

    def walk(
        self, report: Report, after: int = 0, *, frames: Callable[[Entry], bool] = lambda _: True
    ) -> Iterator[Logged]:
        """Every entry in order, from the one behind `after` on. Of the page that this one lies in the chain is followed from its beginning. frames: which
        entries are wanted with their frames; finding one takes longer than all else.
        """
        expected, prev = self._behind(after)
        found = _Frames(self._db, report)
        for page in self._pages(after):
            if page.first_n != expected:
                report(Fault("hole", expected, page.first_n - 1, "these entries are not in the log"))
                prev = b""
            expected = page.last_n + 1
            rows = self._rows_of(page)
            faults: list[Fault] = []
            entry = None
            try:
                for entry in pages.unpack(page, prev):
                    row = rows.get(entry.n)
                    if entry.n <= after:
                        continue
                    if row is not None and not _same(row[0], entry, known=bool(prev)):
                        faults.append(Fault("damage", entry.n, entry.n, "the row is not what the chain says"))
                    payload = row[1] if row else None
                    yield found.of(entry, payload) if frames(entry) else Logged(entry, None, "unread")
            except pages.PageError as error:
                after_n = entry.n + 1 if entry else page.first_n
                faults.append(Fault("damage", after_n, page.last_n, f"the page {error}"))
            else:
                if prev and (entry is None or entry.digest != page.digest):
                    faults.append(Fault("damage", page.first_n, page.last_n, "the chain breaks among these entries"))
            for fault in faults:
                report(fault)
            prev = page.digest
        for entry, payload in self._rows(expected - 1):
            if entry.n != expected:
                report(Fault("hole", expected, entry.n - 1, "these entries are not in the log"))
            elif prev and _digest(prev, entry) != entry.digest:
                report(Fault("damage", entry.n, entry.n, "the chain breaks at this entry"))
            expected, prev = entry.n + 1, entry.digest
            yield found.of(entry, payload) if frames(entry) else Logged(entry, None, "unread")

    def _behind(self, after: int) -> tuple[int, bytes]:
        """With which entry a walk begins, and the digest before it, empty where the log does not have it."""
        page = self._db.execute(
            "SELECT first_n, last_n FROM page WHERE last_n > ? ORDER BY last_n LIMIT 1", (after,)
        ).fetchone()
        first = min(page[0], after + 1) if page is not None else after + 1
        if first == 1:
            return 1, GENESIS
        row = self._db.execute(
            "SELECT digest FROM journal WHERE n = :n UNION ALL SELECT digest FROM page WHERE last_n = :n",
            {"n": first - 1},
        ).fetchone()
        return first, row[0] if row is not None else b""

    def _pages(self, after: int) -> Iterator[pages.Page]:
        while True:
            row = self._db.execute(
                "SELECT first_n, last_n, digest, data, digests FROM page WHERE last_n > ? ORDER BY last_n LIMIT 1",
                (after,),
            ).fetchone()
            if row is None:
                return
            yield pages.Page(*row)
            after = row[1]

    def _rows_of(self, page: pages.Page) -> dict[int, tuple[Entry, bytes | None]]:
        query = f"SELECT {_ENTRY} FROM journal WHERE n BETWEEN ? AND ?"  # noqa: S608 - a constant list of columns
        return {row[0]: _entry(row) for row in self._db.execute(query, (page.first_n, page.last_n))}

    def _rows(self, after: int) -> Iterator[tuple[Entry, bytes | None]]:
        query = f"SELECT {_ENTRY} FROM journal WHERE n > ? ORDER BY n LIMIT ?"  # noqa: S608 - a constant list of columns
        while rows := self._db.execute(query, (after, ROWS)).fetchall():
            yield from map(_entry, rows)
            after = rows[-1][0]

    # Single ones.

    def entries(self, first: int, last: int) -> list[Entry]:
        """Some neighbouring entries with their digests, without payload, and before them the one that they follow, if there is one."""
        found: list[Entry] = []
        row = self._db.execute(
            "SELECT last_n, digest FROM page WHERE last_n < ? ORDER BY last_n DESC LIMIT 1", (first - 1,)
        )
        after, prev = row.fetchone() or (0, GENESIS)
        for page in self._pages(after):
            if page.first_n > last:
                break
            if page.last_n not in self._unpacked:
                if len(self._unpacked) == MAX_UNPACKED:
                    del self._unpacked[next(iter(self._unpacked))]
                self._unpacked[page.last_n] = list(pages.unpack(page, prev))
            found += [entry for entry in self._unpacked[page.last_n] if first - 1 <= entry.n <= last]
            after, prev = page.last_n, page.digest
        if not found or found[-1].n < last:
            for entry, _ in self._rows(max(after, first - 2)):
                if entry.n > last:
                    break
                found.append(entry)
        return found

    def frame(self, entry: Entry) -> bytes | None:
        """The sealed frame of an entry; None if it has none or it is retired. Raises SegmentError or WireError if it is damaged."""
        row = self._db.execute("SELECT payload FROM journal WHERE n = ?", (entry.n,)).fetchone()
        if row is not None and row[0] is not None:
            return frame_of(row[0])
        blobs = _segment(self._db, entry)
        return next((frame for n, frame in segments.unpack(blobs) if n == entry.n), None) if blobs else None

    def batch(self, terminal: str, epoch: bytes, seq: int) -> tuple[int, bytes] | None:
        """Entry and frame of a batch by its place in the terminal's stream. Raises SegmentError or WireError if it is damaged."""
        for n, facts, payload in self._db.execute(
            "SELECT n, facts, payload FROM journal WHERE terminal = ? AND kind = ? AND payload IS NOT NULL",
            (terminal, Kind.BATCH),
        ):
            stamp = msgpack.unpackb(facts)
            if stamp["seq"] == seq and stamp["epoch"] == epoch:
                return n, frame_of(payload)
        return segments.find(self._db, terminal, epoch, seq)

    def retired(self) -> list[tuple[str, int, int, int]]:
        """Terminal, first and last entry, and count, of each segment whose frames were retired."""
        return self._db.execute(
            "SELECT terminal, first_n, last_n, entries FROM segment WHERE retired_n IS NOT NULL ORDER BY last_n"
        ).fetchall()


class _Frames:
    """The frames of a walk: each terminal's segments are opened once, one at a time."""

    def __init__(self, db: Db, report: Report) -> None:
        self._db = db
        self._report = report
        self._open: dict[tuple[str, Kind], tuple[int, bool, Iterator[tuple[int, bytes]]]] = {}
        self._ahead: dict[tuple[str, Kind], tuple[int, bytes]] = {}

    def of(self, entry: Entry, payload: bytes | None) -> Logged:
        if entry.kind not in SEALED or entry.payload_digest == _NOTHING:
            return Logged(entry, None, "plain")
        if payload is None and entry.kind in _MAY_BE_WITHHELD and "withheld" in entry.facts_map():
            return Logged(entry, None, "withheld")
        try:
            frame = frame_of(payload) if payload is not None else self._packed(entry)
        except WireError as error:
            self._report(Fault("damage", entry.n, entry.n, f"its payload cannot be opened: {error}"))
            return Logged(entry, None, "missing")
        if frame is None:
            retired = self._open.get((entry.terminal, entry.kind), (0, False))[1]
            if not retired:
                self._report(Fault("hole", entry.n, entry.n, "its frame is not in the log"))
            return Logged(entry, None, "retired" if retired else "missing")
        if sha256(frame).digest() != entry.payload_digest:
            self._report(Fault("damage", entry.n, entry.n, "its frame is not what its digest says"))
            return Logged(entry, None, "missing")
        return Logged(replace(entry, payload=payload), frame, "sealed")

    def _packed(self, entry: Entry) -> bytes | None:
        key = (entry.terminal, entry.kind)
        last, _, frames = self._open.get(key, (0, False, iter(())))
        if entry.n > last:
            row = self._db.execute(
                "SELECT last_n, first_n, retired_n IS NOT NULL, bodies, heads, signatures FROM segment "
                "WHERE terminal = ? AND kind = ? AND last_n >= ? ORDER BY last_n LIMIT 1",
                (entry.terminal, entry.kind, entry.n),
            ).fetchone()
            if row is None or row[1] > entry.n:
                # It lies in no segment: what comes after may.
                self._open[key] = (entry.n, False, iter(()))
                return None
            retired = bool(row[2])
            frames = iter(()) if retired else segments.unpack(segments.Packed(*row[3:]))
            self._open[key] = (row[0], retired, frames)
            self._ahead.pop(key, None)
        try:
            while (ahead := self._ahead.pop(key, None) or next(frames, None)) is not None:
                if ahead[0] == entry.n:
                    return ahead[1]
                if ahead[0] > entry.n:
                    self._ahead[key] = ahead
                    return None
        except segments.SegmentError as error:
            last = self._open[key][0]
            self._report(Fault("damage", entry.n, last, f"the segment of {entry.terminal} {error}"))
            self._open[key] = (last, False, iter(()))
        return None


def _segment(db: Db, entry: Entry) -> segments.Packed | None:
    row = db.execute(
        "SELECT first_n, bodies, heads, signatures FROM segment WHERE terminal = ? AND kind = ? AND last_n >= ? ORDER BY last_n LIMIT 1",
        (entry.terminal, entry.kind, entry.n),
    ).fetchone()
    return segments.Packed(*row[1:]) if row is not None and row[0] <= entry.n and row[1] is not None else None


def _entry(row: tuple[int, int, int, str, bytes, bytes, bytes, bytes | None]) -> tuple[Entry, bytes | None]:
    n, at, kind, terminal, facts, payload_digest, digest, payload = row
    return Entry(n, at, Kind(kind), terminal, facts, None, payload_digest, digest), payload


def _digest(prev: bytes, e: Entry) -> bytes:
    return chain(prev, e.n, e.at, e.kind, e.terminal, e.facts, e.payload_digest)


def _same(row: Entry, entry: Entry, *, known: bool) -> bool:
    """Whether a row that stands beside its page says the same."""
    return row == (entry if known else replace(entry, digest=row.digest))
