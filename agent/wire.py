"""The wire, version 1: the only place that knows bytes. Seals batches, life messages and acks, and opens them again in a fixed order of
checks, cheapest first, so that nothing is believed, parsed or inflated before it is bounded and, from the header on, proven.

    payload = "TW" | u8 major | u8 flags | [u32 CRC-32, deflated frames only] | frame
    frame   = u16 header length | header | body | Ed25519 signature, 64 bytes

Flags: bit 0, the frame is deflated (raw, RFC 1951) with the preset dictionary of the schema in bits 4 to 7; the others are 0. The CRC covers
the flags and the deflated bytes: deflate has more than one spelling for the same frame, and a changed bit must never pass. The signature
covers the domain, the topic and the frame as sealed, uncompressed, so that a log may keep frames in any packing and still prove them.
Header, life and ack are msgpack maps; members that are not known are ignored. Specification: delivery.md 6.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
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
from tillwatch.agent.keys import SIGNATURE, Keys, SigningKey, VerifyKey, sha256
from tillwatch.agent.members import U63, exactly, integer, text, time_ns, unpack
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
    life_topic,
    new_epoch,
    valid_terminal,
)
from tillwatch.agent.model import MS, Batch, Clock
from tillwatch.agent.preset import PRESETS, SCHEMA
from tillwatch.agent.rotation import MAX_ROTATIONS, MAX_STATEMENT, Rotation, open_rotation, seal_rotation

__all__ = [
    "ACK_DIGEST",
    "FIRST_PREV",
    "LEAST_PACE",
    "MAX_BODY",
    "MAX_DEVICES",
    "MAX_HEADER",
    "MAX_NAME",
    "MAX_PAYLOAD",
    "MAX_READINGS",
    "MAX_REFUSED",
    "MAX_ROTATIONS",
    "MAX_SPAN_MS",
    "MAX_TERMINAL",
    "MAX_TEXT",
    "MOST_PACE",
    "SIGNATURE",
    "TOPIC_ROOT",
    "USUAL_PACE",
    "Ack",
    "AckState",
    "Claim",
    "Column",
    "Header",
    "Keys",
    "Life",
    "Opened",
    "Refusal",
    "Rotation",
    "Sealed",
    "SigningKey",
    "VerifyKey",
    "WireError",
    "ack_topic",
    "batch_topic",
    "claim_of",
    "frame_of",
    "life_topic",
    "new_epoch",
    "open_ack",
    "open_batch",
    "open_batch_frame",
    "open_header",
    "open_life",
    "open_life_frame",
    "open_rotation",
    "seal",
    "seal_ack",
    "seal_life",
    "seal_rotation",
    "split_frame",
    "stored_column",
    "stored_columns",
    "valid_terminal",
]

MAJOR = 1
MAGIC = b"TW"
MAX_PAYLOAD = 128 * 1024
"""Bytes of an MQTT payload: the least that hosted brokers promise to carry."""
MAX_BODY = 1024 * 1024
"""Bytes of a frame after inflating: a bomb stops here, in one pass."""
MAX_HEADER = 1024
_DEFLATED = 1
_DOMAINS = {"batch": b"tillwatch/batch/1\0", "life": b"tillwatch/life/1\0", "ack": b"tillwatch/ack/1\0"}


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
    frame = _frame(key, "batch", batch_topic(terminal), header, body)
    if len(frame) > MAX_BODY:
        raise WireError(Refusal.OVERSIZE, f"a frame of {len(frame)} bytes; the limit is {MAX_BODY}")
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, PRESETS[SCHEMA])
    flags = bytes((_DEFLATED | SCHEMA << 4,))
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
    return _plain(_frame(key, "life", life_topic(life.terminal), header, body))


def seal_ack(key: SigningKey, terminal: str, ack: Ack) -> bytes:
    """The payload of an ack. Reasons are cut at MAX_REASON, refused batches at MAX_REFUSED. Raises WireError(HEADER) as seal does."""
    header = {
        "terminal": terminal,
        "key": key.key_id,
        "epoch": ack.epoch,
        "seq": ack.seq,
        "want": ack.want,
        "state": ack.state.value,
        "window": ack.window,
        "min_interval": ack.min_interval,
        "time": ack.time // MS,
    }
    if ack.digest:
        header["digest"] = ack.digest[:ACK_DIGEST]
    if ack.pace != USUAL_PACE:
        header["pace"] = ack.pace
    # The refused batches stand in the body: their reasons may outgrow a header.
    refused = [
        [seq, reason[:MAX_REASON].encode(errors="replace").decode()] for seq, reason in ack.refused[:MAX_REFUSED]
    ]
    _ack(header, refused)
    body = msgpack.packb({"refused": refused}) if refused else b""
    return _plain(_frame(key, "ack", ack_topic(terminal), header, body))


def _frame(key: SigningKey, kind: str, topic: str, header: dict[str, Any], body: bytes) -> bytes:
    if not valid_terminal(header["terminal"]):
        raise WireError(Refusal.TERMINAL, f"{header['terminal'][:MAX_NAME]!r} cannot be the id of a terminal")
    packed: bytes = msgpack.packb(header)
    if len(packed) > MAX_HEADER:
        raise WireError(Refusal.HEADER, f"a header of {len(packed)} bytes; the limit is {MAX_HEADER}")
    signed = len(packed).to_bytes(2, "big") + packed + body
    return signed + key.sign(_DOMAINS[kind] + topic.encode() + b"\0" + signed)


def _plain(frame: bytes) -> bytes:
    return MAGIC + bytes((MAJOR, 0)) + frame


def open_batch(topic: str, payload: bytes, keys: Keys) -> Opened:
    """Open a sealed batch, or raise WireError. Where only the body is at fault, the error carries header and digest, so that the
    collector can refuse that batch by its number.
    """
    terminal, frame = _unwrap("batch", topic, payload, keys.knows)
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
    members, body = _split(frame)
    header = _batch_header(members)
    of = {"of_topic": terminal, "of_header": header.terminal}
    _prove("batch", batch_topic(terminal), **of, key_id=header.key, frame=frame, find=keys.key)
    return header, body


def split_frame(frame: bytes) -> tuple[bytes, bytes, bytes]:
    """Header, body and signature of a frame as sealed; together with the header's length they are the frame. Raises WireError."""
    length = int.from_bytes(frame[:2], "big")
    if not 0 < length <= MAX_HEADER or 2 + length + SIGNATURE > len(frame):
        raise WireError(Refusal.HEADER, f"a header of {length} bytes in a frame of {len(frame)}")
    return frame[2 : 2 + length], frame[2 + length : -SIGNATURE], frame[-SIGNATURE:]


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
    frame = frame_of(payload)
    members, body = _split(frame)
    try:
        return from_body(unpack(body, MAX_READINGS + 8), integer(members, "n"))
    except (ColumnsError, KeyError, ValueError, RecursionError, msgpack.UnpackException) as error:
        raise WireError(Refusal.BODY, str(error)[:MAX_REASON] or type(error).__name__) from None


