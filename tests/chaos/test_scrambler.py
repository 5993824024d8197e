from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.scrambler import MAX_HELD, Scrambler

PING, QOS_1, QOS_0, DUP = b"\xc0\x00", 0x32, 0x30, 0x08


def publish(n: int, kind: int = QOS_1) -> bytes:
    return bytes((kind, 1, n))


def through(scrambler: Scrambler, packets: list[bytes]) -> list[bytes]:
    held: list[bytes] = []
    out: list[bytes] = []
    for packet in packets:
        out += scrambler.pass_on(packet, held)
        assert len(held) <= MAX_HELD
    return out


def test_what_is_off_changes_nothing() -> None:
    scrambler = Scrambler(random.Random(1))
    packets = [publish(1), PING, publish(2)]
    assert through(scrambler, packets) == packets
    assert scrambler.harm == 0


@given(st.integers(0, 2**32), st.lists(st.sampled_from([QOS_1, QOS_0, PING[0]]), min_size=1, max_size=40))
def test_nothing_is_lost_and_repeats_are_marked_where_the_protocol_has_a_mark(seed: int, kinds: list[int]) -> None:
    scrambler = Scrambler(random.Random(seed))
    scrambler.on = True
    packets = [PING if kind == PING[0] else publish(n, kind) for n, kind in enumerate(kinds)]
    # A ping at the end lets out what is held.
    out = through(scrambler, [*packets, PING])
    first = Counter(packet for packet in out if not packet[0] & DUP or packet == PING)
    assert all(first[packet] >= 1 for packet in packets)
    again = [packet for packet in out if packet[0] & 0xF8 == 0x38]
    assert all(bytes((packet[0] & ~DUP & 0xFF,)) + packet[1:] in packets for packet in again)
    assert all(packet[0] & 0x06 for packet in again)
    assert len(out) - len(packets) - 1 <= scrambler.harm


def test_it_does_harm() -> None:
    scrambler = Scrambler(random.Random(3))
    scrambler.on = True
    packets = [publish(n) for n in range(100)]
    out = through(scrambler, [*packets, PING])
    originals = [packet for packet in out if packet in packets]
    assert len(out) > 120
    assert originals != packets
    assert sorted(originals) == packets
