"""From a message to an ack, on a real store, with the time in the test's hands."""

from __future__ import annotations

import msgpack

from tests.collector.conftest import COLLECTOR_KEY, World
from tests.collector.sending import T0, S, Sender, reading
from tillwatch.agent.model import Reading, State
from tillwatch.agent.wire import AckState, VerifyKey, open_ack
from tillwatch.collector.intake import Message
from tillwatch.collector.predict.finding import Grade
from tillwatch.collector.predict.process import switched_off
from tillwatch.collector.replies import Reply
from tillwatch.collector.store.reader import SqliteReader

RULES = """
[fold]
silent_least = "10s"
default_interval = "5s"
[[rule]]
id = "terminal.silent"
for = "5s"
[[rule]]
id = "disk.full"
for = "4s"
hold = "4s"
[[rule]]
id = "ups.on-battery"
for = "0s"
hold = "2s"
"""


def disk(at: int, *values: float) -> list[Reading]:
    return [reading("host/disk:/", "host.disk.percent", at + i * S, v) for i, v in enumerate(values)]


def rows(world: World, sql: str) -> list[tuple[object, ...]]:
    return world.store.conn.execute(sql).fetchall()


async def opened(world: World, *names: str) -> list[Sender]:
    await world.start(RULES)
    senders = [Sender(name) for name in names]
    for sender in senders:
        await sender.enrol(world.pipeline)
        await world.pipeline.take([sender.life(world.now)])
    return senders


