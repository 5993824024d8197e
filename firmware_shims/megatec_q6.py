"""Three-phase variants of Megatec: status with Q6, load with WA, bypass with BPS, and the status bits of Q1 (Ippon Innova RT and others).

000.0 on a phase that does not exist is no reading. The serial number is not asked: `SASV07?` begins like a shutdown order, and a UPS that does
not know it might take it for one. No checksum: fixed widths, ranges, and a second opinion for what changes a state.
"""

from __future__ import annotations

import re

from tillwatch.firmware_shims.base import ABSENT, Absent, Convert, Ended, Known, Line, Query, Row, Shim, Trait, Value
from tillwatch.firmware_shims.megatec_q1 import Q1, F, hertz, number, variant

# > Q6\r
# < (228.1 229.4 230.2 50.0 230.1 000.0 000.0 50.0 012 000 000 272.9 000.0 24.5 04320 098 32 00000000 00000000 11\r
# > WA\r
# < (001.9 000.0 000.0 002.1 000.0 000.0 001.9 002.1 009.1 000.0 000.0 012 00000000\r
# > BPS\r
# < (229.7 000.0 000.0 50.0\r

_V = rb"\d{3}\.\d"
STATUS = re.compile(
    rb"\((?P<in1>%(v)b) (?P<in2>%(v)b) (?P<in3>%(v)b) (?P<inhz>\d\d\.\d) (?P<out1>%(v)b) (?P<out2>%(v)b) (?P<out3>%(v)b)"
    rb" (?P<outhz>\d\d\.\d) (?P<load1>\d{3}) (?P<load2>\d{3}) (?P<load3>\d{3}) (?P<battery>%(v)b) %(v)b (?P<temperature>\d\d\.\d)"
    rb" (?P<runtime>\d{5}) (?P<charge>\d{3}) [0-9A-Z]{2} (?P<faults>[0-9A-F]{8}) (?P<warnings>[0-9A-F]{8}) [01]{2}"
    % {b"v": _V}
)
LOAD = re.compile(
    rb"\((?P<w1>%(v)b) (?P<w2>%(v)b) (?P<w3>%(v)b) (?P<va1>%(v)b) (?P<va2>%(v)b) (?P<va3>%(v)b) (?P<w>%(v)b) (?P<va>%(v)b)"
    rb" (?P<a1>%(v)b) (?P<a2>%(v)b) (?P<a3>%(v)b) (?P<load>\d{3}) [01]{8}" % {b"v": _V}
)
_BYPASS = re.compile(rb"\((?P<v1>%(v)b) (?P<v2>%(v)b) (?P<v3>%(v)b) (?P<hertz>\d\d\.\d)" % {b"v": _V})

Q6 = Query(b"Q6\r", STATUS, lead=b"(", min_len=109)
WA = Query(b"WA\r", LOAD, lead=b"(", min_len=79, every="normal", optional=True)
BPS = Query(b"BPS\r", _BYPASS, lead=b"(", min_len=23, every="normal", optional=True)


def _times(factor: int) -> Convert:
    def convert(raw: bytes, _known: Known) -> Value:
        return round(float(raw) * factor, 1)

    return convert


def _phase(signal: str, convert: Convert, phase: int) -> Convert:
    """Nothing on the second and third phase, while there is something before it, is a UPS that does not have them."""

    def or_absent(raw: bytes, known: Known) -> Value | Absent:
        return ABSENT if phase > 1 and not float(raw) and known.get(signal) else convert(raw, known)

    return or_absent


def _minutes(raw: bytes, _known: Known) -> Value:
    return round(int(raw) / 60, 3)


def phases(
    signal: str, query: Query, field: str, side: str, unit: str, high: float, convert: Convert = number
) -> tuple[Row, ...]:
    """One row a phase; field: its name without the number."""
    return tuple(
        Row(
            signal=signal,
            query=query,
            take=f"{field}{phase}",
            convert=_phase(signal, convert, phase),
            unit=unit,
            part=f"{side}:{phase}",
            low=0,
            high=high,
        )
        for phase in (1, 2, 3)
    )


def code_row(query: Query, field: str, part: str, word: str, state: str) -> Row:
    """A field of zeros is well; the meaning of the rest is the maker's own."""

    def convert(raw: bytes, _known: Known) -> Value:
        return word if raw.strip(b"0 ") else "ok"

    return Row(
        signal="ups.condition",
        query=query,
        take=field,
        convert=convert,
        part=part,
        states={"ok": "ok", word: state},
        trait=Trait.STATE,
    )


def _gauge(
    signal: str, query: Query, field: str, unit: str, high: float, convert: Convert = number, low: float = 0
) -> Row:
    return Row(signal=signal, query=query, take=field, convert=convert, unit=unit, low=low, high=high)


def load_rows(query: Query) -> tuple[Row, ...]:
    """The answer to WA, in kW and kVA."""
    return (
        *phases("ups.output.power", query, "w", "output", "W", 200_000, _times(1000)),
        *phases("ups.output.apparent", query, "va", "output", "VA", 200_000, _times(1000)),
        *phases("ups.output.current", query, "a", "output", "A", 999),
        _gauge("ups.output.power", query, "w", "W", 600_000, _times(1000)),
        _gauge("ups.output.apparent", query, "va", "VA", 600_000, _times(1000)),
        _gauge("ups.output.load", query, "load", "%", 200),
    )


BITS = variant(Q1, fields={"bits"})
"""Q1's status bits; its numbers are those of one phase and come better with Q6."""


def megatec_shim(name: str, title: str, rows: tuple[Row, ...], claim: Query) -> Shim:
    """A three-phase Megatec on its line."""
    return Shim(
        name=name,
        title=title,
        line=Line(baud=2400),
        framing=Ended(b"\r\n"),
        rows=rows,
        whitelist=frozenset(row.query.request for row in rows),
        claim=claim,
        refusals=frozenset({b"(NAK", b"NAK", b"N"}),
        timeout=3.0,
        gap=0.5,
        tries=3,
    )


ROWS = (
    *phases("ups.input.voltage", Q6, "in", "input", "V", 500),
    *phases("ups.output.voltage", Q6, "out", "output", "V", 500),
    *phases("ups.output.load", Q6, "load", "output", "%", 200),
    _gauge("ups.input.frequency", Q6, "inhz", "Hz", 75, hertz),
    _gauge("ups.output.frequency", Q6, "outhz", "Hz", 75, hertz),
    _gauge("ups.battery.voltage", Q6, "battery", "V", 999),
    _gauge("ups.temperature", Q6, "temperature", "C", 95, low=-10),
    _gauge("ups.battery.runtime", Q6, "runtime", "min", 1667, _minutes),
    _gauge("ups.battery.charge", Q6, "charge", "%", 100),
    code_row(Q6, "faults", "faults", "failed", "crit"),
    code_row(Q6, "warnings", "warnings", "warning", "warn"),
    *load_rows(WA),
    *phases("ups.bypass.voltage", BPS, "v", "bypass", "V", 500),
    _gauge("ups.bypass.frequency", BPS, "hertz", "Hz", 75, hertz),
    *(row for row in BITS if row.query in (Q1, F)),
)

SHIM = megatec_shim("megatec_q6", "three-phase UPS that answers Q6 (Ippon Innova RT and others)", ROWS, Q6)
