"""Who is on duty, when nobody is, who is called by when, and who would be told now."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client, ui
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.pages.theme import STATIC, frame, text_of, words
from tillwatch.collector.web.parts import Parts


class DutyRoster(Element, component=STATIC / "roster.js"):
    """Loads itself from the REST API."""


def add(parts: Parts) -> None:
    @ui.page("/roster", title="tillwatch", dependencies=[needs(Permission.SEE)])
    async def roster(request: Request, client: Client) -> None:
        await parts.feed.ready()
        text = text_of(request)
        with frame(request, client, parts.feed, text, "roster", files=("roster",)):
            words("h1", text("roster.title")).classes("tw-title")
            DutyRoster()
