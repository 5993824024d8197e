"""EBDS, the protocol of MEI and CPI banknote acceptors, heard beside the host that speaks it. Every message of a host carries the bits
that enable acceptance and the toggle that acknowledges an event, so a second master would take notes or lose them: nothing is ever sent.

The status tells its direction; what a host asks once at its start (part numbers, serial number) is believed after its request.
"""

from __future__ import annotations

import re

from tillwatch.firmware_shims.acceptors import (
    BOXES,
    CASHBOX,
    FAULTS,
    FITNESS,
    SECURITY,
    STATES,
    SUPPLY,
    fitness,
    supply,
    text,
)
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
    Tally,
    Trait,
    Value,
)

# > 02 08 10 7F 00 00 03 67             omnibus command: enabled notes, mode, configuration
# < 02 0B 20 01 10 00 00 54 1E 03 70    omnibus reply: idling, cash box there
#   0  1  2  3  4  5  6  7  8  9  10
#   |  |  |  |  |  |  |  |  |  |  checksum: XOR from LEN to the last data byte
#   |  |  |  |  |  |  |  |  |  ETX
#   |  |  |  |  |  |  |  |  code revision
#   |  |  |  |  |  |  |  model
#   |  |  |  |  |  |  0 stalled, 1 flash download, 5 disabled
#   |  |  |  |  |  0 power-up, 1 invalid command, 2 failure, 3-5 note value, 6 note path open
#   |  |  |  |  0 cheated, 1 rejected, 2 jammed, 3 cash box full, 4 cash box there, 5 paused, 6 calibrating
#   |  |  |  0 idling, 1 accepting, 2 escrow, 3 stacking, 4 stacked, 5 returning, 6 returned; all clear: out of service
#   |  |  message type and toggle: 1n host, 2n device, 6n and 7n both
#   |  length of the whole
#   STX
# Extended replies (7n) have the same six bytes behind their subtype; their lengths are not those of the host's messages.
#
# > 02 08 60 00 00 07 03 6F             part number of the application
# < 02 0E 60 "287531204" 03 52          six digits, three of the version


def _query(subtype: int, answer: bytes) -> Query:
    asked = re.compile(rb"(?s)\x02\x08[\x60\x61]..%b\x03." % re.escape(bytes([subtype])))
    return Query(b"", re.compile(rb"(?s)" + answer + rb"\x03."), asked=asked, every="slow", optional=True)


STATUS = Query(
    b"",
    re.compile(
        rb"(?s)\x02(?:\x0b[\x20\x21]|\x1e[\x70\x71]\x02|\x0c[\x70\x71][\x03\x04]|\x52[\x70\x71]\x06|\x0d[\x70\x71][\x0b\x0d\x1d])"
        rb"(?P<data>(?P<state>.)(?P<status>.)(?P<exception>.)(?P<misc>.)(?P<model>.).).*\x03."
    ),
    asked=re.compile(rb"(?s)\x02\x08[\x10\x11]...\x03."),
    tells=True,
)
CRC = _query(0x00, rb"\x02\x0b[\x60\x61](?P<crc>[\x00-\x0f]{4})..")
RESETS = _query(0x02, rb"\x02\x0b[\x60\x61](?P<count>.{6})")
SERIAL = _query(0x05, rb"\x02[\x06-\x45][\x60\x61](?P<serial>[ -~]{1,64}[\x00-\x7f]*)")
_PART = rb"\x02\x0e[\x60\x61](?P<part>\d{9})"
BOOT = _query(0x06, _PART)
APPLICATION = _query(0x07, _PART)
NAME = _query(0x08, rb"\x02[\x06-\x25][\x60\x61](?P<name>[ -~]{1,32}[\x00-\x7f]*)")
VARIANT = _query(0x09, _PART)
APPLICATION_ID = _query(0x0E, _PART)
VARIANT_ID = _query(0x0F, _PART)

RETURNED, RETURNING, STACKED, STACKING, ESCROW, ACCEPTING, IDLING = 0x40, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01
CHEATED, REJECTED, JAMMED, FULL, ATTACHED, PAUSED, CALIBRATING = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40
POWER_UP, FAILED, OPEN = 0x01, 0x04, 0x40
STALLED = 0x01


def state(raw: bytes, _known: Known) -> Value:
    """What it does, of several bits the most telling."""
    does, status, exception = raw[0], raw[1], raw[2]
    for bits, bit, word in (
        (exception, POWER_UP, "initialising"),
        (status, CALIBRATING, "calibrating"),
        (status, CHEATED, "cheated"),
        (status, REJECTED, "rejecting"),
        (status, PAUSED, "paused"),
        (does, RETURNED, "returned"),
        (does, STACKED, "stacked"),
        (does, RETURNING, "returning"),
        (does, STACKING, "stacking"),
        (does, ESCROW, "escrow"),
        (does, ACCEPTING, "accepting"),
        (does, IDLING, "idle"),
    ):
        if bits & bit:
            return word
    return "outOfService"


