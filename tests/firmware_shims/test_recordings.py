"""What real devices answered, and what makers print as an example, where those recordings are at hand (a folder beside the checkout, or
TILLWATCH_DATA): every one of a protocol that is spoken here means what it should, or is refused as it should be.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from tillwatch.firmware_shims import modbus
from tillwatch.firmware_shims.base import NoAnswerError, ShimError, UnsupportedError, load, load_all
from tillwatch.firmware_shims.checksums import CHECKSUMS
from tillwatch.firmware_shims.engine import decode
from tillwatch.firmware_shims.tap import exchange

DATA = Path(os.environ.get("TILLWATCH_DATA", Path(__file__).parents[3] / "shared" / "data")) / "serial"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="no recordings of real devices: set TILLWATCH_DATA to their folder"
)

SHIMS = {
    "megatec-q1": "megatec_q1",
    "megatec-q6": "megatec_q6",
    "megatec-invalid": "voltronic_p",
    "voltronic-qgs": "voltronic_p",
    "voltronic-nak": "voltronic_p",
    "voltronic-qs-hex-P": "voltronic_qs_hex",
    "voltronic-qs-hex-T": "voltronic_qs_hex",
    "axpert-pi30": "voltronic_axpert",
    "escpos-no-reply": "escpos",
    "escpos-dle-eot-1": "escpos",
    "escpos-dle-eot-2": "escpos",
    "escpos-dle-eot-3": "escpos",
    "escpos-dle-eot-4": "escpos",
    "escpos-asb": "escpos_asb",
    "escpos-asb-burst": "escpos_asb",
    "custom-gs-r": "custom_kiosk",
    "custom-gs-i": "custom_kiosk",
    "epson-gs-g2": "epson_tm",
    "modem-at": "modem_at",
}
OTHERS = {"ebds", "ccnet", "id003", "sankyo-ict3k5", "cctalk", "modbus-rtu"}
"""Listened to, or judged in tests of their own."""


def signal(name: str, part: str = ""):
    return lambda said: said.get((part, name))


def word(name: str, *words: str, part: str = ""):
    """True where the signal is one of these words."""
    return lambda said: said[part, name] in words


def in_seconds(name: str):
    return lambda said: round(said["", name] * 60)


MEANINGS = {
    "input_voltage_v": signal("ups.input.voltage"),
    "input_voltage_l1_v": signal("ups.input.voltage", "input:1"),
    "input_voltage_l2_v": signal("ups.input.voltage", "input:2"),
    "input_voltage_l3_v": signal("ups.input.voltage", "input:3"),
    "input_fault_voltage_v": signal("ups.input.voltage.fault"),
    "output_voltage_v": signal("ups.output.voltage"),
    "output_voltage_l1_v": signal("ups.output.voltage", "output:1"),
    "load_pct": signal("ups.output.load"),
    "load_l1_pct": signal("ups.output.load", "output:1"),
    "input_frequency_hz": signal("ups.input.frequency"),
    "output_frequency_hz": signal("ups.output.frequency"),
    "frequency_hz": lambda said: said.get(("", "ups.input.frequency"), said.get(("", "ups.output.frequency"))),
    "output_current_a": signal("ups.output.current"),
    "battery_voltage_v": signal("ups.battery.voltage"),
    "battery_charge_pct": signal("ups.battery.charge"),
    "temperature_c": signal("ups.temperature"),
    "runtime_s": in_seconds("ups.battery.runtime"),
    "nominal_frequency_hz": signal("ups.output.frequency.nominal"),
    "nominal_battery_voltage_v": signal("ups.battery.voltage.nominal"),
    "nominal_output_voltage_v": signal("ups.output.voltage.nominal"),
    "type": signal("ups.topology"),
    "utility_fail": word("ups.mains", "failed"),
    "on_battery": word("ups.mains", "failed"),
    "battery_low": word("ups.battery.status", "low"),
    "ups_failed": word("ups.fault", "failed"),
    "fault": word("ups.fault", "failed"),
    "standby_type": word("ups.topology", "standby"),
    "line_interactive": word("ups.topology", "standby"),
    "test_running": word("ups.test.result", "running"),
    "shutdown_active": word("ups.shutdown", "active"),
    "beeper_on": word("ups.beeper", "enabled"),
    "online": word("printer.online", "online"),
    "offline": word("printer.online", "offline"),
    "drawer_pin3_high": word("printer.drawer", "high"),
    "waiting_recovery": word("printer.recovery", "waiting"),
    "cover_open": word("printer.cover", "open"),
    "feed_by_button": word("printer.feed", "feeding"),
    "stopped_paper_end": word("printer.stopped", "paper"),
    "error": word("printer.fault", "failed"),
    "mechanical_error": word("printer.condition", "failed", part="mechanism"),
    "cutter_error": word("printer.condition", "failed", part="cutter"),
    "unrecoverable": word("printer.condition", "failed", part="electronics"),
    "auto_recoverable": word("printer.condition", "warning", part="head"),
    "value": signal("printer.cuts"),
    "modem_temperature_c": signal("cell.temperature"),
    "ber": signal("cell.ber"),
    "system": signal("cell.technology", "serving"),
    "operator": signal("cell.operator", "serving"),
    "rsrq_db": signal("cell.rsrq", "serving"),
    "rsrp_dbm": signal("cell.rsrp", "serving"),
    "sinr": signal("cell.sinr", "serving"),
    "rssi_dbm": lambda said: said.get(("", "cell.rssi"), said.get(("serving", "cell.rssi"))),
    "feed_button": lambda said: (
        said.get(("", "printer.button")) == "pressed" or said.get(("", "printer.feed")) == "feeding"
    ),
    "paper_near_end": lambda said: paper(said) in ("low", "empty"),
    "paper_end": lambda said: paper(said) == "empty",
    "registration": lambda said: next(value for (_, name), value in said.items() if name == "cell.registration"),
    "model": lambda said: f"Custom {said['', 'identity.model']}",
}
UNDERSTOOD = {
    "valid",
    "supported",
    "crc_ok",
    "counter",
    "meaning",
    "bypass_or_avr",
    "bypass",
    "battery_voltage_per_cell_v",
}
"""Of the exchange as a whole; or asked with a rating at hand, and of a type that the reading of several bits together depends on."""


def paper(said):
    return said.get(("", "printer.paper"), said.get(("sensors", "printer.paper")))


def rows():
    return (
        [json.loads(line) for line in (DATA / "transcripts.jsonl").read_text("utf-8").splitlines()]
        if DATA.is_dir()
        else []
    )


def said(shim, request: bytes, reply: bytes, known=None):
    query, frame = exchange(shim, request, reply)
    return {(each.part, each.signal): each.value for each in decode(shim, query, frame, known or {})}


def test_no_row_is_forgotten():
    assert {row["protocol"] for row in rows()} == SHIMS.keys() | OTHERS


@pytest.mark.parametrize(
    "row",
    [row for row in rows() if row["protocol"] in SHIMS],
    ids=lambda row: f"{row['protocol']}-{row['device'][:12]}",
)
def test_a_recorded_exchange(row):
    shim = load(SHIMS[row["protocol"]])
    request, reply, expected = bytes.fromhex(row["query_hex"]), bytes.fromhex(row["reply_hex"]), row["expected"]
    if expected.get("supported") is False:
        with pytest.raises(UnsupportedError):
            exchange(shim, request, reply)
        return
    if not reply:
        with pytest.raises(NoAnswerError):
            exchange(shim, request, reply)
        return
    if row["protocol"].startswith("custom-gs-r"):
        assert request in shim.whitelist
    found = said(shim, request, reply)
    for key, value in expected.items():
        if key in UNDERSTOOD:
            continue
        got = MEANINGS[key](found)
        assert got == value or (isinstance(value, float) and math.isclose(got, value, abs_tol=0.051)), (
            key,
            got,
            value,
            found,
        )


def test_volts_of_one_cell_are_multiplied(replay_port):
    (row,) = (row for row in rows() if "battery_voltage_per_cell_v" in row["expected"])
    found = said(load("megatec_q1"), b"Q1\r", bytes.fromhex(row["reply_hex"]), {"ups.battery.voltage.nominal": 24.0})
    assert found["", "ups.battery.voltage"] == round(12 * row["expected"]["battery_voltage_per_cell_v"], 2)


@pytest.mark.parametrize(
    "row", [row for row in rows() if row["protocol"] == "modbus-rtu"], ids=lambda row: row["device"][:12]
)
def test_recorded_registers(row):
    found = modbus.registers(bytes.fromhex(row["query_hex"]), bytes.fromhex(row["reply_hex"]))
    assert found == row["expected"]["registers"]


TABLES = {
    "ablerex_testing": "megatec_q1",
    "innovart31_testing": "megatec_q6",
    "innovart33_testing": "megatec_q6",
    "innovatae_testing": "megatec_q1",
    "mecer_testing": "megatec_q1",
    "megatec_old_testing": "megatec_old",
    "megatec_testing": "megatec_q1",
    "mustek_testing": "megatec_qs",
    "q2_testing": "megatec_q2",
    "q6_testing": "megatec_q6",
    "voltronic_sunny_testing": "voltronic_axpert",
    "voltronic_qs_hex_testing": "voltronic_qs_hex",
    "voltronic_qs_testing": "megatec_qs",
    "zinto_testing": "zinto",
}
STATUS = {
    "ups.input.voltage": 215.0,
    "ups.input.voltage.fault": 195.0,
    "ups.output.voltage": 230.0,
    "ups.output.load": 14.0,
    "ups.input.frequency": 49.0,
    "ups.battery.voltage": 22.7,
    "ups.temperature": 30.0,
    "ups.mains": "present",
    "ups.topology": "online",
}
LOADS = {
    "output:1/ups.output.power": 1400.0,
    "output:1/ups.output.current": 6.5,
    "/ups.output.power": 1400.0,
    "/ups.output.load": 7.0,
}
PHASES = {
    "input:1/ups.input.voltage": 227.0,
    "input:3/ups.input.voltage": 230.0,
    "output:1/ups.output.voltage": 229.9,
    "/ups.output.frequency": 49.9,
    "output:1/ups.output.load": 7.0,
    "/ups.battery.voltage": 327.8,
    "/ups.temperature": 23.0,
    "/ups.battery.charge": 100.0,
    "output:2/ups.output.voltage": None,
}
GOLDEN = {
    b"Q1\r": STATUS,
    b"D\r": STATUS,
    b"QS\r": STATUS,
    b"F\r": {},
    b"I\r": {},
    b"FW?\r": {},
    b"WA\r": LOADS,
    b"BPS\r": {"bypass:1/ups.bypass.voltage": 230.4, "/ups.bypass.frequency": 49.9},
    b"Q6\r": PHASES,
    b"Q2\r": {
        "input:1/ups.input.voltage": 226.6,
        "/ups.input.voltage.fault": 226.6,
        "output:1/ups.output.voltage": 229.9,
        "/ups.battery.voltage": 327.6,
        "/ups.battery.charge": 100.0,
    },
    b"QPIRI\r": {
        "/ups.input.voltage.nominal": 230.0,
        "/ups.output.current.nominal": 21.7,
        "/ups.output.apparent.nominal": 5000.0,
        "/ups.battery.voltage.nominal": 48.0,
    },
    b"QPIGS\r": {
        "/ups.input.voltage": 233.5,
        "/ups.output.power": 396.0,
        "/ups.output.load": 9.0,
        "/ups.battery.voltage": 54.0,
        "/ups.temperature": 33.0,
        "/ups.battery.charge": 100.0,
        "bus/sensor.voltage": 440.0,
    },
    b"QPIWS\r": {"/ups.mains": "present", "/ups.battery.status": "normal", "fan/ups.condition": "ok"},
    b"QMOD\r": {"/ups.output.source": "normal"},
    b"QVFW\r": {"/identity.firmware": "00074.50"},
    b"QID\r": {"/identity.serial": "12345679012345"},
    b"QMD\r": {"/identity.model": "INVERTEX5K"},
    b"QPI\r": {"/identity.description": "PI30"},
}


def sealed(text: bytes) -> bytes:
    """The tables hold an Axpert's dialogue without its checksum."""
    return text + CHECKSUMS["crc16-voltronic"][1](text).to_bytes(2, "big")


