"""What the collector does with its own file between the groups of readings: pack what is settled, retire what is older than it is to be
kept, forget what was delivered as long ago, give free space back. Each step is small, and after each one the file is left alone for longer than the step took.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.sections import RetentionSection
from tillwatch.collector.store import retention
from tillwatch.collector.store.compaction import BrokenChainError, Change, Compactor
from tillwatch.collector.store.pages import PageError
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.tickets import outbox

log = logging.getLogger(__name__)
T = TypeVar("T")

EVERY_S = 30.0
"""Between two looks at what is due: a terminal needs minutes at the least to fill a segment."""
FORGET_EVERY_S = 6 * 3_600.0
"""Between two looks at the outbox: each reads all of it, and what is due is 400 days old as a rule."""
REST = 3.0
"""Pause after a step, in lengths of the step: packing takes a quarter of a core at most, however much is due."""


class Housekeeping:
    def __init__(self, pipeline: Pipeline, compactor: Compactor, keep: RetentionSection) -> None:
        self._pipeline = pipeline
        self._compactor = compactor
        self._keep = keep
        self._forgot = float("-inf")

    async def run(self) -> None:
        """Until cancelled. A chain that is broken ends the packing, not the collector."""
        while True:
            try:
                await self.turn()
            except (BrokenChainError, PageError) as error:
                log.error("the log is not packed any more: %s", error)
                return
            except (StoreError, sqlite3.Error) as error:
                # The pipeline meets the same store and says when it refuses and when it recovers.
                log.debug("not now: %s", error)
            except Exception:  # packing saves bytes; whatever is wrong with it must not stop the collector
                log.exception("the log is not packed any more")
                return
            await asyncio.sleep(EVERY_S)

    async def turn(self, rest: float = REST) -> None:
        """Everything that is due now."""
        await self._all(self._compactor.steps(), rest)
        while due := await self._look(retention.due, self._compactor.db, self._keep.keep, self._keep.size):
            await self._pipeline.operate(retention.facts(due), lambda db, due=due: retention.retire(db, due))  # type: ignore[misc]  # mypy has no type for a default
        await self._forget()
        while pages := await self._look(self._compactor.spare):
            vacuum = f"PRAGMA incremental_vacuum({pages})"
            await self._pipeline.change(lambda db, vacuum=vacuum: db.execute(vacuum).fetchall())  # type: ignore[misc]  # mypy has no type for a default
            await asyncio.sleep(0)

    async def _forget(self) -> None:
        """Messages to ticket systems. They are no record: the incident's history is in the journal, its ticket beside it."""
        if not self._keep.keep or time.monotonic() - self._forgot < FORGET_EVERY_S:
            return
        before = await self._look(retention.aged, self._compactor.db, self._keep.keep)
        while incidents := await self._look(outbox.settled, self._compactor.db, before):
            await self._pipeline.change(lambda db, incidents=incidents: outbox.prune(db, incidents))  # type: ignore[misc]  # mypy has no type for a default
        self._forgot = time.monotonic()

    async def _look(self, look: Callable[..., T], *arguments: Any) -> T:
        """In another thread. Who is cancelled meanwhile leaves once the look has ended: its connection is closed next, and SQLite does not survive
        that under a query that runs.
        """
        looking = asyncio.ensure_future(asyncio.to_thread(look, *arguments))
        try:
            return await asyncio.shield(looking)
        except asyncio.CancelledError:
            self._compactor.db.interrupt()
            await asyncio.wait({looking})
            looking.exception()  # that it was interrupted is no news
            raise

    async def _all(self, steps: Iterator[Change], rest: float) -> None:
        while True:
            began = time.monotonic()
            change = await self._look(next, steps, None)
            if change is None:
                return
            await self._pipeline.change(change)
            await asyncio.sleep((time.monotonic() - began) * rest)
