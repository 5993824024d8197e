"""Voltronic's P protocol (PI00 to PI99 without checksum): status (QGS), mode (QMOD), warnings (QWS), battery (QBV), ratings, identity.

`---.-` is "not available". Unknown requests are refused with (NAK. QFS is not asked: without a fault its answer is made up. No checksum:
fixed widths, ranges, and a second opinion for what changes a state.
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
from tillwatch.firmware_shims.megatec_q1 import number, rating

# > QGS\r
# < (231.2 50.0 229.9 50.0 001.4 018 361.2 361.4 027.2 ---.- 028.5 100000000000\r
# > QMOD\r
# < (L\r                                   on line
# > QWS\r
# < (0000000100...0\r                      64 bits: battery low
# > QSK4\r
# < (NAK\r                                 this UPS has no fourth outlet to ask about

_V = rb"(?:\d{3}\.\d|---\.-)"
_GENERAL = re.compile(
    rb"\((?P<input>%(v)b) (?P<inhz>\d\d\.\d|--\.-) (?P<output>%(v)b) (?P<outhz>\d\d\.\d|--\.-) (?P<current>%(v)b) (?P<load>\d{3}|---)"
    rb" %(v)b %(v)b (?P<battery>%(v)b) %(v)b (?P<temperature>%(v)b) (?P<bits>[01]{12})" % {b"v": _V}
)


def _ask(command: bytes, form: bytes, every: Every = "slow", *, optional: bool = True, first: bool = False) -> Query:
    return Query(command + b"\r", re.compile(rb"\(" + form), lead=b"(", every=every, optional=optional, first=first)


QGS = Query(b"QGS\r", _GENERAL, lead=b"(", min_len=75)
QMOD = _ask(b"QMOD", rb"(?P<mode>[PSYLBTFECD])", "fast")
QWS = _ask(b"QWS", rb"(?P<bits>[01]{64})", "normal")
QBV = _ask(b"QBV", rb"\d{3}\.\d \d\d (?P<packs>\d\d) (?P<charge>\d{3}) (?P<runtime>\d{3,5})", "normal")
QRI = _ask(b"QRI", rb"(?P<output>\d{3}\.\d) (?P<current>\d{3}) (?P<battery>\d{3}\.\d) (?P<hertz>\d\d\.\d)")
QMD = _ask(b"QMD", rb"(?P<model>[ -~]{15}) (?P<va>[ #]*\d{2,6}) \d\d \d/\d (?P<input>\d{3}) \d{3} \d\d \d\d\.\d")
QVFW = _ask(b"QVFW", rb"VERFW:(?P<version>\d{5}\.\d\d)")
QID = _ask(b"QID", rb"(?P<serial>[0-9A-Za-z]{6,32})")
QMF = _ask(b"QMF", rb"(?P<maker>(?!NAK\Z)[ -~]{2,32})")
OUTLETS = {n: _ask(b"QSK%d" % n, rb"(?P<on>[01])", "normal") for n in (1, 2, 3, 4)}


def _text(raw: bytes, _known: Known) -> Value | Absent:
    """Filled up with # or blanks."""
    return raw.decode("ascii").strip("# ") or ABSENT


def _va(raw: bytes, _known: Known) -> Value:
    return float(raw.strip(b"# "))


def _bit(at: int, clear: str, set_: str) -> Convert:
    def convert(raw: bytes, _known: Known) -> Value:
        return set_ if raw[at] == ord("1") else clear

    return convert


def _any(numbers: tuple[int, ...], word: str) -> Convert:
    """numbers: of the warnings, from 1."""

    def convert(raw: bytes, _known: Known) -> Value:
        return word if any(raw[number_ - 1] == ord("1") for number_ in numbers) else "ok"

    return convert


def words(table: dict[str, str]) -> Convert:
    """A letter's word."""

    def convert(raw: bytes, _known: Known) -> Value:
        return table[raw.decode("ascii")]

    return convert


def _topology(raw: bytes, _known: Known) -> Value:
    return "online" if raw[:1] == b"1" else "standby"


def _gauge(
    signal: str, query: Query, field: str, unit: str, high: float, low: float = 0, convert: Convert = number
) -> Row:
    return Row(signal=signal, query=query, take=field, convert=convert, unit=unit, low=low, high=high)


def _nominal(
    signal: str, query: Query, field: str, unit: str, low: float, high: float, convert: Convert = rating
) -> Row:
    return Row(
        signal=signal, query=query, take=field, convert=convert, unit=unit, low=low, high=high, trait=Trait.STATIC
    )


def _state(signal: str, at: int, clear: str, set_: str, state: str) -> Row:
    return Row(
        signal=signal,
        query=QGS,
        take="bits",
        convert=_bit(at, clear, set_),
        states={clear: "ok", set_: state},
        trait=Trait.STATE,
    )


