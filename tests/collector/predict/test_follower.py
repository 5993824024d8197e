"""The predictions behind a real log: the same is said of the same log, however it is read, packed, interrupted or killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.collector.conftest import World
from tests.collector.packed import filled, keep_house
from tests.collector.predict.threshold_engine import ThresholdEngine, make
from tests.collector.sending import T0, S, Sender, reading
from tests.collector.watch.running import until
from tests.variants import long_after
from tillwatch.collector.config import Config
from tillwatch.collector.journal import Kind
from tillwatch.collector.predict import follower as follower_module
from tillwatch.collector.predict.__main__ import engine_of
from tillwatch.collector.predict.checkpoint import Checkpoint, beside, read_status
from tillwatch.collector.predict.follower import Follower
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.proof.verify import verify_log
from tillwatch.collector.sections import CollectorSection, RetentionSection
from tillwatch.collector.store import foretold, requests
from tillwatch.collector.store.log import Log
from tillwatch.collector.store.sqlite import SqliteStore

DAY = 86_400


@contextmanager
def following(world: World, maker: Callable[[Any], Any] = make) -> Iterator[Follower]:
    with closing(Checkpoint(beside(world.path))) as checkpoint, closing(Follower(world.path, checkpoint, maker)) as one:
        yield one


def engine(follower: Follower) -> ThresholdEngine:
    assert isinstance(follower._engine, ThresholdEngine)
    return follower._engine


async def all_read(world: World, follower: Follower) -> None:
    """Until there is nothing more to read, not even what came of it."""
    for _ in range(1000):
        follower.step()
        await world.pipeline.take_requests()
        if follower.position == world.pipeline.journal.n and not follower.unsent:
            return
    pytest.fail(f"at entry {follower.position} of {world.pipeline.journal.n}")


def said(world: World) -> list[dict[str, Any]]:
    """The facts of the FINDING entries, in order."""
    return [
        each.entry.facts_map()
        for each in Log(world.store.conn).walk(lambda fault: pytest.fail(fault.text))
        if each.entry.kind is Kind.FINDING
    ]


def held(world: World) -> list[dict[str, Any]]:
    return [each.facts() for each in foretold.findings(world.store.conn, None, open_only=True, limit=-1)]


async def test_what_the_engine_says_becomes_record_alarm_and_rows(world: World) -> None:
    await filled(world, 120, "atm-1", "atm-2")
    with following(world) as follower:
        await all_read(world, follower)
        state = engine(follower)
        assert set(state.places) == {"atm-1", "atm-2"}
        assert state.places["atm-1"] == ["hill", "north", "atm", world.pipeline.fold.book.policy.zone]
        # Batches, life messages, acts, and what it said itself: nothing is left out.
        entries = world.pipeline.journal.n
        assert follower.position == entries
    assert said(world)
    assert {each["actor"] for each in said(world)} == {"predictions"}
    open_ = {(each["terminal"], each["component"]) for each in held(world)}
    assert open_ == {tuple(name.split(" ")) for name in state.open}
    raised = {
        key[1:] for key, alarm in world.pipeline.fold.book.alarms.items() if key[0] == "predicted.trend" and alarm.open
    }
    assert raised == open_
    assert world.store.conn.execute("SELECT count(*) FROM operator_request").fetchone() == (0,)
    assert verify_log(world.store.conn, None).ok
    world.store.close()


async def test_a_log_that_was_packed_and_retired_is_read_the_same_way(worlds: Callable[[str], World]) -> None:
    plain, packed = worlds("plain"), worlds("packed")
    digests = []
    for world in (plain, packed):
        await filled(world, 700, "atm-1", "atm-2")
        if world is packed:
            await keep_house(world)
            assert world.store.conn.execute("SELECT count(*) FROM segment").fetchone()[0] > 0
        with following(world) as follower:
            while follower.step(lambda: False):
                pass
            digests.append((engine(follower).digest, engine(follower).calls))
    assert digests[0] == digests[1]
    packed.now += 500 * DAY * S
    await packed.tick(packed.now)
    await packed.pipeline.take([])
    await keep_house(packed, RetentionSection(keep=7 * DAY))
    beside(packed.path).unlink()
    with following(packed) as follower:
        while follower.step():
            pass
        assert follower.position == packed.pipeline.journal.n
    plain.store.close()
    packed.store.close()


async def test_read_in_pieces_it_is_the_same_as_read_at_once(world: World) -> None:
    await filled(world, 400, "atm-1", "atm-2")
    await keep_house(world)
    chance, pieces = random.Random(5), 0
    position, before = 0, -1
    while position != before:
        before = position
        with following(world) as follower:
            upto = follower.position + chance.randrange(1, 120)
            follower.step(lambda f=follower, n=upto: f.position >= n)
            follower.save()
            position, pieces = follower.position, pieces + 1
            state = engine(follower)
    assert pieces > 5
    beside(world.path).unlink()
    with following(world) as follower:
        while follower.step():
            pass
        assert (engine(follower).digest, engine(follower).open) == (state.digest, state.open)
    world.store.close()


async def test_said_again_it_is_not_journaled_again(world: World) -> None:
    await filled(world, 100, "atm-1")
    with following(world) as follower:
        await all_read(world, follower)
    once, kept = said(world), held(world)
    assert once
    # Nothing was saved: all of it is read, and said, once more.
    with following(world) as follower:
        assert follower.position == 0
        await all_read(world, follower)
    assert (said(world), held(world)) == (once, kept)
    copy = world.path.with_name("again.db")
    rebuild(world.path, copy)
    again = SqliteStore(copy)
    assert tables(again.conn) == tables(world.store.conn)
    again.close()
    world.store.close()


async def test_what_another_engine_held_open_is_put_right(world: World) -> None:
    await filled(world, 100, "atm-1", "atm-2")
    with following(world) as follower:
        await all_read(world, follower)
        follower.save()
    assert held(world)

    class Blind(ThresholdEngine):
        def _finding(self, name: str, value: float, now: int) -> None:
            return None

    beside(world.path).unlink()
    with following(world, Blind) as follower:
        await all_read(world, follower)
    assert held(world) == []
    assert not any(alarm.open for alarm in world.pipeline.fold.book.alarms.values() if alarm.rule == "predicted.trend")
    with following(world, Blind) as follower:
        before = len(said(world))
        await all_read(world, follower)
        assert len(said(world)) == before
    world.store.close()


async def test_people_find_their_place_at_the_door(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the collector takes nothing, the predictions wait: they leave a tenth of what may wait there."""
    assert follower_module.WAITING <= requests.MAX_WAITING // 10
    monkeypatch.setattr(follower_module, "WAITING", 10)
    await filled(world, 300, "atm-1", "atm-2", life_every=900)
    with following(world) as follower:
        for _ in range(100):
            follower.step()
        (count,) = world.store.conn.execute("SELECT count(*) FROM operator_request").fetchone()
        assert count == 10
        # How far a step reads is a matter of time; what it found beyond the door's place waits with it.
        assert follower.unsent
        await all_read(world, follower)
        assert follower.position == world.pipeline.journal.n
    world.store.close()


