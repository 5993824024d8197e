"""SNMP: polls of one device's 40 values through the agent's own clients, against net-snmp's agent on loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.options import Options
from tests.benchmarks.results import BenchError, Metric
from tests.benchmarks.rig import AUTH_KEY, FORTY, HOST, PRIV_KEY, USER, snmpd
from tillwatch.agent.sources.snmp_client import SnmpClient, SnmpTarget
from tillwatch.agent.sources.snmp_gufo import GufoClient
from tillwatch.agent.sources.snmp_pysnmp import PysnmpClient

TARGETS = 20
"""Devices polled at a time, all of them the one snmpd: each has its own socket and, in version 3, its own session."""
POLLS, FEW = 4000, 40
PYSNMP_POLLS = 200
_WALL = "one poll is 40 OIDs by GET, 20 targets at a time; wall time, and snmpd shares the machine"
_CPU = "processor time of the client"
METRICS = (
    Metric("snmp.v2c.polls_per_s", "1/s", f"the agent's client over gufo-snmp: two requests of at most 21 OIDs, sysUpTime along; {_WALL}"),
    Metric("snmp.v2c.cpu_us_per_poll", "us", _CPU),
    Metric("snmp.v2c.bare_cpu_us_per_poll", "us", "gufo-snmp alone, one request of 40 OIDs"),
    Metric("snmp.v2c.cpu_ratio_to_bare", "1", "bare_cpu_us_per_poll through cpu_us_per_poll of the same run"),
    Metric("snmp.v3.polls_per_s", "1/s", f"the same in SNMPv3 authPriv, SHA-256 and AES-128; {_WALL}"),
    Metric("snmp.v3.cpu_us_per_poll", "us", _CPU),
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
        slow, slow_cpu = asyncio.run(_polls(lambda: PysnmpClient(v2c), FEW if options.quick else PYSNMP_POLLS))
    return {
        "snmp.v2c.polls_per_s": rate,
        "snmp.v2c.cpu_us_per_poll": cpu,
        "snmp.v2c.bare_cpu_us_per_poll": bare,
        "snmp.v2c.cpu_ratio_to_bare": bare / cpu,
        "snmp.v3.polls_per_s": rate3,
        "snmp.v3.cpu_us_per_poll": cpu3,
        "snmp.pysnmp.v2c.polls_per_s": slow,
        "snmp.pysnmp.v2c.cpu_us_per_poll": slow_cpu,
    }


async def _polls(client: Callable[[], SnmpClient], count: int) -> tuple[float, float]:
    clients = [client() for _ in range(TARGETS)]
    try:
        return await _timed([each.get for each in clients], count)
    finally:
        for each in clients:
            await each.close()


async def _bare(port: int, count: int) -> tuple[float, float]:
    from gufo.snmp import SnmpVersion
    from gufo.snmp.aio import SnmpSession

    sessions = [SnmpSession(HOST, port, community="public", version=SnmpVersion.v2c) for _ in range(TARGETS)]
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
