"""Public holidays become dates in the text that is journaled."""

from __future__ import annotations

import pytest

from tests.collector.duty.clocks_of_places import ns, said
from tillwatch.collector.duty.policy import parse_policy, shipped_policy
from tillwatch.collector.duty.public_holidays import resolve
from tillwatch.collector.duty.tables import PolicyError


def business(text: str, *years: int):
    return parse_policy(resolve(text, years), shipped=resolve(shipped_policy(), years)).calendars["business"]


def opened(calendar, first: str, last: str) -> list[str]:
    return [said(since)[:10] for since, _ in calendar.spans(ns(f"{first} 00:00"), ns(f"{last} 00:00"))]


def test_the_make_up_sunday_of_a_spring_festival_is_a_working_day():
    # Published by the State Council for 2025: off from 28 January to 4 February, at work on Sunday 26 January and Saturday 8 February.
    days = opened(business("", 2025), "2025-01-25", "2025-02-10")
    assert days == ["2025-01-26", "2025-01-27", "2025-02-05", "2025-02-06", "2025-02-07", "2025-02-08"]


def test_only_the_years_asked_for_and_all_of_them():
    text = resolve(shipped_policy(), (2025, 2026))
    days = {line[1:5] for line in text.replace("[", "").replace(", ", "\n").splitlines() if line.startswith('"20')}
    assert days == {"2025", "2026"}


def test_a_resolved_text_stays_as_it_is():
    once = resolve(shipped_policy(), (2026,))
    assert resolve(once, (2027,)) == once
    assert resolve("", (2026,)) == ""


def test_the_bank_adds_days_and_another_place_has_its_own():
    text = '[calendar.business]\nholidays = ["DE-BY"]\n[calendar.business.days]\n"2026-12-24" = "closed"\n'
    days = opened(business(text, 2026), "2026-12-23", "2026-12-30")
    assert days == ["2026-12-23", "2026-12-28", "2026-12-29"]
    assert "2026-01-06" in resolve(text, (2026,))  # Epiphany, in Bavaria and not in all of Germany


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ('[calendar.x]\nholidays = "XX"\n', r"holidays: 'XX' is not known; write a country such as CN.*\[holidays.XX\]"),
        ('[calendar.x]\nholidays = "CN-ZZ"\n', "'CN-ZZ' is not known"),
        ('[calendar.x]\nholidays = "China"\n', "'China' is not known"),
        ('[calendar.x]\nholidays = "CN"\n[holidays]\nDE = 3\n', ""),
        ('holidays = { DE = { days = [] } }\n[calendar.x]\nholidays = "CN"\n', r"write each place as a table, \[holidays.XX\]"),
        ("[calendar", "policy: "),
    ],
)  # fmt: skip
def test_a_place_that_is_not_known_is_told(text, mend):
    if not mend:
        assert "[holidays.CN]" in resolve(text, (2026,))
        return
    with pytest.raises(PolicyError, match=mend):
        resolve(text, (2026,))
