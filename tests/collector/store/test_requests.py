"""The door: an act at the command line becomes one entry of the journal, whoever writes it, and none is lost or doubled."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tests.collector.sending import Sender
from tillwatch.collector.commands.acts import act
from tillwatch.collector.config import CollectorSection, Config
from tillwatch.collector.journal import Kind
from tillwatch.collector.store import requests
from tillwatch.collector.store.lock import WriterLock
from tillwatch.collector.store.sqlite import open_db


def acts(path: Path) -> list[dict[str, object]]:
    import msgpack

    with closing(open_db(path)) as db:
        return [
            msgpack.unpackb(row[0])
            for row in db.execute("SELECT facts FROM journal WHERE kind = ? ORDER BY n", (Kind.OPERATOR,))
        ]


async def test_the_running_collector_journals_an_act_once(world: World) -> None:
    await world.start()
    with closing(open_db(world.path)) as db:
        number = requests.ask(db, {"action": "token", "actor": "anna", "terminal": "atm-1"})
        assert requests.waits(db, number)
        await world.pipeline.take_requests()
        await world.pipeline.take_requests()
        assert not requests.waits(db, number)
    assert acts(world.path) == [{"action": "token", "actor": "anna", "terminal": "atm-1"}]


async def test_an_act_that_cannot_be_folded_is_dropped_and_nothing_else(world: World) -> None:
    await world.start()
    await Sender("atm-1").enrol(world.pipeline)
    with closing(open_db(world.path)) as db:
        requests.ask(db, {"action": "enrol", "actor": "anna", "terminal": "atm-2"})
        requests.ask(db, {"action": "export", "actor": "anna"})
        await world.pipeline.take_requests()
        assert requests.waiting(db) == []
    assert [each["action"] for each in acts(world.path)] == ["enrol", "export"]
    assert set(world.pipeline.fold.fleet.terminals) == {"atm-1"}
    assert world.restart().pipeline.journal.digest == world.pipeline.journal.digest


def test_without_a_collector_the_command_journals_it_itself(tmp_path: Path) -> None:
    config = Config(collector=CollectorSection(data_dir=tmp_path))
    act(config, {"action": "export"})
    act(config, {"action": "token"})
    assert [each["action"] for each in acts(config.database)] == ["export", "token"]
    assert all(each["actor"] for each in acts(config.database))


async def test_what_waits_is_journaled_by_the_next_start(world: World) -> None:
    with closing(open_db(world.path)) as db:
        requests.ask(db, {"action": "token", "actor": "anna"})
    await world.start()
    assert [each["action"] for each in acts(world.path)] == ["token"]


async def test_a_command_beside_a_collector_waits_for_it(tmp_path: Path) -> None:
    config = Config(collector=CollectorSection(data_dir=tmp_path))
    lock = WriterLock(config.database)
    assert lock.take()
    world = World(config.database)
    await world.start()
    asking = asyncio.create_task(asyncio.to_thread(act, config, {"action": "export"}))
    async with asyncio.timeout(10):
        while not asking.done():
            await world.pipeline.take_requests()
            await asyncio.sleep(0.01)
    await asking
    assert [each["action"] for each in acts(config.database)] == ["export"]
    assert not WriterLock(config.database).take()
    lock.release()


def test_bounds_are_told(tmp_path: Path) -> None:
    with closing(open_db(tmp_path / "c.db")) as db:
        with pytest.raises(requests.RequestError, match="an action and an actor"):
            requests.ask(db, {"action": "export"})
        with pytest.raises(requests.RequestError, match="the limit is"):
            requests.ask(db, {"action": "export", "actor": "x" * requests.MAX_FACTS})
        for _ in range(requests.MAX_WAITING):
            requests.ask(db, {"action": "export", "actor": "anna"})
        with pytest.raises(requests.RequestError, match="wait for the collector"):
            requests.ask(db, {"action": "export", "actor": "anna"})
