"""A backup of a running collector in one file, and the way back. The file is a SQLite database: the store as it was at one moment, and
beside its tables `backup_note` (what it is), `backup_key` (the files of the authority, without which every terminal would have to enrol
again) and `backup_console` (the console's accounts, where there are any). It is proven before it is called one, and proven again before anything of it is used.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from nacl import pwhash, utils
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from tillwatch.collector.moving import copying
from tillwatch.collector.moving.copying import DifferentError
from tillwatch.collector.people.console_backup import ConsoleCopyError, copied, release, written
from tillwatch.collector.people.console_db import FILE, place
from tillwatch.collector.store.db import Where
from tillwatch.collector.store.lock import RESTORING, locked
from tillwatch.collector.store.log import Fault, Log
from tillwatch.collector.store.reading import reading
from tillwatch.collector.store.sqlite import SCHEMA_VERSION, StoreError, open_db
from tillwatch.collector.store.whereabouts import anchor

FORMAT = 2
FORMATS = frozenset({1, FORMAT})
"""Those that are restored: the first had no accounts of the console in it."""
PAGES = 1024
"""Of the store copied in a step: 4 MiB, some milliseconds, after which others have their turn."""
ACTS_S = 2.0
"""For a command beside the collector to end, which holds the lock for an instant."""
CHUNK = 2000
"""Entries of the journal between two words of progress."""
MAX_FAULTS = 20
"""Told one by one: `tillwatch-collector verify --log` says all of them."""
_TABLES = """
CREATE TABLE backup_note (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE backup_key (name TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE backup_console (content BLOB NOT NULL);
"""

Progress = Callable[[str, int, int], None]
"""(what, done, of)."""


class BackupError(Exception):
    """The backup cannot be made or used. The text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Backup:
    """at: UTC ns; entries, last_at, digest: the end of the journal; keys: `with`, `sealed` by a passphrase, or `without`; faults: what of the
    journal is missing or damaged, MAX_FAULTS of it at most; accounts: of the console, None where it holds none of its file.
    """

    path: str
    at: int
    entries: int
    last_at: int
    digest: str
    size: int
    terminals: int
    keys: str
    faults: tuple[str, ...] = ()
    accounts: int | None = None


def make(
    where: Where,
    authority: Path | None,
    target: Path,
    *,
    passphrase: bytes = b"",
    progress: Progress = lambda *_: None,
) -> Backup:
    """Back up beside a running collector and console; mode 0600. authority: None leaves keys and accounts out, which are secrets. passphrase: seals
    both. Raises BackupError.

    A store whose journal is damaged is backed up all the same, since it is the best there is; `faults` of what is returned says so.
    """
    if isinstance(where, Path) and not where.is_file():
        raise BackupError(f"{where} is not there; has the collector been started once with this data directory?")
    part = target.with_name(f".{target.name}.part")
    if target.exists():
        raise BackupError(f"{target} is there already; name another file")
    try:
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        raise BackupError(f"{part} is there: another backup runs, or one was broken off; then remove it") from None
    except OSError as error:
        raise BackupError(
            f"{target}: {error.strerror}; name a file in a folder that the collector's user may write"
        ) from None
    try:
        console = place(anchor(where))
        # Before the store: what people did waits there until the store has it, and so it is in both at worst, and never in none.
        accounts = copied(console) if authority is not None and console.is_file() else None
        with closing(sqlite3.connect(part, isolation_level=None)) as copy:
            if isinstance(where, Path):
                _copy(where, copy, progress)
            else:
                _copy_out(where, part, copy, progress)
            # One file, with nothing beside it.
            copy.execute("PRAGMA journal_mode=DELETE")
            copy.executescript(_TABLES)
            keys = _add_secrets(copy, authority, accounts, passphrase)
            notes = {"format": FORMAT, "at": time.time_ns(), "keys": keys}
            copy.executemany("INSERT INTO backup_note VALUES (?,?)", notes.items())
        found = verify(part, progress=progress)
        part.replace(target)
        _sync(target.parent)
    except ConsoleCopyError as error:
        raise BackupError(str(error)) from None
    except (sqlite3.Error, StoreError, DifferentError, OSError) as error:
        raise BackupError(f"{target}: {error}; nothing was kept") from None
    finally:
        part.unlink(missing_ok=True)
    return replace(found, path=str(target))


def _copy(database: Path, copy: sqlite3.Connection, progress: Progress) -> None:
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as source:
        version = source.execute("PRAGMA user_version").fetchone()[0]
        if version != SCHEMA_VERSION:
            raise BackupError(f"{database} has schema {version}, this program knows {SCHEMA_VERSION}")
        # One snapshot from the first page to the last: without it every commit of the collector would begin the copy anew.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM meta").fetchone()
        source.backup(copy, pages=PAGES, progress=lambda _, left, of: progress("copied, pages", of - left, of))
        source.execute("COMMIT")


def _copy_out(where: Where, part: Path, copy: sqlite3.Connection, progress: Progress) -> None:
    """Row by row out of a server, in one state of it, into tables of the same schema."""
    open_db(part).close()
    with closing(reading(where)) as source:
        source.execute("BEGIN")
        copying.begin(copy)
        copying.copy(source, copy, copying.layout(copy), progress)
        copying.end(copy)
        source.execute("ROLLBACK")


def _add_secrets(
    copy: sqlite3.Connection, authority: Path | None, accounts: tuple[bytes, int] | None, passphrase: bytes
) -> str:
    if authority is None:
        return "without"
    if not authority.is_dir():
        raise BackupError(f"{authority} is not there; without keys: --without-keys")
    salt = utils.random(pwhash.argon2id.SALTBYTES)
    box = _box(passphrase, salt) if passphrase else None
    for file in sorted(authority.iterdir()):
        if file.is_file() and not file.is_symlink():
            content = file.read_bytes()
            copy.execute(
                "INSERT INTO backup_key VALUES (?,?)", (file.name, bytes(box.encrypt(content)) if box else content)
            )
    if accounts is not None:
        content, number = accounts
        copy.execute("INSERT INTO backup_console VALUES (?)", (bytes(box.encrypt(content)) if box else content,))
        copy.execute("INSERT INTO backup_note VALUES ('accounts', ?)", (number,))
    if box:
        copy.execute("INSERT INTO backup_note VALUES ('salt', ?)", (salt,))
    return "sealed" if box else "with"


def _box(passphrase: bytes, salt: bytes) -> SecretBox:
    kdf = pwhash.argon2id
    return SecretBox(kdf.kdf(SecretBox.KEY_SIZE, passphrase, salt, kdf.OPSLIMIT_MODERATE, kdf.MEMLIMIT_MODERATE))


def verify(path: Path, *, progress: Progress = lambda *_: None) -> Backup:
    """What a backup holds, after every page of it, every link of the journal and every frame was looked at. Raises BackupError where it cannot
    be used at all.
    """
    if not path.is_file():
        raise BackupError(f"{path}: no such file")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as db:
            if db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'backup_note'").fetchone()[0] == 0:
                raise BackupError(f"{path} is no backup of a collector")
            notes = dict(db.execute("SELECT key, value FROM backup_note"))
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if notes.get("format") not in FORMATS or version != SCHEMA_VERSION:
                raise BackupError(f"{path} was made by a newer tillwatch; restore it with that version")
            sound = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if sound != "ok":
                raise BackupError(f"{path} is damaged: {sound}; take an older backup")
            entries, last_at, digest, faults = _check_log(db, progress)
            terminals = db.execute("SELECT count(*) FROM terminal").fetchone()[0]
    except sqlite3.Error as error:
        raise BackupError(f"{path}: {error}; it is damaged or no backup of a collector") from None
    size, keys = path.stat().st_size, str(notes["keys"])
    accounts = int(notes["accounts"]) if "accounts" in notes else None
    return Backup(str(path), int(notes["at"]), entries, last_at, digest.hex(), size, terminals, keys, faults, accounts)


def _check_log(db: sqlite3.Connection, progress: Progress) -> tuple[int, int, bytes, tuple[str, ...]]:
    """The number, time and digest of the last entry, and what is wrong, once every entry and every frame has been looked at."""
    faults: list[str] = []

    def note(fault: Fault) -> None:
        if len(faults) < MAX_FAULTS:
            faults.append(f"entry {fault.n}: {fault.text}")

    log = Log(db)
    of, digest = log.head()
    last, last_at = 0, 0
    for logged in log.walk(note):
        last, last_at = logged.entry.n, logged.entry.at
        if last % CHUNK == 0 or last == of:
            progress("proven, entries of the journal", last, of)
    return last, last_at, digest, tuple(faults)


def restore(
    path: Path,
    database: Path,
    authority: Path,
    *,
    passphrase: bytes = b"",
    damaged: bool = False,
    progress: Progress = lambda *_: None,
) -> tuple[Backup, Path | None]:
    """Put a backup in the place of what is there. What was there is set aside in a folder of the data directory and never removed; that
    folder is returned, if there was anything. Refused while a collector runs, or a console whose
    accounts it would replace, and where the journal is not whole unless damaged is said.
    Raises BackupError and InUseError.
    """
    data_dir = database.parent
    found = verify(path, progress=progress)
    if found.faults and not damaged:
        raise BackupError(
            f"{path}: its journal is not whole: {found.faults[0]}; take an older backup, or add --damaged to go on with this one"
        )
    if found.keys == "sealed" and not passphrase:
        raise BackupError(f"{path}: its keys are sealed; name the passphrase with --passphrase-file")
    with locked(database, ACTS_S, restoring=True):
        aside = data_dir / f"before-restore-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        new = data_dir / RESTORING
        try:
            if aside.exists():
                raise BackupError(f"{aside} is there already; wait a second")
            console = place(database)
            if found.accounts is not None:
                release(console)
            if new.exists():
                # Of a restore that was broken off: what it had set aside is aside, what it had prepared joins it.
                aside.mkdir(mode=0o700)
                new.rename(aside / RESTORING)
            new.mkdir(mode=0o700)
            try:
                _prepare(path, new, passphrase)
            except (BackupError, ConsoleCopyError):
                shutil.rmtree(new)  # nothing was touched yet: the collector starts as before
                raise
            over = [old for old in (authority, console) if (new / old.name).exists()]
            moved = _set_aside([database, *over], aside)
            for old in (database, *over):
                (new / old.name).rename(old)
            _sync(data_dir)
            new.rmdir()
            _sync(data_dir)
        except ConsoleCopyError as error:
            raise BackupError(str(error)) from None
        except (OSError, sqlite3.Error, StoreError) as error:
            raise BackupError(f"{data_dir}: {error}; what was there is there or in {aside}") from None
    return found, aside if moved or aside.exists() else None


def _prepare(path: Path, new: Path, passphrase: bytes) -> None:
    """The data directory as it will be, but for its place."""
    target = new / "collector.db"
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with (
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as source,
        closing(sqlite3.connect(target, isolation_level=None)) as db,
    ):
        source.backup(db, pages=PAGES)
        notes = dict(db.execute("SELECT key, value FROM backup_note"))
        files = dict(db.execute("SELECT name, content FROM backup_key"))
        held = db.execute("SELECT name FROM sqlite_master WHERE name = 'backup_console'").fetchone() is not None
        accounts = db.execute("SELECT content FROM backup_console").fetchone() if held else None
        # The keys must not stay behind in pages that are free.
        db.execute("PRAGMA secure_delete=ON")
        db.execute("BEGIN")
        db.execute("DROP TABLE backup_note")
        db.execute("DROP TABLE backup_key")
        db.execute("DROP TABLE IF EXISTS backup_console")
        # Since the backup they may have been used, and done: a token is good once, and a ticket is asked for before it is made.
        db.execute("UPDATE token SET used_at = ? WHERE used_at IS NULL", (time.time_ns(),))
        db.execute(
            "UPDATE outbox SET state = 'uncertain', answer = 'restored from a backup' WHERE state IN ('pending', 'sending')"
        )
        db.execute("COMMIT")
    box = _box(passphrase, notes["salt"]) if notes["keys"] == "sealed" else None
    if files:
        _write_keys(files, new / "authority", box)
    if accounts is not None:
        written(_plain(accounts[0], box), new / FILE)
    _sync(new)


def _write_keys(files: dict[str, bytes], folder: Path, box: SecretBox | None) -> None:
    folder.mkdir(mode=0o700)
    for name, content in files.items():
        if Path(name).name != name:
            raise BackupError(f"{name!r} cannot be the name of a key file")
        plain = _plain(content, box)
        descriptor = os.open(folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(plain)
            file.flush()
            os.fsync(file.fileno())
    _sync(folder)


def _plain(content: bytes, box: SecretBox | None) -> bytes:
    try:
        return box.decrypt(content) if box else content
    except CryptoError:
        raise BackupError("the passphrase is not the one that the keys were sealed with") from None


def _set_aside(replaced: list[Path], aside: Path) -> bool:
    # The write-ahead log belongs to its database: beside another one it would be played into it.
    old = [
        file
        for each in replaced
        for file in (each, *(each.with_name(f"{each.name}{end}") for end in ("-wal", "-shm")))
        if file.exists()
    ]
    if old:
        aside.mkdir(mode=0o700, exist_ok=True)
    for one in reversed(old):
        one.rename(aside / one.name)
    return bool(old)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
