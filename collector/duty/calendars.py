"""Business time: which hours count, in the clocks of a place. Everything outside is UTC ns; inside, a day is the place's own, with its
summer time. One time on the clock is one instant: the first at which the clocks show it, or the one at which they jump over it. So hours
that meet on the clock meet in time, and no minute is lost or counted twice where the clocks are set forward or back.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tillwatch.collector.duty.tables import PolicyError, Table

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS
DAY_MIN = 1440
HORIZON_NS = 5 * 366 * DAY_NS
"""Nothing is looked for further ahead: a calendar that does not open within five years was meant otherwise, and every search must end."""
MAX_BLOCKS = 512
"""Stretches of 32 days that a calendar keeps worked out, some 45 years; beyond it forgets them all and works them out again."""

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

ALWAYS = "always"
"""Name of the calendar that is there by itself."""

Span = tuple[int, int]
"""Minutes after the day's local midnight, from and to; past 1440 it ends on the next day."""
Day = tuple[Span, ...]

ALL_DAY: Day = ((0, DAY_MIN),)

_BLOCK_NS = 32 * DAY_NS
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - arithmetic on clock faces, which have no zone
_EPOCH_DAY = _EPOCH.toordinal()
_SPAN = re.compile(r"([0-9]{1,2}):([0-9]{2})\s*-\s*([0-9]{1,2}):([0-9]{2})")


def instant(zone: ZoneInfo, day: int, minute: int) -> int:
    """UTC ns at which the clocks of zone first show this minute of this day (proleptic ordinal), or jump over it."""
    local = datetime.fromordinal(day) + timedelta(minutes=minute)
    aware = local.replace(tzinfo=zone)
    before, after = aware.utcoffset(), aware.replace(fold=1).utcoffset()
    assert before is not None
    assert after is not None
    seconds = _seconds(local - _EPOCH - before)
    if after > before:  # PEP 495: only where the time does not exist is the offset behind the change the greater one
        least, most = _seconds(local - _EPOCH - after), seconds
        while most - least > 1:
            middle = (least + most) // 2
            if datetime.fromtimestamp(middle, UTC).astimezone(zone).utcoffset() == before:
                least = middle
            else:
                most = middle
        seconds = most
    return seconds * SECOND_NS


def _seconds(delta: timedelta) -> int:
    return delta.days * 86_400 + delta.seconds


