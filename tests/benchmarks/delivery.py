"""Delivery: how long a reading takes until a terminal believes that it is stored, and how a fleet comes back from an outage, through a real
mosquitto into the real collector.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks.live import Spec, key_of
from tests.benchmarks.options import Options, progress
from tests.benchmarks.processes import python
from tests.benchmarks.results import BenchError, Metric
from tests.benchmarks.rig import Rig

_STEADY = "200 batches/s of 60 readings from 200 terminals, plain MQTT through mosquitto; from the newest reading of a batch, sealed at once, to the ack whose signature held"
_BACK = "50 terminals with an hour of a batch every 10 s, 60 readings each, window 8, while 50 others send one batch a second each"
METRICS = (
    Metric("delivery.ack_p50_ms", "ms", _STEADY),
    Metric("delivery.ack_p99_ms", "ms", _STEADY),
    Metric("delivery.collector_cpu_percent", "%", "of one core, at 200 batches/s"),
    Metric("delivery.wire_bytes_per_reading", "B", "MQTT packets of the batches with their topics, 60 readings each; without TLS and TCP"),
    Metric("delivery.ack_bytes_per_reading", "B", "the way back: signed acks with their topics, and PUBACKs, one batch at a time"),
    Metric("recovery.backlog_batches_per_s", "1/s", _BACK),
    Metric("recovery.live_delay_ms", "ms", f"p99 from reading to ack of the 50 others; {_BACK}"),
    Metric("recovery.live_p50_ms", "ms", "the median of the same"),
)  # fmt: skip


def measure(options: Options, folder: Path, _: int) -> dict[str, float]:
    seconds, each = (3.0, 10) if options.quick else (20.0, 360)
    steady, cpu = _run(folder / "steady", live=200, every_s=1.0, seconds=seconds)
    acks = steady["ack_ms"]
    progress(
        f"delivery: ack p50 {_quantile(acks, 0.5):.1f} ms, p99 {_quantile(acks, 0.99):.1f} ms, {cpu:.0f} % of a core"
    )
    back, _busy = _run(folder / "back", live=50, every_s=1.0, seconds=0.0, backlogged=50, backlog=each)
    rate, live = back["drained"] / back["drained_s"], back["ack_ms"]
    progress(f"recovery: {rate:.0f} batches/s of backlog, live p99 {_quantile(live, 0.99):.0f} ms")
    return {
        "delivery.ack_p50_ms": _quantile(acks, 0.5),
        "delivery.ack_p99_ms": _quantile(acks, 0.99),
        "delivery.collector_cpu_percent": cpu,
        "delivery.wire_bytes_per_reading": steady["up"],
        "delivery.ack_bytes_per_reading": steady["down"],
        "recovery.backlog_batches_per_s": rate,
        "recovery.live_delay_ms": _quantile(live, 0.99),
        "recovery.live_p50_ms": _quantile(live, 0.5),
    }


def _run(folder: Path, **how: Any) -> tuple[dict[str, Any], float]:
    """What the terminals saw, and the collector's share of a core meanwhile."""
    folder.mkdir()
    rig = Rig(folder, tls=False)
    spec = Spec(port=rig.port, collector=rig.ack_key.hex(), **how)
    names = [name for part in spec.names() for name in part]
    rig.enrol({name: key_of(name).public for name in names})
    file = folder / "spec.json"
    file.write_text(json.dumps(asdict(spec)))
    with (
        rig.broker(),
        rig.collector() as collector,
        python("live", "tests.benchmarks.live", file, folder=folder) as live,
    ):
        if (heard := live.hear()) != "ready":
            raise live.failed(f"said {heard!r}")
        before = collector.cpu_s()
        live.say("go")
        said: dict[str, Any] = json.loads(live.hear())
        spent = collector.cpu_s() - before
        stored = rig.ask("SELECT count(*) FROM journal WHERE kind = 3")
        late = rig.ask("SELECT count(*) FROM journal WHERE kind = 3 AND length(facts) > 34")
    if said["resent"]:
        progress(f"{said['resent']} batches were sent again")
    if stored != said["drained"] + len(said["ack_ms"]) or (
        spec.backlog * spec.backlog_every_s > 3000 and late < said["drained"] * 0.6
    ):
        raise BenchError(f"the store has {stored} batches, {late} of them late: not the load that was meant")
    return said, spent / max(spec.seconds, said["drained_s"]) * 100


def _quantile(values: list[float], q: float) -> float:
    """values: sorted."""
    return values[min(int(len(values) * q), len(values) - 1)]
