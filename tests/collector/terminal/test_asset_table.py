"""Device files as a table: what is exported is imported as the same, and every error is said where it stands."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.terminal.test_asset import records
from tillwatch.collector.figures.table import Table, csv_text
from tillwatch.collector.terminal.asset_table import HEADS, MAX_ERRORS, read_table, rows_of

KNOWN = {"atm-1", "atm-2"}


@given(st.dictionaries(st.sampled_from(sorted(KNOWN)), records))
def test_what_is_exported_is_read_back_as_the_same(assets):
    text = csv_text(Table(HEADS, rows_of(assets, sorted(KNOWN))), ZoneInfo("UTC"))
    read = read_table(text, KNOWN)
    assert read.faults == ()
    assert read.changes == {name: assets.get(name, {}) for name in KNOWN}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_in_any_order_and_an_empty_cell_leaves_a_field(delimiter):
    text = "bought,terminal,maker\r\n2026-01-02,atm-1,\r\n-,atm-2,=1+1\r\n\r\n".replace(",", delimiter)
    assert read_table(text, KNOWN).changes == {
        "atm-1": {"bought": "2026-01-02"},
        "atm-2": {"bought": None, "maker": "=1+1"},
    }


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", [(1, "terminal", "is missing")]),
        ("terminal,colour,maker,maker\n", [(1, "colour", "is no column"), (1, "maker", "twice")]),
        ("terminal,maker\natm-1\n", [(2, "", "1 cells where the first line names 2")]),
        ("terminal,bought\natm-1,01/02/2026\natm-9,2026-01-02\natm-1,2026-01-02\n",
         [(2, "bought", "write it as 2026-11-21"), (3, "terminal", "no terminal is called 'atm-9'"), (4, "terminal", "stands in line 2, too")]),
        ('terminal,notes\natm-1,"two\nlines"\natm-2,"open', [(4, "", "is no line of a table")]),
    ],
)  # fmt: skip
def test_every_error_is_said_by_line_and_column_and_nothing_is_taken(text, faults):
    read = read_table(text, KNOWN)
    assert read.changes == {}
    assert len(read.faults) == len(faults)
    for fault, (line, column, says) in zip(read.faults, faults, strict=True):
        assert (fault.line, fault.column) == (line, column)
        assert says in fault.text


def test_errors_without_end_are_counted():
    read = read_table("terminal\n" + "nobody\n" * 250, KNOWN)
    assert (len(read.faults), read.more) == (MAX_ERRORS, 150)


@given(st.text(max_size=200))
def test_whatever_a_file_says_it_is_read_or_refused(text):
    read_table("terminal,maker\n" + text, KNOWN)
