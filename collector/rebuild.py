"""Everything the collector knows, made again from its journal: into a new file, by the same fold, with every link of the chain and every
signature checked on the way. What comes out equals what was kept, or something is wrong with one of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tillwatch.agent.wire import batch_topic, life_topic, open_batch, open_life
from tillwatch.collector.fold import Fold
from tillwatch.collector.journal import GENESIS, Entry, Kind, chain
from tillwatch.collector.store.sqlite import FOLD_TABLES, SqliteStore, StoreError
from tillwatch.device_profiles.catalogue import load_catalogue

GROUP = 500
"""Entries in a transaction of the new file."""


def rebuild(source: Path, target: Path, progress: Callable[[int], None] = lambda _: None) -> int:
    """Replay the journal of `source` into the new file `target`; the number of entries. Raises StoreError naming the first bad entry."""
    old, new = SqliteStore(source), SqliteStore(target)
    try:
        fold = Fold({name: signal.unit for name, signal in load_catalogue().signals.items()})
        digest, count = GENESIS, 0
        group: list[Entry] = []
        for entry in old.entries():
            if (
                chain(digest, entry.n, entry.at, entry.kind, entry.terminal, entry.facts, entry.payload_digest)
                != entry.digest
            ):
                msg = f"{source}: the chain breaks at entry {entry.n}"
                raise StoreError(msg)
            digest, count = entry.digest, entry.n
            fold.apply(entry, _open(entry, fold))
            group.append(entry)
            if len(group) == GROUP:
                new.commit(new.prepare(fold, group), deliver=False)
                group = []
                progress(count)
        fold.advance(old.meta_int("advanced_to"))
        new.commit(new.prepare(fold, group), deliver=False)
        return count
    finally:
        old.close()
        new.close()


def _open(entry: Entry, fold: Fold) -> Any:
    if entry.kind is Kind.BATCH and entry.payload is not None:
        return open_batch(batch_topic(entry.terminal), entry.payload, fold.fleet)
    if entry.kind is Kind.LIFE and entry.payload is not None:
        return open_life(life_topic(entry.terminal), entry.payload, fold.fleet)
    return None


def tables(db: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every table that the fold makes, in order: what two stores are compared by."""
    return {name: sorted(db.execute(f"SELECT * FROM {name}").fetchall()) for name in FOLD_TABLES}  # noqa: S608 - a constant list of names
