"""A storm: 10,000 faults of 500 branches within a minute, through the real pipeline and the real sender to a ticket desk on this machine."""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path

from tests.benchmarks.options import Options, progress
from tests.benchmarks.processes import Process, python
from tests.benchmarks.results import BenchError, Metric

DESK = Path(__file__).resolve().parents[2] / "packaging/demo/ticket_receiver.py"
_LOAD = "10,000 faults of 500 branches within 60 s, each an incident and a ticket of its own, 5 % of level 1 and 80 % of level 3; signed batches into the pipeline, webhooks to a desk in another process"
METRICS = (
    Metric("storm.notified_p50_s", "s", f"from a fault to the ticket system's answer; {_LOAD}"),
    Metric("storm.notified_p99_s", "s", f"the same; {_LOAD}"),
    Metric("storm.level1_p99_s", "s", "the same, of level 1 alone"),
    Metric("storm.rss_mib", "MiB", "RSS of pipeline and sender in one process with 500 terminals enrolled, before the storm"),
    Metric("storm.rss_growth_mib", "MiB", "the highest RSS until all is told, minus storm.rss_mib"),
)  # fmt: skip


def measure(options: Options, folder: Path, _: int) -> dict[str, float]:
    branches, parts, seconds = (20, 6, 1.0) if options.quick else (500, 20, 60.0)
    secret = folder / "secret"
    secret.write_text("whsec_" + base64.b64encode(os.urandom(32)).decode() + "\n")
    with Process("desk", sys.executable, DESK, "--port", "0", "--secret-file", secret, folder=folder) as desk:
        arguments = [folder / "collector.db", desk.hear(), secret, str(branches), str(parts), str(seconds)]
        with python("storm", "tests.collector.storming", *arguments, folder=folder) as storm:
            said = json.loads(storm.hear())
    by_level = {int(level): sorted(found) for level, found in said["seconds"].items()}
    everybody = sorted(each for found in by_level.values() for each in found)
    if len(everybody) != branches * parts:
        raise BenchError(f"{len(everybody)} of {branches * parts} faults were told: not the storm that was meant")
    figures = {
        "storm.notified_p50_s": _quantile(everybody, 0.5),
        "storm.notified_p99_s": _quantile(everybody, 0.99),
        "storm.level1_p99_s": _quantile(by_level[1], 0.99),
        "storm.rss_mib": said["rss"],
        "storm.rss_growth_mib": said["most"] - said["rss"],
    }
    progress(
        f"storm: notified p99 {figures['storm.notified_p99_s']:.2f} s, level 1 {figures['storm.level1_p99_s']:.2f} s,"
        f" memory +{figures['storm.rss_growth_mib']:.0f} MiB"
    )
    return figures


def _quantile(values: list[float], q: float) -> float:
    """values: sorted."""
    return values[min(int(len(values) * q), len(values) - 1)]
