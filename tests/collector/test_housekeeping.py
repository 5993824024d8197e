"""What the collector forgets of its own accord, and what it does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.collector.conftest import World
from tests.collector.packed import FOREVER, keep_house
from tests.collector.sending import T0, S, Sender, reading
from tillwatch.collector.housekeeping import Housekeeping
from tillwatch.collector.sections import RetentionSection
from tillwatch.collector.store.compaction import Change, Compactor

DAY = 86_400 * S
RULES = """
[fold]
silent_least = "60d"
default_interval = "60d"
[[rule]]
id = "disk.full"
for = "0s"
hold = "0s"
"""


async def at(world: World, now: int) -> None:
    """The time of the store is that of its last entry."""
    world.now = now
    await world.pipeline.operate({"action": "export", "actor": "test"})


async def test_messages_to_ticket_systems_are_kept_as_long_as_readings(world: World) -> None:
    await world.start(RULES)
    atm = Sender("atm-1")
    await atm.enrol(world.pipeline)
    await world.pipeline.take([atm.life(world.now)])
    for value in (99.0, 10.0):
        world.now += 60 * S
        disk = reading("host/disk:/", "host.disk.percent", world.now, value)
        await world.pipeline.take([atm.batch([disk], world.now)])
        await world.tick(world.now + S)

    def ops() -> list[str]:
        return [op for (op,) in world.store.conn.execute("SELECT op FROM outbox ORDER BY id")]

    assert ops()[0] == "open"
    assert ops()[-1] == "resolve"
    incidents = world.store.conn.execute("SELECT count(*) FROM incident").fetchone()
    await at(world, T0 + 31 * DAY)
    assert ops()[-1] == "update", "nobody confirmed it for a week, and its ticket was told"
    world.store.conn.execute("UPDATE outbox SET state = 'done', done_at = ?", (T0 + DAY,))
    await keep_house(world, RetentionSection(keep=30 * 86_400.0))
    await keep_house(world, FOREVER)
    assert ops()
    await at(world, world.now + S)
    await keep_house(world, RetentionSection(keep=30 * 86_400.0))
    assert ops() == []
    assert world.store.conn.execute("SELECT count(*) FROM incident").fetchone() == incidents


class Endless(Compactor):
    """Its first look at what is due does not come back by itself."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.looks, self.looked = threading.Event(), threading.Event()

    def steps(self) -> Iterator[Change]:
        self.db.create_function("looks", 0, self.looks.set)
        try:
            self.db.execute("WITH RECURSIVE n(i) AS (SELECT looks() UNION ALL SELECT 1 FROM n) SELECT count(*) FROM n")
        finally:
            self.looked.set()
        yield from super().steps()


async def test_an_end_ends_the_look_that_is_under_way(world: World) -> None:
    """The connection is closed next: under a query that runs in another thread, that takes the whole process with it."""
    await world.start()
    compactor = Endless(world.path)
    house = asyncio.create_task(Housekeeping(world.pipeline, compactor, FOREVER).run())
    assert await asyncio.to_thread(compactor.looks.wait, 30)
    house.cancel()
    done, _ = await asyncio.wait({house}, timeout=30)
    ended = compactor.looked.is_set()
    compactor.db.interrupt()
    assert await asyncio.to_thread(compactor.looked.wait, 30)
    compactor.close()
    assert done
    assert ended
