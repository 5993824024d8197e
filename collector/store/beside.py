"""Writing to the store in another thread than the one that decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def written(write: Callable[[], None]) -> None:
    """Write in another thread. A transaction cannot be called back: who is cancelled meanwhile leaves once it has ended."""
    writing = asyncio.ensure_future(asyncio.to_thread(write))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait({writing})
        raise
