"""The file behind the spool: every schema that was ever released opens, and a step to a newer one is taken whole or not at all."""

import os
import sqlite3
import sys
from pathlib import Path

import pytest

from tests.agent.test_spool import NOW, open_spool, sealing
from tillwatch.agent import spool_file
from tillwatch.agent.spool_file import SpoolVersionError, migrate


def test_newer_schema_is_left_alone(tmp_path):
    open_spool(tmp_path).open()
    with sqlite3.connect(tmp_path / "spool.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(SpoolVersionError, match="newer"):
        open_spool(tmp_path).open()


@pytest.mark.parametrize("old", sorted((Path(__file__).parent / "databases").glob("spool_v*.db"), key=str))
def test_every_released_schema_opens(tmp_path, old):
    """Files as older agents left them. They are never changed; each new schema adds one."""
    (tmp_path / "spool.db").write_bytes(old.read_bytes())
    spool = open_spool(tmp_path, public=bytes(32))
    assert (spool.next_seq, spool.acked, spool.floor, spool.lost) == (6, 2, 3, 4)
    assert [spool.read(seq) for seq in (3, 4, 5)] == [b"3", b"4", b"5"]
    assert spool.offered == 6, "whatever an older agent sealed may be with the collector"
    assert spool.append(sealing(b"6"), NOW) == 6
    assert spool.book.db.execute("PRAGMA user_version").fetchone() == (spool_file.SCHEMA_VERSION,)
    spool.expire()
    assert spool.floor == 3


def test_schema_files_are_numbered_without_a_hole():
    found = sorted(Path(spool_file.__file__).parent.glob("schema_v*.sql"))
    assert [path.name for path in found] == [f"schema_v{n}.sql" for n in range(1, spool_file.SCHEMA_VERSION + 1)]


def test_there_is_a_kept_file_of_every_schema():
    kept = sorted(path.name for path in (Path(__file__).parent / "databases").glob("spool_v*.db"))
    assert kept == [f"spool_v{n}.db" for n in range(1, spool_file.SCHEMA_VERSION + 1)]


def test_a_step_that_fails_leaves_the_file_as_it_was(tmp_path):
    """The power goes, or the disk is full, in the middle of a step: the old agent's file is still the old agent's file."""
    for step in range(1, spool_file.SCHEMA_VERSION + 1):
        text = (Path(spool_file.__file__).parent / f"schema_v{step}.sql").read_text()
        (tmp_path / f"schema_v{step}.sql").write_text(text)
    last = tmp_path / f"schema_v{spool_file.SCHEMA_VERSION}.sql"
    last.write_text(last.read_text() + "\nINSERT INTO no_such_table VALUES (1);")
    old = Path(__file__).parent / "databases" / f"spool_v{spool_file.SCHEMA_VERSION - 1}.db"
    (tmp_path / "spool.db").write_bytes(old.read_bytes())
    db = spool_file.connect(tmp_path / "spool.db")
    before = db.execute("SELECT sql FROM sqlite_schema ORDER BY sql").fetchall()
    with pytest.raises(sqlite3.Error, match="no_such_table"):
        migrate(db, tmp_path)
    assert db.execute("PRAGMA user_version").fetchone() == (spool_file.SCHEMA_VERSION - 1,)
    assert db.execute("SELECT sql FROM sqlite_schema ORDER BY sql").fetchall() == before
    db.close()


COMMIT = 10 * (spool_file.PAGE + 24) + 4_096
"""Bytes that a commit writes at most beside its batch: ten pages, each with its head in the log, and the block that the log ended in. footprint.md says so."""
BATCHES, PAYLOAD = 600, 2_000


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc what was written")
def test_what_a_batch_writes_is_bounded(tmp_path):
    """From its sealing to its ack, the checkpoints of the log included: flash wears."""
    spool = open_spool(tmp_path)
    spool.offering = True
    before = _written()
    for _ in range(BATCHES):
        spool.ack(spool.append(sealing(os.urandom(PAYLOAD)), NOW))
    each = (_written() - before) / BATCHES
    assert PAYLOAD < each <= 2 * COMMIT + 1.1 * PAYLOAD
    assert (tmp_path / "spool.db-wal").stat().st_size <= spool_file.WAL_LIMIT


def _written():
    """Bytes that this process has handed to the kernel."""
    said = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(said["wchar"])


def test_a_batch_is_on_the_disk_when_it_is_told_and_an_ack_may_wait_for_the_next(tmp_path):
    spool = open_spool(tmp_path)
    said = []
    spool.book.db.set_trace_callback(said.append)
    seq = spool.append(sealing(b"1"), NOW)
    assert said[0] == "PRAGMA synchronous = FULL"
    said.clear()
    spool.ack(seq)
    assert said[0] == "PRAGMA synchronous = NORMAL"
    said.clear()
    spool.append(sealing(b"2"), NOW)
    assert said[0] == "PRAGMA synchronous = FULL", "which takes the ack to the disk with it"


def test_pages_are_small_and_those_of_an_older_file_stay(tmp_path):
    assert open_spool(tmp_path).book.db.execute("PRAGMA page_size").fetchone() == (spool_file.PAGE,)
    (tmp_path / "old").mkdir()
    old = Path(__file__).parent / "databases" / "spool_v1.db"
    (tmp_path / "old" / "spool.db").write_bytes(old.read_bytes())
    spool = open_spool(tmp_path / "old", public=bytes(32))
    assert spool.book.db.execute("PRAGMA page_size").fetchone() == (4_096,)
    assert spool.append(sealing(b"6"), NOW) == 6
