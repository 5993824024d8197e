"""A list of terminals as a table: one row each, as spreadsheets write it. Every error is said by line and column, all of them at once. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tillwatch.agent.wire import SerialError, normal_serial
from tillwatch.collector.terminal.asset_table import MAX_BYTES, MAX_ERRORS, Fault
from tillwatch.collector.trust.registry import Enrolment, check_place

__all__ = ["MAX_BYTES", "MAX_ROWS", "Fault", "Listed", "Row", "chunks", "read_list"]

SERIAL, TERMINAL, RING = "serial", "terminal", "ring"
PLACE = (TERMINAL, "branch", "region", "class")
MAX_ROWS = 50_000
"""Of one list: the largest fleet. Tokens of more are two batches."""
CHUNK = 24 * 1024
"""Bytes of the rows that one act carries, of the 64 KiB that one may have."""
_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True, slots=True)
class Row:
    """line: in the file; serial: in its normal form, empty where the list has none."""

    line: int
    enrolment: Enrolment
    serial: str = ""

    def facts(self) -> list[str]:
        one = self.enrolment
        place = [one.terminal, one.branch, one.region, one.terminal_class, one.ring]
        return [self.serial, *place] if self.serial else place


@dataclass(frozen=True, slots=True)
class Listed:
    """faults: the first MAX_ERRORS; more: those that are not listed. Where there is any, there are no rows."""

    rows: tuple[Row, ...]
    faults: tuple[Fault, ...] = ()
    more: int = 0


def read_list(text: str, *, serials: bool) -> Listed:
    """serials: whether each row needs one. Columns stand in any order; ring may be missing."""
    text = text.removeprefix("\ufeff")
    delimiter = max(_DELIMITERS, key=text.split("\n", 1)[0].count)
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    faults: list[Fault] = []
    seen: dict[tuple[str, str], int] = {}
    try:
        columns = [cell.strip().lower() for cell in next(table, [])]
        faults += _head(columns, serials=serials)
        for cells in table if not faults else ():
            if not any(cell.strip() for cell in cells):
                continue
            if len(rows) >= MAX_ROWS:
                faults.append(
                    Fault(table.line_num, "", f"is one more than the {MAX_ROWS:,} that a list may have: divide it")
                )
                break
            row = _row(cells, table.line_num, columns, faults)
            if row is not None:
                faults += _twice(row, seen)
                rows.append(row)
    except csv.Error as error:
        faults.append(Fault(table.line_num, "", f"is no line of a table: {error}"))
    if not faults and not rows:
        faults.append(Fault(1, "", "and nothing below it: the list is empty"))
    return Listed(() if faults else tuple(rows), tuple(faults[:MAX_ERRORS]), max(len(faults) - MAX_ERRORS, 0))


def chunks(rows: Sequence[Row]) -> Iterator[list[list[str]]]:
    """The rows as acts carry them."""
    some: list[list[str]] = []
    size = 0
    for row in rows:
        facts = row.facts()
        length = sum(len(text.encode()) + 2 for text in facts)
        if some and size + length > CHUNK:
            yield some
            some, size = [], 0
        some.append(facts)
        size += length
    if some:
        yield some


def _head(columns: Sequence[str], *, serials: bool) -> Iterator[Fault]:
    needed = (SERIAL, *PLACE) if serials else PLACE
    known = (*needed, RING)
    if missing := [name for name in needed if name not in columns]:
        yield Fault(1, missing[0], f"is missing; the first line names the columns: {', '.join(known)}")
    for name in dict.fromkeys(columns):
        if name not in known:
            yield Fault(1, name[:40], f"is no column; the columns are {', '.join(known)}")
        elif columns.count(name) > 1:
            yield Fault(1, name, "stands there twice")


def _row(cells: Sequence[str], line: int, columns: Sequence[str], faults: list[Fault]) -> Row | None:
    if len(cells) != len(columns):
        faults.append(Fault(line, "", f"has {len(cells)} cells where the first line names {len(columns)} columns"))
        return None
    by_name: Mapping[str, str] = {name: cell.strip() for name, cell in zip(columns, cells, strict=True)}
    terminal, branch, region, terminal_class = (by_name[name] for name in PLACE)
    enrolment = Enrolment(terminal, branch, region, terminal_class, by_name.get(RING, ""))
    serial = ""
    try:
        if SERIAL in by_name:
            serial = normal_serial(by_name[SERIAL])
    except SerialError as error:
        faults.append(Fault(line, SERIAL, str(error)))
    try:
        check_place(enrolment)
    except ValueError as error:
        faults.append(Fault(line, "", str(error)))
    return Row(line, enrolment, serial)


def _twice(row: Row, seen: dict[tuple[str, str], int]) -> Iterator[Fault]:
    for column, value in ((TERMINAL, row.enrolment.terminal), (SERIAL, row.serial)):
        if value and (first := seen.setdefault((column, value), row.line)) != row.line:
            yield Fault(row.line, column, f"{value} stands in line {first}, too")
