"""The agent's configuration: one TOML file to frozen values. Whatever is wrong with it is told once, with file, line and mend, before
anything starts. Nothing in it is needed: without a file the agent reads the machine itself and takes the rest from its enrolment.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tillwatch.agent.conversions import (
    as_bool,
    as_duration,
    as_int,
    as_name,
    as_one_of,
    as_path,
    as_port,
    as_size,
    as_text,
    as_texts,
    read_intervals,
    read_secret,
)
from tillwatch.agent.device_settings import read_nut, read_traps, read_windows, read_xfs
from tillwatch.agent.model import AGENT
from tillwatch.agent.settings import (
    MAX_SEAL,
    BundlesConfig,
    CollectorConfig,
    CommandsConfig,
    Config,
    ConfigError,
    Intervals,
    IpmiConfig,
    ProfilesConfig,
    SerialConfig,
    SmartConfig,
    SnmpConfig,
    SpoolConfig,
    SystemConfig,
    loopback,
)
from tillwatch.agent.tables import Lines, Table, WrongError
from tillwatch.agent.wire import CommandKind

MAX_SOURCES = 150
"""Devices of one terminal. A batch holds 200 (wire.MAX_DEVICES); the agent itself and the machine are two of them."""
MIN_SEAL = 0.2
IPMI_NORMAL = 300.0

_DRIVE = re.compile(r"(/[\w/.:+-]+|[A-Za-z][\w:.\\/,-]*)(?:\s+-d\s+([A-Za-z][\w+,/.:-]*))?")


def default_path() -> Path:
    return _program_data() / "agent.toml" if sys.platform == "win32" else Path("/etc/tillwatch/agent.toml")


def default_state_dir() -> Path:
    return _program_data() / "agent" if sys.platform == "win32" else Path("/var/lib/tillwatch-agent")


def _program_data() -> Path:
    return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "tillwatch"


Under = Mapping[str, Mapping[str, Any]]
"""Table -> key -> value, which hold where the file says nothing: what a bundle of the collector brings."""


def load(path: Path | None, state_dir: Path | None = None, under: Under | None = None) -> Config:
    """Read `path`; None reads the default path if there is one. state_dir, from the command line, wins over the file's."""
    if path is None:
        path = default_path()
        if not path.exists():
            return replace(parse("", path, state_dir, under), path=None)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; give another file with --config") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    return parse(text, path, state_dir, under)


def parse(text: str, path: Path, state_dir: Path | None = None, under: Under | None = None) -> Config:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, place = str(error).partition(" (at ")
        line = re.search(r"line (\d+)", place)
        number = int(line[1]) if line else len(text.splitlines())
        raise ConfigError(f'{path}:{number}: {what}; a value is written key = "text", 10 or true') from None
    for table, values in (under or {}).items():
        given = data.setdefault(table, {})
        if isinstance(given, dict):
            data[table] = {**values, **given}
    root = Table(data, "", None, Lines(text, path))
    try:
        config = _config(root, path, state_dir)
    except WrongError as error:
        raise ConfigError(str(error)) from None
    return config


def _config(root: Table, path: Path, state_dir: Path | None) -> Config:
    terminal, sampling = root.sub("terminal"), root.sub("sampling")
    from_file = terminal.take("state_dir", default_state_dir(), as_path(path))
    terminal.done()
    intervals = read_intervals(sampling, Intervals())
    seal = sampling.take("seal", 60.0, as_duration(MIN_SEAL, MAX_SEAL))
    by_risk = sampling.take("by_risk", True, as_bool)
    sampling.done()
    spool = root.sub("spool")
    limits = SpoolConfig(
        spool.take("max_bytes", SpoolConfig().max_bytes, as_size),
        spool.take("max_age", SpoolConfig().max_age, as_duration(3_600.0, 3_650 * 86_400.0)),
    )
    spool.done()
    collector = _collector(root.sub("collector"), path)
    system = _system(root.sub("system"), intervals)
    snmp = tuple(_snmp(table, intervals, path) for table in root.each("snmp"))
    serial = tuple(_serial(table, intervals, path) for table in root.each("serial"))
    own = root.sub("profiles")
    profiles = ProfilesConfig(own.take("folder", None, as_path(path)), own.take("overrides", None, as_path(path)))
    own.done()
    smart = _smart(root.sub("smart"), intervals)
    ipmi = _ipmi(root.sub("ipmi"), intervals)
    nut = tuple(read_nut(table, intervals) for table in root.each("nut"))
    xfs = tuple(read_xfs(table, intervals, path) for table in root.each("xfs"))
    traps = read_traps(root.sub("traps"), intervals, path)
    windows = read_windows(root.sub("windows"), intervals)
    commands = _commands(root.sub("commands"))
    bundles = root.sub("bundles")
    taken = BundlesConfig(bundles.take("enabled", False, as_bool))
    bundles.done()
    root.done()
    config = Config(
        path,
        state_dir or from_file,
        collector,
        intervals,
        seal,
        limits,
        system,
        snmp,
        serial,
        profiles,
        smart,
        ipmi,
        nut,
        xfs,
        traps,
        windows,
        by_risk,
        commands,
        taken,
    )
    _unique(root, config)
    return config


def _collector(table: Table, path: Path) -> CollectorConfig:
    collector = CollectorConfig(
        table.take("host", None, as_text),
        table.take("port", None, as_port),
        table.take("tls", None, as_bool),
        table.take("ca", None, as_path(path)),
        table.take("cert", None, as_path(path)),
        table.take("key", None, as_path(path)),
    )
    table.done()
    if collector.tls is False and collector.host is not None and not loopback(collector.host):
        raise table.wrong("tls", f"may be false for this machine itself only, not for {collector.host}; remove it")
    return collector


