"""The routes of one terminal's time: the stretches that its figures are made of, each with its evidence, and what people said of it: corrections, signed by the
collector, beside what was recorded and never in its place.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from tillwatch.collector.duty.windows import moment_ns
from tillwatch.collector.figures.availability import Stretch
from tillwatch.collector.figures.correcting import MAX_REASON, CorrectionError, Effect, check, facts
from tillwatch.collector.figures.terminal_time import TerminalTime, read_terminal
from tillwatch.collector.figures.wording import Wording
from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.records import Correction
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest.answers import PROBLEMS, UNCHANGED, Limit, Offset, Tags, known, unchanged
from tillwatch.collector.web.rest.exports import FILES, Exports, Format
from tillwatch.collector.web.rest.figures_question import About, Wanted
from tillwatch.collector.web.rest.figures_schema import Available, Counts, FiguresPeriod, FiguresScope, S, period_of
from tillwatch.collector.web.rest.schema import Page, iso

MAX_DAYS = 400
"""Of one look at a terminal: a year and some."""
AT_ONCE = 2
"""Terminals read from the log at a time, beside the threads that read the store."""
DAY_NS = 86_400 * S
READ_TIMEOUT_S = 30.0

CountsAs = Literal["up", "down", "planned", "unmonitored", "excluded"]
Party = Literal["hardware", "software", "cash", "supplies", "power", "network", "host", "branch", "vandalism", "monitoring", "planned", "unknown"]  # fmt: skip


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class Evidence(_Model):
    """A reading that decided a stretch."""

    component: str
    signal: str
    at: datetime | None


class TimeStretch(_Model):
    """A stretch of scheduled time that counts as one thing."""

    since: datetime | None
    until: datetime | None
    length_s: float
    network: Counts
    any: Counts
    full: Counts
    state: Annotated[str, Field(description="As the log has it, or the source", examples=["out_of_service"])]
    reason: Annotated[str, Field(examples=["atm.jam"])]
    text: str
    party: str
    party_text: str
    cause: str
    lost: list[str]
    source: Annotated[str, Field(description="`state`, `cause`, `late`, `outage` or `correction`")]
    known_at: Annotated[datetime | None, Field(description="When the journal learnt what says so")]
    entry: Annotated[int, Field(description="Of a correction: its entry in the journal")]
    by: str
    why: str
    evidence: list[Evidence]

    @classmethod
    def of(cls, one: Stretch, words: Wording) -> TimeStretch:
        network, any_, full = one.counts
        return cls.model_validate({
            "since": iso(one.since), "until": iso(one.until), "length_s": one.length / S, "network": network, "any": any_, "full": full,
            "state": one.state, "reason": one.reason, "text": words.reason(one.reason), "party": one.party, "party_text": words.one("party", one.party) if one.party else "",
            "cause": one.cause, "lost": list(one.lost), "source": one.source, "known_at": iso(one.known_at), "entry": one.entry, "by": one.by,
            "why": words.why(one.why, one.source), "evidence": [Evidence(component=c, signal=s, at=iso(at)) for c, s, at in one.readings],
        })  # fmt: skip


class Corrected(_Model):
    """What a person said of a stretch of a terminal's time."""

    entry: Annotated[int, Field(description="In the journal, with the collector's signature", examples=[812])]
    terminal: str
    since: datetime | None
    until: datetime | None
    counts_as: CountsAs
    reason: str
    party: str
    by: str
    at: Annotated[datetime | None, Field(description="When it was journaled")]

    @classmethod
    def of(cls, one: Correction) -> Corrected:
        return cls.model_validate(_fields(one))


class CorrectedTime(Corrected):
    """With what it changes: seconds of its scheduled time by what it counted as before, and counts as with it; the rest is out of the schedule."""

    before: dict[str, float]
    after: dict[str, float]
    scheduled_s: float
    counts: Annotated[bool, Field(description="false: later corrections have taken all of its time")]

    @classmethod
    def of_effect(cls, one: Effect) -> CorrectedTime:
        return cls.model_validate({
            **_fields(one.correction), "before": _seconds(one.before), "after": _seconds(one.after), "scheduled_s": one.scheduled / S, "counts": one.counts,
        })  # fmt: skip


def _fields(one: Correction) -> dict[str, Any]:
    return {
        "entry": one.n, "terminal": one.terminal, "since": iso(one.since), "until": iso(one.until), "counts_as": one.counts_as, "reason": one.reason,
        "party": one.party, "by": one.by, "at": iso(one.at),
    }  # fmt: skip


def _seconds(times: Mapping[str, int]) -> dict[str, float]:
    return {word: ns / S for word, ns in times.items()}


class TerminalIntervals(_Model):
    """The time of a terminal in a period, out of the log as it stands now."""

    scope: FiguresScope
    period: FiguresPeriod
    known: datetime | None
    log: Annotated[int, Field(description="The journal's last entry")]
    interruption_limit: float
    definitions: dict[str, Available]
    stretches: Annotated[list[TimeStretch], Field(description="In order; together they are the scheduled time")]
    corrections: list[CorrectedTime]
    may_correct: bool


