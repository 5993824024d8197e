from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.detect.days_left import DaysLeft
from tillwatch.collector.detect.rating import ASSUMED, UNSAID, Rating, Stress, bounds
from tillwatch.collector.detect.wear import (
    DAY_NS,
    FASTER,
    LEAST,
    SCORES,
    SLOWER,
    begin,
    calendar_left,
    consume,
    days_left,
    due,
    elapse,
    heat,
    nearer,
    score,
    told,
    wear,
)

BATTERY = Rating("battery", "calendar", 4 * 365.25, 3 * 365.25, 5 * 365.25, Stress(25, 10, least=1), evidence="VRLA")
CUTTER = Rating("cutter", "counter", 1_500_000, 1_000_000, 1_800_000)
FAN = Rating("fan", "hours", 70_000, 50_000, 90_000, Stress(40, 25))


@pytest.mark.parametrize(("celsius", "factor"), [(25, 1), (35, 2), (45, 4), (15, 1), (30, 2**0.5)])
def test_heat_consumes_life(celsius: float, factor: float) -> None:
    assert BATTERY.stress is not None
    assert BATTERY.stress.factor(celsius) == pytest.approx(factor)
    assert BATTERY.stress.factors(np.array([celsius, np.nan])) == pytest.approx([factor, 1])


def test_a_fan_at_sixty_degrees_lives_as_long_as_its_maker_says() -> None:
    """40,000 h at 60 C, of 70,000 h at 40 C."""
    assert FAN.stress is not None
    assert FAN.rated / FAN.stress.factor(60) == pytest.approx(40_000, rel=0.01)


def test_each_temperature_holds_until_the_next() -> None:
    state = begin(0)
    for day in range(10):
        state = heat(BATTERY, state, day * DAY_NS, 25 if day < 5 else 35)
    assert elapse(BATTERY, state, 10 * DAY_NS).consumed == pytest.approx(5 * 1 + 5 * 2)


def test_over_a_gap_the_average_stands_and_the_gap_is_said() -> None:
    state = heat(BATTERY, begin(0), 0, 35)
    state = elapse(BATTERY, state, 10 * DAY_NS)
    assert state.consumed == pytest.approx(20)
    assert state.unmeasured == 9 * DAY_NS
    assert dict(wear(BATTERY, state, None).evidence)["without_temperature"] == pytest.approx(0.9)


def test_without_any_temperature_it_ages_as_rated() -> None:
    assert elapse(BATTERY, begin(0), 10 * DAY_NS).consumed == pytest.approx(10)


