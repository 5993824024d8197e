"""Sources that have a program or a network service of their own on the other side: a running upsd, XFS4IoT services, the listener for SNMP traps, and
Windows. Tables of agent.toml to frozen values; what is wrong is told with file, line and mend.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tillwatch.agent.conversions import (
    as_bool,
    as_name,
    as_path,
    as_port,
    as_text,
    as_texts,
    read_intervals,
    read_secret,
)
from tillwatch.agent.settings import (
    WINDOWS_PARTS,
    Intervals,
    NutConfig,
    TrapsConfig,
    WindowsConfig,
    XfsConfig,
    loopback,
)
from tillwatch.agent.tables import Table

LEAST_XFS = 30.0
"""Seconds. XFS4IoT services live in the process that pays out; they are not asked more often."""
PLATFORM: str = sys.platform
WINDOWS_NORMAL = 300.0
"""Each poll starts a PowerShell, which costs some second of processor time."""
MAX_WINDOWS_NAME = 40
MAX_EXPECTED = 64
_UPS = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def read_nut(table: Table, intervals: Intervals) -> NutConfig:
    nut = NutConfig(
        name=table.need("name", as_name, '"ups"'),
        host=table.take("host", "127.0.0.1", as_text),
        port=table.take("port", 3493, as_port),
        ups=table.take("ups", "", _ups),
        intervals=read_intervals(table, intervals),
        where=table.where(),
        enabled=table.take("enabled", True, as_bool),
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


def read_windows(table: Table, intervals: Intervals) -> WindowsConfig:
    default = WindowsConfig()
    rarer = replace(intervals, normal=max(intervals.normal, WINDOWS_NORMAL))
    windows = WindowsConfig(
        table.take("enabled", bool(table.data), as_bool),
        table.take("name", default.name, _short_name),
        table.take("parts", default.parts, _parts),
        table.take("expected", (), _expected),
        table.take("ignore", (), as_texts),
        read_intervals(table, rarer) if table.data else intervals,
        table.where() if table.data else "",
    )
    table.done()
    if windows.enabled and PLATFORM != "win32":
        raise table.wrong(
            "enabled",
            "is for Windows only, and this machine runs another system; remove [windows] or write enabled = false",
        )
    return windows


def _short_name(value: Any) -> str:
    name = as_name(value)
    if len(name) > MAX_WINDOWS_NAME:
        raise ValueError(
            f"is a name of at most {MAX_WINDOWS_NAME} characters: the parts are called {name[:8]}...-storage and so on"
        )
    return name


def _parts(value: Any) -> tuple[str, ...]:
    parts = as_texts(value)
    for part in parts:
        if part not in WINDOWS_PARTS:
            raise ValueError(f"lists what is read: {', '.join(WINDOWS_PARTS)}, not {part!r}")
    return tuple(dict.fromkeys(parts))


def _expected(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping) or len(value) > MAX_EXPECTED:
        raise ValueError(f"is a table of at most {MAX_EXPECTED} devices: cardreader = 'USB\\VID_0801&PID_0011\\*'")
    return tuple((as_name(name), as_text(pattern)) for name, pattern in value.items())


def _ups(value: Any) -> str:
    name = as_text(value)
    if not _UPS.fullmatch(name):
        raise ValueError(f"is the name of a UPS in upsd's ups.conf, not {name!r}; upsc -l lists them")
    return name
