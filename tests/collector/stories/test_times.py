"""Late readings and wrong clocks, signed and through the pipeline: history opens nothing, and a clock that is off by a day calls nobody."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.conftest import COLLECTOR_KEY, UNITS, World
from tests.collector.sending import T0, S, Sender, reading
from tests.collector.stories.stage import DAY, HOUR, MINUTE
from tillwatch.agent.model import MS
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.clock import HOLD_NS, SteadyClock
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.store.sqlite import SqliteStore
from tillwatch.collector.tickets.message import TicketMessage

PATIENT = '[fold]\nsilent_least = "900d"\n[[rule]]\nid = "disk.full"\nfor = "0s"\nhold = "0s"\n'


def told(world: World) -> list[TicketMessage]:
    return [TicketMessage.unpack(body) for (body,) in world.store.conn.execute("SELECT body FROM outbox ORDER BY seq")]


def full(at: int, percent: float = 99.0) -> list:
    return [reading("host/disk:/", "host.disk.percent", at, percent)]


@pytest.fixture
async def site(world: World) -> AsyncIterator[tuple[World, Sender]]:
    await world.start(PATIENT)
    atm = Sender("atm-1", boot_at=T0 - DAY)
    await atm.enrol(world.pipeline)
    await world.pipeline.take([atm.life(world.now)])
    yield world, atm
    copy = world.path.with_name("again.db")
    rebuild(world.path, copy)
    with closing(sqlite3.connect(copy)) as again:
        assert tables(again) == tables(world.store.conn)
    world.store.close()


async def test_what_happened_five_hours_ago_opens_nothing(site: tuple[World, Sender]) -> None:
    """The line was down meanwhile. The disk was full then, and is not now."""
    world, atm = site
    await world.pipeline.take([atm.batch(full(T0 + MINUTE, 20), T0 + MINUTE)])
    late = atm.batch(full(T0 + 2 * MINUTE), T0 + 2 * MINUTE, received=T0 + 5 * HOUR)
    await world.tick(T0 + 5 * HOUR)
    await world.pipeline.take([late])
    await world.tick(T0 + 6 * HOUR)
    assert told(world) == []
    assert world.pipeline.fold.book.alarms == {}
    world.now = T0 + 6 * HOUR
    await world.pipeline.take([atm.batch(full(world.now), world.now)])
    assert len(told(world)) == 1, "the same of now does"


async def test_what_ended_five_hours_ago_does_not_end_what_lasts(site: tuple[World, Sender]) -> None:
    world, atm = site
    late = atm.batch(full(T0 + MINUTE, 20), T0 + MINUTE, received=T0 + 5 * HOUR)
    now = atm.batch(full(T0 + 5 * HOUR), T0 + 5 * HOUR)
    world.now = T0 + 5 * HOUR
    await world.pipeline.take([late, now])
    (alarm,) = world.pipeline.fold.book.alarms.values()
    assert alarm.condition == "active"
    assert alarm.since >= T0 + 5 * HOUR - S


@pytest.mark.parametrize("off", [DAY, -DAY])
async def test_a_terminal_that_is_off_by_a_day(site: tuple[World, Sender], off: int) -> None:
    """Its fault is one of now. Beside it stands that its clock is wrong."""
    world, atm = site
    for i in range(3):
        world.now = T0 + i * MINUTE
        await world.pipeline.take([atm.batch(full(world.now + off), world.now, clock_off=off)])
    (disk,) = [each for each in world.pipeline.fold.book.alarms.values() if each.rule == "disk.full"]
    assert abs(disk.since - T0) < 2 * S
    assert {each.since // DAY for each in told(world)} == {T0 // DAY}
    assert any(each.rule == "clock.suspect" and each.open for each in world.pipeline.fold.book.alarms.values())


class Machine:
    """Of the collector. off: by how much its clock is wrong; real: ns that only go forward."""

    def __init__(self, path: Path) -> None:
        self.real, self.off = 10**12, 0
        self.store = SqliteStore(path)
        steady = SteadyClock(lambda: T0 + self.real - 10**12 + self.off, lambda: self.real)
        self.pipeline = Pipeline(self.store, COLLECTOR_KEY, UNITS, steady=steady)

    @property
    def now(self) -> int:
        return T0 + self.real - 10**12 + self.off

    async def go(self, ns: int) -> None:
        """The time passes, and the collector looks every half minute."""
        end = self.real + ns
        while self.real < end:
            self.real = min(self.real + 30 * S, end)
            await self.pipeline.take_opened([])

    def steps(self) -> list[str]:
        found = []
        for (body,) in self.store.conn.execute("SELECT body FROM outbox ORDER BY seq"):
            message = TicketMessage.unpack(body)
            found += list(dict.fromkeys(role for role, _, _ in message.told if role))
        return found


ONCE = ["duty engineer", "backup engineer", "section head", "department manager"]


@pytest.mark.parametrize("off", [DAY, -DAY])
async def test_the_collector_is_off_by_a_day_for_minutes(tmp_path: Path, off: int) -> None:
    """A wrong time server, put right: nobody is lost, nobody is called too early, too late or twice."""
    machine = Machine(tmp_path / "collector.db")
    await machine.pipeline.start(shipped_text(), PATIENT)
    atm = Sender("atm-1", boot_at=T0 - DAY)
    await atm.enrol(machine.pipeline)
    await machine.pipeline.take([atm.life(machine.now), atm.batch(full(machine.now), machine.now)])
    await machine.go(5 * MINUTE)
    machine.off = off
    await machine.go(HOLD_NS - MINUTE)
    machine.off = 0
    await machine.go(20 * MINUTE)
    assert machine.steps() == ONCE
    spaced = [at for (at,) in machine.store.conn.execute("SELECT at FROM incident_event WHERE kind = 'escalated'")]
    assert [round((at - spaced[0]) / MINUTE) for at in spaced] == [0, 10, 20, 30]
    machine.store.close()


@pytest.mark.parametrize("off", [DAY, -DAY])
async def test_the_collector_is_set_by_a_day(tmp_path: Path, off: int) -> None:
    """For good. The journal's time goes on or leaps; each step is told once, and nobody is missed for the day that never was."""
    machine = Machine(tmp_path / "collector.db")
    await machine.pipeline.start(shipped_text(), PATIENT.replace("900d", "1h"))
    atm = Sender("atm-1", boot_at=T0 - DAY)
    await atm.enrol(machine.pipeline)
    await machine.pipeline.take([atm.life(machine.now), atm.batch(full(machine.now), machine.now)])
    await machine.go(5 * MINUTE)
    machine.off = off
    await machine.go(HOLD_NS + 10 * MINUTE)
    message = atm.batch(full((machine.now // MS) * MS), machine.now - off, clock_off=off)
    await machine.pipeline.take_opened([machine.pipeline.look(message._replace(received=machine.now))])
    await machine.go(40 * MINUTE)
    assert [role for each in machine.steps() for role in each.split(", ")][:4] == ONCE
    assert machine.pipeline.fold.fleet.terminals["atm-1"].connection == "online"
    assert {each.rule for each in machine.pipeline.fold.book.alarms.values() if each.rule == "terminal.silent"} == set()
    machine.store.close()
