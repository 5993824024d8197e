"""Finds what has the shape of a payment card's number (PAN) in a text, and takes it out. Pure; both sides use it: the agent before anything is buffered,
the collector before anything is stored (packaging/docs/card-data.md).

A number of that shape: 13 to 19 digits that pass ISO/IEC 7812-1's check and begin as issuers' numbers of that length do, written in one piece or in groups
that one or two blanks or dashes part. Digits that are part of something longer count as soon as any piece of it has the shape. One number in ten
passes the check by chance, so only the digits go and the words around them stay; and what identifies hardware is left alone by signal, where the
whole text has the form that such a thing has (HARDWARE).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

REMOVED = "[card number removed]"
REFUSED_FOR = "a text in it has the shape of a card number"
"""How the reason begins for which a collector refuses a batch that an older agent has sealed."""
MIN_PAN, MAX_PAN = 13, 19
"""Digits of a primary account number (ISO/IEC 7812-1; the shortest in use have 13)."""
_LEADS = {13: "456", 14: "356", 15: "12356"}
"""First digits of numbers of that length: old Visa and Maestro; Diners; American Express, JCB, UATP. Longer ones begin with any digit but 0, domestic cards of
China among them. So milliseconds since 1970 (13 digits, from 1) and yyyymmddhhmmss (14 digits, from 2) are none.
"""
_RUN = re.compile(r"\d(?:[\s\u2010-\u2015-]{0,2}\d){12,}")
_GROUP = re.compile(r"\d+")
_WORD = re.compile(r"[A-Za-z0-9._:/-]{1,64}")
HARDWARE: dict[str, tuple[re.Pattern[str], str]] = {
    "identity.serial": (_WORD, "one word; from a nameplate, an EEPROM or a MIB's own object for it, which no card passes through"),
    "cell.imei": (re.compile(r"\d{14,16}"), "15 digits with the same check digit by definition (3GPP TS 23.003), or 16 with the software's version"),
    "ups.battery.part": (_WORD, "one word, of the maker's catalogue"),
    "acceptor.program": (_WORD, "one word, of the maker's catalogue"),
    "acceptor.crc": (re.compile(r"[0-9A-Fa-f]{1,32}"), "a checksum in hex"),
    "monitor.bundle": (re.compile(r"[ -~]*"), "a piece of a file that is packed and encoded; remote/scrub.py has looked through it before"),
    "monitor.config": (re.compile(r"[ -~]*"), "begins with a digest in hex; the rest is what the collector itself has signed"),
}  # fmt: skip
"""Signal -> the whole form of a text that is left alone, and why no card number stands in it."""


def luhn(digits: str) -> bool:
    """The check digit of ISO/IEC 7812-1, annex B."""
    doubled = (2 * int(digit) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(each // 10 + each % 10 for each in doubled)) % 10 == 0


def without(text: str, signal: str = "") -> tuple[str, int]:
    """The text with each card number replaced by REMOVED, and how many there were. signal: whose value it is, for HARDWARE."""
    if len(text) < MIN_PAN or _RUN.search(text) is None:
        return text, 0
    if signal in HARDWARE and HARDWARE[signal][0].fullmatch(text):
        return text, 0
    pieces: list[str] = []
    kept = 0
    for start, end in _places(text):
        pieces += (text[kept:start], REMOVED)
        kept = end
    return ("".join((*pieces, text[kept:])), len(pieces) // 2) if pieces else (text, 0)


def found_in(text: str, signal: str = "") -> bool:
    return without(text, signal)[1] > 0


def _places(text: str) -> Iterator[tuple[int, int]]:
    for run in _RUN.finditer(text):
        groups = [match.span() for match in _GROUP.finditer(text, run.start(), run.end())]
        at = 0
        while at < len(groups):
            last = _last(text, groups, at)
            if last is None:
                at += 1
            else:
                yield groups[at][0], groups[last][1]
                at = last + 1


def _last(text: str, groups: list[tuple[int, int]], at: int) -> int | None:
    """The last of the groups from `at` on that make a card number together, the longest that there is; None: none does."""
    start, end = groups[at]
    if end - start > MAX_PAN:
        return at if _within(text[start:end]) else None
    digits, found = "", None
    for place in range(at, len(groups)):
        digits += text[slice(*groups[place])]
        if len(digits) > MAX_PAN:
            break
        if _is_card(digits):
            found = place
    return found


def _within(digits: str) -> bool:
    """Whether a piece of one long row of digits is a card number: a number that its expiry date was glued to, a magnetic track."""
    lengths = range(MIN_PAN, MAX_PAN + 1)
    return any(_is_card(digits[at : at + n]) for at in range(len(digits) - MIN_PAN + 1) for n in lengths)


def _is_card(digits: str) -> bool:
    if not MIN_PAN <= len(digits) <= MAX_PAN:
        return False
    lead = str(int(digits[0]))  # \d takes digits of every script, full-width ones among them
    return lead in _LEADS.get(len(digits), "123456789") and luhn(digits)
