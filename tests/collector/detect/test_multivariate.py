from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tillwatch.collector.detect.multivariate import (
    LEARN,
    MAX_AGE,
    MAX_SIGNALS,
    PATIENCE,
    DeviceDistances,
    Distances,
    Setting,
)

NAMES = ("known", "t2", "p", "fired", "contributions")
ONE = np.array([0])


def bench(rng: np.random.Generator, rows: int, devices: int = 1) -> np.ndarray:
    """(rows, devices, 4): a temperature that wanders, a pressure and a flow that go together, a current of its own."""
    noise = rng.normal(0, 1, (rows, devices, 4))
    temperature = 40 + np.cumsum(0.05 * noise[..., 0], axis=0) + 0.02 * rng.normal(0, 1, (rows, devices))
    pressure = 3 + 0.1 * noise[..., 1]
    flow = 120 + 0.8 * noise[..., 1] + 0.3 * noise[..., 2]
    return np.stack([temperature, pressure, flow, 2 + 0.2 * noise[..., 3]], axis=-1)


def run(fleet: DeviceDistances, rows: np.ndarray, undisturbed: np.ndarray | None = None) -> list[Distances]:
    which = np.arange(fleet.devices)
    return [fleet.step(which, row, None if undisturbed is None else undisturbed[n]) for n, row in enumerate(rows)]


def fired(said: list[Distances], device: int = 0) -> np.ndarray:
    return np.array([one.fired[device] for one in said])


def same(one: Distances, other: Distances) -> None:
    for name in NAMES:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_says_nothing_until_it_is_learnt() -> None:
    rows = bench(np.random.default_rng(0), LEARN + 1)
    said = run(DeviceDistances(1, 4), rows)
    assert not any(one.known[0] for one in said[:LEARN])
    assert all(np.isnan(one.t2[0]) and one.p[0] == 1 for one in said[:LEARN])
    assert said[LEARN].known[0]
    assert said[LEARN].t2[0] >= 0


def test_sound_devices_stay_quiet() -> None:
    rows = bench(np.random.default_rng(1), LEARN + 400, devices=40)
    said = run(DeviceDistances(40, 4), rows)
    assert np.mean([one.fired for one in said[LEARN:]]) < 0.01
    assert all((one.p > 0).all() and (one.p <= 1).all() for one in said)


def test_p_is_how_often_a_sound_device_is_as_far() -> None:
    rows = np.random.default_rng(3).normal(50, 3, (LEARN + 300, 150, 6))
    p = np.array([one.p for one in run(DeviceDistances(150, 6), rows)[LEARN:]])
    for wanted in (0.5, 0.1, 0.01, 0.001):
        assert wanted / 10 < (p < wanted).mean() < 1.3 * wanted


@pytest.mark.parametrize("signal", [1, 2, 3])
def test_a_fault_is_held_while_it_lasts_and_its_signal_speaks(signal: int) -> None:
    rows = bench(np.random.default_rng(2), LEARN + 500)
    sizes = np.array([0, 0.6, 6, 1.2])
    rows[LEARN + 100 : LEARN + 300, 0, signal] += sizes[signal]
    said = run(DeviceDistances(1, 4), rows)
    alarm = fired(said)
    assert not alarm[: LEARN + 100].any()
    assert alarm[LEARN + 120 : LEARN + 300].all()
    assert not alarm[LEARN + 325 :].any()
    assert said[LEARN + 200].contributions[0].argmax() == signal
    assert said[LEARN + 200].p[0] < 1e-3


def test_the_level_of_a_signal_that_wanders_says_little() -> None:
    rows = bench(np.random.default_rng(3), LEARN + 200)
    steady = rows.copy()
    spread = rows[:LEARN].std(axis=0)[0]
    rows[LEARN + 50 :, 0, 0] += 2 * spread[0]
    steady[LEARN + 50 :, 0, 3] += 2 * spread[3]
    wandered, stepped = run(DeviceDistances(1, 4), rows), run(DeviceDistances(1, 4), steady)
    assert not fired(wandered).any()
    assert wandered[-1].t2[0] < stepped[-1].t2[0]


def test_what_breaks_the_correlation_is_farther_than_what_keeps_it() -> None:
    rows = bench(np.random.default_rng(5), LEARN + 60, devices=20)
    together, apart = rows.copy(), rows.copy()
    together[LEARN:, :, 1:3] += [0.1, 0.8]
    apart[LEARN:, :, 1:3] += [0.1, -0.8]
    kept, broken = run(DeviceDistances(20, 4), together)[-1].t2, run(DeviceDistances(20, 4), apart)[-1].t2
    assert np.median(broken / kept) > 1.5


