from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.figures.table import PIECE, Length, Moment, Share, Table, csv_pieces, csv_text, moment, seconds

Z = ZoneInfo("Asia/Shanghai")


def rows_of(table: Table) -> list[list[str]]:
    return list(csv.reader(io.StringIO(csv_text(table, Z).removeprefix("\ufeff"), newline="")))


@given(st.integers(-(10**20), 10**20))
def test_lengths_are_exact(ns):
    assert Decimal(seconds(ns)) * 10**9 == ns
    assert not seconds(ns).endswith(".")


@given(st.integers(1, 4 * 10**18))
def test_moments_are_exact_to_the_millisecond(ns):
    said = datetime.fromisoformat(moment(ns, Z))
    assert said.utcoffset().total_seconds() == 8 * 3600 or ns < 10**18  # Shanghai had summer time long ago
    exact = datetime.fromtimestamp(ns // 10**9, UTC).replace(microsecond=ns % 10**9 // 10**6 * 1000)
    assert said == exact


def test_no_time_is_no_text():
    assert moment(0, Z) == ""


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@SUM(A1)", "\tx", "\rx", "＝1+1", "-١", "+1"])
def test_what_a_spreadsheet_would_compute_stays_text(text):
    assert rows_of(Table([text], [[text]])) == [["'" + text], ["'" + text]]


def test_numbers_none_and_chinese_stay_what_they_are():
    table = Table(["说明", "b", "c", "d"], [["网点, 装修", -5, "-5.25", None]])
    assert csv_text(table, Z).startswith("\ufeff")
    assert rows_of(table) == [["说明", "b", "c", "d"], ["网点, 装修", "-5", "-5.25", ""]]


def test_every_kind_of_cell_has_its_form():
    at = 1_790_000_000 * 10**9 + 5_250_000
    table = Table(list("abcdefg"), [[Share(0.5), Share(None), Length(1_500_000_000), Length(None), Moment(at), Moment(0), True]])  # fmt: skip
    assert rows_of(table)[1] == ["0.500000000", "", "1.5", "", "2026-09-21T22:13:20.005+08:00", "", "1"]


def test_a_long_table_comes_in_pieces_and_is_never_whole_in_memory():
    made = []

    def rows():
        for i in range(3 * PIECE):
            made.append(i)
            yield [i]

    pieces = csv_pieces(Table(["n"], rows()), Z)
    assert next(pieces).endswith(f"{PIECE - 1}\r\n")
    assert len(made) == PIECE
    assert "".join(pieces).split()[-1] == str(3 * PIECE - 1)
