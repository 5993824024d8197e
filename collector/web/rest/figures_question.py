"""A question about figures: of which period, in which zone, of which part of the fleet, and the kept figures that answer it. Shared by all routes that answer
with figures.
"""

from __future__ import annotations

import asyncio
import sqlite3
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from zoneinfo import available_timezones

from fastapi import Depends, HTTPException, Query, Request, Response

from tillwatch.collector.alarm.rules import Rules
from tillwatch.collector.figures.kept_reader import KeptFigures, Meta
from tillwatch.collector.figures.period import PeriodError, period
from tillwatch.collector.figures.rollup import FLEET, Scope
from tillwatch.collector.figures.wording import Wording
from tillwatch.collector.people.roles import asking
from tillwatch.collector.web.figures_jobs import FiguresJobs, Found, NoFigures, part_of
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest.answers import Language, unchanged
from tillwatch.collector.web.rest.figures_schema import S
from tillwatch.collector.web.translation import Translation

WAIT_S = 2.0
"""For figures that are not there yet, before the answer is how far they are: a small fleet is computed within it."""
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

    async def find(self, wanted: Asked, *, anew: bool = False) -> Found:
        """Raises HTTPException."""
        try:
            return await self._jobs.find(wanted.start, wanted.end, part_of(asking()), wait_s=WAIT_S, anew=anew)
        except NoFigures as error:
            raise HTTPException(503, f"the figures cannot be computed: {error}") from None

    async def ready(self, params: Params) -> tuple[Asked, KeptFigures, Meta]:
        """Where the part is one that the asker may see. Raises HTTPException."""
        wanted = await self(params)
        found = await self.find(wanted)
        if found.kept is None or found.meta is None:
            done = found.job.done if found.job is not None else 0
            raise HTTPException(
                503, f"the figures of {wanted.name} are being computed ({done} %); ask again", {"Retry-After": "2"}
            )
        if await row_of(found.kept, wanted.scope) is None:
            raise no_such_part(wanted)
        return wanted, found.kept, found.meta

    def forget(self) -> None:
        """Somebody said something that figures depend on."""
        self._jobs.forget()


def no_such_part(wanted: Asked) -> HTTPException:
    return HTTPException(404, f"no {wanted.scope.kind} {wanted.scope.name!r} in the figures of {wanted.name}")


async def on_thread(ask: Callable[[], T]) -> T:
    """A kept file may be put away between two questions; the next one has it made again."""
    try:
        return await asyncio.to_thread(ask)
    except sqlite3.Error as error:
        raise HTTPException(503, f"the figures are being made again: {error}", {"Retry-After": "2"}) from None


async def row_of(kept: KeptFigures, scope: Scope) -> dict[str, Any] | None:
    return await on_thread(lambda: kept.brief(scope))
