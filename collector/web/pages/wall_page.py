"""The wall-board: how the fleet stands, for everybody in the room."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client, ui
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.feed import Change
from tillwatch.collector.web.pages.theme import STATIC, frame, listen, page, text_of, words
from tillwatch.collector.web.parts import Parts


class WallBoard(Element, component=STATIC / "wall.js"):
    """Loads itself from the REST API, and asks again although nothing was told."""


def add(parts: Parts) -> None:
    feed = parts.feed

    @page("/wall", Permission.SEE)
    async def wall(request: Request, client: Client) -> None:
        await feed.ready()
        text = text_of(request)
        with frame(request, client, feed, text, "wall", files=("overview", "wall"), scripts=("overview",)):
            words("h1", text("nav.wall")).classes("tw-visually-hidden")
            WallBoard()

        def on_change(change: Change) -> None:
            if change.terminals or change.alarms or change.incidents:
                ui.run_javascript("tw.refresh()")

        listen(client, feed, on_change)
