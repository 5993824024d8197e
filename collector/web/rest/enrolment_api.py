"""The routes of enrolment for many: who is expected, who has enrolled, which claims wait for a person, and which versions run. Reading only: permissions
to enrol, and what becomes of refused claims, are the command line's, where the keys are.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.trust.expected import CLAIMED, DISPUTED, EXPECTED, Expected, Grant, RefusedClaim
from tillwatch.collector.trust.reading import NotEnrolled
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest.answers import PROBLEMS, SOME, Limit, Offset, known
from tillwatch.collector.web.rest.exports import FILES, Exports, Format
from tillwatch.collector.web.rest.schema import Page, iso

MAX_NAME = 200
UNTOLD = ""
"""The version of terminals that have not told one."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class GrantRow(_Model):
    """A permission to enrol that is for many: a batch of one-time tokens, or the token of an image."""

    name: Annotated[str, Field(examples=["rollout-north"])]
    kind: Annotated[Literal["batch", "image"], Field(description="One-time tokens for a list, or an image's token")]
    count: Annotated[int, Field(description="Terminals that it is for, at most", examples=[400])]
    used: Annotated[int, Field(description="By how many it was used so far", examples=[392])]
    good: Annotated[bool, Field(description="Whether somebody can still enrol with it")]
    at: datetime | None
    until: datetime | None
    revoked_at: Annotated[datetime | None, Field(description="null: never")]
    by: str
    source: Annotated[str, Field(description="The list's file; empty: none", examples=["terminals.csv"])]

    @classmethod
    def of(cls, grant: Grant, now: int) -> GrantRow:
        kind: Any = grant.kind
        return cls(
            name=grant.name, kind=kind, count=grant.count, used=grant.used, good=grant.refuses(now) is None, at=iso(grant.at), until=iso(grant.until),
            revoked_at=iso(grant.revoked_at), by=grant.by, source=grant.source,
        )  # fmt: skip


class RefusedRow(_Model):
    """A machine that asked to be enrolled and was refused."""

    serial: Annotated[str, Field(description="Its serial number, masked up to its end", examples=["••••1X4K"])]
    reason: str
    at: datetime | None
    image: str
    address: Annotated[str, Field(description="Where it asked from, masked")]
    terminal: Annotated[str, Field(description="Whose serial number it says; empty: nobody's")]

    @classmethod
    def of(cls, claim: RefusedClaim) -> RefusedRow:
        return cls(serial=claim.serial, reason=claim.reason, at=iso(claim.at), image=claim.image, address=claim.address, terminal=claim.terminal)  # fmt: skip


class Enrolling(_Model):
    """How far the installation is. expected, claimed, disputed: machines by serial number; versions: terminals by the version of their agent, "" for those
    that have not told it.
    """

    terminals: int
    expected: int
    claimed: int
    disputed: int
    grants: list[GrantRow]
    refused: list[RefusedRow]
    versions: dict[str, int]


class ExpectedRow(_Model):
    """A machine that may become a terminal by its serial number, or has."""

    serial: Annotated[str, Field(description="Masked up to its end")]
    terminal: Annotated[str, Field(examples=["ATM-0012"])]
    branch: str
    region: str
    terminal_class: Annotated[str, Field(alias="class")]
    ring: Annotated[str, Field(description="Of rollouts; empty: the one that shares give it")]
    state: Annotated[Literal["expected", "claimed", "disputed"], Field(description="`disputed`: claimed twice, waits for a person")]  # fmt: skip
    at: Annotated[datetime | None, Field(description="Since when it is in this state")]
    image: Annotated[str, Field(description="Of which it must come; empty: any")]
    released: Annotated[bool, Field(description="A person lets it be claimed once more")]

    @classmethod
    def of(cls, one: Expected) -> ExpectedRow:
        state: Any = one.state
        return cls(
            serial=one.serial, terminal=one.terminal, branch=one.branch, region=one.region, terminal_class=one.terminal_class, ring=one.ring,
            state=state, at=iso(one.at), image=one.image, released=one.released,
        )  # fmt: skip


class Missing(_Model):
    """A terminal of a batch or an image that has not enrolled yet."""

    terminal: str
    branch: str
    region: str
    terminal_class: Annotated[str, Field(alias="class")]
    serial: Annotated[str, Field(description="Of its machine, masked up to its end; empty: of a token's")]

    @classmethod
    def of(cls, one: NotEnrolled) -> Missing:
        return cls(terminal=one.terminal, branch=one.branch, region=one.region, terminal_class=one.terminal_class, serial=one.serial)  # fmt: skip


def add(api: APIRouter, parts: Parts) -> None:
    reads, now, export = parts.reads, parts.now, Exports(parts.reads, parts.now)

    @api.get(
        "/enrolment",
        response_model=Enrolling,
        responses=SOME,
        dependencies=[needs(Permission.SEE)],
        summary="How far the installation is: expected machines, permissions to enrol, refused claims, versions",
    )
    async def enrolling(response: Response) -> Any:
        response.headers["Cache-Control"] = "no-store"
        await parts.feed.ready()
        grants, expected, refused = await reads(lambda r: (r.grants(), r.expected(), r.refused_claims()))
        states = Counter(one.state for one in expected)
        terminals = parts.feed.terminals_of(asking().scope).values()
        versions = Counter(view.version or UNTOLD for view in terminals)
        return Enrolling(
            terminals=len(terminals), expected=states[EXPECTED], claimed=states[CLAIMED], disputed=states[DISPUTED],
            grants=[GrantRow.of(grant, now()) for grant in grants], refused=[RefusedRow.of(claim) for claim in refused],
            versions=dict(versions.most_common()),
        )  # fmt: skip

    @api.get(
        "/enrolment/expected",
        response_model=Page[ExpectedRow],
        responses={**SOME, **FILES},
        dependencies=[needs(Permission.SEE)],
        summary="Machines that may become a terminal by their serial number, and those that have",
    )
    async def expected(
        response: Response,
        state: Annotated[Literal["expected", "claimed", "disputed"] | None, Query(description="Only these")] = None,
        branch: Annotated[str | None, Query(max_length=MAX_NAME, examples=["Harbour Road"])] = None,
        image: Annotated[str | None, Query(max_length=MAX_NAME, examples=["kiosk-7"])] = None,
        limit: Limit = 100,
        offset: Offset = 0,
        form: Format = None,
    ) -> Any:
        response.headers["Cache-Control"] = "no-store"
        found = [
            one
            for one in await reads(lambda reader: reader.expected())
            if (state is None or one.state == state)
            and (branch is None or one.branch == branch)
            and (image is None or one.image == image)
        ]
        if form is not None:
            return await export(ExpectedRow, map(ExpectedRow.of, found), form, "expected")
        items = [ExpectedRow.of(one) for one in found[offset : offset + limit]]
        return Page[ExpectedRow](items=items, total=len(found), limit=limit, offset=offset)

    @api.get(
        "/enrolment/grants/{name}/missing",
        response_model=Page[Missing],
        responses=PROBLEMS,
        dependencies=[needs(Permission.SEE)],
        summary="Terminals of a batch or an image that have not enrolled yet",
    )
    async def missing(response: Response, name: str, limit: Limit = 100, offset: Offset = 0) -> Any:
        response.headers["Cache-Control"] = "no-store"
        found = await known(lambda: reads(lambda reader: reader.not_enrolled(name)), name)
        items = [Missing.of(one) for one in found[offset : offset + limit]]
        return Page[Missing](items=items, total=len(found), limit=limit, offset=offset)
