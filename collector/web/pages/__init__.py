"""The pages: NiceGUI builds each one's frame and controls on the server; long lists travel once, as JSON that all viewers share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Query, Response
from fastapi.responses import FileResponse
from nicegui import app as nicegui_app
from nicegui import ui

from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.pages import (
    alarms_page,
    at_risk_page,
    audit_page,
    branch_page,
    calendar_page,
    cards_page,
    delivery_page,
    enrolment_page,
    figures_page,
    fleet_page,
    heat_page,
    inbox_page,
    incident_page,
    monitoring_page,
    my_page,
    path_page,
    people_page,
    profile_page,
    readings_page,
    regions_page,
    rollout_page,
    roster_page,
    rules_page,
    supplies_page,
    terminal_page,
    trend_page,
    wall_page,
)
from tillwatch.collector.web.pages.theme import STATIC, static_version, texts_script
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest.answers import Language

FOR_EVER = "public, max-age=31536000, immutable"
RECONNECT_S = 20.0
"""How long a page that lost its connection may come back to its state: a phone between two cells."""


def mount(app: FastAPI, parts: Parts) -> None:
    """Adds the pages to `app`. NiceGUI keeps one set of pages per process, so this is called once."""
    reads, feed, now = parts.reads, parts.feed, parts.now

    @app.get("/console/fleet.json", include_in_schema=False, dependencies=[needs(Permission.SEE)])
    async def fleet_document(since: Annotated[str, Query(max_length=40)] = "", lang: Language = "en") -> Response:
        await feed.ready()
        return Response(
            feed.document(since, asking().scope, lang),
            media_type="application/json",
            headers={"Content-Encoding": "gzip", "Cache-Control": "no-store"},
        )

    @app.get(f"/console/{static_version()}/{{name}}", include_in_schema=False, dependencies=[needs(Permission.OPEN)])
    async def static_file(name: str) -> Response:
        if (texts := texts_script(name)) is not None:
            return Response(texts, media_type="text/javascript", headers={"Cache-Control": FOR_EVER})
        path = Path(STATIC, name)
        if path.parent != STATIC or path.suffix not in {".css", ".js", ".svg"} or not path.is_file():
            return Response(status_code=404)
        return FileResponse(path, headers={"Cache-Control": FOR_EVER})

    @app.get("/worker.js", include_in_schema=False, dependencies=[needs(Permission.OPEN)])
    async def worker() -> Response:
        # At the root, which is what it may serve; asked for anew by the browser at every visit.
        return FileResponse(STATIC / "worker.js", media_type="text/javascript", headers={"Cache-Control": "no-cache"})

    fleet_page.add(feed)
    terminal_page.add(reads, feed, now)
    alarms_page.add(feed)
    delivery_page.add(feed)
    inbox_page.add(parts)
    incident_page.add(reads, feed, now)
    my_page.add(parts)
    at_risk_page.add(reads, feed)
    trend_page.add(feed)
    audit_page.add(parts)
    branch_page.add(parts)
    calendar_page.add(parts)
    heat_page.add(parts)
    enrolment_page.add(parts)
    monitoring_page.add(parts)
    path_page.add(parts)
    regions_page.add(parts)
    wall_page.add(parts)
    cards_page.add(parts)
    rollout_page.add(parts)
    roster_page.add(parts)
    rules_page.add(parts)
    figures_page.add(parts)
    readings_page.add(parts)
    supplies_page.add(parts)
    if parts.people is not None:
        people_page.add(parts)
        profile_page.add(parts)
    nicegui_app.config.socket_io_js_transports = ["websocket"]  # long polling would open a door without an Origin check
    ui.run_with(
        app,
        title="tillwatch",
        favicon=STATIC / "favicon.svg",
        dark=None,
        tailwind=False,
        reconnect_timeout=RECONNECT_S,
        show_welcome_message=False,
        message_history_length=200,
        binding_refresh_interval=None,
        gzip_middleware_factory=None,  # the whole application has one
    )
