"""Open time reckoned a second time is that of the policy's calendars."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.duty.policy import parse_policy
from tillwatch.collector.simulate.people import Pair, _open
from tillwatch.collector.simulate.site import site_policy
from tillwatch.collector.simulate.times import DAY, MINUTE
from tillwatch.collector.simulate.truth import length
from tillwatch.collector.simulate.year import START

POLICY = parse_policy(site_policy())
times = st.integers(0, 365 * DAY // MINUTE).map(lambda minute: START + minute * MINUTE)


@given(st.sampled_from([1, 2, 3]), st.sampled_from(["atm", "pos", "server"]), times, st.integers(0, 12 * DAY))
def test_open_time_is_that_of_the_calendars(level, kind, since, span):
    calendar = POLICY.calendar(level, kind, "branch-01")
    assert length(_open(level, kind, since, since + span)) == calendar.between(since, since + span)


def test_a_pair_is_equal_within_what_it_says():
    assert Pair("n", 3, 3).equal
    assert not Pair("n", 3, 3.5).equal
    assert Pair("n", 3, 3.5, 0.5).equal
