from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.timers import Timers

keys = st.tuples(st.sampled_from("ab"), st.sampled_from("cd"), st.just(""), st.just(""))


@given(st.lists(st.one_of(st.tuples(keys, st.integers(0, 20)), keys, st.integers(0, 25))))
def test_timers_fire_in_due_order_as_a_table_would_tell(steps):
    timers, table, now = Timers(), {}, 0
    for step in steps:
        if isinstance(step, int):
            now = max(now, step)
            expected = sorted((due, key) for key, due in table.items() if due <= now)
            fired = []
            while (hit := timers.pop(now)) is not None:
                fired.append(hit)
                del table[hit[1]]
            assert fired == expected
        elif len(step) == 2:
            timers.set(*step)
            table[step[0]] = step[1]
        else:
            timers.cancel(step)
            table.pop(step, None)
        assert len(timers) == len(table)
        assert timers.next_due() == min(table.values(), default=None)
