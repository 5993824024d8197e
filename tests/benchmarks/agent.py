"""The agent as it stays resident: the real service with its spool and TLS uplink, a real broker, and the real collector that acknowledges."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.benchmarks.options import Options, progress
from tests.benchmarks.processes import Process, python, readiness
from tests.benchmarks.results import BenchError, Metric
from tests.benchmarks.rig import HOST, Rig, snmpd

WINDOW_S = 60.0
INTERVAL_S = 10.0
SETTLED = 3
"""Batches that the collector has stored before anything is measured: every class of every source has been read by then."""
LOOK_S = 0.5
_WORK = "system counters of all classes and one SNMP device of 40 OIDs every 10 s, a batch every 10 s, TLS with client certificates, acks read"
METRICS = (
    Metric("agent.rss_mib", "MiB", f"at the end of 60 s; {_WORK}"),
    Metric("agent.pss_mib", "MiB", "at the end of 60 s; pages shared with the collector and the benchmark, which are Python too, count in part"),
    Metric("agent.threads", "1", "median over 60 s; file systems and sensors are read in a thread that lives for that long"),
    Metric("agent.cpu_percent", "%", f"of one core, over 60 s; {_WORK}"),
    Metric("agent.start_s", "s", "from exec to READY=1, profiles and code compiled before; wall time"),
    Metric("agent.stop_s", "s", "from SIGTERM to the end of the process, everything that was read sealed; wall time"),
    Metric("agent.start_cpu_s", "s", "processor time until READY=1"),
    Metric("agent.rss_system_only_mib", "MiB", "the same without an SNMP device, so without its libraries"),
    Metric("agent.wire_bytes_per_reading", "B", "payloads that the collector stored of this agent through their readings; real counters, a UPS that stands still"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Seen:
    start_s: float
    stop_s: float
    start_cpu_s: float
    rss: float
    pss: float
    threads: float
    cpu_percent: float


def measure(options: Options, folder: Path, run: int) -> dict[str, float]:
    interval, window = (0.5, 2.0) if options.quick else (INTERVAL_S, WINDOW_S)
    (folder / "snmp").mkdir()
    rig = Rig(folder, tls=True)
    lean, full = rig.terminal("till-lean"), rig.terminal("till-full")
    with rig.broker(), rig.collector(), snmpd(folder / "snmp") as port:
        # The first start compiles the device profiles, once for each state directory, and what Python code is new.
        for state in (lean, full):
            _observe(rig, state, configured(state, interval, None), interval, 0.0, settled=1)
        alone = _observe(rig, lean, configured(lean, interval, None), interval, interval)
        progress(f"agent, system only: {alone.rss:.1f} MiB")
        seen = _observe(rig, full, configured(full, interval, port), interval, window)
        progress(f"agent: {seen.rss:.1f} MiB, {seen.cpu_percent:.2f} % of a core")
        if not rig.ask("SELECT count(*) FROM component WHERE terminal = 'till-full' AND name LIKE 'ups/%'"):
            raise BenchError("the collector has nothing of the SNMP device")
        per_reading = _bytes_per_reading(rig)
    return {
        "agent.rss_mib": seen.rss,
        "agent.pss_mib": seen.pss,
        "agent.threads": seen.threads,
        "agent.cpu_percent": seen.cpu_percent,
        "agent.start_s": seen.start_s,
        "agent.stop_s": seen.stop_s,
        "agent.start_cpu_s": seen.start_cpu_s,
        "agent.rss_system_only_mib": alone.rss,
        "agent.wire_bytes_per_reading": per_reading,
    }


def configured(state: Path, interval: float, port: int | None) -> Path:
    device = f'[[snmp]]\nname = "ups"\nhost = "{HOST}"\nport = {port}\n' if port else ""
    file = state / "agent.toml"
    every = "".join(f'{name} = "{interval:g}s"\n' for name in ("fast", "normal", "slow", "seal"))
    file.write_text(f'[sampling]\n{every}[terminal]\nstate_dir = "{state}"\n{device}')
    return file


def _observe(rig: Rig, state: Path, config: Path, interval: float, window: float, *, settled: int = SETTLED) -> _Seen:
    with readiness() as (env, wait):
        begin = time.monotonic()
        with python("agent", "tillwatch.agent", "run", "--config", config, folder=state, env=env) as agent:
            wait(agent)
            start_s, start_cpu_s = time.monotonic() - begin, agent.cpu_s()
            stored = stored_of(rig, state.name)
            before = stored()
            agent.wait_for(lambda: stored() >= before + settled, f"{settled} batches stored by the collector")
            before, cpu, begin = stored(), agent.cpu_s(), time.monotonic()
            threads = _watch(agent, window)
            spent = (agent.cpu_s() - cpu) / max(time.monotonic() - begin, LOOK_S)
            if stored() - before < int(window / interval) - 1:
                raise agent.failed(f"brought only {stored() - before} batches in {window:g} s")
            rss, pss, begin = agent.rss_mib(), agent.pss_mib(), time.monotonic()
            agent.end()
            return _Seen(start_s, time.monotonic() - begin, start_cpu_s, rss, pss, threads, spent * 100)


def _watch(agent: Process, window: float) -> float:
    end = time.monotonic() + window
    seen = [agent.threads()]
    while time.monotonic() < end:
        time.sleep(LOOK_S)
        seen.append(agent.threads())
    return median(seen)


def stored_of(rig: Rig, terminal: str) -> Callable[[], int]:
    return lambda: rig.ask("SELECT count(*) FROM journal WHERE kind = 3 AND terminal = ?", terminal)


def _bytes_per_reading(rig: Rig) -> float:
    from tillwatch.agent.wire import stored_columns

    size = readings = 0
    for payload in rig.payloads("till-full"):
        size += len(payload)
        readings += sum(len(column.values) for column in stored_columns(payload))
    return size / readings
