"""What a hostile or broken terminal sends is refused, counted by reason and by terminal, and shown; it costs memory, disk and others nothing."""

from __future__ import annotations

import random
import sqlite3
import zlib

import msgpack
import pytest

from tests.collector.conftest import World
from tests.collector.sending import T0, S, Sender, reading
from tillwatch.agent.wire import AckState, new_epoch
from tillwatch.collector import pipeline as pipeline_module
from tillwatch.collector.intake import Message
from tillwatch.collector.long_ago import LOOK_BACK_NS
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.read import Culprit
from tillwatch.collector.refusals import KEPT_EVERY_NS, MAX_CULPRITS, Refusals
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.terminal.digests import RECENT
from tillwatch.collector.terminal.fleet import MAX_COMPONENTS, MAX_SIGNALS, RECENT_EPOCHS


async def opened(world: World, *names: str) -> list[Sender]:
    await world.start()
    senders = [Sender(name) for name in names]
    for sender in senders:
        await sender.enrol(world.pipeline)
        await world.pipeline.take([sender.life(world.now)])
    return senders


def ups(at: int) -> list:
    return [reading("ups", "ups.battery.charge", at, 100)]


def deflated(frame: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflate.compress(frame) + deflate.flush()
    return b"TW\x01\x11" + zlib.crc32(packed, zlib.crc32(b"\x11")).to_bytes(4, "big") + packed


def test_counts_by_reason_and_terminal_and_forgets_who_is_quiet_longest():
    refusals = Refusals()
    for n in range(MAX_CULPRITS + 10):
        assert refusals.add("signature", f"t{n}", at=n, n=2)
    assert not refusals.add("signature", "t100", at=1000)
    assert refusals.add("flood", "t100", at=1001, n=5)
    assert refusals.by_reason == {"signature": 2 * (MAX_CULPRITS + 10) + 1, "flood": 5}
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB)")
    refusals.keep(10**9)(db)
    rows = dict(db.execute("SELECT key, value FROM meta"))
    db.close()
    assert msgpack.unpackb(rows["refused"]) == refusals.by_reason
    from tillwatch.collector.refusals import culprits

    found = culprits(rows["culprits"])
    assert found[0] == Culprit("t100", 1001, (("flood", 5), ("signature", 3)))
    assert len(found) == MAX_CULPRITS
    assert not {f"t{n}" for n in range(10)} & {one.terminal for one in found}


def test_is_kept_seldom_and_only_when_something_changed():
    refusals = Refusals()
    assert refusals.due(T0), "the counts of the run before are in the store"
    refusals.keep(T0)
    assert not refusals.due(T0 + 10 * KEPT_EVERY_NS)
    refusals.add("flood", "a", T0)
    assert not refusals.due(T0 + KEPT_EVERY_NS - 1)
    assert refusals.due(T0 + KEPT_EVERY_NS)
    assert refusals.due(T0 - 1), "a clock that steps back hides nothing"


async def test_garbage_of_every_kind_is_refused_named_and_kept_nowhere(world: World) -> None:
    (atm, _) = await opened(world, "atm-1", "atm-2")
    entries = world.pipeline.journal.n
    good = atm.batch(ups(T0), T0)
    rng = random.Random(1)
    told: list[str] = []
    world.pipeline.on_refused = told.append
    bomb = deflated(bytes(64 * 1024**2))
    assert len(bomb) < 128 * 1024
    huge = b"\x81\xa1n\xdd\xff\xff\xff\xff"
    topic = "tw/1/atm-1/batch"
    bad = [
        (topic, b"", "magic"),
        (topic, rng.randbytes(500), "magic"),
        (topic, b"TW\x01\x00" + rng.randbytes(500), "header"),
        (topic, b"TW\x01\x00" + len(huge).to_bytes(2, "big") + huge + bytes(64), "header"),
        (topic, b"TW\x01\x00" + b"\x00\x20" + b"\x91" * 32 + bytes(64), "header"),
        (topic, bomb, "inflate"),
        (topic, bytes(128 * 1024 + 1), "oversize"),
        (topic, good.payload[:-1] + bytes([good.payload[-1] ^ 1]), "corrupt"),
        ("tw/1/atm-2/batch", good.payload, "terminal_mismatch"),
        ("tw/1/atm-1/life", good.payload, "header"),
    ]
    for where, payload, reason in bad:
        before = world.pipeline.refusals.by_reason.copy()
        assert await world.pipeline.take([Message(where, payload, T0)]) == {}
        assert world.pipeline.refusals.by_reason - before == {reason: 1}
    assert told == ["atm-1"] * 8 + ["atm-2", "atm-1"]
    assert world.pipeline.journal.n == entries
    assert (await world.pipeline.take([good]))["atm-1"].state is AckState.OK
    await world.tick(world.now + 2 * KEPT_EVERY_NS)
    reader = SqliteReader(world.path)
    health = reader.health()
    assert dict(health.refused) == world.pipeline.refusals.by_reason
    assert [(one.terminal, one.refused) for one in health.culprits] == [("atm-1", 9), ("atm-2", 1)]
    assert {view.id: view.refused for view in reader.terminals()} == {"atm-1": 9, "atm-2": 1}
    reader.close()


async def test_who_is_not_enrolled_is_counted_under_one_name(world: World) -> None:
    await opened(world, "atm-1")
    for n in range(50):
        await world.pipeline.take([Sender(f"x-{n}").batch(ups(T0), T0), Message(f"tw/1/\x1b[31m{n}/batch", b"?", T0)])
    await world.tick(world.now + 2 * KEPT_EVERY_NS)
    reader = SqliteReader(world.path)
    assert reader.health().culprits == (Culprit("", T0, (("topic", 50), ("unknown_terminal", 50))),)
    reader.close()


