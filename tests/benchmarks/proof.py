"""The collector's own history: what a day of a few terminals takes on the disk with every proof kept, and how fast it is read, proven and
verified. The real pipeline over a real file; the time is made up, so that a day takes seconds.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Self

import msgpack

from tests.benchmarks import fleet
from tests.benchmarks.options import Options, progress
from tests.benchmarks.results import BenchError, Metric
from tillwatch.agent.model import MS, Clock
from tillwatch.agent.wire import FIRST_PREV, Life, SigningKey, batch_topic, life_topic, new_epoch, seal, seal_life
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.housekeeping import Housekeeping
from tillwatch.collector.intake import Message
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.proof import bundle
from tillwatch.collector.proof.prove import prove
from tillwatch.collector.proof.verify import verify_log
from tillwatch.collector.read import History
from tillwatch.collector.sections import RetentionSection
from tillwatch.collector.store.compaction import Compactor
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.store.sqlite import SqliteStore
from tillwatch.collector.trust.authority import open_authority
from tillwatch.device_profiles.catalogue import load_catalogue

TERMINALS = 3
MINUTES = 3 * 1440
"""Three days: the newest 64 to 320 batches of a terminal are not packed yet, and weigh less in a year than here."""
MINUTE_NS = 60 * 1_000_000_000
DAY_NS = 1440 * MINUTE_NS
HOURS = 366 * 24
READS = 20
T0 = 1_790_000_000_000 * MS
METRICS = (
    Metric("history.bytes_per_reading", "B", "all files after a clean stop through readings: 3 terminals, 3 days, 60 readings a minute of 10 numbers that all wander; log, chain, proofs, roll-ups, indexes, and the newest batches that are not packed yet"),
    Metric("history.packed_bytes_per_reading", "B", "the same of what is packed alone: segments and pages of the chain through the readings in them, where a year goes"),
    Metric("history.day_ms", "ms", "the last 24 h of one signal, 8,640 readings out of 1,440 batches, median of 20; most of it the points of the answer"),
    Metric("history.day_minutes_ms", "ms", "24 h of a signal that is read once a minute, 1,440 readings out of 1,440 batches of 60, median of 20"),
    Metric("history.year_ms", "ms", "a year of one signal from the roll-ups, 8,784 hours of a component with 3 signals, median of 20"),
    Metric("prove.ms", "ms", "a bundle for one reading out of a segment, from the question to the signed bytes, median of 20 readings of all three days"),
    Metric("prove.verify_ms", "ms", "its check without database or network, median of 20"),
    Metric("prove.bytes", "B", "of a bundle: three sealed batches, their entries, the key, the certificate"),
    Metric("verify.log_mib_per_s", "MiB/s", "sealed frames through verify --log: every link, digest, signature and stream; processor time"),
    Metric("verify.log_batches_per_s", "1/s", "the same in batches"),
    Metric("history.pack_us_per_batch", "us", "wall time of packing into pages and segments, with its transactions, through batches"),
)  # fmt: skip


class _Fleet:
    """Terminals that say a minute's readings each minute. once: 60 signals read once, instead of ten read each ten seconds."""

    def __init__(self, seed: int, *, once: bool) -> None:
        self._rng = random.Random(seed)
        self._once = once
        self._senders = [
            (f"till-{k}", SigningKey(bytes([k + 1]) * 32), new_epoch(T0, bytes([k]) * 8), fleet.wandering(random.Random(f"{seed}/{k}")))
            for k in range(TERMINALS)
        ]  # fmt: skip
        self._prev = [FIRST_PREV] * TERMINALS

    async def enrol(self, pipeline: Pipeline) -> None:
        for name, key, epoch, _ in self._senders:
            place = {"branch": "Harbour", "region": "North", "class": "server"}
            await pipeline.operate({"action": "enrol", "terminal": name, **place, "public": key.public})
            life = Life(name, key.key_id, epoch, 1, 1, 0, b"bootboot", 3_600_000, T0, 1)
            await pipeline.take([Message(life_topic(name), seal_life(key, life), T0)])

    def minute(self, i: int) -> list[Message]:
        messages = []
        for k, (name, key, epoch, ticks) in enumerate(self._senders):
            now = T0 + i * MINUTE_NS + k * 7_000_000_000 + self._rng.randrange(300) * MS
            batch = fleet.batch(ticks, now // MS)
            if self._once:
                batch = _spread(batch)
            sealed = seal(
                key, batch, terminal=name, epoch=epoch, seq=i + 1, prev=self._prev[k], floor=max(1, i), sent=now, boot=b"bootboot",
                up=(now - T0) // MS + 3_600_000, clock=Clock("ntp", 5),
            )  # fmt: skip
            self._prev[k] = sealed.digest
            messages.append(
                Message(batch_topic(name), sealed.payload, now + self._rng.randrange(5_000_000, 90_000_000))
            )
        return messages


def _spread(batch: fleet.Batch) -> fleet.Batch:
    """Each reading as a signal of its own."""
    last = max(reading.at for reading in batch.readings)
    return fleet.Batch(
        tuple(
            fleet.Reading(
                f"{r.component}#{k // 10}" if k >= 10 else r.component, r.signal, last, r.value, state=r.state
            )
            for k, r in enumerate(batch.readings)
        )
    )


async def _fill(path: Path, minutes: int, seed: int, *, once: bool) -> float:
    """Fill a store and pack it; seconds of packing."""
    now = T0
    store = SqliteStore(path)
    pipeline = Pipeline(
        store, SigningKey(bytes(32)), {name: s.unit for name, s in load_catalogue().signals.items()}, clock=lambda: now
    )
    await pipeline.start(shipped_text(), "")
    senders = _Fleet(seed, once=once)
    await senders.enrol(pipeline)
    group: list[Message] = []
    for i in range(minutes):
        group += senders.minute(i)
        if len(group) >= 60:
            now = group[-1].received
            await pipeline.take(group)
            group = []
    await pipeline.take(group)
    compactor = Compactor(path)
    began = time.perf_counter()
    await Housekeeping(pipeline, compactor, RetentionSection(keep=0.0)).turn(rest=0.0)
    took = time.perf_counter() - began
    compactor.close()
    await pipeline.stop()
    store.close()
    return took


def measure(options: Options, folder: Path, run: int) -> dict[str, float]:
    minutes = 700 if options.quick else MINUTES
    path, once = folder / "wandering.db", folder / "once.db"
    packing = asyncio.run(_fill(path, minutes, run, once=False))
    size = sum(file.stat().st_size for file in folder.glob("wandering.db*"))
    asyncio.run(_fill(once, min(minutes, 1440 + 320), run, once=True))
    proofs = _proofs(path, folder / "authority", minutes)
    _add_year(path)
    end = T0 + minutes * MINUTE_NS
    with _Reading(path) as reading, _Reading(once) as single:
        day, points = reading.of(end - DAY_NS, end)
        if points.resolution != "reading" or len(points.points) < min(minutes, 1440) * fleet.TICKS - fleet.TICKS:
            raise BenchError(f"a day has {len(points.points)} points by {points.resolution}")
        end = T0 + min(minutes, 1440 + 320) * MINUTE_NS
        minute, points = single.of(end - DAY_NS, end)
        if points.resolution != "reading" or not min(minutes, 1440) - 1 <= len(points.points) <= 1440:
            raise BenchError(f"a day of minutes has {len(points.points)} points by {points.resolution}")
        year, points = reading.of(T0 - 366 * DAY_NS, T0)
        if points.resolution != "hour" or len(points.points) < HOURS - 1:
            raise BenchError(f"a year has {len(points.points)} points by {points.resolution}")
        packed = reading.packed()
    progress(f"history: {size / (minutes * TERMINALS * 60):.2f} B a reading, packed {packed:.2f}; day {day:.1f}, {minute:.1f} ms; year {year:.1f} ms")  # fmt: skip
    return {
        "history.bytes_per_reading": size / (minutes * TERMINALS * 60),
        "history.packed_bytes_per_reading": packed,
        "history.day_ms": day,
        "history.day_minutes_ms": minute,
        "history.year_ms": year,
        **proofs,
        "history.pack_us_per_batch": packing * 1e6 / (minutes * TERMINALS),
    }


def _proofs(path: Path, folder: Path, minutes: int) -> dict[str, float]:
    authority = open_authority(folder, datetime.fromtimestamp(T0 / 1e9, UTC))
    made, checked, size = [], [], 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as db:
        for i in range(READS):
            at = T0 + (i * minutes // READS) * MINUTE_NS + MINUTE_NS
            began = time.perf_counter()
            proof = prove(db, authority, "till-1", "ups", "ups.battery.voltage", at, at)
            then = time.perf_counter()
            steps, reading = bundle.verify(proof.bundle, authority.fingerprint)
            if reading is None:
                raise BenchError(f"a proof does not hold: {steps[-1]}")
            made.append(then - began)
            checked.append(time.perf_counter() - then)
            size = len(proof.bundle)
        spent = time.process_time()
        found = verify_log(db, authority.certificate)
        spent = time.process_time() - spent
    if not found.ok:
        raise BenchError(f"the log does not hold: {found.faults[0]}")
    return {
        "prove.ms": median(made) * 1e3,
        "prove.verify_ms": median(checked) * 1e3,
        "prove.bytes": float(size),
        "verify.log_mib_per_s": found.bytes / 1024**2 / spent,
        "verify.log_batches_per_s": found.frames / spent,
    }


class _Reading:
    def __init__(self, path: Path) -> None:
        self._reader = SqliteReader(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def of(self, start: int, end: int) -> tuple[float, History]:
        return _timed(lambda: self._reader.history("till-1", "ups", "ups.battery.voltage", start, end))

    def packed(self) -> float:
        db = self._reader._db
        blobs = db.execute("SELECT sum(length(bodies) + length(heads) + length(signatures)), sum(entries) FROM segment")
        size, entries = blobs.fetchone()
        data, count = db.execute(
            "SELECT sum(length(data) + length(digests)), sum(last_n - first_n + 1) FROM page"
        ).fetchone()
        return float(size / entries + data / count) / 60


def _timed(call: Callable[[], History]) -> tuple[float, History]:
    took = []
    for _ in range(READS):
        began = time.perf_counter()
        answer = call()
        took.append((time.perf_counter() - began) * 1e3)
    return median(took), answer


def _add_year(path: Path) -> None:
    """The hours of a year before the first day, as the fold closes them."""
    rng, last = random.Random(1), T0 // MS // 3_600_000
    store = SqliteStore(path)
    signals = ("ups.battery.charge", "ups.battery.voltage", "ups.battery.temperature")
    rows = []
    for hour in range(last - HOURS, last):
        packed = {}
        for signal in signals:
            v = round(rng.uniform(20, 60), 1)
            packed[signal] = [360, v * 360, v - 1.3, v + 1.3, v, hour * 3_600_000 * MS]
        rows.append(("till-1", "ups", hour, msgpack.packb(packed)))
    store.change(lambda db: db.executemany("INSERT OR REPLACE INTO rollup VALUES (?,?,?,?)", rows))
    store.close()
