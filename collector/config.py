"""The collector's configuration: TOML into frozen values, with defaults that work without any file. Every error names the file, the line
and the mend; nothing is guessed and no unknown key is passed over.
"""
# ruff: noqa: RUF009 - setting() makes a dataclasses.field, which is what the rule wants to see

from __future__ import annotations

import difflib
import ipaddress
import re
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tillwatch.collector.intake.alertmanager import AlertsSettings
from tillwatch.collector.intake.settings import AmqpSection
from tillwatch.collector.people.settings import ConsoleSection, OidcSection
from tillwatch.collector.sections import (
    BrokerSection,
    CardsSection,
    CollectorSection,
    DiagnosisSection,
    EnrolmentSection,
    IntakeSection,
    PolicySection,
    PredictionsSection,
    RetentionSection,
    RolloutSection,
    RulesSection,
    StoreSection,
    TicketsSection,
    WatchdogSection,
)
from tillwatch.collector.series.settings import KINDS as SINKS
from tillwatch.collector.series.settings import SINK_NAME, SinkSettings
from tillwatch.collector.store.db import Postgres, Where
from tillwatch.collector.tickets.settings import KINDS, ReceiverSettings, settings_of

DEFAULT_FILE = Path("/etc/tillwatch/collector.toml")
MAX_CONFIG = 1024 * 1024
"""Bytes of a configuration file: a mistaken path (a disk, a log) must not be read into memory."""

LEAST_LATE_S = 0.5
"""A round takes some 50 ms on an idle machine: a shorter limit complains of the scheduler."""


class ConfigError(Exception):
    """The configuration cannot be used. The text has the file, the line where there is one, and what to write instead."""


@dataclass(frozen=True, slots=True)
class Config:
    """source: the file it was read from, None for the defaults. alerts: by name, the other monitoring systems that may send theirs; sinks: by name,
    the time-series stores that readings are written on to.
    """

    source: Path | None = None
    collector: CollectorSection = CollectorSection()
    broker: BrokerSection = BrokerSection()
    amqp: AmqpSection | None = None
    enrolment: EnrolmentSection = EnrolmentSection()
    console: ConsoleSection = ConsoleSection()
    oidc: OidcSection | None = None
    rules: RulesSection = RulesSection()
    policy: PolicySection = PolicySection()
    cards: CardsSection = CardsSection()
    tickets: TicketsSection = TicketsSection()
    desks: Mapping[str, ReceiverSettings] = field(default_factory=dict)
    channels: Mapping[str, ReceiverSettings] = field(default_factory=dict)
    alerts: Mapping[str, AlertsSettings] = field(default_factory=dict)
    sinks: Mapping[str, SinkSettings] = field(default_factory=dict)
    intake: IntakeSection = IntakeSection()
    retention: RetentionSection = RetentionSection()
    kept_in: StoreSection = StoreSection()
    predictions: PredictionsSection = PredictionsSection()
    diagnosis: DiagnosisSection = DiagnosisSection()
    rollout: RolloutSection = RolloutSection()
    watchdog: WatchdogSection | None = None

    @property
    def database(self) -> Path:
        return self.collector.data_dir / "collector.db"

    @property
    def store(self) -> Where:
        """Where the collector's state is kept."""
        it = self.kept_in
        return (
            Postgres(it.postgres, it.password_file, it.ca_file, self.collector.data_dir)
            if it.postgres
            else self.database
        )

    @property
    def models(self) -> Path:
        """The folder of what was learnt."""
        return self.predictions.models or self.database.parent / "models"

    @property
    def authority(self) -> Path:
        """The folder of the collector's own keys and certificates."""
        return self.collector.data_dir / "authority"

    @property
    def address(self) -> str:
        """Where terminals reach this collector."""
        return self.enrolment.address or socket.gethostname()

    @property
    def settings(self) -> dict[str, str]:
        """All of it as text, by section and key, for the record. An address may hold a secret: of those only the digest."""
        said = {}
        for name, (attribute, _) in _SECTIONS.items():
            section = getattr(self, attribute)
            for one in fields(section) if section is not None else ():
                value = str(getattr(section, one.name))
                said[f"{name}.{one.name}"] = sha256(value.encode()).hexdigest() if one.name.endswith("url") else value
        for name, receiver in (*_named("tickets", self.desks), *_named("channels", self.channels)):
            said |= {f"{name}.{key}": value for key, value in receiver.told().items()}
        for name, source in self.alerts.items():
            said |= {f"alerts.{name}.{key}": value for key, value in source.told().items()}
        for name, sink in self.sinks.items():
            said |= {f"sinks.{name}.{key}": value for key, value in sink.told().items()}
        return said

    @property
    def certificate_hosts(self) -> tuple[str, ...]:
        """The names of the server certificate, in a fixed order without doubles."""
        named = (self.address, self.broker.address, *self.enrolment.hosts, "localhost", "127.0.0.1")
        listening = (
            self.enrolment.host,
            self.broker.host if self.broker.embedded else "",
            self.tickets.host if self.tickets.port else "",
        )
        return tuple(dict.fromkeys(host for host in (*named, *listening) if host and not is_unspecified(host)))


