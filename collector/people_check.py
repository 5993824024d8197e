"""What the doctor says of who reaches the console and who is let in."""

from __future__ import annotations

import sqlite3
import ssl
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

from tillwatch.collector.config import Config
from tillwatch.collector.people import accounts
from tillwatch.collector.people.accounts import Person
from tillwatch.collector.people.console_db import ConsoleDbError, open_console, place, unsaid
from tillwatch.collector.people.roles import Role
from tillwatch.collector.tickets.settings import SecretError, read_secret
from tillwatch.collector.trust.authority import certificate_ends, certificate_hosts

Said = tuple[str, str, str]
"""(subject, state, text) of a finding."""
PEOPLE, REACH = "console accounts", "console reach"
FEW_DAYS = timedelta(days=30)
"""A bank's own authority takes weeks for a certificate."""
LATE_NS = 10 * 60 * 10**9
"""Acts that wait so long for the collector mean that none runs, or that it cannot write."""


def examine_people(config: Config, now: int) -> Iterator[Said]:
    """now: UTC ns."""
    yield from _reach(config, now)
    path = place(config.database)
    if not path.exists():
        yield from _nobody(config)
        return
    try:
        with closing(open_console(path)) as db:
            everybody, waiting = accounts.everybody(db), unsaid(db, 1)
    except (ConsoleDbError, sqlite3.Error) as error:
        yield PEOPLE, "fail", str(error)
        return
    yield from _everybody(config, everybody)
    if waiting and now - int(waiting[0][1].get("at", now)) > LATE_NS:
        yield PEOPLE, "warn", "what people did there waits to be journaled; see that the collector runs and can write"


def _reach(config: Config, now: int) -> Iterator[Said]:
    console = config.console
    if not console.far:
        open_to = "everybody on this machine looks without signing in" if console.anonymous else "on this machine only"
        yield REACH, "ok", f"{console.address}, {open_to}"
        return
    if console.certificate is None or console.key is None:
        yield REACH, "ok", f"{', '.join(console.names)} through a proxy on this machine, which has to speak TLS"
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(console.certificate, console.key)
        ends, named = certificate_ends(console.certificate), certificate_hosts(console.certificate)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        yield (
            REACH,
            "fail",
            f"[console] certificate {console.certificate}, key {console.key}: {error}; write the two PEM files that belong together",
        )
        return
    missing = [name for name in console.names if not _covers(named, name)]
    left = ends - datetime.fromtimestamp(now / 1e9, UTC)
    if missing:
        yield (
            REACH,
            "fail",
            f"the certificate does not name {', '.join(missing)}: browsers refuse it; have it made for all of [console] names",
        )
    elif left < FEW_DAYS:
        yield (
            REACH,
            "fail" if left < timedelta(0) else "warn",
            f"the certificate ends {ends:%Y-%m-%d}; put a new one in its place and restart the console",
        )
    else:
        yield REACH, "ok", f"{console.address}, TLS until {ends:%Y-%m-%d}"


def _covers(named: list[str], name: str) -> bool:
    return name in named or any(one.startswith("*.") and name.partition(".")[2] == one[2:] for one in named)


def _nobody(config: Config) -> Iterator[Said]:
    first = "make the first account with tillwatch-collector people add NAME --role administrator"
    if config.console.far:
        yield PEOPLE, "fail", f"nobody has one, and the console does not start for other machines without; {first}"
    else:
        yield PEOPLE, "warn", f"nobody has one: everybody on this machine looks, and nobody can act; {first}"


def _everybody(config: Config, everybody: list[Person]) -> Iterator[Said]:
    active = [each for each in everybody if each.active]
    administrators = [each for each in active if each.role is Role.ADMINISTRATOR]
    if not everybody:
        yield from _nobody(config)
        return
    if not administrators:
        yield (
            PEOPLE,
            "warn",
            "no administrator among them; give somebody the role with tillwatch-collector people role NAME --role administrator",
        )
    bare = [
        each.name
        for each in active
        if each.factor is None and not each.subject and not each.board and each.role is not Role.VIEWER
    ]
    if config.console.far and bare:
        yield (
            PEOPLE,
            "warn",
            f"without a second factor, and reached from other machines: {', '.join(bare[:5])}; write totp = [...] into [console]",
        )
    if config.oidc is not None:
        try:
            read_secret(config.oidc.secret_file, config.oidc.secret_env)
        except SecretError as error:
            yield PEOPLE, "fail", f"[oidc] {error}"
    yield PEOPLE, "ok", f"{len(active)} that may sign in, {len(administrators)} of them administrators"
