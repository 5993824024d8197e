"""Which ring a terminal is in, what a gate says, and what is no ring."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.rollout.rings import (
    WHOLE,
    Gate,
    Ring,
    RingError,
    Tally,
    gate_of,
    lacking,
    place,
    rings_of,
    said_rings,
    share_of,
    spoiled,
)

NAMES = st.text("ABC-0123456789", min_size=1, max_size=12)
THREE = (Ring("pilot", 10_000), Ring("early", 100_000), Ring("rest", WHOLE))


@given(NAMES)
def test_every_terminal_is_in_exactly_one_ring_and_stays_in_it(terminal: str) -> None:
    assert place(terminal, THREE) in {"pilot", "early", "rest"}
    assert place(terminal, THREE) == place(terminal, (*THREE[:2], Ring("all", WHOLE))).replace("all", "rest")
    # Who was in the first ring is in it again when it grows: the same terminals are always the first.
    if place(terminal, THREE) == "pilot":
        assert place(terminal, (Ring("pilot", 50_000), Ring("rest", WHOLE))) == "pilot"
    assert place(terminal, THREE[:1]) in {"pilot", ""}


def test_shares_are_what_they_say() -> None:
    counts = Counter(place(f"ATM-{n:05}", THREE) for n in range(20_000))
    assert 120 < counts["pilot"] < 280
    assert 1_800 < counts["early"] < 2_200


def test_a_list_wins_over_a_person_and_a_person_over_a_share() -> None:
    rings = (Ring("pilot", 0, ("ATM-1",)), Ring("early", 500_000), Ring("rest", WHOLE))
    assert place("ATM-1", rings, "rest") == "pilot"
    assert place("ATM-2", rings, "rest") == "rest"
    assert place("ATM-2", rings, "gone") in {"early", "rest"}


tallies = st.builds(lambda good, bad, away: Tally(good + bad + away, good, bad, away), *[st.integers(0, 500)] * 3)


@given(tallies, st.integers(1, WHOLE), st.integers(0, WHOLE - 1))
def test_a_gate_is_exact(tally: Tally, good: int, bad: int) -> None:
    gate = Gate(good, bad)
    assert spoiled(gate, tally) == (tally.bad * WHOLE > bad * tally.told)
    if not tally.told:
        assert not spoiled(gate, tally)
        assert not lacking(gate, tally)
    elif tally.good == tally.told:
        assert not lacking(gate, tally)
    assert lacking(gate, Tally(apart=3))


def test_one_bad_of_few_is_too_many() -> None:
    assert spoiled(Gate(), Tally(told=10, good=9, bad=1))
    assert not spoiled(Gate(), Tally(told=100, good=98, bad=2))


def test_as_people_say_it() -> None:
    said = rings_of(said_rings("pilot=ATM-1+ATM-2,early=9.5%,rest"))
    assert said == (Ring("pilot", 0, ("ATM-1", "ATM-2")), Ring("early", 95_000), Ring("rest", WHOLE))
    assert share_of("100%") == WHOLE


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "no name"),
        ("pilot=0%", "no share"),
        ("pilot=101%", "no share"),
        ("Pilot=1%", "no name"),
        ("a=60%,b=60%", "more than the whole"),
        ("rest,early=1%", "only the last"),
        ("a=1%,a=2%", "same name"),
        ("a=ATM-1,b=ATM-1", "twice"),
        ("a=AT/M", "ids"),
        (",".join(f"r{n}=1%" for n in range(11)), "1 to 10"),
    ],
)
def test_what_is_no_ring_is_said(text: str, wrong: str) -> None:
    with pytest.raises(RingError, match=wrong):
        said_rings(text)


@pytest.mark.parametrize("facts", [{"good": 0}, {"bad": WHOLE}, {"minutes": 0}, {"minutes": 1.5}, {"returns": 1}])
def test_what_is_no_gate_is_refused(facts: dict[str, object]) -> None:
    with pytest.raises(RingError):
        gate_of(facts)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda x: (
            st.lists(x, max_size=3)
            | st.dictionaries(st.sampled_from(["name", "share", "terminals", "good"]), x, max_size=3)
        ),
    )
)
def test_nonsense_of_the_journal_is_an_error_and_nothing_else(facts: object) -> None:
    for read in (rings_of, gate_of):
        try:
            read(facts)
        except RingError:
            continue
