"""A small bank that was simulated once for all tests, kept as a store of its own: what is trained on and gone back over."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from tillwatch.collector.simulate.year import simulate
from tillwatch.collector.store.sqlite import SqliteStore

TERMINALS, DAYS, PACE = 6, 60, 25.0


@cache
def _made() -> Path:
    path = Path(mkdtemp(prefix="tillwatch-bank-")) / "collector.db"
    with closing(SqliteStore(path)) as store:
        simulate(TERMINALS, DAYS, 5, pace=PACE, store=store)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def bank(folder: Path) -> Path:
    """A copy of it: the configuration that names it."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(_made(), folder / "collector.db")
    file = folder / "collector.toml"
    file.write_text(f'[collector]\ndata_dir = "{folder}"\n')
    return file


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """In one consistent state."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN")
        yield db
        db.execute("COMMIT")
