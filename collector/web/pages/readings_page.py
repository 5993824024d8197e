"""From a value to its source: the readings of one signal round a time with the batches that hold them, and the proof of one."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from nicegui import Client
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.web.pages.missing import is_there
from tillwatch.collector.web.pages.theme import STATIC, frame, page, text_of, words
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest.prove_api import MAX_NAME


class ReadingList(Element, component=STATIC / "readings.js"):
    """Loads itself from the REST API."""

    def __init__(self, terminal: str, component: str, signal: str, at: str) -> None:
        """at: ISO 8601, empty for now."""
        super().__init__()
        self._props.update(terminal=terminal, component=component, signal=signal, at=at)
        self._props["may"] = asking().may(Permission.PROVE)


def add(parts: Parts) -> None:
    @page("/terminal/{terminal}/readings", Permission.SEE)
    async def readings(
        request: Request,
        client: Client,
        terminal: str,
        component: Annotated[str, Query(max_length=MAX_NAME)] = "",
        signal: Annotated[str, Query(max_length=MAX_NAME)] = "",
        at: Annotated[str, Query(max_length=40)] = "",
    ) -> None:
        await parts.feed.ready()
        text = text_of(request)
        with frame(request, client, parts.feed, text, "fleet", files=("readings",)):
            asked = parts.reads(lambda reader: reader.terminal(terminal))
            if not await is_there(client, asked, text("terminal.missing", id=terminal), text("terminal.back"), "/"):
                return
            words("h1", text("source.title")).classes("tw-title")
            ReadingList(terminal, component, signal, at)
