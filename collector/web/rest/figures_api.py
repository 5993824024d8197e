"""The routes of availability and service figures: of a month, or of any period, and of every part of the fleet that the asker may see. They are computed beside
the console (figures_jobs.py) and are those of `tillwatch-collector report`, to the digit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel

from tillwatch.collector.figures.kept_reader import MEASURES, KeptFigures, Meta
from tillwatch.collector.figures.period import months_before, period
from tillwatch.collector.figures.rollup import Scope
from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.figures_jobs import FiguresJobs, Found, Job, NoFigures, part_of
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest.answers import PROBLEMS, UNCHANGED, Limit, Offset
from tillwatch.collector.web.rest.exports import FILES, MAX_ROWS, Exports, Format
from tillwatch.collector.web.rest.figures_question import About, Asked, Params, Wanted, no_such_part, on_thread, row_of
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

MONTHS = 12
MAX_NAME = 200
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Figures that are there, and which rows of them are wanted."""

    wanted: Asked
    kept: KeptFigures
    meta: Meta
    many: int
    skip: int

    @property
    def scope(self) -> Scope:
        return self.wanted.scope


def add(api: APIRouter, parts: Parts, jobs: FiguresJobs) -> About:
    """Returns what the routes of single terminals and of the report share with these."""
    reads, now = parts.reads, parts.now
    about = About(parts, jobs)
    export = Exports(reads, now)

    async def listed(
        params: Params,
        limit: int,
        offset: int,
        form: str | None,
        what: str,
        model: type[M],
        found: Callable[[_Kept], Awaitable[tuple[list[M], int]]],
    ) -> Any:
        """A list of figures, or the file of it. what: the file's name; found: as many rows as are wanted, with how many there are."""
        wanted, kept, meta = await about.ready(params)
        if form is None and wanted.known(meta):
            return wanted.unchanged()
        many, skip = (limit, offset) if form is None else (MAX_ROWS, 0)
        items, total = await found(_Kept(wanted, kept, meta, many, skip))
        if form is not None:
            return await export(model, items, form, f"figures-{wanted.name}-{what}", total=total)
        return Page[model](items=items, total=total, limit=limit, offset=offset)  # type: ignore[valid-type]  # pydantic makes the type as it runs

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
        found = await about.find(wanted, anew=anew)
        kept, meta = found.kept, found.meta
        if kept is None or meta is None:
            return _computing(wanted, found.job)
        if found.job is None and wanted.known(meta):
            return wanted.unchanged()
        try:
            plain = await on_thread(lambda: kept.figure(wanted.scope))
        except KeyError:
            raise no_such_part(wanted) from None
        counted, words = await on_thread(kept.kinds), await about.words(wanted)
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
        async def found(own: _Kept) -> tuple[list[ScopeRow], int]:
            part = await on_thread(lambda: own.kept.scopes(kind, own.scope, sort, own.many, own.skip))
            items = [ScopeRow.of(row, own.meta.interruption) for row in part.rows]
            return items, part.total

        return await listed(params, limit, offset, form, kind, ScopeRow, found)

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
        async def found(own: _Kept) -> tuple[list[Cause], int]:
            rows, words = (
                await on_thread(lambda: own.kept.causes(own.scope, definition, counts)),
                await about.words(own.wanted),
            )
            whole = sum(row["length"] for row in rows)
            items = [
                Cause(
                    reason=row["reason"], text=words.reason(row["reason"]), party=row["party"], party_text=words.one("party", row["party"]),
                    length_s=row["length"] / S, share=row["length"] / whole if whole else None, stretches=row["stretches"], terminals=row["terminals"],
                )
                for row in rows
            ]  # fmt: skip
            return items[own.skip : own.skip + own.many], len(items)

        return await listed(params, limit, offset, form, "causes", Cause, found)

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
        async def found(own: _Kept) -> tuple[list[Interval], int]:
            part = await on_thread(
                lambda: own.kept.stretches(
                    own.scope, definition=definition, counts=counts or "", reason=reason, party=party, source=source, limit=own.many, offset=own.skip
                )
            )  # fmt: skip
            words = await about.words(own.wanted)
            items = [Interval.of(row, words) for row in part.rows]
            return items, part.total

        return await listed(params, limit, offset, form, "intervals", Interval, found)

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
        async def found(own: _Kept) -> tuple[list[JudgedIncident], int]:
            part = await on_thread(
                lambda: own.kept.incidents(
                    own.scope, measure=measure, verdict=verdict, slowest=slowest, limit=own.many, offset=own.skip
                )
            )
            words = await about.words(own.wanted)
            items = [JudgedIncident.of(row, words) for row in part.rows]
            return items, part.total

        return await listed(params, limit, offset, form, "incidents", JudgedIncident, found)

    @api.get(
        "/figures/ran-out",
        response_model=Page[RanOut],
        responses={**PROBLEMS, **UNCHANGED, **FILES},
        dependencies=[needs(Permission.SEE)],
        summary="What ran out or filled up in the period, by rule, with the downtime that it caused",
    )
    async def ran_out(params: Wanted, limit: Limit = 100, offset: Offset = 0, form: Format = None) -> Any:
        async def found(own: _Kept) -> tuple[list[RanOut], int]:
            rows = await on_thread(lambda: own.kept.ran_out(own.scope))
            down: dict[str, int] = {}
            for row in await on_thread(lambda: own.kept.causes(own.scope, "network", "down")):
                down[row["reason"]] = down.get(row["reason"], 0) + row["length"]
            words = await about.words(own.wanted)
            items = [
                RanOut(
                    rule=row["rule"], text=words.rule(row["rule"]), party=row["party"], party_text=words.one("party", row["party"]), level=row["level"],
                    episodes=row["episodes"], terminals=row["terminals"], length_s=row["length"] / S, down_s=down.get(row["rule"], 0) / S,
                )
                for row in rows
            ]  # fmt: skip
            return items[own.skip : own.skip + own.many], len(items)

        return await listed(params, limit, offset, form, "ran-out", RanOut, found)

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
        async def found(own: _Kept) -> tuple[list[SupplyEpisode], int]:
            part, words = (
                await on_thread(lambda: own.kept.supplies(own.scope, rule, own.many, own.skip)),
                await about.words(own.wanted),
            )
            items = [
                SupplyEpisode(
                    terminal=row["terminal"], component=row["component"], branch=row["branch"], region=row["region"], rule=row["rule"],
                    text=words.rule(row["rule"]), level=row["level"], since=iso(row["since"]), until=iso(row["until"]),
                )
                for row in part.rows
            ]  # fmt: skip
            return items, part.total

        return await listed(params, limit, offset, form, "supplies", SupplyEpisode, found)

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
    row = await row_of(found.kept, scope)
    if row is None or not row["scheduled"]:
        return TrendMonth(name=name, state="none", done=100, row=None, response=None, restored_net=None)
    plain = await on_thread(partial(found.kept.figure, scope))
    service = plain["service"]
    return TrendMonth(
        name=name, state="ready", done=100, row=ScopeRow.of(row, found.meta.interruption), response=Ratio(**service["response"]),
        restored_net=Ratio(**service["restored_net"]),
    )  # fmt: skip
