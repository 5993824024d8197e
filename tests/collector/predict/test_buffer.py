"""What waits for its tick."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.predict import buffer
from tillwatch.collector.predict.buffer import Buffer

MS = 10**6
CALLS = st.lists(
    st.tuples(st.integers(0, 3), st.lists(st.integers(0, 100), min_size=1, max_size=4), st.integers(-5, 5)), max_size=12
)


@given(calls=CALLS, cuts=st.lists(st.integers(0, 120), max_size=4))
def test_each_reading_is_taken_once_in_its_time_also_over_a_restart(
    calls: list[tuple[int, list[int], int]], cuts: list[int]
):
    held = Buffer()
    wanted = []
    for row, times, correction in calls:
        held.add(row, times, [float(t) for t in times], correction)
        wanted += [(t + correction, row, float(t)) for t in times if t + correction >= 0]
    taken: list[tuple[int, int, float]] = []
    for until in [*sorted(cuts), 200]:
        again = Buffer()
        again.restore(held.state())
        held = again
        part = held.take(until * MS, 0)
        assert all(at < until * MS for at in part.at.tolist())
        assert part.at.tolist() == sorted(part.at.tolist())
        taken += zip((part.at // MS).tolist(), part.rows.tolist(), part.values.tolist(), strict=True)
    assert sorted(taken) == sorted(wanted)
    assert len(held) == 0


def test_what_is_from_too_far_ahead_or_no_number_is_counted():
    held = Buffer()
    held.add(0, [10, buffer.AHEAD_NS // MS + 20], [1.0, 2.0], 0)
    held.add(0, [11], [float("inf")], 0)
    assert held.take(100 * MS, 10 * MS).values.tolist() == [1.0]
    assert held.ahead == 2


def test_the_room_is_bounded(monkeypatch):
    monkeypatch.setattr(buffer, "MAX_WAITING", 3)
    held = Buffer()
    held.add(0, [1, 2], [1.0, 2.0], 0)
    held.add(0, [3, 4], [3.0, 4.0], 0)
    held.add(0, [5], [5.0], 0)
    assert held.dropped == 2
    assert held.take(100 * MS, 0).values.tolist() == [1.0, 2.0, 5.0]


def test_no_readings_have_their_kinds():
    nothing = Buffer().take(1, 0)
    assert (nothing.rows.dtype, nothing.at.dtype, nothing.values.dtype) == (np.int32, np.int64, np.float64)
