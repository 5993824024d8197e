"""The technician's phone: my incidents, and the repair of one. Both stay readable where the connection breaks, and keep what could not be sent."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client, ui
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.web.feed import Change
from tillwatch.collector.web.pages.missing import missing
from tillwatch.collector.web.pages.theme import STATIC, frame, listen, page, text_of, words
from tillwatch.collector.web.parts import Parts

SCRIPTS = ("acting", "queue")


class MyList(Element, component=STATIC / "my.js"):
    """What is this person's to do; loads itself from the REST API."""

    def __init__(self, person: str) -> None:
        super().__init__()
        self._props["person"] = person


class RepairSheet(Element, component=STATIC / "repair.js"):
    """One repair; loads itself from the REST API."""

    def __init__(self, incident: str, person: str) -> None:
        super().__init__()
        self._props["incident"] = incident
        self._props["person"] = person


def add(parts: Parts) -> None:
    feed = parts.feed

    @page("/my", Permission.ACT)
    async def my(request: Request, client: Client) -> None:
        await feed.ready()
        text = text_of(request)
        early = f"/api/v1/my?lang={text.language}"
        with frame(request, client, feed, text, "my", early=early, files=("inbox", "phone"), scripts=SCRIPTS):
            words("h1", text("phone.my")).classes("tw-title")
            MyList(asking().name)

        def on_change(change: Change) -> None:
            if change.alarms or change.incidents:
                ui.run_javascript("tw.refresh()")

        listen(client, feed, on_change)

    @page("/repair/{incident}", Permission.ACT)
    async def repair(request: Request, client: Client, incident: str) -> None:
        await feed.ready()
        text = text_of(request)
        try:
            await parts.reads(lambda reader: reader.incident(incident, parts.now()))
        except KeyError:
            with frame(request, client, feed, text, "my"):
                missing(client, text("incident.missing", id=incident), text("phone.my"), "/my")
            return
        with frame(request, client, feed, text, "my", files=("inbox", "phone"), scripts=SCRIPTS):
            client.title = f"{incident} · tillwatch"
            RepairSheet(incident, asking().name)
