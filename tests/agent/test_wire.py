"""The wire: what is sealed comes back whole, and nothing else is opened, whatever bytes arrive and however much they claim to hold."""

from __future__ import annotations

import random
import struct
import tracemalloc
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tillwatch.agent import wire
from tillwatch.agent.columns import LATEST_MS
from tillwatch.agent.model import MS, Batch, Clock, Quality, Reading, State, Value
from tillwatch.agent.preset import PRESETS, SCHEMA
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
    Ack,
    AckState,
    Life,
    Opened,
    Refusal,
    Sealed,
    SigningKey,
    VerifyKey,
    WireError,
)

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
OPENERS: dict[str, tuple[bytes, Callable[[bytes], Any]]] = {
    "batch": (BATCH, open_batch),
    "life": (LIFE, open_life),
    "ack": (ACK, open_ack),
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


# Round trips.

decimals = st.builds(lambda n, e: n / 10**e, st.integers(-(10**12), 10**12), st.integers(0, 12))
floats = st.one_of(
    decimals,
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1, 1e22, 2.0**53, 9007199254740.993, 230.0]),
)
ints = st.one_of(st.integers(-100, 100_000), st.integers(INT_MIN, INT_MAX), st.sampled_from([INT_MIN, INT_MAX, 2**53]))
texts = st.one_of(st.sampled_from(["idle", "none", ""]), st.text(max_size=MAX_TEXT // 4))
kinds: list[st.SearchStrategy[Value]] = [
    ints,
    floats,
    decimals,
    texts,
    st.one_of(ints, floats),
    st.one_of(st.none(), ints, floats, texts),
]
names = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=MAX_NAME).filter(
    str.isprintable
)
steps = st.one_of(st.just([10_000] * 6), st.lists(st.integers(-5_000, 20_000), min_size=1, max_size=12))


@st.composite
def readings(draw: st.DrawFn) -> list[Reading]:
    patterns = draw(st.lists(steps, min_size=1, max_size=3))
    start = BASE + draw(st.integers(-(2**33), 2**33))
    columns = []
    for component, signal in draw(st.lists(st.tuples(names, names), min_size=1, max_size=8, unique=True)):
        at, values, column = start, draw(st.sampled_from(kinds)), []
        usual = draw(st.tuples(st.sampled_from(Quality), st.sampled_from(State)))
        for step in draw(st.sampled_from(patterns)):
            at += step
            other = draw(st.integers(0, 5)) == 0
            quality, state = draw(st.tuples(st.sampled_from(Quality), st.sampled_from(State))) if other else usual
            column.append(Reading(component, signal, at * MS, draw(values), quality, state))
        columns.append(column)
    if draw(st.booleans()):
        return [reading for column in columns for reading in column]
    longest = max(map(len, columns))
    return [column[i] for i in range(longest) for column in columns if i < len(column)]


def by_column(items: list[Reading]) -> dict[tuple[str, str], list[Reading]]:
    columns = defaultdict(list)
    for reading in items:
        columns[reading.component, reading.signal].append(reading)
    return dict(columns)


def assert_same(sent: list[Reading], got: list[Reading]) -> None:
    """Equal as a multiset, in order within a column, value and type. Beside floats an int may become one; -0.0 may be 0.0."""
    assert len(sent) == len(got)
    there, here = by_column(sent), by_column(got)
    assert there.keys() == here.keys()
    for name, column in there.items():
        assert column == here[name]
        floats_there = any(type(r.value) is float for r in column)
        for a, b in zip(column, here[name], strict=True):
            assert type(a.value) is type(b.value) or (floats_there and (type(a.value), type(b.value)) == (int, float))


@settings(max_examples=300, deadline=None)
@given(readings())
@example([Reading("a", "b", BASE * MS, 230.0)])
@example([Reading("a", "b", BASE * MS, v) for v in (INT_MIN, INT_MAX, 0)])
def test_readings_come_back_as_they_were(items: list[Reading]) -> None:
    sealed = seal(items)
    opened = open_batch(sealed.payload)
    assert_same(items, opened.readings())
    assert opened.header.n == sealed.n == len(items)
    assert opened.digest == sealed.digest == sha256(wire.frame_of(sealed.payload)).digest()


u63 = st.integers(0, U63)
times = st.integers(0, LATEST_MS).map(lambda ms: ms * MS)
eights = st.binary(min_size=8, max_size=8)
epochs = st.binary(min_size=12, max_size=12)


@settings(max_examples=100, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "epoch": epochs,
            "seq": st.integers(1, U63),
            "prev": st.binary(min_size=32, max_size=32),
            "floor": u63,
            "sent": times,
            "boot": eights,
            "up": u63,
            "clock": st.builds(Clock, st.sampled_from(["ntp", "rtc", "unsync"]), u63),
        }
    ),
    u63,
)
def test_a_header_comes_back_as_it_was(members: dict[str, Any], lost: int) -> None:
    header = open_batch(seal(volts(1), lost=lost, **members).payload).header
    assert {name: getattr(header, name) for name in members} == members
    assert (header.terminal, header.key, header.lost, header.n) == (ATM, KEY.key_id, lost, 3)
    assert (header.codec, header.schema) == (1, SCHEMA)


