"""The maintenance calendar: when planned work is, whom it covers, what it keeps silent, and the form by which it is made."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client, ui
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.feed import Change
from tillwatch.collector.web.pages.theme import STATIC, frame, listen, page, text_of, words
from tillwatch.collector.web.parts import Parts


class MaintenanceCalendar(Element, component=STATIC / "calendar.js"):
    """Loads itself from the REST API; `?branch=`, `?region=` or `?terminal=` opens the form with tonight's hours."""


def add(parts: Parts) -> None:
    @page("/calendar", Permission.SEE)
    async def calendar(request: Request, client: Client) -> None:
        await parts.feed.ready()
        text = text_of(request)
        with frame(request, client, parts.feed, text, "calendar", files=("calendar",)):
            words("h1", text("calendar.title")).classes("tw-title")
            MaintenanceCalendar()

        def on_change(change: Change) -> None:
            if change.alarms or change.incidents:
                ui.run_javascript("tw.refresh()")

        listen(client, parts.feed, on_change)