def local_day(zone: ZoneInfo, at: int) -> int:
    """The ordinal of the day that the clocks of zone show at this UTC ns."""
    return datetime.fromtimestamp(at // SECOND_NS, UTC).astimezone(zone).toordinal()


def joined(spans: Iterable[tuple[int, int]], start: int, end: int) -> Iterator[tuple[int, int]]:
    """What of spans, which come in order, lies between start and end; those that touch are one."""
    since = until = start
    for begin, finish in spans:
        opening, closing = max(begin, start), min(finish, end)
        if opening >= closing:
            continue
        if opening > until:
            if until > since:
                yield since, until
            since = opening
        until = closing
    if until > since:
        yield since, until


class _Block(NamedTuple):
    """The open spans of a stretch of time. sums: open ns from its begin to the end of each."""

    starts: list[int]
    ends: list[int]
    sums: list[int]

    @property
    def total(self) -> int:
        return self.sums[-1] if self.sums else 0

    def before(self, at: int) -> int:
        """Open ns from the begin of the block to `at`."""
        i = bisect_right(self.starts, at) - 1
        if i < 0:
            return 0
        return self.sums[i] - max(0, self.ends[i] - at)

    def reached(self, ns: int) -> int:
        """When `ns` open ns since the begin of the block have passed; 0 < ns <= total."""
        i = bisect_left(self.sums, ns)
        return self.ends[i] - (self.sums[i] - ns)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Open hours. zone: IANA name; week: the hours of Monday to Sunday; days: the hours of days (proleptic ordinals) that differ, by which
    holidays and make-up working days are said; first, last: the days on which it begins and ends, 0 for neither. Hours past midnight belong
    to the day on which they begin.
    """

    name: str
    zone: str
    week: tuple[Day, ...]
    days: Mapping[int, Day] = field(default_factory=dict)
    first: int = 0
    last: int = 0
    _blocks: dict[int, _Block] = field(default_factory=dict, init=False, repr=False, compare=False)

    def in_zone(self, zone: str) -> Calendar:
        """The same hours by the clocks of another place."""
        return self if zone == self.zone else replace(self, zone=zone)

    def is_open(self, at: int) -> bool:
        block = self._block(at // _BLOCK_NS)
        i = bisect_right(block.starts, at) - 1
        return i >= 0 and at < block.ends[i]

    def between(self, start: int, end: int) -> int:
        """Open ns from start to end; 0 where end is not after start."""
        if end <= start:
            return 0
        first, last = start // _BLOCK_NS, end // _BLOCK_NS
        whole = sum(self._block(number).total for number in range(first, last))
        return whole + self._block(last).before(end) - self._block(first).before(start)

    def add(self, start: int, ns: int) -> int:
        """The first instant at which `ns` of open time since start have passed: start itself for none, and at most HORIZON_NS later."""
        if ns <= 0:
            return start
        limit = start + HORIZON_NS
        number = start // _BLOCK_NS
        left = ns + self._block(number).before(start)
        while number * _BLOCK_NS < limit:
            block = self._block(number)
            if left <= block.total:
                return min(limit, block.reached(left))
            left -= block.total
            number += 1
        return limit

    def opens(self, at: int) -> int:
        """`at` where it is open then, or when it opens next: at most HORIZON_NS later."""
        return at if self.is_open(at) else self.add(at, 1) - 1

    def last_open(self, at: int) -> int:
        """`at` where it is open then, or when it closed last: at most HORIZON_NS earlier."""
        if self.is_open(at):
            return at
        for number in range(at // _BLOCK_NS, (at - HORIZON_NS) // _BLOCK_NS - 1, -1):
            block = self._block(number)
            i = bisect_right(block.ends, at) - 1
            if i >= 0:
                return max(block.ends[i], at - HORIZON_NS)
        return at - HORIZON_NS

    def spans(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The open spans between start and end, in order, none touching the next."""
        blocks = range(start // _BLOCK_NS, (end - 1) // _BLOCK_NS + 1) if end > start else ()
        return joined((span for number in blocks for span in self._from(self._block(number), start)), start, end)

    @staticmethod
    def _from(block: _Block, start: int) -> Iterator[tuple[int, int]]:
        first = max(0, bisect_right(block.starts, start) - 1)
        return zip(block.starts[first:], block.ends[first:], strict=True)

    def next_change(self, at: int) -> int | None:
        """When it next opens or closes after `at`; None where it does not within HORIZON_NS."""
        limit = at + HORIZON_NS
        if not self.is_open(at):
            opening = self.opens(at)
            return opening if opening < limit and self.is_open(opening) else None
        _, until = next(self.spans(at, limit))
        return until if until < limit else None

    def _block(self, number: int) -> _Block:
        block = self._blocks.get(number)
        if block is None:
            if len(self._blocks) >= MAX_BLOCKS:
                self._blocks.clear()
            block = self._blocks[number] = self._work_out(number * _BLOCK_NS)
        return block

    def _work_out(self, begin: int) -> _Block:
        zone = ZoneInfo(self.zone)
        end = begin + _BLOCK_NS
        # In the west it is still the day before, and its hours may have begun on the one before that; in the east it is at most this day.
        days = range(_EPOCH_DAY + begin // DAY_NS - 2, _EPOCH_DAY + end // DAY_NS + 1)
        spans = sorted(
            (instant(zone, day, since), instant(zone, day, until)) for day in days for since, until in self._hours(day)
        )
        block = _Block([], [], [])
        for span in spans:
            since, until = max(span[0], begin), min(span[1], end)
            if since >= until:
                continue
            if block.ends and since <= block.ends[-1]:
                block.ends[-1] = max(block.ends[-1], until)
            else:
                block.starts.append(since)
                block.ends.append(until)
        total = 0
        for since, until in zip(block.starts, block.ends, strict=True):
            total += until - since
            block.sums.append(total)
        return block

    def _hours(self, day: int) -> Day:
        if day < self.first or (self.last and day > self.last):
            return ()
        hours = self.days.get(day)
        return self.week[(day - 1) % 7] if hours is None else hours


def always(zone: str = "UTC") -> Calendar:
    """Open at all times."""
    return Calendar(ALWAYS, zone, (ALL_DAY,) * 7)


def read_hours(value: object, table: Table, key: str) -> tuple[Day, ...]:
    """The week out of "24x7", "09:00-17:00" (every day), or a table such as { mon-fri = "09:00-12:00 13:30-17:30", sat = "10:00-14:00" }."""
    if value == "24x7":
        return (ALL_DAY,) * 7
    if isinstance(value, str | list):
        value = {"daily": value}
    if not isinstance(value, dict):
        raise table.error(
            key, 'write "24x7", "09:00-17:00", or a table such as { mon-fri = "09:00-17:00", sat = "10:00-14:00" }'
        )
    week: dict[int, Day] = {}
    for names, hours in value.items():
        for number in weekdays(names, table, key):
            if number in week:
                raise table.error(key, f"{WEEKDAYS[number]} stands there twice; write all its hours in one place")
            week[number] = read_day(hours, table, key)
    if not any(week.values()):
        raise table.error(key, "it is never open; write the hours of at least one day")
    return tuple(week.get(number, ()) for number in range(7))


def weekdays(names: str, table: Table, key: str) -> tuple[int, ...]:
    """Numbers of "mon", "mon-fri", "sat-mon", "mon,wed" or "daily"; Monday is 0."""
    if names.strip() == "daily":
        return tuple(range(7))
    found: list[int] = []
    for part in names.split(","):
        first, dash, last = (word.strip().lower() for word in part.partition("-"))
        if first not in WEEKDAYS or (dash and last not in WEEKDAYS):
            raise table.error(
                key, f'{names!r} names no days; write mon, tue, wed, thu, fri, sat, sun, "mon-fri" or daily'
            )
        begin, end = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
        found += [number % 7 for number in range(begin, end + 1 if end >= begin else end + 8)]
    return tuple(dict.fromkeys(found))


def read_day(value: object, table: Table, key: str) -> Day:
    """The hours of one day out of "09:00-12:00 13:30-17:30", a list of such, or "closed"."""
    texts = [value] if isinstance(value, str) else value
    if texts == ["closed"]:
        return ()
    mend = 'write hours such as "09:00-12:00 13:30-17:30", "22:00-06:00" over midnight, or "closed"'
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise table.error(key, mend)
    spans = []
    for text in texts:
        if not _SPAN.sub("", text).strip(" ,") == "" or not _SPAN.search(text):
            raise table.error(key, f"{text!r}: {mend}")
        for match in _SPAN.finditer(text):
            since, until = _minute(match[1], match[2]), _minute(match[3], match[4])
            if since is None or until is None or since == DAY_MIN:
                raise table.error(key, f"{match[0]!r} is no time of day; times go from 00:00 to 24:00")
            spans.append((since, until if until > since else until + DAY_MIN))
    spans.sort()
    for (_, before), (after, _) in pairwise(spans):
        if after < before:
            raise table.error(key, "hours of one day overlap; write each hour once")
    return tuple(spans)


def _minute(hours: str, minutes: str) -> int | None:
    minute = int(hours) * 60 + int(minutes)
    return minute if int(minutes) < 60 and minute <= DAY_MIN else None


def read_date(text: object, table: Table, key: str) -> int:
    """The ordinal of a date, written with or without quotes."""
    try:
        if isinstance(text, date) and not isinstance(text, datetime):
            return text.toordinal()
        return date.fromisoformat(text if isinstance(text, str) and len(text) == 10 else "").toordinal()
    except ValueError:
        raise table.error(key, f"{str(text)[:40]!r} is no date; write it as 2026-10-01") from None


def read_calendar(name: str, table: Table, zone: str, holidays: Mapping[str, Mapping[int, bool]]) -> Calendar:
    """holidays: of each country or part of one its days: whether they are working days. The bank's own days come before them."""
    week = read_hours(table.raw("hours", "24x7"), table, "hours")
    makeup = WEEKDAYS.index(table.one_of("working_day", WEEKDAYS, "mon"))
    days: dict[int, Day] = {}
    for country in table.texts("holidays"):
        for day, working in holidays.get(country, {}).items():
            days[day] = week[makeup] if working else ()
    own_days = table.table("days")
    for key in own_days.names():
        value = own_days.raw(key)
        for day in _dates(key, own_days):
            known = isinstance(value, str) and value.strip().lower() in WEEKDAYS
            days[day] = week[WEEKDAYS.index(value.strip().lower())] if known else read_day(value, own_days, key)
    table.done()
    return Calendar(name, zone, week, days)


MAX_RANGE = 400
"""Days in one range of dates: a longer one is a slip in the year."""


def _dates(key: str, table: Table) -> range:
    """Of "2026-10-01", or "2026-10-01..2026-10-07"."""
    first, dots, last = key.partition("..")
    begin = read_date(first.strip(), table, key)
    end = read_date(last.strip(), table, key) if dots else begin
    if not 0 <= end - begin < MAX_RANGE:
        raise PolicyError(f"{table.name} {key}: the range must go forward, at most {MAX_RANGE} days")
    return range(begin, end + 1)
