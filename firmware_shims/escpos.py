"""ESC/POS receipt printers: real-time status (DLE EOT), paper sensors (GS r) and identity (GS I). For Epson and all that speak like it.

DLE EOT is answered at once and harms nothing, unless it falls into the middle of somebody's print job: this is for a port of its own.
GS commands wait in the print buffer, behind an empty roll too, so they are rare and optional. One status byte has fixed bits (0xx1xx10)
and no checksum: it must come alone, and what changes is believed when said twice.
"""

from __future__ import annotations

import re

from tillwatch.firmware_shims.base import Convert, Known, Line, Mode, Query, Row, Shim, Trait, Value
from tillwatch.firmware_shims.framing import Paused

# > 10 04 01         < 16           on-line, drawer pin 3 high      > 10 04 04   < 1E   paper near its end
# > 10 04 02         < 12           cover closed, no error          > 10 04 04   < 7E   paper at its end
# > 10 04 03         < 1A           the cutter is jammed            > 1D 72 01   < 03   paper near its end
# > 1D 49 43         < 5F 54 4D 2D 54 38 38 00    "_TM-T88" NUL

_ASB_FIRST = bytes(b for b in range(256) if b & 0x93 == 0x10)
_PLAIN = bytes(b for b in range(256) if b & 0x90 == 0)
_REALTIME = bytes(b for b in range(256) if b & 0x93 == 0x12)

ASB = re.compile(rb"[%b][%b]{3}" % (re.escape(_ASB_FIRST), re.escape(_PLAIN)))
"""One group of automatic status: four bytes, told apart from every other answer by the fixed bits of the first."""

_UNASKED = rb"(?:%b|[\x11\x13])*" % ASB.pattern


def form(answer: bytes) -> re.Pattern[bytes]:
    """The answer, with what may come unasked before and after it: automatic status, if somebody switched it on, XON and XOFF."""
    return re.compile(_UNASKED + answer + _UNASKED)


LINE = Line(baud=9600)
_STATUS = form(rb"(?P<status>[%b])" % re.escape(_REALTIME))
_SENSORS = form(rb"(?P<status>[%b])" % re.escape(_PLAIN))

PRINTER = Query(b"\x10\x04\x01", _STATUS)
OFFLINE = Query(b"\x10\x04\x02", _STATUS)
ERROR = Query(b"\x10\x04\x03", _STATUS)
PAPER = Query(b"\x10\x04\x04", _STATUS)
SENSORS = Query(b"\x1dr\x01", _SENSORS, every="slow", optional=True)


def text_query(number: int) -> Query:
    """GS I n for the n that are answered with `_`, text and NUL."""
    return Query(b"\x1dI" + bytes([number]), form(rb"_(?P<text>[ -~]{1,80})\0"), every="slow", optional=True)


FIRMWARE, MAKER, MODEL, SERIAL = (text_query(number) for number in (65, 66, 67, 68))


def text(raw: bytes, _known: Known) -> Value:
    return raw.decode("ascii").strip()


def _flag(mask: int, clear: str, set_: str) -> Convert:
    def convert(raw: bytes, _known: Known) -> Value:
        return set_ if raw[0] & mask else clear

    return convert


def paper(near: int, end: int) -> Convert:
    """near, end: the bits of either sensor."""

    def convert(raw: bytes, _known: Known) -> Value:
        return "empty" if raw[0] & end else "low" if raw[0] & near else "present"

    return convert


PAPER_STATES = {"present": "ok", "low": "warn", "empty": "crit"}


def flag_row(
    query: Query, take: str | tuple[int, int], mask: int, signal: str, clear: str, set_: str, state: str, part: str = ""
) -> Row:
    """One status bit. clear, set_: words of the catalogue; state: what `set_` means."""
    return Row(
        signal=signal,
        query=query,
        take=take,
        convert=_flag(mask, clear, set_),
        states={clear: "ok", set_: state},
        part=part,
        trait=Trait.STATE,
    )


def _identity(signal: str, query: Query) -> Row:
    return Row(signal=signal, query=query, take="text", convert=text, trait=Trait.STATIC)


STATUS_ROWS = (
    flag_row(PRINTER, "status", 0x08, "printer.online", "online", "offline", "warn"),
    flag_row(PRINTER, "status", 0x04, "printer.drawer", "low", "high", "ok"),
    flag_row(PRINTER, "status", 0x20, "printer.recovery", "none", "waiting", "warn"),
    flag_row(PRINTER, "status", 0x40, "printer.button", "released", "pressed", "ok"),
    flag_row(OFFLINE, "status", 0x04, "printer.cover", "closed", "open", "warn"),
    flag_row(OFFLINE, "status", 0x08, "printer.feed", "idle", "feeding", "ok"),
    flag_row(OFFLINE, "status", 0x20, "printer.stopped", "no", "paper", "crit"),
    flag_row(OFFLINE, "status", 0x40, "printer.fault", "none", "failed", "crit"),
    flag_row(ERROR, "status", 0x04, "printer.condition", "ok", "failed", "crit", "mechanism"),
    flag_row(ERROR, "status", 0x08, "printer.condition", "ok", "failed", "crit", "cutter"),
    flag_row(ERROR, "status", 0x20, "printer.condition", "ok", "failed", "crit", "electronics"),
    # It comes back by itself when the head has cooled down.
    flag_row(ERROR, "status", 0x40, "printer.condition", "ok", "warning", "warn", "head"),
    Row(
        signal="printer.paper",
        query=PAPER,
        take="status",
        convert=paper(0x0C, 0x60),
        states=PAPER_STATES,
        trait=Trait.STATE,
    ),
)

IDENTITY_ROWS = (
    _identity("identity.maker", MAKER),
    _identity("identity.model", MODEL),
    _identity("identity.firmware", FIRMWARE),
    _identity("identity.serial", SERIAL),
)

SENSOR_ROW = Row(
    signal="printer.paper",
    query=SENSORS,
    take="status",
    convert=paper(0x03, 0x0C),
    part="sensors",
    states=PAPER_STATES,
    trait=Trait.STATE,
)

ROWS = (*STATUS_ROWS, SENSOR_ROW, *IDENTITY_ROWS)

SHIM = Shim(
    name="escpos",
    title="receipt printer that speaks ESC/POS (Epson, Bixolon, Citizen, SNBC, Star in ESC/POS mode and many others)",
    line=LINE,
    framing=Paused(),
    rows=ROWS,
    whitelist=frozenset(row.query.request for row in ROWS),
    claim=PRINTER,
    modes=frozenset({Mode.EXCLUSIVE, Mode.HOSTED}),
    timeout=0.5,  # answers come within 100 ms at 9600 baud
    gap=0.1,
    tries=3,
    protocols=("escpos",),
    # DLE EOT alone. GS ( A and the feed button's test, which print, are not in the table.
    report=(PRINTER, OFFLINE, ERROR, PAPER),
)
