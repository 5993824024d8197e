from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.learn.made import panel
from tillwatch.collector.learn.panel import DAY_NS, Features, Panel, Times, labels

MOMENTS = st.lists(st.tuples(st.integers(0, 3), st.integers(-20, 20)), max_size=30)


@given(MOMENTS, MOMENTS)
def test_times_are_counted_as_one_would_by_hand(known: list[tuple[int, int]], asked: list[tuple[int, int]]) -> None:
    times = Times(*_columns(known))
    unit, at = _columns(asked)
    by_hand = [sum(u == v and t <= s for u, t in known) for v, s in asked]
    assert times.until(unit, at).tolist() == by_hand
    latest = [max((t for u, t in known if u == v and t <= s), default=None) for v, s in asked]
    expected = [np.nan if last is None else s - last for (_, s), last in zip(asked, latest, strict=True)]
    np.testing.assert_array_equal(times.since(unit, at), np.array(expected, float))


def _columns(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([u for u, _ in pairs], np.int64), np.array([t for _, t in pairs], np.int64)


def test_nanoseconds_of_many_units_do_not_run_over() -> None:
    late = 1_800_000_000_000_000_000
    times = Times(np.array([5_000_000, 5_000_000]), np.array([late, late + 1]))
    assert times.until(np.array([5_000_000]), np.array([late])).tolist() == [1]


def test_a_failure_counts_after_the_moment_and_up_to_the_end_of_the_horizon() -> None:
    at = np.array([9, 10, 19, 20])
    failed, known = labels(
        np.zeros(4, np.int64), at, failed_unit=np.array([0]), failed_at=np.array([20]), horizon=10, seen_until=20
    )
    assert failed.tolist() == [False, True, True, False]
    assert known.tolist() == [True, True, True, False]


def test_a_unit_that_was_watched_for_less_than_the_horizon_is_not_known() -> None:
    unit = np.array([0, 1])
    none = np.zeros(0, np.int64)
    _, known = labels(unit, np.array([0, 0]), failed_unit=none, failed_at=none, horizon=10, seen_until=[9, 10])
    assert known.tolist() == [False, True]


def test_rows_before_a_moment_end_their_horizon_by_then() -> None:
    whole = panel(3, 10)
    assert whole.before(5 * DAY_NS).at.max() == 4 * DAY_NS
    assert whole.since(5 * DAY_NS).at.min() == 5 * DAY_NS


def test_a_panel_whose_columns_do_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="2 names"):
        Features(("a", "b"), np.zeros((3, 1), np.float32), ("a", "b"), {})
    one = Features(("a",), np.zeros((3, 1), np.float32), ("a",), {})
    with pytest.raises(ValueError, match="same rows"):
        Panel(np.zeros(2, np.int64), np.zeros(3, np.int64), one, np.zeros(3, bool), 1, 1)
