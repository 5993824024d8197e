"""The loop from the intake to the acks: what is opened ahead is judged by what is known when it is stored, and nothing is acknowledged before."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Mapping

import pytest

from tests.collector.conftest import COLLECTOR_KEY, World
from tests.collector.sending import S, Sender, reading
from tillwatch.agent.wire import Ack, VerifyKey, open_ack
from tillwatch.collector import ingest as ingest_module
from tillwatch.collector.ingest import Ingest
from tillwatch.collector.intake import Message


class Handed:
    """An intake that hands over what the test gives it, and remembers the acks."""

    dropped = 0
    connected = True

    def __init__(self) -> None:
        self.groups: asyncio.Queue[list[Message]] = asyncio.Queue()
        self.acks: list[tuple[str, Ack]] = []
        self.slow: frozenset[str] = frozenset()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def get_batch(self, max_n: int, max_wait_s: float) -> list[Message]:
        return await self.groups.get()

    def publish_command(self, terminal: str, payload: bytes) -> None: ...

    def publish_ack(self, terminal: str, payload: bytes) -> None:
        keys = {COLLECTOR_KEY.key_id: VerifyKey(COLLECTOR_KEY.public)}
        self.acks.append((terminal, open_ack(terminal, payload, keys.get)))

    def refused(self, terminal: str) -> None: ...

    def take_dropped(self) -> Mapping[tuple[str, str], int]:
        return {}

    def settled(self, count: int, *, stored: bool) -> None: ...

    def take_slow(self) -> frozenset[str]:
        slow, self.slow = self.slow, frozenset()
        return slow


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def running(world: World, intake: Handed):
    task = asyncio.create_task(Ingest(world.pipeline, intake, max_n=100, max_wait_s=0).run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def enrolled(world: World) -> Sender:
    await world.start()
    sender = Sender("atm-1")
    await sender.enrol(world.pipeline)
    return sender


def batch(world: World, sender: Sender) -> Message:
    world.now += S
    return sender.batch([reading("host", "host.cpu.percent", world.now, 1.0)], world.now)


async def test_the_next_group_is_opened_while_one_is_written_and_no_ack_comes_before_its_commit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, intake = await enrolled(world), Handed()
    may_end, ends, looked = threading.Event(), world.store.end, []
    look = world.pipeline.look

    def end(group, **how) -> None:
        assert may_end.wait(60)
        ends(group, **how)

    monkeypatch.setattr(world.store, "end", end)
    monkeypatch.setattr(world.pipeline, "look", lambda message: looked.append(message) or look(message))
    intake.groups.put_nowait([batch(world, sender), batch(world, sender)])
    intake.groups.put_nowait([batch(world, sender)])
    async with running(world, intake):
        try:
            await until(lambda: len(looked) == 3)
            assert intake.acks == []
        finally:
            may_end.set()
        await until(lambda: len(intake.acks) == 2)
    assert [(name, ack.seq) for name, ack in intake.acks] == [("atm-1", 2), ("atm-1", 3)]


async def test_a_group_grows_as_long_as_the_one_before_is_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, intake = await enrolled(world), Handed()
    may_end, ends, looked, groups = threading.Event(), world.store.end, [], []
    look, take = world.pipeline.look, world.pipeline.take_opened

    def end(group, **how) -> None:
        assert may_end.wait(60)
        ends(group, **how)

    monkeypatch.setattr(world.store, "end", end)
    monkeypatch.setattr(world.pipeline, "look", lambda message: looked.append(message) or look(message))
    monkeypatch.setattr(world.pipeline, "take_opened", lambda incoming: groups.append(len(incoming)) or take(incoming))
    async with running(world, intake):
        try:
            for count in range(1, 5):
                intake.groups.put_nowait([batch(world, sender)])
                await until(lambda count=count: len(looked) == count)
        finally:
            may_end.set()
        await until(lambda: len(intake.acks) == 2)
        intake.groups.put_nowait([batch(world, sender)])
        await until(lambda: len(intake.acks) == 3)
    assert groups == [1, 3, 1]
    assert [ack.seq for _, ack in intake.acks] == [1, 4, 5]


async def test_who_is_cancelled_while_a_group_grows_leaves_nothing_behind(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, intake = await enrolled(world), Handed()
    may_end, ends, looked = threading.Event(), world.store.end, []
    look = world.pipeline.look

    def end(group, **how) -> None:
        assert may_end.wait(60)
        ends(group, **how)

    monkeypatch.setattr(world.store, "end", end)
    monkeypatch.setattr(world.pipeline, "look", lambda message: looked.append(message) or look(message))
    async with running(world, intake) as task:
        for count in (1, 2):
            intake.groups.put_nowait([batch(world, sender)])
            await until(lambda count=count: len(looked) == count)
        task.cancel()
        may_end.set()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
    assert {each.get_name() for each in asyncio.all_tasks()} == {asyncio.current_task().get_name()}
    assert not world.store.conn.in_transaction


async def test_a_key_that_is_revoked_between_opening_and_storing_stores_nothing(world: World) -> None:
    sender = await enrolled(world)
    incoming = [world.pipeline.look(batch(world, sender))]
    await world.pipeline.operate({"action": "revoke", "terminal": "atm-1", "reason": "stolen"})
    assert await world.pipeline.take_opened(incoming) == {}
    assert world.store.conn.execute("SELECT count(*) FROM journal WHERE kind = 3").fetchone() == (0,)
    assert world.pipeline.refusals.by_reason == {"revoked_key": 1}


async def test_a_terminal_that_is_enrolled_between_opening_and_storing_is_heard(world: World) -> None:
    await world.start()
    sender = Sender("atm-1")
    incoming = [world.pipeline.look(batch(world, sender))]
    await sender.enrol(world.pipeline)
    replies = await world.pipeline.take_opened(incoming)
    assert list(replies) == ["atm-1"]
    assert world.store.conn.execute("SELECT count(*) FROM journal WHERE kind = 3").fetchone() == (1,)


@pytest.mark.parametrize("step", ["begin", "write", "end"])
async def test_a_store_that_refuses_at_any_step_is_tried_again_and_keeps_nothing_of_the_group(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    sender, intake = await enrolled(world), Handed()
    real, failing = getattr(world.store, step), [True]

    def refuse(*args, **how) -> None:
        if failing:
            failing.clear()
            with world.store._undone("nothing of this group was stored"):
                raise sqlite3.OperationalError("database or disk is full")
        real(*args, **how)

    monkeypatch.setattr(world.store, step, refuse)
    monkeypatch.setattr(ingest_module, "RETRY_S", 0.0)
    first = batch(world, sender)
    intake.groups.put_nowait([first])
    async with running(world, intake):
        await until(lambda: not failing)
        await until(lambda: "the store does not take readings" in caplog.text)
        assert (intake.acks, world.store.conn.in_transaction) == ([], False)
        intake.groups.put_nowait([first])
        await until(lambda: intake.acks)
    assert [ack.seq for _, ack in intake.acks] == [1]
    assert "the store takes readings again" in caplog.text
    assert world.store.conn.execute("SELECT count(*) FROM journal WHERE kind = 3").fetchone() == (1,)


async def test_who_is_cancelled_in_the_middle_of_a_write_leaves_no_open_transaction(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, intake = await enrolled(world), Handed()
    begun, go_on, begin = threading.Event(), threading.Event(), world.store.begin

    def slow() -> None:
        begin()
        begun.set()
        assert go_on.wait(60)

    monkeypatch.setattr(world.store, "begin", slow)
    intake.groups.put_nowait([batch(world, sender)])
    async with running(world, intake) as task:
        await until(begun.is_set)
        task.cancel()
        await asyncio.sleep(0)
        go_on.set()
    monkeypatch.undo()
    assert not world.store.conn.in_transaction
    await world.pipeline.stop()
    assert intake.acks == []


async def test_a_terminal_whose_messages_were_dropped_is_told_to_slow_down(world: World) -> None:
    sender, intake = await enrolled(world), Handed()
    intake.groups.put_nowait([batch(world, sender)])
    async with running(world, intake):
        await until(lambda: intake.acks)
        intake.slow = frozenset({"atm-1", "stranger"})
        intake.groups.put_nowait([])
        await until(lambda: len(intake.acks) == 2)
    assert [(name, ack.state.value) for name, ack in intake.acks] == [("atm-1", "ok"), ("atm-1", "slow")]
