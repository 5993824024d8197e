"""CCNET, the protocol of CashCode bill validators, heard beside the host that speaks it. The validator has one master, whose every poll
consumes an answer: nothing is ever sent. Answers carry no direction; they are believed after the poll that they answer.

From drivers and the maker's manual (CCNET common specifications); written from these, not from a capture of our own.
"""

from __future__ import annotations

import re

from tillwatch.firmware_shims.acceptors import Meaning, code_rows, code_tallies, text
from tillwatch.firmware_shims.base import Check, Counted, Line, Mode, Query, Row, Shim, Trait

# > 02 03 06 33 DA 81                  poll of the validator (address 03)
# < 02 03 06 14 67 D4                  idling
# > 02 03 06 00 C2 82                  ACK; the device sends the same for an order
#   0  1  2  3
#   |  |  |  code: of the order, or of the state
#   |  |  length of the whole, checksum included
#   sync, address
#
# > 02 03 06 37 FE C7                  identification
# < 02 03 27 <part, 15> <serial, 12> <asset, 7> CRC

POLL = Query(
    b"",
    re.compile(rb"(?s)\x02\x03[\x06-\x0a](?P<status>[\x10-\x2f\x41-\x4f\x80-\x8f].{0,4}).."),
    asked=re.compile(rb"\x02\x03\x06\x33\xda\x81"),
)
IDENTIFICATION = Query(
    b"",
    re.compile(rb"(?s)\x02\x03\x27(?P<part>.{15})(?P<serial>.{12}).{7}.."),
    asked=re.compile(rb"\x02\x03\x06\x37\xfe\xc7"),
    every="slow",
    optional=True,
)

REJECTING, FAILURE = 0x1C, 0x47
MEANINGS = {
    0x10: Meaning("initialising"),
    0x11: Meaning("initialising", "noteInside"),
    0x12: Meaning("initialising", "noteInside"),  # in the stacker
    0x13: Meaning("initialising"),
    0x14: Meaning("idle"),
    0x15: Meaning("accepting"),
    0x17: Meaning("stacking"),
    0x18: Meaning("returning"),
    0x19: Meaning("disabled"),
    0x1A: Meaning("holding"),
    0x1B: Meaning("busy"),
    REJECTING: Meaning("rejecting"),
    0x41: Meaning("outOfService", cashbox="full"),
    0x42: Meaning("outOfService", cashbox="removed", attention=True),
    0x43: Meaning("outOfService", "jammed", cashbox=""),
    0x44: Meaning("outOfService", "cashboxJammed", cashbox="jammed"),
    0x45: Meaning("cheated", attention=True),
    0x46: Meaning("paused"),
    FAILURE: Meaning("outOfService", "failed", cashbox=""),
    0x80: Meaning("escrow"),
    0x81: Meaning("stacked"),
    0x82: Meaning("returned"),
}
FAILURES = {
    0x50: "stackMotor",
    0x51: "transportSpeed",
    0x52: "transportMotor",
    0x53: "alignMotor",
    0x54: "cashbox",
    0x55: "optic",
    0x56: "magnetic",
    0x5F: "capacitance",
}
REASONS = {
    0x60: "insertion",
    0x61: "magnetic",
    0x62: "noteInside",
    0x63: "compensation",
    0x64: "conveying",
    0x65: "identification",
    0x66: "verification",
    0x67: "optic",
    0x68: "inhibited",
    0x69: "capacitance",
    0x6A: "operation",
    0x6C: "length",
}

ROWS = (
    *code_rows(POLL, MEANINGS, FAILURES, FAILURE, REJECTING, REASONS),
    Row(signal="identity.model", query=IDENTIFICATION, take="part", convert=text, trait=Trait.STATIC),
    Row(signal="identity.serial", query=IDENTIFICATION, take="serial", convert=text, trait=Trait.STATIC),
)

SHIM = Shim(
    name="ccnet",
    title="CashCode bill validator (CCNET), beside its host",
    line=Line(baud=9600),
    framing=Counted(lead=b"\x02\x03", at=2, smallest=6),
    check=Check("crc16-ccnet", covers=(0, -2)),
    rows=ROWS,
    tallies=code_tallies(
        POLL,
        {
            "acceptor.stacked": 0x81,
            "acceptor.returned": 0x82,
            "acceptor.rejected": REJECTING,
            "acceptor.jams": (0x43, 0x44),
            "acceptor.cheats": 0x45,
        },
    ),
    whitelist=frozenset(),
    claim=POLL,
    modes=frozenset({Mode.TAP, Mode.HOSTED}),
    host=re.compile(rb"(?s)\x02\x03.[\x00\x30-\x3f\x41\x50\x51\x60\xff].*"),  # 41: the bill table, and a full cassette
    protocols=("cashcode",),
)
