"""Configuration bundles on their way to the fleet: rings, how far they are, whom the bundle was bad for and why, what each terminal runs."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.web.pages.theme import STATIC, frame, page, text_of, words
from tillwatch.collector.web.parts import Parts


class Rollouts(Element, component=STATIC / "rollout.js"):
    """Loads itself from the REST API."""

    def __init__(self) -> None:
        super().__init__()
        visitor = asking()
        self._props["may"] = visitor.may(Permission.ROLL_OUT) and visitor.scope.whole


def add(parts: Parts) -> None:
    @page("/rollout", Permission.SEE)
    async def rollout(request: Request, client: Client) -> None:
        await parts.feed.ready()
        text = text_of(request)
        with frame(request, client, parts.feed, text, "rollout", files=("rollout",)):
            words("h1", text("rollout.title")).classes("tw-title")
            Rollouts()