def _named(section: str, receivers: Mapping[str, ReceiverSettings]) -> list[tuple[str, ReceiverSettings]]:
    return [(f"{section}.{name}", receiver) for name, receiver in receivers.items()]


_SECTIONS: Mapping[str, tuple[str, type]] = {
    "collector": ("collector", CollectorSection),
    "broker": ("broker", BrokerSection),
    "amqp": ("amqp", AmqpSection),
    "enrolment": ("enrolment", EnrolmentSection),
    "console": ("console", ConsoleSection),
    "oidc": ("oidc", OidcSection),
    "rules": ("rules", RulesSection),
    "policy": ("policy", PolicySection),
    "cards": ("cards", CardsSection),
    "tickets": ("tickets", TicketsSection),
    "intake": ("intake", IntakeSection),
    "retention": ("retention", RetentionSection),
    "store": ("kept_in", StoreSection),
    "predictions": ("predictions", PredictionsSection),
    "diagnosis": ("diagnosis", DiagnosisSection),
    "rollout": ("rollout", RolloutSection),
    "watchdog": ("watchdog", WatchdogSection),
}


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_unspecified(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def load_config(path: Path | None = None) -> Config:
    """The configuration in `path`; without one, that in DEFAULT_FILE if it exists, else the defaults. Raises ConfigError."""
    if path is None:
        if not DEFAULT_FILE.exists():
            return Config()
        path = DEFAULT_FILE
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CONFIG + 1)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot read the configuration: {error.strerror}; name a file with --config"
        ) from None
    if len(raw) > MAX_CONFIG:
        raise ConfigError(f"{path}: this is no configuration file, it is larger than 1 MiB; name another with --config")
    try:
        text = raw.decode()
        return parse_config(text, path)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}, line {line}: a byte that is not UTF-8; save the file as UTF-8") from None


