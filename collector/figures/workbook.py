"""The same tables as an XLSX file: text is text, whatever it begins with; times are times, by the clocks of one zone that the file names; the head stays in
sight. Written row by row, so that a long table takes no more memory than a short one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import xlsxwriter

from tillwatch.collector.figures.table import Cell, Length, Moment, Share, Table, local

OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "nan_inf_to_errors": True,
}
MAX_TEXT = 32_767
"""Characters of one cell (Excel's limit); of what is longer the rest is left out and said."""
CUT = " […]"
MAX_ROWS = 1_048_574
"""Of one sheet (Excel's limit), without its head and the line that says what is left out."""
NS_A_DAY = 86_400 * 10**9
MAX_WIDTH, LEAST_WIDTH = 40, 9
FIRST = datetime(1900, 3, 1)  # noqa: DTZ001 - of a spreadsheet's clocks, which know no zone
"""Excel takes 1900 for a leap year; what is older is written as text."""


def write_workbook(path: Path, table: Table, zone: ZoneInfo, name: str, about: Mapping[str, str]) -> int:
    """Write the file, and return the number of rows. name: of the sheet; about: what stands on a sheet of its own: period, scope, zone, time."""
    return write_sheets(path, {name: table}, zone, about)[name]


def write_sheets(path: Path, tables: Mapping[str, Table], zone: ZoneInfo, about: Mapping[str, str]) -> dict[str, int]:
    """The same with a sheet for each table, by name; returns the number of rows of each. Rows past MAX_ROWS are left out, and the last row says so."""
    counts: dict[str, int] = {}
    with xlsxwriter.Workbook(str(path), {**OPTIONS}) as book:
        styles = {
            "head": book.add_format({"bold": True, "bg_color": "#E8EDF3", "bottom": 1}),
            Moment: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
            Length: book.add_format({"num_format": "[h]:mm:ss"}),
            Share: book.add_format({"num_format": "0.000%"}),
        }
        for name, table in tables.items():
            counts[name] = _write(book.add_worksheet(_sheet_name(name)), table, zone, styles)
        notes = book.add_worksheet(_sheet_name("About" if "About" not in tables else "Notes"))
        notes.set_column(0, 0, 24)
        notes.set_column(1, 1, 80)
        for row_, (key, text) in enumerate(about.items()):
            notes.write_string(row_, 0, key)
            notes.write_string(row_, 1, _text(text))
    return counts


def _write(sheet: Any, table: Table, zone: ZoneInfo, styles: Mapping[Any, Any]) -> int:
    sheet.freeze_panes(1, 1)
    for column, head in enumerate(table.heads):
        sheet.set_column(column, column, max(LEAST_WIDTH, min(MAX_WIDTH, len(head) + 3)))
        sheet.write_string(0, column, head, styles["head"])
    rows, count = iter(table.rows), 0
    for count, row in enumerate(islice(rows, MAX_ROWS), 1):
        for column, cell in enumerate(row):
            _put(sheet, count, column, cell, zone, styles)
    if left := sum(1 for _ in rows):
        sheet.write_string(count + 1, 0, f"{left} more rows are left out: a sheet holds no more")
    sheet.autofilter(0, 0, max(count, 1), max(len(table.heads) - 1, 0))
    return count


def _put(sheet: Any, row: int, column: int, cell: Cell, zone: ZoneInfo, styles: Mapping[Any, Any]) -> None:
    match cell:
        case None | "" | Share(None) | Length(None) | Moment(0):
            return
        case str():
            sheet.write_string(row, column, _text(cell))
        case bool():
            sheet.write_boolean(row, column, cell)
        case Share(value):
            sheet.write_number(row, column, value, styles[Share])
        case Length(ns):
            sheet.write_number(row, column, (ns or 0) / NS_A_DAY, styles[Length])
        case Moment(at):
            said = local(at, zone).replace(tzinfo=None)
            if said < FIRST:
                sheet.write_string(row, column, said.isoformat(sep=" ", timespec="seconds"))
            else:
                sheet.write_datetime(row, column, said, styles[Moment])
        case _:
            sheet.write_number(row, column, cell)


def _text(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - len(CUT)] + CUT


def _sheet_name(text: str) -> str:
    """At most 31 characters, without those that Excel keeps for itself."""
    return "".join("_" if each in "[]:*?/\\'" else each for each in text)[:31] or "table"
