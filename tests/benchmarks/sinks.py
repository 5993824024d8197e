"""Series for analysts: what it costs to write the readings of a journal on to a real VictoriaMetrics, how fast a journal is written again, and how far behind a
query is while intake runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median

from tests.benchmarks import fleet
from tests.benchmarks.options import Options, progress
from tests.benchmarks.processes import python
from tests.benchmarks.results import BenchError, Metric
from tests.scale.servers.victoriametrics import VictoriaMetrics
from tillwatch.agent.model import MS, Clock
from tillwatch.agent.wire import FIRST_PREV, SigningKey, batch_topic, life_topic, seal
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.config import RetentionSection
from tillwatch.collector.housekeeping import Housekeeping
from tillwatch.collector.intake import Message
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.series.exporter import Exporter, Limits
from tillwatch.collector.series.kept import Standing
from tillwatch.collector.series.port import Sink
from tillwatch.collector.series.settings import SinkSettings, connect
from tillwatch.collector.store.compaction import Compactor
from tillwatch.collector.store.reading import reading
from tillwatch.collector.store.sqlite import SqliteStore
from tillwatch.device_profiles.catalogue import load_catalogue

TERMINALS, BATCHES = 20, 640
LAG_S, PER_S = 20, 40
"""Of intake at a steady pace: so many batches each second, each of 60 readings."""
POINTS = 5_000
SIGNAL = "till_ups_battery_charge_value"
METRICS = (
    Metric("sinks.points_per_s", "1/s", "readings of a journal, not yet packed, written to VictoriaMetrics on the same machine: wall time, one core each; 20 terminals, batches of 60 readings"),
    Metric("sinks.cpu_us_per_point", "us", "processor time of the exporter alone in the same run: reading the log with its digests, lines, packing, the request"),
    Metric("sinks.lines_us_per_point", "us", "the same with a sink that takes lines and does nothing: reading and rendering alone"),
    Metric("sinks.packed_points_per_s", "1/s", "the same journal packed into segments: what `export --from` does; wall time"),
    Metric("sinks.server_cpu_us_per_point", "us", "processor time of VictoriaMetrics for the same points, and those of the packed run"),
    Metric("sinks.lag_ms", "ms", "from the terminal's reading to a query that finds it, while 40 batches a second are stored, median; the exporter looks each second, and this VictoriaMetrics shows what it took within a second or two"),
    Metric("sinks.rss_mib", "MiB", "resident size of the exporter's process at the end of that"),
)  # fmt: skip


class _Nowhere:
    settles_s = 0.0
    words = False

    def write(self, lines: bytes) -> None: ...

    def life(self) -> str:
        return ""

    def check(self) -> str:
        return ""

    def close(self) -> None: ...


@contextlib.asynccontextmanager
async def _pipeline(path: Path, streams: list[fleet.Stream], now_ms: int) -> AsyncIterator[Pipeline]:
    store = SqliteStore(path)
    units = {name: s.unit for name, s in load_catalogue().signals.items()}
    pipeline = Pipeline(store, SigningKey(bytes(32)), units)
    await pipeline.start(shipped_text(), "")
    for stream in streams:
        place = {"branch": "Harbour", "region": "North", "class": "server"}
        await pipeline.operate({"action": "enrol", "terminal": stream.name, **place, "public": stream.key.public})
        await pipeline.take([Message(life_topic(stream.name), stream.life, now_ms * MS)])
    yield pipeline
    await pipeline.stop()
    store.close()


async def _fill(path: Path, terminals: int, batches: int, seed: int) -> None:
    now_ms = time.time_ns() // MS - batches * fleet.PACE_MS
    streams = fleet.make(terminals, batches, now_ms, seed)
    async with _pipeline(path, streams, now_ms) as pipeline:
        for i in range(batches):
            await pipeline.take([Message(batch_topic(s.name), s.batches[i], time.time_ns()) for s in streams])


async def _pack(path: Path) -> None:
    async with _pipeline(path, [], 0) as pipeline:
        compactor = Compactor(path)
        await Housekeeping(pipeline, compactor, RetentionSection(keep=0.0)).turn(rest=0.0)
        compactor.close()


def _written(path: Path, sink: Sink) -> tuple[int, float, float]:
    """Points, wall seconds and processor seconds of writing all of a journal."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        (head,) = db.execute("SELECT max(n) FROM journal").fetchone()
    signals = load_catalogue().signals
    one = Exporter("bench", sink, lambda: reading(path), signals, Limits(POINTS, head), Standing(), lambda *_: None)
    began, cpu = time.perf_counter(), time.thread_time()
    while one.standing.written.n < head:
        one.turn()
        if one.standing.trouble:
            raise BenchError(f"VictoriaMetrics: {one.standing.trouble}")
    took = one.standing.points, time.perf_counter() - began, time.thread_time() - cpu
    sink.close()
    return took


