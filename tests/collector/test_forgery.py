"""The forgery table: every message that a terminal did not seal for this place is refused, counted with its reason, and leaves no trace."""

from __future__ import annotations

import base64
import copy
import os
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgpack
import pytest

from tests.collector.conftest import COLLECTOR_KEY, World
from tests.collector.sending import T0, S, Sender, reading
from tillwatch.agent.model import MS
from tillwatch.agent.wire import (
    MAX_PAYLOAD,
    Ack,
    AckState,
    Refusal,
    SigningKey,
    VerifyKey,
    WireError,
    ack_topic,
    batch_topic,
    frame_of,
    life_topic,
    open_ack,
    seal_ack,
)
from tillwatch.collector.intake import Message
from tillwatch.collector.proof.rebuild import tables
from tillwatch.collector.trust.registry import (
    TOKEN_LIFE_NS,
    EnrolError,
    Enrolment,
    EnrolRequest,
    JournalRegistrar,
    create_token,
    secret_digest,
)

SAMPLED = 13
"""Every 13th bit in the normal run: it meets every bit position within a byte and every part of the envelope."""
HIS, THIEF = Sender("atm-1"), Sender("atm-2")


class Target:
    """A collector that two terminals have spoken to, and what it knew before the attack."""

    def __init__(self, world: World, atm: Sender, other: Sender) -> None:
        self.world, self.atm, self.other = world, atm, other
        self.batch, self.life = batch(atm), atm.life(T0 + S)
        self._known = self._state()

    def _state(self) -> tuple[object, ...]:
        pipeline = self.world.pipeline
        streams = {name: copy.copy(terminal.streams) for name, terminal in pipeline.fold.fleet.terminals.items()}
        return pipeline.journal.n, pipeline.journal.digest, streams, tables(self.world.store.conn)

    async def refuses(self, messages: Sequence[Message], reasons: str = "") -> Counter[str]:
        """All of them, and nothing has changed; the reasons by count."""
        before = Counter(self.world.pipeline.refusals.by_reason)
        for start in range(0, len(messages), 500):
            replies = await self.world.pipeline.take(messages[start : start + 500])
            assert {reply.state for reply in replies.values()} <= {AckState.ENROL}
        told = Counter(self.world.pipeline.refusals.by_reason) - before
        assert told.total() == len(messages)
        if reasons:
            assert set(told) == set(reasons.split())
        assert self._state() == self._known
        return told

    async def still_takes_the_genuine(self) -> None:
        replies = await self.world.pipeline.take([self.life, self.batch])
        assert replies["atm-1"].state is AckState.OK
        assert self.world.pipeline.fold.fleet.terminals["atm-1"].streams[self.atm.epoch].mark == 2


def batch(sender: Sender, value: float = 1.0) -> Message:
    return sender.batch([reading("host/disk:/", "host.disk.percent", T0 + i * S, value + i) for i in range(5)], T0 + S)


@pytest.fixture
async def target(world: World) -> Target:
    await world.start()
    senders = [Sender("atm-1"), Sender("atm-2", epoch=2)]
    for sender in senders:
        await sender.enrol(world.pipeline)
        await world.pipeline.take([sender.life(T0), batch(sender)])
    return Target(world, *senders)


