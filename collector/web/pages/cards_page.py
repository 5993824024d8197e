"""Diagnosis cards: all of them to be searched in both languages, and one that prints."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.pages.missing import is_there
from tillwatch.collector.web.pages.theme import STATIC, frame, page, text_of, words
from tillwatch.collector.web.parts import Parts


class CardList(Element, component=STATIC / "cards.js"):
    """Loads itself from the REST API."""


class CardSheet(Element, component=STATIC / "card.js"):
    """One card; loads itself from the REST API."""

    def __init__(self, rule: str) -> None:
        super().__init__()
        self._props["rule"] = rule


def add(parts: Parts) -> None:
    @page("/cards", Permission.SEE)
    async def cards(request: Request, client: Client) -> None:
        await parts.feed.ready()
        text = text_of(request)
        with frame(request, client, parts.feed, text, "cards", files=("cards",)):
            words("h1", text("cards.title")).classes("tw-title")
            CardList()

    @page("/cards/{rule}", Permission.SEE)
    async def one(request: Request, client: Client, rule: str) -> None:
        await parts.feed.ready()
        text = text_of(request)
        with frame(request, client, parts.feed, text, "cards", files=("cards",)):
            asked = parts.reads(lambda reader: reader.in_force().rules.by_id[rule])
            if not await is_there(client, asked, text("cards.missing", id=rule), text("cards.back"), "/cards"):
                return
            client.title = f"{rule} · tillwatch"
            CardSheet(rule)
