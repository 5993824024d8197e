"""Which values a series has had: one bitmap of 1024 bins for each of three features, as 16 words of 64 bits each, and one word that says
which of the 48 words have a bit set. The nearest visited bin on either side is found with a fixed number of word operations, over arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEATURES = 3
WORDS = 16
BINS = WORDS * 64
ROW = FEATURES * WORDS
"""Words of a row."""

_ONE = np.uint64(1)
_CHANNEL = np.array([((1 << WORDS) - 1) << (WORDS * feature) for feature in range(FEATURES)], np.uint64)


def highest(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Index of the highest bit that is set, -1 for 0. Any shape."""
    filled = words.copy()
    for shift in (1, 2, 4, 8, 16, 32):
        filled |= filled >> np.uint64(shift)
    return np.bitwise_count(filled).astype(np.int64) - 1


def lowest(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Index of the lowest bit that is set, 64 for 0. Any shape."""
    return np.bitwise_count(~words & (words - _ONE)).astype(np.int64)


def place(rows: NDArray[np.intp], feature: NDArray[np.intp], bins: NDArray[np.int16]) -> NDArray[np.intp]:
    """Position of the word that holds the bin, in the flat array of all rows' words."""
    return rows * ROW + feature * WORDS + (bins >> 6)


def bit(bins: NDArray[np.int16]) -> NDArray[np.uint64]:
    return _ONE << (bins & 63).astype(np.uint64)


def mark(
    words: NDArray[np.uint64],
    filled: NDArray[np.uint64],
    rows: NDArray[np.intp],
    feature: NDArray[np.intp],
    bins: NDArray[np.int16],
) -> None:
    """Set bins in place. words: flat, ROW a row; filled: one a row. A pair (row, feature) occurs once at most."""
    at = place(rows, feature, bins)
    words[at] |= bit(bins)
    word = _ONE << (feature * WORDS + (bins >> 6)).astype(np.uint64)
    np.bitwise_or.at(filled, rows, word)


def nearest(
    words: NDArray[np.uint64],
    filled: NDArray[np.uint64],
    rows: NDArray[np.intp],
    feature: NDArray[np.intp],
    bins: NDArray[np.int16],
) -> NDArray[np.int64]:
    """Distance in bins to the nearest visited one, 0 where the bin itself is visited, BINS where none is."""
    word = (feature * WORDS + (bins >> 6)).astype(np.uint64)
    inside = (bins & 63).astype(np.uint64)
    own = words[rows * ROW + word.astype(np.intp)]
    here = bins.astype(np.int64)
    below_mask = (_ONE << inside) - _ONE
    others = filled[rows] & _CHANNEL[feature]
    start = feature * WORDS

    left_own = own & below_mask
    left_words = others & ((_ONE << word) - _ONE)
    left_word = highest(left_words)
    far = words[rows * ROW + np.maximum(left_word, 0)]
    left = np.where(left_own != 0, (here & ~63) + highest(left_own), (left_word - start) * 64 + highest(far))
    left_distance = np.where((left_own != 0) | (left_words != 0), here - left, BINS)

    right_own = own & ~below_mask
    right_words = others & ~((_ONE << word) - _ONE) & ~(_ONE << word)
    right_word = lowest(right_words)
    far = words[rows * ROW + np.minimum(right_word, ROW - 1)]
    right = np.where(right_own != 0, (here & ~63) + lowest(right_own), (right_word - start) * 64 + lowest(far))
    right_distance = np.where((right_own != 0) | (right_words != 0), right - here, BINS)
    return np.minimum(left_distance, right_distance)
