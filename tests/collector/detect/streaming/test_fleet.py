from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.variants import long_after
from tillwatch.collector.detect.streaming.fleet import FleetStreams
from tillwatch.collector.detect.streaming.settings import DEFAULT, LEARNING_MAX, StreamSettings
from tillwatch.collector.detect.streaming.surprise import Part, Surprise

STEP_NS = 300 * 10**9
QUICK = replace(DEFAULT, learning=16)
Noise = Callable[[np.random.Generator, int], np.ndarray]


def hours(tick: int, count: int) -> np.ndarray:
    return np.full(count, tick // 12 % 168, np.uint8)


def step(streams: FleetStreams, tick: int, rows: np.ndarray, values: np.ndarray) -> Surprise:
    return streams.step(tick * STEP_NS, rows, np.asarray(values, np.float32), hours(tick, len(rows)))


def outputs(surprise: Surprise) -> list[np.ndarray]:
    return [surprise.score, surprise.p, surprise.fired, surprise.kind, *surprise.expected]


def same(one: Surprise, other: Surprise) -> None:
    for mine, yours in zip(outputs(one), outputs(other), strict=True):
        np.testing.assert_array_equal(mine, yours)


def wild(rng: np.random.Generator, ticks: int, count: int) -> np.ndarray:
    """Series of all kinds, with missing values and lies among them."""
    values = rng.standard_normal((ticks, count)) * np.logspace(-3, 6, count) + np.linspace(-50, 1e4, count)
    values[:, 0] = 7
    lies = rng.random(values.shape)
    values[lies < 0.02] = np.nan
    values[lies > 0.985] = rng.choice([np.inf, -np.inf, 1e30, -1e30, 0, 3.4e38], values.shape)[lies > 0.985]
    return values.astype(np.float32)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), split=st.integers(0, 120))
