"""The listening source on real pseudo-terminals, sockets, FIFOs and files; what a tap makes of the bytes is tests/firmware_shims' matter."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
import serial

from tillwatch.agent.model import PollClass, Quality, State
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources import tap as tap_module
from tillwatch.agent.sources.serial import SerialSource, source
from tillwatch.agent.sources.tap import TapSource
from tillwatch.firmware_shims.base import Mode, load

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")

POLL = bytes.fromhex("0208117f1c00037a")
IDLE = bytes.fromhex("020b2101100000541e0371")
REMOVED = bytes.fromhex("020b2000004000541e0321")
EBDS = load("ebds")


def line_of(request: bytes, reply: bytes) -> bytes:
    return f"> {request.hex()}\n< {reply.hex()}\n".encode()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(tap_module, "FOLLOW_S", 0.01)
    monkeypatch.setattr(tap_module, "FIRST_S", 0.05)


class Wire:
    """A tapped line: what host and device say comes out of a pseudo-terminal. Whatever the tap wrote would come out of the master."""

    def __init__(self) -> None:
        import tty

        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        self.path = os.ttyname(self._slave)

    def say(self, *data: bytes) -> None:
        for each in data:
            os.write(self.master, each)

    def written(self) -> bytes:
        with contextlib.suppress(BlockingIOError):
            return os.read(self.master, 1024)
        return b""

    def unplug(self) -> None:
        if self.master >= 0:
            os.close(self.master)
            os.close(self._slave)
            self.master = -1


@pytest.fixture
def wire():
    wire = Wire()
    yield wire
    wire.unplug()


async def heard(
    tap: TapSource, value: str, signal: str = "acceptor.state", *, wire: Wire | None = None, said: bytes = b""
) -> None:
    """Until the tap has taken what was written. said: what the host goes on saying; an open port forgets what came before."""
    async with asyncio.timeout(60):
        while True:
            if wire:
                wire.say(said)
            with contextlib.suppress(SourceError):
                samples = {sample.signal: sample.value for sample in await tap.poll(PollClass.FAST)}
                if samples.get(signal) == value:
                    return
            await asyncio.sleep(0.005)


async def test_samples(wire):
    tap = TapSource("acceptor", wire.path, EBDS, mode=Mode.TAP)
    assert tap.classes == {PollClass.FAST, PollClass.SLOW}
    await heard(tap, "idle", wire=wire, said=POLL + IDLE)
    samples = {(sample.component, sample.signal): sample for sample in await tap.poll(PollClass.FAST)}
    state = samples["acceptor", "acceptor.state"]
    assert (state.value, state.state, state.quality, state.unit) == ("idle", State.OK, Quality.GOOD, "")
    assert samples["acceptor/cashbox", "acceptor.cashbox"].value == "attached"
    assert samples["acceptor", "acceptor.stacked"].value == 0
    wire.say(POLL, REMOVED)
    await heard(tap, "removed", "acceptor.cashbox")
    await tap.close()


async def test_nothing_is_ever_written(wire):
    """In all that can happen: heard, silent, broken, another protocol, closed. The kernel itself refuses."""
    for shim in (EBDS, load("ccnet"), load("id003"), load("sankyo_ict3k5")):
        tap = TapSource("acceptor", wire.path, shim, mode=Mode.TAP)
        for said in (
            b"",
            POLL,
            POLL + IDLE,
            b"\xff" * 500,
            bytes.fromhex("02030633da810203061467d4"),
            b"\xfc\x05\x11\x27\x56" * 9,
        ):
            wire.say(said)
            for wanted in (PollClass.FAST, PollClass.SLOW):
                with contextlib.suppress(SourceError):
                    await tap.poll(wanted)
            assert wire.written() == b""
        await tap.close()
        assert wire.written() == b""


async def test_the_descriptor_that_is_kept_cannot_be_written_to(wire):
    stream = tap_module._SerialStream(wire.path, EBDS, 9600)
    assert fcntl.fcntl(stream._fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(stream._fd, b"x")
    stream.close()


async def test_the_line_is_set_as_the_shim_says_and_levels_stay_low(wire, monkeypatch):
    opened = []
    real = serial.Serial.open

    def watched(line):
        opened.append((line.is_open, line.dtr, line.rts, line.baudrate, line.bytesize, line.parity, line.exclusive))
        real(line)

    monkeypatch.setattr(serial.Serial, "open", watched)
    tap_module._SerialStream(wire.path, EBDS, 9600).close()
    assert opened == [(False, False, False, 9600, 7, "E", True)]


async def test_a_line_that_nobody_uses(wire):
    tap = TapSource("acceptor", wire.path, EBDS, mode=Mode.TAP)
    with pytest.raises(SourceError, match=rf"^ebds: nothing was heard for 15 s.*heard at {wire.path}"):
        await tap.poll(PollClass.FAST)
    wire.say(POLL)
    async with asyncio.timeout(60):
        while True:
            with pytest.raises(SourceError) as raised:
                await tap.poll(PollClass.FAST)
            if "the host asks, and the device has given no good answer" in str(raised.value):
                break
    await heard(tap, "idle", wire=wire, said=POLL + IDLE)
    await tap.close()


async def test_what_the_host_never_asks_is_not_missed(wire):
    tap = TapSource("acceptor", wire.path, EBDS, mode=Mode.TAP)
    await heard(tap, "idle", wire=wire, said=POLL + IDLE)
    assert await tap.poll(PollClass.SLOW) == []
    wire.say(bytes.fromhex("020861000005036c"), bytes.fromhex("0219615457303034313737333300000000000000000000037e"))
    async with asyncio.timeout(60):
        while not (found := await tap.poll(PollClass.SLOW)):
            await asyncio.sleep(0.005)
    assert [(sample.signal, sample.value) for sample in found] == [("identity.serial", "TW00417733")]
    await tap.close()


async def test_unplugged_and_plugged_in_again(wire, tmp_path):
    path = tmp_path / "ttyTap"
    path.symlink_to(wire.path)
    tap = TapSource("acceptor", str(path), EBDS, mode=Mode.TAP)
    await heard(tap, "idle", wire=wire, said=POLL + IDLE)
    wire.unplug()

    async def until_it_is_lost():
        while True:
            await tap.poll(PollClass.FAST)
            await asyncio.sleep(0.005)

    with pytest.raises(SourceError, match="it is opened again at the next poll"):
        await asyncio.wait_for(until_it_is_lost(), 60)
    other = Wire()
    path.unlink()
    path.symlink_to(other.path)
    await heard(tap, "removed", "acceptor.cashbox", wire=other, said=POLL + REMOVED)
    await tap.close()
    other.unplug()


async def test_a_port_that_is_not_there():
    tap = TapSource("acceptor", "/dev/ttyNONE", EBDS, mode=Mode.TAP)
    for _ in range(2):
        with pytest.raises(SourceError, match=r"^/dev/ttyNONE: .*No such file"):
            await tap.poll(PollClass.FAST)
    await tap.close()


async def test_a_port_that_another_agent_has(wire):
    first, second = (TapSource(name, wire.path, EBDS, mode=Mode.TAP) for name in ("a", "b"))
    await heard(first, "idle", wire=wire, said=POLL + IDLE)
    with pytest.raises(SourceError, match=r"^/dev/.*exclusively lock"):
        await second.poll(PollClass.FAST)
    await first.close()
    await second.close()


async def test_where_only_a_thread_can_wait_it_ends_with_the_tap(wire, monkeypatch):
    """CCNET: 8N1, for a pseudo-terminal has no parity bit and says so at the second setting of a line."""
    monkeypatch.setattr(tap_module, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setattr(tap_module, "QUIET_S", 0.1)
    tap = TapSource("validator", wire.path, load("ccnet"), mode=Mode.TAP)
    await heard(tap, "idle", wire=wire, said=bytes.fromhex("02030633da810203061467d4"))
    await tap.close()
    for thread in threading.enumerate():
        if thread.name.startswith("serial"):
            await asyncio.to_thread(thread.join, 10)
            assert not thread.is_alive()
    assert wire.written() == b""


async def test_closed_without_any_poll():
    await TapSource("acceptor", "/dev/ttyS0", EBDS, mode=Mode.TAP).close()


class Program:
    """Serves bytes to whoever connects, and keeps what it is sent."""

    def __init__(self, said: bytes) -> None:
        self._said = said
        self.received = b""
        self.gone = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._said)
        await writer.drain()
        self.received += await reader.read()
        writer.close()
        self.gone.set()


@pytest.mark.parametrize("mode", [Mode.TAP, Mode.HOSTED])
@pytest.mark.parametrize("kind", ["unix", "tcp"])
async def test_a_program_serves_the_bytes(tmp_path, mode, kind):
    program = Program(POLL + IDLE if mode is Mode.TAP else line_of(POLL, IDLE))
    if kind == "unix":
        server = await asyncio.start_unix_server(program.serve, tmp_path / "line.sock")
        port = f"unix:{tmp_path / 'line.sock'}"
    else:
        server = await asyncio.start_server(program.serve, "127.0.0.1", 0)
        port = f"tcp:127.0.0.1:{server.sockets[0].getsockname()[1]}"
    tap = TapSource("acceptor", port, EBDS, mode=mode)
    await heard(tap, "idle")
    await tap.close()
    await asyncio.wait_for(program.gone.wait(), 60)
    assert program.received == b""
    server.close()
    await server.wait_closed()


async def test_a_program_that_goes_is_an_error(tmp_path):
    async def serve(_reader, writer):
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "line.sock")
    tap = TapSource("acceptor", f"unix:{tmp_path / 'line.sock'}", EBDS, mode=Mode.TAP)
    with pytest.raises(SourceError, match="the program that serves it has gone; it is opened again"):
        await tap.poll(PollClass.FAST)
    server.close()
    await server.wait_closed()
    await tap.close()


@pytest.mark.parametrize("mode", [Mode.TAP, Mode.HOSTED])
async def test_a_fifo(tmp_path, mode):
    path = tmp_path / "line"
    os.mkfifo(path)
    tap = TapSource("acceptor", f"file:{path}", EBDS, mode=mode)
    with pytest.raises(SourceError, match="nothing was heard"):
        await tap.poll(PollClass.FAST)
    writer = await asyncio.to_thread(os.open, path, os.O_WRONLY)
    os.write(writer, POLL + IDLE if mode is Mode.TAP else line_of(POLL, IDLE))
    await heard(tap, "idle")
    os.close(writer)
    writer = await asyncio.to_thread(os.open, path, os.O_WRONLY)  # the program was started again
    os.write(writer, POLL + REMOVED if mode is Mode.TAP else line_of(POLL, REMOVED))
    await heard(tap, "removed", "acceptor.cashbox")
    os.close(writer)
    await tap.close()


async def test_a_file_that_grows_is_read_from_its_end_on(tmp_path):
    path = tmp_path / "line.txt"
    path.write_bytes(line_of(POLL, REMOVED))
    tap = TapSource("acceptor", f"file:{path}", EBDS, mode=Mode.HOSTED)
    with pytest.raises(SourceError, match="nothing was heard"):
        await tap.poll(PollClass.FAST)
    with path.open("ab") as file:
        file.write(line_of(POLL, IDLE))
    await heard(tap, "idle")
    path.write_bytes(line_of(POLL, REMOVED))  # cut off and begun anew
    await heard(tap, "removed", "acceptor.cashbox")
    await tap.close()


async def test_a_folder_is_no_file(tmp_path):
    tap = TapSource("acceptor", f"file:{tmp_path}", EBDS, mode=Mode.HOSTED)
    with pytest.raises(SourceError, match="neither a FIFO nor a file"):
        await tap.poll(PollClass.FAST)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"0208117f\n", "line 1 is none of `> hex`, `< hex`"),
        (b"# made by us\n\n> 02zz\n", "line 3 is none of"),
        (b"> \xff\n", "line 1 is none of"),
        (b">" * 9000, "line 1 has over 8192 characters"),
        (b"> 0208117f1c00037a\n<\n", "ebds: the request was not answered"),
        (b"> 0208117f1c00037a\n< 020b\n", "no whole frame with a good checksum in 2 bytes"),
    ],
)
async def test_a_bad_line_is_told_and_stops_nothing(tmp_path, line, said):
    path = tmp_path / "line.txt"
    path.touch()
    tap = TapSource("acceptor", f"file:{path}", EBDS, mode=Mode.HOSTED)
    with contextlib.suppress(SourceError):
        await tap.poll(PollClass.FAST)
    with path.open("ab") as file:
        file.write(line)
    async with asyncio.timeout(60):
        while True:
            with pytest.raises(SourceError) as raised:
                await tap.poll(PollClass.FAST)
            if said in str(raised.value):
                break
    with path.open("ab") as file:
        file.write(b"\n" + line_of(POLL, IDLE))
    await heard(tap, "idle")
    await tap.close()


@pytest.mark.parametrize(
    ("shim", "mode", "kind"),
    [
        ("megatec_q1", "", SerialSource),
        ("sankyo_ict3k5", "", SerialSource),
        ("sankyo_ict3k5", "exclusive", SerialSource),
        ("sankyo_ict3k5", "tap", TapSource),
        ("ebds", "", TapSource),
        ("ebds", "tap", TapSource),
    ],
)
def test_which_mode_a_device_is_read_in(shim, mode, kind):
    assert type(source("x", "/dev/ttyS0", shim, mode=mode)) is kind


@pytest.mark.parametrize(
    ("port", "shim", "mode", "why"),
    [
        ("/dev/ttyS0", "ebds", "exclusive", "x: shim ebds may not own its port; it is for hosted, tap only, not exclusive"),
        ("/dev/ttyS0", "megatec_q1", "tap", "x: shim megatec_q1 is for exclusive only, not tap"),
        ("/dev/ttyS0", "ebds", "hosted", "in mode hosted the port is unix:PATH, tcp:HOST:PORT or file:PATH"),
        ("tcp:localhost", "ebds", "tap", "write tcp:HOST:PORT"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_at_once(port, shim, mode, why):
    with pytest.raises(ValueError, match=why):
        source("x", port, shim, mode=mode)


def test_a_configured_device_is_listened_to(tmp_path):
    from tillwatch.agent import config, service
    from tillwatch.agent.prepared import library_of

    text = '[[serial]]\nname = "acceptor"\nport = "/dev/ttyS0"\nshim = "ebds"\n'
    text += '[[serial]]\nname = "reader"\nport = "tcp:127.0.0.1:4001"\nshim = "sankyo_ict3k5"\nmode = "tap"\n'
    settings = config.parse(text, tmp_path / "agent.toml", tmp_path)
    found = {each.name: type(each) for each, _ in service.sources_of(settings, library_of, {})}
    assert (found["acceptor"], found["reader"]) == (TapSource, TapSource)


def test_an_agent_that_does_not_listen_does_not_carry_it():
    program = "import sys, tillwatch.agent.sources.serial; print('tillwatch.firmware_shims.tap' in sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


async def test_try_listens_on_a_line(wire):
    """`tillwatch-agent try --serial PORT --shim ebds`, as a person runs it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "tillwatch.agent", "try", "--serial", wire.path, "--shim", "ebds", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    running = asyncio.ensure_future(process.communicate())
    while not running.done():
        with contextlib.suppress(BlockingIOError):
            wire.say(POLL, IDLE)
        await asyncio.wait({running}, timeout=0.1)
    out, error = await running
    assert (process.returncode, error) == (0, b"")
    shown = json.loads(out)
    assert shown["profile"] == "ebds"
    assert {each["signal"]: each["value"] for each in shown["readings"]}["acceptor.state"] == "idle"
    assert wire.written() == b""
