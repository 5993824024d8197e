from __future__ import annotations

import itertools
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tillwatch.collector.figures.period import PeriodError, months_before, period

ZONE = "Asia/Shanghai"
H = 3600 * 10**9


def ns(text, zone=ZONE):
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 10**9


def test_the_last_month_that_is_over_is_the_usual_one():
    assert period(None, None, None, ZONE, ns("2027-01-01")) == ("2026-12", ns("2026-12-01"), ns("2027-01-01"))
    assert period(None, None, None, ZONE, ns("2027-01-01") - 1)[0] == "2026-11"
    assert period("2026-12", None, None, ZONE, 0)[2] == ns("2027-01-01")


def test_months_are_by_the_clocks_of_the_zone():
    _, start, end = period("2026-03", None, None, "Europe/Berlin", 0)
    assert (end - start) // H == 31 * 24 - 1
    assert period(None, "2026-03-01T08:00:00", "2026-03-01T08:00:00+00:00", "Europe/Berlin", 0)[1:] == (
        ns("2026-03-01T07:00:00", "UTC"),
        ns("2026-03-01T08:00:00", "UTC"),
    )
    assert period(None, "2026-03-01", None, ZONE, ns("2026-03-05T12:00:00")) == (
        "2026-03-01_2026-03-05",
        ns("2026-03-01"),
        ns("2026-03-05T12:00:00"),
    )
    with pytest.raises(PeriodError):
        period("0000-01", None, None, ZONE, 0)


@pytest.mark.parametrize(
    "asked",
    [
        ("9999-12", None, None),
        ("2026-10", "2026-10-01", None),
        (None, None, "2026-10-01"),
        (None, "0001-01-01", None),
        (None, "9999-12-31T23:00:00", "9999-12-31T23:30:00"),
        (None, "2026-10-02", "2026-10-01"),
        (None, "2026-10-02", "2036-10-01"),
        (None, "soon", None),
    ],
)
def test_what_is_no_period_is_said(asked):
    with pytest.raises(PeriodError):
        period(*asked, ZONE, ns("2026-12-01"))


def test_the_months_before_one_are_whole_and_touch():
    found = months_before("2026-02", 12, ZONE)
    assert [name for name, _, _ in found][:2] == ["2025-03", "2025-04"]
    assert [name for name, _, _ in found][-1] == "2026-02"
    assert all(end == start for (_, _, end), (_, start, _) in itertools.pairwise(found))
