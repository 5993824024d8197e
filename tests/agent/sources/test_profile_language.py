"""Each feature of the profile language, from its YAML over the compiled form to a sample. What the devices said is in devices' own words."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tillwatch.agent.model import Sample, State
from tillwatch.agent.sources.snmp_map import bind, evaluate
from tillwatch.agent.sources.snmp_values import Raw
from tillwatch.device_profiles.compiled import Library, compile_folder

HEAD = "title: A device\nmatch: [{sysObjectID: 1.3.6.1.4.1.99999}]\noptional: true\n"
TODAY = date(2026, 11, 21)


def samples(folder: Path, text: str, raws: dict[str, Raw]) -> list[Sample]:
    (folder / "acme.yaml").write_text(HEAD + text, encoding="utf-8")
    profile = Library(compile_folder(folder)).profile("acme")
    return evaluate(bind("d", [profile], raws).bounds, raws, TODAY)


def scalar(folder: Path, item: str, *values: Raw) -> object:
    """What an item makes of 1.3.1.0, with further values at 1.3.2.0 and on."""
    raws = {f"1.3.{n}.0": value for n, value in enumerate(values, 1)}
    found = samples(folder, f"scalars: [{{oid: 1.3.1.0, {item}}}]\n", raws)
    return found[0].value if found else None


@pytest.mark.parametrize(
    ("item", "values", "expected"),
    [
        ("signal: env.temperature, raw_unit: F, divisor: 10", (683,), 20.1666666667),
        ("signal: env.temperature, raw_unit: K", (300,), 26.85),
        ("signal: sensor.dbm, raw_unit: mW", (2,), 3.01029995664),
        ("signal: sensor.dbm, raw_unit: mW", (0,), None),
        ("signal: ups.battery.runtime, raw_unit: ticks", (438000,), 73.0),
        ("signal: ups.battery.runtime, form: duration", (b"1 day 02:30:00",), 1590.0),
        ("signal: ups.battery.elapsed, form: duration", (b"00:12:05",), 725),
        ("signal: ups.battery.elapsed, form: duration", (b"12 h",), None),
        ("signal: sensor.voltage, form: float", (bytes.fromhex("41bc0000"),), 23.5),
        ("signal: sensor.voltage, form: float", (bytes.fromhex("9f780441bc0000"),), 23.5),
        ("signal: sensor.voltage, form: float", (bytes.fromhex("4037800000000000"),), 23.5),
        ("signal: sensor.voltage, form: float", (bytes.fromhex("7fc00000"),), None),
        ("signal: sensor.voltage, form: float", (b"23.5V",), None),
        ("signal: sensor.percent, percent_of: [1.3.1.0, 1.3.2.0]", (30, 70), 30.0),
        ("signal: sensor.percent, percent_of: [1.3.1.0, 1.3.2.0]", (30,), None),
        ("signal: host.memory.percent, minus: 1.3.2.0, percent_of: 1.3.1.0", (1000, 250), 75.0),
        ("signal: host.memory.percent, minus: 1.3.2.0, percent_of: 1.3.1.0", (1000,), None),
        ("signal: sensor.count, plus: [1.3.2.0, 1.3.3.0]", (1, 2, 3), 6),
        ("signal: env.temperature, sentinels: [-999..-273, 32767]", (-300,), None),
        ("signal: env.temperature, sentinels: [-999..-273, 32767]", (-20,), -20),
        ("signal: env.temperature, sentinels: [..-100]", (b"-128.0",), None),
        ("signal: env.temperature, pattern: '([-\\d.]+) *F', raw_unit: F", (b"77 F",), 25.0),
        ("signal: ups.battery.replaced, date: [mm/dd/yyyy, mm/dd/yy]", (b"04/30/25",), "2025-04-30"),
        ("signal: ups.battery.replaced, date: [mm/dd/yyyy, mm/dd/yy]", (b"01/10/2022",), "2022-01-10"),
        ("signal: ups.battery.replaced, date: [mm/dd/yyyy]", (b"00/00/0000",), None),
        ("signal: ups.battery.replaced, date: [dd mon yyyy]", (b"3 March 2021 10:00",), "2021-03-03"),
        ("signal: ups.battery.replaced, date: [yyyy-mm-dd]", (b"2021-03-31",), "2021-03-31"),
        ("signal: ups.battery.replaced, date: DateAndTime", (bytes([7, 0xE8, 5, 17, 12, 0, 0, 0]),), "2024-05-17"),
        ("signal: ups.battery.replaced, date: DateAndTime", (bytes(8),), None),
        ("signal: ups.battery.age, form: age, date: mm/dd/yy", (b"11/20/25",), 366),
        ("signal: cell.technology, texts: {3: LTE, wcdma: 3G}", (3,), "LTE"),
        ("signal: cell.technology, texts: {3: LTE, wcdma: 3G}", (b"WCDMA",), "3G"),
        ("signal: cell.technology, texts: {3: LTE}", (b"5G-NSA",), "5G-NSA"),
        ("signal: sensor.state, yes: failed, no: ok", (1,), "failed"),
        ("signal: sensor.state, yes: failed, no: ok", (b"False",), "ok"),
        ("signal: sensor.state, words: {Normal: ok, 2..9: warning}", (b"NORMAL",), "ok"),
        ("signal: sensor.state, words: {Normal: ok, 2..9: warning}", (7,), "warning"),
        ("signal: sensor.state, words: {good: ok}, pattern: '^\\w+: (\\w+)'", (b"State: Good (3)",), "ok"),
        ("signal: cell.registration, patterns: {'(?i)^registered.*home': home}", (b"Registered, home",), "home"),
        ("signal: ups.output.source, flags: {2: battery, 4: normal}, none: other", (b"0101",), "battery"),
        ("signal: ups.output.source, flags: {2: battery, 4: normal}, none: other", (b"0001",), "normal"),
        ("signal: ups.output.source, flags: {2: battery}, none: other", (b"NA",), None),
    ],
)  # fmt: skip
def test_a_value(tmp_path: Path, item: str, values: tuple[Raw, ...], expected: object) -> None:
    found = scalar(tmp_path, item, *values)
    assert found == expected
    assert type(found) is type(expected)


ENTITY = """
tables:
  - group: sensor
    entry: 1.3.6.1.2.1.99.1.1.1
    columns: {type: 1, scale: 2, precision: 3, value: 4, status: 5, name: 1.3.6.1.2.1.47.1.1.1.1.7}
    label: name
    where: [{column: status, in: 1}]
    items:
      - {signal: sensor.temperature, column: value, scale: scale, precision: precision, raw_unit: {column: type, is: {8: C}}}
      - {signal: sensor.voltage, column: value, scale: scale, precision: precision, raw_unit: {column: type, is: {3: V, 4: V}}}
      - {signal: sensor.fan.speed, column: value, scale: scale, precision: precision, raw_unit: {column: type, is: {10: rpm}}}
