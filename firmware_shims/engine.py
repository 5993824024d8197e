"""Moves the bytes of a shim: sends what its whitelist holds and nothing else, waits for one whole answer, and decodes it.
What comes out is what the device said, or a ShimError; noise, a cut answer, an echo and a wrong checksum never become a value.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Protocol

from tillwatch.firmware_shims.base import (
    Absent,
    Decoded,
    Every,
    NoAnswerError,
    NotAllowedError,
    Query,
    Shim,
    ShimError,
    Trait,
    UnsupportedError,
    Value,
)
from tillwatch.firmware_shims.framing import Paused

MAX_ANSWER = 1024
"""Bytes taken for one answer. The longest documented one (Axpert) has about 150; a line that never pauses is not an answer."""

SECOND_OPINIONS = 2
"""Answers asked for beyond `tries` because the one before changed something: a real change is seen twice at once."""


class Port(Protocol):
    """An open line. `receive` waits for at least one byte and returns b"" when `timeout` seconds have passed without."""

    async def send(self, data: bytes) -> None: ...

    async def receive(self, timeout: float) -> bytes: ...  # noqa: ASYNC109 - the implementations wait on a file descriptor or a thread

    async def discard(self) -> None:
        """Throw away what came before anything was asked."""


def decode(shim: Shim, query: Query, frame: bytes, known: Mapping[str, Value]) -> list[Decoded]:
    """The readings in one frame. Pure. Raises ShimError when the frame as a whole is not a trustworthy answer to this query."""
    text = f"{shim.name}: {query.request!r} was answered {frame[:80]!r}"
    start = frame.find(query.lead)
    if frame == query.request.rstrip(b"\r\n") or {frame, frame[max(start, 0) :]} & shim.refusals:
        raise UnsupportedError(f"{text}: the device does not know this request")
    if frame in shim.faults:
        raise ShimError(f"{text}: the device says: {shim.faults[frame]}")
    frame = frame[max(start, 0) :]
    if start < 0 or len(frame) < query.min_len:
        raise ShimError(f"{text}: too short, or no {query.lead!r} at its start")
    if shim.check and not shim.check.holds(frame):
        raise ShimError(f"{text}: wrong {shim.check.name} checksum")
    matched = query.form.fullmatch(frame)
    if not matched:
        raise ShimError(f"{text}: not of the form that this protocol gives")
    found: list[Decoded] = []
    known = dict(known)
    for row in shim.rows:
        if row.query != query:
            continue
        raw = matched[row.take] if isinstance(row.take, str) else frame[slice(*row.take)]
        try:
            value = row.convert(raw or b"", known)
        except ValueError as error:
            raise ShimError(f"{text}: {row.signal} cannot be {raw!r} ({error})") from error
        if isinstance(value, Absent):
            continue
        if isinstance(value, (int, float)) and not (
            (row.low is None or value >= row.low) and (row.high is None or value <= row.high)
        ):
            value = None
        known[row.signal] = value
        found.append(Decoded(row.signal, value, row.unit, row.states.get(str(value), ""), row.part))
    return found


def lasting(shim: Shim, query: Query, found: list[Decoded]) -> object:
    """What of an answer does not change by itself from one second to the next: states, ratings, and which fields are absent or impossible."""
    rows = {row.signal for row in shim.rows if row.query == query and row.trait is not Trait.NONE}
    return tuple((each.signal, each.value if each.signal in rows else each.value is None) for each in found)


class Dialogue:
    """A shim on one port, from its opening to its loss. It remembers what the device said, so that a change is asked for twice."""

    def __init__(self, shim: Shim, port: Port) -> None:
        self._shim = shim
        self._port = port
        self._known: dict[str, Value] = {}
        self._believed: dict[bytes, object] = {}
        self._met = False

    async def poll(self, every: Every) -> list[Decoded]:
        """All signals of one polling class. Raises ShimError when a query that is not optional has no good answer."""
        if not self._met:
            await self._ask(self._shim.claim)
            for query in self._shim.queries:
                if query.first and query.every != every and self._may_ask(query):
                    await self._ask_optional(query)
            self._met = True
        return await self._answers(query for query in self._shim.queries if query.every == every)

    async def report(self) -> list[Decoded]:
        """The device's own account of itself, by the requests that the shim lists for it. Raises ShimError as `poll`, and where none is answered."""
        if not self._met:
            await self.poll(self._shim.claim.every)
        if found := await self._answers(iter(self._shim.report)):
            return found
        raise NoAnswerError(f"{self._shim.name}: none of the requests of its self-report is answered")

    async def _answers(self, queries: Iterator[Query]) -> list[Decoded]:
        found: list[Decoded] = []
        for query in queries:
            if self._may_ask(query):
                found += await (self._ask_optional(query) if query.optional else self._ask(query))
        return found

    async def send(self, request: bytes) -> None:
        """The only way to the port."""
        if request not in self._shim.whitelist:
            raise NotAllowedError(f"{self._shim.name}: {request!r} is not in the whitelist; it was not sent")
        await self._port.send(request)

    def _may_ask(self, query: Query) -> bool:
        """Whether it is a device for this: another might take the request for something else."""
        if query.given is None:
            return True
        signal, value = query.given
        said = self._known.get(signal)
        return said is not None and value in (None, said)

    async def _ask_optional(self, query: Query) -> list[Decoded]:
        try:
            return await self._ask(query)
        except ShimError:
            return []

    async def _ask(self, query: Query) -> list[Decoded]:
        failures = 0
        before: object = None
        for _ in range(self._shim.tries + SECOND_OPINIONS):
            try:
                found = decode(self._shim, query, await self._exchange(query), self._known)
            except UnsupportedError:
                raise
            except ShimError as error:
                failures += 1
                if failures == self._shim.tries or (query.optional and isinstance(error, NoAnswerError)):
                    raise
                continue
            last = lasting(self._shim, query, found)
            if self._shim.check or last in (before, self._believed.get(query.request)):
                self._believed[query.request] = last
                self._known |= {each.signal: each.value for each in found}
                return found
            before = last
        raise ShimError(
            f"{self._shim.name}: {query.request!r} was answered differently each time; the line is disturbed"
        )

    async def _exchange(self, query: Query) -> bytes:
        """One request, one frame. An echo is returned only when no other frame follows it."""
        await self._port.discard()
        if self._shim.pause:
            await asyncio.sleep(self._shim.pause)
        await self.send(query.request)
        framing = self._shim.framing
        echo = query.request.rstrip(b"\r\n")
        # One byte may as well be the first of the answer: the forms of such a protocol take care of it.
        unechoed = len(query.request) > 1
        received, taken, wait = b"", 0, self._shim.timeout
        unknown: bytes | None = None
        while taken < MAX_ANSWER:
            data = await self._port.receive(wait)
            if not data:
                break
            taken += len(data)
            received += data
            wait = self._shim.gap
            if unechoed and received.startswith(query.request):
                received, unechoed, unknown = received[len(query.request) :], False, echo
                wait = wait if received else self._shim.timeout
            elif unechoed and query.request.startswith(received):
                continue
            while True:
                frame, received = framing.cut(received)
                if frame is None:
                    break
                if frame != echo:
                    return frame
                unknown = frame
        if isinstance(framing, Paused) and received and taken < MAX_ANSWER:
            return received
        if (unknown is not None and not received) or received == query.request:
            return echo
        if not taken:
            raise NoAnswerError(f"{self._shim.name}: no answer to {query.request!r} within {self._shim.timeout:g} s")
        raise ShimError(
            f"{self._shim.name}: {query.request!r}: {taken} bytes came, but no whole answer: {received[:80]!r}"
        )
