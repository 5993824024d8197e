"""Availability, service and alarm load of any period and part of the fleet, and the time of one terminal, stretch by stretch, with its corrections."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.web.pages.missing import is_there
from tillwatch.collector.web.pages.theme import STATIC, frame, page, text_of, words
from tillwatch.collector.web.parts import Parts


class FiguresSheet(Element, component=STATIC / "figures.js"):
    """The figures of what the address says (`month`, or `from` and `to`; `scope`); loads itself from the REST API."""


class TerminalTime(Element, component=STATIC / "terminal_time.js"):
    """The stretches of one terminal's time, and the form by which one is corrected; loads itself from the REST API."""

    def __init__(self, terminal: str) -> None:
        super().__init__()
        self._props["terminal"] = terminal
        self._props["may"] = asking().may(Permission.PLAN)


def add(parts: Parts) -> None:
    @page("/figures", Permission.SEE)
    async def figures(request: Request, client: Client) -> None:
        await parts.feed.ready()
        text = text_of(request)
        with frame(request, client, parts.feed, text, "figures", files=("figures",)):
            words("h1", text("figures.title")).classes("tw-title")
            FiguresSheet()

    @page("/figures/{terminal}", Permission.SEE)
    async def one(request: Request, client: Client, terminal: str) -> None:
        await parts.feed.ready()
        text = text_of(request)
        with frame(request, client, parts.feed, text, "figures", files=("figures",)):
            asked = parts.reads(lambda reader: reader.terminal(terminal))
            if not await is_there(
                client, asked, text("terminal.missing", id=terminal), text("interval.back"), "/figures"
            ):
                return
            client.title = f"{terminal} · tillwatch"
            words("h1", text("interval.title", terminal=terminal)).classes("tw-title")
            TerminalTime(terminal)
