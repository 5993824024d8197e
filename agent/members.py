"""Members of the maps that travel, read strictly: what is not of the right type, in its bounds and said once is refused with its name."""

from __future__ import annotations

from typing import Any

import msgpack

from tillwatch.agent.columns import LATEST_MS, MAX_TEXT
from tillwatch.agent.model import MS

MAX_BYTES = 1024
"""Bytes of one binary member: a whole header has no more."""
U63 = 2**63 - 1


def unpack(data: bytes, longest: int) -> Any:
    # A length is believed only as far as the limits go: msgpack would reserve the memory that an array or a map merely claims.
    return msgpack.unpackb(
        data,
        object_pairs_hook=_map,
        max_str_len=MAX_TEXT * 4,
        max_bin_len=MAX_BYTES,
        max_array_len=longest,
        max_map_len=64,
        max_ext_len=0,
    )


def _map(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Signed bytes must have one meaning: decoders differ in which of two equal keys they keep.
    members = dict(pairs)
    if len(members) != len(pairs):
        msg = "a map with the same key twice"
        raise ValueError(msg)
    return members


def integer(members: dict[str, Any], name: str) -> int:
    value = members[name]
    if type(value) is not int or not 0 <= value <= U63:
        msg = f"{name} is not an integer from 0"
        raise ValueError(msg)
    return value


def time_ns(members: dict[str, Any], name: str) -> int:
    value = integer(members, name)
    if value > LATEST_MS:
        msg = f"{name} lies after the year 2262"
        raise ValueError(msg)
    return value * MS


def exactly(members: dict[str, Any], name: str, length: int) -> bytes:
    value = members[name]
    if type(value) is not bytes or len(value) != length:
        msg = f"{name} has not {length} bytes"
        raise ValueError(msg)
    return value


def text(members: dict[str, Any], name: str, longest: int) -> str:
    value = members[name]
    if type(value) is not str or not 0 < len(value) <= longest:
        msg = f"{name} is not text of 1 to {longest} characters"
        raise ValueError(msg)
    return value
