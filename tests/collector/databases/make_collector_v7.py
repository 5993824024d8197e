"""Makes collector_v7.db: a collector's file as the seventh schema kept it, with what people wrote down of one terminal and asked of it beside what collector_v6.db
has. It was run once, with the last version that wrote this schema; a kept file is never made again.

python -m tests.collector.databases.make_collector_v7 FILE
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Any

from tests.collector.conftest import World
from tests.collector.sending import S

ACTS: tuple[dict[str, Any], ...] = (
    {"action": "asset", "fields": {"model": "Eaton 9PX 1500i", "serial": "GA12K00417"}},
    {"action": "terminal-note", "text": "the UPS stands behind the counter; ask for the key"},
    {"action": "command", "kind": "poll-now", "arguments": {"component": "ups"}, "reason": "the ticket says it beeps"},
)


async def main(path: Path) -> None:
    shutil.copy(Path(__file__).with_name("collector_v6.db"), path)
    world = World(path)
    world.now = world.pipeline.fold.advanced_to + S
    await world.start()
    for facts in ACTS:
        await world.pipeline.operate({**facts, "terminal": "atm-1", "actor": "mei"})
    await world.pipeline.stop()
    world.store.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    world.store.conn.execute("VACUUM")
    world.store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
