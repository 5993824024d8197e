"""Reads from the store for an asyncio process: few threads, each with a reader of its own, so that no slow question stops the pages."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tillwatch.collector.read import FleetReader

T = TypeVar("T")

READ_THREADS = 3
"""One long history at a time must leave room for the poller and for a page: three readers on a machine of two cores."""

MAX_WAITING = 256
"""Questions in flight. Past it the answer is Busy at once: a queue that grows hides a store that cannot follow."""


class Busy(Exception):  # noqa: N818  # it is a state of the console, answered with 503, not a defect
    """Too many questions wait for the store."""


class Reads:
    """Runs questions on threads that each hold one reader: an SQLite connection belongs to the thread that opened it."""

    def __init__(self, open_reader: Callable[[], FleetReader]) -> None:
        self._open_reader = open_reader
        self._local = threading.local()
        self._waiting = 0
        self._pool = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="read")

    async def __call__(self, question: Callable[[FleetReader], T]) -> T:
        """The answer of `question`, asked on one of the threads. Raises Busy, or whatever the reader raises."""
        if self._waiting >= MAX_WAITING:
            raise Busy(f"{MAX_WAITING} questions already wait for the store")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._ask, question)
        finally:
            self._waiting -= 1

    def _ask(self, question: Callable[[FleetReader], T]) -> T:
        reader: FleetReader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = self._open_reader()
        return question(reader)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
