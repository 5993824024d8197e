"""The wire: at the bound it passes, one past it does not."""

from __future__ import annotations

import random
import struct
import zlib
from typing import Any

import msgpack
import pytest

from tests.agent.frames import (
    ATM,
    BASE,
    BODY,
    HEADER,
    INT_MAX,
    INT_MIN,
    KEY,
    READINGS,
    U63,
    ack,
    deflated,
    frame,
    life,
    open_ack,
    open_batch,
    open_life,
    plain,
    refusal,
    seal,
    sign,
    volts,
)
from tillwatch.agent import wire
from tillwatch.agent.columns import LATEST_MS
from tillwatch.agent.model import MS, Clock, Reading
from tillwatch.agent.wire import (
    MAX_BODY,
    MAX_DEVICES,
    MAX_HEADER,
    MAX_NAME,
    MAX_PAYLOAD,
    MAX_READINGS,
    MAX_REASON,
    MAX_REFUSED,
    MAX_SPAN_MS,
    MAX_TERMINAL,
    MAX_TEXT,
    Refusal,
    WireError,
)


def body_of(total: int) -> bytes:
    """A good body of exactly so many bytes: with a long member that is not known."""
    start = b"\x86" + msgpack.packb(BODY)[1:] + b"\xa1z"
    chunks, rest = [], total - len(start) - 3
    while rest:
        size = rest if rest <= 1000 else min(1000, rest - 3)
        chunks.append(b"\xc5" + struct.pack(">H", size - 3) + bytes(size - 3))
        rest -= size
    return start + b"\xdc" + struct.pack(">H", len(chunks)) + b"".join(chunks)


def test_the_payload_is_bounded() -> None:
    room = MAX_PAYLOAD - len(plain(frame(HEADER, b"")))
    payload = plain(frame(HEADER, body_of(room)))
    assert len(payload) == MAX_PAYLOAD
    assert open_batch(payload).readings() == READINGS
    assert refusal(open_batch, plain(frame(HEADER, body_of(room + 1)))).reason is Refusal.OVERSIZE
    for opener in (open_life, open_ack, wire.frame_of):
        assert refusal(opener, bytes(MAX_PAYLOAD + 1)).reason is Refusal.OVERSIZE


def test_the_inflated_frame_is_bounded() -> None:
    room = MAX_BODY - len(frame(HEADER, b""))
    whole = frame(HEADER, body_of(room))
    assert len(whole) == MAX_BODY
    assert open_batch(deflated(whole)).readings() == READINGS
    assert refusal(open_batch, deflated(frame(HEADER, body_of(room + 1)))).reason is Refusal.INFLATE


def test_a_batch_is_sealed_up_to_the_payload_limit_and_not_past_it() -> None:
    noise = random.Random(3)
    texts = ["".join(noise.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=MAX_TEXT)) for _ in range(500)]

    def fits(n: int) -> bool:
        items = [Reading("a", "b", BASE * MS, text[: max(0, n - i * MAX_TEXT)]) for i, text in enumerate(texts)]
        try:
            sealed = seal(items)
        except WireError as error:
            if error.reason is not Refusal.OVERSIZE:
                raise
            return False
        assert len(sealed.payload) <= MAX_PAYLOAD
        assert open_batch(sealed.payload).readings() == items
        return True

    low, high = 0, len(texts) * MAX_TEXT
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    assert 150_000 < low < high < 250_000


def test_a_frame_past_the_inflated_limit_is_not_sealed() -> None:
    def items(name: str) -> list[Reading]:
        names = [f"{name}{i % 1_000 if name else ''}" for i in range(MAX_READINGS)]
        return [Reading("d", f"s{n}", BASE * MS, "x" * 505 + f"{i:07}") for i, n in enumerate(names)]

    assert open_batch(seal(items("")).payload).header.n == MAX_READINGS
    error = refusal(seal, items("n" * 80))
    assert error.reason is Refusal.OVERSIZE
    assert str(MAX_BODY) in error.detail


def test_the_header_is_bounded() -> None:
    def header(size: int) -> dict[str, Any]:
        pad = size - len(msgpack.packb(HEADER | {"z": "x" * 300})) + 300
        return HEADER | {"z": "x" * pad}

    assert len(msgpack.packb(header(MAX_HEADER))) == MAX_HEADER
    assert open_batch(plain(frame(header(MAX_HEADER), BODY))).readings() == READINGS
    assert refusal(open_batch, plain(frame(header(MAX_HEADER + 1), BODY))).reason is Refusal.HEADER


@pytest.mark.parametrize("length", [0, 1, 2, 63, 64, 100, 255, 256, 1023, 1024, 1025, 0x7FFF, 0x8000, 0xFFFF])
def test_a_header_length_that_lies_is_refused(length: int) -> None:
    signed = struct.pack(">H", length) + frame(HEADER, BODY)[2:-64]
    for payload in (plain(sign(signed)), deflated(sign(signed))):
        assert refusal(open_batch, payload).reason is Refusal.HEADER


def test_a_header_that_leaves_no_room_for_the_signature_is_refused() -> None:
    packed = msgpack.packb(HEADER)
    whole = struct.pack(">H", len(packed)) + packed + bytes(63)
    assert refusal(open_batch, plain(whole)).reason is Refusal.HEADER
    assert refusal(open_batch, plain(whole + b"\0")).reason is Refusal.SIGNATURE


