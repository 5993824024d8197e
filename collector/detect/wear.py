"""How much of its rated life a part has used, and how long the rest will last. Life is consumed by what a counter counts, by hours of operation or by the
calendar, faster when it is hot; what a device itself says of its wear beats every figure of a data sheet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tillwatch.collector.detect.days_left import COVERED, LEAST_SCORES, DaysLeft, Range
from tillwatch.collector.detect.rating import Rating

DAY_NS = 86_400 * 10**9
HOLD_NS = DAY_NS
"""A temperature stands for the day after it was read. Beyond that the part is taken to be as warm as it was on average."""
COLDEST, HOTTEST = -40.0, 125.0
"""C. Outside of this a sensor lies, and its temperature is not taken."""
RECENT = 28
"""Days over which the rate of consumption is taken: four of each weekday. Older ones tell of another season."""
LEAST = 14
"""Days with a known consumption until a date is said: two of each weekday."""
SCORES = 26
"""Kept ratios of what came to what was foretold: one a week, half a year of them."""
SLOWER, FASTER = 0.5, 2.0
"""The rate to come as a share of the rate seen, where it was not scored yet: a terminal that is moved, or a season, halves or doubles it."""


@dataclass(frozen=True, slots=True)
class WearState:
    """consumed: life used since the part was new, in the rating's unit, stress included; at: UTC ns up to which that is reckoned; since: UTC ns when the
    reckoning began; celsius: last temperature, read at `warm` (UTC ns, -1: never); warmth, timed: sum of temperature over time (C ns) and that time, for the
    average; unmeasured: ns that passed without a temperature that still stood; partly: what was used before `since` is not known, so `consumed` is at least.
    """

    at: int
    since: int
    consumed: float = 0.0
    celsius: float = 0.0
    warm: int = -1
    warmth: float = 0.0
    timed: int = 0
    unmeasured: int = 0
    partly: bool = False


def begin(at: int, consumed: float = 0.0, *, partly: bool = False) -> WearState:
    """Reckoning begins at UTC ns. consumed: what the device says was used before. partly: more than that may have been."""
    return WearState(at, at, consumed, partly=partly)


def heat(rating: Rating, state: WearState, at: int, celsius: float) -> WearState:
    """A temperature near the part, C at UTC ns. Calendar life up to now is consumed at the one before."""
    state = elapse(rating, state, at)
    if not COLDEST <= celsius <= HOTTEST or at < state.warm:
        return state
    return replace(state, celsius=celsius, warm=at)


def elapse(rating: Rating, state: WearState, at: int) -> WearState:
    """Time passes up to UTC ns: calendar life is consumed, each temperature holding until the next one, at most for HOLD_NS."""
    if at <= state.at:
        return state
    held = max(min(at, state.warm + HOLD_NS) - state.at, 0) if state.warm >= 0 else 0
    loose = at - state.at - held
    warmth, timed = state.warmth + state.celsius * held, state.timed + held
    used = state.consumed
    if rating.source == "calendar":
        used += held / DAY_NS * _factor(rating, state.celsius)
        used += loose / DAY_NS * (_factor(rating, warmth / timed) if timed else 1.0)
    return replace(state, at=at, consumed=used, warmth=warmth, timed=timed, unmeasured=state.unmeasured + loose)


def consume(rating: Rating, state: WearState, at: int, amount: float) -> WearState:
    """What a counter counted, or hours of operation, up to UTC ns, at the temperature that stands, else at the average."""
    state = elapse(rating, state, at)
    if state.warm >= 0 and at - state.warm <= HOLD_NS:
        factor = _factor(rating, state.celsius)
    else:
        factor = _factor(rating, state.warmth / state.timed) if state.timed else 1.0
    return replace(state, consumed=state.consumed + amount * factor)


def told(state: WearState, at: int, share: float) -> WearState:
    """The device itself says what share of its life is used (it may exceed 1)."""
    return replace(state, at=max(at, state.at), consumed=max(share, 0.0), partly=False)


def _factor(rating: Rating, celsius: float) -> float:
    return rating.stress.factor(celsius) if rating.stress else 1.0


@dataclass(frozen=True, slots=True)
class Wear:
    """What is known of a part's life. life: id of its Rating; used_share: of the rated life, None where no figure is known; at_least: the true share is higher;
    days_left: None where no figure or no rate is known; evidence: names and values to be shown beside it.
    """

    life: str
    used_share: float | None
    at_least: bool
    days_left: DaysLeft | None
    evidence: tuple[tuple[str, Any], ...]


def wear(rating: Rating, state: WearState, left: DaysLeft | None) -> Wear:
    """What is to be said of a part. left: from `days_left` or `calendar_left`."""
    evidence: list[tuple[str, Any]] = [("source", rating.source), ("consumed", state.consumed), ("since", state.since)]
    if rating.rated:
        evidence += [("rated", rating.rated), ("rated_range", (rating.least, rating.most))]
        evidence += [("rated_by", rating.evidence), ("assumed", rating.assumed)]
    if rating.stress and state.timed:
        mean = state.warmth / state.timed
        evidence += [("mean_celsius", mean), ("stress", rating.stress.factor(mean))]
    if rating.stress and state.at > state.since:
        evidence.append(("without_temperature", state.unmeasured / (state.at - state.since)))
    share = state.consumed / rating.rated if rating.rated else None
    known = left if rating.rated else None
    return Wear(rating.id, share, state.partly, known, tuple(evidence))


def calendar_left(rating: Rating, state: WearState) -> DaysLeft | None:
    """Of a calendar life: at the average temperature so far, between the least and the most that such parts last. None without a figure."""
    if not rating.rated:
        return None
    pace = _factor(rating, state.warmth / state.timed) if state.timed else 1.0
    ends = (rating.least, rating.rated, rating.most)
    low, median, high = (max(each - state.consumed, 0.0) / pace if pace else inf for each in ends)
    return DaysLeft(low, median, high)


def days_left(
    consumed: NDArray[np.float64],
    rating: Rating,
    used: NDArray[np.float32],
    ratios: NDArray[np.float32] | None = None,
    pool: NDArray[np.float32] | None = None,
) -> Range:
    """Of parts of one rating. consumed: (parts) in the rating's unit, stress included; used: (parts x days) consumed a day, oldest first, nan where not known;
    ratios: (parts x SCORES) of `score`, nan where empty; pool: ratios of all parts of the kind. Infinite where there are too few days, or nothing is used.
    """
    rate = _rate(used)
    slow, fast = _paces(ratios, pool, len(consumed))
    with np.errstate(invalid="ignore", divide="ignore"):
        low = np.maximum(rating.least - consumed, 0) / (rate * fast)
        median = np.maximum(rating.rated - consumed, 0) / rate
        high = np.maximum(rating.most - consumed, 0) / (rate * slow)
    idle = ~(rate > 0) | (rating.rated <= 0)
    return Range(*(np.where(idle, np.inf, np.nan_to_num(each, nan=0.0, posinf=np.inf)) for each in (low, median, high)))


def _rate(used: NDArray[np.float32]) -> NDArray[np.float64]:
    """Units a day over the last RECENT days: each weekday's mean, and the mean of these, so that a missing Monday is no day of rest. nan for too few days."""
    recent = used[:, -RECENT:].astype(np.float64)
    have = np.isfinite(recent)
    by_day = np.full((7, len(recent)), np.nan)
    for weekday in range(min(7, recent.shape[1])):
        own, known = recent[:, weekday::7], have[:, weekday::7]
        number = known.sum(axis=1)
        by_day[weekday] = np.where(number > 0, np.where(known, own, 0).sum(axis=1) / np.maximum(number, 1), np.nan)
    said = np.isfinite(by_day)
    mean = np.where(said, by_day, 0).sum(axis=0) / np.maximum(said.sum(axis=0), 1)
    return np.where(have.sum(axis=1) >= LEAST, mean, np.nan)


