"""What a store of series must hold after a log was written to it, said from what terminals read and by no code that is under test; and exporters for tests."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.collector.conftest import World
from tests.collector.sending import T0, S, Sender, reading
from tests.scale.servers.victoriametrics import Series
from tillwatch.agent.model import MS, Quality, Reading, State
from tillwatch.collector.series.exporter import Exporter, Limits
from tillwatch.collector.series.kept import KeptFile, Standing
from tillwatch.collector.series.settings import SinkSettings, connect
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.reading import reading as opened
from tillwatch.device_profiles.catalogue import kept_catalogue

SIGNALS = kept_catalogue().signals


@dataclass
class Sent:
    """What terminals of this place have read, as (terminal, reading at its corrected time)."""

    branch: str = "hill"
    region: str = "north"
    readings: list[tuple[str, Reading]] = field(default_factory=list)

    def victoria(self) -> Series:
        """Numbers under the name of their field, words of a state's list as a label, other text nowhere."""
        found: Series = {}
        for terminal, one in self.readings:
            labels = {
                "branch": self.branch, "region": self.region, "class": "atm", "terminal": terminal, "component": one.component,
                "signal": one.signal, "unit": SIGNALS[one.signal].unit if one.signal in SIGNALS else "",
            }  # fmt: skip
            name = "till_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in one.signal)
            fields: list[tuple[str, float, dict[str, str]]] = []
            if isinstance(one.value, str):
                if one.signal in SIGNALS and one.value in dict(SIGNALS[one.signal].states):
                    fields.append(("text", 1.0, {"text": one.value}))
            elif one.value is not None:
                fields.append(("value", float(one.value), {}))
            if one.state is not State.NONE:
                fields.append(("state", float(one.state), {}))
            if one.quality is not Quality.GOOD:
                fields.append(("quality", float(one.quality), {}))
            for suffix, value, more in fields:
                key = {"__name__": f"{name}_{suffix}", **labels, **more}
                said = tuple(sorted((k, v) for k, v in key.items() if v))
                found.setdefault(said, {}).setdefault(one.at // MS, []).append(value)
        return found


def readings(chance: random.Random, at: int) -> list[Reading]:
    """A round of a terminal, with all that readings may be."""
    odd = chance.random() < 0.1
    return [
        reading("ups", "ups.input.voltage", at, round(230 + chance.random() * 4, 1)),
        reading("ups", "ups.battery.charge", at, chance.randrange(101), State.WARN if odd else State.OK),
        reading("ups", "ups.output.source", at, chance.choice(["normal", "battery"]), State.OK),
        reading("host/disk:C:\\", "host.disk.percent", at + S, round(chance.random() * 80, 1)),
        reading("host", "host.memory.percent", at + S, None if odd else 41.5, quality=Quality.ERROR if odd else Quality.GOOD),
        reading("ups, the left=one", "experimental.fan.speed", at, 2**40 + chance.randrange(9), quality=Quality.STALE if odd else Quality.GOOD),
        reading("host", "identity.model", at, "Model X"),
    ]  # fmt: skip


async def lived(world: World, count: int, *names: str, seed: int = 5) -> tuple[list[Sender], Sent]:
    """Terminals that send each ten seconds."""
    await world.start()
    senders, sent = [Sender(name) for name in names], Sent()
    for sender in senders:
        await sender.enrol(world.pipeline)
    await more(world, senders, sent, count, seed=seed)
    return senders, sent


async def more(
    world: World, senders: Iterable[Sender], sent: Sent, count: int, *, seed: int = 6, first: int = 0
) -> None:
    chance = random.Random(seed)
    for i in range(first, first + count):
        world.now = T0 + i * 10 * S
        group = []
        for sender in senders:
            said = readings(chance, world.now)
            sent.readings += [(sender.name, each) for each in said]
            group.append(sender.batch(said, world.now))
        await world.pipeline.take(group)


def shown(sent: Sent) -> Series:
    """A backslash in a name is a full-width one there."""
    return {
        tuple((key, value.replace("\\", "＼")) for key, value in labels): at for labels, at in sent.victoria().items()
    }


def exporter(
    database: Path, url: str, *, points: int = 200, until: int = 0, kept: bool = True, timeout: float = 10.0
) -> Exporter:
    settings = SinkSettings(kind="victoriametrics", url=url, points=points, timeout=timeout)
    file = KeptFile(database, "test")
    stands = (file.load() if kept else None) or Standing()

    def save(standing: Standing, settled: bool) -> None:
        if kept:
            file.save(standing, settled=settled)

    def open_now() -> Db:
        return opened(database)

    return Exporter("test", connect(settings), open_now, SIGNALS, Limits(points, until), stands, save)


def all_written(one: Exporter, n: int, seconds: float = 60.0) -> None:
    """Until the sink has answered for entry n."""
    deadline = time.monotonic() + seconds
    while one.standing.written.n < n:
        wait = one.turn()
        assert time.monotonic() < deadline, one.standing
        time.sleep(min(wait, 0.05))
