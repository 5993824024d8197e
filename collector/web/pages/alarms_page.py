"""The inbox: one entry an incident with its alarms underneath, since when, until when, who has it, and why somebody was told or not."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client, ui
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.feed import Change, Feed
from tillwatch.collector.web.pages.theme import STATIC, frame, listen, page, text_of, words


class AlarmList(Element, component=STATIC / "alarms.js"):
    """The open alarms of one terminal; loads itself from the REST API."""

    def __init__(self, terminal: str) -> None:
        super().__init__()
        self._props["terminal"] = terminal


class IncidentList(Element, component=STATIC / "incidents.js"):
    """All incidents with their alarms, and the filters; loads itself from the REST API."""


def add(feed: Feed) -> None:
    @page("/alarms", Permission.SEE)
    async def alarms(request: Request, client: Client) -> None:
        await feed.ready()
        text = text_of(request)
        with frame(request, client, feed, text, "alarms"):
            words("h1", text("alarms.title")).classes("tw-title")
            IncidentList()

        def on_change(change: Change) -> None:
            if change.alarms or change.incidents:
                ui.run_javascript("tw.refresh()")

        listen(client, feed, on_change)
