"""Modbus RTU as a shim: blocks of registers that are read with function 3 or 4, rows that say which register is which signal.

No other function can be built here, so none can be sent. Frames are told apart by silence and sealed by CRC-16; an exception is said in words.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from typing import Literal

from tillwatch.firmware_shims.base import (
    ABSENT,
    Absent,
    Check,
    Every,
    Known,
    Line,
    Query,
    Row,
    Shim,
    ShimError,
    Trait,
    Value,
)
from tillwatch.firmware_shims.checksums import CHECKSUMS
from tillwatch.firmware_shims.framing import Paused

HOLDING, INPUT = 3, 4
"""Read holding registers, read input registers: the two functions that only read."""

MAX_REGISTERS = 125
"""Of one answer, by the standard: its byte count is one byte."""

Kind = Literal["uint16", "int16", "uint32", "int32", "float32"]
Order = Literal["big", "little"]
KINDS: Mapping[str, tuple[str, int]] = {
    "uint16": (">H", 1),
    "int16": (">h", 1),
    "uint32": (">I", 2),
    "int32": (">i", 2),
    "float32": (">f", 2),
}
"""Kind -> struct's form, registers."""

DECIMALS = 4
"""Kept of a quotient: more than any divisor of a register means."""

_EXCEPTIONS = {
    1: "it does not know the function",
    2: "it does not have these registers",
    3: "it does not take this number of registers",
}
_TROUBLES = {
    4: "the device failed",
    5: "it needs longer for the answer",
    6: "it is busy",
    8: "its memory failed a parity check",
    10: "the gateway has no path to the device",
    11: "the device behind the gateway does not answer",
}

CHECK = Check("crc16-modbus", covers=(0, -2))


def sealed(body: bytes) -> bytes:
    """With its CRC, low byte first."""
    width, function = CHECKSUMS[CHECK.name]
    return body + function(body).to_bytes(width, CHECK.order)


def read(
    unit: int,
    function: int,
    address: int,
    count: int,
    *,
    every: Every = "fast",
    optional: bool = False,
    first: bool = False,
) -> Query:
    """A request for `count` registers from `address` (0 to 65535, as on the line) of unit 1 to 247. Raises ValueError."""
    if function not in (HOLDING, INPUT):
        raise ValueError(f"function {function} may not be sent; only {HOLDING} and {INPUT} read")
    if not (1 <= unit <= 247 and 0 <= address <= 0xFFFF and 1 <= count <= MAX_REGISTERS):
        raise ValueError(f"unit {unit}, {count} registers from {address}: outside of what Modbus has")
    head = bytes([unit, function])
    return Query(
        sealed(head + address.to_bytes(2, "big") + count.to_bytes(2, "big")),
        re.compile(rb"(?s)%b(?P<data>.{%d}).." % (re.escape(head + bytes([2 * count])), 2 * count)),
        min_len=5 + 2 * count,
        every=every,
        optional=optional,
        first=first,
    )


def place(query: Query, address: int, kind: Kind = "uint16") -> tuple[int, int]:
    """Where the register stands in the answer. Raises ValueError where the query does not read it."""
    start, count = struct.unpack(">HH", query.request[2:6])
    if not start <= address <= start + count - KINDS[kind][1]:
        raise ValueError(f"register {address} ({kind}) is not among the {count} that are read from {start}")
    at = 3 + 2 * (address - start)
    return at, at + 2 * KINDS[kind][1]


def number(raw: bytes, kind: Kind = "uint16", order: Order = "big") -> float | int:
    """order: which of two registers comes first, the high one (big) or the low one."""
    form, registers = KINDS[kind]
    if registers == 2 and order == "little":
        raw = raw[2:] + raw[:2]
    value: float | int = struct.unpack(form, raw)[0]
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN is the one number that is not itself
        raise ValueError("not a number")
    return value


