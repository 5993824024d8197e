"""Every component has one column, its signals decide before its name, and a column shows its worst."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.simulate.fleet import PARTS
from tillwatch.collector.terminal.component_groups import GROUPS, NONE, Part, cells, group_of, part_of, tells
from tillwatch.device_profiles.catalogue import kept_catalogue


@pytest.mark.parametrize(
    ("component", "signals", "group"),
    [
        ("atm/CashDispenser unit:1", ["atm.unit.supply"], "cash"),
        ("atm/Printer1 paper:upper", ["atm.paper"], "printer"),
        ("atm/IDC30", ["atm.device", "atm.media"], "card"),
        ("atm/PinPad", ["atm.epp"], "pin"),
        ("host/disk:C", ["host.disk.percent"], "disk"),
        ("host/fan:cpu", ["host.fan.speed"], "computer"),
        ("till-3/line", ["net.oper.state"], "network"),
        ("back-office", ["ups.battery.charge"], "power"),
        ("nvr", ["camera.video"], "camera"),
        ("room/door", ["env.door"], "site"),
        ("receipts", ["monitor.source"], "printer"),
        ("ups/battery", [], "power"),
        ("gadget", ["monitor.source", "identity.serial"], "other"),
    ],
)
def test_a_component_is_sorted_by_what_it_says(component: str, signals: list[str], group: str) -> None:
    assert group_of(component, signals) == group


def test_a_name_does_not_outvote_the_signals() -> None:
    assert group_of("printer-room", ["env.temperature"]) == "site"


def test_only_signals_of_a_kind_of_device_tell() -> None:
    assert not tells(["monitor.source", "identity.model"])
    assert tells(["monitor.source", "ups.fault"])


def test_what_a_bank_is_made_of_has_its_columns() -> None:
    """No component of the simulated bank is left over but for the source of a self-service terminal itself."""
    signals: dict[str, list[str]] = {}
    for parts in PARTS.values():
        for part in parts:
            signals.setdefault(part.component, []).append(part.signal)
    assert {name for name, told in signals.items() if group_of(name, told) == "other"} == {"atm"}


def test_every_signal_of_the_catalogue_has_a_group() -> None:
    assert {group_of("x", [name]) for name in kept_catalogue().signals} <= set(GROUPS)


@pytest.mark.parametrize(
    ("component", "signals", "hop"),
    [
        ("switch", ["net.module.state"], "lan"),
        ("router/wan:line", ["net.wan.state"], "wan"),
        ("branch-gw", ["cell.rssi"], "wan"),
        ("router", ["monitor.source"], "wan"),
        ("host/eth0", ["net.oper.state"], ""),
        ("ups", ["ups.fault"], ""),
    ],
)
def test_network_devices_are_a_hop_of_others(component: str, signals: list[str], hop: str) -> None:
    assert part_of(component, signals).hop == hop


CONDITIONS = ("ok", "warn", "unknown", "crit")
PARTS_OF = st.builds(Part, st.sampled_from(GROUPS), st.sampled_from(("", "lan", "wan")))


@given(st.lists(st.tuples(PARTS_OF, st.sampled_from(CONDITIONS))))
def test_a_cell_is_the_worst_of_its_components(parts: list[tuple[Part, str]]) -> None:
    row = cells(parts)
    assert len(row.letters) == len(GROUPS)
    for name, letter in zip((*GROUPS, "lan", "wan"), (*row.letters, row.lan, row.wan), strict=True):
        told = [CONDITIONS.index(condition) for part, condition in parts if name in (part.group, part.hop)]
        assert letter == ("owuc"[max(told)] if told else NONE)


def test_a_condition_that_nobody_knows_is_unknown() -> None:
    assert cells([(Part("cash"), "splendid")]).letters[0] == "u"
