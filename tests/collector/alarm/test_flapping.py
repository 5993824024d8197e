"""When a condition is said to come and go, and when it is calm: by the times of its turns alone."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from tillwatch.collector.alarm import flapping
from tillwatch.collector.duty.policy import IncidentSettings

S = 10**9
SETTINGS = IncidentSettings()
times = st.lists(st.integers(1, 10_000), min_size=1, max_size=60).map(lambda each: [at * S for at in sorted(each)])


def turns(at: list[int]) -> flapping.Turns:
    kept: flapping.Turns = ()
    for each in at:
        kept = flapping.turned(kept, each)
    return kept


@given(times)
def test_the_last_turns_are_kept_in_order(at: list[int]) -> None:
    kept = turns(at)
    assert list(kept) == at[-flapping.KEPT :]


@given(times)
def test_it_begins_with_so_many_turns_in_so_long(at: list[int]) -> None:
    within = sum(each > at[-1] - SETTINGS.flap_within_ns for each in at)
    assert flapping.begins(turns(at), at[-1], SETTINGS) == (within >= SETTINGS.flap_enter)


@given(times)
def test_it_is_calm_when_no_more_than_so_many_turns_were_in_so_long(at: list[int]) -> None:
    """At that moment, and not a second sooner."""
    calm, kept = flapping.calm_at(turns(at), SETTINGS), turns(at)

    def recent(now: int) -> int:
        return sum(each > now - SETTINGS.flap_quiet_ns for each in kept)

    if calm:
        assert recent(max(calm, at[-1])) <= SETTINGS.flap_leave
        assert recent(calm - S) > SETTINGS.flap_leave or calm - S < at[-1]
    else:
        assert len(kept) <= SETTINGS.flap_leave


@given(times)
def test_what_has_just_begun_is_not_calm_yet(at: list[int]) -> None:
    if flapping.begins(turns(at), at[-1], SETTINGS):
        assert flapping.calm_at(turns(at), SETTINGS) > at[-1]


def test_what_is_kept_is_enough_for_what_a_site_may_ask_for() -> None:
    assert SETTINGS.flap_enter < flapping.KEPT
