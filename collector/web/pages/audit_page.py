"""Who did what, entry by entry backwards, and the chain that proves it."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.pages.theme import STATIC, frame, page, text_of, words
from tillwatch.collector.web.parts import Parts


class AuditLog(Element, component=STATIC / "audit.js"):
    """Loads itself from the REST API."""


def add(parts: Parts) -> None:
    @page("/audit", Permission.AUDIT)
    async def audit(request: Request, client: Client) -> None:
        await parts.feed.ready()
        text = text_of(request)
        with frame(request, client, parts.feed, text, "audit", files=("audit",)):
            words("h1", text("audit.title")).classes("tw-title")
            AuditLog()
