from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tillwatch.collector.detect.peers import NO_GROUP, PeerDistances, Setting, leave_one_out, surprise

WHOLE = st.integers(-1000, 1000).map(float)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Whole values, some missing, so that sums are exact; groups of any size."""
    count = draw(st.integers(1, 40))
    values = draw(arrays.arrays(np.float64, count, elements=st.one_of(WHOLE, st.just(math.nan))))
    groups = draw(arrays.arrays(np.int64, count, elements=st.integers(NO_GROUP, 4)))
    return values, groups


def plainly(values: np.ndarray, groups: np.ndarray, one: int) -> tuple[float, float, int]:
    mask = (groups == groups[one]) & ~np.isnan(values)
    mask[one] = False
    others = values[mask]
    if math.isnan(values[one]) or not others.size:
        return math.nan, math.nan, 0
    return float(np.median(others)), float(np.median(np.abs(others - np.median(others)))), len(others)


@given(fleets())
def test_each_is_held_against_the_others_without_itself(fleet: tuple[np.ndarray, np.ndarray]) -> None:
    values, groups = fleet
    median, spread, others = leave_one_out(values, groups)
    for one in range(len(values)):
        np.testing.assert_array_equal((median[one], spread[one], others[one]), plainly(values, groups, one))


@given(fleets(), st.randoms(use_true_random=False))
def test_order_does_not_matter(fleet: tuple[np.ndarray, np.ndarray], random: object) -> None:
    values, groups = fleet
    order = np.array(random.sample(range(len(values)), len(values)), np.intp)  # type: ignore[attr-defined]
    one, other = PeerDistances(len(values), 1.0, Setting(window=2)), PeerDistances(len(values), 1.0, Setting(window=2))
    for shift in (0.0, 7.0, -3.0):
        said, shuffled = one.step(values * shift, groups), other.step((values * shift)[order], groups[order])
        for name in ("known", "z", "p", "peers", "difference", "odd", "fired"):
            np.testing.assert_array_equal(getattr(said, name)[order], getattr(shuffled, name))


@given(fleets(), st.lists(st.integers(-500, 500), min_size=1, max_size=6))
def test_what_is_common_to_all_changes_nothing(fleet: tuple[np.ndarray, np.ndarray], weather: list[int]) -> None:
    values, groups = fleet
    still, moved = PeerDistances(len(values), 0.5), PeerDistances(len(values), 0.5)
    for shift in weather:
        one, other = still.step(values, groups), moved.step(values + shift, groups)
        for name in ("known", "z", "p", "peers", "difference", "odd", "fired"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@given(
    st.lists(
        arrays.arrays(
            np.float64,
            12,
            elements=st.one_of(WHOLE, st.sampled_from([math.nan, math.inf, -math.inf, 1e300, -1.8e308, 5e-324])),
        ),
        min_size=2,
        max_size=8,
    ),
    st.data(),
)
def test_goes_on_bit_by_bit_after_a_restore_whatever_was_read(ticks: list[np.ndarray], data: st.DataObject) -> None:
    groups = np.repeat([3, 8], 6)
    whole = PeerDistances(12, 0.1, Setting(window=4))
    cut = data.draw(st.integers(0, len(ticks) - 1))
    for tick in ticks[:cut]:
        whole.step(tick, groups)
    restored = PeerDistances.restore(whole.state(), 0.1, Setting(window=4))
    for tick in ticks[cut:]:
        one, other = whole.step(tick, groups), restored.step(tick, groups)
        assert not np.isinf(one.z).any()
        assert ((one.p > 0) & (one.p <= 1)).all()
        for name in ("known", "z", "p", "peers", "difference", "odd", "fired"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name, array in whole.state().items():
        np.testing.assert_array_equal(array, restored.state()[name])


def fleet_ticks(rng: np.random.Generator, count: int, ticks: int) -> np.ndarray:
    """Machines of one model: each a little different, all with the weather of the day."""
    weather = 8 * np.sin(np.arange(ticks) * 2 * np.pi / 24)
    return 40 + weather[:, None] + rng.normal(0, 1, count) + rng.normal(0, 1, (ticks, count))


@pytest.mark.parametrize(("count", "degrees"), [(30, 12.0), (12, 30.0)])
def test_the_one_that_differs_is_found_and_said_once(count: int, degrees: float) -> None:
    ticks = fleet_ticks(np.random.default_rng(4), count, 120)
    ticks[48:, 3] += degrees
    peers, groups = PeerDistances(count, 0.1), np.full(count, 17)
    said = [peers.step(tick, groups) for tick in ticks]
    assert not any(one.odd.any() for one in said[:48])
    assert next(tick for tick, one in enumerate(said) if one.odd[3]) < 48 + 24
    assert said[-1].odd[3]
    assert np.flatnonzero(said[-1].odd).tolist() == [3]
    assert said[-1].difference[3] == pytest.approx(degrees, abs=4)
    fired = [tick for tick, one in enumerate(said) if one.fired[3]]
    odd = [tick for tick, one in enumerate(said) if one.odd[3]]
    assert fired[0] == odd[0]
    assert len(fired) < len(odd) / 2, "said again only where it has become worse, or the last time fades"


def test_a_group_that_is_too_small_says_nothing() -> None:
    values, groups = np.array([1.0, 1, 1, 1, 1, 1, 1, 1, 900]), np.array([1, 1, 1, 1, 1, 2, 2, 2, 2])
    peers = PeerDistances(9, 0.1, Setting(window=1))
    said = peers.step(values, groups)
    assert said.known.tolist() == [True] * 5 + [False] * 4
    assert np.isnan(said.z[5:]).all()
    assert (said.p[5:] == 1).all()
    assert not said.odd.any()
    assert peers.step(np.where(np.arange(9) == 2, np.nan, values), np.zeros(9, int)).known.sum() == 9
    assert not peers.step(values, np.full(9, NO_GROUP)).known.any()


def test_who_is_silent_for_long_neither_is_judged_nor_judges() -> None:
    peers, groups = PeerDistances(5, 0.1, Setting(window=1, max_age=2)), np.zeros(5, int)
    silent = np.array([1.0, 2, 3, 4, np.nan])
    assert peers.step(np.arange(5.0), groups).known.all()
    assert peers.step(np.arange(5.0), groups).known.all()
    for _ in range(2):
        assert peers.step(silent, groups).known.all()
    assert not peers.step(silent, groups).known.any()


def test_devices_that_all_say_the_same_differ_by_the_least_that_counts() -> None:
    said = PeerDistances(9, 2.0, Setting(window=1)).step(np.array([5.0] * 8 + [9]), np.zeros(9, int))
    assert said.z.tolist() == [0.0] * 8 + [2.0]


@pytest.mark.parametrize("others", [4, 5, 6, 10, 30, 100])
def test_the_false_alarm_rate_is_the_stated_one(others: int) -> None:
    """Of sound devices at most as many are as far as their p says, and not many times fewer."""
    rng = np.random.default_rng(others)
    groups = np.repeat(np.arange(40_000 // (others + 1)), others + 1)
    values = rng.normal(50, 3, len(groups))
    median, spread, left = leave_one_out(values, groups)
    assert (left == others).all()
    sureness = surprise(np.abs(values - median) / (1.4826 * spread), left)
    for wanted in (0.1, 0.01, 0.001):
        share = (sureness >= -math.log10(wanted)).mean()
        assert wanted / 4 < share < 1.2 * wanted + 3 * math.sqrt(wanted / len(values)) * 2


def test_sureness_grows_with_distance_and_with_peers() -> None:
    far = np.geomspace(0.01, 1e6, 300)
    for others in (4, 7, 20, 400):
        assert (np.diff(surprise(far, np.full(300, others))) >= 0).all()
    assert (np.diff(surprise(np.full(6, 8.0), np.array([4, 6, 11, 15, 39, 79]))) > 0).all()
    assert surprise(np.array([1e9]), np.array([3])) == 0


def test_a_fleet_grows_and_a_device_begins_anew() -> None:
    peers, groups = PeerDistances(6, 0.1, Setting(window=4)), np.zeros(6, int)
    for _ in range(4):
        peers.step(np.arange(6.0), groups)
    peers.grow(8)
    peers.forget(np.array([0]))
    state = peers.state()
    assert state["ticks"].tolist() == [0, 4, 4, 4, 4, 4, 0, 0]
    with pytest.raises(ValueError, match="8 already"):
        peers.grow(7)


def test_what_does_not_fit_is_refused() -> None:
    peers = PeerDistances(3, 0.1)
    with pytest.raises(ValueError, match="for 3 devices"):
        peers.step(np.zeros(4), np.zeros(4, int))
    with pytest.raises(ValueError, match="least spread"):
        PeerDistances(3, 0.0)
    with pytest.raises(ValueError, match="window"):
        Setting(window=0)
    state = peers.state()
    del state["memory"]
    with pytest.raises(ValueError, match="`memory`"):
        PeerDistances.restore(state, 0.1)
    with pytest.raises(ValueError, match="difference"):
        PeerDistances.restore({"ticks": np.zeros(3, np.int32)}, 0.1)
