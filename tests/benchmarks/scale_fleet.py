"""The large installation with ten thousand and with a hundred thousand terminals in one run, and what a reading costs all its parts: RabbitMQ with the shipped
topology, an opener, the fold, PostgreSQL. A hundred thousand TLS connections fit no small machine and are not what is measured: batches of all terminals come
over a few connections, which cost the broker the same with either size.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.benchmarks.options import Options, progress
from tests.benchmarks.processes import rss_kib
from tests.benchmarks.results import BenchError, Metric
from tests.benchmarks.scale_large import PARTS, ready, spent
from tests.benchmarks.shared_way import SharedWay, populate
from tests.scale.broker import Broker
from tests.scale.installation import Collector
from tests.scale.servers.postgres import Server
from tests.scale.servers.rabbitmq import free_ports
from tillwatch.agent.wire import Sealed
from tillwatch.collector.fleet_load.sealing import Plan, Sealer
from tillwatch.collector.fleet_load.terminals import Fleet
from tillwatch.collector.store.db import Postgres
from tillwatch.collector.store.opening import open_db
from tillwatch.collector.trust.authority import Authority, open_authority

SIZES = (10_000, 100_000)
QUICK_SIZES = (20, 60)
BATCHES, QUICK_BATCHES = 20_000, 60
READINGS = 40
SILENT_MS = 600_000
"""Terminals say that they seal in this interval: nobody falls silent while the others are heard, or in the run."""
SPAN_MS = 2_000
"""What the readings of one batch span: less than lies between two batches of a terminal here."""
PACE_MS = 1
"""Between two batches of the fleet, by the terminals' clocks: about the pace of an installation on two cores."""
HOUR_S = 3_600
RUN_S = 0.006
"""Of a terminal, for a whole run on a busy machine."""
SETTINGS = ("shared_buffers = '1GB'", "max_wal_size = '100GB'", "checkpoint_timeout = '1d'")
"""The tables that are changed all day in memory, as packaging/docs/postgresql.md asks for; and no checkpoints but those that are made here, or one size would have more
of them than the other.
"""
_HOW = "terminals, each heard before since the start; 20,000 batches over all of them, neighbours far apart, 1,600 under way. Shared: five TLS connections to the broker's MQTT plugin carry the batches and acks of all. All else is the shipped large installation: a RabbitMQ node, a collector with an opener, PostgreSQL with fsync, between two checkpoints"
METRICS = (
    *(Metric(f"scale.fleet.us_per_reading.{size}", "us", f"processor time of fold, opener, broker and database, {size:,} {_HOW}") for size in SIZES),
    Metric("scale.fleet.ratio_100000_to_10000", "1", "cost a reading of all parts with 100,000 terminals through that with 10,000, of the same run"),
    *(Metric(f"scale.fleet.{part}_ratio_100000_to_10000", "1", f"the same of the {part} alone") for part in PARTS),
    *(Metric(f"scale.fleet.{part}_us_per_batch.{size}", "us", f"processor time of the {part}, {size:,} {_HOW}") for part in PARTS for size in SIZES),
    *(Metric(f"scale.fleet.batches_per_s.{size}", "1/s", f"{size:,} {_HOW}; wall time, and all parts and the load share the machine") for size in SIZES),
    *(Metric(f"scale.fleet.checkpoint_us_per_terminal.{size}", "us", f"processor time of the database for one checkpoint that writes the state of all {size:,} terminals, through terminals") for size in SIZES),
    *(Metric(f"scale.fleet.load_s.{size}", "s", f"from the lease to a fold that goes on, {size:,} terminals that were heard once; wall time") for size in SIZES),
    Metric("scale.fleet.fold_kib_per_terminal", "KiB", "resident memory of the fold after that run with 100,000 terminals minus that with 10,000, through the terminals more"),
    Metric("scale.fleet.opener_kib_per_terminal", "KiB", "the same of the opener, which has the keys"),
)  # fmt: skip
_LOADED = re.compile(r"it folds ([\d.]+) s after")


def measure(options: Options, folder: Path, _: int) -> dict[str, float]:
    # The path of a unix socket has 107 bytes at most, and a benchmark's folder is long.
    with tempfile.TemporaryDirectory(prefix="tw-") as short:
        return asyncio.run(_measure(options, folder, Path(short)))


async def _measure(options: Options, folder: Path, short: Path) -> dict[str, float]:
    authority = open_authority(folder / "authority")
    short.chmod(0o755)  # the server may be another user
    (short / "pg").mkdir()
    with contextlib.ExitStack() as stack:
        server = Server(short / "pg", fsync=True)
        server.start()
        stack.callback(server.stop)
        for setting in SETTINGS:
            server.sql(f"ALTER SYSTEM SET {setting}")
        server.restart()
        broker = Broker(folder / "mq", authority, free_ports(1)[0])
        stack.callback(broker.end)
        await broker.start()
        rig = _Rig(options, folder, authority, server, broker)
        ten, hundred = [await rig.run(size) for size in (QUICK_SIZES if options.quick else SIZES)]
    found: dict[str, float] = {}
    for name, of in zip(SIZES, (ten, hundred), strict=True):
        for part in PARTS:
            found[f"scale.fleet.{part}_us_per_batch.{name}"] = of[part]
        for what in ("us_per_reading", "batches_per_s", "checkpoint_us_per_terminal", "load_s"):
            found[f"scale.fleet.{what}.{name}"] = of[what]
    found["scale.fleet.ratio_100000_to_10000"] = hundred["us_per_reading"] / ten["us_per_reading"]
    for part in PARTS:
        found[f"scale.fleet.{part}_ratio_100000_to_10000"] = hundred[part] / ten[part]
    for part in ("fold", "opener"):
        more = hundred["terminals"] - ten["terminals"]
        found[f"scale.fleet.{part}_kib_per_terminal"] = (hundred[f"{part}_kib"] - ten[f"{part}_kib"]) / more
    return found


