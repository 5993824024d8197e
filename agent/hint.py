"""A hint that a source is worth reading before its time: an SNMP trap came, a device said that something changed. It never carries a value;
what it leads to is an ordinary poll, and how often that is granted is bounded here, so that whoever floods hints gets nothing by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math

SPACING_S = 10.0
"""Seconds between two polls that hints ask for: as often as the FAST class is read anyway."""


class Hint:
    """Given from the loop's own thread, taken by the one task that polls the source.

    spacing: seconds from one poll that a hint asked for to the next. Hints that wait are one.
    """

    def __init__(self, spacing: float = SPACING_S) -> None:
        self._spacing = spacing
        self._given = asyncio.Event()
        self._granted = -math.inf

    def give(self) -> None:
        self._given.set()

    async def before(self, due: float) -> bool:
        """Wait until `due`, in the loop's time; True, and earlier, if a hint asks for a poll."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await self._given.wait()
                # From the last granted one, not from the last poll: a device that is read as often as this would never be granted any.
                await asyncio.sleep(max(0.0, self._granted + self._spacing - loop.time()))
                self._given.clear()
                self._granted = loop.time()
                return True
        return False
