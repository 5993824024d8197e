"""A store that has something in every table: of what every version before kept, of rollouts, of lists of machines, of frames that are packed and some that are retired."""

from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path

from tests.collector.conftest import World
from tests.collector.packed import keep_house, measured
from tests.collector.rollout.test_rolling import Story
from tests.collector.sending import S, Sender
from tillwatch.collector.sections import RetentionSection
from tillwatch.collector.store import requests

TOGETHER = 60
KEPT = Path(__file__).parents[1] / "collector" / "databases" / "collector_v7.db"
BATCHES = 660
"""Of one terminal, one a minute: a page of the chain, a segment that has become too old, one that has not, and some that are not packed."""


def lived(folder: Path) -> Path:
    """Made anew in a folder: some seconds."""
    path = folder / "collector.db"
    shutil.copy(KEPT, path)
    asyncio.run(_live(World(path)))
    return path


async def _live(world: World) -> None:
    world.now = world.pipeline.fold.advanced_to + S
    story = Story(world, 2)
    await story.begin()
    await story.start(await story.publish("cooler"))
    await story.good("t-1")
    chance, till = random.Random(3), story.tills["t-2"]
    for _ in range(BATCHES // TOGETHER):
        group = []
        for _ in range(TOGETHER):
            world.now += 60 * S
            group += [till.batch(measured(chance, world.now), world.now), story.tills["t-1"].life(world.now)]
        await world.pipeline.take(group)
    await keep_house(world, RetentionSection(keep=5 * 3600.0))
    day = 86_400 * S
    window = {"id": "M-1", "scope": "t-1", "from": world.now + S, "to": world.now + day, "approved_by": "mei"}
    await story.act("window", **window)
    await story.act("window", **window | {"id": "M-2", "scope": "branch:Airport"})
    await story.act("window-cancel", id="M-2")
    await story.act("terminal-note", terminal="t-1", text="the UPS beeps")
    await story.act("asset", terminal="t-2", fields={"model": "Eaton 9PX", "serial": "GA12"})
    await story.act("command", terminal="t-1", kind="poll-now", arguments={"component": "ups"})
    await story.act("life-cycle", terminal="t-2", state="in-storage")
    rows = [[f"SN-{n}", f"k-{n}", "Airport", "South", "atm", ""] for n in range(3)]
    await story.act("expect", rows=rows, image="", source="list.csv")
    await story.act(
        "image-token", name="kiosk", since=0, until=world.now + day, count=5, listed=False, digest=b"", source="",
        secret=bytes(32),
    )  # fmt: skip
    await story.say("t-1", "host/disk:/", "host.disk.percent", 99)
    await story.minutes(3)
    new = Sender("t-9")
    await new.enrol(world.pipeline, "Airport", "South")
    requests.ask(
        world.store.conn,
        {"action": "terminal-note", "actor": "li.na", "terminal": "t-1", "text": "waits", "request": "k1"},
    )
    world.store.close()
