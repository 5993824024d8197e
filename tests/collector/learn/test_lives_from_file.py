"""Histories of parts out of a file, and what is said of one that cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tillwatch.collector.learn import lives_from_file
from tillwatch.collector.learn.lives_from_file import LivesFileError, read_lives

GOOD = "unit,age,wear,ended\na,1,0.5,0\nb,1,,\na,2.5,0.7,1\nb,4,0.9,0\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lives.csv"


def test_units_may_lie_among_each_other_and_a_signal_may_be_silent(file: Path) -> None:
    file.write_text("\ufeff" + GOOD + "\n", encoding="utf-8")
    read = read_lives(file)
    assert ([each.part for each in read.ended], [each.part for each in read.running]) == (["a"], ["b"])
    np.testing.assert_array_equal(read.ended[0].age, [1, 2.5])
    np.testing.assert_array_equal(read.running[0].values, [[np.nan], [0.9]])
    assert read.signals == ("wear",)


def test_without_a_label_all_ran_to_their_end(file: Path) -> None:
    file.write_text("age,x,unit,y\n1,5,a,6\n1,7,b,8\n")
    read = read_lives(file)
    assert (len(read.ended), read.running, read.signals) == (2, (), ("x", "y"))
    assert read_lives(file, ["y"]).ended[1].values.tolist() == [[8.0]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: no column 'unit'"),
        ("unit,wear\n", "line 1: no column 'age'"),
        ("unit,age,x,x\n", "line 1: two columns 'x'"),
        ("unit,age,x,\n", "line 1: a column without a name"),
        ("unit,age,ended\n", "line 1: 0 signals"),
        ("unit,age,x\na,1\n", "line 2: 2 columns, where the first line has 3"),
        ("unit,age,x\n,1,2\n", "line 2, column unit: is empty"),
        ("unit,age,x\na,,2\n", "line 2, column age: is empty"),
        ("unit,age,x\na,old,2\n", "line 2, column age: 'old' is no number"),
        ("unit,age,x\na,1,2\na,1,2\n", "line 3, column age: 1 is not above 1"),
        ("unit,age,x\na,1,warm\n", "line 2, column x: 'warm' is no number"),
        ("unit,age,x\na,1,inf\n", "line 2, column x: 'inf' is no reading"),
        ("unit,age,x,ended\na,1,2,yes\n", "line 2, column ended: 'yes' is neither 0 nor 1"),
        ("unit,age,x,ended\na,1,2,1\nb,1,2,0\na,2,2,1\n", "line 4, column ended: 'a' ended in line 2"),
    ],
)
def test_what_cannot_be_read_is_said_with_line_and_column(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(LivesFileError) as found:
        read_lives(file)
    assert str(found.value).startswith(f"{file}, {said}")


def test_bounds_are_said(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(GOOD)
    for name, said in (
        ("MAX_CELLS", "line 4: more than 2 values"),
        ("MAX_UNITS", "line 3, column unit: more than 1 units"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(lives_from_file, name, 2 if name == "MAX_CELLS" else 1)
            with pytest.raises(LivesFileError, match=said):
                read_lives(file)
    with monkeypatch.context() as patch:
        patch.setattr(lives_from_file, "MAX_READINGS", 1)
        with pytest.raises(LivesFileError, match="line 4, column unit: more than 1 lines of 'a'"):
            read_lives(file)


def test_a_signal_that_is_not_there_and_a_file_that_is_not_there(file: Path) -> None:
    with pytest.raises(LivesFileError, match="No such file"):
        read_lives(file)
    file.write_text(GOOD)
    with pytest.raises(LivesFileError, match="no column 'hum', which --signal asks for; there are wear"):
        read_lives(file, ["hum"])
