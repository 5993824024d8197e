"""What the broker is told of deliveries."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.opening.tags import Tags


@given(st.permutations(range(1, 13)), st.integers(1, 5))
def test_the_broker_is_told_of_nothing_that_is_not_settled_and_at_last_of_all(order, at_once):
    tags, told, settled = Tags(), 0, set()
    for tag in range(1, 13):
        tags.came(tag)
    for i in range(0, 12, at_once):
        some = order[i : i + at_once]
        settled |= set(some)
        reached = tags.settle(some)
        assert reached == 0 or reached > told
        told = max(told, reached)
        assert set(range(1, told + 1)) <= settled
    assert told == 12
    assert len(tags) == 0