"""


def entity(index: int, *cells: Raw) -> dict[str, Raw]:
    """type, scale, precision, value, status, name."""
    columns = [*(f"1.3.6.1.2.1.99.1.1.1.{n}" for n in range(1, 6)), "1.3.6.1.2.1.47.1.1.1.1.7"]
    return {f"{column}.{index}": cell for column, cell in zip(columns, cells, strict=True)}


def test_scale_precision_and_unit_from_columns(tmp_path: Path) -> None:
    raws = {
        **entity(7, 8, 9, 1, 253, 1, b"inlet"),
        **entity(8, 4, 8, 0, 12100, 1, b"12V rail"),
        **entity(9, 10, 9, -1, 4200, 1, b"fan 1"),
        **entity(10, 8, 9, 0, 99, 2, b"gone"),
        **entity(11, 12, 9, 0, 1, 1, b"a truth value"),
        **entity(12, 8, 99, 0, 1, 1, b"no such scale"),
    }
    assert [(s.component, s.signal, s.value) for s in samples(tmp_path, ENTITY, raws)] == [
        ("d/sensor:inlet", "sensor.temperature", 25.3),
        ("d/sensor:12V rail", "sensor.voltage", 12.1),
        ("d/sensor:fan 1", "sensor.fan.speed", 4200.0),
    ]


def test_labels_from_other_columns_other_tables_and_the_index(tmp_path: Path) -> None:
    text = """
tables:
  - group: cpu
    entry: 1.4
    columns: {physical: 2, load: 8, name: 9}
    label: [{column: 1.5.7, by: physical}, '{name}/{index}']
    items: [{signal: host.cpu.percent, column: load}]
  - group: bay
    entry: 1.6
    label: [{column: 1.7.1, parts: [1]}]
    items: [{signal: server.disk.temperature, column: 1}]
  - group: own
    entry: 1.8
    label: ['{1.3.6.1.2.1.1.5.0} {index.2}']
    items: [{signal: sensor.value, column: 1}]
