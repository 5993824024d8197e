"""Gtec's variant of Megatec: the status is asked with Q4 and ends in letters instead of bits; ratings (F) and identity (I) are Megatec's.

No checksum: fixed widths, ranges, and a second opinion for what changes a state.
"""

from __future__ import annotations

import re

from tillwatch.firmware_shims.base import Convert, Ended, Known, Line, Query, Row, Shim, Trait, Value
from tillwatch.firmware_shims.megatec_q1 import Q1, F, I, hertz, number, variant

# > Q4\r
# < (231.2 240.1 209.8 187.3 230.2 004 012 50.0 371 372 027.3 24.5 IM\r     normal, the last test passed
# < (000.0 240.1 209.8 187.3 229.8 004 012 00.0 371 372 024.9 25.0 A\r      on battery

_STATUS = re.compile(
    rb"\((?P<input>\d{3}\.\d) \d{3}\.\d \d{3}\.\d (?P<fault>\d{3}\.\d) (?P<output>\d{3}\.\d) \d{3} (?P<load>\d{3})"
    rb" (?P<hertz>\d\d\.\d) \d{3} \d{3} (?P<battery>\d{3}\.\d) (?P<temperature>\d\d\.\d) (?P<letters>[A-N]{1,14})"
)

Q4 = Query(b"Q4\r", _STATUS, lead=b"(", min_len=64)


def _letters(otherwise: str, words: dict[str, str]) -> Convert:
    """The word of the first letter that is there."""

    def convert(raw: bytes, _known: Known) -> Value:
        letters = raw.decode("ascii")
        return next((word for letter, word in words.items() if letter in letters), otherwise)

    return convert


def _state(signal: str, otherwise: str, words: dict[str, str], states: dict[str, str], part: str = "") -> Row:
    return Row(
        signal=signal,
        query=Q4,
        take="letters",
        convert=_letters(otherwise, words),
        states=states,
        part=part,
        trait=Trait.STATE,
    )


ROWS = (
    *(row for row in variant(Q1) if row.query != Q1),
    Row(signal="ups.input.voltage", query=Q4, take="input", convert=number, unit="V", low=0, high=500),
    Row(signal="ups.input.voltage.fault", query=Q4, take="fault", convert=number, unit="V", low=0, high=500),
    Row(signal="ups.output.voltage", query=Q4, take="output", convert=number, unit="V", low=0, high=500),
    Row(signal="ups.output.load", query=Q4, take="load", convert=number, unit="%", low=0, high=200),
    Row(signal="ups.input.frequency", query=Q4, take="hertz", convert=hertz, unit="Hz", low=0, high=75),
    Row(signal="ups.battery.voltage", query=Q4, take="battery", convert=number, unit="V", low=0, high=500),
    Row(signal="ups.temperature", query=Q4, take="temperature", convert=number, unit="C", low=-10, high=95),
    _state("ups.mains", "present", {"A": "failed"}, {"present": "ok", "failed": "warn"}),
    _state("ups.battery.status", "normal", {"B": "low"}, {"normal": "ok", "low": "crit"}),
    _state("ups.fault", "none", {"D": "failed", "G": "failed", "H": "failed"}, {"none": "ok", "failed": "crit"}),
    _state("ups.shutdown", "none", {"F": "active"}, {"none": "ok", "active": "crit"}),
    _state(
        "ups.output.source",
        "other",
        {"A": "battery", "C": "bypass", "M": "normal"},
        {"battery": "warn", "bypass": "warn", "normal": "ok", "other": "unknown"},
    ),
    _state(
        "ups.test.result",
        "none",
        {"E": "running", "I": "pass", "J": "error", "K": "aborted"},
        {"none": "ok", "running": "ok", "pass": "ok", "error": "crit", "aborted": "ok"},
    ),
    _state("ups.condition", "ok", {"N": "critical"}, {"ok": "ok", "critical": "crit"}, "load"),
)

SHIM = Shim(
    name="megatec_q4",
    title="UPS that answers Q4 (Gtec)",
    line=Line(baud=2400),
    framing=Ended(b"\r\n"),
    rows=ROWS,
    whitelist=frozenset({Q4.request, F.request, I.request}),
    claim=Q4,
    refusals=frozenset({b"(NAK", b"N"}),
    timeout=3.0,
    gap=0.5,
    tries=3,
)
