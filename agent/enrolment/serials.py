"""The normal form of a machine's serial number, which terminal and collector must share: what firmware tells, and what a list from the purchase
department says, are spelled differently. What makers leave in the place of a serial is none. Pure.
"""

from __future__ import annotations

LEAST, MOST = 4, 64
"""Characters. Shorter ones are counters that many machines share; SMBIOS strings end at 64 (DSP0134 6.1.3)."""
_NONE = frozenset({
    "NA", "TOBEFILLEDBYOEM", "TOBEFILLEDBYOEMS", "TOBEFILLED", "FILLEDBYOEM", "OEM", "OEMSTRING", "DEFAULT", "DEFAULTSTRING", "SYSTEMSERIALNUMBER", "SYSSERIALNUMBER",
    "CHASSISSERIALNUMBER", "BASEBOARDSERIALNUMBER", "BOARDSERIALNUMBER", "SERIALNUMBER", "SERIALNO", "SERIAL", "NONE", "NULL", "NOTSPECIFIED", "NOTAPPLICABLE",
    "NOTAVAILABLE", "NOTPROVIDED", "NOTPRESENT", "NOTSETTABLE", "NOSERIAL", "NOSERIALNUMBER", "UNKNOWN", "UNDEFINED", "UNSPECIFIED", "INVALID", "EMPTY", "BLANK", "TEST", "SAMPLE", "EVAL", "REFURBISHED",
})  # fmt: skip
"""What stands in the firmware of machines whose maker wrote no serial, without punctuation."""
_COUNTING = ("0123456789", "1234567890", "123456789ABCDEF", "0123456789ABCDEF")
"""Keyboard rows: a serial that is the beginning of one was typed by nobody who looked."""


class SerialError(ValueError):
    """The text says what is wrong with the serial."""


def normal_serial(text: str) -> str:
    """Without white space, in capitals. Raises SerialError for a placeholder, and for what cannot stand on a label."""
    serial = "".join(text.split())
    if not serial:
        raise SerialError("it is empty")
    # Before the capitals: those of some letters outside ASCII are inside it.
    if not serial.isascii() or not serial.isprintable():
        raise SerialError(f"{text[:40]!r} is not made of ASCII letters, digits and signs")
    if len(serial) > MOST:
        raise SerialError(f"{serial[:20]}... has {len(serial)} characters; a serial number has at most {MOST}")
    serial = serial.upper()
    bare = "".join(sign for sign in serial if sign.isalnum())
    if bare in _NONE or len(set(bare)) < 2 or any(row.startswith(bare) for row in _COUNTING):
        raise SerialError(f"{text.strip()[:40]!r} is what makers leave in the place of a serial number")
    if len(bare) < LEAST:
        raise SerialError(f"{serial!r} is too short to be one machine's alone: at least {LEAST} letters and digits")
    return serial
