"""Voltronic's hexadecimal QS protocol (P and T): one binary answer to QS, with its fields apart by blanks.

A byte that would read as CR, XON, XOFF, LF or blank comes as 28 and a number. P has ten fields, T one more with the ratings. No checksum:
fixed widths, ranges, and a second opinion for what changes a state.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tillwatch.firmware_shims import megatec_q1
from tillwatch.firmware_shims.base import ABSENT, Absent, Convert, Ended, Known, Line, Query, Row, Shim, Trait, Value

# > QS\r
# < 23 70 01 20 68 20 70 01 20 68 20 12 20 61 A8 20 28 02 12 D0 20 D8 20 1E 20 09 0D       28 02 is 13
#      input    ..  output   ..  load  cycle    cycles         battery     bits

_BYTE = rb"(?:\x28[\x00-\x04]|[^\x0d\x20])"
_FORM = re.compile(
    rb"(?s)#(?P<input>%(b)b{2} %(b)b) (?P<output>%(b)b{2} %(b)b) (?P<load>%(b)b) (?P<hertz>%(b)b{2} %(b)b{3})"
    rb" (?P<battery>%(b)b %(b)b) (?P<bits>%(b)b)(?: (?P<ratings>%(b)b))?" % {b"b": _BYTE}
)
_ESCAPED = {0: 0x0D, 1: 0x11, 2: 0x13, 3: 0x0A, 4: 0x20}

QS = Query(b"QS\r", _FORM, lead=b"#", min_len=24)


def _numbers(raw: bytes) -> list[int]:
    """The fields as numbers."""
    numbers: list[int] = []
    field, at = b"", 0
    while at < len(raw):
        if raw[at] == 0x20:
            numbers, field = [*numbers, int.from_bytes(field, "big")], b""
        elif raw[at] == 0x28 and at + 1 < len(raw) and raw[at + 1] in _ESCAPED:
            field += bytes([_ESCAPED[raw[at + 1]]])
            at += 1
        else:
            field += raw[at : at + 1]
        at += 1
    return [*numbers, int.from_bytes(field, "big")]


def _number(function: Callable[..., float]) -> Convert:
    def convert(raw: bytes, _known: Known) -> Value:
        try:
            return round(function(*_numbers(raw)), 1)
        except ZeroDivisionError as error:
            raise ValueError("a cycle has no length") from error

    return convert


def _rating(shift: int, mask: int, values: tuple[float, ...]) -> Convert:
    """P answers have no ratings."""

    def convert(raw: bytes, _known: Known) -> Value | Absent:
        if not raw:
            return ABSENT
        code = _numbers(raw)[0] >> shift & mask
        if code >= len(values):
            raise ValueError("no such rating")
        return values[code]

    return convert


def _bits(row: Row) -> Row:
    """The status byte has the bits of Q1."""

    def convert(raw: bytes, known: Known) -> Value | Absent:
        return row.convert(f"{_numbers(raw)[0]:08b}".encode(), known)

    return Row(
        signal=row.signal, query=QS, take="bits", convert=convert, states=row.states, part=row.part, trait=row.trait
    )


def _gauge(signal: str, field: str, function: Callable[..., float], unit: str, high: float) -> Row:
    return Row(signal=signal, query=QS, take=field, convert=_number(function), unit=unit, low=0, high=high)


def _nominal(signal: str, convert: Convert, unit: str) -> Row:
    return Row(signal=signal, query=QS, take="ratings", convert=convert, unit=unit, low=6, high=500, trait=Trait.STATIC)


ROWS = (
    _gauge("ups.input.voltage", "input", lambda a, b: a * b / 51 / 256, "V", 500),
    _gauge("ups.output.voltage", "output", lambda a, b: a * b / 51 / 256, "V", 500),
    _gauge("ups.output.load", "load", lambda a: a, "%", 200),
    _gauge("ups.output.frequency", "hertz", lambda a, b: b / a, "Hz", 100),
    _gauge("ups.battery.voltage", "battery", lambda a, b: a * b / 510, "V", 500),
    *(_bits(row) for row in megatec_q1.ROWS if row.take == "bits"),
    _nominal("ups.output.frequency.nominal", _rating(7, 1, (50.0, 60.0)), "Hz"),
    _nominal("ups.battery.voltage.nominal", _rating(5, 3, (12.0, 24.0, 36.0, 48.0)), "V"),
    _nominal("ups.output.voltage.nominal", _rating(0, 7, (110.0, 120.0, 220.0, 230.0, 240.0)), "V"),
)

SHIM = Shim(
    name="voltronic_qs_hex",
    title="UPS that answers QS in binary (Voltronic P and T)",
    line=Line(baud=2400),
    framing=Ended(b"\r", pad=b""),
    rows=ROWS,
    whitelist=frozenset({QS.request}),
    claim=QS,
    refusals=frozenset({b"(NAK", b"N"}),
    timeout=3.0,
    gap=0.5,
    tries=3,
    protocols=("voltronic-qs-hex",),
)
