"""Regions and branches: how each of them stands, the gravest first."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client, ui
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.web.feed import Change
from tillwatch.collector.web.pages.theme import STATIC, frame, listen, page, text_of, words
from tillwatch.collector.web.parts import Parts


class PlaceList(Element, component=STATIC / "regions.js"):
    """Loads itself from the REST API. region: whose branches, empty for all regions."""

    def __init__(self, region: str = "") -> None:
        super().__init__()
        self._props["region"] = region


def on_terminals(change: Change) -> None:
    """The page's lists fetch again what they show of terminals."""
    if change.terminals or change.alarms:
        ui.run_javascript("tw.refresh()")


def add(parts: Parts) -> None:
    feed = parts.feed

    @page("/regions", Permission.SEE)
    async def regions(request: Request, client: Client) -> None:
        await feed.ready()
        text = text_of(request)
        with frame(request, client, feed, text, "regions", files=("overview",), scripts=("overview",)):
            words("h1", text("nav.regions")).classes("tw-title")
            PlaceList()
        listen(client, feed, on_terminals)

    @page("/regions/{region:path}", Permission.SEE)
    async def one_region(request: Request, client: Client, region: str) -> None:
        await feed.ready()
        text = text_of(request)
        there = any(view.region == region for view in feed.terminals_of(asking().scope).values())
        with frame(request, client, feed, text, "regions", files=("overview",), scripts=("overview",)):
            with ui.element("div").classes("tw-crumbs"):
                ui.link(text("nav.regions"), "/regions")
            words("h1", region if there else text("aloft.no_region", name=region)).classes("tw-title")
            if there:
                client.title = f"{region} · tillwatch"
                PlaceList(region)
            else:
                client.status_code = 404
        listen(client, feed, on_terminals)
