"""Business time against a plain reading of the clock, minute by minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.collector.duty.clocks_of_places import BERLIN, DAY, HOUR, MINUTE, SHANGHAI, ns, said
from tillwatch.collector.duty import calendars
from tillwatch.collector.duty.calendars import HORIZON_NS, Calendar, always, read_calendar
from tillwatch.collector.duty.tables import PolicyError, Table

TURNS = [
    (BERLIN, "2026-03-29 02:00"),
    (BERLIN, "2026-10-25 02:00"),
    ("America/New_York", "2026-03-08 02:00"),
    ("America/New_York", "2026-11-01 01:00"),
    ("Australia/Lord_Howe", "2026-04-05 01:30"),  # half an hour
    ("Australia/Lord_Howe", "2026-10-04 02:00"),
    ("America/Sao_Paulo", "2018-11-04 00:00"),  # midnight does not exist
    ("America/Sao_Paulo", "2018-02-17 23:00"),  # the last hour of a day twice
    ("Pacific/Apia", "2011-12-30 00:00"),  # a day that does not exist
    (SHANGHAI, "2026-02-14 00:00"),
    ("Pacific/Kiritimati", "2026-06-01 00:00"),  # the first place to have a day, and the last
    ("Pacific/Niue", "2026-06-01 00:00"),
    ("Asia/Kathmandu", "2026-12-31 23:00"),
]

STRETCH = 32 * DAY
"""Days are worked out by such stretches: where they meet nothing may be lost."""


def calendar(zone=SHANGHAI, hours="09:00-17:00", **keys):
    return read_calendar("c", Table("calendar.c", {"hours": hours, **keys}), zone, {})


def plain(calendar: Calendar, start: int, end: int) -> list[bool]:
    """For each minute whether it is open, by the latest time that the clocks have shown until then."""
    zone, found, latest = ZoneInfo(calendar.zone), [], datetime.fromisoformat("0001-01-01")
    for at in range(start - 3 * DAY, end, MINUTE):
        shown = datetime.fromtimestamp(at // 10**9, UTC).astimezone(zone).replace(tzinfo=None)
        latest = max(latest, shown)
        if at < start:
            continue
        minute = latest.hour * 60 + latest.minute
        found.append(
            any(
                since <= minute + back * 1440 < until
                for back in (0, 1)
                for since, until in hours_of(calendar, latest.date() - timedelta(days=back))
            )
        )
    return found


def hours_of(calendar: Calendar, day: date) -> tuple[tuple[int, int], ...]:
    return calendar.days.get(day.toordinal(), calendar.week[day.weekday()])


@st.composite
def calendars_and_times(draw) -> tuple[Calendar, int]:
    zone, turn = draw(st.sampled_from(TURNS))
    days = st.lists(st.integers(0, 47), min_size=0, max_size=6, unique=True).map(
        lambda marks: tuple((a * 30, b * 30) for a, b in list(pairwise(sorted(marks)))[::2])
    )
    late = st.one_of(
        days, st.tuples(st.integers(0, 1439), st.integers(1, 1440)).map(lambda span: ((span[0], sum(span)),))
    )
    week = tuple(draw(late) for _ in range(7))
    around = date.fromisoformat(turn[:10]).toordinal()
    others = draw(st.dictionaries(st.integers(around - 2, around + 2), late, max_size=3))
    at = ns(turn, zone) + draw(st.integers(-30 * 60, 30 * 60)) * MINUTE
    if draw(st.booleans()):
        at = at // STRETCH * STRETCH - draw(st.integers(0, 30 * 60)) * MINUTE
    return Calendar("drawn", zone, week, others), at


@settings(max_examples=120, deadline=None)
@given(calendars_and_times())
def test_every_minute_is_as_a_plain_reading_of_the_clock_has_it(drawn):
    hours, at = drawn
    end = at + 40 * HOUR
    expected = plain(hours, at, end)
    assert [hours.is_open(minute) for minute in range(at, end, MINUTE)] == expected
    assert hours.between(at, end) == sum(expected) * MINUTE
    opened = [since // MINUTE for since, until in hours.spans(at, end) for since in range(since, until, MINUTE)]
    assert opened == [minute for minute, there in enumerate(expected, at // MINUTE) if there]


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Niue", BERLIN])
def test_nothing_is_lost_where_stretches_of_days_meet(zone):
    hours = calendar(zone, "13:30-13:20")
    at = ns("2026-06-01 00:00", zone) // STRETCH * STRETCH - HOUR
    assert [hours.is_open(minute) for minute in range(at, at + 3 * HOUR, MINUTE)] == plain(hours, at, at + 3 * HOUR)


@settings(max_examples=300, deadline=None)
@given(calendars_and_times(), st.integers(0, 200 * HOUR), st.integers(0, 400 * HOUR), st.integers(0, 400 * HOUR))
def test_adding_and_measuring_agree(drawn, amount, ahead, more):
    hours, start = drawn
    due = hours.add(start, amount)
    if due < start + HORIZON_NS:
        assert hours.between(start, due) == amount
        assert amount == 0 or hours.between(start, due - 1) == amount - 1  # and not a moment later
    middle, end = start + ahead, start + ahead + more
    spent = hours.between(start, end)
    assert hours.between(start, middle) + hours.between(middle, end) == spent
    assert hours.add(start, spent) <= end
    spans = list(hours.spans(start, end))
    assert sum(until - since for since, until in spans) == spent
    assert all(before < after for (_, before), (after, _) in pairwise(spans))
    assert all(hours.is_open(since) and hours.is_open(until - 1) for since, until in spans)
    assert not any(hours.is_open(until) for _, until in spans if until < end)


@settings(max_examples=200, deadline=None)
@given(calendars_and_times())
def test_the_next_change_is_where_spans_begin_and_end(drawn):
    hours, at = drawn
    changes, moment = [], at
    for _ in range(6):
        change = hours.next_change(moment)
        if change is None:
            break
        assert hours.is_open(change) != hours.is_open(change - 1)
        changes.append(change)
        moment = change
    edges = sorted(edge for span in hours.spans(at - 20 * DAY, at + 40 * DAY) for edge in span)
    assert changes == [edge for edge in edges if edge > at][: len(changes)]
    opening = hours.opens(at)
    assert opening == at if hours.is_open(at) else opening >= at
    last = hours.last_open(at)
    assert hours.between(last, at) == 0
    assert last == at or not any(hours.week) or hours.is_open(last - 1)


@pytest.mark.parametrize(
    ("day", "hours", "opens", "closes"),
    [
        # 02:30 does not exist on the first of them and comes twice on the second.
        ("2026-03-29", "02:30-10:00", "2026-03-29 03:00", "2026-03-29 10:00"),
        ("2026-03-29", "01:00-02:30", "2026-03-29 01:00", "2026-03-29 03:00"),
        ("2026-10-25", "02:30-10:00", "2026-10-25 02:30", "2026-10-25 10:00"),
        ("2026-10-25", "01:00-02:30", "2026-10-25 01:00", "2026-10-25 02:30"),
    ],
)
def test_an_hour_that_is_not_there_or_comes_twice(day, hours, opens, closes):
    times = calendar(BERLIN, hours)
    assert [*times.spans(ns(f"{day} 00:00", BERLIN), ns(f"{day} 23:00", BERLIN))] == [
        (ns(opens, BERLIN), ns(closes, BERLIN))
    ]


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
def test_shifts_that_meet_on_the_clock_meet_in_time(day, hours):
    """No minute without anybody, none with two."""
    start = ns(f"{day} 00:00", BERLIN)
    end = start + hours * HOUR
    meeting = [calendar(BERLIN, each) for each in ("18:00-02:30", "02:30-10:00", "10:00-18:00")]
    assert sum(each.between(start, end) for each in meeting) == hours * HOUR
    assert calendar(BERLIN, "00:00-24:00").between(start, end) == hours * HOUR


def test_hours_past_midnight_belong_to_the_day_on_which_they_begin():
    night = calendar(hours={"fri": "22:00-06:00"}, days={"2026-10-03": "closed"})  # the Saturday behind a Friday
    assert [*night.spans(ns("2026-10-02 00:00"), ns("2026-10-05 00:00"))] == [
        (ns("2026-10-02 22:00"), ns("2026-10-03 06:00"))
    ]


def test_a_long_night_over_a_short_day_is_one():
    hours = calendar(hours={"mon": "20:00-19:00", "tue": "08:00-12:00"})
    start = ns("2026-10-05 00:00")  # a Monday
    assert [*hours.spans(start, start + 3 * DAY)] == [(ns("2026-10-05 20:00"), ns("2026-10-06 19:00"))]
    assert hours.between(start, start + 3 * DAY) == 23 * HOUR
    assert hours.is_open(ns("2026-10-06 18:59"))


def test_holidays_and_working_days_of_a_country():
    holidays = {"CN": {date(2026, 2, 17).toordinal(): False, date(2026, 2, 14).toordinal(): True}}
    row = {
        "hours": {"mon-fri": "09:00-17:30", "sat": "10:00-12:00"},
        "holidays": "CN",
        "days": {"2026-02-18..2026-02-19": "closed", "2026-02-20": "09:00-12:00", "2026-02-22": "fri"},
    }
    business = read_calendar("business", Table("calendar.business", row), SHANGHAI, holidays)
    open_days = [
        (said(since), said(until)[11:])
        for since, until in business.spans(ns("2026-02-12 00:00"), ns("2026-02-23 00:00"))
    ]
    assert open_days == [
        ("2026-02-12 09:00", "17:30"),
        ("2026-02-13 09:00", "17:30"),
        ("2026-02-14 09:00", "17:30"),  # a make-up Saturday has the hours of a weekday, not those of a Saturday
        ("2026-02-16 09:00", "17:30"),
        ("2026-02-20 09:00", "12:00"),  # the bank's own days come before the country's
        ("2026-02-21 10:00", "12:00"),
        ("2026-02-22 09:00", "17:30"),
    ]
    # Four hours from Monday 16:00: an hour and a half on Monday, the rest after the holidays.
    assert said(business.add(ns("2026-02-16 16:00"), 4 * HOUR)) == "2026-02-20 11:30"


def test_the_make_up_day_may_have_the_hours_of_another_weekday():
    holidays = {"CN": {date(2026, 2, 14).toordinal(): True}}
    row = {"hours": {"mon": "09:00-10:00", "tue": "11:00-12:00"}, "holidays": "CN", "working_day": "tue"}
    business = read_calendar("business", Table("calendar.business", row), SHANGHAI, holidays)
    assert [said(since) for since, _ in business.spans(ns("2026-02-14 00:00"), ns("2026-02-15 00:00"))] == [
        "2026-02-14 11:00"
    ]


def test_the_same_hours_by_the_clocks_of_another_place():
    here, there = calendar(), calendar().in_zone("Asia/Urumqi")
    assert there.opens(ns("2026-06-01 00:00")) - here.opens(ns("2026-06-01 00:00")) == 2 * HOUR
    assert here.in_zone(SHANGHAI) is here


def test_always_is_always():
    assert always().between(0, 10 * DAY) == 10 * DAY
    assert always().add(5, 7) == 12
    assert always().next_change(ns("2026-01-01 00:00")) is None
    assert [*always().spans(3, 100 * DAY)] == [(3, 100 * DAY)]
    assert [*always().spans(3, 3)] == []


def test_a_search_ends_where_nothing_opens():
    past = Calendar("past", SHANGHAI, (((0, 60),),) * 7, last=date(2026, 1, 1).toordinal())
    start = ns("2026-02-01 00:00")
    assert past.add(start, 1) == start + HORIZON_NS
    assert past.next_change(start) is None
    assert said(past.last_open(start)) == "2026-01-01 01:00"
    assert past.last_open(start + 2 * HORIZON_NS) == start + HORIZON_NS
    assert not past.is_open(2**63 - 1)  # the last moment that ns can say


def test_days_are_worked_out_once(monkeypatch):
    worked, instant = [], calendars.instant
    monkeypatch.setattr(calendars, "instant", lambda *said: (worked.append(said), instant(*said))[1])
    business = calendar(BERLIN, {"mon-fri": "09:00-12:00 13:00-17:00"})
    start = ns("2026-03-20 00:00", BERLIN)
    for minute in range(10_000):
        business.add(start + minute * MINUTE, 4 * HOUR)
    # Two stretches of 32 days, with two before and one behind that may reach into them, of two spans each.
    assert len(worked) <= 2 * 35 * 2 * 2


def test_what_is_kept_is_bounded(monkeypatch):
    business, start = calendar(BERLIN), ns("2026-03-20 00:00", BERLIN)
    whole = calendar(BERLIN).between(start, start + 400 * DAY)
    monkeypatch.setattr(calendars, "MAX_BLOCKS", 3)
    assert business.between(start, start + 400 * DAY) == whole
    assert business.between(start, start + 400 * DAY) == whole
    assert len(business._blocks) <= 3


@pytest.mark.parametrize(
    ("row", "mend"),
    [
        ({"hours": 8}, r"\[calendar.c\] hours = '8': write \"24x7\""),
        ({"hours": "9-5"}, "hours such as"),
        ({"hours": "09:00-25:00"}, "no time of day"),
        ({"hours": "24:00-25:00"}, "no time of day"),
        ({"hours": "09:60-10:00"}, "no time of day"),
        ({"hours": "09:00-12:00 and 13:00-17:00"}, "hours such as"),
        ({"hours": "09:00-12:00 11:00-13:00"}, "overlap"),
        ({"hours": [9]}, "hours such as"),
        ({"hours": {}}, "never open"),
        ({"hours": {"mon": "closed"}}, "never open"),
        ({"hours": {"mo": "09:00-10:00"}}, "names no days"),
        ({"hours": {"mon-fri": "09:00-10:00", "wed": "09:00-11:00"}}, "wed stands there twice"),
        ({"hours": "24x7", "holiday": "CN"}, "unknown key 'holiday'"),
        ({"hours": "24x7", "working_day": "friday"}, "one of mon, tue"),
        ({"days": {"1 May": "closed"}}, r"\[calendar.c.days\] 1 May.*no date"),
        ({"days": {"2026-02-30": "closed"}}, "no date"),
        ({"days": {"2026-05-01..2026-04-01": "closed"}}, "go forward"),
        ({"days": {"2026-05-01..2029-04-01": "closed"}}, "at most 400 days"),
        ({"days": {"2026-05-01": "off"}}, "hours such as"),
    ],
)
def test_wrong_hours_are_told_with_key_and_mend(row, mend):
    with pytest.raises(PolicyError, match=mend):
        read_calendar("c", Table("calendar.c", row), SHANGHAI, {})


@pytest.mark.parametrize(
    ("hours", "week"),
    [
        ("24x7", [((0, 1440),)] * 7),
        ("08:00-08:00", [((480, 1920),)] * 7),
        (["09:00-12:00", "13:00-17:00"], [((540, 720), (780, 1020))] * 7),
        ({"fri-mon": "10:00-11:00"}, [((600, 660),), (), (), (), ((600, 660),), ((600, 660),), ((600, 660),)]),
        ({"mon, wed": "13:00-14:00, 10:00-11:00"}, [d := ((600, 660), (780, 840)), (), d, (), (), (), ()]),
    ],
)
def test_hours_are_written_in_several_ways(hours, week):
    assert list(calendar(hours=hours).week) == week
