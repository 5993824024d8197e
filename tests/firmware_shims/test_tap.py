"""Every shim that can listen, against its transcript: as spoken, then spoilt in every way a line spoils it. The outcome is what was
said, or an error, and never another value. Then what only some protocols bring: answers that look like requests.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.firmware_shims import tap as tap_module
from tillwatch.firmware_shims.base import (
    Ended,
    Line,
    Mode,
    NoAnswerError,
    Query,
    Row,
    Shim,
    ShimError,
    Trait,
    UnsupportedError,
    load,
    load_all,
)
from tillwatch.firmware_shims.checksums import CHECKSUMS
from tillwatch.firmware_shims.tap import FRESH_S, REPEATED, Tap, UnknownRequestError, exchange, frames

TAPS = {shim.name: shim for shim in load_all() if Mode.TAP in shim.modes}
POLL_S = 0.2
BYTE_S = 0.001
EVERY = ("fast", "normal", "slow")


@pytest.fixture(params=TAPS)
def shim(request):
    return TAPS[request.param]


class Heard:
    """A tap, and the clock of its line. A host asks each thing several times, as it does in the field."""

    def __init__(self, shim: Shim) -> None:
        self.tap = Tap(shim)
        self.now = 1000.0

    def say(self, data: bytes, chunk: int = 1) -> None:
        for at in range(0, len(data), chunk):
            piece = data[at : at + chunk]
            self.now += BYTE_S * len(piece)
            self.tap.feed(piece, self.now)

    def exchange(self, request: bytes, reply: bytes, chunk: int = 1) -> None:
        self.say(request, chunk)
        self.now += 0.005
        self.say(reply, chunk)
        self.now += POLL_S

    def readings(self) -> dict[tuple[str, str], tuple[object, str]]:
        """Counts of 0 are left out, as in the transcripts."""
        counted = {(each.part, each.signal) for each in self.tap._shim.tallies}
        found = [each for every in EVERY for each in self.tap.readings(every, self.now)]
        said = {(each.part, each.signal): (each.value, each.unit) for each in found}
        return {key: value for key, value in said.items() if not (key in counted and value[0] == 0)}


def hear(shim, exchanges, mangle=lambda _nth, request, answer: (request, answer), chunk=1) -> Heard:
    """mangle(nth, request, answer): what really passes on the line."""
    heard, nth = Heard(shim), 0
    for each in exchanges:
        for _ in range(REPEATED + 1):
            heard.exchange(*mangle(nth, each.request, each.answer), chunk)
            nth += 1
    return heard


def assert_nothing_else(heard: Heard, spoken, shim: Shim, exchanges) -> None:
    """What is said was said: now, or before the part of the line that was spoilt."""
    counted = {each.signal for each in shim.tallies}
    possible: dict[tuple[str, str], set[tuple[object, str]]] = {}
    for upto in range(len(exchanges) + 1):
        with contextlib.suppress(ShimError):
            for key, value in hear(shim, exchanges[:upto]).readings().items():
                possible.setdefault(key, set()).add(value)
    with contextlib.suppress(ShimError):
        for key, value in heard.readings().items():
            if key[1] not in counted:
                assert value in possible.get(key, set()), (spoken.title, key, value)


def test_every_dialogue_means_what_it_says(shim, transcript):
    for spoken in transcript(shim.name):
        assert hear(shim, spoken.exchanges).readings() == spoken.expected, spoken.title


@pytest.mark.parametrize("chunk", [2, 7, 1024])
def test_it_may_come_in_any_pieces(shim, transcript, chunk):
    for spoken in transcript(shim.name):
        assert hear(shim, spoken.exchanges, chunk=chunk).readings() == spoken.expected, spoken.title


def test_the_transcript_covers_every_row_and_every_count(shim, transcript):
    said = {key for spoken in transcript(shim.name) for key in spoken.expected}
    assert said == {(each.part, each.signal) for each in (*shim.rows, *shim.tallies)}


def test_any_bit_may_be_turned_round_for_good(shim, transcript):
    """In the request or in the answer, in each exchange of the dialogue."""
    for spoken in transcript(shim.name):
        longest = max(len(each.request + each.answer) for each in spoken.exchanges)
        for bit in range(8 * longest):

            def flip(_nth, request, answer, bit=bit):
                both = bytearray(request + answer)
                if bit // 8 < len(both):
                    both[bit // 8] ^= 1 << bit % 8
                return bytes(both[: len(request)]), bytes(both[len(request) :])

            last = spoken.exchanges[-2:]
            assert_nothing_else(hear(shim, last, flip, chunk=64), spoken, shim, last)


@pytest.mark.parametrize("which", ["request", "answer"])
def test_it_may_be_cut_at_any_byte(shim, transcript, which):
    for spoken in transcript(shim.name):
        last = spoken.exchanges[-2:]
        for length in range(max(len(getattr(each, which)) for each in last)):

            def cut(_nth, request, answer, length=length):
                return (request[:length], answer) if which == "request" else (request, answer[:length])

            assert_nothing_else(hear(shim, last, cut, chunk=64), spoken, shim, last)


NOISE = [b"\0", b"\xff\xfe", b"\r\n", b"~~~", b"\x02", b"\x02\x03", b"\xfc", b"\xf2\x00", b"\x06", b"\x02\xff", b"\xfc\xff", b"\x02\x03\xff"]  # fmt: skip


@pytest.mark.parametrize("noise", NOISE)
def test_noise_everywhere(shim, transcript, noise):
    for spoken in transcript(shim.name):
        last = spoken.exchanges[-2:]
        for spoil in (
            lambda _nth, request, answer: (noise + request, answer),
            lambda _nth, request, answer: (request, noise + answer),
            lambda _nth, request, answer: (request, answer + noise),
        ):
            assert_nothing_else(hear(shim, last, spoil), spoken, shim, last)


@pytest.mark.parametrize("noise", NOISE)
def test_after_noise_it_is_heard_again(shim, transcript, noise):
    for spoken in transcript(shim.name):
        heard = Heard(shim)
        heard.say(noise)
        for each in spoken.exchanges:
            for _ in range(REPEATED + 2):  # a false length takes one exchange with it
                heard.exchange(each.request, each.answer)
        states = {
            key: value for key, value in heard.readings().items() if key in {(r.part, r.signal) for r in shim.rows}
        }
        assert states.items() <= spoken.expected.items(), spoken.title
        assert states


def test_a_line_that_echoes_the_host(shim, transcript):
    for spoken in transcript(shim.name):
        heard = hear(shim, spoken.exchanges, lambda _nth, request, answer: (request + request, answer))
        assert heard.readings() == spoken.expected, spoken.title


@given(st.lists(st.tuples(st.binary(max_size=40), st.floats(0, 2)), max_size=20))
@pytest.mark.parametrize("name", TAPS)
def test_any_bytes_at_any_time_raise_nothing(name, said):
    tap, now = Tap(TAPS[name]), 0.0
    for data, after in said:
        now += after
        tap.feed(TAPS[name].framing.lead + data, now)
    with contextlib.suppress(ShimError):
        tap.readings("fast", now)
    assert len(tap._buffer) <= tap_module.MAX_ANSWER


def test_a_silent_device_is_not_a_healthy_one(shim, transcript):
    spoken = next(transcript(shim.name))
    heard = hear(shim, spoken.exchanges)
    asked = next(each.request for each in spoken.exchanges if tap_module.is_request(shim.claim, each.request))
    for _ in range(int(FRESH_S / POLL_S) + 2):
        heard.exchange(asked, b"")
    with pytest.raises(NoAnswerError, match="the host asks, and the device has given no good answer"):
        heard.readings()


def test_a_quiet_line_says_so(shim, transcript):
    heard = Heard(shim)
    with pytest.raises(NoAnswerError, match="nothing was heard for 15 s; is the host on"):
        heard.readings()
    heard = hear(shim, next(transcript(shim.name)).exchanges)
    heard.now += FRESH_S + 1
    with pytest.raises(NoAnswerError, match="nothing was heard"):
        heard.readings()


def test_another_protocol_says_so(shim):
    heard = Heard(shim)
    heard.say(b"\x55" * 50)
    with pytest.raises(NoAnswerError, match="bytes are heard, but no exchange"):
        heard.readings()
    answer = bytearray(next(iter(TAPS.values())).framing.lead)
    heard.say(shim.framing.lead + bytes([9] * 200) + answer)
    with pytest.raises(NoAnswerError, match=f"what is heard is no {shim.name}; other speed, parity or protocol"):
        heard.readings()


def test_nothing_in_it_can_send():
    source = inspect.getsource(tap_module)
    assert not re.search(r"\b(send|write|Port|asyncio|socket|import os)\b", source.replace("that could send", ""))


def test_a_shim_that_only_listens_has_nothing_to_send():
    for shim in TAPS.values():
        if Mode.EXCLUSIVE not in shim.modes:
            assert shim.whitelist == frozenset()
            assert all(query.request == b"" for query in shim.queries)


def test_a_shim_that_only_listens_may_have_nothing_in_its_whitelist():
    shim = load("ccnet")
    with pytest.raises(ValueError, match="nothing may stand in its whitelist"):
        dataclasses.replace(shim, whitelist=frozenset({b"\x02\x03\x06\x33\xda\x81"}))


class TestLookalikes:
    """ID-003: the status request and the answer "enabled" are the same five bytes."""

    shim = load("id003")
    ask = bytes.fromhex("fc05112756")

    def state(self, heard):
        return heard.readings()["", "acceptor.state"][0]

    def test_a_pair_that_comes_once_is_not_believed(self):
        heard = Heard(self.shim)
        for _ in range(REPEATED - 1):
            heard.exchange(self.ask, self.ask)
        with pytest.raises(NoAnswerError):
            heard.readings()
        heard.exchange(self.ask, self.ask)
        assert self.state(heard) == "idle"

    @pytest.mark.parametrize("period", [0.1, 0.2, 0.5])
    def test_a_host_that_asks_a_dead_device_is_not_taken_for_it(self, period):
        heard = Heard(self.shim)
        for _ in range(50):
            heard.say(self.ask, chunk=5)
            heard.now += period
        with pytest.raises(NoAnswerError, match="the host asks"):
            heard.readings()

    def test_requests_that_were_read_late_are_not_taken_for_answers(self):
        heard = Heard(self.shim)
        for _ in range(20):
            heard.say(self.ask * 4, chunk=64)
            heard.now += 0.8
        with pytest.raises(NoAnswerError):
            heard.readings()

    def test_now_and_then_two_requests_at_once(self):
        heard = Heard(self.shim)
        for n in range(60):
            heard.say(self.ask * (1 + (n % 3 == 0)), chunk=64)
            heard.now += 0.2
        with pytest.raises(NoAnswerError):
            heard.readings()

    def test_the_bill_table_of_ccnet_is_no_full_cassette(self):
        """A poll that was not answered, and at once the request whose code is that of a full cassette."""
        shim, poll, idle = load("ccnet"), bytes.fromhex("02030633da81"), bytes.fromhex("0203061467d4")
        table = b"\x02\x03\x06\x41" + CHECKSUMS["crc16-ccnet"][1](b"\x02\x03\x06\x41").to_bytes(2, "little")
        heard = Heard(shim)
        for _ in range(REPEATED):
            heard.exchange(poll, idle)
            heard.say(poll)
            heard.exchange(table, b"")
            assert heard.readings()["cashbox", "acceptor.cashbox"][0] == "attached"


class TestCounts:
    """EBDS: each answer has the other toggle, so the same state is never twice the same frame."""

    shim = load("ebds")

    def answers(self, heard, status: int, times: int) -> None:
        for n in range(times):
            frame = bytes([2, 11, 0x20 | n & 1, 1, status, 0, 0, 0x54, 0x1E, 3])
            heard.exchange(b"", frame + bytes([CHECKSUMS["xor"][1](frame[1:-1])]))

    def count(self, heard):
        return heard.readings().get(("", "acceptor.rejected"), (0,))[0]

    def test_once_for_as_long_as_it_is_told(self):
        heard = Heard(self.shim)
        for expected in (1, 2):
            self.answers(heard, 0x10, 3)
            self.answers(heard, 0x12, 4)
            assert self.count(heard) == expected

    def test_not_what_began_before_it_was_heard(self):
        heard = Heard(self.shim)
        self.answers(heard, 0x12, 4)
        assert self.count(heard) == 0
        self.answers(heard, 0x10, 1)
        self.answers(heard, 0x12, 1)
        assert self.count(heard) == 1


class TestExchange:
    """One exchange whose directions are known."""

    ccnet = load("ccnet")

    def test_an_answer(self):
        query, frame = exchange(self.ccnet, bytes.fromhex("02030633da81"), b"\0" + bytes.fromhex("0203061467d4"))
        assert (query, frame) == (self.ccnet.claim, bytes.fromhex("0203061467d4"))

    def test_nobody_asked_and_the_frame_tells(self):
        reply = bytes.fromhex("020b20000000000000032b")
        assert exchange(load("ebds"), b"", reply)[0] is load("ebds").claim

    @pytest.mark.parametrize(
        ("name", "request_hex", "reply", "error", "why"),
        [
            ("ccnet", "02030633da81", "", NoAnswerError, "not answered"),
            ("ccnet", "02030633da81", "0203061467d5", ShimError, "no whole frame with a good checksum in 6 bytes"),
            ("ccnet", "02030633da81", "02030600c282", ShimError, "no answer that this shim reads"),
            ("ccnet", "0203063041b3", "02030600c282", UnknownRequestError, "nothing is read"),
            ("ccnet", "02030637fec7", "02030637fec7", UnsupportedError, "does not know"),
            ("ebds", "0208107f00000367", "", NoAnswerError, "not answered"),
        ],
    )
    def test_what_is_none(self, name, request_hex, reply, error, why):
        with pytest.raises(error, match=why) as raised:
            exchange(load(name), bytes.fromhex(request_hex), bytes.fromhex(reply))
        assert raised.type is error

    def test_frames_behind_a_false_length(self):
        frame = bytes.fromhex("0203061467d4")
        assert list(frames(self.ccnet, b"\x02\x03\xff" + frame + b"\x02\x03" + frame)) == [frame, frame]


class TestWithoutChecksum:
    """As in a dialogue, a state is believed when it is said twice."""

    query = Query(b"", re.compile(rb"S(?P<x>[ab])"), tells=True)
    row = Row(
        signal="experimental.x",
        query=query,
        take="x",
        convert=lambda raw, _known: raw.decode(),
        states={"a": "ok", "b": "crit"},
        trait=Trait.STATE,
    )
    shim = Shim(
        name="x",
        title="x",
        line=Line(9600),
        framing=Ended(b"\r"),
        rows=(row,),
        whitelist=frozenset(),
        claim=query,
        modes=frozenset({Mode.TAP}),
    )

    def test_twice(self):
        heard = Heard(self.shim)
        heard.say(b"Sa\r")
        with pytest.raises(NoAnswerError):
            heard.readings()
        heard.say(b"Sa\r")
        assert heard.readings() == {("", "experimental.x"): ("a", "")}
        heard.say(b"Sb\rSa\rSb\r")
        assert heard.readings() == {("", "experimental.x"): ("a", "")}
        heard.say(b"Sb\r")
        assert heard.readings() == {("", "experimental.x"): ("b", "")}


def test_what_is_handed_over_needs_no_time():
    shim = load("id003")
    tap = Tap(shim)
    tap.hand(TestLookalikes.ask, TestLookalikes.ask, 5.0)
    assert {each.signal: each.value for each in tap.readings("fast", 6.0)}["acceptor.state"] == "idle"
    with pytest.raises(NoAnswerError):
        tap.hand(TestLookalikes.ask, b"", 7.0)


def test_errors_show_no_byte_of_the_line():
    """Track data passes on a card reader's line."""
    track = b"\xf2\x00\x14P61000000" + b"4111111111111111"
    heard = Heard(load("sankyo_ict3k5"))
    heard.say(track)
    for act in (heard.readings, lambda: exchange(load("sankyo_ict3k5"), b"", track)):
        with pytest.raises(ShimError) as raised:
            act()
        assert "4111" not in str(raised.value)
