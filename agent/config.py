"""The agent's configuration: one TOML file to frozen values. Whatever is wrong with it is told once, with file, line and mend, before
anything starts. Nothing in it is needed: without a file the agent reads the machine itself and takes the rest from its enrolment.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tillwatch.agent.model import AGENT, PollClass
from tillwatch.agent.tables import Lines, Table, WrongError

MAX_SOURCES = 150
"""Devices of one terminal. A batch holds 200 (wire.MAX_DEVICES); the agent itself and the machine are two of them."""
MAX_SOURCE_NAME = 48
"""Characters. A component is `<source>/<part>` and has 96 (wire.MAX_NAME): half of it stays for the part."""
MIN_INTERVAL = 0.5
MAX_INTERVAL = 7 * 86_400.0
MIN_SEAL = 0.2
MAX_SEAL = 3_600.0
"""A batch spans at most one hour (wire.MAX_SPAN_MS)."""
MIN_SPOOL = 1 << 20
IPMI_NORMAL = 300.0

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_BYTES = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "kB": 10**3, "MB": 10**6, "GB": 10**9}
_DRIVE = re.compile(r"(/[\w/.:+-]+|[A-Za-z][\w:.\\/,-]*)(?:\s+-d\s+([A-Za-z][\w+,/.:-]*))?")
_LOOPBACK = ("127.", "localhost", "::1")


class ConfigError(Exception):
    """The text says file, line, what is wrong and what to write instead."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """Seconds between polls of each class."""

    fast: float = 10.0
    normal: float = 60.0
    slow: float = 3_600.0

    def of(self, wanted: PollClass) -> float:
        return {PollClass.FAST: self.fast, PollClass.NORMAL: self.normal, PollClass.SLOW: self.slow}[wanted]


@dataclass(frozen=True, slots=True)
class CollectorConfig:
    """Where it differs from what the enrolment said: None takes the enrolment's. Files: None takes those in the state directory."""

    host: str | None = None
    port: int | None = None
    tls: bool | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class SpoolConfig:
    max_bytes: int = 256 << 20
    max_age: float = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class SystemConfig:
    """The machine itself. only, disable: patterns of the parts to read (empty: all) and to leave out; the machine as a whole is the part ``."""

    enabled: bool = True
    name: str = "host"
    only: tuple[str, ...] = ()
    disable: tuple[str, ...] = ()
    intervals: Intervals = field(default_factory=Intervals)


@dataclass(frozen=True, slots=True)
class SnmpConfig:
    """version: `1`, `2c` or `3`. auth and priv: protocols of version 3. profile: empty to find it. Secrets are never shown (repr is off)."""

    name: str
    host: str
    port: int
    version: str
    community: str = field(repr=False)
    user: str
    auth: str
    auth_secret: str = field(repr=False)
    priv: str
    priv_secret: str = field(repr=False)
    profile: str
    timeout: float
    retries: int
    intervals: Intervals
    where: str


@dataclass(frozen=True, slots=True)
class SerialConfig:
    """baud: None takes the shim's own line settings. mode: `exclusive`, `tap`, `hosted`; empty takes the shim's own."""

    name: str
    port: str
    shim: str
    mode: str
    baud: int | None
    intervals: Intervals
    where: str


@dataclass(frozen=True, slots=True)
class ProfilesConfig:
    """folder: a bank's own device profiles beside the shipped ones. overrides: its limits, names and life figures. None: there are none."""

    folder: Path | None = None
    overrides: Path | None = None


@dataclass(frozen=True, slots=True)
class SmartConfig:
    """program: smartctl's name or path. drives: (device, type for `-d` or empty); none: what smartctl finds. where: empty if not configured."""

    enabled: bool = False
    name: str = "drives"
    program: str = "smartctl"
    drives: tuple[tuple[str, str], ...] = ()
    intervals: Intervals = field(default_factory=Intervals)
    where: str = ""


