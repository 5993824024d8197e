"""A store of a few terminals whose fans wear out again and again: slower each day, until the alarm; some of them are replaced. Made once for all tests."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tests.collector.conftest import World
from tests.collector.desk import QUIET
from tests.collector.sending import S, Sender, reading
from tillwatch.agent.model import Reading, State
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.duty.policy import shipped_policy

FAN = "host/fan:1"
TERMINALS, DAYS = 8, 100
DAY = 86_400 * S
RULES = '[[rule]]\nid = "host.fan"\nfor = "0s"\nhold = "0s"\n'
BY_VERDICT, BEFORE, WRONG = "T1", "T2", "T3"
"""Whose fans have no number, and are new by what the technician says; whose second fan was replaced before it failed; whose first alarm was false."""


@dataclass
class _Fan:
    """life: days that it will last."""

    terminal: str
    rng: random.Random
    sender: Sender
    life: int = 0
    age: float = 0.0
    number: int = 0
    begun: int = 0
    truth: list[tuple[str, int, int]] = field(default_factory=list)
    """(state, begun, until) in UTC ns, of lives that are over."""

    def new(self, now: int) -> None:
        self.age, self.number, self.begun = 0.0, self.number + 1, now
        # One that is replaced early still outlives the time in which two signs of a change are taken for the same one.
        self.life = 30 if self.replaced_early else self.rng.randint(14, 30)

    def over(self, state: str, now: int) -> None:
        self.truth.append((state, self.begun, now))

    @property
    def replaced_early(self) -> bool:
        return self.terminal == BEFORE and self.number == 2

    @property
    def worn(self) -> bool:
        return self.age >= self.life

    def readings(self, now: int, *, broken: bool) -> list[Reading]:
        speed = 0.0 if self.worn else 3000 - 1500 * self.age / self.life + self.rng.gauss(0, 40)
        said = [
            reading(FAN, "host.fan.speed", now, speed, State.CRIT if broken else State.OK),
            reading("host/temperature:cpu", "host.temperature", now, 50 + self.rng.gauss(0, 3), State.OK),
            reading("host", "identity.serial", now, f"{self.terminal} host"),
        ]
        if self.terminal == "T0":
            said.append(reading(FAN, "host.voltage", now, 12.0, State.OK))
        if self.terminal != BY_VERDICT:
            said.append(reading(FAN, "identity.serial", now, f"{self.terminal}-{self.number}"))
        return said


async def _live(world: World) -> list[_Fan]:
    await world.pipeline.start(shipped_text(), QUIET + RULES, policy=(shipped_policy(), ""))
    fans = []
    for i in range(TERMINALS):
        fan = _Fan(f"T{i}", random.Random(i), Sender(f"T{i}", boot_at=world.now))
        await fan.sender.enrol(world.pipeline)
        await world.pipeline.take([fan.sender.life(world.now)])
        fan.new(world.now)
        fans.append(fan)
    for half in range(2 * DAYS):
        await world.tick(world.now + DAY // 2)
        sent = []
        for fan in fans:
            false = fan.terminal == WRONG and half == 10
            if fan.replaced_early and fan.age > 16:
                fan.over("cut off", world.now)
                fan.new(world.now)
            sent.append(fan.sender.batch(fan.readings(world.now, broken=fan.worn or false), world.now))
        await world.pipeline.take(sent)
        for fan in fans:
            if fan.terminal == WRONG and half == 11:
                await _resolve(world, fan, "false_alarm")
            if fan.worn:
                fan.over("ended", world.now)
                world.now += 60 * S
                fan.new(world.now)
                if fan.terminal == BY_VERDICT:
                    # It turns again, and then the incident is resolved.
                    await world.pipeline.take([fan.sender.batch(fan.readings(world.now, broken=False), world.now)])
                    await _resolve(world, fan, "part_changed")
            fan.age += 0.5
    return fans


async def _resolve(world: World, fan: _Fan, verdict: str) -> None:
    incidents: Any = world.pipeline.fold.book.incidents.values()
    last = [each.corr_id for each in incidents if each.fault == "host.fan" and each.terminal == fan.terminal][-1]
    await world.pipeline.operate(
        {"action": "resolve", "incident": last, "verdict": verdict, "part": "fan", "actor": "li.wei"}
    )


@cache
def _made() -> tuple[Path, dict[str, list[tuple[str, int, int]]]]:
    path = Path(mkdtemp(prefix="tillwatch-fans-")) / "collector.db"
    world = World(path)
    try:
        fans = asyncio.run(_live(world))
    finally:
        world.store.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path, {fan.terminal: [*fan.truth, ("running", fan.begun, world.now)] for fan in fans}


def worn_fans(folder: Path) -> tuple[Path, dict[str, list[tuple[str, int, int]]]]:
    """A copy of it: the configuration that names it, and the lives of the fan of each terminal."""
    folder.mkdir(parents=True, exist_ok=True)
    path, truth = _made()
    shutil.copy(path, folder / "collector.db")
    file = folder / "collector.toml"
    file.write_text(f'[collector]\ndata_dir = "{folder}"\n')
    return file, truth
