from __future__ import annotations

import pytest

from tests.agent.counters import assert_catalogued, write_tree
from tillwatch.agent.model import State
from tillwatch.agent.sources import power_supply

CLASS = "sys/class/power_supply"


def supplies(root, **named):
    for name, files in named.items():
        write_tree(root, {f"{CLASS}/{name}/{key}": value for key, value in files.items()})
    samples = list(power_supply.read(root))
    assert_catalogued(samples)
    return {
        (sample.component, sample.signal.removeprefix("host.battery.")): (sample.value, sample.state)
        for sample in samples
    }


def test_a_battery_without_mains(tmp_path):
    assert supplies(
        tmp_path,
        AC={"type": "Mains", "online": "0"},
        BAT0={
            "type": "Battery",
            "present": "1",
            "capacity": "81",
            "energy_full": "45070000",
            "energy_full_design": "47520000",
            "energy_now": "36580000",
            "power_now": "5002000",
            "cycle_count": "212",
            "status": "Discharging",
            "health": "Good",
        },
    ) == {
        ("battery", "charge"): (81, State.NONE),
        ("battery", "capacity"): (94.8, State.OK),
        ("battery", "cycles"): (212, State.NONE),
        ("battery", "status"): ("discharging", State.OK),
        ("battery", "health"): ("good", State.OK),
        ("battery", "runtime"): (438, State.NONE),
        ("battery", "plugged"): ("unplugged", State.WARN),
    }


def test_a_worn_one_that_counts_charge(tmp_path):
    found = supplies(
        tmp_path,
        BAT0={
            "type": "Battery",
            "charge_full": "1900",
            "charge_full_design": "4000",
            "charge_now": "950",
            "current_now": "-950",
            "status": "Discharging",
            "health": "Dead",
        },
        USB={"type": "USB", "online": "1"},
    )
    assert found["battery", "capacity"] == (47.5, State.WARN)
    assert found["battery", "runtime"] == (60, State.NONE)
    assert found["battery", "health"] == ("dead", State.CRIT)
    assert found["battery", "plugged"] == ("plugged", State.OK)


@pytest.mark.parametrize(
    "files",
    [
        {"type": "Battery", "present": "0", "capacity": "0"},
        {"type": "Battery", "scope": "Device", "capacity": "40"},
        {
            "type": "Battery",
            "capacity": "900",
            "energy_full": "1",
            "energy_full_design": "0",
            "status": "?",
            "cycle_count": "-1",
        },
        {"type": "Mains", "online": "1"},
    ],
)
def test_what_is_not_the_machines_battery_or_not_a_number(tmp_path, files):
    assert supplies(tmp_path, X=files) == {}


def test_a_second_battery(tmp_path):
    found = supplies(tmp_path, BAT0={"type": "Battery", "capacity": "1"}, BAT1={"type": "Battery", "capacity": "2"})
    assert found == {("battery", "charge"): (1, State.NONE), ("battery:BAT1", "charge"): (2, State.NONE)}
