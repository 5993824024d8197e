"""Runs a program of the system and hands over what it printed: no shell, no input, one run at a time, bounded in time and in output. A run
that cannot be ended (a drive or a BMC that hangs in the kernel) blocks the next one, never the agent.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from dataclasses import dataclass

from tillwatch.agent.sources import SourceError

MAX_OUTPUT = 2 << 20
"""Bytes. `smartctl -j -x` of a drive with full logs prints some 200 kB."""
MAX_ERRORS = 4096
"""Bytes of stderr that are kept: the first lines say what is wrong."""
KILL_WAIT_S = 2.0
"""A killed program is gone at once, unless the kernel holds it."""
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where Debian keeps such programs; the PATH of a service or of a user often leaves it out."""


@dataclass(frozen=True, slots=True)
class Finished:
    """status: the exit status. output, errors: stdout and the beginning of stderr, as text."""

    status: int
    output: str
    errors: str


class Program:
    """command: a name to look up, or a path. mend: what to do where it is not installed. Not for concurrent use."""

    def __init__(self, command: str, mend: str) -> None:
        self._command, self._mend = command, mend
        self._process: asyncio.subprocess.Process | None = None

    async def run(self, *arguments: str, seconds: float) -> Finished:
        """Raises SourceError: not installed, not allowed, too slow, too talkative, or the run before hangs in the kernel."""
        if self._process is not None and self._process.returncode is None:
            raise SourceError(
                f"{self._command} (process {self._process.pid}) hangs in the kernel; look at the kernel log for the device that it asks"
            )
        path = os.environ.get("PATH", os.defpath) + os.pathsep + SYSTEM_PATH
        program = shutil.which(self._command, path=path)
        if program is None:
            raise SourceError(f"{self._command} is not installed; {self._mend}")
        try:
            self._process = await asyncio.create_subprocess_exec(
                program,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C"},
            )
        except OSError as error:
            raise SourceError(f"{program} cannot be started: {error.strerror}") from error
        try:
            async with asyncio.timeout(seconds):
                return await _finished(self._process)
        except TimeoutError:
            raise SourceError(f"{self._command} {' '.join(arguments)}: no answer within {seconds:g} s") from None
        except _TooMuchError:
            raise SourceError(f"{self._command} {' '.join(arguments)}: prints over {MAX_OUTPUT} bytes") from None
        finally:
            await self._end(self._process)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(KILL_WAIT_S):
                    await process.wait()


class _TooMuchError(Exception):
    pass


async def _finished(process: asyncio.subprocess.Process) -> Finished:
    assert process.stdout is not None
    assert process.stderr is not None
    errors = asyncio.create_task(_beginning(process.stderr))
    try:
        output = bytearray()
        while data := await process.stdout.read(1 << 16):
            output += data
            if len(output) > MAX_OUTPUT:
                raise _TooMuchError
        return Finished(
            await process.wait(), output.decode("utf-8", "replace"), (await errors).decode("utf-8", "replace")
        )
    finally:
        errors.cancel()


async def _beginning(stream: asyncio.StreamReader) -> bytes:
    kept = b""
    while data := await stream.read(MAX_ERRORS):
        kept += data[: MAX_ERRORS - len(kept)]
    return kept
