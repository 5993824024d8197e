"""What the listeners have in common that are open to other machines: TLS, one port, and every request bounded before it is read."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address, ip_address
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request

BODY_TIMEOUT_S = 10.0
MAX_CONNECTIONS = 64
"""Calls are rare; beyond this a listener answers 503 and whoever called tries again."""
REFUSALS_PER_MINUTE = 20
"""Refused attempts an address may make in a minute. Good ones are not counted: a whole branch may call from behind one address."""
MAX_ADDRESSES = 4096
"""Addresses remembered; beyond it the one refused longest ago is forgotten, which no guessing of 160-bit secrets can use."""


class RefusedError(Exception):
    """A request that is answered with an error. status: HTTP; the text tells the caller what to do and holds no secret; why: what only the log says."""

    def __init__(self, status: int, detail: str, why: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.why = why or detail


class RefusalLimit:
    """Refused attempts by address: a bucket that empties over a minute. now: monotonic seconds; per_minute: its size."""

    def __init__(self, now: Callable[[], float] = time.monotonic, per_minute: float = REFUSALS_PER_MINUTE) -> None:
        self._now = now
        self._per_minute = per_minute
        self._refused: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def blocked(self, address: str) -> bool:
        return self._level(address) > self._per_minute - 1

    def add(self, address: str) -> None:
        self._refused[address] = (self._level(address) + 1, self._now())
        self._refused.move_to_end(address)
        if len(self._refused) > MAX_ADDRESSES:
            self._refused.popitem(last=False)

    def _level(self, address: str) -> float:
        level, at = self._refused.get(address, (0.0, 0.0))
        return max(0.0, level - (self._now() - at) * self._per_minute / 60)


async def read_body(request: Request, limit: int) -> bytes:
    """The body of a request, at most `limit` bytes. Raises RefusedError."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise RefusedError(413, f"the request is larger than {limit} bytes")
    except TimeoutError:
        raise RefusedError(408, f"the request did not arrive within {BODY_TIMEOUT_S:g} s") from None
    return bytes(body)


def caller_of(request: Request) -> str:
    """Whom refusals are counted for: the peer, or its /64 with IPv6, where one machine has as many addresses as it likes."""
    peer = request.client.host if request.client else ""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return str(address)


class Listener:
    """An HTTPS listener in a running event loop. chain: one PEM file with key, leaf and CA. Port 0 takes a free one; see `port`. what: it is for,
    section: of the configuration that has its port, both for an error. connections: at a time; who comes beyond them gets 503.
    """

    def __init__(
        self,
        app: FastAPI,
        host: str,
        port: int,
        chain: Path,
        what: str,
        section: str,
        connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._app = app
        self._connections = connections
        self._host = host
        self._chain = chain
        self._what = what
        self._section = section
        self.port = port
        # Its lines on start and stop say nothing that the service does not say.
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises OSError with a text that names the port and the mend."""
        listening = self._bind()
        self.port = listening.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            ssl_certfile=self._chain,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            server_header=False,
            limit_concurrency=self._connections,
            timeout_graceful_shutdown=3,
        )
        config.load()  # a key file that cannot be read fails here; connections wait in the socket's backlog until serve() runs
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve([listening]), name=f"listener for {self._what}")

    async def stop(self) -> None:
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
        self._server = self._task = None

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            # uvicorn would end the whole process when a port is taken.
            return socket.create_server((self._host, self.port), family=family, backlog=MAX_CONNECTIONS)
        except OSError as error:
            raise OSError(
                f"cannot listen on {self._host} port {self.port} for {self._what}: {error.strerror}; "
                f"end the program that holds it, or set port in [{self._section}]"
            ) from None


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals belong to the service that runs this listener
