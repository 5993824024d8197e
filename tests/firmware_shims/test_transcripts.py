"""Every shim that owns its port against its transcript: as spoken, then spoilt in every way a line spoils it. The outcome is the same readings or a
clean ShimError. Where a protocol has no checksum, one disturbed answer may change a measured value, within what is possible at
all and never a state; that is what its rows' ranges and the second opinion are for.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import re
import sys

import pytest

from tests.variants import long_after
from tillwatch.agent.model import PollClass
from tillwatch.agent.sources import serial as serial_source
from tillwatch.firmware_shims.base import (
    Check,
    Counted,
    Decoded,
    Line,
    Mode,
    Query,
    Row,
    Shim,
    ShimError,
    Trait,
    load_all,
)
from tillwatch.firmware_shims.engine import Dialogue

# A test's line is always silent between two requests.
SHIMS = {shim.name: dataclasses.replace(shim, pause=0.0) for shim in load_all() if Mode.EXCLUSIVE in shim.modes}


@pytest.fixture(params=SHIMS)
def shim(request):
    return SHIMS[request.param]


def asking(shim: Shim, query: Query) -> Shim:
    """The shim with one of its queries, and those that the rows of others need."""
    freely = dataclasses.replace(query, given=None)
    rows = (
        dataclasses.replace(row, query=freely) if row.query == query else row
        for row in shim.rows
        if row.query == query or row.query.first
    )
    return dataclasses.replace(shim, rows=tuple(rows), claim=freely)


def spoilt(spoken, shim: Shim, spoil, nths):
    """(the shim with one query, what a port may do to its nth answer), for each answered query and each nth; nth None: to every answer."""
    for query in shim.queries:
        longest = max((len(each.answer) for each in spoken.exchanges if each.request == query.request), default=0)
        one = asking(shim, query)
        for change in spoil(longest):
            for nth in nths:
                heard = itertools.count()

                def mangle(request, answer, _nth, change=change, nth=nth, heard=heard, query=query):
                    return change(answer) if request == query.request and nth in (None, next(heard)) else answer

                yield one, mangle


def flips(masks):
    """Each byte changed by each mask."""

    def changes(length: int):
        for at in range(length):
            for mask in masks:

                def flip(answer: bytes, at=at, mask=mask) -> bytes:
                    return answer[:at] + bytes([answer[at] ^ mask]) + answer[at + 1 :] if at < len(answer) else answer

                yield flip

    return changes


def cuts(length: int):
    for end in range(length):
        yield lambda answer, end=end: answer[:end]


async def listen(shim: Shim, port) -> list[Decoded]:
    dialogue = Dialogue(shim, port)
    return [each for every in ("fast", "normal", "slow") for each in await dialogue.poll(every)]


def assert_same(found: list[Decoded], expected) -> None:
    assert {(each.part, each.signal): (each.value, each.unit) for each in found} == expected


def assert_possible(row: Row, value: float) -> None:
    assert row.low is None or row.low <= value
    assert row.high is None or value <= row.high


def assert_trustworthy(shim: Shim, found: list[Decoded], expected) -> None:
    """Nothing that was not said; without a checksum, a measured value is at least possible."""
    rows = {(row.part, row.signal): row for row in shim.rows}
    for each in found:
        row = rows[each.part, each.signal]
        if shim.check or row.trait is not Trait.NONE:
            assert (each.value, each.unit) == expected[each.part, each.signal]
        elif each.value is not None:
            assert_possible(row, each.value)


async def test_every_dialogue_means_what_it_says(shim, transcript, replay_port):
    for spoken in transcript(shim.name):
        assert_same(await listen(shim, replay_port(spoken.exchanges)), spoken.expected)


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
async def test_over_a_real_terminal(transcript, pty_device, monkeypatch):
    """All shims at once: each waits for its line most of the time."""
    monkeypatch.setattr(serial_source, "load", lambda name: dataclasses.replace(SHIMS[name], timeout=0.3, gap=0.05))

    async def read(shim, spoken):
        device = pty_device(spoken.exchanges, shim.whitelist)
        source = serial_source.SerialSource("dev", device.path, shim.name)
        found = [sample for wanted in PollClass if wanted in source.classes for sample in await source.poll(wanted)]
        await source.close()
        device.close()
        return {
            (sample.component.removeprefix("dev").lstrip("/"), sample.signal): (sample.value, sample.unit)
            for sample in found
        }

    spoken = [(shim, each) for shim in SHIMS.values() for each in transcript(shim.name)]
    found = await asyncio.gather(*(read(*each) for each in spoken), return_exceptions=True)
    assert [(shim.name, each) for shim, each in zip((shim for shim, _ in spoken), found, strict=True)] == [
        (shim.name, each.expected) for shim, each in spoken
    ]


async def test_it_may_come_in_any_pieces(shim, transcript, replay_port):
    for spoken in transcript(shim.name):
        for size in (1, 2, 7, 8):
            assert_same(await listen(shim, replay_port(spoken.exchanges, chunk=size)), spoken.expected)


async def test_the_transcript_covers_every_row(shim, transcript):
    said = {key for spoken in transcript(shim.name) for key in spoken.expected}
    assert said == {(row.part, row.signal) for row in shim.rows}


async def test_only_the_whitelist_is_ever_sent(shim, transcript, replay_port):
    for spoken in transcript(shim.name):
        port = replay_port(spoken.exchanges)
        await listen(shim, port)
        assert port.sent
        assert set(port.sent) <= shim.whitelist


async def test_an_answer_cut_at_any_byte_is_no_answer(shim, transcript, replay_port):
    for spoken in transcript(shim.name):
        for one, mangle in spoilt(spoken, shim, cuts, [None]):
            with contextlib.suppress(ShimError):
                for each in await listen(
                    one, replay_port(spoken.exchanges, mangle)
                ):  # an optional query may be missing as a whole
                    assert (each.value, each.unit) == spoken.expected[each.part, each.signal]


@pytest.mark.parametrize("nth", long_after(1, [0, 1, 2]))
async def test_one_disturbed_answer(shim, transcript, replay_port, nth):
    """Each bit of one answer turned round, and each byte replaced by several others."""
    for spoken in transcript(shim.name):
        for one, mangle in spoilt(spoken, shim, flips([*(1 << bit for bit in range(8)), 0xFF, 0x55]), [nth]):
            with contextlib.suppress(ShimError):
                assert_trustworthy(shim, await listen(one, replay_port(spoken.exchanges, mangle)), spoken.expected)


async def test_a_bit_that_is_always_wrong_gives_no_impossible_value(shim, transcript, replay_port):
    rows = {(row.part, row.signal): row for row in shim.rows}
    for spoken in transcript(shim.name):
        for one, mangle in spoilt(spoken, shim, flips([1 << bit for bit in range(8)]), [None]):
            with contextlib.suppress(ShimError):
                for each in await listen(one, replay_port(spoken.exchanges, mangle)):
                    row = rows[each.part, each.signal]
                    if shim.check:
                        assert (each.value, each.unit) == spoken.expected[each.part, each.signal]
                    elif row.states:
                        assert each.value is None or each.value in row.states
                    elif isinstance(each.value, int | float):
                        assert_possible(row, each.value)


NOISE = [b"\0", b"\xff\xfe", b"\n", b"\r", b"\r\n\r\n", b"~~~", b"(", b"#", b"(1", b"\x02", b"12.3 "]


@pytest.mark.parametrize("noise", NOISE)
async def test_noise_around_an_answer(shim, transcript, replay_port, noise):
    for spoken in transcript(shim.name):
        for always in (True, False):
            for before in (True, False):

                def add(_request, answer, nth, always=always, before=before):
                    if not answer or not (always or nth == 0):
                        return answer
                    return noise + answer if before else answer + noise

                with contextlib.suppress(ShimError):
                    for each in await listen(shim, replay_port(spoken.exchanges, add)):
                        assert (each.value, each.unit) == spoken.expected[each.part, each.signal]


async def test_a_line_that_echoes_and_then_answers(shim, transcript, replay_port):
    for spoken in transcript(shim.name):
        port = replay_port(spoken.exchanges, lambda request, answer, _nth: request + answer)
        assert_same(await listen(shim, port), spoken.expected)


async def test_a_device_that_echoes_everything_speaks_another_protocol(shim, transcript, replay_port):
    for spoken in transcript(shim.name):
        with pytest.raises(ShimError, match="does not know"):
            await listen(shim, replay_port(spoken.exchanges, lambda request, _answer, _nth: request))


async def test_a_silent_device(shim, replay_port):
    port = replay_port([])
    with pytest.raises(ShimError, match="no answer"):
        await listen(shim, port)
    assert port.sent == [shim.claim.request] * shim.tries


# EBDS (banknote acceptor), a protocol with a checksum, as the second subject of these tests:
# > 02 08 10 7F 00 00 03 67
# < 02 0B 20 00 10 00 00 00 00 03 3B      cash box present, out of service
_EBDS_POLL = bytes.fromhex("0208107f00000367")
_EBDS_STATUS = Query(_EBDS_POLL, re.compile(rb"(?s)\x02\x0b[\x20\x21].{6}\x03."), lead=b"\x02", min_len=11)
EBDS = Shim(
    name="ebds_test",
    title="as far as these tests need it",
    line=Line(baud=9600, bits=7, parity="E"),
    framing=Counted(lead=b"\x02", at=1, smallest=6),
    check=Check("xor", covers=(1, -2)),
    rows=(
        Row(
            signal="experimental.cashbox",
            query=_EBDS_STATUS,
            take=(4, 5),
            convert=lambda raw, _known: "present" if raw[0] & 0x10 else "removed",
            trait=Trait.STATE,
        ),
        Row(signal="experimental.state", query=_EBDS_STATUS, take=(3, 4), convert=lambda raw, _known: raw[0], high=127),
    ),
    whitelist=frozenset({_EBDS_POLL}),
    claim=_EBDS_STATUS,
)
_EBDS_ANSWER = bytes.fromhex("020b20001000000000033b")


class TestWithChecksum:
    """With a checksum, no single disturbed byte ever becomes a value, however often it is repeated."""

    async def listen(self, replay_port, spoil=lambda answer: answer, chunk=1024):
        exchange = dataclasses.make_dataclass("Exchange", ["request", "answer"])(_EBDS_POLL, spoil(_EBDS_ANSWER))
        return {
            each.signal: each.value for each in await Dialogue(EBDS, replay_port([exchange], chunk=chunk)).poll("fast")
        }

    expected = {"experimental.cashbox": "present", "experimental.state": 0}  # noqa: RUF012 - a constant of the test

    @pytest.mark.parametrize("chunk", [1, 3, 1024])
    async def test_spoken(self, replay_port, chunk):
        assert await self.listen(replay_port, chunk=chunk) == self.expected

    async def test_changed_byte(self, replay_port):
        for at in range(len(_EBDS_ANSWER)):
            for mask in range(1, 256):
                with contextlib.suppress(ShimError):
                    found = await self.listen(
                        replay_port, lambda a, at=at, mask=mask: a[:at] + bytes([a[at] ^ mask]) + a[at + 1 :]
                    )
                    raise AssertionError(f"byte {at} ^ {mask:#x} was taken for {found}")

    async def test_cut(self, replay_port):
        for length in range(len(_EBDS_ANSWER)):
            with pytest.raises(ShimError):
                await self.listen(replay_port, lambda answer, length=length: answer[:length])

    @pytest.mark.parametrize("noise", NOISE)
    async def test_noise(self, replay_port, noise):
        with contextlib.suppress(ShimError):
            assert await self.listen(replay_port, lambda answer: noise + answer) == self.expected
