"""The route by which the report of a period is taken away: the page and the sheets that `tillwatch-collector report` writes, byte for byte, and all sheets as one
workbook. They are made beside the console (figures_jobs.py), of the part of the fleet that the asker may see.
"""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import StreamingResponse

from tillwatch.collector.figures import parcel, report
from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.figures_jobs import FiguresJobs, NoFigures, Wish, part_of
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest.answers import PROBLEMS
from tillwatch.collector.web.rest.exports import CHUNK, TYPES
from tillwatch.collector.web.rest.figures_question import About, Wanted

WAIT_S = 5.0
"""For a report that is not there yet: that of a small fleet is made within it."""
AGAIN_S = 2
PAGE_TYPE = "text/html; charset=utf-8"
File = Literal["report", "availability", "incidents", "kpi", "intervals", "workbook"]
FILES: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}} for kind in (PAGE_TYPE, *TYPES.values())}}
}  # fmt: skip


def add(api: APIRouter, parts: Parts, about: About, jobs: FiguresJobs) -> None:
    @api.get(
        "/figures/report",
        responses={**PROBLEMS, **FILES},
        response_class=StreamingResponse,
        dependencies=[needs(Permission.SEE)],
        summary="The report of a period and a part of the fleet: the page, one of its sheets as CSV, or all sheets as XLSX",
    )
    async def taken(
        params: Wanted,
        file: Annotated[
            File, Query(description="`report`: the page, in the language asked for; `workbook`: all sheets")
        ] = "report",
    ) -> Any:
        wanted, _, _ = await about.ready(params)
        wish = Wish(wanted.name, wanted.scope, wanted.zone, wanted.lang, parts.config)
        try:
            found = await jobs.find(wanted.start, wanted.end, part_of(asking()), wait_s=WAIT_S, report=wish)
        except NoFigures as error:
            raise HTTPException(503, f"the report cannot be made: {error}") from None
        if found.kept is None:
            done = found.job.done if found.job is not None else 0
            raise HTTPException(
                503, f"the report of {wanted.name} is being made ({done} %); ask again", {"Retry-After": str(AGAIN_S)}
            )
        try:
            opened, member, size = await asyncio.to_thread(_open, found.path, file)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise HTTPException(
                503, f"the report is being made again: {error}", {"Retry-After": str(AGAIN_S)}
            ) from None
        asked = report.Asked(wanted.name, wanted.start, wanted.end, wanted.zone, wanted.scope)
        name = parcel.name_of(asked.files, file)
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
            "Content-Length": str(size),
            "Cache-Control": "no-store",
        }
        kind = PAGE_TYPE if file == "report" else TYPES["xlsx" if file == "workbook" else "csv"]
        return StreamingResponse(_pieces(opened, member), media_type=kind, headers=headers)


def _open(path: Path, file: str) -> tuple[ExitStack, IO[bytes], int]:
    """Kept open while it is sent: the file may be replaced or put away meanwhile."""
    with ExitStack() as stack:
        held = stack.enter_context(zipfile.ZipFile(path))
        member = stack.enter_context(held.open(file))
        return stack.pop_all(), member, held.getinfo(file).file_size


def _pieces(opened: ExitStack, member: IO[bytes]) -> Iterator[bytes]:
    with opened:
        while piece := member.read(CHUNK):
            yield piece
