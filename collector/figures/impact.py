"""What an interruption costs customers: not minutes, but the transactions that were to be expected in them. 17:00 at a station is not 03:00
(NCR's failed customer interactions, market.md 8.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

HOURS_OF_WEEK = 168
FLAT = (1.0,) * HOURS_OF_WEEK
"""Every hour counts the same: then the impact is the interruption ratio."""
_S = 10**9
_STEP_S = 900
"""Whole quarters of an hour: every zone of today is off UTC by a multiple of them, so no step lies in two local hours."""
_HOUR_NS = 3600 * _S
_BLOCK_S = 32 * 86400
"""Time is worked out in blocks of this length, once for each zone."""
_BLOCKS = 4096
"""Blocks that are kept at hand: 15 months in each of 250 zones and profiles; a few KiB each."""


class Profile:
    """Expected transactions per hour by the clocks of a zone: 168 numbers from Monday 00:00 on. Raises ValueError for others."""

    def __init__(self, weights: Sequence[float] = FLAT, zone: str = "UTC") -> None:
        if (
            len(weights) != HOURS_OF_WEEK
            or not all(0 <= weight < float("inf") for weight in weights)
            or not any(weights)
        ):
            msg = f"a profile is {HOURS_OF_WEEK} numbers from 0 on, one for each hour of a week from Monday 00:00, and not all of them 0"
            raise ValueError(msg)
        self._weights = tuple(map(float, weights))
        self._zone = zone
        self._flat = len(set(self._weights)) == 1

    def expected(self, since: int, until: int) -> float:
        """Transactions that were to be expected between two times, UTC ns."""
        if until <= since:
            return 0.0
        if self._flat:
            return self._weights[0] * (until - since) / _HOUR_NS
        first, last = since // (_BLOCK_S * _S), until // (_BLOCK_S * _S)
        whole = sum(self._block(number)[-1] for number in range(first, last))
        return whole + self._before(last, until) - self._before(first, since)

    def _block(self, number: int) -> tuple[float, ...]:
        return _sums(self._zone, self._weights, number)

    def _before(self, number: int, at: int) -> float:
        """Expected from the begin of the block to `at`."""
        sums = self._block(number)
        step, rest = divmod(at - number * _BLOCK_S * _S, _STEP_S * _S)
        within = (sums[step + 1] - sums[step]) * rest / (_STEP_S * _S) if rest else 0.0
        return sums[step] + within


@lru_cache(maxsize=_BLOCKS)
def _sums(zone: str, weights: tuple[float, ...], number: int) -> tuple[float, ...]:
    """Expected from the begin of the block to each of its steps."""
    sums, sum_ = [0.0], 0.0
    local = ZoneInfo(zone)
    for second in range(number * _BLOCK_S, (number + 1) * _BLOCK_S, _STEP_S):
        at = datetime.fromtimestamp(second, UTC).astimezone(local)
        sum_ += weights[at.weekday() * 24 + at.hour] * _STEP_S / 3600
        sums.append(sum_)
    return tuple(sums)
