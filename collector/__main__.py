"""The command line of the collector. It opens the same configuration and database as the service, and works beside it and without it."""

from __future__ import annotations

import argparse
import difflib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from tillwatch.collector.authority import AuthorityError, open_authority
from tillwatch.collector.config import Config, ConfigError, duration, load_config
from tillwatch.collector.figures.options import add_options
from tillwatch.collector.output import NS, age, coloured, iso, print_json, print_table, value_text
from tillwatch.collector.read import ComponentView, Culprit, FleetReader, History, IdentityView, TerminalView
from tillwatch.collector.registry import CLASSES, TOKEN_LIFE_NS, Enrolment, create_token
from tillwatch.collector.simulate.command import add_options as simulate_options

DONE, FAILED, USAGE = 0, 1, 2
MAX_SPAN_S = 10 * 366 * 86400.0

_HELP = """\
The collector takes the signed readings of every terminal, keeps them, shows the fleet and opens tickets.

A first evening:
  tillwatch-collector doctor                                  is everything in place?
  tillwatch-collector run                                     start it (systemd does this on a server)
  tillwatch-collector enrol-token till-0042 --branch Harbour --region North --class atm
                                                              prints a token; on the terminal: tillwatch-agent enrol TOKEN
  tillwatch-collector terminals                               who is ill, worst first
  tillwatch-collector show till-0042                          what it is made of, and its latest readings
"""
_ENDS = """\
Exit codes: 0 done, 1 it could not be done or something is ill, 2 the command or the configuration is wrong.
NO_COLOR switches colours off. --json prints one JSON value on standard output.
"""


