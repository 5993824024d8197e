"""Whether several were lost by one cause: in each order, with gaps of detection, and never of what is far apart."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.incident.inference import Crowd, infer, infer_fleet

S = 10**9
T0 = 1_790_000_000 * S
SETTINGS = {"share": 0.3, "least": 3, "within_ns": 90 * S}


def lost(*seconds, interval=0):
    return {f"t{n:02}": (T0 + at * S, T0 + (at + interval) * S) for n, at in enumerate(seconds)}


@pytest.mark.parametrize("order", range(5))
def test_a_branch_switch_with_forty_terminals_is_seen_in_each_order(order):
    """Asked at each loss, it says yes from the twelfth of forty on."""
    last_words = {f"t{n:02}": (T0 + n * S, T0 + (n + 60) * S) for n in range(40)}
    names = list(last_words)
    random.Random(order).shuffle(names)
    known, said = {}, []
    for name in names:
        known[name] = last_words[name]
        said.append(infer(name, known, 40 - len(known), **SETTINGS))
    assert [bool(each) for each in said] == [False] * 11 + [True] * 29
    assert said[-1].who == tuple(sorted(names))
    assert said[-1].crowd == Crowd(40, 40, 39 * S)
    assert said[-1].span == (T0, T0 + 39 * S)


@pytest.mark.parametrize(
    ("gone", "others", "expected"),
    [
        (1, 0, False),  # alone in its branch it says nothing of the branch
        (2, 0, True),
        (1, 1, False),
        (2, 1, False),  # of three, three
        (3, 0, True),
        (3, 7, True),  # 30 % of ten are three, whatever floating point makes of it
        (3, 8, False),
        (4, 8, True),
        (30, 70, True),
        (29, 71, False),
    ],
)
def test_how_many_are_enough(gone, others, expected):
    assert bool(infer("t00", lost(*range(gone)), others, **SETTINGS)) is expected


def test_what_is_far_apart_is_not_one_cause():
    assert infer("t00", lost(0, 80, 160), 5, **SETTINGS) is None
    assert infer("t01", lost(0, 80, 90), 5, **SETTINGS).who == ("t00", "t01", "t02")
    assert infer("t01", lost(0, 80, 91), 5, **SETTINGS) is None
    # With the next word due an hour later nobody knows when in that hour it was lost: that speaks for one cause, not against it.
    assert infer("t00", lost(0, 80, 160, interval=3600), 5, **SETTINGS) is not None


def test_what_was_lost_together_long_ago_is_not_taken_for_what_is_lost_now():
    """Seven tills were switched off on Friday; on Monday the switch takes the other five, one after another as they are noticed."""
    gone = {**lost(*range(7)), **{f"m{n}": (T0 + 250_000 * S + n * S,) * 2 for n in range(3)}}
    found = infer("m2", gone, 2, **SETTINGS)
    assert found.who == ("m0", "m1", "m2")
    assert found.crowd.of == 5


def test_a_single_one_that_is_lost_beside_a_crowd_of_long_ago_is_alone():
    assert infer("m0", {**lost(*range(7)), "m0": (T0 + 250_000 * S,) * 2}, 4, **SETTINGS) is None


def test_who_loses_the_whole_fleet_has_lost_sight_himself():
    fleet = {"share": 0.9, "branches": 3, "within_ns": 90 * S}
    spans = lost(*range(10))
    three = {name: f"b{n % 3}" for n, name in enumerate(spans)}
    two = {name: f"b{n % 2}" for n, name in enumerate(spans)}
    assert infer_fleet("t09", spans, three, 1, **fleet).crowd == Crowd(10, 11, 9 * S, 3)
    assert infer_fleet("t09", spans, three, 2, **fleet) is None
    assert infer_fleet("t09", spans, two, 0, **fleet) is None, "two branches are not told from their own lines"


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 120)), min_size=1, max_size=12),
    st.integers(0, 12),
    st.integers(1, 60),
)
def test_the_moment_is_the_one_that_most_of_them_share(raw, others, half):
    """Against the plain definition: each second is tried."""
    spans = {f"t{n:02}": (start, start + length) for n, (start, length) in enumerate(raw)}
    first, last = spans["t00"]
    shared = [
        {name for name, (a, b) in spans.items() if a - half <= at <= b + half}
        for at in range(first - half, last + half + 1)
    ]
    most = max(len(each) for each in shared)
    found = infer("t00", spans, 0, share=0, least=1, within_ns=2 * half)
    assert len(found.who) == most
    assert set(found.who) in shared
    assert "t00" in found.who
    assert (infer("t00", spans, others, share=0.5, least=3, within_ns=2 * half) is not None) == (
        most >= (max(3, (most + others + 1) // 2) if most + others >= 3 else max(most + others, 2))
    )
