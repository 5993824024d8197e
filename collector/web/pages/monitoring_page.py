"""How the monitoring itself is: what it is blind to, what waits, what ends."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.pages.theme import STATIC, frame, page, text_of, words
from tillwatch.collector.web.parts import Parts


class MonitoringHealth(Element, component=STATIC / "monitoring.js"):
    """Loads itself from the REST API."""


def add(parts: Parts) -> None:
    @page("/monitoring", Permission.SEE)
    async def monitoring(request: Request, client: Client) -> None:
        await parts.feed.ready()
        text = text_of(request)
        with frame(request, client, parts.feed, text, "monitoring", files=("monitoring",)):
            words("h1", text("monitoring.title")).classes("tw-title")
            MonitoringHealth()
