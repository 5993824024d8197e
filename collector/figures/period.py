"""Which period is meant: a month, a span, or the last month that is over, by the clocks of one zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from tillwatch.collector.duty.calendars import instant

DAY_NS = 86_400 * 10**9
MAX_PERIOD_NS = 5 * 366 * DAY_NS
"""Every stretch and incident of a period is in memory at once; five years of 500 terminals take a few GiB."""
FIRST_YEAR, LAST_YEAR = 1970, 2261
"""Times are ns since 1970 in 64 bits."""
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


class PeriodError(ValueError):
    """No such period. The text says what to write."""


def period(month: str | None, since: str | None, until: str | None, zone: str, now: int) -> tuple[str, int, int]:
    """Name, start and end of what is asked for: a month, a span, or without either the last month that is over. Raises PeriodError."""
    if month and (since or until):
        raise PeriodError("write either a month, or from and to")
    if until and not since:
        raise PeriodError("an end (to) needs a beginning (from)")
    if since:
        start, end = _moment(since, zone), _moment(until, zone) if until else now
        if not start < end <= start + MAX_PERIOD_NS:
            msg = "the period must go forward, over five years at most: from 2026-10-01 to 2026-10-08 is a week"
            raise PeriodError(msg)
        return f"{_label(since)}_{_label(until) if until else _today(zone, now).isoformat()}", start, end
    if not month:
        first = _today(zone, now).replace(day=1)
        month = f"{date.fromordinal(first.toordinal() - 1):%Y-%m}"
    match = _MONTH.fullmatch(month)
    if match is None or not FIRST_YEAR <= int(match[1]) <= LAST_YEAR:
        raise PeriodError(f"{month!r} is no month; write it as 2026-10")
    first = date(int(match[1]), int(match[2]), 1)
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return month, _midnight(first, zone), _midnight(following, zone)


def months_before(month: str, count: int, zone: str) -> list[tuple[str, int, int]]:
    """The months up to this one, oldest first, each with its name, start and end."""
    year, number = int(month[:4]), int(month[5:])
    named = [divmod(year * 12 + number - 1 - ago, 12) for ago in reversed(range(count))]
    return [period(f"{y:04d}-{m + 1:02d}", None, None, zone, 0) for y, m in named if y >= FIRST_YEAR]


def _today(zone: str, now: int) -> date:
    return datetime.fromtimestamp(now // 10**9, UTC).astimezone(ZoneInfo(zone)).date()


def _midnight(day: date, zone: str) -> int:
    return instant(ZoneInfo(zone), day.toordinal(), 0)


def _moment(text: str, zone: str) -> int:
    """Of a day its beginning; a time without an offset is one of the zone."""
    try:
        if len(text) == len("2026-10-01"):
            day = date.fromisoformat(text)
            if not FIRST_YEAR <= day.year <= LAST_YEAR:
                raise ValueError
            return _midnight(day, zone)
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo is not None else at.replace(tzinfo=ZoneInfo(zone))
        if not FIRST_YEAR <= at.year <= LAST_YEAR:
            raise ValueError
        return int(at.timestamp()) * 10**9
    except (ValueError, OverflowError):
        raise PeriodError(f"{text!r} is no day or time; write 2026-10-01 or 2026-10-01T08:00:00+08:00") from None


def _label(text: str) -> str:
    return re.sub(r"[^0-9TZ-]+", "", text)
