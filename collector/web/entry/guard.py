"""The outermost wall of the console: strict headers on every answer, only requests that were meant for this console, and none of any size. A name that
merely resolves to this machine (DNS rebinding) and a page of another origin are refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tillwatch.collector.web.entry.problems import problem

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

_TOO_LARGE = 413
MAX_BODY = 2 * 1024 * 1024
"""Bytes of a request: a policy or a list of ten thousand devices fits."""

# NiceGUI writes its start script into the page and Vue compiles templates there: hence unsafe-inline and unsafe-eval.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
SCANS = ("/repair/", "camera=(self), geolocation=(), microphone=()")
"""Where a part's code is read by the camera, and what is let in there; on no other page."""
TRANSPORT = {"Strict-Transport-Security": "max-age=31536000"}
"""Over TLS: a browser that was here once never asks in the clear again."""


def host_of(authority: str) -> str:
    """The host of `host`, `host:port` or `[v6]:port`, lower case; empty if it cannot be one."""
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return ""


def origin_of(origin: str) -> str:
    """Host and port of an Origin header; empty if it names none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


class TooLarge(Exception):  # noqa: N818 - what was sent is wrong
    """The body is larger than any that is taken."""


class Guard:
    """ASGI: refuses other hosts, other origins and what is too large, adds the headers. names: under which browsers of other machines reach it."""

    def __init__(self, app: ASGIApp, names: Iterable[str] = (), *, secure: bool = False) -> None:
        self._app = app
        self._names = LOOPBACK | {name.lower() for name in names}
        self._headers = {**HEADERS, **(TRANSPORT if secure else {})}
        self._use = (
            "this console answers under the names of [console] names only"
            if self._names > LOOPBACK
            else "this console answers on the loopback address only: use http://127.0.0.1"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        own = headers.get("host", "")
        if host_of(own) not in self._names:
            await self._refuse(scope, receive, send, self._use)
            return
        if origin is not None and origin_of(origin) != own:
            await self._refuse(scope, receive, send, "this console answers its own pages only")
            return
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdecimal() or int(length) > MAX_BODY:
            await self._refuse(
                scope, receive, send, f"the request is larger than {MAX_BODY} bytes; send less at once", _TOO_LARGE
            )
            return
        begun, over, taken = False, False, 0

        async def send_with_headers(message: Message) -> None:
            nonlocal begun
            if over and not begun:
                return  # what a part of a body was taken for is no answer
            if message["type"] == "http.response.start":
                begun = True
                out = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    out[name] = value
                if str(scope["path"]).startswith(SCANS[0]):
                    out["Permissions-Policy"] = SCANS[1]
            await send(message)

        async def receive_some() -> Message:
            nonlocal over, taken
            message = await receive()
            if message["type"] == "http.request":  # in pieces, without a length said before
                taken += len(message.get("body", b""))
                if taken > MAX_BODY:
                    over = True
                    raise TooLarge
            return message

        with suppress(TooLarge):
            await self._app(scope, receive_some, send_with_headers)
        if over and not begun:
            await self._refuse(
                scope, receive, send, f"the request is larger than {MAX_BODY} bytes; send less at once", _TOO_LARGE
            )

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, text: str, status: int = 421) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": text})
        else:
            answer = (
                problem(scope["path"], status, text, self._headers)
                if status == _TOO_LARGE
                else PlainTextResponse(text, status, headers=self._headers)
            )
            await answer(scope, receive, send)
