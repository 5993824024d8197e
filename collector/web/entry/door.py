"""The door of the console: who comes in, before anything is asked. It says on whose behalf a request runs; what that one may is asked by each route
and each page (`needs`), and what that one sees is filtered where the store is read (scoped.py).

Nobody reaches anything but the sign-in page. What changes something with a cookie carries the word of its session (X-TW-CSRF), which no other
site can read. Whoever asks too often waits. A page that is open when its session ends is cut off.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import Depends, HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tillwatch.collector.people import sessions
from tillwatch.collector.people.console_db import ConsoleDbError
from tillwatch.collector.people.directory import SEEN_NS, Asker, Directory, Full
from tillwatch.collector.people.rates import Buckets, Rate, place_of
from tillwatch.collector.people.roles import ANYBODY, Permission, Visitor, asking, on_behalf_of
from tillwatch.collector.web.entry.problems import problem

log = logging.getLogger(__name__)

NEEDS = "tillwatch_needs"
"""The attribute of a route's dependency that names its permission, for whoever looks at all routes."""

COOKIE, SECURE_COOKIE = "tw_session", "__Host-tw_session"
"""The second over TLS: a browser takes it from this very host only, and never sends it in the clear."""
CSRF = "x-tw-csrf"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
KEPT = ("/my", "/repair/", "/api/v1/my", "/api/v1/repairs/", "/api/v1/terminals/")
"""What is readable without a connection on a technician's phone: as static/worker.js has it."""
OPEN_PREFIXES = ("/sign-in", "/console/", "/api/v1/sign-in", "/favicon", "/metrics", "/worker.js")
"""What nobody reaches, too: the sign-in page and its files. The fleet's document under /console/ asks for more by itself, and so do the figures for machines."""
STATIC = ("/console/", "/_nicegui/", "/favicon")
"""Files of the console itself: a page takes some sixty at once, and browsers keep them."""
FORMS = "/sign-in"
"""Plain forms, which cannot send a header: the browser's word where they come from stands for it."""
BURST_S = 15
"""Seconds of requests that may come at once: a page asks for ten things, and somebody who works quickly opens several."""
ALIKE = 20
"""Who has not signed in is told apart by address alone, and behind an SSH tunnel all have the same one."""
WATCH_S = 1.0
"""How soon an open page notices that its session has ended elsewhere."""
MAX_NEXT = 500
_ENDED = 4401
"""Close code of a websocket whose session is over: of the private range, after HTTP's 401."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a request showed to prove who it is."""

    cookie: str = ""
    bearer: str | None = None


class House:
    """Who is let in. directory: None for a console without accounts, where everybody looks. secure: whether browsers come over TLS."""

    def __init__(self, directory: Directory | None = None, *, secure: bool = False, rate: int = 20) -> None:
        self.directory = directory
        self.secure = secure
        self._buckets = Buckets(Rate(rate, rate * BURST_S))
        self._alike = Buckets(Rate(rate * ALIKE, rate * ALIKE * BURST_S))
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: dict[_Held, None] = {}
        self._tokens: dict[int, int] = {}

    @property
    def cookie(self) -> str:
        return SECURE_COOKIE if self.secure else COOKIE

    def shown(self, headers: Headers) -> Shown:
        said = headers.get("authorization")
        if said is not None:
            kind, _, word = said.partition(" ")
            return Shown(bearer=word.strip() if kind.lower() == "bearer" else "")
        return Shown(cookie_of(headers, self.cookie))

    def who(self, shown: Shown) -> Asker:
        if self.directory is None:
            return Asker(ANYBODY)
        if shown.bearer is not None:
            return self.directory.by_token(shown.bearer)
        return self.directory.by_cookie(shown.cookie) if shown.cookie else Asker(self.directory.nobody())

    def wait(self, asker: Asker, address: str) -> float:
        """Seconds until this one may ask again; 0 for now."""
        now = time.monotonic_ns()
        if asker.session is not None:
            return self._buckets.take(f"session {asker.session.id.hex()}", now)
        if asker.token is not None:
            return self._buckets.take(f"token {asker.token.number}", now)
        return (self._alike if asker.visitor.anonymous else self._buckets).take(f"address {place_of(address)}", now)

    def used(self, asker: Asker, *, alive: bool) -> None:
        """Remembers when a token was used, and with alive that a person is there."""
        if self.directory is None:
            return
        if asker.token is not None:
            number, now = asker.token.number, self.directory.now()
            if now - max(asker.token.seen_at, self._tokens.get(number, 0)) >= SEEN_NS:
                self._tokens[number] = now
                self._start(self.directory.write(lambda db: sessions.token_seen(db, number, now)))
        elif alive and asker.session is not None and self.directory.touched(asker.session):
            self._start(self.directory.write_down(asker.session))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        async def run() -> None:
            with suppress(Full, ConsoleDbError):  # only a time that is shown
                await work

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # What is open.

    def hold(self, shown: Shown, visitor: Visitor) -> _Held:
        held = _Held(shown, _identity(visitor))
        self._held[held] = None
        return held

    def let_go(self, held: _Held) -> None:
        self._held.pop(held, None)

    def look(self) -> None:
        """Cuts off what is open on behalf of somebody who is not who they were."""
        for held in tuple(self._held):
            if _identity(self.who(held.shown).visitor) != held.identity:
                held.ended.set()

    async def watch(self) -> None:
        """For as long as the console runs."""
        while True:
            try:
                self.look()
            except Exception:  # whatever the file does, the next second asks again
                log.exception("who has pages open cannot be looked up")
            await asyncio.sleep(WATCH_S)


