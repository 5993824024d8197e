"""The alarm inbox: what is open, since when, what it means, what to do, and whether a ticket speaks of it."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client, ui
from nicegui.element import Element

from tillwatch.collector.web.feed import Change, Feed
from tillwatch.collector.web.pages.theme import STATIC, frame, listen, text_of, words


class AlarmList(Element, component=STATIC / "alarms.js"):
    """A list of alarms that loads itself from the REST API. terminal: only this one's, shown without filters."""

    def __init__(self, terminal: str = "") -> None:
        super().__init__()
        self._props["terminal"] = terminal


def add(feed: Feed) -> None:
    @ui.page("/alarms", title="tillwatch")
    async def alarms(request: Request, client: Client) -> None:
        await feed.ready()
        text = text_of(request)
        with frame(request, client, feed, text, "alarms"):
            words("h1", text("alarms.title")).classes("tw-title")
            AlarmList()

        def on_change(change: Change) -> None:
            if change.alarms:
                ui.run_javascript("tw.refresh()")

        listen(client, feed, on_change)
