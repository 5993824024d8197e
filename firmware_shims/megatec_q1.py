"""Megatec Q1, the plain-text protocol of most small UPS: status (Q1), ratings (F) and identity (I), asked and never set.

It has no checksum: fields have fixed widths, each has a range, and what changes a state is believed when said twice. A digit that
is disturbed into another possible digit cannot be seen; such a value is wrong by that digit until the next poll.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace

from tillwatch.firmware_shims.base import ABSENT, Absent, Ended, Known, Line, Query, Row, Shim, Trait, Value

# > Q1\r
# < (231.4 231.4 230.1 023 50.0 27.3 28.5 00001001\r      on mains
# < (000.0 187.2 229.8 023 00.0 25.1 29.0 10001001\r      on battery: input frequency 00.0 is a value, not a gap
# < (229.9 229.9 230.0 041 50.0 2.26 --.- 00000001\r      on-line type: volts of one cell; no temperature probe
#   0         1         2         3         4
#   0123456789012345678901234567890123456789012345
#
# > F\r
# < #230.0 004 024.0 50.0\r                               output V and A, battery V, Hz
#   0123456789012345678901
#
# > I\r
# < #Tillwatch Test  TW-1000    V1.20     \r
#   0         1         2         3
#   01234567890123456789012345678901234567
#
# > Q9\r
# < Q9\r                                                  echoed: not known to this UPS

_GAP = rb"@+(?:\.@+)?|-+(?:\.-+)?"
"""Filled with '@' or '-' to the width of the field: the UPS does not have this value."""

_STATUS = re.compile(
    rb"\((?P<input>\d{3}\.\d|%(gap)b) (?P<fault>\d{3}\.\d|%(gap)b) (?P<output>\d{3}\.\d|%(gap)b) (?P<load>\d{3}|%(gap)b)"
    rb" (?P<hertz>\d\d\.\d|%(gap)b) (?P<battery>\d\.\d\d|\d{2,3}\.\d|\d\d\.\d\d|%(gap)b)"
    rb" (?P<temperature>\d\d\.\d|-\d\.\d|%(gap)b) (?P<bits>[01]{8})"
    rb"(?: [ -~]{0,32})?" % {b"gap": _GAP}  # some makers put fields of their own after the bits
)
_RATINGS = re.compile(
    rb"#(?P<output>\d{3}\.\d|%(gap)b) (?P<current>\d{3}|\d{1,2}\.\d|%(gap)b) (?P<battery>\d{2,3}\.\d|\d\d\.\d\d|%(gap)b)"
    rb" (?P<hertz>\d\d\.\d|%(gap)b) ?" % {b"gap": _GAP}
)
_IDENTITY = re.compile(
    # No second #. Some have blanked the names with 2s, separators and all.
    rb"#(?:(?P<maker>[ -\"$-~]{15}) (?P<model>[ -\"$-~]{10}) |2{27})(?P<version>[ -\"$-~]{1,10})"
)

Q1 = Query(b"Q1\r", _STATUS, lead=b"(", min_len=46)
F = Query(b"F\r", _RATINGS, lead=b"#", min_len=21, every="slow", optional=True, first=True)
I = Query(b"I\r", _IDENTITY, lead=b"#", min_len=29, every="slow", optional=True)  # noqa: E741 - the request's own name

CELL_V = 2.0
"""Rated voltage of a lead-acid cell."""

UTILITY_FAIL, BATTERY_LOW, BYPASS_OR_REGULATING, UPS_FAILED, STANDBY_TYPE, TESTING, SHUTTING_DOWN, BEEPER = range(8)
"""Places in the answer's b7 to b0."""


def number(raw: bytes, _known: Known) -> Value | Absent:
    return ABSENT if raw[:1] in b"@-" and not raw[-1:].isdigit() else float(raw)


def rating(raw: bytes, known: Known) -> Value | Absent:
    """A rating of 0 is one that the maker did not fill in."""
    return number(raw, known) or ABSENT


def hertz(raw: bytes, known: Known) -> Value | Absent:
    """0 while there is no input; otherwise nothing below 30 Hz is a mains or a generator."""
    value = number(raw, known)
    return None if isinstance(value, float) and 0 < value < 30 else value


def battery_voltage(raw: bytes, known: Known) -> Value | Absent:
    """On-line types answer S.SS, the voltage of one cell; the number of cells follows from the rated voltage."""
    volts = number(raw, known)
    if len(raw) != 4 or raw[1:2] != b"." or not isinstance(volts, float):
        return volts
    nominal = known.get("ups.battery.voltage.nominal")
    return round(volts * round(nominal / CELL_V), 2) if isinstance(nominal, float) else ABSENT


def cell_voltage(raw: bytes, known: Known) -> Value | Absent:
    """Of an on-line type, also where it tells no ratings."""
    return number(raw, known) if len(raw) == 4 and raw[1:2] == b"." else ABSENT


def text(raw: bytes, _known: Known) -> Value | Absent:
    """Blank, or one character over and over, is a field that the maker did not fill in."""
    value = raw.decode("ascii").strip()
    return value if len(set(value)) > 1 else ABSENT


