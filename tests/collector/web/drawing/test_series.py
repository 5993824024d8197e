"""Thinning keeps extremes and holes; gaps are where data is missing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.read import History, Point
from tillwatch.collector.web.drawing.series import HOUR, SECOND, gap_after, gaps, thin


def series(values, step=60 * SECOND, resolution="reading"):
    points = tuple(Point(1000 * SECOND + k * step, value, None, None, 1) for k, value in enumerate(values))
    return History("t", "c", "s", "%", resolution, points)


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=400), st.integers(2, 60))
def test_thinning_keeps_the_extremes_and_every_reading_counts(values, limit):
    thinned, merged = thin(series(values), limit)
    assert merged + len(thinned.points) == len(values)
    assert len(thinned.points) <= max(limit, 3)
    assert sum(point.n for point in thinned.points) == len(values)
    lows = [point.value if point.least is None else point.least for point in thinned.points]
    highs = [point.value if point.most is None else point.most for point in thinned.points]
    assert (min(lows), max(highs)) == (min(values), max(values))
    assert [p.at for p in thinned.points] == sorted(p.at for p in thinned.points)


def test_a_hole_is_never_averaged_away():
    thinned, _ = thin(series([1.0] * 50 + [None] + [3.0] * 50), 20)
    at = [point.value for point in thinned.points].index(None)
    assert {point.value for point in thinned.points[:at]} == {1.0}
    assert {point.value for point in thinned.points[at + 1 :]} == {3.0}


def test_words_keep_their_changes():
    thinned, merged = thin(series(["normal"] * 40 + ["battery"] * 2 + ["normal"] * 40), 10)
    assert [point.value for point in thinned.points] == ["normal", "battery", "normal", "normal"]
    assert merged == 78


def test_gaps_are_long_silences_and_unreadable_times():
    history = series([1.0, 1.0, 1.0, None, 1.0, 1.0])
    longest = gap_after(history, 60)
    assert gaps(history.points, longest) == [(history.points[2].at, history.points[4].at)]
    late = (*history.points[:3], Point(history.points[2].at + 10 * 60 * SECOND, 1.0, None, None, 1))
    assert gaps(late, longest) == [(late[2].at, late[3].at)]
    jitter = (*history.points[:3], Point(history.points[2].at + 100 * SECOND, 1.0, None, None, 1))
    assert gaps(jitter, longest) == []


def test_a_missing_hour_is_a_gap():
    history = series([1.0, 2.0, 3.0], step=HOUR, resolution="hour")
    assert gaps(history.points, gap_after(history, 10)) == []
    assert len(gaps((history.points[0], history.points[2]), gap_after(history, 10))) == 1
