"""The collector: a fleet's signed batches through a real mosquitto into the real service, and the same messages in a bare loop in the same run."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import fleet
from tests.benchmarks.options import Options, progress
from tests.benchmarks.processes import Process, python
from tests.benchmarks.results import BenchError, Metric
from tests.benchmarks.rig import Rig
from tillwatch.collector.sections import IntakeSection

READINGS = 60
LEAD_MS = 20_000
"""The fleet's clocks start this much ahead, about what sealing its batches takes: none is to look late by a minute, where a collector corrects."""
_LOAD = "100 terminals with windows of 8 keep it busy; wall time, and load generator and broker share the machine"
METRICS = (
    Metric("collector.batches_per_s", "1/s", f"60 readings a batch, signed, over plain MQTT from mosquitto to the ack; {_LOAD}"),
    Metric("collector.tls_batches_per_s", "1/s", f"the same with TLS and client certificates on every connection; {_LOAD}"),
    Metric("collector.cpu_us_per_batch", "us", "processor time of the collector's process, plain MQTT"),
    Metric("collector.tls_cpu_us_per_batch", "us", "processor time of the collector's process, TLS"),
    Metric("collector.load_cpu_us_per_batch", "us", "of the load generator, plain MQTT; where it and the broker take more than a core, they bound batches_per_s"),
    Metric("collector.broker_cpu_us_per_batch", "us", "of mosquitto, plain MQTT"),
    Metric("collector.bare_batches_per_s", "1/s", "the same messages in one process: open_batch with every check, insert into SQLite, WAL, synchronous=FULL, 256 a transaction; wall time"),
    Metric("collector.bare_cpu_us_per_batch", "us", "of that loop"),
    Metric("collector.raw_batches_per_s", "1/s", "the same loop with libsodium, zlib and msgpack alone, which believe every length and type; wall time"),
    Metric("collector.raw_cpu_us_per_batch", "us", "of that loop"),
    Metric("collector.ratio_to_bare", "1", "batches_per_s through bare_batches_per_s of the same run; the bare loop has the machine to itself"),
    Metric("collector.cpu_ratio_to_bare", "1", "bare_cpu_us_per_batch through cpu_us_per_batch of the same run: what it would be with a core for each process"),
    Metric("collector.rss_mib", "MiB", "RSS with 100 terminals enrolled and connected, before the first batch"),
    Metric("collector.rss_growth_mib", "MiB", "RSS after 1,000,000 readings of 1,000 signals minus collector.rss_mib"),
    Metric("collector.rss_growth_warm_mib", "MiB", "the last 900,000 of them: RSS at the end minus RSS after 100,000"),
    Metric("collector.disk_bytes_per_reading", "B", "the store's files after a clean stop, everything in, through readings stored"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Through:
    """One fleet's way through the collector. Processor times in us a batch."""

    batches_per_s: float
    collector_us: float
    load_us: float
    broker_us: float
    rss_start: float
    rss_warm: float
    rss_end: float
    disk: float


def measure(options: Options, folder: Path, run: int) -> dict[str, float]:
    terminals, each = (4, 15) if options.quick else (100, 167)
    plain = _through(folder / "plain", terminals, each, run, tls=False)
    progress(f"collector: {plain.batches_per_s:.0f} batches/s, {plain.collector_us:.0f} us of CPU a batch")
    tls = _through(folder / "tls", terminals, each, run, tls=True)
    progress(f"collector, TLS: {tls.batches_per_s:.0f} batches/s, {tls.collector_us:.0f} us of CPU a batch")
    group = str(IntakeSection().group_messages)
    messages = folder / "plain" / "messages"
    with python("bare", "tests.benchmarks.bare", messages, folder, group, folder=folder) as process:
        loops = json.loads(process.hear())
    (bare, bare_us), (raw, raw_us) = loops["bare"], loops["raw"]
    progress(
        f"bare loop: {bare:.0f} batches/s, {bare_us:.0f} us of CPU a batch; without checks {raw:.0f}, {raw_us:.0f}"
    )
    return {
        "collector.batches_per_s": plain.batches_per_s,
        "collector.tls_batches_per_s": tls.batches_per_s,
        "collector.cpu_us_per_batch": plain.collector_us,
        "collector.tls_cpu_us_per_batch": tls.collector_us,
        "collector.load_cpu_us_per_batch": plain.load_us,
        "collector.broker_cpu_us_per_batch": plain.broker_us,
        "collector.bare_batches_per_s": bare,
        "collector.bare_cpu_us_per_batch": bare_us,
        "collector.raw_batches_per_s": raw,
        "collector.raw_cpu_us_per_batch": raw_us,
        "collector.ratio_to_bare": plain.batches_per_s / bare,
        "collector.cpu_ratio_to_bare": bare_us / plain.collector_us,
        "collector.rss_mib": plain.rss_start,
        "collector.rss_growth_mib": plain.rss_end - plain.rss_start,
        "collector.rss_growth_warm_mib": plain.rss_end - plain.rss_warm,
        "collector.disk_bytes_per_reading": plain.disk,
    }


def _through(folder: Path, terminals: int, each: int, run: int, *, tls: bool) -> Through:
    folder.mkdir()
    rig = Rig(folder, tls=tls)
    streams = fleet.make(terminals, each, time.time_ns() // 1_000_000 + LEAD_MS, run)
    messages = folder / "messages"
    fleet.store(messages, streams)
    rig.enrol({stream.name: stream.key.public for stream in streams})
    arguments: list[str | Path] = [messages, str(rig.port)]
    if tls:
        (folder / "ca.pem").write_bytes(rig.ca)
        for stream in streams:
            (folder / f"{stream.name}.pem").write_bytes(b"".join(rig.certificate(stream.name)))
        arguments.append(folder)
    total = terminals * each
    with rig.broker() as broker, rig.collector() as collector:
        with python("load", "tests.benchmarks.load", *arguments, folder=folder) as load:
            _expect(load, "ready")
            parts = (collector, load, broker)
            rss_start = collector.rss_mib()
            before = [part.cpu_s() for part in parts]
            load.say("go")
            _expect(load, "warm")
            rss_warm = collector.rss_mib()
            said = json.loads(load.hear())
            spent = [(part.cpu_s() - at) / total * 1e6 for part, at in zip(parts, before, strict=True)]
            rss_end = collector.rss_mib()
        if said["resent"]:
            progress(f"{said['resent']} batches were sent again")
        _check(rig, total)
    files = rig.database.parent.glob(f"{rig.database.name}*")
    disk = sum(file.stat().st_size for file in files) / (total * READINGS)
    return Through(total / said["seconds"], *spent, rss_start, rss_warm, rss_end, disk)


def _expect(load: Process, word: str) -> None:
    if (heard := load.hear()) != word:
        raise load.failed(f"said {heard!r}, not {word!r}")


def _check(rig: Rig, total: int) -> None:
    """That this was the work which is meant: all stored once, nothing refused, raised or taken for history."""
    kept = rig.ask("SELECT count(*) FROM journal WHERE kind = 3 AND length(facts) < 64")
    odd = rig.ask("SELECT count(*) FROM journal WHERE kind IN (8, 9)") + rig.ask("SELECT count(*) FROM alarm")
    if kept != total or odd:
        raise BenchError(
            f"the store has {kept} plain batches of {total}, and {odd} alarms or refusals: not the load that was meant"
        )