def test_saved_and_restored_it_goes_on_as_if_nothing_had_been(seed: int, split: int) -> None:
    values = wild(np.random.default_rng(seed), 120, 9)
    whole, first = FleetStreams(QUICK), FleetStreams(QUICK)
    rows = whole.add(9)
    assert first.add(9).tolist() == rows.tolist()
    for tick in range(split):
        same(step(whole, tick, rows, values[tick]), step(first, tick, rows, values[tick]))
    second = FleetStreams.restore({name: array.copy() for name, array in first.state().items()}, QUICK)
    for tick in range(split, 120):
        same(step(whole, tick, rows, values[tick]), step(second, tick, rows, values[tick]))
    assert all(np.array_equal(array, second.state()[name]) for name, array in whole.state().items())


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_fleet_is_so_many_single_series(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = wild(rng, 80, 12)
    fleet, alone = FleetStreams(QUICK), FleetStreams(QUICK)
    rows = fleet.add(12)
    alone.add(12)
    for tick in range(80):
        chosen = rng.permutation(12)[: rng.integers(1, 13)]
        together = step(fleet, tick, rows[chosen], values[tick, chosen])
        for place, row in enumerate(chosen):
            single = step(alone, tick, rows[row : row + 1], values[tick, row : row + 1])
            for mine, yours in zip(outputs(together), outputs(single), strict=True):
                np.testing.assert_array_equal(mine[place], yours[0])


def test_more_rows_than_a_chunk_are_all_served(monkeypatch: pytest.MonkeyPatch) -> None:
    values = wild(np.random.default_rng(4), 40, 10)
    whole = FleetStreams(QUICK)
    rows = whole.add(10)
    expected = [step(whole, tick, rows, values[tick]) for tick in range(40)]
    monkeypatch.setattr("tillwatch.collector.detect.streaming.fleet.CHUNK", 3)
    parts = FleetStreams(QUICK)
    parts.add(10)
    for tick in range(40):
        same(step(parts, tick, rows, values[tick]), expected[tick])


def test_the_state_of_a_series_is_bounded() -> None:
    streams = FleetStreams()
    streams.add(1000)
    assert streams.nbytes_per_series <= 2048
    held = sum(array.nbytes for array in streams.state().values()) / 1000
    assert held <= 2048


def test_a_series_is_not_judged_before_it_is_known() -> None:
    streams = FleetStreams()
    rows = streams.add(1)
    for tick in range(DEFAULT.learning):
        said = step(streams, tick, rows, [20 + tick % 5])
        assert np.isnan(said.p[0])
        assert np.isnan(said.expected.low[0])
        assert (said.kind[0], said.score[0], said.fired[0]) == (Part.NONE, 0, False)
    assert step(streams, DEFAULT.learning, rows, [22]).p[0] > 0


@pytest.mark.parametrize("lie", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_skipped_and_not_called_healthy(lie: float) -> None:
    rng = np.random.default_rng(5)
    streams, other = FleetStreams(QUICK), FleetStreams(QUICK)
    rows = streams.add(1)
    other.add(1)
    for tick in range(100):
        value = rng.standard_normal(1)
        same(step(streams, 2 * tick, rows, value), step(other, 2 * tick, rows, value))
        said = step(streams, 2 * tick + 1, rows, [lie])
        assert np.isnan(said.p[0])
        assert said.kind[0] == Part.NONE


def found(noise: Noise, fault: Noise, *, series: int = 40, before: int = 1500, within: int) -> float:
    """Share of series that fire within so many values of the fault's beginning."""
    rng = np.random.default_rng(6)
    streams = FleetStreams()
    rows = streams.add(series)
    for tick in range(before):
        step(streams, tick, rows, noise(rng, tick))
    fired = np.zeros(series, bool)
    for k in range(within):
        fired |= step(streams, before + k, rows, noise(rng, before + k) + fault(rng, k)).fired
    return float(fired.mean())


def normal(rng: np.random.Generator, _tick: int) -> np.ndarray:
    return 20 + rng.standard_normal(40)


@pytest.mark.parametrize(
    ("fault", "within"),
    [
        (lambda _rng, k: 12.0 if k == 0 else 0.0, 1),
        (lambda _rng, _k: 5.0, 20),
        (lambda _rng, _k: -5.0, 20),
        (lambda _rng, k: 0.03 * k, 300),
        (lambda rng, _k: 8 * rng.standard_normal(40), 30),
    ],
    ids=["spike", "step up", "step down", "drift", "noise"],
)
def test_faults_are_found(fault: Noise, within: int) -> None:
    assert found(normal, fault, within=within) >= 0.9


def test_a_value_of_the_day_at_the_wrong_hour_is_found_though_it_is_no_new_value() -> None:
    def nightly(rng: np.random.Generator, tick: int) -> np.ndarray:
        return np.where(tick // 12 % 24 < 6, 100, 0) + 20 + rng.standard_normal(40)

    at_noon = 288 * 30 + 150
    assert found(nightly, lambda _rng, _k: 100.0, before=at_noon, within=6) >= 0.8


def test_without_a_calendar_no_season_speaks() -> None:
    rng = np.random.default_rng(7)
    streams = FleetStreams(QUICK)
    rows = streams.add(20)
    kinds: set[int] = set()
    for tick in range(300):
        said = streams.step(tick * STEP_NS, rows, rng.standard_normal(20).astype(np.float32), None)
        kinds |= set(said.kind[said.p < 1].tolist())
    assert kinds
    assert Part.SEASONAL not in kinds


def test_the_band_is_what_was_usual_before_the_value() -> None:
    rng = np.random.default_rng(12)
    one = FleetStreams(QUICK)
    rows = one.add(5)
    for tick in range(100):
        said = one.step(tick * STEP_NS, rows, (50 + rng.standard_normal(5)).astype(np.float32), None)
    assert (
        (said.expected.low > 40) & (said.expected.low < 50) & (said.expected.high > 50) & (said.expected.high < 60)
    ).all()
    for hour_of_week in (None, hours(100, 5)):
        usual, after_a_lie = (
            FleetStreams.restore(one.state(), QUICK)
            .step(100 * STEP_NS, rows, np.full(5, value, np.float32), hour_of_week)
            .expected
            for value in (50, 1e12)
        )
        np.testing.assert_array_equal(usual.low, after_a_lie.low)
        np.testing.assert_array_equal(usual.high, after_a_lie.high)


NOISES: dict[str, Callable[[np.random.Generator, np.ndarray], np.ndarray]] = {
    "t3": lambda rng, x: rng.standard_t(3, x.size),
    "counts": lambda rng, x: rng.poisson(4, x.size).astype(float),
    "normal": lambda rng, x: rng.standard_normal(x.size),
    "uniform": lambda rng, x: rng.random(x.size),
    "ar1": lambda rng, x: 0.9 * x + rng.standard_normal(x.size),
    "rare counts": lambda rng, x: rng.poisson(0.1, x.size).astype(float),
}


@pytest.mark.parametrize("noise", long_after(2, NOISES))
def test_false_alarms_stay_within_one_and_a_half_times_what_was_set(noise: str) -> None:
    """From above only: a bounded or light tail, such as uniform noise, fires far less than it might."""
    rng = np.random.default_rng(8)
    series, ticks, settled = 150, 3500, 1500
    streams = FleetStreams(replace(DEFAULT, false_alarms_per_day=0.5))
    rows = streams.add(series)
    fired, values = 0, np.zeros(series)
    for tick in range(ticks):
        values = NOISES[noise](rng, values)
        said = step(streams, tick, rows, values)
        fired += int(said.fired.sum()) if tick >= settled else 0
    days = series * (ticks - settled) / 288
    assert fired / days <= 1.5 * 0.5


@pytest.mark.parametrize(("lies", "lie"), long_after(1, [(500, 1e30), (500, 0.0), (20, 1e30), (20, 0.0)]))
def test_no_lie_holds_for_ever(lies: int, lie: float) -> None:
    """A device lies while it is learnt and long after, then is right: some thousand values later a step is found as in any other series."""
    rng = np.random.default_rng(9)
    streams = FleetStreams()
    rows = streams.add(20)
    for tick in range(lies):
        step(streams, tick, rows, np.full(20, lie))
    for tick in range(lies, lies + 6000):
        said = step(streams, tick, rows, 20 + rng.standard_normal(20))
    assert ((said.expected.low > 0) & (said.expected.high < 60)).mean() >= 0.9
    fired = np.zeros(20, bool)
    for tick in range(lies + 6000, lies + 6040):
        fired |= step(streams, tick, rows, 32 + rng.standard_normal(20)).fired
    assert fired.mean() >= 0.8


def test_an_alarm_is_not_repeated_while_it_is_remembered() -> None:
    rng = np.random.default_rng(10)
    streams = FleetStreams()
    rows = streams.add(30)
    for tick in range(1000):
        step(streams, tick, rows, rng.standard_normal(30))
    times = [step(streams, 1000 + k, rows, 30 * (k % 2 == 0) + rng.standard_normal(30)).fired for k in range(40)]
    assert times[0].all()
    assert np.sum(times, axis=0).max() <= 4


def test_rows_are_used_again_and_begin_anew() -> None:
    streams, fresh = FleetStreams(QUICK), FleetStreams(QUICK)
    rows = streams.add(100)
    rng = np.random.default_rng(11)
    for tick in range(60):
        step(streams, tick, rows, rng.standard_normal(100))
    streams.forget(rows[40:42])
    assert len(streams) == 98
    again = streams.add(3)
    assert sorted(again.tolist()) == [40, 41, 100]
    others = fresh.add(3)
    for tick in range(60):
        value = rng.standard_normal(3)
        same(step(streams, 60 + tick, again, value), step(fresh, 60 + tick, others, value))
    restored = FleetStreams.restore(streams.state(), QUICK)
    assert len(restored) == len(streams) == 101


def test_forgetting_what_is_not_in_use_is_an_error() -> None:
    streams = FleetStreams()
    rows = streams.add(3)
    streams.forget(rows[:1])
    for wrong in (rows[:1], np.array([3]), np.array([-1]), np.array([1, 1])):
        with pytest.raises(ValueError, match="not in use"):
            streams.forget(wrong)


def test_a_state_that_does_not_fit_is_refused() -> None:
    streams = FleetStreams()
    streams.add(3)
    state = streams.state()
    with pytest.raises(ValueError, match="it has"):
        FleetStreams.restore({name: array for name, array in state.items() if name != "count"})
    with pytest.raises(ValueError, match="words is"):
        FleetStreams.restore(state | {"words": state["words"].astype(np.int64)})
    with pytest.raises(ValueError, match="numbers is"):
        FleetStreams.restore(state | {"numbers": state["numbers"][:5]})


@pytest.mark.parametrize(
    "wrong", [{"learning": 7}, {"learning": LEARNING_MAX + 1}, {"quantile": 1.0}, {"false_alarms_per_day": 0.0}]
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StreamSettings(**wrong)
