"""Maintenance windows: what they cover and when they are open, also while the clocks are set."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.collector.duty.clocks_of_places import BERLIN, DAY, HOUR, MINUTE, SHANGHAI, ns, said
from tillwatch.collector.duty.tables import PolicyError, Table
from tillwatch.collector.duty.windows import Weekly, Window, covers, read_window

ONCE = {
    "id": "w",
    "scope": "all",
    "from": datetime.fromisoformat("2026-10-01 22:00"),
    "to": datetime.fromisoformat("2026-10-02 04:00"),
    "reason": "new switches",
    "approved_by": "Li Na",
}
WEEKLY = {
    **{key: ONCE[key] for key in ("id", "scope", "reason", "approved_by")},
    "weekly": "sun",
    "at": "01:30",
    "length": "2h",
}


def read(row, zone=SHANGHAI):
    return read_window(Table("window", row, row=1), zone)


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        ("all", ["T1", "T1 ups", "T1 ups/battery", "T2", "T2 ups"]),
        ("region:north", ["T1", "T1 ups", "T1 ups/battery"]),
        ("branch:harbour", ["T1", "T1 ups", "T1 ups/battery"]),
        ("T1", ["T1", "T1 ups", "T1 ups/battery"]),
        ("T1/ups*", ["T1 ups", "T1 ups/battery"]),
        ("T1/ups", ["T1 ups"]),
        ("T3", []),
    ],
)
def test_what_a_scope_takes_in(scope, covered):
    places = {"T1": ("harbour", "north"), "T2": ("market", "south")}
    asked = [(terminal, part) for terminal in places for part in ("", "ups", "ups/battery")]
    window = Window("w", scope, 0, 1)
    found = [
        f"{terminal} {part}".strip() for terminal, part in asked if window.covers(terminal, *places[terminal], part)
    ]
    expected = [each for each in covered if each not in ("T2", "T2 ups")] + [
        f"T2 {part}".strip() for part in ("", "ups", "ups/battery") if scope == "all"
    ]
    assert found == expected


def test_a_branch_is_no_region_of_the_same_name():
    assert not covers("region:x", "T1", "x", "y")
    assert not covers("branch:x", "T1", "y", "x")


def test_once():
    window = read(ONCE)
    since, until = ns("2026-10-01 22:00"), ns("2026-10-02 04:00")
    assert [window.active(at) for at in (since - 1, since, until - 1, until)] == [False, True, True, False]
    assert [window.next_change(at) for at in (since - 1, since, until - 1, until)] == [since, until, until, None]
    assert [*window.spans(since + HOUR, until + DAY)] == [(since + HOUR, until)]
    assert (window.reason, window.approved_by, window.by) == ("new switches", "Li Na", "")


def test_a_time_may_name_its_own_offset_and_a_last_day_is_taken_in():
    window = read({**ONCE, "from": datetime(2026, 10, 1, 22, 0, tzinfo=UTC), "to": date.fromisoformat("2026-10-03")})
    assert [said(at) for at in (window.since, window.until)] == ["2026-10-02 06:00", "2026-10-04 00:00"]


def test_weekly_over_the_turn_of_the_clocks():
    """02:30 is not there on 29 March and comes twice on 25 October; two hours of work are two hours."""
    window = read({**WEEKLY, "at": "02:30"}, BERLIN)
    for day, spans in {
        "2026-03-22": ("02:30", "04:30"),
        "2026-03-29": ("03:00", "05:00"),
        "2026-10-25": ("02:30", "03:30"),
    }.items():
        [(since, until)] = window.spans(ns(f"{day} 00:00", BERLIN), ns(f"{day} 12:00", BERLIN))
        assert until - since == 2 * HOUR
        assert (said(since, BERLIN)[11:], said(until, BERLIN)[11:]) == spans


def test_weekly_between_two_days():
    window = read({**WEEKLY, "from": date.fromisoformat("2026-10-05"), "to": date.fromisoformat("2026-10-18")})
    start = ns("2026-09-01 00:00")
    assert [said(since) for since, _ in window.spans(start, start + 90 * DAY)] == [
        "2026-10-11 01:30",
        "2026-10-18 01:30",
    ]
    assert said(window.next_change(start)) == "2026-10-11 01:30"
    assert window.next_change(ns("2026-10-18 03:30")) is None


def test_windows_that_touch_are_one():
    window = read({**WEEKLY, "weekly": "daily", "at": "00:00", "length": "1d"})
    start = ns("2026-01-01 00:00")
    assert [*window.spans(start, start + 30 * DAY)] == [(start, start + 30 * DAY)]
    assert window.next_change(start) is None


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([SHANGHAI, BERLIN, "Pacific/Apia", "Australia/Lord_Howe"]),
    st.sets(st.integers(0, 6), min_size=1).map(tuple),
    st.integers(0, 1439),
    st.integers(1, 7 * 1440),
    st.integers(-5000, 5000),
)
def test_active_changes_and_spans_tell_the_same(zone, days, minute, length, away):
    window = Window("w", "all", weekly=Weekly(zone, days, minute, length * MINUTE))
    start = ns("2026-03-29 00:00", zone) + away * MINUTE
    end = start + 16 * DAY
    spans = [*window.spans(start, end)]
    assert all(before < after for (_, before), (after, _) in pairwise(spans))
    moment, edges = start, []
    while (change := window.next_change(moment)) is not None and change < end:
        assert window.active(change) != window.active(change - 1)
        edges.append(change)
        moment = change
    assert edges == [edge for span in spans for edge in span if start < edge < end]
    shown = [datetime.fromtimestamp(since // 10**9, UTC).astimezone(ZoneInfo(zone)) for since, _ in spans[1:]]
    assert all(each.weekday() in days for each in shown)


@pytest.mark.parametrize(
    ("row", "mend"),
    [
        ({**ONCE, "scope": "branch:"}, r'\[\[window\]\] number 1, scope = .branch:.: write "region:NAME"'),
        ({**ONCE, "scope": "T1/"}, 'or "all"'),
        ({**ONCE, "scope": "every where"}, 'or "all"'),
        ({**ONCE, "from": "2026-10-01"}, "without quotes"),
        ({key: value for key, value in ONCE.items() if key != "to"}, "to: write both from and to"),
        ({**ONCE, "to": datetime.fromisoformat("2026-10-01 22:00")}, "must lie after"),
        ({**ONCE, "approved_by": " "}, "approved_by"),
        ({**WEEKLY, "weekly": "sunday"}, "names no days"),
        ({**WEEKLY, "at": "24:00"}, 'such as "01:30"'),
        ({**WEEKLY, "at": "1"}, 'such as "01:30"'),
        ({**WEEKLY, "length": "8d"}, "at most 7d"),
        ({**WEEKLY, "length": "0s"}, "at least 1m"),
        ({**WEEKLY, "from": datetime.fromisoformat("2026-10-01 22:00")}, "a date alone"),
        ({**WEEKLY, "from": date.fromisoformat("2026-10-02"), "to": date.fromisoformat("2026-10-01")}, "before from"),
        ({**WEEKLY, "time_zone": "Berlin"}, "Europe/Berlin"),
        ({**WEEKLY, "hours": "01:00-02:00"}, "unknown key 'hours'"),
    ],
)
def test_a_wrong_window_is_told_with_key_and_mend(row, mend):
    with pytest.raises(PolicyError, match=mend):
        read(row)
