"""What every store promises, on each of them: all of a group or nothing, one state for each reader, the same rows from the same entries."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.collector.conftest import World
from tests.collector.packed import keep_house
from tests.collector.sending import T0, S, Sender, reading
from tests.collector.test_pipeline import RULES, disk, opened, rows
from tests.scale.servers.postgres import Server
from tillwatch.agent.wire import AckState
from tillwatch.collector.journal import Kind
from tillwatch.collector.proof.rebuild import RECORD_TABLES, rebuild, tables
from tillwatch.collector.proof.verify import verify_log
from tillwatch.collector.store.db import Db, Where, connect
from tillwatch.collector.store.opening import open_db, open_reader
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.tickets.message import Op, TicketMessage
from tillwatch.collector.tickets.port import Destination, Leg

ENGINES = ("file", "postgres")
ALL = ("token", "outbox", "ticket_link", "meta", "operator_request", "sync_cursor", "ticket_inbox", *RECORD_TABLES)
"""Beside those that the fold makes."""
MAX_EXAMPLES = 4
"""Each makes a database of its own."""
NAMES = ("atm-1", "atm-2", "atm-3")


@pytest.fixture(params=ENGINES)
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    found: Where = request.getfixturevalue("database") if request.param == "postgres" else tmp_path / "collector.db"
    return found


@pytest.fixture
def world(where: Where, tmp_path: Path) -> World:
    return World(tmp_path / "collector.db", where)


def everything(db: Db) -> dict[str, list[tuple[Any, ...]]]:
    return tables(db) | {name: sorted(db.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in ALL}


async def test_what_was_kept_is_loaded_again_and_goes_on(world: World) -> None:
    senders = await opened(world, *NAMES)
    for i in range(12):
        world.now += 2 * S
        full = 99.0 if i % 5 else 40.0
        await world.pipeline.take([each.batch(disk(world.now, full, full), world.now) for each in senders])
    await world.pipeline.operate({"action": "note", "terminal": "atm-1", "actor": "li.wei", "text": "纸 \1 ok"})
    before = everything(world.store.conn)
    assert len(before["alarm"]) == 3
    again = world.restart()
    assert everything(again.store.conn) == before
    assert vars(again.pipeline.journal) == vars(world.pipeline.journal)
    assert again.pipeline.fold.fleet.terminals["atm-2"].streams == world.pipeline.fold.fleet.terminals["atm-2"].streams
    again.now += S
    replies = await again.pipeline.take([senders[0].batch(disk(again.now, 40.0), again.now)])
    assert replies["atm-1"].state is AckState.OK
    assert verify_log(again.store.conn, None).ok
    again.store.close()


async def test_its_log_is_packed_and_a_rebuild_into_a_file_says_the_same(world: World, tmp_path: Path) -> None:
    (atm,) = await opened(world, "atm-1")
    for _ in range(320):
        world.now += S
        await world.pipeline.take([atm.batch(disk(world.now, 50.0), world.now)])
    await keep_house(world)
    assert rows(world, "SELECT terminal, entries FROM segment") == [("atm-1", 256)]
    assert verify_log(world.store.conn, None).ok
    await world.pipeline.stop()
    copy = tmp_path / "rebuilt.db"
    rebuild(world.where, copy)
    with closing(open_db(copy)) as made:
        assert tables(made) == tables(world.store.conn)
    world.store.close()


async def test_a_row_that_does_not_fit_undoes_the_whole_group_and_the_next_one_goes_on(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    before = everything(world.store.conn)
    fold = world.pipeline.fold
    fold.fleet.terminals["atm-1"].branch = None  # type: ignore[assignment]  # what no table takes
    sent = atm.batch(disk(T0, 99.0), T0 + S)
    with pytest.raises(StoreError, match="nothing of this group was stored"):
        await world.pipeline.take([sent])
    assert not world.store.conn.in_transaction
    assert everything(world.store.conn) == before
    assert world.pipeline.fold is not fold
    assert (await world.pipeline.take([sent]))["atm-1"].state is AckState.OK
    assert rows(world, "SELECT mark FROM stream") == [(1,)]
    world.store.close()


async def test_whoever_is_cancelled_or_killed_between_the_steps_leaves_nothing(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    before = everything(world.store.conn)
    store, pipeline = world.store, world.pipeline
    steps: list[Callable[[], object]] = []
    for taken in (1, 2):
        entry = pipeline._record(Kind.OPERATOR, facts={"action": "note", "terminal": "atm-1", "actor": "x", "text": "y"})  # fmt: skip
        group = store.prepare(pipeline.fold, [entry])
        steps = [store.begin, lambda group=group: store.write(group)]
        for step in steps[:taken]:
            step()
        store.abandon()
        assert not store.conn.in_transaction
        pipeline._load()
    assert everything(store.conn) == before
    assert (await pipeline.take([atm.batch(disk(T0, 40.0), T0 + S)]))["atm-1"].state is AckState.OK
    store.close()


async def test_a_change_that_fails_changes_nothing_and_the_next_one_goes_on(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    before = everything(world.store.conn)

    def change(db: Db) -> None:
        db.execute("INSERT INTO meta VALUES ('a', ?)", (b"1",))
        db.execute("INSERT INTO journal SELECT * FROM journal")

    with pytest.raises(StoreError, match="nothing was changed"):
        await world.pipeline.change(change)
    assert everything(world.store.conn) == before
    assert (world.store.meta("a"), world.store.meta_int("a")) == (None, 0)
    await world.pipeline.change(lambda db: db.execute("INSERT INTO meta VALUES ('a', ?)", (b"7",)))
    assert (world.store.meta("a"), world.store.meta_int("a")) == (b"7", 7)
    assert (await world.pipeline.take([atm.batch(disk(T0, 40.0), T0 + S)]))["atm-1"].state is AckState.OK
    world.store.close()


async def test_a_batch_of_long_ago_is_known_again_by_its_digest_wherever_its_frame_lies(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    for _ in range(320):
        world.now += S
        await world.pipeline.take([atm.batch(disk(world.now, 50.0), world.now)])
    await keep_house(world)
    for seq, sealed in (atm.sealed[0], atm.sealed[-1]):
        assert world.store.stored_digest("atm-1", atm.epoch, seq) == sealed.digest
    assert world.store.stored_digest("atm-1", atm.epoch, 321) is None
    assert world.store.stored_digest("atm-1", bytes(12), 1) is None
    assert world.store.stored_digest("atm-2", atm.epoch, 1) is None
    world.store.close()


async def test_messages_are_kept_for_whom_the_route_names_and_not_at_all_in_a_rebuild(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    asked = []

    def route(message: TicketMessage, at: int, stays: str) -> list[Destination]:
        asked.append((message.op, at, stays))
        return [Destination("desk", Leg("Hardware")), Destination("phone")]

    world.store.route = route
    for _ in range(60):
        world.now += 2 * S
        await world.pipeline.take([atm.batch(disk(world.now, 99.0, 99.0), world.now)])
    told = rows(world, "SELECT incident, op, connector, queue FROM outbox ORDER BY id")
    assert [(op, connector, queue) for _, op, connector, queue in told] == [
        ("open", "desk", "Hardware"),
        ("open", "phone", ""),
    ]
    assert [(op, stays) for op, _, stays in asked] == [(Op.OPEN, "")]
    await world.pipeline.operate({"action": "acknowledge", "actor": "li.wei", "incident": told[0][0], "note": ""})
    before = rows(world, "SELECT * FROM outbox ORDER BY id")
    fold = world.pipeline.fold
    entry = world.pipeline._record(Kind.OPERATOR, facts={"action": "resolve", "actor": "li.wei", "incident": told[0][0], "verdict": "true_fault", "part": "", "note": ""})  # fmt: skip
    group = world.store.prepare(fold, [entry])
    assert group.dirty.messages
    world.store.commit(group, deliver=False)
    assert rows(world, "SELECT * FROM outbox ORDER BY id") == before
    world.store.close()


async def test_readers_see_whole_groups_while_one_writes(world: World) -> None:
    """Each batch is one entry of the journal, one step of the mark and one reading of its disk."""
    (atm,) = await opened(world, "atm-1")
    over, seen = threading.Event(), set()

    def look() -> None:
        with closing(connect(world.where, read_only=True, timeout_s=10)) as db:
            while not over.is_set():
                db.execute("BEGIN")
                (entries,) = db.execute("SELECT count(*) FROM journal WHERE kind = 3").fetchone()
                (mark,) = db.execute("SELECT coalesce(max(mark), 0) FROM stream").fetchone()
                (again,) = db.execute("SELECT count(*) FROM journal WHERE kind = 3").fetchone()
                db.execute("COMMIT")
                seen.add((entries - mark, again - entries))

    looking = asyncio.create_task(asyncio.to_thread(look))
    try:
        for _ in range(60):
            world.now += S
            await world.pipeline.take([atm.batch(disk(world.now, 50.0), world.now)])
    finally:
        over.set()
        await looking
    assert seen == {(0, 0)}
    world.store.close()


async def test_a_reader_notices_that_something_changed(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    reader = open_reader(world.where)
    before = reader.revision()
    assert reader.revision() == before
    await world.pipeline.take([atm.batch(disk(T0, 40.0), T0 + S)])
    assert reader.revision() != before
    reader.close()
    world.store.close()


def test_a_reader_cannot_write(world: World) -> None:
    with (
        closing(connect(world.where, read_only=True, timeout_s=1)) as db,
        pytest.raises(Exception, match=r"read.?only"),
    ):
        db.execute("DELETE FROM meta")
    world.store.close()


ACTS = st.one_of(
    st.tuples(
        st.just("batch"), st.sampled_from(NAMES), st.lists(st.sampled_from([40.0, 95.5, 99.0]), min_size=1, max_size=4)
    ),
    st.tuples(st.just("words"), st.sampled_from(NAMES), st.text(st.characters(codec="utf-8"), max_size=6)),
    st.tuples(st.just("late"), st.sampled_from(NAMES), st.integers(1, 5)),
    st.tuples(st.just("away"), st.sampled_from(NAMES), st.just(None)),
    st.tuples(st.just("note"), st.sampled_from(NAMES), st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)),
    st.tuples(st.just("pass"), st.just(""), st.sampled_from([3, 30, 4000])),
)


async def _told(world: World, acts: Sequence[tuple[str, str, Any]]) -> dict[str, list[tuple[Any, ...]]]:
    await world.start(RULES)
    senders = {name: Sender(name) for name in NAMES}
    for sender in senders.values():
        await sender.enrol(world.pipeline)
        await world.pipeline.take([sender.life(world.now)])
    for what, name, more in acts:
        world.now += S
        match what:
            case "batch":
                await world.pipeline.take([senders[name].batch(disk(world.now, *more), world.now + S)])
            case "words":
                at = reading("ups", "ups.output.source", world.now, more)
                await world.pipeline.take([senders[name].batch([at], world.now)])
            case "late":
                await world.pipeline.take([senders[name].batch(disk(world.now - more * 3600 * S, 50.0), world.now)])
            case "away":
                await world.pipeline.take([senders[name].life(world.now, state="offline")])
            case "note":
                await world.pipeline.operate({"action": "note", "terminal": name, "actor": more, "text": more})
            case _:
                await world.tick(world.now + more * S)
    found = everything(world.store.conn)
    again = world.restart()
    assert again.pipeline.fold.fleet.terminals.keys() == world.pipeline.fold.fleet.terminals.keys()
    assert everything(again.store.conn) == found
    again.store.close()
    return found


@settings(max_examples=MAX_EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(acts=st.lists(ACTS, max_size=12))
def test_the_same_entries_give_the_same_rows_in_both_stores(
    acts: list[tuple[str, str, Any]], postgres_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("both")
    database = postgres_server.database("tables")
    try:
        worlds = World(folder / "collector.db"), World(folder / "nowhere.db", database)
        kept, served = (asyncio.run(_told(each, acts)) for each in worlds)
    finally:
        postgres_server.drop(database)
    for name, held in kept.items():
        assert served[name] == held, name
