from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.detect.parts import (
    DAY_NS,
    LEARNED,
    SAME_CHANGE_NS,
    Dated,
    Evidence,
    Measured,
    NewLife,
    Numbered,
    PartState,
    Verdict,
    names,
    step,
)

NOW = 1_780_000_000 * 10**9
WORDS = ("battery", "RBC", "电池")


def run(*told: Evidence, state: PartState | None = None) -> tuple[PartState, list[NewLife]]:
    found, lives = state or PartState(), []
    for each in told:
        found, life = step(found, each, WORDS)
        lives += [life] if life else []
    return found, lives


def runtimes(*values: float, begin: int = NOW) -> list[Measured]:
    return [
        Measured(begin + n * DAY_NS, "ups.battery.runtime", value, 0.3, up=True, relative=True)
        for n, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("text", "word", "is_named"),
    [
        ("Battery set RBC7, two of them", "RBC", True),
        ("Battery set RBC 7", "rbc", True),
        ("new batterys", "battery", True),
        ("infant seat", "fan", False),
        ("Fan 2", "fan", True),
        ("更换了UPS电池", "电池", True),
        ("更换风扇", "电池", False),
    ],
)
def test_a_part_is_named_by_its_words(text: str, word: str, is_named: bool) -> None:
    assert names(text, word) is is_named


def test_a_verdict_that_names_it_begins_a_new_life() -> None:
    state, lives = run(Verdict(NOW, "fuser RM2-5425"), Verdict(NOW, "UPS battery"))
    assert [(life.at, life.why) for life in lives] == [(NOW, "verdict")]
    assert ("part", "UPS battery") in lives[0].evidence
    assert state.began == NOW


def test_the_first_date_says_when_it_began_and_the_next_that_it_is_new() -> None:
    state, lives = run(Dated(NOW, "2024-03-01"))
    assert (lives, datetime.fromtimestamp(state.began / 1e9, UTC).date().isoformat()) == ([], "2024-03-01")
    state, lives = run(Dated(NOW, "2026-05-20"), Dated(NOW + 1, "2026-05-20"), state=state)
    assert [life.why for life in lives] == ["date"]
    assert lives[0].evidence == (("before", "2024-03-01"), ("now", "2026-05-20"))


@pytest.mark.parametrize(
    "day", ["2000-01-01", "1970-01-01", "2099-01-01", "01/02/2026", "", "2026-02-30", "2023-01-01"]
)
def test_a_date_that_cannot_be_begins_nothing(day: str) -> None:
    state, _ = run(Dated(NOW, "2024-03-01"))
    assert run(Dated(NOW, day), state=state)[1] == []


def test_another_serial_is_another_part() -> None:
    _, lives = run(Numbered(NOW, ""), Numbered(NOW, "A1"), Numbered(NOW, "A1 "), Numbered(NOW + 5, "B2"))
    assert [(life.at, life.why) for life in lives] == [(NOW + 5, "serial")]


def test_a_runtime_that_recovers_and_stays_is_a_new_battery() -> None:
    _, lives = run(*runtimes(30, 29, 28, 27, 26, 25, 45, 46))
    assert [(life.at, life.why) for life in lives] == [(NOW + 6 * DAY_NS, "step")]


def test_one_high_reading_is_no_new_battery() -> None:
    assert run(*runtimes(30, 29, 28, 27, 26, 25, 45, 25, 26, 44, 25))[1] == []


def test_the_wrong_way_is_no_new_part() -> None:
    """A battery that fell to half is not new, nor a drive that is worn more."""
    assert run(*runtimes(30, 30, 30, 30, 30, 30, 12, 12, 12))[1] == []
    worn = [
        Measured(NOW + n, "drive.wear", value, 10, up=False) for n, value in enumerate([70, 70, 70, 70, 71, 90, 90])
    ]
    assert run(*worn)[1] == []
    fresh = [Measured(NOW + 9 + n, "drive.wear", 0, 10, up=False) for n in range(2)]
    assert [life.why for life in run(*worn, *fresh)[1]] == ["step"]


def test_one_change_that_shows_three_times_is_one_life() -> None:
    before = runtimes(30, 30, 30, 30, 30, 30, begin=NOW - 6 * DAY_NS)
    state, _ = run(Dated(NOW - 9 * DAY_NS, "2022-01-01"), *before)
    visit = [Verdict(NOW, "battery"), *runtimes(50, 50, 50, begin=NOW + DAY_NS), Dated(NOW + 3 * DAY_NS, "2026-05-28")]
    state, lives = run(*visit, state=state)
    assert [life.why for life in lives] == ["verdict"]
    later = NOW + SAME_CHANGE_NS + DAY_NS
    assert [life.why for life in run(Verdict(later, "battery"), state=state)[1]] == ["verdict"]


@given(st.lists(st.floats(29, 31), max_size=60))
def test_unrest_begins_no_life(values: list[float]) -> None:
    assert run(*runtimes(*values))[1] == []


@given(st.lists(st.floats(0, 100), max_size=60))
def test_whatever_is_read_lives_are_two_weeks_apart(values: list[float]) -> None:
    told = [Measured(NOW + n * DAY_NS, "x", value, 10, up=True) for n, value in enumerate(values)]
    starts = [life.at for life in run(*told)[1]]
    assert all(later - sooner >= SAME_CHANGE_NS for sooner, later in pairwise(starts))
    assert len(values) > LEARNED or not starts