def test_what_a_device_settles_at_after_an_episode_is_its_new_base() -> None:
    rows = bench(np.random.default_rng(6), LEARN + 600)
    rows[LEARN + 100 : LEARN + 200, 0, 3] += 6
    rows[LEARN + 200 :, 0, 3] += 0.7
    alarm = fired(run(DeviceDistances(1, 4), rows))
    assert alarm[LEARN + 120 : LEARN + 195].all()
    assert not alarm[LEARN + 240 :].any()
    rows[LEARN + 400 :, 0, 3] -= 2
    assert fired(run(DeviceDistances(1, 4), rows))[LEARN + 430 :].all()


def test_an_episode_without_end_is_learnt_as_normal() -> None:
    rows = bench(np.random.default_rng(7), 2 * LEARN + PATIENCE + 200)
    rows[LEARN + 100 :, 0, 3] += 5
    fleet = DeviceDistances(1, 4)
    said = run(fleet, rows)
    lasted = fired(said).nonzero()[0]
    assert len(lasted) == PATIENCE
    assert not said[lasted[-1] + 1].known[0]
    assert said[-1].known[0]


def test_rows_of_a_device_that_is_known_to_be_ill_are_not_learnt() -> None:
    rows = bench(np.random.default_rng(8), LEARN + 160)
    rows[50:150, 0] *= 3
    clean = np.ones((len(rows), 1), bool)
    clean[50:150] = False
    fleet, other = DeviceDistances(1, 4), DeviceDistances(1, 4)
    run(fleet, rows, clean)
    run(other, np.delete(rows, np.s_[50:150], axis=0))
    for name, array in fleet.state().items():
        np.testing.assert_array_equal(array, other.state()[name])


def test_a_single_wild_value_is_not_believed_and_a_second_is() -> None:
    rows = bench(np.random.default_rng(9), LEARN + 40)
    plain = run(DeviceDistances(1, 4), rows)
    once, twice = rows.copy(), rows.copy()
    once[LEARN + 10, 0, 2] = 65535
    twice[LEARN + 10 : LEARN + 12, 0, 2] = 65535
    assert not fired(run(DeviceDistances(1, 4), once)).any()
    assert run(DeviceDistances(1, 4), once)[-1].t2[0] == pytest.approx(plain[-1].t2[0], abs=1)
    assert fired(run(DeviceDistances(1, 4), twice))[LEARN + 11]


def test_a_missing_reading_is_the_last_one_for_a_while_and_then_left_out() -> None:
    rows = bench(np.random.default_rng(10), LEARN + 60)
    rows[LEARN + 5 : LEARN + 30, 0, 3] += 5  # in alarm because of a current that is then no longer read
    rows[LEARN + 30 :, 0, 3] = np.nan
    fleet = DeviceDistances(1, 4)
    said = run(fleet, rows)
    assert fired(said)[LEARN + 29 : LEARN + 30 + MAX_AGE].all()
    assert said[LEARN + 30 + MAX_AGE].contributions[0, 3] == 0
    assert not fired(said)[LEARN + 30 + MAX_AGE :].any()
    assert said[-1].known[0]
    # Without it the distance is that of a device whose covariance is that of the other signals alone.
    state = fleet.state()
    precision, away = state["precision"][0].astype(float), (state["smoothed"] - state["base"])[0, :3].astype(float)
    marginal = np.linalg.inv(np.linalg.inv(precision)[:3, :3])
    assert said[-1].t2[0] == pytest.approx(away @ marginal @ away, rel=0.05)
    silent = fleet.step(ONE, np.full((1, 4), np.nan))
    for _ in range(MAX_AGE):
        assert silent.known[0]
        silent = fleet.step(ONE, np.full((1, 4), np.nan))
    assert not silent.known[0]
    assert np.isnan(silent.t2[0])


def test_what_never_moves_has_no_say() -> None:
    rows = bench(np.random.default_rng(11), LEARN + 100)
    rows[..., 1] = 7.25
    rows[LEARN:, 0, 1] = 900
    said = run(DeviceDistances(1, 4), rows)
    assert not fired(said).any()
    assert all(one.contributions[0, 1] == 0 for one in said)
    still = DeviceDistances(1, 4)
    assert not any(one.known[0] for one in run(still, np.ones((LEARN + 100, 1, 4))))
    assert still.state()["rows"][0] == 100


def test_signals_that_are_one_and_the_same_do_not_make_it_singular() -> None:
    rows = bench(np.random.default_rng(12), LEARN + 200)
    rows = np.concatenate([rows, rows[..., 1:2] * 2, rows[..., 1:2] - 5], axis=-1)
    said = run(DeviceDistances(1, 6), rows)
    assert not fired(said).any()
    rows[LEARN + 50 :, 0, 5] += 1
    assert fired(run(DeviceDistances(1, 6), rows))[LEARN + 80 :].all()


