"""APC Smart-UPS over its serial port (UPS-Link, "smart" signalling): the single letters that only ask.

`Y` enters smart mode and is the first that is sent. Letters that act are not in the table and cannot be sent: no shutdown, self-test, calibration
or change of a setting, and not M and N, whose reading sets back what they remember. There is no checksum: each answer has a fixed form,
numbers have ranges, and what changes is believed when said twice. Alarm characters may come in between and are passed over.
"""

from __future__ import annotations

import re

from tillwatch.firmware_shims.base import (
    ABSENT,
    Absent,
    Convert,
    Ended,
    Every,
    Known,
    Line,
    Query,
    Row,
    Shim,
    Trait,
    Value,
)

# > Y    < SM\r\n            smart mode                        > j    < 0327:\r\n       minutes of battery
# > Q    < 08\r\n            on line                           > P    < 023.5\r\n       % load
# > B    < 27.60\r\n         battery V                         > X    < NA\r\n          this UPS does not know the letter
# > Q    < !10\r\n           on battery; `!` was sent unasked

_NUMBER = rb"(?P<value>[0-9]{1,4}(?:\.[0-9]{1,2})?)"
_HEX = rb"(?P<value>[0-9A-F]{2})"
_TEXT = rb"(?P<value>(?!NA\Z)[!-~][ -~]{0,31})"


def _ask(letter: bytes, form: bytes, every: Every = "normal") -> Query:
    # The letter may be echoed; unasked alarms may stand before the answer. A text could hold both, so there they are given up to nobody;
    # a number has its own length, and may begin with the digit that asked for it.
    whole = b"+" if form == _TEXT else b""
    heard = re.compile(rb"%b?%b[!$%%+?=*#&|]*%b%b" % (re.escape(letter), whole, whole, form))
    return Query(letter, heard, every=every, optional=letter not in b"YQ")


SMART = _ask(b"Y", rb"(?P<value>SM)")
STATUS = _ask(b"Q", _HEX, "fast")
FAULTS = _ask(b"'", _HEX)
EVENTS = _ask(b"8", _HEX)
TEST = _ask(b"X", rb"(?P<value>OK|BT|NG|NO|IP)")
QUALITY = _ask(b"9", rb"(?P<value>FF|00)")
RUNTIME = _ask(b"j", rb"(?P<value>[0-9]{1,4}):")
REPLACED = _ask(b"x", rb"(?P<value>[0-9]{2}/[0-9]{2}/[0-9]{2})", "slow")


def _number(raw: bytes, _known: Known) -> Value:
    return float(raw)


def _text(raw: bytes, _known: Known) -> Value:
    return raw.decode("ascii").strip()


def _day(raw: bytes, _known: Known) -> Value | Absent:
    """Some write mm/dd/yy, others dd/mm/yy: a day that could be either is no reading."""
    first, second, year = (int(part) for part in raw.split(b"/"))
    month, day = (first, second) if second > 12 or first == second else (second, first)
    if not (1 <= month <= 12 and 1 <= day <= 31) or (first != second and max(first, second) <= 12):
        return ABSENT
    return f"{1900 + year if year >= 90 else 2000 + year}-{month:02}-{day:02}"


def _word(words: dict[str, str]) -> Convert:
    def convert(raw: bytes, _known: Known) -> Value:
        return words[raw.decode("ascii")]

    return convert


def _first_bit(words: tuple[tuple[int, str], ...], otherwise: str) -> Convert:
    """The word of the first mask that is set."""

    def convert(raw: bytes, _known: Known) -> Value:
        bits = int(raw, 16)
        return next((word for mask, word in words if bits & mask), otherwise)

    return convert


def _gauge(signal: str, letter: bytes, unit: str, low: float, high: float, every: Every = "normal") -> Row:
    return Row(
        signal=signal,
        query=_ask(letter, _NUMBER, every),
        take="value",
        convert=_number,
        unit=unit,
        low=low,
        high=high,
        trait=Trait.STATIC if every == "slow" else Trait.NONE,
    )


def _identity(signal: str, letter: bytes) -> Row:
    return Row(signal=signal, query=_ask(letter, _TEXT, "slow"), take="value", convert=_text, trait=Trait.STATIC)


def _state(
    signal: str,
    query: Query,
    words: tuple[tuple[int, str], ...],
    otherwise: str,
    states: dict[str, str],
    part: str = "",
) -> Row:
    return Row(
        signal=signal,
        query=query,
        take="value",
        convert=_first_bit(words, otherwise),
        states=states,
        part=part,
        trait=Trait.STATE,
    )