class _CommandError(Exception):
    """Something that the text explains, with its mend. status: the exit code."""

    def __init__(self, text: str, status: int = FAILED) -> None:
        super().__init__(text)
        self.status = status


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        config = load_config(options.config)
        command: Callable[[Config, argparse.Namespace], int] = options.command
        return command(config, options)
    except ConfigError as error:
        print(f"tillwatch-collector: {error}", file=sys.stderr)
        return USAGE
    except (_CommandError, AuthorityError) as error:
        print(f"tillwatch-collector: {error}", file=sys.stderr)
        return error.status if isinstance(error, _CommandError) else FAILED
    except BrokenPipeError:
        # The reader of a pipe has seen enough (`| head`); Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tillwatch-collector",
        description=_HELP,
        epilog=_ENDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(
        name: str, command: Callable[[Config, argparse.Namespace], int], text: str, example: str
    ) -> argparse.ArgumentParser:
        one = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        one.add_argument(
            "--config", type=Path, metavar="FILE", help="configuration instead of /etc/tillwatch/collector.toml"
        )
        one.set_defaults(command=command)
        return one

    run = add(
        "run", _run, "run the collector until it is told to stop", "tillwatch-collector run --config ./collector.toml"
    )
    run.add_argument(
        "--log-level", choices=("debug", "info", "warning"), default="info", help="how much to log (default: info)"
    )

    run.add_argument(
        "--no-console", action="store_true", help="without the console, where that is a service of its own"
    )

    add("console", _console, "run the console alone, over the store of a collector", "tillwatch-collector console")

    terminals = add("terminals", _terminals, "list all terminals, worst first", "tillwatch-collector terminals --json")

    token = add(
        "enrol-token",
        _enrol_token,
        "make a one-time token for one terminal, good for 24 hours",
        "tillwatch-collector enrol-token till-0042 --branch Harbour --region North --class atm --host 10.1.2.3",
    )
    token.add_argument("terminal", help="its id: letters, digits, - and _, at most 64")
    token.add_argument("--branch", required=True, help="where it stands")
    token.add_argument("--region", required=True, help="what the branch belongs to")
    token.add_argument("--class", dest="terminal_class", required=True, choices=CLASSES, help="what it is")
    token.add_argument(
        "--host", metavar="ADDRESS", help="where the terminal reaches this collector (default: address in [enrolment])"
    )

    show = add(
        "show",
        _show,
        "show one terminal: its components with their latest readings, or the history of one signal",
        "tillwatch-collector show till-0042 --component ups --signal battery.charge --since 6h",
    )
    show.add_argument("terminal")
    show.add_argument("--component", metavar="C", help="only this component")
    show.add_argument("--signal", metavar="S", help="only this signal; with --component, its history")
    show.add_argument(
        "--since", metavar="SPAN", help="how far back the history goes, for example 30m, 6h or 7d (default: 1h)"
    )

    backup = add(
        "backup",
        _later("recovery", "run_backup"),
        "write the store and the collector's keys into one new file, mode 0600, beside a running collector",
        "tillwatch-collector backup /var/backups/tillwatch-2026-11-21.db",
    )
    backup.add_argument("file", type=Path)
    backup.add_argument(
        "--without-keys", action="store_true", help="the store alone; with it alone every terminal must enrol again"
    )
    restore = add(
        "restore",
        _later("recovery", "run_restore"),
        "put a backup in the place of store and keys of a collector that is not running; what was there is set aside",
        "tillwatch-collector restore /var/backups/tillwatch-2026-11-21.db",
    )
    restore.add_argument("file", type=Path)
    restore.add_argument("--damaged", action="store_true", help="also where its journal is not whole")
    for one in (backup, restore):
        one.add_argument(
            "--passphrase-file", type=Path, metavar="FILE", help="its first line seals the keys in the backup"
        )

    alarms = add(
        "alarms",
        _later("alarm_commands", "run_alarms"),
        "list the open alarms with their numbers, gravest first",
        "tillwatch-collector alarms",
    )
    alarms.add_argument("--all", action="store_true", help="those that are over, too")

    acknowledge = add(
        "acknowledge",
        _later("alarm_commands", "run_acknowledge"),
        "say that you have taken an alarm on: until its fault ends or grows worse, and for 1 hour at most (level 3: 8 hours)",
        'tillwatch-collector acknowledge 41 --note "on my way, 20 minutes"',
    )
    acknowledge.add_argument("alarm", type=int, metavar="ALARM", help="its number; see tillwatch-collector alarms")
    acknowledge.add_argument("--note", default="", metavar="TEXT", help="for the record")

    revoke = add(
        "revoke",
        _later("identity", "run_revoke"),
        "take a terminal's keys and certificates back; nothing it sends is taken from then on",
        'tillwatch-collector revoke till-0042 --reason "stolen from the branch, report 4711"',
    )
    revoke.add_argument("terminal")
    revoke.add_argument(
        "--reason", required=True, metavar="TEXT", help="why: for the record, and for whoever looks at it"
    )

    broker = add(
        "broker-config",
        _later("identity", "run_broker_config"),
        "write the configuration of a broker of its own: TLS, access rights, limits, revoked certificates",
        "tillwatch-collector broker-config mosquitto --out /etc/mosquitto/tillwatch",
    )
    broker.add_argument("broker", choices=("mosquitto",))
    broker.add_argument(
        "--out",
        type=Path,
        default=Path("tillwatch-mosquitto"),
        metavar="DIR",
        help="where to (default: ./tillwatch-mosquitto)",
    )
    broker.add_argument("--listen", default="", metavar="ADDRESS", help="the address it listens on (default: all)")
    broker.add_argument("--user", default="mosquitto", help="whom the broker runs as (default: mosquitto)")

    doctor = add("doctor", _doctor, "look for what is wrong and say what to do", "tillwatch-collector doctor")
    prove = add(
        "prove",
        _later("evidence", "run_prove"),
        "write a file that proves what a terminal reported at a time",
        "tillwatch-collector prove till-0042 ups battery.charge 2026-11-21T14:05:00+01:00 -o charge.proof",
    )
    for name in ("terminal", "component", "signal"):
        prove.add_argument(name)
    prove.add_argument("time", help="ISO 8601; the latest reading up to it is proven")
    prove.add_argument("-o", "--output", metavar="FILE", help="default: TERMINAL.proof")
    verify = add(
        "verify",
        _later("evidence", "run_verify"),
        "check a file made by `prove`, without database or network, or the whole log",
        "tillwatch-collector verify charge.proof --trust 9f86d081...",
    )
    verify.add_argument("bundle", nargs="?", metavar="BUNDLE")
    verify.add_argument(
        "--trust", metavar="FINGERPRINT", help="SHA-256 of the CA certificate that is trusted, hexadecimal"
    )
    verify.add_argument("--log", action="store_true", help="walk the whole log of this collector instead")
    audit = add(
        "audit",
        _later("evidence", "run_audit"),
        "list who did what, and check each entry against the log",
        "tillwatch-collector audit --json",
    )
    report = add(
        "report",
        _later("figures.command", "run_report"),
        "write availability and service of a month, or any period, as a page and CSV files",
        "tillwatch-collector report --month 2026-10 --scope region:North --out october",
    )
    add_options(report)
    simulate = _later("simulate.command", "run_simulate")
    text = "replay a year of a bank that does not exist, and judge what the collector made of it"
    year = add("simulate", simulate, text, "tillwatch-collector simulate --terminals 500 --days 365 --seed 1")
    simulate_options(year)
    for one in (terminals, token, show, alarms, acknowledge, revoke, doctor, backup, prove, verify, audit, report, year):
        one.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _run(config: Config, options: argparse.Namespace) -> int:
    from tillwatch.collector import service  # noqa: PLC0415 - the other commands need none of it
    from tillwatch.collector.intake.broker import BrokerStartError  # noqa: PLC0415
    from tillwatch.collector.store.lock import InUseError  # noqa: PLC0415
    from tillwatch.collector.store.sqlite import StoreError  # noqa: PLC0415

    # journald puts its own time before every line.
    clock = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(level=options.log_level.upper(), format=f"{clock}%(levelname)s %(name)s: %(message)s")
    try:
        return service.main(config, console=not options.no_console)
    except (BrokerStartError, InUseError, StoreError, OSError) as error:
        raise _CommandError(str(error)) from None


