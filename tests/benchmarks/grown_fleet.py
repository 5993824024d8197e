"""What a collector's fold takes with so many terminals, in a process of its own: `python -m tests.benchmarks.grown_fleet STORE TERMINALS BATCHES`. Every
terminal is enrolled and has sent one batch; then BATCHES more come, spread over all terminals, and their way through the pipeline is measured: opening,
sequence, fold, commit. All are sealed before. Ends with one JSON object.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path

from tests.collector.conftest import COLLECTOR_KEY, UNITS
from tillwatch.agent.model import MS
from tillwatch.agent.wire import batch_topic, life_topic
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.fleet_load.sealing import Plan, Sealer
from tillwatch.collector.fleet_load.terminals import Fleet
from tillwatch.collector.intake import Message
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.settling import settle
from tillwatch.collector.store.sqlite import SqliteStore

GROUP = 256
READINGS = 40
INTERVAL_MS = 60_000


def rss_kib() -> int:
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line)


async def main(path: Path, terminals: int, batches: int) -> None:
    before = rss_kib()
    store = SqliteStore(path)
    store.conn.execute("PRAGMA synchronous=OFF")  # what is built here is not measured
    # A time of its own: building takes minutes, and nobody is to fall silent meanwhile.
    at = time.time_ns()
    pipeline = Pipeline(store, COLLECTOR_KEY, UNITS, clock=lambda: at)
    await pipeline.start(shipped_text(), "")
    fleet = Fleet(terminals, "1")
    acts = [
        {
            "action": "enrol", "terminal": one.terminal, "branch": one.branch, "region": one.region, "class": one.terminal_class,
            "public": fleet.key(n).public,
        }
        for n, one in enumerate(fleet.places())
    ]  # fmt: skip
    for first in range(0, terminals, GROUP):
        await pipeline.operate_all(acts[first : first + GROUP])
    del acts
    now_ms = at // MS
    plan = Plan(fleet, now_ms, INTERVAL_MS, 0, READINGS, 0.0, "run")
    sealer = Sealer(plan, range(terminals))
    topics = [batch_topic(fleet.name(n)) for n in range(terminals)]
    for first in range(0, terminals, GROUP):
        some = range(first, min(first + GROUP, terminals))
        lives = [Message(life_topic(fleet.name(n)), sealer.life(n, now_ms, 1, 1), at) for n in some]
        await pipeline.take(
            [*lives, *(Message(topics[n], sealer.batch(n, now_ms, INTERVAL_MS).payload, at) for n in some)]
        )
    gc.collect()
    settle()
    grown = rss_kib()
    store.conn.execute("PRAGMA synchronous=FULL")
    # As they come: each at a time of its own, neighbours far apart. Every so many-th of the list would not do: every tenth is an ATM, which has
    # more components than a till.
    by_time = sorted(range(terminals), key=plan.first_due)
    order = [by_time[n % terminals] for n in range(batches)]
    sealed = [(topics[n], sealer.batch(n, now_ms + INTERVAL_MS, INTERVAL_MS)) for n in order]
    at += INTERVAL_MS * MS
    begun = time.process_time()
    for first in range(0, batches, GROUP):
        await pipeline.take([Message(topic, one.payload, at) for topic, one in sealed[first : first + GROUP]])
    spent = time.process_time() - begun
    readings = sum(one.n for _, one in sealed)
    store.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = path.stat().st_size
    store.close()
    del pipeline, sealed, sealer
    gc.unfreeze()
    gc.collect()
    begun = time.process_time()
    again = SqliteStore(path)
    known = len(Pipeline(again, COLLECTOR_KEY, UNITS).fold.fleet.terminals)
    loaded = time.process_time() - begun
    again.close()
    said = {
        "terminals": known, "us_a_batch": spent / batches * 1e6, "us_a_reading": spent / readings * 1e6, "rss_kib": grown - before,
        "load_s": loaded, "store_bytes": size, "batches": terminals + batches,
    }  # fmt: skip
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
