"""tillwatch beside the agents that others run for the same purpose: all at once on this machine, at the same interval, over the same window. Then the
broker goes away, and what the spool writes without it is taken too.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path

from tests.benchmarks.agent import INTERVAL_S, SETTLED, configured, stored_of
from tests.benchmarks.footprint_cost import LOOKS, MINUTE, Cost, Watch
from tests.benchmarks.footprint_peers import PEERS, Peer
from tests.benchmarks.options import Options, progress
from tests.benchmarks.processes import python, readiness
from tests.benchmarks.results import BenchError, Metric
from tests.benchmarks.rig import Rig, snmpd

WINDOW_S = 60.0
DAY = 86_400 / MINUTE
FULL, SYSTEM = "agent", "agent_system"
LIKE = {"zabbix_agent2": SYSTEM, "node_exporter": SYSTEM, "netdata": SYSTEM, "collectd": FULL}
"""What each peer is held against: who reads no SNMP device, against the agent that reads none."""
_WORK = {
    FULL: "system counters of all classes and one SNMP device of 40 OIDs; sealed, spooled with fsync, TLS, acks read",
    SYSTEM: "system counters of all classes alone; sealed, spooled with fsync, TLS, acks read",
    "zabbix_agent2": "30 active items taken by a trapper; plain TCP, kept in memory alone",
    "node_exporter": "its collectors as they come, scraped; keeps nothing",
    "collectd": "cpu, memory, disk, df, load, interface and 37 numbers over SNMP; UDP, keeps nothing",
    "netdata": "its collectors as they come, its own database on disk",
}
_UNITS = {
    "processes": "1",
    "threads": "1",
    "rss_mib": "MiB",
    "pss_mib": "MiB",
    "anon_mib": "MiB",
    "cpu_s_per_min": "s",
    "wakeups_per_min": "1/min",
    "written_kib_per_min": "KiB/min",
}
_RATIOS = ("rss_mib", "pss_mib", "anon_mib", "cpu_s_per_min", "wakeups_per_min")
METRICS = (
    *(
        Metric(f"footprint.{who}.{field.name}", _UNITS[field.name], f"every {INTERVAL_S:g} s: {work}; over {WINDOW_S:g} s beside all others")
        for who, work in _WORK.items()
        for field in fields(Cost)
    ),
    *(
        Metric(f"footprint.{who}.start_s", "s", "wall time from exec to " + ("READY=1" if who in (FULL, SYSTEM) else "its first values"))
        for who in _WORK
    ),
    *(
        Metric(f"footprint.{who}.{figure}_to_tillwatch", "1", f"{figure} of it to that of {like} in the same window: above 1 it takes more")
        for who, like in LIKE.items()
        for figure in _RATIOS
    ),
    *(
        Metric(f"footprint.{who}.written_mib_per_day{suffix}", "MiB/day", f"what the kernel counts of {who} as written to the disk, a batch every {INTERVAL_S:g} s; {when}")
        for who in (FULL, SYSTEM)
        for suffix, when in (("", "with the broker there"), ("_broker_away", "in the first minute without a broker, in which it tries to connect most often"))
    ),
    *(
        Metric(f"footprint.{who}.written_kib_per_batch", "KiB", "the same with the broker there, for each batch: at another seal interval, times its batches")
        for who in (FULL, SYSTEM)
    ),
)  # fmt: skip


def measure(options: Options, folder: Path, run: int) -> dict[str, float]:
    interval, window = (1.0, 8.0) if options.quick else (INTERVAL_S, WINDOW_S)
    (folder / "snmp").mkdir()
    rig = Rig(folder, tls=True)
    states = {FULL: rig.terminal("till-full"), SYSTEM: rig.terminal("till-system")}
    found: dict[str, float] = {}
    with contextlib.ExitStack() as running:
        broker = running.enter_context(rig.broker())
        running.enter_context(rig.collector())
        port = running.enter_context(snmpd(folder / "snmp"))
        everybody: dict[str, Peer] = {}
        for who, state in states.items():
            config = configured(state, interval, port if who == FULL else None)
            with _agent(rig, state, config):  # the first start compiles the device profiles and what Python code is new
                pass
            everybody[who] = running.enter_context(_agent(rig, state, config))
        for who, peer in PEERS.items():
            (folder / who).mkdir()
            everybody[who] = running.enter_context(peer(folder / who, interval, port))
        found |= {f"footprint.{who}.start_s": each.start_s for who, each in everybody.items()}
        before = {who: everybody[who].given() for who in states}
        for who in states:
            everybody[who].process.wait_for(
                lambda who=who: everybody[who].given() >= before[who] + SETTLED, "batches stored"
            )
        costs, batches = _window(everybody, interval, window)
        for who, cost in costs.items():
            progress(
                f"{who}: {cost.rss_mib:.1f} MiB, {cost.cpu_s_per_min:.3f} s of processor time and {cost.wakeups_per_min:.0f} wake-ups a minute"
            )
            found |= {f"footprint.{who}.{field.name}": getattr(cost, field.name) for field in fields(Cost)}
        for who, like in LIKE.items():
            for figure in _RATIOS:
                found[f"footprint.{who}.{figure}_to_tillwatch"] = getattr(costs[who], figure) / getattr(
                    costs[like], figure
                )
        broker.end()
        away = _away({who: everybody[who] for who in states}, window)
    for who in states:
        found[f"footprint.{who}.written_mib_per_day"] = costs[who].written_kib_per_min / 1024 * DAY
        found[f"footprint.{who}.written_kib_per_batch"] = (
            costs[who].written_kib_per_min * window / MINUTE / batches[who]
        )
        found[f"footprint.{who}.written_mib_per_day_broker_away"] = away[who].written_kib_per_min / 1024 * DAY
    return found


@contextlib.contextmanager
def _agent(rig: Rig, state: Path, config: Path) -> Iterator[Peer]:
    with readiness() as (env, wait):
        began = time.monotonic()
        with python("agent", "tillwatch.agent", "run", "--config", config, folder=state, env=env) as process:
            wait(process)
            yield Peer(process, time.monotonic() - began, stored_of(rig, state.name))


def _window(everybody: Mapping[str, Peer], interval: float, window: float) -> tuple[dict[str, Cost], dict[str, int]]:
    """What each costs over the window, and how much each gave. Raises BenchError for one that did not work all the while."""
    before = {who: each.given() for who, each in everybody.items()}
    costs = _away(everybody, window)
    given = {who: each.given() - before[who] for who, each in everybody.items()}
    for who, each in everybody.items():
        # Whoever was asked just before the window and whoever is late at its end: two intervals.
        if given[who] < max(1, int(window / interval) - 2):
            raise each.process.failed(f"gave only {given[who]} times something in {window:g} s")
    return costs, given


def _away(everybody: Mapping[str, Peer], window: float) -> dict[str, Cost]:
    watches = {who: Watch(each.process.pid) for who, each in everybody.items()}
    for watch in watches.values():
        watch.begin()
    begun = time.monotonic()
    for look in range(LOOKS):
        for watch in watches.values():
            watch.look()
        time.sleep(max(0.0, begun + window * (look + 1) / LOOKS - time.monotonic()))
    costs = {who: watch.end() for who, watch in watches.items()}
    if not all(cost.rss_mib for cost in costs.values()):
        raise BenchError("a program has no memory: it ended within the window")
    return costs
