"""The commands about who may speak as a terminal: `revoke` takes a terminal's word back, `broker-config` tells a broker whom to let in."""

from __future__ import annotations

import argparse
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tillwatch.collector.commands.acts import ActError, act, prepare_data_dir
from tillwatch.collector.commands.output import CommandError
from tillwatch.collector.config import Config
from tillwatch.collector.intake.mosquitto import CRL, write_mosquitto
from tillwatch.collector.store.requests import RequestError
from tillwatch.collector.store.sqlite import StoreError, terminals_of
from tillwatch.collector.terminal.fleet import Terminal
from tillwatch.collector.trust.authority import AuthorityError, open_authority
from tillwatch.collector.trust.succession import revoked_serials

MAX_REASON = 200
"""Characters of the reason of a revocation: one line on a page."""
READ_S = 10.0


def run_revoke(config: Config, options: argparse.Namespace) -> int:
    reason = options.reason.strip()
    if not 0 < len(reason) <= MAX_REASON or not reason.isprintable():
        raise CommandError(f"--reason needs 1 to {MAX_REASON} printable characters")
    known = _terminals(config)
    if options.terminal not in known:
        raise CommandError(f"no terminal is called {options.terminal}; see tillwatch-collector terminals")
    try:
        prepare_data_dir(config.collector.data_dir)
        act(config, {"action": "revoke", "terminal": options.terminal, "reason": reason})
    except (ActError, RequestError, StoreError) as error:
        raise CommandError(str(error)) from None
    if options.json:
        print(json.dumps({"terminal": options.terminal, "state": "revoked", "reason": reason}, ensure_ascii=False))
        return 0
    print(f"{options.terminal} is revoked: nothing that it sends is taken any more.")
    if not config.broker.embedded:
        where = config.broker.crl_file or config.authority / "revoked.pem"
        print(f"So that the broker refuses it, too, it must read {where} anew (mosquitto: systemctl reload mosquitto).")
    print("To take it back: tillwatch-collector enrol-token")
    return 0


def run_broker_config(config: Config, options: argparse.Namespace) -> int:
    broker, folder = config.broker, options.out.absolute()
    if not config.authority.exists():
        # Made here, by root, it would be out of the collector's reach.
        raise CommandError(f"{config.authority} is not there yet: start the collector once, it makes its authority")
    names = (broker.address, config.address, "" if broker.embedded else broker.host, "localhost", "127.0.0.1")
    hosts = tuple(dict.fromkeys(name for name in names if name))
    revoked = revoked_serials(_terminals(config).values()) if config.database.exists() else {}
    try:
        authority = open_authority(config.authority)
        path = write_mosquitto(
            folder, authority, revoked, hosts=hosts, port=broker.port, listen=options.listen, user=options.user
        )
    except AuthorityError as error:
        raise CommandError(str(error)) from None
    except (OSError, LookupError) as error:
        raise CommandError(
            f"{folder}: {error}; name another folder with --out, or a user that exists with --user"
        ) from None
    print(f"{path}: for {', '.join(hosts)}, port {broker.port}")
    print(f"start it: mosquitto -c {path}   (as a service: in place of /etc/mosquitto/mosquitto.conf)")
    if broker.crl_file is None:
        print(
            f'revoked certificates reach it with crl_file = "{folder / CRL}" in [broker], and systemctl reload mosquitto'
        )
    if broker.embedded:
        print('the collector uses it with embedded = false and host = "..." in [broker]')
    return 0


def _terminals(config: Config) -> dict[str, Terminal]:
    path: Path = config.database
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=READ_S)) as db:
            return {terminal.id: terminal for terminal in terminals_of(db)}
    except sqlite3.Error as error:
        raise CommandError(f"{path}: {error}; has the collector been started once with this data directory?") from None
