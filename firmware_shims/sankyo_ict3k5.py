"""Sankyo ICT3K5 and ICT3Q8, motor card readers: where the card is and what the reader complains of. Of all its commands only the status
request moves nothing; it is the only one that can be sent. Initialize, entry, carry and retract eject or keep cards: they are not here.

Beside a host the short answers to its own orders say the same. Answers with data, where track data could be, have another length and
are never read. Frames computed from public drivers, not captured; one driver acknowledges answers, another does not, and neither is
needed. A reader may be set to eject a card when DTR falls: an agent that owns the port holds DTR up while it runs.
"""

from __future__ import annotations

import re

from tillwatch.firmware_shims.base import (
    ABSENT,
    Absent,
    Check,
    Counted,
    Known,
    Line,
    Mode,
    Query,
    Row,
    Shim,
    Trait,
    Value,
)

# > F2 00 03 "C10" C5 2A                status request
# < 06                                  ACK
# < F2 00 05 "P1000" 38 26              done: no card
# < F2 00 05 "N1010" C0 E5              not done: error 10, jam
#   0  1  2  3
#   |  |  |  C order, P done, N not done; the order and its parameter; two digits of state or error
#   |  number of bytes that follow, without the checksum
#   STX

STATUS = Query(
    b"\xf2\x00\x03C10\xc5\x2a",
    # Initialize, status, entry, carry, shutter, contacts: the orders whose answer tells of the mechanism, not of a lamp.
    re.compile(rb"(?s)\xf2\x00\x05(?P<answer>(?P<kind>[PN])[0-3:@][0-9](?P<code>[0-9A-F]{2}))(?P<crc>..)"),
    lead=b"\xf2\x00\x05",
    min_len=10,
    tells=True,
)

CARD = {b"00": "none", b"01": "gate", b"02": "inside"}
FAULT = {
    b"10": "jam",
    b"11": "shutter",
    b"13": "length",
    b"14": "length",
    b"15": "memory",
    b"16": "moved",
    b"17": "retractJam",
    b"18": "twoCards",
    b"20": "magnetic",
    b"21": "magnetic",
    b"23": "magnetic",
    b"24": "magnetic",
    b"30": "power",
    b"31": "line",  # the host's DTR is low
    b"32": "power",
    b"39": "fan",
    b"40": "pulled",
    b"43": "chipPosition",
    b"50": "binFull",  # the counter of retained cards ran over
    **{b"6%d" % n: "chip" for n in (0, 1, 2, 3, 4, 5, 6, 9)},
    b"73": "memory",
    b"B0": "notInitialised",
}
REFUSED = (b"00", b"01", b"02", b"03", b"04", b"06")
"""Errors of the order, not of the reader."""

FAULTS = {
    "none": "ok",
    **dict.fromkeys(("length", "moved", "twoCards", "pulled", "magnetic", "chip", "line", "notInitialised"), "warn"),
    **dict.fromkeys(("jam", "retractJam", "shutter", "memory", "power", "fan", "chipPosition", "binFull"), "crit"),
    "unknown": "unknown",
}
OF_THE_CARD = ("length", "moved", "twoCards", "pulled", "magnetic", "chip")
"""A bad card or a person's hand; the reader itself is well."""


def card(raw: bytes, _known: Known) -> Value | Absent:
    return CARD.get(raw[3:], "unknown") if raw[:1] == b"P" else ABSENT


def fault(raw: bytes, _known: Known) -> Value | Absent:
    if raw[:1] == b"P":
        return "none"
    return ABSENT if raw[3:] in REFUSED else FAULT.get(raw[3:], "unknown")


def fitness(raw: bytes, known: Known) -> Value | Absent:
    found = fault(raw, known)
    if isinstance(found, Absent):
        return found
    if found in OF_THE_CARD or found == "binFull":
        return "ok"
    return {"ok": "ok", "warn": "warn", "crit": "failed", "unknown": "unknown"}[FAULTS[str(found)]]


def retained(raw: bytes, known: Known) -> Value | Absent:
    """Only an overrun is told."""
    found = fault(raw, known)
    return {"none": "ok", "binFull": "full"}.get(str(found), ABSENT)


def security(raw: bytes, known: Known) -> Value | Absent:
    """A card that is pulled or moved by hand may be somebody at the throat."""
    found = fault(raw, known)
    if isinstance(found, Absent) or found == "unknown":
        return found
    return "attention" if found in ("pulled", "moved", "twoCards") else "normal"


ROWS = (
    Row(
        signal="cardreader.card",
        query=STATUS,
        take="answer",
        convert=card,
        states={"none": "ok", "gate": "ok", "inside": "ok", "unknown": "unknown"},
        trait=Trait.STATE,
    ),
    Row(signal="cardreader.fault", query=STATUS, take="answer", convert=fault, states=FAULTS, trait=Trait.STATE),
    Row(
        signal="part.fitness",
        query=STATUS,
        take="answer",
        convert=fitness,
        states={"ok": "ok", "warn": "warn", "failed": "crit", "unknown": "unknown"},
        trait=Trait.STATE,
    ),
    Row(
        signal="part.supply",
        query=STATUS,
        take="answer",
        convert=retained,
        part="bin",
        states={"ok": "ok", "full": "crit"},
        trait=Trait.STATE,
    ),
    Row(
        signal="part.security",
        query=STATUS,
        take="answer",
        convert=security,
        states={"normal": "ok", "attention": "warn", "unknown": "unknown"},
        trait=Trait.STATE,
    ),
)

SHIM = Shim(
    name="sankyo_ict3k5",
    title="Sankyo ICT3K5 or ICT3Q8 card reader, passive status",
    line=Line(baud=115200, parity="E"),
    framing=Counted(lead=b"\xf2\x00", at=2, extra=5, smallest=3),
    check=Check("crc16-xmodem", covers=(0, -2), order="big"),
    rows=ROWS,
    whitelist=frozenset({STATUS.request}),
    claim=STATUS,
    modes=frozenset({Mode.EXCLUSIVE, Mode.TAP, Mode.HOSTED}),
    timeout=2.0,
    gap=1.0,  # between its ACK and its answer
    protocols=("sankyo", "ict3k5", "ict3q8"),
)
