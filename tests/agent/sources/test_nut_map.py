"""What becomes of variables; the last tests go over everybody's dumps where they are present."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agent.counters import CATALOGUE, DATA, assert_catalogued, needs
from tillwatch.agent.model import PollClass, State
from tillwatch.agent.sources.nut_map import MAX_PARTS, ROWS, Word, samples_of, status


def every(said):
    return [sample for wanted in PollClass for sample in samples_of("ups", said, wanted)]


def values(said):
    return {(sample.component, sample.signal): (sample.value, sample.state) for sample in every(said)}


@pytest.mark.parametrize(
    ("flags", "mains", "battery", "source"),
    [
        ("OL", "present", "normal", "normal"),
        ("OL CHRG", "present", "charging", "normal"),
        ("OB DISCHRG", "failed", "discharging", "battery"),
        ("OB LB", "failed", "low", "battery"),
        ("LB OL CHRG", "present", "low", "normal"),
        ("OL BOOST", "present", "normal", "booster"),
        ("OL TRIM", "present", "normal", "reducer"),
        ("OL CHRG BYPASS", "present", "charging", "bypass"),
        ("OL OVER", "present", "normal", "overload"),
        ("OL HE", "present", "normal", "eco"),
        ("OL CAL", "present", "normal", "test"),
        ("OL OFF", "present", "normal", "none"),
        ("OFF", None, "normal", "none"),
        ("OL OB", None, "discharging", "battery"),
        ("ol chrg", "present", "charging", "normal"),
        ("", None, None, None),
        ("WAIT", None, None, None),
    ],
)
def test_status(flags, mains, battery, source):
    said = {sample.signal: sample for sample in status("ups", flags)}
    assert_catalogued(said.values())
    assert said["ups.mains"].value == mains
    assert said["ups.battery.status"].value == battery
    assert (said["ups.output.source"].value if source else "ups.output.source" not in said) == (source or True)


def test_replace_battery_and_forced_shutdown():
    said = {sample.signal: (sample.value, sample.state) for sample in status("ups", "OB LB RB FSD")}
    assert said["ups.battery.replace"] == ("soon", State.WARN)
    assert said["ups.shutdown"] == ("active", State.CRIT)


@pytest.mark.parametrize(
    ("said", "signal", "state"),
    [
        ({"battery.charge": "60"}, "ups.battery.charge", State.OK),
        ({"battery.charge": "40"}, "ups.battery.charge", State.WARN),
        ({"battery.charge": "20"}, "ups.battery.charge", State.CRIT),
        ({"battery.charge": "25", "battery.charge.low": "30"}, "ups.battery.charge", State.CRIT),
        ({"battery.charge": "40", "battery.charge.warning": "35"}, "ups.battery.charge", State.OK),
        ({"battery.charge": "255"}, "ups.battery.charge", State.UNKNOWN),
        ({"battery.charge": "NA"}, "ups.battery.charge", State.UNKNOWN),
        ({"battery.charge": "nan"}, "ups.battery.charge", State.UNKNOWN),
        ({"battery.runtime": "0", "ups.status": "OL"}, "ups.battery.runtime", State.OK),
        ({"battery.runtime": "0", "ups.status": "OB"}, "ups.battery.runtime", State.CRIT),
        ({"battery.runtime": "500", "ups.status": "OB"}, "ups.battery.runtime", State.WARN),
        ({"battery.runtime": "65535000"}, "ups.battery.runtime", State.UNKNOWN),
        ({"input.voltage": "228"}, "ups.input.voltage", State.NONE),
        (
            {"input.voltage": "228", "input.transfer.low": "160", "input.transfer.high": "294"},
            "ups.input.voltage",
            State.OK,
        ),
        (
            {"input.voltage": "150", "input.transfer.low": "160", "input.transfer.high": "294"},
            "ups.input.voltage",
            State.WARN,
        ),
        ({"battery.temperature": "48"}, "ups.battery.temperature", State.CRIT),
        ({"ups.load": "85"}, "ups.output.load", State.WARN),
        ({"ups.load": "100"}, "ups.output.load", State.CRIT),
        ({"battery.packs.bad": "1"}, "ups.battery.packs.bad", State.WARN),
    ],
)
def test_judgement(said, signal, state):
    sample = next(each for each in every(said) if each.signal == signal)
    assert sample.state is state
    assert (sample.value is None) == (state is State.UNKNOWN)


def test_phases_outlets_and_probes_are_parts():
    said = {
        "input.L1-N.voltage": "229",
        "input.L2.current": "3.1",
        "input.L1-L2.voltage": "398",
        "input.bypass.L3-N.voltage": "231",
        "output.L1.power.percent": "30",
        "outlet.2.status": "off",
        "outlet.2.current": "0.5",
        "ambient.1.temperature": "22.5",
        "ambient.temperature": "23",
    }
    found = {key: value for key, (value, _) in values(said).items()}
    assert found["ups/input:L1", "ups.input.voltage"] == 229
    assert found["ups/input:L2", "ups.input.current"] == 3.1
    assert found["ups/input:L1-L2", "ups.input.voltage"] == 398
    assert found["ups/bypass:L3", "ups.bypass.voltage"] == 231
    assert found["ups/output:L1", "ups.output.load"] == 30
    assert found["ups/outlet:2", "pdu.outlet"] == "off"
    assert found["ups/outlet:2", "pdu.current"] == 0.5
    assert found["ups/ambient:1", "env.temperature"] == 22.5
    assert found["ups/ambient", "env.temperature"] == 23


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("ups.test.result", "Done and passed", "pass"),
        ("ups.test.result", "No test initiated", "none"),
        ("ups.test.result", "Done and error", "error"),
        ("ups.test.result", "In progress", "running"),
        ("ups.test.result", "42", None),
        ("battery.charger.status", "discharging", "discharging"),
        ("battery.charger.status", "Resting", "resting"),
        ("ups.type", "offline / line interactive", "standby"),
        ("ups.type", "online", "online"),
        ("input.transfer.reason", "simulated power failure or UPS test", "selfTest"),
        ("battery.date", "2024/03/07", "2024-03-07"),
        ("battery.date", "2001/00/00", None),
        ("battery.date", "4158/00/03", None),
        ("battery.date", "11/06/03", None),
        ("ups.mfr", "?", None),
        ("ups.serial", "000000000000", None),
        ("ups.serial", "AS\x1b1234", "AS1234"),
    ],
)
def test_words_days_and_texts(variable, text, value):
    found = [sample for sample in every({variable: text}) if sample.signal == ROWS[variable].signal]
    assert [sample.value for sample in found] == ([] if value is None else [value])


@pytest.mark.parametrize(
    ("text", "flags", "word"),
    [
        ("Replace battery!", "OL RB ALARM", "batteryBad"),
        ("No battery installed!", "ALARM OL", "batteryBad"),
        ("Input Bad ", "OL", "inputBad"),
        ("low humidity warning!", "OL", "other"),
        ("", "ALARM OL", "other"),
        ("0", "OL", "none"),
        ("", "OL", "none"),
    ],
)
def test_alarms(text, flags, word):
    found = {sample.signal: sample.value for sample in every({"ups.status": flags, "ups.alarm": text})}
    assert found["ups.alarm"] == word


def test_the_table_is_of_the_catalogue():
    for variable, row in ROWS.items():
        entry = CATALOGUE[row.signal]
        assert entry.get("unit", "") == getattr(row, "unit", ""), variable
        if isinstance(row, Word):
            assert {word: state.name.lower() for _, word, state in row.words}.items() <= entry["states"].items(), (
                variable
            )


def test_parts_are_bounded():
    said = {f"outlet.{n}.status": "on" for n in range(1, 999)}
    assert len(samples_of("ups", said, PollClass.NORMAL)) <= MAX_PARTS + 2


@settings(deadline=None)
@given(st.dictionaries(st.one_of(st.sampled_from([*ROWS, "ups.status", "ups.alarm"]), st.text()), st.text()))
def test_whatever_a_driver_writes_is_a_sample_or_none(said):
    assert_catalogued(every(said))


DUMPS = sorted((DATA / "serial/nut-ddl").glob("*/*.dev"))
LINE = re.compile(r"([a-z][\w.-]*):[ \t]?(.*?)(?:\s*#.*)?")


def dump(path):
    lines = (LINE.fullmatch(line.strip()) for line in path.read_text("utf-8", "replace").splitlines())
    return {match[1]: match[2].strip().strip('"') for match in lines if match}


@needs("serial/nut-ddl")
def test_everybodys_dumps():
    """Every number that is mapped is the dump's own; a status that says something about mains is understood."""
    assert len(DUMPS) > 400
    spoken = understood = 0
    for path in DUMPS:
        said = dump(path)
        samples = every(said)
        assert_catalogued(samples)
        found = {(sample.component, sample.signal): sample for sample in samples}
        for variable, signal, scale in (
            ("battery.charge", "ups.battery.charge", 1),
            ("battery.runtime", "ups.battery.runtime", 1 / 60),
            ("input.voltage", "ups.input.voltage", 1),
            ("battery.voltage", "ups.battery.voltage", 1),
        ):
            sample = found.get(("ups", signal))
            assert (variable in said) == (sample is not None), (path, variable)
            if sample is not None and sample.value is not None:
                assert sample.value == pytest.approx(float(said[variable]) * scale, abs=1e-4), path
        flags = set(said.get("ups.status", "").split())
        if ("OL" in flags) != ("OB" in flags):
            spoken += 1
            understood += found["ups", "ups.mains"].value == ("present" if "OL" in flags else "failed")
    assert spoken > 400
    assert understood == spoken
