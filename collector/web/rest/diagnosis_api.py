"""The routes of remote diagnosis: what a terminal can be asked now, asking it, what became of it, and the bundle that came back. A command changes
nothing on a terminal; each is an act of a person, on record before it leaves.
"""

from __future__ import annotations

import json
import zlib
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response

from tillwatch.agent.model import AGENT, device_of
from tillwatch.agent.wire import MAX_TERMINAL
from tillwatch.collector.diagnosis.order import Order, argument_problem, refusal
from tillwatch.collector.incident.incident_views import ConsoleReader
from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest.acts_api import Key
from tillwatch.collector.web.rest.answers import PROBLEMS, SOME, UNCHANGED, Limit, Offset, Tags, known, unchanged
from tillwatch.collector.web.rest.diagnosis_schema import CommandView, CommandWanted, Diagnosis
from tillwatch.collector.web.rest.schema import Page, Problem

SHOWN = 20
"""Commands of a terminal on its panel, the newest."""
MAX_LOOKED = 2_000
"""Commands that a list looks through: months of a bank that asks a lot."""
MAX_BUNDLE_JSON = 4 << 20
"""Bytes that a bundle of 48 KiB may unpack to: a terminal's word is not believed further. Real ones have some 200 KiB."""
REFUSED: dict[int | str, dict[str, Any]] = {
    **PROBLEMS,
    409: {"model": Problem, "description": "It cannot be asked now", "content": {"application/problem+json": {}}},
}
WHY = {
    "collector-off": "remote diagnosis is switched off on this collector: [diagnosis] enabled = true, then restart it",
    "no-commands": "the agent of this terminal has never said that it takes commands: it is older, or was not heard yet",
    "terminal-off": "the operator of this terminal lets no commands in: [commands] enabled = true in its agent.toml",
    "not-allowed": "[commands] allow of this terminal does not list this kind",
    "revoked": "the keys of this terminal were revoked",
    "too-many": "enough commands of this terminal wait already; see what became of them",
}
TerminalId = Annotated[str, Path(min_length=1, max_length=MAX_TERMINAL, examples=["ATM-0012"])]
CommandId = Annotated[int, Path(ge=1, le=2**62, examples=[4711])]


def add(api: APIRouter, parts: Parts) -> None:
    reads, tag = parts.reads, Tags(parts.reads)

    @api.get(
        "/terminals/{terminal}/diagnosis",
        response_model=Diagnosis,
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="What it can be asked now, and what was asked",
    )
    async def diagnosis(request: Request, response: Response, terminal: TerminalId) -> Any:
        if await tag(request, response):
            return unchanged(response)

        def look(reader: ConsoleReader) -> Diagnosis:
            devices = sorted({device_of(each.name) for each in reader.components(terminal)} - {AGENT})
            orders = list(reader.orders(terminal, limit=SHOWN))
            return Diagnosis.of(terminal, reader.reach(terminal), devices, orders)

        return await known(lambda: reads(look), terminal)

    @api.post(
        "/terminals/{terminal}/commands",
        response_model=CommandView,
        status_code=202,
        responses=REFUSED,
        dependencies=[needs(Permission.DIAGNOSE)],
        summary="Ask it something that changes nothing there",
    )
    async def ask(terminal: TerminalId, wanted: CommandWanted, key: Key) -> Any:
        if not wanted.reason.strip() or not wanted.reason.isprintable():
            raise HTTPException(422, "body.reason: say in one line of printable characters why")
        if problem := argument_problem(wanted.kind, wanted.arguments()):
            raise HTTPException(422, f"body: {problem}")
        visitor = asking()

        def found(reader: ConsoleReader) -> Order | None:
            listed = reader.orders(terminal, limit=SHOWN)
            return next((one for one in listed if one.ref == ref and one.by == visitor.name), None)

        ref = key or uuid4().hex
        reach = await known(lambda: reads(lambda reader: reader.reach(terminal)), terminal)
        order = await reads(found) if key else None
        if order is None:
            if why := refusal(reach, wanted.kind):
                raise HTTPException(409, WHY[why])
            await parts.acts(
                visitor,
                {
                    "action": "command",
                    "terminal": terminal,
                    "kind": wanted.kind,
                    "arguments": wanted.arguments(),
                    "reason": wanted.reason.strip(),
                    "life_s": wanted.life_s,
                    "ref": ref,
                },
            )
            order = await reads(found)
        if order is None:
            raise HTTPException(
                503, "the collector has taken it, and it cannot be read yet; see the terminal's commands"
            )
        return CommandView.of(order)

    @api.get(
        "/commands",
        response_model=Page[CommandView],
        responses={**SOME, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="Commands to terminals, the newest first",
    )
    async def commands(
        request: Request,
        response: Response,
        terminal: Annotated[str | None, Query(max_length=MAX_TERMINAL, description="Only this terminal")] = None,
        state: Annotated[str, Query(pattern="^(open|all)$", description="`open`: not settled; or `all`")] = "all",
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> Any:
        if await tag(request, response):
            return unchanged(response)
        found = await known(
            lambda: reads(lambda reader: reader.orders(terminal, open_only=state == "open", limit=MAX_LOOKED)),
            terminal or "",
        )
        return Page[CommandView].part(found, CommandView.of, limit, offset)

    @api.get(
        "/commands/{command}",
        response_model=CommandView,
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="One command and what became of it",
    )
    async def one(request: Request, response: Response, command: CommandId) -> Any:
        if await tag(request, response):
            return unchanged(response)
        return CommandView.of(await known(lambda: reads(lambda reader: reader.order(command)), str(command)))

    @api.get(
        "/commands/{command}/bundle",
        response_class=Response,
        responses={**REFUSED, 200: {"content": {"application/json": {}}, "description": "The bundle"}},
        dependencies=[needs(Permission.DIAGNOSE)],
        summary="The diagnostic bundle that a command brought",
    )
    async def bundle(command: CommandId) -> Response:
        found = await known(lambda: reads(lambda reader: reader.bundle(command)), str(command))
        if found.content is None:
            gone = "its readings are no longer kept" if found.retired else "pieces of it may still be on their way"
            raise HTTPException(409, f"the bundle is not whole, {found.missing} pieces are missing: {gone}")
        name = f"bundle-{found.order.terminal}-{found.order.n}.json"
        headers = {
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(readable(found.content), media_type="application/json", headers=headers)


def readable(content: bytes) -> bytes:
    """The document, bounded and indented. Raises HTTPException where a terminal sent something else."""
    unpack = zlib.decompressobj()
    try:
        text = unpack.decompress(content, MAX_BUNDLE_JSON)
        if not unpack.eof:
            raise HTTPException(409, f"the bundle is longer than {MAX_BUNDLE_JSON >> 20} MiB, or cut off")
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False).encode(errors="replace")
    except (zlib.error, ValueError, RecursionError) as error:
        raise HTTPException(409, f"the bundle is no JSON: {error}") from None
