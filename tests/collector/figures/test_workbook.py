"""The file is opened again by another library."""

from __future__ import annotations

import zipfile
from datetime import timedelta
from zoneinfo import ZoneInfo

import openpyxl

from tillwatch.collector.figures.table import Length, Moment, Share, Table
from tillwatch.collector.figures.workbook import MAX_TEXT, write_workbook

EVIL = '=HYPERLINK("http://x","y")'
AT = 1_790_000_000 * 10**9


def written(tmp_path, table, name="figures", about=None):
    path = tmp_path / "a.xlsx"
    count = write_workbook(path, table, ZoneInfo("Asia/Shanghai"), name, about or {"zone": "Asia/Shanghai"})
    return path, openpyxl.load_workbook(path), count


def test_text_is_text_and_numbers_are_numbers(tmp_path):
    row = [EVIL, "http://tillwatch", "007", 3, 2.5, True, None, "网点", "a\x00b\x0bc"]
    path, book, count = written(tmp_path, Table([EVIL, *"abcdefgh"], [row]))
    sheet = book["figures"]
    assert count == 1
    assert [cell.value for cell in sheet[2]][:8] == row[:8]
    assert {cell.data_type for row in sheet.iter_rows() for cell in row if cell.value is not None} <= {"s", "n", "b"}
    assert sheet["A1"].hyperlink is None
    with zipfile.ZipFile(path) as file:
        xml = file.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in xml
    assert "hyperlink" not in xml.lower().replace("=hyperlink(", "")


def test_times_are_of_the_zone_that_the_file_names(tmp_path):
    _, book, _ = written(
        tmp_path, Table(list("abcd"), [[Moment(AT), Moment(0), Length(90 * 60 * 10**9), Share(0.125)]])
    )
    first, second, third, fourth = book["figures"][2]
    assert first.value.isoformat() == "2026-09-21T22:13:20"
    assert second.value is None
    assert third.value == timedelta(minutes=90)
    assert (fourth.value, fourth.number_format) == (0.125, "0.000%")
    assert [cell.value for cell in book["About"][1]] == ["zone", "Asia/Shanghai"]


def test_the_head_stays_in_sight_and_long_text_is_cut(tmp_path):
    _, book, _ = written(tmp_path, Table(["text"], [["x" * (MAX_TEXT + 5)]]), name="a/b: [c]" * 9)
    sheet = book.worksheets[0]
    assert sheet.freeze_panes == "B2"
    assert len(sheet["A2"].value) == MAX_TEXT
    assert sheet["A2"].value.endswith("[…]")


def test_a_table_without_rows_is_a_head(tmp_path):
    _, book, count = written(tmp_path, Table(["a", "b"], []))
    assert count == 0
    assert [[cell.value for cell in row] for row in book["figures"].iter_rows()] == [["a", "b"]]