async def test_what_people_and_alarms_say_reaches_the_engine_in_order(world: World) -> None:
    await world.start('[[rule]]\nid = "disk.full"\nfor = "0s"\nhold = "0s"\n')
    atm = Sender("atm-1")
    await atm.enrol(world.pipeline)
    await world.pipeline.take([atm.life(world.now)])
    for value in (99, 10):
        world.now += 60 * S
        await world.pipeline.take(
            [atm.batch([reading("host/disk:/", "host.disk.percent", world.now, value)], world.now)]
        )
    world.now += 60 * S
    (incident,) = [each.corr_id for each in world.pipeline.fold.book.incidents.values() if each.fault == "disk.full"]
    await world.pipeline.operate(
        {"action": "resolve", "incident": incident, "verdict": "true_fault", "part": "", "actor": "li.wei"}
    )
    await world.pipeline.operate(
        {"action": "life-cycle", "terminal": "atm-1", "state": "repair", "reason": "x", "actor": "li.wei"}
    )
    await world.pipeline.operate({"action": "revoke", "terminal": "atm-1", "reason": "x", "actor": "li.wei"})
    with following(world) as follower:
        await all_read(world, follower)
        told = [each for each in engine(follower).events if "predicted" not in each]
    assert told == [
        "enrolled atm-1    ",
        "raised atm-1 host/disk:/ disk.full  software",
        "cleared atm-1 host/disk:/ disk.full  software",
        "verdict atm-1 host/disk:/ disk.full true_fault software",
        "life_cycle atm-1   repair ",
        "life_cycle atm-1   revoked ",
    ]
    world.store.close()


async def test_another_log_is_not_gone_on_with(
    worlds: Callable[[str], World], caplog: pytest.LogCaptureFixture
) -> None:
    one, other = worlds("one"), worlds("other")
    for world, name in ((one, "atm-1"), (other, "atm-2")):
        await filled(world, 50, name)
        with following(world) as follower:
            follower.step()
            follower.save()
    beside(one.path).replace(beside(other.path))
    with following(other) as follower:
        assert follower.position == 0
    assert "is not the one of this log" in caplog.text
    one.store.close()
    other.store.close()


