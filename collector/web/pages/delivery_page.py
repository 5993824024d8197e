"""What has not reached its receiver: the messages that wait or were given up, for whom, since when, why, and what a person can do."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client, ui
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.feed import Change, Feed
from tillwatch.collector.web.pages.theme import STATIC, frame, listen, page, text_of, words


class DeliveryList(Element, component=STATIC / "deliveries.js"):
    """The messages; loads itself from the REST API."""


def add(feed: Feed) -> None:
    @page("/deliveries", Permission.SEE)
    async def deliveries(request: Request, client: Client) -> None:
        await feed.ready()
        text = text_of(request)
        with frame(request, client, feed, text, "deliveries", files=("deliveries",)):
            words("h1", text("deliveries.title")).classes("tw-title")
            DeliveryList()

        def on_change(change: Change) -> None:
            if change.deliveries:
                ui.run_javascript("tw.refresh()")

        listen(client, feed, on_change)
