from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tillwatch.collector.learn.histories import MAX_READINGS, History, Scale, features, scale_of


def life(seed: int = 0, readings: int = 50, sensors: int = 3) -> History:
    rng = np.random.default_rng(seed)
    age = np.arange(1.0, readings + 1)
    return History(f"part {seed}", age, age[:, None] / 10 + rng.normal(size=(readings, sensors)))


def scale(*lives: History) -> Scale:
    return scale_of(lives, [each.age[-1] - each.age for each in lives])


@settings(max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 80), st.floats(0, 0.9))
def test_no_row_knows_what_comes_later(seed: int, cut: int, silent: float) -> None:
    whole = life(seed, 80)
    values = whole.values.copy()
    values[np.random.default_rng(seed).random(values.shape) < silent] = np.nan
    learnt = scale(life(1), life(2))
    until = features(History("x", whole.age[:cut], values[:cut]), learnt)
    np.testing.assert_allclose(features(History("x", whole.age, values), learnt)[:cut], until, rtol=1e-6, atol=1e-9)


def test_a_reading_that_never_came_changes_nothing() -> None:
    """Ages say when; a row of silence is no reading."""
    whole, learnt = life(3), scale(life(1), life(2))
    kept = np.ones(len(whole.age), bool)
    kept[10:20] = False
    silent = np.where(kept[:, None], whole.values, np.nan)
    some = features(History("x", whole.age[kept], whole.values[kept]), learnt)[-1]
    all_ = features(History("x", whole.age, silent), learnt)[-1]
    of_sensors = 7 * 3
    np.testing.assert_allclose(all_[:of_sensors], some[:of_sensors], rtol=1e-6)


def test_the_unit_of_the_age_does_not_matter() -> None:
    hours = life(1, 60)
    days = History("x", hours.age / 24, hours.values)
    in_hours, in_days = features(hours, scale(hours)), features(days, scale(days))
    np.testing.assert_allclose(in_hours[:, :-1], in_days[:, :-1], rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(in_hours[:, -1], in_days[:, -1] * 24)


def test_slopes_and_levels_are_those_of_the_line() -> None:
    age = np.arange(1.0, 201)
    line = History("x", age, 0.5 * age[:, None])
    learnt = scale(line)
    last = features(line, learnt)[-1]
    per_step = 0.5 / line.values.std()
    # One sensor: level, slow level, since new, fast minus slow, roughness, then both slopes.
    assert last[5] == pytest.approx(per_step)
    assert last[6] == pytest.approx(per_step)
    assert last[2] > 0 < last[3]
    assert last[4] == pytest.approx(np.std(line.values[-20:], ddof=1) / line.values.std())


def test_a_single_reading_has_levels_and_no_slopes() -> None:
    row = features(life(1, readings=1), scale(life(1), life(2)))
    assert row.shape[0] == 1
    assert np.isfinite(row[0, :6]).all()
    assert np.isnan(row[0, 4 * 3 : 7 * 3]).all()


def test_constant_and_silent_sensors_are_left_out() -> None:
    whole = life(1)
    wide = np.column_stack([whole.values, np.full(50, 518.67), np.full(50, np.nan), np.full(50, np.inf)])
    learnt = scale(History("x", whole.age, wide))
    assert learnt.used.tolist() == [0, 1, 2]
    assert np.isfinite(features(History("x", whole.age, wide), learnt)[-1]).all()


def test_without_any_sensor_that_varies_the_age_is_left() -> None:
    flat = History("x", np.arange(1.0, 6), np.ones((5, 2)))
    assert features(flat, scale(flat))[:, -1].tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("age", "values", "said"),
    [
        ([], np.zeros((0, 1)), "at least one row"),
        ([1.0, 2.0], np.zeros((3, 1)), "one age for each row"),
        ([2.0, 1.0], np.zeros((2, 1)), "rise"),
        ([1.0, 1.0], np.zeros((2, 1)), "doubles"),
        ([1.0, np.nan], np.zeros((2, 1)), "finite"),
        (np.arange(MAX_READINGS + 1.0), np.zeros((MAX_READINGS + 1, 1)), "thin them out"),
    ],
)
def test_a_history_that_is_none_is_refused_by_name(age: list[float], values: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=f"part disk 7: .*{said}"):
        History("disk 7", np.array(age), values)


def test_other_sensors_than_taught_are_refused() -> None:
    with pytest.raises(ValueError, match="2 sensors; the model was taught with 3"):
        features(life(1, sensors=2), scale(life(2)))
    with pytest.raises(ValueError, match="same sensors"):
        scale(life(1, sensors=2), life(2))


@pytest.mark.parametrize("settled", [True, False])
def test_how_a_part_is_run_is_taken_off_its_sensors(settled: bool) -> None:
    """At fixed points of work or at any: wear is a hundredth of what the conditions do to the sensor."""
    rng = np.random.default_rng(1)
    lives = []
    for number in range(10):
        age = np.arange(1.0, 201)
        points = rng.integers(0, 6, (200, 1)) * np.array([[7.0, 0.1]]) + rng.normal(0, 1e-4, (200, 2))
        run = points if settled else rng.uniform(0, 40, (200, 2))
        sensor = 100 + 5 * run[:, 0] + 0.2 * run[:, 0] * run[:, 1] + age / 100 + rng.normal(0, 0.1, 200)
        lives.append(History(str(number), age, np.column_stack([sensor, run])))
    remaining = [each.age[-1] - each.age for each in lives]
    learnt = scale_of(lives, remaining, [1, 2])
    assert learnt.used.tolist() == [0]
    seen = learnt.standard(lives[0].values)[:, 0]
    assert np.corrcoef(seen, lives[0].age)[0, 1] > 0.9
    unaware = scale_of(lives, remaining).standard(lives[0].values)[:, 0]
    assert abs(np.corrcoef(unaware, lives[0].age)[0, 1]) < 0.3


def test_conditions_that_explain_nothing_change_nothing() -> None:
    rng = np.random.default_rng(2)
    lives = [History(str(n), np.arange(1.0, 101), rng.normal(size=(100, 2))) for n in range(10)]
    aware, unaware = (scale_of(lives, [each.age for each in lives], run) for run in ([1], []))
    assert aware.used.tolist() == [0]
    np.testing.assert_allclose(aware.standard(lives[0].values)[:, 0], unaware.standard(lives[0].values)[:, 0])


def test_a_condition_that_is_silent_or_was_never_seen_before_is_answered() -> None:
    rng = np.random.default_rng(2)
    run = rng.uniform(0, 1, (100, 1))
    taught = History("x", np.arange(1.0, 101), np.column_stack([10 * run[:, 0] + rng.normal(0, 0.1, 100), run]))
    learnt = scale_of([taught], [taught.age], [1])
    seen = learnt.standard(np.array([[10.0, 1.0], [10.0, 50.0], [5.0, np.nan]]))
    assert seen[0] == pytest.approx(seen[1])
    assert abs(seen[2, 0]) < 2
    nothing = scale_of([History("y", taught.age, np.full((100, 2), np.nan))], [taught.age], [1])
    assert nothing.used.tolist() == []
