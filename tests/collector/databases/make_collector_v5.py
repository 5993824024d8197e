"""Makes collector_v5.db: a collector's file as the fifth schema kept it, with incidents whose tickets are at every stage: told, half told, waiting, and a
drill that waits. It was run once, with the last version that wrote this schema; a kept file is never made again.

python -m tests.collector.databases.make_collector_v5 FILE
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.collector.conftest import World
from tests.collector.packed import keep_house
from tests.collector.sending import S, Sender, reading


async def main(path: Path) -> None:
    world = World(path)
    await world.start()
    atms = [Sender(f"atm-{n}") for n in (1, 2, 3)]
    for atm in atms:
        await atm.enrol(world.pipeline)
        await world.pipeline.take([atm.life(world.now)])
    for step in range(40):
        world.now += 30 * S
        ill, opened = step >= 4, 4 <= step < 12
        told = (
            ("ups", "ups.output.source", "battery" if ill else "normal"),
            ("host/disk:/", "host.disk.percent", 99 if ill else 50),
            ("camera", "camera.casing", "open" if opened else "closed"),
        )
        for atm, (component, signal, value) in zip(atms, told, strict=True):
            await world.pipeline.take([atm.batch([reading(component, signal, world.now, value)], world.now)])
    taken = next(alarm for alarm in world.pipeline.fold.book.alarms.values() if alarm.rule == "disk.full")
    facts = {"terminal": "atm-2", "alarm": taken.id, "actor": "li.wei", "note": "on my way"}
    await world.pipeline.operate({"action": "acknowledge", **facts})
    await world.pipeline.operate(
        {
            "action": "drill",
            "terminal": "atm-1",
            "component": "ups",
            "rule": "disk.full",
            "minutes": 600,
            "level": 2,
            "actor": "watch",
        }
    )
    for _ in range(3):
        world.now += 60 * S
        await world.pipeline.take([atm.life(world.now) for atm in atms])
    incident = world.pipeline.fold.book.incidents[taken.incident]
    link = {
        "incident": incident.corr_id,
        "connector": "webhook",
        "external_id": "T-7",
        "url": "https://desk.example/7",
        "state": "open",
    }
    await world.pipeline.ticket_changed(link)
    db = world.store.conn
    db.execute(
        "UPDATE outbox SET state = 'done', attempts = 1, done_at = ? WHERE incident = ? AND seq = 1",
        (world.now, incident.corr_id),
    )
    others = "SELECT id FROM outbox WHERE incident <> ? ORDER BY id LIMIT 1"
    db.execute(f"UPDATE outbox SET state = 'sending', attempts = 1 WHERE id = ({others})", (incident.corr_id,))
    await keep_house(world)
    await world.pipeline.stop()
    world.store.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    world.store.conn.execute("VACUUM")
    world.store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
