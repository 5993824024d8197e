"""What the tests of the wire send: messages as the terminals of these tests seal them, and frames made by hand from the specification."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgpack
import pytest

from tillwatch.agent import wire
from tillwatch.agent.model import MS, Batch, Clock, Quality, Reading, State
from tillwatch.agent.preset import PRESETS, SCHEMA
from tillwatch.agent.wire import Ack, AckState, Command, Life, Opened, Refusal, Sealed, SigningKey, VerifyKey, WireError

KEY, STRANGER, REVOKED = (SigningKey(bytes([i]) * 32) for i in (1, 2, 3))
ATM, OTHER = "atm-0417", "atm-0418"
BASE = 1_790_000_000_000
EPOCH = wire.new_epoch(BASE * MS, b"\xa5" * 8)
INT_MIN, INT_MAX, U63 = -(2**63), 2**64 - 1, 2**63 - 1


class Registry:
    """Both terminals have the same good key, so that only the wire can tell their messages apart."""

    def knows(self, terminal: str) -> bool:
        return terminal in (ATM, OTHER)

    def key(self, terminal: str, key_id: bytes) -> VerifyKey | Refusal:
        if key_id == REVOKED.key_id:
            return Refusal.REVOKED_KEY
        return VerifyKey(KEY.public) if key_id == KEY.key_id else Refusal.UNKNOWN_KEY


KEYS = Registry()


def pinned(key_id: bytes) -> VerifyKey | None:
    return VerifyKey(KEY.public) if key_id == KEY.key_id else None


def seal(items: list[Reading], **changes: Any) -> Sealed:
    members = {
        "terminal": ATM,
        "epoch": EPOCH,
        "seq": 7,
        "prev": bytes(range(32)),
        "floor": 3,
        "sent": (BASE + 70_000) * MS,
        "boot": b"\x11" * 8,
        "up": 864_123_456,
        "clock": Clock("ntp", 12),
    }
    lost = changes.pop("lost", 0)
    key = changes.pop("key", KEY)
    return wire.seal(key, Batch(tuple(items), lost), **(members | changes))


def open_batch(payload: bytes, terminal: str = ATM) -> Opened:
    return wire.open_batch(wire.batch_topic(terminal), payload, KEYS)


def life(**changes: Any) -> Life:
    members = {"terminal": ATM, "key": KEY.key_id, "epoch": EPOCH, "floor": 3, "next": 8, "lost": 2}
    return Life(**members | {"boot": b"\x11" * 8, "up": 5, "now": BASE * MS, "n": 4, "state": "online"} | changes)


def open_life(payload: bytes, terminal: str = ATM) -> Life:
    return wire.open_life(wire.life_topic(terminal), payload, KEYS)


def ack(**changes: Any) -> Ack:
    members = {"epoch": EPOCH, "seq": 9, "want": 0, "state": AckState.OK, "window": 8, "min_interval": 100}
    return Ack(**members | {"time": BASE * MS, "refused": ((8, "body: why"),)} | changes)


def command(**changes: Any) -> Command:
    members = {
        "terminal": ATM,
        "number": BASE,
        "kind": "poll-now",
        "issued": BASE * MS,
        "expires": (BASE + 600_000) * MS,
    }
    return Command(**members | {"epoch": EPOCH, "arguments": {"component": "ups1"}, "key": KEY.key_id} | changes)


def open_command(payload: bytes, terminal: str = ATM) -> Command:
    return wire.open_command(terminal, payload, pinned)


def open_ack(payload: bytes, terminal: str = ATM) -> Ack:
    return wire.open_ack(terminal, payload, pinned)


def volts(n: int = 6) -> list[Reading]:
    names = ("ups.input.voltage", "ups.output.voltage", "ups.output.load")
    return [
        Reading("ups1", name, (BASE + 10_000 * i) * MS, 230.0 + (i * 7 + j) % 5 / 10, state=State.OK)
        for j, name in enumerate(names)
        for i in range(n)
    ]


BATCH, LIFE, ACK = seal(volts()).payload, wire.seal_life(KEY, life()), wire.seal_ack(KEY, ATM, ack())
COMMAND = wire.seal_command(KEY, command())
OPENERS: dict[str, tuple[bytes, Callable[[bytes], Any]]] = {
    "batch": (BATCH, open_batch),
    "life": (LIFE, open_life),
    "ack": (ACK, open_ack),
    "command": (COMMAND, open_command),
}
every_kind = pytest.mark.parametrize("kind", OPENERS)


def refusal(run: Callable[..., Any], *args: Any, **kwargs: Any) -> WireError:
    """The WireError that a call raises; any other exception, and none, fails the test."""
    with pytest.raises(WireError) as caught:
        run(*args, **kwargs)
    assert caught.value.detail.isprintable(), "a detail is logged: nothing in it may move a cursor"
    return caught.value


# Frames made by hand, from the specification and not by wire.py.

HEADER: dict[str, Any] = {
    "terminal": ATM,
    "key": KEY.key_id,
    "epoch": EPOCH,
    "seq": 7,
    "prev": bytes(32),
    "floor": 3,
    "sent": BASE,
    "boot": bytes(8),
    "up": 5,
    "clock": {"src": "ntp", "err_ms": 12},
    "codec": 1,
    "schema": 1,
    "n": 2,
    "lost": 0,
}
BODY: dict[str, Any] = {"b": BASE, "t": [[0, 10]], "c": ["ups1"], "s": ["ups.alarms"], "k": [[0, 0, 0, 1 << 6, 5, -1]]}
READINGS = [
    Reading("ups1", "ups.alarms", BASE * MS, 5, state=State.OK),
    Reading("ups1", "ups.alarms", (BASE + 10) * MS, 4, state=State.OK),
]


def frame(header: Any, body: Any = b"", *, kind: str = "batch", terminal: str = ATM, key: SigningKey = KEY) -> bytes:
    packed = header if isinstance(header, bytes) else msgpack.packb(header)
    inner = body if isinstance(body, bytes) else msgpack.packb(body)
    return sign(struct.pack(">H", len(packed)) + packed + inner, kind=kind, terminal=terminal, key=key)


def sign(signed: bytes, *, kind: str = "batch", terminal: str = ATM, key: SigningKey = KEY) -> bytes:
    return signed + key.sign(
        f"tillwatch/{kind}/1".encode() + b"\0" + f"tw/1/{terminal}/{kind}".encode() + b"\0" + signed
    )


def plain(whole: bytes) -> bytes:
    return b"TW\x01\x00" + whole


def deflated(whole: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, PRESETS[SCHEMA])
    return with_crc(packer.compress(whole) + packer.flush())


def with_crc(stream: bytes) -> bytes:
    return b"TW\x01\x11" + struct.pack(">I", zlib.crc32(b"\x11" + stream)) + stream


@contextmanager
def memory_below(limit: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def mixed() -> list[Reading]:
    items = volts(3)
    items += [
        Reading("ups1", "ups.output.source", (BASE + i) * MS, v, state=State.OK) for i, v in enumerate(("a", "b"))
    ]
    items += [Reading("lp", "x", BASE * MS, v, Quality(i)) for i, v in enumerate((None, 1, 2.5, "é"))]
    return items
