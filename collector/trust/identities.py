"""What the doctor says of the terminals' identities: keys and certificates that are older than they should be, and machines that share one."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

from cryptography import x509

from tillwatch.collector.alarm.rules import FORK
from tillwatch.collector.config import Config
from tillwatch.collector.store.reading import connected
from tillwatch.collector.store.sqlite import terminals_of
from tillwatch.collector.terminal.fleet import Terminal
from tillwatch.collector.trust.authority import CLIENT_LIFE, RENEW_BEFORE
from tillwatch.collector.trust.succession import revoked_serials

KEY_LIFE = timedelta(days=194)
"""Terminals rotate after 180 days and try daily: two weeks later something keeps them from it."""
SHOWN = 5
"""Terminals named in one line; the rest are counted."""
READ_S = 3.0

Said = tuple[str, str, str]
"""(subject, state, text) of a finding."""


def examine_identities(config: Config, now: int | None = None) -> Iterator[Said]:
    """Of a database that can be read; another check tells of one that cannot."""
    now = time.time_ns() if now is None else now
    try:
        with closing(connected(config.store, READ_S)) as db:
            terminals = {terminal.id: terminal for terminal in terminals_of(db)}
            signing = db.execute("SELECT terminal, since FROM terminal_key WHERE state = 'active'").fetchall()
            shared = db.execute(
                "SELECT DISTINCT terminal FROM alarm WHERE rule = ? AND condition <> 'normal' ORDER BY terminal",
                (FORK,),
            ).fetchall()
    except sqlite3.Error:
        return
    if not terminals:
        return
    old = sorted(name for name, since in signing if now - since > _ns(KEY_LIFE))
    if old:
        text = f"{_named(old)} should have rotated; they need the enrolment port: see tillwatch-agent doctor there"
        yield "signing keys", "warn", text
    else:
        yield "signing keys", "ok", f"of {len(signing)} terminals, none older than {KEY_LIFE.days} days"
    ending = sorted(name for name, terminal in terminals.items() if _ends_soon(terminal, now))
    if ending:
        text = f"of {_named(ending)} end within {RENEW_BEFORE.days} days, then no broker takes them: tillwatch-agent rotate there"
        yield "client certificates", "warn", text
    else:
        yield "client certificates", "ok", f"none ends within {RENEW_BEFORE.days} days"
    if shared:
        names = _named(sorted(name for (name,) in shared))
        yield "second machines", "fail", f"two machines speak as {names}: see tillwatch-collector show"
    revoked = sorted(name for name, terminal in terminals.items() if terminal.state == "revoked")
    if revoked:
        yield "revoked terminals", "ok", _named(revoked)
    yield from _list_for_brokers(config, revoked_serials(terminals.values()))


def _list_for_brokers(config: Config, revoked: dict[str, int]) -> Iterator[Said]:
    path = config.broker.crl_file
    if config.broker.embedded or path is None:
        return
    try:
        listed = {f"{one.serial_number:x}" for one in x509.load_pem_x509_crl(path.read_bytes())}
    except (OSError, ValueError) as error:
        yield (
            "revocation list",
            "fail",
            f"{path}: {error}; start the collector, it writes it, and see who may write there",
        )
        return
    missing = len(revoked.keys() - listed)
    if missing:
        yield (
            "revocation list",
            "fail",
            f"{path} lacks {missing} certificates; see the collector's log, then reload the broker",
        )
    else:
        yield "revocation list", "ok", f"{path}, {len(listed)} certificates"


def _ends_soon(terminal: Terminal, now: int) -> bool:
    good = [certificate.since for certificate in terminal.certificates.values() if not certificate.revoked]
    return terminal.state == "active" and bool(good) and max(good) + _ns(CLIENT_LIFE - RENEW_BEFORE) < now


def _ns(span: timedelta) -> int:
    return round(span.total_seconds()) * 10**9


def _named(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
