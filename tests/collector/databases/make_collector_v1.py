"""Makes collector_v1.db: a collector's file as version 0.1.0 wrote it. It was run once, with that version; a kept file is never made again.

python -m tests.collector.databases.make_collector_v1 FILE
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from tests.collector.conftest import World
from tests.collector.sending import T0, S, Sender, reading

STEP = 10 * S


async def main(path: Path) -> None:
    world = World(path)
    await world.start()
    chance = random.Random(7)
    senders = [Sender("atm-1"), Sender("atm-2")]
    for sender in senders:
        await sender.enrol(world.pipeline)
        await world.pipeline.take([sender.life(world.now)])
    for i in range(30):
        world.now = T0 + i * STEP
        values = [
            ("ups.input.voltage", round(230 + chance.random() * 4, 1)),
            ("ups.output.source", "battery" if 10 < i < 20 else "normal"),
        ]
        readings = [reading("ups", signal, world.now, value) for signal, value in values]
        await world.pipeline.take([sender.batch(readings, world.now) for sender in senders])
    await world.pipeline.stop()
    world.store.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    world.store.conn.execute("VACUUM")
    world.store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
