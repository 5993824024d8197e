"""The end of a process that this one has started."""

from __future__ import annotations

import asyncio


async def end(process: asyncio.subprocess.Process, within_s: float) -> None:
    """Ask it to end; killed where it does not in time. Returns when it is gone."""
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), within_s)
        except TimeoutError:
            process.kill()
            await process.wait()
