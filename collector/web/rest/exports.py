"""What people take away: any list of the REST API as CSV or XLSX instead of JSON (`format=csv`, `format=xlsx`). The rows are those of the list in its order,
what the asker may not see is not among them, and the columns are the fields of the answer's schema. CSV is sent while it is made; a workbook is made
on disk and then sent.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Any, Literal, get_args, get_origin
from zoneinfo import ZoneInfo

from fastapi import HTTPException, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from tillwatch.collector.figures.table import Cell, Length, Moment, Table, csv_pieces, moment
from tillwatch.collector.figures.workbook import write_workbook
from tillwatch.collector.people.roles import asking
from tillwatch.collector.web.reads import Reads

MAX_ROWS = 100_000
"""Rows of one file: some 20 MB. Past it the file says in its last row how many are left out: ask for less, by scope or by time."""
BOOKS_AT_ONCE = 1
"""Workbooks made at a time: each keeps one of the console's threads busy for seconds."""
WAITING_BOOKS = 8
"""That wait for their turn; more are told to ask again."""
CHUNK = 64 * 1024
MAX_NAME = 60
TYPES = {"csv": "text/csv; charset=utf-8", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
WORDS = ("text", "reason")
"""Fields in which a member of a list says what it is."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Format = Annotated[
    Literal["csv", "xlsx"] | None,
    Query(alias="format", description="A file for a spreadsheet instead of JSON, of all rows", examples=["csv"]),
]
FILES: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}} for kind in TYPES.values()}}
}  # fmt: skip
"""For the description of a route that takes Format."""


class Books:
    """Turns at making workbooks, on threads beside the event loop."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(BOOKS_AT_ONCE)
        self._waiting = 0

    async def make(self, table: Table, zone: ZoneInfo, name: str, about: Mapping[str, str]) -> IO[bytes]:
        """The file, at its beginning; it is gone from the disk when it is closed. Raises HTTPException 503."""
        if self._waiting >= WAITING_BOOKS:
            raise HTTPException(503, f"{WAITING_BOOKS} workbooks are being made; ask again", {"Retry-After": "10"})
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(_book, table, zone, name, about)
        finally:
            self._waiting -= 1


def _book(table: Table, zone: ZoneInfo, name: str, about: Mapping[str, str]) -> IO[bytes]:
    with tempfile.TemporaryDirectory(prefix="tillwatch-") as folder:
        path = Path(folder, "export.xlsx")
        write_workbook(path, table, zone, name, about)
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it was sent
        with path.open("rb") as made:
            while piece := made.read(CHUNK):
                file.write(piece)
    file.seek(0)
    return file


_BOOKS = Books()


class Exports:
    """Lists as files, in the time zone of who asks. now: UTC ns."""

    def __init__(self, reads: Reads, now: Callable[[], int]) -> None:
        self._reads = reads
        self._now = now

    async def __call__(
        self, model: type[BaseModel], items: Iterable[BaseModel], form: str, name: str, *, total: int = 0
    ) -> Response:
        """total: of the whole list, where items are not all of it."""
        return await answer(
            table_of(model, items), form, name=name, zone=await self.zone(), now=self._now(), total=total
        )

    async def zone(self) -> str:
        """IANA name: the asker's own, else the bank's."""
        return asking().zone or await self._reads(lambda reader: reader.in_force().policy.zone)


async def answer(
    table: Table,
    form: str,
    *,
    name: str,
    zone: str,
    now: int,
    total: int = 0,
    about: Mapping[str, str] | None = None,
) -> Response:
    """The file as an answer. form: `csv` or `xlsx`; name: of the list, in English; zone: IANA name, of the times in it; now: UTC ns; total: rows that there
    are, where the table does not have all of them.
    """
    place = ZoneInfo(zone)
    file = file_name(name, form, now, place)
    headers = {"Content-Disposition": f'attachment; filename="{file}"', "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}  # fmt: skip
    bounded = Table(table.heads, _bounded(table, total))
    if form == "csv":
        # Iterated on a thread: a row may take some work.
        return StreamingResponse(csv_pieces(bounded, place), media_type=TYPES["csv"], headers=headers)
    said = {"list": name, "made": moment(now, place), "time zone": zone, **(about or {})}
    made = await _BOOKS.make(bounded, place, name, said)
    return StreamingResponse(_read(made), media_type=TYPES["xlsx"], headers=headers)


def _read(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(CHUNK):
            yield piece


def _bounded(table: Table, total: int) -> Iterator[Sequence[Cell]]:
    rows, count = iter(table.rows), 0
    for count, row in enumerate(islice(rows, MAX_ROWS), 1):  # noqa: B007 - the last one is the number of rows
        yield row
    left = max(total - count, sum(1 for _ in rows))
    if left:
        yield [f"{left} more rows are left out: this file has {count}; ask for less, by scope or by time"]


def file_name(name: str, form: str, now: int, zone: ZoneInfo) -> str:
    """Letters, digits, dots, dashes and underscores, whatever the name of a scope or terminal in it is."""
    safe = _UNSAFE.sub("_", name).strip("._")[:MAX_NAME] or "list"
    return f"tillwatch-{safe}-{moment(now, zone)[:10]}.{form}"


# Out of the schemas of the API.


def table_of(model: type[BaseModel], items: Iterable[BaseModel]) -> Table:
    """A column for each plain field, in the schema's order; a member with fields of its own becomes columns with its name before theirs. Lists of
    plain values are joined, and so is what members of a list say in words; lists of what has no words are left out.
    """
    paths = list(_paths(model, ()))
    return Table(
        [".".join(names) for names, _ in paths],
        ([_cell(item, attributes) for _, attributes in paths] for item in items),
    )


def _paths(model: type[BaseModel], before: tuple[tuple[str, str], ...]) -> Iterator[tuple[list[str], list[str]]]:
    for name, field in model.model_fields.items():
        step = (*before, (field.serialization_alias or field.alias or name, name))
        inner = _inner(field.annotation)
        if inner is None:
            continue
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _paths(inner, step)
        else:
            yield [said for said, _ in step], [attribute for _, attribute in step]


def _inner(annotation: Any) -> Any:
    """What a field holds: the schema of a member, something plain, or None for what is no column."""
    origin = get_origin(annotation)
    if origin in (list, tuple):
        item = _inner((get_args(annotation) or (str,))[0])
        wordless = isinstance(item, type) and issubclass(item, BaseModel) and not set(WORDS) & set(item.model_fields)
        return None if item is None or wordless else str
    if origin is dict or annotation is dict:
        return None
    members = [each for each in get_args(annotation) if each is not type(None)] if origin is not Literal else []
    for each in members:
        inner = _inner(each)
        if inner is None or (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return inner
    return str if members else annotation


def _cell(item: Any, attributes: Sequence[str]) -> Cell:
    for name in attributes:
        item = getattr(item, name, None)
        if item is None:
            return None
    last = attributes[-1]
    match item:
        case datetime():
            since = item - _EPOCH
            return Moment((since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000)
        case bool():
            return item
        case int() | float() if last.endswith("_s"):
            return Length(round(item * 10**9))
        case list() | tuple():
            return "; ".join(map(_words, item))
        case str() | int() | float():
            return item
    return str(item)


def _words(item: Any) -> str:
    return (
        next((str(getattr(item, name)) for name in WORDS if hasattr(item, name)), "")
        if isinstance(item, BaseModel)
        else str(item)
    )
