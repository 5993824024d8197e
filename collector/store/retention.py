"""What is kept how long: whole segments lose their frames when they are old enough or the file is too large, oldest first. Their entries stay in
the chain with their digests, and an entry of the journal says what was retired: what is missing without such an entry is a hole. Age is time that the collector has lived through: a clock that was set years
ahead, and put right a week later, has retired nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgpack

from tillwatch.collector.store.db import Db

AT_ONCE = 200
"""Segments retired in one transaction: some 8 MB of the file become free."""

GAP_NS = 86_400 * 10**9
"""A longer stretch between the end of the journal and a start, or over a clock that was set, ages nothing: it may not have been real."""
MAX_GAPS = 100
"""Gaps that are remembered, the newest; what lies behind older ones is older than it looks."""


class Due(NamedTuple):
    id: int
    terminal: str
    kind: int
    first_n: int
    last_n: int
    entries: int


_DUE = "SELECT id, terminal, kind, first_n, last_n, entries FROM segment WHERE retired_n IS NULL"


def remember(db: Db, since: int, until: int) -> None:
    """The journal's time went from one to the other (UTC ns) in no time."""
    if until - since > GAP_NS:
        gaps = [*_gaps(db), [since, until]][-MAX_GAPS:]
        db.execute("INSERT OR REPLACE INTO meta VALUES ('gaps', ?)", (msgpack.packb(gaps),))


def cut_off(db: Db, keep_s: float) -> int:
    """What was received before (UTC ns) has been kept for keep_s seconds of the collector's life. Within a transaction, or the time and the
    gaps on the way to it are not of one moment.
    """
    row = db.execute("SELECT value FROM meta WHERE key = 'advanced_to'").fetchone()
    before = (int(row[0]) if row else 0) - int(keep_s * 1e9)
    for since, until in reversed(_gaps(db)):
        if until > before:
            before -= until - since
    return before


def _gaps(db: Db) -> list[list[int]]:
    row = db.execute("SELECT value FROM meta WHERE key = 'gaps'").fetchone()
    return msgpack.unpackb(row[0]) if row else []


def aged(db: Db, keep_s: float) -> int:
    """The cut-off as of now; 0 where all is kept."""
    if not keep_s:
        return 0
    db.execute("BEGIN")
    try:
        return cut_off(db, keep_s)
    finally:
        db.execute("ROLLBACK")


def due(db: Db, keep_s: float, size: int) -> list[Due]:
    """What is to be retired now, the oldest first. keep_s: 0 keeps all; size: of the file in bytes, free pages not counted, 0 for any."""
    before = aged(db, keep_s)
    found = [
        Due(*row) for row in db.execute(f"{_DUE} AND received < ? ORDER BY received, id LIMIT ?", (before, AT_ONCE))
    ]
    if found or not size:
        return found
    page, pages, free = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
    )
    over = (pages - free) * page - size
    for row in db.execute(
        _DUE.replace(" FROM", ", length(bodies) + length(heads) + length(signatures) FROM")
        + " ORDER BY received, id LIMIT ?",
        (AT_ONCE,),
    ):
        if over <= 0:
            break
        found.append(Due(*row[:-1]))
        over -= row[-1]
    return found


def facts(retired: Sequence[Due]) -> dict[str, Any]:
    """Of the Operator entry: what was retired, by terminal, kind, first and last entry."""
    return {
        "action": "retire",
        "actor": "collector",
        "entries": sum(one.entries for one in retired),
        "segments": [[one.terminal, one.kind, one.first_n, one.last_n] for one in retired],
    }


def retire(db: Db, retired: Sequence[Due]) -> None:
    """Called inside the transaction that journals it."""
    (n,) = db.execute("SELECT max(n) FROM journal").fetchone()
    db.executemany(
        "UPDATE segment SET retired_n = ?, bodies = NULL, heads = NULL, signatures = NULL WHERE id = ?",
        [(n, one.id) for one in retired],
    )
