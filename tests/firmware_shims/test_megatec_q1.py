"""Field by field, and against what real UPS answered where those recordings are at hand (a folder beside the checkout, or TILLWATCH_DATA)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tillwatch.firmware_shims.base import ShimError
from tillwatch.firmware_shims.engine import Dialogue, decode
from tillwatch.firmware_shims.megatec_q1 import Q1, SHIM, F, I

DATA = Path(os.environ.get("TILLWATCH_DATA", Path(__file__).parents[3] / "shared" / "data")) / "serial"
needs_recordings = pytest.mark.skipif(
    not DATA.is_dir(), reason="no recordings of real devices: set TILLWATCH_DATA to their folder"
)


def said(query, frame, known=None):
    return {each.signal: each.value for each in decode(SHIM, query, frame, known or {})}


def status(**fields):
    words = {
        "input": "231.4",
        "fault": "231.4",
        "output": "230.1",
        "load": "023",
        "hertz": "50.0",
        "battery": "27.3",
        "temp": "28.5",
        "bits": "00001001",
    }
    return ("(" + " ".join((words | fields).values())).encode()


@pytest.mark.parametrize(
    ("bits", "signal", "word"),
    [
        ("10000000", "ups.mains", "failed"),
        ("01000000", "ups.battery.status", "low"),
        ("00010000", "ups.fault", "failed"),
        ("00001000", "ups.topology", "standby"),
        ("00000000", "ups.topology", "online"),
        ("00000100", "ups.test.result", "running"),
        ("00000010", "ups.shutdown", "active"),
        ("00000001", "ups.beeper", "enabled"),
    ],
)
def test_each_status_bit(bits, signal, word):
    assert said(Q1, status(bits=bits))[signal] == word
    turned = "".join("10"[int(bit)] for bit in bits)
    assert said(Q1, status(bits=turned))[signal] != word


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({"bits": "00000000"}, "normal"),
        ({"bits": "10001000"}, "battery"),
        ({"bits": "00100000"}, "bypass"),
        ({"bits": "00101000", "input": "190.0"}, "booster"),
        ({"bits": "00101000", "input": "260.0"}, "reducer"),
        ({"bits": "00101000", "input": "@@@.@"}, "other"),
        ({"bits": "10101000"}, "battery"),
        ({"bits": "10001000", "output": "000.0"}, "none"),
        ({"bits": "00011000", "output": "000.0"}, "none"),
        ({"bits": "00001000", "output": "000.0"}, "other"),
    ],
)
def test_where_the_output_comes_from(fields, source):
    assert said(Q1, status(**fields))["ups.output.source"] == source


@pytest.mark.parametrize(
    ("field", "nominal", "volts"),
    [
        ("2.26", 24.0, 27.12),
        ("2.05", 288.0, 295.2),
        ("27.3", 24.0, 27.3),
        ("13.65", 12.0, 13.65),
        ("327.8", 288.0, 327.8),
    ],
)
def test_battery_voltage(field, nominal, volts):
    assert said(Q1, status(battery=field), {"ups.battery.voltage.nominal": nominal})["ups.battery.voltage"] == volts


def test_volts_of_one_cell_say_nothing_without_a_rating():
    assert "ups.battery.voltage" not in said(Q1, status(battery="2.26"))


@pytest.mark.parametrize("filler", ["@", "-"])
def test_not_available_is_no_reading(filler):
    frame = status(
        fault=f"{filler * 3}.{filler}", load=filler * 3, temp=f"{filler * 2}.{filler}", battery=f"{filler * 2}.{filler}"
    )
    assert (
        not {"ups.input.voltage.fault", "ups.output.load", "ups.temperature", "ups.battery.voltage"}
        & said(Q1, frame).keys()
    )


def test_frequency_zero_is_a_value():
    assert said(Q1, status(hertz="00.0"))["ups.input.frequency"] == 0.0


@pytest.mark.parametrize(
    ("field", "word"), [("temp", "99.9"), ("hertz", "10.0"), ("hertz", "80.0"), ("load", "500"), ("input", "700.0")]
)
def test_the_impossible_is_no_value(field, word):
    assert None in said(Q1, status(**{field: word})).values()


def test_frost_is_possible():
    assert said(Q1, status(temp="-3.5"))["ups.temperature"] == -3.5


@pytest.mark.parametrize(
    "frame",
    [
        b"(231.4 231.4 230.1 023 50.0 27.3 28.5 0000100",
        b"(231.4 231.4 230.1 023 50.0 27.3 28.5 000010011",
        b"(31.4 231.4 230.1 023 50.0 27.3 28.5 00001001  ",
        b"(231.4 231.4 230.1 023 50.0 27.3 28.5 00002001",
        b"(231.4 231,4 230.1 023 50.0 27.3 28.5 00001001",
        b"(231.4  31.4 230.1 023 50.0 27.3 28.5 00001001",
        b"(231.4 231.4 230.1 023 50.0 27.3 28.5 00001001(231.4 231.4",
        b"#231.4 231.4 230.1 023 50.0 27.3 28.5 00001001",
        b"",
    ],
)
def test_another_form_is_no_answer(frame):
    with pytest.raises(ShimError):
        decode(SHIM, Q1, frame, {})


def test_ratings():
    assert said(F, b"#220.0 003 12.00 50.0") == {
        "ups.output.voltage.nominal": 220.0,
        "ups.output.current.nominal": 3.0,
        "ups.battery.voltage.nominal": 12.0,
        "ups.output.frequency.nominal": 50.0,
    }


def test_identity_fields_that_the_maker_left_blank():
    assert said(I, b"#-------------   ------     V1.0      ") == {"identity.firmware": "V1.0"}


NAMES = {
    "input_voltage_v": "ups.input.voltage",
    "input_fault_voltage_v": "ups.input.voltage.fault",
    "output_voltage_v": "ups.output.voltage",
    "load_pct": "ups.output.load",
    "frequency_hz": "ups.input.frequency",
    "battery_voltage_v": "ups.battery.voltage",
    "temperature_c": "ups.temperature",
    "utility_fail": ("ups.mains", "failed"),
    "battery_low": ("ups.battery.status", "low"),
    "ups_failed": ("ups.fault", "failed"),
    "standby_type": ("ups.topology", "standby"),
    "test_running": ("ups.test.result", "running"),
    "shutdown_active": ("ups.shutdown", "active"),
    "beeper_on": ("ups.beeper", "enabled"),
}


@needs_recordings
async def test_captured_and_documented_dialogues(replay_port, exchange):
    rows = [json.loads(line) for line in (DATA / "transcripts.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row["protocol"] == "megatec-q1"]
    assert rows
    for row in rows:
        port = replay_port([exchange(bytes.fromhex(row["query_hex"]), bytes.fromhex(row["reply_hex"]))])
        found = {each.signal: each.value for each in await Dialogue(SHIM, port).poll("fast")}
        for key, expected in row["expected"].items():
            match NAMES.get(key):
                case str(signal):
                    assert found[signal] == expected, (row["device"], key)
                case (signal, word):
                    assert (found[signal] == word) == expected, (row["device"], key)


@needs_recordings
async def test_dialogues_from_other_drivers(replay_port, exchange):
    """Every recorded answer to Q1, F and I: of the documented form and within the possible, except where a maker's differs."""
    tables = json.loads((DATA / "nut" / "nutdrv_qx_testing_tables.json").read_text(encoding="utf-8"))
    queries = {query.request: query for query in (Q1, F, I)}
    decoded = 0
    for table in tables.values():
        for row in table["rows"]:
            query = queries.get(bytes.fromhex(row["query_hex"]))
            answer = bytes.fromhex(row["reply_hex"]).rstrip(b"\r")
            if query is None or answer[:1] != query.lead or b"#2222" in answer:
                continue
            found = said(query, answer)
            assert found
            assert None not in found.values()
            decoded += 1
    assert decoded > 20
