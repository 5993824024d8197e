"""The routes of the duty roster: who is on duty, when nobody is, and who would be told of an incident now. It is read-only: the roster stands in the policy file."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Response

from tillwatch.collector.config import Config, ConfigError, load_config
from tillwatch.collector.contacts import masked
from tillwatch.collector.duty.calendars import DAY_NS
from tillwatch.collector.duty.coverage import called_roles, coverage
from tillwatch.collector.duty.policy import DEFAULT_CLASS, Policy
from tillwatch.collector.duty.targets import RESPONSE, Step
from tillwatch.collector.incident.incident_views import InForce
from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.routes import checked_routes
from tillwatch.collector.routing.decide import decide
from tillwatch.collector.routing.matching import RouteFacts
from tillwatch.collector.routing.table import RouteTable
from tillwatch.collector.tickets.message import Op, TicketMessage
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.entry.looking import Looks
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest.answers import PROBLEMS, SOME, moment
from tillwatch.collector.web.rest.roster_schema import (
    DutyRoster,
    DutyRow,
    Ladder,
    LadderStep,
    PersonShown,
    Told,
    ToldStep,
    Way,
)
from tillwatch.collector.web.rest.schema import iso

MAX_DAYS = 62
"""Of one look at the roster."""
MAX_NAME = 200


def add(api: APIRouter, parts: Parts) -> None:
    reads, now, looks = parts.reads, parts.now, Looks(parts.acts, parts.now)

    @api.get(
        "/roster",
        response_model=DutyRoster,
        responses=SOME,
        dependencies=[needs(Permission.SEE)],
        summary="Who is on duty by role and place, the gaps, and the escalation of each level",
    )
    async def roster(
        response: Response,
        start: Annotated[str | None, Query(alias="from", max_length=40, description="ISO 8601 or seconds since 1970; by default now")] = None,
        days: Annotated[int, Query(ge=1, le=MAX_DAYS)] = 7,
    ) -> Any:  # fmt: skip
        response.headers["Cache-Control"] = "no-store"
        at = now()
        since = moment(start, "from") or at
        until = since + days * DAY_NS
        book, places = await reads(lambda reader: (reader.in_force(), reader.places()))
        policy, regions = book.policy, dict(places.values())
        rows, left_out = coverage(policy, regions, since, until)
        scope = asking().scope
        own = [row for row in rows if not (row.branch or row.region) or scope.covers(row.branch, row.region)]
        called = called_roles(policy.targets)
        config = await asyncio.to_thread(_config, parts)
        shown = [
            DutyRow.of(row, policy.roster.roles[row.role], called.get(row.role, ()), policy.roster.on_duty(row.role, at, row.branch, row.region))
            for row in own
        ]  # fmt: skip
        return DutyRoster(
            used=bool(policy.roster.shifts), zone=policy.zone, since=iso(since), until=iso(until), rows=shown, left_out=left_out,
            ladders=[Ladder.of(target) for _, target in sorted(policy.targets.items())], unmanned=[role for role in called if role not in {shift.role for shift in policy.roster.shifts}] if policy.roster.shifts else [],
            source=str(config.policy.file.name) if config is not None and config.policy.file is not None else "",
        )  # fmt: skip

    @api.get(
        "/roster/told",
        response_model=Told,
        responses=PROBLEMS,
        dependencies=[needs(Permission.SEE)],
        summary="Who would be told of an incident at a branch, found now",
    )
    async def told(
        response: Response,
        branch: Annotated[str, Query(min_length=1, max_length=MAX_NAME, examples=["Harbour Road"])],
        level: Annotated[int, Query(ge=1, le=3)] = 1,
        terminal_class: Annotated[str, Query(alias="class", max_length=40, examples=["atm"])] = DEFAULT_CLASS,
    ) -> Any:
        response.headers["Cache-Control"] = "no-store"
        book, places = await reads(lambda reader: (reader.in_force(), reader.places()))
        region = next((place[1] for place in places.values() if place[0] == branch), None)
        if region is None:
            raise HTTPException(404, f"no branch {branch!r} in the store")
        table = await asyncio.to_thread(_routes, parts, book)
        return _told(book.policy, table, level, branch, region, terminal_class, now())

    @api.post(
        "/roster/people/{person}/contact",
        response_model=PersonShown,
        responses=PROBLEMS,
        dependencies=[needs(Permission.SEE_PROTECTED)],
        summary="How somebody of the roster is reached, whole; that somebody looked becomes record first",
    )
    async def contact(response: Response, person: Annotated[str, Path(max_length=MAX_NAME, examples=["chen"])]) -> Any:
        response.headers["Cache-Control"] = "no-store"
        found = (await reads(lambda reader: reader.in_force())).policy.roster.people.get(person)
        if found is None:
            raise HTTPException(404, f"nobody on the roster is called {person!r}")
        await looks(asking(), f"contact of {person}", what="contact", person=person)
        return PersonShown(id=found.id, name=found.name, contact=dict(found.contact))


def _told(
    policy: Policy, table: RouteTable | None, level: int, branch: str, region: str, terminal_class: str, at: int
) -> Told:
    """at: UTC ns."""
    target, hours = policy.targets[level], policy.calendar(level, terminal_class, branch)
    facts = RouteFacts(level, branch=branch, region=region, terminal_class=terminal_class)

    def message(told: tuple[tuple[str, str, str], ...], when: int) -> TicketMessage:
        return TicketMessage(
            "", Op.OPEN, 0, level, "", branch, region, "", "", when, at, told=told, terminal_class=terminal_class
        )

    def shown(step: Step) -> ToldStep:
        due = hours.add(at, step.after_ns) if step.after_ns else hours.opens(at)
        people = policy.roster.on_duty(step.role, due, branch, region) if step.role and step.channels else ()
        ways: list[Way] = []
        if table is not None and people:
            calls = tuple((step.role, one.name, channel) for one in people for channel in one.reach(step.channels))
            routed = decide(table, facts, message(calls, due), due, policy)
            ways = [
                Way(connector=name, channel=leg.channel, contact=masked(leg.contact)) for name, leg in routed.notify
            ]
        return ToldStep(**dict(LadderStep.of(step)), due=iso(due), people=[PersonShown.of(one) for one in people], ways=ways)  # fmt: skip

    routed = decide(table, facts, message((), at), at, policy) if table is not None else None
    steps = [shown(step) for step in target.steps if step.kind == RESPONSE]
    runs = hours.is_open(at)
    return Told(
        level=level, branch=branch, region=region, at=iso(at), open=runs, runs_at=iso(at if runs else hours.opens(at)), steps=steps,
        ticket=routed.ticket[0] if routed is not None and routed.ticket is not None else "", why=routed.why if routed is not None else "",
        routed=table is not None,
    )  # fmt: skip


def _config(parts: Parts) -> Config | None:
    if parts.config is None:
        return None
    try:
        return load_config(parts.config)
    except ConfigError:  # it was changed since the collector's start, which says so at the next one
        return None


def _routes(parts: Parts, book: InForce) -> RouteTable | None:
    config = _config(parts)
    if config is None:
        return None
    try:
        return checked_routes(config, book.policy, book.rules)[0]
    except ConfigError:
        return None