async def test_a_batch_is_stored_once_and_acknowledged_cumulatively(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    first, second = atm.batch(disk(T0, 40.0), T0 + S), atm.batch(disk(T0 + S, 41.0), T0 + 2 * S)
    replies = await world.pipeline.take([first, second, first, second])
    assert replies["atm-1"].state is AckState.OK
    assert world.pipeline.fold.fleet.terminals["atm-1"].streams[atm.epoch].mark == 2
    assert rows(world, "SELECT count(*) FROM journal WHERE kind = 3") == [(2,)]


async def test_a_terminal_is_read_by_its_risk_while_somebody_reckons_it(world: World) -> None:
    (atm,) = await opened(world, "atm-1")

    def pace() -> int:
        sealed = world.pipeline.ack("atm-1", Reply(), slow=False)
        return open_ack("atm-1", sealed, lambda _: VerifyKey(COLLECTOR_KEY.public)).pace

    assert pace() == 100
    grade = Grade("atm-1", "high", 0.9, world.now, world.now, pace=0.5)
    await world.pipeline.foretold({"position": 1, "part": 0, "actor": "predictions", "grades": [grade.facts()]})
    assert pace() == 50
    await switched_off(world.pipeline)
    assert pace() == 100
    await world.pipeline.take([atm.batch(disk(T0, 40.0), T0)])
    assert pace() == 100


async def test_a_gap_is_asked_for_and_nothing_behind_it_is_kept(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    lost, after = atm.batch(disk(T0, 40.0), T0), atm.batch(disk(T0, 41.0), T0)
    replies = await world.pipeline.take([after])
    assert (replies["atm-1"].state, replies["atm-1"].want) == (AckState.RESEND, 1)
    replies = await world.pipeline.take([lost, after])
    assert (replies["atm-1"].state, replies["atm-1"].want) == (AckState.OK, 0)
    assert rows(world, "SELECT count(*) FROM journal WHERE kind = 3") == [(2,)]


async def test_a_declared_loss_moves_the_stream_on_and_is_kept(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    for _ in range(4):
        gone = atm.batch(disk(T0, 1.0), T0)
    await world.pipeline.take([atm.life(T0, floor=5, lost=4)])
    following = atm.batch(disk(T0, 2.0), T0)
    replies = await world.pipeline.take([following, gone])
    assert replies["atm-1"].state is AckState.OK
    terminal = world.pipeline.fold.fleet.terminals["atm-1"]
    assert (terminal.streams[atm.epoch].mark, terminal.holes, terminal.lost) == (5, 4, 4)


async def test_a_second_history_is_a_fork_kept_and_alarmed(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    await world.pipeline.take([atm.batch(disk(T0, 40.0), T0)])
    clone = Sender("atm-1")
    replies = await world.pipeline.take([clone.batch(disk(T0, 77.0), T0)])
    assert replies["atm-1"].state is AckState.FORK
    assert rows(world, "SELECT count(*) FROM journal WHERE kind = 9") == [(1,)]
    assert rows(world, "SELECT rule, condition FROM alarm") == [("delivery.fork", "active")]
    replies = await world.pipeline.take([atm.batch(disk(T0 + S, 41.0), T0 + S)])
    assert replies["atm-1"].state is AckState.OK, "the true history goes on"


async def test_an_alarm_is_raised_changes_level_and_clears_with_its_incident_and_outbox(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    await world.pipeline.take([atm.batch(disk(T0, 80, 91, 92, 92), T0 + 4 * S)])
    assert rows(world, "SELECT count(*) FROM alarm") == [(0,)], "not long enough yet"
    await world.pipeline.take([atm.batch(disk(T0 + 4 * S, 93, 93, 93), T0 + 7 * S)])
    await world.pipeline.take([atm.batch(disk(T0 + 7 * S, 98, 98, 98, 98, 98, 98), T0 + 13 * S)])
    await world.pipeline.take([atm.batch(disk(T0 + 13 * S, 50, 50, 50, 50, 50, 50), T0 + 19 * S)])
    assert rows(world, "SELECT kind, level FROM alarm_event ORDER BY seq") == [
        ("raised", 3),
        ("level", 2),
        ("cleared", 2),
    ]
    assert [r[0] for r in rows(world, "SELECT op FROM outbox ORDER BY seq")] == ["open", "update", "resolve"]
    ((corr_id, state),) = rows(world, "SELECT corr_id, state FROM incident")
    assert str(corr_id).startswith("HWM-")
    assert str(corr_id).endswith("-1")
    assert state == "restored"


async def test_a_condition_that_returns_soon_continues_its_episode_and_later_begins_another(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    at = T0

    async def episode() -> None:
        nonlocal at
        await world.pipeline.take([atm.batch([reading("ups", "ups.output.source", at, "battery")], at)])
        await world.pipeline.take([atm.batch([reading("ups", "ups.output.source", at + S, "normal")], at + S)])
        await world.pipeline.take([atm.batch([reading("ups", "ups.output.source", at + 4 * S, "normal")], at + 4 * S)])
        at += 5 * S

    await episode()
    await episode()
    assert rows(world, "SELECT episode, condition FROM alarm") == [(1, "normal")]
    at += 3600 * S
    await world.pipeline.take([atm.life(at)])
    await episode()
    assert rows(world, "SELECT episode FROM alarm WHERE rule = 'ups.on-battery' ORDER BY id") == [(1,), (2,)]
    kinds = [
        r[0]
        for r in rows(
            world,
            "SELECT kind FROM alarm_event e JOIN alarm a ON a.id = e.alarm WHERE rule = 'ups.on-battery' ORDER BY seq",
        )
    ]
    assert kinds == ["raised", "cleared", "recurred", "cleared", "raised", "cleared"]


async def test_silence_is_unknown_and_never_clears_an_alarm(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    await world.pipeline.take([atm.batch([reading("ups", "ups.output.source", T0, "battery")], T0)])
    await world.pipeline.take([atm.batch([reading("ups", "ups.output.source", T0 + S, "normal")], T0 + S)])
    await world.tick(T0 + 60 * S)
    found = dict(rows(world, "SELECT rule, condition FROM alarm"))
    assert found == {"ups.on-battery": "normal", "terminal.silent": "active"}, (
        "the hold of 2 s ended before it fell silent"
    )
    await world.pipeline.take([atm.batch([reading("ups", "ups.output.source", T0 + 61 * S, "battery")], T0 + 61 * S)])
    await world.tick(T0 + 200 * S)
    found = dict(rows(world, "SELECT rule, condition FROM alarm"))
    assert found == {"ups.on-battery": "unknown", "terminal.silent": "active"}
    await world.pipeline.take([atm.batch([reading("ups", "ups.output.source", T0 + 201 * S, "battery")], T0 + 201 * S)])
    found = dict(rows(world, "SELECT rule, condition FROM alarm"))
    assert found == {"ups.on-battery": "active", "terminal.silent": "normal"}


async def test_the_will_makes_a_terminal_offline_but_an_old_will_does_not(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    old = atm.life(T0, state="offline", n=atm.n)
    await world.pipeline.take([atm.life(T0 + S), old])
    assert world.pipeline.fold.fleet.terminals["atm-1"].connection == "online"
    await world.pipeline.take([atm.life(T0 + 2 * S, state="offline", n=atm.n)])
    assert world.pipeline.fold.fleet.terminals["atm-1"].connection == "offline"
    await world.tick(T0 + 4 * S)
    assert rows(world, "SELECT count(*) FROM alarm") == [(0,)]
    await world.tick(T0 + 8 * S)
    # It has lasted since its last word, a second before it was gone.
    assert rows(world, "SELECT rule, raised_at FROM alarm") == [("terminal.silent", T0 + 6 * S)]


async def test_a_component_that_is_not_spoken_of_any_more_is_unknown(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    both = [*disk(T0, 40.0), reading("ups", "ups.battery.charge", T0, 100)]
    await world.pipeline.take([atm.batch(both, T0)])
    for i in range(1, 8):
        await world.pipeline.take([atm.batch(disk(T0 + i * 4 * S, 40.0), T0 + i * 4 * S)])
    assert rows(world, "SELECT component FROM alarm WHERE rule = 'component.silent'") == [("ups",)]
    assert rows(world, "SELECT name FROM component WHERE unknown <> ''") == [("ups",)]
    await world.pipeline.take([atm.batch([reading("ups", "ups.battery.charge", T0 + 40 * S, 99)], T0 + 40 * S)])
    assert rows(world, "SELECT condition FROM alarm WHERE rule = 'component.silent'") == [("normal",)]


async def test_a_source_that_fails_makes_its_components_unknown(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    await world.pipeline.take([atm.batch([reading("ups/battery", "ups.battery.charge", T0, 100)], T0)])
    failed = [
        reading("ups", "monitor.source", T0 + S, "failed", State.UNKNOWN),
        reading("ups", "monitor.reason", T0 + S, "10.0.0.7: no answer within 5 s"),
    ]
    await world.pipeline.take([atm.batch(failed, T0 + S)])
    reader = SqliteReader(world.path)
    views = {c.name: c for c in reader.components("atm-1")}
    assert views["ups/battery"].condition == "unknown"
    assert "no answer within 5 s" in views["ups"].reason
    again = [
        reading("ups", "monitor.source", T0 + 9 * S, "ok"),
        reading("ups/battery", "ups.battery.charge", T0 + 9 * S, 98),
    ]
    await world.pipeline.take([atm.batch(again, T0 + 9 * S)])
    views = {c.name: c for c in reader.components("atm-1")}
    assert (views["ups/battery"].condition, views["ups"].condition) == ("ok", "ok")
    reader.close()


async def test_what_is_switched_off_is_unknown_with_its_reason_and_never_well(world: World) -> None:
    """A source, and one component of another one that is read."""
    (atm,) = await opened(world, "atm-1")
    told = [("ups", "switched off by /state/off/ups; remove the file to read it again"), ("host/disk:/boot", "switched off by /state/off/host/disk:/boot")]  # fmt: skip
    before = [
        reading("ups/battery", "ups.battery.charge", T0, 100),
        reading("host/disk:/boot", "host.disk.percent", T0, 40.0),
        *disk(T0, 40.0),
    ]
    off = [
        each
        for name, why in told
        for each in (
            reading(name, "monitor.source", T0 + S, "failed", State.UNKNOWN),
            reading(name, "monitor.reason", T0 + S, why),
        )
    ]
    await world.pipeline.take([atm.batch(before, T0), atm.batch([*off, *disk(T0 + S, 41.0)], T0 + S)])
    reader = SqliteReader(world.path)
    views = {c.name: c for c in reader.components("atm-1")}
    reader.close()
    for name, why in told:
        assert views[name].condition == "unknown"
        assert why in views[name].reason
    assert views["ups/battery"].condition == "unknown"
    assert views["host/disk:/"].condition == "ok"


async def test_a_late_batch_repairs_history_and_raises_nothing(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    now = T0 + 5 * 3600 * S
    await world.pipeline.take([atm.life(now)])
    full = [reading("host/disk:/", "host.disk.percent", T0 + 60 * S * i, 99.0) for i in range(10)]
    await world.pipeline.take([atm.batch(full, T0 + 600 * S, received=now)])
    await world.pipeline.take([atm.batch(disk(now, 30.0), now)])
    await world.tick(now + S)
    assert dict(rows(world, "SELECT rule, condition FROM alarm")) == {"terminal.silent": "normal"}, (
        "five hours of silence, no full disk"
    )
    reader = SqliteReader(world.path)
    history = reader.history("atm-1", "host/disk:/", "host.disk.percent", T0, now)
    assert [p.value for p in history.points] == [99.0] * 10 + [30.0]
    (disk_view,) = [s for c in reader.components("atm-1") for s in c.signals]
    assert disk_view.value == 30.0
    reader.close()


async def test_a_clock_that_is_a_day_off_is_corrected_and_a_reading_from_the_future_is_never_latest(
    world: World,
) -> None:
    (atm,) = await opened(world, "atm-1")
    day = 86400 * S
    await world.pipeline.take([atm.batch(disk(T0 + day, 40.0), T0, clock_off=day)])
    reader = SqliteReader(world.path)
    (view,) = [s for c in reader.components("atm-1") for s in c.signals]
    assert view.at == T0
    await world.pipeline.take([atm.batch(disk(T0 + day + 3000 * S, 41.0), T0 + S, clock_off=day)])
    (view,) = [s for c in reader.components("atm-1") for s in c.signals]
    assert view.value == 40.0, "its time lies 50 minutes ahead"
    reader.close()


async def test_a_backlog_is_no_wrong_clock(world: World) -> None:
    """Five minutes of outage: every batch comes minutes after it was sealed, and each was read when it says."""
    (atm,) = await opened(world, "atm-1")
    kept = [atm.batch(disk(T0 + 10 * S * i, 40.0 + i), T0 + 10 * S * i, received=T0 + 300 * S) for i in range(20)]
    world.now = T0 + 300 * S
    await world.pipeline.take([atm.life(world.now), *kept[:12]])
    await world.pipeline.take(kept[12:])
    reader = SqliteReader(world.path)
    history = reader.history("atm-1", "host/disk:/", "host.disk.percent", T0, world.now)
    assert [(p.at, p.value) for p in history.points] == [(T0 + 10 * S * i, 40.0 + i) for i in range(20)]
    reader.close()


async def test_a_wrong_clock_is_seen_through_a_backlog(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    day = 86400 * S
    kept = [
        atm.batch(disk(T0 + day + 10 * S * i, 40.0 + i), T0 + 10 * S * i, received=T0 + 300 * S, clock_off=day)
        for i in range(20)
    ]
    world.now = T0 + 300 * S
    await world.pipeline.take([atm.life(world.now), *kept])
    reader = SqliteReader(world.path)
    history = reader.history("atm-1", "host/disk:/", "host.disk.percent", T0, world.now)
    assert [(p.at, p.value) for p in history.points] == [(T0 + 10 * S * i, 40.0 + i) for i in range(20)]
    reader.close()


async def test_bad_messages_are_refused_counted_and_stop_nothing(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    good = atm.batch(disk(T0, 40.0), T0)
    forged = Message(good.topic, good.payload[:-1] + bytes([good.payload[-1] ^ 1]), T0)
    stranger = Sender("atm-9").batch(disk(T0, 1.0), T0)
    replies = await world.pipeline.take([forged, stranger, Message("tw/1/x/y/batch", b"?", T0), good])
    assert replies["atm-1"].state is AckState.OK
    assert sum(world.pipeline.refusals.by_reason.values()) == 3
    assert rows(world, "SELECT count(*) FROM journal WHERE kind = 3") == [(1,)]


async def test_what_follows_a_fork_does_not_hide_it(world: World) -> None:
    """A whole window behind the fork lies ahead of its place. To ask for it again would bring the same fork, and so for ever."""
    (atm,) = await opened(world, "atm-1")
    await world.pipeline.take([atm.batch(disk(T0, 40.0), T0)])
    clone = Sender("atm-1")
    window = [clone.batch(disk(T0, 70.0 + i), T0) for i in range(5)]
    replies = await world.pipeline.take(window[1:])
    assert replies["atm-1"].state is AckState.FORK
    replies = await world.pipeline.take(window)
    assert replies["atm-1"].state is AckState.FORK


async def test_a_life_message_that_is_delivered_again_says_nothing_of_now(world: World) -> None:
    """As behind a takeover, for what was stored and not settled with the broker any more: the will in front of it stands."""
    (atm,) = await opened(world, "atm-1")
    world.now += 60 * S
    birth = atm.life(world.now)
    will = atm.life(world.now, state="offline", n=atm.n)
    await world.pipeline.take([birth, will])
    terminal = world.pipeline.fold.fleet.terminals["atm-1"]
    assert terminal.connection == "offline"
    before = rows(world, "SELECT * FROM journal"), terminal.up_received
    world.now += 20 * S
    replies = await world.pipeline.take([birth._replace(received=world.now)])
    assert replies["atm-1"].state is AckState.OK
    assert terminal.connection == "offline"
    assert (rows(world, "SELECT * FROM journal"), terminal.up_received) == before
    await world.pipeline.take([atm.life(world.now)])
    assert terminal.connection == "online"


async def test_a_life_message_does_not_hide_a_fork(world: World) -> None:
    """Which of a group comes first is chance; a fork that is not told goes on until the next one that nothing follows."""
    (atm,) = await opened(world, "atm-1")
    await world.pipeline.take([atm.batch(disk(T0, 40.0), T0)])
    clone = Sender("atm-1")
    group = [clone.batch(disk(T0, 70.0), T0), clone.life(T0)]
    for order in (group, group[::-1]):
        replies = await world.pipeline.take(order)
        assert replies["atm-1"].state is AckState.FORK


async def test_a_life_message_does_not_hide_what_is_wanted(world: World) -> None:
    """Else nothing is sent again before the agent's time-out. What it declares gone is not asked for."""
    (atm,) = await opened(world, "atm-1")
    window = [atm.batch(disk(T0, 40.0 + i), T0) for i in range(5)]
    reply = (await world.pipeline.take([window[3], atm.life(T0)]))["atm-1"]
    assert (reply.state, reply.want) == (AckState.RESEND, 1)
    reply = (await world.pipeline.take([window[3], atm.life(T0, floor=3)]))["atm-1"]
    assert (reply.state, reply.want) == (AckState.RESEND, 3)
    reply = (await world.pipeline.take([window[4], *window[2:4], atm.life(T0, floor=3)]))["atm-1"]
    assert (reply.state, reply.want) == (AckState.OK, 0)


async def test_two_epochs_in_one_group_are_both_answered(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    await world.pipeline.take([atm.batch(disk(T0, 40.0), T0)])
    clone, fresh = Sender("atm-1"), Sender("atm-1", epoch=2)
    group = [
        clone.batch(disk(T0, 77.0), T0),
        fresh.life(T0),
        fresh.batch(disk(T0, 50.0), T0),
        atm.batch(disk(T0, 41.0), T0),
    ]
    reply = (await world.pipeline.take(group))["atm-1"]
    assert (reply.epoch, reply.state) == (fresh.epoch, AckState.OK)
    assert reply.earlier is not None
    assert (reply.earlier.epoch, reply.earlier.state) == (atm.epoch, AckState.FORK)
    assert reply.earlier.earlier is None


async def test_a_loss_stands_in_the_journal_and_is_shown_also_of_an_epoch_not_heard_of_before(world: World) -> None:
    (atm,) = await opened(world, "atm-1")
    for _ in range(4):
        atm.batch(disk(T0, 1.0), T0)
    await world.pipeline.take([atm.life(T0, floor=5, lost=4)])
    fresh = Sender("atm-1", epoch=2)
    for _ in range(3):
        fresh.batch(disk(T0, 1.0), T0)
    await world.pipeline.take([fresh.life(T0, floor=4, lost=3)])
    facts = [msgpack.unpackb(row[0]) for row in rows(world, "SELECT facts FROM journal WHERE kind = 4 ORDER BY n")]
    assert [(f.get("epoch"), f.get("loss")) for f in facts] == [
        (None, None),
        (atm.epoch, [1, 4]),
        (fresh.epoch, [1, 3]),
    ]
    reader = SqliteReader(world.path)
    assert (reader.terminal("atm-1").holes, reader.terminal("atm-1").lost) == (7, 3)
    reader.close()
    replies = await world.pipeline.take([fresh.batch(disk(T0, 2.0), T0)])
    assert replies["atm-1"].state is AckState.OK
