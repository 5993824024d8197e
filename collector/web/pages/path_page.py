"""The path diagram: of the fleet, or of the region, branch or terminal that the address names."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import Request
from nicegui import Client, ui
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.pages.regions_page import on_terminals
from tillwatch.collector.web.pages.theme import STATIC, frame, listen, page, text_of, words
from tillwatch.collector.web.parts import Parts


class PathDiagram(Element, component=STATIC / "path.js"):
    """Loads itself from the REST API by its page's address."""


def add(parts: Parts) -> None:
    feed = parts.feed

    @page("/path", Permission.SEE)
    async def path(request: Request, client: Client) -> None:
        await feed.ready()
        text, asked = text_of(request), request.query_params
        with frame(request, client, feed, text, "path", files=("overview",), scripts=("overview",)):
            with ui.element("div").classes("tw-crumbs"):
                for kind, page in (("region", "/regions"), ("branch", "/branch"), ("terminal", "/terminal")):
                    if name := asked.get(kind, "")[:200]:
                        ui.link(text("path.whole"), "/path")
                        ui.link(name, f"{page}/{quote(name, safe='')}")
            words("h1", text("nav.path")).classes("tw-title")
            PathDiagram()
        listen(client, feed, on_terminals)