async def test_a_log_line_shows_control_characters_and_does_not_obey_them(world: World, caplog) -> None:
    await opened(world, "atm-1")
    await world.pipeline.take([Message("tw/1/\x1b[31mred\r\nERROR forged/batch", b"?", T0)])
    (line,) = [r.getMessage() for r in caplog.records if "message refused" in r.getMessage()]
    assert line.isprintable()


async def test_a_start_begins_to_count_anew(world: World) -> None:
    await opened(world, "atm-1")
    await world.pipeline.take([Message("tw/1/atm-1/batch", b"?", T0)])
    await world.tick(T0 + 2 * KEPT_EVERY_NS)
    again = world.restart()
    await again.start()
    await again.tick(again.now + 2 * KEPT_EVERY_NS)
    reader = SqliteReader(world.path)
    assert (reader.health().refused, reader.health().culprits) == ((), ())
    reader.close()
    again.store.close()


async def test_a_terminal_that_invents_components_grows_nothing_but_its_own_journal(world: World, caplog) -> None:
    (liar, honest) = await opened(world, "atm-1", "atm-2")
    now = T0
    for n in range(12):
        now += S
        rows = [reading(f"ghost-{n}-{i}/é{'x' * 80}", "ups.battery.charge", now, 100.0) for i in range(180)]
        replies = await world.pipeline.take([liar.batch(rows, now), honest.batch(ups(now), now)])
        assert {one.state for one in replies.values()} == {AckState.OK}
    terminal = world.pipeline.fold.fleet.terminals["atm-1"]
    assert (len(terminal.components), terminal.signals) == (MAX_COMPONENTS, MAX_COMPONENTS)
    assert terminal.over_limit == 12 * 180 - MAX_COMPONENTS
    assert world.store.conn.execute("SELECT count(*) FROM component").fetchone() == (MAX_COMPONENTS + 1,)
    assert world.store.conn.execute(
        "SELECT count(*) FROM journal WHERE kind = 3 AND terminal = 'atm-1'"
    ).fetchone() == (12,)
    await world.tick(now + 2 * KEPT_EVERY_NS)
    reader = SqliteReader(world.path)
    assert reader.terminal("atm-1").over_limit == terminal.over_limit
    assert reader.terminal("atm-2").over_limit == 0
    assert dict(reader.health().refused)["over_limit"] == 7
    reader.close()
    assert caplog.text.count("terminal atm-1 has more than") == 1
    await check_rebuild(world)


async def test_a_terminal_that_invents_signals_is_bounded_too(world: World) -> None:
    (liar,) = await opened(world, "atm-1")
    now = T0
    for n in range(3):
        now += S
        await world.pipeline.take([liar.batch([reading("a", f"unmapped.{n}.{i}", now, i) for i in range(1800)], now)])
    terminal = world.pipeline.fold.fleet.terminals["atm-1"]
    assert (terminal.signals, terminal.over_limit) == (MAX_SIGNALS, 5400 - MAX_SIGNALS)
    known = [reading("a", "unmapped.0.0", now + S, 7)]
    await world.pipeline.take([liar.batch(known, now + S)])
    assert terminal.components["a"].series["unmapped.0.0"].value == 7, "what it had before is followed on"
    again = world.restart()
    assert again.pipeline.fold.fleet.terminals["atm-1"].signals == MAX_SIGNALS
    await check_rebuild(again)


async def check_rebuild(world: World) -> None:
    copy = world.path.with_name("rebuilt.db")
    rebuild(world.path, copy)
    db = sqlite3.connect(copy)
    assert tables(db) == tables(world.store.conn)
    db.close()
    world.store.close()


async def test_a_terminal_has_a_limited_number_of_epochs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_module, "MAX_EPOCHS", 10)
    (atm,) = await opened(world, "atm-1")
    for n in range(2, 30):
        atm.epoch, atm.seq, atm.prev = new_epoch(T0, n.to_bytes(8, "big")), 0, bytes(32)
        replies = await world.pipeline.take([atm.life(T0), atm.batch(ups(T0), T0)])
        assert bool(replies) == (n <= 10)
    assert len(world.pipeline.fold.fleet.terminals["atm-1"].streams) == 10
    assert world.pipeline.refusals.by_reason == {"epochs": 38}
    assert len(world.pipeline.fold.fleet.recent["atm-1"]) == RECENT_EPOCHS
    assert world.store.conn.execute("SELECT count(*) FROM stream").fetchone() == (10,)


async def test_who_repeats_what_is_long_settled_is_not_looked_up_again_and_again(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    first = atm.batch(ups(T0), T0)
    await world.pipeline.take([first])
    for n in range(1, RECENT + 2):
        await world.pipeline.take([atm.batch(ups(T0 + n * S), T0 + n * S)])
    world.now = T0 + 100 * S
    assert (await world.pipeline.take([first]))["atm-1"].state is AckState.OK, "a copy, and it is told so"
    assert await world.pipeline.take([first] * 50) == {}
    assert world.pipeline.refusals.by_reason == {"replay": 50}
    world.now += LOOK_BACK_NS
    assert (await world.pipeline.take([first]))["atm-1"].state is AckState.OK


async def test_a_spool_that_was_rolled_back_far_is_still_found_out(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    for n in range(RECENT + 2):
        await world.pipeline.take([atm.batch(ups(T0 + n * S), T0 + n * S)])
    back = Sender("atm-1")
    world.now = T0 + 100 * S
    other = [back.batch(ups(T0 + n * S + 1), world.now) for n in range(8)]
    assert (await world.pipeline.take(other))["atm-1"].state is AckState.FORK
