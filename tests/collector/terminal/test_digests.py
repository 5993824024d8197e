"""The digests of the last batches: the same answers as a dict of them would give, in a bounded row."""

from __future__ import annotations

import random
import sys
from hashlib import sha256

from tillwatch.collector.terminal.digests import RECENT, Digests


def digest(seq: int) -> bytes:
    return sha256(seq.to_bytes(8, "big")).digest()


def test_each_of_the_last_batches_has_its_digest_and_what_is_lost_or_older_has_none():
    chance = random.Random(7)
    for _ in range(50):
        seq = chance.randrange(1, 1000)
        digests, known = Digests(seq, digest(seq)), {seq: digest(seq)}
        for _ in range(200):
            # The next one, one behind a declared loss of a few or of very many, or one of which no digest is known.
            seq += chance.choice([1] * 12 + [2, 9, RECENT, RECENT + 1, 10 * RECENT])
            kept = digest(seq) if chance.random() < 0.95 else b""
            digests.add(seq, kept)
            known[seq] = kept
            for asked in range(seq - RECENT - 5, seq + 5):
                there = known.get(asked) if seq - RECENT < asked else None
                assert digests.of(asked) == (there or None)


def test_a_terminal_that_has_sent_for_months_takes_no_more_than_its_last_batches():
    digests = Digests(1, digest(1))
    for seq in range(2, 100_000):
        digests.add(seq, bytes(32))
    assert sys.getsizeof(digests._row) < 2 * RECENT * 32