def _console(config: Config, _: argparse.Namespace) -> int:
    from tillwatch.collector.web import __main__ as web  # noqa: PLC0415 - the other commands need none of it

    where = ("--db", str(config.database), "--host", config.console.host, "--port", str(config.console.port))
    return web.main(where)


def _later(module: str, name: str) -> Callable[[Config, argparse.Namespace], int]:
    """A command of a module of its own, imported when it is called. Where it cannot be done it raises the module's CommandError."""

    def command(config: Config, options: argparse.Namespace) -> int:
        found = import_module(f"tillwatch.collector.{module}")
        try:
            return int(getattr(found, name)(config, options))
        except found.CommandError as error:
            raise _CommandError(str(error)) from None

    return command


def _enrol_token(config: Config, options: argparse.Namespace) -> int:
    from tillwatch.collector import acts  # noqa: PLC0415 - help should not wait for it
    from tillwatch.collector.store import requests  # noqa: PLC0415
    from tillwatch.collector.store.sqlite import StoreError, open_db  # noqa: PLC0415

    host = options.host or config.address
    if host not in config.certificate_hosts:
        where = config.source or "the configuration"
        raise _CommandError(
            f'the collector\'s certificate does not name {host}: write hosts = ["{host}"] in [enrolment] of {where}, and '
            "restart the collector",
            USAGE,
        )
    enrolment = Enrolment(options.terminal, options.branch, options.region, options.terminal_class)
    now = time.time_ns()
    try:
        _prepare_data_dir(config.collector.data_dir)
        authority = open_authority(config.authority)
        with closing(open_db(config.database)) as connection:
            # One transaction: no token without its word in the log, which the collector journals before it lets a terminal use it.
            connection.execute("BEGIN IMMEDIATE")
            token = create_token(
                connection, enrolment, host=host, port=config.enrolment.port, ca=authority.fingerprint, now=now
            )
            place = {"terminal": options.terminal, "branch": options.branch, "region": options.region}
            requests.ask(
                connection, {"action": "token", "actor": acts.actor(), **place, "class": options.terminal_class}
            )
            connection.execute("COMMIT")
            query = "SELECT count(*) FROM terminal WHERE id = ?"
            known = connection.execute(query, (options.terminal,)).fetchone()[0]
    except ValueError as error:
        raise _CommandError(str(error), USAGE) from None
    except (StoreError, requests.RequestError) as error:
        raise _CommandError(str(error)) from None
    if options.json:
        fields = asdict(enrolment) | {
            "token": token,
            "host": host,
            "port": config.enrolment.port,
            "expires": now + TOKEN_LIFE_NS,
        }
        print_json(fields)
        return DONE
    print(token)
    note = f"{options.terminal} is enrolled already; this token gives it new keys.\n" if known else ""
    print(f"{note}Good once, for 24 hours. On the terminal: tillwatch-agent enrol TOKEN", file=sys.stderr)
    return DONE


def _terminals(config: Config, options: argparse.Namespace) -> int:
    with closing(_reader(config)) as reader:
        views = reader.terminals()
    if options.json:
        print_json([asdict(view) for view in views])
        return DONE
    if not views:
        print("No terminal is enrolled yet: tillwatch-collector enrol-token --help", file=sys.stderr)
    print_table(
        ("TERMINAL", "CONDITION", "CONNECTION", "LEVEL", "ALARMS", "BRANCH", "REGION", "CLASS", "HEARD", "REFUSED"),
        [_terminal_row(view) for view in views],
    )
    return DONE


def _terminal_row(view: TerminalView) -> tuple[str, ...]:
    level = str(view.level or "-")
    place = (view.branch, view.region, view.terminal_class)
    heard, refused = age(view.last_received), str(view.refused or "-")
    return (view.id, view.condition, view.connection, level, str(view.open_alarms), *place, heard, refused)


