"""The alarm inbox: what to do first, by whom it is being done, until when, and everything that can be done about it without leaving the list."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client, ui
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.feed import Change
from tillwatch.collector.web.pages.theme import STATIC, frame, listen, page, text_of, words
from tillwatch.collector.web.parts import Parts


class InboxList(Element, component=STATIC / "inbox.js"):
    """All incidents that live, and the acts on them; loads itself from the REST API."""


def add(parts: Parts) -> None:
    feed = parts.feed

    @page("/inbox", Permission.SEE)
    async def inbox(request: Request, client: Client) -> None:
        await feed.ready()
        text = text_of(request)
        early = f"/api/v1/inbox?lang={text.language}"
        with frame(request, client, feed, text, "inbox", early=early, files=("inbox",), scripts=("acting", "panel")):
            words("h1", text("inbox.title")).classes("tw-title")
            InboxList()

        def on_change(change: Change) -> None:
            if change.alarms or change.incidents or change.deliveries:
                ui.run_javascript("tw.refresh()")

        listen(client, feed, on_change)
