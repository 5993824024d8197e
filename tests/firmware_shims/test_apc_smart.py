"""APC's letters: those that act cannot be sent, alarms may stand anywhere before an answer, and a date that could be two is none."""

from __future__ import annotations

import pytest

from tillwatch.firmware_shims import apc_smart
from tillwatch.firmware_shims.apc_smart import SHIM
from tillwatch.firmware_shims.base import NotAllowedError, ShimError, UnsupportedError
from tillwatch.firmware_shims.engine import Dialogue, decode

QUERIES = {query.request: query for query in SHIM.queries}


def said(letter, frame):
    return {(each.part, each.signal): each.value for each in decode(SHIM, QUERIES[letter], frame, {})}


@pytest.mark.parametrize(
    "letter",
    [bytes([each]) for each in b"ADEGHIJKMNRSTUWZ@-+^z>v\x0c\x16\x0e\x1a\x7f"] + [b"ZZ", b"KK", b"@001", b"QS"],
)
async def test_what_acts_or_sets_back_cannot_be_sent(letter, replay_port):
    port = replay_port([])
    with pytest.raises(NotAllowedError):
        await Dialogue(SHIM, port).send(letter)
    assert port.sent == []


def test_nothing_but_questions_of_one_letter():
    assert {request.decode("ascii") for request in SHIM.whitelist} == set("YQ'8X9jxLOFPBfCgonb\x01")


@pytest.mark.parametrize("alarms", [b"", b"!", b"!%", b"$+", b"|&?=*#"])
@pytest.mark.parametrize("echo", [b"", b"Q"])
def test_alarms_and_an_echo_are_passed_over(echo, alarms):
    assert said(b"Q", echo + alarms + b"50")["", "ups.battery.status"] == "low"


@pytest.mark.parametrize("frame", [b"5", b"500", b"5!0", b"0x", b"G0", b"", b"NA!", b"50\0"])
def test_another_form_is_no_status(frame):
    with pytest.raises(ShimError):
        decode(SHIM, QUERIES[b"Q"], frame, {})


def test_a_register_whose_letter_is_a_digit():
    assert said(b"8", b"80")["temperature", "ups.condition"] == "failed"
    assert said(b"8", b"880")["temperature", "ups.condition"] == "failed"
    assert said(b"9", b"FF")["", "ups.input.status"] == "good"


def test_a_letter_that_is_not_known():
    with pytest.raises(UnsupportedError):
        decode(SHIM, QUERIES[b"n"], b"NA", {})
    for letter in (b"\x01", b"n", b"b"):
        for frame in (b"#NA", letter + b"NA"):
            with pytest.raises(ShimError):
                decode(SHIM, QUERIES[letter], frame, {})


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("25/03/24", "2024-03-25"),
        ("03/25/24", "2024-03-25"),
        ("05/05/99", "1999-05-05"),
        ("04/05/23", None),
        ("32/01/20", None),
        ("13/13/20", None),
        ("00/00/00", None),
    ],
)
def test_the_day_of_the_battery(written, day):
    assert said(b"x", written.encode()).get(("", "ups.battery.replaced")) == day


@pytest.mark.parametrize(
    ("bits", "source"),
    [("08", "normal"), ("10", "battery"), ("18", "battery"), ("0A", "reducer"), ("0C", "booster"), ("00", "none")],
)
def test_where_the_output_comes_from(bits, source):
    assert said(b"Q", bits.encode())["", "ups.output.source"] == source


def test_the_port_is_opened_with_both_lines_low():
    assert (SHIM.line.dtr, SHIM.line.rts) == (False, False)
    assert apc_smart.SMART.request == b"Y"
