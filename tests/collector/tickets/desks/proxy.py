"""A proxy before a ticket system that forwards faithfully, and misbehaves as told, as networks, gateways and overloaded servers do."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

HOP = {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}
"""Headers of an answer that belong to one connection, or that the proxy writes itself."""

UPSTREAM_S = 100.0
"""For one forwarded exchange. The slowest of the real systems answers in 0.5 s on a machine with nothing else to do; workers of Request Tracker that find its SQLite
file locked wait up to 30 s for one another (DBD::SQLite's busy timeout)."""

LOGIN = b"<!DOCTYPE html><html><title>Sign in</title><form method=post></form></html>"

COMMITS = {"pass", "drop after commit", "500 after commit", "hang", "truncated", "garbage", "huge", "drip", "twice"}
"""Behaviours under which the request reaches the ticket system; under all others it never gets there."""


def is_write(method: str, path: str) -> bool:
    return method not in {"GET", "HEAD", "OPTIONS"}


@dataclass(frozen=True)
class Asked:
    """One request that came. headers: lower-case names."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class FaultProxy:
    """target: the system's base address; `address` has its path and the proxy's own port. Used as a context manager.

    What to do with a request, the first that applies: the next of `writes` if it is a write, the next of `script`, `always`. Known: pass; drop after commit;
    drop; hang (after commit); hang before; twice (as a gateway that tries again, with the second answer); 500 after commit; truncated (half of the
    answer); garbage; huge; drip; login; 302; and any status as digits, of which 429 and 503 come with `Retry-After: 1` unless "bare" follows.
    hold_s: how long one hangs at most.
    """

    target: str
    writing: Callable[[str, str], bool] = is_write
    script: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    always: str = "pass"
    seen: list[Asked] = field(default_factory=list)
    hold_s: float = 1.0
    address: str = ""
    at_work: int = 0
    """Requests that are with the ticket system right now."""

    def __post_init__(self) -> None:
        self.lock = threading.Condition()
        self.ended = threading.Event()

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler, bind_and_activate=True)
        self._server.proxy = self
        parts = urlsplit(self.target)
        self.address = f"{parts.scheme}://127.0.0.1:{self._server.server_port}{parts.path}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait_idle(self) -> None:
        """Until nothing is with the ticket system any more, whether or not anybody still waits for the answer."""
        with self.lock:
            assert self.lock.wait_for(lambda: self.at_work == 0, 2 * UPSTREAM_S), "the ticket system is still at work"

    def take(self, asked: Asked) -> str:
        with self.lock:
            self.seen.append(asked)
            if self.writes and self.writing(asked.method, asked.path):
                return self.writes.pop(0)
            return self.script.pop(0) if self.script else self.always

    def forward(self, asked: Asked) -> tuple[int, dict[str, str], bytes]:
        with self.lock:
            self.at_work += 1
        try:
            return self._forward(asked)
        finally:
            with self.lock:
                self.at_work -= 1
                self.lock.notify_all()

    def _forward(self, asked: Asked) -> tuple[int, dict[str, str], bytes]:
        own, parts = urlsplit(self.address).netloc, urlsplit(self.target)
        # As a reverse proxy does it: the system behind is to see itself in Host, Origin and Referer.
        headers = {
            name: value.replace(own, parts.netloc) for name, value in asked.headers.items() if name != "connection"
        }
        conn = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=UPSTREAM_S)
        try:
            conn.request(asked.method, asked.path, asked.body or None, headers)
            response = conn.getresponse()
            body = response.read()
            kept = {name: value for name, value in response.getheaders() if name.lower() not in HOP}
            return response.status, kept, body
        finally:
            conn.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    proxy: FaultProxy

    def handle_error(self, *_: Any) -> None:
        """The sender hung up, as it should, or the system behind was ended by the test."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: _Server

    def _handle(self) -> None:
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        asked = Asked(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        behaviour = proxy.take(asked)
        if behaviour in COMMITS:
            status, headers, answer = proxy.forward(asked)
        word, _, manner = behaviour.partition(" ")
        match behaviour:
            case "twice":
                status, headers, answer = proxy.forward(asked)
                self.reply(status, answer, headers)
            case "pass":
                self.reply(status, answer, headers)
            case "drop after commit" | "drop":
                self.close_connection = True
            case "hang" | "hang before":
                proxy.ended.wait(proxy.hold_s)
                self.close_connection = True
            case "500 after commit":
                self.reply(500, b"oops")
            case "truncated":
                self.reply(status if answer else 200, answer[: len(answer) // 2] or b'{"id": ', headers)
            case "garbage":
                self.reply(200, b'{"id": ')
            case "huge":
                self.send_response(200)
                self.send_header("content-length", "50000000")
                self.end_headers()
                self.wfile.write(b"x" * 5_000_000)
                self.wfile.flush()
                proxy.ended.wait(proxy.hold_s)
                self.close_connection = True
            case "drip":
                self.send_response(200)
                self.send_header("content-length", "100000")
                self.end_headers()
                until = time.monotonic() + proxy.hold_s
                while time.monotonic() < until and not proxy.ended.wait(0.05):
                    self.wfile.write(b" ")
                    self.wfile.flush()
                self.close_connection = True
            case "login":
                self.reply(200, LOGIN, {"content-type": "text/html"})
            case "302":
                self.reply(302, b"", {"location": proxy.target})
            case _:
                asked_to_wait = word in {"429", "503"} and manner != "bare"
                self.reply(int(word), b"no", {"retry-after": "1"} if asked_to_wait else {})

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = _handle  # noqa: N815 - the names that http.server looks for

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status not in {204, 304}:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status not in {204, 304}:
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...
