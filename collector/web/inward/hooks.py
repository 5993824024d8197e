"""Where ticket systems and Alertmanager call: a listener of its own, since they are other machines than terminals and people's browsers. A call is
bounded before it is read, believed by its signature alone, and answered before anything is done about it.

`hook_app` takes a mapping of path -> handler: `/hooks/NAME` for the ticket system [tickets.NAME], `/alerts/NAME` for what sends alerts.
"""

from __future__ import annotations

import logging
import sqlite3
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from tillwatch.collector.tickets.settings import ReceiverSettings, SecretError
from tillwatch.collector.tickets.signature import SignatureError
from tillwatch.collector.tickets.two_way.hook_schemes import check
from tillwatch.collector.tickets.two_way.inbox import FullError, Inbox
from tillwatch.collector.web.inward.listening import Listener, RefusalLimit, RefusedError, caller_of, read_body

log = logging.getLogger(__name__)

MAX_HOOK = 1024 * 1024
"""Bytes of a call. Jira sends the whole issue, Alertmanager whole groups of alerts; what is larger is learned by asking."""

CALLS_PER_MINUTE = 600
"""Good calls that one system may make: a storm of 1,000 incidents in a few minutes. Each is cheap, and all of them together ask once."""

Handler = Callable[[Mapping[str, str], bytes], Awaitable[bool]]
"""(headers by lower-case name, body): checks a call and keeps it; False for one that was taken before. Raises RefusedError."""


def hook_app(handlers: Mapping[str, Handler], now: Callable[[], float] = time.monotonic) -> FastAPI:
    """The application behind the listener. handlers: by path, such as "/hooks/jira"; now: monotonic seconds."""
    app = FastAPI(title="tillwatch hooks", openapi_url=None, docs_url=None, redoc_url=None)
    refused, calls = RefusalLimit(now), RefusalLimit(now, CALLS_PER_MINUTE)
    told: set[tuple[str, int]] = set()

    @app.post("/{place:path}")
    async def call(request: Request, place: str) -> Response:
        address, path = caller_of(request), f"/{place}"
        if refused.blocked(address):
            return _problem(429, "too many refused calls from this address; wait a minute")
        try:
            handler = handlers.get(path)
            if handler is None:
                raise RefusedError(404, "nothing is called here; see packaging/docs/ticket-hooks.md")
            if calls.blocked(path):
                return _problem(429, "too many calls; wait a minute")
            calls.add(path)
            taken = await handler(
                {name.lower(): value for name, value in request.headers.items()}, await read_body(request, MAX_HOOK)
            )
        except RefusedError as error:
            # A full inbox and a store that is busy are no fault of the caller.
            if error.status < 500:
                refused.add(address)
            if path in handlers and (path, error.status) not in told:
                told.add((path, error.status))
                log.warning("a call of %s from %s is refused: %s", path, address, error.why)
            return _problem(error.status, str(error))
        told.difference_update([each for each in told if each[0] == path])
        return Response(status_code=202 if taken else 200)

    return app


def hook_listener(app: FastAPI, host: str, port: int, chain: Path) -> Listener:
    return Listener(app, host, port, chain, "the calls of ticket systems", "tickets")


def hint(
    inbox: Inbox, name: str, settings: ReceiverSettings, wake: Callable[[], None], now: Callable[[], float] = time.time
) -> Handler:
    """For a system that can be asked: the call says no more than that it is time to. wake: Sync.hint; now: Unix seconds."""

    async def handle(headers: Mapping[str, str], body: bytes) -> bool:
        delivery_id = checked(settings, headers, body, now())
        taken = not delivery_id or await _kept(inbox, name, delivery_id, None)
        if taken:
            wake()
        return taken

    return handle


def push(inbox: Inbox, name: str, settings: ReceiverSettings, now: Callable[[], float] = time.time) -> Handler:
    """For what cannot be asked: the call itself is kept, and journaled afterwards by what the inbox has for that name."""

    async def handle(headers: Mapping[str, str], body: bytes) -> bool:
        # Without an id a repetition cannot be known: it is taken again, and says the same.
        delivery_id = checked(settings, headers, body, now()) or str(uuid.uuid4())
        return await _kept(inbox, name, delivery_id, body)

    return handle


def checked(settings: ReceiverSettings, headers: Mapping[str, str], body: bytes, now: float) -> str:
    """The id of a call that is what it says, empty if it has none. Raises RefusedError."""
    try:
        return check(settings.hook_scheme, settings.hook_secrets(), headers, body, now)
    except SignatureError as error:
        raise RefusedError(401, str(error)) from None
    except (SecretError, ValueError) as error:
        told = "calls cannot be checked here at the moment; the collector's log says why"
        raise RefusedError(503, told, str(error)) from None


async def _kept(inbox: Inbox, name: str, delivery_id: str, body: bytes | None) -> bool:
    try:
        return await inbox.take(name, delivery_id, body)
    except FullError as error:
        raise RefusedError(503, str(error)) from None
    except sqlite3.Error:
        raise RefusedError(503, "the store does not take it at the moment; call again") from None


def _problem(status: int, detail: str) -> Response:
    fields = {"status": status, "title": HTTPStatus(status).phrase, "detail": detail}
    headers = {"retry-after": "60"} if status in {429, 503} else None
    return JSONResponse(fields, status, headers, media_type="application/problem+json")
