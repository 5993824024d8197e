"""Bands of states: they cover the time without a hole, and nothing that was not seen is well."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.terminal.bands import CRIT, NEW, OK, OUT, UNKNOWN, WARN, Band, Mark, bands

END = 1_000
spans = st.tuples(st.integers(-50, END + 50), st.integers(-50, END + 50)).map(lambda pair: (min(pair), max(pair)))
marks = st.builds(
    lambda span, state, text: Mark(*span, state, text),
    spans,
    st.sampled_from([WARN, CRIT, UNKNOWN, OUT]),
    st.sampled_from(["", "a", "b"]),
)


@given(st.integers(0, END), st.lists(spans, max_size=6), st.lists(marks, max_size=6))
def test_bands_cover_the_time_and_say_well_only_where_something_was_seen(first, known, held):
    found = bands(0, END, first, known, held)
    assert (found[0].since, found[-1].until) == (0, END)
    assert all(
        one.until == two.since and (one.state, one.texts) != (two.state, two.texts) for one, two in pairwise(found)
    )
    for at in range(0, END, 7):
        state = next(band.state for band in found if band.since <= at < band.until)
        over = [mark.state for mark in held if mark.since <= at < mark.until]
        seen = first and at >= first and any(since <= at < until for since, until in known)
        if state == OK:
            assert seen
            assert not over
        if OUT in over:
            assert state == OUT
        elif not first or at < first:
            assert state == NEW
        elif CRIT in over:
            assert state == CRIT
        elif not seen or UNKNOWN in over:
            assert state == UNKNOWN


def test_what_holds_at_once_shows_the_gravest_with_its_reasons():
    found = bands(
        0, 100, 1, [(0, 60)], [Mark(10, 40, WARN, "paper"), Mark(20, 30, CRIT, "jam"), Mark(50, 60, OUT, "repair")]
    )
    assert found == [
        Band(0, 1, NEW), Band(1, 10, OK), Band(10, 20, WARN, ("paper",)), Band(20, 30, CRIT, ("jam",)), Band(30, 40, WARN, ("paper",)),
        Band(40, 50, OK), Band(50, 60, OUT, ("repair",)), Band(60, 100, UNKNOWN),
    ]  # fmt: skip


def test_never_heard_is_not_unknown_but_new():
    assert bands(0, 10, 0, [], []) == [Band(0, 10, NEW)]
