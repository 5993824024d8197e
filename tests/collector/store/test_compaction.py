"""Packing changes where the log is kept and nothing of what it says."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tests.collector.packed import STEP, filled, keep_house, measured
from tests.collector.sending import T0, S, Sender
from tillwatch.agent.wire import AckState
from tillwatch.collector.journal import Kind
from tillwatch.collector.long_ago import LOOK_BACK_NS
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.sections import RetentionSection
from tillwatch.collector.store import compaction
from tillwatch.collector.store.compaction import (
    PAGE,
    SEGMENT,
    TAIL,
    Kept,
    page_due,
    segments_due,
    spare_pages,
)
from tillwatch.collector.store.log import Fault, Log, Logged
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.store.sqlite import SqliteStore


def walked(store: SqliteStore) -> tuple[list[Logged], list[Fault]]:
    faults: list[Fault] = []
    return list(Log(store.conn).walk(faults.append)), faults


def said(logged: Sequence[Logged]) -> list[tuple[object, ...]]:
    return [(x.entry.n, x.entry.at, x.entry.kind, x.entry.facts, x.entry.digest, x.frame, x.state) for x in logged]


def test_a_page_is_due_behind_the_tail_only() -> None:
    assert page_due(TAIL + PAGE - 1, 0) is None
    assert page_due(TAIL + PAGE, 0) == (1, PAGE)
    assert page_due(TAIL + 2 * PAGE, PAGE) == (PAGE + 1, 2 * PAGE)


def test_a_segment_is_due_when_a_whole_one_stands_behind_the_tail() -> None:
    due = segments_due([Kept("a", 3, TAIL + SEGMENT - 1), Kept("b", 3, TAIL + SEGMENT), Kept("c", 3, 9999)])
    assert [kept.terminal for kept in due] == ["c", "b"]


def test_free_pages_are_given_back_in_bounded_steps_and_some_stay() -> None:
    assert spare_pages(20, 1000) == 0
    assert spare_pages(23, 1000) == 3
    assert spare_pages(10**5, 10**6) == compaction.VACUUM


async def test_the_log_says_the_same_packed(world: World) -> None:
    await filled(world, 700, "atm-1", "atm-2")
    before, faults = walked(world.store)
    assert faults == []
    await keep_house(world)
    after, faults = walked(world.store)
    assert faults == []
    assert said(after) == said(before)
    for n in (0, 1, 2, PAGE - 1, PAGE, PAGE + 1, len(before) - 1, len(before)):
        behind = list(Log(world.store.conn).walk(faults.append, n))
        assert said(behind) == said(before)[n:], f"behind entry {n}"
    assert faults == []
    packed = world.store.conn.execute("SELECT terminal, kind, entries FROM segment ORDER BY id").fetchall()
    assert sorted(packed) == [(name, 3, SEGMENT) for name in ("atm-1", "atm-1", "atm-2", "atm-2")]
    (left,) = world.store.conn.execute("SELECT count(*) FROM journal WHERE kind = 3").fetchone()
    assert left == 2 * (700 - 2 * SEGMENT)


async def test_a_rebuild_and_a_restart_over_segments_give_the_same_state(world: World) -> None:
    (atm,) = await filled(world, 400, "atm-1")
    await keep_house(world)
    again = world.restart()
    assert again.pipeline.journal.digest == world.pipeline.journal.digest
    await again.pipeline.take([atm.batch(measured(random.Random(1), again.now), again.now)])
    copy = world.path.with_name("again.db")
    assert rebuild(world.path, copy) == again.pipeline.journal.n
    rebuilt = SqliteStore(copy)
    assert tables(rebuilt.conn) == tables(again.store.conn)
    assert said(walked(rebuilt)[0]) == said(walked(again.store)[0])
    rebuilt.close()


async def test_a_copy_of_a_packed_batch_is_a_duplicate_and_another_one_a_fork(world: World) -> None:
    (atm,) = await filled(world, 400, "atm-1")
    await keep_house(world)
    again = world.restart()
    first = Sender("atm-1")
    old = first.batch(measured(random.Random(7), T0), T0)
    assert old.payload == atm.sealed[0][1].payload
    assert (await again.pipeline.take([old]))["atm-1"].state is AckState.OK
    again.now += LOOK_BACK_NS
    other = Sender("atm-1").batch(measured(random.Random(8), T0), T0)
    assert (await again.pipeline.take([other]))["atm-1"].state is AckState.FORK


async def test_histories_read_the_same_from_rows_and_segments(world: World) -> None:
    await filled(world, 500, "atm-1")
    asked = [
        (c, s, T0 + a * STEP, T0 + b * STEP)
        for c, s in [("ups", "ups.input.voltage"), ("ups", "ups.output.source"), ("host/disk:/", "host.disk.percent")]
        for a, b in [(0, 500), (100, 101), (250, 450), (499, 600), (-50, 3)]
    ]
    reader = SqliteReader(world.path)
    before = [reader.history("atm-1", *one) for one in asked]
    await keep_house(world)
    assert world.store.conn.execute("SELECT count(*) FROM segment").fetchone() == (1,)
    assert [reader.history("atm-1", *one) for one in asked] == before
    assert len(before[0].points) == 500
    reader.close()


async def test_retired_segments_leave_digests_rollups_and_a_word(world: World) -> None:
    await filled(world, 1200, "atm-1")
    before = walked(world.store)[0]
    await keep_house(world)
    await world.tick(T0 + 500 * STEP + 7 * 86_400 * S)
    await keep_house(world, RetentionSection(keep=7 * 86_400.0))
    after, faults = walked(world.store)
    assert faults == []
    assert [x.entry.digest for x in before] == [x.entry.digest for x in after[: len(before)]]
    retired = [x.entry.n for x in after if x.state == "retired"]
    assert len(retired) == SEGMENT
    assert after[-1].entry.kind is Kind.OPERATOR
    assert after[-1].entry.facts_map()["action"] == "retire"
    reader = SqliteReader(world.path)
    history = reader.history("atm-1", "ups", "ups.input.voltage", T0, T0 + 100 * STEP)
    assert history.resolution == "hour"
    assert history.points
    copy = world.path.with_name("again.db")
    rebuild(world.path, copy)
    rebuilt = SqliteStore(copy)
    assert tables(rebuilt.conn)["rollup"] == tables(world.store.conn)["rollup"]
    assert tables(rebuilt.conn)["stream"] == tables(world.store.conn)["stream"]
    rebuilt.close()
    reader.close()


async def test_a_file_that_is_too_large_retires_the_oldest(world: World, tmp_path: Path) -> None:
    await filled(world, 1200, "atm-1")
    await keep_house(world)
    (least,) = world.store.conn.execute("SELECT min(length(bodies)) FROM segment").fetchone()
    page, pages, free = (
        world.store.conn.execute(f"PRAGMA {x}").fetchone()[0] for x in ("page_size", "page_count", "freelist_count")
    )
    await keep_house(world, RetentionSection(keep=0.0, size=(pages - free) * page - least // 2))
    found = world.store.conn.execute("SELECT retired_n IS NOT NULL FROM segment ORDER BY received").fetchall()
    assert found[0] == (1,)
    assert found[-1] == (0,)


async def test_a_damaged_row_stops_the_packing_of_its_terminal_only(world: World, caplog) -> None:
    await filled(world, 400, "atm-1", "atm-2")
    world.store.conn.execute(
        "UPDATE journal SET payload = substr(payload, 1, 200) WHERE n = (SELECT min(n) FROM journal WHERE kind = 3 AND terminal = 'atm-1')"
    )
    await keep_house(world)
    assert world.store.conn.execute("SELECT DISTINCT terminal FROM segment").fetchall() == [("atm-2",)]
    assert "atm-1 is not packed any more" in caplog.text


async def test_a_broken_chain_is_not_packed(world: World) -> None:
    await filled(world, 400, "atm-1")
    world.store.conn.execute("UPDATE journal SET at = at + 1 WHERE n = 100")
    with pytest.raises(compaction.BrokenChainError, match="entry 100"):
        await keep_house(world)
    assert world.store.conn.execute("SELECT count(*) FROM page").fetchone() == (0,)
