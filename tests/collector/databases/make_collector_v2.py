"""Makes collector_v2.db: a collector's file with pages and segments, as the second schema kept it, with an alarm open. It was run once, with
the last version that wrote this schema; a kept file is never made again.

python -m tests.collector.databases.make_collector_v2 FILE
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from tests.collector.conftest import World
from tests.collector.packed import keep_house, measured
from tests.collector.sending import S, Sender, reading


async def main(path: Path) -> None:
    world = World(path)
    await world.start()
    chance = random.Random(7)
    atm = Sender("atm-1")
    await atm.enrol(world.pipeline)
    await world.pipeline.take([atm.life(world.now)])
    for _ in range(300):
        world.now += S
        await world.pipeline.take([atm.batch(measured(chance, world.now), world.now)])
    for _ in range(60):
        world.now += 30 * S
        await world.pipeline.take([atm.batch([reading("ups", "ups.output.source", world.now, "battery")], world.now)])
    await keep_house(world)
    await world.pipeline.stop()
    world.store.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    world.store.conn.execute("VACUUM")
    world.store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
