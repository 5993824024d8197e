"""What a batch costs the collector's process with each store: the real pipeline (verified, decoded, folded, stored) without broker and network, groups as the fold of a
large installation takes them. A process of its own: `python -m tests.benchmarks.stores TERMINALS BATCHES GROUP`; prints one JSON object, for each store batches/s, us of
processor time a batch of this process, and how long the fold takes to load. The server's own time is beside it, that of all its processes.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from tests.benchmarks import fleet
from tests.scale.servers import postgres
from tillwatch.agent.wire import SigningKey, batch_topic
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.intake import Message
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.store.db import Where
from tillwatch.collector.store.opening import open_store
from tillwatch.device_profiles.catalogue import kept_catalogue

UNITS = {name: signal.unit for name, signal in kept_catalogue().signals.items()}
STEP_NS = fleet.PACE_MS * 10**6


def server_cpu(pid: int) -> float:
    """Seconds of the server and all its processes, those that ended too."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid or stat.parent.name == str(pid):
            total += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return total


async def through(where: Where, streams: Sequence[fleet.Stream], start: int, group: int) -> dict[str, float]:
    now = start
    pipeline = Pipeline(open_store(where), SigningKey(bytes(32)), UNITS, clock=lambda: now)
    await pipeline.start(shipped_text(), "")
    for stream in streams:
        facts = {"action": "enrol", "terminal": stream.name, "branch": "b", "region": "r", "class": "atm"}
        await pipeline.operate(facts | {"public": stream.key.public})
    await pipeline.take([Message(f"tw/1/{s.name}/life", s.life, now) for s in streams])
    batches = list(chain.from_iterable(zip(*([(s.name, b) for b in s.batches] for s in streams), strict=True)))
    wall, cpu = time.monotonic(), time.process_time()
    for at in range(0, len(batches), group):
        now = start + at // len(streams) * STEP_NS
        some = [Message(batch_topic(name), batch, now) for name, batch in batches[at : at + group]]
        await pipeline.take(some)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    kept = pipeline.store.conn.execute("SELECT count(*) FROM journal WHERE kind = 3").fetchone()[0]
    assert kept == len(batches), (kept, len(batches))
    pipeline.store.close()
    began = time.monotonic()
    again = Pipeline(open_store(where), SigningKey(bytes(32)), UNITS)
    loaded = time.monotonic() - began
    assert len(again.fold.fleet.terminals) == len(streams)
    again.store.close()
    return {"batches/s": len(batches) / wall, "us a batch": cpu / len(batches) * 1e6, "s to load": loaded}


def main(terminals: int, each: int, group: int) -> None:
    start = 1_790_000_000_000 * 10**6
    streams = fleet.make(terminals, each, start // 10**6, 1)
    with tempfile.TemporaryDirectory() as folder, postgres.running(fsync=True) as server:
        found: dict[str, object] = {
            "sqlite": asyncio.run(through(Path(folder) / "collector.db", streams, start, group))
        }
        before = server_cpu(server.pid)
        found["postgres"] = asyncio.run(through(server.database("tables"), streams, start, group))
        found["server us a batch"] = (server_cpu(server.pid) - before) / (terminals * each) * 1e6
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
