"""Which hop is guilty: the branch's own devices say it first, then its neighbours; what lies behind cannot be seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.collector.fake_fleet import NANO, FakeFleet
from tests.collector.web.test_overview import terminal
from tillwatch.collector.records import CAUSES
from tillwatch.collector.terminal.component_groups import NONE
from tillwatch.collector.web.health_path import HEALTH, HOPS, Network, judge, networks, path

BASE = 1_790_000_000 * NANO
QUIET = {"connection": "silent", "condition": "unknown"}


@pytest.mark.parametrize(
    ("network", "health"),
    [
        (Network(), ("unknown", "unknown", "guilty")),
        (Network(speaking=3), ("unknown", "guilty", "works")),
        (Network(lan="c", speaking=0), ("unknown", "guilty", "unknown")),
        (Network(wan="c", speaking=3), ("unknown", "unknown", "guilty")),
    ],
)
def test_a_terminal_that_the_network_lost(network: Network, health: tuple[str, ...]) -> None:
    found = judge(terminal("offline", "network", **QUIET), network, stands_still=False)
    assert found.health[:3] == health
    assert found.health[3:] == ("works", "works")


@pytest.mark.parametrize("cause", ["power", "terminal", "agent"])
def test_a_device_that_is_off_is_guilty_itself(cause: str) -> None:
    found = judge(terminal("offline", cause, **QUIET), Network(speaking=1), stands_still=False)
    assert (found.health[0], found.why[0], found.health[2]) == ("guilty", cause, "works")


def test_no_cause_is_no_guilt() -> None:
    assert "guilty" not in judge(terminal("offline", "unknown", **QUIET), Network(), stands_still=False).health


def test_a_line_on_its_reserve_is_weak_where_terminals_speak() -> None:
    assert judge(terminal(), Network(wan="w", speaking=1), stands_still=False).health == ("works", "works", "weak", "works", "works")  # fmt: skip


def test_a_collector_that_stands_still_knows_nothing_of_the_rest() -> None:
    found = path([terminal(), terminal("offline", "network", **QUIET)], {}, stands_still=True)
    assert found.guilty == "collector"
    assert [hop.health["unknown"] for hop in found.hops] == [2, 2, 2, 2, 0]


def test_everybody_lost_at_once_is_the_broker() -> None:
    assert path([terminal("offline", "monitoring", **QUIET)], {}, stands_still=False).guilty == "broker"


def test_what_is_out_of_use_or_was_never_heard_has_no_way() -> None:
    found = path([terminal("spare", life_cycle="spare"), terminal("", connection="new")], {}, stands_still=False)
    assert (found.terminals, found.unheard, found.guilty) == (0, 1, "")
    assert [hop.share for hop in found.hops] == [None] * 5


def test_a_hop_that_nobody_watches_says_so() -> None:
    views = [
        terminal(id="ATM-1"),
        terminal("in_service", id="SRV-1", branch="Harbour Road"),
        terminal(id="ATM-2", branch="Airport"),
    ]
    there = networks(views, {"SRV-1": ("o", NONE)})
    assert there["Harbour Road"] == Network("o", NONE, 2)
    assert {hop.hop: hop.watched for hop in path(views, there, stands_still=False).hops} == {"device": 3, "lan": 2, "wan": 0, "broker": 3, "collector": 3}  # fmt: skip


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("connection", ["online", "offline", "silent"])
def test_every_terminal_has_a_word_for_every_hop(cause: str, connection: str) -> None:
    found = judge(replace(terminal("offline", cause), connection=connection), Network(), stands_still=False)
    assert len(found.health) == len(HOPS) == len(found.why)
    assert set(found.health) <= set(HEALTH)


def test_a_large_fleet_adds_up() -> None:
    views = FakeFleet(1_000, BASE, branches=200).terminals()
    found = path(views, networks(views, {}), stands_still=False)
    assert {sum(hop.health.values()) for hop in found.hops} == {found.terminals}
    wan = found.hops[HOPS.index("wan")]
    assert wan.health["guilty"] == 4  # the branch of which nothing is heard; why a fifth one is silent nobody knows
    assert len(wan.examples) == 4
