"""How far the installation is: who is expected, who has enrolled, which claims wait for a person, which versions run."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.pages.theme import STATIC, frame, page, text_of, words
from tillwatch.collector.web.parts import Parts


class EnrolmentState(Element, component=STATIC / "enrolment.js"):
    """Loads itself from the REST API."""


def add(parts: Parts) -> None:
    @page("/enrolment", Permission.SEE)
    async def enrolment(request: Request, client: Client) -> None:
        await parts.feed.ready()
        text = text_of(request)
        with frame(request, client, parts.feed, text, "enrolment", files=("supplies",)):
            words("h1", text("enrolment.title")).classes("tw-title")
            EnrolmentState()