@dataclass(frozen=True, slots=True)
class IpmiConfig:
    """program: ipmitool's name or path."""

    enabled: bool = False
    name: str = "bmc"
    program: str = "ipmitool"
    intervals: Intervals = field(default_factory=Intervals)
    where: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """seal: seconds between batches. path: where it came from, None without a file. `where` of a device: `file:line`, for later errors."""

    path: Path | None
    state_dir: Path
    collector: CollectorConfig = field(default_factory=CollectorConfig)
    intervals: Intervals = field(default_factory=Intervals)
    seal: float = 60.0
    spool: SpoolConfig = field(default_factory=SpoolConfig)
    system: SystemConfig = field(default_factory=SystemConfig)
    snmp: tuple[SnmpConfig, ...] = ()
    serial: tuple[SerialConfig, ...] = ()
    profiles: ProfilesConfig = field(default_factory=ProfilesConfig)
    smart: SmartConfig = field(default_factory=SmartConfig)
    ipmi: IpmiConfig = field(default_factory=IpmiConfig)


def default_path() -> Path:
    return _program_data() / "agent.toml" if sys.platform == "win32" else Path("/etc/tillwatch/agent.toml")


def default_state_dir() -> Path:
    return _program_data() / "agent" if sys.platform == "win32" else Path("/var/lib/tillwatch-agent")


def _program_data() -> Path:
    return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "tillwatch"


def load(path: Path | None, state_dir: Path | None = None) -> Config:
    """Read `path`; None reads the default path if there is one. state_dir, from the command line, wins over the file's."""
    if path is None:
        path = default_path()
        if not path.exists():
            return Config(None, state_dir or default_state_dir())
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; give another file with --config") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    return parse(text, path, state_dir)


def parse(text: str, path: Path, state_dir: Path | None = None) -> Config:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, place = str(error).partition(" (at ")
        line = re.search(r"line (\d+)", place)
        number = int(line[1]) if line else len(text.splitlines())
        raise ConfigError(f'{path}:{number}: {what}; a value is written key = "text", 10 or true') from None
    root = Table(data, "", None, Lines(text, path))
    try:
        config = _config(root, path, state_dir)
    except WrongError as error:
        raise ConfigError(str(error)) from None
    return config


def _config(root: Table, path: Path, state_dir: Path | None) -> Config:
    terminal, sampling = root.sub("terminal"), root.sub("sampling")
    from_file = terminal.take("state_dir", default_state_dir(), _file(path))
    terminal.done()
    intervals = _intervals(sampling, Intervals())
    seal = sampling.take("seal", 60.0, _duration(MIN_SEAL, MAX_SEAL))
    sampling.done()
    spool = root.sub("spool")
    limits = SpoolConfig(
        spool.take("max_bytes", SpoolConfig().max_bytes, _size),
        spool.take("max_age", SpoolConfig().max_age, _duration(3_600.0, 3_650 * 86_400.0)),
    )
    spool.done()
    collector = _collector(root.sub("collector"), path)
    system = _system(root.sub("system"), intervals)
    snmp = tuple(_snmp(table, intervals, path) for table in root.each("snmp"))
    serial = tuple(_serial(table, intervals, path) for table in root.each("serial"))
    own = root.sub("profiles")
    profiles = ProfilesConfig(own.take("folder", None, _file(path)), own.take("overrides", None, _file(path)))
    own.done()
    smart = _smart(root.sub("smart"), intervals)
    ipmi = _ipmi(root.sub("ipmi"), intervals)
    root.done()
    config = Config(
        path, state_dir or from_file, collector, intervals, seal, limits, system, snmp, serial, profiles, smart, ipmi
    )
    _unique(root, config)
    return config


def _collector(table: Table, path: Path) -> CollectorConfig:
    collector = CollectorConfig(
        table.take("host", None, _text),
        table.take("port", None, _port),
        table.take("tls", None, _bool),
        table.take("ca", None, _file(path)),
        table.take("cert", None, _file(path)),
        table.take("key", None, _file(path)),
    )
    table.done()
    if collector.tls is False and collector.host is not None and not loopback(collector.host):
        raise table.wrong("tls", f"may be false for this machine itself only, not for {collector.host}; remove it")
    return collector