def _warning(part: str, numbers: tuple[int, ...], word: str, state: str) -> Row:
    return Row(
        signal="ups.condition",
        query=QWS,
        take="bits",
        convert=_any(numbers, word),
        part=part,
        states={"ok": "ok", word: state},
        trait=Trait.STATE,
    )


def _identity(signal: str, query: Query, field: str) -> Row:
    return Row(signal=signal, query=query, take=field, convert=_text, trait=Trait.STATIC)


MODES = {"P": "standby", "S": "standby", "Y": "bypass", "L": "normal", "B": "battery", "T": "test", "F": "other", "E": "eco", "C": "converter", "D": "none"}  # fmt: skip
"""Power on, standby, bypass, line, battery, test, fault, eco, converter, off. In a fault the load may be on bypass or off."""

SOURCE_STATES = {
    "standby": "ok",
    "bypass": "warn",
    "normal": "ok",
    "battery": "warn",
    "test": "ok",
    "other": "unknown",
    "eco": "ok",
    "converter": "ok",
    "none": "crit",
}

ROWS = (
    _gauge("ups.input.voltage", QGS, "input", "V", 500),
    _gauge("ups.input.frequency", QGS, "inhz", "Hz", 75),
    _gauge("ups.output.voltage", QGS, "output", "V", 500),
    _gauge("ups.output.frequency", QGS, "outhz", "Hz", 75),
    _gauge("ups.output.current", QGS, "current", "A", 999),
    _gauge("ups.output.load", QGS, "load", "%", 200),
    _gauge("ups.battery.voltage", QGS, "battery", "V", 999),
    _gauge("ups.temperature", QGS, "temperature", "C", 110),
    Row(
        signal="ups.topology",
        query=QGS,
        take="bits",
        convert=_topology,
        states={"online": "ok", "standby": "ok"},
        trait=Trait.STATE,
    ),
    _state("ups.mains", 2, "present", "failed", "warn"),
    _state("ups.battery.status", 3, "normal", "low", "crit"),
    _state("ups.fault", 5, "none", "failed", "crit"),
    _state("ups.test.result", 7, "none", "running", "ok"),
    _state("ups.shutdown", 8, "none", "active", "crit"),
    _state("ups.beeper", 9, "disabled", "enabled", "ok"),
    Row(
        signal="ups.output.source",
        query=QMOD,
        take="mode",
        convert=words(MODES),
        states=SOURCE_STATES,
        trait=Trait.STATE,
    ),
    _warning("battery", (1,), "missing", "crit"),
    _warning("battery-charge", (7,), "warning", "warn"),
    _warning("wiring", (2, 4, 5), "warning", "warn"),
    _warning("load", (9,), "critical", "crit"),
    _warning("fan", (10,), "failed", "crit"),
    _warning("temperature", (13,), "critical", "crit"),
    _warning("charger", (14,), "failed", "crit"),
    Row(
        signal="ups.battery.replace",
        query=QWS,
        take="bits",
        convert=_bit(55, "no", "yes"),
        states={"no": "ok", "yes": "crit"},
        trait=Trait.STATE,
    ),
    Row(signal="ups.battery.packs", query=QBV, take="packs", convert=number, low=0, high=99, trait=Trait.STATIC),
    _gauge("ups.battery.charge", QBV, "charge", "%", 100),
    _gauge("ups.battery.runtime", QBV, "runtime", "min", 99_999),
    *(
        Row(
            signal="pdu.outlet",
            query=query,
            take="on",
            convert=words({"0": "off", "1": "on"}),
            part=f"outlet:{number_}",
            states={"on": "ok", "off": "ok"},
            trait=Trait.STATE,
        )
        for number_, query in OUTLETS.items()
    ),
    _nominal("ups.output.voltage.nominal", QRI, "output", "V", 80, 500),
    _nominal("ups.output.current.nominal", QRI, "current", "A", 0, 999),
    _nominal("ups.battery.voltage.nominal", QRI, "battery", "V", 6, 999),
    _nominal("ups.output.frequency.nominal", QRI, "hertz", "Hz", 45, 65),
    _nominal("ups.input.voltage.nominal", QMD, "input", "V", 80, 500),
    _nominal("ups.output.apparent.nominal", QMD, "va", "VA", 50, 999_999, _va),
    _identity("identity.model", QMD, "model"),
    _identity("identity.firmware", QVFW, "version"),
    _identity("identity.serial", QID, "serial"),
    _identity("identity.maker", QMF, "maker"),
)

SHIM = Shim(
    name="voltronic_p",
    title="UPS that speaks Voltronic's P protocol (PowerWalker, FSP, CyberPower OLS, Voltronic and others)",
    line=Line(baud=2400),
    framing=Ended(b"\r\n"),
    rows=ROWS,
    whitelist=frozenset(row.query.request for row in ROWS),
    claim=QGS,
    refusals=frozenset({b"(NAK", b"N"}),
    timeout=3.0,
    gap=0.5,
    tries=3,
    protocols=("voltronic", "voltronic-qgs"),
    report=(QGS,),
)