def _paces(
    ratios: NDArray[np.float32] | None, pool: NDArray[np.float32] | None, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How much slower and faster than foretold: conformal quantiles of a part's own ratios, else of the pool's, else SLOWER and FASTER."""
    spare = np.array([SLOWER, FASTER])
    if pool is not None and np.isfinite(pool).sum() >= LEAST_SCORES:
        spare = _tails(pool[np.isfinite(pool)][None])[:, 0]
    if ratios is None:
        return np.full(count, spare[0]), np.full(count, spare[1])
    own = np.isfinite(ratios).sum(axis=1) >= LEAST_SCORES
    slow, fast = _tails(ratios)
    return np.where(own, slow, spare[0]), np.where(own, fast, spare[1])


def _tails(ratios: NDArray[np.float32]) -> NDArray[np.float64]:
    """(2 x rows) conformal quantiles on either side, which leave (1 - COVERED) / 2 out each; nan last, so that a row's own number counts."""
    ordered = np.sort(ratios, axis=1).astype(np.float64)
    number = np.isfinite(ratios).sum(axis=1)
    rank = np.maximum(((1 - COVERED) / 2 * (number + 1) + 1e-9).astype(np.intp), 1)
    row = np.arange(len(ratios))
    return np.stack([ordered[row, rank - 1], ordered[row, np.maximum(number - rank, 0)]])


def score(used: NDArray[np.float32], lead: int = RECENT) -> NDArray[np.float64]:
    """Rate of the last `lead` days as a share of the rate before them: what a forecast made then should have been multiplied with. nan where either is not
    known, or nothing was used before.
    """
    before, since = _rate(used[:, : used.shape[1] - lead]), _rate(used[:, -lead:])
    with np.errstate(invalid="ignore", divide="ignore"):
        found = since / before
    return np.where((before > 0) & np.isfinite(found), found, np.nan)


def nearer(one: DaysLeft | None, other: DaysLeft | None) -> DaysLeft | None:
    """Of two ends of the same part, such as by count and by calendar, the one that comes first."""
    if one is None or other is None:
        return one or other
    return one if one.median <= other.median else other


def due(found: Wear, lead: float) -> bool:
    """Whether to plan its replacement: the rated end comes within `lead` days, or is past. A rated life is what one plans by, not a forecast: its range (3 to
    5 years of a battery) is wider than any horizon, so it is shown and does not silence.
    """
    if found.days_left is None:
        return found.used_share is not None and found.used_share >= 1
    return found.days_left.median <= lead
