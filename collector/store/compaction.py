"""Packs what is settled: entries into pages of the chain, sealed frames into segments, freed pages of the file back to the system. What is due
is a pure decision over counts. The packing itself reads beside the writer; only its small transaction takes the writer's turn, so intake waits
for milliseconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

import msgpack

from tillwatch.agent.wire import WireError, frame_of
from tillwatch.collector.journal import GENESIS, Entry, Kind, chain
from tillwatch.collector.store import pages, segments
from tillwatch.collector.store.db import Db, Where
from tillwatch.collector.store.reading import connected
from tillwatch.collector.terminal.digests import RECENT

log = logging.getLogger(__name__)

TAIL = RECENT
"""Newest entries of each terminal that stay as they came: their digests tell copies from forks at a start, and the console reads them most."""
PAGE = 1024
"""Entries in a page of the chain: 10 to 20 ms of work, and what a single proof computes again at most."""
SEGMENT = 256
"""Frames in a segment: at one a minute four hours. Fewer cost bytes (half a page of the file is lost with each), more cost time to open."""
MAX_BYTES = 4 * 1024**2
"""Bytes of frames in a segment: 256 usual ones have 0.2 MB; large ones make smaller segments."""
VACUUM = 256
"""Pages of the file given back in one step, 1 MiB."""
SPARE = 50
"""One page in so many may be free: what comes next would ask for it again at once."""


_PACKED = """INSERT INTO segment (terminal, kind, first_n, last_n, entries, epoch, seq0, seq1, t0, t1, received, bodies, heads, signatures)
    VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"""


class BrokenChainError(Exception):
    """The log does not hold together: packing it would only make that harder to see. The text names the entry."""


Change = Callable[[Db], None]
"""What a step does inside its transaction."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows of one terminal and kind that still carry their payload."""

    terminal: str
    kind: int
    rows: int


def page_due(head: int, paged: int) -> tuple[int, int] | None:
    """The entries of the next full page, if there are enough behind the tail. head: the last entry; paged: the last one in a page."""
    return (paged + 1, paged + PAGE) if head - TAIL - paged >= PAGE else None


def segments_due(kept: Iterable[Kept]) -> list[Kept]:
    """Of whom there is a whole segment behind the tail, the longest first."""
    return sorted((k for k in kept if k.rows >= TAIL + SEGMENT), key=lambda k: -k.rows)


def spare_pages(free: int, pages: int) -> int:
    """Pages of the file to give back now."""
    return max(0, min(VACUUM, free - pages // SPARE))


class Compactor:
    """Reads over a connection of its own (`db`), in one thread at a time; gives changes for the writer to make, each in its own transaction."""

    def __init__(self, where: Where) -> None:
        self.db = connected(where)
        self._damaged: set[tuple[str, int]] = set()

    def close(self) -> None:
        self.db.close()

    def steps(self) -> Iterator[Change]:
        """Everything that is due now. A change must be stored before the next one is asked for."""
        while (span := page_due(self._head(), self._paged()[0])) is not None:
            yield self._page(*span)
        for kept in segments_due(self._kept()):
            for _ in range((kept.rows - TAIL) // SEGMENT):
                yield from self._pack(kept)

    def spare(self) -> int:
        free, pages = (self.db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count"))
        return spare_pages(free, pages)

    def _head(self) -> int:
        return int(self.db.execute("SELECT coalesce(max(n), 0) FROM journal").fetchone()[0])

    def _paged(self) -> tuple[int, bytes]:
        return self.db.execute("SELECT last_n, digest FROM page ORDER BY last_n DESC LIMIT 1").fetchone() or (
            0,
            GENESIS,
        )

    def _kept(self) -> list[Kept]:
        counts = "SELECT terminal, kind, count(*) FROM journal WHERE payload IS NOT NULL GROUP BY terminal, kind ORDER BY terminal, kind"
        return [Kept(*row) for row in self.db.execute(counts) if (row[0], row[1]) not in self._damaged]

    def _page(self, first: int, last: int) -> Change:
        prev = self._paged()[1]
        entries: list[Entry] = []
        for n, at, kind, terminal, facts, payload_digest, digest in self.db.execute(
            "SELECT n, at, kind, terminal, facts, payload_digest, digest FROM journal WHERE n BETWEEN ? AND ? ORDER BY n",
            (first, last),
        ):
            prev = chain(prev, n, at, Kind(kind), terminal, facts, payload_digest)
            if prev != digest or n != first + len(entries):
                msg = f"the chain breaks at entry {n}; tillwatch-collector verify --log says more"
                raise BrokenChainError(msg)
            entries.append(Entry(n, at, Kind(kind), terminal, facts, None, payload_digest, digest))
        page = pages.pack(entries)

        def change(db: Db) -> None:
            row = (page.last_n, page.first_n, page.digest, page.data, page.digests)
            db.execute("INSERT INTO page VALUES (?,?,?,?,?)", row)

        return change

    def _pack(self, kept: Kept) -> Iterator[Change]:
        rows = self.db.execute(
            "SELECT n, at, facts, payload_digest, t0, t1, payload FROM journal "
            "WHERE terminal = ? AND kind = ? AND payload IS NOT NULL ORDER BY n LIMIT ?",
            (kept.terminal, kept.kind, SEGMENT),
        ).fetchall()
        taken: list[_Row] = []
        frames: list[bytes] = []
        size = 0
        try:
            for *fields, payload in rows:
                row, frame = _Row(*fields), frame_of(payload)
                size += len(frame)
                if sha256(frame).digest() != row.payload_digest:
                    msg = f"entry {row.n} is not what its digest says"
                    raise segments.SegmentError(msg)
                if taken and (size > MAX_BYTES or row.place[0] != taken[0].place[0]):
                    break
                taken.append(row)
                frames.append(frame)
            while taken[-1].n > (paged := self._paged()[0]):
                yield self._page(paged + 1, min(paged + PAGE, self._head() - TAIL))
            corrections = [int(row.stamp.get("correction_ms", 0)) for row in taken]
            packed = segments.pack([row.n for row in taken], frames, corrections)
        except (segments.SegmentError, WireError) as error:
            # Nothing is lost: the rows stay as they are. The others are packed all the same.
            self._damaged.add((kept.terminal, kept.kind))
            log.error(
                "terminal %s is not packed any more: %s; tillwatch-collector verify --log says more",
                kept.terminal,
                error,
            )
            return
        yield _insertion(kept, taken, packed)


class _Row(NamedTuple):
    n: int
    at: int
    facts: bytes
    payload_digest: bytes
    t0: int | None
    t1: int | None

    @property
    def stamp(self) -> dict[str, Any]:
        return msgpack.unpackb(self.facts) if self.facts else {}

    @property
    def place(self) -> tuple[bytes | None, int | None]:
        """Epoch and seq, where it has them."""
        stamp = self.stamp
        return stamp.get("epoch"), stamp.get("seq")


def _insertion(kept: Kept, taken: Sequence[_Row], packed: segments.Packed) -> Change:
    first, last = taken[0], taken[-1]
    t0 = min((row.t0 for row in taken if row.t0 is not None), default=None)
    t1 = max((row.t1 for row in taken if row.t1 is not None), default=None)
    place = (first.n, last.n, len(taken), *first.place, last.place[1], t0, t1, last.at)

    def change(db: Db) -> None:
        values = (kept.terminal, kept.kind, *place, packed.bodies, packed.heads, packed.signatures)
        db.execute(_PACKED, values)
        db.executemany("DELETE FROM journal WHERE n = ?", [(row.n,) for row in taken])

    return change
