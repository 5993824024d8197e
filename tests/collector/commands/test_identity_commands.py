"""Rotation, revocation and cloned terminals through the pipeline, on a real store; what the fold made of them a rebuild makes again."""

from __future__ import annotations

import copy
import sqlite3

import pytest

from tests.collector.conftest import COLLECTOR_KEY, World
from tests.collector.sending import T0, S, Sender, reading
from tillwatch.agent.wire import AckState, SigningKey, VerifyKey, batch_topic, open_ack
from tillwatch.collector.intake import Message
from tillwatch.collector.pipeline import ENROL_EVERY_NS, MAX_FORKS
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.store.reader import SqliteReader

NEW, NEXT, OTHER = (SigningKey(bytes([n]) * 32) for n in (101, 102, 103))


def batch(sender: Sender, at: int, value: float = 1.0):
    return sender.batch([reading("host/disk:/", "host.disk.percent", at, value)], at)


def mark(world: World, sender: Sender) -> int:
    terminal = world.pipeline.fold.fleet.terminals[sender.name]
    return terminal.streams[sender.epoch].mark if sender.epoch in terminal.streams else 0


def key_states(world: World, name: str = "atm-1") -> dict[bytes, str]:
    keys = world.pipeline.fold.fleet.terminals[name].keys
    return {key_id: key.state for key_id, key in keys.items()}


def fork(world: World) -> list[tuple[str, str]]:
    reader = SqliteReader(world.path)
    try:
        return [
            (a.condition, str(a.value))
            for a in reader.alarms()
            if a.rule == "delivery.fork" and a.condition != "normal"
        ]
    finally:
        reader.close()


def rebuilt(world: World) -> None:
    copied = world.path.with_name(f"rebuilt-{world.pipeline.journal.n}.db")
    rebuild(world.path, copied)
    again = sqlite3.connect(copied)
    assert tables(again) == tables(world.store.conn)
    again.close()


@pytest.fixture
async def atm(world: World) -> Sender:
    await world.start()
    sender = Sender("atm-1")
    await sender.enrol(world.pipeline)
    await world.pipeline.take([sender.life(T0), batch(sender, T0)])
    return sender


async def test_a_terminal_hands_over_and_what_was_in_flight_still_counts(world: World, atm: Sender) -> None:
    old, in_flight = atm.key, [batch(atm, T0 + S), batch(atm, T0 + 2 * S)]
    statement = atm.hand_over(NEW)
    by_new = batch(atm, T0 + 3 * S)
    replies = await world.pipeline.take([by_new])
    assert (replies["atm-1"].state, replies["atm-1"].epoch) == (AckState.ENROL, atm.epoch)
    replies = await world.pipeline.take([atm.life(T0 + 3 * S, rotations=[statement]), *in_flight, by_new])
    assert replies["atm-1"].state is AckState.OK
    assert mark(world, atm) == 4
    assert key_states(world) == {old.key_id: "retiring", NEW.key_id: "active"}
    assert fork(world) == []
    rebuilt(world)


async def test_the_old_key_proves_nothing_after_it_has_handed_over(world: World, atm: Sender) -> None:
    stolen = copy.copy(atm)
    await world.pipeline.take([atm.life(T0, rotations=[atm.hand_over(NEW)])])
    replies = await world.pipeline.take([batch(stolen, T0 + S, 99.0), stolen.life(T0 + S, n=50)])
    assert replies == {}
    assert world.pipeline.refusals.by_reason["retired_key"] == 2
    assert mark(world, atm) == 1
    assert "still signs, after it has handed over" in fork(world)[0][1]
    rebuilt(world)


async def test_a_will_of_the_old_key_does_not_speak_for_the_new_one(world: World, atm: Sender) -> None:
    will = atm.life(T0, state="offline", n=atm.n)
    await world.pipeline.take([atm.life(T0, rotations=[atm.hand_over(NEW)]), will])
    assert world.pipeline.fold.fleet.terminals["atm-1"].connection == "online"
    assert world.pipeline.refusals.by_reason == {}


