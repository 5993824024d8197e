"""The collector's file where it cannot be opened: the text says what to do about it, and never the wrong thing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.disk import Disk, only_root_mounts
from tillwatch.collector.store.sqlite import COMPONENT, StoreError, in_place, open_db


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk", 1 << 20)
    disk.mount()
    yield disk
    disk.close()


@only_root_mounts
def test_a_full_disk_at_the_start_asks_for_room_and_not_for_a_backup(disk: Disk) -> None:
    file = disk.path / "collector.db"
    open_db(file).close()
    disk.fill()
    with pytest.raises(StoreError, match=r"see that there is room on that disk") as raised:
        open_db(file)
    assert "backup" not in str(raised.value)
    disk.free()
    open_db(file).close()


def test_a_damaged_file_asks_for_the_backup(tmp_path: Path) -> None:
    file = tmp_path / "collector.db"
    file.write_bytes(b"no database" * 500)
    with pytest.raises(
        StoreError, match=r"not a database; stop the collector, keep the file, and restore the last backup"
    ):
        open_db(file)


def test_rows_that_are_written_again_are_overwritten_where_they_lie(tmp_path: Path) -> None:
    chance = random.Random(3)
    rows = [(f"till-{n:05}", "battery", "", 1, chance.randbytes(chance.randrange(150, 300))) for n in range(5_000)]
    later = [(*row[:4], chance.randbytes(len(row[4]) + chance.choice((0, 0, 0, 1)))) for row in rows[::20]]
    found = []
    for name in ("in place", "replaced"):
        file = tmp_path / f"{name}.db"
        connection = open_db(file)
        connection.execute("BEGIN")
        connection.executemany(COMPONENT, rows)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("BEGIN")
        connection.executemany(in_place(connection, COMPONENT) if name == "in place" else COMPONENT, later)
        connection.execute("COMMIT")
        kept = connection.execute("SELECT * FROM component ORDER BY terminal").fetchall()
        found.append((file.with_name(f"{file.name}-wal").stat().st_size, kept))
        connection.close()
    (in_place_bytes, kept), (replaced_bytes, expected) = found
    assert kept == expected
    assert set(later) < set(kept)
    assert in_place_bytes < 0.9 * replaced_bytes, (in_place_bytes, replaced_bytes)
