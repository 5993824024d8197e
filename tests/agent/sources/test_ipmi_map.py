"""What BMCs print, in our own words and in those of others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.counters import DATA, assert_catalogued, needs
from tillwatch.agent.model import State
from tillwatch.agent.sources.ipmi_map import events, sensors, since, watts

ELIST = """\
Inlet Temp       | 04h | ok  |  7.1 | 25 degrees C
CPU Temp         | 05h | cr  |  3.1 | 97 degrees C
Fan1             | 30h | nc  |  7.1 | 480 RPM
12V              | 31h | ok  |  7.1 | 12.04 Volts
Vbat             | 33h | nr  |  7.1 | 900 mV
Current 1        | 6Ah | ok  | 10.1 | 7.20 Amps
PS1 Status       | 03h | ok  | 10.1 | 110 Watts, Presence detected
PS2 Status       | 04h | ok  | 10.2 | Presence detected, Failure detected
Drive 0          | 70h | ok  | 26.1 | Drive Present, Drive Fault
Redundancy       | 77h | ok  | 10.1 | Redundancy Lost
Fan Pwm          | 78h | ok  |  7.1 | 30 percent
Altitude         | 79h | ok  |  7.1 | 80 feet
Board            | 7Ah | ok  |  7.1 | 77 degrees F
DIMM             | 7Bh | ns  |  7.1 | No Reading
DIMM             | 7Ch | ok  |  7.1 |
DIMM             | 7Dh | ok  |  7.1 | 0x00
Unable to send command: Invalid argument
"""


def read(text):
    samples = list(sensors(text))
    assert_catalogued(samples)
    return {(sample.component, sample.signal): (sample.value, sample.state) for sample in samples}


def test_sensors():
    found = read(ELIST)
    numbers = {key: value for key, value in found.items() if key[1] not in ("ipmi.sensor", "ipmi.sensor.text")}
    assert numbers == {
        ("sensor:Inlet Temp", "ipmi.temperature"): (25.0, State.OK),
        ("sensor:CPU Temp", "ipmi.temperature"): (97.0, State.CRIT),
        ("sensor:Fan1", "ipmi.fan.speed"): (480.0, State.WARN),
        ("sensor:12V", "ipmi.voltage"): (12.04, State.OK),
        ("sensor:Vbat", "ipmi.voltage"): (0.9, State.CRIT),
        ("sensor:Current 1", "ipmi.current"): (7.2, State.OK),
        ("sensor:PS1 Status", "ipmi.power"): (110.0, State.OK),
        ("sensor:Fan Pwm", "ipmi.percent"): (30.0, State.OK),
        ("sensor:Board", "ipmi.temperature"): (25.0, State.OK),
    }
    words = {
        part.removeprefix("sensor:"): value[0] for (part, signal), value in found.items() if signal == "ipmi.sensor"
    }
    assert words["PS2 Status"] == words["Drive 0"] == "critical"
    assert words["Redundancy"] == words["Fan1"] == "nonCritical"
    assert (words["CPU Temp"], words["Vbat"], words["PS1 Status"]) == ("critical", "nonRecoverable", "ok")
    assert (words["DIMM"], words["DIMM #2"]) == ("ok", "ok")
    assert "Altitude" not in words
    assert found["sensor:PS1 Status", "ipmi.sensor.text"][0] == "Presence detected"


def test_the_short_list():
    assert read("Ambient Temp     | 20 degrees C      | ok\nECC              | Not Readable      | ns\n") == {
        ("sensor:Ambient Temp", "ipmi.temperature"): (20.0, State.OK),
        ("sensor:Ambient Temp", "ipmi.sensor"): ("ok", State.OK),
    }


SEL = """\
   1 | 08/21/2020 | 22:27:02 | Event Logging Disabled #0x72 | Log area reset/cleared | Asserted
   2 | 08/21/2020 | 22:30:11 | Power Supply #0x64 | Power Supply AC lost | Asserted
   3 | 08/21/2020 | 22:31:11 | Power Supply #0x64 | Power Supply AC lost | Deasserted
   a | 08/22/2020 | 02:00:00 | Memory #0x02 | Correctable ECC | Asserted
   b | 08/22/2020 | 02:01:00 | Memory #0x02 | Uncorrectable ECC | Asserted
   c | 08/22/2020 | 02:02:00 | Temperature CPU | Upper Critical going high | Asserted | Reading 97 > Threshold 95 degrees C
"""


def test_events():
    rows = events(SEL)
    assert [row.word for row in rows] == ["ok", "critical", "ok", "nonCritical", "critical", "critical"]
    assert rows[1].text == "08/21/2020 | 22:30:11 | Power Supply #0x64 | Power Supply AC lost | Asserted"
    assert since(rows, rows[3].key) == rows[4:]
    assert since(rows, rows[-1].key) == []
    assert since(rows, "1 of a log that was cleared") == rows
    assert events("SEL has no entries\n") == []


def test_power():
    said = "    Instantaneous power reading:                   167 Watts\n    Power reading state is:                   {}\n"
    assert watts(said.format("activated")) == 167
    assert watts(said.format("deactivated")) is None
    assert watts("DCMI request failed") is None


@given(st.text(alphabet="|:, \n0123456789.-abhkodegrsCVWatpiTmu\x00\ud800é", max_size=400))
def test_any_text_is_read_without_a_fall(text):
    assert_catalogued(list(sensors(text)))
    events(text)
    watts(text)


@needs("syscounters")
@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, {("Ambient Temp", 20.0), ("Avg Power", 210.0), ("Planar 3.3V", 3.29), ("Fan 1A Tach", 2610.0)}),
        (1, {("Fan1", 5040.0), ("Inlet Temp", 25.0), ("Current 1", 7.2), ("Power Supply 1", 110.0)}),
        (2, {("Ambient Temp", 20.0), ("Avg Power", 210.0), ("Planar 12V", 12.04)}),
        (3, {("Fan1", 5040.0), ("Inlet Temp", 25.0), ("Current 1", 7.2), ("Power Supply 1", 110.0)}),
    ],
)
def test_recorded_bmcs(number, expected):
    text = (DATA / f"syscounters/ipmi/telegraf_sample_{number}.txt").read_text()
    found = read(text)
    assert expected <= {(part.removeprefix("sensor:"), value) for (part, _), (value, _) in found.items()}
    assert {state for _, state in found.values()} <= {State.OK, State.NONE}


@needs("syscounters")
def test_a_recorded_power_reading():
    assert watts((DATA / "syscounters/ipmi/telegraf_sample_4.txt").read_text()) == 167
