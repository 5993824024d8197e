"""Everybody's accounts, for who manages people."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.pages.theme import STATIC, frame, page, text_of, words
from tillwatch.collector.web.parts import Parts


class People(Element, component=STATIC / "people.js"):
    """Loads itself from the REST API."""


def add(parts: Parts) -> None:
    @page("/people", Permission.PEOPLE)
    async def people(request: Request, client: Client) -> None:
        await parts.feed.ready()
        text = text_of(request)
        with frame(request, client, parts.feed, text, "people", files=("people",)):
            words("h1", text("people.title")).classes("tw-title")
            People()
