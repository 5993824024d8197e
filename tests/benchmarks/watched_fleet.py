"""A collector's store with a whole fleet in it, and the intake of it, in a process of its own: `python -m tests.benchmarks.watched_fleet STORE TERMINALS BRANCHES
BATCHES`. Batches are made before anything is measured.

It says `ready` when every terminal has sent one batch. Then it takes a line at a time: `take SECONDS` hands over batches as fast as the pipeline takes them and
answers with {"batches", "seconds"}; `fault N` lets the terminal `ill-N` fall onto battery and answers with the time of that, UTC ms.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from tests.benchmarks import fleet
from tests.collector.conftest import COLLECTOR_KEY, UNITS
from tests.collector.sending import S, Sender, reading
from tillwatch.agent.model import MS, State
from tillwatch.agent.wire import batch_topic, life_topic
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.intake import Message
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.store.sqlite import SqliteStore

GROUP = 64
REGIONS = 20
FAULTS = 5
RULES = '[[rule]]\nid = "ups.on-battery"\nfor = "0s"\n'


class Watched:
    def __init__(self, path: Path, terminals: int, batches: int) -> None:
        self._store = SqliteStore(path)
        self._pipeline = Pipeline(self._store, COLLECTOR_KEY, UNITS)
        self._streams = fleet.make(terminals, batches, time.time_ns() // MS, 1)
        self._place = 0
        self._ill = [Sender(f"ill-{n}", boot_at=time.time_ns() - 3600 * S) for n in range(FAULTS)]

    async def build(self, branches: int) -> None:
        conn = self._store.conn
        conn.execute("PRAGMA synchronous=OFF")  # what is built here is not measured
        await self._pipeline.start(shipped_text(), RULES)
        for number, stream in enumerate(self._streams):
            branch = number % branches
            place = {"branch": f"Branch {branch:03}", "region": f"Region {branch % REGIONS:02}", "class": "atm"}
            await self._pipeline.operate(
                {"action": "enrol", "terminal": stream.name, **place, "public": stream.key.public}
            )
        for begin in range(0, len(self._streams), GROUP):
            some, now = self._streams[begin : begin + GROUP], time.time_ns()
            await self._pipeline.take([Message(life_topic(each.name), each.life, now) for each in some])
            await self._pipeline.take([Message(batch_topic(each.name), each.batches[0], now) for each in some])
        for sender in self._ill:
            await sender.enrol(self._pipeline, "Branch 000", "Region 00")
            now = time.time_ns()
            await self._pipeline.take([sender.life(now)])
            await self._pipeline.take(
                [sender.batch([reading("ups", "ups.output.source", now, "normal", State.OK)], now)]
            )
        conn.execute("PRAGMA synchronous=FULL")
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._place = len(self._streams)

    async def take(self, seconds: float) -> dict[str, float]:
        """The next batches, each terminal in turn."""
        begin, taken, count = time.monotonic(), 0, len(self._streams)
        most = count * len(self._streams[0].batches)
        while self._place < most and time.monotonic() - begin < seconds:
            places = range(self._place, min(self._place + GROUP, most))
            now = time.time_ns()
            rows = [(self._streams[place % count], place // count) for place in places]
            await self._pipeline.take([Message(batch_topic(each.name), each.batches[turn], now) for each, turn in rows])
            self._place, taken = places.stop, taken + len(places)
            await asyncio.sleep(0)
        return {"batches": taken, "seconds": time.monotonic() - begin}

    async def fault(self, number: int) -> int:
        sender, now = self._ill[number], time.time_ns()
        told = reading("ups", "ups.output.source", now, "battery", State.CRIT)
        await self._pipeline.take([sender.batch([told], now)])
        return now // MS


async def main(path: Path, terminals: int, branches: int, batches: int) -> None:
    watched = Watched(path, terminals, batches)
    await watched.build(branches)
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        what, about = line.split()
        answer = await watched.take(float(about)) if what == "take" else await watched.fault(int(about))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *map(int, sys.argv[2:5])))
