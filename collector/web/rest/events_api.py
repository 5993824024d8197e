"""Server-sent events: what changed, as it changes, of the asker's part of the fleet. packaging/docs/events.md has them all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, HTTPException
from fastapi.responses import StreamingResponse

from tillwatch.agent.model import MS
from tillwatch.collector.people.roles import Permission, Scope, asking
from tillwatch.collector.web.bulletin import Bulletin
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.feed import Feed
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest.answers import PROBLEMS

HEARTBEAT_S = 15.0
"""Event streams say something this often, so that proxies keep them and a dead peer is noticed."""
MAX_STREAMS = 200
"""Open event streams; each holds a connection. The console is for tens of people."""
MAX_ID = 60
EXAMPLE = 'event: revision\ndata: {"revision": "18c2f-7", "at": "2026-11-28T22:00:00+00:00", "readable": true}\n\nevent: terminals\nid: 18c2f-41\ndata: {"items": [{"id": "ATM-0417", "condition": "crit", "connection": "online", "level": 1}], "more": 0}\n\n'


def add(api: APIRouter, parts: Parts) -> None:
    bulletin = Bulletin(parts.reads, parts.feed, parts.now)
    parts.at_end.append(bulletin.close)
    streams: set[object] = set()

    @api.get(
        "/events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {"example": EXAMPLE}}}, 503: PROBLEMS[503]},
        dependencies=[needs(Permission.SEE)],
        summary="Server-sent events: `revision` whenever anything shown may have changed, and what changed as `terminals`, `alarms`, `incidents`, `commands`",
    )
    async def events(
        last: Annotated[str, Header(alias="Last-Event-ID", max_length=MAX_ID, description="Of the stream that broke: it goes on behind that")] = "",
    ) -> StreamingResponse:  # fmt: skip
        if len(streams) >= MAX_STREAMS:
            raise HTTPException(503, f"{MAX_STREAMS} event streams are open; close one or ask /terminals with If-None-Match")  # fmt: skip
        bulletin.start()
        return StreamingResponse(
            _events(bulletin, parts.feed, parts.now, streams, asking().scope, last),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )


async def _events(
    bulletin: Bulletin, feed: Feed, now: Callable[[], int], streams: set[object], scope: Scope, last: str
) -> AsyncIterator[str]:
    """One stream. A peer that reads slower than things change gets what he missed, or is told to ask for everything."""
    key = object()
    streams.add(key)
    try:
        n = _number(bulletin, last)
        if n is None:
            yield _event("reset", {"why": "what came after this is not remembered; ask for everything anew"})
            n = bulletin.last
        if not last:
            yield _event("revision", _revision(feed, now), f"{bulletin.life}-{n}")
        while not bulletin.closing:
            notices = bulletin.since(n)
            if notices is None:
                n = bulletin.last
                yield _event("reset", {"why": "you read slower than things change; ask for everything anew"}, f"{bulletin.life}-{n}")  # fmt: skip
                continue
            for notice in notices:
                told = [("revision", _revision(feed, now)), *notice.told(scope)]
                for kind, body in told[:-1]:
                    yield _event(kind, body)
                # Who loses the connection in the middle hears of the whole change again.
                yield _event(*told[-1], f"{bulletin.life}-{notice.n}")
                n = notice.n
            if not await bulletin.wait(n, HEARTBEAT_S):
                yield ": still here\n\n"
    finally:
        streams.discard(key)


def _number(bulletin: Bulletin, last: str) -> int | None:
    """Where a stream goes on; None where nobody knows."""
    if not last:
        return bulletin.last
    life, _, number = last.partition("-")
    if life != bulletin.life or not number.isdecimal() or int(number) > bulletin.last:
        return None
    return int(number)


def _revision(feed: Feed, now: Callable[[], int]) -> dict[str, Any]:
    at = datetime.fromtimestamp(now() // MS / 1000, UTC).isoformat()
    return {"revision": feed.revision, "at": at, "readable": not feed.problem}


def _event(kind: str, body: dict[str, Any], number: str = "") -> str:
    said = f"id: {number}\n" if number else ""
    return f"event: {kind}\n{said}data: {json.dumps(body, ensure_ascii=False, separators=(', ', ': '))}\n\n"
