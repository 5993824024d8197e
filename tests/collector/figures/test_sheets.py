from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.figures.sheets import moment, seconds, write


@given(st.integers(-(10**20), 10**20))
def test_lengths_are_exact(ns):
    assert Decimal(seconds(ns)) * 10**9 == ns
    assert not seconds(ns).endswith(".")


@given(st.integers(1, 4 * 10**18))
def test_moments_are_exact_to_the_millisecond(ns):
    said = datetime.fromisoformat(moment(ns, ZoneInfo("Asia/Shanghai")))
    assert said.utcoffset().total_seconds() == 8 * 3600 or ns < 10**18  # Shanghai had summer time long ago
    exact = datetime.fromtimestamp(ns // 10**9, UTC).replace(microsecond=ns % 10**9 // 10**6 * 1000)
    assert said == exact


def test_no_time_is_no_text():
    assert moment(0, ZoneInfo("UTC")) == ""


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@SUM(A1)", "\tx", "\rx"])
def test_what_a_spreadsheet_would_compute_stays_text(text):
    assert write(["a"], [[text]]).endswith(write(["a"], [["'" + text]])[len("\ufeffa\r\n") :])


def test_numbers_none_and_chinese_stay_what_they_are():
    text = write(["说明", "b", "c", "d"], [["网点, 装修", -5, "-5.25", None]])
    assert text.startswith("\ufeff")
    assert list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))) == [
        ["说明", "b", "c", "d"],
        ["网点, 装修", "-5", "-5.25", ""],
    ]