def _fault(raw: bytes) -> str:
    status, exception, misc = raw[1], raw[2], raw[3]
    if exception & FAILED:
        return "failed"
    if status & JAMMED:
        return "jammed"
    if misc & STALLED:
        return "stalled"
    return "calibrating" if status & CALIBRATING else "none"


def fault(raw: bytes, _known: Known) -> Value:
    return _fault(raw)


def fit(raw: bytes, _known: Known) -> Value:
    return fitness(_fault(raw))


def security(raw: bytes, _known: Known) -> Value:
    return "attention" if raw[1] & CHEATED or raw[2] & OPEN or not raw[1] & ATTACHED else "normal"


def _box(raw: bytes) -> str:
    if not raw[1] & ATTACHED:
        return "removed"
    return "full" if raw[1] & FULL else "attached"


def cashbox(raw: bytes, _known: Known) -> Value:
    return _box(raw)


def held(raw: bytes, _known: Known) -> Value:
    return supply(_box(raw))


def model(raw: bytes, _known: Known) -> Value | Absent:
    """A letter of the maker's list, such as T for SC83 and SC85; which family it belongs to is not said."""
    return raw.decode("ascii") if raw.isalnum() else ABSENT


def program(raw: bytes, _known: Known) -> Value:
    return f"{raw[:6].decode('ascii')} V{raw[6:7].decode('ascii')}.{raw[7:].decode('ascii')}"


def count(raw: bytes, _known: Known) -> Value:
    """Six bytes of four bits each, the highest first."""
    return int("".join(f"{byte & 0x0F:x}" for byte in raw), 16)


def crc(raw: bytes, _known: Known) -> Value:
    return "".join(f"{byte:X}" for byte in raw)


def _program(query: Query, part: str) -> Row:
    return Row(signal="acceptor.program", query=query, take="part", convert=program, part=part, trait=Trait.STATIC)


ROWS = (
    Row(signal="acceptor.state", query=STATUS, take="data", convert=state, states=STATES, trait=Trait.STATE),
    Row(signal="acceptor.fault", query=STATUS, take="data", convert=fault, states=FAULTS, trait=Trait.STATE),
    Row(signal="part.fitness", query=STATUS, take="data", convert=fit, states=FITNESS, trait=Trait.STATE),
    Row(signal="part.security", query=STATUS, take="data", convert=security, states=SECURITY, trait=Trait.STATE),
    Row(signal="acceptor.cashbox", query=STATUS, take="data", convert=cashbox, part=CASHBOX, states=BOXES, trait=Trait.STATE),
    Row(signal="part.supply", query=STATUS, take="data", convert=held, part=CASHBOX, states=SUPPLY, trait=Trait.STATE),
    Row(signal="identity.model", query=STATUS, take="model", convert=model, trait=Trait.STATIC),
    Row(signal="acceptor.resets", query=RESETS, take="count", convert=count),
    Row(signal="identity.serial", query=SERIAL, take="serial", convert=text, trait=Trait.STATIC),
    Row(signal="identity.firmware", query=APPLICATION, take="part", convert=program, trait=Trait.STATIC),
    Row(signal="identity.description", query=NAME, take="name", convert=text, trait=Trait.STATIC),
    _program(BOOT, "boot"),
    _program(VARIANT, "variant"),
    _program(APPLICATION_ID, "application-id"),
    _program(VARIANT_ID, "variant-id"),
    Row(signal="acceptor.crc", query=CRC, take="crc", convert=crc, trait=Trait.STATIC),
)  # fmt: skip


def _tally(signal: str, take: str, bit: int) -> Tally:
    return Tally(signal=signal, query=STATUS, take=take, shows=lambda raw: bool(raw[0] & bit))


SHIM = Shim(
    name="ebds",
    title="MEI or CPI banknote acceptor (EBDS), beside its host",
    line=Line(baud=9600, bits=7, parity="E"),
    framing=Counted(lead=b"\x02", at=1, smallest=6),
    check=Check("xor", covers=(1, -2)),
    rows=ROWS,
    tallies=(
        _tally("acceptor.stacked", "state", STACKED),
        _tally("acceptor.returned", "state", RETURNED),
        _tally("acceptor.rejected", "status", REJECTED),
        _tally("acceptor.jams", "status", JAMMED),
        _tally("acceptor.cheats", "status", CHEATED),
    ),
    whitelist=frozenset(),
    claim=STATUS,
    modes=frozenset({Mode.TAP, Mode.HOSTED}),
)