@pytest.mark.parametrize("table", TABLES)
def test_a_table_of_dialogues(table):
    shim = load(TABLES[table])
    axpert = shim.name == "voltronic_axpert"
    decoded = 0
    for row in json.loads((DATA / "nut" / "nutdrv_qx_testing_tables.json").read_text("utf-8"))[table]["rows"]:
        request, reply = bytes.fromhex(row["query_hex"]), bytes.fromhex(row["reply_hex"])
        asked = sealed(request[:-1]) + b"\r" if axpert else request
        if asked not in shim.whitelist or not reply:
            continue
        found = said(shim, asked, sealed(reply[:-1]) + b"\r" if axpert else reply)
        golden = GOLDEN.get(request, {})
        if golden is STATUS and shim.name != "voltronic_qs_hex" and ("", "ups.input.voltage") not in found:
            golden = {"ups.mains": "present", "ups.topology": "online"}  # three phases: of Q1 the bits alone
        elif shim.name == "voltronic_qs_hex":
            golden = {"ups.output.frequency": 59.8, "ups.output.load": 3.0, "ups.topology": "standby"}
        assert None not in found.values()
        for key, value in golden.items():
            part, _, name = key.rpartition("/")
            assert found.get((part, name)) == value, (table, request, key)
        decoded += 1
    assert decoded >= 2 or shim.name == "voltronic_qs_hex"


