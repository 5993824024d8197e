"""The client against a real upsd, and against peers that are none."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tests.agent.counters import assert_catalogued
from tests.agent.sources.upsd import NAME, Upsd
from tillwatch.agent.model import PollClass, State
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources import nut as module
from tillwatch.agent.sources.nut import ASKED, NutSource, _Link

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="NUT's programs")
FAST, NORMAL, SLOW = PollClass.FAST, PollClass.NORMAL, PollClass.SLOW
WELL = {
    "ups.status": "OL CHRG",
    "battery.charge": "87",
    "battery.runtime": "1620",
    "input.voltage": "231.4",
    "ups.load": "23",
    "ups.mfr": "Voltwerk",
    "ups.model": 'Kasse 1000 19"',
    "battery.date": "2024/03/07",
    "outlet.1.status": "on",
}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    upsd = Upsd(tmp_path_factory.mktemp("nut"), WELL)
    upsd.start()
    yield upsd
    upsd.stop()


@pytest.fixture
def upsd(running):
    """Each test begins with a UPS that is well."""
    running.say(WELL)
    return running


def source(upsd, ups=""):
    return NutSource("ups", "127.0.0.1", upsd.port, ups)


async def until(upsd, component, signal, wanted):
    async with asyncio.timeout(60):
        while True:
            samples = await source(upsd).poll(FAST)
            value = next(each for each in samples if (each.component, each.signal) == (component, signal))
            if value.value == wanted:
                return samples
            await asyncio.sleep(0.1)


async def test_a_ups_is_read(upsd):
    await until(upsd, "ups", "ups.mains", "present")
    found = {}
    for wanted in PollClass:
        samples = await source(upsd).poll(wanted)
        assert_catalogued(samples)
        found |= {(each.component, each.signal): each.value for each in samples}
    assert found["ups", "ups.battery.charge"] == 87
    assert found["ups", "ups.battery.runtime"] == 27
    assert found["ups", "ups.input.voltage"] == 231.4
    assert found["ups", "ups.output.source"] == "normal"
    assert found["ups", "identity.maker"] == "Voltwerk"
    assert found["ups", "ups.battery.replaced"] == "2024-03-07"
    assert found["ups/outlet:1", "pdu.outlet"] == "on"


async def test_it_follows_the_ups_to_battery_and_back(upsd):
    upsd.say({**WELL, "ups.status": "OB DISCHRG LB", "battery.charge": "9", "battery.runtime": "120"})
    samples = {each.signal: each for each in await until(upsd, "ups", "ups.mains", "failed")}
    assert samples["ups.battery.status"].value == "low"
    assert samples["ups.battery.runtime"].state is samples["ups.battery.charge"].state is State.CRIT
    upsd.say(WELL)
    await until(upsd, "ups", "ups.mains", "present")


async def test_a_ups_that_upsd_does_not_have(upsd):
    with pytest.raises(SourceError, match=r"UNKNOWN-UPS; upsc -l"):
        await source(upsd, "another").poll(FAST)
    assert await source(upsd, NAME).poll(FAST)


async def test_a_driver_that_is_gone_is_an_error_and_not_the_last_values(tmp_path):
    upsd = Upsd(tmp_path, WELL)
    upsd.start()
    try:
        await until(upsd, "ups", "ups.mains", "present")
        upsd.driver.kill()
        upsd.driver.wait()
        with pytest.raises(SourceError, match=r"DRIVER-NOT-CONNECTED|DATA-STALE"):
            await until(upsd, "ups", "ups.mains", "never")
    finally:
        upsd.stop()
    with pytest.raises(SourceError, match="does upsd run and LISTEN there"):
        await source(upsd).poll(FAST)


@pytest.fixture
async def peer():
    """Says `lines` to whoever comes, and keeps what it was asked."""

    class Peer:
        lines = b""
        asked = b""

        async def serve(self, reader, writer):
            writer.write(self.lines)
            while data := await reader.read(1_000):
                self.asked += data
            writer.close()

    peer = Peer()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    yield peer
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "this is not upsd"),
        (b"BEGIN LIST VAR counter\n" + b"x" * 100_000, "this is not upsd"),
        (b"BEGIN LIST VAR counter\n" + b'VAR counter a "1"\n' * 10_000, "more than 2000 lines"),
        (b"BEGIN LIST VAR counter\nEND LIST VAR counter\n", "lists no variable"),
        (b"BEGIN LIST UPS\nEND LIST UPS\n", "this is not upsd"),
        (b"ERR ACCESS-DENIED\n", "LISTEN"),
        (b"ERR \n", "upsd says"),
    ],
)
async def test_answers_of_any_kind_are_an_error(peer, lines, text):
    peer.lines = lines
    with pytest.raises(SourceError, match=text):
        await NutSource("ups", "127.0.0.1", peer.port, "counter").poll(FAST)


async def test_two_upses_must_be_told_apart(peer):
    peer.lines = b'BEGIN LIST UPS\nUPS a "one"\nUPS b "other"\nEND LIST UPS\n'
    with pytest.raises(SourceError, match="upsd has a, b; say which is meant"):
        await NutSource("ups", "127.0.0.1", peer.port).poll(FAST)


async def test_a_silent_peer_is_bounded(peer, monkeypatch):
    monkeypatch.setattr(module, "POLL_S", 0.2)
    with pytest.raises(SourceError, match=r"no answer in 0\.2 s"):
        await NutSource("ups", "127.0.0.1", peer.port, "counter").poll(FAST)
    assert peer.asked == b"LIST VAR counter\n"


@pytest.mark.parametrize(
    "asked",
    [
        "SET VAR counter ups.id x",
        "INSTCMD counter load.off",
        "FSD counter",
        "LOGIN counter",
        "LIST VAR a\nFSD a",
        "LIST VAR a b",
    ],
)
async def test_nothing_else_can_be_sent(asked):
    """The pattern and the one method that writes."""

    class Writer:
        def write(self, data):
            pytest.fail(f"sent {data!r}")

    assert not ASKED.fullmatch(asked.encode())
    with pytest.raises(ValueError, match="no request that may be sent"):
        await _Link(None, Writer()).send(asked)
