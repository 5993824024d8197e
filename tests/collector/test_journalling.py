"""What happens becomes record as a whole or not at all: over a store that refuses, a kill at any statement, a restart and a rebuild."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.collector.conftest import World
from tests.collector.sending import T0, S, Sender, reading
from tests.collector.test_pipeline import RULES, disk, opened, rows
from tillwatch.agent.wire import AckState
from tillwatch.collector import journalling
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.store.db import Db, Where
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.store.whereabouts import as_text

KILLED_COLLECTOR = Path(__file__).with_name("killed_collector.py")


async def test_a_store_that_refuses_leaves_nothing_half_done(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    (pages,) = world.store.conn.execute("PRAGMA page_count").fetchone()
    world.store.conn.execute(f"PRAGMA max_page_count = {pages + 8}")
    readings = [reading(f"host/disk:/{i:03}", "host.disk.percent", T0, 99.5) for i in range(900)]
    big = atm.batch(readings, T0)
    with pytest.raises(StoreError, match="nothing of this group was stored"):
        await world.pipeline.take([big])
    assert world.pipeline.fold.fleet.terminals["atm-1"].streams[atm.epoch].mark == 0
    world.store.conn.execute("PRAGMA max_page_count = 1000000")
    replies = await world.pipeline.take([big])
    assert replies["atm-1"].state is AckState.OK
    assert rows(world, "SELECT count(*) FROM journal WHERE kind = 3") == [(1,)]


async def test_a_kill_and_a_restart_change_nothing_and_the_downtime_is_no_silence(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    await world.pipeline.take([atm.batch(disk(T0, 95, 95, 95, 95, 95, 95), T0 + 6 * S)])
    before = tables(world.store.conn)
    again = world.restart()
    assert tables(again.store.conn) == before
    again.now = T0 + 3600 * S
    await again.start(RULES)
    await again.tick(again.now + 9 * S)
    assert dict(rows(again, "SELECT rule, condition FROM alarm")) == {"disk.full": "active"}
    await again.tick(again.now + 60 * S)
    assert dict(rows(again, "SELECT rule, condition FROM alarm"))["terminal.silent"] == "active"
    again.store.close()


async def test_a_rebuild_from_the_journal_gives_the_same_state(world: World) -> None:
    senders = await opened(world, "atm-1", "atm-2", "atm-3")
    for i in range(60):
        world.now = T0 + i * 2 * S
        await world.tick(world.now)
        group = []
        for k, sender in enumerate(senders):
            if k == 2 and 20 < i < 40:
                continue
            value = 99.0 if (i // 7 + k) % 3 == 0 else 50.0 + k / 3
            source = "battery" if i % 11 == k else "normal"
            group.append(
                sender.batch(
                    [*disk(world.now, value, value + 0.1), reading("ups", "ups.output.source", world.now, source)],
                    world.now,
                )
            )
        await world.pipeline.take(group)
        if i == 30:
            world = world.restart()
            world.now += 50 * S
            await world.start(RULES)
    await world.pipeline.stop()
    assert len(rows(world, "SELECT * FROM alarm")) > 4
    copy = world.path.with_name("rebuilt.db")
    assert rebuild(world.path, copy) == world.pipeline.journal.n
    again = sqlite3.connect(copy)
    assert tables(again) == tables(world.store.conn)
    again.close()


@pytest.mark.parametrize("engine", ["file", pytest.param("postgres", marks=pytest.mark.long)])
async def test_a_collector_killed_anywhere_in_its_commit_or_before_its_ack_stores_all_or_nothing_and_once(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    where: Where = request.getfixturevalue("database") if engine == "postgres" else tmp_path / "collector.db"
    path = os.pathsep.join([str(KILLED_COLLECTOR.parents[2]), *sys.path])
    done = subprocess.run(
        [sys.executable, KILLED_COLLECTOR, as_text(where)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    *killed, stored, last = [json.loads(line) for line in done.stdout.splitlines()] or [{}, {}]
    assert len(killed) > 10, f"a group is more statements than these: {done.stdout}\n{done.stderr}"
    assert killed == [{"ended": -signal.SIGKILL, "batches": 0, "mark": 0, "alarms": 0, "outbox": 0}] * len(killed)
    assert stored == {"ended": -signal.SIGKILL, "batches": 2, "mark": 2, "alarms": 1, "outbox": 1}, (
        "stored, and nobody was told"
    )
    assert last == {**stored, "ended": 2}, "known again as stored, and acknowledged"
    if isinstance(where, Path):
        copy = where.with_name("rebuilt.db")
        rebuild(where, copy)
        with closing(sqlite3.connect(where)) as old, closing(sqlite3.connect(copy)) as new:
            assert tables(new) == tables(old)


async def test_nobody_asks_the_store_while_a_change_of_it_is_under_way_in_a_thread(world: World) -> None:
    """It has one connection. SQLite lets two threads take turns on it; on PostgreSQL the second one's words end up in the middle of the first one's."""
    await world.start()
    begun, goes_on = threading.Event(), threading.Event()

    def change(_: Db) -> None:
        begun.set()
        assert goes_on.wait(10)

    changing = asyncio.create_task(world.pipeline.change(change))
    assert await asyncio.to_thread(begun.wait, 10)
    asking = asyncio.create_task(world.pipeline.take_requests())
    try:
        done, _ = await asyncio.wait({asking}, timeout=0.2)
        assert not done
    finally:
        goes_on.set()
        await asyncio.gather(changing, asking)


async def test_a_region_that_falls_silent_at_once_is_taken_step_by_step_and_goes_on_where_a_store_refused(
    worlds: Callable[[str], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables are those of a collector that did it in one go; and every step is kept before the next."""

    async def silenced(world: World) -> None:
        await world.start()
        for n in range(40):
            atm = Sender(f"atm-{n}")
            await atm.enrol(world.pipeline)
            await world.pipeline.take(
                [atm.life(world.now), atm.batch([reading("disk", "drive.wear", world.now, 1.0)], world.now)]
            )
            world.now += S

    at_once, stepped = worlds("at-once"), worlds("stepped")
    await silenced(at_once)
    await at_once.tick(at_once.now + 3600 * S)
    monkeypatch.setattr(journalling, "STEP", 7)
    await silenced(stepped)
    stepped.now += 3600 * S
    kept, commits, end = stepped.pipeline.kept, iter(range(100)), stepped.store.end

    def refusing(group: Any, **how: Any) -> None:
        if next(commits) == 2:
            stepped.store.abandon()
            raise StoreError("full")
        end(group, **how)

    monkeypatch.setattr(stepped.store, "end", refusing)
    with pytest.raises(StoreError, match="full"):
        await stepped.pipeline.take([])
    assert stepped.pipeline.kept == kept + 2
    await stepped.pipeline.take([])
    assert stepped.pipeline.kept > kept + 6
    count = stepped.store.conn.execute("SELECT count(*) FROM alarm WHERE rule = 'terminal.silent'").fetchone()
    assert count == (40,)
    assert tables(stepped.store.conn) == tables(at_once.store.conn)
