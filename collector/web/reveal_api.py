"""Serial numbers and addresses of one terminal, whole: for who may see them, and only once the look stands in the record. One look an hour of one person
at one terminal is one entry.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Response

from tillwatch.collector.incident.incident_views import ConsoleReader
from tillwatch.collector.people.masking import secrets_of
from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.terminal.asset import FIELDS
from tillwatch.collector.web.answers import PROBLEMS, known
from tillwatch.collector.web.door import needs
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.people_schema import Revealed
from tillwatch.collector.web.schema import iso

HOUR_NS = 3600 * 10**9
MAX_LOOKS = 10_000
"""Looks of this hour that are remembered; who is forgotten is told of twice."""


class Looks:
    """Who has looked at what within the hour. Pure; times in UTC ns."""

    def __init__(self) -> None:
        self._until: OrderedDict[tuple[str, str], int] = OrderedDict()

    def told_until(self, who: str, what: str, now: int) -> int:
        """0 where it is to be told."""
        until = self._until.get((who, what), 0)
        return until if until > now else 0

    def told(self, who: str, what: str, now: int) -> int:
        until = self._until[who, what] = now + HOUR_NS
        self._until.move_to_end((who, what))
        if len(self._until) > MAX_LOOKS:
            self._until.popitem(last=False)
        return until


def add(api: APIRouter, parts: Parts) -> None:
    looks = Looks()

    @api.post(
        "/terminals/{terminal}/reveal",
        response_model=Revealed,
        responses=PROBLEMS,
        dependencies=[needs(Permission.SEE_PROTECTED)],
        tags=["fleet"],
        summary="Serial numbers and addresses whole; the look is journaled first",
    )
    async def reveal(terminal: Annotated[str, Path(max_length=200)], response: Response) -> Revealed:
        response.headers["Cache-Control"] = "no-store"
        visitor, now = asking(), parts.now()
        if not visitor.name:
            raise HTTPException(401, "sign in first", {"WWW-Authenticate": "Bearer"})
        await known(lambda: parts.reads(lambda reader: reader.terminal(terminal)), terminal)
        until = looks.told_until(visitor.name, terminal, now)
        if not until:
            await parts.acts(visitor, {"action": "look", "terminal": terminal, "subject": "serials and addresses"})
            until = looks.told(visitor.name, terminal, now)
        # The scope was asked above; the whole reader is the one that does not mask.
        return Revealed(
            terminal=terminal,
            values=await parts.reads.whole(lambda reader: _values(reader, terminal)),
            until=iso(until),
        )


def _values(reader: ConsoleReader, terminal: str) -> dict[str, str]:
    found = secrets_of(reader.components(terminal))
    kept, _ = reader.asset(terminal)
    for name, value in kept.items():
        if FIELDS[name].protected and value:
            parts = value.items() if isinstance(value, dict) else [("", value)]
            found |= {f"{name} {part}".strip(): str(one) for part, one in parts}
    return found
