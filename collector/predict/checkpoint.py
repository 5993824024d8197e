"""Where the predictions stand: the engine's state with the entry of the log that it stands for, in a file of its own beside the database, and for people
how far they are. The file is a convenience: lost or damaged, it is made again from the log.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)

VERSION = 1
"""Of this file's own form. The engine's state has one of its own."""
BUSY_S = 5.0
"""Waiting for who reads the status."""
MAX_WAL = 64 * 1024**2
"""Bytes of the file beside it that stay for the next time; a state of a large fleet is larger."""
_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    }
)
"""What says nothing against the file."""
_ARRAY = 1
_TABLES = """
    CREATE TABLE IF NOT EXISTS part (name TEXT PRIMARY KEY, digest BLOB NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS status (one INTEGER PRIMARY KEY CHECK (one = 1), body BLOB NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """position: the last entry that was read, digest: its link of the chain; state: the engine's; mind: the follower's own, msgpack-able."""

    position: int
    digest: bytes
    state: Mapping[str, Any]
    mind: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Status:
    """How far the predictions are. position: the entry read last, at: its time, UTC ns; head: the log's last one then; looked_at: when this was
    written, by the machine's clock; series: followed; limits: bound -> how often it was reached; process: its id, 0 where it has ended; trouble: what
    keeps it from working, empty while nothing does; drift: level and reason of learn/drift.py, empty where no model was learnt.
    """

    position: int = 0
    at: int = 0
    head: int = 0
    looked_at: int = 0
    series: int = 0
    limits: Mapping[str, int] = field(default_factory=dict)
    process: int = 0
    trouble: str = ""
    drift: tuple[str, str] = ("", "")

    @property
    def behind(self) -> int:
        """Entries that are to be read yet."""
        return self.head - self.position


def beside(database: Path) -> Path:
    return database.with_name(database.name + ".predictions")


def read_status(database: Path) -> Status | None:
    """As it was written last; None where there never was a process, or its file cannot be read."""
    path = beside(database)
    if not path.is_file():
        return None
    try:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=BUSY_S)
        try:
            row = db.execute("SELECT body FROM status").fetchone()
        finally:
            db.close()
        return Status(**msgpack.unpackb(row[0], use_list=False)) if row is not None else None
    except (sqlite3.Error, ValueError, TypeError, msgpack.UnpackException):
        return None


class Checkpoint:
    """The open file. A damaged one is set aside when it is opened or loaded. Raises sqlite3.OperationalError where the disk is full, or the file cannot be
    had now: then it is as good as it was.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._db = _open(path)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if not _damaged(error, path):
                raise
            self._set_aside(str(error))

    def close(self) -> None:
        self._db.close()

    def load(self) -> Kept | None:
        """What was kept last; None where there is nothing that can be used, which is said in the log."""
        try:
            rows = self._db.execute("SELECT name, digest, body FROM part").fetchall()
            if not rows:
                return None
            parts = {name: _unpacked(name, digest, body) for name, digest, body in rows}
            head = parts.pop("head")
            if head["v"] != VERSION:
                self._set_aside(f"it is of version {head['v']}, this program keeps {VERSION}")
                return None
            if set(head["parts"]) != set(parts):
                self._set_aside("a part of it is missing")
                return None
            state = {name.removeprefix("engine/"): body for name, body in parts.items() if name.startswith("engine/")}
            return Kept(head["position"], head["digest"], state, parts["mind"])
        except (sqlite3.DatabaseError, ValueError, KeyError, TypeError, msgpack.UnpackException) as error:
            if not _damaged(error, self.path):
                raise
            self._set_aside(f"{type(error).__name__} {error}")
            return None

    def save(self, kept: Kept) -> None:
        """All of it or nothing, in one transaction. A file that turns out to be damaged only now is set aside, too."""
        try:
            self._save(kept)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if not _damaged(error, self.path):
                raise
            self._set_aside(f"{type(error).__name__} {error}")
            self._save(kept)

    def _save(self, kept: Kept) -> None:
        parts = {f"engine/{name}": value for name, value in kept.state.items()} | {"mind": dict(kept.mind)}
        head = {"v": VERSION, "position": kept.position, "digest": kept.digest, "parts": sorted(parts)}
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.execute("DELETE FROM part")
            for name, value in (*parts.items(), ("head", head)):
                body: bytes = msgpack.packb(value, default=_packed_array)
                self._db.execute("INSERT INTO part VALUES (?,?,?)", (name, sha256(body).digest(), body))
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # a damaged file ends it by itself
                self._db.execute("ROLLBACK")
            raise

    def tell(self, status: Status) -> None:
        body = {name: getattr(status, name) for name in Status.__slots__}
        self._db.execute(
            "INSERT OR REPLACE INTO status VALUES (1, ?)", (msgpack.packb(body | {"limits": dict(status.limits)}),)
        )

    def discard(self, why: str) -> None:
        """What was kept cannot be gone on from."""
        self._set_aside(why)

    def _set_aside(self, why: str) -> None:
        if hasattr(self, "_db"):
            self._db.close()
        aside = self.path.with_name(self.path.name + ".aside")
        log.warning(
            "%s cannot be used: %s; it is set aside as %s and made again from the log", self.path, why, aside.name
        )
        for end in ("", "-wal", "-shm"):
            there = self.path.with_name(self.path.name + end)
            if there.exists():
                there.replace(aside.with_name(aside.name + end))
        self._db = _open(self.path)


def _damaged(error: Exception, path: Path) -> bool:
    """Whether it is the file's own: neither the disk's nor that of somebody who holds it just now. One that ends too early counts as its own, and one
    that says of itself that nobody can write it where anybody may.
    """
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    if code == sqlite3.SQLITE_READONLY:
        return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    return code == sqlite3.SQLITE_IOERR_SHORT_READ or code & 0xFF not in _PASSING


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        # A power cut may take the last transactions, whole ones: the log has all that was in them.
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute(f"PRAGMA journal_size_limit={MAX_WAL}")
        db.executescript(_TABLES)
    except BaseException:
        db.close()
        raise
    path.chmod(0o600)
    return db


def _packed_array(value: Any) -> Any:
    """Numpy's arrays and numbers, which msgpack does not know."""
    if hasattr(value, "tobytes") and hasattr(value, "dtype") and not value.dtype.hasobject:
        if not value.shape:
            return value.item()
        return msgpack.ExtType(_ARRAY, msgpack.packb([value.dtype.str, list(value.shape), value.tobytes()]))
    msg = f"{type(value).__name__} cannot be kept"
    raise TypeError(msg)


def _array(code: int, data: bytes) -> np.ndarray[Any, Any]:
    import numpy as np  # noqa: PLC0415 - who only asks for the status need not have it

    if code != _ARRAY:
        msg = f"a value of kind {code}"
        raise ValueError(msg)
    dtype, shape, body = msgpack.unpackb(data)
    return np.frombuffer(body, dtype=np.dtype(dtype)).reshape(shape).copy()


def _unpacked(name: str, digest: bytes, body: bytes) -> Any:
    if sha256(body).digest() != digest:
        msg = f"{name} is not what was kept"
        raise ValueError(msg)
    return msgpack.unpackb(body, ext_hook=_array, strict_map_key=False)
