"""Intervals against plain sets of minutes, and the effects of a fault."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.simulate.truth import Effect, Fault, Ledger, closed, length, union, within, without

spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda p: (p[0], p[0] + p[1])), max_size=8)


def minutes(found) -> set[int]:
    return {minute for since, until in found for minute in range(since, until)}


@given(spans, spans)
def test_intervals_are_sets(some, others):
    assert minutes(union(some)) == minutes(some)
    assert minutes(without(some, others)) == minutes(some) - minutes(others)
    assert minutes(within(some, others)) == minutes(some) & minutes(others)
    assert length(union(some)) == len(minutes(some))


@given(spans)
def test_a_union_is_in_order_and_touches_nowhere(some):
    merged = union(some)
    assert all(until < later for (_, until), (later, _) in itertools.pairwise(merged))


def test_what_lasts_ends_with_the_year():
    assert closed([[1, 3], [5, 0]], 9) == [(1, 3), (5, 9)]


def test_an_effect_begins_and_ceases_once():
    effect = Effect("t", "c", (("rule", 2),))
    effect.cease(1)
    effect.begin(2)
    effect.begin(3)
    effect.cease(4)
    effect.cease(5)
    effect.begin(6)
    assert effect.spans(10) == [(2, 4), (6, 10)]


def test_a_fault_is_as_grave_as_its_gravest_effect():
    fault = Fault(1, "m", "terminal", "t", "b", "r", 0)
    assert fault.level == 0
    fault.effect("t", "c", ())
    fault.effect("t", "c", (("one", 3),))
    fault.effect("t", "c", (("other", 2), ("one", 3)))
    assert fault.effect("t", "c", (("one", 3),)) is fault.effects[1]
    assert (fault.level, len(fault.effects)) == (2, 3)


def test_what_could_be_seen_leaves_out_when_the_collector_was_away():
    ledger = Ledger()
    ledger.online("t", 10)
    ledger.offline("t", 20)
    ledger.online("t", 30)
    ledger.away.append([35, 40])
    assert ledger.visible("t", 50) == [(10, 20), (30, 35), (40, 50)]
