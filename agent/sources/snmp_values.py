"""What an SNMP value says: as a number, as a text, as the answer to a profile's condition. Pure; no raw value raises."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from tillwatch.device_profiles.model import Condition, Test

Raw = int | float | bytes | str
"""As a client gives it: octets are bytes; OIDs and addresses are str; what a device does not have is absent from the mapping."""

MAX_TEXT_BYTES = 512
"""Of a text value. Longest honest ones are descriptions of 255 octets; a device must not fill the spool with text."""
MIN_NUMBER, MAX_NUMBER = -(2**63), 2**64 - 1
"""Beyond it no SNMP type counts, nor msgpack. Infinities and NaN fail the comparison as well."""
NO_VALUE = frozenset(
    {
        "",
        "n/a",
        "na",
        "none",
        "unknown",
        "not supported",
        "not available",
        "no sensor",
        "nosuchobject",
        "nosuchinstance",
    }
)
"""Texts that stand for nothing in place of a name or a number, in lower case."""
MAX_WRITTEN = 512
"""Sentinels and codes that are kept as numbers: more than the profiles of one terminal's devices write; some 60 kB when full."""
_NUMBER = re.compile(r"\s*([+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30}))\s*")


def is_scalar(oid: str) -> bool:
    """An OID that stands for itself also in a table: no SMI column has the number 0."""
    return oid.endswith(".0")


def at(oid: str, suffix: str) -> str:
    """Where the value of a column or scalar stands, for the row that `suffix` is the index of."""
    return oid if oid.endswith(".0") else oid + suffix


def text_of(raw: Raw) -> str:
    """UTF-8, else Latin-1; control characters are gone, ends are stripped, at most MAX_TEXT_BYTES when encoded."""
    if isinstance(raw, bytes):
        raw = raw[: 4 * MAX_TEXT_BYTES]
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
    else:
        text = str(raw) if not isinstance(raw, int) or MIN_NUMBER <= raw <= MAX_NUMBER else ""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    text = text.strip()
    if len(text) <= MAX_TEXT_BYTES and text.isascii():
        return text
    return text.encode("utf-8", "replace")[:MAX_TEXT_BYTES].decode("utf-8", "ignore").strip()


def number_of(raw: Raw | None, pattern: str = "") -> int | float | None:
    """A finite number of at most 64 bits, also out of text such as `229` or, with a pattern, `1920 INCHES`; else None."""
    if raw is None:
        return None
    if isinstance(raw, int | float):
        number: int | float = raw
    else:
        text = text_of(raw)
        if pattern:
            found = re.search(pattern, text)
            text = (found[1] or "") if found else ""
        if not (whole := _NUMBER.fullmatch(text)):
            return None
        number = float(whole[1]) if "." in whole[1] else int(whole[1])
    return number if MIN_NUMBER <= number <= MAX_NUMBER else None


@lru_cache(MAX_WRITTEN)
def _written(expected: str) -> tuple[int | float | None, str]:
    """What a profile writes, as a number and as text for comparing: the same few sentinels and codes at every poll."""
    return number_of(expected), expected.casefold()


def same(raw: Raw, expected: str) -> bool:
    """Whether a raw value is the one that a profile writes: as a number where both are, else as text in any case."""
    number = number_of(raw)
    wanted, text = _written(expected)
    if number is not None and wanted is not None:
        return number == wanted
    return text_of(raw).casefold() == text


def stands_for_nothing(raw: Raw, sentinels: Iterable[str]) -> bool:
    """Whether a raw value is one of a profile's sentinels; `a..b` is a span of numbers, open where an end is left out."""
    for sentinel in sentinels:
        least, span, most = sentinel.partition("..")
        if not span:
            if same(raw, sentinel):
                return True
        elif (number := number_of(raw)) is not None and float(least or "-inf") <= number <= float(most or "inf"):
            return True
    return False


def holds(condition: Condition, raws: Mapping[str, Raw], suffix: str) -> bool:
    """Whether a raw value is as a profile asks."""
    raw = raws.get(at(condition.oid, suffix)) if condition.oid else suffix[1:]
    match condition.test:
        case Test.EXISTS:
            return (raw is not None) == (condition.values == ("true",))
        case Test.NOT_IN:
            return raw is None or not any(same(raw, value) for value in condition.values)
        case Test.IN:
            return raw is not None and any(same(raw, value) for value in condition.values)
        case Test.MATCHES:
            return raw is not None and re.search(condition.values[0], text_of(raw)) is not None
        case Test.LACKS:
            return raw is not None and re.search(condition.values[0], text_of(raw)) is None
    number = number_of(raw)
    if number is None:
        return False
    limit = float(condition.values[0])
    return number > limit if condition.test is Test.ABOVE else number < limit


def all_hold(conditions: Sequence[Condition], raws: Mapping[str, Raw], suffix: str) -> bool:
    """Whether every condition holds, of the row that `suffix` is the index of."""
    return all(holds(condition, raws, suffix) for condition in conditions)