def open_life(topic: str, payload: bytes, keys: Keys) -> Life:
    terminal, frame = _unwrap("life", topic, payload, keys.knows)
    return open_life_frame(terminal, frame, keys)


def open_life_frame(terminal: str, frame: bytes, keys: Keys) -> Life:
    topic = life_topic(terminal)
    members, body = _split(frame)
    life = _life(members)
    _prove("life", topic, of_topic=terminal, of_header=life.terminal, key_id=life.key, frame=frame, find=keys.key)
    return replace(life, rotations=_rotations(body))


def claim_of(payload: bytes) -> Claim:
    """What a batch or a life message says of itself. Raises WireError."""
    members, body = _split(frame_of(payload))
    try:
        key, epoch = exactly(members, "key", 8), exactly(members, "epoch", EPOCH)
        if "prev" in members:
            return Claim(key, epoch, prev=exactly(members, "prev", DIGEST))
        return Claim(key, epoch, rotations=_rotations(body))
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(Refusal.HEADER, str(error)) from None


def open_ack(terminal: str, payload: bytes, keys: Callable[[bytes], VerifyKey | None]) -> Ack:
    """Open an ack on the terminal. keys: the collector's pinned keys by key id."""
    topic = ack_topic(terminal)
    _, frame = _unwrap("ack", topic, payload, lambda _: True)
    members, body = _split(frame)
    try:
        named, key_id = text(members, "terminal", MAX_TERMINAL), exactly(members, "key", 8)
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(Refusal.HEADER, f"ack: {error}") from None

    def pinned(_: str, wanted: bytes) -> VerifyKey | Refusal:
        return keys(wanted) or Refusal.UNKNOWN_KEY

    _prove("ack", topic, of_topic=terminal, of_header=named, key_id=key_id, frame=frame, find=pinned)
    try:
        more = unpack(body, MAX_REFUSED + 8) if body else {}
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise WireError(Refusal.BODY, f"ack: {error}") from None
    return _ack(members, more.get("refused", []) if type(more) is dict else None)


