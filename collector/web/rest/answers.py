"""What all routes of the REST API have in common: problems (RFC 9457), times, bounds of lists, and ETags of the store's revision."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from tillwatch.collector.people.console_db import ConsoleDbError
from tillwatch.collector.people.directory import Full
from tillwatch.collector.people.roles import asking
from tillwatch.collector.web.acting import NotTaken
from tillwatch.collector.web.reads import Busy, Reads, Unreadable
from tillwatch.collector.web.rest.schema import Problem

MAX_LIMIT = 1_000
"""Items in one answer; some 400 KB of JSON."""
T = TypeVar("T")


def problem(
    request: Request,
    status: int,
    detail: str,
    errors: list[dict[str, str]] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """An RFC 9457 answer. `detail` says what to do."""
    body = Problem(
        title=HTTPStatus(status).phrase, status=status, detail=detail, instance=request.url.path, errors=errors or []
    )
    return JSONResponse(body.model_dump(), status, headers, media_type="application/problem+json")


def add_problem_handlers(app: FastAPI) -> None:
    """Makes every error under /api/v1 a problem; the pages keep their own."""

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, StarletteHTTPException)
        return problem(request, error.status_code, str(error.detail), headers=dict(error.headers or {}))

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        errors = [
            {"where": ".".join(str(part) for part in item["loc"]), "what": str(item["msg"])} for item in error.errors()
        ]
        return problem(request, 422, "; ".join(f"{item['where']}: {item['what']}" for item in errors), errors)

    async def on_busy(request: Request, error: Exception) -> Response:
        return problem(request, 503, f"{error}; ask again", headers={"Retry-After": "2"})

    async def on_accounts(request: Request, error: Exception) -> Response:
        return problem(request, 503, str(error), headers={"Retry-After": "5"})

    async def on_unreadable(request: Request, _: Exception) -> Response:
        return problem(
            request, 503, "the store cannot be read; the console's log says why", headers={"Retry-After": "5"}
        )

    async def on_nobody(request: Request, _: Exception) -> Response:
        return problem(request, 401, "sign in first", headers={"WWW-Authenticate": "Bearer"})

    async def on_not_taken(request: Request, error: Exception) -> Response:
        return problem(request, 503, str(error), headers={"Retry-After": "5"})

    app.add_exception_handler(Unreadable, on_unreadable)
    app.add_exception_handler(PermissionError, on_nobody)
    app.add_exception_handler(NotTaken, on_not_taken)
    app.add_exception_handler(StarletteHTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(Busy, on_busy)
    app.add_exception_handler(Full, on_busy)
    app.add_exception_handler(ConsoleDbError, on_accounts)


def moment(text: str | None, name: str) -> int | None:
    """ISO 8601 (without offset: UTC) or seconds since 1970, as UTC ns. Raises HTTPException 422."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            raise HTTPException(422, f"query.{name}: {text!r} is neither ISO 8601 nor seconds since 1970") from None
        seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    if not 0 <= seconds < 253_402_300_800:  # year 10000; also refuses nan
        raise HTTPException(422, f"query.{name}: {text!r} is outside the years 1970 to 9999")
    return int(seconds * 1_000_000) * 1000


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": text}
    for status, text in (
        (404, "No such thing"),
        (422, "A parameter that cannot be understood"),
        (503, "The store cannot be read, or too many ask"),
    )
}
"""described.py writes into the document that each is a Problem. A model said here would be built anew for each of 160 routes: a fifth of the time in which a
console starts.
"""
SOME = {key: value for key, value in PROBLEMS.items() if key != 404}
UNCHANGED: dict[int | str, dict[str, Any]] = {
    304: {"description": "Nothing changed since the ETag given in If-None-Match"}
}


Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items in this answer")]
Offset = Annotated[int, Query(ge=0, le=10_000_000, description="Items to skip")]


Language = Annotated[
    str, Query(alias="lang", pattern="^(en|zh)$", description="Of the texts: English or Simplified Chinese")
]


class Tags:
    """The ETag of an answer: it is the store's revision."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def __call__(self, request: Request, response: Response) -> bool:
        """Sets the ETag; True if the asker has that already. Taken before the answer is read: a later change can only make the tag too old."""
        return tagged(request, response, await self._reads.revision())


def tagged(request: Request, response: Response, token: str) -> bool:
    """Sets the ETag of an answer that depends on nothing but `token` and who asks; True if the asker has that already."""
    # Two who see different parts of the fleet never share an answer.
    sight = zlib.crc32(repr(asking().sees).encode())
    current = f'"{token}-{sight:x}"'
    response.headers["ETag"] = current
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Vary"] = "Cookie, Authorization"
    return current in {part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")}


def unchanged(response: Response) -> Response:
    return Response(status_code=304, headers=dict(response.headers))


async def known(ask: Callable[[], Awaitable[T]], what: str) -> T:
    try:
        return await ask()
    except KeyError:
        raise HTTPException(404, f"no {what!r} in the store") from None
