"""How often each detector was right, which ones were demoted for having been wrong too often, and what those see all the same."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client, ui
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.feed import Change, Feed
from tillwatch.collector.web.pages.theme import STATIC, frame, listen, page, text_of, words


class DetectorList(Element, component=STATIC / "detectors.js"):
    """The detectors with their records, and the findings that raise nothing; loads itself from the REST API."""


def add(feed: Feed) -> None:
    @page("/trends", Permission.SEE)
    async def trends(request: Request, client: Client) -> None:
        await feed.ready()
        text = text_of(request)
        with frame(request, client, feed, text, "risk"):
            words("h1", text("trends.title")).classes("tw-title")
            DetectorList()

        def on_change(change: Change) -> None:
            if change.foretold:
                ui.run_javascript("tw.refresh()")

        listen(client, feed, on_change)
