"""What has been unlike itself for days: the mean of the last days against the days of the weeks before, in standard deviations of one day. A worn belt
rejects a little more each day for a week; each reading of it is chance, the days together are not. Arrays over the fleet, once a day; nothing is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

NEW = 3
"""Days that are looked at: what lasted for one day only is the business of whoever looks at single readings."""
APART = 4
"""Days between those and what they are held against: the beginning of a change is not what was usual before it."""
LEAST = 14
"""Days of what was usual: two of each weekday."""
LEAST_NEW = 2
"""Of the days looked at, so many were read."""
MOST = 1000.0
"""Standard deviations beyond which a day says nothing more."""
FAR = 10.0
"""Standard deviations from which they count by their logarithm: a disk that is never written to has hardly any, and seven per cent of it is no fault."""
LEAST_SHARE = 0.005
"""Of the usual value, the least standard deviation: sensors tell no less, and what stands still has no scale of its own."""
TENTHS = (0.1, 0.9)
BETWEEN = 2.5631
"""Standard deviations between the first and the last tenth of normal values. A tenth of the days may be ill on either side."""
BAND = 3.0
CHUNK = 8192
"""Series reckoned at a time: 8192 x 64 days in float32 are 2 MB."""


@dataclass(frozen=True, slots=True)
class Lasting:
    """Of each series, nan where too few days are known. z: how far the last days are off, without sign, from FAR on by the logarithm; value: their mean; low, high: usual days."""

    z: Floats
    value: Floats
    low: Floats
    high: Floats


def lasting(days: Floats, least: Floats) -> Lasting:
    """days: (series x days), oldest first, nan where not known; least: the standard deviation that each has at least, in its unit."""
    parts = [_lasting(days[at : at + CHUNK], least[at : at + CHUNK]) for at in range(0, max(len(days), 1), CHUNK)]
    return Lasting(*(np.concatenate([getattr(each, name) for each in parts]) for name in Lasting.__slots__))


def increments(last: Floats) -> Floats:
    """What a counter counted on each day, by its last values of the days (series x days). nan where it began anew, or the day before is not known."""
    rise = np.full_like(last, np.nan)
    rise[:, 1:] = last[:, 1:] - last[:, :-1]
    with np.errstate(invalid="ignore"):
        return np.where(rise >= 0, rise, np.float32(np.nan))


def _lasting(days: Floats, least: Floats) -> Lasting:
    new, before = days[:, -NEW:], np.sort(days[:, : -NEW - APART], axis=1)  # nan last
    count = np.isfinite(before).sum(axis=1)
    known = (count >= LEAST) & (np.isfinite(new).sum(axis=1) >= LEAST_NEW)
    lowest, middle, highest = (_quantile(before, count, share) for share in (TENTHS[0], 0.5, TENTHS[1]))
    spread = np.maximum((highest - lowest) / BETWEEN, np.maximum(least, LEAST_SHARE * np.abs(middle)))
    spread = np.where(known, np.maximum(spread, 1e-9), 1)
    away = np.clip((new - middle[:, None]) / spread[:, None], -MOST, MOST)
    there = np.isfinite(new)
    mean = np.where(there, away, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    value = np.where(there, new, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    size = np.abs(mean)
    size = np.where(size > FAR, FAR * (1 + np.log(np.maximum(size, FAR) / FAR)), size)
    found = (size, value, middle - BAND * spread, middle + BAND * spread)
    return Lasting(*(np.where(known, each, np.nan).astype(np.float32) for each in found))


def _quantile(ordered: Floats, count: NDArray[np.intp], share: float) -> Floats:
    """Of the finite values of each row; 0 where there is none."""
    place = np.maximum(count - 1, 0) * share
    low = np.floor(place).astype(np.intp)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    row = np.arange(len(ordered))
    found = ordered[row, low] + (place - low) * (ordered[row, high] - ordered[row, low])
    return np.where(count > 0, found, 0).astype(np.float32)