async def test_a_collector_from_an_old_backup_is_led_to_todays_key(world: World, worlds, atm: Sender) -> None:
    backup = worlds("backup")
    with sqlite3.connect(world.path) as source:
        source.backup(backup.store.conn)
    source.close()
    backup = backup.restart()
    await world.pipeline.take([batch(atm, T0 + S)])
    first = atm.hand_over(NEW)
    await world.pipeline.take([atm.life(T0, rotations=[first]), batch(atm, T0 + 2 * S)])
    second = atm.hand_over(NEXT)
    await world.pipeline.take([atm.life(T0, rotations=[first, second]), batch(atm, T0 + 3 * S)])
    assert mark(world, atm) == 4

    await backup.start()
    replies = await backup.pipeline.take([atm.life(T0 + 4 * S)])
    assert replies["atm-1"].state is AckState.ENROL
    replies = await backup.pipeline.take([atm.life(T0 + 4 * S, rotations=[first, second])])
    assert replies["atm-1"].state is AckState.OK
    assert mark(backup, atm) == 1
    assert list(key_states(backup).values()) == ["retiring", "retiring", "active"]
    # What the backup lacks is asked for, and proven by the keys of then.
    replies = await backup.pipeline.take([batch(atm, T0 + 5 * S)])
    assert (replies["atm-1"].state, replies["atm-1"].want) == (AckState.RESEND, 2)
    await backup.pipeline.take([world_batch(world, atm, seq) for seq in (2, 3, 4)])
    assert mark(backup, atm) == 4
    rebuilt(backup)


def world_batch(world: World, sender: Sender, seq: int):
    sealed = dict(sender.sealed)[seq]
    return Message(batch_topic(sender.name), sealed.payload, world.now)


async def test_a_terminal_that_waits_for_its_key_is_asked_whatever_of_its_older_batches_comes_along(
    world: World, atm: Sender
) -> None:
    """A restored collector wants what is gone; only a life message can tell so, and that is under a key which it does not know yet."""
    for _ in range(4):
        late = batch(atm, T0)
    atm.hand_over(OTHER)
    reply = (await world.pipeline.take([atm.life(T0), late]))["atm-1"]
    assert (reply.state, reply.epoch) == (AckState.ENROL, atm.epoch)
    reply = (await world.pipeline.take([atm.life(T0 + S), late]))["atm-1"]
    assert reply.state is AckState.RESEND, "once in a while"


async def test_an_unknown_key_is_asked_now_and_then_and_only_where_the_terminal_is_known(
    world: World, atm: Sender
) -> None:
    atm.key = OTHER
    stranger = Sender("nobody")
    replies = await world.pipeline.take([atm.life(T0), batch(atm, T0), stranger.life(T0)])
    assert list(replies) == ["atm-1"]
    ack = open_ack(
        "atm-1",
        world.pipeline.ack("atm-1", replies["atm-1"], slow=False),
        {COLLECTOR_KEY.key_id: VerifyKey(COLLECTOR_KEY.public)}.get,
    )
    assert (ack.state, ack.epoch, ack.seq) == (AckState.ENROL, atm.epoch, 1)
    assert await world.pipeline.take([atm.life(T0 + S)]) == {}
    assert list(await world.pipeline.take([atm.life(T0 + ENROL_EVERY_NS)])) == ["atm-1"]
    assert world.pipeline.refusals.by_reason == {"unknown_key": 4, "unknown_terminal": 1}
    assert list(await world.pipeline.take([atm.life(T0 - 3600 * S)])) == ["atm-1"], "this machine's clock was set back"
    assert await world.pipeline.take([atm.life(T0 - 3599 * S)]) == {}


async def test_revocation_takes_effect_at_the_next_message(world: World, atm: Sender) -> None:
    told: list[set[str]] = []
    world.pipeline.on_identity = told.append
    await world.pipeline.operate({"action": "revoke", "terminal": "atm-1", "reason": "stolen"})
    assert told == [{"atm-1"}]
    assert await world.pipeline.take([batch(atm, T0 + S), atm.life(T0 + S)]) == {}
    assert world.pipeline.refusals.by_reason == {"revoked_key": 2}
    assert mark(world, atm) == 1
    await world.tick(T0 + 86_400 * S)
    reader = SqliteReader(world.path)
    view = reader.terminal("atm-1")
    assert (view.connection, view.condition, view.reason) == ("revoked", "unknown", "revoked: stolen")
    assert reader.identity("atm-1").state == "revoked"
    assert reader.components("atm-1")[0].reason == "its keys were revoked"
    assert reader.alarms() == [], "nobody waits for a revoked terminal"
    reader.close()
    rebuilt(world)
    # Enrolled anew it is a terminal like any other, under its new key only.
    old, atm.key = copy.copy(atm), OTHER
    atm.epoch, atm.seq, atm.prev = b"after-enrol.", 0, bytes(32)
    await atm.enrol(world.pipeline)
    await world.pipeline.take([batch(old, T0 + S), atm.life(T0 + 2 * S), batch(atm, T0 + 2 * S)])
    assert world.pipeline.refusals.by_reason == {"revoked_key": 3}
    assert mark(world, atm) == 1
    assert world.pipeline.fold.fleet.terminals["atm-1"].connection == "online"
    rebuilt(world)


