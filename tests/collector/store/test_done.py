"""The note of what was last done: kept whole, read as nothing where it is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tillwatch.collector.store import done


def test_what_was_done_is_kept_beside_what_was_done_before(tmp_path: Path) -> None:
    database = tmp_path / "collector.db"
    assert done.read(database) == {}
    done.keep(database, done.BACKUP, 5, ok=True, text="", entries=7)
    done.keep(database, done.VERIFIED, 6, ok=False, text="x" * 900, entries=8)
    done.keep(database, done.BACKUP, 9, ok=True, text="", entries=10)
    found = done.read(database)
    assert found[done.BACKUP] == {"at": 9, "ok": True, "text": "", "entries": 10}
    assert (found[done.VERIFIED]["ok"], len(found[done.VERIFIED]["text"])) == (False, 500)
    assert [each.name for each in tmp_path.iterdir()] == ["done.json"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b"\xff\xfe", b'{"backup": 3}', b"null"])
def test_a_damaged_note_says_nothing(tmp_path: Path, damage: bytes) -> None:
    database = tmp_path / "collector.db"
    done.beside(database).write_bytes(damage)
    assert done.read(database) == {}
    done.keep(database, done.BACKUP, 5, ok=True, text="", entries=7)
    assert set(done.read(database)) == {done.BACKUP}