"""
    raws: dict[str, Raw] = {
        "1.4.2.1": 1001, "1.4.8.1": 5, "1.5.7.1001": b"Switch 1", "1.4.2.2": 0, "1.4.8.2": 6, "1.4.9.2": b"cpu",
        "1.6.1.3.9": 40, "1.7.1.3": b"Box 3", "1.8.1.4.5": 1, "1.3.6.1.2.1.1.5.0": b"sw1",
    }  # fmt: skip
    assert [s.component for s in samples(tmp_path, text, raws)] == ["d/cpu:Switch 1", "d/cpu:cpu/2", "d/bay:Box 3", "d/own:sw1 5"]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "upper", "lower", "state"),
    [
        (250, 300, 50, State.OK),
        (310, 300, 50, State.WARN),
        (40, 300, 50, State.WARN),
        (410, -1, 50, State.WARN),
        (390, -1, 50, State.OK),
        (500, 300, 50, State.CRIT),
    ],
)
def test_limits_from_the_device_are_scaled_as_the_value(
    tmp_path: Path, value: int, upper: int, lower: int, state: State
) -> None:
    text = """
tables:
  - group: t
    entry: 1.4
    columns: {value: 1, upper: 2, lower: 3, critical: 4}
    items:
      - signal: server.temperature
        column: value
        divisor: 10
        limits:
          warn_above: {column: upper, sentinels: [-1], else: 40}
          warn_below: {column: lower}
          crit_above: {column: critical, divisor: 1}
"""
    raws: dict[str, Raw] = {"1.4.1.1": value, "1.4.2.1": upper, "1.4.3.1": lower, "1.4.4.1": 45}
    assert [s.state for s in samples(tmp_path, text, raws)] == [state]


@pytest.mark.parametrize(
    ("celsius", "row", "state"),
    [
        (599, 7, State.OK),
        (601, 7, State.WARN),
        (751, 7, State.CRIT),
        (-60, 7, State.WARN),
        (-101, 7, State.CRIT),
        (455, 70, State.WARN),
        (751, 70, State.WARN),
    ],
)
def test_limits_that_stand_in_a_table_of_their_own(tmp_path: Path, celsius: int, row: int, state: State) -> None:
    """As CISCO-ENTITY-SENSOR-MIB has them: entSensorThresholdTable is indexed by the sensor and a number of the threshold."""
    text = """
tables:
  - group: t
    entry: 1.4
    columns: {value: 1, precision: 2, severity: 1.5.2, relation: 1.5.3, threshold: 1.5.4}
    items:
      - signal: sensor.temperature
        column: value
        precision: precision
        limits:
          warn_above: {column: threshold, find: [{column: severity, in: 10}, {column: relation, in: [3, 4]}], else: 45}
          crit_above: {column: threshold, find: [{column: severity, in: [20, 30]}, {column: relation, in: [3, 4]}]}
          warn_below: {column: threshold, find: [{column: severity, in: 10}, {column: relation, in: [1, 2]}]}
          crit_below: {column: threshold, find: [{column: severity, in: 20}, {column: relation, in: [1, 2]}]}
"""
    raws: dict[str, Raw] = {f"1.4.1.{row}": celsius, f"1.4.2.{row}": 1}
    for number, (severity, relation, limit) in enumerate(((20, 4, 750), (10, 4, 600), (10, 2, -50), (20, 2, -100)), 1):
        raws |= {f"1.5.2.7.{number}": severity, f"1.5.3.7.{number}": relation, f"1.5.4.7.{number}": limit}
    assert [s.state for s in samples(tmp_path, text, raws)] == [state]


def test_rows_by_index_parts_in_place_of_groups_and_what_a_row_lacks(tmp_path: Path) -> None:
    text = """
tables:
  - group: probe
    entry: 1.4
    where: [{column: index, matches: '^0\\.'}]
    items:
      - {signal: env.temperature, column: 1, sentinels: [-1]}
      - {signal: env.temperature, column: 2, part: dewpoint}
      - {signal: env.humidity, column: 3}
