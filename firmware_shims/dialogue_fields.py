"""What the bytes of one field of a dialogue mean: text, numbers in several forms, bits, words. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from tillwatch.device_profiles import units
from tillwatch.firmware_shims import modbus
from tillwatch.firmware_shims.base import ABSENT, Absent, Convert, Known, Value

TEXTUAL = ("number", "hex", "flags", "text")
BINARY = ("uint", "int", "uint-little", "int-little")

DECIMALS = 6
"""Kept after scaling: what lies beyond is the arithmetic's, not the device's."""


@dataclass(frozen=True, slots=True)
class Scale:
    """number * multiplier / divisor + offset, in unit (empty: the signal's own)."""

    multiplier: float = 1
    divisor: float = 1
    offset: float = 0
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """as_: one of TEXTUAL, BINARY or modbus.KINDS. little: the low one of two registers comes first. unit: the signal's."""

    as_: str
    little: bool
    bit: int | None
    words: Mapping[str, str]
    patterns: tuple[tuple[re.Pattern[bytes], str], ...]
    absent: tuple[re.Pattern[bytes] | float, ...]
    scale: Scale
    unit: str


def converter(field: Field) -> Convert:
    """A row's conversion. A word that stands nowhere in the file is no value."""

    def convert(raw: bytes, _known: Known) -> Value | Absent:
        if any(each.fullmatch(raw) for each in field.absent if isinstance(each, re.Pattern)):
            return ABSENT
        if field.patterns:
            return next((word for like, word in field.patterns if like.fullmatch(raw)), None)
        value = _value(raw, field)
        if value in [each for each in field.absent if not isinstance(each, re.Pattern)]:
            return ABSENT
        if field.words:
            return field.words.get(str(value))
        if isinstance(value, str):
            return value or ABSENT
        return _scaled(value, field)

    return convert


def _value(raw: bytes, field: Field) -> int | float | str:
    value = _raw_value(raw, field)
    if field.bit is None:
        return value
    if isinstance(value, str):
        flag = value[field.bit : field.bit + 1]
        if flag not in ("0", "1"):
            raise ValueError(f"no flag {field.bit}")
        return flag
    return int(value) >> field.bit & 1


def _raw_value(raw: bytes, field: Field) -> int | float | str:
    match field.as_:
        case "number":
            number = float(raw) if _DECIMAL.fullmatch(raw) else None
            if number is None:
                raise ValueError("not a number")
            return int(number) if b"." not in raw else number
        case "hex":
            return int(raw, 16)
        case "flags" | "text":
            return raw.decode("ascii").strip()
        case "uint" | "int":
            return _integer(raw, field)
        case "uint-little" | "int-little":
            return _integer(raw[::-1], field)
        case _:
            return modbus.number(raw, cast("modbus.Kind", field.as_), "little" if field.little else "big")


_DECIMAL = re.compile(rb" *[+-]?[0-9]+(?:\.[0-9]+)? *")


def _integer(raw: bytes, field: Field) -> int:
    if not raw:
        raise ValueError("no bytes")
    return int.from_bytes(raw, "big", signed=field.as_.startswith("int"))


def _scaled(value: float, field: Field) -> Value:
    scale = field.scale
    if scale == Scale():
        return value
    number = value * scale.multiplier / scale.divisor + scale.offset
    if not scale.unit:
        return round(number, DECIMALS)
    found = units.convert(number, scale.unit, field.unit)
    return None if found is None else round(found, DECIMALS)
