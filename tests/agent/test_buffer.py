import hypothesis.strategies as st
from hypothesis import given

from tillwatch.agent.buffer import MAX_PENDING, Buffer, Taken, thin
from tillwatch.agent.model import Quality, State
from tillwatch.agent.wire import MAX_DEVICES, MAX_READINGS, MAX_SPAN_MS

S = 1_000_000_000


def number(i, component="c", up=None):
    return Taken(component, "n", i if up is None else up, i, Quality.GOOD, State.NONE)


def bad(i):
    return Taken("c", "state", i, "failed", Quality.GOOD, State.CRIT)


items = st.lists(
    st.builds(
        Taken,
        st.sampled_from(["a", "b/c"]),
        st.sampled_from(["m", "n"]),
        st.integers(0, 10**6),
        st.one_of(st.integers(), st.text(max_size=3)),
        st.sampled_from(Quality),
        st.sampled_from(State),
    ),
    max_size=200,
)


@given(items, st.integers(1, 100))
def test_thinning_keeps_order_and_the_bound(taken, most):
    kept = thin(taken, most)
    assert len(kept) <= most
    remaining = iter(taken)
    assert all(any(item is other for other in remaining) for item in kept)


def test_numbers_of_healthy_signals_go_before_states_and_faults():
    taken = [bad(0)] + [number(i) for i in range(100)] + [bad(1)]
    kept = thin(taken, 10)
    assert [item for item in kept if item.signal == "state"] == [taken[0], taken[-1]]
    assert kept[-2] is taken[-2]


def test_half_of_the_numbers_stays_evenly():
    kept = thin([number(i) for i in range(100)], 50)
    assert [item.value for item in kept] == list(range(1, 100, 2))


def test_the_bound_is_kept_and_what_goes_is_counted():
    buffer = Buffer()
    for i in range(5 * MAX_PENDING):
        buffer.add([number(i)])
    assert len(buffer) <= MAX_PENDING
    assert buffer.lost + len(buffer) == 5 * MAX_PENDING


def test_cut_takes_no_more_than_a_batch_may_hold():
    buffer = Buffer()
    buffer.add([number(i) for i in range(MAX_READINGS + 5)])
    assert len(buffer.cut()) == MAX_READINGS
    assert len(buffer.cut()) == 5
    assert buffer.cut() == []


def test_cut_by_devices_span_and_size():
    buffer = Buffer()
    buffer.add([number(i, component=f"d{i}/x") for i in range(MAX_DEVICES + 1)])
    assert len(buffer.cut()) == MAX_DEVICES
    assert len(buffer.cut()) == 1
    buffer.add([number(0, up=0), number(1, up=(MAX_SPAN_MS // 1000 + 1) * S)])
    assert len(buffer.cut()) == 1
    assert len(buffer.cut()) == 1
    buffer.add([Taken("c", "t", 0, "x" * 500, Quality.GOOD, State.NONE) for _ in range(100)])
    assert buffer.ripe
    assert len(buffer.cut()) < 60


def test_cut_where_time_runs_backwards():
    buffer = Buffer()
    buffer.add([number(0, up=5), number(1, up=9), number(2, up=3)])
    assert len(buffer.cut()) == 2


def test_what_is_restored_comes_first():
    buffer = Buffer()
    buffer.add([number(1), number(2)])
    taken = buffer.cut()
    buffer.add([number(3)])
    buffer.restore(taken)
    assert [item.value for item in buffer.cut()] == [1, 2, 3]


def test_a_full_batch_is_told():
    buffer = Buffer()
    told = []
    buffer.on_ripe = lambda: told.append(1)
    buffer.add([number(0)])
    assert not told
    buffer.add([number(i) for i in range(MAX_READINGS)])
    assert told
