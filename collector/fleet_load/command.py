"""`tillwatch-collector simulate-fleet`: a load of simulated terminals on a collector that runs, and the proof that it keeps what was sent. Exit 1 where
anything is not acknowledged in the end, or is not kept as it was sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tillwatch.collector.commands.output import CommandError
from tillwatch.collector.commands.progress import Progress
from tillwatch.collector.config import Config

if TYPE_CHECKING:
    from tillwatch.collector.fleet_load.figures import Figures
    from tillwatch.collector.fleet_load.ledger import Compared, Sent
    from tillwatch.collector.fleet_load.running import Load, Ran
    from tillwatch.collector.fleet_load.terminals import Fleet

MAX_PROCESSES = 64
AHEAD_S = 30.0
"""Sealed before a run begins, unless it is said otherwise."""
PER_CONNECTION = 100
"""Terminals, where they share connections and nobody has said how many there are to be."""


def run_fleet(config: Config, options: argparse.Namespace) -> int:
    if options.data_dir is not None:
        config = replace(config, collector=replace(config.collector, data_dir=options.data_dir.absolute()))
    if options.verify is not None:
        return _verify(config, options)
    from tillwatch.collector.fleet_load.running import RunError, run  # noqa: PLC0415 - help should not wait for it
    from tillwatch.collector.fleet_load.terminals import Fleet  # noqa: PLC0415

    fleet = Fleet(options.terminals, options.seed)
    _check(options)
    if options.enrol:
        return _enrol(config, fleet, options)
    with ExitStack() as stack:
        load = _load(config, fleet, options, stack)
        bar = Progress()

        def progress(figures: Figures, seconds: float) -> None:
            said = (
                f"{figures.greeted:,} of {fleet.count:,} terminals greeted, {figures.sent:,} batches sent, "
                f"{figures.acknowledged:,} acknowledged, {figures.resent:,} sent again"
            )
            bar.at(said, min(seconds / load.for_s, 1.0) if load.for_s else 0.0)

        try:
            ran = asyncio.run(run(load, progress))
        except RunError as error:
            raise CommandError(str(error)) from None
        finally:
            bar.end()
    if options.ledger is not None:
        from tillwatch.collector.fleet_load import ledger  # noqa: PLC0415 - of a run that writes one

        ledger.write(options.ledger, ran.sent)
    compared = _compare(config, ran.sent) if options.check else None
    _show(ran, compared, options)
    good = ran.figures.sent and not ran.figures.unsettled and not ran.figures.failed
    return 0 if good and (compared is None or compared.fits) else 1


def _check(options: argparse.Namespace) -> None:
    from tillwatch.agent.wire import MAX_READINGS  # noqa: PLC0415 - help should not wait for it
    from tillwatch.collector.fleet_load.terminals import MAX_TERMINALS  # noqa: PLC0415

    asked = (
        ("--terminals", options.terminals, 1, MAX_TERMINALS),
        ("--readings", options.readings, 1, MAX_READINGS // 2),
        ("--processes", options.processes, 1, min(MAX_PROCESSES, options.terminals)),
        ("--interval", options.interval, 0.01, 3_600),
        ("--for", options.seconds, 0, 366 * 86_400),
        ("--ahead", options.ahead, 0, 86_400),
        ("--faults", options.faults, 0, 1),
        ("--connections", options.connections, 0, options.terminals),
    )
    for name, value, least, most in asked:
        if not least <= value <= most:
            raise CommandError(f"{name} is {least:,} to {most:,}, not {value:,}", 2)


def _enrol(config: Config, fleet: Fleet, options: argparse.Namespace) -> int:
    from tillwatch.collector.fleet_load.enrolling import enrol  # noqa: PLC0415 - of --enrol alone

    bar = Progress()
    try:
        count = enrol(config, fleet, lambda done: bar.at(f"{done:,} enrolled", done / fleet.count))
    finally:
        bar.end()
    if options.json:
        print(json.dumps({"enrolled": count, "terminals": fleet.count}))
    else:
        print(f"{count:,} of {fleet.count:,} terminals enrolled in {config.store}; the others were there")
    return 0


def _load(config: Config, fleet: Fleet, options: argparse.Namespace, stack: ExitStack) -> Load:
    from tillwatch.collector.fleet_load.certificates import write_certificates  # noqa: PLC0415 - of a run alone
    from tillwatch.collector.fleet_load.connection import MAX_SHARED  # noqa: PLC0415
    from tillwatch.collector.fleet_load.running import Load  # noqa: PLC0415
    from tillwatch.collector.trust.authority import open_authority  # noqa: PLC0415

    host, port = _broker(config, options.broker)
    tls = config.broker.tls if options.tls is None else options.tls == "yes"
    connections = options.connections or (fleet.count if tls else -(-fleet.count // PER_CONNECTION))
    if tls and connections < fleet.count:
        raise CommandError(
            "with TLS each terminal has a connection of its own, under its own certificate: leave --connections out", 2
        )
    if fleet.count > connections * MAX_SHARED:
        raise CommandError(f"one connection carries at most {MAX_SHARED:,} terminals: give more --connections", 2)
    if not config.authority.exists():
        raise CommandError(
            f"{config.authority} is not there: name the collector's data directory with --data-dir, or its configuration with --config"
        )
    own = open_authority(config.authority)
    folder = None
    if tls:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tillwatch-load-tls-")))
        write_certificates(folder, own, map(fleet.name, range(fleet.count)))
    if connections < fleet.count and not options.json:
        print(
            f"{fleet.count:,} terminals share {connections:,} connections: no wills, and only a broker that lets a client speak for others takes it",
            file=sys.stderr,
        )
    return Load(
        fleet, options.interval, options.readings, options.seconds, min(options.ahead, options.seconds or options.ahead), options.faults,
        options.processes, connections, host, port, folder, own.ack_key.public,
    )  # fmt: skip


def _broker(config: Config, named: str) -> tuple[str, int]:
    if not named:
        host = "127.0.0.1" if config.broker.host in ("", "0.0.0.0", "::") else config.broker.host  # noqa: S104 - compared with, not listened on
        return host, config.broker.port
    host, colon, port = named.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise CommandError(f"--broker is HOST:PORT, not {named}", 2)
    return host.strip("[]"), int(port)


def _verify(config: Config, options: argparse.Namespace) -> int:
    from tillwatch.collector.fleet_load.ledger import LedgerError, read  # noqa: PLC0415 - of --verify alone

    try:
        compared = _compare(config, read(options.verify))
    except LedgerError as error:
        raise CommandError(str(error)) from None
    if options.json:
        print(json.dumps(_of_compared(compared), indent=2))
    else:
        _tell(compared)
    return 0 if compared.fits else 1


def _compare(config: Config, sent: list[Sent]) -> Compared:
    from tillwatch.collector.fleet_load.ledger import compare  # noqa: PLC0415 - of a comparison alone
    from tillwatch.collector.store.log import Log  # noqa: PLC0415
    from tillwatch.collector.store.opening import open_db  # noqa: PLC0415
    from tillwatch.collector.store.sqlite import StoreError  # noqa: PLC0415

    bar = Progress()
    try:
        with closing(open_db(config.store)) as db:
            db.execute("BEGIN")
            log = Log(db)
            last = max(log.head()[0], 1)
            return compare(log, sent, lambda n: bar.at("of the log compared", n / last))
    except StoreError as error:
        raise CommandError(str(error)) from None
    finally:
        bar.end()


def _of_compared(compared: Compared) -> dict[str, Any]:
    kept = {"kept": compared.batches, "acknowledged": compared.acknowledged, "sent": compared.sent}
    return kept | {"as_sent": compared.fits, "faults": list(compared.faults), "more": compared.more}


def _tell(compared: Compared) -> None:
    print(
        f"the log keeps {compared.batches:,} batches of this run; {compared.acknowledged:,} were acknowledged, {compared.sent:,} sent"
    )
    for fault in compared.faults:
        print(f"  {fault}")
    if compared.more:
        print(f"  and {compared.more:,} more")
    print("every batch is kept once, in order, byte for byte" if compared.fits else "what is kept is not what was sent")


def _show(ran: Ran, compared: Compared | None, options: argparse.Namespace) -> None:
    figures = ran.figures
    spread = {f"p{round(share * 100)}": figures.latencies.quantile(share) * 1000 for share in (0.5, 0.95, 0.99)}
    spread["max"] = figures.latencies.most * 1000
    rate = figures.acknowledged / ran.seconds
    sending_us = (figures.cpu_s - figures.sealing_cpu_s) / max(figures.sent, 1) * 1e6
    if options.json:
        found = {
            "terminals": options.terminals, "seconds": round(ran.seconds, 3), "sent": figures.sent, "acknowledged": figures.acknowledged,
            "unacknowledged": figures.unsettled, "resent": figures.resent, "readings": figures.readings, "bytes": figures.sent_bytes,
            "batches_per_s": round(rate, 1), "ack_ms": {name: round(value, 2) for name, value in spread.items()},
            "cpu_s": round(figures.cpu_s, 3), "sealing_ahead_cpu_s": round(figures.sealing_cpu_s, 3), "rss_mib": round(figures.rss_kib / 1024, 1),
            "behind_s": round(figures.late_s, 3), "connections_lost": figures.lost, "life_messages_asked": figures.asked, "slow": figures.slow,
            "paced": figures.paced, "acks_proven": figures.verified, "failed": dict(figures.failed),
        }  # fmt: skip
        print(json.dumps(found | ({"kept": _of_compared(compared)} if compared else {}), indent=2))
        return
    print(
        f"{figures.sent:,} batches sent, {figures.acknowledged:,} acknowledged, {figures.unsettled:,} not, {figures.resent:,} sent again"
    )
    print(f"{rate:,.0f} batches/s over {ran.seconds:.1f} s; {figures.readings / max(figures.sent, 1):.0f} readings and {figures.sent_bytes / max(figures.sent + figures.resent, 1):.0f} bytes a batch")  # fmt: skip
    print("from sending to ack, ms: " + ", ".join(f"{name} {value:.1f}" for name, value in spread.items()))
    print(f"{figures.lost:,} connections lost, {figures.asked:,} life messages asked for, {figures.slow:,} acks said slow, {figures.paced:,} another pace; {figures.verified:,} acks proven")  # fmt: skip
    print(f"the load itself: {figures.cpu_s:.1f} s of processor time, {figures.sealing_cpu_s:.1f} of them before the run, {sending_us:.0f} us a batch in it; {figures.rss_kib / 1024:.0f} MiB; {figures.late_s:.1f} s behind its plan at most")  # fmt: skip
    for why, count in figures.failed.most_common():
        print(f"{count:,} times: {why}")
    if not figures.sent:
        print(
            "nothing was sent: no life message was answered; does the collector run, are these terminals enrolled (--enrol), "
            "and does the broker let a client speak for others, where they share connections?"
        )
    if compared is not None:
        _tell(compared)
