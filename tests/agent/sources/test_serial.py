"""The serial source on real pseudo-terminals; what a shim makes of the bytes is tests/firmware_shims' matter."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
import threading
from types import SimpleNamespace

import pytest
import serial

from tillwatch.agent.model import PollClass, Quality, State
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources import serial as serial_source
from tillwatch.agent.sources.serial import SerialSource
from tillwatch.firmware_shims.base import Mode, ShimError, load, load_all

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")

ANSWERS = {
    b"Q1\r": b"(231.4 231.4 230.1 023 50.0 27.3 28.5 00001001\r",
    b"F\r": b"#230.0 004 024.0 50.0\r",
    b"I\r": b"I\r",
}


class Ups:
    """The far end of a pseudo-terminal."""

    def __init__(self) -> None:
        import tty

        self.answers = dict(ANSWERS)
        self.asked: list[bytes] = []
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        self.path = os.ttyname(self._slave)
        asyncio.get_running_loop().add_reader(self.master, self._receive)

    def _receive(self) -> None:
        for request in os.read(self.master, 256).split(b"\r")[:-1]:
            self.asked.append(request + b"\r")
            os.write(self.master, self.answers.get(request + b"\r", b""))

    def unplug(self) -> None:
        if self.master >= 0:
            asyncio.get_running_loop().remove_reader(self.master)
            os.close(self.master)
            os.close(self._slave)
            self.master = -1


@pytest.fixture
async def ups():
    ups = Ups()
    yield ups
    ups.unplug()


@pytest.fixture
def impatient(monkeypatch):
    """The shim with times of a test; answers on a pseudo-terminal come at once."""
    shim = dataclasses.replace(load("megatec_q1"), timeout=0.3, gap=0.05)
    monkeypatch.setattr(serial_source, "load", lambda _name: shim)
    return shim


async def test_samples(ups):
    source = SerialSource("ups-1", ups.path, "megatec_q1")
    assert source.classes == {PollClass.FAST, PollClass.SLOW}
    samples = {sample.signal: sample for sample in await source.poll(PollClass.FAST)}
    await source.close()
    assert {sample.component for sample in samples.values()} == {"ups-1"}
    voltage = samples["ups.input.voltage"]
    assert (voltage.value, voltage.unit, voltage.quality, voltage.state) == (231.4, "V", Quality.GOOD, State.NONE)
    assert samples["ups.mains"].state is State.OK


async def test_the_impossible_is_an_error_of_its_own(ups):
    ups.answers[b"Q1\r"] = ANSWERS[b"Q1\r"].replace(b" 28.5 ", b" 99.9 ")
    source = SerialSource("ups-1", ups.path, "megatec_q1")
    samples = {sample.signal: sample for sample in await source.poll(PollClass.FAST)}
    await source.close()
    assert (samples["ups.temperature"].value, samples["ups.temperature"].quality) == (None, Quality.ERROR)
    assert samples["ups.temperature"].state is State.UNKNOWN
    assert samples["ups.input.voltage"].quality is Quality.GOOD


async def test_the_port_stays_open_between_polls(ups, monkeypatch):
    opened = []
    real = serial.Serial.open
    monkeypatch.setattr(serial.Serial, "open", lambda line: (opened.append(line.port), real(line)))
    source = SerialSource("ups-1", ups.path, "megatec_q1")
    for _ in range(3):
        await source.poll(PollClass.FAST)
    await source.close()
    await source.close()
    assert opened == [ups.path]


async def test_levels_and_speed_are_set_before_the_port_is_opened(ups, monkeypatch):
    at_open = []
    real = serial.Serial.open

    def watched(line):
        at_open.append((line.is_open, line.dtr, line.rts, line.baudrate, line.bytesize, line.parity, line.exclusive))
        real(line)

    monkeypatch.setattr(serial.Serial, "open", watched)
    shim = load("megatec_q1")
    shim = dataclasses.replace(shim, line=dataclasses.replace(shim.line, dtr=True, rts=False))
    monkeypatch.setattr(serial_source, "load", lambda _name: shim)
    source = SerialSource("ups-1", ups.path, "megatec_q1", baud=9600)
    await source.poll(PollClass.FAST)
    await source.close()
    assert at_open == [(False, True, False, 9600, 8, "N", True)]


async def test_a_port_that_is_not_there():
    source = SerialSource("ups-1", "/dev/ttyNONE", "megatec_q1")
    for _ in range(2):
        with pytest.raises(SourceError, match=r"^/dev/ttyNONE: .*No such file"):
            await source.poll(PollClass.FAST)
    await source.close()


async def test_a_file_is_no_port(tmp_path):
    (tmp_path / "file").touch()
    source = SerialSource("ups-1", str(tmp_path / "file"), "megatec_q1")
    with pytest.raises(SourceError, match="Could not configure port"):
        await source.poll(PollClass.FAST)


async def test_a_port_that_somebody_has(ups):
    holder = SerialSource("ups-1", ups.path, "megatec_q1")
    await holder.poll(PollClass.FAST)
    source = SerialSource("ups-2", ups.path, "megatec_q1")
    with pytest.raises(SourceError, match=r"^/dev/.*exclusively lock"):
        await source.poll(PollClass.FAST)
    await holder.close()
    assert await source.poll(PollClass.FAST)
    await source.close()


async def test_unplugged_and_plugged_in_again(ups, tmp_path):
    path = tmp_path / "ttyUPS"
    path.symlink_to(ups.path)
    source = SerialSource("ups-1", str(path), "megatec_q1")
    await source.poll(PollClass.FAST)
    ups.unplug()
    with pytest.raises(SourceError, match=r"opened again at the next poll"):
        await source.poll(PollClass.FAST)
    with pytest.raises(SourceError, match=rf"^{path}: "):
        await source.poll(PollClass.FAST)
    other = Ups()
    path.unlink()
    path.symlink_to(other.path)
    assert await source.poll(PollClass.FAST)
    await source.close()
    other.unplug()


async def test_unplugged_in_the_middle_of_an_answer(ups, impatient):
    ups.answers[b"Q1\r"] = b"(231.4 231.4"
    source = SerialSource("ups-1", ups.path, "megatec_q1")
    polling = asyncio.ensure_future(source.poll(PollClass.FAST))
    while not ups.asked:
        await asyncio.sleep(0.001)
    ups.unplug()
    with pytest.raises(SourceError):
        await polling
    await source.close()


async def test_a_silent_device(ups, impatient):
    ups.answers.clear()
    source = SerialSource("ups-1", ups.path, "megatec_q1")
    with pytest.raises(SourceError, match=rf"^megatec_q1: .*no answer to b'Q1\\r'.*connected to {ups.path}.*2400 baud"):
        await source.poll(PollClass.FAST)
    assert ups.asked == [b"Q1\r"] * impatient.tries
    ups.answers.update(ANSWERS)
    assert await source.poll(PollClass.FAST)
    await source.close()


async def test_a_line_that_babbles_is_left_after_the_bound(ups, monkeypatch):
    monkeypatch.setattr(serial_source, "POLL_BOUND_S", 0.3)
    ups.answers[b"Q1\r"] = b"~"

    async def babble():
        while True:
            os.write(ups.master, b"~")
            await asyncio.sleep(0.005)

    babbling = asyncio.ensure_future(babble())
    source = SerialSource("ups-1", ups.path, "megatec_q1")
    with pytest.raises(SourceError, match=r"kept sending for 0\.3 s"):
        await source.poll(PollClass.FAST)
    babbling.cancel()
    await source.close()


async def test_no_thread_is_made_where_the_loop_can_wait(ups):
    before = threading.active_count()
    source = SerialSource("ups-1", ups.path, "megatec_q1")
    await source.poll(PollClass.FAST)
    assert threading.active_count() == before
    await source.close()


async def test_where_only_a_thread_can_wait_it_ends_with_the_poll(ups, impatient, monkeypatch):
    monkeypatch.setattr(serial_source, "sys", SimpleNamespace(platform="win32"))
    source = SerialSource("ups-1", ups.path, "megatec_q1")
    for _ in range(2):
        samples = {sample.signal: sample.value for sample in await source.poll(PollClass.FAST)}
        assert samples["ups.input.voltage"] == 231.4
    ups.answers.clear()
    with pytest.raises(SourceError, match="no answer"):
        await source.poll(PollClass.FAST)
    for thread in threading.enumerate():
        if thread.name.startswith("serial"):
            await asyncio.to_thread(thread.join, 10)
            assert not thread.is_alive()
    await source.close()


def test_an_unknown_shim():
    with pytest.raises(ShimError, match=r"no shim 'megatec'; there are: .*megatec_q1"):
        SerialSource("ups-1", "/dev/ttyS0", "megatec")


def test_a_shim_that_must_not_own_its_port():
    with pytest.raises(ValueError, match=r"ups-1: shim ebds may not own its port.*hosted, tap only"):
        SerialSource("ups-1", "/dev/ttyS0", "ebds")


async def test_closed_without_any_poll():
    await SerialSource("ups-1", "/dev/ttyS0", "megatec_q1").close()


@pytest.mark.parametrize(
    "shim", [shim for shim in load_all() if Mode.EXCLUSIVE in shim.modes], ids=lambda shim: shim.name
)
def test_a_device_that_knows_little_is_polled_in_time(shim):
    """The worst poll that gives readings: every optional query is met with silence, and one that is needed comes at the last try."""
    for every in {query.every for query in shim.queries}:
        asked = [query for query in shim.queries if query.every == every]
        silent = sum(shim.timeout + shim.pause for query in asked if query.optional)
        late = shim.tries * (shim.timeout + shim.pause) if any(not query.optional for query in asked) else 0.0
        assert silent + late < serial_source.POLL_BOUND_S
