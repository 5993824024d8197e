"""The agent's configuration: one TOML file to frozen values. Whatever is wrong with it is told once, with file, line and mend, before
anything starts. Nothing in it is needed: without a file the agent reads the machine itself and takes the rest from its enrolment.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tillwatch.agent.model import AGENT, PollClass

T = TypeVar("T")

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

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_BYTES = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "kB": 10**3, "MB": 10**6, "GB": 10**9}
_LOOPBACK = ("127.", "localhost", "::1")
_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_\-.\" ]+?)\s*\]")
_KEY = re.compile(r"\s*\"?([A-Za-z0-9_-]+)\"?\s*[.=]")


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
    """baud: None takes the shim's own line settings."""

    name: str
    port: str
    shim: str
    baud: int | None
    intervals: Intervals
    where: str


@dataclass(frozen=True, slots=True)
class ProfilesConfig:
    """folder: a bank's own device profiles beside the shipped ones. overrides: its limits, names and life figures. None: there are none."""

    folder: Path | None = None
    overrides: Path | None = None


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
    root = _Table(data, "", None, _Lines(text, path))
    try:
        config = _config(root, path, state_dir)
    except _WrongError as error:
        raise ConfigError(str(error)) from None
    return config


class _WrongError(Exception):
    pass


class _Lines:
    """Where tables and keys stand in the text; tomllib does not tell. A key inside an inline table is told by the line of that table."""

    def __init__(self, text: str, path: Path) -> None:
        self.path = path
        self._at: dict[tuple[str, int | None, str], int] = {}
        counts: dict[str, int] = {}
        table, index = "", None
        for number, line in enumerate(text.splitlines(), 1):
            if header := _HEADER.match(line):
                table, index = header[2].replace('"', "").replace(" ", ""), None
                if header[1] == "[[":
                    index = counts[table] = counts.get(table, -1) + 1
                self._at.setdefault((table, index, ""), number)
            elif key := _KEY.match(line):
                self._at.setdefault((table, index, key[1]), number)

    def of(self, table: str, index: int | None, key: str) -> str:
        # A key of the root may be a table itself: then its header, or the first of its headers, is the place.
        headers = ((key, None, ""), (key, 0, "")) if not table else ((table, index, ""), ("", None, table))
        for place in ((table, index, key), *headers):
            if place in self._at:
                return f"{self.path}:{self._at[place]}"
        return f"{self.path}:1"


class _Table:
    """One table, its keys taken one by one; what is left over at `done` is unknown."""

    def __init__(self, data: Mapping[str, Any], name: str, index: int | None, lines: _Lines) -> None:
        self.data, self.name, self.index, self.lines = data, name, index, lines
        self.known: list[str] = []

    def where(self, key: str = "") -> str:
        return self.lines.of(self.name, self.index, key)

    def wrong(self, key: str, text: str) -> _WrongError:
        place = f" in [{self.name}]" if self.name else ""
        return _WrongError(f"{self.where(key)}: `{key}`{place} {text}")

    def take(self, key: str, default: T, convert: Callable[[Any], T]) -> T:
        self.known.append(key)
        if key not in self.data:
            return default
        try:
            return convert(self.data[key])
        except ValueError as error:
            raise self.wrong(key, str(error)) from None

    def need(self, key: str, convert: Callable[[Any], T], example: str) -> T:
        if key not in self.data:
            self.known.append(key)
            text = f"{self.where()}: [{self.name}] needs `{key}`, for example {key} = {example}"
            raise _WrongError(text)
        value = self.take(key, None, convert)
        assert value is not None
        return value

    def sub(self, key: str) -> _Table:
        self.known.append(key)
        data = self.data.get(key, {})
        if not isinstance(data, dict):
            raise self.wrong(key, f"is a table: write [{key}]")
        return _Table(data, key, None, self.lines)

    def each(self, key: str) -> Iterable[_Table]:
        self.known.append(key)
        data = self.data.get(key, [])
        if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
            raise self.wrong(key, f"is a list of tables: write [[{key}]] above each of them")
        return [_Table(item, key, index, self.lines) for index, item in enumerate(data)]

    def done(self) -> None:
        for key in self.data:
            if key not in self.known:
                import difflib  # noqa: PLC0415 - only an error needs it; the resident agent does not pay for it

                near = difflib.get_close_matches(key, self.known, 1)
                mend = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(self.known)}"
                place = f" in [{self.name}]" if self.name else ""
                raise _WrongError(f"{self.where(key)}: unknown key `{key}`{place}; {mend}")


def _config(root: _Table, path: Path, state_dir: Path | None) -> Config:
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
    serial = tuple(_serial(table, intervals) for table in root.each("serial"))
    own = root.sub("profiles")
    profiles = ProfilesConfig(own.take("folder", None, _file(path)), own.take("overrides", None, _file(path)))
    own.done()
    root.done()
    _unique(root, system, snmp, serial)
    return Config(path, state_dir or from_file, collector, intervals, seal, limits, system, snmp, serial, profiles)


def _collector(table: _Table, path: Path) -> CollectorConfig:
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


def _system(table: _Table, intervals: Intervals) -> SystemConfig:
    system = SystemConfig(
        table.take("enabled", True, _bool),
        table.take("name", "host", _source_name),
        table.take("only", (), _texts),
        table.take("disable", (), _texts),
        _intervals(table, intervals),
    )
    table.done()
    return system


def _snmp(table: _Table, intervals: Intervals, path: Path) -> SnmpConfig:
    version = table.take("version", "2c", _one_of("1", "2c", "3"))
    community = _secret(table, "community", path, literal=True)
    auth_secret = _secret(table, "auth", path)
    priv_secret = _secret(table, "priv", path)
    if version == "3" and not (auth_secret and priv_secret):
        raise _WrongError(
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


def _serial(table: _Table, intervals: Intervals) -> SerialConfig:
    device = SerialConfig(
        name=table.need("name", _source_name, '"ups"'),
        port=table.need("port", _text, '"/dev/ttyS0"'),
        shim=table.need("shim", _text, '"megatec_q1"'),
        baud=table.take("baud", None, _int(50, 4_000_000)),
        intervals=_intervals(table, intervals),
        where=table.where(),
    )
    table.done()
    return device


def _secret(table: _Table, key: str, path: Path, *, literal: bool = False) -> str:
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


def _empty(table: _Table, key: str, file: Path) -> str:
    raise table.wrong(f"{key}_file", f"names {file}, which is empty")


def _intervals(table: _Table, default: Intervals) -> Intervals:
    duration = _duration(MIN_INTERVAL, MAX_INTERVAL)
    return Intervals(
        table.take("fast", default.fast, duration),
        table.take("normal", default.normal, duration),
        table.take("slow", default.slow, duration),
    )


def _unique(root: _Table, system: SystemConfig, snmp: tuple[SnmpConfig, ...], serial: tuple[SerialConfig, ...]) -> None:
    seen = {AGENT: "the agent itself"}
    if system.enabled:
        seen[system.name] = f"the machine itself ({root.lines.of('system', None, 'name')})"
    devices: tuple[SnmpConfig | SerialConfig, ...] = (*snmp, *serial)
    for device in devices:
        if device.name in seen:
            raise _WrongError(f"{device.where}: the name `{device.name}` belongs to {seen[device.name]}; give another")
        seen[device.name] = device.where
    if len(devices) > MAX_SOURCES:
        raise _WrongError(f"{root.lines.path}:1: {len(devices)} devices; one agent reads at most {MAX_SOURCES}")


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
