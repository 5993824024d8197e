"""The routes of supplies: what runs out or fills up, the most urgent first, and what to bring to which branch."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from tillwatch.collector.incident.incident_views import ConsoleReader
from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.predict.finding import Finding
from tillwatch.collector.predict.settings import DAY_NS
from tillwatch.collector.predict.supplies import (
    EMPTIES,
    ENOUGH,
    Refill,
    Stop,
    Stored,
    Supply,
    refills,
    route,
    signals_of,
    supplies,
)
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.predicting import Predicting
from tillwatch.collector.web.rest.answers import PROBLEMS, SOME, Limit, Offset, known
from tillwatch.collector.web.rest.exports import FILES, Exports, Format
from tillwatch.collector.web.rest.schema import Page, iso

log = logging.getLogger(__name__)

KEPT_S = 60.0
"""Supplies move by the hour; looking through 10,000 terminals takes seconds."""
OLD_S = 900.0
"""Older than this nothing is shown: who comes in the morning does not see the evening's levels."""
SHARE = 15
"""Looks take at most one part in so many of the time, however slow the store is: intake reads and writes the same disk."""
MAX_FINDINGS = 5_000
MAX_NAME = 200
MAX_DAYS = 30.0
"""Of a route: no one brings today what ends in five weeks."""
BACK_NS = 56 * DAY_NS
"""How far back refills are looked for: as far as the detector knows use."""
SOON_DAYS = 7.0
Group = Literal["cash", "deposit", "paper", "toner", "fuel", "disk", "battery", "other"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class SupplyRow(_Model):
    """One supply that ends, or room that ends, in one part of a terminal."""

    terminal: Annotated[str, Field(examples=["ATM-0012"])]
    branch: str
    region: str
    terminal_class: Annotated[str, Field(alias="class")]
    component: Annotated[str, Field(examples=["atm/CashDispenser unit:2"])]
    group: Annotated[Group, Field(description="What it is a matter of")]
    way: Annotated[Literal["empties", "fills"], Field(description="A store that empties, or a room that fills")]
    word: Annotated[
        Literal["out", "low", "enough", "unknown"], Field(description="`out`: nothing is left, or it is full")
    ]
    told: Annotated[str, Field(description="The sensor's own word; empty: it has none", examples=["low"])]
    signal: Annotated[str, Field(examples=["atm.unit.count"])]
    unit: str
    level: float | None
    capacity: Annotated[float | None, Field(description="Of the whole store, where somebody says so")]
    limit: Annotated[float | None, Field(description="The level at which it is at its end")]
    left: Annotated[float | None, Field(description="Share of the whole that is left, 0 to 1")]
    at: Annotated[datetime | None, Field(description="When the level was read")]
    stale: Annotated[bool, Field(description="Nothing newer has come by when it should have")]
    near: Annotated[datetime | None, Field(description="When it ends at the earliest; null: no date is said")]
    likely: datetime | None
    far: datetime | None
    finding: Annotated[str, Field(description="The finding that says so; empty: none")]
    horizon_days: Annotated[float, Field(description="How far ahead a date is told")]
    lead_days: Annotated[float, Field(description="What planning a refill takes")]
    why: Annotated[
        str,
        Field(
            description="`foretold`; or why there is no date: `beyond` (not within the horizon, or its use is not known yet), `sensor` (it only says low and out), `off` (predictions are), `unreadable`, `unlimited` (nobody says when it is full)"
        ),
    ]

    @classmethod
    def of(cls, one: Supply, now: int) -> SupplyRow:
        place = one.stored
        near, likely, far = one.due or (0, 0, 0)
        return cls.model_validate({
            "terminal": place.terminal, "branch": place.branch, "region": place.region, "terminal_class": place.terminal_class,
            "component": place.component, "group": one.group, "way": one.way, "word": one.word, "told": one.told, "signal": one.signal,
            "unit": one.unit, "level": one.level, "capacity": one.whole, "limit": one.limit, "left": one.left, "at": iso(one.at),
            "stale": not place.online or bool(place.unknown) or (0 < place.due < now), "near": iso(near), "likely": iso(likely), "far": iso(far),
            "finding": one.finding, "horizon_days": one.horizon, "lead_days": one.lead, "why": one.why,
        })  # fmt: skip


class SupplyPage(Page[SupplyRow]):
    """counts: of the same place and group by word; soon: with a date within seven days, or out; groups: how many there are of each."""

    counts: dict[str, int]
    soon: int
    groups: dict[str, int]
    looked: Annotated[datetime | None, Field(description="When the levels were looked at")]


class RouteStop(_Model):
    """A branch to go to."""

    branch: str
    region: str
    by: Annotated[datetime | None, Field(description="When the first thing ends there")]
    out: Annotated[int, Field(description="What has ended already")]
    supplies: list[SupplyRow]

    @classmethod
    def of(cls, stop: Stop, now: int) -> RouteStop:
        rows = [SupplyRow.of(each, now) for each in stop.supplies]
        return cls(branch=stop.branch, region=stop.region, by=iso(stop.by), out=stop.out, supplies=rows)


class Filled(_Model):
    """A refill, or an emptying, in the signal's unit."""

    at: datetime | None
    before: float
    after: float

    @classmethod
    def of(cls, one: Refill) -> Filled:
        return cls(at=iso(one.at), before=one.before, after=one.after)


class Filling(_Model):
    """When a store was filled, the newest first, out of the hours of the last eight weeks."""

    unit: str
    refills: list[Filled]
    per_day: Annotated[float | None, Field(description="What a day took on average since the last refill")]


class Looking:
    """The supplies of the whole fleet, looked at once in a while for everybody. Who asks meanwhile gets the last answer and when it was looked at, while the next
    one is made: only the first ever, or the first after OLD_S, waits for it. One look at a time, and never more than one part of SHARE of the time.
    """

    def __init__(self, parts: Parts, clock: Callable[[], float] = time.monotonic) -> None:
        self._parts = parts
        self._clock = clock
        self._signals = signals_of(parts.predicting.tables)
        self._at = 0
        self._made = -math.inf
        self._until = -math.inf
        self._kept: list[Supply] = []
        self._next: asyncio.Task[None] | None = None
        parts.at_end.append(self.close)

    async def __call__(self) -> tuple[list[Supply], int]:
        """What the asker may see, and when it was looked at, UTC ns. Raises Busy and Unreadable where there is no answer that is young enough."""
        now = self._clock()
        if self._next is None and now >= self._until:
            self._next = asyncio.create_task(self._look(), name="look at supplies")
            self._next.add_done_callback(self._over)
        if self._next is not None and now - self._made > OLD_S:
            await asyncio.shield(self._next)
        scope = asking().scope
        return [each for each in self._kept if scope.covers(each.stored.branch, each.stored.region)], self._at

    async def close(self) -> None:
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)

    async def _look(self) -> None:
        predicting, begun = self._parts.predicting, self._clock()
        at = self._parts.now()
        stored, findings = await self._parts.reads.whole(self._ask)
        kept = await asyncio.to_thread(_supplies, stored, findings, predicting)
        self._kept, self._at, self._made = kept, at, self._clock()
        self._until = self._made + max(KEPT_S, SHARE * (self._made - begun))

    def _over(self, task: asyncio.Task[None]) -> None:
        """Whoever waits for it is told what went wrong; the others go on with what there is, and the next one who asks begins anew."""
        self._next = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("supplies could not be looked at: %s", error)

    def _ask(self, reader: ConsoleReader) -> tuple[Sequence[Stored], Sequence[Finding]]:
        return reader.supplies(self._signals), reader.findings(limit=MAX_FINDINGS)