def loopback(host: str) -> bool:
    return host.startswith(_LOOPBACK)


def _system(table: Table, intervals: Intervals) -> SystemConfig:
    system = SystemConfig(
        table.take("enabled", True, _bool),
        table.take("name", "host", _source_name),
        table.take("only", (), _texts),
        table.take("disable", (), _texts),
        _intervals(table, intervals),
    )
    table.done()
    return system


def _snmp(table: Table, intervals: Intervals, path: Path) -> SnmpConfig:
    version = table.take("version", "2c", _one_of("1", "2c", "3"))
    community = _secret(table, "community", path, literal=True)
    auth_secret = _secret(table, "auth", path)
    priv_secret = _secret(table, "priv", path)
    if version == "3" and not (auth_secret and priv_secret):
        raise WrongError(
            f'{table.where()}: [snmp] with version = "3" needs user, auth_file and priv_file (or auth_env and priv_env)'
        )
    device = SnmpConfig(
        name=table.need("name", _source_name, '"ups"'),
        host=table.need("host", _text, '"192.0.2.10"'),
        port=table.take("port", 161, _port),
        version=version,
        community=community or "public",
        user=table.take("user", "", _text),
        auth=table.take("auth", "sha256", _text),
        auth_secret=auth_secret,
        priv=table.take("priv", "aes", _text),
        priv_secret=priv_secret,
        profile=table.take("profile", "", _text),
        timeout=table.take("timeout", 5.0, _duration(0.05, 60.0)),
        retries=table.take("retries", 1, _int(0, 5)),
        intervals=_intervals(table, intervals),
        where=table.where(),
    )
    table.done()
    return device


def _serial(table: Table, intervals: Intervals, path: Path) -> SerialConfig:
    device = SerialConfig(
        name=table.need("name", _source_name, '"ups"'),
        port=table.need("port", _text, '"/dev/ttyS0"'),
        shim=table.need("shim", _shim(path), '"megatec_q1"'),
        mode=table.take("mode", "", _one_of("exclusive", "tap", "hosted")),
        baud=table.take("baud", None, _int(50, 4_000_000)),
        intervals=_intervals(table, intervals),
        where=table.where(),
    )
    table.done()
    return device


def _smart(table: Table, intervals: Intervals) -> SmartConfig:
    smart = SmartConfig(
        table.take("enabled", bool(table.data), _bool),
        table.take("name", "drives", _source_name),
        table.take("program", "smartctl", _text),
        table.take("drives", (), _drives),
        _intervals(table, intervals),
        table.where() if table.data else "",
    )
    table.done()
    return smart


def _ipmi(table: Table, intervals: Intervals) -> IpmiConfig:
    # A BMC takes up to a minute for its sensors: asked every minute it would do nothing else.
    default = replace(intervals, normal=max(intervals.normal, IPMI_NORMAL))
    ipmi = IpmiConfig(
        table.take("enabled", bool(table.data), _bool),
        table.take("name", "bmc", _source_name),
        table.take("program", "ipmitool", _text),
        _intervals(table, default) if table.data else intervals,
        table.where() if table.data else "",
    )
    table.done()
    return ipmi


def _drives(value: Any) -> tuple[tuple[str, str], ...]:
    """As `smartctl --scan` prints them: `/dev/sda` or `/dev/bus/0 -d megaraid,8`."""
    drives = []
    for item in _texts(value):
        match = _DRIVE.fullmatch(item.partition("#")[0].strip())
        if match is None:
            raise ValueError(
                f'lists drives as smartctl --scan prints them: "/dev/sda", "/dev/bus/0 -d megaraid,8", not {item!r}'
            )
        drives.append((match[1], match[2] or ""))
    return tuple(drives)


