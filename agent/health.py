"""The agent's own state as samples of the component `agent`: how full the spool is, what was lost, what the agent itself takes."""

from __future__ import annotations

import contextlib
import sys
import time

from tillwatch.agent import clock
from tillwatch.agent.model import AGENT, Sample, State, Value
from tillwatch.agent.spool import Spool, SpoolFullError
from tillwatch.agent.uplink import Uplink


def samples(spool: Spool, uplink: Uplink, pending_lost: int, removed: int) -> list[Sample]:
    """pending_lost: readings thinned that the spool does not count yet. removed: card numbers that were taken out of texts. Values of a spool that cannot be read are left out."""
    wanted: list[tuple[str, Value, str]] = [
        ("agent.resent", uplink.resent, ""),
        ("agent.cpu", round(time.process_time(), 3), "s"),
        ("agent.card-numbers", removed, ""),
    ]
    with contextlib.suppress(SpoolFullError):
        wanted += [
            ("agent.spool.batches", spool.batches, ""),
            ("agent.spool.bytes", spool.size, "B"),
            ("agent.spool.oldest", int(spool.oldest_age()), "s"),
            ("agent.lost", spool.lost + pending_lost, ""),
        ]
    if uplink.latency:
        wanted.append(("agent.ack.latency", round(uplink.latency * 1000), "ms"))
    if (source := clock.source()).err_ms:
        wanted.append(("agent.clock.error", source.err_ms, "ms"))
    if rss := resident():
        wanted.append(("agent.rss", rss, "B"))
    return [Sample(AGENT, signal, value, unit=unit) for signal, value, unit in wanted]


def spool_state(*, unwritable: bool, volatile: bool, thinning: bool) -> Sample:
    """The gravest thing that can be said of the spool."""
    if unwritable:
        return Sample(AGENT, "agent.spool.state", "unwritable", State.CRIT)
    if volatile:
        return Sample(AGENT, "agent.spool.state", "volatile", State.WARN)
    if thinning:
        return Sample(AGENT, "agent.spool.state", "thinning", State.WARN)
    return Sample(AGENT, "agent.spool.state", "ok", State.OK)


def resident() -> int:
    """Resident memory in bytes; 0 where it cannot be told."""
    if sys.platform == "linux":
        try:
            with open("/proc/self/status", encoding="ascii") as file:
                return next((int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:")), 0)
        except OSError:
            return 0
    else:
        import psutil  # noqa: PLC0415 - where there is no /proc

        return int(psutil.Process().memory_info().rss)