"""
    raws: dict[str, Raw] = {"1.4.1.0.1": 20, "1.4.2.0.1": 9, "1.4.1.0.2": -1, "1.4.3.0.2": b"n/a", "1.4.1.1.1": 99}
    found = samples(tmp_path, text.replace("part: dewpoint", "part: dew"), raws)
    assert [(s.component, s.value) for s in found] == [("d/probe:0.1", 20), ("d/dew:0.1", 9)]


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("signal: env.temperature, raw_unit: V", "V cannot become C, the unit of env.temperature; take another"),
        ("signal: env.temperature, raw_unit: Kelvin", "'Kelvin' is no unit of a device"),
        ("signal: env.temperature, raw_unit: {oid: 1.3.2.0, is: {1: V}}", "none of these units can become C"),
        ("signal: env.temperature, unit: F", "for the device's own unit write `raw_unit: F`"),
        ("signal: ups.battery.replaced, date: mm/dd", "a date needs year, month and day"),
        ("signal: ups.battery.age, date: mm/dd/yy", "for days since then add `form: age`"),
        ("signal: ups.battery.age, form: age", "an age needs the date"),
        ("signal: env.temperature, form: duration", "it gives s, and env.temperature is in C"),
        ("signal: env.temperature, wraps: 32", "other signals do not wrap"),
        ("signal: net.rx.bytes, wraps: 31", "a counter wraps at 32 or 64 bits"),
        ("signal: env.temperature, limits: {warn_above: {oid: 1.3.2.0, find: [{oid: 1.3.3.0, in: 1}]}}", "limits are found for the rows of a table"),
        ("signal: net.rx.bytes, per: s", "what rises per time is a gauge"),
        ("signal: sensor.count, per: second", "'second' is no unit of time"),
        ("signal: sensor.state, yes: broken", "'broken' is no word of sensor.state"),
        ("signal: env.temperature, texts: {1: a}", "not a text; leave `texts` out"),
        ("signal: env.temperature, column: 3", "a scalar has no columns"),
        ("signal: env.temperature, limits: {warn_above: {oid: 1.3.2.0, els: 3}}", "did you mean else?"),
        ("signal: ups.battery.age, life: {source: calendar, rated: 4}", "a figure without its unit"),
        ("signal: ups.battery.age, life: {source: calendar, confidence: doc}", "needs its document"),
        ("signal: ups.battery.age, life: {source: moon}", "'moon' is no source of a life"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_the_mend(tmp_path: Path, item: str, said: str) -> None:
    from tillwatch.device_profiles.yaml_nodes import ProfileError

    with pytest.raises(ProfileError, match=r"^acme.yaml:4: ") as caught:
        scalar(tmp_path, item, 1)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("rest", "raws", "maker"),
    [
        ("", {"1.3.6.1.2.1.1.2.0": "1.3.6.1.4.1.99999.7"}, "Acme"),
        ("", {"1.3.6.1.2.1.1.2.0": ".1.3.6.1.4.1.99999"}, "Acme"),
        ("", {"1.3.6.1.2.1.1.2.0": "0.0"}, "Acme"),
        ("", {}, None),
        ("scalars: {signal: identity.maker, oid: 1.3.1.0}\n", {"1.3.1.0": b"Acme of Ohio"}, "Acme of Ohio"),
    ],
)
def test_the_maker_of_a_family(tmp_path: Path, rest: str, raws: dict[str, Raw], maker: str | None) -> None:
    text = "maker: Acme\n" + (rest or "scalars: {signal: ups.alarms, oid: 1.3.2.0}\n")
    found = [sample.value for sample in samples(tmp_path, text, raws) if sample.signal == "identity.maker"]
    assert found == ([maker] if maker else [])


def test_the_life_of_a_part_reaches_the_compiled_profile(tmp_path: Path) -> None:
    life = "{source: calendar, rated: 4, unit: years, stress: {ref_c: 25, halve_every_k: 10}, evidence: APC FA158934, confidence: doc}"
    samples(tmp_path, f"scalars: [{{signal: ups.battery.age, oid: 1.3.1.0, life: {life}}}]\n", {})
    found = Library(compile_folder(tmp_path)).profile("acme").scalars[0].life
    assert found is not None
    assert found.stress is not None
    assert (found.source, found.rated, found.unit, found.confidence, found.stress.halve_every_k) == (
        "calendar",
        4,
        "years",
        "doc",
        10,
    )
