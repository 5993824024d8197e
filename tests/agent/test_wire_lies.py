"""The wire: signed lies. The collector must be able to refuse the batch by its number."""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import Any

import msgpack
import pytest

from tests.agent.frames import ACK, BATCH, BODY, HEADER, KEY, U63, deflated, frame, open_ack, open_batch, plain, refusal
from tillwatch.agent import wire
from tillwatch.agent.columns import LATEST_MS
from tillwatch.agent.wire import MAX_READINGS, MAX_REASON, MAX_REFUSED, MAX_TERMINAL, Refusal

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


# What the store reads again.


@pytest.mark.parametrize("name", BODIES)
def test_a_damaged_stored_body_is_refused(name: str) -> None:
    assert refusal(wire.stored_columns, deflated(frame(HEADER, BODIES[name]))).reason is Refusal.BODY


def test_a_damaged_stored_payload_is_refused() -> None:
    for cut in range(len(BATCH)):
        refusal(wire.stored_columns, BATCH[:cut])
    for n in (None, True, -1, 1, 3, "2"):
        refusal(wire.stored_columns, deflated(frame(HEADER | {"n": n}, BODY)))
