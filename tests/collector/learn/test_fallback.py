from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.learn import made
from tillwatch.collector.learn.budget import NEVER
from tillwatch.collector.learn.fallback import MOST, Fallback, fallback
from tillwatch.collector.learn.panel import DAY_NS, Features, Panel

NUMBERS = st.one_of(st.just(float("nan")), st.floats(0, 1e5, width=32))


def rows(*values: tuple[float, float]) -> Features:
    return Features(("jam count 7 d", "age"), np.array(values, np.float32), ("jam", "age"), {})


def nothing() -> Panel:
    none = np.zeros(0, np.int64)
    table = Features(made.NAMES, np.zeros((0, 5), np.float32), made.SUBJECTS, {"model": made.MODELS})
    return Panel(none, none, table, np.zeros(0, bool), DAY_NS, DAY_NS)


@given(NUMBERS, NUMBERS, st.floats(0, 1e5), st.floats(0, 1e5))
def test_more_events_and_more_age_are_never_less_risk(
    jams: float, age: float, more_jams: float, more_age: float
) -> None:
    rule = fallback(nothing(), 1.0, made.TELLING)
    less, more = rule.predict(rows((jams, age), (np.nan_to_num(jams) + more_jams, np.nan_to_num(age) + more_age)))
    assert 0 < less <= more <= MOST


def test_before_anything_is_seen_it_ranks_and_raises_nothing() -> None:
    rule = fallback(nothing(), 1.0, made.TELLING)
    assert rule.threshold.value == NEVER
    young, old = rule.predict(rows((0, 0), (6, 4000)))
    assert old > 5 * young


def test_what_is_seen_outweighs_the_prior() -> None:
    whole = made.panel(50, 40, seed=1)
    rule = fallback(whole, 5.0, made.TELLING)
    seen = rule.learnt_from["failures"] / (len(whole) * whole.years_a_row)
    assert 0.3 * seen < rule.rate < seen
    assert fallback(replace(whole, failed=np.zeros(len(whole), bool)), 5.0, made.TELLING).rate < 0.1


def test_reasons_are_those_of_the_rule() -> None:
    rule = fallback(nothing(), 1.0, made.TELLING)
    found = rule.factors(rows((6, 400)), 0)
    assert [factor.subject for factor in found] == ["events of the last 7 days", "age"]
    assert found[0].values == {"jam count 7 d": 6.0}
    assert rule.factors(rows((0, 0)), 0) == []


def test_its_parts_make_it_again() -> None:
    rule = fallback(made.panel(20, 20), 1.0, made.TELLING)
    assert Fallback.from_parts(rule.parts()) == rule
