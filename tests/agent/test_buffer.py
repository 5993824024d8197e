from tillwatch.agent.buffer import MAX_PENDING, Buffer
from tillwatch.agent.model import Quality, State
from tillwatch.agent.thinning import Taken
from tillwatch.agent.wire import MAX_DEVICES, MAX_READINGS, MAX_SPAN_MS

S = 1_000_000_000


def number(i, component="c", up=None):
    return Taken(component, "n", i if up is None else up, i, Quality.GOOD, State.NONE)


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
