"""SNMP: 50 devices with 40 values each, polled through the agent's own clients, from OIDs to values; beside it what turns those values into readings,
and what others take for the same. The devices are net-snmp's agent on loopback.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.options import Options
from tests.benchmarks.results import BenchError, Metric
from tests.benchmarks.rig import AUTH_KEY, FORTY, HOST, PRIV_KEY, USER, snmpd
from tests.benchmarks.snmp_peers import ASKING, AT_ONCE, exporter, of_bulkwalk, of_exporter
from tillwatch.agent.sources.snmp_client import SnmpClient, SnmpTarget
from tillwatch.agent.sources.snmp_gufo import GufoClient
from tillwatch.agent.sources.snmp_map import bind, evaluate, today
from tillwatch.agent.sources.snmp_pysnmp import PysnmpClient
from tillwatch.device_profiles.compiled import Library, compile_folder

TARGETS = 50
"""Devices polled at a time, all of them the one snmpd: each has its own socket and, in version 3, its own session."""
POLLS, FEW = 4000, 50
PYSNMP_POLLS, PYSNMP_FEW = 200, 5
EXPORTER_POLLS = 2400
BULKWALKS = 200
MAPPINGS = 400
READINGS = 25
"""At least so many the profile makes of the 40 values; the others are ratings and identity that it does not read, or parts of a reading."""
_WALL = "one poll is 40 OIDs by GET, 50 targets at a time; wall time, and snmpd shares the machine"
_CPU = "processor time of the client"
METRICS = (
    Metric("snmp.v2c.polls_per_s", "1/s", f"the agent's client over gufo-snmp: one request, sysUpTime among the 40; {_WALL}"),
    Metric("snmp.v2c.cpu_us_per_poll", "us", _CPU),
    Metric("snmp.v2c.bare_cpu_us_per_poll", "us", "gufo-snmp alone, one request of 40 OIDs"),
    Metric("snmp.v2c.cpu_ratio_to_bare", "1", "bare_cpu_us_per_poll through cpu_us_per_poll of the same run"),
    Metric("snmp.v3.polls_per_s", "1/s", f"the same in SNMPv3 authPriv, SHA-256 and AES-128; {_WALL}"),
    Metric("snmp.v3.cpu_us_per_poll", "us", _CPU),
    Metric("snmp.mapping.cpu_us_per_poll", "us", "the 40 values of one poll to readings by the profile rfc1628, all polling classes together; it comes on top of either version"),
    Metric("snmp.v2c.cpu_ratio_to_exporter", "1", "v2c.cpu_us_per_poll through exporter.v2c.cpu_us_per_poll of the same run; mapping not in it; the bar is 0.25"),
    Metric("snmp.v3.cpu_ratio_to_exporter", "1", "the same in version 3"),
    Metric("snmp.exporter.v2c.polls_per_s", "1/s", f"prometheus-snmp-exporter of this Debian, GOMAXPROCS=1: the same 40 OIDs in one GET, over {ASKING} HTTP connections kept open, without gzip; wall time, and who asks it shares the machine"),
    Metric("snmp.exporter.v2c.cpu_us_per_poll", "us", "processor time of the exporter, its mapping to metrics and HTTP included"),
    Metric("snmp.exporter.v3.polls_per_s", "1/s", "the same in SNMPv3 authPriv, SHA-256 and AES-128"),
    Metric("snmp.exporter.v3.cpu_us_per_poll", "us", "as in v2c"),
    Metric("snmp.bulkwalk.v2c.polls_per_s", "1/s", f"snmpbulkwalk, one process a poll, {AT_ONCE} at a time: the UPS-MIB, 37 of the 40 values; wall time"),
    Metric("snmp.bulkwalk.v2c.cpu_us_per_poll", "us", "processor time of the processes, their start included"),
    Metric("snmp.bulkwalk.v3.polls_per_s", "1/s", "the same in SNMPv3 authPriv, SHA-256 and AES-128; its keys are made of the pass phrases each time"),
    Metric("snmp.bulkwalk.v3.cpu_us_per_poll", "us", "as in v2c"),
    Metric("snmp.pysnmp.v2c.polls_per_s", "1/s", f"the agent's client over pysnmp, which serves where gufo-snmp has no wheels; {_WALL}"),
    Metric("snmp.pysnmp.v2c.cpu_us_per_poll", "us", _CPU),
)  # fmt: skip

Get = Callable[[Sequence[str]], Awaitable[Any]]


def measure(options: Options, folder: Path, run: int) -> dict[str, float]:
    count = FEW if options.quick else POLLS
    with snmpd(folder) as port:
        v2c = SnmpTarget(HOST, port)
        v3 = SnmpTarget(HOST, port, "3", user=USER, auth="sha256", auth_key=AUTH_KEY, priv="aes", priv_key=PRIV_KEY)
        rate, cpu = asyncio.run(_polls(lambda: GufoClient(v2c), count))
        _, bare = asyncio.run(_bare(port, count))
        rate3, cpu3 = asyncio.run(_polls(lambda: GufoClient(v3), count))
        slow, slow_cpu = asyncio.run(_polls(lambda: PysnmpClient(v2c), PYSNMP_FEW if options.quick else PYSNMP_POLLS))
        peers = _peers(options, folder, port)
        mapping = asyncio.run(_mapping(GufoClient(v2c), FEW if options.quick else MAPPINGS))
    return {
        **peers,
        "snmp.mapping.cpu_us_per_poll": mapping,
        "snmp.v2c.cpu_ratio_to_exporter": cpu / peers["snmp.exporter.v2c.cpu_us_per_poll"],
        "snmp.v3.cpu_ratio_to_exporter": cpu3 / peers["snmp.exporter.v3.cpu_us_per_poll"],
        "snmp.v2c.polls_per_s": rate,
        "snmp.v2c.cpu_us_per_poll": cpu,
        "snmp.v2c.bare_cpu_us_per_poll": bare,
        "snmp.v2c.cpu_ratio_to_bare": bare / cpu,
        "snmp.v3.polls_per_s": rate3,
        "snmp.v3.cpu_us_per_poll": cpu3,
        "snmp.pysnmp.v2c.polls_per_s": slow,
        "snmp.pysnmp.v2c.cpu_us_per_poll": slow_cpu,
    }


def _peers(options: Options, folder: Path, port: int) -> dict[str, float]:
    found: dict[str, float] = {}
    with exporter(folder) as (process, http):
        for module in ("v2c", "v3"):
            rate, cpu = of_exporter(process, http, port, module, FEW if options.quick else EXPORTER_POLLS)
            found |= {f"snmp.exporter.{module}.polls_per_s": rate, f"snmp.exporter.{module}.cpu_us_per_poll": cpu}
    for version in ("2c", "3"):
        rate, cpu = of_bulkwalk(folder, port, version, FEW if options.quick else BULKWALKS)
        name = f"snmp.bulkwalk.v{version}"
        found |= {f"{name}.polls_per_s": rate, f"{name}.cpu_us_per_poll": cpu}
    return found


async def _mapping(client: SnmpClient, count: int) -> float:
    """us of processor time to turn one poll's values into readings. The rows are bound before, as the agent does it."""
    profile = Library(compile_folder()).profile("rfc1628")
    raws = await client.get(FORTY)
    await client.close()
    bounds = bind("ups", [profile], raws).bounds
    day = today()
    readings = [sample for sample in evaluate(bounds, raws, day) if sample.value is not None]
    if len(readings) < READINGS:
        raise BenchError(
            f"the profile gave {len(readings)} readings of {len(raws)} values; at least {READINGS} were meant"
        )
    began = time.process_time()
    for _ in range(count):
        evaluate(bounds, raws, day)
    return (time.process_time() - began) / count * 1e6


