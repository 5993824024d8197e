"""The routes of availability and service figures: of a month, or of any period, and of every part of the fleet that the asker may see. They are computed beside
the console (figures_jobs.py) and are those of `tillwatch-collector report`, to the digit.
"""

from __future__ import annotations

import asyncio
import sqlite3
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import available_timezones

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

from tillwatch.collector.alarm.rules import Rules
from tillwatch.collector.figures.kept_reader import MEASURES, KeptFigures, Meta
from tillwatch.collector.figures.period import PeriodError, months_before, period
from tillwatch.collector.figures.rollup import FLEET, Scope
from tillwatch.collector.figures.wording import Wording
from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.figures_jobs import FiguresJobs, Found, Job, NoFigures, part_of
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest.answers import PROBLEMS, UNCHANGED, Language, Limit, Offset, unchanged
from tillwatch.collector.web.rest.exports import FILES, MAX_ROWS, Exports, Format
from tillwatch.collector.web.rest.figures_schema import (
    Cause,
    Counts,
    Definition,
    Figures,
    FiguresAnswer,
    FiguresScope,
    Interval,
    JudgedIncident,
    RanOut,
    Ratio,
    S,
    ScopeRow,
    SupplyEpisode,
    Trend,
    TrendMonth,
    period_of,
    scope_of,
)
from tillwatch.collector.web.rest.schema import Page, iso
from tillwatch.collector.web.translation import Translation

WAIT_S = 2.0
"""For figures that are not there yet, before the answer is how far they are: a small fleet is computed within it."""
MONTHS = 12
MAX_NAME = 200
T = TypeVar("T")
SCOPES = "^(fleet|region|branch|class|vendor|terminal)(:.{1,200})?$"


class Params:
    """What a question about figures says of itself. answer: its headers."""

    def __init__(
        self,
        request: Request,
        response: Response,
        month: Annotated[
            str | None, Query(max_length=7, description="By default the last that is over", examples=["2026-10"])
        ] = None,
        since: Annotated[str | None, Query(alias="from", max_length=40, examples=["2026-10-05"])] = None,
        until: Annotated[str | None, Query(alias="to", max_length=40, examples=["2026-10-12"])] = None,
        scope: Annotated[
            str, Query(pattern=SCOPES, description="KIND:NAME, or fleet", examples=["region:South"])
        ] = "fleet",
        zone: Annotated[
            str | None,
            Query(max_length=60, description="IANA name; by default the policy's", examples=["Asia/Shanghai"]),
        ] = None,
        lang: Language = "en",
    ) -> None:
        self.month, self.since, self.until, self.zone, self.lang = month, since, until, zone, lang
        kind, _, named = scope.partition(":")
        self.scope = FLEET if kind == FLEET.kind else Scope(kind, named)
        self.request, self.answer = request, response


Wanted = Annotated[Params, Depends()]


@dataclass(frozen=True, slots=True)
class Asked:
    """A period and a part of the fleet."""

    name: str
    start: int
    end: int
    zone: str
    scope: Scope
    params: Params

    @property
    def lang(self) -> str:
        return self.params.lang

    def known(self, meta: Meta) -> bool:
        """Whether the asker has these very figures: the ETag is when they were made, and for whose part of the fleet."""
        sight = zlib.crc32(repr(asking().sees).encode())
        tag = f'"{meta.at:x}-{sight:x}"'
        headers = self.params.answer.headers
        headers["ETag"], headers["Cache-Control"], headers["Vary"] = tag, "private, no-cache", "Cookie, Authorization"
        return tag in {
            part.strip().removeprefix("W/") for part in self.params.request.headers.get("if-none-match", "").split(",")
        }

    def unchanged(self) -> Response:
        return unchanged(self.params.answer)


