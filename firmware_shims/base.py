"""What a shim is made of. One protocol is one module with a table: the requests that may be sent and the whole form of
their answers, rows that say which field of which answer is which signal, the line settings, and `SHIM = Shim(...)`.
Everything that moves bytes is in `engine`; a shim holds no code but the conversions of its fields.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, Flag, StrEnum, auto
from pathlib import Path
from typing import Literal, Protocol

from tillwatch.firmware_shims.checksums import CHECKSUMS

Value = int | float | str | None
Every = Literal["fast", "normal", "slow"]
Known = Mapping[str, Value]
"""Signal -> value: what the same device has said so far."""


class ShimError(Exception):
    """The device gave no answer that can be trusted. The text says what was asked and what came."""


class NoAnswerError(ShimError):
    """Not one byte came back."""


class UnsupportedError(ShimError):
    """The device said that it does not know the request."""


class NotAllowedError(ShimError):
    """These bytes are not in the shim's whitelist; nothing was sent."""


class Mode(StrEnum):
    """exclusive: nobody else has the port. tap: listen only, beside the host. hosted: the host's program hands over what was said."""

    EXCLUSIVE = "exclusive"
    TAP = "tap"
    HOSTED = "hosted"


class Trait(Flag):
    """STATIC: ratings and identity, which do not change from one answer to the next. STATE: a word of the catalogue's list.

    Where a protocol has no checksum, a change in rows of either kind is believed only when a second answer says the same.
    """

    NONE = 0
    STATIC = auto()
    STATE = auto()


class Absent(Enum):
    """What a conversion returns when the device says that it does not have this value: no reading, and no error."""

    ABSENT = 0


ABSENT = Absent.ABSENT


class Framing(Protocol):
    """Cuts answers out of what came. A frame holds neither noise before it nor its end mark."""

    def cut(self, received: bytes) -> tuple[bytes | None, bytes]:
        """(the first whole frame or None, what is left over)."""
        ...


@dataclass(frozen=True, slots=True)
class Ended:
    """Text answers that end with one of `marks`. Empty frames are skipped: a device may end its lines with two marks.

    pad: what is taken off both ends of a frame; nothing where a checksum or binary data may end with it.
    """

    marks: bytes = b"\r"
    pad: bytes = b"\0"

    def cut(self, received: bytes) -> tuple[bytes | None, bytes]:
        start = 0
        for i, byte in enumerate(received):
            if byte in self.marks:
                # NUL: USB bridges pad their 8-byte packets with it.
                if frame := received[start:i].strip(self.pad) if self.pad else received[start:i]:
                    return frame, received[i + 1 :]
                start = i + 1
        return None, received[start:]


@dataclass(frozen=True, slots=True)
class Counted:
    """Binary answers with a length byte. lead: the bytes every frame starts with. at: where the length byte is.

    extra: bytes of the frame that the length does not count. smallest: a length byte below it is noise.
    """

    lead: bytes
    at: int
    extra: int = 0
    smallest: int = 1

    def cut(self, received: bytes) -> tuple[bytes | None, bytes]:
        start = received.find(self.lead)
        while start >= 0:
            if len(received) <= start + self.at:
                break
            count = received[start + self.at]
            if count >= self.smallest:
                end = start + count + self.extra
                if len(received) < end:
                    break
                return received[start:end], received[end:]
            start = received.find(self.lead, start + 1)
        if start < 0:  # the rest of a lead of several bytes may come next
            begun = (n for n in range(len(self.lead) - 1, 0, -1) if received.endswith(self.lead[:n]))
            start = len(received) - next(begun, 0)
        return None, received[start:]


@dataclass(frozen=True, slots=True)
class Check:
    """A checksum at the end of each frame. name: of CHECKSUMS. covers: slice of the frame that it is taken over."""

    name: str
    covers: tuple[int, int]
    order: Literal["little", "big"] = "little"

    def holds(self, frame: bytes) -> bool:
        width, function = CHECKSUMS[self.name]
        start, stop = self.covers
        return len(frame) > start - stop and function(frame[start:stop]) == int.from_bytes(frame[-width:], self.order)


@dataclass(frozen=True, slots=True)
class Line:
    """Port settings. dtr, rts: levels set before the port is opened; on a wrong cable they can drop an APC's load."""

    baud: int
    bits: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stop: Literal[1, 2] = 1
    dtr: bool = True
    rts: bool = True


@dataclass(frozen=True, slots=True)
class Query:
    """One request and the whole form of its answer, which stands here once for all rows that read it.

    request: the bytes on the line, checksum and end mark included. lead: what the answer starts with; what stands before is noise.
    form: pattern that the whole frame must match; its named groups are the fields. min_len: of the frame.
    every: how often it is worth asking. optional: many devices do not know it; it may fail alone.
    first: asked once at first contact, because rows of other queries need its answer.
    given: (signal, value) that the device must have said before it is asked this, such as who made it; value None: anything.

    For whoever only listens: asked is the host's request where it is not always `request`; the answer is believed after it.
    tells: the form alone tells that it is this answer, whatever came before. request is empty where it is only listened for.
    """

    request: bytes
    form: re.Pattern[bytes]
    lead: bytes = b""
    min_len: int = 1
    every: Every = "fast"
    optional: bool = False
    first: bool = False
    given: tuple[str, Value] | None = None
    asked: re.Pattern[bytes] | None = None
    tells: bool = False


