"""Voltronic Axpert inverters (PI30, and what PI16 has in common with it: Axpert, InfiniSolar, EASUN, MPP Solar): QPIGS, QMOD, QPIWS, QPIRI and identity, with CRC.

Requests and answers end with CRC-16/XMODEM, high byte first; a byte of it that would read as `(`, CR or LF is one more. A refusal has it too.
"""

from __future__ import annotations

import re

from tillwatch.firmware_shims.base import (
    ABSENT,
    Absent,
    Check,
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
from tillwatch.firmware_shims.checksums import CHECKSUMS
from tillwatch.firmware_shims.megatec_q1 import number, rating
from tillwatch.firmware_shims.voltronic_p import words

# > QPIGS B7 A9 \r
# < (231.4 50.0 231.4 50.0 0552 0498 011 381 27.10 004 096 0031 0000 000.0 00.00 00000 00010101 00 00 00000 010 <CRC> \r
# > QMOD 49 C1 \r
# < (L 06 07 \r
# > QID D6 EA \r
# < (NAK 73 73 \r

CHECK = Check("crc16-voltronic", covers=(0, -2), order="big")


def _ask(command: bytes, form: bytes, every: Every = "slow", *, optional: bool = True) -> Query:
    crc = CHECKSUMS[CHECK.name][1](command).to_bytes(2, "big")
    return Query(
        command + crc + b"\r",
        re.compile(rb"(?s)\(" + form + rb".."),
        lead=b"(",
        min_len=4,
        every=every,
        optional=optional,
    )


QPI = _ask(b"QPI", rb"(?P<protocol>PI\d\d)", optional=False)
QPIGS = _ask(
    b"QPIGS",
    rb"(?P<input>\d{3}\.\d) (?P<inhz>\d\d\.\d) (?P<output>\d{3}\.\d) (?P<outhz>\d\d\.\d) (?P<va>\d{4,5}) (?P<w>\d{4,5}) (?P<load>\d{3})"
    rb" (?P<bus>\d{3}) (?P<battery>\d\d\.\d\d) (?P<charging>\d{3}) (?P<charge>\d{3}) (?P<temperature>\d{4}) (?P<pva>\d\d?\.\d|\d{4})"
    rb" (?P<pvv>\d{3}\.\d) \d\d\.\d\d (?P<discharging>\d{5}) (?P<bits>[01]{8})(?: [0-9A-F]{2} [0-9A-F]{2} (?P<pvw>\d{5}) [01]{3})?",
    "fast",
    optional=False,
)
QMOD = _ask(b"QMOD", rb"(?P<mode>[PSLBFHYECTDG])", "fast")
QPIWS = _ask(b"QPIWS", rb"(?P<bits>[01-]{25,128})", "fast")
QPIRI = _ask(
    b"QPIRI",
    rb"(?:(?P<inv>\d{3}\.\d) \d\d\.\d (?P<outv>\d{3}\.\d) (?P<hertz>\d\d\.\d) (?P<outa>\d\d\.\d) (?P<va>\d{4,5}) (?P<w>\d{4,5}) (?P<battery>\d\d\.\d)"
    rb"(?: [0-9.-]{1,5}){10,25}"
    # PI16: grid V, Hz and A, output V and A, A of each PV input, battery V, trackers, type, topology
    rb"|(?P<inv16>\d{3}\.\d) (?P<hertz16>\d\d\.\d) \d{3}\.\d (?P<outv16>\d{3}\.\d) (?P<outa16>\d{3}\.\d) \d{2,3}\.\d (?P<battery16>\d{3}\.\d) \d \d\d \d)",
)
QVFW = _ask(b"QVFW", rb"VERFW:(?P<version>\d{5}\.\d\d)")
QID = _ask(b"QID", rb"(?P<serial>[0-9A-Za-z]{6,32})")
QMD = _ask(b"QMD", rb"(?P<model>[ -~]{15}) [ #]*\d{2,6} \d\d \d/\d \d{3} \d{3} \d\d \d\d\.\d")

_CHARGING_ON = 5
"""Place of the bit in b7 to b0 of QPIGS."""


def _text(raw: bytes, _known: Known) -> Value | Absent:
    return raw.decode("ascii").strip("# ") or ABSENT


def _optional(raw: bytes, _known: Known) -> Value | Absent:
    """Older firmware ends before this field."""
    return float(raw) if raw else ABSENT


def _charger(raw: bytes, _known: Known) -> Value:
    return "charging" if raw[_CHARGING_ON] == ord("1") else "resting"


def _warned(places: tuple[int, ...], clear: str, set_: str) -> Convert:
    """places: of the warnings, from 0. `-` is a warning that this model does not have."""

    def convert(raw: bytes, _known: Known) -> Value | Absent:
        bits = [raw[at : at + 1] for at in places]
        if b"1" in bits:
            return set_
        return clear if b"0" in bits else ABSENT

    return convert


def _battery(raw: bytes, _known: Known) -> Value:
    on = [byte == ord("1") for byte in raw[:25]]
    return "fault" if on[24] else "disconnected" if on[22] else "low" if on[12] or on[14] else "normal"


def _gauge(signal: str, field: str, unit: str, part: str = "", convert: Convert = number) -> Row:
    return Row(signal=signal, query=QPIGS, take=field, convert=convert, unit=unit, part=part)


def _nominal(signal: str, field: str, unit: str) -> Row:
    return Row(signal=signal, query=QPIRI, take=field, convert=rating, unit=unit, trait=Trait.STATIC)


def _condition(part: str, places: tuple[int, ...], word: str, state: str) -> Row:
    return Row(
        signal="ups.condition",
        query=QPIWS,
        take="bits",
        convert=_warned(places, "ok", word),
        part=part,
        states={"ok": "ok", word: state},
        trait=Trait.STATE,
    )


def _identity(signal: str, query: Query, field: str) -> Row:
    return Row(signal=signal, query=query, take=field, convert=_text, trait=Trait.STATIC)


MODES = {"P": "standby", "S": "standby", "L": "normal", "B": "battery", "F": "other", "H": "sleeping", "Y": "bypass", "E": "eco", "C": "converter", "T": "test", "D": "none", "G": "normal"}  # fmt: skip
"""Power on, standby, line, battery, fault, power saving, bypass, eco, converter, test, shutdown, grid."""

ROWS = (
    _gauge("ups.input.voltage", "input", "V"),
    _gauge("ups.input.frequency", "inhz", "Hz"),
    _gauge("ups.output.voltage", "output", "V"),
    _gauge("ups.output.frequency", "outhz", "Hz"),
    _gauge("ups.output.apparent", "va", "VA"),
    _gauge("ups.output.power", "w", "W"),
    _gauge("ups.output.load", "load", "%"),
    _gauge("ups.battery.voltage", "battery", "V"),
    _gauge("ups.battery.charge", "charge", "%"),
    _gauge("ups.battery.current", "charging", "A", "charge"),
    _gauge("ups.battery.current", "discharging", "A", "discharge"),
    _gauge("ups.temperature", "temperature", "C"),
    _gauge("sensor.voltage", "bus", "V", "bus"),
    _gauge("sensor.voltage", "pvv", "V", "pv"),
    _gauge("sensor.current", "pva", "A", "pv"),
    _gauge("sensor.power", "pvw", "W", "pv", _optional),
    Row(
        signal="ups.battery.charger",
        query=QPIGS,
        take="bits",
        convert=_charger,
        states={"charging": "ok", "resting": "ok"},
        trait=Trait.STATE,
    ),
    Row(
        signal="ups.output.source",
        query=QMOD,
        take="mode",
        convert=words(MODES),
        states={
            "standby": "ok",
            "normal": "ok",
            "battery": "warn",
            "other": "unknown",
            "sleeping": "warn",
            "bypass": "warn",
            "eco": "ok",
            "converter": "ok",
            "test": "ok",
            "none": "crit",
        },
        trait=Trait.STATE,
    ),
    Row(
        signal="ups.mains",
        query=QPIWS,
        take="bits",
        convert=_warned((5,), "present", "failed"),
        states={"present": "ok", "failed": "warn"},
        trait=Trait.STATE,
    ),
    Row(
        signal="ups.battery.status",
        query=QPIWS,
        take="bits",
        convert=_battery,
        states={"normal": "ok", "low": "crit", "disconnected": "crit", "fault": "crit"},
        trait=Trait.STATE,
    ),
    _condition("inverter", (1, 7, 8, 18, 19, 20), "failed", "crit"),
    _condition("bus", (2, 3, 4, 21), "failed", "crit"),
    _condition("output", (6,), "critical", "crit"),
    _condition("temperature", (9,), "critical", "crit"),
    _condition("fan", (10,), "failed", "crit"),
    _condition("battery-charge", (11,), "warning", "warn"),
    _condition("load", (16,), "critical", "crit"),
    _condition("memory", (17,), "warning", "warn"),
    _condition("current-sensor", (23,), "failed", "crit"),
    _condition("pv", (26, 27, 28), "warning", "warn"),
    _nominal("ups.input.voltage.nominal", "inv", "V"),
    _nominal("ups.output.voltage.nominal", "outv", "V"),
    _nominal("ups.output.frequency.nominal", "hertz", "Hz"),
    _nominal("ups.output.current.nominal", "outa", "A"),
    _nominal("ups.output.apparent.nominal", "va", "VA"),
    _nominal("ups.output.power.nominal", "w", "W"),
    _nominal("ups.battery.voltage.nominal", "battery", "V"),
    _nominal("ups.input.voltage.nominal", "inv16", "V"),
    _nominal("ups.output.voltage.nominal", "outv16", "V"),
    _nominal("ups.output.frequency.nominal", "hertz16", "Hz"),
    _nominal("ups.output.current.nominal", "outa16", "A"),
    _nominal("ups.battery.voltage.nominal", "battery16", "V"),
    _identity("identity.description", QPI, "protocol"),
    _identity("identity.firmware", QVFW, "version"),
    _identity("identity.serial", QID, "serial"),
    _identity("identity.model", QMD, "model"),
)

SHIM = Shim(
    name="voltronic_axpert",
    title="inverter with battery that speaks Voltronic PI30 (Axpert, InfiniSolar, EASUN, MPP Solar)",
    line=Line(baud=2400),
    framing=Ended(b"\r", pad=b""),
    check=CHECK,
    rows=ROWS,
    whitelist=frozenset(row.query.request for row in ROWS),
    claim=QPI,
    refusals=frozenset({b"(NAK\x73\x73"}),
    timeout=3.0,
    gap=0.5,
    tries=3,
    protocols=("axpert", "pi30"),
)
