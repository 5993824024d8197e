"""Makes readings of what others say on a line. Bytes, or whole exchanges, and their times go in; readings come out. There is nothing in
here that could send, no I/O and no clock. Who said what is told by the frames: by their form alone where the protocol has a direction,
otherwise an answer is what follows its request in time. Text of errors holds no bytes of the line: cards and codes pass there.
"""

from __future__ import annotations

from collections.abc import Iterator

from tillwatch.firmware_shims.base import (
    Decoded,
    Every,
    NoAnswerError,
    Query,
    Shim,
    ShimError,
    Tally,
    UnsupportedError,
    Value,
)
from tillwatch.firmware_shims.engine import MAX_ANSWER, decode, lasting
from tillwatch.firmware_shims.framing import Paused

FRESH_S = 15.0
"""How long an answer stands for the present. Hosts ask every 0.1 to 0.5 s; a device that is silent for longer than a poll of ours is not known to be well."""

REPEATED = 5
"""Times in a row that an answer which looks like a request must follow its request. A host that asks a dead device says the same bytes
again and again, and a loop that was late sees two of them together; not five times, one after the other."""

PAUSE_S = 0.05
"""A frame does not pause for longer; USB bridges hold bytes back for 16 ms. Hosts pause for 0.1 to 0.2 s between two polls, so a false
length byte costs one exchange."""

CROWD = 2
"""Frames that one exchange brings at once. More of them together were late, and nothing is known of the time between them."""


class UnknownRequestError(ShimError):
    """The shim reads nothing from an answer to this request."""


def is_request(query: Query, frame: bytes) -> bool:
    """Whether a host asks for this answer with this frame."""
    if query.asked is not None:
        return query.asked.fullmatch(frame) is not None
    return bool(query.request) and frame == query.request


def frames(shim: Shim, data: bytes) -> Iterator[bytes]:
    """All frames with a good checksum in these bytes, and nothing behind a length byte that was none."""
    if isinstance(shim.framing, Paused):
        if data and (shim.check is None or shim.check.holds(data)):
            yield data
        return
    while True:
        frame, rest = shim.framing.cut(data)
        if frame is None:
            if not rest:
                return
            data = rest[1:]
        elif shim.check and not shim.check.holds(frame):
            data = _behind_lead(data, frame, rest)
        else:
            yield frame
            data = rest


def _behind_lead(data: bytes, frame: bytes, rest: bytes) -> bytes:
    """What to look at again when a frame was none: all but its first byte, for a real one may begin inside."""
    return data[data.rfind(frame, 0, len(data) - len(rest)) + 1 :]


def exchange(shim: Shim, request: bytes, reply: bytes) -> tuple[Query, bytes]:
    """The answer in one exchange whose directions are known, and what it answers. request: empty where nobody asked.

    Raises UnknownRequestError, NoAnswerError, UnsupportedError, or ShimError where no good answer is in the reply.
    """
    asked = [query for query in shim.queries if request and _asks(shim, query, request)]
    wanted = asked + [query for query in shim.queries if query.tells and query not in asked]
    if not request and not wanted:
        wanted = list(shim.queries)
    if len(request) > 1 and reply.startswith(request) and reply != request:
        reply = reply[len(request) :]  # a line that echoes
    found = list(frames(shim, reply))
    if len(found) > 1 and found[0] in (request, request.rstrip(b"\r\n")):
        del found[0]  # an echo
    for frame in found:
        for query in wanted:
            if query.form.fullmatch(frame):
                return query, frame
    if request and found and all(frame in shim.refusals or frame == request.rstrip(b"\r\n") for frame in found):
        raise UnsupportedError(f"{shim.name}: the device does not know this request")
    if request and not asked:
        raise UnknownRequestError(f"{shim.name}: nothing is read from what answers this request")
    if not reply:
        raise NoAnswerError(f"{shim.name}: the request was not answered")
    what = "no answer that this shim reads" if found else "no whole frame with a good checksum"
    raise ShimError(f"{shim.name}: {what} in {len(reply)} bytes")


def _asks(shim: Shim, query: Query, request: bytes) -> bool:
    return is_request(query, request) or any(is_request(query, frame) for frame in frames(shim, request))