def parse_config(text: str, source: Path) -> Config:
    """Raises ConfigError. Relative paths are taken from the folder of `source`."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column \d+\)", str(error))
        where = f"{source}, line {place[1]}" if place else str(source)
        reason = re.sub(r" \(at .*\)$", "", str(error))
        raise ConfigError(f"{where}: not TOML: {reason}") from None
    return _Reader(text, source).config(tables)


class _Reader:
    def __init__(self, text: str, source: Path) -> None:
        self._lines = text.splitlines()
        self._source = source

    def config(self, tables: dict[str, Any]) -> Config:
        parts: dict[str, Any] = {"source": self._source}
        flat = dict(tables)
        parts["desks"] = self._receivers("tickets", flat)
        parts["channels"] = self._receivers("channels", flat)
        parts["alerts"] = {name: self._source_of(f"alerts.{name}", one) for name, one in self._named("alerts", flat)}
        parts["sinks"] = {name: self._sink(f"sinks.{name}", name, one) for name, one in self._named("sinks", flat)}
        for name, table in flat.items():
            if name not in _SECTIONS:
                raise self._unknown("section", name, list(_SECTIONS), name, "")
            if not isinstance(table, dict):
                raise self._error("", name, f"{name} is a section; write [{name}] and its keys below it")
            attribute, kind = _SECTIONS[name]
            parts[attribute] = self._section(name, kind, table)
        config = Config(**parts)
        self._check(config, tables)
        return config

    def _receivers(self, section: str, flat: dict[str, Any]) -> dict[str, ReceiverSettings]:
        return {name: self._receiver(f"{section}.{name}", name, one) for name, one in self._named(section, flat)}

    def _named(self, section: str, flat: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """The tables [SECTION.NAME]; what is left of [SECTION] stays in `flat`."""
        table = flat.get(section, {})
        if not isinstance(table, dict):
            raise self._error(section, "", f"write a section [{section}.NAME]")
        named = {name: one for name, one in table.items() if isinstance(one, dict)}
        flat[section] = {name: one for name, one in table.items() if name not in named}
        if section not in _SECTIONS:
            if flat[section]:
                raise self._error(section, next(iter(flat[section])), f"write it into a section [{section}.NAME]")
            del flat[section]
        return list(named.items())

    def _source_of(self, section: str, table: dict[str, Any]) -> AlertsSettings:
        settings: AlertsSettings = self._section(section, AlertsSettings, table)
        if problem := settings.problem():
            raise self._error(section, *problem)
        return settings

    def _sink(self, section: str, name: str, table: dict[str, Any]) -> SinkSettings:
        if not SINK_NAME.fullmatch(name):
            raise self._error(section, "", "its name is that of a file, too: write up to 40 letters, digits, - and _")
        kind = table.get("kind", name)
        if not isinstance(kind, str) or kind not in SINKS:
            raise self._unknown("kind of sink", str(kind)[:60], list(SINKS), section, "kind")
        settings: SinkSettings = self._section(section, SinkSettings, {**table, "kind": kind})
        if problem := settings.problem():
            raise self._error(section, *problem)
        return settings

    def _receiver(self, section: str, name: str, table: dict[str, Any]) -> ReceiverSettings:
        kind = table.get("kind", name)
        if not isinstance(kind, str) or kind not in KINDS:
            raise self._unknown("kind of receiver", str(kind)[:60], list(KINDS), section, "kind")
        settings: ReceiverSettings = self._section(
            section, settings_of(kind), {key: value for key, value in table.items() if key != "kind"}
        )
        if problem := settings.problem() or settings.hook_problem():
            raise self._error(section, *problem)
        return settings

    def _section(self, section: str, kind: type, table: dict[str, Any]) -> Any:
        known: dict[str, Field[Any]] = {one.name: one for one in fields(kind)}
        values = {}
        for key, value in table.items():
            if key not in known:
                own = next((name for name in ("secret", "token") if f"{name}_file" in known), "")
                if key in ("secret", "token", "password", "key") and own:
                    raise self._error(section, key, f"no secrets in this file; use {own}_file or {own}_env")
                raise self._unknown("key", key, list(known), section, key)
            try:
                read = known[key].metadata["read"](value)
            except ValueError as error:
                # A secret may stand in the wrong place: its value is never repeated.
                shown = (
                    key if "secret" in key or "token" in key or key == "postgres" else f"{key} = {str(value)[:60]!r}"
                )
                raise self._error(section, key, f"{shown}: {error}") from None
            values[key] = (self._source.parent / read).absolute() if isinstance(read, Path) else read
        return kind(**values)

    def _check(self, config: Config, tables: dict[str, Any]) -> None:
        """What no single key can say."""
        if problem := config.console.problem():
            raise self._error("console", *problem)
        if config.oidc is not None and (problem := config.oidc.problem()):
            raise self._error("oidc", *problem)
        broker = config.broker
        if broker.embedded and not broker.tls and not is_loopback(broker.host):
            raise self._error(
                "broker",
                "tls",
                f'without TLS the embedded broker cannot tell terminals apart: write tls = true, or host = "127.0.0.1" '
                f'instead of "{broker.host}"',
            )
        if not broker.embedded and "host" not in tables.get("broker", {}):
            raise self._error("broker", "embedded", "embedded = false needs the broker's host = ... beside it")
        if config.amqp is not None and (problem := config.amqp.problem(on_server=bool(config.kept_in.postgres))):
            raise self._error("amqp", *problem)
        if config.amqp is not None and broker.embedded:
            raise self._error(
                "broker",
                "embedded",
                "with [amqp] terminals speak to RabbitMQ: write embedded = false, and its host and port for them",
            )
        if config.intake.group_wait > 1:
            raise self._error("intake", "group_wait", "write at most 1s; terminals wait this long for every ack")
        if is_unspecified(config.enrolment.address) or is_unspecified(broker.address):
            section = "enrolment" if is_unspecified(config.enrolment.address) else "broker"
            raise self._error(
                section, "address", "terminals cannot connect to this; write the name or address they reach"
            )
        for key in ("password_file", "ca_file"):
            if getattr(config.kept_in, key) is not None and not config.kept_in.postgres:
                raise self._error("store", key, f'{key} is of a server: write postgres = "postgresql://..." beside it')
        if config.watchdog is not None:
            self._check_watchdog(config.watchdog)

    def _check_watchdog(self, watchdog: WatchdogSection) -> None:
        if watchdog.secret_file is None:
            raise self._error(
                "watchdog", "", "secret_file is missing; drills are signed: the collector and the watchdog both read it"
            )
        if not watchdog.late >= LEAST_LATE_S or watchdog.every < 2 * watchdog.late:
            raise self._error(
                "watchdog",
                "every",
                f"the fault and its end may take `late` each, at least {LEAST_LATE_S:g}s: write every as twice late or more",
            )
        try:
            receiver = urlsplit(watchdog.receiver)
            usable = receiver.scheme == "http" and is_loopback(receiver.hostname or "") and bool(receiver.port)
        except ValueError:
            usable = False
        if not usable:
            raise self._error(
                "watchdog",
                "receiver",
                'the watchdog listens on its own machine: write such as "http://127.0.0.1:8853/drill"',
            )
        if bool(watchdog.complain_url) != bool(watchdog.complain_secret_file):
            raise self._error("watchdog", "complain_url", "complain_url and complain_secret_file belong together")

    def _unknown(self, what: str, name: str, known: list[str], section: str, key: str) -> ConfigError:
        near = difflib.get_close_matches(name, known, n=1)
        mend = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return self._error(section, key, f"unknown {what} {name!r}; {mend}")

    def _error(self, section: str, key: str, mend: str) -> ConfigError:
        line = self._line(section, key)
        where = f"{self._source}, line {line}" if line else str(self._source)
        inside = f"[{section}] " if section and key else ""
        return ConfigError(f"{where}: {inside}{mend}")

    def _line(self, section: str, key: str) -> int:
        """Where `key` of `section` stands, else where the section or its parent begins, else 0. The file is TOML already."""
        current, best = "", 0
        for number, line in enumerate(self._lines, 1):
            if header := re.match(r"\s*\[\s*([A-Za-z0-9_.\"' -]+?)\s*\]", line):
                current = re.sub(r"[\s\"']", "", header[1])
                if current == section or current.startswith(section + "."):
                    best = best or number
            elif entry := re.match(r"\s*([A-Za-z0-9_.\"'-]+)\s*=", line):
                name = re.sub(r"[\"']", "", entry[1])
                whole = f"{current}.{name}" if current else name
                if whole == (f"{section}.{key}" if section and key else section or key):
                    return number
                if section and (whole == section or whole.startswith(section + ".")):
                    best = best or number
        return best


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, list[str | None]]:
    """Settings that are not as they were, with what they were and are."""
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    return {name: [before.get(name), now.get(name)] for name in names}