Convert = Callable[[bytes, Known], "Value | Absent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One signal: which query, which field, and how its bytes become a value.

    take: the named group of the query's form, or a slice (start, stop) of the frame.
    convert: returns ABSENT for "not available"; raises ValueError for bytes that cannot be this field.
    low, high: what is possible at all. Outside of it the reading is an error, not a value.
    states: for a word of the catalogue, what it means: ok, warn, crit or unknown.
    """

    signal: str
    query: Query
    take: str | tuple[int, int]
    convert: Convert
    unit: str = ""
    part: str = ""
    low: float | None = None
    high: float | None = None
    states: Mapping[str, str] = field(default_factory=dict)
    trait: Trait = Trait.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Something that a device tells once, such as a rejected note: whoever listens counts how often it began since it listens.

    take: as in Row. shows: whether these bytes tell it.
    """

    signal: str
    query: Query
    take: str
    shows: Callable[[bytes], bool]
    part: str = ""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One signal as a device said it. value None: the device gave bytes for it, but no possible value."""

    signal: str
    value: Value
    unit: str = ""
    state: str = ""
    part: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shim:
    """One protocol. name: that of its module.

    whitelist: every byte string that may ever be sent; the engine sends nothing else.
    claim: the query whose answer proves that the device speaks this protocol.
    refusals: frames that mean "I do not know this request". An echo of the request means the same.
    faults: frames by which the device says that it cannot answer now, and what they say.
    timeout: seconds for one answer. gap: seconds of silence after which a begun answer is cut off. tries: per query.
    pause: seconds of silence before each request, where the protocol wants them.
    report: queries of the rows by which the device gives its own account of itself, such as its last self-test and its fault registers, read and
    never caused; empty where the protocol has none.
    protocols: what the protocol is called elsewhere, such as in recordings; `a` also covers `a-b`.

    For whoever only listens: host is the form of what the host may send, where an answer can look like it. within: seconds in which
    an answer begins. A shim without the mode exclusive sends nothing at all: its whitelist is empty.
    """

    name: str
    title: str
    line: Line
    framing: Framing
    rows: tuple[Row, ...]
    whitelist: frozenset[bytes]
    claim: Query
    check: Check | None = None
    modes: frozenset[Mode] = frozenset({Mode.EXCLUSIVE})
    refusals: frozenset[bytes] = frozenset()
    faults: Mapping[bytes, str] = field(default_factory=dict)
    timeout: float = 1.0
    gap: float = 0.3
    tries: int = 3
    pause: float = 0.0
    protocols: tuple[str, ...] = ()
    tallies: tuple[Tally, ...] = ()
    host: re.Pattern[bytes] | None = None
    within: float = 0.1
    report: tuple[Query, ...] = ()
    queries: tuple[Query, ...] = field(init=False)

    def __post_init__(self) -> None:
        """The queries in the order of their first row: rows with the same query share one answer."""
        queries = tuple(dict.fromkeys(row.query for row in self.rows))
        object.__setattr__(self, "queries", queries)
        if Mode.EXCLUSIVE not in self.modes and self.whitelist:
            raise ValueError(f"shim {self.name}: it may not own its port, so nothing may stand in its whitelist")
        for query in (*queries, self.claim):
            listened = query.tells or query.asked is not None
            if query.request not in self.whitelist and (query.request or not listened):
                raise ValueError(f"shim {self.name}: {query.request!r} is asked but is not in the whitelist")
        if strange := [query.request for query in self.report if query.request not in self.whitelist]:
            raise ValueError(f"shim {self.name}: the self-report asks {strange!r}, which is not in the whitelist")
        if self.check and self.check.name not in CHECKSUMS:
            raise ValueError(f"shim {self.name}: no checksum {self.check.name!r}; there are {', '.join(CHECKSUMS)}")


def load(name: str) -> Shim:
    """The shim of this name, or the dialogue in the file of this path, which ends in `.yaml`. Imports its module and no other.

    Raises ShimError: there is none, and which there are; or what is wrong with the file.
    """
    if name.endswith(".yaml") or name in _dialogues():
        return _written([Path(name) if name.endswith(".yaml") else _dialogues()[name]])[0]
    if name in _modules():
        shim = getattr(importlib.import_module(f"{__package__}.{name}"), "SHIM", None)
        if isinstance(shim, Shim):
            return shim
    raise ShimError(f"no shim {name!r}; there are: {', '.join(shim.name for shim in load_all())}")


def load_all() -> list[Shim]:
    """Every shim that is installed, by name: the modules of this package that hold a `SHIM`, and its dialogues in YAML."""
    found = (getattr(importlib.import_module(f"{__package__}.{name}"), "SHIM", None) for name in _modules())
    shims = [*(shim for shim in found if isinstance(shim, Shim)), *_written(list(_dialogues().values()))]
    return sorted(shims, key=lambda shim: shim.name)


def _written(paths: list[Path]) -> list[Shim]:
    from tillwatch.firmware_shims.dialogue import load_files  # noqa: PLC0415 - PyYAML, for whoever has such a device

    return load_files(paths)


def _dialogues() -> dict[str, Path]:
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.yaml"))}


def speaking(protocol: str, among: Iterable[Shim] | None = None) -> list[Shim]:
    """The shims of a protocol by any of its names, the closest name first; none if there is none. among: by default all that are installed."""
    wanted = _hyphened(protocol)
    found: list[tuple[int, Shim]] = []
    for shim in load_all() if among is None else among:
        names = [_hyphened(name) for name in (shim.name, *shim.protocols)]
        close = [len(name) for name in names if f"{wanted}-".startswith(f"{name}-")]
        close += [1 for name in names if name.partition("-")[0] == wanted.partition("-")[0]]
        if close:
            found.append((max(close), shim))
    return [shim for _, shim in sorted(found, key=lambda each: -each[0])]


def _hyphened(name: str) -> str:
    return name.strip().lower().replace("_", "-")


def _modules() -> list[str]:
    package = importlib.import_module(__package__)
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))
