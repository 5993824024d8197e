"""The routes of a terminal's file: the device file and notes, the timeline, the seven days, rated lives, terminals like it, and what becomes due of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Header, HTTPException, Query, Request, Response

from tillwatch.collector.incident.incident_views import ConsoleReader
from tillwatch.collector.people.masking import secrets_of
from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.terminal import asset
from tillwatch.collector.terminal.asset import DUES, FieldError
from tillwatch.collector.terminal.dossier import KINDS
from tillwatch.collector.tickets.words import day_at
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.entry.looking import Looks
from tillwatch.collector.web.parts import Parts
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
from tillwatch.collector.web.rest.dossier_schema import (
    AssetFields,
    AssetRecord,
    Dossier,
    Life,
    LifeCycle,
    LifeCycleChange,
    NoteShown,
    NoteText,
    Revealed,
    ServiceDue,
    SimilarShown,
    StripShown,
    TimelineShown,
)
from tillwatch.collector.web.rest.schema import Page, Problem
from tillwatch.collector.web.translation import Translation

T = TypeVar("T")
DAY_NS = 86_400 * 10**9
STRIP_DAYS = 7
MAX_DAYS = 400
"""Days that one timeline spans: a year and the month before it; whoever wants more asks again."""
BEHIND: dict[int | str, dict[str, Any]] = {
    412: {
        "model": Problem,
        "description": "Somebody changed it meanwhile",
        "content": {"application/problem+json": {}},
    },
    428: {"model": Problem, "description": "If-Match is missing", "content": {"application/problem+json": {}}},
}
STALE = "somebody changed the device file meanwhile; load it again"
OFFERED = (Permission.ACT, Permission.PLAN, Permission.SEE_PROTECTED, Permission.DIAGNOSE, Permission.PROVE)
"""What the page offers to who may."""


def add(api: APIRouter, parts: Parts) -> None:
    reads, now = parts.reads, parts.now
    tag, words = Tags(reads), Translation(parts.cards)
    looks = Looks(parts.acts, now)

    def text_in(reader: ConsoleReader, lang: str) -> Callable[[str], str]:
        rules = reader.in_force().rules
        return lambda rule: words.text(rules, rule, lang)

    async def of(terminal: str, question: Callable[[ConsoleReader], T]) -> T:
        return await known(lambda: reads(question), terminal)

    @api.get(
        "/terminals/{terminal}/dossier",
        response_model=Dossier,
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="Its file: device file, serial numbers, what is due, notes, versions, repairs, keys",
    )
    async def dossier(request: Request, response: Response, terminal: str, lang: Language = "en") -> Any:
        if await tag(request, response):
            return unchanged(response)
        may = [permission.value for permission in OFFERED if asking().may(permission)]

        def ask(reader: ConsoleReader) -> Dossier:
            view, identity = reader.dossier(terminal, now()), reader.identity(terminal)
            return Dossier.of(
                terminal, view, identity, reader.terminal(terminal).life_cycle, text_in(reader, lang), may
            )

        return await of(terminal, ask)

    @api.put(
        "/terminals/{terminal}/asset",
        response_model=AssetRecord,
        responses={**PROBLEMS, **BEHIND},
        dependencies=[needs(Permission.PLAN)],
        summary="Change its device file: fields that are not given stay, null empties one",
    )
    async def put_asset(
        response: Response,
        terminal: str,
        change: AssetFields,  # type: ignore[valid-type]  # made from the list of fields
        if_match: Annotated[
            str | None,
            Header(description="The version of the device file, as the dossier has it, over which the change was made"),
        ] = None,
    ) -> Any:
        fields = _checked(change.model_dump(exclude_unset=True))  # type: ignore[attr-defined]
        before, after = await of(terminal, lambda reader: reader.amended(terminal, fields))
        if if_match is None:
            raise HTTPException(428, "If-Match is missing: send the version over which the change was made")
        if if_match.removeprefix("W/").strip('"') != before:
            raise HTTPException(412, STALE)
        if after != before:
            await parts.acts(asking(), {"action": "asset", "terminal": terminal, "fields": fields, "was": before})
        shown, version = await of(terminal, lambda reader: reader.asset(terminal))
        if version != after:
            raise HTTPException(412, STALE)
        response.headers["ETag"] = f'"{version}"'
        return AssetRecord(fields=dict(shown), version=version)

    @api.post(
        "/terminals/{terminal}/reveal",
        response_model=Revealed,
        responses=PROBLEMS,
        dependencies=[needs(Permission.SEE_PROTECTED)],
        summary="Its serial numbers and address whole; the look is record",
    )
    async def reveal(response: Response, terminal: str) -> Any:
        response.headers["Cache-Control"] = "no-store"
        await of(terminal, lambda reader: reader.terminal(terminal))
        await looks(asking(), f"terminal {terminal}", terminal=terminal)
        view, components = await known(
            lambda: reads.whole(lambda reader: (reader.dossier(terminal, now()), reader.components(terminal))), terminal
        )
        return Revealed.of(view, secrets_of(components))

    @api.post(
        "/terminals/{terminal}/notes",
        response_model=NoteShown,
        status_code=201,
        responses=PROBLEMS,
        dependencies=[needs(Permission.ACT)],
        summary="Write down something about it",
    )
    async def add_note(terminal: str, note: NoteText) -> Any:
        try:
            said = asset.note_text(note.text)
        except FieldError as error:
            raise HTTPException(422, f"body.{error}") from None
        await of(terminal, lambda reader: reader.terminal(terminal))
        await parts.acts(asking(), {"action": "terminal-note", "terminal": terminal, "text": said})
        view = await of(terminal, lambda reader: reader.dossier(terminal, now()))
        mine = [each for each in view.notes if each.text == said]
        if not mine:
            raise HTTPException(503, "the note is journaled and does not show yet; load the page again")
        return NoteShown.of(mine[0])

    @api.post(
        "/terminals/{terminal}/life-cycle",
        response_model=LifeCycle,
        responses={
            **PROBLEMS,
            409: {"model": Problem, "description": "It is so already", "content": {"application/problem+json": {}}},
        },
        dependencies=[needs(Permission.PLAN)],
        summary="Take it out of service by decision, or put it back",
    )
    async def life_cycle(terminal: str, change: LifeCycleChange) -> Any:
        reason = change.reason.strip()
        if not reason or not reason.isprintable():
            raise HTTPException(422, "body.reason: say in one line of printable characters why, for the record")
        before = (await of(terminal, lambda reader: reader.terminal(terminal))).life_cycle
        if before == change.state:
            raise HTTPException(409, f"{terminal} is {before} already")
        facts = {"action": "life-cycle", "terminal": terminal, "state": change.state, "reason": reason}
        await parts.acts(asking(), facts)
        after = (await of(terminal, lambda reader: reader.terminal(terminal))).life_cycle
        return LifeCycle(terminal=terminal, life_cycle=after, was=before)

    @api.get(
        "/terminals/{terminal}/timeline",
        response_model=TimelineShown,
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="All that happened to it, on one axis of time",
    )
    async def timeline(
        request: Request,
        response: Response,
        terminal: str,
        start: Annotated[
            str | None,
            Query(alias="from", description="ISO 8601 or seconds since 1970; by default 30 days before `to`"),
        ] = None,
        end: Annotated[
            str | None, Query(alias="to", description="ISO 8601 or seconds since 1970; by default now")
        ] = None,
        kinds: Annotated[
            str | None,
            Query(max_length=120, description=f"Some of {', '.join(KINDS)}, by commas", examples=["incident,part"]),
        ] = None,
        lang: Language = "en",
    ) -> Any:
        until = moment(end, "to")
        last = now() if until is None else until
        since = moment(start, "from")
        first = last - 30 * DAY_NS if since is None else since
        if first >= last:
            raise HTTPException(422, "query.from: must be before `to`")
        if last - first > MAX_DAYS * DAY_NS:
            raise HTTPException(422, f"query.from: more than {MAX_DAYS} days before `to`; ask for less")
        wanted = tuple(kinds.split(",")) if kinds is not None else KINDS
        if strange := [kind for kind in wanted if kind not in KINDS]:
            raise HTTPException(422, f"query.kinds: {strange[0]!r} is none of {', '.join(KINDS)}")
        if until is not None and since is not None and await tag(request, response):
            return unchanged(response)

        def ask(reader: ConsoleReader) -> TimelineShown:
            return TimelineShown.of(reader.timeline(terminal, first, last, wanted), text_in(reader, lang), lang)

        return await of(terminal, ask)

    @api.get(
        "/terminals/{terminal}/strip",
        response_model=StripShown,
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="How it and each of its components were over the last days",
    )
    async def strip(
        request: Request,
        response: Response,
        terminal: str,
        days: Annotated[int, Query(ge=1, le=31)] = STRIP_DAYS,
        lang: Language = "en",
    ) -> Any:
        if await tag(request, response):
            return unchanged(response)
        last = now()

        def ask(reader: ConsoleReader) -> StripShown:
            return StripShown.of(reader.strip(terminal, last - days * DAY_NS, last), text_in(reader, lang))

        return await of(terminal, ask)

    @api.get(
        "/terminals/{terminal}/lives",
        response_model=list[Life],
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="How much of their rated life its parts have used, the most used first",
    )
    async def lives(request: Request, response: Response, terminal: str, lang: Language = "en") -> Any:
        if await tag(request, response):
            return unchanged(response)
        tables = parts.predicting.tables.lives
        found = await of(terminal, lambda reader: reader.lives(terminal, tables, now()))
        return [Life.of(each, lang) for each in found]

    @api.get(
        "/terminals/{terminal}/similar",
        response_model=SimilarShown,
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="Terminals like it, and how it does beside them",
    )
    async def similar(request: Request, response: Response, terminal: str) -> Any:
        if await tag(request, response):
            return unchanged(response)
        return SimilarShown.of(await of(terminal, lambda reader: reader.similar(terminal, now())))

    @api.get(
        "/service-due",
        response_model=Page[ServiceDue],
        responses={**SOME, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="Warranties that end, services and inspections that are due, the nearest first",
    )
    async def service_due(
        request: Request,
        response: Response,
        within: Annotated[int, Query(ge=0, le=3_660, description="Days from today; what is overdue is in it")] = 30,
        kind: Annotated[str | None, Query(pattern=f"^({'|'.join(DUES)})$")] = None,
        branch: Annotated[str | None, Query(max_length=200, description="Only this branch")] = None,
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> Any:
        if await tag(request, response):
            return unchanged(response)

        def ask(reader: ConsoleReader) -> list[ServiceDue]:
            places, zone = reader.places(), reader.in_force().policy.zone
            files = {name: kept for name, kept in reader.assets().items() if name in places}
            return [
                ServiceDue(
                    kind=due.kind, on=due.on, days=due.days, last=due.last, terminal=name, branch=places[name][0], region=places[name][1]
                )
                for name, due in asset.listing(files, day_at(now(), zone), (kind,) if kind else DUES)
                if due.days <= within and (branch is None or places[name][0] == branch)
            ]  # fmt: skip

        found = await reads(ask)
        return Page[ServiceDue](items=found[offset : offset + limit], total=len(found), limit=limit, offset=offset)


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    try:
        return asset.checked(fields)
    except FieldError as error:
        raise HTTPException(422, f"body.{error}") from None
