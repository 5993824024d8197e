"""A collector that runs beside a console under test: it takes what people ask for, as the service does, and nothing else."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.collector.conftest import UNITS
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.store.lock import WriterLock
from tillwatch.collector.store.sqlite import SqliteStore
from tillwatch.collector.trust.authority import open_authority

TURN_S = 0.02


class Taking:
    """While it is entered the store has its collector, on a thread of its own. site: rules of the bank; now: UTC ns at which its time begins."""

    def __init__(self, database: Path, site: str = "", now: int = 0) -> None:
        self._database = database
        self._site = site
        self._ahead = max(now - time.time_ns(), 0)
        self._ready, self._over = threading.Event(), threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="collector", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        assert self._failed is None, self._failed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert self._failed is None, self._failed

    def _run(self) -> None:
        lock = WriterLock(self._database)
        try:
            assert lock.take(5)
            asyncio.run(self._take())
        except BaseException as error:
            self._failed = error
        finally:
            self._ready.set()
            lock.release()

    async def _take(self) -> None:
        store = SqliteStore(self._database)
        try:
            key = open_authority(self._database.parent / "authority").ack_key
            pipeline = Pipeline(store, key, UNITS, clock=lambda: time.time_ns() + self._ahead)
            await pipeline.start(shipped_text(), self._site)
            self._ready.set()
            while not self._over.is_set():
                await pipeline.take_requests()
                await asyncio.sleep(TURN_S)
            await pipeline.stop()
        finally:
            store.close()
