"""What the streaming detector says about one tick."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Part(IntEnum):
    """Which part speaks. NONE: the series is not judged yet, or the value was no number."""

    NONE = 0
    LEVEL = 1
    DRIFT = 2
    NOVELTY = 3
    SEASONAL = 4


class Band(NamedTuple):
    """What was usual before this value, in the unit of the series; nan where nothing is known yet."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Surprise:
    """One entry for each row that was given, in its order.

    score: nats, for ranking: 0 where nothing is new or a surprise not smaller is still remembered. p: probability of a value this unusual
    while the series behaves as before, nan where it is not judged: unknown is not healthy. fired: p is below what the rate of false alarms
    allows, and no surprise as large is remembered. kind: a Part. expected: see Band.
    """

    score: NDArray[np.float32]
    p: NDArray[np.float32]
    fired: NDArray[np.bool_]
    kind: NDArray[np.uint8]
    expected: Band
