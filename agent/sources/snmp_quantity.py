"""From a raw SNMP value and its neighbours to one number in the signal's unit, as a profile's Field says. Pure; no raw value raises."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from tillwatch.agent.sources.snmp_values import (
    MAX_NUMBER,
    MIN_NUMBER,
    Raw,
    at,
    number_of,
    stands_for_nothing,
    text_of,
)
from tillwatch.device_profiles import dates
from tillwatch.device_profiles.model import Edge, Field, Form, Limits, Signal
from tillwatch.device_profiles.units import convert

_DURATION = re.compile(r"(?:(\d{1,6})\s*d(?:ays?)?,?\s*)?(?:(\d{1,6}):)?(\d{1,6}):(\d{1,2})(?:\.\d+)?")
_FLOATS = {4: ">f", 8: ">d"}
_OPAQUE_FLOAT = re.compile(rb"\x9f[\x78\x79]([\x04\x08])(.*)", re.DOTALL)
"""Opaque of net-snmp: context tag 0x78 (float) or 0x79 (double), length, octets."""


def _extracted(field: Field, raw: Raw) -> str:
    text = text_of(raw)
    if not field.pattern:
        return text
    found = re.search(field.pattern, text)
    return (found[1] or "") if found else ""


def code_of(field: Field, raw: Raw) -> str:
    """What a state's words are looked up by: a whole number without its zeros, else the text in lower case."""
    number = number_of(raw, field.pattern)
    return str(int(number)) if number is not None and number == int(number) else _extracted(field, raw).casefold()


def day_of(field: Field, raw: Raw) -> date | None:
    """The date of a text or of octets, by the first format that fits."""
    text = _extracted(field, raw)
    return next((day for form in field.dates if (day := dates.parse(raw, text, form))), None)


def words_of(field: Field, raw: Raw) -> str:
    """A text signal's value: a date as yyyy-mm-dd, else what the pattern takes out of it; empty where there is none."""
    if field.dates:
        day = day_of(field, raw)
        return day.isoformat() if day else ""
    return _extracted(field, raw)


def _number(field: Field, raw: Raw | None, today: date | None) -> int | float | None:
    if raw is None or field.form is Form.NUMBER:
        return number_of(raw, field.pattern)
    if field.form is Form.AGE:
        day = day_of(field, raw)
        return (today - day).days if day and today else None
    if field.form is Form.FLOAT:
        return _float(raw)
    found = _DURATION.fullmatch(_extracted(field, raw))
    if not found:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _float(raw: Raw) -> float | None:
    if not isinstance(raw, bytes):
        return raw if isinstance(raw, float) else None
    if inner := _OPAQUE_FLOAT.fullmatch(raw):
        raw = inner[2] if len(inner[2]) == inner[1][0] else b""
    if len(raw) not in _FLOATS:
        return None
    return number_of(struct.unpack(_FLOATS[len(raw)], raw)[0])


def _unsigned(number: float, field: Field) -> int | float:
    return number + 2**32 if field.unsigned32 and -(2**31) <= number < 0 else number


def _sum(oids: tuple[str, ...], field: Field, raws: Mapping[str, Raw], suffix: str) -> int | float | None:
    """None where one of them is missing."""
    total: int | float = 0
    for oid in oids:
        number = number_of(raws.get(at(oid, suffix)))
        if number is None:
            return None
        total += _unsigned(number, field)
    return total


def _magnitude(field: Field, raws: Mapping[str, Raw], suffix: str) -> int | None:
    """The power of ten of scale and precision, as ENTITY-SENSOR-MIB counts them; None where a column is missing or out of its range."""
    power = 0
    if field.scale:
        scale = number_of(raws.get(at(field.scale, suffix)))
        if not isinstance(scale, int) or not 1 <= scale <= 17:
            return None
        power += 3 * (scale - 9)
    if field.precision:
        precision = number_of(raws.get(at(field.precision, suffix)))
        if not isinstance(precision, int) or not -8 <= precision <= 9:
            return None
        power -= max(0, precision)
    return power


def unit_of(field: Field, signal: Signal, raws: Mapping[str, Raw], suffix: str) -> str | None:
    """The device's unit of this value, the signal's own where nothing else is said; None where a column says one that the profile does not know."""
    if not field.unit_column:
        return field.unit or signal.unit
    raw = raws.get(at(field.unit_column, suffix))
    if raw is None:
        return None
    return field.units.get(code_of(Field(""), raw))


