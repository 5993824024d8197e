"""The REST API under /api/v1: typed, described by its own OpenAPI document; errors are problem+json, answers carry the
store's revision as ETag so that asking again costs little. What the pages show, they fetch here.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.routing import APIRoute
from starlette.routing import Match

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.drawing.series import thin
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.figures_jobs import FiguresJobs
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest import (
    acts_api,
    audit_api,
    calendar_api,
    cards_api,
    corrections_api,
    delivery_api,
    diagnosis_api,
    dossier_api,
    enrolment_api,
    events_api,
    figures_api,
    inbox_api,
    incident_api,
    me_api,
    monitoring_api,
    overview_api,
    people_api,
    prove_api,
    repair_api,
    report_api,
    risk_api,
    rollout_api,
    roster_api,
    rules_api,
    supplies_api,
)
from tillwatch.collector.web.rest.answers import (
    PROBLEMS,
    SOME,
    UNCHANGED,
    Language,
    Limit,
    Offset,
    Tags,
    known,
    moment,
    unchanged,
)
from tillwatch.collector.web.rest.exports import FILES, Exports, Format
from tillwatch.collector.web.rest.schema import (
    Component,
    Condition,
    MonitoringHealth,
    Page,
    SignalHistory,
    Terminal,
)
from tillwatch.collector.web.translation import Translation

PREFIX = "/api/v1"

MAX_POINTS = 5_000
"""Points of one history: more than any screen has pixels, small enough to answer at once."""

MAX_SPAN_S = 10 * 366 * 86_400
"""Ten years: longer than a terminal lives."""

DAY_S = 86_400

NANO = 1_000_000_000


def router(parts: Parts) -> APIRouter:
    """All routes."""
    reads, now = parts.reads, parts.now
    api = APIRouter(prefix=PREFIX, tags=["fleet"])
    tag, export, translation = Tags(reads), Exports(reads, now), Translation(parts.cards)

    @api.get(
        "/terminals",
        response_model=Page[Terminal],
        responses={**SOME, **UNCHANGED, **FILES},
        dependencies=[needs(Permission.SEE)],
        summary="Terminals, worst first",
    )
    async def terminals(
        request: Request,
        response: Response,
        branch: Annotated[str | None, Query(description="Only this branch", examples=["Harbour Road"])] = None,
        condition: Annotated[Condition | None, Query(description="Only this condition")] = None,
        terminal_class: Annotated[
            str | None, Query(alias="class", description="Only this class", examples=["atm"])
        ] = None,
        version: Annotated[
            str | None, Query(max_length=32, description="Only with this version of the agent", examples=["1.2.0"])
        ] = None,
        limit: Limit = 100,
        offset: Offset = 0,
        form: Format = None,
    ) -> Any:
        if form is None and await tag(request, response):
            return unchanged(response)
        wanted = [
            view
            for view in await reads(lambda reader: reader.terminals())
            if (version is None or view.version == version)
            and (branch is None or view.branch == branch)
            and (condition is None or view.condition == condition)
            and (terminal_class is None or view.terminal_class == terminal_class)
        ]
        if form is not None:
            return await export(Terminal, map(Terminal.of, wanted), form, "terminals")
        return Page[Terminal].part(wanted, Terminal.of, limit, offset)

    @api.get(
        "/terminals/{terminal}",
        response_model=Terminal,
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="One terminal",
    )
    async def one_terminal(request: Request, response: Response, terminal: str) -> Any:
        if await tag(request, response):
            return unchanged(response)
        return Terminal.of(await known(lambda: reads(lambda reader: reader.terminal(terminal)), terminal))

    @api.get(
        "/terminals/{terminal}/components",
        response_model=list[Component],
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="Its components with their latest values",
    )
    async def components(request: Request, response: Response, terminal: str, lang: Language = "en") -> Any:
        if await tag(request, response):
            return unchanged(response)
        views, book = await known(
            lambda: reads(lambda reader: (reader.components(terminal), reader.in_force())), terminal
        )
        return [Component.of(translation.component(view, book.rules, lang)) for view in views]

    @api.get(
        "/terminals/{terminal}/history",
        response_model=SignalHistory,
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="One signal over time, oldest first",
    )
    async def history(
        request: Request,
        response: Response,
        terminal: str,
        component: Annotated[str, Query(examples=["ups/battery"])],
        signal: Annotated[str, Query(examples=["battery.charge"])],
        start: Annotated[
            str | None, Query(alias="from", description="ISO 8601 or seconds since 1970; by default a day before `to`")
        ] = None,
        end: Annotated[
            str | None, Query(alias="to", description="ISO 8601 or seconds since 1970; by default now")
        ] = None,
        points: Annotated[
            int, Query(ge=2, le=MAX_POINTS, description="Points at most; more are merged, with their extremes kept")
        ] = 2_000,
    ) -> Any:
        until = moment(end, "to")
        last = now() if until is None else until
        since = moment(start, "from")
        first = last - DAY_S * NANO if since is None else since
        if first >= last:
            raise HTTPException(422, "query.from: must be before `to`")
        if last - first > MAX_SPAN_S * NANO:
            raise HTTPException(422, "query.from: more than ten years before `to`; ask for less")
        if until is not None and since is not None and await tag(request, response):
            return unchanged(response)
        found = await known(
            lambda: reads(lambda reader: reader.history(terminal, component, signal, first, last)),
            f"{terminal} {component} {signal}",
        )
        return SignalHistory.of(*thin(found, points))

    acts_api.add(api, parts)
    if parts.people is not None:
        me_api.add(api, parts.people, parts.house)
        people_api.add(api, parts.people, parts.house)
    audit_api.add(api, parts)
    calendar_api.add(api, parts)
    inbox_api.add(api, parts)
    cards_api.add(api, parts)
    incident_api.add(api, reads, translation, now)
    delivery_api.add(api, reads)
    diagnosis_api.add(api, parts)
    monitoring_api.add(api, parts)
    overview_api.add(api, parts)
    dossier_api.add(api, parts)
    events_api.add(api, parts)
    enrolment_api.add(api, parts)
    jobs = FiguresJobs(parts.store, parts.now)
    parts.at_end.append(jobs.close)
    about = figures_api.add(api, parts, jobs)
    corrections_api.add(api, parts, about)
    report_api.add(api, parts, about, jobs)
    prove_api.add(api, parts)
    repair_api.add(api, parts)
    risk_api.add(api, reads, parts.predicting, now)
    rollout_api.add(api, parts)
    roster_api.add(api, parts)
    rules_api.add(api, parts)
    supplies_api.add(api, parts)

    @api.get(
        "/health",
        response_model=MonitoringHealth,
        responses=SOME,
        dependencies=[needs(Permission.SEE)],
        summary="The health of the monitoring itself",
    )
    async def health(response: Response) -> Any:
        response.headers["Cache-Control"] = "no-store"
        return MonitoringHealth.of(await reads(lambda reader: reader.health()), now())

    @api.api_route(
        "/{rest:path}",
        methods=["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"],
        include_in_schema=False,
        dependencies=[needs(Permission.OPEN)],
    )
    async def nothing_here(request: Request, rest: str) -> None:
        # This route takes what no other one takes whole; one that fits but for the method knows its own.
        others = {
            method
            for route in api.routes
            if isinstance(route, APIRoute) and route.matches(request.scope)[0] is Match.PARTIAL
            for method in route.methods or ()
        }
        if others:
            raise HTTPException(405, f"use {' or '.join(sorted(others))}", {"Allow": ", ".join(sorted(others))})
        raise HTTPException(404, f"no {PREFIX}/{rest}; see {PREFIX}/openapi.json")

    return api