async def test_the_status_says_how_far(world: World) -> None:
    assert read_status(world.path) is None
    await filled(world, 60, "atm-1")
    with following(world) as follower:
        follower.step(lambda: follower.position >= 10)
        halfway = read_status(world.path)
        follower.step()
        status = read_status(world.path)
        follower.tell(running=False)
    assert halfway is not None
    assert (halfway.position, halfway.head, halfway.behind) == (
        10,
        world.pipeline.journal.n,
        world.pipeline.journal.n - 10,
    )
    assert status is not None
    assert (status.behind, status.series, status.process) == (0, 1, os.getpid())
    assert status.limits["things"] > 0
    assert status.at == world.pipeline.journal.at
    ended = read_status(world.path)
    assert ended is not None
    assert ended.process == 0
    world.store.close()


async def test_the_engine_itself_goes_on_where_it_stood(worlds: Callable[[str], World]) -> None:
    """A disk that fills up for ten weeks, read at once and in pieces with a new process for each: the same findings, for the same entries."""
    found = []
    for name in ("whole", "pieces"):
        world = worlds(name)
        await world.start()
        atm = Sender("atm-1")
        await atm.enrol(world.pipeline)
        await world.pipeline.take([atm.life(world.now)])
        chance, group = random.Random(3), []
        for hour in range(0, 70 * 24, 4):
            world.now = T0 + hour * 3600 * S
            used = round(35 + 0.75 * hour / 24 + chance.random(), 1)
            group.append(atm.batch([reading("host/disk:C", "host.disk.percent", world.now, used)], world.now))
            if len(group) == 40:
                await world.pipeline.take(group)
                group = []
        maker = engine_of(Config(collector=CollectorSection(data_dir=world.path.parent / "none")))
        while True:
            with following(world, maker) as follower:
                upto = follower.position + (97 if name == "pieces" else 10**9)
                follower.step(lambda f=follower, n=upto: f.position >= n)
                await world.pipeline.take_requests()
                follower.save()
                if follower.position == world.pipeline.journal.n:
                    break
        found.append([(each["position"], each.get("findings"), each.get("grades")) for each in said(world)])
        assert any(one["family"] == "runout" for each in said(world) for one in each.get("findings", ()))
        world.store.close()
    assert found[0] == found[1]


@pytest.mark.parametrize("seed", long_after(1, range(3)))
async def test_killed_anywhere_it_ends_as_if_it_never_was(worlds: Callable[[str], World], seed: int) -> None:
    """A process that is killed again and again, beside a collector that takes what it leaves; against one that reads it all in one go."""
    calm, torn = worlds("calm"), worlds("torn")
    chance = random.Random(seed)
    for world in (calm, torn):
        await filled(world, 300, "atm-1", "atm-2")
    with following(calm) as follower:
        await all_read(calm, follower)
        expected = engine(follower)
    program = (sys.executable, "-P", "-m", "tests.collector.predict.killed_follower", str(torn.path))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", ""))),
    }
    log = torn.path.with_name("follower.log")
    for kill in (*[True] * 6, False):
        with log.open("w") as out:
            process = subprocess.Popen(program, stdout=out, stderr=out, env=environment)
        try:
            await until(lambda: "begun" in log.read_text(), what="the follower's start")
            if kill:
                for _ in range(chance.randrange(1, 12)):
                    await torn.pipeline.take_requests()
                    await asyncio.sleep(chance.random() * 0.02)
            else:
                await taken_to_the_end(torn, log)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert "Traceback" not in log.read_text(), log.read_text()
    ids = [each["id"] for each in held(calm)]
    assert sorted(each["id"] for each in held(torn)) == sorted(ids)
    assert sorted(map(str, held(torn))) == sorted(map(str, held(calm)))
    findings = [[each for one in said(world) for each in one.get("findings", ())] for world in (torn, calm)]
    assert findings[0] == findings[1], "and it was said once, in the same order"
    with following(torn) as follower:
        await all_read(torn, follower)
        assert engine(follower).open == expected.open
    assert verify_log(torn.store.conn, None).ok
    calm.store.close()
    torn.store.close()


async def taken_to_the_end(world: World, log: Path) -> None:
    """Take what the process leaves until it has read all of it, and nothing more comes."""
    for _ in range(2000):
        await world.pipeline.take_requests()
        if f"done {world.pipeline.journal.n}\n" in log.read_text():
            return
        await asyncio.sleep(0.02)
    pytest.fail(log.read_text())