def test_learning_bears_wild_values_and_gaps() -> None:
    rng = np.random.default_rng(13)
    rows = bench(rng, LEARN + 200)
    dirty = rows.copy()
    dirty[rng.random(rows.shape) < 0.03] = np.nan
    dirty[10:LEARN:40, 0, 2] = 1e12
    dirty[30:LEARN:90, 0, 1] = -math.inf
    dirty[LEARN:] = rows[LEARN:]
    dirty[LEARN + 100 :, 0, 2] += 6
    said = run(DeviceDistances(1, 4), dirty)
    assert not fired(said)[: LEARN + 100].any()
    assert fired(said)[LEARN + 120 :].all()


def test_a_device_is_judged_for_itself() -> None:
    rows = bench(np.random.default_rng(14), LEARN + 60, devices=3)
    rows[LEARN + 20 :, 1, 3] += 5
    together, alone = DeviceDistances(3, 4), DeviceDistances(1, 4)
    for row in rows:
        order = np.array([2, 1, 0])
        many, single = together.step(order, row[order]), alone.step(ONE, row[1:2])
        np.testing.assert_allclose(many.t2[1], single.t2[0], rtol=1e-4)
        assert many.fired[1] == single.fired[0]
        assert not many.fired[[0, 2]].any()
    assert single.fired[0]


WILD = st.one_of(
    st.floats(-5, 5, width=32),
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1e300, -1.7e308, 5e-324, 65535.0, 1e-40]),
)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(arrays.arrays(np.float64, (2, 3), elements=WILD), min_size=1, max_size=40),
    st.integers(0, LEARN + 40),
    st.sampled_from([LEARN, LEARN - 7]),
)
def test_goes_on_bit_by_bit_after_a_restore_whatever_was_read(
    seed: int, wild: list[np.ndarray], cut: int, first: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = [*rng.normal(0, 1, (first, 2, 3)), *wild]
    for at in rng.integers(0, first, 20):
        rows[at] = wild[at % len(wild)]
    which = np.arange(2)
    whole = DeviceDistances(2, 3)
    for row in rows[:cut]:
        whole.step(which, row)
    restored = DeviceDistances.restore(whole.state())
    for row in rows[cut:]:
        said = whole.step(which, row)
        same(said, restored.step(which, row))
        assert np.isfinite(said.t2[said.known]).all()
        assert (said.t2[said.known] >= 0).all()
        assert ((said.p > 0) & (said.p <= 1)).all()
        np.testing.assert_allclose(
            np.maximum(said.contributions.sum(axis=1), 0)[said.known], said.t2[said.known], rtol=1e-3
        )
    for name, array in whole.state().items():
        np.testing.assert_array_equal(array, restored.state()[name])


@settings(max_examples=10, deadline=None)
@given(arrays.arrays(np.float64, (LEARN + 5, 2), elements=WILD))
def test_whatever_is_learnt_the_result_is_a_number_or_unknown(rows: np.ndarray) -> None:
    fleet = DeviceDistances(1, 2)
    for row in rows:
        said = fleet.step(ONE, row[None])
        assert said.known[0] == np.isfinite(said.t2[0])
    assert np.isfinite(fleet.state()["threshold"]).all()


def test_a_fleet_grows_and_a_device_begins_anew() -> None:
    rows = bench(np.random.default_rng(15), LEARN + 5, devices=2)
    fleet = DeviceDistances(2, 4)
    run(fleet, rows)
    fleet.grow(3)
    said = fleet.step(np.array([1, 2]), rows[0])
    assert said.known.tolist() == [True, False]
    fleet.forget(np.array([1]))
    assert fleet.state()["rows"].tolist() == [LEARN, 0, 1]
    with pytest.raises(ValueError, match="3 already"):
        fleet.grow(2)


def test_state_is_bounded_a_device() -> None:
    """Some 2 kB a signal while it is learnt and judged, at the most signals that a device may have."""
    state = DeviceDistances(10, MAX_SIGNALS).state()
    assert sum(array.nbytes for array in state.values()) / 10 / MAX_SIGNALS < 2048


def test_what_does_not_fit_is_refused() -> None:
    fleet = DeviceDistances(3, 2)
    with pytest.raises(ValueError, match="1 to 16"):
        DeviceDistances(3, MAX_SIGNALS + 1)
    with pytest.raises(ValueError, match="with 2 signals"):
        fleet.step(ONE, np.zeros((1, 3)))
    with pytest.raises(ValueError, match="one row a tick"):
        fleet.step(np.array([1, 1]), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="parts of one"):
        Setting(weight=1.0)
    with pytest.raises(ValueError, match="limit"):
        Setting(limit=0)
    state = fleet.state()
    state["base"] = state["base"].astype(np.float64)
    with pytest.raises(ValueError, match="`base`"):
        DeviceDistances.restore(state)
    with pytest.raises(ValueError, match="`centre`"):
        DeviceDistances.restore({})
