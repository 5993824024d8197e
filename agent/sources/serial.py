"""Reads one serial device through a shim that owns the port. The port is opened at the first poll with DTR and RTS as the shim sets
them, kept open between polls so that these lines do not toggle, and opened again after it was lost. Nothing is sent but what the
shim lists. Where the host owns the port, `tap` listens beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from tillwatch.agent.model import PollClass, Quality, Sample, State
from tillwatch.agent.sources import Source, SourceError
from tillwatch.firmware_shims.base import Decoded, Mode, Shim, ShimError, load
from tillwatch.firmware_shims.engine import Dialogue, Port

if TYPE_CHECKING:
    from serial import Serial

P = TypeVar("P")
R = TypeVar("R")

POLL_BOUND_S = 30.0
"""Longest poll: the slowest shim's worst case (three queries, one of them three times unanswered, at 3 s) fits, a babbling line does not."""

READ_SIZE = 4096
"""What a kernel's serial buffer holds."""

MAX_STALE_READS = 16
"""64 KiB of unasked bytes; a line that brings more between two polls is not waited for."""

WRITE_TIMEOUT_S = 1.0
"""A request is at most some 20 bytes; a port that does not take them in a second takes none."""

STATES = {"": State.NONE, "ok": State.OK, "warn": State.WARN, "crit": State.CRIT, "unknown": State.UNKNOWN}


def source(name: str, port: str, shim_name: str, *, mode: str = "", baud: int | None = None) -> Source:
    """The source for a shim in one of its modes; empty: it owns its port if it may, else it listens.

    Raises ShimError for a shim that does not exist, ValueError for a mode that it has not, or a port that does not fit the mode.
    """
    shim = load(shim_name)
    chosen = Mode(mode) if mode else Mode.EXCLUSIVE if Mode.EXCLUSIVE in shim.modes else Mode.TAP
    if chosen not in shim.modes:
        own = " may not own its port; it" if chosen is Mode.EXCLUSIVE else ""
        raise ValueError(f"{name}: shim {shim_name}{own} is for {', '.join(sorted(shim.modes))} only, not {chosen}")
    if chosen is Mode.EXCLUSIVE:
        return SerialSource(name, port, shim_name, baud=baud)
    from tillwatch.agent.sources.tap import TapSource  # noqa: PLC0415 - only agents that listen carry it

    return TapSource(name, port, shim, mode=chosen, baud=baud)


class SerialSource:
    """One device on one serial port.

    port: `/dev/ttyUSB0`, `COM3`. shim_name: a module of firmware_shims. baud: where the device was set to another speed than usual.
    Raises ShimError for a shim that does not exist, ValueError for one that must not own its port.
    """

    def __init__(self, name: str, port: str, shim_name: str, *, baud: int | None = None) -> None:
        self.name = name
        self._path = port
        self._shim = load(shim_name)
        if Mode.EXCLUSIVE not in self._shim.modes:
            raise ValueError(
                f"{name}: shim {shim_name} may not own its port; it is for {', '.join(sorted(self._shim.modes))} only"
            )
        self._baud = baud or self._shim.line.baud
        self._line: Serial | None = None
        self._dialogue: Dialogue | None = None
        self._port: Port | None = None
        every = {PollClass(query.every) for query in self._shim.queries}
        self.classes: frozenset[PollClass] = frozenset(every)

    async def poll(self, wanted: PollClass) -> list[Sample]:
        """All samples of one class. SourceError: the port cannot be had or was lost, or the device gives no good answer."""
        return await self._asked(lambda dialogue: dialogue.poll(wanted.value))

    async def self_report(self) -> list[Sample] | None:
        """What the shim lists as the device's own account. SourceError as `poll`."""
        return await self._asked(Dialogue.report) if self._shim.report else None

    async def _asked(self, ask: Callable[[Dialogue], Awaitable[list[Decoded]]]) -> list[Sample]:
        try:
            async with asyncio.timeout(POLL_BOUND_S):
                found = await ask(self._dialogue or self._open())
        except ShimError as error:
            raise SourceError(
                f"{error}; is it connected to {self._path}, switched on, and at {self._baud} baud?"
            ) from error
        except TimeoutError as error:
            raise SourceError(f"{self._path} kept sending for {POLL_BOUND_S:g} s without a whole answer") from error
        except (OSError, ValueError) as error:  # of pyserial: SerialException; a speed that the port has not
            self._drop()
            raise SourceError(f"{self._path}: {error}; it is opened again at the next poll") from error
        finally:
            if isinstance(self._port, ThreadedPort):
                self._port.release()
        return [sample(self.name, each) for each in found]

    async def close(self) -> None:
        self._drop()

    def _open(self) -> Dialogue:
        line = open_line(self._path, self._shim, self._baud, dtr=self._shim.line.dtr, rts=self._shim.line.rts)
        self._line = line
        self._port = port_of(line)
        self._dialogue = Dialogue(self._shim, self._port)
        return self._dialogue

    def _drop(self) -> None:
        line, self._line, self._dialogue, self._port = self._line, None, None, None
        if line:
            line.close()