class _Held:
    """One open connection."""

    def __init__(self, shown: Shown, identity: object) -> None:
        self.shown = shown
        self.identity = identity
        self.ended = asyncio.Event()


def _identity(visitor: Visitor) -> object:
    return (visitor.name, visitor.session, visitor.sees)


def cookie_of(headers: Headers, name: str) -> str:
    jar: SimpleCookie = SimpleCookie()
    with suppress(CookieError):
        jar.load(headers.get("cookie", ""))
    return jar[name].value if name in jar else ""


class Door:
    """ASGI: every request and every websocket runs on behalf of whoever its headers prove."""

    def __init__(self, app: ASGIApp, house: House) -> None:
        self._app = app
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers, path = Headers(scope=scope), str(scope["path"])
        shown = self._house.shown(headers)
        asker = self._house.who(shown)
        scope.setdefault("state", {}).update(asker=asker, peopled=self._house.directory is not None)
        address = scope["client"][0] if scope.get("client") else ""
        if not path.startswith(STATIC) and (wait := self._house.wait(asker, address)):
            await self._refuse(scope, receive, send, _too_many(path, wait))
            return
        if scope["type"] == "http":
            refusal = self._unmeant(scope, headers, asker, shown) or self._unknown(scope, headers, asker)
        else:
            refusal = None if asker.visitor.role is not None else Response(status_code=401)
        if refusal is not None:
            await self._refuse(scope, receive, send, refusal)
            return
        self._house.used(asker, alive=scope["type"] == "http" and _alive(scope, headers))
        if path.startswith(KEPT) and asker.visitor.name:
            send = _marked(send, asker.visitor)
        with on_behalf_of(asker.visitor):
            await self._until_over(scope, receive, send, shown, asker.visitor)

    def _unmeant(self, scope: Scope, headers: Headers, asker: Asker, shown: Shown) -> Response | None:
        """A change that the person did not mean: another site made their browser ask for it."""
        if scope["method"] in SAFE or shown.bearer is not None:
            return None
        if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return problem(scope["path"], 403, "this came from another site")
        path = str(scope["path"])
        if path.startswith(FORMS) or asker.session is None or asker.session.step:
            # Nothing is done on somebody's behalf but coming in and going out. A browser says where a form comes from.
            says = headers.get("origin") or headers.get("sec-fetch-site")
            return None if says or not shown.cookie else problem(path, 403, "a browser says where a form comes from")
        if not hmac.compare_digest(headers.get(CSRF, "").encode(), asker.session.csrf.encode()):
            return problem(path, 403, f"the header {CSRF} is not that of this session; load the page anew")
        return None

    def _unknown(self, scope: Scope, headers: Headers, asker: Asker) -> Response | None:
        """Nobody, where somebody is needed."""
        path = str(scope["path"])
        if asker.visitor.role is not None or path.startswith(OPEN_PREFIXES):
            return None
        page = scope["method"] == "GET" and "text/html" in headers.get("accept", "") and not path.startswith("/api/")
        if not page:
            return problem(path, 401, "sign in first", {"WWW-Authenticate": "Bearer"})
        query = scope.get("query_string", b"").decode("latin-1")
        wanted = local(f"{path}?{query}" if query else path)
        return RedirectResponse(f"/sign-in?next={quote(wanted, safe='')}" if wanted != "/" else "/sign-in", 303)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, response: Response) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": _ENDED})
        else:
            await response(scope, receive, send)

    async def _until_over(self, scope: Scope, receive: Receive, send: Send, shown: Shown, visitor: Visitor) -> None:
        """The application, until it is done or the session has ended: then a websocket is closed and a stream ends."""
        held = self._house.hold(shown, visitor)
        websocket = scope["type"] == "websocket"

        async def receive_until() -> Message:
            if held.ended.is_set():
                return _gone(websocket=websocket)
            incoming, over = asyncio.ensure_future(receive()), asyncio.create_task(held.ended.wait())
            try:
                await asyncio.wait({incoming, over}, return_when=asyncio.FIRST_COMPLETED)
                if incoming.done():
                    return incoming.result()
            finally:
                over.cancel()
                if not incoming.done():
                    incoming.cancel()
            if websocket:
                with suppress(OSError, RuntimeError):  # the browser may be gone already
                    await send({"type": "websocket.close", "code": _ENDED, "reason": "the session is over"})
            return _gone(websocket=websocket)

        state = {"begun": False, "done": False}

        async def send_until(message: Message) -> None:
            over = streams(message) and held.ended.is_set()
            if over or (websocket and held.ended.is_set()):
                if websocket:
                    return
                if not state["done"]:
                    state["done"] = True
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                raise OSError("the session is over")  # as if the browser had gone: the stream ends
            await send(message)

        def streams(message: Message) -> bool:
            if message["type"] == "http.response.start":
                state["begun"] = Headers(raw=message["headers"]).get("content-type", "").startswith("text/event-stream")
            return state["begun"] and message["type"] == "http.response.body"

        try:
            await self._app(scope, receive_until, send_until)
        except Exception:
            if not state["done"]:
                raise
        finally:
            self._house.let_go(held)


