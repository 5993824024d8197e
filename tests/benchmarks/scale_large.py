"""The large installation on one machine: RabbitMQ, PostgreSQL and one, two and three collectors under the same load of the fleet simulator, over TLS with a
certificate and a connection for each terminal. What the parts take is processor time, that of their children with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from pathlib import Path

from tests.benchmarks.options import Options, progress
from tests.benchmarks.processes import cpu_s, python
from tests.benchmarks.results import BenchError, Metric
from tests.scale.broker import Broker
from tests.scale.installation import Collector
from tests.scale.servers.postgres import Server
from tests.scale.servers.rabbitmq import free_ports
from tillwatch.collector.store.opening import open_db
from tillwatch.collector.trust.authority import open_authority

PARTS = ("fold", "openers", "broker", "database")
COLLECTORS = (1, 2, 3)
PATIENCE_S = 300.0
"""For a fold of a hundred thousand terminals on a machine that has other things to do."""
LOOK_S = 0.1
_RUN = "200 terminals with windows of 8 keep it busy, all parts and the load on this machine"
METRICS = (
    *(Metric(f"scale.large.batches_per_s.{n}", "1/s", f"{n} collectors with an opener each, a RabbitMQ node, PostgreSQL with fsync; {_RUN}; wall time") for n in COLLECTORS),
    *(Metric(f"scale.large.ratio_{n}_to_1", "1", f"batches a second with {n} collectors through those with one, of the same run; more cores are what more collectors are for") for n in COLLECTORS[1:]),
    *(Metric(f"scale.large.{part}_us_per_batch.{n}", "us", f"processor time of the {part} with {n} collectors") for part in PARTS for n in COLLECTORS),
    Metric("scale.large.load_us_per_batch", "us", "of the load's sending process, TLS"),
)  # fmt: skip


def measure(options: Options, folder: Path, _: int) -> dict[str, float]:
    # The path of a unix socket has 107 bytes at most, and a benchmark's folder is long.
    with tempfile.TemporaryDirectory(prefix="tw-") as short:
        return asyncio.run(_measure(options, folder, Path(short)))


async def _measure(options: Options, folder: Path, short: Path) -> dict[str, float]:
    terminals, seconds = (4, 1.0) if options.quick else (200, 4.0)
    found: dict[str, float] = {}
    authority = open_authority(folder / "authority")
    short.chmod(0o755)  # the server may be another user
    (short / "pg").mkdir()
    with contextlib.ExitStack() as stack:
        server = Server(short / "pg", fsync=True)
        server.start()
        stack.callback(server.stop)
        where = server.database()
        broker = Broker(folder / "mq", authority, free_ports(1)[0])
        stack.callback(broker.end)
        collectors = [
            Collector(folder, f"c{n}", authority, where, [broker.amqp], broker.password) for n in range(len(COLLECTORS))
        ]
        broker.ask_at(collectors[0].access)
        await broker.start()
        config = collectors[0].config
        given = ("simulate-fleet", "--config", config, "--json", "--terminals", str(terminals))
        with python("enrol", "tillwatch.collector", *given, "--enrol", folder=folder) as enrolling:
            enrolling.hear_all()
        plan = ("--broker", f"127.0.0.1:{broker.mqtt}", "--tls", "yes", "--interval", "0.1", "--for", str(seconds), "--ahead", str(seconds))  # fmt: skip
        for count in COLLECTORS:
            one = collectors[count - 1]
            stack.callback(one.end)
            one.start()
            await ready(collectors[:count], one)
            before = spent(collectors[:count], broker, server)
            from tests.benchmarks.scale import said

            with python(f"load-{count}", "tillwatch.collector", *given, *plan, folder=folder) as sending:
                done = await asyncio.to_thread(said, sending)
            after = spent(collectors[:count], broker, server)
            batches = done["acknowledged"]
            found[f"scale.large.batches_per_s.{count}"] = done["batches_per_s"]
            for part in PARTS:
                found[f"scale.large.{part}_us_per_batch.{count}"] = (after[part] - before[part]) / batches * 1e6
            found["scale.large.load_us_per_batch"] = (done["cpu_s"] - done["sealing_ahead_cpu_s"]) / batches * 1e6
            told = ", ".join(f"{part} {(after[part] - before[part]) / batches * 1e6:.0f}" for part in PARTS)
            progress(f"{count} collectors: {done['batches_per_s']:.0f} batches/s, us a batch: {told}")
        with contextlib.closing(open_db(where)) as db:
            kept = db.execute("SELECT count(*) FROM journal WHERE kind = 3").fetchone()[0]
        if kept != batches * len(COLLECTORS):
            raise BenchError(f"the database has {kept} batches of {batches * len(COLLECTORS):.0f}")
    for count in COLLECTORS[1:]:
        found[f"scale.large.ratio_{count}_to_1"] = (
            found[f"scale.large.batches_per_s.{count}"] / found["scale.large.batches_per_s.1"]
        )
    return found


async def ready(running: list[Collector], newest: Collector) -> None:
    """One of them folds, and the newest has its openers."""
    until = time.monotonic() + PATIENCE_S
    while not (any(one.holds() for one in running) and newest.openers()):
        if time.monotonic() > until or newest.process is None or newest.process.poll() is not None:
            raise BenchError(f"the collector {newest.name} does not come up:\n{newest.log[-2000:]}")
        await asyncio.sleep(LOOK_S)


def spent(collectors: list[Collector], broker: Broker, server: Server) -> dict[str, float]:
    """Seconds of processor time of PARTS so far."""
    openers = sum(cpu_s(pid) for one in collectors for pid in one.openers())
    whole = sum(cpu_s(one.process.pid) for one in collectors if one.process is not None)
    assert broker.process is not None
    return {"fold": whole - openers, "openers": openers, "broker": cpu_s(broker.process.pid), "database": cpu_s(server.pid)}  # fmt: skip
