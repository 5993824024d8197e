"""Sources that have a program or a network service of their own on the other side: a running upsd, XFS4IoT services, and the listener for SNMP traps.
Tables of agent.toml to frozen values; what is wrong is told with file, line and mend.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from tillwatch.agent.conversions import (
    as_bool,
    as_name,
    as_path,
    as_port,
    as_text,
    read_intervals,
    read_secret,
)
from tillwatch.agent.settings import Intervals, NutConfig, TrapsConfig, XfsConfig, loopback
from tillwatch.agent.tables import Table

LEAST_XFS = 30.0
"""Seconds. XFS4IoT services live in the process that pays out; they are not asked more often."""
_UPS = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def read_nut(table: Table, intervals: Intervals) -> NutConfig:
    nut = NutConfig(
        name=table.need("name", as_name, '"ups"'),
        host=table.take("host", "127.0.0.1", as_text),
        port=table.take("port", 3493, as_port),
        ups=table.take("ups", "", _ups),
        intervals=read_intervals(table, intervals),
        where=table.where(),
    )
    table.done()
    return nut


def read_xfs(table: Table, intervals: Intervals, path: Path) -> XfsConfig:
    host = table.take("host", "127.0.0.1", as_text)
    xfs = XfsConfig(
        name=table.need("name", as_name, '"atm"'),
        enabled=table.take("enabled", True, as_bool),
        host=host,
        port=table.take("port", 0, as_port),
        tls=table.take("tls", not loopback(host), as_bool),
        ca=table.take("ca", None, as_path(path)),
        intervals=read_intervals(table, replace(intervals, normal=max(intervals.normal, LEAST_XFS))),
        where=table.where(),
    )
    table.done()
    if not xfs.tls and not loopback(host):
        raise table.wrong("tls", f"may be false for this machine itself only, not for {host}; remove it")
    if xfs.intervals.normal < LEAST_XFS:
        raise table.wrong("normal", f"is at least {LEAST_XFS:g} s: the services pay out money beside answering")
    return xfs


def read_traps(table: Table, intervals: Intervals, path: Path) -> TrapsConfig:
    default = TrapsConfig()
    traps = TrapsConfig(
        table.take("enabled", bool(table.data), as_bool),
        table.take("name", default.name, as_name),
        table.take("listen", default.listen, as_text),
        table.take("port", default.port, as_port),
        read_secret(table, "community", path, literal=True),
        read_intervals(table, intervals),
        table.where() if table.data else "",
    )
    table.done()
    return traps


def _ups(value: Any) -> str:
    name = as_text(value)
    if not _UPS.fullmatch(name):
        raise ValueError(f"is the name of a UPS in upsd's ups.conf, not {name!r}; upsc -l lists them")
    return name
