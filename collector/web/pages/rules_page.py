"""Rules in force with what they did, and one of them, to be tried with other limits over the past."""

from __future__ import annotations

from fastapi import Request
from nicegui import Client
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.web.pages.missing import is_there
from tillwatch.collector.web.pages.theme import STATIC, frame, page, text_of, words
from tillwatch.collector.web.parts import Parts


class RuleList(Element, component=STATIC / "rules.js"):
    """Loads itself from the REST API."""


class RuleSheet(Element, component=STATIC / "rule.js"):
    """One rule. may: whether whoever looks may try it."""

    def __init__(self, rule: str, *, may: bool) -> None:
        super().__init__()
        self._props["rule"] = rule
        self._props["may"] = may


def add(parts: Parts) -> None:
    @page("/rules", Permission.SEE)
    async def rules(request: Request, client: Client) -> None:
        await parts.feed.ready()
        text = text_of(request)
        with frame(request, client, parts.feed, text, "rules", files=("rules",)):
            words("h1", text("rules.title")).classes("tw-title")
            RuleList()

    @page("/rules/{rule}", Permission.SEE)
    async def one(request: Request, client: Client, rule: str) -> None:
        await parts.feed.ready()
        text = text_of(request)
        with frame(request, client, parts.feed, text, "rules", files=("rules",)):
            asked = parts.reads(lambda reader: reader.in_force().rules.by_id[rule])
            if not await is_there(client, asked, text("rules.missing", id=rule), text("rules.back"), "/rules"):
                return
            client.title = f"{rule} · tillwatch"
            RuleSheet(rule, may=asking().may(Permission.TRY_RULES))
