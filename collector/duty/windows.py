"""Maintenance windows, once or every week: what they cover and when they are open. Planned work is no fault: what they cover is watched all
the same, and nobody is called for it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any
from zoneinfo import ZoneInfo

import msgpack

from tillwatch.agent.wire import valid_terminal
from tillwatch.collector.duty.calendars import (
    DAY_MIN,
    DAY_NS,
    HORIZON_NS,
    MINUTE_NS,
    instant,
    joined,
    local_day,
    weekdays,
)
from tillwatch.collector.duty.tables import Table

MAX_LENGTH_NS = 7 * DAY_NS
"""A recurring window that is longer than its week is no window."""
EVERYWHERE = "all"
PLACES = ("region", "branch")


def covers(scope: str, terminal: str, branch: str, region: str, component: str = "") -> bool:
    """Whether a scope (`all`, `region:NAME`, `branch:NAME`, a terminal, or `TERMINAL/COMPONENT` with a pattern as of file names) takes in
    this component of this terminal; an empty component asks for the terminal as a whole.
    """
    kind, _, place = scope.partition(":")
    if scope == EVERYWHERE:
        return True
    if kind in PLACES:
        return place == (region if kind == "region" else branch)
    owner, slash, pattern = scope.partition("/")
    if owner != terminal:
        return False
    return not slash or (bool(component) and fnmatchcase(component, pattern))


def check_node(node: str) -> None:
    """A place, a terminal or a device of one. Raises ValueError with the mend."""
    kind, _, place = node.partition(":")
    terminal, slash, component = node.partition("/")
    if not (kind in PLACES and place.strip()) and not (valid_terminal(terminal) and bool(slash) == bool(component)):
        raise ValueError('write "region:NAME", "branch:NAME", a terminal, or "TERMINAL/COMPONENT"')


@dataclass(frozen=True, slots=True)
class Weekly:
    """Every week on these days (0 is Monday) at this minute of the place's clock, for so long. first, last: ordinals of the days on which it
    may begin, 0 for no bound. What begins while the clocks are set lasts as long as ever.
    """

    zone: str
    days: tuple[int, ...]
    minute: int
    length_ns: int
    first: int = 0
    last: int = 0

    def begins(self, day: int) -> int | None:
        """When it begins on this day, UTC ns; None where it does not."""
        if (day - 1) % 7 not in self.days or day < self.first or (self.last and day > self.last):
            return None
        return instant(ZoneInfo(self.zone), day, self.minute)


@dataclass(frozen=True, slots=True)
class Window:
    """A time of planned work. scope: see `covers`. Either once, from since to until (UTC ns), or weekly. by: who set it up, approved_by: who
    agreed, change_ref: the number of the change in the bank's own books.
    """

    id: str
    scope: str
    since: int = 0
    until: int = 0
    weekly: Weekly | None = None
    reason: str = ""
    by: str = ""
    approved_by: str = ""
    change_ref: str = ""

    def covers(self, terminal: str, branch: str, region: str, component: str = "") -> bool:
        return covers(self.scope, terminal, branch, region, component)

    def touches(self, terminal: str, branch: str, region: str) -> bool:
        """Whether it covers the terminal or any of its components."""
        return self.scope.partition("/")[0] == terminal or self.covers(terminal, branch, region)

    def pack(self) -> bytes:
        """Of one that people made: once, or weekly."""
        weekly = None if self.weekly is None else list(astuple(self.weekly))
        rest = [
            self.id,
            self.scope,
            self.since,
            self.until,
            weekly,
            self.reason,
            self.by,
            self.approved_by,
            self.change_ref,
        ]
        packed: bytes = msgpack.packb(rest)
        return packed

    @classmethod
    def unpack(cls, packed: bytes) -> Window:
        name, scope, since, until, weekly, *words = msgpack.unpackb(packed)
        kept = None if weekly is None else Weekly(weekly[0], tuple(weekly[1]), *weekly[2:])
        return cls(name, scope, since, until, kept, *words)

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Window:
        """Of an Operator entry: `id scope from to reason actor approved_by change_ref`, times in UTC ns."""
        words = (str(facts.get(name, "")) for name in ("reason", "actor", "approved_by", "change_ref"))
        return cls(str(facts["id"]), str(facts["scope"]), int(facts["from"]), int(facts["to"]), None, *words)

    def active(self, at: int) -> bool:
        return next(self.spans(at, at + 1), None) is not None

    def next_change(self, at: int) -> int | None:
        """When it next begins or ends after `at`; None where it does not any more, or not within HORIZON_NS."""
        for since, until in self.spans(at, at + HORIZON_NS):
            if since > at:
                return since
            return until if until < at + HORIZON_NS else None
        return None

    def spans(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """When it is open between start and end, in order, none touching the next."""
        return joined(self._occurrences(start, end), start, end)

    def _occurrences(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        if end <= start:
            return
        if self.weekly is None:
            yield self.since, self.until
            return
        zone = ZoneInfo(self.weekly.zone)
        first = local_day(zone, start - self.weekly.length_ns) - 1
        last = local_day(zone, end) + 1
        if self.weekly.first:
            first = max(first, self.weekly.first)
        if self.weekly.last:
            last = min(last, self.weekly.last)
        for day in range(first, last + 1):
            begin = self.weekly.begins(day)
            if begin is not None and begin < end:
                yield begin, begin + self.weekly.length_ns


def moment_ns(value: date | datetime, zone: str, *, end: bool = False) -> int:
    """UTC ns of a date or a time by the clocks of zone, if it does not name its own offset. A date as an end takes in that day."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return (value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    day = value.toordinal()
    if not isinstance(value, datetime):
        return instant(ZoneInfo(zone), day + end, 0)
    return instant(ZoneInfo(zone), day, value.hour * 60 + value.minute) + value.second * 10**9


