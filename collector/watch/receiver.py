"""Where drill tickets arrive: a small HTTP listener on loopback that believes Standard Webhooks signed with the drills' secret, bounds what it reads
and answers 204 to whatever it has taken note of.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import uvicorn

from tillwatch.collector.tickets.signature import Secret, SignatureError, verify

log = logging.getLogger(__name__)

MAX_BODY = 256 * 1024
"""Bytes of a webhook: ten times what tillwatch sends."""
BODY_TIMEOUT_S = 10.0
MAX_CONNECTIONS = 32
"""The collector sends four at once."""

_Scope = dict[str, Any]
_Receive = Callable[[], Awaitable[dict[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]


class ReceiverError(Exception):
    """It cannot listen. The text says where and what to do."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What one message says. resolved: the fault is over; since: when it began, UTC ns; drill: it carries the flag."""

    incident: str
    terminal: str
    component: str
    since: int
    resolved: bool
    drill: bool


def read_ticket(body: bytes) -> Ticket:
    """Raises ValueError for what is no message about an incident."""
    try:
        event = json.loads(body)
        data = event["data"]
        since = datetime.fromisoformat(data["since"])
        return Ticket(
            str(data["incident"]),
            str(data["terminal"]),
            str(data["component"]),
            round(since.timestamp() * 1000) * 1_000_000,
            event["type"] == "incident.resolved",
            data.get("drill") is True,
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"no message about an incident: {error!r}") from None


class Receiver:
    """address: http on loopback, with its port and path. took: called with every ticket, from the loop; it must not raise."""

    def __init__(self, address: str, secrets: Sequence[Secret], took: Callable[[Ticket], None]) -> None:
        parts = urlsplit(address)
        assert parts.hostname is not None
        assert parts.port is not None
        self._host, self._port, self._path = parts.hostname, parts.port, parts.path or "/"
        self._secrets, self._took = tuple(secrets), took
        self._refusing = False
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listens when it returns. Raises ReceiverError."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            listening = socket.create_server((self._host, self._port), family=family, backlog=MAX_CONNECTIONS)
        except OSError as error:
            raise ReceiverError(
                f"cannot listen on {self._host} port {self._port} for drills: {error.strerror}; does another watchdog run? Else set receiver in [watchdog]"
            ) from None
        # Its lines on start and stop say nothing that the service does not say.
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        config = uvicorn.Config(
            self._answer,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            interface="asgi3",
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=1,
        )
        config.load()
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve([listening]), name="receiver of drills")

    async def stop(self) -> None:
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
        self._server = self._task = None

    async def _answer(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        status = await self._status(scope, receive) if scope["type"] == "http" else 404
        headers = [(b"content-length", b"0")] if status != 204 else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _status(self, scope: _Scope, receive: _Receive) -> int:
        if scope["path"] != self._path or scope["method"] != "POST":
            return 404
        body = await _body(receive)
        if body is None:
            return 413
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            verify(self._secrets, headers, body, time.time())
            ticket = read_ticket(body)
        except (SignatureError, ValueError) as error:
            if not self._refusing:
                log.warning("a message at the receiver of drills is refused: %s", error)
            self._refusing = True
            return 401 if isinstance(error, SignatureError) else 400
        self._refusing = False
        self._took(ticket)
        return 204


async def _body(receive: _Receive) -> bytes | None:
    """None for one that is too long or does not come."""
    body = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while len(body) <= MAX_BODY:
                part = await receive()
                if part["type"] != "http.request":
                    return None
                body += part.get("body", b"")
                if not part.get("more_body"):
                    return body if len(body) <= MAX_BODY else None
    return None


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals belong to the process that runs this listener
