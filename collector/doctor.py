"""Looks at everything the collector stands on and says what to do about what is wrong. It changes nothing and holds no lock for long."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import socket
import sqlite3
import ssl
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tillwatch.collector.amqp_check import examine_amqp
from tillwatch.collector.clock_service import synchronised
from tillwatch.collector.config import Config, is_unspecified
from tillwatch.collector.console_check import silent_console
from tillwatch.collector.delivery_check import examine_deliveries
from tillwatch.collector.diagnosis.check import examine_diagnosis
from tillwatch.collector.incident_check import examine_incidents
from tillwatch.collector.intake.mqtt import MqttIntake, MqttSettings
from tillwatch.collector.people_check import examine_people
from tillwatch.collector.policy_check import examine_policy
from tillwatch.collector.predict.check import examine_predictions
from tillwatch.collector.rollout.check import examine_rollout
from tillwatch.collector.route_check import examine_routes
from tillwatch.collector.sections import WatchdogSection
from tillwatch.collector.series.check import examine_sinks
from tillwatch.collector.store.db import Postgres, Where
from tillwatch.collector.store.opening import open_reader
from tillwatch.collector.store.reading import OCCUPIED, connected, reading
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.trust.authority import (
    DOCTOR_NAME,
    RENEW_BEFORE,
    Authority,
    AuthorityError,
    certificate_ends,
    certificate_hosts,
    open_authority,
)
from tillwatch.collector.trust.identities import examine_identities
from tillwatch.collector.trust.pinned import OtherAuthorityError, check
from tillwatch.collector.watch.commands import status

LEAST_FREE = 1024**3
"""Bytes of disk; below it the journal of a large fleet has days left."""
ANSWER_S = 3.0
LATELY_NS = 3600 * 10**9
"""What was refused longer ago is no finding of today."""
MAX_NAMED = 5
"""Culprits named one by one; where there are more the cause is hardly theirs."""
CA_WARNING_DAYS = 180
"""A new authority means that every terminal enrols again: a bank plans that months ahead."""


@dataclass(frozen=True, slots=True)
class Finding:
    """state: `ok`, `warn` or `fail`; text: what was seen, and for the other two what to do."""

    subject: str
    state: str
    text: str


def examine(config: Config) -> Iterator[Finding]:
    yield Finding("configuration", "ok", f"read from {config.source}" if config.source else "defaults, no file")
    yield from _data_dir(config.collector.data_dir)
    yield from _retention(config)
    yield _database(config.store)
    yield from _culprits(config.store)
    authority, wrong = _authority(config)
    if wrong:
        yield Finding("authority", "fail", wrong)
    elif authority is None:
        yield Finding("authority", "ok", "not there yet; it is made at the first start")
    if authority is not None:
        yield from _certificates(authority, config)
    for subject, state, text in examine_identities(config):
        yield Finding(subject, state, text)
    now = time.time_ns()
    for subject, state, text in (
        *examine_policy(config, now),
        *examine_routes(config, now),
        *examine_deliveries(config, now),
        *examine_incidents(config, now),
        *examine_people(config, now),
        *examine_predictions(config, now),
        *examine_diagnosis(config),
        *examine_rollout(config),
        *examine_sinks(config, now),
    ):
        yield Finding(subject, state, text)
    if config.watchdog is not None:
        yield _watchdog(config.watchdog)
    yield from _ports(config, _health(authority, config) if authority is not None else None)
    if config.amqp is not None and authority is not None:
        for subject, state, text in examine_amqp(config, authority):
            yield Finding(subject, state, text)
    elif not config.broker.embedded:
        yield _outside_broker(authority, config)
    yield _clock(config.store)


def _watchdog(settings: WatchdogSection) -> Finding:
    said = status(settings, time.time_ns())
    if said["ok"]:
        return Finding("watchdog", "warn" if said["warning"] else "ok", said["warning"] or said["text"])
    return Finding("watchdog", "fail", f"{said['text']}; `tillwatch-collector watchdog status` says more")


def _data_dir(folder: Path) -> Iterator[Finding]:
    try:
        mode = folder.stat().st_mode
    except FileNotFoundError:
        yield Finding("data directory", "ok", f"{folder} is not there yet; it is made at the first start")
        return
    except OSError as error:
        yield Finding("data directory", "fail", f"{folder}: {error.strerror}; run this as the collector's user")
        return
    if not stat.S_ISDIR(mode):
        yield Finding("data directory", "fail", f"{folder} is no folder; set data_dir in [collector]")
        return
    if mode & 0o077:
        text = f"{folder} is open to other users (mode {stat.S_IMODE(mode):04o}); chmod 0700 {folder}"
        yield Finding("data directory", "warn", text)
    else:
        yield Finding("data directory", "ok", str(folder))
    free = shutil.disk_usage(folder).free
    text = f"{free / 1024**3:.1f} GiB free"
    if free < LEAST_FREE:
        yield Finding("disk", "fail", f"{text} at {folder}; make room, or the collector will stop taking readings")
    else:
        yield Finding("disk", "ok", text)


def _retention(config: Config) -> Iterator[Finding]:
    """Whether what is to be kept has room: the store's file may grow to the size that is set, and nothing is retired before."""
    most, folder = config.retention.size, config.collector.data_dir
    if not most or not folder.is_dir() or not isinstance(config.store, Path):
        return  # what room a server has is the business of whoever runs it
    used = config.database.stat().st_size if config.database.exists() else 0
    room = used + shutil.disk_usage(folder).free - LEAST_FREE
    if most > room:
        text = f"size = {most / 1024**3:.1f} GiB, and {folder} has room for {max(room, 0) / 1024**3:.1f} GiB of it; set a smaller size in [retention], or make room"
        yield Finding("retention", "warn", text)


