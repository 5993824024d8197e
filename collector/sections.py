"""The sections of the collector's configuration that belong to no room of their own: what each key means, and its default, which works without any file."""
# ruff: noqa: RUF009 - setting() makes a dataclasses.field, which is what the rule wants to see

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tillwatch.collector import values
from tillwatch.collector.values import setting


@dataclass(frozen=True, slots=True)
class CollectorSection:
    data_dir: Path = setting(values.path, Path("/var/lib/tillwatch-collector"))
    name: str = setting(values.text, "tillwatch")


@dataclass(frozen=True, slots=True)
class BrokerSection:
    """embedded: the broker runs in the collector and host is what it listens on; otherwise host is where the broker is.

    address: what enrolled terminals are told; empty means the address that they enrolled at. crl_file: where a broker outside reads the list
    of revoked certificates; the collector keeps it up to date there.
    """

    embedded: bool = setting(values.flag, True)
    # Terminals are on other machines, and this listener takes nobody without a certificate of the collector's own authority.
    host: str = setting(values.host, "0.0.0.0")  # noqa: S104 - see above
    port: int = setting(values.port, 8883)
    tls: bool = setting(values.flag, True)
    address: str = setting(values.host, "")
    crl_file: Path | None = setting(values.path, None)


@dataclass(frozen=True, slots=True)
class EnrolmentSection:
    """address: what tokens carry, this machine's name unless set. hosts: further names that the server certificate must hold."""

    host: str = setting(values.host, "0.0.0.0")  # noqa: S104 - terminals enrol from other machines, over TLS, with a token
    port: int = setting(values.port, 8843)
    address: str = setting(values.host, "")
    hosts: tuple[str, ...] = setting(values.hosts, ())


@dataclass(frozen=True, slots=True)
class RulesSection:
    """file: None means the rules that come with the collector."""

    file: Path | None = setting(values.path, None)


@dataclass(frozen=True, slots=True)
class PolicySection:
    """file: None means the policy that comes with the collector."""

    file: Path | None = setting(values.path, None)


@dataclass(frozen=True, slots=True)
class CardsSection:
    """file: None means the diagnosis cards that come with the collector."""

    file: Path | None = setting(values.path, None)


@dataclass(frozen=True, slots=True)
class TicketsSection:
    """routes: the table that says which incident goes where; None: all go to the one ticket system that is configured. host, port: where ticket
    systems call when something changed there, 0 for nowhere: then it is noticed by asking.
    """

    routes: Path | None = setting(values.path, None)
    host: str = setting(values.host, "127.0.0.1")
    port: int = setting(values.port, 0)


@dataclass(frozen=True, slots=True)
class IntakeSection:
    """queue, queue_bytes: what waits for the store at most; beyond it messages are dropped and sent again by the terminals.

    group_messages, group_wait: one commit holds at most this many messages and waits at most this long (s) for them.
    """

    queue: int = setting(values.count, 4096)
    queue_bytes: int = setting(values.size, 64 * 1024**2)
    group_messages: int = setting(values.count, 512)
    group_wait: float = setting(values.duration, 0.005)


@dataclass(frozen=True, slots=True)
class WatchdogSection:
    """The watchdog is a process of its own; both sides read this. every, late: how often (s) it injects a fault, and how long (s) the fault, and
    then its end, may take to arrive. receiver: where it listens on this machine, and where the collector sends drills; secret_file: what they
    are signed with; state_dir: its identity and what it remembers. complain_url, complain_secret_file: the signed webhook that hears its
    complaints.
    """

    every: float = setting(values.duration, 300.0)
    late: float = setting(values.duration, 120.0)
    receiver: str = setting(values.url, "http://127.0.0.1:8853/drill")
    secret_file: Path | None = setting(values.path, None)
    state_dir: Path = setting(values.path, Path("/var/lib/tillwatch-watchdog"))
    complain_url: str = setting(values.url, "")
    complain_secret_file: Path | None = setting(values.path, None)


@dataclass(frozen=True, slots=True)
class RetentionSection:
    """keep: how long (s) sealed readings are kept while the collector runs, and messages delivered to ticket systems, "forever" is 0; size: the
    file may have (bytes), 0 for any. Digests and roll-ups stay.
    """

    keep: float = setting(values.kept, 400 * 86_400.0)
    size: int = setting(values.size, 0)


@dataclass(frozen=True, slots=True)
class StoreSection:
    """postgres: the database that the collector's state is kept in, "" for the file in data_dir. password_file: its first line is the password; ca_file: of the
    authority that the server's certificate must be from.
    """

    postgres: str = setting(values.postgres, "")
    password_file: Path | None = setting(values.path, None)
    ca_file: Path | None = setting(values.path, None)


@dataclass(frozen=True, slots=True)
class PredictionsSection:
    """file, lives, watched: the site's tables, laid over those that ship: what is asked of predictions, how long parts live, which values have limits. models: the folder of what was learnt, None for `models` beside the database. budget: false
    findings that are accepted a terminal and year, 0 for what the table says.
    """

    enabled: bool = setting(values.flag, True)
    file: Path | None = setting(values.path, None)
    lives: Path | None = setting(values.path, None)
    watched: Path | None = setting(values.path, None)
    models: Path | None = setting(values.path, None)
    budget: float = setting(values.yearly, 0.0)


@dataclass(frozen=True, slots=True)
class DiagnosisSection:
    """enabled: whether terminals may be asked anything from here."""

    enabled: bool = setting(values.flag, False)


@dataclass(frozen=True, slots=True)
class RolloutSection:
    """enabled: whether terminals may be told from here what to run beside their own configuration."""

    enabled: bool = setting(values.flag, False)
