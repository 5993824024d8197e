from __future__ import annotations

import stat
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.series import kept
from tillwatch.collector.series.kept import (
    MARKS_EVERY,
    MAX_MARKS,
    KeptFile,
    Mark,
    Standing,
    marked,
    put_aside,
    read_all,
)

HERE = Mark(7, b"\x01" * 32, 99)


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    database = tmp_path / "collector.db"
    file = KeptFile(database, "analysts")
    assert file.load() is None
    said = Standing(
        kind="influxdb",
        position=HERE,
        marks=(Mark(), HERE),
        written=HERE,
        head=9,
        points=3,
        process=5,
        trouble="no",
        note="一",
    )
    file.save(said, settled=True)
    assert file.load() == said
    assert read_all(database) == {"analysts": said}
    assert said.behind == 2
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"position": 1}', '{"position": [1, "zz", 0], "written": [0, "", 0], "marks": []}', "\x00"]
)
def test_a_damaged_file_is_none(tmp_path: Path, text: str) -> None:
    file = KeptFile(tmp_path / "collector.db", "x")
    file.save(Standing(), settled=False)
    file.path.write_text(text)
    assert file.load() is None
    assert read_all(tmp_path / "collector.db") == {}


def test_a_sink_that_is_configured_no_more_is_not_shown_and_found_again_with_its_place(tmp_path: Path) -> None:
    database = tmp_path / "collector.db"
    put_aside(database, ())
    for name in ("one", "two"):
        KeptFile(database, name).save(Standing(position=HERE), settled=True)
    put_aside(database, ("two",))
    assert set(read_all(database)) == {"two"}
    put_aside(database, ("one", "two"))
    assert read_all(database)["one"].position == HERE


@given(st.lists(st.integers(1, 5 * MARKS_EVERY), max_size=400))
def test_marks_are_few_in_order_and_densest_at_the_end(steps: list[int]) -> None:
    marks: tuple[Mark, ...] = ()
    n = 0
    for step in steps:
        n += step
        marks = marked(marks, Mark(n, b"", n))
        assert len(marks) <= MAX_MARKS
        assert n - marks[-1].n < MARKS_EVERY
    assert list(marks) == sorted(set(marks))
    assert all(b.n - a.n >= kept.MARKS_EVERY for a, b in pairwise(marks))
    assert not marks or marks[0].n == steps[0]
