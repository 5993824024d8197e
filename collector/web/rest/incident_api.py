"""The routes of alarms and incidents: lists, one of them whole, and why somebody was told or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response

from tillwatch.collector.alarm.rules import Rules
from tillwatch.collector.incident.incident_views import ConsoleReader, IncidentFile
from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.read import AlarmView, ComponentView
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.messages import TEXTS
from tillwatch.collector.web.reads import Reads
from tillwatch.collector.web.rest.acts import possible
from tillwatch.collector.web.rest.answers import (
    PROBLEMS,
    SOME,
    UNCHANGED,
    Language,
    Limit,
    Offset,
    Tags,
    known,
    unchanged,
)
from tillwatch.collector.web.rest.exports import FILES, Exports, Format
from tillwatch.collector.web.rest.incident_schema import AlarmWhy, Incident, IncidentDetail, Why
from tillwatch.collector.web.rest.risk_api import beside_of, foretold_by, said_of
from tillwatch.collector.web.rest.risk_schema import Beside, Foreseen, Part
from tillwatch.collector.web.rest.schema import Alarm, Page
from tillwatch.collector.web.translation import Translation

MAX_LISTED = 5_000
"""Alarms or incidents that one question looks through; older alarms are asked for by terminal."""


def add(api: APIRouter, reads: Reads, words: Translation, now: Callable[[], int]) -> None:
    """now: UTC ns."""
    tag, export = Tags(reads), Exports(reads, now)

    @api.get(
        "/alarms",
        response_model=Page[Alarm],
        responses={**SOME, **UNCHANGED, **FILES},
        dependencies=[needs(Permission.SEE)],
        summary="Alarms, level 1 first, newest first within a level",
    )
    async def alarms(
        request: Request,
        response: Response,
        state: Annotated[
            str,
            Query(
                pattern="^(open|all)$",
                description="`open` (also masked ones, and those that are over and were not acknowledged), or `all`",
            ),
        ] = "open",
        terminal: Annotated[str | None, Query(description="Only this terminal", examples=["ATM-0012"])] = None,
        lang: Language = "en",
        limit: Limit = 100,
        offset: Offset = 0,
        form: Format = None,
    ) -> Any:
        if form is None and await tag(request, response):
            return unchanged(response)
        found, rules, foretold = await reads(
            lambda reader: (
                reader.alarms(terminal=terminal, open_only=state == "open", limit=MAX_LISTED),
                reader.in_force().rules,
                said_of(reader, lang, terminal),
            )
        )

        def said(view: AlarmView) -> Alarm:
            return Alarm.of(words.alarm(view, rules, lang, foretold))

        if form is not None:
            return await export(Alarm, map(said, found), form, f"alarms-{state}")
        return Page[Alarm].part(found, said, limit, offset)

    @api.get(
        "/alarms/{alarm}/why",
        response_model=AlarmWhy,
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="Why somebody was told of an alarm, or why not",
    )
    async def why(request: Request, response: Response, alarm: int, lang: Language = "en") -> Any:
        if not 0 < alarm < 2**62:  # beyond what the store counts to
            raise HTTPException(404, f"no {alarm!r} in the store")
        if await tag(request, response):
            return unchanged(response)
        (view, found), rules = await known(
            lambda: reads(lambda reader: (reader.why(alarm, now()), reader.in_force().rules)), str(alarm)
        )
        said = Why.of(found, TEXTS[lang], lambda rule: words.text(rules, rule, lang))
        return AlarmWhy(alarm=Alarm.of(words.alarm(view, rules, lang)), why=said)

    @api.get(
        "/incidents",
        response_model=Page[Incident],
        responses={**SOME, **UNCHANGED, **FILES},
        dependencies=[needs(Permission.SEE)],
        summary="Incidents, level 1 first, newest first within a level",
    )
    async def incidents(
        request: Request,
        response: Response,
        state: Annotated[
            str, Query(pattern="^(open|all)$", description="`open`, or `all` with those that are settled")
        ] = "open",
        lang: Language = "en",
        limit: Limit = 100,
        offset: Offset = 0,
        form: Format = None,
    ) -> Any:
        if form is None and await tag(request, response):
            return unchanged(response)
        (found, total), rules = await reads(
            lambda reader: (
                reader.incidents(
                    now(), living=state == "open", limit=min(offset + limit, MAX_LISTED) if form is None else MAX_LISTED
                ),
                reader.in_force().rules,
            )
        )
        if form is not None:
            said = (Incident.of(words.incident(view, rules, lang)) for view in found)
            return await export(Incident, said, form, f"incidents-{state}", total=total)
        return Page[Incident](
            items=[Incident.of(words.incident(view, rules, lang)) for view in found[offset : offset + limit]],
            total=total,
            limit=limit,
            offset=offset,
        )

    @api.get(
        "/incidents/{incident}",
        response_model=IncidentDetail,
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="One incident: its alarms, clocks, escalation, history, ticket and card, and why somebody was told",
    )
    async def one(request: Request, response: Response, incident: str, lang: Language = "en") -> Any:
        if await tag(request, response):
            return unchanged(response)
        file, rules, components, foretold, said = await known(
            lambda: reads(lambda reader: _whole(reader, incident, now(), lang)), incident
        )
        return IncidentDetail.of_file(
            file=replace(file, view=words.incident(file.view, rules, lang)),
            text=TEXTS[lang],
            rule_text=lambda rule: words.text(rules, rule, lang),
            card=words.card_of(file, rules, lang, components),
            alarms=[Alarm.of(words.alarm(member.alarm, rules, lang, said)) for member in file.members],
            foretold=foretold,
            can=possible(file.view, asking()),
        )


def _whole(
    reader: ConsoleReader, incident: str, now: int, lang: str
) -> tuple[IncidentFile, Rules, tuple[ComponentView, ...], list[Foreseen], dict[Part, str]]:
    """With what the devices of its terminal told last, whose parts the card names, and with what it foresees."""
    file = reader.incident(incident, now)
    view = file.view
    parts = tuple(reader.components(view.terminal)) if view.terminal else ()
    findings = foretold_by(reader, view.fault, view.terminal, view.component, view.occurred_at)
    beside = beside_of(reader, lang) if findings else Beside(lang)
    said = said_of(reader, lang, view.terminal) if findings else {}
    return file, reader.in_force().rules, parts, [Foreseen.of(each, beside) for each in findings], said