def _show(config: Config, options: argparse.Namespace) -> int:
    if options.since and not (options.component and options.signal):
        raise _CommandError("--since is for the history of one signal: name it with --component and --signal", USAGE)
    try:
        span = duration(options.since) if options.since else 3600.0
    except ValueError as error:
        raise _CommandError(f"--since {options.since}: {error}", USAGE) from None
    with closing(_reader(config)) as reader:
        try:
            view = reader.terminal(options.terminal)
        except KeyError:
            raise _unknown("terminal", options.terminal, [one.id for one in reader.terminals()]) from None
        components = reader.components(options.terminal)
        offences = [one for one in reader.health().culprits if one.terminal == view.id]
        if options.component:
            names = [one.name for one in components]
            components = [one for one in components if one.name == options.component]
            if not components:
                raise _unknown(f"component of {view.id}", options.component, names)
        if options.signal:
            names = sorted({signal.signal for one in components for signal in one.signals})
            if options.signal not in names:
                raise _unknown("signal", options.signal, names)
        if options.component and options.signal:
            end = time.time_ns()
            start = end - int(min(span, MAX_SPAN_S) * NS)
            history = reader.history(options.terminal, options.component, options.signal, start, end)
            print_json(asdict(history)) if options.json else _print_history(history)
            return DONE
        identity = reader.identity(options.terminal)
    if options.json:
        print_json(
            asdict(view)
            | {"identity": asdict(identity), "parts": [_component(one, options.signal) for one in components]}
        )
        return DONE
    reason = f" ({view.reason})" if view.reason else ""
    print(
        f"{view.id}: {coloured(view.condition)}{reason}, {coloured(view.connection)}, heard {age(view.last_received)}"
    )
    print(
        f"{view.branch}, {view.region}, {view.terminal_class}; {view.open_alarms} open alarms; {view.lost} readings lost, "
        f"{view.holes} batches gone"
    )
    for one in offences:
        print(f"{one.refused} messages not taken since the collector's start: {_reasons(one)}; last {age(one.last_at)}")
    if view.over_limit:
        print(f"{view.over_limit} readings kept and not shown: it has more components or signals than are followed")
    _print_identity(identity)
    rows = []
    for one in components:
        rows.append((one.name, one.condition, "", "", age(one.last_at), one.reason))
        rows += [
            (
                "",
                signal.state.replace("none", ""),  # the device profile does not judge it
                f"  {signal.signal}",
                value_text(signal.value, signal.unit),
                age(signal.at),
                signal.quality.replace("good", ""),
            )
            for signal in one.signals
            if options.signal in {None, signal.signal}
        ]
    print_table(("COMPONENT", "CONDITION", "SIGNAL", "VALUE", "READ", "NOTE"), rows)
    return DONE


def _reasons(culprit: Culprit) -> str:
    return ", ".join(f"{n} {reason}" for reason, n in culprit.reasons)


def _print_identity(identity: IdentityView) -> None:
    for key in identity.keys:
        proves = f", proves up to batch {key.last_seq}" if key.state == "retiring" else ""
        print(f"key {key.id}: {coloured(key.state)} since {iso(key.since)}{proves}")
    if identity.two_machines:
        print(f"{coloured('warn')} two machines under this identity: {identity.two_machines}")
        for speaker in identity.speakers:
            print(f"     {speaker}")
    print()


def _component(view: ComponentView, signal: str | None) -> dict[str, Any]:
    fields = asdict(view)
    fields["signals"] = [one for one in fields["signals"] if signal in {None, one["signal"]}]
    return fields


def _print_history(history: History) -> None:
    if not history.points:
        print("No readings in this span; a longer one: --since 7d", file=sys.stderr)
    by_hour = history.resolution == "hour"
    headings = ("TIME", "MEAN", "LEAST", "MOST", "READINGS") if by_hour else ("TIME", "VALUE")
    rows = []
    for point in history.points:
        row = [iso(point.at), value_text(point.value, history.unit)]
        if by_hour:
            row += [value_text(point.least, history.unit), value_text(point.most, history.unit), str(point.n)]
        rows.append(tuple(row))
    print_table(headings, rows)


def _doctor(config: Config, options: argparse.Namespace) -> int:
    from tillwatch.collector.doctor import examine  # noqa: PLC0415 - the other commands need none of it

    findings = list(examine(config))
    if options.json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            print(f"{coloured(finding.state.ljust(4))}  {finding.subject}: {finding.text}")
    return FAILED if any(finding.state == "fail" for finding in findings) else DONE


def _reader(config: Config) -> Any:
    from tillwatch.collector.store.reader import SqliteReader  # noqa: PLC0415 - help should not wait for it
    from tillwatch.collector.store.sqlite import StoreError  # noqa: PLC0415

    try:
        reader: FleetReader = SqliteReader(config.database)
    except (StoreError, OSError) as error:
        raise _CommandError(str(error)) from None
    return reader


def _prepare_data_dir(folder: Path) -> None:
    from tillwatch.collector.acts import ActError, prepare_data_dir  # noqa: PLC0415 - help should not wait for it

    try:
        prepare_data_dir(folder)
    except ActError as error:
        raise _CommandError(str(error)) from None


def _unknown(what: str, name: str, known: Iterable[str]) -> _CommandError:
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.4)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return _CommandError(f"no {what} is called {name}{hint}")


if __name__ == "__main__":
    sys.exit(main())