async def test_a_revocation_survives_a_restart(world: World, atm: Sender) -> None:
    await world.pipeline.operate({"action": "revoke", "terminal": "atm-1", "reason": "stolen"})
    again = world.restart()
    await again.start()
    assert await again.pipeline.take([batch(atm, T0 + S)]) == {}
    assert again.pipeline.refusals.by_reason == {"revoked_key": 1}


async def test_a_cloned_disk_is_seen_with_both_machines(world: World, atm: Sender) -> None:
    clone = copy.deepcopy(atm)
    clone.boot, clone.boot_at = b"boot0002", T0 - 60 * S
    await world.pipeline.take([atm.life(T0 + S), batch(atm, T0 + S, 41.0)])
    await world.pipeline.take([clone.life(T0 + 2 * S)])
    assert fork(world) == [], "as yet it may be a reboot"
    replies = await world.pipeline.take([batch(clone, T0 + 2 * S, 77.0)])
    assert replies["atm-1"].state is AckState.FORK
    ((condition, text),) = fork(world)
    assert condition == "active"
    assert "seq 2 came a second time with other content, told by boot 626f6f74" in text
    await world.pipeline.take([atm.life(T0 + 3 * S), batch(atm, T0 + 3 * S, 42.0)])
    ((_, text),) = fork(world)
    assert "two machines speak in turn: boot 626f6f74" in text
    reader = SqliteReader(world.path)
    identity = reader.identity("atm-1")
    assert len(identity.speakers) == 2
    assert identity.two_machines == text
    reader.close()
    assert mark(world, atm) == 3, "the true history goes on"
    # The ticket learns of it, too.
    ops = world.store.conn.execute("SELECT op FROM outbox ORDER BY seq").fetchall()
    assert ops == [("open",), ("update",)]
    await atm.enrol(world.pipeline)
    assert fork(world) == [], "a new key ends it"
    rebuilt(world)


async def test_two_machines_that_rotate_one_key_are_told_apart(world: World, atm: Sender) -> None:
    clone = copy.deepcopy(atm)
    await world.pipeline.take([atm.life(T0 + S, rotations=[atm.hand_over(NEW)])])
    replies = await world.pipeline.take([clone.life(T0 + 2 * S, rotations=[clone.hand_over(OTHER)])])
    assert replies == {}
    assert key_states(world)[NEW.key_id] == "active"
    assert OTHER.key_id not in key_states(world)
    assert "after it has handed over to another one" in fork(world)[0][1]
    rebuilt(world)


async def test_what_is_kept_of_a_clone_is_bounded(world: World, atm: Sender) -> None:
    clone = copy.deepcopy(atm)
    await world.pipeline.take([batch(atm, T0 + S, 41.0)])
    for value in range(3 * MAX_FORKS):
        clone.seq = 1
        await world.pipeline.take([batch(clone, T0 + S, 50.0 + value)])
    assert world.store.conn.execute("SELECT count(*) FROM journal WHERE kind = 9").fetchone() == (MAX_FORKS,)


async def test_an_ack_names_what_it_stored(world: World, atm: Sender) -> None:
    replies = await world.pipeline.take([batch(atm, T0 + S)])
    keys = {COLLECTOR_KEY.key_id: VerifyKey(COLLECTOR_KEY.public)}
    ack = open_ack("atm-1", world.pipeline.ack("atm-1", replies["atm-1"], slow=False), keys.get)
    assert (ack.seq, ack.digest) == (2, atm.prev[:16])