@settings(max_examples=100, deadline=None)
@given(
    st.builds(
        life,
        epoch=epochs,
        floor=u63,
        next=u63,
        lost=u63,
        boot=eights,
        up=u63,
        now=times,
        n=u63,
        state=st.sampled_from(["online", "offline"]),
    )
)
def test_a_life_message_comes_back_as_it_was(message: Life) -> None:
    assert open_life(wire.seal_life(KEY, message)) == message


@settings(max_examples=100, deadline=None)
@given(
    st.builds(
        ack,
        epoch=epochs,
        seq=u63,
        want=u63,
        state=st.sampled_from(AckState),
        window=u63,
        min_interval=u63,
        time=times,
        refused=st.lists(st.tuples(st.integers(1, U63), st.text(max_size=MAX_REASON)), max_size=MAX_REFUSED).map(tuple),
    )
)
def test_an_ack_comes_back_as_it_was(message: Ack) -> None:
    assert open_ack(wire.seal_ack(KEY, ATM, message)) == message


def test_a_batch_sealed_again_has_the_same_bytes() -> None:
    assert seal(volts()) == seal(volts())


def test_a_frame_made_from_the_specification_is_opened_plain_and_deflated() -> None:
    for payload in (plain(frame(HEADER, BODY)), deflated(frame(HEADER, BODY))):
        opened = open_batch(payload)
        assert opened.readings() == READINGS
        assert opened.digest == sha256(frame(HEADER, BODY)).digest()


def test_members_that_are_not_known_are_ignored() -> None:
    more = {"later": {"a": [1, None, 2.5, b"x"]}, "z": True}
    assert open_batch(deflated(frame(HEADER | more, BODY | more))).readings() == READINGS
    known = msgpack.unpackb(LIFE[6 : 6 + struct.unpack(">H", LIFE[4:6])[0]])
    assert open_life(plain(frame(known | more, b"\x01body of a later life", kind="life"))) == life()
    known = msgpack.unpackb(ACK[6 : 6 + struct.unpack(">H", ACK[4:6])[0]])
    later = {"refused": [[8, "body: why"]]} | more
    assert open_ack(plain(frame(known | more, later, kind="ack"))) == ack()


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
    # One frame that has the members of all three.
    every = HEADER | {"next": 8, "now": BASE, "state": "ok", "want": 0, "window": 8, "min_interval": 0, "time": BASE}
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


def test_key_ids_and_public_keys() -> None:
    assert VerifyKey(KEY.public).key_id == KEY.key_id == sha256(KEY.public).digest()[:8]
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        VerifyKey(KEY.public[1:])


# Signed lies: the collector must be able to refuse the batch by its number.