class Tap:
    """One line that is listened to. Times are seconds of one monotone clock."""

    def __init__(self, shim: Shim) -> None:
        self._shim = shim
        self._buffer = b""
        self._began = self._last = float("-inf")
        self._pending: tuple[Query, ...] = ()
        self._asked_at = float("-inf")
        self._host_at = float("-inf")
        self._broken_at = float("-inf")
        self._held: tuple[Query, bytes] | None = None
        self._repeats: tuple[bytes, int] = (b"", 0)
        self._known: dict[str, Value] = {}
        self._believed: dict[Query, object] = {}
        self._before: dict[Query, object] = {}
        self._said: dict[Query, dict[tuple[str, str], Decoded]] = {}
        self._at: dict[Query, float] = {}
        self._frames: dict[Query, bytes] = {}
        self._counts: dict[Tally, int] = dict.fromkeys(shim.tallies, 0)
        self._shown: dict[Tally, bool] = {}

    def feed(self, data: bytes, at: float) -> None:
        """Bytes of the line, both directions in the order in which they were sent."""
        if at - self._last > PAUSE_S:
            self._buffer = b""  # a frame does not pause: what was begun is none
        if not self._buffer:
            self._began = at
        self._last = at
        self._buffer = (self._buffer + data)[-MAX_ANSWER:]
        found: list[tuple[bytes, float]] = []
        while True:
            frame, rest = self._shim.framing.cut(self._buffer)
            if frame is None:
                self._buffer = rest
                break
            if self._shim.check and not self._shim.check.holds(frame):
                self._buffer = _behind_lead(self._buffer, frame, rest)
                self._broken_at = at
                continue
            self._buffer = rest
            found.append((frame, self._began))
            self._began = at
        for frame, began in found:
            self._frame(frame, began, late=len(found) > CROWD)

    def hand(self, request: bytes, reply: bytes, at: float) -> None:
        """One exchange from a program that knows the directions. Raises what `exchange` raises."""
        if request:
            self._host_at = at
        query, frame = exchange(self._shim, request, reply)
        self._answer(query, frame, at)

    def met(self) -> bool:
        """Whether the answer that proves the protocol was heard."""
        return self._shim.claim in self._at

    def readings(self, every: Every, at: float) -> list[Decoded]:
        """What the device said last. Raises NoAnswerError where that is no longer the present, and says what the line looks like."""
        self._settle(at)
        found: list[Decoded] = []
        for query in self._shim.queries:
            if query.every != every:
                continue
            if not query.optional and at - self._at.get(query, float("-inf")) > FRESH_S:
                raise NoAnswerError(self._silence(at))
            found += self._said.get(query, {}).values()
        counts = self._counts.items()
        return found + [Decoded(each.signal, n, part=each.part) for each, n in counts if each.query.every == every]

    def _silence(self, at: float) -> str:
        name, span = self._shim.name, f"for {FRESH_S:g} s"
        if at - self._host_at <= FRESH_S:
            return f"{name}: the host asks, and the device has given no good answer {span}"
        if at - self._broken_at <= FRESH_S:
            return f"{name}: what is heard is no {name}; other speed, parity or protocol?"
        if at - self._last <= FRESH_S:
            return f"{name}: bytes are heard, but no exchange between host and device"
        return f"{name}: nothing was heard {span}; is the host on, and the tap connected?"

    def _frame(self, frame: bytes, at: float, *, late: bool) -> None:
        self._settle(at)
        in_time = at - self._asked_at <= self._shim.within
        for query in self._pending if in_time else ():
            if query.form.fullmatch(frame):
                if self._shim.host is None or not self._shim.host.fullmatch(frame):
                    self._held = None
                    self._pending = ()
                    self._answer(query, frame, at)
                elif not late:
                    self._held = (query, frame)
                return
        for query in self._shim.queries:
            if query.tells and query.form.fullmatch(frame):
                self._pending = ()
                self._answer(query, frame, at)
                return
        if self._pending and not in_time:
            self._repeats = (b"", 0)
        self._pending = tuple(query for query in self._shim.queries if is_request(query, frame))
        if self._pending:
            self._asked_at = self._host_at = at

    def _settle(self, at: float) -> None:
        """Nothing else came in time, so what looked like a request was the answer: if it goes on like that, it is believed."""
        if self._held is None or at - self._asked_at <= self._shim.within:
            return
        query, frame = self._held
        self._held, self._pending = None, ()
        times = self._repeats[1] + 1 if self._repeats[0] == frame else 1
        self._repeats = (frame, times)
        if times >= REPEATED:
            self._believe(query, frame, self._asked_at)

    def _answer(self, query: Query, frame: bytes, at: float) -> None:
        self._repeats = (b"", 0)
        self._believe(query, frame, at)

    def _believe(self, query: Query, frame: bytes, at: float) -> None:
        if self._shim.check and self._frames.get(query) == frame:
            self._at[query] = at
            return
        try:
            found = decode(self._shim, query, frame, self._known)
        except ShimError:
            self._broken_at = at
            return
        if not self._shim.check:  # as in a dialogue: a change is believed when it is said twice
            last = lasting(self._shim, query, found)
            before, self._before[query] = self._before.get(query), last
            if last not in (before, self._believed.get(query)):
                return
            self._believed[query] = last
        self._at[query] = at
        self._frames[query] = frame
        self._known |= {each.signal: each.value for each in found}
        # What a later answer does not speak of stays: why the last note was rejected.
        self._said.setdefault(query, {}).update({(each.part, each.signal): each for each in found})
        matched = query.form.fullmatch(frame)
        for tally in self._shim.tallies:
            if tally.query == query and matched:
                shown = tally.shows(matched[tally.take] or b"")
                if shown and self._shown.get(tally) is False:
                    self._counts[tally] += 1
                self._shown[tally] = shown
