"""Which authority a state belongs to. Terminals pin it when they enrol, and the state keeps its fingerprint from its first use on: a collector that lacks the
folder of keys, or has another installation's, is refused before any terminal meets it. A state that was written before fingerprints were kept is judged by
the authority's signature under the last enrolment in it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgpack

from tillwatch.collector.config import ConfigError
from tillwatch.collector.journal import Kind
from tillwatch.collector.store.db import Db, Where
from tillwatch.collector.store.reading import connected, version_of
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.trust.authority import Authority, open_authority
from tillwatch.collector.trust.binding import ENROL, ROTATE, is_bound

PIN = "authority"
"""Among what the state knows of itself: SHA-256 of the authority's certificate."""
MOST_ACTS = 10_000
"""The newest acts among which a signed one is looked for: a morning in which a large fleet enrols has no more of others in between."""
_ACTS = "SELECT terminal, facts FROM journal WHERE kind = ? AND payload IS NULL ORDER BY n DESC LIMIT ?"
_MEND = (
    "copy the folder authority from another collector of this installation (packaging/docs/scale-out.md), or restore it from a backup "
    "(packaging/docs/backup.md); only if nobody has it any more: tillwatch-collector new-authority --reason TEXT, after which all terminals enrol again"
)


class OtherAuthorityError(ConfigError):
    """The folder of keys is not there, or is not that of this state. The text says where both are and what to do."""


def own_authority(folder: Path, where: Where) -> Authority:
    """The authority of this state, made where it has none yet. Raises OtherAuthorityError and AuthorityError, and StoreError where the folder is not there and the state
    cannot be asked for one. Where only the latter is so, whoever writes asks again: see `pin`.
    """
    own = open_authority(folder) if folder.exists() else None
    try:
        check(folder, where, own)
    except StoreError:
        if own is None:
            raise
    return own if own is not None else open_authority(folder)


def check(folder: Path, where: Where, own: Authority | None) -> None:
    """own: what is in the folder, None where it is not there. Raises OtherAuthorityError, and StoreError where the state cannot be read."""
    if isinstance(where, Path) and not where.exists():
        return
    try:
        with closing(connected(where)) as db:
            if not version_of(where, db):
                return
            kept = fingerprint(db)
            if own is not None and kept:
                fits: bool | None = kept == own.fingerprint
            else:
                fits = _vouched(db, own)
    except sqlite3.Error as error:
        msg = f"{where} cannot be read: {error}"
        raise StoreError(msg) from None
    if own is None and (kept or fits is not None):
        raise OtherAuthorityError(f"{folder} is not there, and {where} belongs to an authority: a new one is unknown to its terminals; {_MEND}")  # fmt: skip
    if own is not None and fits is False:
        raise _other(folder, where)


def pin(db: Db, where: Where, own: Authority) -> None:
    """Keep whose state it is from now on, within the caller's transaction. Raises OtherAuthorityError: it is another's, which may have come first a moment ago."""
    db.execute("INSERT OR IGNORE INTO meta VALUES (?,?)", (PIN, own.fingerprint))
    if fingerprint(db) != own.fingerprint:
        raise _other(own.folder, where)


def replace(db: Db, own: Authority) -> None:
    """The state is this one's from now on, whosever it was."""
    db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (PIN, own.fingerprint))


def fingerprint(db: Db) -> bytes:
    """Empty where none is kept yet."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (PIN,)).fetchone()
    return bytes(row[0]) if row is not None else b""


def _vouched(db: Db, own: Authority | None) -> bool | None:
    """Whether this authority signed the last enrolment that is signed; None where none is."""
    for terminal, packed in db.execute(_ACTS, (int(Kind.OPERATOR), MOST_ACTS)).fetchall():
        facts: dict[str, Any] = msgpack.unpackb(packed)
        if facts.get("action") in (ENROL, ROTATE) and facts.get("binding"):
            return own is not None and is_bound(own.certificate, facts, terminal) is True
    return None


def _other(folder: Path, where: Where) -> OtherAuthorityError:
    return OtherAuthorityError(f"{folder} holds another authority than {where} belongs to: its terminals do not know it; move that folder away and {_MEND}")  # fmt: skip
