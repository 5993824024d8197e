"""Bodies come back byte for byte, whatever they are, and one signal reads the same from a blob as from the bodies."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tillwatch.agent.model import MS, Batch, Clock, Quality, Reading, State
from tillwatch.agent.wire import SigningKey, frame_of, seal, split_frame, stored_column
from tillwatch.collector.store import bodies, segments

T0_MS = 1_790_000_000_000
NAMES = ("ups", "ups/battery", "host")
SIGNALS = ("ups.input.voltage", "ups.output.source", "host.uptime", "host.cpu.percent")

values = st.one_of(
    st.none(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["normal", "battery", ""]),
    st.integers(0, 9), st.integers(0, 900).map(lambda n: n / 10),
)  # fmt: skip
readings = st.builds(
    Reading, st.sampled_from(NAMES), st.sampled_from(SIGNALS), st.integers(0, 60_000).map(lambda ms: (T0_MS + ms) * MS), values,
    st.sampled_from(Quality), st.sampled_from(State),
)  # fmt: skip
batches = st.lists(st.lists(readings, min_size=1, max_size=12), min_size=1, max_size=8)
KEY = SigningKey(b"k" * 32)


def frames(made: list[list[Reading]]) -> list[bytes]:
    found, prev = [], bytes(32)
    for seq, rows in enumerate(made, 1):
        sealed = seal(
            KEY, Batch(tuple(rows)), terminal="till-1", epoch=b"e" * 12, seq=seq, prev=prev, floor=1, sent=(T0_MS + seq) * MS,
            boot=b"bootboot", up=seq, clock=Clock("ntp", 5),
        )  # fmt: skip
        prev = sealed.digest
        found.append(frame_of(sealed.payload))
    return found


@given(batches, st.integers(-10, 10))
@settings(deadline=None)
def test_sealed_bodies_come_back_and_read_the_same(made, correction):
    whole = [split_frame(frame)[1] for frame in frames(made)]
    corrections = [correction * (i % 2) for i in range(len(whole))]
    blob = bodies.pack(whole, corrections)
    assert list(bodies.unpack(blob)) == list(zip(whole, corrections, strict=True))
    for name in NAMES:
        for signal in SIGNALS:
            direct = [(stored_column(b, name, signal), c) for b, c in zip(whole, corrections, strict=True)]
            sliced = [(stored_column(b, name, signal), c) for b, c in bodies.slices(blob, name, signal)]
            assert [x for x in sliced if x[0] is not None] == [x for x in direct if x[0] is not None]


odd = st.recursive(st.none() | st.booleans() | st.integers(-5, 300) | st.floats(allow_nan=False) | st.text(max_size=3) | st.binary(max_size=3),
                   lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("btcskxe"), inner, max_size=4), max_leaves=12)  # fmt: skip


@given(st.lists(st.one_of(st.binary(max_size=30), odd.map(msgpack.packb)), min_size=1, max_size=5))
@settings(deadline=None)
def test_any_bytes_come_back(whole):
    assert [body for body, _ in bodies.unpack(bodies.pack(whole, [0] * len(whole)))] == whole


@given(batches)
@settings(deadline=None, max_examples=40)
def test_frames_come_back_with_their_numbers(made):
    sealed = frames(made)
    numbers = [7 + 3 * i for i in range(len(sealed))]
    packed = segments.pack(numbers, sealed, [0] * len(sealed))
    assert list(segments.unpack(packed)) == list(zip(numbers, sealed, strict=True))


def test_what_a_segment_leaves_out_is_what_can_be_computed():
    made = [[Reading("ups", "ups.input.voltage", (T0_MS + i) * MS, 230.0 + i % 3)] for i in range(256)]
    sealed = frames(made)
    packed = segments.pack(list(range(256)), sealed, [0] * 256)
    beside_signatures = len(packed.bodies) + len(packed.heads)
    assert len(packed.signatures) == 256 * 64
    assert beside_signatures < 256 * 12


def test_a_frame_of_another_spelling_is_kept_as_it_is():
    (frame,) = frames([[Reading("ups", "ups.input.voltage", T0_MS * MS, 1)]])
    head, body, signature = split_frame(frame)
    members = msgpack.unpackb(head)
    # The same map, its integers spelled longer than msgpack would.
    other = msgpack.packb(members).replace(msgpack.packb(members["n"]), b"\xcc\x01", 1)
    assert other != head
    odd_frame = len(other).to_bytes(2, "big") + other + body + signature
    packed = segments.pack([1, 2], [frame, odd_frame], [0, 0])
    assert [one for _, one in segments.unpack(packed)] == [frame, odd_frame]


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_damage_is_told_and_nothing_else_happens(data):
    sealed = frames([[Reading("ups", "ups.input.voltage", (T0_MS + i) * MS, i)] for i in range(5)])
    packed = segments.pack(list(range(5)), sealed, [0] * 5)
    which = data.draw(st.sampled_from(["bodies", "heads", "signatures"]))
    blob = bytearray(getattr(packed, which))
    place = data.draw(st.integers(0, len(blob) - 1))
    blob[place] ^= data.draw(st.integers(1, 255))
    bent = segments.Packed(
        **{name: getattr(packed, name) for name in ("bodies", "heads", "signatures")} | {which: bytes(blob)}
    )
    try:
        found = [frame for _, frame in segments.unpack(bent)]
    except segments.SegmentError:
        return
    if which == "signatures":
        assert found != sealed


@pytest.mark.parametrize("claimed", [bodies.MAX_UNPACKED + 1, 2**63, 2**64 - 3])
def test_a_damaged_size_takes_no_memory(claimed):
    # A frame of RFC 8878 with eight bytes for the content's size, and no window of its own.
    blob = bytes.fromhex("28b52ffd e0") + claimed.to_bytes(8, "little") + bytes.fromhex("010000")
    with pytest.raises(bodies.BodiesError, match=f"claims {claimed} bytes"):
        bodies.inflate(blob)


def test_a_header_that_claims_more_than_there_is_is_refused():
    with pytest.raises(segments.SegmentError):
        segments.pack([1], [b"\x00\x05abc"], [0])
