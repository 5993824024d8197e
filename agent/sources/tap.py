"""Reads a device that somebody else talks to: `tap` listens on the line beside the host, `hosted` takes the exchanges that the host's own
program hands over. Nothing is ever written: on POSIX the port is open for reading only, and there is no code here that sends.

A port is a serial device, or `unix:PATH`, `tcp:HOST:PORT` or `file:PATH` (a FIFO, or a file that grows) where a program serves the
bytes. In `tap` these are the bytes of the line, both directions as they come. In `hosted` they are lines of text, `> 0208107F00000367`
for what the host sent and `< 020B...` for what came back; empty lines and lines with # are skipped.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from tillwatch.agent.model import PollClass, Sample
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.serial import ThreadedPort, open_line, sample
from tillwatch.firmware_shims.base import Mode, Shim, ShimError
from tillwatch.firmware_shims.tap import Tap

if TYPE_CHECKING:
    from serial import Serial

FIRST_S = 5.0
"""How long the first poll waits to hear the device; hosts ask several times a second."""

QUIET_S = 1.0
"""One wait for bytes where a thread waits, and so the longest that its end takes; what was said last grows old meanwhile."""

CHUNK = 4096
"""Bytes taken at once, as many as a kernel's serial buffer holds."""

MAX_LINE = 8192
"""Characters of a line that is handed over: an answer of 1 KiB in hex, with room for blanks. A longer one is skipped."""

FOLLOW_S = 0.2
"""How often a file that grows is looked at."""

MAX_READS = 16
"""64 KiB at a look; a file that grows faster than any line could is read as fast as that, and other sources have their turn."""

CONNECT_S = 5.0
"""A program on this machine, or on the next, answers at once or not at all."""


Take = Callable[[bytes], None]


class Stream(Protocol):
    """Where bytes come from. `run` is called once, hands over what comes as it comes, and raises OSError when no more can come."""

    async def run(self, take: Take) -> None: ...

    def close(self) -> None: ...


class TapSource:
    """One device that is only listened to, from the first poll on. baud: where the line has another speed than usual.

    Raises ValueError for an address that is none.
    """

    def __init__(self, name: str, port: str, shim: Shim, *, mode: Mode, baud: int | None = None) -> None:
        self.name = name
        self._address = port
        self._shim = shim
        self._baud = baud or shim.line.baud
        self._kind, _, self._where = port.partition(":")
        if self._kind not in ("unix", "tcp", "file"):
            self._kind, self._where = "serial", port
            if mode is Mode.HOSTED:
                raise ValueError(
                    f"{name}: in mode hosted the port is unix:PATH, tcp:HOST:PORT or file:PATH, not {port!r}"
                )
        if self._kind == "tcp" and not self._where.rpartition(":")[2].isdigit():
            raise ValueError(f"{name}: {port!r}: write tcp:HOST:PORT")
        self._lines = _Lines() if mode is Mode.HOSTED else None
        self._tap = Tap(shim)
        self._met = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        every = {PollClass(query.every) for query in shim.queries}
        self.classes: frozenset[PollClass] = frozenset(every)

    async def poll(self, wanted: PollClass) -> list[Sample]:
        """What the device said last. SourceError: the port cannot be had or was lost, or the device was not heard."""
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen(), name=f"tap {self.name}")
        if not self._met.is_set():
            met = asyncio.ensure_future(self._met.wait())
            await asyncio.wait({met, self._listening}, timeout=FIRST_S, return_when=asyncio.FIRST_COMPLETED)
            met.cancel()
        if self._listening.done():
            error, self._listening = self._listening.exception(), None
            self._met.clear()
            why = str(error) or "nobody answers"
            raise SourceError(f"{self._address}: {why}; it is opened again at the next poll") from error
        try:
            found = self._tap.readings(wanted.value, asyncio.get_running_loop().time())
        except ShimError as error:
            handed = f" ({self._lines.problem})" if self._lines and self._lines.problem else ""
            raise SourceError(f"{error}{handed}; heard at {self._address}") from error
        return [sample(self.name, each) for each in found]

    async def close(self) -> None:
        task, self._listening = self._listening, None
        if task:
            task.cancel()
            # What it ended with was told, or no longer matters.
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task

    async def _listen(self) -> None:
        """Ends with the OSError or ValueError that the stream ends with."""
        stream = await self._open()
        if self._lines:
            self._lines = _Lines()  # the rest of a line went with the program that was writing it
        try:
            await stream.run(self._take)
        finally:
            stream.close()

    def _take(self, data: bytes) -> None:
        at = asyncio.get_running_loop().time()
        if self._lines is None:
            self._tap.feed(data, at)
        else:
            for request, reply in self._lines.feed(data):
                try:
                    self._tap.hand(request, reply, at)
                except ShimError as error:
                    self._lines.problem = str(error)
        if self._tap.met():
            self._met.set()

    async def _open(self) -> Stream:
        if self._kind == "serial":
            return _SerialStream(self._where, self._shim, self._baud)
        if self._kind == "file":
            return _FileStream(self._where)
        async with asyncio.timeout(CONNECT_S):
            if self._kind == "tcp":
                host, _, port = self._where.rpartition(":")
                return _SocketStream(*await asyncio.open_connection(host.strip("[]"), int(port)))
            if sys.platform != "win32":
                return _SocketStream(*await asyncio.open_unix_connection(self._where))
            raise ValueError("there are no unix: sockets on Windows; use tcp:127.0.0.1:PORT")