def _supplies(stored: Sequence[Stored], findings: Sequence[Finding], predicting: Predicting) -> list[Supply]:
    return supplies(stored, findings, predicting.tables, predicting=predicting.enabled)


def add(api: APIRouter, parts: Parts) -> None:
    now, look, export = parts.now, Looking(parts), Exports(parts.reads, parts.now)

    @api.get(
        "/supplies",
        response_model=SupplyPage,
        responses={**SOME, **FILES},
        dependencies=[needs(Permission.SEE)],
        summary="What runs out or fills up, the most urgent first",
    )
    async def listed(
        response: Response,
        group: Annotated[Group | None, Query(description="Only this matter")] = None,
        branch: Annotated[str | None, Query(max_length=MAX_NAME, examples=["Harbour Road"])] = None,
        region: Annotated[str | None, Query(max_length=MAX_NAME, examples=["South"])] = None,
        terminal: Annotated[str | None, Query(max_length=MAX_NAME, examples=["ATM-0012"])] = None,
        attention: Annotated[bool, Query(description="Only what is out or low, or has a date")] = False,  # noqa: FBT002 - a query
        limit: Limit = 100,
        offset: Offset = 0,
        form: Format = None,
    ) -> Any:
        # Without ETag: what is left of a date becomes less by time alone.
        response.headers["Cache-Control"] = "no-store"
        everything, at = await look()
        here = [
            each
            for each in everything
            if (branch is None or each.stored.branch == branch)
            and (region is None or each.stored.region == region)
            and (terminal is None or each.stored.terminal == terminal)
        ]
        groups: dict[str, int] = {}
        for each in here:
            groups[each.group] = groups.get(each.group, 0) + 1
        chosen = [each for each in here if group is None or each.group == group]
        wanted = [each for each in chosen if not attention or each.word in ("out", "low") or each.due is not None]
        moment = now()
        if form is not None:
            return await export(SupplyRow, (SupplyRow.of(each, moment) for each in wanted), form, "supplies")
        soon = moment + round(SOON_DAYS * DAY_NS)
        return SupplyPage(
            items=[SupplyRow.of(each, moment) for each in wanted[offset : offset + limit]], total=len(wanted), limit=limit, offset=offset,
            counts={word: sum(each.word == word for each in chosen) for word in ("out", "low", ENOUGH, "unknown")},
            soon=sum(each.word == "out" or (each.due is not None and each.due[0] <= soon) for each in chosen), groups=groups, looked=iso(at),
        )  # fmt: skip

    @api.get(
        "/supplies/route",
        response_model=Page[RouteStop],
        responses={**SOME, **FILES},
        dependencies=[needs(Permission.SEE)],
        summary="What to bring to which branch, the most pressing branch first",
    )
    async def stops(
        response: Response,
        within_days: Annotated[float, Query(ge=0, le=MAX_DAYS, description="With what ends within so many days")] = 3.0,
        region: Annotated[str | None, Query(max_length=MAX_NAME, examples=["South"])] = None,
        limit: Limit = 100,
        offset: Offset = 0,
        form: Format = None,
    ) -> Any:
        response.headers["Cache-Control"] = "no-store"
        everything, _ = await look()
        moment = now()
        found = route(
            (each for each in everything if region is None or each.stored.region == region), moment, within_days
        )
        if form is not None:
            rows = (SupplyRow.of(each, moment) for stop in found for each in stop.supplies)
            return await export(SupplyRow, rows, form, "supply-route")
        return Page[RouteStop].part(found, lambda each: RouteStop.of(each, moment), limit, offset)

    @api.get(
        "/terminals/{terminal}/refills",
        response_model=Filling,
        responses=PROBLEMS,
        dependencies=[needs(Permission.SEE)],
        summary="When a supply was filled, the newest first",
    )
    async def filled(
        response: Response,
        terminal: str,
        component: Annotated[str, Query(min_length=1, max_length=MAX_NAME, examples=["atm/CashDispenser unit:2"])],
        signal: Annotated[str, Query(min_length=1, max_length=MAX_NAME, examples=["atm.unit.count"])],
        way: Literal["empties", "fills"] = "empties",
    ) -> Any:
        response.headers["Cache-Control"] = "no-store"
        moment = now()
        found = await known(
            lambda: parts.reads(lambda reader: reader.history(terminal, component, signal, moment - BACK_NS, moment)),
            f"{terminal} {component} {signal}",
        )
        levels = [(p.at, float(p.value)) for p in found.points if isinstance(p.value, int | float)]
        seen = refills(levels, way)
        return Filling(
            unit=found.unit, refills=[Filled.of(one) for one in seen[:10]], per_day=_per_day(levels, seen, way)
        )


def _per_day(levels: Sequence[tuple[int, float]], seen: Sequence[Refill], way: str) -> float | None:
    since = [level for level in levels if not seen or level[0] >= seen[0].at]
    if len(since) < 2 or since[-1][0] - since[0][0] < DAY_NS:
        return None
    used = since[0][1] - since[-1][1] if way == EMPTIES else since[-1][1] - since[0][1]
    return used / ((since[-1][0] - since[0][0]) / DAY_NS)
