"""A table on its way to a spreadsheet: cells that know what they are, and how they stand in CSV. CSV has a byte-order mark, so that Chinese text opens as it
should; times are ISO 8601 with offset, lengths exact decimal seconds. Text from people and devices that a spreadsheet would take for a formula is marked
as text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""First characters of what is computed (OWASP, CSV injection); spreadsheets take the full-width ones of Chinese keyboards for the same."""
PIECE = 500
"""Rows written at a time: some 100 KB."""
S = 10**9
MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class Share:
    """A share of a whole, from 0 to 1. None: it has no base."""

    value: float | None


@dataclass(frozen=True, slots=True)
class Length:
    """A length of time in ns. None: not known."""

    ns: int | None


@dataclass(frozen=True, slots=True)
class Moment:
    """A time, UTC ns. 0: never."""

    at: int


Cell = str | int | float | bool | Share | Length | Moment | None


@dataclass(frozen=True, slots=True)
class Table:
    """rows: made while they are written; each as long as heads."""

    heads: Sequence[str]
    rows: Iterable[Sequence[Cell]]


def seconds(ns: int) -> str:
    """Exact, without trailing zeros."""
    whole, rest = divmod(abs(ns), S)
    text = f"{whole}.{rest:09d}".rstrip("0").rstrip(".")
    return f"-{text}" if ns < 0 else text


def local(at: int, zone: ZoneInfo) -> datetime:
    """By the clocks of the zone, by the millisecond."""
    exact = datetime.fromtimestamp(at // S, UTC) + timedelta(microseconds=at % S // 1_000_000 * 1000)
    return exact.astimezone(zone)


def moment(at: int, zone: ZoneInfo) -> str:
    """By the millisecond; empty for 0."""
    return local(at, zone).isoformat(timespec="milliseconds") if at else ""


def csv_pieces(table: Table, zone: ZoneInfo) -> Iterator[str]:
    """The text of the file, in pieces of PIECE rows."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    out.write(MARK)
    writer.writerow([_plain(head, zone) for head in table.heads])
    for i, row in enumerate(table.rows, 1):
        writer.writerow([_plain(cell, zone) for cell in row])
        if i % PIECE == 0:
            yield out.getvalue()
            out.seek(0)
            out.truncate()
    yield out.getvalue()


def csv_text(table: Table, zone: ZoneInfo) -> str:
    return "".join(csv_pieces(table, zone))


def _plain(cell: Cell, zone: ZoneInfo) -> str | int | float:
    match cell:
        case None:
            return ""
        case str():
            return f"'{cell}" if cell.startswith(_FORMULA) and not _number(cell) else cell
        case bool():
            return int(cell)
        case Share(value):
            return "" if value is None else f"{value:.9f}"
        case Length(ns):
            return "" if ns is None else seconds(ns)
        case Moment(at):
            return moment(at, zone)
    return cell


def _number(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").replace(".", "", 1).isdecimal()
