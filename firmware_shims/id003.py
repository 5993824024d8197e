"""ID-003, the protocol of JCM bill validators, heard beside the host that speaks it: the validator has one master, nothing is ever sent.

The status request and the answer "enabled" are the same bytes, as are several orders and faults: such an answer is believed when it
comes in the time of an answer, again and again. From public drivers; the frames are computed from these, not captured.
"""

from __future__ import annotations

import re

from tillwatch.firmware_shims.acceptors import Meaning, code_rows, code_tallies, text
from tillwatch.firmware_shims.base import Check, Counted, Line, Mode, Query, Row, Shim, Trait

# > FC 05 11 27 56                     status request
# < FC 05 11 27 56                     enabled, idle
# < FC 06 49 A2 A0 21                    failure: stack motor
#   0  1  2
#   |  |  code
#   |  length of the whole, checksum included
#   sync
#
# > FC 05 88 6F 5F                     version
# < FC LEN 88 <text> CRC

STATUS = Query(
    b"",
    re.compile(rb"(?s)\xfc[\x05-\x20](?P<status>[\x11-\x1b\x40-\x4b].{0,27}).."),
    asked=re.compile(rb"\xfc\x05\x11\x27\x56"),
)
VERSION = Query(
    b"",
    re.compile(rb"(?s)\xfc[\x06-\xff]\x88(?P<version>.+).."),
    asked=re.compile(rb"\xfc\x05\x88\x6f\x5f"),
    every="slow",
    optional=True,
)

REJECTING, FAILURE = 0x17, 0x49
MEANINGS = {
    0x11: Meaning("idle"),
    0x12: Meaning("accepting"),
    0x13: Meaning("escrow"),
    0x14: Meaning("stacking"),
    0x15: Meaning("stacking"),  # the note is good and on its way
    0x16: Meaning("stacked"),
    REJECTING: Meaning("rejecting"),
    0x18: Meaning("returning"),
    0x19: Meaning("holding"),
    0x1A: Meaning("disabled"),
    0x1B: Meaning("initialising"),
    0x40: Meaning("initialising"),
    0x41: Meaning("initialising", "noteInside"),
    0x42: Meaning("initialising", "noteInside"),  # in the stacker
    0x43: Meaning("outOfService", cashbox="full"),
    0x44: Meaning("outOfService", cashbox="removed", attention=True),
    0x45: Meaning("outOfService", "jammed", cashbox=""),
    0x46: Meaning("outOfService", "cashboxJammed", cashbox="jammed"),
    0x47: Meaning("paused"),
    0x48: Meaning("cheated", attention=True),
    FAILURE: Meaning("outOfService", "failed", cashbox=""),
    0x4A: Meaning("unknown", "communication", cashbox=""),
    0x4B: Meaning("unknown", "communication", cashbox=""),  # an order that it does not know
}
FAILURES = {
    0xA2: "stackMotor",
    0xA5: "transportSpeed",
    0xA6: "transportMotor",
    0xAB: "cashbox",
    0xAF: "head",
    0xB0: "rom",
    0xB1: "rom",
    0xB2: "rom",
    0xB3: "rom",
}
REASONS = {
    0x71: "insertion",
    0x72: "magnetic",
    0x73: "noteInside",
    0x74: "compensation",
    0x75: "conveying",
    0x76: "identification",
    0x77: "pattern",
    0x78: "optic",
    0x79: "inhibited",
    0x7B: "operation",
    0x7C: "noteInside",
    0x7D: "length",
    0x7E: "pattern",
}

SHIM = Shim(
    name="id003",
    title="JCM bill validator (ID-003), beside its host",
    line=Line(baud=9600, parity="E"),
    framing=Counted(lead=b"\xfc", at=1, smallest=5),
    check=Check("crc16-kermit", covers=(0, -2)),
    rows=(
        *code_rows(STATUS, MEANINGS, FAILURES, FAILURE, REJECTING, REASONS),
        Row(signal="identity.firmware", query=VERSION, take="version", convert=text, trait=Trait.STATIC),
    ),
    tallies=code_tallies(
        STATUS,
        {
            "acceptor.stacked": 0x16,
            "acceptor.returned": 0x18,
            "acceptor.rejected": REJECTING,
            "acceptor.jams": (0x45, 0x46),
            "acceptor.cheats": 0x48,
        },
    ),
    whitelist=frozenset(),
    claim=STATUS,
    modes=frozenset({Mode.TAP, Mode.HOSTED}),
    host=re.compile(rb"\xfc\x05[\x11\x40-\x45].."),
    within=0.06,  # well below the 0.2 s between two polls
    protocols=("id-003", "jcm"),
)