def quantity(
    field: Field, signal: Signal, raws: Mapping[str, Raw], suffix: str, today: date | None
) -> int | float | None:
    """The number that a field gives, or None. today: for ages, which without it are None."""
    number = _number(field, raws.get(at(field.oid, suffix)), today)
    if number is None:
        return None
    number = _unsigned(number, field)
    if field.plus or field.minus:
        more, less = _sum(field.plus, field, raws, suffix), _sum(field.minus, field, raws, suffix)
        if more is None or less is None:
            return None
        number += more - less
    if field.rescale_above and number > field.rescale_above:
        number = number / field.rescale_divisor
    if field.scale or field.precision:
        power = _magnitude(field, raws, suffix)
        if power is None:
            return None
        number = number * 10**power if power >= 0 else number / 10**-power
    if field.multiplier != 1:
        number *= field.multiplier
    if field.divisor != 1:
        number /= field.divisor
    number += field.offset
    if field.unit or field.unit_column:
        unit = unit_of(field, signal, raws, suffix)
        converted = convert(number, unit, signal.unit) if unit is not None else None
        if converted is None:
            return None
        number = converted
    if field.multiply_by:
        factor = number_of(raws.get(at(field.multiply_by, suffix)))
        if factor is None:
            return None
        number *= factor
    if field.percent_of:
        whole = _sum(field.percent_of, field, raws, suffix)
        if whole is None or whole <= 0:
            return None
        number = round(100 * number / whole, 2)
    if isinstance(number, float):
        number = float(f"{number:.12g}")  # 7 / 10 * 3 is 2.1, not 2.0999999999999996
    return number if MIN_NUMBER <= number <= MAX_NUMBER else None


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the same device said before, so many seconds ago by its own clock."""

    raws: Mapping[str, Raw]
    seconds: float


def wrap_of(field: Field) -> int | float:
    """How much one wrap of the counter is, 0 where it does not wrap."""
    if not field.wraps:
        return 0
    whole = float(2**field.wraps) * field.multiplier / field.divisor
    return int(whole) if whole.is_integer() else whole


def rise(
    field: Field, signal: Signal, raws: Mapping[str, Raw], suffix: str, earlier: Earlier | None
) -> int | float | None:
    """What the field's number rose by since the earlier reading, per its unit of time; None where that cannot be said."""
    if earlier is None or earlier.seconds <= 0:
        return None
    now, before = (quantity(field, signal, each, suffix, None) for each in (raws, earlier.raws))
    if now is None or before is None:
        return None
    rose = now - before if now >= before else now - before + wrap_of(field)
    return float(f"{rose / earlier.seconds * field.per:.12g}") if rose >= 0 else None


def divides(fields: tuple[Field, ...]) -> bool:
    """Whether any field can give a fraction: then all give floats, and the signal keeps its type whichever field is valid."""
    return any(
        f.divisor != 1
        or f.percent_of
        or f.rescale_above
        or f.per
        or f.unit
        or f.unit_column
        or f.scale
        or f.precision
        or f.form is Form.FLOAT
        or not float(f.multiplier).is_integer()
        or not float(f.offset).is_integer()
        for f in fields
    )


def edge(
    given: Edge | None, place: int, signal: Signal, raws: Mapping[str, Raw], suffix: str, today: date | None
) -> float | None:
    """A limit: what the device says, else the profile's number. place: which of the item's fields gave the value."""
    if given is None:
        return None
    if given.fields:
        field = given.fields[place]
        raw = raws.get(at(field.oid, suffix))
        if raw is not None and not stands_for_nothing(raw, field.sentinels):
            number = quantity(field, signal, raws, suffix, today)
            if number is not None:
                return number
    return given.number


def edges(
    limits: Limits, place: int, signal: Signal, raws: Mapping[str, Raw], suffix: str, today: date | None
) -> tuple[float | None, ...]:
    """warn_below, crit_below, warn_above, crit_above."""
    every = (limits.warn_below, limits.crit_below, limits.warn_above, limits.crit_above)
    return tuple([edge(each, place, signal, raws, suffix, today) for each in every])
