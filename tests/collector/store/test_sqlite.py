"""The collector's file where it cannot be opened: the text says what to do about it, and never the wrong thing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.disk import Disk, only_root_mounts
from tillwatch.collector.store.sqlite import StoreError, open_db


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
