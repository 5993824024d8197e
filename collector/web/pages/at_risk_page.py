"""Which terminals will be ill: the greatest risk first, each with what is foreseen, why, when, how far that is to be believed, and what shows it; the rounds
of inspections that follow from it; and one finding with all of its evidence.
"""

from __future__ import annotations

from fastapi import Request
from nicegui import Client, ui
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.feed import Change, Feed
from tillwatch.collector.web.pages.missing import is_there
from tillwatch.collector.web.pages.theme import STATIC, frame, listen, page, text_of, words
from tillwatch.collector.web.reads import Reads


class RiskList(Element, component=STATIC / "risk.js"):
    """The terminals at risk, or the rounds, and the filters; loads itself from the REST API."""


class FindingList(Element, component=STATIC / "terminal_foretold.js"):
    """What is foreseen of one terminal, with its heading; nothing where nothing is. Loads itself from the REST API."""

    def __init__(self, terminal: str) -> None:
        super().__init__()
        self._props["terminal"] = terminal


class FindingSheet(Element, component=STATIC / "finding.js"):
    """The whole finding; loads itself from the REST API."""

    def __init__(self, finding: str) -> None:
        super().__init__()
        self._props["finding"] = finding


def add(reads: Reads, feed: Feed) -> None:
    @page("/at-risk", Permission.SEE)
    async def at_risk(request: Request, client: Client) -> None:
        await feed.ready()
        text = text_of(request)
        with frame(request, client, feed, text, "risk"):
            words("h1", text("risk.title")).classes("tw-title")
            RiskList()
        _refresh(client, feed)

    @page("/findings/{finding}", Permission.SEE)
    async def one(request: Request, client: Client, finding: str) -> None:
        await feed.ready()
        text = text_of(request)
        with frame(request, client, feed, text, "risk"):
            asked = reads(lambda reader: reader.finding(finding))
            if not await is_there(client, asked, text("finding.missing", id=finding), text("finding.back"), "/at-risk"):
                return
            client.title = f"{finding} · tillwatch"
            FindingSheet(finding)
        _refresh(client, feed)


def _refresh(client: Client, feed: Feed) -> None:
    def on_change(change: Change) -> None:
        if change.foretold or change.alarms:
            ui.run_javascript("tw.refresh()")

    listen(client, feed, on_change)
