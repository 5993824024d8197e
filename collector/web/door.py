"""The door of the console: who comes in, before anything is asked. It says on whose behalf a request runs; what that one may is asked by each route
and each page (`needs`), and what that one sees is filtered where the store is read (scoped.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import Depends, HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from tillwatch.collector.people.roles import ANYBODY, Permission, Visitor, asking, on_behalf_of

Authenticate = Callable[[Headers], Visitor]
"""Who the headers of a request say that it is: NOBODY where they say nothing that holds."""

NEEDS = "tillwatch_needs"
"""The attribute of a route's dependency that names its permission, for whoever looks at all routes."""


def anybody(_: Headers) -> Visitor:
    return ANYBODY


class Door:
    """ASGI: every request and every websocket runs on behalf of whoever its headers prove."""

    def __init__(self, app: ASGIApp, authenticate: Authenticate = anybody) -> None:
        self._app = app
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        with on_behalf_of(self._authenticate(Headers(scope=scope))):
            await self._app(scope, receive, send)


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
