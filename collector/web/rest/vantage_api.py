"""The path of the data and the heat map over REST."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query, Request, Response

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.predict.finding import Grade
from tillwatch.collector.read import TerminalView
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.health_path import STANDS_STILL_NS, Network, networks, path
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest.answers import PROBLEMS, SOME, UNCHANGED, Limit, Offset, tagged, unchanged
from tillwatch.collector.web.rest.overview_schema import HeatCells, PathHealth
from tillwatch.collector.web.rest.schema import Page
from tillwatch.collector.web.vantage import Vantage

Name = Annotated[str, Query(max_length=200)]


def add(api: APIRouter, parts: Parts, view: Vantage) -> None:
    async def around() -> dict[str, Network]:
        """Of all that the visitor may see: neighbours that they may not see do not count."""
        terminals = view.terminals()
        return networks(terminals, {one.id: (one.cells.lan, one.cells.wan) for one in terminals})

    async def stands_still() -> bool:
        health = await parts.reads(lambda reader: reader.health())
        return parts.now() - max(health.advanced_to, health.last_entry_at) > STANDS_STILL_NS

    @api.get(
        "/path",
        response_model=PathHealth,
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="The way from device to collector: which hop is guilty, of the fleet or of a part of it",
    )
    async def way(
        request: Request, response: Response, region: Name = "", branch: Name = "", terminal: Name = ""
    ) -> Any:
        asked = [
            (kind, name) for kind, name in (("terminal", terminal), ("branch", branch), ("region", region)) if name
        ]
        kind, name = asked[0] if asked else ("fleet", "")
        still = await view.once(("still",), stands_still)
        if tagged(request, response, await view.moment()):
            return unchanged(response)
        wanted = _of(view.terminals(), kind, name)
        if not wanted and kind != "fleet":
            raise HTTPException(404, f"no {kind} {name!r}")
        by_branch = await view.once(("networks",), around)

        async def found() -> PathHealth:
            return PathHealth.of(kind, name, path(wanted, by_branch, stands_still=still))

        return await view.once(("path", kind, name), found)

    @api.get(
        "/paths",
        response_model=Page[PathHealth],
        responses={**SOME, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="The same of every region, or of every branch of one, the gravest first",
    )
    async def ways(
        request: Request,
        response: Response,
        by: Annotated[Literal["region", "branch"], Query()] = "region",
        region: Name = "",
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> Any:
        still = await view.once(("still",), stands_still)
        if tagged(request, response, await view.moment()):
            return unchanged(response)
        by_branch = await view.once(("networks",), around)

        async def found() -> list[PathHealth]:
            places: dict[str, list[TerminalView]] = {}
            for one in view.terminals():
                if region in ("", one.region):
                    places.setdefault(getattr(one, by), []).append(one)
            made = [
                PathHealth.of(by, name, path(own, by_branch, stands_still=still))
                for name, own in sorted(places.items())
            ]
            return sorted(made, key=lambda one: -sum(hop.health.get("guilty", 0) for hop in one.hops))

        all_of_them = await view.once(("paths", by, region), found)
        return Page[PathHealth](
            items=all_of_them[offset : offset + limit], total=len(all_of_them), limit=limit, offset=offset
        )

    @api.get(
        "/heat",
        response_model=HeatCells,
        responses={**SOME, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="Model and risk of every terminal, for the heat map",
    )
    async def heat(request: Request, response: Response) -> Any:
        if tagged(request, response, await view.moment()):
            return unchanged(response)

        async def made() -> HeatCells:
            grades, files = await parts.reads(lambda reader: (reader.grades(), reader.assets()))
            graded: dict[str, Grade] = {each.terminal: each for each in grades}
            names = [one.id for one in view.terminals()]
            return HeatCells(
                terminals=names,
                model=[str(files.get(name, {}).get("model", "")) for name in names],
                score=[round(graded[name].score, 4) if name in graded else None for name in names],
                grade=[graded[name].grade if name in graded else "" for name in names],
            )

        return await view.once(("heat",), made)


def _of(terminals: Sequence[TerminalView], kind: str, name: str) -> list[TerminalView]:
    if kind == "fleet":
        return list(terminals)
    place = {"terminal": "id"}.get(kind, kind)
    return [one for one in terminals if getattr(one, place) == name]
