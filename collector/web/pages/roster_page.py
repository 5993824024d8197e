"""Who is on duty, when nobody is, who is called by when, and who would be told now."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.pages.theme import STATIC, frame, page, text_of, words
from tillwatch.collector.web.parts import Parts


class DutyRoster(Element, component=STATIC / "roster.js"):
    """Loads itself from the REST API."""


def add(parts: Parts) -> None:
    @page("/roster", Permission.SEE)
    async def roster(request: Request, client: Client) -> None:
        await parts.feed.ready()
        text = text_of(request)
        with frame(request, client, parts.feed, text, "roster", files=("roster",)):
            words("h1", text("roster.title")).classes("tw-title")
            DutyRoster()