def gauge(
    signal: str,
    query: Query,
    address: int,
    unit: str,
    *,
    kind: Kind = "uint16",
    divisor: int = 1,
    multiplier: int = 1,
    absent: int | None = None,
    part: str = "",
    low: float | None = None,
    high: float | None = None,
    trait: Trait = Trait.NONE,
) -> Row:
    """A number in one or two registers. absent: the raw number that means "not there"."""

    def convert(raw: bytes, _known: Known) -> Value | Absent:
        value = number(raw, kind)
        return (
            ABSENT
            if value == absent
            else round(value * multiplier / divisor, DECIMALS)
            if divisor != 1
            else value * multiplier
        )

    return Row(
        signal=signal,
        query=query,
        take=place(query, address, kind),
        convert=convert,
        unit=unit,
        part=part,
        low=low,
        high=high,
        trait=trait,
    )


def state(
    signal: str,
    query: Query,
    address: int,
    words: Callable[[int], str | None],
    states: Mapping[str, str],
    part: str = "",
) -> Row:
    """A word of the catalogue. words: what the raw number means; None for one that has no meaning."""

    def convert(raw: bytes, _known: Known) -> Value:
        return words(int.from_bytes(raw, "big"))

    return Row(
        signal=signal,
        query=query,
        take=place(query, address),
        convert=convert,
        part=part,
        states=states,
        trait=Trait.STATE,
    )


def refusals(units: set[int]) -> frozenset[bytes]:
    """Exceptions that mean that the device does not have what was asked."""
    return frozenset(
        sealed(bytes([unit, 0x80 | f, code])) for unit in units for f in (HOLDING, INPUT) for code in _EXCEPTIONS
    )


def faults(units: set[int]) -> dict[bytes, str]:
    """Exceptions that mean that it cannot answer now."""
    return {
        sealed(bytes([unit, 0x80 | f, code])): text
        for unit in units
        for f in (HOLDING, INPUT)
        for code, text in _TROUBLES.items()
    }


def shim(name: str, title: str, rows: tuple[Row, ...], *, line: Line | None = None, timeout: float = 1.0) -> Shim:
    """A device whose rows were made here; the first row's block proves that it is there."""
    requests = frozenset(row.query.request for row in rows)
    units = {request[0] for request in requests}
    return Shim(
        name=name,
        title=title,
        line=line or Line(baud=9600),
        framing=Paused(),
        check=CHECK,
        rows=rows,
        whitelist=requests,
        claim=rows[0].query,
        refusals=refusals(units),
        faults=faults(units),
        timeout=timeout,
        gap=0.05,  # 3.5 characters are 4 ms at 9600 baud; a USB adapter holds bytes back for up to 16 ms
        pause=0.02,
        tries=3,
    )


def registers(request: bytes, answer: bytes) -> list[int]:
    """What one recorded exchange with any device says, as unsigned registers. Raises ShimError."""
    try:
        query = read(request[0], request[1], *struct.unpack(">HH", request[2:6]))
    except (ValueError, IndexError, struct.error) as error:
        raise ShimError(f"{request!r} is no request for registers: {error}") from error
    if query.request != request:
        raise ShimError(f"{request!r}: wrong {CHECK.name} checksum in the request")
    text = refusal(answer)
    if text:
        raise ShimError(f"{request!r}: the device says: {text}")
    if not query.form.fullmatch(answer) or not CHECK.holds(answer):
        raise ShimError(
            f"{request!r} was answered {answer[:80]!r}: not the registers that were asked for, or a wrong checksum"
        )
    return list(struct.unpack(f">{(len(answer) - 5) // 2}H", answer[3:-2]))


def refusal(answer: bytes) -> str:
    """What an exception says; empty where the answer is none."""
    if len(answer) == 5 and answer[1] & 0x80 and CHECK.holds(answer):
        return (_EXCEPTIONS | _TROUBLES).get(answer[2], f"exception {answer[2]}")
    return ""
