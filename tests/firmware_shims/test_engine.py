from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tillwatch.firmware_shims import engine, megatec_q1
from tillwatch.firmware_shims.base import (
    NotAllowedError,
    Query,
    Row,
    ShimError,
    UnsupportedError,
    load_all,
)
from tillwatch.firmware_shims.engine import Dialogue, decode

MAINS = b"(231.4 231.4 230.1 023 50.0 27.3 28.5 00001001\r"
BATTERY = b"(000.0 187.2 229.8 023 00.0 25.1 29.0 10001001\r"
SHIM = megatec_q1.SHIM


class Sequence:
    """A port whose answers to Q1 come one after the other; other requests are echoed."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.sent: list[bytes] = []
        self.waiting = b""

    async def send(self, data: bytes) -> None:
        self.sent.append(data)
        self.waiting += self.answers.pop(0) if data == b"Q1\r" else data

    async def receive(self, timeout: float) -> bytes:
        data, self.waiting = self.waiting, b""
        return data

    async def discard(self) -> None:
        self.waiting = b""


def values(found):
    return {each.signal: each.value for each in found}


@given(st.binary(max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("shim", load_all(), ids=lambda shim: shim.name)
async def test_nothing_but_the_whitelist_can_be_sent(shim, request_bytes):
    port = Sequence()
    if request_bytes not in shim.whitelist:
        with pytest.raises(NotAllowedError, match="was not sent"):
            await Dialogue(shim, port).send(request_bytes)
    assert port.sent == []


@pytest.mark.parametrize(
    "request_bytes", [b"S.2\r", b"S01R0001\r", b"C\r", b"T\r", b"TL\r", b"Q\r", b"Q1\rS.2\r", b"q1\r", b"Q1"]
)
async def test_what_changes_a_ups_cannot_be_sent(request_bytes):
    port = Sequence()
    with pytest.raises(NotAllowedError):
        await Dialogue(SHIM, port).send(request_bytes)
    assert port.sent == []


def test_the_port_is_written_in_one_place_only():
    source = Path(engine.__file__).read_text(encoding="utf-8")
    assert source.count("_port.send(") == 1


async def test_a_change_of_state_is_believed_when_said_twice():
    port = Sequence(MAINS, MAINS, MAINS, BATTERY, BATTERY, BATTERY)
    dialogue = Dialogue(SHIM, port)
    assert values(await dialogue.poll("fast"))["ups.mains"] == "present"
    assert port.sent.count(b"Q1\r") == 3
    assert values(await dialogue.poll("fast"))["ups.mains"] == "failed"
    assert port.sent.count(b"Q1\r") == 5
    assert values(await dialogue.poll("fast"))["ups.mains"] == "failed"
    assert port.sent.count(b"Q1\r") == 6


async def test_one_wrong_status_bit_is_not_believed():
    wrong = MAINS.replace(b"00001001", b"10001001")
    dialogue = Dialogue(SHIM, Sequence(MAINS, MAINS, MAINS, wrong, MAINS))
    await dialogue.poll("fast")
    assert values(await dialogue.poll("fast"))["ups.mains"] == "present"


async def test_a_line_that_never_says_the_same_is_no_device():
    other = MAINS.replace(b"00001001", b"01001001")
    with pytest.raises(ShimError, match="differently each time"):
        await Dialogue(SHIM, Sequence(MAINS, other, BATTERY, MAINS, other)).poll("fast")


async def test_a_value_that_is_always_impossible_is_an_error_alone():
    hot = MAINS.replace(b" 28.5 ", b" 99.9 ")
    found = values(await Dialogue(SHIM, Sequence(hot, hot, hot)).poll("fast"))
    assert found["ups.temperature"] is None
    assert found["ups.input.voltage"] == 231.4


async def test_a_value_that_is_impossible_once_is_asked_again():
    hot = MAINS.replace(b" 28.5 ", b" 99.9 ")
    dialogue = Dialogue(SHIM, Sequence(MAINS, MAINS, MAINS, hot, MAINS))
    await dialogue.poll("fast")
    assert values(await dialogue.poll("fast"))["ups.temperature"] == 28.5


async def test_ratings_are_asked_at_first_contact_only():
    port = Sequence(*[MAINS] * 5)
    dialogue = Dialogue(SHIM, port)
    await dialogue.poll("fast")
    await dialogue.poll("fast")
    assert port.sent.count(b"F\r") == 1
    assert b"I\r" not in port.sent


async def test_a_line_that_never_pauses_is_cut_off():
    port = Sequence(*[b"~" * (2 * engine.MAX_ANSWER)] * SHIM.tries)
    with pytest.raises(ShimError, match="no whole answer"):
        await Dialogue(SHIM, port).poll("fast")


async def test_what_was_not_asked_for_is_thrown_away():
    port = Sequence(MAINS, MAINS, MAINS)
    port.waiting = BATTERY
    assert values(await Dialogue(SHIM, port).poll("fast"))["ups.mains"] == "present"


@pytest.mark.parametrize("frame", [b"Q1", b"(NAK", b"N"])
def test_refusals(frame):
    with pytest.raises(UnsupportedError, match="does not know"):
        decode(SHIM, megatec_q1.Q1, frame, {})


@pytest.mark.parametrize("shim", load_all(), ids=lambda shim: shim.name)
@given(st.binary(max_size=120))
def test_any_bytes_are_readings_or_a_shim_error(shim, frame):
    for query in shim.queries:
        try:
            found = decode(shim, query, query.lead + frame, {})
        except ShimError:
            continue
        assert all(each.signal for each in found)


def test_a_field_that_cannot_be_converted_names_itself():
    query = Query(b"Q1\r", re.compile(rb"(?P<x>.*)"))
    row = Row(signal="experimental.x", query=query, take="x", convert=lambda raw, _known: int(raw))
    shim = SHIM.__class__(
        name="x", title="x", line=SHIM.line, framing=SHIM.framing, rows=(row,), whitelist=SHIM.whitelist, claim=query
    )
    with pytest.raises(ShimError, match=r"experimental\.x cannot be b'1e'"):
        decode(shim, query, b"1e", {})
