"""What explains what: by default, by links, from both ends, and for a fleet of the size that is promised."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tillwatch.collector.incident.topology import MAX_DEPTH, Below, Topology, TopologyError, check


@dataclass(frozen=True)
class Link:
    parent: str
    child: str
    kind: str = "power"


FLEET = {
    "srv-1": ("one", "north", "server"),
    "atm-1": ("one", "north", "atm"),
    "pos-1": ("one", "north", "pos"),
    "srv-2": ("two", "north", "server"),
    "atm-2": ("two", "north", "atm"),
    "atm-3": ("three", "south", "atm"),
}


def test_what_a_branch_server_reads_serves_its_branch_and_no_other():
    topology = Topology(terminals=FLEET)
    for kind in ("power", "network"):
        assert topology.explained_by(("srv-1", "ups"), kind) == Below(("atm-1", "pos-1", "srv-1"), ())
    assert topology.explains(("srv-1", "ups"), "power", "srv-1", "switch")
    assert topology.explains(("srv-1", "ups/battery"), "power", "atm-1", "printer")
    assert not topology.explains(("srv-1", "ups"), "power", "srv-1", "ups/battery"), "an alarm is not its own cause"
    assert not topology.explains(("srv-1", "ups"), "power", "atm-2")


def test_what_an_atm_reads_serves_that_atm_alone():
    topology = Topology(terminals=FLEET)
    assert topology.explained_by(("atm-1", "ups"), "power") == Below(("atm-1",), ())
    assert topology.explains(("atm-1", "ups"), "power", "atm-1", "printer")
    assert not topology.explains(("atm-1", "ups"), "power", "srv-1")


@pytest.mark.parametrize("itself", ["", "host", "host/net:eth0", "agent"])
def test_a_terminal_explains_what_it_reads_and_a_server_hosts_its_branch(itself):
    topology = Topology(terminals=FLEET)
    assert topology.explains(("atm-1", itself), "power", "atm-1", "printer")
    assert not topology.explains(("atm-1", itself), "power", "atm-1", "host/disk:a")
    assert topology.explained_by(("srv-1", itself), "power") == Below(("srv-1",), ())
    assert topology.explained_by(("srv-1", itself), "host").terminals == ("atm-1", "pos-1", "srv-1")
    second = Topology(terminals={**FLEET, "srv-1b": ("one", "north", "server")})
    assert not second.explains(("srv-1", itself), "host", "srv-1b"), "two servers do not host each other"


def test_a_parent_that_is_named_takes_the_place_of_the_default_of_its_kind():
    topology = Topology([Link("srv-1/ups-b", "atm-1")], FLEET)
    assert topology.explained_by(("srv-1", "ups-b"), "power").terminals == ("atm-1",)
    assert topology.explained_by(("srv-1", "ups-a"), "power").terminals == ("pos-1", "srv-1")
    assert topology.explained_by(("srv-1", "switch"), "network").terminals == ("atm-1", "pos-1", "srv-1")
    assert topology.explains(("atm-1", "ups"), "power", "atm-1"), "its own device serves it all the same"
    assert topology.parents("atm-1", "", "power") == ("srv-1/ups-b", "branch:one")


def test_a_device_that_loses_its_parent_passes_on_what_it_serves():
    """A switch without power takes its branch with it, though nobody said so of its power."""
    topology = Topology([Link("hub/pdu", "srv-1/switch"), Link("hub/pdu", "atm-2/ups")], FLEET)
    assert topology.explained_by(("hub", "pdu"), "power").terminals == ("atm-1", "atm-2", "pos-1", "srv-1")
    assert topology.explains(("hub", "pdu"), "power", "srv-1", "switch/port:1")


def test_a_device_that_links_say_what_it_serves_is_linked_alone():
    topology = Topology([Link("srv-1/pdu", "srv-1/switch"), Link("srv-1/switch", "pos-1")], FLEET)
    assert topology.explained_by(("srv-1", "pdu"), "power") == Below(("pos-1",), ("srv-1/switch",))
    assert topology.explains(("srv-1", "pdu"), "power", "srv-1", "switch/port:1")
    assert not topology.explains(("srv-1", "pdu"), "power", "srv-1")


def test_a_chain_reaches_from_a_hub_over_region_and_branch_to_what_a_terminal_reads():
    links = [
        Link("srv-1/core", "region:south", "network"),
        Link("srv-1/core", "srv-2/router", "network"),
        Link("branch:three", "branch:four", "network"),
    ]
    topology = Topology(links, {**FLEET, "atm-4": ("four", "west", "atm")})
    assert topology.explained_by(("srv-1", "core"), "network").terminals == ("atm-2", "atm-3", "atm-4", "srv-2")
    assert topology.explains(("srv-1", "core"), "network", "atm-4", "printer")
    assert topology.explained_by(("srv-1", "core"), "power").terminals == ("atm-1", "pos-1", "srv-1")
    assert topology.children("srv-1", "core", "network") == ("region:south", "srv-2/router")


def test_a_branch_and_a_region_explain_their_members():
    topology = Topology(terminals=FLEET)
    assert topology.explained_by(("branch:one", ""), "network").terminals == ("atm-1", "pos-1", "srv-1")
    assert topology.explained_by(("region:north", ""), "network").terminals == (
        "atm-1",
        "atm-2",
        "pos-1",
        "srv-1",
        "srv-2",
    )
    assert topology.explains(("region:north", ""), "network", "atm-2")
    assert not topology.explains(("branch:one", ""), "network", "atm-2")
    assert topology.servers("one") == ("srv-1",)


def test_a_terminal_that_is_added_or_moves_is_where_it_is_now():
    topology = Topology([Link("hub", "region:south", "network"), Link("atm-9", "branch:two", "host")], FLEET)
    assert topology.strangers() == ("atm-9", "hub")
    topology.place("atm-9", "one", "north", "atm")
    assert topology.explains(("srv-1", "ups"), "power", "atm-9")
    topology.place("atm-9", "three", "south", "atm")
    assert not topology.explains(("srv-1", "ups"), "power", "atm-9")
    assert topology.explains(("hub", ""), "network", "atm-9")
    topology.place("srv-2", "three", "north", "server")
    assert topology.servers("two") == ()
    assert topology.explains(("srv-2", "ups"), "power", "atm-3")
    assert topology.strangers() == ("hub",)


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ([Link("a", "b", "water")], "kind is one of power, network, host, not 'water'"),
        ([Link("atm-1/", "b")], "'atm-1/' is no node; write TERMINAL"),
        ([Link("a", "branch:")], "'branch:' is no node"),
        ([Link("a", "office:one")], "'office:one' is no node"),
        ([Link("a", "a")], "power: these depend on each other: a -> a; take one"),
        ([Link("a", "b"), Link("b", "c/x"), Link("c/x", "a")], "a -> b -> c/x -> a"),
        ([Link("atm-1", "branch:two"), Link("atm-2", "branch:one")], "atm-1 -> branch:two -> atm-2 -> branch:one -> atm-1"),
        ([Link("atm-3", "region:north"), Link("branch:one", "branch:three")], "atm-3 -> region:north -> branch:one -> branch:three -> atm-3"),
        ([Link("branch:one", "atm-1"), Link("atm-1", "branch:one")], "branch:one -> atm-1 -> branch:one"),
        ([Link("hub/a", "srv-1/ups"), Link("atm-1", "hub/a")], "hub/a -> srv-1/ups -> atm-1 -> hub/a"),
        ([Link(f"t{n}", f"t{n + 1}") for n in range(MAX_DEPTH)], f"more than {MAX_DEPTH} nodes below each other"),
        ([Link(f"t{n}", f"t{n + 1}") for n in reversed(range(MAX_DEPTH))], f"more than {MAX_DEPTH} nodes below each other"),
    ],
)  # fmt: skip
def test_links_that_cannot_be_meant_are_refused_with_their_path(links, message):
    with pytest.raises(TopologyError, match=re.escape(message)):
        check(links, FLEET)


def test_what_is_meant_is_taken():
    check([Link(f"t{n}", f"t{n + 1}") for n in range(MAX_DEPTH - 1)], {})
    # One circle needs one kind; who serves the branch that he belongs to makes none, alone or with a second one.
    check([Link("a", "b", "power"), Link("b", "a", "network")], FLEET)
    check([Link("srv-1", "branch:one", "network"), Link("atm-1", "branch:one", "network")], FLEET)


def test_links_that_came_to_run_in_a_circle_end_all_the_same():
    topology = Topology([Link("atm-1", "branch:two"), Link("atm-2", "branch:one")], FLEET)
    assert topology.explained_by(("atm-1", ""), "power").terminals == ("atm-1", "atm-2", "pos-1", "srv-1", "srv-2")
    assert topology.explains(("atm-1", ""), "power", "pos-1")
    assert not topology.explains(("atm-1", ""), "power", "atm-3")


def test_a_fleet_of_fifty_thousand_is_asked_without_being_walked():
    """By the number of steps, not by the clock: one question touches the parents of one terminal."""
    fleet = {f"t{n}": (f"b{n // 40}", f"r{n // 4000}", "server" if n % 40 == 0 else "atm") for n in range(50_000)}
    topology = Topology([Link("hub/core", "region:r3", "network")], fleet)
    asked = []

    class Counting(dict):
        def get(self, key, default=None):
            asked.append(key)
            return super().get(key, default)

    topology._parents = Counting(topology._parents)
    assert topology.explains(("hub", "core"), "network", "t12345", "printer")
    assert topology.explains(("t40", "ups"), "power", "t41")
    assert not topology.explains(("t40", "ups"), "power", "t81")
    assert len(asked) < 50
    assert len(topology.explained_by(("hub", "core"), "network").terminals) == 4000


NODES = ["srv-1", "srv-1/ups", "srv-1/sw", "atm-1", "atm-1/ups", "srv-2", "srv-2/ups", "atm-2", "atm-3", "branch:one", "branch:two", "region:north", "region:south", "hub/r"]  # fmt: skip


@given(
    st.lists(st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)), max_size=8),
    st.lists(st.sampled_from(list(FLEET)), unique=True),
    st.sampled_from(["power", "host"]),
)
@settings(deadline=None)  # a busy machine takes its time
def test_both_ends_say_the_same(pairs, moved, kind):
    topology = Topology([Link(a, b, kind) for a, b in pairs], FLEET)
    for name in moved:
        topology.place(name, "two", "south", FLEET[name][2])
    parts = [(name, device) for name in FLEET for device in ("", "ups", "sw", "printer")]
    roots = [*parts, ("hub", "r"), ("branch:one", ""), ("branch:two", ""), ("region:south", "")]
    for root in roots:
        below = topology.explained_by(root, kind)
        for name, device in parts:
            if (name, device) != root:
                told = name in below.terminals or f"{name}/{device}" in below.devices
                assert topology.explains(root, kind, name, device) == told, (root, name, device)
