"""What modems say in between, in one answer or another, and that no command changes anything or asks who the subscriber is."""

from __future__ import annotations

import pytest

from tillwatch.firmware_shims.base import ShimError, UnsupportedError
from tillwatch.firmware_shims.engine import Dialogue, decode
from tillwatch.firmware_shims.modem_at import SHIM

QUERIES = {query.request.decode("ascii").strip(): query for query in SHIM.queries}


def said(command, frame):
    return {(each.part, each.signal): each.value for each in decode(SHIM, QUERIES[command], frame, {})}


def test_commands_only_ask():
    commands = {request.decode("ascii") for request in SHIM.whitelist}
    assert all(command.endswith("\r") and "=" not in command and ";" not in command for command in commands)
    assert not any(
        word in command
        for command in commands
        for word in ("CIMI", "CCID", "CNUM", "CFUN", "ATD", "ATH", "ATZ", "CPBR", "CMGR")
    )


@pytest.mark.parametrize(("code", "dbm"), [(0, -113), (1, -111), (19, -75), (31, -51)])
def test_signal(code, dbm):
    assert said("AT+CSQ", b"+CSQ: %d,99\r\n\r\nOK" % code) == {("", "cell.rssi"): dbm}


def test_unknown_signal_is_no_reading():
    assert said("AT+CSQ", b"+CSQ: 99,99\r\n\r\nOK") == {}
    assert said("AT+CESQ", b"+CESQ: 99,99,255,255,255,255\r\n\r\nOK") == {}


@pytest.mark.parametrize(
    "frame",
    [
        b"+CSQ: 32,99\r\n\r\nOK",
        b"+CSQ: 19,8\r\n\r\nOK",
        b"+CSQ: 19\r\n\r\nOK",
        b"+CSQ: 19,99",
        b"OK",
        b"+CREG: 1,1\r\n\r\nOK",
    ],
)
def test_what_is_no_signal(frame):
    with pytest.raises(ShimError):
        decode(SHIM, QUERIES["AT+CSQ"], frame, {})


@pytest.mark.parametrize(
    "frame",
    [
        b"+CREG: 0,1\r\n\r\nOK",
        b'+CREG: 2,1,"1A2B","00BC614E",7\r\n\r\nOK',
        b"+CREG: 2\r\n\r\n+CREG: 0,1\r\n\r\nOK",
        b'+CREG: 5,"1A2B","00BC614E"\r\n\r\n+CREG: 2,1\r\n\r\nOK',
        b'RING\r\n\r\n+CREG: 0,1\r\n\r\n+CMTI: "SM",3\r\n\r\nOK',
        b"AT+CREG?\r\r\n+CREG: 0,1\r\n\r\nOK",
    ],
)
def test_what_comes_unasked_is_passed_over(frame):
    assert said("AT+CREG?", frame) == {("cs", "cell.registration"): "home"}


@pytest.mark.parametrize(
    ("command", "frame", "degrees"),
    [
        ("AT+CPMUTEMP", b"+CPMUTEMP: -7\r\n\r\nOK", -7),
        ("AT+QTEMP?", b"+QTEMP: 1,1123,36 \r\nOK", 36),
        ("AT+QTEMP", b"+QTEMP: 33,32,31\r\n\r\nOK", 33),
        ("AT+QTEMP", b'+QTEMP:"soc-thermal","38"\r\n+QTEMP:"pa","31"\r\n\r\nOK', 38),
        ("AT+MTSM?", b"+MTSM: 35\r\nOK", 35),
        ("AT!PCTEMP?", b"Temp state: Normal\r\nTemperature: 45.20\r\n\r\nOK", 45.2),
    ],
)
def test_temperature(command, frame, degrees):
    assert said(command, frame) == {("", "cell.temperature"): degrees}


@pytest.mark.parametrize("frame", [b"ERROR", b"+CME ERROR: 4", b"COMMAND NOT SUPPORT"])
def test_refusals(frame):
    with pytest.raises(UnsupportedError):
        decode(SHIM, QUERIES["AT+MTSM?"], frame, {})


def test_a_missing_card_is_said():
    with pytest.raises(ShimError, match="the device says: no SIM card"):
        decode(SHIM, QUERIES["AT+CPIN?"], b"+CME ERROR: 10", {})


@pytest.mark.parametrize(
    ("command", "frame", "value"),
    [
        ("AT+CGMM", b"SIM7600TW\r\n\r\nOK", "SIM7600TW"),
        ("AT+CGMM", b"AT+CGMM\r\r\nEC25TW\r\n\r\nOK", "EC25TW"),
        ("AT+CGMM", b'+CGMM: "L850TW"\r\n\r\nOK', "L850TW"),
        ("AT+CGMR", b"Revision: 1.0TW\r\n\r\nOK", "1.0TW"),
        ("AT+CGSN", b"866000000004711\r\n\r\nOK", "866000000004711"),
    ],
)
def test_identity(command, frame, value):
    assert list(said(command, frame).values()) == [value]


@pytest.mark.parametrize(
    ("command", "frame"), [("AT+CGMM", b"AT+CGMM\r\r\nOK"), ("AT+CGMM", b"OK"), ("AT+CGSN", b"12345\r\n\r\nOK")]
)
def test_an_echo_is_no_identity(command, frame):
    with pytest.raises(ShimError):
        decode(SHIM, QUERIES[command], frame, {})


async def test_a_modem_without_card_and_net_is_read_all_the_same(replay_port, transcript):
    spoken = next(each for each in transcript("modem_at") if "no SIM" in each.title)
    found = await Dialogue(SHIM, replay_port(spoken.exchanges)).poll("normal")
    assert {each.signal for each in found} == {"cell.registration", "cell.temperature"}