def frame_of(payload: bytes) -> bytes:
    """The uncompressed frame of a payload: bounded, checked for form, not proven."""
    if len(payload) > MAX_PAYLOAD:
        raise WireError(Refusal.OVERSIZE, f"{len(payload)} bytes; the limit is {MAX_PAYLOAD}")
    if payload[:2] != MAGIC or len(payload) < 4 + 2 + SIGNATURE:
        raise WireError(Refusal.MAGIC, "not a tillwatch message")
    if payload[2] != MAJOR:
        raise WireError(Refusal.VERSION, f"wire version {payload[2]}; this side speaks {MAJOR}")
    flags = payload[3]
    if flags == 0:
        return payload[4:]
    preset = PRESETS.get(flags >> 4)
    if flags & 0x0F != _DEFLATED or preset is None:
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


def _unwrap(kind: str, topic: str, payload: bytes, knows: Callable[[str], bool]) -> tuple[str, bytes]:
    if len(payload) > MAX_PAYLOAD:
        raise WireError(Refusal.OVERSIZE, f"{len(payload)} bytes; the limit is {MAX_PAYLOAD}")
    parts = topic.split("/")
    if len(parts) != 4 or parts[0] != "tw" or parts[1] != "1" or parts[3] != kind or not valid_terminal(parts[2]):
        raise WireError(Refusal.TOPIC, f"{topic[:MAX_NAME]!r} is not {TOPIC_ROOT}/<terminal>/{kind}")
    if not knows(parts[2]):
        raise WireError(Refusal.UNKNOWN_TERMINAL, f"{parts[2]} is not enrolled")
    return parts[2], frame_of(payload)


def _split(frame: bytes) -> tuple[dict[str, Any], bytes]:
    head, body, _ = split_frame(frame)
    try:
        members = unpack(head, 64)
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise WireError(Refusal.HEADER, f"not msgpack: {error}") from None
    if type(members) is not dict:
        raise WireError(Refusal.HEADER, "not a map")
    return members, body


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


def _ack(members: dict[str, Any], refused: object) -> Ack:
    try:
        return Ack(
            epoch=exactly(members, "epoch", EPOCH),
            seq=integer(members, "seq"),
            want=integer(members, "want"),
            state=AckState(text(members, "state", 16)),
            window=integer(members, "window"),
            min_interval=integer(members, "min_interval"),
            time=time_ns(members, "time"),
            refused=_refused(refused),
            digest=exactly(members, "digest", ACK_DIGEST) if "digest" in members else b"",
            pace=integer(members, "pace") if "pace" in members else USUAL_PACE,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(Refusal.HEADER, f"ack: {error}") from None


def _refused(rows: object) -> tuple[tuple[int, str], ...]:
    if type(rows) is not list or len(rows) > MAX_REFUSED:
        msg = f"refused is not a list of at most {MAX_REFUSED}"
        raise ValueError(msg)
    for row in rows:
        if (
            type(row) is not list
            or list(map(type, row)) != [int, str]
            or not 0 < row[0] <= U63
            or len(row[1]) > MAX_REASON
        ):
            msg = "a refused batch is not a seq with a reason"
            raise ValueError(msg)
    return tuple((seq, reason) for seq, reason in rows)


def _prove(
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