def sample(device: str, said: Decoded) -> Sample:
    return Sample(
        component=f"{device}/{said.part}" if said.part else device,
        signal=said.signal,
        value=said.value,
        state=STATES[said.state] if said.value is not None else State.UNKNOWN,
        quality=Quality.GOOD if said.value is not None else Quality.ERROR,
        unit=said.unit,
    )


def open_line(path: str, shim: Shim, baud: int, *, dtr: bool, rts: bool) -> Serial:
    """The port with the shim's line settings; levels are set before it is opened. Raises OSError, ValueError."""
    import serial  # noqa: PLC0415 - only agents with a serial device carry it

    line = serial.Serial()
    line.port = path
    line.baudrate = baud
    line.bytesize = shim.line.bits
    line.parity = shim.line.parity
    line.stopbits = shim.line.stop
    line.timeout = 0
    line.dtr = dtr
    line.rts = rts
    if sys.platform != "win32":  # Windows never shares a port
        line.exclusive = True
    line.open()
    return line


def port_of(line: Serial) -> Port:
    """How this platform waits for a line that is open."""
    return ThreadedPort(line) if sys.platform == "win32" else DescriptorPort(line.fileno())


class DescriptorPort:
    """POSIX: the event loop waits for the descriptor; no thread."""

    def __init__(self, descriptor: int) -> None:
        self._fd = descriptor

    async def send(self, data: bytes) -> None:
        if os.write(self._fd, data) != len(data):
            raise OSError("the port takes no more bytes")

    async def receive(self, timeout: float) -> bytes:  # noqa: ASYNC109 - ends an add_reader wait
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._fd, readable.set)
        try:
            async with asyncio.timeout(timeout):
                await readable.wait()
        except TimeoutError:
            return b""
        finally:
            loop.remove_reader(self._fd)
        data = os.read(self._fd, READ_SIZE)
        if not data:
            raise OSError("the port is gone")
        return data

    async def discard(self) -> None:
        for _ in range(MAX_STALE_READS):
            # Nothing there is b"" or EAGAIN, as the driver likes. A lost port shows when the request is written.
            with contextlib.suppress(BlockingIOError):
                if os.read(self._fd, READ_SIZE):
                    continue
            return


class ThreadedPort:
    """Windows: no descriptor to wait for. One thread reads, and `release` ends it with each poll."""

    def __init__(self, line: Serial) -> None:
        self._line = line
        line.write_timeout = WRITE_TIMEOUT_S
        self._executor: ThreadPoolExecutor | None = None

    async def send(self, data: bytes) -> None:
        await self._call(self._line.write, data)

    async def receive(self, timeout: float) -> bytes:  # noqa: ASYNC109 - pyserial's own timeout ends the read
        return await self._call(self._read, timeout)

    async def discard(self) -> None:
        self._line.reset_input_buffer()

    def release(self) -> None:
        """Not waiting: a read that was abandoned ends by its own timeout."""
        executor, self._executor = self._executor, None
        if executor:
            executor.shutdown(wait=False)

    def _read(self, timeout: float) -> bytes:
        self._line.timeout = timeout
        first = self._line.read(1)
        return first + self._line.read(self._line.in_waiting) if first else b""

    async def _call(self, function: Callable[[P], R], argument: P) -> R:
        self._executor = self._executor or ThreadPoolExecutor(1, "serial")
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, argument)
