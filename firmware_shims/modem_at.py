"""Mobile radio modems on a port of their own (the second, diagnostic one): signal, registration, operator, SIM, temperature, identity.

Only questions are in the table; none drops a connection, and none tells who the subscriber is (no IMSI, ICCID or number). A modem echoes
as it likes and says things unasked in between: an answer is what stands before the closing OK. Makers have their own words for the
temperature; the ones that a modem does not know are refused by it and left out.
"""

from __future__ import annotations

import re

from tillwatch.firmware_shims.base import ABSENT, Absent, Convert, Every, Known, Line, Query, Row, Shim, Trait, Value
from tillwatch.firmware_shims.framing import Until

# > AT+CSQ\r      < AT+CSQ\r\r\n+CSQ: 19,99\r\n\r\nOK\r\n                          -75 dBm; bit errors unknown
# > AT+CREG?\r    < \r\n+CREG: 0,5\r\n\r\nOK\r\n                                   roaming
# > AT+QTEMP?\r   < \r\nERROR\r\n                                                  not this maker's
# > AT+CPSI?\r    < \r\n+CPSI: LTE,Online,262-01,0x1A2B,12345678,211,EUTRAN-BAND20,6300,3,3,-105,-1021,-713,9\r\n\r\nOK\r\n


def _ask(command: bytes, form: bytes, lead: bytes = b"", every: Every = "normal") -> Query:
    # Other lines may stand before and after: what comes unasked, and further lines of the same answer. A line is taken as a whole, or a
    # run of line ends could be divided in more ways than there is time to try.
    heard = re.compile(rb"(?:[^\r\n]*+[\r\n]++)*?%b *[\r\n](?s:.*)OK" % form)
    return Query(command + b"\r", heard, lead=lead, every=every, optional=command != b"AT")


def _identity(command: bytes, form: bytes) -> Query:
    # An answer without a word of its own: the last line before OK, and not an echo.
    heard = re.compile(rb"(?:(?s:.*)[\r\n])?(?!AT\+)(?:\+[A-Z]+: ?|Revision: ?)?\"?%b\"?[\r\n]+OK" % form)
    return Query(command + b"\r", heard, every="slow", optional=True)


PRESENT = Query(b"AT\r", re.compile(rb"(?s:.*[\r\n])?OK"))
SIGNAL = _ask(b"AT+CSQ", rb"\+CSQ: ?(?P<rssi>[0-9]{1,3}),(?P<ber>[0-9]{1,2})", b"+CSQ:", "fast")
EXTENDED = _ask(
    b"AT+CESQ",
    rb"\+CESQ: ?[0-9]{1,3},[0-9]{1,3},[0-9]{1,3},(?P<ecno>[0-9]{1,3}),(?P<rsrq>[0-9]{1,3}),(?P<rsrp>[0-9]{1,3})",
    b"+CESQ:",
)
SIM = _ask(b"AT+CPIN?", rb"\+CPIN: ?(?P<pin>READY|SIM PIN2?|SIM PUK2?|PH-[A-Z -]{3,20})", b"+CPIN:")
OPERATOR = _ask(
    b"AT+COPS?", rb"\+COPS: ?[0-4](?:,[0-2],\"(?P<name>[ !#-~]{1,32})\"(?:,(?P<act>[0-9]{1,2}))?)?", b"+COPS:"
)
SERVING = _ask(
    b"AT+CPSI?",
    rb"\+CPSI: ?(?P<system>LTE),(?:Online|Offline|Low Power Mode),(?P<operator>[0-9]{3}-[0-9]{2,3}),[^,]*,[^,]*,[^,]*,(?P<band>[0-9A-Z-]{1,24}),"
    rb"[0-9]+,[0-9]+,[0-9]+,(?P<rsrq>-?[0-9]{1,4}),(?P<rsrp>-?[0-9]{1,4}),(?P<rssi>-?[0-9]{1,4}),(?P<sinr>-?[0-9]{1,3})",
    b"+CPSI:",
)
REGISTRATIONS = {
    part: _ask(b"AT+" + word + b"?", rb"\+%b: ?[0-9],(?P<stat>[0-9]{1,2})(?:,[^\r\n]*)?" % word, b"+" + word + b":")
    for part, word in (("cs", b"CREG"), ("ps", b"CGREG"), ("eps", b"CEREG"))
}
TEMPERATURES = (
    _ask(b"AT+CPMUTEMP", rb"\+CPMUTEMP: ?(?P<degrees>-?[0-9]{1,3})", b"+CPMUTEMP:"),  # SIMCom
    _ask(
        b"AT+QTEMP?", rb"\+QTEMP: ?[0-9]+,[0-9]+,(?P<degrees>-?[0-9]{1,3})", b"+QTEMP:"
    ),  # Quectel M95: state, raw, degrees
    _ask(
        b"AT+QTEMP", rb"\+QTEMP: ?(?:\"[^\"\r\n]*\",)?\"?(?P<degrees>-?[0-9]{1,3})\"?(?:,[0-9,-]*)?", b"+QTEMP:"
    ),  # Quectel EC, EG, RG
    _ask(b"AT+MTSM?", rb"\+MTSM: ?(?P<degrees>-?[0-9]{1,3})", b"+MTSM:"),  # Fibocom
    _ask(b"AT!PCTEMP?", rb"Temperature: ?(?P<degrees>-?[0-9]{1,3}(?:\.[0-9]{1,2})?)", b"Temperature:"),  # Sierra
)
MAKER = _identity(b"AT+CGMI", rb"(?P<text>[0-9A-Za-z][ !#-~]{0,63}?)")
MODEL = _identity(b"AT+CGMM", rb"(?P<text>[0-9A-Za-z][ !#-~]{0,63}?)")
REVISION = _identity(b"AT+CGMR", rb"(?P<text>[0-9A-Za-z][ !#-~]{0,63}?)")
IMEI = _identity(b"AT+CGSN", rb"(?P<text>[0-9]{14,16})")

