"""The route of what has not reached its receiver."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.reads import Reads
from tillwatch.collector.web.rest.answers import SOME, UNCHANGED, Limit, Offset, Tags, unchanged
from tillwatch.collector.web.rest.delivery_schema import Delivery
from tillwatch.collector.web.rest.schema import Page


def add(api: APIRouter, reads: Reads) -> None:
    tag = Tags(reads)

    @api.get(
        "/deliveries",
        response_model=Page[Delivery],
        responses={**SOME, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="Messages that wait or were given up, level 1 first, the oldest first within a level",
    )
    async def deliveries(
        request: Request,
        response: Response,
        connector: Annotated[
            str | None,
            Query(description="Only those for this receiver; empty: for none that is configured", examples=["desk"]),
        ] = None,
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> Any:
        if await tag(request, response):
            return unchanged(response)
        found, total = await reads(lambda reader: reader.outgoing(connector=connector, limit=limit, offset=offset))
        return Page[Delivery](
            items=[Delivery.of(view) for view in found],
            total=total,
            limit=limit,
            offset=offset,
        )
