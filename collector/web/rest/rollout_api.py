"""The routes of configuration bundles: what was published, how it comes to the fleet, what each terminal runs. Bundles are published at the command line, where
their files lie and are checked; who starts, halts and returns a rollout does it for the whole fleet, and on record.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response

from tillwatch.agent.wire import MAX_TERMINAL
from tillwatch.collector.incident.incident_views import ConsoleReader
from tillwatch.collector.people.roles import Permission, Visitor, asking
from tillwatch.collector.rollout.reading import RolloutView
from tillwatch.collector.rollout.rings import RingError, place, rings_of
from tillwatch.collector.rollout.states import RETURNED, RUNNING
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest.acts_api import Key
from tillwatch.collector.web.rest.answers import PROBLEMS, SOME, UNCHANGED, Limit, Offset, Tags, known, unchanged
from tillwatch.collector.web.rest.rollout_schema import (
    BundleContent,
    BundleView,
    Configured,
    ConfigView,
    RingOf,
    Rollout,
    RolloutWanted,
    Why,
)
from tillwatch.collector.web.rest.schema import Page, Problem
from tillwatch.device_profiles.bundle import unpack

MAX_LISTED = 200
"""Rollouts and bundles of one list: years of a bank."""
REFUSED: dict[int | str, dict[str, Any]] = {
    **PROBLEMS,
    409: {"model": Problem, "description": "It cannot be done now", "content": {"application/problem+json": {}}},
}
OFF = "this collector brings no bundles out: [rollout] enabled = true, then restart it"
LATER = "the collector has taken it, and it cannot be read yet; look at the rollouts"
Id = Annotated[int, Path(ge=1, le=2**62, examples=[4711])]
TerminalId = Annotated[str, Path(min_length=1, max_length=MAX_TERMINAL, examples=["ATM-0012"])]


def add(api: APIRouter, parts: Parts) -> None:
    _looking(api, parts)
    _acting(api, parts)


def _looking(api: APIRouter, parts: Parts) -> None:
    reads, tag = parts.reads, Tags(parts.reads)
    see = [needs(Permission.SEE)]

    @api.get(
        "/bundles",
        response_model=list[BundleView],
        responses={**SOME, **UNCHANGED},
        dependencies=see,
        summary="Configuration bundles, the newest first",
    )
    async def bundles(request: Request, response: Response) -> Any:
        if await tag(request, response):
            return unchanged(response)
        found = await reads(lambda reader: reader.config_bundles())
        return [BundleView.of(bundle) for bundle in found[:MAX_LISTED]]

    @api.get(
        "/bundles/{bundle}",
        response_model=BundleContent,
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=see,
        summary="One bundle and what is in it",
    )
    async def bundle_of(request: Request, response: Response, bundle: Id) -> Any:
        if await tag(request, response):
            return unchanged(response)
        found = await known(lambda: reads(lambda reader: reader.config_bundle(bundle)), str(bundle))
        content = unpack(found.content)
        return BundleContent(
            **BundleView.of(found).model_dump(), sampling=dict(content.sampling), texts=dict(content.files())
        )

    @api.get(
        "/rollouts",
        response_model=Page[Rollout],
        responses={**SOME, **UNCHANGED},
        dependencies=see,
        summary="Rollouts, the newest first",
    )
    async def rollouts(request: Request, response: Response, limit: Limit = 20, offset: Offset = 0) -> Any:
        if await tag(request, response):
            return unchanged(response)
        found = await reads(lambda reader: reader.rollouts(MAX_LISTED))
        items = [Rollout.of(view) for view in found[offset : offset + limit]]
        return Page[Rollout](items=items, total=len(found), limit=limit, offset=offset)

    @api.get(
        "/rollouts/{rollout}",
        response_model=Rollout,
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=see,
        summary="One rollout: its rings, who fell back and why, what happened",
    )
    async def one(request: Request, response: Response, rollout: Id) -> Any:
        if await tag(request, response):
            return unchanged(response)
        return Rollout.of(await known(lambda: reads(lambda reader: reader.rollout(rollout)), str(rollout)))

    @api.get(
        "/configurations",
        response_model=Configured,
        responses={**SOME, **UNCHANGED},
        dependencies=see,
        summary="What each terminal runs beside its own configuration",
    )
    async def configurations(
        request: Request,
        response: Response,
        terminal: Annotated[str | None, Query(max_length=MAX_TERMINAL, description="Only this terminal")] = None,
        ring: Annotated[str | None, Query(max_length=32, description="Only this ring")] = None,
        state: Annotated[
            str | None, Query(max_length=16, description="Only in this state", examples=["fallen-back"])
        ] = None,
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> Any:
        if await tag(request, response):
            return unchanged(response)

        def look(reader: ConsoleReader) -> tuple[bool, list[ConfigView]]:
            found = reader.members([terminal] if terminal else ())
            return reader.rollouts_enabled(), [ConfigView.of(view) for view in found]

        enabled, views = await reads(look)
        wanted = [each for each in views if ring in (None, each.ring) and state in (None, each.state)]
        counts = dict(Counter(each.state for each in views))
        return Configured(
            enabled=enabled,
            counts=counts,
            items=wanted[offset : offset + limit],
            total=len(wanted),
            limit=limit,
            offset=offset,
        )


def _acting(api: APIRouter, parts: Parts) -> None:
    reads = parts.reads
    roll = [needs(Permission.ROLL_OUT)]

    @api.post(
        "/rollouts",
        response_model=Rollout,
        status_code=202,
        responses=REFUSED,
        dependencies=roll,
        summary="Bring a bundle to the fleet, ring by ring",
    )
    async def start(wanted: RolloutWanted, key: Key) -> Any:
        visitor, reason = _whole(), _said(wanted.reason)
        ref = key or uuid4().hex

        def look(reader: ConsoleReader) -> tuple[RolloutView | None, int]:
            listed = reader.rollouts(MAX_LISTED)
            again = next((view for view in listed if view.rollout.ref == ref and view.rollout.by == visitor.name), None)
            if again is not None:
                return again, 0
            if not reader.rollouts_enabled():
                raise HTTPException(409, OFF)
            if listed and listed[0].rollout.state == RUNNING:
                raise HTTPException(409, f"rollout {listed[0].rollout.n} runs: halt or return it first")
            _check_rings(reader, wanted)
            bundle = next((each.n for each in reader.config_bundles() if each.name == wanted.bundle), 0)
            if wanted.bundle and not bundle:
                raise HTTPException(422, f"body.bundle: there is no bundle {wanted.bundle}")
            return None, bundle

        again, bundle = await reads(look)
        if again is None:
            rings = [ring.facts() for ring in wanted.rings]
            facts = {
                "action": "rollout",
                "bundle": bundle,
                "rings": rings,
                "gate": wanted.gate.facts(),
                "reason": reason,
                "ref": ref,
            }
            await parts.acts(visitor, facts)
            again = await reads(
                lambda reader: next((v for v in reader.rollouts(MAX_LISTED) if v.rollout.ref == ref), None)
            )
        if again is None:
            raise HTTPException(503, LATER)
        return Rollout.of(again)

    async def end(rollout: int, action: str, why: Why) -> Rollout:
        visitor, reason = _whole(), _said(why.reason)

        def look(reader: ConsoleReader) -> None:
            state = reader.rollout(rollout).rollout.state
            newest = reader.rollouts(1)[0].rollout.n
            if (action == "rollout-halt" and state != RUNNING) or state == RETURNED or newest != rollout:
                raise HTTPException(
                    409, f"rollout {rollout} is {state}{'' if newest == rollout else ', and not the newest one'}"
                )

        await known(lambda: reads(look), str(rollout))
        await parts.acts(visitor, {"action": action, "rollout": rollout, "reason": reason})
        return Rollout.of(await reads(lambda reader: reader.rollout(rollout)))

    @api.post(
        "/rollouts/{rollout}/halt",
        response_model=Rollout,
        responses=REFUSED,
        dependencies=roll,
        summary="Stop it where it is: no ring more begins",
    )
    async def halt(rollout: Id, why: Why) -> Any:
        return await end(rollout, "rollout-halt", why)

    @api.post(
        "/rollouts/{rollout}/return",
        response_model=Rollout,
        responses=REFUSED,
        dependencies=roll,
        summary="Take every terminal that it told anything back to what was good there before",
    )
    async def give_back(rollout: Id, why: Why) -> Any:
        return await end(rollout, "rollout-return", why)

    @api.put(
        "/terminals/{terminal}/ring",
        response_model=ConfigView,
        responses=REFUSED,
        dependencies=roll,
        summary="Put a terminal into a ring, from the next rollout on",
    )
    async def ring(terminal: TerminalId, wanted: RingOf) -> Any:
        def look(reader: ConsoleReader) -> ConfigView:
            found = reader.members([terminal])
            if not found:
                raise KeyError(terminal)
            return ConfigView.of(found[0])

        await known(lambda: reads(look), terminal)
        facts = {"action": "terminal-ring", "terminal": terminal, "ring": wanted.ring, "reason": _said(wanted.reason)}
        await parts.acts(asking(), facts)
        return await known(lambda: reads(look), terminal)


def _whole() -> Visitor:
    """Who is there for a part of the fleet does not decide for all of it."""
    visitor = asking()
    if not visitor.scope.whole:
        raise HTTPException(403, "a rollout is for the whole fleet, and your account is for a part of it")
    return visitor


def _said(reason: str) -> str:
    if not reason.strip() or not reason.isprintable():
        raise HTTPException(422, "body.reason: say in one line of printable characters why")
    return reason.strip()


def _check_rings(reader: ConsoleReader, wanted: RolloutWanted) -> None:
    """Raises HTTPException."""
    try:
        rings = rings_of([ring.facts() for ring in wanted.rings])
    except RingError as error:
        raise HTTPException(422, f"body.rings: {error}") from None
    members = [view.member for view in reader.members()]
    known_ones = {member.terminal for member in members}
    if strange := [name for ring in rings for name in ring.terminals if name not in known_ones]:
        raise HTTPException(422, f"body.rings: there is no terminal {strange[0]}")
    if not any(place(one.terminal, rings, one.ring if one.fixed else "") == rings[0].name for one in members):
        raise HTTPException(422, f"body.rings: {rings[0].name} is empty; name terminals for it, or raise its share")