class _Lines:
    """Exchanges out of lines of text. problem: what was wrong with the last line that was wrong; it never holds the line."""

    def __init__(self) -> None:
        self.problem = ""
        self._rest = b""
        self._request = b""
        self._number = 0

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE:
            self._rest, self.problem = b"", f"line {self._number + 1} has over {MAX_LINE} characters"
        for line in lines:
            self._number += 1
            mark, said = line[:1], line[1:].strip()
            if not line.strip() or mark == b"#":
                continue
            try:
                if mark not in b"<>":
                    raise ValueError
                frame = bytes.fromhex(said.decode("ascii"))
            except ValueError:
                self.problem = f"line {self._number} is none of `> hex`, `< hex`"
                continue
            if mark == b">":
                self._request = frame
            else:
                found.append((self._request, frame))
                self._request = b""
        return found


class _SerialStream:
    """DTR and RTS stay low: the host's cable has its own. On POSIX the descriptor that is kept cannot be written to."""

    def __init__(self, path: str, shim: Shim, baud: int) -> None:
        line = open_line(path, shim, baud, dtr=False, rts=False)
        self._port: ThreadedPort | None = None
        self._line: Serial | None = line
        self._fd = -1
        if sys.platform == "win32":
            self._port = ThreadedPort(line)
        else:
            # The settings belong to the device and stay while it is open; the descriptor that pyserial has may write, so it goes.
            self._fd = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
            line.close()
            self._line = None
            self._lock(self._fd)

    @staticmethod
    def _lock(descriptor: int) -> None:
        """As pyserial does: two agents must not share what each should hear whole."""
        if sys.platform != "win32":
            import fcntl  # noqa: PLC0415 - not on Windows

            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                raise

    async def run(self, take: Take) -> None:
        if sys.platform == "win32":
            while self._port:
                if data := await self._port.receive(QUIET_S):
                    take(data)
        else:
            await self._until_lost(take)

    async def _until_lost(self, take: Take) -> None:
        """POSIX: the loop waits for the descriptor."""
        loop = asyncio.get_running_loop()
        lost: asyncio.Future[None] = loop.create_future()

        def ready() -> None:
            try:
                with contextlib.suppress(BlockingIOError):
                    data = os.read(self._fd, CHUNK)
                    if not data:
                        raise OSError("the port is gone")
                    take(data)
            except OSError as error:
                loop.remove_reader(self._fd)
                lost.set_exception(error)

        # One reader for as long as it is heard: a host asks several times a second, and each wait of its own would cost more than the rest.
        loop.add_reader(self._fd, ready)
        try:
            await lost
        finally:
            loop.remove_reader(self._fd)

    def close(self) -> None:
        if self._port:
            self._port.release()
        if self._line:
            self._line.close()
        if self._fd >= 0:
            os.close(self._fd)


class _FileStream:
    """A FIFO, or a file that grows, from its end on; one that was cut off is read from its start."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        mode = os.fstat(self._fd).st_mode
        if not (stat.S_ISFIFO(mode) or stat.S_ISREG(mode)):
            os.close(self._fd)
            raise OSError("neither a FIFO nor a file")
        self._fifo = stat.S_ISFIFO(mode)
        if not self._fifo:
            os.lseek(self._fd, 0, os.SEEK_END)

    async def run(self, take: Take) -> None:
        while True:
            # A FIFO without a writer reads as b"", one with a silent writer as EAGAIN: both are waited for alike.
            with contextlib.suppress(BlockingIOError):
                for _ in range(MAX_READS):
                    if not (data := os.read(self._fd, CHUNK)):
                        break
                    take(data)
            if not self._fifo:
                self._follow()
            await asyncio.sleep(FOLLOW_S)

    def _follow(self) -> None:
        size = os.fstat(self._fd).st_size
        if size < os.lseek(self._fd, 0, os.SEEK_CUR):
            os.lseek(self._fd, 0, os.SEEK_SET)

    def close(self) -> None:
        os.close(self._fd)


class _SocketStream:
    """A client's connection to a program that serves the bytes. Nothing is ever written to it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def run(self, take: Take) -> None:
        while data := await self._reader.read(CHUNK):
            take(data)
        raise OSError("the program that serves it has gone")

    def close(self) -> None:
        self._writer.close()
