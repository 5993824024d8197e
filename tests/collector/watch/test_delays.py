from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.watch.delays import MOST, MS, SPAN_NS, Sample, figures, kept, rank
from tillwatch.collector.watch.path import Stage

NOW = 1_790_000_000 * 10**9
samples = st.builds(
    Sample, st.integers(0, 2**62), st.booleans(), st.dictionaries(st.sampled_from(Stage), st.integers(0, 10**15))
)


@given(samples)
def test_a_sample_comes_back_as_it_went(sample: Sample) -> None:
    assert Sample.of_row(sample.row()) == sample


def test_a_day_is_kept_and_no_more_than_the_bound() -> None:
    old, new, future = (Sample(at, late=False, delays={}) for at in (NOW - SPAN_NS, NOW - SPAN_NS + 1, NOW + 1))
    assert kept((old, new, future), NOW) == (new,)
    many = [Sample(NOW - MOST - 5 + n, late=False, delays={}) for n in range(MOST + 5)]
    assert kept(many, NOW) == tuple(many[5:])


def test_figures_of_a_hundred_rounds() -> None:
    told = [Sample(NOW, late=n == 100, delays={Stage.STORED: n * MS, Stage.TICKET: 2 * n * MS}) for n in range(1, 101)]
    given_up = Sample(NOW, late=True, delays={})
    said = figures([*told, given_up])
    assert (said["rounds"], said["late"]) == (101, 2)
    assert said["detection"] == {"p50_ms": 50.0, "p99_ms": 99.0, "most_ms": 100.0, "n": 100}
    assert said["notification"] == {"p50_ms": 100.0, "p99_ms": 198.0, "most_ms": 200.0, "n": 100}
    assert set(said["stages"]) == {"stored", "ticket"}
    assert figures([])["detection"] is None


@given(st.lists(st.integers(), min_size=1).map(sorted), st.floats(0, 1))
def test_a_rank_is_a_value_that_so_many_do_not_exceed(told: list[int], share: float) -> None:
    value = rank(told, share)
    assert value in told
    assert sum(each <= value for each in told) >= share * len(told)