class About:
    """What all questions about figures have in common."""

    def __init__(self, parts: Parts, jobs: FiguresJobs) -> None:
        self._reads, self._now, self._jobs = parts.reads, parts.now, jobs
        self._translation = Translation(parts.cards)

    async def __call__(self, wanted: Params) -> Asked:
        """Raises HTTPException."""
        if wanted.zone is not None and wanted.zone not in available_timezones():
            raise HTTPException(422, f"query.zone: {wanted.zone!r} is no time zone; write one such as Asia/Shanghai")
        usual: str = await self._reads(lambda reader: reader.in_force().policy.zone)
        place = wanted.zone or usual
        try:
            name, start, end = period(wanted.month, wanted.since, wanted.until, place, self._now())
        except PeriodError as error:
            raise HTTPException(422, f"query: {error}") from None
        if wanted.until is None and wanted.since is not None:
            end -= end % (60 * S)  # of who asks again a moment later the same
        if start >= end:
            raise HTTPException(422, "query.from: the period has no length")
        return Asked(name, start, end, place, wanted.scope, wanted)

    async def words(self, wanted: Asked) -> Wording:
        """Of reasons and parties, in the reader's language."""
        rules: Rules = await self._reads(lambda reader: reader.in_force().rules)
        titles = {name: self._translation.card(rule, wanted.lang).text for name, rule in rules.by_id.items()}
        return Wording(wanted.lang, wanted.zone, titles)

    def forget(self) -> None:
        """Somebody said something that figures depend on."""
        self._jobs.forget()


