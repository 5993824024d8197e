"""The small installation and the large one, as they live through what is told: begun, stopped, killed and begun again, each with its own store and its own way in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path

import pytest

from tests.collector.conftest import COLLECTOR_KEY, UNITS
from tests.scale.broker import Broker
from tests.scale.year.line import Clock, Line, OverMqtt, OverRabbitMq, ThroughOpener
from tests.scale.year.told import Told, Year
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.duty.policy import shipped_policy
from tillwatch.collector.journal import Kind
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.sequence import WINDOW
from tillwatch.collector.simulate.site import RULES, site_policy
from tillwatch.collector.store.db import Postgres, Where
from tillwatch.collector.store.opening import open_store
from tillwatch.collector.store.postgres.lease import RENEW_S, FencedError, Lease
from tillwatch.collector.store.sqlite import Store, StoreError

ASK_S = 0.1
"""Between two attempts of a standby to take the lease."""
TAKEN_S = 120.0
LEASE_S = 20.0
"""Twice as long as in life: a machine that has much else to do renews it late."""


class Small:
    """One file, one process at a time."""

    def __init__(self, clock: Clock, where: Where) -> None:
        self.where = where
        self.clock = clock
        self.starts = 0
        self.store: Store
        self.pipeline: Pipeline
        self.line: Line
        self.acks: dict[str, bytes] = {}
        self._last: Sequence[Told] = ()

    async def opened(self) -> Store:
        return open_store(self.where)

    async def connected(self) -> Line:
        return OverMqtt(self.pipeline)

    async def start(self) -> None:
        self.starts += 1
        self.store = await self.opened()
        self.pipeline = Pipeline(self.store, COLLECTOR_KEY, UNITS, clock=self.clock.read)
        await self.pipeline.start(shipped_text(), RULES, None, (shipped_policy(), site_policy()))
        self.line = await self.connected()

    async def disconnected(self) -> None:
        self.acks |= self.line.acks
        await self.line.close()

    async def stop(self) -> None:
        await self.disconnected()
        await self.pipeline.stop()
        self.store.close()

    async def kill(self) -> None:
        await self.disconnected()
        self.store.close()

    async def end(self) -> None:
        """As it stands, for those who compare."""
        await self.kill()

    async def again(self) -> None:
        """Begun anew after a kill: whoever has heard no word sends once more what is stored already. A will is kept again, and changes nothing."""
        await self.start()
        await self.line.send([one for one in self._last if one.facts.get("state") != "offline"])

    async def hear(self, messages: Sequence[Told]) -> None:
        before = self.pipeline.journal.n
        await self.line.send(messages)
        await self.line.stored(before + len(messages))
        self._last = messages

    async def passed(self) -> None:
        """Time alone, up to now."""
        await self.pipeline.take([])


class Large(Small):
    """A database whose lease says who writes. month: UTC ns, of what goes through the broker."""

    def __init__(self, clock: Clock, where: Postgres, broker: Broker | None, month: tuple[int, int], folder: Path) -> None:  # fmt: skip
        super().__init__(clock, where)
        self._of, self._broker, self._month, self._folder = where, broker, month, folder
        self._lease: Lease
        self._renewing: asyncio.Task[None]
        self._over_broker = False
        self.through_broker = 0

    async def opened(self) -> Store:
        self._lease = Lease(self._of, holder=f"collector {self.starts}", good_s=LEASE_S)
        async with asyncio.timeout(TAKEN_S):
            while not await asyncio.to_thread(self._lease.acquire):
                await asyncio.sleep(ASK_S)
        self._renewing = asyncio.create_task(self._renew(self._lease))
        return open_store(self.where, self._lease)

    async def _renew(self, lease: Lease) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            with suppress(StoreError):
                await asyncio.to_thread(lease.renew)

    async def connected(self) -> Line:
        self._over_broker = self._broker is not None and self._month[0] <= self.clock.now < self._month[1]
        if self._over_broker:
            assert self._broker is not None
            line = OverRabbitMq(self.pipeline, self._of, self._lease.epoch, self._broker, self._folder)
            return await line.open()
        return await ThroughOpener(self.pipeline, self._of, self._lease.epoch).open()

    async def hear(self, messages: Sequence[Told]) -> None:
        if self._broker is not None and self._over_broker != (self._month[0] <= self.clock.now < self._month[1]):
            await self.disconnected()
            self.line = await self.connected()
        self.through_broker += len(messages) * self._over_broker
        await super().hear(messages)

    async def stop(self) -> None:
        await super().stop()
        await self._let_go()
        self._give_back()

    def _give_back(self) -> None:
        self._lease.release()
        self._lease.close()

    async def _let_go(self) -> None:
        self._renewing.cancel()
        await asyncio.gather(self._renewing, return_exceptions=True)

    async def kill(self) -> None:
        """It says nothing and gives nothing back; its connection stays open, as that of a machine which only was cut off."""
        await self.disconnected()
        await self._let_go()

    async def end(self) -> None:
        await super().end()
        self.store.close()
        self._give_back()

    async def again(self) -> None:
        """Another holder, once the lease has run out. The one before wakes up behind it and can write nothing."""
        store, pipeline, lease = self.store, self.pipeline, self._lease
        await super().again()
        with pytest.raises(FencedError):
            await pipeline.operate({"action": "note", "actor": "lin", "terminal": "", "text": "is anybody there"})
        store.close()
        lease.close()


def in_groups(told: Iterable[Told]) -> Iterator[list[Told]]:
    """What comes at one moment from one terminal, as far as its window goes; everything else for itself."""
    for (kind, _, _), some in groupby(told, lambda one: (one.kind, one.at, one.terminal)):
        together = list(some)
        most = WINDOW if kind is Kind.BATCH else 1
        yield from (together[i : i + most] for i in range(0, len(together), most))


async def lives_through(year: Year, one: Small) -> None:
    killed = False
    for group in in_groups(year.told):
        what = group[0]
        one.clock.now = what.at
        match what.kind:
            case Kind.BATCH | Kind.LIFE:
                await one.hear(group)
            case Kind.STARTED if killed:
                await one.again()
                killed = False
            case Kind.STARTED:
                await one.start()
            case Kind.STOPPED:
                await one.stop()
            case Kind.RULES_CHANGED:
                pass  # they come with the first start
            case Kind.FINDING:
                await one.pipeline.foretold(what.facts)
            case _:
                await one.pipeline.operate(dict(what.facts))
        if what.killed:
            killed = True
            await one.kill()
    one.clock.now = year.end
    await one.passed()
    await one.end()
