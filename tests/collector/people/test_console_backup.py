"""The console's file in a backup: one moment of it while it is written, without what lets somebody in at once, and back again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.collector.people.peopled import BASE, BY, HASH, NANO
from tillwatch.collector.people import accounts, sessions
from tillwatch.collector.people.accounts import Person
from tillwatch.collector.people.console_backup import ConsoleCopyError, copied, release, written
from tillwatch.collector.people.console_db import SCHEMA_VERSION, open_console, transaction, unsaid
from tillwatch.collector.people.roles import Role


@pytest.fixture
def console(tmp_path: Path) -> Path:
    path = tmp_path / "console.db"
    with closing(open_console(path)) as db, transaction(db):
        accounts.add(db, Person("li.wei", "Li Wei", Role.ADMINISTRATOR, password=HASH, created_at=BASE), BY)
    return path


def let_in(db: sqlite3.Connection, secret: bytes) -> None:
    with transaction(db):
        db.execute(
            "INSERT INTO session VALUES (?, 'li.wei', 'csrf', 0, 0, ?, 0, 'here', 'password', '')", (secret, 2**62)
        )
        db.execute("INSERT INTO device VALUES (?, 'li.wei', 0)", (secret,))
        accounts.invite(db, "li.wei", secret, BASE * 2)


def test_what_the_console_has_not_written_into_its_file_yet_is_in_it(console: Path, tmp_path: Path) -> None:
    with closing(open_console(console)) as db:
        held = accounts.find(db, "li.wei")
        assert held is not None
        db.execute("PRAGMA wal_autocheckpoint=0")
        with transaction(db):
            accounts.put(db, replace(held, full_name="Li Wei the second"))
        content, number = copied(console)
        assert number == 1
        with transaction(db):  # one moment: what comes after is not in it
            accounts.put(db, replace(held, full_name="Li Wei the third"))
    target = tmp_path / "again.db"
    written(content, target)
    assert target.stat().st_mode & 0o777 == 0o600
    with closing(open_console(target)) as db:
        found = accounts.find(db, "li.wei")
        assert found is not None
        assert (found.full_name, found.password) == ("Li Wei the second", HASH)
        assert [facts["did"] for _, facts in unsaid(db)] == ["added"]


def test_what_lets_somebody_in_at_once_is_not_in_it(console: Path, tmp_path: Path) -> None:
    secret = sessions.digest_of(sessions.new_secret())
    with closing(open_console(console)) as db:
        let_in(db, secret)
        content, _ = copied(console)
        assert db.execute("SELECT count(*) FROM session").fetchone() == (1,)
    assert secret not in content
    written(content, tmp_path / "again.db")
    with closing(open_console(tmp_path / "again.db")) as db:
        for table in ("session", "device", "invitation"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_a_file_that_is_damaged_or_newer_is_told(console: Path, tmp_path: Path) -> None:
    content, _ = copied(console)
    with pytest.raises(ConsoleCopyError, match="take an older backup"):
        written(content[:4096] + bytes(len(content) - 4096), tmp_path / "again.db")
    with closing(sqlite3.connect(console, isolation_level=None)) as db:
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    with pytest.raises(ConsoleCopyError, match=f"schema {SCHEMA_VERSION + 1}"):
        copied(console)
    console.write_bytes(b"no database" * NANO.bit_length())
    with pytest.raises(ConsoleCopyError, match="leave it out with --without-keys"):
        copied(console)
    assert not (tmp_path / "again.db").exists()


def test_a_file_that_somebody_has_open_is_not_released(console: Path) -> None:
    with closing(open_console(console)), pytest.raises(ConsoleCopyError, match="the console runs"):
        release(console)
    release(console)
    assert not console.with_name("console.db-wal").exists()
    release(console.with_name("none.db"))
    console.write_bytes(b"no database")
    release(console)
    assert console.read_bytes() == b"no database"
