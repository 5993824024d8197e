"""What travels as readings: results and the pieces of a bundle come back whole, and nonsense is nothing."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.agent.diagnosis import MAX_WORDS, PIECE_BYTES
from tillwatch.agent.wire import MAX_BUNDLE, MAX_TEXT, Assembly, Outcome, Result, pieces_of, result_of

U63 = 2**63 - 1
reasons = st.sampled_from(["", "rate", "not-allowed"])


@given(st.integers(1, U63), st.sampled_from(list(Outcome)), reasons, st.text(max_size=400))
def test_a_result_comes_back(number: int, outcome: Outcome, reason: str, words: str) -> None:
    text = Result(number, outcome, reason, words).text()
    assert len(text.encode()) <= MAX_TEXT * 4
    assert text.isprintable()
    found = result_of(text)
    assert found is not None
    assert (found.number, found.outcome, found.reason) == (number, outcome, reason)
    assert len(found.words) <= MAX_WORDS


@given(st.one_of(st.text(max_size=80), st.integers(), st.none(), st.floats()))
def test_nonsense_is_no_result(text: object) -> None:
    found = result_of(text)
    assert found is None or result_of(found.text()) is not None


def test_what_is_no_result() -> None:
    for text in ("", "7", "7 done", "x done -", "-7 done -", "7 finished -", "7" * 20 + " done -", "７ done -"):
        assert result_of(text) is None


@given(st.binary(min_size=1, max_size=5 * PIECE_BYTES), st.randoms())
def test_a_bundle_comes_back_in_any_order_and_twice(bundle: bytes, chance: random.Random) -> None:
    pieces = list(pieces_of(7, bundle))
    assert all(len(piece) <= MAX_TEXT for piece in pieces)
    shuffled = [*pieces, *pieces[: len(pieces) // 2], "8 1/2 abc", "7 1/x !", "7 99/2 abc", "nonsense", "7 end/9999 ab"]
    chance.shuffle(shuffled)
    found = Assembly(7)
    for piece in shuffled:
        found.take(piece)
    found.take(pieces[-1])
    assert found.whole() == bundle
    assert found.missing == 0


def test_a_bundle_that_is_not_whole_is_none() -> None:
    bundle = bytes(range(256)) * 192
    assert len(bundle) == MAX_BUNDLE
    pieces = list(pieces_of(U63, bundle))
    assert all(len(piece) <= MAX_TEXT for piece in pieces)
    for missing in (0, 5, len(pieces) - 1):
        found = Assembly(U63)
        for place, piece in enumerate(pieces):
            if place != missing:
                found.take(piece)
        assert found.whole() is None
        assert found.missing > 0
    changed = Assembly(U63)
    for piece in [*pieces[1:], pieces[0][:-4] + "0000"]:
        changed.take(piece)
    assert changed.whole() is None
