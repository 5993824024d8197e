"""Stores that have lived: filled by terminals, packed and retired, for the tests of everything that reads the log."""

from __future__ import annotations

import random

from tests.collector.conftest import World
from tests.collector.sending import T0, S, Sender, reading
from tillwatch.agent.model import Reading
from tillwatch.collector.housekeeping import Housekeeping
from tillwatch.collector.sections import RetentionSection
from tillwatch.collector.store.compaction import Compactor

FOREVER = RetentionSection(keep=0.0)
STEP = 10 * S


def measured(chance: random.Random, at: int) -> list[Reading]:
    return [
        reading("ups", "ups.input.voltage", at, round(230 + chance.random() * 4, 1)),
        reading("ups", "ups.battery.charge", at, 100),
        reading("ups", "ups.output.source", at, chance.choice(["normal", "battery"])),
        reading("host/disk:/", "host.disk.percent", at + S, round(chance.random() * 80, 1)),
    ]


async def filled(world: World, count: int, *names: str, life_every: int = 50) -> list[Sender]:
    """Batches of some terminals, with life messages among them."""
    chance = random.Random(7)
    await world.start()
    senders = [Sender(name) for name in names]
    for sender in senders:
        await sender.enrol(world.pipeline)
        await world.pipeline.take([sender.life(world.now)])
    for i in range(count):
        world.now = T0 + i * STEP
        group = [sender.batch(measured(chance, world.now), world.now) for sender in senders]
        if i % life_every == life_every - 1:
            group += [sender.life(world.now) for sender in senders]
        await world.pipeline.take(group)
    return senders


async def keep_house(world: World, keep: RetentionSection = FOREVER) -> None:
    compactor = Compactor(world.where)
    try:
        await Housekeeping(world.pipeline, compactor, keep).turn(rest=0.0)
    finally:
        compactor.close()
