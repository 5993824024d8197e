"""The wire, version 1: the only door to bytes. Seals batches, life messages, acks and commands, and opens them again in a fixed order of
checks, cheapest first, so that nothing is believed, parsed or inflated before it is bounded and, from the header on, proven.

    payload = "TW" | u8 version | u8 flags | [u32 CRC-32, deflated frames only] | frame
    frame   = u16 header length | header | body | Ed25519 signature, 64 bytes

Flags: bit 0, the frame is deflated (raw, RFC 1951) with the preset dictionary of the schema in bits 4 to 7; the others are 0. The CRC covers
the flags and the deflated bytes: deflate has more than one spelling for the same frame, and a changed bit must never pass. The signature
covers the domain, the topic and the frame as sealed, uncompressed, so that a log may keep frames in any packing and still prove them.
Header, life, ack and command are msgpack maps; members that are not known are ignored. Specification: delivery.md 6. What a terminal tells
stands here, what it is told in downward.py, what both share as bytes in framing.py.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import msgpack

from tillwatch.agent.columns import (
    MAX_DEVICES,
    MAX_NAME,
    MAX_READINGS,
    MAX_SPAN_MS,
    MAX_TEXT,
    Column,
    ColumnsError,
    from_body,
    one_column,
    to_body,
)
from tillwatch.agent.diagnosis import (
    ALLOWED,
    MAX_BUNDLE,
    MAX_COMMAND_LIFE,
    MAX_FACTOR,
    MAX_MINUTES,
    MIN_FACTOR,
    OFF,
    PIECE,
    REJECTED,
    RESULT,
    Assembly,
    Command,
    CommandKind,
    Outcome,
    Result,
    pieces_of,
    result_of,
)
from tillwatch.agent.directive import (
    CONFIG,
    DIGEST_SHOWN,
    MAX_PACKED,
    NOT_TAKEN,
    Directive,
    Report,
    Running,
    report_of,
    valid_name,
)
from tillwatch.agent.downward import open_ack, open_command, open_directive, seal_ack, seal_command, seal_directive
from tillwatch.agent.enrolment.serials import SerialError, normal_serial
from tillwatch.agent.framing import (
    DEFLATED,
    MAGIC,
    MAJOR,
    MAX_BODY,
    MAX_HEADER,
    MAX_PAYLOAD,
    frame_of,
    plain,
    prove,
    seal_frame,
    split,
    split_frame,
    unwrap,
)
from tillwatch.agent.keys import SIGNATURE, Keys, SigningKey, VerifyKey, sha256
from tillwatch.agent.members import exactly, integer, text, time_ns, unpack
from tillwatch.agent.messages import (
    ACK_DIGEST,
    DIGEST,
    EPOCH,
    FIRST_PREV,
    LEAST_PACE,
    MAX_REASON,
    MAX_REFUSED,
    MAX_TERMINAL,
    MOST_PACE,
    TOPIC_ROOT,
    USUAL_PACE,
    Ack,
    AckState,
    Claim,
    Header,
    Life,
    Opened,
    Refusal,
    Sealed,
    WireError,
    ack_topic,
    batch_topic,
    bundle_topic,
    command_topic,
    life_topic,
    new_epoch,
    valid_terminal,
)
from tillwatch.agent.model import MS, Batch, Clock
from tillwatch.agent.preset import PRESETS, SCHEMA
from tillwatch.agent.rotation import MAX_ROTATIONS, MAX_STATEMENT, Rotation, open_rotation, seal_rotation

__all__ = [
    "ACK_DIGEST",
    "ALLOWED",
    "CONFIG",
    "DIGEST_SHOWN",
    "FIRST_PREV",
    "LEAST_PACE",
    "MAX_BODY",
    "MAX_BUNDLE",
    "MAX_COMMAND_LIFE",
    "MAX_DEVICES",
    "MAX_FACTOR",
    "MAX_HEADER",
    "MAX_MINUTES",
    "MAX_NAME",
    "MAX_PACKED",
    "MAX_PAYLOAD",
    "MAX_READINGS",
    "MAX_REFUSED",
    "MAX_ROTATIONS",
    "MAX_SPAN_MS",
    "MAX_TERMINAL",
    "MAX_TEXT",
    "MIN_FACTOR",
    "MOST_PACE",
    "NOT_TAKEN",
    "OFF",
    "PIECE",
    "REJECTED",
    "RESULT",
    "SIGNATURE",
    "TOPIC_ROOT",
    "USUAL_PACE",
    "Ack",
    "AckState",
    "Assembly",
    "Claim",
    "Column",
    "Command",
    "CommandKind",
    "Directive",
    "Header",
    "Keys",
    "Life",
    "Opened",
    "Outcome",
    "Refusal",
    "Report",
    "Result",
    "Rotation",
    "Running",
    "Sealed",
    "SerialError",
    "SigningKey",
    "VerifyKey",
    "WireError",
    "ack_topic",
    "batch_topic",
    "bundle_topic",
    "claim_of",
    "command_topic",
    "frame_of",
    "life_topic",
    "new_epoch",
    "normal_serial",
    "open_ack",
    "open_batch",
    "open_batch_frame",
    "open_command",
    "open_directive",
    "open_header",
    "open_life",
    "open_life_frame",
    "open_rotation",
    "pieces_of",
    "report_of",
    "result_of",
    "seal",
    "seal_ack",
    "seal_command",
    "seal_directive",
    "seal_life",
    "seal_rotation",
    "split_frame",
    "stored_column",
    "stored_columns",
    "valid_name",
    "valid_terminal",
]


def seal(
    key: SigningKey,
    batch: Batch,
    *,
    terminal: str,
    epoch: bytes,
    seq: int,
    prev: bytes,
    floor: int,
    sent: int,
    boot: bytes,
    up: int,
    clock: Clock,
) -> Sealed:
    """Seal a batch once; resends carry the same bytes. What is sealed can be opened: raises WireError(BODY, HEADER or OVERSIZE) where
    a limit does not hold.
    """
    try:
        body = msgpack.packb(to_body(batch.readings))
    except (ColumnsError, UnicodeEncodeError) as error:
        raise WireError(Refusal.BODY, str(error)) from None
    # What changes least stands together and last, so that one match of the preset covers many members.
    header = {
        "terminal": terminal,
        "key": key.key_id,
        "epoch": epoch,
        "boot": boot,
        "prev": prev,
        "seq": seq,
        "floor": floor,
        "up": up,
        "sent": sent // MS,
        "clock": {"src": clock.src, "err_ms": clock.err_ms},
        "lost": batch.lost,
        "codec": 1,
        "schema": SCHEMA,
        "n": len(batch.readings),
    }
    _batch_header(header)
    frame = seal_frame(key, "batch", batch_topic(terminal), header, body)
    if len(frame) > MAX_BODY:
        raise WireError(Refusal.OVERSIZE, f"a frame of {len(frame)} bytes; the limit is {MAX_BODY}")
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, PRESETS[SCHEMA])
    flags = bytes((DEFLATED | SCHEMA << 4,))
    packed = deflate.compress(frame) + deflate.flush()
    payload = MAGIC + bytes((MAJOR,)) + flags + zlib.crc32(packed, zlib.crc32(flags)).to_bytes(4, "big") + packed
    if len(payload) > MAX_PAYLOAD:
        raise WireError(Refusal.OVERSIZE, f"a payload of {len(payload)} bytes; the limit is {MAX_PAYLOAD}")
    return Sealed(payload, sha256(frame), len(batch.readings))


def seal_life(key: SigningKey, life: Life) -> bytes:
    """The payload of a life message. Its `key` is that of the signing key. Raises WireError(HEADER) as seal does."""
    header = {
        "terminal": life.terminal,
        "key": key.key_id,
        "epoch": life.epoch,
        "floor": life.floor,
        "next": life.next,
        "lost": life.lost,
        "boot": life.boot,
        "up": life.up,
        "now": life.now // MS,
        "n": life.n,
        "state": life.state,
    }
    rotations = list(life.rotations[-MAX_ROTATIONS:])
    _life(header)
    # In the body, since several of them outgrow a header.
    body = msgpack.packb({"rotations": rotations}) if rotations else b""
    return plain(seal_frame(key, "life", life_topic(life.terminal), header, body))


def open_batch(topic: str, payload: bytes, keys: Keys) -> Opened:
    """Open a sealed batch, or raise WireError. Where only the body is at fault, the error carries header and digest, so that the
    collector can refuse that batch by its number.
    """
    terminal, frame = unwrap("batch", topic, payload, keys.knows)
    return open_batch_frame(terminal, frame, keys)


def open_batch_frame(terminal: str, frame: bytes, keys: Keys) -> Opened:
    """The same of a frame that is unpacked already, as a log keeps it."""
    header, body = _open_header(terminal, frame, keys)
    digest = sha256(frame)
    try:
        columns = from_body(unpack(body, MAX_READINGS + 8), header.n)
    except (ColumnsError, ValueError, RecursionError, msgpack.UnpackException) as error:
        detail = str(error)[:MAX_REASON] or type(error).__name__
        raise WireError(Refusal.BODY, detail, header, digest) from None
    return Opened(header, digest, columns)


def open_header(terminal: str, frame: bytes, keys: Keys) -> Header:
    """The header of a batch whose signature holds, whatever its body is. Raises WireError."""
    return _open_header(terminal, frame, keys)[0]


def _open_header(terminal: str, frame: bytes, keys: Keys) -> tuple[Header, bytes]:
    members, body = split(frame)
    header = _batch_header(members)
    of = {"of_topic": terminal, "of_header": header.terminal}
    prove("batch", batch_topic(terminal), **of, key_id=header.key, frame=frame, find=keys.key)
    return header, body


def stored_column(body: bytes | dict[str, Any], component: str, signal: str) -> Column | None:
    """One column of a body that was opened before it was stored, without building the others; None if it has no such column. Raises
    WireError if it is damaged.
    """
    try:
        return one_column(msgpack.unpackb(body) if isinstance(body, bytes) else body, component, signal)
    except (ColumnsError, KeyError, IndexError, TypeError, ValueError, msgpack.UnpackException) as error:
        raise WireError(Refusal.BODY, str(error)[:MAX_REASON] or type(error).__name__) from None


def stored_columns(payload: bytes) -> list[Column]:
    """The columns of a payload that was opened before it was stored: read again, not proven again. Raises WireError if it is damaged."""
    return frame_columns(frame_of(payload))


def frame_columns(frame: bytes) -> list[Column]:
    """The same of a frame that is unpacked already, as a log keeps it."""
    members, body = split(frame)
    try:
        return from_body(unpack(body, MAX_READINGS + 8), integer(members, "n"))
    except (ColumnsError, KeyError, ValueError, RecursionError, msgpack.UnpackException) as error:
        raise WireError(Refusal.BODY, str(error)[:MAX_REASON] or type(error).__name__) from None


def open_life(topic: str, payload: bytes, keys: Keys) -> Life:
    terminal, frame = unwrap("life", topic, payload, keys.knows)
    return open_life_frame(terminal, frame, keys)


def open_life_frame(terminal: str, frame: bytes, keys: Keys) -> Life:
    topic = life_topic(terminal)
    members, body = split(frame)
    life = _life(members)
    prove("life", topic, of_topic=terminal, of_header=life.terminal, key_id=life.key, frame=frame, find=keys.key)
    return replace(life, rotations=_rotations(body))


def claim_of(payload: bytes) -> Claim:
    """What a batch or a life message says of itself. Raises WireError."""
    members, body = split(frame_of(payload))
    try:
        key, epoch = exactly(members, "key", 8), exactly(members, "epoch", EPOCH)
        if "prev" in members:
            return Claim(key, epoch, prev=exactly(members, "prev", DIGEST))
        return Claim(key, epoch, rotations=_rotations(body))
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(Refusal.HEADER, str(error)) from None


def _batch_header(members: dict[str, Any]) -> Header:
    try:
        clock = members["clock"]
        header = Header(
            terminal=text(members, "terminal", MAX_TERMINAL),
            key=exactly(members, "key", 8),
            epoch=exactly(members, "epoch", EPOCH),
            seq=integer(members, "seq"),
            prev=exactly(members, "prev", DIGEST),
            floor=integer(members, "floor"),
            sent=time_ns(members, "sent"),
            boot=exactly(members, "boot", 8),
            up=integer(members, "up"),
            clock=Clock(text(clock, "src", 16), integer(clock, "err_ms")),
            lost=integer(members, "lost"),
            n=integer(members, "n"),
            codec=integer(members, "codec"),
            schema=integer(members, "schema"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(Refusal.HEADER, f"batch header: {error}") from None
    if header.seq < 1 or not 1 <= header.n <= MAX_READINGS or header.codec != 1:
        raise WireError(Refusal.HEADER, f"seq {header.seq}, n {header.n}, codec {header.codec}")
    return header


def _rotations(body: bytes) -> tuple[bytes, ...]:
    """The statements in the body of a life message; what a later version may put there instead is ignored."""
    try:
        found = unpack(body, MAX_ROTATIONS)["rotations"]
    except (LookupError, TypeError, ValueError, RecursionError, msgpack.UnpackException):
        return ()
    if type(found) is not list or any(type(one) is not bytes or len(one) > MAX_STATEMENT for one in found):
        return ()
    return tuple(found)


def _life(members: dict[str, Any]) -> Life:
    try:
        return Life(
            terminal=text(members, "terminal", MAX_TERMINAL),
            key=exactly(members, "key", 8),
            epoch=exactly(members, "epoch", EPOCH),
            floor=integer(members, "floor"),
            next=integer(members, "next"),
            lost=integer(members, "lost"),
            boot=exactly(members, "boot", 8),
            up=integer(members, "up"),
            now=time_ns(members, "now"),
            n=integer(members, "n"),
            state=text(members, "state", 16),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(Refusal.HEADER, f"life message: {error}") from None