def add(api: APIRouter, parts: Parts) -> About:
    """Returns what the routes of single terminals share with these."""
    reads, now = parts.reads, parts.now
    jobs = FiguresJobs(parts.database, now)
    parts.at_end.append(jobs.close)
    about = About(parts, jobs)
    export = Exports(reads, now)

    async def find(wanted: Asked, *, anew: bool = False) -> Found:
        try:
            return await jobs.find(wanted.start, wanted.end, part_of(asking()), wait_s=WAIT_S, anew=anew)
        except NoFigures as error:
            raise HTTPException(503, f"the figures cannot be computed: {error}") from None

    async def ready(params: Params) -> tuple[Asked, KeptFigures, Meta]:
        wanted = await about(params)
        found = await find(wanted)
        if found.kept is None or found.meta is None:
            done = found.job.done if found.job is not None else 0
            raise HTTPException(
                503, f"the figures of {wanted.name} are being computed ({done} %); ask again", {"Retry-After": "2"}
            )
        if await _row(found.kept, wanted.scope) is None:
            raise _missing(wanted)
        return wanted, found.kept, found.meta

    @api.get(
        "/figures",
        response_model=FiguresAnswer,
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="Availability, service and alarm load of a period and a part of the fleet",
    )
    async def figures(
        params: Wanted,
        anew: Annotated[bool, Query(description="Compute them again, even where they are fresh")] = False,  # noqa: FBT002 - a query
    ) -> Any:
        wanted = await about(params)
        found = await find(wanted, anew=anew)
        kept, meta = found.kept, found.meta
        if kept is None or meta is None:
            return _computing(wanted, found.job)
        if found.job is None and wanted.known(meta):
            return wanted.unchanged()
        try:
            plain = await _on_thread(lambda: kept.figure(wanted.scope))
        except KeyError:
            raise _missing(wanted) from None
        counted, words = await _on_thread(kept.kinds), await about.words(wanted)
        where = scope_of({"kind": wanted.scope.kind, "name": wanted.scope.name, **plain["place"]})
        return FiguresAnswer(
            state="ready", done=found.job.done if found.job is not None else 100, renewing=found.job is not None,
            period=period_of(wanted.name, wanted.start, wanted.end, meta.end, wanted.zone), scope=where,
            known=iso(meta.known), computed=iso(meta.at), log=meta.log, interruption_limit=meta.interruption,
            targets={str(level): (one[0] / S, one[1] / S) for level, one in meta.targets.items()}, kinds=counted, figures=Figures.of(plain, words),
        )  # fmt: skip

    @api.get(
        "/figures/scopes",
        response_model=Page[ScopeRow],
        responses={**PROBLEMS, **UNCHANGED, **FILES},
        dependencies=[needs(Permission.SEE)],
        summary="Parts of the fleet with their figures, the worst first",
    )
    async def scopes(
        params: Wanted,
        kind: Annotated[str, Query(pattern="^(region|branch|class|vendor|terminal)$")] = "terminal",
        sort: Annotated[
            Literal["down", "full", "unmonitored", "restore", "incidents", "alarms", "name"], Query()
        ] = "down",
        limit: Limit = 100,
        offset: Offset = 0,
        form: Format = None,
    ) -> Any:
        wanted, kept, meta = await ready(params)
        if form is None and wanted.known(meta):
            return wanted.unchanged()
        many, skip = (limit, offset) if form is None else (MAX_ROWS, 0)
        part = await _on_thread(lambda: kept.scopes(kind, wanted.scope, sort, many, skip))
        items = [ScopeRow.of(row, meta.interruption) for row in part.rows]
        if form is not None:
            return await export(ScopeRow, items, form, f"figures-{wanted.name}-{kind}", total=part.total)
        return Page[ScopeRow](items=items, total=part.total, limit=limit, offset=offset)

    @api.get(
        "/figures/causes",
        response_model=Page[Cause],
        responses={**PROBLEMS, **UNCHANGED, **FILES},
        dependencies=[needs(Permission.SEE)],
        summary="What time counts as down (or otherwise) by cause, and who answers for it",
    )
    async def causes(
        params: Wanted,
        definition: Definition = "network",
        counts: Counts = "down",
        limit: Limit = 100,
        offset: Offset = 0,
        form: Format = None,
    ) -> Any:
        wanted, kept, meta = await ready(params)
        if form is None and wanted.known(meta):
            return wanted.unchanged()
        rows, words = await _on_thread(lambda: kept.causes(wanted.scope, definition, counts)), await about.words(wanted)
        whole = sum(row["length"] for row in rows)
        items = [
            Cause(
                reason=row["reason"], text=words.reason(row["reason"]), party=row["party"], party_text=words.one("party", row["party"]),
                length_s=row["length"] / S, share=row["length"] / whole if whole else None, stretches=row["stretches"], terminals=row["terminals"],
            )
            for row in rows
        ]  # fmt: skip
        if form is not None:
            return await export(Cause, items, form, f"figures-{wanted.name}-causes")
        return Page[Cause](items=items[offset : offset + limit], total=len(items), limit=limit, offset=offset)

    @api.get(
        "/figures/intervals",
        response_model=Page[Interval],
        responses={**PROBLEMS, **UNCHANGED, **FILES},
        dependencies=[needs(Permission.SEE)],
        summary="The stretches of time that the figures are made of, the longest first; those that are plainly up are left out",
    )
    async def intervals(
        params: Wanted,
        definition: Definition = "network",
        counts: Annotated[Counts | None, Query(description="Only what counts so by this definition")] = None,
        reason: Annotated[str | None, Query(max_length=MAX_NAME, examples=["atm.jam"])] = None,
        party: Annotated[str | None, Query(max_length=MAX_NAME, examples=["hardware"])] = None,
        source: Annotated[Literal["state", "cause", "late", "outage", "correction"] | None, Query()] = None,
        limit: Limit = 100,
        offset: Offset = 0,
        form: Format = None,
    ) -> Any:
        wanted, kept, meta = await ready(params)
        if form is None and wanted.known(meta):
            return wanted.unchanged()
        many, skip = (limit, offset) if form is None else (MAX_ROWS, 0)
        part = await _on_thread(
            lambda: kept.stretches(
                wanted.scope, definition=definition, counts=counts or "", reason=reason, party=party, source=source, limit=many, offset=skip
            )
        )  # fmt: skip
        words = await about.words(wanted)
        items = [Interval.of(row, words) for row in part.rows]
        if form is not None:
            return await export(Interval, items, form, f"figures-{wanted.name}-intervals", total=part.total)
        return Page[Interval](items=items, total=part.total, limit=limit, offset=offset)

    @api.get(
        "/figures/incidents",
        response_model=Page[JudgedIncident],
        responses={**PROBLEMS, **UNCHANGED, **FILES},
        dependencies=[needs(Permission.SEE)],
        summary="The incidents behind a figure of service, the newest or the slowest first",
    )
    async def incidents(
        params: Wanted,
        measure: Annotated[
            Literal[MEASURES] | None, Query(description="Only those with this part in a figure")  # type: ignore[valid-type]  # a tuple of words
        ] = None,
        verdict: Annotated[
            Literal["1", "0", "open"], Query(description="Which part: true, false, not to be told")
        ] = "1",
        slowest: Annotated[
            Literal["restore", "detect", "respond", "travel", "repair", "verify"] | None,
            Query(description="Only those that have this phase, the slowest first"),
        ] = None,
        limit: Limit = 100,
        offset: Offset = 0,
        form: Format = None,
    ) -> Any:
        wanted, kept, meta = await ready(params)
        if form is None and wanted.known(meta):
            return wanted.unchanged()
        many, skip = (limit, offset) if form is None else (MAX_ROWS, 0)
        part = await _on_thread(
            lambda: kept.incidents(
                wanted.scope, measure=measure, verdict=verdict, slowest=slowest, limit=many, offset=skip
            )
        )
        words = await about.words(wanted)
        items = [JudgedIncident.of(row, words) for row in part.rows]
        if form is not None:
            return await export(JudgedIncident, items, form, f"figures-{wanted.name}-incidents", total=part.total)
        return Page[JudgedIncident](items=items, total=part.total, limit=limit, offset=offset)

    @api.get(
        "/figures/ran-out",
        response_model=Page[RanOut],
        responses={**PROBLEMS, **UNCHANGED, **FILES},
        dependencies=[needs(Permission.SEE)],
        summary="What ran out or filled up in the period, by rule, with the downtime that it caused",
    )
    async def ran_out(params: Wanted, limit: Limit = 100, offset: Offset = 0, form: Format = None) -> Any:
        wanted, kept, meta = await ready(params)
        if form is None and wanted.known(meta):
            return wanted.unchanged()
        rows = await _on_thread(lambda: kept.ran_out(wanted.scope))
        down: dict[str, int] = {}
        for row in await _on_thread(lambda: kept.causes(wanted.scope, "network", "down")):
            down[row["reason"]] = down.get(row["reason"], 0) + row["length"]
        words = await about.words(wanted)
        items = [
            RanOut(
                rule=row["rule"], text=words.rule(row["rule"]), party=row["party"], party_text=words.one("party", row["party"]), level=row["level"],
                episodes=row["episodes"], terminals=row["terminals"], length_s=row["length"] / S, down_s=down.get(row["rule"], 0) / S,
            )
            for row in rows
        ]  # fmt: skip
        if form is not None:
            return await export(RanOut, items, form, f"figures-{wanted.name}-ran-out")
        return Page[RanOut](items=items[offset : offset + limit], total=len(items), limit=limit, offset=offset)

    @api.get(
        "/figures/supplies",
        response_model=Page[SupplyEpisode],
        responses={**PROBLEMS, **UNCHANGED, **FILES},
        dependencies=[needs(Permission.SEE)],
        summary="Each time that something ran out or filled up, the newest first",
    )
    async def supplies(
        params: Wanted,
        rule: Annotated[str | None, Query(max_length=MAX_NAME, examples=["atm.cassette"])] = None,
        limit: Limit = 100,
        offset: Offset = 0,
        form: Format = None,
    ) -> Any:
        wanted, kept, meta = await ready(params)
        if form is None and wanted.known(meta):
            return wanted.unchanged()
        many, skip = (limit, offset) if form is None else (MAX_ROWS, 0)
        part, words = await _on_thread(lambda: kept.supplies(wanted.scope, rule, many, skip)), await about.words(wanted)
        items = [
            SupplyEpisode(
                terminal=row["terminal"], component=row["component"], branch=row["branch"], region=row["region"], rule=row["rule"],
                text=words.rule(row["rule"]), level=row["level"], since=iso(row["since"]), until=iso(row["until"]),
            )
            for row in part.rows
        ]  # fmt: skip
        if form is not None:
            return await export(SupplyEpisode, items, form, f"figures-{wanted.name}-supplies", total=part.total)
        return Page[SupplyEpisode](items=items, total=part.total, limit=limit, offset=offset)

    @api.get(
        "/figures/trend",
        response_model=Trend,
        responses=PROBLEMS,
        dependencies=[needs(Permission.SEE)],
        summary="The last twelve months of a part of the fleet; what is missing is computed meanwhile",
    )
    async def trend(params: Wanted) -> Any:
        wanted = await about(params)
        last = wanted.name if len(wanted.name) == len("2026-10") else period(None, None, None, wanted.zone, now())[0]
        who = part_of(asking())
        begun = await reads(lambda reader: reader.watched_since())
        months, limit = [], None
        for name, start, end in months_before(last, MONTHS, wanted.zone):
            if not begun or end <= begun or start >= now():
                months.append(TrendMonth(name=name, state="none", done=0, row=None, response=None, restored_net=None))
                continue
            try:
                found = await jobs.find(start, end, who, urgent=False)
            except NoFigures as error:
                raise HTTPException(503, f"the figures cannot be computed: {error}") from None
            months.append(await _month(name, found, wanted.scope))
            limit = found.meta.interruption if found.meta is not None else limit
        where = FiguresScope(kind=wanted.scope.kind, name=wanted.scope.name)
        return Trend(scope=where, interruption_limit=limit, months=months)

    return about


