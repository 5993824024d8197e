"""The routes of the audit log: who did what, the newest first; one entry with its place in the chain; and the chain followed over a stretch, now."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Response

from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.proof.actions import GROUPS
from tillwatch.collector.proof.acts_page import MAX_STRETCH, Wanted
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest.answers import PROBLEMS, SOME, known, moment
from tillwatch.collector.web.rest.audit_schema import (
    AuditEntry,
    AuditPage,
    AuditProof,
    ChainState,
    ChainStretch,
    StretchAsked,
)
from tillwatch.collector.web.rest.exports import FILES, Exports, Format
from tillwatch.collector.web.rest.schema import iso

MAX_PAGE = 200
"""Acts of one answer: each is some hundred bytes of facts."""
EXPORTED_AT_ONCE = 1_000
MAX_EXPORTED = 20_000
"""Acts of one file, some 10 MB: ask for less time for what lies further back."""
MAX_TEXT = 100
"""Characters of a filter."""

_GROUP = f"^({'|'.join(GROUPS)})$"


def add(api: APIRouter, parts: Parts) -> None:
    reads, now = parts.reads, parts.now
    exports = Exports(reads, now)
    following = asyncio.Lock()
    last: list[ChainStretch] = []

    @api.get(
        "/audit",
        response_model=AuditPage,
        responses={**FILES, **SOME},
        dependencies=[needs(Permission.AUDIT)],
        summary="Who did what, the newest first",
    )
    async def audit(
        response: Response,
        actor: Annotated[str, Query(max_length=MAX_TEXT, description="A part of the name")] = "",
        group: Annotated[str | None, Query(pattern=_GROUP, description="Only acts of this kind")] = None,
        action: Annotated[str, Query(max_length=MAX_TEXT, description="Only this act", examples=["acknowledge"])] = "",
        subject: Annotated[str, Query(max_length=MAX_TEXT, description="A part of what it was about: a terminal, an incident, any text")] = "",
        start: Annotated[str | None, Query(alias="from", max_length=40, description="ISO 8601 or seconds since 1970")] = None,
        end: Annotated[str | None, Query(alias="to", max_length=40)] = None,
        before: Annotated[int, Query(ge=0, le=2**53, description="`before` of the answer that this one follows")] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
        form: Format = None,
    ) -> Any:  # fmt: skip
        response.headers["Cache-Control"] = "no-store"
        wanted = Wanted(actor.strip(), group or "", action.strip(), subject.strip(), moment(start, "from") or 0, moment(end, "to") or 0)  # fmt: skip
        if form is not None:
            return await exports(AuditEntry, await _all(wanted, before), form, "audit")
        found = await reads(lambda reader: reader.acts(wanted, before, limit))
        return AuditPage(
            items=[AuditEntry.of(each) for each in found.acts], before=found.before, looked_at=found.looked_at, back_to=iso(found.back_to),
            whole=asking().scope.whole,
        )  # fmt: skip

    async def _all(wanted: Wanted, before: int) -> list[AuditEntry]:
        """For a file: page after page, so that nobody else waits for all of it."""
        entries: list[AuditEntry] = []
        while len(entries) < MAX_EXPORTED:
            found = await reads(lambda reader, at=before: reader.acts(wanted, at, EXPORTED_AT_ONCE))  # type: ignore[misc]  # mypy has no type for a default
            entries += [AuditEntry.of(each) for each in found.acts]
            before = found.before
            if not before:
                break
        return entries[:MAX_EXPORTED]

    @api.get(
        "/audit/chain",
        response_model=ChainState,
        responses=SOME,
        dependencies=[needs(Permission.AUDIT)],
        summary="How the log's chain was found when somebody looked last",
    )
    async def chain(response: Response) -> Any:
        response.headers["Cache-Control"] = "no-store"
        health, verified = await reads(lambda reader: (reader.health(), reader.verified()))
        return ChainState.of(health.journal_entries, verified, last[-1] if last else None)

    @api.post(
        "/audit/stretch",
        response_model=ChainStretch,
        responses={**SOME, 409: PROBLEMS[404]},
        dependencies=[needs(Permission.AUDIT)],
        summary=f"Follow the chain through up to {MAX_STRETCH} entries, now",
    )
    async def stretch(asked: StretchAsked) -> Any:
        if following.locked():
            raise HTTPException(409, "a stretch is being followed; ask again when it is done", {"Retry-After": "2"})
        async with following:
            end = asked.last or (await reads(lambda reader: reader.health())).journal_entries
            begin = asked.first or max(1, end - MAX_STRETCH + 1)
            if begin > end:
                raise HTTPException(422, f"body.first: {begin} lies behind the last entry, {end}")
            found = await reads(lambda reader: reader.stretch(begin, end))
            last[:] = [ChainStretch.of(found, now())]
            return last[0]

    @api.get(
        "/audit/{n}",
        response_model=AuditProof,
        responses=PROBLEMS,
        dependencies=[needs(Permission.AUDIT)],
        summary="One entry of the log, and whether it holds",
    )
    async def one(response: Response, n: Annotated[int, Path(ge=1, le=2**53, examples=[120934])]) -> Any:
        response.headers["Cache-Control"] = "no-store"
        return AuditProof.of(await known(lambda: reads(lambda reader: reader.entry(n)), f"entry {n}"))
