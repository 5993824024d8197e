"""Channels with a bookmark: over a log of the test's own, and over a program that prints what wevtutil does."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.sources.windows_machine import event
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.windows_log import MAX_EVENTS, Channel, Wevtutil, console_text

shell_only = pytest.mark.skipif(sys.platform == "win32", reason="the program of the test is a shell script")


class Log:
    """An EventLog of records and levels, oldest first."""

    def __init__(self, *records):
        self.records = list(records)
        self.asked = []
        self.fails = False

    async def newest(self, channel):
        return event(self.records[-1], "disk", 7, 4) if self.records else ""

    async def after(self, channel, record, most):
        self.asked.append((record, most))
        if self.fails:
            raise SourceError("prints over 2097152 bytes")
        return "".join(event(each, "disk", 7, 2) for each in reversed(self.records) if each > record)[: most * 10_000]


async def read(channel, log):
    return [each.record for each in await channel.read(log)]


async def test_the_first_look_begins_with_the_newest():
    channel, log = Channel("System"), Log(5, 6)
    assert await read(channel, log) == []
    assert (channel.bookmark, log.asked) == (6, [])
    log.records += [7, 8]
    assert await read(channel, log) == [8, 7]
    assert await read(channel, log) == []
    assert log.asked == [(6, MAX_EVENTS)], "nothing new costs one question for the newest"


async def test_an_empty_log_sets_no_bookmark():
    channel, log = Channel("System"), Log()
    assert await read(channel, log) == []
    assert channel.bookmark is None


async def test_a_log_that_was_cleared_numbers_anew():
    channel, log = Channel("System", 5_000), Log(1, 2)
    assert await read(channel, log) == [2, 1]
    assert channel.bookmark == 2


async def test_a_channel_that_is_not_there_has_no_events():
    class Absent(Log):
        async def newest(self, channel):
            return None

    assert await Channel("X", 4).read(Absent()) == []


async def test_a_newest_event_that_cannot_be_taken_apart_holds_up_nobody():
    class Odd(Log):
        async def newest(self, channel):
            return "<Event><System></Event>"

    channel = Channel("System", 3)
    assert await read(channel, Odd(3, 4, 5)) == [5, 4]
    assert channel.bookmark == 5
    assert await Channel("System").read(Odd(3)) == []


async def test_a_query_that_fails_asks_for_less_until_it_goes():
    channel, log = Channel("System", 1), Log(2, 3)
    log.fails = True
    for _ in range(12):
        with pytest.raises(SourceError):
            await channel.read(log)
    assert [most for _, most in log.asked][:3] == [256, 128, 64]
    assert log.asked[-1] == (1, 1)
    assert channel.bookmark == 1
    log.fails = False
    assert await read(channel, log) == [3, 2]
    assert channel.most == MAX_EVENTS


async def test_more_than_one_query_holds_is_declared():
    channel = Channel("System", 0)
    log = Log(*range(1, MAX_EVENTS + 1))
    assert len(await channel.read(log)) == MAX_EVENTS
    assert channel.full
    await channel.read(log)
    assert not channel.full


@given(st.lists(st.lists(st.integers(1, 4), max_size=6), max_size=8))
async def test_every_event_is_told_once(steps):
    log, channel, told = Log(1), Channel("System", 1), []
    for step in steps:
        for gap in step:
            log.records.append(log.records[-1] + gap)
        told += reversed(await read(channel, log))
        channel = Channel("System", channel.bookmark)
    assert told == log.records[1:]


@pytest.fixture
def wevtutil(tmp_path):
    def write(body: str) -> Wevtutil:
        path = tmp_path / "wevtutil"
        path.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/asked\n{body}\n")
        path.chmod(0o755)
        return Wevtutil(str(path))

    return write


@shell_only
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8", "utf-8-sig"])
async def test_the_program_is_read_in_either_encoding(wevtutil, tmp_path, encoding):
    (tmp_path / "said").write_bytes(
        event(9, "Service Control Manager", 7031, 2, param1="收银外设服务").encode(encoding)
    )
    log = wevtutil(f"cat {tmp_path}/said")
    found = await Channel("System", 8).read(log)
    assert [each.data for each in found] == [{"param1": "收银外设服务"}]
    assert (tmp_path / "asked").read_text().splitlines() == [
        "qe",
        "System",
        "/q:*[System[(Level=1 or Level=2 or Level=3) and (EventRecordID>8)]]",
        "/f:XML",
        "/rd:true",
        "/c:256",
        "/uni:true",
    ]


@shell_only
async def test_what_goes_wrong_is_told(wevtutil):
    with pytest.raises(SourceError, match=r"Access is denied.*Event Log Readers"):
        await wevtutil("echo 'Access is denied.' >&2; exit 5").newest("System")
    assert await wevtutil("printf ''").newest("System") == ""


def test_text_of_a_console_in_a_code_page_keeps_its_structure():
    assert (
        console_text(event(1, "Service Control Manager", 7031, 2, "收银外设服务").encode("gbk")).count("</Data>") == 1
    )
    assert console_text(b"") == ""
