"""The same exporter over PostgreSQL, on one collector and then on the next one."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tests.collector.packed import keep_house
from tests.collector.series.written import lived, shown
from tests.collector.watch.running import until
from tests.scale.copied import copied
from tests.scale.servers.victoriametrics import VictoriaMetrics
from tillwatch.collector.series import victoriametrics
from tillwatch.collector.series.__main__ import follow
from tillwatch.collector.series.kept import KeptFile, KeptRow, Mark, Standing
from tillwatch.collector.series.settings import SinkSettings
from tillwatch.collector.store.db import Postgres
from tillwatch.collector.store.whereabouts import anchor


async def followed(where: Postgres, url: str, head: int) -> Standing:
    """Until the sink has everything."""
    ended = threading.Event()
    sinks = {"shared": SinkSettings(kind="victoriametrics", url=url)}
    running = asyncio.create_task(asyncio.to_thread(follow, where, sinks, ended))
    file = KeptFile(anchor(where), "shared")
    try:
        await until(
            lambda: running.done() or ((kept := file.load()) and kept.position.n == head), what="the last entry"
        )
    finally:
        ended.set()
        await running
    found = file.load()
    assert found is not None
    return found


async def test_the_next_collector_goes_on_where_the_last_one_was(
    world: World, database: Postgres, shared_victoria: VictoriaMetrics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(victoriametrics.VictoriaMetrics, "settles_s", 0.0)
    monkeypatch.setattr("tillwatch.collector.series.exporter.TELL_S", 0.1)
    _, sent = await lived(world, 400, "shared-1")
    await keep_house(world)
    head = world.pipeline.journal.n
    world.store.close()
    copied(world.path, database)
    one, two = (replace(database, data_dir=tmp_path / name) for name in ("one", "two"))
    first = await followed(one, shared_victoria.url, head)
    assert shared_victoria.exported('{terminal="shared-1"}') == shown(sent)
    assert first.points > 0
    row = KeptRow(two, "shared").load()
    assert row is not None
    assert row.position == first.position
    second = await followed(two, shared_victoria.url, head)
    assert second.points == first.points, "nothing is written again"
    assert second.position == first.position


def test_what_is_in_the_store_is_read_again(database: Postgres) -> None:
    row = KeptRow(database, "one")
    assert row.load() is None
    said = Standing(kind="influxdb", position=Mark(3, b"\x02" * 32, 9), note="一")
    row.save(replace(said, points=1))
    row.save(said)
    assert row.load() == said
    assert KeptRow(database, "two").load() is None