def output_source(raw: bytes, known: Known) -> Value:
    """Bit 5 is bypass on a double conversion UPS, and the voltage regulator on a line-interactive one."""
    on = [digit == ord("1") for digit in raw]
    source, drawn = known.get("ups.input.voltage"), known.get("ups.output.voltage")
    if drawn == 0:
        return "none" if on[UTILITY_FAIL] or on[UPS_FAILED] or on[SHUTTING_DOWN] else "other"
    if on[UTILITY_FAIL]:
        return "battery"
    if not on[BYPASS_OR_REGULATING]:
        return "normal"
    if not on[STANDBY_TYPE]:
        return "bypass"
    if not isinstance(source, float) or not isinstance(drawn, float):
        return "other"
    return "booster" if source < drawn else "reducer"


def _state(signal: str, bit: int, clear: tuple[str, str], set_: tuple[str, str]) -> Row:
    """A row for one status bit: (word, what it means) when it is clear and when it is set."""

    def convert(raw: bytes, _known: Known) -> Value:
        return (set_ if raw[bit] == ord("1") else clear)[0]

    return Row(signal=signal, query=Q1, take="bits", convert=convert, states=dict((clear, set_)), trait=Trait.STATE)


ROWS = (
    Row(
        signal="ups.output.voltage.nominal",
        query=F,
        take="output",
        convert=rating,
        unit="V",
        low=80,
        high=500,
        trait=Trait.STATIC,
    ),
    Row(
        signal="ups.output.current.nominal",
        query=F,
        take="current",
        convert=rating,
        unit="A",
        low=0,
        high=999,
        trait=Trait.STATIC,
    ),
    Row(
        signal="ups.battery.voltage.nominal",
        query=F,
        take="battery",
        convert=rating,
        unit="V",
        low=6,
        high=500,
        trait=Trait.STATIC,
    ),
    Row(
        signal="ups.output.frequency.nominal",
        query=F,
        take="hertz",
        convert=rating,
        unit="Hz",
        low=45,
        high=65,
        trait=Trait.STATIC,
    ),
    Row(signal="identity.maker", query=I, take="maker", convert=text, trait=Trait.STATIC),
    Row(signal="identity.model", query=I, take="model", convert=text, trait=Trait.STATIC),
    Row(signal="identity.firmware", query=I, take="version", convert=text, trait=Trait.STATIC),
    Row(signal="ups.input.voltage", query=Q1, take="input", convert=number, unit="V", low=0, high=500),
    Row(signal="ups.input.voltage.fault", query=Q1, take="fault", convert=number, unit="V", low=0, high=500),
    Row(signal="ups.output.voltage", query=Q1, take="output", convert=number, unit="V", low=0, high=500),
    Row(signal="ups.output.load", query=Q1, take="load", convert=number, unit="%", low=0, high=200),
    Row(signal="ups.input.frequency", query=Q1, take="hertz", convert=hertz, unit="Hz", low=0, high=75),
    Row(signal="ups.battery.voltage", query=Q1, take="battery", convert=battery_voltage, unit="V", low=0, high=500),
    Row(signal="ups.battery.cell.voltage", query=Q1, take="battery", convert=cell_voltage, unit="V", low=0, high=3),
    Row(signal="ups.temperature", query=Q1, take="temperature", convert=number, unit="C", low=-10, high=95),
    _state("ups.mains", UTILITY_FAIL, ("present", "ok"), ("failed", "warn")),
    _state("ups.battery.status", BATTERY_LOW, ("normal", "ok"), ("low", "crit")),
    _state("ups.fault", UPS_FAILED, ("none", "ok"), ("failed", "crit")),
    _state("ups.topology", STANDBY_TYPE, ("online", "ok"), ("standby", "ok")),
    _state("ups.test.result", TESTING, ("none", "ok"), ("running", "ok")),
    _state("ups.shutdown", SHUTTING_DOWN, ("none", "ok"), ("active", "crit")),
    _state("ups.beeper", BEEPER, ("disabled", "ok"), ("enabled", "ok")),
    Row(
        signal="ups.output.source",
        query=Q1,
        take="bits",
        convert=output_source,
        states={
            "normal": "ok",
            "booster": "ok",
            "reducer": "ok",
            "battery": "warn",
            "bypass": "warn",
            "none": "crit",
            "other": "unknown",
        },
        trait=Trait.STATE,
    ),
)


def variant(status: Query, *, ratings: Query = F, identity: Query = I, fields: Collection[str] = ()) -> tuple[Row, ...]:
    """The rows for another request that is answered in the same form. fields: those of the status to take; none: all."""
    queries = {Q1: status, F: ratings, I: identity}
    return tuple(
        replace(row, query=queries[row.query])
        for row in ROWS
        if row.query != Q1 or not fields or str(row.take) in fields
    )


SHIM = Shim(
    name="megatec_q1",
    title="UPS that speaks Megatec Q1 (most small UPS on RS-232 or a USB serial bridge)",
    line=Line(baud=2400),
    framing=Ended(b"\r\n"),  # some firmware ends with LF, or with both
    rows=ROWS,
    whitelist=frozenset({b"Q1\r", b"F\r", b"I\r"}),
    claim=Q1,
    refusals=frozenset({b"(NAK", b"N"}),
    timeout=3.0,
    gap=0.5,
    tries=3,
    protocols=("megatec",),
    # Its flags are what it says of itself: fault, battery, test. T, which would test the battery, is not in the whitelist.
    report=(Q1,),
)
