"""Turns what was read into sealed batches in the spool, at the pace that operator and collector want, and earlier when a batch is full. What
cannot be stored now stays in the buffer; what is not sealed when the process is killed is lost, at most one interval.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from functools import partial

from tillwatch.agent import clock
from tillwatch.agent.buffer import Buffer
from tillwatch.agent.identity import Identity
from tillwatch.agent.model import MS, Batch, Quality, Reading
from tillwatch.agent.settings import MAX_SEAL
from tillwatch.agent.spool import Spool, SpoolFullError
from tillwatch.agent.spool_book import Slot
from tillwatch.agent.thinning import Taken, Thinner
from tillwatch.agent.transition import Condition
from tillwatch.agent.wire import Refusal, Sealed, VerifyKey, WireError, batch_topic, open_batch, seal

log = logging.getLogger(__name__)

SPACING = 0.1
"""Seconds between two seals: at most 600 batches a minute, whatever a source does."""


class Sealer:
    """interval and least: seconds between two seals that are wanted, and that the collector asks for. before: called at each interval with its
    length, so that the agent's own state goes into the batch. sealed: called after each batch.
    """

    def __init__(
        self,
        who: Identity,
        spool: Spool,
        buffer: Buffer,
        *,
        interval: Callable[[], float],
        least: Callable[[], float] = lambda: SPACING,
        before: Callable[[float], None],
        sealed: Callable[[], None],
        thinner: Thinner | None = None,
        reference: clock.Reference | None = None,
    ) -> None:
        self._who, self._spool, self._buffer = who, spool, buffer
        self._thinner, self._reference = thinner or Thinner(()), reference or clock.Reference()
        self._interval, self._least, self._before, self._sealed = interval, least, before, sealed
        self._woken = asyncio.Event()
        self._settling: list[asyncio.Future[bool]] = []
        self.trouble = Condition(log, "the spool can be written again")
        self._poison = Condition(log, "")

    def renew(self, who: Identity) -> None:
        """Another key of the same terminal seals from now on."""
        self._who = who

    def wake(self) -> None:
        """A batch is full, or former ones wait to be sealed again."""
        self._woken.set()

    async def settle(self) -> bool:
        """Seal all that waits ahead of its interval, for somebody who waits for it; whether it is in the spool. While `run` runs."""
        settled: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._settling.append(settled)
        self._woken.set()
        return await settled

    async def run(self) -> None:
        """Until cancelled. `flush` after that seals the rest."""
        loop = asyncio.get_running_loop()
        due = loop.time() + random.uniform(0, self._interval())  # noqa: S311 - spreads load over the fleet
        last = loop.time()
        while True:
            try:
                async with asyncio.timeout_at(due):
                    await self._woken.wait()
                    await asyncio.sleep(max(0.0, last + max(self._least(), SPACING) - loop.time()))
            except TimeoutError:
                length = min(max(self._interval(), self._least(), SPACING), MAX_SEAL)
                self._before(length)
                due = max(due + length, loop.time())
                await self._all(rest=True)
            else:
                await self._all(rest=False)
            last = loop.time()

    async def _all(self, *, rest: bool) -> None:
        """Seal full batches, and at the end of an interval the rest too."""
        self._woken.clear()
        settling, self._settling = self._settling, []
        try:
            self._spool.expire()
            # What is older goes first, so that the stream stays in the order of reading.
            while self._spool.former:
                self._spool.reseal(self._again)
                self._sealed()
                await asyncio.sleep(0)
            # What comes in meanwhile waits for its own interval, unless it makes a batch.
            left = len(self._buffer) if rest or settling else 0
            while left > 0 or self._buffer.ripe:
                left -= self.one()
                self._sealed()
                if left > 0 or self._buffer.ripe:
                    await asyncio.sleep(SPACING)
            self.trouble.ends()
        except SpoolFullError as error:
            self.trouble.begins(f"{error}; what is read waits in memory, the oldest numbers go first when it is full")
        finally:
            for each in settling:
                if not each.done():
                    each.set_result(not self.trouble.text)

    def one(self) -> int:
        """Seal one batch; how many readings it took from those that wait."""
        cut = self._buffer.cut()
        taken = len(cut)
        if not taken:
            return 0
        try:
            kept = self._thinner.keep(cut, self._spool.fill)
        except SpoolFullError:
            self._buffer.restore(cut)
            raise
        self._buffer.lost += taken - len(kept)
        parts = [kept] if kept else []
        while parts:
            part = parts.pop(0)
            lost = self._buffer.lost
            try:
                self._spool.append(partial(self._seal, part), clock.now(), lost)
                self._buffer.lost -= lost
            except SpoolFullError:
                self._buffer.restore([item for each in (part, *parts) for item in each])
                raise
            except WireError as error:
                # The sampler lets nothing through that cannot be sealed. Should it: one bad reading must not take a batch with it.
                if len(part) == 1:
                    self._poison.begins(
                        f"{part[0].component} {part[0].signal}: cannot be sealed and is left out: {error}"
                    )
                    self._buffer.lost += 1
                else:
                    parts[:0] = [part[: len(part) // 2], part[len(part) // 2 :]]
        return taken

    def flush(self) -> None:
        """Seal all that waits, at once: the last act of a clean stop."""
        try:
            while self.one():
                pass
        except SpoolFullError as error:
            log.error("%s; %d readings are lost", error, len(self._buffer))

    def _seal(self, taken: list[Taken], slot: Slot) -> Sealed:
        wall, up, said = time.time_ns(), clock.uptime_ns(), clock.source()
        good = Quality.CLOCK_SUSPECT if self._reference.suspects(said) else Quality.GOOD
        readings = tuple(
            Reading(
                item.component,
                item.signal,
                # A clock that stands before its own boot is set forward by as much: no reading lies before 1970.
                max(wall - (up - item.up), 0) // MS * MS,
                item.value,
                good if item.quality is Quality.GOOD else item.quality,
                item.state,
            )
            for item in taken
        )
        return seal(
            self._who.key,
            Batch(readings, slot.lost),
            terminal=self._who.terminal,
            epoch=slot.epoch,
            seq=slot.seq,
            prev=slot.prev,
            floor=slot.floor,
            sent=wall // MS * MS,
            boot=clock.boot_id(),
            up=up // MS,
            clock=said,
        )

    def _again(self, slot: Slot, payload: bytes, public: VerifyKey) -> Sealed:
        """Seal a former batch for its new place. When it was read, in which boot and by which clock stays as it was."""
        keys = {**self._who.own, public.key_id: public}
        opened = open_batch(batch_topic(self._who.terminal), payload, _OwnKeys(self._who.terminal, keys))
        header = opened.header
        return seal(
            self._who.key,
            Batch(tuple(opened.readings()), slot.lost),
            terminal=self._who.terminal,
            epoch=slot.epoch,
            seq=slot.seq,
            prev=slot.prev,
            floor=slot.floor,
            sent=header.sent,
            boot=header.boot,
            up=header.up,
            clock=header.clock,
        )


class _OwnKeys:
    """The registry that opens one's own batches."""

    def __init__(self, terminal: str, keys: dict[bytes, VerifyKey]) -> None:
        self._terminal, self._keys = terminal, keys

    def knows(self, terminal: str) -> bool:
        return terminal == self._terminal

    def key(self, _: str, key_id: bytes) -> VerifyKey | Refusal:
        return self._keys.get(key_id, Refusal.UNKNOWN_KEY)