BIT_ERRORS = (0.14, 0.28, 0.57, 1.13, 2.26, 4.53, 9.05, 18.1)
"""Percent that RXQUAL 0 to 7 stands for (3GPP TS 45.008)."""

TECHNOLOGIES = {0: "GSM", 1: "GSM", 2: "UMTS", 3: "EDGE", 4: "HSDPA", 5: "HSUPA", 6: "HSPA", 7: "LTE", 8: "EC-GSM", 9: "NB-IoT", 10: "LTE", 11: "NR", 12: "NR", 13: "LTE-NR"}  # fmt: skip
"""Access technology in +COPS (3GPP TS 27.007)."""

WORDS = {0: "none", 1: "home", 2: "searching", 3: "denied", 4: "unknown", 5: "roaming", 6: "home", 7: "roaming", 8: "none", 9: "home", 10: "roaming"}  # fmt: skip
"""Registration (3GPP TS 27.007): 6 and 7 are for short messages only, 8 is emergency calls only, 9 and 10 without fallback."""

REGISTRATION_STATES = {
    "home": "ok",
    "roaming": "warn",
    "searching": "warn",
    "none": "crit",
    "denied": "crit",
    "unknown": "unknown",
}


def _coded(first: float, step: float, last: int, unknown: int) -> Convert:
    """A code 0 to `last` that counts up from `first` in steps; `unknown` is no reading."""

    def convert(raw: bytes, _known: Known) -> Value | Absent:
        code = int(raw)
        if code == unknown:
            return ABSENT
        if code > last:
            raise ValueError(f"the code ends with {last}")
        return first + step * code

    return convert


def _bit_errors(raw: bytes, _known: Known) -> Value | Absent:
    code = int(raw)
    if code == 99:
        return ABSENT
    if code >= len(BIT_ERRORS):
        raise ValueError("the code ends with 7")
    return BIT_ERRORS[code]


def _tenths(raw: bytes, _known: Known) -> Value:
    return int(raw) / 10


def _number(raw: bytes, _known: Known) -> Value:
    return float(raw)


def _text(raw: bytes, _known: Known) -> Value | Absent:
    return raw.decode("ascii").strip() or ABSENT


def _technology(raw: bytes, _known: Known) -> Value | Absent:
    return TECHNOLOGIES.get(int(raw), ABSENT) if raw else ABSENT


def _registered(raw: bytes, _known: Known) -> Value:
    if int(raw) not in WORDS:
        raise ValueError("no such state of registration")
    return WORDS[int(raw)]


def _pin(raw: bytes, _known: Known) -> Value:
    return "ready" if raw == b"READY" else "puk" if b"PUK" in raw else "required"


