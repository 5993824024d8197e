"""The wire: whatever bytes arrive, and however much they claim to hold, nothing but a WireError comes out and memory stays bounded."""

from __future__ import annotations

import random
import struct
import zlib
from collections import defaultdict
from typing import Any

import msgpack
import pytest

from tests.agent.frames import (
    ACK,
    BATCH,
    BODY,
    HEADER,
    INT_MAX,
    INT_MIN,
    LIFE,
    STRANGER,
    deflated,
    frame,
    memory_below,
    mixed,
    open_ack,
    open_batch,
    open_life,
    plain,
    refusal,
    seal,
    sign,
    with_crc,
)
from tillwatch.agent import wire
from tillwatch.agent.wire import MAX_BODY, MAX_PAYLOAD, MAX_READINGS, Opened, Refusal, WireError

# What claims more than it is.


def test_an_inflate_bomb_is_refused_in_bounded_memory() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = b"".join([*(packer.compress(bytes(2**20)) for _ in range(125)), packer.flush()])
    payload = with_crc(zeros)
    assert len(payload) < MAX_PAYLOAD
    with memory_below(4 * MAX_BODY):
        assert refusal(open_batch, payload).reason is Refusal.INFLATE


CLAIMS = [b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9"]


@pytest.mark.parametrize("claim", CLAIMS, ids=["array", "map", "text", "bytes", "ext"])
@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x0FFFFFFF])
def test_a_length_of_billions_costs_no_memory(claim: bytes, size: int) -> None:
    lie = claim + struct.pack(">I", size)
    inside = b"\x86" + msgpack.packb(BODY)[1:] + b"\xa1z" + lie
    headers = plain(frame(lie + bytes(200), BODY)), plain(frame(b"\x81\xa1z" + lie + bytes(200), BODY))
    bodies = plain(frame(HEADER, lie + bytes(200))), plain(frame(HEADER, inside + bytes(200)))
    with memory_below(100_000):
        for payload in headers:
            assert refusal(open_batch, payload).reason is Refusal.HEADER
        for payload in bodies:
            assert refusal(open_batch, payload).reason is Refusal.BODY


def test_nested_claims_cost_a_bounded_memory() -> None:
    claim = b"\xdc" + struct.pack(">H", 64)
    with memory_below(MAX_BODY):
        assert refusal(open_batch, plain(frame(claim * 341, BODY, key=STRANGER))).reason is Refusal.HEADER
    claim = b"\xdc" + struct.pack(">H", MAX_READINGS)
    with memory_below(20 * MAX_BODY):
        assert refusal(open_batch, deflated(frame(HEADER, claim * 340_000))).reason is Refusal.BODY


@pytest.mark.parametrize(
    "piece", [b"\x90", b"\x80", b"\xa0", b"\xcd\x03\xe8"], ids=["lists", "maps", "texts", "integers"]
)
def test_the_most_that_a_signed_body_can_cost_is_bounded(piece: bytes) -> None:
    row = b"\xdc" + struct.pack(">H", 2000) + piece * 2000
    rows = (MAX_BODY - 2000) // len(row)
    body = b"\x86" + msgpack.packb(BODY)[1:] + b"\xa1z" + b"\xdc" + struct.pack(">H", rows) + row * rows
    payload = deflated(frame(HEADER, body))
    with memory_below(80 * MAX_BODY):
        open_batch(payload)


# Anything at all.


def fuzz(rounds: int, seed: int) -> dict[str, int]:
    """Changed and made-up input at four depths: the payload, the deflated stream under a good CRC, and header and body under a
    good signature. Only WireError may come out; what opens is of the form that it promises.
    """
    chance = random.Random(seed)
    whole = [wire.frame_of(BATCH), frame(HEADER, BODY), wire.frame_of(seal(mixed()).payload)]
    seen: dict[str, int] = defaultdict(int)
    for _ in range(rounds):
        depth = chance.randrange(5)
        source = chance.choice(whole)
        if depth == 0:
            payload = mutated(chance, chance.choice([BATCH, LIFE, ACK, plain(source)]))
        elif depth == 1:
            payload = with_crc(mutated(chance, BATCH[8:]))
        elif depth == 2:
            payload = plain(sign(mutated(chance, source[:-64])))
        elif depth == 3:
            end = 2 + struct.unpack(">H", source[:2])[0]
            payload = plain(sign(source[:end] + mutated(chance, source[end:-64])))
        else:
            payload = plain(
                frame(HEADER, {k: anything(chance) if chance.random() < 0.3 else v for k, v in BODY.items()})
            )
        opener, kind = chance.choice([(open_batch, "batch")] * 4 + [(open_life, "life"), (open_ack, "ack")])
        try:
            opened = opener(payload)
        except WireError as error:
            seen[error.reason if error.detail.isprintable() else "a detail that does not print"] += 1
            continue
        seen[kind] += 1
        if isinstance(opened, Opened):
            assert len(opened.readings()) == opened.header.n
    return seen


def mutated(chance: random.Random, data: bytes) -> bytes:
    if chance.random() < 0.05:
        return chance.randbytes(chance.randrange(300))
    out = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        at, how = chance.randrange(len(out) + 1), chance.randrange(6)
        if how == 0 and at < len(out):
            out[at] ^= 1 << chance.randrange(8)
        elif how == 1:
            out[at : at + 1] = bytes(
                (chance.choice([0, 1, 0x7F, 0x80, 0x90, 0xC0, 0xC1, 0xC3, 0xCB, 0xCF, 0xDC, 0xDD, 0xFF]),)
            )
        elif how == 2:
            del out[at : at + chance.randrange(1, 9)]
        elif how == 3:
            out[at:at] = chance.randbytes(chance.randrange(1, 9))
        elif how == 4:
            start = chance.randrange(len(data))
            out[at : at + 8] = data[start : start + 8]
        elif chance.random() < 0.2:
            del out[at:]
    return bytes(out)


def anything(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.randrange(12 if depth < 3 else 9)
    if kind >= 9:
        inner = [anything(chance, depth + 1) for _ in range(chance.randrange(5))]
        return {str(i): v for i, v in enumerate(inner)} if kind == 9 else inner
    return [
        None,
        chance.random() < 0.5,
        chance.choice([0, 1, 5, -1, INT_MIN, INT_MAX, 2**53]),
        chance.randrange(300),
        chance.choice([0.0, -0.0, 1e308, float("inf"), float("nan"), 0.5]),
        chance.randbytes(chance.randrange(6)),
        chance.choice(["", "ups1", "ups.alarms", "a\n", "\x00", "é" * 60]),
        msgpack.ExtType(chance.randrange(128), chance.randbytes(chance.randrange(3))),
        chance.choice([[0, 10], [0, 0, 0, 64, 5, -1]]),
    ][kind]


def test_nothing_but_a_wire_error_comes_out() -> None:
    seen = fuzz(20_000, seed=1)
    assert seen["batch"] > 100
    assert "a detail that does not print" not in seen
    assert {"corrupt", "inflate", "header", "signature", "body", "magic", "version", "terminal_mismatch"} <= seen.keys()


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_nothing_but_a_wire_error_comes_out_of_a_million() -> None:
    for seed in range(10):
        assert "a detail that does not print" not in fuzz(100_000, seed=1_000 + seed)
