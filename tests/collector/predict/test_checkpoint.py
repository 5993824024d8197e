"""Where the predictions stand: it comes back as it was, or it is set aside."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from tests.chaos.disk import Disk, only_root_mounts
from tillwatch.collector.predict.checkpoint import Checkpoint, Kept, Status, beside, read_status

STATE = {
    "v": 3,
    "numbers": {"mean": np.arange(12, dtype=np.float32).reshape(3, 4), "bits": np.zeros((2, 512), np.uint8), "n": np.float64(1.5)},
    "names": [["atm-1", {"at": 2**62}], ["x", None]],
    "by number": {1: "a", -2: [True]},
}  # fmt: skip
KEPT = Kept(41, b"digest", STATE, {"open": [{"id": "a"}], "at": 7})


def same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray):
        return (
            isinstance(other, np.ndarray)
            and one.dtype == other.dtype
            and one.shape == other.shape
            and np.array_equal(one, other)
        )
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "c.db.predictions"
    with closing(Checkpoint(path)) as checkpoint:
        assert checkpoint.load() is None
        checkpoint.save(Kept(1, b"", {"old": 1, "gone": np.ones(3)}, {}))
        checkpoint.save(KEPT)
    with closing(Checkpoint(path)) as checkpoint:
        back = checkpoint.load()
    assert back is not None
    assert (back.position, back.digest, back.mind) == (KEPT.position, KEPT.digest, KEPT.mind)
    assert same(back.state, STATE)
    assert back.state["numbers"]["mean"].flags.writeable
    assert path.stat().st_mode & 0o077 == 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1, exclude_max=True), change=st.sampled_from(("flip", "cut", "nothing")))
def test_a_damaged_file_is_set_aside_or_still_right(tmp_path: Path, at: float, change: str) -> None:
    path = tmp_path / "c.db.predictions"
    for left in tmp_path.iterdir():
        left.unlink()
    with closing(Checkpoint(path)) as checkpoint:
        checkpoint.save(KEPT)
    data = bytearray(path.read_bytes())
    place = int(at * len(data))
    if change == "flip":
        data[place] ^= 0xFF
    elif change == "cut":
        del data[place:]
    path.write_bytes(data)
    with closing(Checkpoint(path)) as checkpoint:
        back = checkpoint.load()
        assert back is None or same(back.state, STATE)
        assert back is not None or change != "nothing"
        checkpoint.save(KEPT)
        assert checkpoint.load() is not None


@pytest.mark.parametrize("place", [18, 36, 52, 3990], ids=["write version", "free pages", "vacuum", "schema"])
def test_damage_that_shows_only_when_it_is_written_is_set_aside_then(tmp_path: Path, place: int) -> None:
    path = tmp_path / "c.db.predictions"
    with closing(Checkpoint(path)) as checkpoint:
        checkpoint.save(KEPT)
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(data)
    with closing(Checkpoint(path)) as checkpoint:
        back = checkpoint.load()
        assert back is None or same(back.state, STATE)
        checkpoint.save(KEPT)
        assert checkpoint.load() is not None


@pytest.mark.parametrize("what", ["UPDATE part SET body = x'c0' WHERE name = 'mind'", "DELETE FROM part WHERE name = 'engine/names'", "DELETE FROM part WHERE name = 'head'"])  # fmt: skip
def test_what_does_not_fit_together_is_set_aside(tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "c.db.predictions"
    with closing(Checkpoint(path)) as checkpoint:
        checkpoint.save(KEPT)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(what)
    with closing(Checkpoint(path)) as checkpoint:
        assert checkpoint.load() is None
        assert checkpoint.load() is None
    assert caplog.text.count("it is set aside as") == 1
    assert path.with_name(path.name + ".aside").exists()


def test_what_cannot_be_kept_leaves_what_was(tmp_path: Path) -> None:
    with closing(Checkpoint(tmp_path / "p")) as checkpoint:
        checkpoint.save(KEPT)
        for value in (object(), np.array([object()])):
            with pytest.raises(TypeError):
                checkpoint.save(Kept(42, b"", {"x": value}, {}))
        back = checkpoint.load()
    assert back is not None
    assert back.position == 41


def kept_again(path: Path) -> None:
    with closing(Checkpoint(path)) as checkpoint:
        checkpoint.load()
        checkpoint.save(KEPT)


@only_root_mounts
def test_a_full_disk_is_no_damage(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk", 4 << 20)
    disk.mount()
    try:
        path = disk.path / "c.db.predictions"
        with closing(Checkpoint(path)) as checkpoint:
            checkpoint.save(KEPT)
        disk.fill()
        with pytest.raises(sqlite3.OperationalError):
            kept_again(path)
        disk.free()
        with closing(Checkpoint(path)) as checkpoint:
            assert checkpoint.load() is not None
        assert not list(disk.path.glob("*.aside*"))
    finally:
        disk.close()


def test_the_status_is_read_beside_the_one_who_writes(tmp_path: Path) -> None:
    database = tmp_path / "collector.db"
    status = Status(5, 1, 9, 2, 3, {"series": 4}, 77)
    assert read_status(database) is None
    with closing(Checkpoint(beside(database))) as checkpoint:
        checkpoint.tell(status)
        assert read_status(database) == status
        assert status.behind == 4
    beside(database).write_bytes(b"no database")
    assert read_status(database) is None
    with closing(Checkpoint(beside(database))) as checkpoint:
        assert checkpoint.load() is None


KILLED = """
import sys, numpy as np
from pathlib import Path
from tillwatch.collector.predict.checkpoint import Checkpoint, Kept
checkpoint = Checkpoint(Path(sys.argv[1]))
for n in range(1, 10**6):
    checkpoint.save(Kept(n, b"", {"a": np.full(200_000, n), "b": np.full(200_000, n)}, {"n": n}))
    print(n, flush=True)
"""


def test_killed_while_it_is_written_all_of_it_is_of_one_moment(tmp_path: Path) -> None:
    path, last = tmp_path / "p", 0
    for lines in (1, 2, 4):
        with subprocess.Popen(
            (sys.executable, "-P", "-c", KILLED, str(path)), stdout=subprocess.PIPE, text=True, env=os.environ
        ) as process:
            assert process.stdout is not None
            for _ in range(lines):
                last = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
        with closing(Checkpoint(path)) as checkpoint:
            back = checkpoint.load()
            assert back is not None
            assert back.position >= last
            assert back.mind == {"n": back.position}
            assert {int(each) for name in ("a", "b") for each in np.unique(back.state[name])} == {back.position}


def test_a_file_of_another_version_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Checkpoint(tmp_path / "p")) as checkpoint:
        monkeypatch.setattr("tillwatch.collector.predict.checkpoint.VERSION", 99)
        checkpoint.save(KEPT)
        monkeypatch.undo()
        assert checkpoint.load() is None