ROWS = (
    Row(signal="cell.rssi", query=SIGNAL, take="rssi", convert=_coded(-113, 2, 31, 99), unit="dBm", low=-113, high=-51),
    Row(signal="cell.ber", query=SIGNAL, take="ber", convert=_bit_errors, unit="%", low=0, high=20),
    Row(
        signal="cell.rsrp",
        query=EXTENDED,
        take="rsrp",
        convert=_coded(-141, 1, 97, 255),
        unit="dBm",
        low=-141,
        high=-44,
    ),
    Row(
        signal="cell.rsrq", query=EXTENDED, take="rsrq", convert=_coded(-20, 0.5, 34, 255), unit="dB", low=-20, high=-3
    ),
    Row(
        signal="cell.ecio",
        query=EXTENDED,
        take="ecno",
        convert=_coded(-24.5, 0.5, 49, 255),
        unit="dB",
        low=-24.5,
        high=0,
    ),
    *(
        Row(
            signal="cell.registration",
            query=query,
            take="stat",
            convert=_registered,
            part=part,
            states=REGISTRATION_STATES,
            trait=Trait.STATE,
        )
        for part, query in REGISTRATIONS.items()
    ),
    Row(
        signal="cell.pin",
        query=SIM,
        take="pin",
        convert=_pin,
        states={"ready": "ok", "required": "crit", "puk": "crit"},
        trait=Trait.STATE,
    ),
    Row(signal="cell.operator", query=OPERATOR, take="name", convert=_text, trait=Trait.STATIC),
    Row(signal="cell.technology", query=OPERATOR, take="act", convert=_technology, trait=Trait.STATIC),
    # What SIMCom says of the serving cell, in tenths.
    Row(signal="cell.technology", query=SERVING, take="system", convert=_text, part="serving", trait=Trait.STATIC),
    Row(signal="cell.operator", query=SERVING, take="operator", convert=_text, part="serving", trait=Trait.STATIC),
    Row(signal="cell.band", query=SERVING, take="band", convert=_text, part="serving", trait=Trait.STATIC),
    Row(signal="cell.rsrq", query=SERVING, take="rsrq", convert=_tenths, unit="dB", part="serving", low=-45, high=20),
    Row(
        signal="cell.rsrp", query=SERVING, take="rsrp", convert=_tenths, unit="dBm", part="serving", low=-160, high=-20
    ),
    Row(
        signal="cell.rssi", query=SERVING, take="rssi", convert=_tenths, unit="dBm", part="serving", low=-130, high=-10
    ),
    Row(signal="cell.sinr", query=SERVING, take="sinr", convert=_number, unit="dB", part="serving", low=-30, high=50),
    *(
        Row(signal="cell.temperature", query=query, take="degrees", convert=_number, unit="C", low=-40, high=125)
        for query in TEMPERATURES
    ),
    Row(signal="identity.maker", query=MAKER, take="text", convert=_text, trait=Trait.STATIC),
    Row(signal="identity.model", query=MODEL, take="text", convert=_text, trait=Trait.STATIC),
    Row(signal="identity.firmware", query=REVISION, take="text", convert=_text, trait=Trait.STATIC),
    Row(signal="cell.imei", query=IMEI, take="text", convert=_text, trait=Trait.STATIC),
)

_NOT_SUPPORTED = (3, 4, 100)
"""+CME ERROR: not allowed, not supported, unknown (3GPP TS 27.007)."""

SHIM = Shim(
    name="modem_at",
    title="mobile radio modem with AT commands (SIMCom, Quectel, Fibocom, Sierra, Telit and others)",
    line=Line(baud=115_200),
    framing=Until(
        re.compile(rb"(?:^|[\r\n])(?:OK|ERROR|NO CARRIER|COMMAND NOT SUPPORT|\+CM[ES] ERROR: ?[ -~]*)[\r\n]")
    ),
    rows=ROWS,
    whitelist=frozenset({PRESENT.request, *(row.query.request for row in ROWS)}),
    claim=PRESENT,
    refusals=frozenset({b"ERROR", b"COMMAND NOT SUPPORT", *(b"+CME ERROR: %d" % code for code in _NOT_SUPPORTED)}),
    faults={
        b"+CME ERROR: 10": "no SIM card",
        b"+CME ERROR: 13": "the SIM card failed",
        b"+CME ERROR: 14": "the SIM card is busy",
    },
    timeout=2.0,
    gap=0.5,
    tries=3,
    protocols=("modem-at", "at"),
)
