"""`tillwatch-agent bundle`: what support needs to know of an agent, as one JSON document without secrets: versions, configuration, the doctor's
findings, spool, clock, and from the running agent the end of its log and how its sources stand. Nothing of a device's readings is in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sqlite3
import sys
import zlib
from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from tillwatch.agent import clock, config, doctor, identity, show
from tillwatch.agent.identity import IdentityError
from tillwatch.agent.remote.scrub import REMOVED, Scrubber
from tillwatch.agent.settings import Config, ConfigError
from tillwatch.agent.wire import MAX_BUNDLE

MAX_GIVEN = 1 << 20
"""Bytes of what the running agent adds: 200 lines of its log and 150 sources take some 120 KiB."""
_LIBRARIES = ("tillwatch", "PyNaCl", "msgpack", "gmqtt", "psutil", "pyserial", "cryptography", "gufo-snmp", "pysnmp", "wsproto")  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration, as of run")
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="identity and spool, as of run")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="write it there instead of to standard output")
    parser.add_argument("--packed", action="store_true", help="as the running agent sends it: compressed, with what the agent adds on standard input")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    given = _given() if args.packed else {}
    made = asyncio.run(collect(args, given))
    if args.packed:
        sys.stdout.buffer.write(pack(made))
        return 0
    text = json.dumps(made, indent=2, ensure_ascii=False) + "\n"
    if args.out is None:
        sys.stdout.write(text)
    else:
        try:
            args.out.write_text(text, encoding="utf-8")
        except OSError as error:
            sys.stderr.write(f"tillwatch-agent: {args.out}: {error.strerror}\n")
            return 1
    return 0


async def collect(args: argparse.Namespace, given: dict[str, Any]) -> dict[str, Any]:
    """given: what the running agent adds. Whatever part of it fails says so in its place."""
    args.json = False
    try:
        settings: Config | None = config.load(args.config, args.state_dir)
    except ConfigError:
        settings = None  # the doctor's first finding says why
    scrubber = Scrubber([] if settings is None else list(secrets(settings)))
    log = [str(line) for line in given.get("log") or []]
    made = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
        "terminal": _terminal(settings),
        "clock": {**asdict(clock.source()), "utc": datetime.now(UTC).isoformat(), "up_s": clock.uptime_ms() // 1000},
        "configuration": None if settings is None else shown(settings),
        "doctor": [asdict(finding) for finding in await doctor.look(args, sources=False)],
        "spool": _spool(settings),
        "sources": given.get("sources") or {},
        "stream": given.get("stream") or {},
        "log": log,
    }
    clean: dict[str, Any] = scrubber.anything(made)
    clean["removed"] = {what: n for what, n in scrubber.removed.items() if n}
    return clean


def pack(made: dict[str, Any]) -> bytes:
    """Compressed, at most MAX_BUNDLE bytes: the oldest lines of the log go first, then all that is long; what went is said."""
    lines = list(made.get("log") or [])
    total = len(lines)
    while True:
        made["log"], made["log_left_out"] = lines, total - len(lines)
        packed = zlib.compress(json.dumps(made, ensure_ascii=False, default=str).encode(), 9)
        if len(packed) <= MAX_BUNDLE:
            return packed
        if not lines:
            made = {"made": made.get("made"), "versions": made.get("versions"), "terminal": made.get("terminal"), "left_out": "all else: too long"}  # fmt: skip
            continue
        lines = lines[len(lines) // 2 + 1 :]


def shown(settings: Any) -> Any:
    """A configuration as JSON says it. What is no text for people's eyes (repr is off) is not repeated."""
    if is_dataclass(settings) and not isinstance(settings, type):
        return {
            each.name: shown(value) if each.repr or not value else REMOVED
            for each in fields(settings)
            for value in [getattr(settings, each.name)]
        }
    if isinstance(settings, list | tuple):
        return [shown(each) for each in settings]
    return settings if settings is None or isinstance(settings, bool | int | float | str) else str(settings)


def secrets(settings: Any) -> Iterator[str]:
    """Every value of the configuration that is not to be shown."""
    if is_dataclass(settings) and not isinstance(settings, type):
        for each in fields(settings):
            value = getattr(settings, each.name)
            if each.repr:
                yield from secrets(value)
            elif isinstance(value, str):
                yield value
    elif isinstance(settings, list | tuple):
        for one in settings:
            yield from secrets(one)


def _given() -> dict[str, Any]:
    try:
        found = json.loads(sys.stdin.buffer.read(MAX_GIVEN))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "system": platform.platform()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _terminal(settings: Config | None) -> dict[str, str]:
    if settings is None:
        return {}
    try:
        who = identity.load(settings.state_dir)
    except IdentityError as error:
        return {"error": str(error)}
    return {"id": who.terminal, "branch": who.branch, "region": who.region, "key": who.key.key_id.hex()}


def _spool(settings: Config | None) -> dict[str, Any]:
    file = None if settings is None else settings.state_dir / identity.SPOOL
    if file is None or not file.exists():
        return {}
    try:
        return show.spool_figures(file) | {"file_bytes": file.stat().st_size}
    except (sqlite3.Error, OSError) as error:
        return {"error": str(error)}
