"""The REST API under /api/v1: read-only, typed, described by its own OpenAPI document; errors are problem+json, answers carry the
store's revision as ETag so that asking again costs little. What the pages show, they fetch here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from tillwatch.agent.model import MS
from tillwatch.collector.web.feed import Change, Feed
from tillwatch.collector.web.reads import Busy, Reads, Unreadable
from tillwatch.collector.web.schema import (
    Alarm,
    Component,
    Condition,
    MonitoringHealth,
    Page,
    Problem,
    SignalHistory,
    Terminal,
)
from tillwatch.collector.web.series import thin

PREFIX = "/api/v1"

MAX_LIMIT = 1_000
"""Items in one answer; some 400 KB of JSON."""

MAX_ALARMS = 5_000
"""Alarms that one question looks through; older ones are asked for by terminal."""

MAX_POINTS = 5_000
"""Points of one history: more than any screen has pixels, small enough to answer at once."""

MAX_SPAN_S = 10 * 366 * 86_400
"""Ten years: longer than a terminal lives."""

DAY_S = 86_400

HEARTBEAT_S = 15.0
"""Event streams say something this often, so that proxies keep them and a dead peer is noticed."""

MAX_EVENT_STREAMS = 200
"""Open event streams; each holds a connection. The console is for tens of people."""

NANO = 1_000_000_000


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

    async def on_unreadable(request: Request, _: Exception) -> Response:
        return problem(
            request, 503, "the store cannot be read; the console's log says why", headers={"Retry-After": "5"}
        )

    app.add_exception_handler(Unreadable, on_unreadable)
    app.add_exception_handler(StarletteHTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(Busy, on_busy)


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


_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text, "content": {"application/problem+json": {}}}
    for status, text in (
        (404, "No such thing"),
        (422, "A parameter that cannot be understood"),
        (503, "The store cannot be read, or too many ask"),
    )
}
_SOME = {key: value for key, value in _PROBLEMS.items() if key != 404}
_UNCHANGED: dict[int | str, dict[str, Any]] = {
    304: {"description": "Nothing changed since the ETag given in If-None-Match"}
}


Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items in this answer")]
Offset = Annotated[int, Query(ge=0, le=10_000_000, description="Items to skip")]


def router(reads: Reads, feed: Feed, now: Callable[[], int]) -> APIRouter:
    """All routes. now: UTC ns."""
    api = APIRouter(prefix=PREFIX, tags=["fleet"])

    async def tag(request: Request, response: Response) -> bool:
        """Sets the ETag; True if the asker has that already. Taken before the answer is read: a later change can only make the tag too old."""
        current = f'"{await reads.revision()}"'
        response.headers["ETag"] = current
        response.headers["Cache-Control"] = "no-cache"
        return current in {
            part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")
        }

    def unchanged(response: Response) -> Response:
        return Response(status_code=304, headers=dict(response.headers))

    @api.get(
        "/terminals", response_model=Page[Terminal], responses={**_SOME, **_UNCHANGED}, summary="Terminals, worst first"
    )
    async def terminals(
        request: Request,
        response: Response,
        branch: Annotated[str | None, Query(description="Only this branch", examples=["Harbour Road"])] = None,
        condition: Annotated[Condition | None, Query(description="Only this condition")] = None,
        terminal_class: Annotated[
            str | None, Query(alias="class", description="Only this class", examples=["atm"])
        ] = None,
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> Any:
        if await tag(request, response):
            return unchanged(response)
        wanted = [
            view
            for view in await reads(lambda reader: reader.terminals())
            if (branch is None or view.branch == branch)
            and (condition is None or view.condition == condition)
            and (terminal_class is None or view.terminal_class == terminal_class)
        ]
        return Page[Terminal](
            items=[Terminal.of(view) for view in wanted[offset : offset + limit]],
            total=len(wanted),
            limit=limit,
            offset=offset,
        )

    @api.get(
        "/terminals/{terminal}", response_model=Terminal, responses={**_PROBLEMS, **_UNCHANGED}, summary="One terminal"
    )
    async def one_terminal(request: Request, response: Response, terminal: str) -> Any:
        if await tag(request, response):
            return unchanged(response)
        return Terminal.of(await known(lambda: reads(lambda reader: reader.terminal(terminal)), terminal))

    @api.get(
        "/terminals/{terminal}/components",
        response_model=list[Component],
        responses={**_PROBLEMS, **_UNCHANGED},
        summary="Its components with their latest values",
    )
    async def components(request: Request, response: Response, terminal: str) -> Any:
        if await tag(request, response):
            return unchanged(response)
        return [
            Component.of(view)
            for view in await known(lambda: reads(lambda reader: reader.components(terminal)), terminal)
        ]

    @api.get(
        "/terminals/{terminal}/history",
        response_model=SignalHistory,
        responses={**_PROBLEMS, **_UNCHANGED},
        summary="One signal over time, oldest first",
    )
    async def history(
        request: Request,
        response: Response,
        terminal: str,
        component: Annotated[str, Query(examples=["ups/battery"])],
        signal: Annotated[str, Query(examples=["battery.charge"])],
        start: Annotated[
            str | None, Query(alias="from", description="ISO 8601 or seconds since 1970; by default a day before `to`")
        ] = None,
        end: Annotated[
            str | None, Query(alias="to", description="ISO 8601 or seconds since 1970; by default now")
        ] = None,
        points: Annotated[
            int, Query(ge=2, le=MAX_POINTS, description="Points at most; more are merged, with their extremes kept")
        ] = 2_000,
    ) -> Any:
        until = moment(end, "to")
        last = now() if until is None else until
        since = moment(start, "from")
        first = last - DAY_S * NANO if since is None else since
        if first >= last:
            raise HTTPException(422, "query.from: must be before `to`")
        if last - first > MAX_SPAN_S * NANO:
            raise HTTPException(422, "query.from: more than ten years before `to`; ask for less")
        if until is not None and since is not None and await tag(request, response):
            return unchanged(response)
        found = await known(
            lambda: reads(lambda reader: reader.history(terminal, component, signal, first, last)),
            f"{terminal} {component} {signal}",
        )
        return SignalHistory.of(*thin(found, points))

    @api.get(
        "/alarms",
        response_model=Page[Alarm],
        responses={**_SOME, **_UNCHANGED},
        summary="Alarms, level 1 first, newest first within a level",
    )
    async def alarms(
        request: Request,
        response: Response,
        state: Annotated[str, Query(pattern="^(open|all)$", description="`open`, or `all` with cleared ones")] = "open",
        terminal: Annotated[str | None, Query(description="Only this terminal", examples=["ATM-0012"])] = None,
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> Any:
        if await tag(request, response):
            return unchanged(response)
        found = await reads(
            lambda reader: reader.alarms(terminal=terminal, open_only=state == "open", limit=MAX_ALARMS)
        )
        return Page[Alarm](
            items=[Alarm.of(view) for view in found[offset : offset + limit]],
            total=len(found),
            limit=limit,
            offset=offset,
        )

    @api.get("/health", response_model=MonitoringHealth, responses=_SOME, summary="The health of the monitoring itself")
    async def health(response: Response) -> Any:
        response.headers["Cache-Control"] = "no-store"
        return MonitoringHealth.of(await reads(lambda reader: reader.health()))

    streams: set[object] = set()

    @api.get(
        "/events",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/event-stream": {"example": 'event: revision\ndata: {"revision": "18c2f-7"}\n\n'}}},
            503: _PROBLEMS[503],
        },
        summary="Server-sent events: `revision` whenever anything shown may have changed",
    )
    async def events() -> StreamingResponse:
        if len(streams) >= MAX_EVENT_STREAMS:
            raise HTTPException(
                503, f"{MAX_EVENT_STREAMS} event streams are open; close one or ask /terminals with If-None-Match"
            )
        return StreamingResponse(
            _events(feed, streams, now),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    @api.api_route(
        "/{rest:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"], include_in_schema=False
    )
    async def nothing_here(request: Request, rest: str) -> None:
        if request.method != "GET":
            raise HTTPException(405, "the API only reads: use GET", {"Allow": "GET"})
        raise HTTPException(404, f"no {PREFIX}/{rest}; see {PREFIX}/openapi.json")

    return api


async def known(ask: Callable[[], Any], what: str) -> Any:
    try:
        return await ask()
    except KeyError:
        raise HTTPException(404, f"no {what!r} in the store") from None


async def _events(feed: Feed, streams: set[object], now: Callable[[], int]) -> AsyncIterator[str]:
    """One stream. Changes that come faster than the peer reads are told once: the newest revision says it all."""
    key = object()
    moved = asyncio.Event()

    def on_change(_: Change) -> None:
        moved.set()

    streams.add(key)
    forget = feed.listen(on_change)
    try:
        while True:
            at = datetime.fromtimestamp(now() // MS / 1000, UTC).isoformat()
            yield f"event: revision\ndata: {json.dumps({'revision': feed.revision, 'at': at, 'readable': not feed.problem})}\n\n"
            while not moved.is_set():
                try:
                    await asyncio.wait_for(moved.wait(), HEARTBEAT_S)
                except TimeoutError:
                    yield ": still here\n\n"
            if feed.closing:
                return
            moved.clear()
    finally:
        forget()
        streams.discard(key)
