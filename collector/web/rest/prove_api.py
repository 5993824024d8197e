"""From a value to its source: the readings round a time as they stand in the log, and the bundle that proves one of them to whoever trusts the collector's
authority. A bundle is made by the command `prove` in a process of its own: the authority's key is in no process that answers the network.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from tillwatch.collector.child import end
from tillwatch.collector.people.roles import Permission, Visitor, asking
from tillwatch.collector.proof.bundle import MAX_BUNDLE
from tillwatch.collector.read import ComponentView, StoredReading
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest.answers import PROBLEMS, UNCHANGED, Tags, known, moment, unchanged
from tillwatch.collector.web.rest.exports import file_name
from tillwatch.collector.web.rest.schema import iso

AT_ONCE = 2
"""Proofs made at a time, each a process that reads the log."""
MAX_WAITING = 8
"""That wait for their turn; more are told to ask again."""
LIMIT_S = 60.0
"""For one: a second or two beside a running collector, which journals it first; a restored one takes longer."""
STOP_S = 2.0
KEPT = 16
"""Bundles kept until they are fetched, some 10 KB each and MAX_BUNDLE at most; the oldest goes first."""
KEPT_BYTES = 4 * MAX_BUNDLE
KEPT_NS = 15 * 60 * 10**9
MAX_NAME = 200
"""Characters of the name of a component or a signal."""
ROUND = 12
MAX_ROUND = 100
MAX_WORDS = 400
"""Characters of what the command says when it fails."""
NO_CONFIG = (
    "this console does not know the collector's configuration, so it cannot prove anything; start it with --config FILE,"
    " or run tillwatch-collector prove on the collector"
)

UTC_ZONE = ZoneInfo("UTC")

Name = Annotated[str, Query(min_length=1, max_length=MAX_NAME)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Reading(_Model):
    """A reading with the sealed batch that holds it."""

    at: Annotated[datetime | None, Field(description="When it was read, on the collector's clock")]
    value: Annotated[int | float | str | bool | None, Field(description="null: could not be read", examples=[97.5])]
    quality: Annotated[str, Field(description="`good`, `stale`, `clock_suspect` or `error`", examples=["good"])]
    state: Annotated[str, Field(description="What the device profile says of the value", examples=["ok"])]
    batch: Annotated[int, Field(description="Entry of the journal that holds its sealed batch", examples=[120934])]
    received: Annotated[datetime | None, Field(description="When the collector got the batch")]
    epoch: Annotated[str, Field(description="Of the terminal's stream, hexadecimal", examples=["5f0d3c1a9b8e7f60"])]
    seq: Annotated[int, Field(description="The batch's number in it", examples=[4711])]
    corrected_s: Annotated[
        float, Field(description="What was added to the time that the terminal's clock said, seconds", examples=[0.0])
    ]
    chosen: Annotated[bool, Field(description="The latest one at the time that was asked for")] = False

    @classmethod
    def of(cls, one: StoredReading, *, chosen: bool) -> Reading:
        return cls(
            at=iso(one.at), value=one.value, quality=one.quality, state=one.state, batch=one.n, received=iso(one.received), epoch=one.epoch,
            seq=one.seq, corrected_s=one.correction_ms / 1000, chosen=chosen,
        )  # fmt: skip


class Readings(_Model):
    """The readings round a time, oldest first."""

    terminal: Annotated[str, Field(examples=["ATM-0012"])]
    component: Annotated[str, Field(examples=["ups/battery"])]
    signal: Annotated[str, Field(examples=["battery.charge"])]
    unit: Annotated[str, Field(examples=["%"])]
    at: Annotated[datetime | None, Field(description="The time that was asked for")]
    retired: Annotated[
        bool, Field(description="Some readings of this time are retired by rule: only their digests are kept")
    ]
    readings: list[Reading]


class Wanted(BaseModel):
    """What is to be proved: the latest reading of a signal until a time."""

    model_config = ConfigDict(extra="forbid")

    terminal: Annotated[str, Field(min_length=1, max_length=MAX_NAME, examples=["ATM-0012"])]
    component: Annotated[str, Field(min_length=1, max_length=MAX_NAME, examples=["ups/battery"])]
    signal: Annotated[str, Field(min_length=1, max_length=MAX_NAME, examples=["battery.charge"])]
    at: Annotated[
        str,
        Field(
            min_length=1, max_length=40, description="ISO 8601 or seconds since 1970", examples=["2026-11-21T14:05:00Z"]
        ),
    ]


class Proof(_Model):
    """A bundle that waits to be fetched."""

    id: Annotated[str, Field(examples=["m2dTq0nJ1bXo4vYk"])]
    file: Annotated[str, Field(examples=["tillwatch-ATM-0012_ups_battery-2026-11-21.proof"])]
    size: Annotated[int, Field(description="Bytes", examples=[9314])]
    href: Annotated[str, Field(description="Where it is fetched, by who asked for it, for a quarter of an hour")]
    at: Annotated[str, Field(description="When the reading was made", examples=["2026-11-21T14:04:31.000+00:00"])]
    value: Annotated[int | float | str | bool | None, Field(examples=[97.5])]
    entry: Annotated[int, Field(description="The journal's entry that holds it", examples=[120934])]
    trust: Annotated[str, Field(description="SHA-256 of the certificate of the authority that `verify` has to be told")]
    verify: Annotated[
        str,
        Field(
            description="The command that checks it, anywhere",
            examples=["tillwatch-collector verify tillwatch-ATM-0012_ups_battery-2026-11-21.proof --trust 9f86d081…"],
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Bundle:
    by: tuple[str, str]
    until: int
    name: str
    content: bytes


class _Kept:
    """Bundles until they are fetched, each for who asked for it."""

    def __init__(self) -> None:
        self._bundles: dict[str, _Bundle] = {}

    def put(self, bundle: _Bundle, now: int) -> str:
        self._bundles = {key: one for key, one in self._bundles.items() if one.until > now}
        while len(self._bundles) >= KEPT or sum(len(one.content) for one in self._bundles.values()) > KEPT_BYTES:
            del self._bundles[next(iter(self._bundles))]
        key = secrets.token_urlsafe(12)
        self._bundles[key] = bundle
        return key

    def get(self, key: str, by: tuple[str, str], now: int) -> _Bundle | None:
        found = self._bundles.get(key)
        return found if found is not None and found.by == by and found.until > now else None


class Prover:
    """Has bundles made by a command of its own. config: the collector's configuration file."""

    def __init__(self, config: Path | None, command: tuple[str, ...] = ()) -> None:
        self._config = config
        self._command = command or (sys.executable, "-P", "-m", "tillwatch.collector")
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def __call__(self, wanted: Wanted, at: int) -> tuple[bytes, Mapping[str, Any]]:
        """The bundle, and what the command says of it. at: UTC ns. Raises HTTPException."""
        if self._config is None:
            raise HTTPException(503, NO_CONFIG)
        if self._waiting >= MAX_WAITING:
            raise HTTPException(503, f"{MAX_WAITING} proofs are being made; ask again", {"Retry-After": "5"})
        self._waiting += 1
        try:
            async with self._turns:
                return await self._make(wanted, at)
        finally:
            self._waiting -= 1

    async def _make(self, wanted: Wanted, at: int) -> tuple[bytes, Mapping[str, Any]]:
        with tempfile.TemporaryDirectory(prefix="tillwatch-") as folder:
            file = Path(folder, "bundle.proof")
            # The readings are of whole milliseconds, and the command takes the time to the microsecond.
            time = datetime.fromtimestamp(at // 10**9, UTC).replace(microsecond=at % 10**9 // 1000).isoformat()
            process = await asyncio.create_subprocess_exec(
                *self._command, "prove", "--config", str(self._config), "-o", str(file), "--json",
                "--", wanted.terminal, wanted.component, wanted.signal, time,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            try:
                out, errors = await asyncio.wait_for(process.communicate(), LIMIT_S)
            except TimeoutError:
                raise HTTPException(503, f"the proof was not made within {LIMIT_S:g} s; ask again later") from None
            finally:
                await end(process, STOP_S)
            if process.returncode != 0:
                said = errors.decode("utf-8", "replace").strip().splitlines() or ["it ended without a word"]
                raise HTTPException(503, f"no proof was made: {said[-1][-MAX_WORDS:]}")
            return await asyncio.to_thread(file.read_bytes), json.loads(out)


def add(api: APIRouter, parts: Parts, prover: Prover | None = None) -> None:
    """prover: another one than that of the configuration."""
    reads, now = parts.reads, parts.now
    tag, kept, make = Tags(reads), _Kept(), prover or Prover(parts.config)

    @api.get(
        "/terminals/{terminal}/readings",
        response_model=Readings,
        responses={**PROBLEMS, **UNCHANGED},
        dependencies=[needs(Permission.SEE)],
        summary="The readings of a signal round a time, with the sealed batches that hold them",
    )
    async def readings(
        request: Request,
        response: Response,
        terminal: str,
        component: Name,
        signal: Name,
        at: Annotated[
            str | None, Query(max_length=40, description="ISO 8601 or seconds since 1970; by default now")
        ] = None,
        count: Annotated[int, Query(ge=1, le=MAX_ROUND, description="To either side of that time")] = ROUND,
    ) -> Any:
        if await tag(request, response):
            return unchanged(response)
        asked = moment(at, "at")
        when = now() if asked is None else asked
        found, unit = await known(
            lambda: reads(
                lambda reader: (
                    reader.readings(terminal, component, signal, when, count),
                    _unit(reader.components(terminal), component, signal),
                )
            ),
            terminal,
        )
        until = [each for each in found.readings if each.at <= when]
        items = [Reading.of(each, chosen=bool(until) and each is until[-1]) for each in found.readings]
        return Readings(
            terminal=terminal, component=component, signal=signal, unit=unit, at=iso(when), retired=found.retired, readings=items
        )  # fmt: skip

    @api.post(
        "/proofs",
        response_model=Proof,
        status_code=201,
        responses=PROBLEMS,
        dependencies=[needs(Permission.PROVE)],
        summary="Make a bundle that proves a reading",
    )
    async def prove(wanted: Wanted) -> Any:
        visitor = asking()
        at = moment(wanted.at, "at")
        assert at is not None
        found = await known(
            lambda: reads(lambda reader: reader.readings(wanted.terminal, wanted.component, wanted.signal, at, 1)),
            wanted.terminal,
        )
        chosen = next((each for each in found.readings if each.at <= at), None)
        if chosen is None:
            why = "is kept no more" if found.retired else "was sent in the 32 days before that time"
            raise HTTPException(404, f"no reading of {wanted.component} {wanted.signal} {why}")
        if parts.config is None and prover is None:
            raise HTTPException(503, NO_CONFIG)
        # Who asked stands in the record before anything is made; what left the house is journaled by the command.
        await parts.acts(visitor, {
            "action": "prove", "terminal": wanted.terminal, "component": wanted.component, "signal": wanted.signal, "until": at, "n": chosen.n,
        })  # fmt: skip
        content, said = await make(wanted, at)
        name = file_name(f"{wanted.terminal}_{wanted.component}", "proof", chosen.at, UTC_ZONE)
        key = kept.put(_Bundle(_who(visitor), now() + KEPT_NS, name, content), now())
        return Proof(
            id=key, file=name, size=len(content), href=f"/api/v1/proofs/{key}", at=said["at"], value=said["value"], entry=said["entry"],
            trust=said["trust"], verify=f"tillwatch-collector verify {name} --trust {said['trust']}",
        )  # fmt: skip

    @api.get(
        "/proofs/{proof}",
        response_class=Response,
        responses={**PROBLEMS, 200: {"content": {"application/octet-stream": {}}}},
        dependencies=[needs(Permission.PROVE)],
        summary="A bundle that was made",
    )
    async def fetch(proof: str) -> Response:
        found = kept.get(proof, _who(asking()), now())
        if found is None:
            raise HTTPException(404, "this proof is kept no more, or is somebody else's; make it again")
        headers = {"Content-Disposition": f'attachment; filename="{found.name}"', "Cache-Control": "no-store"}
        return Response(found.content, media_type="application/octet-stream", headers=headers)


def _who(visitor: Visitor) -> tuple[str, str]:
    return visitor.name, visitor.session


def _unit(components: Sequence[ComponentView], component: str, signal: str) -> str:
    return next(
        (one.unit for each in components if each.name == component for one in each.signals if one.signal == signal), ""
    )