def _database(where: Where) -> Finding:
    return _file(where) if isinstance(where, Path) else _server(where)


def _server(where: Postgres) -> Finding:
    try:
        with closing(reading(where, ANSWER_S)) as db:
            terminals = db.execute("SELECT count(*) FROM terminal").fetchone()[0]
            (size,) = db.execute(OCCUPIED).fetchone()
            writer = db.execute("SELECT holder FROM lease WHERE until > clock_timestamp()").fetchone()
    except (StoreError, sqlite3.Error) as error:
        text = f"{error}; see that the server runs, that [store] names it, and that a collector was started on it once"
        return Finding("database", "fail", text)
    written = f"written by {writer[0]}" if writer is not None else "nobody writes it now"
    return Finding("database", "ok", f"{where}, {size / 1024**2:.1f} MiB, {terminals} terminals, {written}")


def _file(path: Path) -> Finding:
    if not path.exists():
        return Finding("database", "ok", "not there yet; it is made at the first start")
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=ANSWER_S)
        try:
            answer = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            terminals = connection.execute("SELECT count(*) FROM terminal").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.Error as error:
        return Finding("database", "fail", f"{path}: {error}; restore it from a backup, and keep the damaged file")
    if answer != "ok":
        return Finding("database", "fail", f"{path}: {answer}; restore it from a backup, and keep the damaged file")
    return Finding("database", "ok", f"{path.stat().st_size / 1024**2:.1f} MiB, sound, {terminals} terminals")


def _culprits(where: Where) -> Iterator[Finding]:
    """Who sends what is not taken, as of late. A damaged database is named elsewhere."""
    try:
        with closing(open_reader(where)) as reader:
            health, terminals = reader.health(), reader.terminals()
    except (StoreError, sqlite3.Error):
        return
    late = [one for one in health.culprits if one.last_at > time.time_ns() - LATELY_NS]
    for one in late[:MAX_NAMED]:
        who = f"terminal {one.terminal}" if one.terminal else "machines that are not enrolled"
        reasons = ", ".join(f"{n} {reason}" for reason, n in one.reasons)
        text = (
            f"{one.refused} messages not taken ({reasons}); look at that machine, and at who may publish on the broker"
        )
        yield Finding(who, "warn", text)
    if len(late) > MAX_NAMED:
        yield Finding("refused messages", "warn", f"{len(late) - MAX_NAMED} more terminals; see terminals --json")
    for view in [view for view in terminals if view.over_limit][:MAX_NAMED]:
        text = f"{view.over_limit} readings kept and not shown: more components or signals than are followed; look at what it invents"
        yield Finding(f"terminal {view.id}", "warn", text)


def _authority(config: Config) -> tuple[Authority | None, str]:
    """What is in the folder, and what is wrong with it. A state that cannot be read is named elsewhere."""
    own, wrong = None, ""
    try:
        own = open_authority(config.authority) if config.authority.exists() else None
        check(config.authority, config.store, own)
    except (AuthorityError, OtherAuthorityError) as error:
        wrong = str(error)
    except StoreError:
        pass
    return own, wrong


