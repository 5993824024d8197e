"""The fold of a large installation whose lease another one takes, with nothing that watches over it: `python fenced_holder.py URL FOLDER` says `folds`, loses the lease, is
handed a batch, and ends as it ends.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any, cast

from tests.collector.conftest import World
from tests.collector.sending import T0, S
from tests.collector.test_ingest import Handed
from tests.collector.test_pipeline import disk, opened
from tillwatch.collector import service
from tillwatch.collector.config import load_config
from tillwatch.collector.ingest import Ingest
from tillwatch.collector.scaled import Holding
from tillwatch.collector.store.db import Postgres
from tillwatch.collector.store.postgres.lease import Lease
from tillwatch.collector.store.postgres.store import PostgresStore


async def fold(where: Postgres, folder: Path) -> None:
    lease = Lease(where, holder="fenced", good_s=600.0)
    assert lease.acquire()
    world = World(folder / "nowhere.db", where)
    assert isinstance(world.store, PostgresStore)
    world.store.fence = lease
    (atm,) = await opened(world, "atm-1")
    intake = Handed()
    ended = asyncio.Event()
    holding = Holding(lease, cast("Any", None), time.monotonic(), ended, console=False)
    tasks: set[asyncio.Task[Any]] = {
        asyncio.create_task(Ingest(world.pipeline, intake, max_n=100, max_wait_s=0).run(), name="ingest"),
        asyncio.create_task(service._fenced(load_config(None), world.pipeline, holding), name="fold"),
    }
    print("folds", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    intake.groups.put_nowait([atm.batch(disk(T0, 99.0), T0 + S)])
    code = await service._until(ended, tasks)
    print("went on after", code, intake.acks, flush=True)


asyncio.run(fold(Postgres(sys.argv[1]), Path(sys.argv[2])))
