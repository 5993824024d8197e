"""When what is used up and filled again runs out: cash, paper, toner, room on a disk. A refill is a jump towards full; what was used between refills has a
weekday pattern, with days of none; the day it ends comes as a range. What tells no level, only `low` and `out`, is learned from its past episodes.

A room that fills up is the same with what is left of it as its level.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tillwatch.collector.detect.days_left import NEVER, DaysLeft, Range
from tillwatch.collector.detect.sensed import Sensed

DAYS = 56
"""Days of use kept a series, as float32: 224 B. Eight of each weekday, so that pay day is among them twice and last season is not."""
WEEK = 7
LEAST = 14
"""Days whose use is known until anything is foretold: two of each weekday."""
FORESEEN = 180
"""Days ahead that are reckoned. Nobody plans to fill anything later than that."""
REFILL = 0.15
"""Share of a full store by which the level must rise within a day to be a refill. Notes that customers bring to a recycler, and the unrest of a toner's
level, are less; a refill of less than that moves the date by less than its range.
"""
SHRUNK = 2.0
"""Days of the usual use that stand beside those of one weekday in its mean: with eight of its own a weekday counts for four fifths."""
LEAD = 7
"""Days ahead of the forecasts that are scored: a week holds each weekday once."""
CHUNK = 4096
"""Series reckoned at a time: 4096 x 180 days in float32 are 3 MB."""


RECENT, PART, TIMES = (8, 4), 0.09, 1.5
"""Days in a row, the fewer the stronger, the share of a full store that they use together, and times the most that as many days used before: something new uses it up. Large files
that come and go are less.
"""
BEGUN = 21
"""Days that it may have lasted: what was usual is taken from before them."""
UNSURE = 0.15
"""Of what such a day uses, the least standard deviation: four days are few."""
HABIT = 4
"""Past refills that say when a store is usually filled: at what level, after how many days."""
LEAST_HABIT = 2
"""Of them, that it is a habit."""
FORGOTTEN = 0.1
"""Share of a full store below which it was filled because it was empty."""


class Stores(NamedTuple):
    """What is known of many stores, written in place. level: units left at the end of the last day that told one, nan before the first; last: that day, -1
    before; full: the highest level seen after a refill, or since the start; used: (series x DAYS) float32, units used on day d in column d % DAYS, nan
    where not known; refilled: day of the last refill, -1 for none; left, lasted: (series x HABIT) float32, of the last refills the units that were left and the
    days since the one before, the last one first, nan where not known. Days are numbered from 1970-01-01, in the time of the branch.
    """

    level: NDArray[np.float64]
    last: NDArray[np.int32]
    full: NDArray[np.float64]
    used: NDArray[np.float32]
    refilled: NDArray[np.int32]
    left: NDArray[np.float32]
    lasted: NDArray[np.float32]


def unknown(count: int) -> Stores:
    """So many stores of which nothing was read yet."""
    return Stores(
        np.full(count, np.nan),
        np.full(count, -1, np.int32),
        np.full(count, np.nan),
        np.full((count, DAYS), np.nan, np.float32),
        np.full(count, -1, np.int32),
        np.full((count, HABIT), np.nan, np.float32),
        np.full((count, HABIT), np.nan, np.float32),
    )


def put(
    stores: Stores,
    rows: NDArray[np.intp],
    day: int,
    least: NDArray[np.float64],
    most: NDArray[np.float64],
    last: NDArray[np.float64],
    capacity: NDArray[np.float64] | float = np.nan,
) -> NDArray[np.bool_]:
    """A day of the rows: lowest, highest and last level in units left. capacity: what the full store holds, nan where nobody says. Returns which were
    refilled that day. A day not newer than the last is left out. Days without a reading share what was used up to the next one evenly.
    """
    newer = (day > stores.last[rows]) & np.isfinite(last)
    rows, least, most, last = rows[newer], least[newer], most[newer], last[newer]
    full = np.broadcast_to(np.asarray(capacity, np.float64), newer.shape)[newer]
    before, back = stores.level[rows], day - stores.last[rows]
    known = np.isfinite(before)
    highest = np.fmax(np.fmax(stores.full[rows], full), most)
    with np.errstate(invalid="ignore"):
        step = REFILL * highest
        # Higher than the evening before, or than earlier this day. One that was used up again before the evening is not seen in a day's figures.
        rose = known & (np.maximum(most - before, last - np.fmin(least, before)) >= step)
        drained = np.where(
            rose, np.maximum(before - np.minimum(least, before), 0) + np.maximum(most - last, 0), before - last
        )
    # One that was filled after it had run out was forgotten, which is no habit.
    left = np.fmin(before, least)
    usual = rose & (left > FORGOTTEN * highest)
    filled = rows[usual]
    since = np.where(stores.refilled[filled] >= 0, day - stores.refilled[filled], np.nan)
    for kept, new in ((stores.left, left[usual]), (stores.lasted, since)):
        kept[filled] = np.column_stack([new, kept[filled, :-1]])
    stores.full[rows] = highest
    stores.level[rows] = last
    stores.last[rows] = day
    stores.refilled[rows[rose]] = day
    for ago in range(int(min(back[known].max(), DAYS)) if known.any() else 0):
        these = known & (back > ago)
        # Of several days with a refill among them nobody knows what was used before it.
        share = np.where(rose & (back > 1), np.nan, drained / np.maximum(back, 1))
        stores.used[rows[these], (day - ago) % DAYS] = share[these]
    fresh = ~known
    stores.used[rows[fresh], day % DAYS] = np.nan
    found = np.zeros(len(newer), bool)
    found[newer] = rose
    return found


def missed(stores: Stores, day: int) -> NDArray[np.bool_]:
    """Which stores are lower than they used to be filled at, or were not filled for longer than usual. All of which no habit is known: what is always filled in
    time runs out every day by its level, and never does.
    """
    there = np.isfinite(stores.left)
    known = there.sum(axis=1) >= LEAST_HABIT
    usual = np.where(there, stores.left, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    after = np.isfinite(stores.lasted)
    interval = np.where(after, stores.lasted, 0).sum(axis=1) / np.maximum(after.sum(axis=1), 1)
    late = after.any(axis=1) & (day - stores.refilled > interval)
    found: NDArray[np.bool_] = ~known | (stores.level < usual) | late
    return found


def window(stores: Stores, today: int) -> NDArray[np.float32]:
    """(series x DAYS) used up to today, oldest first, nan where not known."""
    days = np.arange(today - DAYS + 1, today + 1)
    found = stores.used[:, days % DAYS]
    outside = (days > stores.last[:, None]) | (days <= stores.last[:, None] - DAYS)
    found[outside] = np.nan
    return found


@dataclass(frozen=True, slots=True)
class Use:
    """What a day uses, of many series, float64. mean: (series x 7) by weekday, the first that of the day after the window; spread: standard deviation of one
    day around it; error: standard error of the mean of all days; days: whose use is known.
    """

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    error: NDArray[np.float64]
    days: NDArray[np.intp]


def use(used: NDArray[np.float32]) -> Use:
    """used: (series x days), oldest first, nan where not known. Means, not medians: what is used on few days is used all the same. A wild day is cut off
    at three times the highest of the other weeks' same weekday.
    """
    rows, days = used.shape
    have = np.isfinite(used)
    count = have.sum(axis=1)
    own = np.full((rows, WEEK, (days + WEEK - 1) // WEEK), np.nan, np.float32)
    for ahead in range(WEEK):
        # The weekday of `ahead` days after the window's first following day stood WEEK - ahead columns before its end, and each week before.
        column = used[:, days - WEEK + ahead :: -WEEK]
        own[:, ahead, : column.shape[1]] = column
    ordered = np.sort(own, axis=2)
    number = np.isfinite(own).sum(axis=2)
    second = np.take_along_axis(ordered, np.maximum(number - 2, 0)[:, :, None], axis=2)
    cut = np.where((number >= 3)[:, :, None] & (second > 0), np.minimum(own, 3 * second), own)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = np.where(np.isfinite(cut), cut, 0)
        overall = total.sum(axis=(1, 2), dtype=np.float64) / count
        mean = (total.sum(axis=2, dtype=np.float64) + SHRUNK * overall[:, None]) / (number + SHRUNK)
        around = np.where(np.isfinite(cut), cut - mean[:, :, None], 0)
        # Seven means were taken out of the days.
        spread = np.sqrt((around**2).sum(axis=(1, 2), dtype=np.float64) / np.maximum(count - WEEK, 1))
        error = spread / np.sqrt(count)
    enough = count >= LEAST
    return Use(
        np.where(enough[:, None], mean, np.nan),
        np.where(enough, spread, np.nan),
        np.where(enough, error, np.nan),
        count,
    )


def sudden(used: NDArray[np.float32], full: NDArray[np.float64], found: Use) -> Use:
    """found, but by the last days alone where those use a part of the whole as no days before them did: a disk on which something has begun to write."""
    for recent in RECENT:
        found = _sudden(used, full, found, recent)
    return found


def _sudden(used: NDArray[np.float32], full: NDArray[np.float64], found: Use, recent: int) -> Use:
    sums = np.cumsum(np.pad(np.where(np.isfinite(used), used, 0), ((0, 0), (1, 0))), axis=1)
    sums = sums[:, recent:] - sums[:, :-recent]
    now, last, before = sums[:, -1], used[:, -recent:], sums[:, :-BEGUN].max(axis=1)
    with np.errstate(invalid="ignore"):
        new = (last > 0).all(axis=1) & (now >= PART * full) & (now > TIMES * before) & (found.days >= BEGUN + LEAST)
    mean = now / recent
    spread = np.maximum(last.std(axis=1), UNSURE * mean)
    return Use(
        np.where(new[:, None], mean[:, None], found.mean),
        np.where(new, spread, found.spread),
        np.where(new, spread / np.sqrt(recent), found.error),
        found.days,
    )


def days_left(level: NDArray[np.float64], found: Use, width: NDArray[np.float64] | float) -> Range:
    """Days until so many units are used up, at most FORESEEN of them, else infinite. width: standard errors to either side (`days_left.width`).

    The parts of a day count: half of what a day uses is left after half of it. nothing is left: 0 days.
    """
    wide = np.broadcast_to(np.asarray(width, np.float64), level.shape)
    parts = [
        _days_left(level[at], found.mean[at], found.spread[at], found.error[at], wide[at])
        for at in (slice(start, start + CHUNK) for start in range(0, max(len(level), 1), CHUNK))
    ]
    return Range(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _days_left(
    level: NDArray[np.float64],
    mean: NDArray[np.float64],
    spread: NDArray[np.float64],
    error: NDArray[np.float64],
    width: NDArray[np.float64],
) -> tuple[NDArray[np.float64], ...]:
    ahead = np.arange(1, FORESEEN + 1)
    path = np.cumsum(np.tile(mean, (1, FORESEEN // WEEK + 1))[:, :FORESEEN], axis=1)
    wide = width[:, None] * np.sqrt(spread[:, None] ** 2 * ahead + (error[:, None] * ahead) ** 2)
    return tuple(_reached(edge, level) for edge in (path + wide, path, path - wide))


def _reached(path: NDArray[np.float64], level: NDArray[np.float64]) -> NDArray[np.float64]:
    """When a path of use over the days first takes all that there is, between two days by the straight line; infinite where it never does."""
    with np.errstate(invalid="ignore", divide="ignore"):
        over = path >= level[:, None]
        there = over.any(axis=1)
        first = np.argmax(over, axis=1)
        row = np.arange(len(path))
        now = path[row, first]
        before = np.where(first > 0, path[row, np.maximum(first - 1, 0)], 0.0)
        days = first + np.clip((level - before) / (now - before), 0, 1)
    return np.where(level <= 0, 0.0, np.where(there, days, np.inf))


def score(used: NDArray[np.float32], lead: int = LEAD) -> NDArray[np.float64]:
    """What the forecast made `lead` days ago was wrong by, in its own standard errors: of all that was used since. nan where either is not known."""
    before = use(used[:, : used.shape[1] - lead])
    since = used[:, used.shape[1] - lead :].astype(np.float64)
    foretold = np.tile(before.mean, (1, lead // WEEK + 1))[:, :lead].sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(before.spread**2 * lead + (before.error * lead) ** 2)
        found = np.abs(since.sum(axis=1) - foretold) / error
    return np.where(np.isfinite(found), found, np.nan)


EPISODES = 16
"""Kept lengths from low to out of one sensor."""
LEAST_EPISODES = 3
"""Until a range is said: of n past ones the next lies between the least and the most with probability (n - 1) / (n + 1), of three with one half."""
DAY_NS = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Episodes:
    """A sensor that says low before it says out. since: UTC ns since when it is low, 0 if it is not; out: whether it ended; lengths: days from low to out,
    oldest first; longer: days of episodes that were ended by a refill before it was out, so each would have lasted at least as long.
    """

    since: int = 0
    out: bool = False
    lengths: tuple[float, ...] = ()
    longer: tuple[float, ...] = ()


def sense(state: Episodes, words: Sensed, at: int, word: str) -> Episodes:
    """One word of the sensor, its time in UTC ns."""
    if word in words.unclear:
        return state
    if word in words.low:
        # Low after out is a roll that was moved, not a new episode.
        return state if state.since or state.out else replace(state, since=at)
    lasted = (at - state.since) / DAY_NS
    if word in words.out:
        if not state.since or state.out:
            return replace(state, out=True)
        return replace(state, since=0, out=True, lengths=(*state.lengths, max(lasted, 0.0))[-EPISODES:])
    if state.since:
        return replace(state, since=0, out=False, longer=(*state.longer, max(lasted, 0.0))[-EPISODES:])
    return replace(state, out=False)


def after_low(state: Episodes, now: int) -> tuple[DaysLeft, float]:
    """Days left of what is low now, and the share of cases that the range holds: (n - 1) / (n + 1) of n past episodes. 0 days are left where it lasts longer
    than the past ones did; NEVER and 0 where it is not low, or too few episodes are known.
    """
    if not state.since or len(state.lengths) < LEAST_EPISODES:
        return NEVER, 0.0
    gone = max((now - state.since) / DAY_NS, 0.0)
    known = sorted(state.lengths)
    count = len(known)
    median = (known[(count - 1) // 2] + known[count // 2]) / 2
    # One that a refill cut short shows that it may last at least as long.
    most = max(known[-1], *state.longer, 0.0)
    left = [max(each - gone, 0.0) for each in (known[0], median, most)]
    return DaysLeft(*left), (count - 1) / (count + 1)
