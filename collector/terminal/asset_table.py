"""Device files as a table: one row a terminal, one column a field, as spreadsheets write it. Every error is said by line and column, all of them at once. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tillwatch.collector.terminal.asset import FIELDS, Asset, FieldError, checked, written

TERMINAL = "terminal"
HEADS = (TERMINAL, *FIELDS)
EMPTY = "-"
"""In a cell: the field is to be emptied. An empty cell leaves it as it is."""
MAX_BYTES = 32 * 1024 * 1024
"""Of one file: a row of 300 bytes for each of 100,000 terminals."""
MAX_ERRORS = 100
"""That are listed: whoever has more has the wrong file, or one mistake in every row."""
_DELIMITERS = (",", ";", "\t")
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


@dataclass(frozen=True, slots=True)
class Fault:
    """line: in the file, from 1; column: its name, empty for a whole line."""

    line: int
    column: str
    text: str


@dataclass(frozen=True, slots=True)
class Read:
    """changes: terminal -> fields as they are journaled; faults: the first MAX_ERRORS; more: those that are not listed. Where there is any, nothing is to be taken over."""

    changes: Mapping[str, Mapping[str, Any]]
    faults: tuple[Fault, ...]
    more: int = 0


def rows_of(assets: Mapping[str, Asset], terminals: Sequence[str]) -> Iterator[list[str]]:
    """Of these terminals, also of those that have no file: to be filled in."""
    for name in terminals:
        kept = assets.get(name, {})
        yield [name, *(written(field, kept.get(field)) for field in FIELDS)]


def read_table(text: str, known: Collection[str]) -> Read:
    """known: terminals that there are. Columns stand in any order, and any of them may be missing."""
    text = text.removeprefix("\ufeff")
    head = text.split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=head.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    faults: list[Fault] = []
    changes: dict[str, dict[str, Any]] = {}
    lines: dict[str, int] = {}
    columns: list[str] = []
    try:
        columns = [cell.strip() for cell in next(rows, [])]
        faults += _head(columns)
        if not faults:
            for row in rows:
                if any(cell.strip() for cell in row):
                    faults += _row(row, rows.line_num, columns, known, changes, lines)
    except csv.Error as error:
        faults.append(Fault(rows.line_num, "", f"is no line of a table: {error}"))
    return Read({} if faults else changes, tuple(faults[:MAX_ERRORS]), max(len(faults) - MAX_ERRORS, 0))


def _head(columns: Sequence[str]) -> Iterator[Fault]:
    if TERMINAL not in columns:
        yield Fault(1, TERMINAL, f"is missing; the first line names the columns: {', '.join(HEADS)}")
    for name in dict.fromkeys(columns):
        if name not in HEADS:
            yield Fault(1, name[:40], f"is no column; the columns are {', '.join(HEADS)}")
        elif columns.count(name) > 1:
            yield Fault(1, name, "stands there twice")


def _row(
    row: Sequence[str],
    line: int,
    columns: Sequence[str],
    known: Collection[str],
    changes: dict[str, dict[str, Any]],
    lines: dict[str, int],
) -> Iterator[Fault]:
    if len(row) != len(columns):
        yield Fault(line, "", f"has {len(row)} cells where the first line names {len(columns)} columns")
        return
    cells = dict(zip(columns, row, strict=True))
    name = cells.pop(TERMINAL).strip()
    if name not in known:
        yield Fault(line, TERMINAL, f"no terminal is called {name[:60]!r}")
        return
    if name in lines:
        yield Fault(line, TERMINAL, f"{name} stands in line {lines[name]}, too")
        return
    lines[name] = line
    fields: dict[str, Any] = {}
    for column, cell in cells.items():
        said = cell.strip()
        if not said:
            continue
        try:
            fields |= checked({column: None if said == EMPTY else _unmarked(said)})
        except FieldError as error:
            yield Fault(line, column, str(error).removeprefix(f"{column}: "))
    changes[name] = fields


def _unmarked(cell: str) -> str:
    """Without the mark by which an export shows a spreadsheet that it is no formula."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell
