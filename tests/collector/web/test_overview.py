"""Roll-ups add up, unknown is never up, and a search finds what begins with the text first."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.fake_fleet import NANO, FakeFleet
from tillwatch.collector.read import StateView, TerminalView
from tillwatch.collector.records import CAUSES, STATES
from tillwatch.collector.web.overview import (
    COUNTS,
    HITS,
    by_place,
    counts_as,
    find,
    missed,
    roll_up,
    worst_first,
)

BASE = 1_790_000_000 * NANO


def terminal(state: str = "in_service", cause: str = "", **changed: object) -> TerminalView:
    view = TerminalView("ATM-1", "Harbour Road", "South", "atm", "ok", "", "online", 0, 0, BASE, 0, 7, 0, state=StateView(state, BASE, "", "", "", cause, (), 0) if state else None)  # fmt: skip
    return replace(view, **changed)


@pytest.mark.parametrize(
    ("state", "cause", "counts"),
    [
        ("in_service", "", "up"),
        ("degraded", "", "up"),
        ("out_of_service", "", "down"),
        ("supervisor", "", "down"),
        ("unmonitored", "", "unmonitored"),
        ("maintenance", "", "planned"),
        ("retired", "", "excluded"),
        ("", "", "unmonitored"),
        ("offline", "nobody knows", "unmonitored"),
        *(("offline", cause, counts) for cause, counts in CAUSES.items()),
    ],
)
def test_every_state_counts_as_one_thing_and_unknown_is_not_up(state: str, cause: str, counts: str) -> None:
    assert counts_as(terminal(state, cause)) == counts


def test_outside_its_hours_a_terminal_is_out_of_the_schedule() -> None:
    assert counts_as(terminal("offline", "power"), lambda _, __: False) == "excluded"


VIEWS = st.lists(
    st.builds(
        lambda k, state, cause, condition, level, place: replace(
            terminal(state, cause), id=f"T-{k}", condition=condition, level=level, open_alarms=level, branch=f"B{place}", region=f"R{place % 2}"
        ),
        st.integers(0, 10**6), st.sampled_from(("", *STATES)), st.sampled_from(("", *CAUSES)), st.sampled_from(("ok", "warn", "crit", "unknown", "odd")),
        st.integers(0, 3), st.integers(0, 5),
    ),
    max_size=40,
)  # fmt: skip


@given(VIEWS)
def test_places_add_up_to_the_whole(views: list[TerminalView]) -> None:
    whole = roll_up(views)
    for place in (lambda view: view.branch, lambda view: view.region):
        parts = by_place(views, place)
        assert sum(part.terminals for part in parts) == whole.terminals == sum(whole.counts.values())
        assert sum(whole.conditions.values()) == sum(whole.states.values()) == whole.terminals
        for word in COUNTS:
            assert sum(part.counts[word] for part in parts) == whole.counts[word]
    if whole.least is not None:
        assert whole.most is not None
        assert 0 <= whole.least <= whole.most <= 1
    assert whole.worst == (min(views, key=worst_first).id if views else "")


def test_nothing_has_no_share() -> None:
    assert (roll_up([]).least, roll_up([terminal("spare")]).most) == (None, None)


def test_the_gravest_place_comes_first() -> None:
    views = FakeFleet(10_000, BASE, branches=200).terminals()
    first = by_place(views, lambda view: view.branch)[0]
    assert (first.counts["down"], first.region) == (49, "Region Belmont")


def test_a_search_puts_what_begins_so_first_and_is_bounded() -> None:
    fleet = FakeFleet(60, BASE)
    terminals, (incidents, _) = fleet.terminals(), fleet.incidents(BASE)
    assert [hit.id for hit in find("atm-00", terminals, incidents) if hit.kind == "terminal"] == ["ATM-001", "ATM-003", "ATM-006", "ATM-007"]  # fmt: skip
    assert next((hit.kind, hit.id) for hit in find("harbour", terminals, incidents)) == ("branch", "Harbour Road")
    assert [hit.kind for hit in find("South", terminals, incidents)] == ["region"]
    found = find("INC0012001", terminals, incidents)
    assert [(hit.kind, hit.title) for hit in found] == [
        ("incident", "The terminal runs on battery and the charge falls")
    ]
    assert find(found[0].id[:6], terminals, incidents)[0].id == found[0].id
    assert len([hit for hit in find("a", terminals, incidents) if hit.kind == "terminal"]) == HITS
    assert find("  ", terminals, incidents) == []


def test_targets_that_are_missed_are_counted_once_an_incident() -> None:
    fleet = FakeFleet(60, BASE)
    incidents, _ = fleet.incidents(BASE)
    told = missed(incidents, BASE)
    assert (told.living, told.breached) == (5, 1)
    assert told.next_due > BASE
    assert missed([replace(incidents[0], drill=True)], BASE).living == 0
