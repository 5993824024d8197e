"""What the words of power supplies mean, one sentence a device."""

from __future__ import annotations

import pytest

from tillwatch.collector.terminal.power import BATTERY, CHARGE, LEAVING, LOW, MAINS, OFF, POWER, Told, power_told
from tillwatch.device_profiles.catalogue import load_catalogue

SIGNALS = load_catalogue().signals
T0 = 1_790_000_000 * 10**9


def say(*words, own=False):
    told = [Told(component, signal, value, T0 + n) for n, (component, signal, value) in enumerate(words)]
    return power_told("srv-7", told, own=own)


@pytest.mark.parametrize("signal", [*POWER, *CHARGE])
def test_every_word_is_one_of_the_catalogue(signal):
    assert set(POWER.get(signal, {})) <= dict(SIGNALS[signal].states).keys()


@pytest.mark.parametrize(
    ("words", "said", "text"),
    [
        ([("ups.output.source", "battery"), ("ups.battery.charge", 8.4)], BATTERY, "the UPS of the branch (srv-7/ups) was on battery with 8 % left"),
        ([("ups.mains", "failed"), ("ups.battery.status", "low"), ("ups.battery.charge", 8)], LOW, "the UPS of the branch (srv-7/ups) was on a low battery with 8 % left"),
        ([("ups.output.source", "normal"), ("ups.battery.status", "low"), ("ups.battery.charge", 8)], MAINS, "the UPS of the branch (srv-7/ups) had mains"),
        ([("ups.output.source", "battery"), ("ups.shutdown", "pending")], LEAVING, "the UPS of the branch (srv-7/ups) was switching its output off"),
        ([("ups.mains", "present"), ("ups.output.status", "unpowered")], OFF, "the UPS of the branch (srv-7/ups) gave no power"),
        ([("pdu.breaker", "tripped"), ("pdu.source", "a")], OFF, "the power distribution of the branch (srv-7/ups) had a tripped breaker"),
        ([("gen.source", "none")], OFF, "the generator of the branch (srv-7/ups) bore no load, nor did mains"),
    ],
)  # fmt: skip
def test_the_gravest_word_counts_and_is_told_plainly(words, said, text):
    (power,) = say(*[("ups", *each) for each in words])
    assert (power.said, str(power)) == (said, text)


def test_each_device_has_its_own_say_and_parts_belong_to_theirs():
    one, two = say(
        ("ups-a/input:1", "ups.input.source", "none"),
        ("ups-b", "ups.output.source", "normal"),
        ("ups-a", "ups.battery.charge", 40),
        ("ups-a/pack:2", "ups.battery.charge", 35),
    )
    assert (one.node, one.said, one.charge, one.at) == ("srv-7/ups-a", BATTERY, 35.0, T0)
    assert [tuple(each) for each in one.readings] == [
        ("srv-7/ups-a/input:1", "ups.input.source", T0),
        ("srv-7/ups-a/pack:2", "ups.battery.charge", T0 + 3),
    ]
    assert (two.node, two.said, two.charge) == ("srv-7/ups-b", MAINS, -1.0)


def test_a_machine_with_a_battery_tells_of_itself():
    (power,) = say(("host", "host.battery.plugged", "unplugged"), ("host", "host.battery.charge", 12), own=True)
    assert (power.node, str(power)) == ("srv-7", "the machine was on battery with 12 % left")
    assert power.readings[0].component == "host"
    (power,) = say(("host", "host.battery.plugged", "plugged"), own=True)
    assert str(power) == "the machine had mains"


def test_what_says_nothing_of_power_is_passed_over():
    assert (
        say(
            ("ups", "ups.battery.charge", 90), ("ups2", "ups.output.source", "unknown"), ("host", "host.cpu.percent", 3)
        )
        == ()
    )
    assert say(("ups", "ups.output.source", None)) == ()


def test_since_when_is_the_earliest_that_is_known():
    told = [Told("ups", "ups.mains", "failed", 50), Told("ups", "ups.output.source", "battery", 60, 20), Told("ups", "ups.input.status", "bad", 55, 30)]  # fmt: skip
    (power,) = power_told("t", told, own=True)
    assert (power.since, power.at) == (20, 60)
