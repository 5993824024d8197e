"""One incident: how it stands, until when, what it means and what to do, whom it concerns, who was told and why, and all that happened to it."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request
from nicegui import Client, ui
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.feed import Change, Feed
from tillwatch.collector.web.pages.missing import is_there
from tillwatch.collector.web.pages.theme import STATIC, frame, listen, page, text_of
from tillwatch.collector.web.reads import Reads


class IncidentSheet(Element, component=STATIC / "incident.js"):
    """The whole incident; loads itself from the REST API."""

    def __init__(self, incident: str) -> None:
        super().__init__()
        self._props["incident"] = incident


def add(reads: Reads, feed: Feed, now: Callable[[], int]) -> None:
    @page("/incident/{incident}", Permission.SEE)
    async def incident_page(request: Request, client: Client, incident: str) -> None:
        await feed.ready()
        text = text_of(request)
        with frame(request, client, feed, text, "alarms", files=("inbox",), scripts=("acting",)):
            asked = reads(lambda reader: reader.incident(incident, now()))
            if not await is_there(
                client, asked, text("incident.missing", id=incident), text("incident.back"), "/alarms"
            ):
                return
            client.title = f"{incident} · tillwatch"
            IncidentSheet(incident)

        def on_change(change: Change) -> None:
            if change.alarms or change.incidents or change.deliveries:
                ui.run_javascript("tw.refresh()")

        listen(client, feed, on_change)