def test_what_changes_a_ups_stands_in_those_tables_and_in_no_whitelist():
    """Their dialogues of orders: shutdowns, tests, settings."""
    orders = (
        b"S0",
        b"S.",
        b"C",
        b"T",
        b"Q\r",
        b"P",
        b"DMODEL",
        b"SON",
        b"SOFF",
        b"V2",
        b"F5",
        b"M",
        b"B",
        b"G",
        b"L",
        b"O",
        b"A",
        b"E",
        b"D2",
    )
    tables = json.loads((DATA / "nut" / "nutdrv_qx_testing_tables.json").read_text("utf-8"))
    sent = {bytes.fromhex(row["query_hex"]) for table in tables.values() for row in table["rows"]}
    told = {request for request in sent if request.startswith(orders) and request not in (b"BPS\r", b"M\r", b"GNTMQ\r")}
    assert len(told) > 60
    whitelisted = {request for shim in load_all() for request in shim.whitelist}
    assert not told & whitelisted
    assert not {sealed(request[:-1]) + b"\r" for request in told} & whitelisted


def test_the_comments_of_drivers():
    """One dialogue each of the variants that no table has."""
    dialogues = json.loads((DATA / "nut" / "driver_comment_dialogues.json").read_text("utf-8"))
    (q4,) = (row for row in dialogues if row["query"] == "Q4\\r")
    found = said(load("megatec_q4"), b"Q4\r", q4["reply"].replace("\\r", "\r").encode())
    assert found["", "ups.input.voltage"] == 236.7
    assert found["", "ups.output.source"] == "normal"
    assert found["", "ups.test.result"] == "pass"
    axpert = load("voltronic_axpert")
    for row in dialogues:
        request = sealed(row["query"].removesuffix("\\r").encode()) + b"\r"
        if "axpert" in row["file"] and request in axpert.whitelist and not row["note"].startswith("<-"):
            assert said(axpert, request, sealed(row["reply"].removesuffix("\\r").encode()) + b"\r")