def read_bounds(table: Table, zone: str) -> tuple[int, int]:
    """`from` and `to` in UTC ns. Both must be there."""
    since, until = table.moment("from"), table.moment("to")
    if since is None or until is None:
        key = "from" if since is None else "to"
        raise table.error(key, "write both from and to, such as from = 2026-10-01T22:00:00")
    begin, end = moment_ns(since, zone), moment_ns(until, zone, end=True)
    if end <= begin:
        raise table.error("to", "it must lie after from")
    return begin, end


def read_days(table: Table) -> tuple[int, int]:
    """`from` and `to` as ordinals of the first and the last day, 0 where they are not said."""
    found = []
    for key in ("from", "to"):
        value = table.moment(key)
        if isinstance(value, datetime):
            raise table.error(key, "beside weekly hours write a date alone, such as 2026-10-01")
        found.append(value.toordinal() if value else 0)
    if found[1] and found[1] < found[0]:
        raise table.error("to", "it must not lie before from")
    return found[0], found[1]


def read_window(table: Table, zone: str) -> Window:
    scope = table.text("scope")
    try:
        if scope != EVERYWHERE:
            check_node(scope)
    except ValueError as error:
        raise table.error("scope", f'{error}; or "{EVERYWHERE}"') from None
    zone = table.zone("time_zone", zone)
    since = until = 0
    weekly = None
    if "weekly" in table:
        days = weekdays(table.text("weekly"), table, "weekly")
        hour, _, minute = table.text("at").partition(":")
        if not (hour.isdecimal() and minute.isdecimal() and int(minute) < 60 and int(hour) * 60 < DAY_MIN):
            raise table.error("at", 'write the time at which it begins, such as "01:30"')
        length = table.span("length")
        if not MINUTE_NS <= length <= MAX_LENGTH_NS:
            raise table.error("length", "write at least 1m and at most 7d")
        weekly = Weekly(zone, days, int(hour) * 60 + int(minute), length, *read_days(table))
    else:
        since, until = read_bounds(table, zone)
    window = Window(
        id=table.text("id"),
        scope=scope,
        since=since,
        until=until,
        weekly=weekly,
        reason=table.text("reason"),
        by=table.text("by", ""),
        approved_by=table.text("approved_by"),
        change_ref=table.text("change_ref", ""),
    )
    table.done()
    return window