def _system(table: Table, intervals: Intervals) -> SystemConfig:
    system = SystemConfig(
        table.take("enabled", True, as_bool),
        table.take("name", "host", as_name),
        table.take("only", (), as_texts),
        table.take("disable", (), as_texts),
        read_intervals(table, intervals),
    )
    table.done()
    return system


def _snmp(table: Table, intervals: Intervals, path: Path) -> SnmpConfig:
    version = table.take("version", "2c", as_one_of("1", "2c", "3"))
    community = read_secret(table, "community", path, literal=True)
    auth_secret = read_secret(table, "auth", path)
    priv_secret = read_secret(table, "priv", path)
    if version == "3" and not (auth_secret and priv_secret):
        raise WrongError(
            f'{table.where()}: [snmp] with version = "3" needs user, auth_file and priv_file (or auth_env and priv_env)'
        )
    device = SnmpConfig(
        name=table.need("name", as_name, '"ups"'),
        host=table.need("host", as_text, '"192.0.2.10"'),
        port=table.take("port", 161, as_port),
        version=version,
        community=community or "public",
        user=table.take("user", "", as_text),
        auth=table.take("auth", "sha256", as_text),
        auth_secret=auth_secret,
        priv=table.take("priv", "aes", as_text),
        priv_secret=priv_secret,
        profile=table.take("profile", "", as_text),
        timeout=table.take("timeout", 5.0, as_duration(0.05, 60.0)),
        retries=table.take("retries", 1, as_int(0, 5)),
        intervals=read_intervals(table, intervals),
        where=table.where(),
        enabled=table.take("enabled", True, as_bool),
    )
    table.done()
    return device


def _serial(table: Table, intervals: Intervals, path: Path) -> SerialConfig:
    device = SerialConfig(
        name=table.need("name", as_name, '"ups"'),
        port=table.need("port", as_text, '"/dev/ttyS0"'),
        shim=table.need("shim", _shim(path), '"megatec_q1"'),
        mode=table.take("mode", "", as_one_of("exclusive", "tap", "hosted")),
        baud=table.take("baud", None, as_int(50, 4_000_000)),
        intervals=read_intervals(table, intervals),
        where=table.where(),
        enabled=table.take("enabled", True, as_bool),
    )
    table.done()
    return device


def _shim(path: Path) -> Callable[[Any], str]:
    """A name, or the path of a dialogue, which is relative to the configuration file."""
    return lambda value: str(as_path(path)(value)) if as_text(value).endswith(".yaml") else as_text(value)


def _smart(table: Table, intervals: Intervals) -> SmartConfig:
    smart = SmartConfig(
        table.take("enabled", bool(table.data), as_bool),
        table.take("name", "drives", as_name),
        table.take("program", "smartctl", as_text),
        table.take("drives", (), _drives),
        read_intervals(table, intervals),
        table.where() if table.data else "",
    )
    table.done()
    return smart


def _ipmi(table: Table, intervals: Intervals) -> IpmiConfig:
    # A BMC takes up to a minute for its sensors: asked every minute it would do nothing else.
    default = replace(intervals, normal=max(intervals.normal, IPMI_NORMAL))
    ipmi = IpmiConfig(
        table.take("enabled", bool(table.data), as_bool),
        table.take("name", "bmc", as_name),
        table.take("program", "ipmitool", as_text),
        read_intervals(table, default) if table.data else intervals,
        table.where() if table.data else "",
    )
    table.done()
    return ipmi


def _commands(table: Table) -> CommandsConfig:
    enabled = table.take("enabled", False, as_bool)
    allow = table.take("allow", CommandsConfig().allow, as_texts)
    table.done()
    if strange := [kind for kind in allow if kind not in set(CommandKind)]:
        raise table.wrong("allow", f"lists {strange[0]!r}; there are {', '.join(CommandKind)}")
    if enabled and not allow:
        raise table.wrong("allow", "lists nothing; name what may be asked, or set enabled = false")
    return CommandsConfig(enabled, tuple(dict.fromkeys(allow)))


def _drives(value: Any) -> tuple[tuple[str, str], ...]:
    """As `smartctl --scan` prints them: `/dev/sda` or `/dev/bus/0 -d megaraid,8`."""
    drives = []
    for item in as_texts(value):
        match = _DRIVE.fullmatch(item.partition("#")[0].strip())
        if match is None:
            raise ValueError(
                f'lists drives as smartctl --scan prints them: "/dev/sda", "/dev/bus/0 -d megaraid,8", not {item!r}'
            )
        drives.append((match[1], match[2] or ""))
    return tuple(drives)


def _unique(root: Table, config: Config) -> None:
    seen = {AGENT: "the agent itself"}
    if config.system.enabled:
        seen[config.system.name] = f"the machine itself ({root.lines.of('system', None, 'name')})"
    own = [part for part in (config.smart, config.ipmi, config.traps) if part.enabled]
    devices = (*own, *config.snmp, *config.serial, *config.nut, *config.xfs)
    if config.traps.enabled and not config.snmp:
        raise WrongError(f"{config.traps.where}: [traps] hears of the devices of [[snmp]] only, and there are none")
    for device in devices:
        if device.name in seen:
            raise WrongError(f"{device.where}: the name `{device.name}` belongs to {seen[device.name]}; give another")
        seen[device.name] = device.where
    parts = config.windows.names().values() if config.windows.enabled else ()
    for name in parts:
        if name in seen:
            raise WrongError(
                f"{config.windows.where}: the name `{name}` belongs to {seen[name]}; give [windows] another"
            )
    if (total := len(devices) + len(parts)) > MAX_SOURCES:
        raise WrongError(f"{root.lines.path}:1: {total} devices; one agent reads at most {MAX_SOURCES}")