BODIES: dict[str, Any] = {
    "nothing": b"",
    "a list": [BODY],
    "text": "body",
    "two bodies": msgpack.packb(BODY) + msgpack.packb(BODY),
    "a cut body": msgpack.packb(BODY)[:-1],
    "a byte more": msgpack.packb(BODY) + b"\xc0",
    "an unused type": b"\xc1",
    "a key twice": b"\x86" + msgpack.packb(BODY)[1:] + msgpack.packb("k") + msgpack.packb(BODY["k"]),
    "a key twice in a map that is not known": b"\x86" + msgpack.packb(BODY)[1:] + b"\xa1z\x82\xa1a\x01\xa1a\x02",
    "a key that is a number": msgpack.packb(BODY | {5: 1}),
    "a key that is a list": b"\x86" + msgpack.packb(BODY)[1:] + b"\x91\x01\x01",
    "text that is not UTF-8": b"\x86" + msgpack.packb(BODY)[1:] + b"\xa1z\xa1\xff",
    "a name that is not UTF-8": msgpack.packb(BODY).replace(b"ups1", b"ups\xff"),
    "an ext type": BODY | {"b": msgpack.ExtType(5, b"12345678")},
    "an empty ext type": BODY | {"k": [msgpack.ExtType(5, b"")]},
    "a timestamp": BODY | {"b": msgpack.Timestamp(1_790_000_000, 0)},
    "columns in a map": BODY | {"k": {"a": [0, 0, 0, 0, 5, -1]}},
    "a column of bytes": BODY | {"k": [bytes((0, 0, 0, 0, 5, 1))]},
    "true for an index": BODY | {"k": [[0, 0, False, 0, 5, -1]]},
    "floats for integers": BODY | {"k": [[0, 0, 0, 0, 5.0, -1]]},
    "not-a-number": BODY | {"k": [[0, 0, 0, 14, 5.0, float("nan")]]},
    "a huge exponent": BODY | {"k": [[0, 0, 0, 13, 5, -1]]},
    "an index out of range": BODY | {"k": [[0, 1, 0, 0, 5, -1]]},
    "a negative index": BODY | {"k": [[0, -1, 0, 0, 5, -1]]},
    "columns of unequal length": BODY | {"k": [[0, 0, 0, 0, 5]]},
    "a reading too many": BODY | {"t": [[0, 10, 10]], "k": [[0, 0, 0, 0, 5, -1, 0]]},
    "a reading too few": BODY | {"t": [[0]], "k": [[0, 0, 0, 0, 5]]},
    "deep lists": b"\x86" + msgpack.packb(BODY)[1:] + b"\xa1z" + b"\x91" * 100_000 + b"\xc0",
    "deep maps": b"\x86" + msgpack.packb(BODY)[1:] + b"\xa1z" + b"\x81\xa1z" * 100_000 + b"\xc0",
    "deep names": BODY | {"c": [eval("[" * 90 + "]" * 90)]},
}


@pytest.mark.parametrize("name", BODIES)
def test_a_signed_body_that_lies_is_refused_by_its_number(name: str) -> None:
    whole = frame(HEADER, BODIES[name])
    error = refusal(open_batch, deflated(whole))
    assert error.reason is Refusal.BODY
    assert error.header is not None
    assert (error.header.seq, error.digest) == (7, sha256(whole).digest())
    assert 0 < len(error.detail) <= MAX_REASON


