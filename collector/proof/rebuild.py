"""Everything the collector knows, made again from its log: into a new file that takes over the log as it stands, by the same fold, with every
link of the chain and every signature checked on the way. What comes out equals what was kept, or something is wrong with one of them.

Of what was retired only numbers and digests are left: roll-ups of that time are taken over as they are, and alarms that came and went in it
are not made again.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from tillwatch.agent.wire import Life, Opened, open_batch_frame, open_life_frame
from tillwatch.collector.changes import HOUR_MS
from tillwatch.collector.fold import Fold
from tillwatch.collector.journal import Kind
from tillwatch.collector.store.db import Db, Where, scan
from tillwatch.collector.store.log import Fault, Log, Logged
from tillwatch.collector.store.opening import open_db
from tillwatch.collector.store.reading import reading
from tillwatch.collector.store.sqlite import FOLD_TABLES, SqliteStore, StoreError
from tillwatch.device_profiles.catalogue import kept_catalogue

log = logging.getLogger(__name__)

GROUP = 500
"""Entries whose changes are one transaction of the new file."""
RECORD_TABLES = ("journal", "page", "segment")


def rebuild(source: Where, target: Path) -> int:
    """Replay the log of `source` into the new file `target`; the number of the last entry. Raises StoreError naming the first bad entry."""

    def refuse(fault: Fault) -> None:
        msg = f"{source}: {fault.text} (entry {fault.n})"
        raise StoreError(msg)

    open_db(source).close()  # a file of an older version becomes one of this
    old, new = reading(source), SqliteStore(target)
    try:
        old.execute("BEGIN")
        _copy(old, new.conn)
        fold = Fold({name: signal.unit for name, signal in kept_catalogue().signals.items()})
        waiting = count = 0
        for logged in Log(old).walk(refuse):
            fold.apply(logged.entry, _open(logged, fold))
            waiting, count = waiting + 1, logged.entry.n
            if waiting == GROUP:
                new.commit(new.prepare(fold, ()), deliver=False)
                waiting = 0
        row = old.execute("SELECT value FROM meta WHERE key = 'advanced_to'").fetchone()
        fold.advance(int(row[0]) if row else 0)
        new.commit(new.prepare(fold, ()), deliver=False)
        _take_over(old, new.conn)
        return count
    finally:
        old.close()
        new.close()


def _copy(old: Db, new: Db) -> None:
    """The log itself, row by row: it is the record and not a result."""
    for table in RECORD_TABLES:
        rows = scan(old, f"SELECT * FROM {table}")  # noqa: S608 - a constant list of names
        while some := list(islice(rows, GROUP)):
            places = ",".join("?" * len(some[0]))
            new.execute("BEGIN IMMEDIATE")
            new.executemany(f"INSERT INTO {table} VALUES ({places})", some)  # noqa: S608 - a constant list of names
            new.execute("COMMIT")


def _take_over(old: Db, new: Db) -> None:
    for terminal, newest in old.execute(
        "SELECT terminal, max(t1) FROM segment WHERE retired_n IS NOT NULL AND t1 IS NOT NULL GROUP BY terminal"
    ).fetchall():
        until = datetime.fromtimestamp(newest / 1000, UTC).isoformat(timespec="minutes")
        log.warning(
            "%s: readings up to %s are retired; roll-ups of that time are taken over, alarms are not", terminal, until
        )
        rows = old.execute("SELECT * FROM rollup WHERE terminal = ? AND hour <= ?", (terminal, newest // HOUR_MS))
        new.executemany("INSERT OR REPLACE INTO rollup VALUES (?,?,?,?)", rows)


def _open(logged: Logged, fold: Fold) -> Opened | Life | None:
    if logged.frame is None:
        return None
    if logged.entry.kind is Kind.BATCH:
        return open_batch_frame(logged.entry.terminal, logged.frame, fold.fleet)
    if logged.entry.kind is Kind.LIFE:
        return open_life_frame(logged.entry.terminal, logged.frame, fold.fleet)
    return None


def tables(db: Db) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every table that the fold makes, in order: what two stores are compared by."""
    return {name: sorted(db.execute(f"SELECT * FROM {name}").fetchall()) for name in FOLD_TABLES}  # noqa: S608 - a constant list of names