def _computing(wanted: Asked, job: Job | None) -> FiguresAnswer:
    return FiguresAnswer(
        state="computing", done=job.done if job is not None else 0, renewing=True,
        period=period_of(wanted.name, wanted.start, wanted.end, None, wanted.zone),
        scope=FiguresScope(kind=wanted.scope.kind, name=wanted.scope.name), known=None, computed=None, log=0, interruption_limit=None,
        targets={}, kinds={}, figures=None,
    )  # fmt: skip


async def _month(name: str, found: Found, scope: Scope) -> TrendMonth:
    job = found.job
    if found.kept is None or found.meta is None:
        state = "computing" if job is not None and job.state == "running" else "waiting"
        return TrendMonth(name=name, state=state, done=job.done if job else 0, row=None, response=None, restored_net=None)  # fmt: skip
    row = await _row(found.kept, scope)
    if row is None or not row["scheduled"]:
        return TrendMonth(name=name, state="none", done=100, row=None, response=None, restored_net=None)
    plain = await _on_thread(partial(found.kept.figure, scope))
    service = plain["service"]
    return TrendMonth(
        name=name, state="ready", done=100, row=ScopeRow.of(row, found.meta.interruption), response=Ratio(**service["response"]),
        restored_net=Ratio(**service["restored_net"]),
    )  # fmt: skip


def _missing(wanted: Asked) -> HTTPException:
    return HTTPException(404, f"no {wanted.scope.kind} {wanted.scope.name!r} in the figures of {wanted.name}")


async def _on_thread(ask: Callable[[], T]) -> T:
    """A kept file may be put away between two questions; the next one has it made again."""
    try:
        return await asyncio.to_thread(ask)
    except sqlite3.Error as error:
        raise HTTPException(503, f"the figures are being made again: {error}", {"Retry-After": "2"}) from None


async def _row(kept: KeptFigures, scope: Scope) -> dict[str, Any] | None:
    return await _on_thread(lambda: kept.brief(scope))