def measure(options: Options, folder: Path, run: int) -> dict[str, float]:
    terminals, batches = (2, 330) if options.quick else (TERMINALS, BATCHES)
    path = folder / "collector.db"
    progress("a journal")
    asyncio.run(_fill(path, terminals, batches, run))
    server = VictoriaMetrics(folder / "victoria")
    server.start()
    try:
        settings = SinkSettings(kind="victoriametrics", url=server.url)
        progress("written")
        points, wall, cpu = _written(path, connect(settings))
        _, _, rendered = _written(path, _Nowhere())
        asyncio.run(_pack(path))
        again, packed, _ = _written(path, connect(settings))
        if points != again or points != terminals * batches * 60:
            raise BenchError(f"{points} and {again} points of {terminals * batches * 60} readings were written")
        assert server.process is not None
        ticks = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        served = (int(ticks[11]) + int(ticks[12])) / 100
        progress("lag")
        lag, rss = _lag(server, folder, run, 3 if options.quick else LAG_S)
    finally:
        server.kill()
    return {
        "sinks.points_per_s": points / wall,
        "sinks.cpu_us_per_point": cpu / points * 1e6,
        "sinks.lines_us_per_point": rendered / points * 1e6,
        "sinks.packed_points_per_s": points / packed,
        "sinks.server_cpu_us_per_point": served / (2 * points) * 1e6,
        "sinks.lag_ms": lag,
        "sinks.rss_mib": rss,
    }


def _lag(server: VictoriaMetrics, folder: Path, run: int, seconds: int) -> tuple[float, float]:
    data = folder / "live"
    path = data / "collector.db"
    file = folder / "live.toml"
    file.write_text(
        f'[collector]\ndata_dir = "{data}"\n[sinks.bench]\nkind = "victoriametrics"\nurl = "{server.url}"\n', "utf-8"
    )
    ended, found = threading.Event(), list[float]()

    async def intake() -> None:
        streams = fleet.make(PER_S, 0, time.time_ns() // MS, 1000 + run)
        async with _pipeline(path, streams, time.time_ns() // MS) as pipeline:
            started.set()
            ticks = [fleet.wandering(random.Random(i)) for i in range(PER_S)]
            prev = [FIRST_PREV] * PER_S
            for n in range(seconds * PER_S):
                await asyncio.sleep(1 / PER_S)
                at, (seq, i) = time.time_ns() // MS * MS, divmod(n, PER_S)
                one = seal(
                    streams[i].key, fleet.batch(ticks[i], at // MS), terminal=streams[i].name, epoch=streams[i].epoch, seq=seq + 1, prev=prev[i],
                    floor=1, sent=at, boot=b"bootboot", up=3_600_000 + seq * 1000, clock=Clock("ntp", 5),
                )  # fmt: skip
                prev[i] = one.digest
                await pipeline.take([Message(batch_topic(streams[i].name), one.payload, time.time_ns())])
            await asyncio.sleep(2)

    started = threading.Event()
    thread = threading.Thread(target=lambda: (asyncio.run(intake()), ended.set()))
    thread.start()
    started.wait(60)
    with python("export", "tillwatch.collector", "export", "--config", file, folder=folder) as process:
        while not ended.wait(0.1):
            said = json.loads(server.get("/api/v1/query", {"query": f"max(timestamp({SIGNAL}))"}))["data"]["result"]
            if said:
                found.append(time.time() - float(said[0]["value"][1]))
        rss = process.rss_mib()
    thread.join()
    if not found:
        raise BenchError("no reading has arrived at VictoriaMetrics")
    # The first of them wait for the exporter's own start.
    return median(found[len(found) // 3 :]) * 1000, rss
