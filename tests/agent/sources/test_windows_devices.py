"""Plug and Play devices: lost, faulty, expected."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.counters import CATALOGUE, assert_catalogued
from tests.agent.sources.windows_machine import answered, rows
from tillwatch.agent.model import State
from tillwatch.agent.sources.windows_cim import Answer
from tillwatch.agent.sources.windows_devices import (
    DEVICES,
    MAX_MISSED,
    MAX_TROUBLED,
    PROBLEMS,
    QUERIES,
    Device,
    Devices,
    judge,
    listed,
)

READER = r"USB\VID_0801&PID_0011\6&1F2A3B4C&0&2"
COMPONENT = f"w/device:{READER}"


def device(code, id_=READER, name="USB card reader"):
    return Device(id_, name, "USB", code)


def told(devices, found):
    samples = list(devices.samples("w", found))
    assert_catalogued(samples)
    return {(sample.component, sample.signal): sample.value for sample in samples}


def test_the_recorded_machine():
    found = listed(answered(QUERIES)["devices"])
    said = told(
        Devices(
            {"card reader": r"usb\vid_0801*", "printer": r"USB\VID_04B8&PID_0E15\*", "pin pad": r"USB\VID_11CA*"},
            [r"swd\mmdevapi*"],
        ),
        found,
    )
    assert said["w", "pnp.devices"] == 8
    assert said["w", "pnp.devices.faulty"] == 3
    assert said[COMPONENT, "pnp.problem"] == "failed"
    assert said[COMPONENT, "pnp.code"] == 43
    assert said[COMPONENT, "identity.name"] == "USB 刷卡器"
    assert said["w/expected:card reader", "pnp.expected"] == "faulty"
    assert said["w/expected:card reader", "pnp.problem"] == "failed"
    assert said["w/expected:printer", "pnp.expected"] == "present"
    assert said["w/expected:pin pad", "pnp.expected"] == "missing"
    assert not any("MMDEVAPI" in component for component, _ in said), "ignored"


@pytest.mark.parametrize(
    ("code", "word", "state"),
    [
        (10, "notStarted", State.CRIT),
        (22, "disabled", State.WARN),
        (28, "noDriver", State.WARN),
        (43, "failed", State.CRIT),
        (999, "other", State.WARN),
        (None, "ok", State.OK),
        (0, "ok", State.OK),
    ],
)
def test_codes(code, word, state):
    assert judge(code) == (word, state)


def test_every_code_has_a_word_of_the_catalogue():
    states = CATALOGUE["pnp.problem"]["states"]
    assert {word: state.name.lower() for word, state in PROBLEMS.values()}.items() <= states.items()


def test_a_device_is_told_until_it_is_well():
    devices = Devices({}, [])
    assert told(devices, [device(0)]) == {("w", "pnp.devices"): 1, ("w", "pnp.devices.faulty"): 0}
    assert told(devices, [device(43)])[COMPONENT, "pnp.problem"] == "failed"
    assert told(devices, [device(0)])[COMPONENT, "pnp.problem"] == "ok"
    assert (COMPONENT, "pnp.problem") not in told(devices, [device(0)])


def test_a_faulty_device_that_vanishes_is_missing_and_after_a_day_taken_away():
    devices = Devices({}, [])
    told(devices, [device(10)])
    for _ in range(MAX_MISSED - 1):
        assert told(devices, [])[COMPONENT, "pnp.problem"] == "missing"
    assert told(devices, [])[COMPONENT, "pnp.problem"] == "removed"
    assert (COMPONENT, "pnp.problem") not in told(devices, [])


def test_what_had_a_problem_is_known_across_a_restart():
    first = Devices({}, [])
    told(first, [device(43)])
    assert told(Devices({}, [], first.troubled), [device(0)])[COMPONENT, "pnp.problem"] == "ok"
    assert told(Devices({}, [], first.troubled), [])[COMPONENT, "pnp.problem"] == "missing"
    assert COMPONENT not in {component for component, _ in told(Devices({}, [r"USB\*"], first.troubled), [])}


def test_a_spare_that_works_is_enough():
    devices = Devices({"reader": r"USB\VID_0801*"}, [])
    said = told(devices, [device(43), device(0, READER + "9")])
    assert said["w/expected:reader", "pnp.expected"] == "present"
    assert said["w/expected:reader", "pnp.problem"] == "ok"


def test_the_bound_is_declared():
    found = [device(28, rf"PCI\{n}") for n in range(MAX_TROUBLED + 9)]
    devices = Devices({}, [])
    said = told(devices, found)
    assert said["w", "monitor.omitted"] == 9
    assert said["w", "pnp.devices.faulty"] == MAX_TROUBLED + 9
    assert len(devices.troubled) == MAX_TROUBLED


@given(st.lists(rows(DEVICES.properties), max_size=4))
def test_whatever_windows_says_can_be_sent(polls):
    devices = Devices({"any": "*"}, ["A*"])
    for each in polls:
        found = listed(Answer(tuple(row for row in each if isinstance(row, dict))))
        assert_catalogued(devices.samples("w" * 48, found))
        assert len(devices.troubled) <= MAX_TROUBLED