def _marked(send: Send, visitor: Visitor) -> Send:
    """Answers that a technician's browser may keep say whose they are, by something that tells nothing: of another session all of it is forgotten."""
    mark = sha256(f"{visitor.name}\0{visitor.session}\0{visitor.sees}".encode()).hexdigest()[:16]

    async def send_marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["TW-Visitor"] = mark
        await send(message)

    return send_marked


def _gone(*, websocket: bool) -> Message:
    return {"type": "websocket.disconnect", "code": _ENDED} if websocket else {"type": "http.disconnect"}


def _alive(scope: Scope, headers: Headers) -> bool:
    """Whether a person did this: they opened a page or changed something. What a page fetches by itself is none."""
    return scope["method"] not in SAFE or headers.get("sec-fetch-mode") == "navigate"


def _too_many(path: str, wait: float) -> Response:
    seconds = max(1, int(wait + 0.999))
    return problem(path, 429, f"too many requests; ask again in {seconds} s", {"Retry-After": str(seconds)})


def local(address: str) -> str:
    """An address of this console to go to after signing in; `/` for what is none: a link must not send people elsewhere."""
    if (
        len(address) > MAX_NEXT
        or not address.startswith("/")
        or address[1:2] in {"/", "\\"}
        or not address.isprintable()
    ):
        return "/"
    try:
        parts = urlsplit(address)
    except ValueError:
        return "/"
    return (
        address
        if not parts.scheme and not parts.netloc and not address.startswith("/sign-in") and "\\" not in address
        else "/"
    )


def needs(permission: Permission) -> Any:
    """A route's dependency: 401 for nobody, 403 for somebody who may not."""

    async def allowed() -> None:
        refuse(permission)

    setattr(allowed, NEEDS, permission)
    return Depends(allowed)


def refuse(permission: Permission) -> None:
    """Raises HTTPException unless whoever asks may."""
    visitor = asking()
    if visitor.may(permission):
        return
    if visitor.role is None or visitor.anonymous:
        raise HTTPException(401, "sign in first", {"WWW-Authenticate": "Bearer"})
    raise HTTPException(403, f"the role {visitor.role} may not do this ({permission})")