def _condition(part: str, query: Query, mask: int) -> Row:
    return _state("ups.condition", query, ((mask, "failed"),), "ok", {"ok": "ok", "failed": "crit"}, part)


CALIBRATING, TRIM, BOOST, ON_LINE, ON_BATTERY, OVERLOAD, LOW_BATTERY, REPLACE = (1 << bit for bit in range(8))
"""The answer to Q."""

ROWS = (
    _state(
        "ups.output.source",
        STATUS,
        ((ON_BATTERY, "battery"), (TRIM, "reducer"), (BOOST, "booster"), (ON_LINE, "normal")),
        "none",
        {"normal": "ok", "booster": "ok", "reducer": "ok", "battery": "warn", "none": "crit"},
    ),
    _state(
        "ups.battery.status",
        STATUS,
        ((LOW_BATTERY, "low"), (ON_BATTERY, "discharging")),
        "normal",
        {"normal": "ok", "discharging": "warn", "low": "crit"},
    ),
    _state("ups.battery.replace", STATUS, ((REPLACE, "yes"),), "no", {"no": "ok", "yes": "crit"}),
    _state("ups.calibration.result", STATUS, ((CALIBRATING, "running"),), "none", {"none": "ok", "running": "ok"}),
    _condition("load", STATUS, OVERLOAD),
    # Register 2, faults of the electronics; register 3, events and faults.
    _condition("fan", FAULTS, 0x01 | 0x02),
    _condition("bypass", FAULTS, 0x04),
    _condition("relay", FAULTS, 0x40),
    _condition("charger", EVENTS, 0x20),
    _condition("bypass-relay", EVENTS, 0x40),
    _condition("main-relay", EVENTS, 0x04),
    _condition("temperature", EVENTS, 0x80),
    _gauge("ups.input.voltage", b"L", "V", 0, 500),
    _gauge("ups.output.voltage", b"O", "V", 0, 500),
    _gauge("ups.input.frequency", b"F", "Hz", 0, 75),
    _gauge("ups.output.load", b"P", "%", 0, 250),
    _gauge("ups.battery.voltage", b"B", "V", 0, 500),
    _gauge("ups.battery.charge", b"f", "%", 0, 100),
    _gauge("ups.temperature", b"C", "C", -10, 110),
    Row(signal="ups.battery.runtime", query=RUNTIME, take="value", convert=_number, unit="min", low=0, high=9999),
    Row(
        signal="ups.test.result",
        query=TEST,
        take="value",
        convert=_word({"OK": "pass", "BT": "error", "NG": "error", "NO": "none", "IP": "running"}),
        states={"pass": "ok", "error": "crit", "none": "ok", "running": "ok"},
        trait=Trait.STATE,
    ),
    Row(
        signal="ups.input.status",
        query=QUALITY,
        take="value",
        convert=_word({"FF": "good", "00": "bad"}),
        states={"good": "ok", "bad": "crit"},
        trait=Trait.STATE,
    ),
    _gauge("ups.battery.voltage.nominal", b"g", "V", 6, 500, "slow"),
    _gauge("ups.output.voltage.nominal", b"o", "V", 80, 500, "slow"),
    Row(signal="ups.battery.replaced", query=REPLACED, take="value", convert=_day, trait=Trait.STATIC),
    _identity("identity.model", b"\x01"),
    _identity("identity.serial", b"n"),
    _identity("identity.firmware", b"b"),
)

SHIM = Shim(
    name="apc_smart",
    title="APC Smart-UPS, Matrix-UPS and Back-UPS Pro with the smart serial cable (940-0024C)",
    # The smart cable has three wires. On the cables for simple signalling DTR and RTS reach inputs that switch the load off.
    line=Line(baud=2400, dtr=False, rts=False),
    framing=Ended(b"\r\n"),
    rows=ROWS,
    whitelist=frozenset({SMART.request, *(row.query.request for row in ROWS)}),
    claim=SMART,
    refusals=frozenset({b"NA"}),
    timeout=1.5,
    gap=0.3,
    pause=0.05,  # the maker asks for time between two letters
    tries=3,
    protocols=("apc", "apc-smart"),
    # X is the result of the last self-test; W, which would start one, is not in the table.
    report=(TEST, STATUS, FAULTS, EVENTS),
)