class CorrectionAsked(BaseModel):
    """Times without an offset are by the clocks of the terminal's branch."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    since: Annotated[str, Field(alias="from", min_length=1, max_length=40, examples=["2026-11-21T09:00"])]
    until: Annotated[str, Field(alias="to", min_length=1, max_length=40, examples=["2026-11-21T11:30"])]
    counts_as: Annotated[CountsAs, Field(description="excluded: out of the scheduled time altogether")]
    reason: Annotated[str, Field(min_length=1, max_length=MAX_REASON, examples=["move of the branch"])]
    party: Annotated[Party, Field(description="Who answers for it")] = "unknown"


def add(api: APIRouter, parts: Parts, about: About) -> None:
    """about: shared with the figures, which are computed anew after a correction."""
    reads, now = parts.reads, parts.now
    tag, export, turns = Tags(reads), Exports(reads, now), asyncio.Semaphore(AT_ONCE)

    async def time_of(terminal: str, start: int, end: int) -> TerminalTime:
        await known(lambda: reads(lambda reader: reader.terminal(terminal)), terminal)
        where = parts.store
        if where is None:
            raise HTTPException(503, "this console has no store to compute figures from; start it with --db")
        async with turns:
            try:
                return await asyncio.to_thread(read_terminal, where, terminal, start, end)
            except KeyError:
                raise HTTPException(404, f"no {terminal!r} in the figures: it is no terminal of the bank") from None
            except (StoreError, sqlite3.Error) as error:
                raise HTTPException(503, f"the store cannot be read: {error}") from None

    @api.get(
        "/terminals/{terminal}/intervals",
        response_model=TerminalIntervals,
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="The time of a terminal in a period, stretch by stretch, with its evidence and corrections",
    )
    async def intervals(request: Request, response: Response, terminal: str, params: Wanted) -> Any:
        if await tag(request, response):
            return unchanged(response)
        wanted = await about(params)
        if wanted.end - wanted.start > MAX_DAYS * DAY_NS:
            raise HTTPException(422, f"query.from: more than {MAX_DAYS} days; ask for less")
        it = await time_of(terminal, wanted.start, wanted.end)
        words = await about.words(wanted)
        place = it.place
        return TerminalIntervals(
            scope=FiguresScope(
                kind="terminal", name=terminal, branch=place.branch, region=place.region, terminal_class=place.terminal_class, vendor=place.vendor
            ),
            period=period_of(wanted.name, wanted.start, wanted.end, it.end, wanted.zone), known=iso(it.known), log=it.log,
            interruption_limit=it.interruption,
            definitions={name: Available.of(one) for name, one in it.figures["availability"]["definitions"].items()},
            stretches=[TimeStretch.of(one, words) for one in it.stretches], corrections=[CorrectedTime.of_effect(one) for one in it.effects],
            may_correct=asking().may(Permission.PLAN),
        )  # fmt: skip

    @api.get(
        "/corrections",
        response_model=Page[Corrected],
        responses={**PROBLEMS, **UNCHANGED, **FILES},
        dependencies=[needs(Permission.SEE)],
        summary="What people said of stretches of time, the newest first",
    )
    async def corrections(
        request: Request,
        response: Response,
        terminal: Annotated[str | None, Query(max_length=200, examples=["ATM-0012"])] = None,
        limit: Limit = 100,
        offset: Offset = 0,
        form: Format = None,
    ) -> Any:
        if form is None and await tag(request, response):
            return unchanged(response)
        found = await known(lambda: reads(lambda reader: reader.corrections(terminal)), terminal or "")
        newest = found[::-1]
        if form is not None:
            return await export(Corrected, map(Corrected.of, newest), form, "corrections")
        return Page[Corrected].part(newest, Corrected.of, limit, offset)

    @api.post(
        "/terminals/{terminal}/corrections",
        response_model=Corrected,
        status_code=201,
        responses={**PROBLEMS, 200: {"model": Corrected, "description": "It was said already, and is not said twice"}},
        dependencies=[needs(Permission.PLAN)],
        summary="Say what a stretch of a terminal's time counts as; signed, beside what was recorded",
    )
    async def correct(response: Response, terminal: str, said: CorrectionAsked) -> Any:
        visitor = asking()
        view, policy, earlier = await known(
            lambda: reads(lambda r: (r.terminal(terminal), r.in_force().policy, r.corrections(terminal))), terminal
        )
        zone = policy.branch(view.branch).zone or policy.zone
        since, until = _time(said.since, "from", zone), _time(said.until, "to", zone)
        try:
            reason = check(since, until, said.counts_as, said.reason, said.party, now())
        except CorrectionError as error:
            raise HTTPException(422, f"body.{error.field}: {error}") from None
        meant = (since, until, said.counts_as, reason, said.party, visitor.name or "console")
        if (same := _same(earlier, meant)) is not None:
            response.status_code = 200
            return Corrected.of(same)
        await parts.acts(visitor, facts(terminal, since, until, said.counts_as, reason, said.party))
        about.forget()
        made = _same(await reads(lambda reader: reader.corrections(terminal)), meant)
        if made is None:
            raise HTTPException(
                503, "the correction was journaled and is not there yet; look again before you repeat it"
            )
        return Corrected.of(made)


def _same(found: Any, meant: tuple[int, int, str, str, str, str]) -> Correction | None:
    """The newest correction, if it says just that."""
    last = found[-1] if found else None
    if last is None or (last.since, last.until, last.counts_as, last.reason, last.party, last.by) != meant:
        return None
    kept: Correction = last
    return kept


def _time(text: str, name: str, zone: str) -> int:
    try:
        at = moment_ns(datetime.fromisoformat(text), zone)
    except (ValueError, OverflowError):
        raise HTTPException(422, f"body.{name}: {text!r} is no time; write 2026-11-21T22:00 (by the clocks of {zone}) or 2026-11-21T22:00+08:00") from None  # fmt: skip
    if not 0 < at < 2**63:
        raise HTTPException(422, f"body.{name}: {text!r} is outside of the years 1970 to 2261")
    return at
