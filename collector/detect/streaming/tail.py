"""From the size of something to how seldom it is: two tails, each with a state of two numbers. All arrays, changed in place.

`Novelty` of unseen values: how often one comes (the Good-Turing view: the share of values never seen before) times how far such values lie from
the seen ones (Lomax with shape 2, since distances are heavy-tailed). `exceedance` of anything else: running quantile plus exponential excess, the
exponential case of SPOT (Siffer et al., KDD 2017).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = np.float32
RATE_START, RATE_FLOOR = F32(0.01), F32(1e-5)
"""Share of unseen values assumed at the start; below the floor a share cannot be told from none in the life of a series."""
SIZE_START = F32(0.1)
"""Mean distance in asinh(z) assumed at the start: a step of about a tenth of a scale."""
EXCESS_FLOOR = F32(0.05)
"""A constant series has no excess; of what follows then, the first step must not be infinitely surprising."""
EARLY = 30.0
"""Exceedances whose weight the assumed mean excess has."""
EARLY_GAIN, EARLY_COUNT = F32(10), F32(100)
"""The quantile is sought with steps of 10 / (100 + n) excesses at first: a third of the gain that would be best for exponential values (1 / density)."""
QUIET, QUIET_FADE = F32(333), F32(0.9995)
"""Ten times as many values as lie between two above the .97 quantile: it stands too high then, from a time before a season was known, say. It comes
down to a half in 1400 values, so that what happens once a week keeps its weight.
"""
MOST, UNBIASED = F32(3), F32(1.0633)
"""Mean excesses that one value counts as at most: what is to be found must not teach at once that it is usual. Of exponential excesses so cut the
mean settles at 0.9405 (the root of m = 1 - exp(-3 m)), so it is made up for.
"""


def unseen(
    distance: NDArray[np.float32],
    rate: NDArray[np.float32],
    size: NDArray[np.float32],
    rate_step: float,
    size_step: float,
) -> NDArray[np.float32]:
    """-ln of the tail probability of a distance to the nearest seen value, 0 where it is 0. rate and size learn from it. Any shape, units of size."""
    nats = np.zeros_like(distance)
    new = np.nonzero(distance)
    at, known = distance[new], size[new]
    nats[new] = 2 * np.log1p(at / known) - np.log(rate[new])
    size[new] = known + F32(size_step) * (at - known)
    rate += F32(rate_step) * ((distance > 0) - rate)
    np.maximum(rate, RATE_FLOOR, out=rate)
    return nats


def exceedance(
    value: NDArray[np.float32],
    high: NDArray[np.float32],
    excess: NDArray[np.float32],
    since: NDArray[np.float32],
    count: NDArray[np.float32],
    quantile: float,
    quantile_step: float,
    excess_step: float,
) -> NDArray[np.float32]:
    """-ln of the tail probability of a value, 0 up to the running quantile `high`. high and excess learn from it.

    since: values since the last one above high; count: all before this one.
    """
    over = value - high
    above = over > 0
    nats = np.where(above, F32(-np.log1p(-quantile)) + over / excess, F32(0))
    step = np.maximum(F32(excess_step), 1 / (F32(EARLY) + F32(1 - quantile) * count))
    high += np.maximum(F32(quantile_step), EARLY_GAIN / (EARLY_COUNT + count)) * excess * (above - F32(1 - quantile))
    np.maximum(high, 0, out=high)
    since += 1
    since *= ~above
    ease = np.where(since > QUIET, QUIET_FADE, F32(1))
    high *= ease
    excess *= ease
    excess += np.where(above, step * (UNBIASED * np.minimum(over, MOST * excess) - excess), F32(0))
    np.maximum(excess, EXCESS_FLOOR, out=excess)
    return nats