def _certificates(authority: Authority, config: Config) -> Iterator[Finding]:
    ends = authority.certificate.not_valid_after_utc
    days = (ends - datetime.now(UTC)).days
    if days < CA_WARNING_DAYS:
        yield Finding(
            "authority", "warn" if days > 0 else "fail", f"ends {ends:%Y-%m-%d}; plan to enrol all terminals again"
        )
    else:
        yield Finding("authority", "ok", f"until {ends:%Y-%m-%d}")
    path = authority.folder / "server.pem"
    try:
        ends, hosts = certificate_ends(path), certificate_hosts(path)
    except FileNotFoundError:
        yield Finding("server certificate", "ok", "not there yet; it is made at the first start")
        return
    except (OSError, ValueError) as error:
        yield Finding("server certificate", "fail", f"{path}: {error}; remove it and restart the collector")
        return
    missing = [host for host in config.certificate_hosts if host not in hosts]
    if missing:
        yield Finding("server certificate", "warn", f"does not name {', '.join(missing)}; restart the collector")
    elif ends - datetime.now(UTC) < RENEW_BEFORE:
        yield Finding("server certificate", "warn", f"ends {ends:%Y-%m-%d}; restart the collector, it renews it")
    else:
        yield Finding("server certificate", "ok", f"until {ends:%Y-%m-%d}, for {', '.join(hosts)}")


def _health(authority: Authority, config: Config) -> dict[str, object] | None:
    """What this very collector answers on its enrolment port; None where it does not."""
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    context.check_hostname = False  # asked at the listening address, which need not be in the certificate
    host = _reachable(config.enrolment.host)
    connection = http.client.HTTPSConnection(host, config.enrolment.port, timeout=ANSWER_S, context=context)
    try:
        connection.request("GET", "/api/v1/health")
        answer = connection.getresponse()
        said = json.loads(answer.read()) if answer.status == http.client.OK else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return said if isinstance(said, dict) else None


def _ports(config: Config, health: dict[str, object] | None) -> Iterator[Finding]:
    running = health is not None
    wanted = [
        ("enrolment", config.enrolment.host, config.enrolment.port),
        ("console", config.console.host, config.console.port),
    ]
    if config.broker.embedded:
        wanted.insert(1, ("broker", config.broker.host, config.broker.port))
    if config.tickets.port:
        wanted.append(("tickets", config.tickets.host, config.tickets.port))
    # Only the one that folds listens for enrolment; openers run beside each, and end with it.
    stands_by = not running and config.amqp is not None and _answers(_reachable(config.amqp.access_host), config.amqp.access_port)  # fmt: skip
    yield Finding("collector", "ok", "running" if running else "running, it stands by" if stands_by else "not running")
    for name, host, port in wanted:
        taken = _answers(_reachable(host), port)
        if (running or stands_by) and not taken and name == "console":
            yield Finding(*silent_console(config, own=health is not None and health.get("console") is True))
        elif running and not taken:
            yield Finding(f"{name} port", "fail", f"nothing answers on {host} port {port}; see the collector's log")
        elif taken and not running and config.amqp is None:
            text = f"{host} port {port} is held by another program; end it, or set port in [{name}]"
            yield Finding(f"{name} port", "fail", text)
        else:
            yield Finding(f"{name} port", "ok", f"{host} port {port} {'answers' if taken else 'is free'}")


def _outside_broker(authority: Authority | None, config: Config) -> Finding:
    broker = config.broker
    if authority is None and broker.tls:
        return Finding("broker", "warn", "not asked: the collector's certificate is made at the first start")

    async def ask() -> bool:
        tls = authority.client_context(DOCTOR_NAME) if authority is not None and broker.tls else None
        # A session of its own, beside that of the running collector.
        intake = MqttIntake(MqttSettings(broker.host, broker.port, DOCTOR_NAME, tls))
        await intake.start()
        try:
            await asyncio.wait_for(intake.wait_connected(), ANSWER_S)
        except TimeoutError:
            return False
        finally:
            await intake.stop()
        return True

    where = f"{broker.host} port {broker.port}"
    if asyncio.run(ask()):
        return Finding("broker", "ok", f"{where} answers and lets the collector read")
    return Finding(
        "broker", "fail", f"{where} does not let the collector in; see its log, its certificates and its access rules"
    )


def _clock(where: Where) -> Finding:
    now = time.time_ns()
    try:
        with closing(connected(where, ANSWER_S)) as db:
            last = db.execute("SELECT at FROM journal ORDER BY n DESC LIMIT 1").fetchone()
    except (StoreError, sqlite3.Error):
        last = None
    if last is not None and last[0] > now + 1_000_000_000:
        behind = (last[0] - now) / 1_000_000_000
        return Finding(
            "clock", "fail", f"{behind:.0f} s behind the last entry of the journal; set the clock before the next start"
        )
    known = synchronised()
    if known is None:
        return Finding("clock", "ok", "not before the last entry; whether it is synchronised cannot be seen here")
    if not known:
        return Finding("clock", "warn", "not synchronised; set up NTP, or readings get wrong times")
    return Finding("clock", "ok", "synchronised")


def _reachable(host: str) -> str:
    if not is_unspecified(host):
        return host
    return "::1" if ":" in host else "127.0.0.1"


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), ANSWER_S):
            return True
    except OSError:
        return False
