"""What lasts for days is far off, what comes and goes is not, and what is not known is not judged."""

from __future__ import annotations

import numpy as np
import pytest

from tillwatch.collector.detect.lasting import APART, FAR, LEAST, NEW, increments, lasting

DAYS = 64


def drawn(rows: int = 400, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 2, (rows, DAYS)).astype(np.float32)


def z(days: np.ndarray, least: float = 0.0) -> np.ndarray:
    return lasting(days, np.full(len(days), least, np.float32)).z


def test_chance_stays_within_three_deviations_and_three_odd_days_do_not():
    days = drawn()
    assert np.quantile(z(days), 0.99) < 3
    days[0, -NEW:] += 12
    found = lasting(days, np.zeros(len(days), np.float32))
    assert found.z[0] == pytest.approx(6, abs=2)
    assert found.high[0] < found.value[0]
    assert z(days)[1:].max() < found.z[0]


def test_a_slow_change_is_not_held_against_its_own_beginning():
    days = drawn(1)
    days[0, -(NEW + APART) :] += np.linspace(2, 14, NEW + APART)
    assert z(days)[0] > 5


def test_old_faults_are_no_habit():
    days = drawn(1)
    days[0, 20:25] += 300
    days[0, -NEW:] += 12
    assert z(days)[0] > 4


def test_far_off_counts_by_its_logarithm():
    days = drawn(1)
    days[0, -NEW:] += 2 * 100
    assert FAR < z(days)[0] < 40


def test_too_few_days_are_not_judged():
    days = drawn(2)
    days[0, : -NEW - APART - LEAST + 1] = np.nan
    days[1, -NEW:-1] = np.nan
    assert np.isnan(z(days)).all()
    assert lasting(np.empty((0, DAYS), np.float32), np.empty(0, np.float32)).z.shape == (0,)


def test_what_stands_still_has_a_least_deviation():
    days = np.full((2, DAYS), 0, np.float32)
    days[:, -1] = 1
    assert z(days, 1 / NEW).tolist() == pytest.approx([1, 1])


def test_a_counter_that_began_anew_says_nothing_of_that_day():
    last = np.array([[5, 7, 7, 2, np.nan, 6, 9]], np.float32)
    assert increments(last)[0].tolist() == pytest.approx([np.nan, 2, 0, np.nan, np.nan, np.nan, 3], nan_ok=True)
