"""The commands about who may speak as a terminal: `revoke` takes a terminal's word back, `broker-config` tells a broker whom to let in."""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing

from tillwatch.collector.commands.acting import made
from tillwatch.collector.commands.acts import ActError, act, prepare_data_dir
from tillwatch.collector.commands.output import CommandError
from tillwatch.collector.config import Config
from tillwatch.collector.intake.mosquitto import CRL, write_mosquitto
from tillwatch.collector.intake.rabbitmq import (
    ADVANCED,
    CONFIG,
    CRL_DIR,
    DEFINITIONS,
    PASSWORD,
    PLUGINS,
    crl_name,
    write_rabbitmq,
)
from tillwatch.collector.intake.settings import AmqpSection
from tillwatch.collector.store.reading import connected
from tillwatch.collector.store.requests import RequestError
from tillwatch.collector.store.sqlite import StoreError, terminals_of
from tillwatch.collector.terminal.fleet import Terminal
from tillwatch.collector.trust.authority import Authority, AuthorityError
from tillwatch.collector.trust.pinned import own_authority
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
    revoked = revoked_serials(_terminals(config).values()) if made(config) else {}
    try:
        authority = own_authority(config.authority, config.store)
        if options.broker == "rabbitmq":
            return _rabbitmq(config, options, authority, revoked, hosts)
        path = write_mosquitto(
            folder,
            authority,
            revoked,
            hosts=hosts,
            port=broker.port,
            listen=options.listen,
            user=options.user or "mosquitto",
        )
    except (AuthorityError, StoreError) as error:
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


def _rabbitmq(
    config: Config, options: argparse.Namespace, authority: Authority, revoked: Mapping[str, int], hosts: Sequence[str]
) -> int:
    section = config.amqp or AmqpSection()
    folder = options.out.absolute()
    access = options.access or f"https://{config.address}:{section.access_port}"
    nodes = [name.rpartition(":")[0] if ":" in name else name for name in section.hosts]
    path = write_rabbitmq(
        folder,
        authority,
        revoked,
        hosts=tuple(dict.fromkeys((*nodes, *hosts))),
        vhost=section.vhost,
        broker_user=section.user,
        access=access,
        ports=(section.port, config.broker.port),
        listen=options.listen,
        alone=len(section.hosts) == 1,
        user=options.user or "rabbitmq",
    )
    print(
        f"{path}: for {', '.join(hosts)}, AMQP port {section.port}, MQTT port {config.broker.port}, terminals are asked for at {access}"
    )
    print(f"on each node, before it starts: copy {folder} to the same place and set in /etc/rabbitmq/rabbitmq-env.conf")
    for variable, name in (
        ("CONFIG_FILE", CONFIG),
        ("ADVANCED_CONFIG_FILE", ADVANCED),
        ("ENABLED_PLUGINS_FILE", PLUGINS),
    ):
        print(f"  {variable}={folder / name}")
    if len(section.hosts) > 1:
        print(
            f"when all nodes of the cluster run, on one of them: rabbitmqctl import_definitions {folder / DEFINITIONS}"
        )
    if section.password_file is None or section.password_file != folder / PASSWORD:
        print(
            f"the collectors' password is in {folder / PASSWORD}: bring it to where password_file of [amqp] names it, readable for them alone"
        )
    crl = folder / CRL_DIR / crl_name(authority)
    if config.broker.crl_file != crl:
        print(
            f'revoked certificates reach a node with crl_file = "{crl}" in [broker], where a collector runs beside it; else copy that file there'
        )
    return 0


def _terminals(config: Config) -> dict[str, Terminal]:
    try:
        with closing(connected(config.store, READ_S)) as db:
            return {terminal.id: terminal for terminal in terminals_of(db)}
    except sqlite3.Error as error:
        raise CommandError(
            f"{config.store}: {error}; has the collector been started once with this data directory?"
        ) from None