@given(
    st.lists(st.tuples(st.integers(1, 3 * DAY_NS), st.floats(25, 60)), min_size=1, max_size=30),
    st.integers(0, 5 * DAY_NS),
)
def test_cut_into_pieces_it_is_the_same(told_: list[tuple[int, float]], rest: int) -> None:
    """How often time is looked at changes nothing while a temperature stands; life is never given back."""
    whole = pieces = begin(0)
    at = 0
    for after, celsius in told_:
        for part in (3, 2, 1):
            pieces = elapse(BATTERY, pieces, at + min(after, DAY_NS) // part)
        at += after
        before = whole.consumed
        whole = heat(BATTERY, whole, at, celsius)
        pieces = heat(BATTERY, pieces, at, celsius)
        assert whole.consumed >= before
    assert pieces.consumed == pytest.approx(whole.consumed)
    assert elapse(BATTERY, whole, at + rest).consumed >= whole.consumed


def test_a_sensor_that_lies_is_not_believed() -> None:
    state = heat(BATTERY, begin(0), 0, 25)
    for lie in (-127.0, 850.0, float("nan")):
        assert heat(BATTERY, state, 0, lie) == state


def test_counts_are_consumed_at_the_temperature_that_stands() -> None:
    state = consume(FAN, heat(FAN, begin(0), 0, 65), DAY_NS // 2, 12)
    assert state.consumed == pytest.approx(24)
    assert consume(CUTTER, begin(0, 1000), 5, 7).consumed == 1007


def test_what_the_device_says_stands() -> None:
    drive = Rating("drive", "device_percent", 1, 1, 1)
    found = wear(drive, told(begin(0), 5, 1.04), None)
    assert (found.used_share, found.at_least) == (1.04, False)


def test_without_a_figure_there_is_no_share() -> None:
    nothing = Rating("belt", "counter", 0, 0, 0)
    found = wear(nothing, begin(0, 5000), DaysLeft(1, 2, 3))
    assert (found.used_share, found.days_left) == (None, None)
    assert ("consumed", 5000) in found.evidence
    assert not due(found, 1e9)


def test_an_assumed_figure_is_wider_and_says_so() -> None:
    assert bounds(100, assumed=True) == (100 / ASSUMED, 100 * ASSUMED)
    assert bounds(100, assumed=False) == (100 / UNSAID, 100 * UNSAID)
    assert bounds(4, assumed=True, said=(3, 5)) == (3, 5)
    found = wear(replace(CUTTER, assumed=True), begin(0, 750_000, partly=True), None)
    assert (found.used_share, found.at_least, dict(found.evidence)["assumed"]) == (0.5, True, True)


def test_a_calendar_life_ends_sooner_in_the_heat() -> None:
    hot = elapse(BATTERY, heat(BATTERY, begin(0), 0, 35), DAY_NS)
    left = calendar_left(BATTERY, hot)
    assert left is not None
    assert left.median == pytest.approx((4 * 365.25 - 2) / 2)
    assert left.low == pytest.approx((3 * 365.25 - 2) / 2)
    found = wear(BATTERY, hot, left)
    assert not due(found, 90)
    assert due(found, 3 * 365)
    assert calendar_left(replace(BATTERY, rated=0), hot) is None


def even(*rates: float, days: int = 56) -> np.ndarray:
    return np.repeat(np.array(rates, np.float32)[:, None], days, axis=1)


def test_days_left_by_the_rate_of_the_last_weeks() -> None:
    left = days_left(np.array([1_000_000.0]), CUTTER, even(1000.0)).of(0)
    assert left.median == pytest.approx(500)
    assert left.low == 0, "the first of them end at a million"
    assert left.high == pytest.approx(800_000 / 1000 / SLOWER)


def test_unscored_rates_may_double() -> None:
    exact = Rating("exact", "counter", 100_000, 100_000, 100_000)
    left = days_left(np.array([0.0]), exact, even(1000.0)).of(0)
    assert (left.low, left.median, left.high) == pytest.approx((100 / FASTER, 100, 100 / SLOWER))


def test_past_ratios_make_the_range() -> None:
    exact = Rating("exact", "counter", 100_000, 100_000, 100_000)
    ratios = np.full((2, SCORES), np.nan, np.float32)
    ratios[0] = np.linspace(0.8, 1.25, SCORES)
    pool = np.linspace(0.5, 2.0, 400, dtype=np.float32)
    left = days_left(np.zeros(2), exact, even(1000.0, 1000.0), ratios, pool)
    assert left.of(0).low == pytest.approx(100 / 1.25, rel=0.02)
    assert left.of(0).high == pytest.approx(100 / 0.8, rel=0.02)
    assert left.of(1).low == pytest.approx(100 / 1.925, rel=0.02)
    assert left.of(1).high == pytest.approx(100 / 0.575, rel=0.02)


def test_a_missing_monday_is_no_day_of_rest() -> None:
    exact = Rating("exact", "counter", 100_000, 100_000, 100_000)
    days = even(1000.0)
    days[0, 0::7] = np.nan
    assert days_left(np.zeros(1), exact, days).of(0).median == pytest.approx(100)


def test_what_rests_never_ends_and_too_few_days_say_nothing() -> None:
    assert days_left(np.zeros(1), CUTTER, even(0.0)).of(0) == DaysLeft(inf, inf, inf)
    assert days_left(np.zeros(1), CUTTER, even(5.0, days=LEAST - 1)).of(0).low == inf
    assert days_left(np.zeros(1), CUTTER, even(5.0, days=LEAST)).of(0).median == pytest.approx(300_000)


def test_a_rate_that_doubled_scores_two() -> None:
    days = even(1000.0, 0.0)
    days[0, -28:] = 2000
    found = score(days)
    assert found[0] == pytest.approx(2)
    assert np.isnan(found[1])


def test_of_two_ends_the_nearer_counts() -> None:
    one, other = DaysLeft(1, 20, 30), DaysLeft(5, 10, 90)
    assert nearer(one, other) == other
    assert nearer(None, one) == one
    assert nearer(None, None) is None


def test_the_range_holds_the_end_as_often_as_said() -> None:
    """Terminals whose use drifts by a few per cent a week, with a weekday pattern; ratios of other terminals of the kind make the range."""
    rng = np.random.default_rng(7)
    parts, days, now = 1200, 320, 150
    pace = np.exp(np.cumsum(0.01 * rng.standard_normal((parts, days)), axis=1)) * rng.uniform(200, 800, (parts, 1))
    counted = pace * np.array([1, 1, 1.2, 1, 1.6, 0.5, 0])[np.arange(days) % 7] * rng.gamma(4, 1 / 4, (parts, days))
    pool = np.concatenate([score(counted[:, end - 56 : end].astype(np.float32)) for end in (80, 110, 140)])
    exact = Rating("exact", "counter", 100_000, 100_000, 100_000)
    level = 100_000 - counted[:, now : now + 60].sum(axis=1) * rng.uniform(0.2, 1, parts)
    left = days_left(level, exact, counted[:, now - 56 : now].astype(np.float32), None, pool.astype(np.float32))
    came = (level[:, None] + np.cumsum(counted[:, now:], axis=1) >= exact.rated).argmax(axis=1) + 1
    inside = (left.low <= came) & (came - 1 <= left.high)
    assert 0.85 <= inside.mean() <= 0.97
