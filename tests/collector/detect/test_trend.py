from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tillwatch.collector.detect import trend
from tillwatch.collector.detect.days_left import NORMAL, no_scores, width
from tillwatch.collector.detect.trend import (
    DAYS,
    FALSE,
    LEAD,
    LEAST,
    fit,
    forget,
    no_history,
    put,
    score,
    time_to,
    window,
)

AT = np.arange(1 - DAYS, 1)
F32 = NDArray[np.float32]


def noise(rng: np.random.Generator, series: int, days: int, carried: float) -> NDArray[np.float64]:
    """Stationary, a day having the share `carried` of the day before."""
    found = rng.standard_normal((series, days + 60))
    for day in range(1, days + 60):
        found[:, day] += carried * found[:, day - 1]
    return found[:, 60:]


@given(
    st.floats(-50, 50).filter(lambda slope: abs(slope) > 1e-2),
    st.floats(-1e4, 1e4),
    st.sets(st.integers(0, DAYS - 1), max_size=DAYS - LEAST - 14),
)
def test_a_line_is_found_exactly(slope: float, level: float, missing: set[int]) -> None:
    values = (level + slope * AT).astype(np.float32)[None]
    values[0, list(missing)] = np.nan
    found = fit(values)
    tolerance = 1e-5 * (abs(level) + abs(slope) * DAYS)
    assert found.slope[0] == pytest.approx(slope, rel=1e-3, abs=tolerance)
    assert found.level[0] == pytest.approx(level, abs=0.1 * abs(slope) + tolerance)
    left = time_to(found, level + 30 * slope, NORMAL, rising=slope > 0).of(0)
    assert left.median == pytest.approx(30, abs=0.5)
    assert left.low <= left.median <= left.high
    assert not left.silent(40)


def test_a_value_in_whole_steps_is_a_line_all_the_same() -> None:
    """A drive says 40, 40, 40, 41: a percent in ten days."""
    found = fit(np.floor(40.55 + 0.1 * AT).astype(np.float32)[None])
    assert found.slope[0] == pytest.approx(0.1, abs=0.01)
    left = time_to(found, 46.0, NORMAL, rising=True).of(0)
    assert left.low < 60 < left.high
    assert not left.silent(90)


@pytest.mark.parametrize("step", [0, 1])
def test_what_stands_still_is_no_trend(step: int) -> None:
    """Nor is one step of an integer."""
    values = np.where(AT < -20, 40, 40 + step).astype(np.float32)[None]
    assert time_to(fit(values), 46.0, NORMAL, rising=True).of(0).silent(1e9)


def test_a_weekday_pattern_does_not_tilt_it() -> None:
    pattern = np.array([0, 40, 7, -3, 90, -44, -74.0])  # the five middle ones are 0 together
    values = (500 + 0.5 * AT + pattern[AT % 7]).astype(np.float32)[None]
    found = fit(values)
    assert found.slope[0] == pytest.approx(0.5, abs=1e-4)
    assert found.level[0] == pytest.approx(500, abs=0.5)
    assert found.pattern[0] == pytest.approx(pattern[np.arange(-6, 1) % 7], abs=0.5)


