"""The wire: a message that was changed, cut, replayed under another name, or signed by whom it should not, is refused."""

from __future__ import annotations

import pytest

from tests.agent.frames import (
    ATM,
    BASE,
    BATCH,
    BODY,
    HEADER,
    KEYS,
    OPENERS,
    OTHER,
    REVOKED,
    STRANGER,
    ack,
    every_kind,
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
    with_crc,
)
from tillwatch.agent import wire
from tillwatch.agent.wire import MAX_TERMINAL, Refusal, WireError

# Changed bytes.


@every_kind
def test_every_changed_bit_is_refused(kind: str) -> None:
    payload, opener = OPENERS[kind]
    opener(payload)
    for bit in range(len(payload) * 8):
        changed = bytearray(payload)
        changed[bit // 8] ^= 1 << bit % 8
        refusal(opener, bytes(changed))


def test_every_changed_bit_of_a_plain_batch_is_refused() -> None:
    payload = plain(frame(HEADER, BODY))
    for bit in range(len(payload) * 8):
        changed = bytearray(payload)
        changed[bit // 8] ^= 1 << bit % 8
        refusal(open_batch, bytes(changed))


def test_a_bit_changed_with_its_crc_is_refused_or_spells_the_same_frame() -> None:
    good, opened = wire.frame_of(BATCH), 0
    for bit in range(8 * 8, len(BATCH) * 8):
        changed = bytearray(BATCH)
        changed[bit // 8] ^= 1 << bit % 8
        payload = with_crc(bytes(changed[8:]))
        try:
            open_batch(payload)
        except WireError:
            continue
        assert wire.frame_of(payload) == good
        opened += 1
    assert opened < 8, "only the padding bits of the last byte may change"


@every_kind
def test_every_truncation_is_refused(kind: str) -> None:
    payload, opener = OPENERS[kind]
    for length in range(len(payload)):
        refusal(opener, payload[:length])
        refusal(opener, payload[length + 1 :])


@every_kind
def test_every_appended_byte_is_refused(kind: str) -> None:
    payload, opener = OPENERS[kind]
    for byte in range(256):
        refusal(opener, payload + bytes((byte,)))
        refusal(opener, bytes((byte,)) + payload)
    refusal(opener, payload + payload)


def test_bytes_behind_the_deflated_frame_are_refused_even_with_their_crc() -> None:
    assert refusal(open_batch, with_crc(BATCH[8:] + b"\0")).reason is Refusal.INFLATE
    assert refusal(open_batch, with_crc(BATCH[8:-1])).reason is Refusal.INFLATE


# Replay, and keys.


@every_kind
def test_a_message_of_one_terminal_is_not_another_ones(kind: str) -> None:
    payload, opener = OPENERS[kind]
    assert refusal(opener, payload, OTHER).reason is Refusal.TERMINAL


@every_kind
def test_the_signature_covers_the_topic_even_where_the_header_would_fit(kind: str) -> None:
    payload, opener = OPENERS[kind]
    whole = wire.frame_of(payload)
    for wrong in ({"terminal": OTHER}, {"kind": "life" if kind != "life" else "batch"}):
        forged = sign(whole[: -wire.SIGNATURE], **{"kind": kind, **wrong})
        assert refusal(opener, plain(forged)).reason is Refusal.SIGNATURE
    opener(plain(sign(whole[: -wire.SIGNATURE], kind=kind)))


def test_a_message_is_not_one_of_another_kind() -> None:
    for sent_as, (_, opener) in OPENERS.items():
        for kind, (payload, _) in OPENERS.items():
            if kind != sent_as:
                refusal(opener, payload)
    # One frame that has the members of all four.
    every = HEADER | {"next": 8, "now": BASE, "state": "ok", "want": 0, "window": 8, "min_interval": 0, "time": BASE}
    every |= {"number": 1, "kind": "poll-now", "issued": BASE, "expires": BASE, "arguments": {}}
    for kind, (_, opener) in OPENERS.items():
        body = BODY if kind == "batch" else b""
        opener(plain(frame(every, body, kind=kind)))
        for sent_as, (_, other) in OPENERS.items():
            if sent_as != kind:
                assert refusal(other, plain(frame(every, body, kind=kind))).reason is Refusal.SIGNATURE


TOPICS = [
    "",
    "tw/1/atm-0417",
    "tw/1/atm-0417/life",
    "tw/1/atm-0417/batch/",
    "/tw/1/atm-0417/batch",
    "tw/2/atm-0417/batch",
    "xx/1/atm-0417/batch",
    "tw/1//batch",
    "tw/1/atm 0417/batch",
    "tw/1/+/batch",
    "tw/1/atm-0417\x00/batch",
    "tw/1/\ud800/batch",
    "tw/1/" + "a" * (MAX_TERMINAL + 1) + "/batch",
]


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_that_is_not_a_terminals_is_refused(topic: str) -> None:
    assert refusal(wire.open_batch, topic, BATCH, KEYS).reason is Refusal.TOPIC


def test_an_unknown_terminal_is_refused_before_its_bytes_are_looked_at() -> None:
    assert refusal(wire.open_batch, "tw/1/nobody/batch", b"", KEYS).reason is Refusal.UNKNOWN_TERMINAL


def test_keys_that_may_not_sign_are_refused() -> None:
    assert refusal(open_batch, seal(volts(), key=STRANGER).payload).reason is Refusal.UNKNOWN_KEY
    assert refusal(open_batch, seal(volts(), key=REVOKED).payload).reason is Refusal.REVOKED_KEY
    assert refusal(open_life, wire.seal_life(STRANGER, life())).reason is Refusal.UNKNOWN_KEY
    assert refusal(open_life, wire.seal_life(REVOKED, life())).reason is Refusal.REVOKED_KEY
    assert refusal(open_ack, wire.seal_ack(STRANGER, ATM, ack())).reason is Refusal.UNKNOWN_KEY


def test_a_stranger_who_names_a_good_key_is_refused() -> None:
    assert refusal(open_batch, plain(frame(HEADER, BODY, key=STRANGER))).reason is Refusal.SIGNATURE


def test_the_body_is_not_looked_at_before_the_signature() -> None:
    error = refusal(open_batch, plain(frame(HEADER, b"\xc1not msgpack", key=STRANGER)))
    assert error.reason is Refusal.SIGNATURE
    assert (error.header, error.digest) == (None, b"")
