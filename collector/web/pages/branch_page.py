"""One branch: its terminals, worst first, what is open and planned there, who is on duty, and how the last seven days were."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import Request
from nicegui import Client, ui
from nicegui.element import Element

from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.terminal.component_groups import GROUPS
from tillwatch.collector.web.feed import Change
from tillwatch.collector.web.pages.theme import STATIC, frame, listen, page, text_of, words
from tillwatch.collector.web.parts import Parts


class BranchSheet(Element, component=STATIC / "branch.js"):
    """All of a branch; loads itself from the REST API."""

    def __init__(self, branch: str, region: str, *, plan: bool) -> None:
        """plan: whether its visitor may plan work there."""
        super().__init__()
        self._props["branch"] = branch
        self._props["region"] = region
        self._props["plan"] = plan
        self._props["groups"] = list(GROUPS)


def add(parts: Parts) -> None:
    feed = parts.feed

    @page("/branch/{branch:path}", Permission.SEE)
    async def one_branch(request: Request, client: Client, branch: str) -> None:
        await feed.ready()
        text = text_of(request)
        terminals = feed.terminals_of(asking().scope).values()
        here = next((view for view in terminals if view.branch == branch), None)
        with frame(request, client, feed, text, "regions", files=("overview",), scripts=("overview",)):
            with ui.element("div").classes("tw-crumbs"):
                ui.link(text("nav.regions"), "/regions")
                if here is not None:
                    ui.link(here.region or "–", f"/regions/{quote(here.region, safe='')}")
            words("h1", branch if here is not None else text("aloft.no_branch", name=branch)).classes("tw-title")
            if here is not None:
                client.title = f"{branch} · tillwatch"
                BranchSheet(branch, here.region, plan=asking().may(Permission.PLAN))
            else:
                client.status_code = 404

        def on_change(change: Change) -> None:
            if change.terminals or change.alarms or change.incidents:
                ui.run_javascript("tw.refresh()")

        listen(client, feed, on_change)
