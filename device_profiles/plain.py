"""Frozen dataclasses as plain values that msgpack takes, and back: for what one process works out and another only uses. No value names its type,
so both sides must have the same classes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints


def to_plain(value: Any) -> Any:
    """A dataclass as {number of the field: value}, without what is the default."""
    if is_dataclass(value):
        known = fields(value)
        plain = {}
        for number, each in enumerate(known):
            held = getattr(value, each.name)
            default = each.default_factory() if each.default_factory is not MISSING else each.default
            if default is MISSING or held != default:
                plain[number] = to_plain(held)
        return plain
    if isinstance(value, tuple | frozenset):
        return [to_plain(each) for each in value]
    if isinstance(value, Path):
        return str(value)
    return dict(value) if isinstance(value, Mapping) else value


def _same(plain: Any) -> Any:
    return plain


@functools.cache
def reader(wanted: Any) -> Callable[[Any], Any]:
    """What makes a value of the annotated type out of what to_plain made of it."""
    arguments = get_args(wanted)
    if get_origin(wanted) in {Union, UnionType}:
        read = reader(next(each for each in arguments if each is not NoneType))
        return lambda plain: None if plain is None else read(plain)
    if get_origin(wanted) is frozenset:
        member = reader(arguments[0])
        return lambda plain: frozenset([member(p) for p in plain])
    if get_origin(wanted) is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            every = reader(arguments[0])
            return tuple if every is _same else lambda plain: tuple([every(p) for p in plain])
        each = [reader(argument) for argument in arguments]
        return lambda plain: tuple([read(p) for read, p in zip(each, plain, strict=True)])
    if is_dataclass(wanted) and isinstance(wanted, type):
        hints = get_type_hints(wanted)
        named = [(field.name, reader(hints[field.name])) for field in fields(wanted)]
        return lambda plain: wanted(**{named[n][0]: named[n][1](value) for n, value in plain.items()})
    return wanted if isinstance(wanted, type) and issubclass(wanted, Enum | Path) else _same