HEADERS: dict[str, Any] = {
    "a list": [HEADER],
    "nothing": {},
    "not msgpack": b"\xc1",
    "a cut map": msgpack.packb(HEADER)[:-1],
    "a key twice": b"\x8f" + msgpack.packb(HEADER)[1:] + b"\xa1n\x02",
    "a key that is a number": HEADER | {1: 1},
    "deep": msgpack.packb(HEADER)[:1] + b"\x91" * 700,
    "no clock": {k: v for k, v in HEADER.items() if k != "clock"},
    "clock a list": HEADER | {"clock": ["ntp", 1]},
    "clock nothing": HEADER | {"clock": None},
    "clock without a source": HEADER | {"clock": {"err_ms": 1}},
    "clock source empty": HEADER | {"clock": {"src": "", "err_ms": 1}},
    "clock source long": HEADER | {"clock": {"src": "n" * 17, "err_ms": 1}},
    "clock error negative": HEADER | {"clock": {"src": "ntp", "err_ms": -1}},
    "terminal bytes": HEADER | {"terminal": b"atm-0417"},
    "terminal long": HEADER | {"terminal": "a" * (MAX_TERMINAL + 1)},
    "key short": HEADER | {"key": KEY.key_id[:7]},
    "key text": HEADER | {"key": "12345678"},
    "epoch long": HEADER | {"epoch": bytes(13)},
    "prev short": HEADER | {"prev": bytes(31)},
    "boot nothing": HEADER | {"boot": None},
    "seq 0": HEADER | {"seq": 0},
    "seq negative": HEADER | {"seq": -1},
    "seq true": HEADER | {"seq": True},
    "seq a float": HEADER | {"seq": 7.0},
    "seq past 63 bits": HEADER | {"seq": U63 + 1},
    "floor past 63 bits": HEADER | {"floor": U63 + 1},
    "sent after 2262": HEADER | {"sent": LATEST_MS + 1},
    "up negative": HEADER | {"up": -1},
    "lost text": HEADER | {"lost": "0"},
    "n 0": HEADER | {"n": 0},
    "n past the limit": HEADER | {"n": MAX_READINGS + 1},
    "n true": HEADER | {"n": True},
    "codec 2": HEADER | {"codec": 2},
    "schema text": HEADER | {"schema": "1"},
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_lies_is_refused(name: str) -> None:
    assert refusal(open_batch, plain(frame(HEADERS[name], BODY))).reason is Refusal.HEADER


def test_a_terminal_that_would_write_in_the_log_is_refused_in_print() -> None:
    error = refusal(open_batch, plain(frame(HEADER | {"terminal": "a\n2026-01-01 all is well\x1b[2J"}, BODY)))
    assert error.reason is Refusal.TERMINAL


REFUSED: dict[str, Any] = {
    "a map": {"8": "why"},
    "text": "why",
    "nothing": None,
    "a row of text": ["8w"],
    "a row of bytes": [b"8w"],
    "a short row": [[8]],
    "a long row": [[8, "why", 1]],
    "a seq that is text": [["8", "why"]],
    "a seq that is infinite": [[float("inf"), "why"]],
    "a seq that is not a number": [[float("nan"), "why"]],
    "a seq that is true": [[True, "why"]],
    "a seq of 0": [[0, "why"]],
    "a seq past 63 bits": [[U63 + 1, "why"]],
    "a reason that is nothing": [[8, None]],
    "a reason too long": [[8, "w" * (MAX_REASON + 1)]],
    "a batch too many": [[8, "why"]] * (MAX_REFUSED + 1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_ack_that_lies_is_refused(name: str) -> None:
    members = msgpack.unpackb(ACK[6 : 6 + struct.unpack(">H", ACK[4:6])[0]])
    refusal(open_ack, plain(frame(members, {"refused": REFUSED[name]}, kind="ack")))


@pytest.mark.parametrize("body", [b"\xc1", b"\x90", b"\xc0", b"\x05", b"\x81\xa7refused", b"\x91" * 2000, b"\x80\x80"])
def test_an_ack_whose_body_is_no_map_is_refused(body: bytes) -> None:
    members = msgpack.unpackb(ACK[6 : 6 + struct.unpack(">H", ACK[4:6])[0]])
    refusal(open_ack, plain(frame(members, body, kind="ack")))


@pytest.mark.parametrize("state", ["", "maybe", 5, None, ["ok"], {"ok": 1}])
def test_an_ack_in_an_unknown_state_is_refused(state: Any) -> None:
    members = msgpack.unpackb(ACK[6 : 6 + struct.unpack(">H", ACK[4:6])[0]])
    refusal(open_ack, plain(frame(members | {"state": state}, kind="ack")))


# Limits: at the bound it passes, one past it does not.


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
    ("terminal", "valid"),
    [
        ("a", True),
        ("ATM-0417_b", True),
        ("-", True),
        ("a" * MAX_TERMINAL, True),
        ("a" * (MAX_TERMINAL + 1), False),
        ("", False),
        ("a.b", False),
        ("a/b", False),
        ("a+", False),
        ("#", False),
        ("a b", False),
        ("a\n", False),
        ("é", False),
        ("²", False),
    ],
)
def test_terminal_ids(terminal: str, valid: bool) -> None:
    assert wire.valid_terminal(terminal) is valid


def test_an_epoch_is_its_time_and_chance() -> None:
    assert wire.new_epoch(1_790_000_000_999_999_999, b"12345678") == struct.pack(">I", 1_790_000_000) + b"12345678"


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (b"", Refusal.MAGIC),
        (b"tw\x01\x00", Refusal.MAGIC),
        (b"TW\x00\x00", Refusal.VERSION),
        (b"TW\x02\x00", Refusal.VERSION),
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


def mixed() -> list[Reading]:
    items = volts(3)
    items += [
        Reading("ups1", "ups.output.source", (BASE + i) * MS, v, state=State.OK) for i, v in enumerate(("a", "b"))
    ]
    items += [Reading("lp", "x", BASE * MS, v, Quality(i)) for i, v in enumerate((None, 1, 2.5, "é"))]
    return items


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


# What the store reads again.


def test_stored_columns_are_those_that_were_opened() -> None:
    payload = seal(mixed()).payload
    opened = open_batch(payload).columns
    assert wire.stored_columns(payload) == opened
    assert [c.numeric for c in opened] == [all(type(v) in (int, float) for v in c.values) for c in opened]


@pytest.mark.parametrize("name", BODIES)
def test_a_damaged_stored_body_is_refused(name: str) -> None:
    assert refusal(wire.stored_columns, deflated(frame(HEADER, BODIES[name]))).reason is Refusal.BODY


def test_a_damaged_stored_payload_is_refused() -> None:
    for cut in range(len(BATCH)):
        refusal(wire.stored_columns, BATCH[:cut])
    for n in (None, True, -1, 1, 3, "2"):
        refusal(wire.stored_columns, deflated(frame(HEADER | {"n": n}, BODY)))


# What was sealed once can be opened for ever. The files were written when version 1 was fixed; they are never written again.

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name: str) -> bytes:
    return bytes.fromhex((GOLDEN / name).read_text("ascii"))


def of_every_form() -> list[Reading]:
    at = [(BASE + 10_000 * i) * MS for i in range(3)]
    items = [
        Reading("ups", "ups.input.voltage", t, v, state=State.OK)
        for t, v in zip(at, (230.1, 229.9, 230.0), strict=True)
    ]
    items += [Reading("host", "host.uptime", t, v) for t, v in zip(at, (864_000, 864_010, 864_020), strict=True)]
    items += [Reading("host", "net.rx.bytes", t, v) for t, v in zip(at, (INT_MAX, 0, 5), strict=True)]
    items += [
        Reading("ups", "ups.output.source", t, v) for t, v in zip(at, ("normal", "battery", "normal"), strict=True)
    ]
    items += [Reading("ups", "ups.battery.charge", at[0], 100, Quality.STALE, State.OK)]
    items += [Reading("ups", "ups.battery.charge", at[0], 99, Quality.GOOD, State.WARN)]
    items += [
        Reading("ups", "ups.temperature", t, v, Quality.ERROR, State.UNKNOWN)
        for t, v in zip(at, (None, 5e-324, "é"), strict=True)
    ]
    return items


def test_a_golden_batch_is_opened() -> None:
    opened = open_batch(golden("wire_v1_batch.hex"))
    assert opened.readings() == of_every_form()
    header = opened.header
    assert (header.terminal, header.key, header.epoch, header.seq) == (ATM, KEY.key_id, EPOCH, 7)
    assert (header.prev, header.floor, header.sent) == (bytes(range(32)), 3, (BASE + 70_000) * MS)
    assert (header.boot, header.up, header.clock) == (b"\x11" * 8, 864_123_456, Clock("ntp", 12))
    assert (header.lost, header.n, header.codec, header.schema) == (5, 17, 1, 1)
    assert opened.digest.hex() == "2c157af335abc488f2afe39ff7385ee9079af73a62b490e275973900ab7437ce"


def test_a_golden_life_message_and_ack_are_opened() -> None:
    assert open_life(golden("wire_v1_life.hex")) == life()
    assert open_ack(golden("wire_v1_ack.hex")) == ack()


def test_what_is_sealed_today_is_what_was_sealed_then() -> None:
    # Frame by frame: another build of zlib may deflate the same frame to other bytes.
    then = wire.frame_of(golden("wire_v1_batch.hex"))
    assert wire.frame_of(seal(of_every_form(), lost=5).payload) == then
    assert (golden("wire_v1_life.hex"), golden("wire_v1_ack.hex")) == (LIFE, ACK)


def test_sixty_readings_take_at_most_eight_bytes_each() -> None:
    chance = random.Random(5)
    names = ["input.voltage", "input.frequency", "input.current", "output.voltage", "output.current", "output.load"]
    names += ["battery.voltage", "battery.charge", "battery.temperature", "battery.current"]
    items = []
    for name in names:
        value = chance.uniform(10, 300)
        for tick in range(6):
            value += chance.uniform(-1.5, 1.5)
            items.append(Reading("ups", f"ups.{name}", (BASE + 10_000 * tick) * MS, round(value, 1)))
    payload = seal(items, epoch=chance.randbytes(12), prev=chance.randbytes(32), boot=chance.randbytes(8)).payload
    assert len(items) == 60
    assert len(payload) <= 8 * 60
