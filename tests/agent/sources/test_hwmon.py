"""Chips written as the kernel's drivers show them, and a recorded tree."""

from __future__ import annotations

import pytest

from tests.agent.counters import assert_catalogued, write_tree
from tillwatch.agent.model import Quality, State
from tillwatch.agent.sources import hwmon

CLASS = "sys/class/hwmon"


def chip(root, number, name, files, device=""):
    write_tree(
        root, {f"{CLASS}/hwmon{number}/name": name, **{f"{CLASS}/hwmon{number}/{key}": v for key, v in files.items()}}
    )
    if device:
        (root / "sys/devices" / device).mkdir(parents=True)
        (root / f"{CLASS}/hwmon{number}/device").symlink_to(root / "sys/devices" / device)


def found(root, *kinds):
    samples = list(hwmon.read(root, *kinds))
    assert_catalogued(samples)
    return {sample.component: (sample.value, sample.state) for sample in samples}


def test_names_stay_with_the_chip_and_its_label(tmp_path):
    chip(
        tmp_path,
        0,
        "coretemp",
        {"temp1_input": "55000", "temp1_label": "Package id 0", "temp10_input": "50000"},
        "coretemp.0",
    )
    chip(tmp_path, 1, "k10temp", {"temp1_input": "41125"})
    assert list(found(tmp_path)) == [
        "temperature:coretemp Package id 0",
        "temperature:coretemp 10",
        "temperature:k10temp 1",
    ]


def test_two_chips_of_one_name_are_told_apart_by_their_place(tmp_path):
    chip(tmp_path, 3, "coretemp", {"temp1_input": "55000", "temp1_label": "Core 0"}, "coretemp.0")
    chip(tmp_path, 2, "coretemp", {"temp1_input": "56000", "temp1_label": "Core 0"}, "coretemp.1")
    assert found(tmp_path) == {
        "temperature:coretemp.0 Core 0": (55.0, State.NONE),
        "temperature:coretemp.1 Core 0": (56.0, State.NONE),
    }


def test_two_sensors_of_one_label(tmp_path):
    chip(tmp_path, 0, "acpi", {"temp1_input": "1000", "temp1_label": "T", "temp2_input": "2000", "temp2_label": "T"})
    assert list(found(tmp_path)) == ["temperature:acpi T", "temperature:acpi T #2"]


@pytest.mark.parametrize(
    ("files", "value", "state"),
    [
        ({"temp1_input": "99000", "temp1_max": "84000", "temp1_crit": "100000"}, 99.0, State.WARN),
        ({"temp1_input": "100000", "temp1_max": "84000", "temp1_crit": "100000"}, 100.0, State.CRIT),
        ({"temp1_input": "60000", "temp1_crit": "100000", "temp1_crit_alarm": "1"}, 60.0, State.CRIT),
        ({"temp1_input": "60000", "temp1_max": "0", "temp1_crit": "-1"}, 60.0, State.NONE),
        ({"temp1_input": "60000", "temp1_max": "255000"}, 60.0, State.NONE),
        ({"temp1_input": "60000", "temp1_fault": "1"}, None, State.UNKNOWN),
        ({"fan1_input": "0", "fan1_min": "2000"}, 0, State.CRIT),
        ({"fan1_input": "1900", "fan1_min": "2000"}, 1900, State.WARN),
        ({"fan1_input": "2100", "fan1_min": "2000"}, 2100, State.OK),
        ({"fan1_input": "0", "fan1_min": "0"}, 0, State.NONE),
        ({"in1_input": "1024", "in1_min": "0", "in1_max": "0", "in1_alarm": "1"}, 1.024, State.NONE),
        ({"in1_input": "10900", "in1_lcrit": "11000", "in1_crit": "13000"}, 10.9, State.CRIT),
        ({"in1_input": "12000", "in1_lcrit": "11000", "in1_crit": "13000"}, 12.0, State.OK),
        ({"curr1_input": "7200"}, 7.2, State.NONE),
        ({"power1_input": "110500000"}, 110.5, State.NONE),
        ({"power1_average": "110500000"}, 110.5, State.NONE),
    ],
)
def test_values_and_limits(tmp_path, files, value, state):
    chip(tmp_path, 0, "x", files)
    ((found_value, found_state),) = found(tmp_path).values()
    assert (found_value, found_state) == (value, state)


def test_an_input_without_a_sensor_is_left_out_and_one_that_fails_is_an_error(tmp_path):
    chip(tmp_path, 0, "nct6775", {"temp1_input": "-128000", "temp2_input": "127500000", "temp3_input": "noise"})
    (sample,) = hwmon.read(tmp_path)
    assert (sample.component, sample.value, sample.quality) == ("temperature:nct6775 3", None, Quality.ERROR)


def test_a_drive_is_not_asked_for_its_temperature(tmp_path):
    chip(tmp_path, 0, "drivetemp", {"temp1_input": "30000"})
    chip(tmp_path, 1, "coretemp", {"temp1_input": "31000"})
    assert list(found(tmp_path)) == ["temperature:coretemp 1"]


def test_files_of_the_device_itself(tmp_path):
    chip(tmp_path, 0, "", {}, "applesmc.768")
    write_tree(tmp_path, {"sys/devices/applesmc.768/name": "applesmc", "sys/devices/applesmc.768/fan1_input": "1998"})
    assert found(tmp_path) == {"fan:applesmc 1": (1998, State.NONE)}


def test_only_the_kinds_that_are_asked_for(tmp_path):
    chip(tmp_path, 0, "x", {"temp1_input": "1000", "fan1_input": "1", "in0_input": "1"})
    assert list(found(tmp_path, "fan")) == ["fan:x 1"]
    assert list(found(tmp_path, "in", "curr", "power")) == ["voltage:x 0"]


def test_thermal_zones_unless_a_chip_shows_them(tmp_path):
    zone = "sys/class/thermal/thermal_zone"
    write_tree(
        tmp_path,
        {
            f"{zone}0/type": "cpu-thermal",
            f"{zone}0/temp": "12376",
            f"{zone}1/type": "gpu-thermal",
            f"{zone}1/temp": "30000",
            f"{zone}2/type": "gpu-thermal",
            f"{zone}2/temp": "31000",
            f"{zone}3/type": "off",
            f"{zone}3/temp": "-274000",
        },
    )
    expected = {
        "temperature:cpu-thermal": (12.376, State.NONE),
        "temperature:gpu-thermal": (30.0, State.NONE),
        "temperature:gpu-thermal #2": (31.0, State.NONE),
    }
    assert found(tmp_path) == expected
    chip(tmp_path, 0, "cpu_thermal", {"temp1_input": "12376"})
    del expected["temperature:cpu-thermal"]
    assert found(tmp_path) == {"temperature:cpu_thermal 1": (12.376, State.NONE), **expected}


def test_a_machine_without_any(tmp_path):
    assert found(tmp_path) == {}
