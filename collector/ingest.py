"""The loop: groups of messages from the intake, through the pipeline, and the acks back. While one group is written, the next is opened."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

from tillwatch.collector.intake import Intake, Message
from tillwatch.collector.pipeline import Incoming, Pipeline
from tillwatch.collector.replies import Reply
from tillwatch.collector.store.sqlite import FencedError, StoreError

log = logging.getLogger(__name__)

TICK_S = 1.0
"""How often time alone is let through when nothing comes."""
RETRY_S = 5.0
"""Before the next try after the store refused a group: a full disk is not made emptier by trying."""


class Ingest:
    """max_n, max_wait_s: how many messages a group may hold, and how long it waits for them."""

    def __init__(self, pipeline: Pipeline, intake: Intake, *, max_n: int, max_wait_s: float) -> None:
        self._turns = 0
        self._pipeline = pipeline
        self._intake = intake
        self._max_n, self._max_wait_s = max_n, max_wait_s
        self._storing = True
        self._asked = 0.0
        pipeline.on_refused = intake.refused

    @property
    def turns(self) -> int:
        """Groups that were stored, and steps of time: it rises as long as any work is done."""
        return self._turns + self._pipeline.kept

    async def run(self) -> None:
        """Until cancelled. A store that refuses is tried again; the terminals keep what was not acknowledged. Raises FencedError: another one is the writer, and no
        trying makes this one it again.
        """
        writing: asyncio.Task[None] | None = None
        try:
            while True:
                incoming = await self._gather(writing)
                if writing is not None:
                    await writing
                await self._take_requests()
                writing = asyncio.create_task(self._store(incoming), name="group")
        finally:
            if writing is not None:
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)

    async def _gather(self, writing: asyncio.Task[None] | None) -> list[Incoming]:
        """The next group, opened; empty if nothing comes for a while. It grows as long as the one before it is being written."""
        wait_s = self._max_wait_s if writing is None or writing.done() else 0.0
        try:
            async with asyncio.timeout(TICK_S):
                incoming = self._looked_at(await self._intake.get_batch(self._max_n, wait_s))
        except TimeoutError:
            incoming = []
        while writing is not None and incoming and len(incoming) < self._max_n and not writing.done():
            more = asyncio.create_task(self._intake.get_batch(self._max_n - len(incoming), 0.0))
            try:
                await asyncio.wait({more, writing}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                more.cancel()  # a wait that is cancelled loses no message
            await asyncio.wait({more})
            if not more.cancelled():
                incoming += self._looked_at(more.result())
        for (terminal, why), n in self._intake.take_dropped().items():
            self._pipeline.count(why, terminal, n=n)
        return incoming

    def _looked_at(self, messages: Sequence[Message]) -> list[Incoming]:
        return [self._pipeline.look(message) for message in messages]

    async def _take_requests(self) -> None:
        if time.monotonic() - self._asked >= TICK_S:
            try:
                await self._pipeline.take_requests()
            except FencedError:
                raise
            except StoreError:
                pass  # the next group meets the same store and says so
            self._asked = time.monotonic()

    async def _store(self, incoming: Sequence[Incoming]) -> None:
        try:
            replies = await self._pipeline.take_opened(incoming)
        except FencedError:
            raise
        except StoreError as error:
            if self._storing:
                log.error("the store does not take readings: %s", error)
            self._storing = False
            self._intake.settled(len(incoming), stored=False)
            await asyncio.sleep(RETRY_S)
            return
        if not self._storing:
            log.warning("the store takes readings again")
            self._storing = True
        self._turns += 1
        self._answer(replies)
        self._intake.settled(len(incoming), stored=True)

    def _answer(self, replies: Mapping[str, Reply]) -> None:
        pipeline, intake = self._pipeline, self._intake
        slow = intake.take_slow()
        for name, reply in replies.items():
            for each in reply.each():
                intake.publish_ack(name, pipeline.ack(name, each, slow=name in slow))
        for name in slow - replies.keys():
            terminal = pipeline.terminal(name)
            # Who has said nothing genuine yet has no stream to speak of.
            if terminal is not None and terminal.epoch and terminal.state == "active":
                intake.publish_ack(name, pipeline.ack(name, Reply(), slow=True))
