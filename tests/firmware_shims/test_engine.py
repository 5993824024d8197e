from __future__ import annotations

import contextlib
import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tillwatch.firmware_shims import engine, megatec_q1, modbus
from tillwatch.firmware_shims.base import (
    NotAllowedError,
    Query,
    Row,
    Shim,
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


class Pieces:
    """A port that gives what is to come piece by piece; b"" is a silence. It notes how long each was waited for."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.waits: list[float] = []
        self.sent: list[bytes] = []

    async def send(self, data: bytes) -> None:
        self.sent.append(data)

    async def receive(self, timeout: float) -> bytes:
        self.waits.append(timeout)
        return self.pieces.pop(0) if self.pieces else b""

    async def discard(self) -> None:
        pass


REGISTER = modbus.read(1, 4, 0x0200, 1)
RTU = modbus.shim("rtu", "x", (modbus.gauge("sensor.value", REGISTER, 0x0200, ""),))
SEVEN = modbus.sealed(bytes.fromhex("0104020007"))


@pytest.mark.parametrize(
    "pieces",
    [
        [SEVEN],
        [REGISTER.request, SEVEN],
        [REGISTER.request + SEVEN],
        [*(bytes([byte]) for byte in REGISTER.request + SEVEN)],
        [REGISTER.request[:7], REGISTER.request[7:] + SEVEN[:2], SEVEN[2:]],
    ],
)
async def test_an_echo_is_taken_off_though_it_begins_like_an_answer(pieces):
    """01 04 02 is the head of the request and of the answer."""
    found = await Dialogue(dataclasses.replace(RTU, pause=0.0, tries=1), Pieces(*pieces))._ask(REGISTER)
    assert values(found) == {"sensor.value": 7}


async def test_an_answer_after_an_echo_has_its_whole_time():
    port = Pieces(REGISTER.request, SEVEN)
    await Dialogue(dataclasses.replace(RTU, pause=0.0), port)._ask(REGISTER)
    assert port.waits == [RTU.timeout, RTU.timeout, RTU.gap]


@pytest.mark.parametrize("pieces", [[REGISTER.request], [REGISTER.request[:5], REGISTER.request[5:]]])
async def test_an_echo_alone_is_a_refusal(pieces):
    with pytest.raises(UnsupportedError):
        await Dialogue(dataclasses.replace(RTU, pause=0.0), Pieces(*pieces))._ask(REGISTER)


async def test_what_only_silence_ends_is_spoilt_by_anything_beside_it():
    for pieces in ([b"\0" + SEVEN], [SEVEN + b"\0"], [SEVEN, SEVEN], [SEVEN * 200]):
        with pytest.raises(ShimError):
            await Dialogue(dataclasses.replace(RTU, pause=0.0, tries=1), Pieces(*pieces))._ask(REGISTER)


async def test_what_the_device_says_of_itself_is_the_error():
    port = Pieces(modbus.sealed(b"\x01\x84\x06"))
    with pytest.raises(ShimError, match="the device says: it is busy"):
        await Dialogue(dataclasses.replace(RTU, pause=0.0, tries=1), port)._ask(REGISTER)


async def test_a_refusal_behind_noise_is_one():
    with pytest.raises(UnsupportedError):
        decode(SHIM, megatec_q1.Q1, b"~~(NAK", {})


async def test_a_pause_before_each_request(monkeypatch):
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(engine.asyncio, "sleep", sleep)
    await Dialogue(dataclasses.replace(RTU, pause=0.25), Pieces(SEVEN))._ask(REGISTER)
    assert slept == [0.25]


@pytest.mark.parametrize(
    ("given", "said", "asked"),
    [
        (None, None, True),
        (("identity.maker", "ACME"), "ACME", True),
        (("identity.maker", "ACME"), "OTHER", False),
        (("identity.maker", "ACME"), None, False),
        (("identity.maker", None), "OTHER", True),
        (("identity.maker", None), None, False),
    ],
)
async def test_a_query_for_some_devices_only(given, said, asked):
    maker = Query(b"M\r", re.compile(rb"(?P<maker>[A-Z]+)"), optional=True)
    more = Query(b"X\r", re.compile(rb"(?P<x>[0-9]+)"), optional=True, given=given)
    status = Query(b"S\r", re.compile(rb"WELL"))
    rows = (
        Row(signal="identity.maker", query=maker, take="maker", convert=lambda raw, _known: raw.decode()),
        Row(signal="sensor.count", query=more, take="x", convert=lambda raw, _known: int(raw), low=0, high=9),
    )
    shim = Shim(
        name="x",
        title="x",
        line=SHIM.line,
        framing=SHIM.framing,
        rows=rows,
        whitelist=frozenset({b"M\r", b"X\r", b"S\r"}),
        claim=status,
    )
    answers = {b"S\r": b"WELL\r", b"M\r": f"{said}\r".encode() if said else b"", b"X\r": b"5\r"}

    class Answering(Pieces):
        async def send(self, data: bytes) -> None:
            await super().send(data)
            self.pieces = [answers[data]]

    port = Answering()
    await Dialogue(shim, port).poll("fast")
    assert (b"X\r" in port.sent) == asked


@pytest.mark.parametrize("shim", load_all(), ids=lambda shim: shim.name)
def test_no_answer_keeps_the_agent_busy(shim):
    """Long runs of what the forms repeat, without the end that they wait for: a form that tries every way to divide them never ends."""
    for query in shim.queries:
        for unit in (
            b"\r",
            b"\n",
            b"\r\n",
            b" ",
            b"0",
            b"1",
            b"-",
            b"0 ",
            b"000.0 ",
            b"A",
            b'"',
            b",",
            b"\0",
            b"\x10\0\0\0",
            b"\x11",
            b"!",
            b"x\r\n",
        ):
            run = unit * (engine.MAX_ANSWER // len(unit))
            for frame in (
                run,
                query.lead + run,
                query.lead + run + b"OK",
                query.lead + run + b"\xff",
                run + query.lead + run,
            ):
                with contextlib.suppress(ShimError):
                    decode(shim, query, frame, {})


async def test_a_report_asks_what_the_shim_lists_and_nothing_else():
    port = Sequence(MAINS, MAINS, MAINS, MAINS, MAINS, MAINS)
    found = values(await Dialogue(SHIM, port).report())
    assert (found["ups.test.result"], found["ups.fault"]) == ("none", "none")
    assert set(port.sent) <= SHIM.whitelist
    assert b"T\r" not in port.sent


async def test_a_report_that_nobody_gives_is_an_error():
    silent = dataclasses.replace(SHIM, timeout=0.01, gap=0.01, report=())
    with pytest.raises(ShimError, match="none of the requests of its self-report"):
        await Dialogue(silent, Sequence(*[MAINS] * 6)).report()