@pytest.mark.parametrize("wild", [-1e5, -3.0, 14.0, 1e4])
def test_a_fifth_of_wild_values_does_not_move_it(wild: float) -> None:
    rng = np.random.default_rng(8)
    values = (20 + 0.3 * AT + 0.2 * rng.standard_normal((400, DAYS))).astype(np.float32)
    values[np.argsort(rng.random(values.shape), axis=1) < DAYS // 5] += np.float32(wild)
    found = fit(values)
    assert np.abs(found.slope - 0.3).max() < 0.15
    # A weekday of which most days are wild cannot be told from one that differs; two of them in nine weeks are rare.
    assert np.quantile(np.abs(found.level - 20), 0.95) < 2
    assert np.median(np.abs(found.level - 20)) < 0.3


def test_too_few_days_say_nothing() -> None:
    values = np.full((1, DAYS), np.nan, np.float32)
    values[0, -LEAST + 1 :] = np.arange(LEAST - 1)
    left = time_to(fit(values), 100.0, NORMAL, rising=True).of(0)
    assert left.silent(1e6)
    values[0, -LEAST] = -1
    assert not time_to(fit(values), 30.0, NORMAL, rising=True).of(0).silent(60)


@pytest.mark.parametrize("carried", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("days", [LEAST, 28, 42, DAYS])
def test_stationary_noise_stays_silent_at_the_stated_rate(carried: float, days: int) -> None:
    values = noise(np.random.default_rng(days), 6000, days, carried).astype(np.float32)
    found = fit(values)
    assert found.significant().mean() <= FALSE
    # What is told of it is rarer still: the range must be narrow as well. The limit lies three deviations off.
    level = 3 * values.std()
    assert time_to(found, level, NORMAL, rising=True).speaks(30).mean() <= FALSE / 2


@pytest.mark.parametrize(
    ("carried", "unsteady", "least", "most"),
    [
        (0.0, 0.0, 0.9, 1.0),
        (0.5, 0.0, 0.9, 1.0),
        (0.5, 0.01, 0.84, 0.98),
        (0.5, 0.02, 0.82, 0.96),
        (0.8, 0.03, 0.82, 0.97),
    ],
    ids=["steady", "steady with memory", "changing slope", "restless slope", "restless slope with much memory"],
)
def test_the_range_holds_the_day_as_often_as_said(carried: float, unsteady: float, least: float, most: float) -> None:
    """Nine in ten, for drifts of which the slope changes by some per cent a week; oftener where it never does (see UNSTEADY). With noise, a weekday pattern and
    one wild value in twenty; widths from the scores of other series of the kind. The limit lies 50 to 300 days off.
    """
    rng = np.random.default_rng(11)
    series, days, now = 1200, 230, 100
    at = np.arange(days)
    wander = np.cumsum(unsteady * rng.standard_normal((series, days)), axis=1)
    drift = np.cumsum(rng.uniform(0.1, 0.6, (series, 1)) * np.exp(wander), axis=1)
    pattern = rng.normal(0, 2, (series, 7))
    values = (
        drift
        + (pattern - np.sort(pattern, axis=1)[:, 1:-1].mean(axis=1, keepdims=True))[:, at % 7]
        + noise(rng, series, days, carried)
    )
    wild = rng.random(values.shape) < 0.05
    values[wild] += rng.normal(0, 20, wild.sum())
    values = values.astype(np.float32)

    others = np.concatenate([score(values[:400, day - DAYS + 1 : day + 1]) for day in (80, 90, 100)])
    own = slice(400, None)
    wide = width(no_scores(series - 400), others.astype(np.float32))
    limit = drift[own, now] + 30
    left = time_to(fit(values[own, now - DAYS + 1 : now + 1]), limit, wide, rising=True)
    reached = drift[own, now:] >= limit[:, None]
    came = np.where(reached.any(axis=1), reached.argmax(axis=1), np.inf)
    speaks = left.speaks(90) & np.isfinite(came)
    # Of the day on which it crossed: it crossed between two evenings.
    inside = (left.low <= came) & (came - 1 <= left.high)
    assert speaks.mean() > 0.15
    assert least <= inside[speaks].mean() <= most
    if not unsteady:
        assert np.median(left.high[speaks] - left.low[speaks]) < 25


def test_scores_of_steady_drifts_are_those_of_chance() -> None:
    rng = np.random.default_rng(2)
    values = (0.4 * AT + noise(rng, 3000, DAYS, 0.3)).astype(np.float32)
    found = score(values)
    assert 1.4 <= np.quantile(found, 0.9) <= 2.0


def test_a_broken_forecast_scores_high() -> None:
    """The slope turned three weeks ago: what was foretold before was wrong, and the range widens for it."""
    bent = np.where(-LEAD >= AT, 0.5 * AT, -0.5 * LEAD + 2.5 * (AT + LEAD))
    values = (bent + 0.3 * np.random.default_rng(3).standard_normal((50, DAYS))).astype(np.float32)
    assert np.median(score(values)) > 10
    found = fit(values)
    narrow, wide = (time_to(found, 200.0, each, rising=True) for each in (NORMAL, 10.0))
    assert (wide.high >= narrow.high).all()
    assert (wide.low <= narrow.low).all()


def test_what_is_beyond_its_limit_has_no_days_left() -> None:
    found = fit((50 + 0.5 * AT).astype(np.float32)[None])
    assert time_to(found, 40.0, NORMAL, rising=True).of(0).high == 0
    assert time_to(found, 60.0, NORMAL, rising=False).of(0).high == 0
    assert time_to(found, 40.0, NORMAL, rising=False).of(0).silent(1e9), "it leads away"


@given(
    st.lists(st.one_of(st.just(float("nan")), st.floats(-1e9, 1e9, width=32)), min_size=LEAD + 7, max_size=DAYS),
    st.floats(-1e9, 1e9),
    st.booleans(),
)
def test_whatever_comes_the_range_is_in_order(values: list[float], limit: float, rising: bool) -> None:
    days = np.array([values], np.float32)
    assert not (score(days) < 0).any()
    left = time_to(fit(days), limit, 2.5, rising=rising).of(0)
    assert left.low >= 0
    # Of a slope that is no more than chance nothing is said; of one that is, the range holds its median.
    assert left.low <= left.median * (1 + 1e-9) + 1e-9
    assert left.median <= left.high * (1 + 1e-9) + 1e-9


def test_a_value_without_end_is_none() -> None:
    history = no_history(1)
    put(history, np.array([0]), 20_000, np.array([np.inf], np.float32))
    assert np.isnan(window(history, 20_000)).all()


days_and_values = st.lists(st.tuples(st.integers(20_000, 20_150), st.floats(-100, 100, width=32)), max_size=60)


@given(days_and_values)
def test_the_window_holds_what_was_put(told: list[tuple[int, float]]) -> None:
    """In any order; of a day the last word counts."""
    history = no_history(2)
    kept: dict[int, float] = {}
    newest = -1
    for day, value in told:
        put(history, np.array([1]), day, np.array([value], np.float32))
        newest = max(newest, day)
        if day > newest - DAYS:
            kept[day] = value
        kept = {each: value for each, value in kept.items() if each > newest - DAYS}
    today = max(newest, 20_000) + 3
    expected = [kept.get(day, np.nan) for day in range(today - DAYS + 1, today + 1)]
    np.testing.assert_array_equal(window(history, today)[1], np.array(expected, np.float32))
    assert np.isnan(window(history, today)[0]).all()


def test_a_new_life_forgets() -> None:
    history = no_history(2)
    put(history, np.array([0, 1]), 20_000, np.array([1, 2], np.float32))
    forget(history, np.array([0]))
    assert np.isfinite(window(history, 20_000)).sum(axis=1).tolist() == [0, 1]


def test_chunks_are_the_same_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    values = (0.2 * AT + np.random.default_rng(1).standard_normal((7, DAYS))).astype(np.float32)
    whole = fit(values)
    monkeypatch.setattr(trend, "CHUNK", 3)
    np.testing.assert_array_equal(fit(values).slope, whole.slope)
    assert fit(values[:0]).slope.shape == (0,)
