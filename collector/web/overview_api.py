"""The fleet from above over REST: roll-ups of regions and branches, and the search that every page has."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.answers import PROBLEMS, SOME, UNCHANGED, Limit, Offset, Tags, known, tagged, unchanged
from tillwatch.collector.web.door import needs
from tillwatch.collector.web.overview import RollUp, by_place, find, roll_up
from tillwatch.collector.web.overview_schema import Found, PlaceRollUp, SearchResult, TerminalPart
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.schema import Page
from tillwatch.collector.web.vantage import Vantage

MAX_QUERY = 100
"""Characters of a search: the longest name of anything."""

Region = Annotated[str | None, Query(max_length=200, description="Only of this region", examples=["South"])]


def add(api: APIRouter, parts: Parts) -> None:
    view = Vantage(parts.reads, parts.feed, parts.now)
    tag = Tags(parts.reads)

    async def branches() -> list[RollUp]:
        serving = await view.serving()
        return by_place(view.terminals(), lambda one: one.branch, serving)

    async def regions() -> list[RollUp]:
        serving = await view.serving()
        return by_place(view.terminals(), lambda one: one.region, serving)

    async def fleet() -> RollUp:
        serving = await view.serving()
        return roll_up(view.terminals(), "", serving)

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
        limit: Annotated[int, Query(ge=1, le=50, description="Of each kind")] = 6,
    ) -> Any:  # fmt: skip
        response.headers["Cache-Control"] = "no-store"
        incidents = await view.incidents()
        return SearchResult(items=[Found.of(hit) for hit in find(q, view.terminals(), incidents, limit)])

    @api.get(
        "/fleet",
        response_model=PlaceRollUp,
        responses={**SOME, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="All terminals as one",
    )
    async def whole(request: Request, response: Response) -> Any:
        if tagged(request, response, await view.moment()):
            return unchanged(response)
        return PlaceRollUp.of(await view.once(("fleet",), fleet))

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
        return _page(await view.once(("regions",), regions), limit, offset)

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
        return _page([one for one in found if region is None or one.region == region], limit, offset)

    @api.get(
        "/branches/{branch:path}",
        response_model=PlaceRollUp,
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="One branch",
    )
    async def one_branch(request: Request, response: Response, branch: str) -> Any:
        if tagged(request, response, await view.moment()):
            return unchanged(response)
        for one in await view.once(("branches",), branches):
            if one.name == branch:
                return PlaceRollUp.of(one)
        raise HTTPException(404, f"no branch {branch!r}")

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


def _page(found: list[RollUp], limit: int, offset: int) -> Page[PlaceRollUp]:
    return Page[PlaceRollUp](
        items=[PlaceRollUp.of(one) for one in found[offset : offset + limit]],
        total=len(found),
        limit=limit,
        offset=offset,
    )
