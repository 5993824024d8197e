"""Where a value drifts to: a robust slope over the last weeks, and the time to a limit as a range. Silent while the slope is not significant, while the near
end of the range lies beyond the horizon, and while the range is wider than the horizon.

The slope is the median over all pairs of days of the same weekday (Sen 1968, in the seasonal form of Hirsch, Slack and Smith 1982), so a weekday pattern
cannot tilt it, and up to a fifth of wild values cannot either. Its standard error is widened for what one day has of the day before. The range is that of
Fieller (1954) for a ratio, and wider by what past forecasts were wrong by beyond their noise: they are scored against what came (`days_left.width`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tillwatch.collector.detect.days_left import NORMAL, Range

DAYS = 64
"""Days kept a series, as float32: 256 B. Nine weeks show a drift of weeks and forget what was before a change."""
WEEK = 7
LEAST = 21
"""Days with a value until a slope is said: three of each weekday."""
RECENT = 14
"""The level of today is that of the last two weeks, so that a slope that changed does not shift it by weeks."""
SIGNIFICANT = 3.0
"""Standard errors that a slope must differ from none, times 1 + FEW / (days - 7): the error is itself known from that many pairs only. On stationary noise,
also where a day has half of the day before, fewer than FALSE of the slopes reach it, with 21 days as with 64.
"""
FEW = 14
FALSE = 0.01
"""Share of stationary series whose slope may be called significant at one look. A finding needs more than that: see `speaks`."""
LEAD = 21
"""Days ahead of the forecasts that are scored. Two weeks do not show yet that a slope changes; four leave too few days to make the forecast from."""
STEADY = 1.8
"""Standard errors to either side up to which a slope counts as steady. Scores are those of fits to six weeks, whose own error is not well known: on steady
drifts their 90 % quantile is 1.7 to 1.8 instead of 1.645.
"""
UNSTEADY = 0.04
"""Share of a slope that it is taken to change by within LEAD days, one standard deviation, however well it fits: no drift stays what it was, and three weeks
show little of what twelve will bring. Assumed. Far ends of a steady drift are wider for it than they need be.
"""
EFFICIENCY = 0.95
"""Of the median of pairs against least squares on normal noise (Sen 1968)."""
MEDIAN_SPREAD = 1.2533
"""Standard error of a median against that of a mean, on normal noise."""
CORRELATED = 0.9
"""The most that a day is taken to have of the day before. Nearer to 1 no drift can be told from chance in nine weeks."""
MAD = 1.4826
"""Median absolute deviation to standard deviation, on normal noise."""
CHUNK = 2048
"""Series reckoned at a time: 261 pairs of each in float32 are 2 MB, which a cache holds."""


class History(NamedTuple):
    """The last DAYS days of many series. values: (series x DAYS) float32, that of day d in column d % DAYS, nan for a day without; last: (series) int32, the
    newest day, -1 for none. Days are numbered from 1970-01-01, in the time of the branch. Written in place.
    """

    last: NDArray[np.int32]
    values: NDArray[np.float32]


def no_history(count: int) -> History:
    """Of so many series."""
    return History(np.full(count, -1, np.int32), np.full((count, DAYS), np.nan, np.float32))


def put(history: History, rows: NDArray[np.intp], day: int, values: NDArray[np.float32]) -> None:
    """The values of a day, one a row. A day that comes late is put where it belongs while its place is still kept; older ones are left out."""
    last = history.last[rows]
    newer = day > last
    ahead = np.where(last < 0, DAYS, day - last)
    for back in range(1, min(int(ahead[newer].max()), DAYS) if newer.any() else 0):
        stale = rows[newer & (ahead > back)]
        history.values[stale, (day - back) % DAYS] = np.nan
    kept = newer | (last - day < DAYS)
    history.values[rows[kept], day % DAYS] = np.where(np.isfinite(values), values, np.nan)[kept]
    history.last[rows[newer]] = day


def forget(history: History, rows: NDArray[np.intp]) -> None:
    """A new life began: what was before says nothing of it."""
    history.values[rows] = np.nan
    history.last[rows] = -1


def window(history: History, today: int) -> NDArray[np.float32]:
    """(series x DAYS) up to today, oldest first, nan for days without a value."""
    days = np.arange(today - DAYS + 1, today + 1)
    found = history.values[:, days % DAYS]
    outside = (days > history.last[:, None]) | (days <= history.last[:, None] - DAYS)
    found[outside] = np.nan
    return found


@dataclass(frozen=True, slots=True)
class Fit:
    """Of many series, float64. slope: units a day, nan where there are too few days; level: units at the end of the window, without the weekday pattern (`_pattern`);
    slope_error, level_error: their standard errors; noise: standard deviation around the line; pattern: (series x 7) what a weekday adds, in the order
    of the window's last seven days; days: that had a value.
    """

    slope: NDArray[np.float64]
    level: NDArray[np.float64]
    slope_error: NDArray[np.float64]
    level_error: NDArray[np.float64]
    noise: NDArray[np.float64]
    pattern: NDArray[np.float64]
    days: NDArray[np.intp]

    def significant(self) -> NDArray[np.bool_]:
        """Whose slope is more than chance."""
        with np.errstate(invalid="ignore"):
            least = SIGNIFICANT * (1 + FEW / np.maximum(self.days - WEEK, 1))
            return np.abs(self.slope) > least * self.slope_error


def fit(values: NDArray[np.float32]) -> Fit:
    """values: (series x days) of consecutive days, oldest first, nan for days without one. At most some DAYS of them."""
    parts = [_fit(values[start : start + CHUNK]) for start in range(0, len(values), CHUNK)] or [_fit(values)]
    if len(parts) == 1:
        return parts[0]
    return Fit(*(np.concatenate([getattr(part, name) for part in parts]) for name in Fit.__dataclass_fields__))


def _fit(values: NDArray[np.float32]) -> Fit:
    days = values.shape[1]
    have = np.isfinite(values)
    count = have.sum(axis=1)
    at = np.arange(1 - days, 1, dtype=np.float32)
    older, newer = _pairs(days)
    # The median of what each series has is taken out first: a counter of 10^9 that drifts by 10 a day would drown in float32.
    middle = _median(values)
    centred = values - middle[:, None]
    slopes = (centred[:, newer] - centred[:, older]) / (newer - older).astype(np.float32)
    slope = _median(slopes.astype(np.float32))
    rest = centred - slope[:, None] * at
    pattern = _pattern(rest)
    rest -= np.tile(pattern, (1, days // WEEK + 1))[:, -days:]
    level = _median(rest[:, -RECENT:])
    level = np.where(np.isnan(level), _median(rest), level)
    # From pairs of the same weekday as well: what is left after taking out a pattern that three days of each weekday made is too little.
    apart = centred[:, newer] - centred[:, older] - slope[:, None] * (newer - older).astype(np.float32)
    noise = MAD / np.sqrt(2.0) * _median(np.abs(apart))
    # A value that is told in whole steps lies anywhere within its step.
    noise = np.maximum(noise, _resolution(centred) / np.sqrt(12.0))
    inflation = _inflation(apart[:, : max(days - WEEK, 0)], noise)
    enough = count >= LEAST
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (have * at).sum(axis=1) / count
        spread = np.sqrt((have * (at - centre[:, None]) ** 2).sum(axis=1))
        slope_error = noise * inflation / (spread * np.sqrt(EFFICIENCY))
        recent = np.maximum(have[:, -RECENT:].sum(axis=1), 1)
        level_error = noise * inflation * MEDIAN_SPREAD / np.sqrt(recent)
    known = [
        np.where(enough, each, np.nan).astype(np.float64)
        for each in (slope, level + middle, slope_error, level_error, noise)
    ]
    return Fit(known[0], known[1], known[2], known[3], known[4], pattern.astype(np.float64), count)


def _pairs(days: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    older = [i for lag in range(WEEK, days, WEEK) for i in range(days - lag)]
    newer = [i + lag for lag in range(WEEK, days, WEEK) for i in range(days - lag)]
    return np.array(older, np.intp), np.array(newer, np.intp)


def _median(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each row, without what is nan; nan for a row of nothing. numpy's own nanmedian takes each row by itself in Python."""
    if not values.shape[1]:
        return np.full(len(values), np.nan, np.float32)
    ordered = np.sort(values, axis=1)  # nan last
    count = np.isfinite(values).sum(axis=1)
    row = np.arange(len(values))
    low = ordered[row, np.maximum((count - 1) // 2, 0)]
    high = ordered[row, np.minimum(count // 2, values.shape[1] - 1)]
    return np.where(count > 0, low + (high - low) / 2, np.float32(np.nan))


def _pattern(rest: NDArray[np.float32]) -> NDArray[np.float32]:
    """(series x 7) median of each weekday against the mean of the five middle ones, so that the level is that of a whole week, and one weekday that is mostly
    wild does not shift it; 0 where a weekday has fewer than three days.
    """
    found = np.zeros((len(rest), WEEK), np.float32)
    enough = np.ones(len(rest), bool)
    for weekday in range(WEEK):
        own = rest[:, rest.shape[1] - WEEK + weekday :: -WEEK]
        enough &= np.isfinite(own).sum(axis=1) >= LEAST // WEEK
        found[:, weekday] = _median(own)
    found[~enough] = 0
    middle: NDArray[np.float32] = np.sort(found, axis=1)[:, 1:-1].mean(axis=1, keepdims=True)
    return found - middle


def _resolution(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The least that two days of a series differ by, if they do; 0 where they never do."""
    steps = np.abs(np.diff(np.sort(values, axis=1), axis=1))
    rough = np.nanmax(np.abs(np.where(np.isfinite(values), values, 0)), axis=1, keepdims=True) * np.float32(1e-6)
    least = np.where(steps > rough, steps, np.inf).min(axis=1, initial=np.inf)
    return np.where(np.isfinite(least), least, 0).astype(np.float32)


def _inflation(apart: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[np.float64]:
    """sqrt((1 + r) / (1 - r)) for noise of which a day has the share r of the day before. apart: differences of days a week apart, of consecutive days,
    which have the same r without a weekday pattern. r is mended for what the slope took out of it (Kendall 1954).
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        # Without wild values: they would hide what the others have of each other.
        cut = np.where(np.abs(apart) <= 3 * np.sqrt(2.0) * noise[:, None], apart, np.nan)
        both = np.isfinite(cut[:, 1:]) & np.isfinite(cut[:, :-1])
        product = np.where(both, cut[:, 1:] * cut[:, :-1], 0).sum(axis=1, dtype=np.float64)
        power = np.where(np.isfinite(cut), cut**2, 0).sum(axis=1, dtype=np.float64)
        count = np.isfinite(cut).sum(axis=1)
        r = np.where(power > 0, product / np.maximum(both.sum(axis=1), 1) * np.maximum(count, 1) / power, 0)
        r = np.clip((count * r + 1) / np.maximum(count - 4, 1), 0, CORRELATED)
    inflation: NDArray[np.float64] = np.sqrt((1 + r) / (1 - r))
    return inflation


def time_to(
    fitted: Fit, limit: NDArray[np.float64] | float, width: NDArray[np.float64] | float, *, rising: bool
) -> Range:
    """Days until the level reaches the limit. rising: the limit lies above; else below. width: what forecasts were wrong by, in standard errors
    (`days_left.width`).

    A level at or beyond its limit has 0 days; a slope that leads away, or is no more than chance, has no end (infinite). Where forecasts were more wrong than
    their noise explains, slopes change more than UNSTEADY; that goes on beyond the LEAD days that were scored, so the slope's error grows with the root of
    the days ahead.
    """
    sign = 1.0 if rising else -1.0
    slope, blur = sign * fitted.slope, fitted.level_error
    room = sign * (limit - fitted.level)
    with np.errstate(invalid="ignore", divide="ignore"):
        there = room <= 0
        away = (slope <= 0) | ~fitted.significant()
        median = room / slope
        unsteady = np.maximum(np.square(width / STEADY) - 1, 0) * np.square(_lead_error(fitted, LEAD) / LEAD)
        unsteady += np.square(UNSTEADY * slope)
        error = np.sqrt(np.square(fitted.slope_error) + unsteady * np.maximum(median / LEAD, 1))
        a = slope**2 - NORMAL**2 * error**2
        b = room * slope
        c = room**2 - NORMAL**2 * blur**2
        root = np.sqrt(np.maximum(b**2 - a * c, 0))
        # Of the two days at which the edge of the range is at the limit, the near one, written so that it also holds where a is 0 or negative.
        low = np.where(c <= 0, 0.0, c / (b + root))
        high = np.where(a > 0, (b + root) / a, np.inf)
    unknown = ~np.isfinite(fitted.slope)
    found = [np.where(there, 0.0, np.where(away, np.inf, each)) for each in (low, median, high)]
    return Range(*(np.where(unknown, np.inf, each) for each in found))


def _lead_error(fitted: Fit, lead: int) -> NDArray[np.float64]:
    """Standard error of the difference between the level foretold so many days ahead and that of the week that came."""
    own = fitted.level_error * np.sqrt(RECENT / WEEK)
    square: NDArray[np.float64] = (fitted.slope_error * lead) ** 2 + fitted.level_error**2 + own**2
    return np.sqrt(square)


def score(values: NDArray[np.float32], lead: int = LEAD) -> NDArray[np.float64]:
    """What the forecast made `lead` days ago was wrong by, in its own standard errors: |level that came - level foretold| / error. nan where either is not
    known. values: as of `fit`. Only days before the forecast take part in it; once a week is enough, as the weeks between share their days.
    """
    before = fit(values[:, : values.shape[1] - lead])
    came = fit(values)
    foretold = before.level + before.slope * lead
    # The level of the last week alone: that of two weeks would share no day with the forecast, but lie in the middle of the lead.
    after = _level_of_week(values, came)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.abs(after - foretold) / _lead_error(before, lead)
    return np.where(np.isfinite(found), found, np.nan)


def _level_of_week(values: NDArray[np.float32], fitted: Fit) -> NDArray[np.float64]:
    at = np.arange(1 - WEEK, 1)
    last = values[:, -WEEK:] - fitted.pattern - fitted.slope[:, None] * at
    return _median(last.astype(np.float32)).astype(np.float64)
