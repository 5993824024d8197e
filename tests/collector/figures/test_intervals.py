from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.figures.intervals import intersect, subtract, total, union

spans = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=8)


def points(them):
    return {point for since, until in them for point in range(since, until)}


@given(spans, spans)
def test_sets_of_time_do_what_sets_of_points_do(one, other):
    for made, expected in (
        (union(one, other), points(one) | points(other)),
        (intersect(one, other), points(one) & points(other)),
        (subtract(one, other), points(one) - points(other)),
    ):
        assert points(made) == expected
        assert total(made) == len(expected)
        assert all(since < until for since, until in made)
        assert all(before[1] < after[0] for before, after in itertools.pairwise(made))


def test_what_touches_is_one():
    assert union([(5, 9)], [(1, 5), (9, 9)]) == [(1, 9)]
