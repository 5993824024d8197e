"""The fleet from above over REST: roll-ups of regions and branches, the worst first, and the search that every page has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response

from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.read import AlarmView, TerminalView
from tillwatch.collector.web.branch_week import Weeks
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.overview import RollUp, by_place, find, missed, roll_up, worst_first
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest import vantage_api
from tillwatch.collector.web.rest.answers import (
    PROBLEMS,
    SOME,
    UNCHANGED,
    Language,
    Limit,
    Offset,
    Tags,
    known,
    tagged,
    unchanged,
)
from tillwatch.collector.web.rest.incident_schema import Incident
from tillwatch.collector.web.rest.overview_schema import (
    BranchDay,
    BranchWeek,
    DutyPerson,
    FleetNow,
    Found,
    OnDuty,
    PlaceRollUp,
    SearchResult,
    TerminalPart,
    WorstTerminal,
)
from tillwatch.collector.web.rest.schema import Page, iso
from tillwatch.collector.web.translation import Translation
from tillwatch.collector.web.vantage import Vantage

MAX_QUERY = 100
"""Characters of a search: the longest name of anything."""

Region = Annotated[str | None, Query(max_length=200, description="Only of this region", examples=["South"])]
Branch = Annotated[str | None, Query(max_length=200, description="Only of this branch", examples=["Harbour Road"])]


def add(api: APIRouter, parts: Parts) -> None:
    view = Vantage(parts.reads, parts.feed, parts.now)
    tag = Tags(parts.reads)
    weeks = Weeks(parts.store, parts.now)
    words = Translation(parts.cards)
    vantage_api.add(api, parts, view)

    async def branches() -> list[RollUp]:
        serving = await view.serving()
        return by_place(view.terminals(), lambda one: one.branch, serving)

    async def regions() -> list[RollUp]:
        serving = await view.serving()
        return by_place(view.terminals(), lambda one: one.region, serving)

    async def fleet() -> RollUp:
        serving = await view.serving()
        return roll_up(view.terminals(), "", serving)

    async def branch_called(name: str) -> RollUp:
        for one in await view.once(("branches",), branches):
            if one.name == name:
                return one
        raise HTTPException(404, f"no branch {name!r}")

    @api.get(
        "/search",
        response_model=SearchResult,
        responses=SOME,
        dependencies=[needs(Permission.SEE)],
        summary="Terminals, branches, regions and incidents that are called so",
    )
    async def search(
        response: Response,
        q: Annotated[str, Query(min_length=1, max_length=MAX_QUERY, description="A part of a name, an id or a text", examples=["harbour"])],
        lang: Language = "en",
        limit: Annotated[int, Query(ge=1, le=50, description="Of each kind")] = 6,
    ) -> Any:  # fmt: skip
        response.headers["Cache-Control"] = "no-store"
        incidents = await view.once(("incidents", lang), lambda: view.worded(words, lang))
        return SearchResult(items=[Found.of(hit) for hit in find(q, view.terminals(), incidents, limit)])

    @api.get(
        "/fleet",
        response_model=FleetNow,
        responses={**SOME, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="All terminals as one, and how their incidents stand to their targets",
    )
    async def whole(request: Request, response: Response) -> Any:
        if tagged(request, response, await view.moment()):
            return unchanged(response)
        return FleetNow.now(await view.once(("fleet",), fleet), missed(await view.incidents(), parts.now()))

    @api.get(
        "/worst",
        response_model=Page[WorstTerminal],
        responses={**SOME, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="Terminals in one line each, the worst first",
    )
    async def worst(
        request: Request,
        response: Response,
        region: Region = None,
        branch: Branch = None,
        lang: Language = "en",
        limit: Limit = 20,
        offset: Offset = 0,
    ) -> Any:
        if tagged(request, response, await view.moment()):
            return unchanged(response)

        async def ordered() -> Sequence[TerminalView]:
            return sorted(view.terminals(), key=worst_first)

        wanted = [
            one
            for one in await view.once(("worst",), ordered)
            if region in (None, one.region) and branch in (None, one.branch)
        ]
        rules = (await view.in_force()).rules

        def told(alarm: AlarmView | None) -> str:
            return words.alarm(alarm, rules, lang).text if alarm is not None else ""

        worst_of = parts.feed.worst
        return Page[WorstTerminal].part(
            wanted, lambda one: WorstTerminal.of(one, worst_of(one.id), told(worst_of(one.id))), limit, offset
        )

    @api.get(
        "/regions",
        response_model=Page[PlaceRollUp],
        responses={**SOME, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="Regions, the gravest first",
    )
    async def all_regions(request: Request, response: Response, limit: Limit = 100, offset: Offset = 0) -> Any:
        if tagged(request, response, await view.moment()):
            return unchanged(response)
        return Page[PlaceRollUp].part(await view.once(("regions",), regions), PlaceRollUp.of, limit, offset)

    @api.get(
        "/branches",
        response_model=Page[PlaceRollUp],
        responses={**SOME, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="Branches, the gravest first",
    )
    async def all_branches(
        request: Request, response: Response, region: Region = None, limit: Limit = 100, offset: Offset = 0
    ) -> Any:
        if tagged(request, response, await view.moment()):
            return unchanged(response)
        found = await view.once(("branches",), branches)
        wanted = [one for one in found if region is None or one.region == region]
        return Page[PlaceRollUp].part(wanted, PlaceRollUp.of, limit, offset)

    @api.get(
        "/branch",
        response_model=PlaceRollUp,
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="One branch",
    )
    async def one_branch(request: Request, response: Response, name: Annotated[str, Query(max_length=200)]) -> Any:
        if tagged(request, response, await view.moment()):
            return unchanged(response)
        return PlaceRollUp.of(await branch_called(name))

    @api.get(
        "/branch/incidents",
        response_model=Page[Incident],
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="Living incidents of a branch, level 1 first, the newest first within a level",
    )
    async def branch_incidents(
        request: Request,
        response: Response,
        name: Annotated[str, Query(max_length=200)],
        lang: Language = "en",
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> Any:
        await branch_called(name)
        if tagged(request, response, await view.moment()):
            return unchanged(response)
        found = [each for each in await view.worded(words, lang) if each.branch == name]
        return Page[Incident].part(found, Incident.of, limit, offset)

    @api.get(
        "/branch/week",
        response_model=BranchWeek,
        responses=PROBLEMS,
        dependencies=[needs(Permission.SEE)],
        summary="The last seven days of a branch, computed at most every ten minutes",
    )
    async def branch_week(response: Response, name: Annotated[str, Query(max_length=200)]) -> Any:
        response.headers["Cache-Control"] = "no-store"
        await branch_called(name)
        week = await weeks.of(name)
        zone = (await view.in_force()).policy.zone
        if week is None:
            return BranchWeek(days=[], computed=None, zone=zone)
        return BranchWeek(days=[BranchDay.of(day) for day in week.days], computed=iso(week.computed_at), zone=zone)

    @api.get(
        "/branch/duty",
        response_model=list[OnDuty],
        responses=PROBLEMS,
        dependencies=[needs(Permission.SEE)],
        summary="Who is on duty for a branch now, by role; how to reach them is for who may act",
    )
    async def branch_duty(response: Response, name: Annotated[str, Query(max_length=200)]) -> Any:
        response.headers["Cache-Control"] = "no-store"
        here = await branch_called(name)
        roster, at = (await view.in_force()).policy.roster, parts.now()
        if not roster.shifts:
            return []
        reached = asking().may(Permission.ACT)
        return [
            OnDuty(
                role=role,
                people=[
                    DutyPerson(name=person.name, contact=dict(person.contact) if reached else {})
                    for person in roster.on_duty(role, at, here.name, here.region)
                ],
            )
            for role in roster.roles
        ]

    @api.get(
        "/terminals/{terminal}/parts",
        response_model=list[TerminalPart],
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="Its components by the columns of the fleet grid, without their signals",
    )
    async def terminal_parts(request: Request, response: Response, terminal: str) -> Any:
        if await tag(request, response):
            return unchanged(response)
        found = await known(lambda: parts.reads(lambda reader: reader.components(terminal)), terminal)
        return [TerminalPart.of(one) for one in found]