INVERTERS = {
    "AC Input Voltage": "ups.input.voltage.nominal",
    "AC Output Voltage": "ups.output.voltage.nominal",
    "AC Output Frequency": "ups.output.frequency.nominal",
    "AC Output Current": "ups.output.current.nominal",
    "AC Output Apparent Power": "ups.output.apparent.nominal",
    "AC Output Active Power": "ups.output.power.nominal",
    "Battery Voltage": "ups.battery.voltage.nominal",
    "Grid Input Voltage Rating": "ups.input.voltage.nominal",
    "Grid Input Frequency Rating": "ups.output.frequency.nominal",
    "AC Output Voltage Rating": "ups.output.voltage.nominal",
    "AC Output Current Rating": "ups.output.current.nominal",
    "Battery Voltage Rating": "ups.battery.voltage.nominal",
    "Protocol ID": "identity.description",
    "Protocol Version": "identity.description",
}


def test_replies_of_inverters():
    """Another driver's decoding of the same bytes: PI30, and what PI16 has in common with it."""
    shim = load("voltronic_axpert")
    checked = 0
    for case in json.loads((DATA / "mpp-solar" / "decode_cases.json").read_text("utf-8")):
        request = sealed(case["command"].encode()) + b"\r"
        if case["protocol"] not in ("pi30", "pi16") or request not in shim.whitelist:
            continue
        reply = bytes.fromhex(case["reply_hex"])
        if sealed(reply[:-3]) != reply[:-1]:  # one of them was made up with the checksum of another
            with pytest.raises(ShimError):
                said(shim, request, reply)
            continue
        found = said(shim, request, reply)
        for key, (value, _) in case["expected"].items():
            if key in INVERTERS:
                assert found["", INVERTERS[key]] == value
                checked += 1
    assert checked >= 14


def test_nothing_decodes_with_a_wrong_checksum():
    with pytest.raises(ShimError):
        exchange(load("voltronic_axpert"), sealed(b"QMOD") + b"\r", b"(L\x06\x08\r")