class _Rig:
    """What both sizes have in common. Each has a database and a collector of its own."""

    def __init__(self, options: Options, folder: Path, authority: Authority, server: Server, broker: Broker) -> None:
        self._folder, self._authority, self._server, self._broker = folder, authority, server, broker
        self._batches = QUICK_BATCHES if options.quick else BATCHES

    async def run(self, size: int) -> dict[str, float]:
        where = self._server.database()
        one = Collector(self._folder, f"c{size}", self._authority, where, [self._broker.amqp], self._broker.password)
        with contextlib.ExitStack() as stack:
            stack.callback(self._server.drop, where)
            stack.callback(one.end)
            await _within_the_hour(size)
            fleet, now_ms = Fleet(size, "1"), time.time_ns() // 10**6
            plan = Plan(fleet, now_ms, SILENT_MS, 0, READINGS, 0.0, "run")
            sealer = Sealer(plan, range(size))
            known = await populate(one.config, fleet, sealer, now_ms, SILENT_MS)
            # As a server whose autovacuum is on, as it should be, has done long ago.
            self._server.sql("ANALYZE", database=where.url.rpartition("/")[2])
            progress(f"{size:,} terminals heard in {time.time() - now_ms / 1000:.0f} s")
            one.start()
            await ready([one], one)
            load_s = float(_LOADED.findall(one.log)[-1])
            # Neighbours of the list are of different classes and far apart: every so many-th of them would not be a fleet.
            order = sorted(range(size), key=plan.first_due)
            try:
                async with SharedWay(self._broker, self._folder, fleet) as way:
                    found = await self._taken(way, one, sealer, order)
            except BenchError as error:
                raise BenchError(f"{error}; the collector said:\n{one.log[-2000:]}") from None
            if time.time() // HOUR_S != now_ms // 1000 // HOUR_S:
                raise BenchError(
                    "the hour ended within a run, and its roll-ups are in it: try again when there is less to do"
                )
            assert one.process is not None
            found["terminals"], found["load_s"] = size, load_s
            found["fold_kib"], found["opener_kib"] = rss_kib(one.process.pid), rss_kib(one.openers()[0])
            before = spent([one], self._broker, self._server)
            self._server.sql("CHECKPOINT")
            after = spent([one], self._broker, self._server)
            found["checkpoint_us_per_terminal"] = (after["database"] - before["database"]) / size * 1e6
            one.end()
            self._verify(where, known | way.digests)
        progress(
            f"{size:,} terminals: {found['batches_per_s']:.0f} batches/s, us a batch: "
            + ", ".join(f"{part} {found[part]:.0f}" for part in PARTS)
            + f"; loaded in {found['load_s']:.1f} s"
        )
        return found

    async def _taken(self, way: SharedWay, one: Collector, sealer: Sealer, order: list[int]) -> dict[str, float]:
        # The first batch of a terminal behind a start costs more than the next ones, and the larger fleet would have more of them.
        await way.send((n, sealer.batch(n, time.time_ns() // 10**6, SPAN_MS)) for n in order)
        batches = list(_sealed(sealer, (order[k % len(order)] for k in range(self._batches)), SPAN_MS))
        begun, before = time.monotonic(), spent([one], self._broker, self._server)
        await way.send(batches)
        seconds, after = time.monotonic() - begun, spent([one], self._broker, self._server)
        found = {part: (after[part] - before[part]) / len(batches) * 1e6 for part in PARTS}
        found["us_per_reading"] = sum(found.values()) * len(batches) / sum(each.n for _, each in batches)
        found["batches_per_s"] = len(batches) / seconds
        return found

    def _verify(self, where: Postgres, sent: set[bytes]) -> None:
        """The journal has what was sent, each once, and nobody was ill: that would be other work."""
        with contextlib.closing(open_db(where)) as db:
            kept = [bytes(digest) for (digest,) in db.execute("SELECT payload_digest FROM journal WHERE kind = 3")]
            alarms = db.execute("SELECT count(*) FROM alarm").fetchone()[0]
        if len(kept) != len(sent) or set(kept) != sent:
            raise BenchError(
                f"the journal has {len(kept)} batches, {len(set(kept) & sent)} of the {len(sent)} that were sent"
            )
        if alarms:
            raise BenchError(f"{alarms} alarms: the machine was too slow for the pace of this fleet")


def _sealed(sealer: Sealer, order: Iterable[int], span_ms: int) -> Iterator[tuple[int, Sealed]]:
    begun_ms = time.time_ns() // 10**6
    for k, n in enumerate(order):
        yield n, sealer.batch(n, begun_ms + k * PACE_MS, span_ms)


async def _within_the_hour(size: int) -> None:
    """With each hour all terminals' last one is rolled up, which would fall into one of the two runs."""
    left = HOUR_S - time.time() % HOUR_S
    if left < size * RUN_S:
        progress(f"{left:.0f} s until the hour is over")
        await asyncio.sleep(left)