def changed(message: Message, bit: int) -> Message:
    payload = bytearray(message.payload)
    payload[bit // 8] ^= 1 << bit % 8
    return message._replace(payload=bytes(payload))


@pytest.mark.parametrize("kind", ["batch", "life"])
async def test_changed_bits(target: Target, kind: str) -> None:
    genuine: Message = getattr(target, kind)
    await target.refuses([changed(genuine, bit) for bit in range(0, len(genuine.payload) * 8, SAMPLED)])
    await target.still_takes_the_genuine()


@pytest.mark.long
@pytest.mark.parametrize("kind", ["batch", "life"])
async def test_every_changed_bit(target: Target, kind: str) -> None:
    genuine: Message = getattr(target, kind)
    await target.refuses([changed(genuine, bit) for bit in range(len(genuine.payload) * 8)])
    await target.still_takes_the_genuine()


@pytest.mark.parametrize("kind", ["batch", "life"])
async def test_every_changed_byte_of_the_frame_without_its_checksum(target: Target, kind: str) -> None:
    """Whoever packs a changed frame anew has a CRC that fits: only the signature stands between."""
    frame = frame_of(getattr(target, kind).payload)
    topic = getattr(target, kind).topic
    forged = []
    for place in range(len(frame)):
        other = bytearray(frame)
        other[place] ^= 0x40
        forged.append(Message(topic, b"TW\x01\x00" + bytes(other), T0 + S))
    told = await target.refuses(forged)
    assert told["signature"] > len(forged) / 2
    await target.still_takes_the_genuine()


@pytest.mark.parametrize("kind", ["batch", "life"])
async def test_every_truncation_and_every_tail(target: Target, kind: str) -> None:
    genuine: Message = getattr(target, kind)
    cut = [genuine._replace(payload=genuine.payload[:length]) for length in range(len(genuine.payload))]
    longer = [genuine._replace(payload=genuine.payload + tail) for tail in (b"\0", genuine.payload, bytes(1000))]
    await target.refuses([*cut, *longer])
    await target.still_takes_the_genuine()


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("tw/1/atm-2/batch", "terminal_mismatch"),
        ("tw/1/nobody/batch", "unknown_terminal"),
        ("tw/1/atm-1/life", "header"),
        ("tw/1/atm-1/ack", "topic"),
        ("tw/2/atm-1/batch", "topic"),
        ("tw/1/atm-1/batch/", "topic"),
        ("tw/1/atm-1/x/batch", "topic"),
        ("tw/1/ATM-1/batch", "unknown_terminal"),
        ("tw/1//batch", "topic"),
        ("", "topic"),
    ],
)
async def test_replay_under_another_topic_or_terminal(target: Target, topic: str, reason: str) -> None:
    await target.refuses([target.batch._replace(topic=topic)], reason)
    await target.still_takes_the_genuine()


async def test_replay_under_another_epoch_seq_or_key(target: Target) -> None:
    frame = frame_of(target.batch.payload)
    other = target.other
    forged = [
        (target.atm.epoch, other.epoch, "signature"),
        (target.atm.key.key_id, other.key.key_id, "unknown_key"),
        (target.atm.key.key_id, bytes(8), "unknown_key"),
        (b"\xa3seq\x02", b"\xa3seq\x03", "signature"),
    ]
    for was, now, reason in forged:
        assert frame.count(was) == 1
        await target.refuses([target.batch._replace(payload=b"TW\x01\x00" + frame.replace(was, now))], reason)
    await target.still_takes_the_genuine()


async def test_a_replay_as_it_was_is_a_copy(target: Target) -> None:
    await target.still_takes_the_genuine()
    for _ in range(3):
        await target.world.pipeline.take([target.batch])
    assert target.world.store.conn.execute("SELECT count(*) FROM journal WHERE kind = 3").fetchone() == (3,)
    assert target.world.pipeline.refusals.by_reason == {}


async def test_a_stolen_certificate_with_another_terminals_key(target: Target) -> None:
    """The broker lets the thief speak as atm-1; he signs with what he has."""
    thief = Sender("atm-1")
    thief.epoch = os.urandom(12)
    for key in (target.other.key, SigningKey(os.urandom(32)), COLLECTOR_KEY):
        thief.key = key
        await target.refuses([batch(thief), thief.life(T0 + S)], "unknown_key")
    # With the key of atm-1 named and another one signing.
    liar = copy.copy(target.other.key)
    fake = SigningKey(bytes(32))
    fake.key_id, fake._secret = target.atm.key.key_id, liar._secret
    thief.key = fake
    await target.refuses([batch(thief), thief.life(T0 + S)], "signature")
    # And with a rotation that only his own keys have signed.
    thief.key = SigningKey(os.urandom(32))
    statement = thief.hand_over(SigningKey(os.urandom(32)))
    await target.refuses([thief.life(T0 + S, rotations=[statement])], "unknown_key")
    await target.still_takes_the_genuine()


async def test_a_revoked_key(target: Target) -> None:
    await target.world.pipeline.operate({"action": "revoke", "terminal": "atm-2", "reason": "stolen"})
    target._known = target._state()
    await target.refuses([batch(target.other), target.other.life(T0 + S)], "revoked_key")
    statement = target.other.hand_over(SigningKey(os.urandom(32)))
    await target.refuses([target.other.life(T0 + S, rotations=[statement])], "revoked_key")
    await target.still_takes_the_genuine()