def test_the_readings_of_a_batch_are_bounded() -> None:
    items = [Reading("a", "b", BASE * MS, i) for i in range(MAX_READINGS)]
    assert open_batch(seal(items).payload).readings() == items
    assert refusal(seal, [*items, items[0]]).reason is Refusal.BODY
    assert refusal(seal, []).reason is Refusal.BODY


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"component": "n" * MAX_NAME}, {"component": "n" * (MAX_NAME + 1)}),
        ({"signal": "n" * MAX_NAME}, {"signal": "n" * (MAX_NAME + 1)}),
        ({"value": "é" * (MAX_TEXT // 2)}, {"value": "é" * (MAX_TEXT // 2) + "e"}),
        ({"value": INT_MAX}, {"value": INT_MAX + 1}),
        ({"value": INT_MIN}, {"value": INT_MIN - 1}),
        ({"value": "\ud7ff"}, {"value": "\ud800"}),
        ({"value": 1}, {"value": True}),
        ({"at": (BASE + MAX_SPAN_MS) * MS}, {"at": (BASE + MAX_SPAN_MS + 1) * MS}),
    ],
)
def test_what_a_reading_may_hold_is_bounded(good: dict[str, Any], bad: dict[str, Any]) -> None:
    first = Reading("x", "y", BASE * MS, 1)
    usual = {"component": "a", "signal": "b", "at": BASE * MS, "value": 1}
    items = [first, Reading(**usual | good)]
    assert open_batch(seal(items).payload).readings() == items
    assert refusal(seal, [first, Reading(**usual | bad)]).reason is Refusal.BODY


def test_the_devices_of_a_batch_are_bounded() -> None:
    items = [Reading(f"d{i}/part", "b", BASE * MS, i) for i in range(MAX_DEVICES)]
    assert open_batch(seal(items).payload).readings() == items
    assert refusal(seal, [*items, Reading("d", "b", BASE * MS, 0)]).reason is Refusal.BODY


@pytest.mark.parametrize(
    "bad",
    [
        {"seq": 0},
        {"seq": U63 + 1},
        {"floor": -1},
        {"sent": -MS},
        {"sent": (LATEST_MS + 1) * MS},
        {"epoch": bytes(11)},
        {"prev": bytes(33)},
        {"boot": b""},
        {"up": -1},
        {"up": 2**64},
        {"lost": -1},
        {"clock": Clock("", 0)},
        {"clock": Clock("n" * 17, 0)},
        {"clock": Clock("ntp", -1)},
        {"terminal": "a b"},
        {"terminal": ""},
        {"terminal": "a" * (MAX_TERMINAL + 1)},
        {"terminal": "é"},
        {"terminal": "\ud800"},
    ],
)
def test_a_header_that_could_not_be_opened_is_not_sealed(bad: dict[str, Any]) -> None:
    assert refusal(seal, volts(), **bad).reason in (Refusal.HEADER, Refusal.TERMINAL)


@pytest.mark.parametrize(
    "bad", [{"floor": -1}, {"next": U63 + 1}, {"now": -MS}, {"boot": bytes(9)}, {"state": ""}, {"terminal": "a/b"}]
)
def test_a_life_message_that_could_not_be_opened_is_not_sealed(bad: dict[str, Any]) -> None:
    assert refusal(wire.seal_life, KEY, life(**bad)).reason in (Refusal.HEADER, Refusal.TERMINAL)


@pytest.mark.parametrize("bad", [{"seq": -1}, {"time": 2**63 * MS}, {"epoch": b""}, {"refused": ((0, "why"),)}])
def test_an_ack_that_could_not_be_opened_is_not_sealed(bad: dict[str, Any]) -> None:
    assert refusal(wire.seal_ack, KEY, ATM, ack(**bad)).reason is Refusal.HEADER


def test_an_ack_names_so_many_refused_batches_and_no_more() -> None:
    refused = tuple((i + 1, "w" * (MAX_REASON + i)) for i in range(MAX_REFUSED + 1))
    got = open_ack(wire.seal_ack(KEY, ATM, ack(refused=refused))).refused
    assert got == tuple((seq, reason[:MAX_REASON]) for seq, reason in refused[:MAX_REFUSED])
    odd = open_ack(wire.seal_ack(KEY, ATM, ack(refused=((1, "a\ud800b"),)))).refused
    assert odd == ((1, "a?b"),)


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (b"", Refusal.MAGIC),
        (b"tw\x01\x00", Refusal.MAGIC),
        (b"TW\x00\x00", Refusal.VERSION),
        (b"TW\x03\x00", Refusal.VERSION),
        (b"TW\x01\x02", Refusal.VERSION),
        (b"TW\x01\x10", Refusal.VERSION),
        (b"TW\x01\x01", Refusal.VERSION),
        (b"TW\x01\x21", Refusal.VERSION),
        (b"TW\x01\x11", Refusal.CORRUPT),
        (b"TW\x01\x11" + struct.pack(">I", zlib.crc32(b"\x11" + b"x" * 100)), Refusal.INFLATE),
        (b"TW\x01\x00", Refusal.HEADER),
    ],
)
def test_what_stands_before_a_frame(start: bytes, reason: Refusal) -> None:
    assert refusal(open_batch, start + b"x" * 100).reason is reason