async def _polls(client: Callable[[], SnmpClient], count: int) -> tuple[float, float]:
    clients = [client() for _ in range(min(TARGETS, count))]
    try:
        return await _timed([each.get for each in clients], count)
    finally:
        for each in clients:
            await each.close()


async def _bare(port: int, count: int) -> tuple[float, float]:
    from gufo.snmp import SnmpVersion
    from gufo.snmp.aio import SnmpSession

    sessions = [
        SnmpSession(HOST, port, community="public", version=SnmpVersion.v2c) for _ in range(min(TARGETS, count))
    ]
    return await _timed([session.get_many for session in sessions], count)


async def _timed(targets: Sequence[Get], count: int) -> tuple[float, float]:
    """Polls a second, and us of this process' time a poll. The first poll of each target is not counted: it opens the session."""

    async def poll(get: Get, times: int) -> None:
        for _ in range(times):
            answer = await get(FORTY)
            if len(answer) != len(FORTY):
                raise BenchError(f"snmpd answered {len(answer)} of {len(FORTY)} values")

    await asyncio.gather(*(poll(get, 1) for get in targets))
    each = count // len(targets)
    wall, cpu = time.monotonic(), time.process_time()
    await asyncio.gather(*(poll(get, each) for get in targets))
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    return each * len(targets) / wall, cpu / (each * len(targets)) * 1e6
