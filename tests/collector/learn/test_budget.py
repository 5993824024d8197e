from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.learn.budget import NEVER, by_budget

ROWS = st.lists(st.tuples(st.integers(0, 20).map(lambda n: n / 20), st.booleans()), max_size=60)


@given(ROWS, st.floats(0, 3), st.floats(0.5, 20))
def test_the_budget_holds_and_no_threshold_within_it_reaches_more(
    rows: list[tuple[float, bool]], budget: float, years: float
) -> None:
    score = np.array([row[0] for row in rows], float)
    failed = np.array([row[1] for row in rows], bool)
    found = by_budget(score, failed, years=years, budget=budget)
    raised = score >= found.value
    false = np.count_nonzero(raised & ~failed)
    assert false + np.sqrt(false) <= budget * years
    assert found.false_alarms == false / years
    for value in np.unique(score):
        other = np.count_nonzero((score >= value) & ~failed)
        if other + np.sqrt(other) <= budget * years:
            assert np.count_nonzero(failed & (score >= value)) <= np.count_nonzero(failed & raised)


def test_what_is_left_of_the_budget_is_not_spent_on_nothing() -> None:
    score, failed = np.array([0.9, 0.8, 0.3, 0.2, 0.1]), np.array([True, True, False, False, False])
    found = by_budget(score, failed, years=1.0, budget=100.0)
    assert 0.3 < found.value <= 0.8
    assert (found.recall, found.precision, found.false_alarms) == (1.0, 1.0, 0.0)


def test_a_row_that_stands_for_many_costs_as_many() -> None:
    score, failed = np.array([0.9, 0.8, 0.7]), np.array([True, False, True])
    plain = by_budget(score, failed, years=1.0, budget=4.0)
    weighed = by_budget(score, failed, years=1.0, budget=4.0, weights=np.array([1.0, 10.0, 1.0]))
    assert plain.recall == 1.0
    assert weighed.recall == 0.5


def test_where_no_threshold_keeps_the_budget_nothing_is_raised() -> None:
    found = by_budget(np.array([0.9, 0.1]), np.array([False, True]), years=1.0, budget=0.1)
    assert found.value == NEVER
    assert found.recall == 0.0
