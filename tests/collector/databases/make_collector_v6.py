"""Makes collector_v6.db: a collector's file as the sixth schema kept it, with what the predictions said of one terminal beside what collector_v5.db has. It
was run once, with the last version that wrote this schema; a kept file is never made again.

python -m tests.collector.databases.make_collector_v6 FILE
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

from tests.collector.conftest import World
from tests.collector.sending import S
from tests.collector.stories.foreseen import found
from tillwatch.collector.predict.finding import Grade


async def main(path: Path) -> None:
    shutil.copy(Path(__file__).with_name("collector_v5.db"), path)
    world = World(path)
    world.now = world.pipeline.fold.advanced_to + S
    await world.start()
    grade = Grade("atm-1", "high", 0.6, world.now, world.now, pace=0.5)
    findings = [found("atm-1", "ups", world.now).facts()]
    facts = {"position": world.pipeline.journal.n, "findings": findings, "grades": [grade.facts()]}
    await world.pipeline.foretold({**facts, "actor": "predictions"})
    await world.pipeline.stop()
    world.store.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    world.store.conn.execute("VACUUM")
    world.store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
