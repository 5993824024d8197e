"""Calls are taken once, kept before they are answered, and journaled at least once and in order."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from tests.collector.tickets.two_way.following import Clock, Journal
from tillwatch.collector.tickets.delivery import SECOND
from tillwatch.collector.tickets.desks import webhook
from tillwatch.collector.tickets.two_way import inbox as module
from tillwatch.collector.tickets.two_way.inbox import MAX_WAITING, REMEMBERED_NS, FullError, Inbox, changes_of


class Room:
    def __init__(self, path) -> None:
        self.path = path
        self.clock = Clock()
        self.journal = Journal(path)
        self.journal.incident("H-1", "T-1", "webhook")
        self.inbox = self.another()

    def another(self) -> Inbox:
        settings = webhook.Settings(url="https://desk.invalid")
        apply = changes_of("webhook", settings, self.journal)
        return Inbox(lambda: module.connect(self.path), {"webhook": apply}, clock=self.clock, again_s=0.01)

    async def push(self, delivery_id: str, **said) -> bool:
        self.clock.pass_s(1)
        return await self.inbox.take("webhook", delivery_id, json.dumps({"incident": "H-1", **said}).encode())

    def rows(self) -> int:
        return self.journal.conn.execute("SELECT count(*) FROM ticket_inbox").fetchone()[0]


@pytest.fixture
async def room(store):
    made = Room(store)
    yield made
    await made.inbox.close()
    made.journal.conn.close()


async def test_each_call_is_taken_once_for_its_system(room) -> None:
    assert await room.inbox.take("jira", "1")
    assert not await room.inbox.take("jira", "1")
    assert await room.inbox.take("zammad", "1")


async def test_calls_are_journaled_in_their_order(room) -> None:
    await room.push("a", owner="li.wei")
    await room.push("b", state="working")
    await room.push("a", owner="somebody")
    assert await room.inbox.drain()
    assert room.journal.seen() == [("H-1", "open", "li.wei"), ("H-1", "working", "li.wei")]
    assert await room.inbox.drain()
    assert len(room.journal.facts) == 2


async def test_what_was_taken_survives_a_crash(room) -> None:
    await room.push("a", owner="li.wei")
    await room.inbox.close()
    room.inbox = room.another()
    await room.inbox.drain()
    assert room.journal.seen() == [("H-1", "open", "li.wei")]


async def test_crash_after_the_journal_tells_the_same_again(room, monkeypatch) -> None:
    await room.push("a", owner="li.wei")

    def power_cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_applied", power_cut)
        with pytest.raises(KeyboardInterrupt):
            await room.inbox.drain()
    await room.inbox.drain()
    assert room.journal.facts[0] == room.journal.facts[1]
    assert len(room.journal.facts) == 2


async def test_journal_that_takes_nothing_keeps_calls_waiting_in_order(room, caplog) -> None:
    room.journal.fails = 3
    await room.push("a", owner="li.wei")
    await room.push("b", owner="wang")
    for _ in range(3):
        assert not await room.inbox.drain()
    assert sum("could not be journaled" in line for line in caplog.messages) == 1
    assert await room.inbox.drain()
    assert [each[2] for each in room.journal.seen()] == ["li.wei", "wang"]


@pytest.mark.parametrize("body", [b"nonsense", b'{"incident": "H-404"}', b'{"incident": "H-1", "state": "odd"}'])
async def test_call_that_says_nothing_stops_no_other(room, body, caplog) -> None:
    await room.inbox.take("webhook", "bad", body)
    await room.push("good", owner="li.wei")
    assert await room.inbox.drain()
    assert room.journal.seen() == [("H-1", "open", "li.wei")]
    assert sum("nothing that could be kept" in line for line in caplog.messages) == 1


async def test_ids_are_remembered_for_three_days(room) -> None:
    await room.push("a", owner="li.wei")
    await room.inbox.drain()
    room.clock.pass_s(REMEMBERED_NS / SECOND - 10)
    await room.inbox.drain()
    assert not await room.inbox.take("webhook", "a", b"{}")
    room.clock.pass_s(3700)
    await room.inbox.drain()
    assert room.rows() == 0


async def test_number_of_ids_is_bounded(room, monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_REMEMBERED", 3)
    for number in range(6):
        room.clock.pass_s(1)
        await room.inbox.take("jira", str(number))
    await room.inbox.drain()
    assert room.rows() == 3
    assert not await room.inbox.take("jira", "5")


async def test_number_that_waits_is_bounded(room, monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    assert MAX_WAITING > 2
    await room.push("a")
    await room.push("b")
    with pytest.raises(FullError):
        await room.push("c")
    await room.inbox.drain()
    assert await room.push("c")


async def test_task_journals_what_comes_and_tries_again(room, until) -> None:
    task = asyncio.create_task(room.inbox.run())
    room.journal.fails = 2
    await room.push("a", owner="li.wei")
    await until(lambda: room.journal.facts)
    await room.push("b", owner="wang")
    await until(lambda: len(room.journal.facts) == 2)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
