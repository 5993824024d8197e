"""Drives as Windows' storage management tells them."""

import pytest
from hypothesis import given

from tests.agent.counters import assert_catalogued
from tests.agent.sources.windows_machine import answered, rows
from tillwatch.agent.model import State
from tillwatch.agent.sources.windows_cim import Answer
from tillwatch.agent.sources.windows_storage import (
    MAX_DRIVES,
    PHYSICAL,
    PLUGGED,
    PREDICTED,
    QUERIES,
    RELIABILITY,
    drives,
)


def of(samples, component):
    return {sample.signal: (sample.value, sample.state) for sample in samples if sample.component == component}


def only(**counters):
    said = answered(
        QUERIES,
        physical=[{"DeviceId": "0", "SerialNumber": "S1", "HealthStatus": 0, "MediaType": 4}],
        reliability=[{"DeviceId": "0", **counters}],
    )
    return of(drives("w", said), "w/drive:S1")


def test_the_recorded_machine():
    samples = drives("w", answered(QUERIES))
    assert_catalogued(samples)
    solid = of(samples, "w/drive:8CE3_8E10_01B7_41AD")
    assert solid["drive.health"] == ("healthy", State.OK)
    assert solid["drive.wear"] == (93, State.WARN)
    assert solid["drive.hours"] == (17204, State.NONE)
    assert solid["drive.errors.uncorrected"] == (0, State.OK)
    assert "drive.errors.corrected" not in solid
    assert "drive.smart" not in solid
    spinning = of(samples, "w/drive:ZDE7Q3LM")
    assert spinning["drive.health"] == ("warning", State.WARN)
    assert spinning["drive.smart"] == ("failing", State.CRIT)
    assert spinning["drive.errors.uncorrected"] == (7, State.WARN)
    assert spinning["drive.errors.corrected"] == (115, State.NONE)
    assert "drive.wear" not in spinning, "a spindle does not wear"
    assert "identity.maker" not in spinning, "the driver's word for every drive"
    assert (
        spinning["drive.findings"][0]
        == "Windows calls it warning; the drive itself says that it fails; 7 uncorrected errors"
    )
    card = of(samples, "w/drive:2")
    assert card["drive.access"] == ("partial", State.OK)
    assert card["drive.health"] == ("unknown", State.UNKNOWN)
    assert "drive.capacity" not in card


@pytest.mark.parametrize(
    ("name", "value", "signal", "expected"),
    [
        ("Temperature", 0, "drive.temperature", None),
        ("Temperature", 255, "drive.temperature", None),
        ("Temperature", 47, "drive.temperature", (47, State.NONE)),
        ("Wear", 255, "drive.wear", None),
        ("Wear", None, "drive.wear", None),
        ("Wear", 0, "drive.wear", (0, State.OK)),
        ("Wear", 89, "drive.wear", (89, State.OK)),
        ("Wear", 90, "drive.wear", (90, State.WARN)),
        ("Wear", 100, "drive.wear", (100, State.CRIT)),
        ("PowerOnHours", 65_535, "drive.hours", (65_535, State.NONE)),
        ("PowerOnHours", 65_536, "drive.hours", None),
        ("PowerOnHours", None, "drive.hours", None),
        ("ReadErrorsUncorrected", True, "drive.errors.uncorrected", None),
        ("WriteErrorsUncorrected", 1, "drive.errors.uncorrected", (1, State.WARN)),
        ("FlushLatencyMax", 0, "drive.latency.flush", None),
    ],
)
def test_a_sentinel_is_no_value(name, value, signal, expected):
    assert only(**{name: value}).get(signal) == expected


@pytest.mark.parametrize(
    ("health", "word"),
    [
        (0, "healthy"),
        (1, "warning"),
        (2, "unhealthy"),
        (5, "unknown"),
        (3, "unknown"),
        (None, "unknown"),
        (True, "unknown"),
        ("0", "unknown"),
        ([0], "unknown"),
    ],
)
def test_health(health, word):
    said = answered(QUERIES, physical=[{"DeviceId": "0", "HealthStatus": health}])
    assert of(drives("w", said), "w/drive:0")["drive.health"][0] == word


def test_counters_that_are_refused_leave_the_drives():
    samples = drives("w", answered(QUERIES, reliability="HRESULT 0x80041003: Access denied"))
    assert of(samples, "w/drive:ZDE7Q3LM")["drive.access.reason"][0] == "HRESULT 0x80041003: Access denied"
    assert of(samples, "w/drive:ZDE7Q3LM")["drive.smart"] == ("failing", State.CRIT)


def test_namesakes_stay_apart_and_the_bound_is_declared():
    volumes = [{"DeviceId": str(n), "SerialNumber": "RAID", "HealthStatus": 0} for n in range(MAX_DRIVES + 3)]
    samples = drives("w", answered(QUERIES, physical=volumes))
    assert len({sample.component for sample in samples}) == MAX_DRIVES + 1
    assert of(samples, "w") == {"monitor.omitted": (3, State.NONE)}
    assert of(samples, "w/drive:RAID #2")


@given(rows(PHYSICAL.properties), rows(RELIABILITY.properties), rows(PREDICTED.properties), rows(PLUGGED.properties))
def test_whatever_windows_says_can_be_sent(physical, reliability, predicted, plugged):
    found = {"physical": physical, "reliability": reliability, "predicted": predicted, "plugged": plugged}
    said = {name: Answer(tuple(row for row in each if isinstance(row, dict))) for name, each in found.items()}
    assert_catalogued(drives("w" * 48, said))
