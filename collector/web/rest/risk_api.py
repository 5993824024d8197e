"""The routes of what is foreseen: terminals at risk, findings, how often detectors were right, rounds of inspections, and how far the predictions are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from tillwatch.collector.incident.incident_views import ConsoleReader
from tillwatch.collector.people.roles import Permission
from tillwatch.collector.predict import words
from tillwatch.collector.predict.finding import LOW, RULES, SOON, Finding, Record
from tillwatch.collector.predict.inspection import rounds
from tillwatch.collector.read import RiskView
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.predicting import Predicting, how_far, learning
from tillwatch.collector.web.reads import Reads
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
from tillwatch.collector.web.rest.risk_schema import (
    Beside,
    FindingDetail,
    Foreseen,
    HitRate,
    InspectionRound,
    PredictionState,
    RiskPage,
    TerminalRisk,
    counts,
)
from tillwatch.collector.web.rest.schema import Page

MAX_LISTED = 5_000
"""Terminals, findings or alarms that one question looks through."""
STOPS = {"en": ". ", "zh": "。"}
_GRADE, _FAMILY = "^(low|medium|high)$", "^(wear|runout|trend|anomaly|failure)$"


def add(api: APIRouter, reads: Reads, predicting: Predicting, now: Callable[[], int]) -> None:
    """now: UTC ns."""
    tag, export = Tags(reads), Exports(reads, now)

    @api.get(
        "/risk",
        response_model=RiskPage,
        responses={**SOME, **UNCHANGED, **FILES},
        dependencies=[needs(Permission.SEE)],
        summary="Terminals at risk, the greatest first",
    )
    async def risk(
        request: Request,
        response: Response,
        branch: Annotated[str | None, Query(description="Only this branch", examples=["Harbour Road"])] = None,
        region: Annotated[str | None, Query(description="Only this region", examples=["South"])] = None,
        grade: Annotated[str | None, Query(pattern=_GRADE, description="Only this grade")] = None,
        family: Annotated[
            str | None, Query(pattern=_FAMILY, description="Only terminals with a finding of this family")
        ] = None,
        lang: Language = "en",
        limit: Limit = 100,
        offset: Offset = 0,
        form: Format = None,
    ) -> Any:
        if form is None and await tag(request, response):
            return unchanged(response)

        def ask(reader: ConsoleReader) -> tuple[Sequence[RiskView], Beside]:
            return reader.at_risk(branch=branch, region=region, limit=MAX_LISTED), beside_of(reader, lang)

        listed, beside = await reads(ask)
        shown = [each for each in listed if _threatened(each)]
        wanted = [each for each in shown if _wanted(each, grade, family)]

        def made(view: RiskView) -> TerminalRisk:
            return TerminalRisk.of(view, beside)

        if form is not None:
            return await export(TerminalRisk, map(made, wanted), form, "at-risk")
        return RiskPage.part(wanted, made, limit, offset, quiet=len(listed) - len(shown))

    @api.get(
        "/terminals/{terminal}/findings",
        response_model=Page[Foreseen],
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="What is foreseen of a terminal, and was",
    )
    async def of_terminal(
        request: Request,
        response: Response,
        terminal: str,
        state: Annotated[
            str, Query(pattern="^(open|all)$", description="`open`, or `all` with those that are over")
        ] = "open",
        lang: Language = "en",
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> Any:
        if await tag(request, response):
            return unchanged(response)

        def ask(reader: ConsoleReader) -> tuple[Sequence[Finding], Beside]:
            reader.terminal(terminal)
            return reader.findings(terminal, open_only=state == "open", limit=MAX_LISTED), beside_of(reader, lang)

        found, beside = await known(lambda: reads(ask), terminal)
        return _page(found, beside, limit, offset)

    @api.get(
        "/findings",
        response_model=Page[Foreseen],
        responses={**SOME, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="What is foreseen now, the newest first",
    )
    async def findings(
        request: Request,
        response: Response,
        demoted: Annotated[
            bool | None, Query(description="Only those of demoted detectors, or only those that raise something")
        ] = None,
        lang: Language = "en",
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> Any:
        if await tag(request, response):
            return unchanged(response)
        found, beside = await reads(lambda reader: (reader.findings(limit=MAX_LISTED), beside_of(reader, lang)))
        return _page([each for each in found if demoted in (None, each.demoted)], beside, limit, offset)

    @api.get(
        "/findings/{finding}",
        response_model=FindingDetail,
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="One finding with its evidence, and what became of it",
    )
    async def one(request: Request, response: Response, finding: str, lang: Language = "en") -> Any:
        if await tag(request, response):
            return unchanged(response)
        found, beside = await known(lambda: reads(lambda r: (r.finding(finding), beside_of(r, lang))), finding)
        return FindingDetail.of(found, beside)

    @api.get(
        "/detectors",
        response_model=Page[HitRate],
        responses={**SOME, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="How often each detector was right, demoted ones first",
    )
    async def detectors(
        request: Request, response: Response, lang: Language = "en", limit: Limit = 100, offset: Offset = 0
    ) -> Any:
        if await tag(request, response):
            return unchanged(response)
        records, found = await reads(lambda reader: (reader.records(), reader.findings(limit=MAX_LISTED)))
        rates = _rates(records, found, predicting, lang)
        return Page[HitRate](items=rates[offset : offset + limit], total=len(rates), limit=limit, offset=offset)

    @api.get(
        "/inspections",
        response_model=Page[InspectionRound],
        responses=SOME,
        dependencies=[needs(Permission.SEE)],
        summary="Branches to be visited, where an hour of work avoids the most visits first",
    )
    async def inspections(response: Response, lang: Language = "en", limit: Limit = 100, offset: Offset = 0) -> Any:
        # Without ETag: what is due becomes overdue by time alone.
        response.headers["Cache-Control"] = "no-store"
        grades, branches = await reads(lambda reader: (reader.grades(), {v.id: v.branch for v in reader.terminals()}))
        made = rounds(predicting.tables, [each for each in grades if each.terminal in branches], branches, now())
        return Page[InspectionRound].part(made, lambda each: InspectionRound.of(each, lang), limit, offset)

    @api.get(
        "/predictions",
        response_model=PredictionState,
        responses=SOME,
        dependencies=[needs(Permission.SEE)],
        summary="How far the predictions are",
    )
    async def predictions(response: Response, lang: Language = "en") -> Any:
        response.headers["Cache-Control"] = "no-store"
        health, since, records, found, (position, _) = await reads(
            lambda reader: (
                reader.health(),
                reader.watched_since(),
                reader.records(),
                reader.findings(limit=MAX_LISTED),
                reader.foretold(),
            )
        )
        said = position, max((each.at for each in found), default=0)
        far = how_far(predicting, health.journal_entries, health.last_entry_at, said, now())
        return PredictionState.of(far, list(learning(predicting, since, records, found, now())), lang)


def foretold_by(reader: ConsoleReader, fault: str, terminal: str, component: str, since: int) -> list[Finding]:
    """The findings that an incident of a predicted rule tells of. since: UTC ns, its beginning; without those that were over before."""
    if fault not in RULES.values() or not terminal:
        return []
    return [
        each
        for each in reader.findings(terminal, open_only=False, limit=MAX_LISTED)
        if RULES[each.family] == fault and each.component == component and (not each.ended or each.ended >= since)
    ]


def said_of(reader: ConsoleReader, language: str, terminal: str | None = None) -> dict[tuple[str, str, str], str]:
    """(rule, terminal, component) of predicted alarms -> why, and when, in the reader's language and the branch's time."""
    found = [each for each in reader.findings(terminal, limit=MAX_LISTED) if counts(each)]
    if not found:
        return {}
    policy, branches = reader.in_force().policy, {view.id: view.branch for view in reader.terminals()}
    said: dict[tuple[str, str, str], str] = {}
    for each in sorted(found, key=lambda finding: finding.word != SOON):
        zone = policy.branch(branches.get(each.terminal, "")).zone or policy.zone
        told = STOPS[language].join(
            filter(None, (words.reason(each, language, zone), words.when(each, language, zone)))
        )
        said.setdefault((RULES[each.family], each.terminal, each.component), told)
    return said


def beside_of(reader: ConsoleReader, language: str) -> Beside:
    """What findings are shown with."""
    policy = reader.in_force().policy
    branches = {view.id: view.branch for view in reader.terminals()}
    alarms = reader.alarms(open_only=True, limit=MAX_LISTED)
    return Beside(
        language,
        {(each.detector, each.kind): each for each in reader.records()},
        {(each.rule, each.terminal, each.component): each.incident for each in alarms if each.condition != "normal"},
        {branch: policy.branch(branch).zone or policy.zone for branch in set(branches.values())},
        branches,
    )


def _threatened(view: RiskView) -> bool:
    """A grade that comes of age alone, or of a fault that is over, is nothing to be looked at."""
    return view.grade.grade != LOW or any(counts(each) for each in view.findings)


def _wanted(view: RiskView, grade: str | None, family: str | None) -> bool:
    families = {each.family for each in view.findings if counts(each)}
    return (grade is None or view.grade.grade == grade) and (family is None or family in families)


def _page(found: Sequence[Finding], beside: Beside, limit: int, offset: int) -> Page[Foreseen]:
    return Page[Foreseen].part(found, lambda each: Foreseen.of(each, beside), limit, offset)


def _rates(records: Sequence[Record], found: Sequence[Finding], predicting: Predicting, lang: str) -> list[HitRate]:
    """With those of which a finding is open and nothing was judged yet."""
    open_: dict[tuple[str, str], int] = {}
    for each in found:
        open_[each.detector, each.kind] = open_.get((each.detector, each.kind), 0) + 1
    by_key = {key: Record(*key) for key in open_} | {(each.detector, each.kind): each for each in records}
    floors = predicting.tables.floor
    rates = [
        HitRate.of(record, lang, floors.get(key[0].partition("/")[0], 0.0), open_.get(key, 0))
        for key, record in by_key.items()
    ]
    return sorted(rates, key=lambda each: (not each.demoted, -each.judged, each.detector, each.kind))
