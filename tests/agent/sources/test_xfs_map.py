from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agent.counters import CATALOGUE, assert_catalogued
from tests.agent.sources.xfs_server import NAMES, recorded
from tillwatch.agent.model import State
from tillwatch.agent.sources.xfs_map import (
    MAX_UNREAD,
    POSITION_ROWS,
    ROWS,
    Unread,
    identity,
    status,
    versions,
    worst,
)


def read(payload: dict[str, Any]):
    unread = Unread()
    samples = worst(status("atm/S", payload, unread))
    assert_catalogued(samples)
    return {(each.component.removeprefix("atm/S").strip(), each.signal): each for each in samples}, unread


def values(payload):
    return {key: sample.value for key, sample in read(payload)[0].items()}


@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_word_is_known(name):
    _, unread = read(recorded(name)["Common.Status"])
    assert unread.found == {}


def test_rows_are_of_the_catalogue():
    for known, signal in [(row.words, row.signal) for row in ROWS] + [
        (known, signal) for _, signal, known in POSITION_ROWS
    ]:
        states = CATALOGUE[signal]["states"]
        for word, state in known.values():
            assert states[word] == state.name.lower(), (signal, word)


def test_a_recycler():
    found = values(recorded("CashRecycler1")["Common.Status"])
    assert found["", "atm.device"] == "busy"
    assert found["inDefault", "atm.shutter"] == "jammedOpen"
    assert found["outDefault", "atm.shutter"] == "closed"
    assert found["dispenser", "atm.cash"] == "attention"
    assert found["banknoteReader", "atm.part"] == "ok"


def test_a_printer_and_a_pin_pad():
    found = values(recorded("ReceiptPrinter1")["Common.Status"])
    assert found["paper:upper", "atm.paper"] == "low"
    assert found["paper:aux", "atm.paper"] == "full"
    assert ("paper:lower", "atm.paper") not in found
    assert found["", "atm.lamp"] == "ok"
    assert found["", "atm.stacked"] == 0
    found = values(recorded("PinPad1")["Common.Status"])
    assert (found["", "atm.epp"], found["", "atm.epp.certificate"]) == ("ready", "primary")


def test_doors_sensors_power_and_protection():
    found = values(recorded("Auxiliaries1")["Common.Status"])
    assert found["safeDoor", "env.door"] == "open"  # the sensor's, which is worse than what the protection says
    assert found["cabinetFrontDoor", "env.door"] == "locked"
    assert found["tamperSensor", "env.tamper"] == "clear"
    assert found["UPS", "ups.mains"] == "present"
    assert found["power", "ups.battery.status"] == "normal"
    assert found["camera:exitSlot", "atm.part"] == "inoperable"
    assert found["", "atm.neutralization.warnings.all"] == "armedAutonomous"
    assert found["", "atm.neutralization.errors"] == "none"


def test_nothing_about_people_is_read():
    """Whether somebody stands there, lifts the handset, or lays a finger on the reader."""
    payload = recorded("Auxiliaries1")["Common.Status"]
    without = json.loads(json.dumps(payload))
    del without["biometric"], without["auxiliaries"]["proximitySensor"], without["auxiliaries"]["handsetSensor"]
    assert values(payload) == values(without)


def test_what_is_not_known_is_unknown_counted_and_shown():
    found, unread = read(
        {
            "common": {"device": "melting", "antiFraudModule": 7, "vendorDescription": "free text"},
            "printer": {"paper": {"upper": "4111 1111 1111 1111"}, "lamp": "ok"},
            "cashDispenser": {"positions": [{"position": "outMiddle", "shutter": "closed"}, 5]},
            "teleporter": {"state": "ok"},
        }
    )
    assert found["", "atm.device"].value is None
    assert found["", "atm.device"].state is State.UNKNOWN
    assert found["", "atm.lamp"].value == "ok"
    assert list(unread.found) == [
        "teleporter",
        "common.device=melting",
        "common.antiFraudModule",
        "printer.paper",
        "cashDispenser.positions.position=outMiddle",
        "cashDispenser.positions.position",
    ]
    assert unread.count == 6
    assert "4111" not in str(unread.samples("atm"))
    assert_catalogued(unread.samples("atm"))


def test_what_is_shown_of_it_is_bounded():
    _, unread = read({f"member{n}": {} for n in range(500)})
    assert (unread.count, len(unread.found)) == (500, MAX_UNREAD)
    assert_catalogued(unread.samples("atm"))


def test_identity_and_versions():
    capabilities = recorded("CashRecycler1")["Common.Capabilities"]
    assert {sample.signal: sample.value for sample in identity("atm/S", capabilities)} == {
        "identity.model": "CR-7",
        "identity.serial": "RC20911",
        "identity.firmware": "7.31",
    }
    assert versions(capabilities)["Storage.GetStorage"] == {"2.0"}
    assert versions({"interfaces": [{"commands": {"Common.Status": {"versions": "2.0"}}}, 3]}) == {}


ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["ok", "online", "jammed"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
PATHS = [row.path.removesuffix(".*") for row in ROWS] + [
    "cashDispenser.positions",
    "check.positions.input",
    "auxiliaries.UPS",
]


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(PATHS), ANY, max_size=6), ANY)
def test_payloads_of_any_shape_are_samples(planted, capabilities):
    payload: dict[str, Any] = {}
    for path, value in planted.items():
        inner = payload
        *way, last = path.split(".")
        for name in way:
            inner = inner.setdefault(name, {}) if isinstance(inner.get(name, {}), dict) else {}
        inner[last] = value
    read(payload)
    assert_catalogued(identity("atm/S", {"common": {"deviceInformation": capabilities}}))
    versions({"interfaces": capabilities})
