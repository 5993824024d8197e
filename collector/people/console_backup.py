"""The console's own file in a backup: accounts, their secrets, API tokens and preferences as they were at one moment. What lets somebody in at once is left out:
sessions, known browsers and links of invitation end with the file that held them, for whoever has an old backup must not come in with an old cookie.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from tillwatch.collector.people.console_db import SCHEMA_VERSION

LEFT_OUT = ("session", "device", "invitation")


class ConsoleCopyError(Exception):
    """The console's file cannot be copied or used. The text says where it is and what to do."""


def copied(path: Path) -> tuple[bytes, int]:
    """The file as it is now, while the console writes it, and the number of its accounts. Raises ConsoleCopyError."""
    try:
        with (
            closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as source,
            # In memory: beside the backup a file of secrets would lie about until it is done.
            closing(sqlite3.connect(":memory:", isolation_level=None)) as copy,
        ):
            source.backup(copy)
            _check(copy, str(path))
            for table in LEFT_OUT:
                copy.execute(f"DELETE FROM {table}")  # noqa: S608 - of LEFT_OUT
            copy.execute("VACUUM")  # else they stay in pages that are free
            return copy.serialize(), copy.execute("SELECT count(*) FROM person").fetchone()[0]
    except sqlite3.Error as error:
        raise ConsoleCopyError(
            f"{path}: {error}; the accounts of the console stand there: mend it, or leave it out with --without-keys"
        ) from None


def written(content: bytes, target: Path) -> None:
    """Put it in a new file, mode 0600, once it has been looked at. Raises ConsoleCopyError and OSError."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        try:
            db.deserialize(content)
            _check(db, "the accounts in the backup")
        except sqlite3.Error as error:
            raise ConsoleCopyError(f"the accounts in the backup: {error}; take an older backup") from None
    descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def release(path: Path) -> None:
    """Have all of it in its one file, and nobody else at it. Raises ConsoleCopyError while a console, or a command of it, has it open."""
    if not path.is_file():
        return
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as db:
            # Leaving the write-ahead log needs the file for oneself: SQLite refuses it while any other connection is open.
            db.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise ConsoleCopyError(f"{path} is open: the console runs; end it, and restore then") from None
    except sqlite3.Error:
        return  # damaged, which may be why somebody restores: it is set aside as it is


def _check(db: sqlite3.Connection, what: str) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise ConsoleCopyError(
            f"{what}: of a newer tillwatch (schema {version}, this one knows {SCHEMA_VERSION}); use that version"
        )
    sound = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if sound != "ok":
        raise sqlite3.DatabaseError(sound)
