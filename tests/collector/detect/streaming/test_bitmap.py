from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.detect.streaming import bitmap

bins = st.integers(0, bitmap.BINS - 1)
ROWS = 3


def arrays() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(ROWS * bitmap.ROW, np.uint64), np.zeros(ROWS, np.uint64)


@given(
    visited=st.lists(st.tuples(st.integers(0, ROWS - 1), st.integers(0, bitmap.FEATURES - 1), bins), max_size=40),
    asked=st.lists(
        st.tuples(st.integers(0, ROWS - 1), st.integers(0, bitmap.FEATURES - 1), bins), min_size=1, max_size=20
    ),
)
def test_the_nearest_bin_is_that_of_a_search_through_all(visited: list, asked: list) -> None:
    words, filled = arrays()
    for row, feature, value in visited:
        bitmap.mark(words, filled, np.array([row]), np.array([feature]), np.array([value], np.int16))
    found = bitmap.nearest(
        words,
        filled,
        *(np.array(x) for x in list(zip(*asked, strict=True))[:2]),
        np.array([a[2] for a in asked], np.int16),
    )
    for (row, feature, value), distance in zip(asked, found.tolist(), strict=True):
        reference = [abs(value - other) for r, f, other in visited if (r, f) == (row, feature)]
        assert distance == min(reference, default=bitmap.BINS)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1))
def test_highest_and_lowest_bit(words: list[int]) -> None:
    given_words = np.array(words, np.uint64)
    assert bitmap.highest(given_words).tolist() == [word.bit_length() - 1 for word in words]
    assert bitmap.lowest(given_words).tolist() == [(word & -word).bit_length() - 1 if word else 64 for word in words]


def test_several_marks_of_one_row_in_one_call_all_count() -> None:
    words, filled = arrays()
    features = np.arange(bitmap.FEATURES)
    bitmap.mark(words, filled, np.full(3, 1), features, np.array([5, 600, 1023], np.int16))
    assert bitmap.nearest(words, filled, np.full(3, 1), features, np.array([5, 600, 1023], np.int16)).tolist() == [
        0,
        0,
        0,
    ]
    assert np.bitwise_count(filled).tolist() == [0, 3, 0]
