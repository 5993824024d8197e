import hypothesis.strategies as st
from hypothesis import given

from tillwatch.agent.model import Quality, State
from tillwatch.agent.thinning import (
    COUNTER_EVERY_NS,
    COUNTERS_AT,
    GAUGE_EVERY_NS,
    GAUGES_AT,
    RELEASE,
    Grade,
    Taken,
    Thinner,
    grade,
    thin,
)

S = 1_000_000_000
COUNTERS = {"pages"}


def gauge(i, component="c"):
    return Taken(component, "n", i, i, Quality.GOOD, State.NONE)


def counter(i):
    return Taken("c", "pages", i, i, Quality.GOOD, State.NONE)


def bad(i):
    return Taken("c", "state", i, "failed", Quality.GOOD, State.CRIT)


items = st.lists(
    st.builds(
        Taken,
        st.sampled_from(["a", "b/c"]),
        st.sampled_from(["pages", "n", "monitor.interval"]),
        st.integers(0, 10**6),
        st.one_of(st.integers(), st.text(max_size=3), st.none()),
        st.sampled_from(Quality),
        st.sampled_from(State),
    ),
    max_size=200,
)


@given(items, st.integers(1, 100))
def test_thinning_keeps_order_and_the_bound_and_takes_the_lower_grade_first(taken, most):
    kept = thin(taken, most, COUNTERS)
    assert len(kept) <= most
    remaining = iter(taken)
    assert all(any(item is other for other in remaining) for item in kept)
    gone = [item for item in taken if not any(item is other for other in kept)]
    if len(taken) <= most:
        assert not gone
    if any(grade(item, COUNTERS) is Grade.ALARM for item in gone):
        assert all(grade(item, COUNTERS) is Grade.ALARM for item in kept)


def test_counters_go_before_gauges_before_what_an_alarm_may_hang_on():
    taken = [bad(0), *(item for i in range(50) for item in (counter(i), gauge(i))), bad(1)]
    only_counters = thin(taken, 60, COUNTERS)
    assert sum(item.signal == "n" for item in only_counters) == 50
    assert sum(item.signal == "pages" for item in only_counters) >= 1
    gauges_too = thin(taken, 10, COUNTERS)
    assert [item for item in gauges_too if item.signal == "state"] == [taken[0], taken[-1]]
    assert gauges_too[-2].up == 49


def test_half_of_the_gauges_stays_evenly():
    kept = thin([gauge(i) for i in range(100)], 50, COUNTERS)
    assert [item.value for item in kept] == list(range(1, 100, 2))


def test_a_spool_that_fills_gets_coarser_by_grade():
    thinner = Thinner(COUNTERS)
    hours = [
        Taken("c", s, h * COUNTER_EVERY_NS // 4, h, Quality.GOOD, State.NONE) for h in range(40) for s in ("pages", "n")
    ]
    faults = [bad(i) for i in range(5)]
    assert thinner.keep(hours, COUNTERS_AT - 0.01) == hours
    kept = thinner.keep([*hours, *faults], COUNTERS_AT)
    assert sum(item.signal == "pages" for item in kept) == 10
    assert sum(item.signal == "n" for item in kept) == 40
    assert [item for item in kept if item.signal == "state"] == faults
    often = [gauge(i * GAUGE_EVERY_NS // 10) for i in range(100)]
    assert len(thinner.keep(often, GAUGES_AT)) == 10
    assert thinner.keep(faults, 1.0) == faults


def test_thinning_ends_well_below_the_mark_that_began_it(caplog):
    thinner = Thinner(COUNTERS)
    assert len(thinner.keep([counter(0), counter(1)], COUNTERS_AT)) == 1
    assert len(thinner.keep([counter(2)], COUNTERS_AT * RELEASE + 0.01)) == 0
    assert thinner.active
    assert len(thinner.keep([counter(3), counter(4)], COUNTERS_AT * RELEASE - 0.01)) == 2
    assert not thinner.active
    assert caplog.text.count("thinned first") == 1
