"""Where a store is: how a process that is started for it is told, how an act is left in it beside the collector, and where the files stand that belong to it
and are this machine's own: accounts of the console, the authority, what the predictions remember, what was last done.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from tillwatch.collector.store.db import Db, Postgres, Where, connect

FILE = "collector.db"
"""Of a store in the data directory. What belongs to a store elsewhere stands beside a file of this name that is never made."""
_SCHEMES = ("postgresql", "postgres")
_FILES = ("password_file", "ca_file", "data_dir")


def anchor(where: Where) -> Path:
    """The file of the store, or the one that would be it: what belongs to the store and is this machine's own stands beside it."""
    return where if isinstance(where, Path) else where.data_dir / FILE


def as_text(where: Where) -> str:
    """One word of a command line, which anybody on this machine may read: of a password it names the file."""
    if isinstance(where, Path):
        return str(where)
    parts = urlsplit(where.url)
    files = [(name, str(path)) for name in _FILES if (path := getattr(where, name)) is not None]
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), *files])))


def of_text(text: str) -> Where:
    """The same back: a path, or the URL of a database. Raises ValueError."""
    parts = urlsplit(text)
    if parts.scheme not in _SCHEMES:
        return Path(text)
    if parts.password:
        msg = "no password in the URL: anybody on this machine could read it; name password_file=FILE behind a question mark"
        raise ValueError(msg)
    asked = parse_qsl(parts.query)
    files = {name: Path(value) for name, value in asked if name in _FILES}
    rest = [(name, value) for name, value in asked if name not in _FILES]
    return Postgres(urlunsplit(parts._replace(query=urlencode(rest))), **files)


def writing(where: Where, timeout_s: float) -> Db:
    """A connection beside the collector's own, for short transactions; the collector has made the store. timeout_s: for its own to end. Raises sqlite3.Error."""
    if isinstance(where, Path) and not where.is_file():
        msg = f"{where} is not there"
        raise sqlite3.OperationalError(msg)
    db = connect(where, read_only=False, timeout_s=timeout_s)
    if isinstance(where, Path):
        db.execute("PRAGMA synchronous = FULL")
    return db
