"""Reads from the store for an asyncio process: few threads, each with a reader of its own, so that no slow question stops the pages."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tillwatch.collector.incident.incident_views import ConsoleReader
from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.web.scope.scoped import ScopedReader

T = TypeVar("T")

READ_THREADS = 3
"""One long history at a time must leave room for the poller and for a page: three readers on a machine of two cores."""

MAX_WAITING = 256
"""Questions in flight. Past it the answer is Busy at once: a queue that grows hides a store that cannot follow."""


class Busy(Exception):  # noqa: N818  # it is a state of the console, answered with 503, not a defect
    """Too many questions wait for the store."""


class Unreadable(Exception):  # noqa: N818  # as Busy
    """The store did not answer. The cause is chained."""


class Reads:
    """Runs questions on threads that each hold one reader: an SQLite connection belongs to the thread that opened it."""

    def __init__(self, open_reader: Callable[[], ConsoleReader]) -> None:
        self._open_reader = open_reader
        self._local = threading.local()
        self._waiting = 0
        self._pool = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="read")
        self._watch: ConsoleReader | None = None
        self._watching = threading.Lock()
        self._seen: int | None = None
        self._life = time.time_ns()
        self._count = 0

    async def __call__(self, question: Callable[[ConsoleReader], T]) -> T:
        """The answer of `question`, asked on one of the threads and on behalf of whoever asks: of their part of the fleet. Raises Busy, Unreadable, or
        the reader's KeyError; PermissionError where nobody asks.
        """
        visitor = asking()
        if not visitor.may(Permission.SEE):
            raise PermissionError("nobody asks who may see the fleet")
        return await self.whole(lambda reader: question(ScopedReader(reader, visitor)))

    async def whole(self, question: Callable[[ConsoleReader], T]) -> T:
        """The same of all of the fleet: for the console itself, which filters what it hands out."""
        if self._waiting >= MAX_WAITING:
            raise Busy(f"{MAX_WAITING} questions already wait for the store")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._ask, question)
        finally:
            self._waiting -= 1

    async def revision(self) -> str:
        """A token that changes whenever anything shown may have changed, and never comes back, not even after a restart.

        A reader's own revision says only that *it* saw a change (SQLite's data_version): numbers of two readers, or of two
        lives of the process, must not be compared. So one reader watches, and what it sees is counted.
        """
        return await self.whole(lambda _: self._look())

    def _look(self) -> str:
        with self._watching:
            if self._watch is None:
                self._watch = self._open_reader()
            now = self._watch.revision()
            if now != self._seen:
                self._seen = now
                self._count += 1
            return f"{self._life:x}-{self._count}"

    def _ask(self, question: Callable[[ConsoleReader], T]) -> T:
        try:
            reader: ConsoleReader | None = getattr(self._local, "reader", None)
            if reader is None:
                reader = self._local.reader = self._open_reader()
            return question(reader)
        except (sqlite3.Error, OSError, StoreError) as error:
            raise Unreadable(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
