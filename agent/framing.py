"""What every message has in common as bytes: the frame with its signature, the payload around it, and the checks before anything in it is
believed. The specification stands in wire.py, which is the only door to this.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import msgpack

from tillwatch.agent.columns import MAX_NAME
from tillwatch.agent.keys import SIGNATURE, SigningKey, VerifyKey
from tillwatch.agent.members import unpack
from tillwatch.agent.messages import TOPIC_ROOT, Refusal, WireError, valid_terminal
from tillwatch.agent.preset import PRESETS

MAJOR = 1
READ = frozenset(range(max(1, MAJOR - 1), MAJOR + 2))
"""Versions that are read: its own, the one before and the one after. The one after is a promise that every version keeps: it says nothing in a way that the
version before it cannot read, and what breaks that takes two versions (packaging/docs/upgrade-compatibility.md). So a fleet and its collector
may be one version apart, whichever of them is upgraded first.
"""
MAGIC = b"TW"
MAX_PAYLOAD = 128 * 1024
"""Bytes of an MQTT payload: the least that hosted brokers promise to carry."""
MAX_BODY = 1024 * 1024
"""Bytes of a frame after inflating: a bomb stops here, in one pass."""
MAX_HEADER = 1024
DEFLATED = 1
_DOMAINS = {kind: f"tillwatch/{kind}/1\0".encode() for kind in ("batch", "life", "ack", "command", "bundle")}


def seal_frame(key: SigningKey, kind: str, topic: str, header: dict[str, Any], body: bytes) -> bytes:
    if not valid_terminal(header["terminal"]):
        raise WireError(Refusal.TERMINAL, f"{header['terminal'][:MAX_NAME]!r} cannot be the id of a terminal")
    packed: bytes = msgpack.packb(header)
    if len(packed) > MAX_HEADER:
        raise WireError(Refusal.HEADER, f"a header of {len(packed)} bytes; the limit is {MAX_HEADER}")
    signed = len(packed).to_bytes(2, "big") + packed + body
    return signed + key.sign(_DOMAINS[kind] + topic.encode() + b"\0" + signed)


def plain(frame: bytes) -> bytes:
    return MAGIC + bytes((MAJOR, 0)) + frame


def split_frame(frame: bytes) -> tuple[bytes, bytes, bytes]:
    """Header, body and signature of a frame as sealed; together with the header's length they are the frame. Raises WireError."""
    length = int.from_bytes(frame[:2], "big")
    if not 0 < length <= MAX_HEADER or 2 + length + SIGNATURE > len(frame):
        raise WireError(Refusal.HEADER, f"a header of {length} bytes in a frame of {len(frame)}")
    return frame[2 : 2 + length], frame[2 + length : -SIGNATURE], frame[-SIGNATURE:]


def frame_of(payload: bytes) -> bytes:
    """The uncompressed frame of a payload: bounded, checked for form, not proven."""
    if len(payload) > MAX_PAYLOAD:
        raise WireError(Refusal.OVERSIZE, f"{len(payload)} bytes; the limit is {MAX_PAYLOAD}")
    if payload[:2] != MAGIC or len(payload) < 4 + 2 + SIGNATURE:
        raise WireError(Refusal.MAGIC, "not a tillwatch message")
    if payload[2] not in READ:
        raise WireError(
            Refusal.VERSION, f"wire version {payload[2]}; this side speaks {MAJOR} and reads {min(READ)} to {max(READ)}"
        )
    flags = payload[3]
    if flags == 0:
        return payload[4:]
    preset = PRESETS.get(flags >> 4)
    if flags & 0x0F != DEFLATED or preset is None:
        raise WireError(Refusal.VERSION, f"flags {flags:#04x} are not known here")
    if zlib.crc32(payload[8:], zlib.crc32(payload[3:4])) != int.from_bytes(payload[4:8], "big"):
        raise WireError(Refusal.CORRUPT, "the CRC does not fit: damaged on the way")
    inflate = zlib.decompressobj(-15, preset)
    try:
        frame = inflate.decompress(payload[8:], MAX_BODY + 1)
    except zlib.error as error:
        raise WireError(Refusal.INFLATE, str(error)) from None
    if len(frame) > MAX_BODY:
        raise WireError(Refusal.INFLATE, f"more than {MAX_BODY} bytes come out of {len(payload)}")
    if not inflate.eof or inflate.unused_data:
        raise WireError(Refusal.INFLATE, "cut off, or bytes behind the end")
    return frame


def unwrap(kind: str, topic: str, payload: bytes, knows: Callable[[str], bool]) -> tuple[str, bytes]:
    if len(payload) > MAX_PAYLOAD:
        raise WireError(Refusal.OVERSIZE, f"{len(payload)} bytes; the limit is {MAX_PAYLOAD}")
    parts = topic.split("/")
    if len(parts) != 4 or parts[0] != "tw" or parts[1] != "1" or parts[3] != kind or not valid_terminal(parts[2]):
        raise WireError(Refusal.TOPIC, f"{topic[:MAX_NAME]!r} is not {TOPIC_ROOT}/<terminal>/{kind}")
    if not knows(parts[2]):
        raise WireError(Refusal.UNKNOWN_TERMINAL, f"{parts[2]} is not enrolled")
    return parts[2], frame_of(payload)


def split(frame: bytes) -> tuple[dict[str, Any], bytes]:
    head, body, _ = split_frame(frame)
    try:
        members = unpack(head, 64)
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise WireError(Refusal.HEADER, f"not msgpack: {error}") from None
    if type(members) is not dict:
        raise WireError(Refusal.HEADER, "not a map")
    return members, body


def prove(
    kind: str,
    topic: str,
    *,
    of_topic: str,
    of_header: str,
    key_id: bytes,
    frame: bytes,
    find: Callable[[str, bytes], VerifyKey | Refusal],
) -> None:
    if of_header != of_topic:
        raise WireError(Refusal.TERMINAL, f"sealed by {of_header!r} and sent as {of_topic}")
    key = find(of_topic, key_id)
    if isinstance(key, Refusal):
        raise WireError(key, f"key {key_id.hex()} of {of_topic}")
    if not key.verify(frame[-SIGNATURE:], _DOMAINS[kind] + topic.encode() + b"\0" + frame[:-SIGNATURE]):
        raise WireError(Refusal.SIGNATURE, f"{of_topic}: the signature does not hold")
