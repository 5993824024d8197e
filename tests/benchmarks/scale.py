"""Scale: what a batch costs each part of an installation, how that grows with the number of terminals, and what the guarantees cost beside a plain consumer
on the same broker in the same run. The load is the fleet simulator's own command.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.options import Options, progress
from tests.benchmarks.processes import Process, cpu_s, free_port, listens, program, python
from tests.benchmarks.results import BenchError, Metric
from tests.benchmarks.rig import Rig
from tillwatch.collector.series.kept import KeptFile, Standing

SIZES = (100, 1_000, 10_000, 100_000)
QUICK_SIZES = (10, 20, 30, 40)
_READINGS = "36 readings a batch of three kinds of terminals, signed"
_GROWN = "in one process: opening, sequence, fold and commit of batches spread over all terminals, which were all heard before; processor time"
METRICS = (
    Metric("scale.small.batches_per_s", "1/s", f"{_READINGS}, over mosquitto into a collector with SQLite, 400 terminals with windows of 8 keep it busy; wall time, and all parts share the machine"),
    Metric("scale.small.collector_us_per_batch", "us", "processor time of the collector's process in that run"),
    Metric("scale.small.broker_us_per_batch", "us", "of mosquitto"),
    Metric("scale.small.load_us_per_batch", "us", "of the load's sending processes; sealing was before"),
    Metric("scale.plain.batches_per_s", "1/s", "the same readings unsigned, over the same mosquitto into a consumer that writes line protocol to VictoriaMetrics; wall time, 2,000 under way"),
    Metric("scale.plain.consumer_us_per_batch", "us", "processor time of that consumer"),
    Metric("scale.plain.broker_us_per_batch", "us", "of mosquitto"),
    Metric("scale.plain.store_us_per_batch", "us", "of VictoriaMetrics"),
    Metric("scale.price.collector_to_consumer", "1", "collector_us_per_batch through consumer_us_per_batch of the same run: one process beside the other; the collector's has its store in it"),
    Metric("scale.price.whole", "1", "collector and broker through consumer, broker and VictoriaMetrics of the same run: all that takes a batch to where it can be asked for"),
    Metric("scale.sink.lag_s", "s", "from the last ack of a load of 400 batches/s to all of it written to VictoriaMetrics and answered for; wall time"),
    Metric("scale.sink.exporter_us_per_batch", "us", "processor time of the exporter's process from the start of that load to then"),
    Metric("scale.sink.store_us_per_batch", "us", "of VictoriaMetrics"),
    *(Metric(f"scale.grown.us_per_reading.{size}", "us", f"{size:,} terminals, {_GROWN}") for size in SIZES),
    Metric("scale.grown.ratio_100000_to_10000", "1", "cost a reading with 100,000 terminals through that with 10,000, of the same run"),
    Metric("scale.grown.ratio_100000_to_1000", "1", "the same, through that with 1,000: with fewer a group of 256 has several batches of each, whose state is written once"),
    Metric("scale.grown.kib_per_terminal", "KiB", "resident memory of the fold with 100,000 terminals, minus the process before, through terminals"),
    Metric("scale.grown.store_bytes_per_terminal", "B", "of the store with one or two batches each, minus nothing, through terminals"),
    Metric("scale.grown.load_s", "s", "processor time from an open store of 100,000 terminals to a fold that can go on: what a start or a takeover waits for"),
)  # fmt: skip


def measure(options: Options, folder: Path, run: int) -> dict[str, float]:
    found: dict[str, float] = {}
    wanted = [metric.name for metric in METRICS if metric.name.startswith(options.only)]
    if any(name.startswith(("scale.small", "scale.plain", "scale.price")) for name in wanted):
        found |= _beside(options, folder)
    if any(name.startswith("scale.sink") for name in wanted):
        found |= _sink(options, folder / "sink")
    if any(name.startswith("scale.grown") for name in wanted):
        found |= _grown(options, folder)
    return found


def load(rig: Rig, folder: Path, *arguments: str, patience: str = "load") -> Process:
    """The fleet simulator, started; its JSON is what it says in the end."""
    given = ("simulate-fleet", "--config", rig.file, "--json", *arguments)
    return python(patience, "tillwatch.collector", *given, folder=folder)


def said(process: Process) -> dict[str, float]:
    """What the simulator says in the end. Raises BenchError where anything was lost."""
    text = process.hear_all()
    if not text:
        raise process.failed("said nothing")
    found: dict[str, float] = json.loads(text)
    if found["unacknowledged"] or found["failed"] or not found["sent"]:
        raise process.failed(f"lost something: {found}")
    return found


def _beside(options: Options, folder: Path) -> dict[str, float]:
    terminals, seconds = (10, 1.0) if options.quick else (400, 4.0)
    rig = Rig(folder, tls=False)
    with load(rig, folder, "--enrol", "--terminals", str(terminals), patience="enrol") as enrolling:
        enrolling.hear_all()
    with rig.broker() as broker:
        with rig.collector() as collector:
            before = (collector.cpu_s(), broker.cpu_s())
            plan = ("--terminals", str(terminals), "--interval", "0.1", "--for", str(seconds), "--ahead", str(seconds))
            with load(rig, folder, *plan) as sending:
                found = said(sending)
            count = found["acknowledged"]
            spent = [(part.cpu_s() - at) / count * 1e6 for part, at in zip((collector, broker), before, strict=True)]
        if rig.ask("SELECT count(*) FROM journal WHERE kind = 3") != count:
            raise BenchError("the collector does not keep what was sent")
        sending_us = (found["cpu_s"] - found["sealing_ahead_cpu_s"]) / count * 1e6
        progress(
            f"scale: {found['batches_per_s']:.0f} batches/s, {spent[0]:.0f} us a batch, {found['resent']:.0f} sent again"
        )
        plain = _plain(rig, broker, folder, terminals, max(round(count / terminals), 1))
    return {
        "scale.small.batches_per_s": found["batches_per_s"],
        "scale.small.collector_us_per_batch": spent[0],
        "scale.small.broker_us_per_batch": spent[1],
        "scale.small.load_us_per_batch": sending_us,
        **plain,
        "scale.price.collector_to_consumer": spent[0] / plain["scale.plain.consumer_us_per_batch"],
        "scale.price.whole": sum(spent) / sum(plain[f"scale.plain.{part}_us_per_batch"] for part in ("consumer", "broker", "store")),
    }  # fmt: skip


def _sink(options: Options, folder: Path) -> dict[str, float]:
    terminals, seconds = (10, 1.0) if options.quick else (400, 10.0)
    folder.mkdir()
    rig = Rig(folder, tls=False)
    with load(rig, folder, "--enrol", "--terminals", str(terminals), patience="enrol") as enrolling:
        enrolling.hear_all()
    with _victoria_metrics(folder) as (store, port):
        with rig.file.open("a") as file:
            file.write(f'[sinks.victoriametrics]\nurl = "http://127.0.0.1:{port}"\n')
        with rig.broker(), rig.collector() as collector:
            kept = KeptFile(rig.database, "victoriametrics")

            def written() -> Standing:
                return kept.load() or Standing()

            collector.wait_for(lambda: written().process > 0, "an exporter")
            exporter = written().process
            before = (cpu_s(exporter), store.cpu_s())
            plan = ("--terminals", str(terminals), "--interval", "1", "--for", str(seconds), "--ahead", str(seconds))
            with load(rig, folder, *plan) as sending:
                count = said(sending)["acknowledged"]
            ended = time.monotonic()
            head = rig.ask("SELECT max(n) FROM journal WHERE kind = 3")
            collector.wait_for(lambda: written().written.n >= head, "all of it at the sink")
            lag = time.monotonic() - ended
            spent = (cpu_s(exporter) - before[0], store.cpu_s() - before[1])
    progress(f"sink: {lag:.2f} s behind, {spent[0] / count * 1e6:.0f} us a batch")
    return {
        "scale.sink.lag_s": lag,
        "scale.sink.exporter_us_per_batch": spent[0] / count * 1e6,
        "scale.sink.store_us_per_batch": spent[1] / count * 1e6,
    }


@contextlib.contextmanager
def _victoria_metrics(folder: Path) -> Iterator[tuple[Process, int]]:
    port = free_port()
    where = (f"-storageDataPath={folder / 'series'}", f"-httpListenAddr=127.0.0.1:{port}", "-loggerLevel=ERROR")
    with Process("victoria-metrics", program("victoria-metrics"), *where, folder=folder) as store:
        store.wait_for(lambda: listens(port), "listening")
        yield store, port


def _plain(rig: Rig, broker: Process, folder: Path, terminals: int, each: int) -> dict[str, float]:
    with _victoria_metrics(folder) as (store, port):
        ports = (str(rig.port), str(port))
        with python("plain", "tests.benchmarks.plain_consumer", *ports, folder=folder) as consumer:
            consumer.hear()
            sizes = (str(terminals), str(each))
            with python("plain-load", "tests.benchmarks.plain_load", ports[0], *sizes, folder=folder) as sending:
                sending.hear()
                parts = (consumer, broker, store)
                before = [part.cpu_s() for part in parts]
                sending.say("go")
                done = json.loads(sending.hear())
                spent = [(part.cpu_s() - at) / done["batches"] * 1e6 for part, at in zip(parts, before, strict=True)]
    progress(f"plain consumer: {done['batches'] / done['seconds']:.0f} batches/s, {spent[0]:.0f} us a batch")
    names = ("consumer", "broker", "store")
    figures = {f"scale.plain.{name}_us_per_batch": us for name, us in zip(names, spent, strict=True)}
    return {"scale.plain.batches_per_s": done["batches"] / done["seconds"], **figures}


def _grown(options: Options, folder: Path) -> dict[str, float]:
    found: dict[str, dict[str, float]] = {}
    for name, size in zip(SIZES, QUICK_SIZES if options.quick else SIZES, strict=True):
        batches = "50" if options.quick else "10000"
        store = folder / f"grown-{name}.db"
        with python("grown", "tests.benchmarks.grown_fleet", store, str(size), batches, folder=folder) as process:
            found[str(name)] = json.loads(process.hear())
        store.unlink()
        progress(f"{size:,} terminals: {found[str(name)]['us_a_reading']:.2f} us a reading")
    most, ten, thousand = (found[str(size)] for size in reversed(SIZES[1:]))
    return {
        **{f"scale.grown.us_per_reading.{size}": found[str(size)]["us_a_reading"] for size in SIZES},
        "scale.grown.ratio_100000_to_10000": most["us_a_reading"] / ten["us_a_reading"],
        "scale.grown.ratio_100000_to_1000": most["us_a_reading"] / thousand["us_a_reading"],
        "scale.grown.kib_per_terminal": most["rss_kib"] / most["terminals"],
        "scale.grown.store_bytes_per_terminal": most["store_bytes"] / most["terminals"],
        "scale.grown.load_s": most["load_s"],
    }
