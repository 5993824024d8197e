"""What runs out or fills up, the most urgent first, with its date or the reason why there is none, and what to bring to which branch."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client, ui
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.feed import Change
from tillwatch.collector.web.pages.theme import STATIC, frame, listen, page, text_of, words
from tillwatch.collector.web.parts import Parts


class SupplyList(Element, component=STATIC / "supplies.js"):
    """The supplies, or the route, and the filters; loads itself from the REST API."""


def add(parts: Parts) -> None:
    @page("/supplies", Permission.SEE)
    async def supplies(request: Request, client: Client) -> None:
        await parts.feed.ready()
        text = text_of(request)
        with frame(request, client, parts.feed, text, "supplies", files=("supplies",)):
            words("h1", text("supplies.title")).classes("tw-title")
            SupplyList()

        def on_change(change: Change) -> None:
            if change.foretold or change.alarms:
                ui.run_javascript("tw.refresh()")

        listen(client, parts.feed, on_change)
