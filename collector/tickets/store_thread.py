"""A SQLite connection on a thread of its own, for tasks of the collector's loop: the loop never waits for a disk."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from tillwatch.collector.store.db import Db

log = logging.getLogger(__name__)

STORE_AGAIN_S = 1.0
"""Between attempts at a store that does not take writes (busy, disk full)."""

P = ParamSpec("P")
T = TypeVar("T")


class StoreThread:
    """connect: opens the connection; it is called on the thread. what: for whom, in the log."""

    def __init__(self, connect: Callable[[], Db], what: str) -> None:
        self._connect = connect
        self._what = what
        self._thread = ThreadPoolExecutor(1, what)
        self._conn: Db | None = None
        self._ill = False
        self._closed = False

    async def once(self, do: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`do` with the connection, on the thread. Raises what it raises."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: do(self._connection(), *args, **kwargs))

    async def surely(self, do: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same, again and again for as long as the store refuses: what was found out must be kept before anything else is done."""
        while True:
            try:
                result = await self.once(do, *args, **kwargs)
            except sqlite3.OperationalError as error:
                if not self._ill:
                    log.error(f"{self._what}: the store refuses: {error}; trying again every {STORE_AGAIN_S:g} s")
                self._ill = True
                await asyncio.sleep(STORE_AGAIN_S)
                continue
            if self._ill:
                log.info(f"{self._what}: the store answers again")
                self._ill = False
            return result

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _connection(self) -> Db:
        if self._conn is None:
            self._conn = self._connect()
        return self._conn

    def _close(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None
