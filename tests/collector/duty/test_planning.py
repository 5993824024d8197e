"""Planned work as it is asked for: what is refused, whom it covers, and the nights of places on both sides of midnight and of summer time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.duty.clocks_of_places import BERLIN, DAY, HOUR, MINUTE, SHANGHAI, ns, said
from tillwatch.collector.duty.planning import (
    LARGE_SHARE,
    MAX_DAYS,
    MAX_OCCURRENCES,
    MAX_WORDS,
    Place,
    PlanError,
    check_approval,
    check_span,
    check_words,
    extent,
    occurrences,
    overlapping,
    state_of,
    tonight,
    zone_of_scope,
)
from tillwatch.collector.duty.policy import parse_policy
from tillwatch.collector.duty.windows import Weekly, Window

PLACES = {
    "atm-1": Place("Harbour", "South"),
    "atm-2": Place("Harbour", "South"),
    "atm-3": Place("Market", "South"),
    "pos-9": Place("Far West", "West"),
}
NIGHTLY = Window("nightly", "branch:Harbour", weekly=Weekly(SHANGHAI, (0, 1, 2, 3, 4, 5, 6), 120, 30 * MINUTE))
NOW = ns("2026-02-14 15:00")


@pytest.mark.parametrize(
    ("scope", "terminals", "large"),
    [
        ("all", ("atm-1", "atm-2", "atm-3", "pos-9"), True),
        ("region:South", ("atm-1", "atm-2", "atm-3"), True),
        ("branch:Harbour", ("atm-1", "atm-2"), False),
        ("atm-3", ("atm-3",), False),
    ],
)
def test_a_scope_covers_who_stands_in_it(scope, terminals, large):
    found = extent(scope, PLACES)
    assert (found.terminals, found.large) == (terminals, large)
    assert found.share == len(terminals) / 4
    assert large == (found.share > LARGE_SHARE)


def test_a_scope_of_parts_names_those_that_are_there():
    found = extent("atm-1/ups*", PLACES, ["ups", "ups/battery", "printer"])
    assert (found.terminals, found.components, found.large) == (("atm-1",), ("ups", "ups/battery"), False)


@pytest.mark.parametrize(
    ("scope", "says"),
    [
        ("branch:Harbor", "no branch is called Harbor; did you mean Harbour?"),
        ("region:North", "no region is called North"),
        ("atm-7", "no terminal is called atm-7"),
        ("atm-1/pin*", "no component of atm-1 is called pin*"),
        ("branch:", 'or "all"'),
        ("", 'or "all"'),
        ("all of it", 'or "all"'),
    ],
)
def test_a_scope_that_nobody_has_is_refused(scope, says):
    with pytest.raises(PlanError) as refused:
        extent(scope, PLACES, ["ups"])
    assert refused.value.field == "scope"
    assert says in str(refused.value)


def test_a_fleet_of_one_is_never_warned_of():
    assert not extent("all", {"atm-1": Place("Harbour", "South")}).large
    assert extent("all", {}).terminals == ()


@pytest.mark.parametrize(
    ("since", "until", "says"),
    [
        (NOW, NOW, "must lie after"),
        (NOW - 2 * HOUR, NOW - HOUR, "must lie after"),
        (NOW + HOUR, NOW, "must lie after"),
        (NOW, NOW + MAX_DAYS * DAY + 1, "longer than 92 days"),
    ],
)
def test_a_window_ends_in_time(since, until, says):
    with pytest.raises(PlanError, match=says) as refused:
        check_span(since, until, NOW)
    assert refused.value.field == "to"


def test_a_window_may_have_begun_and_last_for_92_days():
    check_span(NOW - HOUR, NOW + 1, NOW)
    check_span(NOW, NOW + MAX_DAYS * DAY, NOW)


@pytest.mark.parametrize("text", ["x" * (MAX_WORDS + 1), "a\nb", "\x1b[31m", "", "  "])
def test_words_are_printable_and_said(text):
    with pytest.raises(PlanError):
        check_words(text, "reason", needed=True)


def test_words_lose_their_blanks():
    assert check_words("  更换 UPS ", "reason", needed=True) == "更换 UPS"
    assert check_words("", "change_ref") == ""


@pytest.mark.parametrize("name", ["li.na", "LI.NA", "root", " li.na "])
def test_nobody_agrees_to_his_own_window(name):
    with pytest.raises(PlanError, match="somebody else has to agree"):
        check_approval(name, "li.na (as root)")
    assert check_approval(" Chen Jun ", "li.na (as root)") == "Chen Jun"


def test_times_are_by_the_clocks_of_the_branch():
    policy = parse_policy('[branch."Far West"]\ntime_zone = "Asia/Urumqi"')
    zones = {scope: zone_of_scope(scope, policy, PLACES) for scope in ("all", "region:West", "branch:Far West", "pos-9", "pos-9/ups", "atm-1")}  # fmt: skip
    assert [scope for scope, zone in zones.items() if zone == "Asia/Urumqi"] == ["branch:Far West", "pos-9", "pos-9/ups"]  # fmt: skip


def test_only_windows_that_meet_over_a_terminal_overlap():
    asked = Window("M-1", "atm-1", NOW, NOW + DAY)
    elsewhere = Window("M-2", "branch:Market", NOW, NOW + DAY)
    later = Window("M-3", "atm-1", NOW + DAY, NOW + 2 * DAY)
    part = Window("M-4", "atm-1/ups", NOW + HOUR, NOW + 2 * HOUR)
    found = overlapping(asked, [asked, elsewhere, later, part, NIGHTLY], PLACES)
    assert [each.id for each in found] == ["M-4", "nightly"]


def test_occurrences_are_whole_where_a_look_cuts_them():
    begun = ns("2026-02-14 02:00")
    once = Window("once", "all", begun - HOUR, begun + HOUR)
    found, more = occurrences([NIGHTLY, once], begun + MINUTE, begun + 2 * MINUTE)
    assert [(each.window.id, each.since, each.until) for each in found] == [
        ("once", begun - HOUR, begun + HOUR),
        ("nightly", begun, begun + 30 * MINUTE),
    ]
    assert more == 0


def test_occurrences_are_bounded_and_the_rest_is_counted():
    windows = [Window(f"M-{n}", "all", NOW + n, NOW + DAY) for n in range(MAX_OCCURRENCES + 5)]
    found, more = occurrences(windows, NOW, NOW + DAY)
    assert (len(found), more) == (MAX_OCCURRENCES, 5)


@given(st.integers(0, 60), st.integers(1, 10 * 24), st.sampled_from([SHANGHAI, BERLIN, "America/New_York"]))
def test_what_is_open_at_an_instant_is_among_the_occurrences_around_it(days, hours, zone):
    window = Window("w", "all", weekly=Weekly(zone, (0, 2, 6), 1380, 3 * HOUR))
    at = ns("2026-03-01 00:00", zone) + days * DAY + hours * HOUR // 3
    found, _ = occurrences([window], at, at + 1)
    assert bool(found) == window.active(at)


@pytest.mark.parametrize(
    ("zone", "now", "since", "until"),
    [
        (SHANGHAI, "2026-02-14 15:00", "2026-02-14 22:00", "2026-02-15 06:00"),
        (SHANGHAI, "2026-02-14 23:30", "2026-02-14 23:30", "2026-02-15 06:00"),
        (SHANGHAI, "2026-02-14 02:10", "2026-02-14 02:10", "2026-02-14 06:00"),
        (SHANGHAI, "2026-02-14 06:00", "2026-02-14 22:00", "2026-02-15 06:00"),
        (BERLIN, "2026-03-28 12:00", "2026-03-28 22:00", "2026-03-29 06:00"),
    ],
)
def test_tonight_is_the_night_that_comes_or_what_is_left_of_it(zone, now, since, until):
    begin, end = tonight(zone, ns(now, zone) + 29 * 10**9)
    assert (said(begin, zone), said(end, zone)) == (since, until)
    assert begin % MINUTE == 0


def test_the_night_in_which_the_clocks_are_set_is_an_hour_shorter():
    begin, end = tonight(BERLIN, ns("2026-03-28 12:00", BERLIN))
    assert end - begin == 7 * HOUR


def test_the_state_of_a_window_says_which_stretch_it_is_of():
    begun = ns("2026-02-14 02:00")
    assert state_of(NIGHTLY, begun + MINUTE) == ("open", begun, begun + 30 * MINUTE)
    assert state_of(NIGHTLY, begun - HOUR) == ("to come", begun, begun + 30 * MINUTE)
    once = Window("once", "all", NOW, NOW + HOUR)
    assert state_of(once, NOW) == ("open", NOW, NOW + HOUR)
    assert state_of(once, NOW - 1) == ("to come", NOW, NOW + HOUR)
    assert state_of(once, NOW + HOUR) == ("over", NOW, NOW + HOUR)
