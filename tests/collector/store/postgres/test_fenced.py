"""Who meets in a commit that another one is the writer ends, and waits neither for its watch over the lease nor for a better time."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tests.collector.sending import T0, S
from tests.collector.test_ingest import Handed
from tests.collector.test_pipeline import disk, opened, rows
from tests.scale.servers.postgres import Server
from tillwatch.collector import ingest, scaled, service
from tillwatch.collector.store.db import Postgres
from tillwatch.collector.store.postgres.lease import Lease
from tillwatch.collector.store.postgres.store import PostgresStore
from tillwatch.collector.store.sqlite import FencedError

HOLDER = Path(__file__).with_name("fenced_holder.py")
WAIT_S = 60.0
TAKEN = "UPDATE lease SET holder = 'another', epoch = epoch + 1, until = clock_timestamp() + interval '1 hour'"


async def test_the_loop_ends_with_the_first_group_that_is_refused_so(
    database: Postgres, postgres_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "RETRY_S", 10 * WAIT_S)
    world = World(tmp_path / "nowhere.db", database)
    assert isinstance(world.store, PostgresStore)
    with closing(Lease(database, good_s=600.0)) as lease:
        assert lease.acquire()
        world.store.fence = lease
        (atm,) = await opened(world, "atm-1")
        postgres_server.sql(TAKEN, database=database.url.rpartition("/")[2])
        intake = Handed()
        intake.groups.put_nowait([atm.batch(disk(T0, 99.0), T0 + S)])
        loop = asyncio.create_task(ingest.Ingest(world.pipeline, intake, max_n=100, max_wait_s=0).run(), name="ingest")
        async with asyncio.timeout(WAIT_S):
            assert await service._until(asyncio.Event(), {loop}) == scaled.FENCED_EXIT
        assert isinstance(loop.exception(), FencedError)
        assert lease.until, "nobody has told it"
    assert world.pipeline.fenced.is_set()
    assert intake.acks == []
    assert rows(world, "SELECT count(*) FROM journal WHERE kind = 3") == [(0,)]
    world.store.close()


async def test_so_does_whatever_else_is_written(database: Postgres, postgres_server: Server, tmp_path: Path) -> None:
    for write in ("operate", "change", "stop"):
        world = World(tmp_path / "nowhere.db", database)
        assert isinstance(world.store, PostgresStore)
        with closing(Lease(database, name=f"fold_{write}", good_s=600.0)) as lease:
            assert lease.acquire()
            world.store.fence = lease
            await world.start()
            postgres_server.sql(TAKEN, database=database.url.rpartition("/")[2])
            given = {"operate": ({"action": "configure", "changed": {}},), "change": (lambda _: None,), "stop": ()}
            with pytest.raises(FencedError):
                await getattr(world.pipeline, write)(*given[write])
        assert world.pipeline.fenced.is_set()
        world.store.close()


def test_the_process_of_a_large_installation_ends_with_75(
    database: Postgres, postgres_server: Server, tmp_path: Path
) -> None:
    path = os.pathsep.join([str(HOLDER.parents[4]), *sys.path])
    holder = subprocess.Popen(
        [sys.executable, HOLDER, database.url, tmp_path],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "folds\n"
        postgres_server.sql(TAKEN, database=database.url.rpartition("/")[2])
        said, _ = holder.communicate("go on\n", WAIT_S)
        assert (holder.returncode, said) == (scaled.FENCED_EXIT, "")
    finally:
        holder.kill()
        holder.wait()
