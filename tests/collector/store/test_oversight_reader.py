"""What the reader knows of the collector's own parts: what cannot be looked at is None, what a terminal's agent says of its spool is read, absences and certificates are there."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.collector.desk import HOUR, Desk
from tillwatch.collector.store import done
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.terminal.fleet import Certificate, Terminal
from tillwatch.collector.trust.authority import CLIENT_LIFE, RENEW_BEFORE

S = 10**9


def test_the_parts_of_a_small_collector(desk: Desk) -> None:
    desk.say("atm-1", "agent", "agent.spool.batches", 41)
    desk.say("atm-1", "agent", "agent.spool.oldest", 900)
    desk.done("acknowledge", "1")
    with closing(SqliteReader(desk.path)) as reader:
        facts = reader.monitoring(time.time_ns())
    (spool,) = facts.spools
    assert (spool.terminal, spool.batches, spool.oldest_s) == ("atm-1", 41, 900)
    assert facts.store_bytes is not None
    assert facts.store_bytes >= desk.path.stat().st_size
    assert facts.disk_free is not None
    assert facts.acts_waiting == 0
    assert facts.stopped_at, "the command was the collector for an instant, and is gone"
    assert facts.backup.ok is None
    assert "ca.pem" in [each.name for each in facts.certificates]
    ends = next(each.ends for each in facts.certificates if each.name == "ca.pem")
    assert datetime.fromtimestamp(ends // S, UTC).year >= datetime.now(UTC).year + 9


def test_a_verification_and_a_backup_leave_a_note(desk: Desk, tmp_path: Path) -> None:
    desk.done("verify", "--log")
    desk.done("backup", str(tmp_path / "b.backup"), "--without-keys")
    with closing(SqliteReader(desk.path)) as reader:
        facts, verified = reader.monitoring(time.time_ns()), reader.verified()
    assert (facts.backup.ok, facts.verified.ok) == (True, True)
    assert verified.entries > 0
    assert set(done.read(desk.path)) == {done.BACKUP, done.VERIFIED}


def test_a_certificate_that_cannot_be_read_says_so(desk: Desk) -> None:
    desk.done("acknowledge", "1")
    (desk.path.parent / "authority" / "server.pem").write_text("nothing")
    with closing(SqliteReader(desk.path)) as reader:
        found = {each.name: each for each in reader.monitoring(time.time_ns()).certificates}
    assert found["server.pem"].ends == 0
    assert found["server.pem"].problem


@pytest.mark.parametrize(("later", "aged"), [(-HOUR, ()), (HOUR, ("atm-1",))])
def test_a_terminal_whose_newest_certificate_grows_old_is_named(desk: Desk, later: int, aged: tuple[str, ...]) -> None:
    life = int((CLIENT_LIFE - RENEW_BEFORE).total_seconds()) * S
    with closing(sqlite3.connect(desk.path)) as db:
        (status,) = db.execute("SELECT status FROM terminal").fetchone()
        known = Terminal("atm-1", "", "", "", 0)
        known.unpack_status(status)
        known.certificates = {
            "a": Certificate(b"k" * 8, desk.now - life),
            "b": Certificate(b"k" * 8, desk.now),
            "c": Certificate(b"k" * 8, desk.now + life, revoked=desk.now),
        }
        db.execute("UPDATE terminal SET status = ?", (known.pack_status(),))
        db.commit()
    with closing(SqliteReader(desk.path)) as reader:
        assert reader.monitoring(desk.now + life + later).aged == aged
