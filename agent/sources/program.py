"""Runs a program of the system and hands over what it printed: no shell, no input, one run at a time, bounded in time and in output. A run
that cannot be ended (a drive or a BMC that hangs in the kernel) blocks the next one, never the agent.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from tillwatch.agent.sources import SourceError

MAX_OUTPUT = 2 << 20
"""Bytes. `smartctl -j -x` of a drive with full logs prints some 200 kB."""
MAX_ERRORS = 4096
"""Bytes of stderr that are kept: the first lines say what is wrong."""
KILL_WAIT_S = 2.0
"""A killed program is gone at once, unless the kernel holds it."""
SYSTEM_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian keeps such programs; the PATH of a service or of a user often leaves it out."""


@dataclass(frozen=True, slots=True)
class Finished:
    """status: the exit status. output, errors: stdout and the beginning of stderr, as text."""

    status: int
    output: str
    errors: str


def _utf_8(data: bytes) -> str:
    return data.decode("utf-8", "replace")


class Program:
    """command: a name to look up, or a path. mend: what to do where it is not installed. decode: of what it prints. Not for concurrent use."""

    def __init__(self, command: str, mend: str, decode: Callable[[bytes], str] = _utf_8) -> None:
        self._command, self._mend, self._decode = command, mend, decode
        self._last: _Run | None = None

    async def run(self, *arguments: str, seconds: float) -> Finished:
        """Raises SourceError: not installed, not allowed, too slow, too talkative, or the run before hangs in the kernel."""
        if self._last is not None and not self._last.exited.is_set():
            raise SourceError(
                f"{self._command} cannot be ended, it hangs in the kernel; look at the kernel log for the device that it asks"
            )
        program = _found(self._command)
        if program is None:
            raise SourceError(f"{self._command} is not installed; {self._mend}")
        try:
            transport, run = await asyncio.get_running_loop().subprocess_exec(
                _Run, program, *arguments, stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C"}
            )
        except OSError as error:
            raise SourceError(f"{program} cannot be started: {error.strerror}") from error
        self._last = run
        asked = " ".join((self._command, *arguments))
        try:
            async with asyncio.timeout(seconds):
                await run.ended
        except TimeoutError:
            raise SourceError(f"{asked}: no answer within {seconds:g} s") from None
        except _TooMuchError:
            raise SourceError(f"{asked}: prints over {MAX_OUTPUT} bytes") from None
        finally:
            transport.close()  # ends it where it has not ended
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(KILL_WAIT_S):
                    await run.exited.wait()
        status = transport.get_returncode()
        output, errors = (self._decode(bytes(run.printed[fd])) for fd in (1, 2))
        return Finished(-1 if status is None else status, output, errors)


def _found(command: str) -> str | None:
    """As shutil.which, which would bring three compressors into the resident agent."""
    if os.path.dirname(command):  # noqa: PTH120 - a path, or a name to look up
        folders = [""]
    else:
        folders = [*os.environ.get("PATH", os.defpath).split(os.pathsep), *SYSTEM_PATH]
    for folder in folders:
        for name in (command, f"{command}.exe"):
            path = os.path.join(folder, name)  # noqa: PTH118 - as it is handed over
            if os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113 - the same
                return path
    return None


class _TooMuchError(Exception):
    pass


class _Run(asyncio.SubprocessProtocol):
    """One run. printed: so far, by file descriptor. ended: both outputs are closed and the program is gone."""

    def __init__(self) -> None:
        self.printed = {1: bytearray(), 2: bytearray()}
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.exited = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        printed = self.printed[fd]
        if fd == 2:
            printed += data[: MAX_ERRORS - len(printed)]
        elif len(printed) + len(data) <= MAX_OUTPUT:
            printed += data
        elif not self.ended.done():
            self.ended.set_exception(_TooMuchError())

    def process_exited(self) -> None:
        self.exited.set()

    def connection_lost(self, _why: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
