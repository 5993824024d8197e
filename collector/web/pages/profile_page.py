"""One's own account: settings, password, second factor, sessions, tokens."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.pages.theme import STATIC, frame, page, text_of, words
from tillwatch.collector.web.parts import Parts


class Profile(Element, component=STATIC / "profile.js"):
    """Loads itself from the REST API."""


def add(parts: Parts) -> None:
    @page("/profile", Permission.SELF)
    async def profile(request: Request, client: Client) -> None:
        await parts.feed.ready()
        text = text_of(request)
        with frame(request, client, parts.feed, text, "profile", files=("people",)):
            words("h1", text("profile.title")).classes("tw-title")
            Profile()
