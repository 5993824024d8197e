"""The heat map of the fleet."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.pages.regions_page import on_terminals
from tillwatch.collector.web.pages.theme import STATIC, frame, listen, page, text_of, words
from tillwatch.collector.web.parts import Parts


class HeatMap(Element, component=STATIC / "heat.js"):
    """Draws itself from the fleet's document and the REST API; what it shows stands in its page's address."""


def add(parts: Parts) -> None:
    feed = parts.feed

    @page("/heat", Permission.SEE)
    async def heat(request: Request, client: Client) -> None:
        await feed.ready()
        text = text_of(request)
        early = f"/console/fleet.json?lang={text.language}&since="
        with frame(
            request, client, feed, text, "heat", early=early, files=("overview",), scripts=("overview",)
        ):  # fmt: skip
            words("h1", text("nav.heat")).classes("tw-title")
            HeatMap()
        listen(client, feed, on_terminals)
