"""The door: an act at the command line becomes one entry of the journal, whoever writes it, and none is lost or doubled."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tests.collector.sending import Sender
from tests.collector.stories.foreseen import found
from tillwatch.collector.commands.acts import act
from tillwatch.collector.config import Config
from tillwatch.collector.journal import Kind
from tillwatch.collector.proof import audit
from tillwatch.collector.proof.verify import verify_log
from tillwatch.collector.sections import CollectorSection
from tillwatch.collector.store import requests
from tillwatch.collector.store.lock import WriterLock
from tillwatch.collector.store.log import Log
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


async def test_what_the_predictions_say_is_a_fact_and_nobodys_act(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """In the place and order in which it was left; what has another form is dropped with one line, and stops nothing."""
    await world.start()
    await Sender("atm-1").enrol(world.pipeline)
    said = {"action": requests.FINDINGS, "actor": "predictions", "part": 0}
    good = [found("atm-1", "ups", world.now).facts()]
    with closing(open_db(world.path)) as db:
        for position, findings in ((1, good), (2, [{"id": "?"}]), (2, "x" * 9), (1, good)):
            requests.ask(db, {**said, "position": position, "findings": findings})
        requests.ask(db, {"action": "export", "actor": "anna"})
        assert [each["action"] for each in audit.waiting(db)] == ["export"]
        await world.pipeline.take_requests()
        assert requests.waiting(db) == []
        listed = [each.action for each in audit.acts(db)]
    assert listed == ["started", "rules", "enrol", "export"]
    assert [each.message.partition(" is dropped")[0] for each in caplog.records] == [
        "what the predictions left at position 2"
    ] * 2
    entries = [each.entry for each in Log(world.store.conn).walk(lambda fault: pytest.fail(fault.text))]
    (fact,) = [each for each in entries if each.kind is Kind.FINDING]
    assert (fact.terminal, fact.payload, fact.facts_map()["findings"]) == ("", None, good)
    assert set(fact.facts_map()) == {"position", "part", "actor", "findings"}
    assert verify_log(world.store.conn, None).ok
    assert len(world.restart().pipeline.fold.foretelling.open) == 1


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
    async with asyncio.timeout(60):
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