def _secret(table: Table, key: str, path: Path, *, literal: bool = False) -> str:
    """`<key>_file` or `<key>_env`; a literal only where the value is hardly a secret (an SNMP v1 or v2c community travels in clear)."""
    plain = table.take(key, "", _text) if literal else ""
    file = table.take(f"{key}_file", None, _file(path))
    variable = table.take(f"{key}_env", "", _text)
    if bool(plain) + (file is not None) + bool(variable) > 1:
        raise table.wrong(f"{key}_file", f"is given twice: keep one of `{key}_file` and `{key}_env`")
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").strip() or _empty(table, key, file)
        except (OSError, UnicodeDecodeError) as error:
            raise table.wrong(f"{key}_file", f"cannot be read: {error}") from None
    if variable:
        secret = os.environ.get(variable, "")
        if not secret:
            raise table.wrong(f"{key}_env", f"names {variable}, which is not set in the environment of the agent")
        return secret
    return plain


def _empty(table: Table, key: str, file: Path) -> str:
    raise table.wrong(f"{key}_file", f"names {file}, which is empty")


def _intervals(table: Table, default: Intervals) -> Intervals:
    duration = _duration(MIN_INTERVAL, MAX_INTERVAL)
    return Intervals(
        table.take("fast", default.fast, duration),
        table.take("normal", default.normal, duration),
        table.take("slow", default.slow, duration),
    )


def _unique(root: Table, config: Config) -> None:
    seen = {AGENT: "the agent itself"}
    if config.system.enabled:
        seen[config.system.name] = f"the machine itself ({root.lines.of('system', None, 'name')})"
    own = [part for part in (config.smart, config.ipmi) if part.enabled]
    devices: tuple[SnmpConfig | SerialConfig | SmartConfig | IpmiConfig, ...] = (*own, *config.snmp, *config.serial)
    for device in devices:
        if device.name in seen:
            raise WrongError(f"{device.where}: the name `{device.name}` belongs to {seen[device.name]}; give another")
        seen[device.name] = device.where
    if len(devices) > MAX_SOURCES:
        raise WrongError(f"{root.lines.path}:1: {len(devices)} devices; one agent reads at most {MAX_SOURCES}")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError('is text: write it in quotes, "like this"')
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError('is a list of text: ["a", "b"]')
    return tuple(value)


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("is true or false, without quotes")


def _int(least: int, most: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"is a whole number from {least} to {most}, without quotes")
        return value

    return convert


_port = _int(1, 65_535)


def _one_of(*words: str) -> Callable[[Any], str]:
    def convert(value: Any) -> str:
        if value not in words:
            raise ValueError(f"is one of {', '.join(words)} in quotes, not {value!r}")
        return str(value)

    return convert


def _source_name(value: Any) -> str:
    name = _text(value)
    if len(name) > MAX_SOURCE_NAME or "/" in name or not name.isprintable() or name != name.strip():
        raise ValueError(f"is a name of 1 to {MAX_SOURCE_NAME} printable characters without a slash, not {name!r}")
    return name


def _file(path: Path) -> Callable[[Any], Path]:
    """Relative to the configuration file, so that the working directory of a service does not matter."""
    return lambda value: path.parent / Path(_text(value)).expanduser()


def _shim(path: Path) -> Callable[[Any], str]:
    """A name, or the path of a dialogue, which is relative to the configuration file."""
    return lambda value: str(_file(path)(value)) if _text(value).endswith(".yaml") else _text(value)


def _duration(least: float, most: float) -> Callable[[Any], float]:
    def convert(value: Any) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", value) if isinstance(value, str) else None
        if match is None:
            raise ValueError(f'is a time with its unit: "10s", "5m", "2h" or "1d", not {value!r}')
        seconds = float(match[1]) * _SECONDS[match[2]]
        if not least <= seconds <= most:
            raise ValueError(f"is from {least:g} s to {most:g} s, not {value!r}")
        return seconds

    return convert


def _size(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        match = re.fullmatch(r"(\d+)\s*(|KiB|MiB|GiB|kB|MB|GB)", value) if isinstance(value, str) else None
        if match is None:
            raise ValueError(f'is a size: "256 MiB", "1 GiB" or a number of bytes, not {value!r}')
        size = int(match[1]) * _BYTES[match[2]]
    if size < MIN_SPOOL:
        raise ValueError(f"is at least {MIN_SPOOL} bytes")
    return size
