"""Processes that this one has started: how they are ended, and how one that is to run beside it is begun again when it ends by itself."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence

log = logging.getLogger(__name__)

AGAIN_S = (5.0, 60.0, 600.0)
"""Until it is begun again after it has ended by itself, the first time, the next one, and ever after."""
WELL_S = 3600.0
"""Running for so long it counts as well, and what comes next as the first time."""


async def end(process: asyncio.subprocess.Process, within_s: float) -> None:
    """Ask it to end; killed where it does not in time. Returns when it is gone."""
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), within_s)
        except TimeoutError:
            process.kill()
            await process.wait()


async def keep_running(what: str, arguments: Sequence[str], stop_s: float) -> None:
    """Run a command of the collector for good, with a standard input that ends with this process. Cancelled, it ends the command and returns when that is gone.
    what: its name in the plural, for the log.
    """
    failed, loop = 0, asyncio.get_running_loop()
    while True:
        began = loop.time()
        code = await _once(arguments, stop_s)
        failed = 0 if loop.time() - began > WELL_S else failed
        wait = AGAIN_S[min(failed, len(AGAIN_S) - 1)]
        failed += 1
        if failed <= len(AGAIN_S):
            log.error("%s have ended by themselves (%s); they are begun again in %g s", what, code, wait)
        await asyncio.sleep(wait)


async def _once(arguments: Sequence[str], stop_s: float) -> int | str:
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "tillwatch.collector", *arguments), stdin=asyncio.subprocess.PIPE
        )
    except OSError as error:
        return f"it cannot be started: {error}"
    try:
        return await process.wait()
    finally:
        await end(process, stop_s)