async def test_bombs_and_hostile_sizes(target: Target) -> None:
    import zlib

    def deflated(frame: bytes) -> bytes:
        packed = zlib.compressobj(9, zlib.DEFLATED, -15).compress(frame)
        squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = squeezed.compress(frame) + squeezed.flush()
        return b"TW\x01\x11" + zlib.crc32(packed, zlib.crc32(b"\x11")).to_bytes(4, "big") + packed

    topic = target.batch.topic
    payloads = [
        b"",
        b"TW",
        bytes(MAX_PAYLOAD + 1),
        deflated(bytes(100 << 20)),
        b"TW\x02\x00" + bytes(100),
        os.urandom(500),
    ]
    payloads += [
        b"TW\x01\x00\x00\x05\xdf\xff\xff\xff\xff" + bytes(80),
        b"TW\x01\x00\x00\x05\xdd\xff\xff\xff\xff" + bytes(80),
    ]
    await target.refuses([Message(topic, payload, T0) for payload in payloads])
    await target.still_takes_the_genuine()


async def test_a_stale_token(target: Target) -> None:
    world = target.world
    registrar = JournalRegistrar(world.store.conn, world.pipeline.operate, time.time_ns)
    place = Enrolment("atm-1", "hill", "north", "atm")

    def token(now: int) -> bytes:
        text = create_token(world.store.conn, place, host="h", port=1, ca=bytes(32), now=now)
        fields: dict[str, Any] = msgpack.unpackb(base64.urlsafe_b64decode(text[4:] + "=="))
        return secret_digest(fields["s"])

    thief = EnrolRequest("atm-1", SigningKey(os.urandom(32)).public, 1, "10.0.0.9")
    expired = token(time.time_ns() - TOKEN_LIFE_NS - 1)
    foreign = EnrolRequest("atm-2", thief.public_key, 1, "10.0.0.9")
    for digest, request in ((expired, thief), (os.urandom(32), thief), (token(time.time_ns()), foreign)):
        with pytest.raises(EnrolError):
            await registrar.enrol(digest, request)
    used = token(time.time_ns())
    world.store.conn.execute("UPDATE token SET used_at = 1 WHERE secret_digest = ?", (used,))
    with pytest.raises(EnrolError):
        await registrar.enrol(used, thief)
    assert target._state() == target._known
    await target.still_takes_the_genuine()


# The terminal's side: nothing is discarded but on the collector's own word.

EPOCH = b"epoch epoch "
GENUINE = Ack(EPOCH, 7, 0, AckState.OK, 8, 0, T0, (), bytes(16))


def opened(payload: bytes, terminal: str = "atm-1") -> Ack:
    return open_ack(terminal, payload, {COLLECTOR_KEY.key_id: VerifyKey(COLLECTOR_KEY.public)}.get)


def test_forged_acks() -> None:
    payload = seal_ack(COLLECTOR_KEY, "atm-1", GENUINE)
    assert opened(payload) == Ack(EPOCH, 7, 0, AckState.OK, 8, 0, T0 // MS * MS, (), bytes(16))
    for bit in range(len(payload) * 8):
        bad = bytearray(payload)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(WireError):
            opened(bytes(bad))
    for length in range(len(payload)):
        with pytest.raises(WireError):
            opened(payload[:length])
    with pytest.raises(WireError) as caught:
        opened(payload, "atm-2")
    assert caught.value.reason is Refusal.TERMINAL
    stranger = SigningKey(os.urandom(32))
    with pytest.raises(WireError) as caught:
        opened(seal_ack(stranger, "atm-1", GENUINE))
    assert caught.value.reason is Refusal.UNKNOWN_KEY
    stranger.key_id = COLLECTOR_KEY.key_id
    with pytest.raises(WireError) as caught:
        opened(seal_ack(stranger, "atm-1", GENUINE))
    assert caught.value.reason is Refusal.SIGNATURE


def test_what_a_terminal_signed_is_no_ack(target: Target) -> None:
    for message in (target.batch, target.life):
        with pytest.raises(WireError):
            open_ack("atm-1", message.payload, lambda _: VerifyKey(target.atm.key.public))
    assert {ack_topic("a"), batch_topic("a"), life_topic("a")} == {"tw/1/a/ack", "tw/1/a/batch", "tw/1/a/life"}
