"""What people did on the console becomes record, also where the collector was away, and never twice as much as it must."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tests.collector.people.peopled import BASE, BY
from tillwatch.collector.people import accounts
from tillwatch.collector.people.accounts import Person
from tillwatch.collector.people.console_db import ConsoleDbError, open_console, say, transaction, unsaid
from tillwatch.collector.people.recording import MAX_REFUSALS, MINUTE_NS, ROOM, Recorder, Refusals
from tillwatch.collector.people.roles import Role
from tillwatch.collector.proof.audit import acts
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.store import requests

FACTS = {"action": "sign-in-refused", "actor": "", "reason": "password"}


def test_refusals_are_told_one_by_one_until_there_are_many():
    refusals = Refusals()
    told = [facts for k in range(MAX_REFUSALS + 5) for facts in refusals.take(FACTS, BASE + k)]
    assert len(told) == MAX_REFUSALS
    assert refusals.due(BASE + MINUTE_NS - 1) == []
    [summed] = refusals.due(BASE + MINUTE_NS)
    assert (summed["reason"], summed["count"], summed["at"]) == ("many", 5, BASE)
    assert refusals.due(BASE + 10 * MINUTE_NS) == []
    assert refusals.take(FACTS, BASE + 10 * MINUTE_NS) == [FACTS]


@pytest.fixture
def console(tmp_path):
    db = open_console(tmp_path / "console.db")
    yield db
    db.close()


async def test_what_was_done_while_the_collector_was_away_is_journaled_when_it_runs(world, console, tmp_path):
    recorder = Recorder(tmp_path / "console.db", world.path)
    with transaction(console):
        accounts.add(console, Person("li.wei", "", Role.TECHNICIAN), BY)
        say(console, BY.facts("sign-in", way="password", at=BASE))
    assert recorder.turn() == 2
    assert (unsaid(console), recorder.turn()) == ([], 0)
    await world.start()
    await world.pipeline.take_requests()
    told = [
        (act.action, act.actor, act.detail.get("person"))
        for act in acts(world.store.conn)
        if act.action in {"person", "sign-in"}
    ]
    assert told == [("person", "root", "li.wei"), ("sign-in", "root", None)]
    rebuild(world.path, tmp_path / "again.db")
    with closing(sqlite3.connect(tmp_path / "again.db")) as again:
        assert tables(again) == tables(world.store.conn)
    recorder.close()


async def test_half_of_the_table_stays_for_who_acts_on_alarms(world, console, tmp_path):
    recorder = Recorder(tmp_path / "console.db", world.path)
    with transaction(console):
        for _ in range(ROOM + 20):
            say(console, FACTS)
    while recorder.turn():
        pass
    assert requests.count(world.store.conn) == ROOM
    assert len(unsaid(console, 1000)) == 20
    requests.ask(world.store.conn, {"action": "note", "actor": "li.wei"})
    recorder.close()
    world.store.close()


def test_a_store_that_is_not_there_is_logged_once_and_nothing_is_lost(console, tmp_path, caplog):
    recorder = Recorder(tmp_path / "console.db", tmp_path / "none.db")
    with transaction(console):
        say(console, FACTS)
    assert [recorder.turn(), recorder.turn()] == [0, 0]
    assert [record.message.startswith("what people did waits") for record in caplog.records] == [True]
    assert len(unsaid(console)) == 1
    recorder.close()


def test_where_nothing_can_be_told_any_more_nothing_is_done(console, monkeypatch):
    monkeypatch.setattr("tillwatch.collector.people.console_db.MAX_UNSAID", 2)
    for _ in range(3):
        say(console, FACTS)
    with pytest.raises(ConsoleDbError, match="wait for the collector"), transaction(console):
        accounts.add(console, Person("li.wei", "", Role.VIEWER), BY)
    assert accounts.count(console) == 0
