from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.figures.impact import FLAT, HOURS_OF_WEEK, Profile

MIN = 60 * 10**9
RISING = tuple(float(hour) for hour in range(HOURS_OF_WEEK))


def ns(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 10**9


@given(
    st.sampled_from(["UTC", "Asia/Shanghai", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    st.integers(0, 3 * 366 * 1440),
    st.integers(0, 3000),
)
def test_every_minute_has_the_weight_of_its_local_hour(zone, start, length):
    since = ns("2025-01-01T00:00:00") + start * MIN
    expected = 0.0
    for minute in range(length):
        at = datetime.fromtimestamp((since + minute * MIN) // 10**9, UTC).astimezone(ZoneInfo(zone))
        expected += RISING[at.weekday() * 24 + at.hour] / 60
    assert Profile(RISING, zone).expected(since, since + length * MIN) == pytest.approx(expected, abs=1e-6)


def test_a_flat_profile_counts_hours():
    assert Profile().expected(0, 90 * MIN) == 1.5
    assert Profile(FLAT, "Asia/Shanghai").expected(5, 5) == 0


def test_the_hour_that_summer_time_repeats_counts_twice():
    rush = tuple(10.0 if hour == 6 * 24 + 2 else 0.0 for hour in range(HOURS_OF_WEEK))  # Sundays, 02:00 to 03:00
    profile = Profile(rush, "Europe/Berlin")
    for day, hours in (("2026-10-18", 1), ("2026-10-25", 2), ("2026-03-29", 0)):
        midnight = ns(f"{day}T00:00:00", "Europe/Berlin")
        assert profile.expected(midnight, midnight + 12 * 60 * MIN) == pytest.approx(10 * hours), day


@pytest.mark.parametrize("weights", [FLAT[:-1], (0.0,) * 168, (*FLAT[:-1], -1.0), (*FLAT[:-1], float("nan"))])
def test_what_is_no_profile_is_refused(weights):
    with pytest.raises(ValueError, match="168 numbers"):
        Profile(weights)


def test_long_spans_add_up():
    since = ns("2026-01-01T00:00:00")
    profile = Profile(RISING, "Asia/Shanghai")
    week = timedelta(weeks=1) // timedelta(minutes=1) * MIN
    assert profile.expected(since, since + 30 * week) == pytest.approx(30 * sum(RISING))
