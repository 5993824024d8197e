"""The command line of the collector: its commands in groups, each with its options, an example and the function that does it. Apart from what
the commands do, because only the one that was asked for is imported.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from tillwatch.collector.alarm.rules import PARTIES
from tillwatch.collector.commands.enrol_entries import ENROL
from tillwatch.collector.commands.entries import Command
from tillwatch.collector.commands.entries import option as _o
from tillwatch.collector.commands.foresee import FORESEE
from tillwatch.collector.commands.incident_entries import ABOUT, ACT, INCIDENT, NOTE, TICKETS
from tillwatch.collector.commands.load_entries import LOAD
from tillwatch.collector.commands.output import CommandError
from tillwatch.collector.commands.people_entries import PEOPLE
from tillwatch.collector.commands.rollout_entries import BUNDLE, ROLLOUT
from tillwatch.collector.config import Config
from tillwatch.collector.records import COUNTS_AS, LIFE_CYCLE
from tillwatch.collector.terminal.fleet import IN_SERVICE

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
tillwatch-collector COMMAND --help says what a command takes, with an example.
Exit codes: 0 done, 1 it could not be done or something is ill, 2 the command or the configuration is wrong.
NO_COLOR switches colours off. --json prints one JSON value on standard output.
"""


_TERMINAL = _o("terminal", metavar="TERMINAL", help="its id; see tillwatch-collector terminals")
_PASSPHRASE = _o(
    "--passphrase-file", type=Path, metavar="FILE", help="its first line seals keys and accounts in the backup"
)  # fmt: skip

GROUPS: tuple[tuple[str, tuple[Command, ...]], ...] = (
    ("Run it", (
        Command(
            "run", "commands.service_commands:run_collector", "run the collector until it is told to stop",
            "tillwatch-collector run --config ./collector.toml",
            (
                _o("--log-level", choices=("debug", "info", "warning"), default="info", help="how much to log (default: info)"),
                _o("--no-console", action="store_true", help="without the console, where that is a service of its own"),
            ),
        ),
        Command(
            "console", "commands.service_commands:run_console", "run the console alone, over the store of a collector",
            "tillwatch-collector console",
        ),
        Command(
            "predict", "commands.service_commands:run_predict",
            "run the predictions alone, behind the log of a collector; `run` does so by itself",
            "tillwatch-collector predict",
            (_o("--until-stdin-ends", action="store_true", help="end when standard input does, with the process that holds it"),),
            more="It reads the store beside the collector and leaves what it finds for it to journal. [predictions] in the configuration has its settings.",
        ),
        Command(
            "export", "commands.export_command:run_export",
            "write readings on to the configured time-series stores, behind the log of a collector; `run` does so by itself",
            "tillwatch-collector export --sink analysts --from 2026-11-01",
            (
                _o("--from", dest="since", default="", metavar="N|TIME",
                   help="write everything again from this entry of the log, or this time of receipt, up to now, and end; beside a collector that runs"),
                _o("--sink", default="", metavar="NAME", help="of --from: the NAME of [sinks.NAME], where there are several"),
                _o("--until-stdin-ends", action="store_true", help="end when standard input does, with the process that holds it"),
            ),
            more="What is written twice is one to the sink, so that nothing can be written too often. [sinks.NAME] in the configuration has the settings.",
        ),
        Command(
            "doctor", "commands.service_commands:run_doctor", "look for what is wrong and say what to do", "tillwatch-collector doctor", json=True,
        ),
        Command(
            "watchdog", "watch.commands:run_watchdog",
            "enrol, run or ask the watchdog, which sends a fault down the whole path and complains when it does not arrive",
            "tillwatch-collector watchdog status --json",
            (
                _o("action", choices=("enrol", "run", "status"), help="status: exit code 1 while something is missing"),
                _o("token", nargs="?", default="", help="of enrol"),
            ),
            json=True,
        ),
    )),
    ("See", (
        Command(
            "terminals", "commands.terminal_commands:run_terminals", "list all terminals, worst first", "tillwatch-collector terminals --json", json=True,
        ),
        Command(
            "show", "commands.terminal_commands:run_show",
            "show one terminal: its components with their latest readings, or the history of one signal",
            "tillwatch-collector show till-0042 --component ups --signal battery.charge --since 6h",
            (
                _TERMINAL,
                _o("--component", metavar="C", help="only this component"),
                _o("--signal", metavar="S", help="only this signal; with --component, its history"),
                _o("--since", metavar="SPAN", help="how far back the history goes, for example 30m, 6h or 7d (default: 1h)"),
            ),
            json=True,
        ),
        Command(
            "incidents", "commands.regrouping_commands:run_incidents",
            "list the open incidents, gravest first: one for each cause, with the time to its next target; split one, or merge two",
            "tillwatch-collector incidents split HWM-3f2a 41 42",
            (
                _o("action", nargs="?", choices=("list", "split", "merge"), default="list",
                   help="list them (default); split alarms off an incident, which are an incident of their own then; merge an incident into another one "
                   "of the same branch, which has the same cause"),
                _o("incident", nargs="?", default="", metavar="INCIDENT", help="of split and merge"),
                _o("what", nargs="*", default=[], metavar="ALARM|INCIDENT", help="of split: numbers of its alarms; of merge: the incident that goes on"),
                NOTE,
                _o("--all", action="store_true", help="of list: those that are settled, too"),
            ),
            json=True,
            more="What was split stays apart, whatever the rules group. What was merged has its ticket closed as a duplicate; the repair clock runs from the\n"
            "earlier beginning of both.",
        ),
        Command(
            "incident", "commands.incident_commands:run_incident",
            "open one incident: what decided, its alarms, clocks and history, who was told and is next, and what you can do now",
            "tillwatch-collector incident HWM-3f2a",
            (INCIDENT,),
            json=True,
        ),
        Command(
            "alarms", "commands.alarm_commands:run_alarms", "list the open alarms with their numbers, gravest first", "tillwatch-collector alarms",
            (_o("--all", action="store_true", help="those that are over, too"),),
            json=True,
            more="STATE is that of IEC 62682: UNACK and ACKED last, RTNUN is over and nobody has taken it on yet, SHLVD is shelved, DSUPR silent\n"
            "by a maintenance window or because its cause is told in its place.",
        ),
        Command(
            "why", "commands.incident_commands:run_why",
            "say why somebody was told of an alarm or an incident, or why not: what decided, what silences it, who comes next",
            "tillwatch-collector why 41",
            (ABOUT,),
            json=True,
        ),
    )),
    ("Ask a terminal", (
        Command(
            "diagnose", "commands.diagnose_command:run_diagnose",
            "ask a terminal something that changes nothing there: read its devices now, more often for a while, its diagnostic bundle, a device's own report",
            'tillwatch-collector diagnose till-0042 poll-now --component ups --reason "is the UPS there?" --wait',
            (
                _o("terminal", nargs="?", default="", metavar="TERMINAL", help="its id; see tillwatch-collector terminals"),
                _o("kind", nargs="?", default="", choices=("", "poll-now", "raise-sampling", "bundle", "self-report"), metavar="KIND",
                   help="poll-now, raise-sampling, bundle or self-report"),
                _o("--component", default="", metavar="DEVICE", help="of poll-now (without it all) and self-report"),
                _o("--minutes", type=int, metavar="N", help="of raise-sampling: for how long, 1 to 15 (default: 15)"),
                _o("--factor", type=int, metavar="N", help="of raise-sampling: times as often, 2 to 4 (default: 4)"),
                _o("--reason", default="", metavar="TEXT", help="why: for the record"),
                _o("--wait", action="store_true", help="until it is settled; exit code 1 unless it was done"),
                _o("--out", type=Path, metavar="FILE", help="of bundle: wait for it and write it there"),
                _o("--list", action="store_true", help="what was asked, of TERMINAL or of all, and what became of it"),
            ),
            json=True,
            more="Off until [diagnosis] enabled here and [commands] enabled on the terminal say otherwise; packaging/docs/remote-diagnosis.md.",
        ),
    )),
    ("Configure the fleet", (BUNDLE, ROLLOUT)),
    ACT,
    TICKETS,
    ("Plan and correct", (
        Command(
            "maintain", "commands.maintenance_commands:run_maintain",
            "open a maintenance window, in which nobody is called; --list shows all, --cancel takes one away",
            'tillwatch-collector maintain branch:Harbour --from 2026-11-21T22:00 --to +6h --reason "new UPS" --approved-by chen.jun --change CHG-4711',
            (
                _o("scope", nargs="?", metavar="SCOPE", help="all, region:NAME, branch:NAME, TERMINAL, or TERMINAL/COMPONENT with a pattern such as till-0042/ups*"),
                _o("--from", dest="since", default="now", metavar="TIME", help="ISO 8601 (without an offset by the branch's own clocks), or now (default)"),
                _o("--to", dest="until", metavar="TIME", help="the same, or a length such as +90m"),
                _o("--reason", metavar="TEXT", help="what is done"),
                _o("--approved-by", metavar="NAME", help="who agreed; not you"),
                _o("--change", default="", metavar="NUMBER", help="of the change in the bank's own books"),
                _o("--list", action="store_true", help="all windows, also those of the policy"),
                _o("--cancel", metavar="ID", help="take this one away; if it is open it ends now"),
            ),
            json=True,
            more="What it covers is followed all the same; what lasts at its end is told. An incident of which every alarm is covered is on hold meanwhile.",
        ),
        Command(
            "life-cycle", "commands.maintenance_commands:run_life_cycle",
            "take a terminal out of service by decision, so that nothing is raised on it, or put it back",
            'tillwatch-collector life-cycle till-0042 repair --reason "dispenser is at the workshop"',
            (
                _TERMINAL,
                _o("state", choices=(IN_SERVICE, *LIFE_CYCLE), help="what it is from now on"),
                _o("--reason", required=True, metavar="TEXT", help="why"),
            ),
            json=True,
        ),
        Command(
            "assets", "commands.asset_commands:run_assets",
            "device files (serial numbers, custody, purchase, warranty, service) as a table: import, export, or show one terminal's",
            "tillwatch-collector assets import devices.csv --dry-run",
            (
                _o("what", choices=("import", "export", "show"), help="import a CSV file, all of it or nothing; export all, to standard output; show one terminal's"),
                _o("about", nargs="?", default="", metavar="FILE|TERMINAL", help="of import and show"),
                _o("--dry-run", action="store_true", help="of import: say what would be changed, and change nothing"),
            ),
            json=True,
            more="The first line names the columns, in any order; assets export writes them all. An empty cell leaves a field as it is, - empties it.",
        ),
        Command(
            "drill", "commands.correction_commands:run_drill", "inject a fault to see who comes: marked as a drill up to its ticket, and out of all figures",
            "tillwatch-collector drill till-0042 --rule ups.on-battery --component ups --minutes 20 --level 2",
            (
                _TERMINAL,
                _o("--rule", required=True, metavar="RULE", help="which fault; its id in the table of rules"),
                _o("--component", default="", metavar="C", help="on which part"),
                _o("--minutes", type=int, default=30, metavar="N", help="until it ends by itself (default: 30)"),
                _o("--level", type=int, choices=(1, 2, 3), default=3, help="how grave (default: 3)"),
                _o("--end", action="store_true", help="end it now"),
            ),
            json=True,
        ),
        Command(
            "correct", "commands.correction_commands:run_correct",
            "say what a stretch of a terminal's time counts as in the figures; signed, beside what was recorded and never in its place",
            'tillwatch-collector correct till-0042 --from 2026-11-21T09:00 --to 2026-11-21T11:30 --counts-as planned --reason "move of the branch" --party planned',
            (
                _TERMINAL,
                _o("--from", dest="since", required=True, metavar="TIME", help="ISO 8601, without an offset by the branch's own clocks"),
                _o("--to", dest="until", required=True, metavar="TIME", help="the same, or now"),
                _o("--counts-as", required=True, choices=COUNTS_AS, help="excluded: out of the scheduled time altogether"),
                _o("--reason", required=True, metavar="TEXT", help="why"),
                _o("--party", choices=PARTIES, default="unknown", help="who answers for it (default: unknown)"),
            ),
            json=True,
            more="Of two corrections of the same time the later one counts. `verify --log` checks the signatures.",
        ),
    )),
    ("Figures", (
        Command(
            "report", "figures.command:run_report", "write availability and service of a month, or any period, as a page and CSV files",
            "tillwatch-collector report --month 2026-10 --scope region:North --out october",
            (
                _o("--month", metavar="YYYY-MM", help="a whole month (default: the last one that is over)"),
                _o("--from", dest="since", metavar="DATE", help="from this day on, or from a time as in ISO 8601"),
                _o("--to", dest="until", metavar="DATE", help="up to, and without, this day or time (default: now)"),
                _o("--scope", default="fleet", metavar="KIND:NAME", help="region:NAME, branch:NAME, class:NAME, vendor:NAME or terminal:ID (default: all)"),
                _o("--zone", metavar="ZONE", help="time zone of its days, such as Asia/Shanghai (default: that of the policy)"),
                _o("--language", choices=("en", "zh"), default="en", help="of the page (default: en)"),
                _o("--weights", type=Path, metavar="FILE", help="168 numbers: expected transactions of each hour of a week, from Monday 00:00"),
                _o("--operators", type=int, default=1, metavar="N", help="people who watch the alarms at a time (default: 1)"),
                _o("--out", type=Path, metavar="DIR", help="where to (default: ./tillwatch-report-NAME; with --json nothing is written without it)"),
            ),
            json=True,
        ),
        Command(
            "simulate", "simulate.command:run_simulate", "replay a year of a bank that does not exist, and judge what the collector made of it",
            "tillwatch-collector simulate --terminals 500 --days 365 --seed 1",
            (
                _o("--terminals", type=int, default=500, metavar="N", help="how many (default: 500)"),
                _o("--days", type=int, default=365, metavar="N", help="how long (default: 365)"),
                _o("--seed", type=int, default=1, metavar="N", help="another one gives another year (default: 1)"),
                _o("--pace", type=float, default=1.0, metavar="X", help="how many times as often as in life something breaks; 0: nothing does (default: 1)"),
                _o("--predictions", choices=("off", "shadow", "on"), default="shadow", help="shadow: they are judged and nobody acts on them; on: rounds go by them (default: shadow)"),
                _o("--keep", type=Path, metavar="DB", help="keep the store that comes of it, a new file: `console` and `report` read it"),
            ),
            json=True,
        ),
        LOAD,
    )),
    FORESEE,
    ("The console's accounts", (PEOPLE,)),
    ("Terminals and their keys", (
        *ENROL,
        Command(
            "revoke", "commands.identity_commands:run_revoke", "take a terminal's keys and certificates back; nothing it sends is taken from then on",
            'tillwatch-collector revoke till-0042 --reason "stolen from the branch, report 4711"',
            (
                _TERMINAL,
                _o("--reason", required=True, metavar="TEXT", help="why: for the record, and for whoever looks at it"),
            ),
            json=True,
        ),
        Command(
            "broker-config", "commands.identity_commands:run_broker_config",
            "write the configuration of a broker of its own: TLS, access rights, limits, revoked certificates",
            "tillwatch-collector broker-config mosquitto --out /etc/mosquitto/tillwatch",
            (
                _o("broker", choices=("mosquitto", "rabbitmq")),
                _o("--out", type=Path, default=Path("tillwatch-broker"), metavar="DIR", help="where to (default: ./tillwatch-broker)"),
                _o("--listen", default="", metavar="ADDRESS", help="the address it listens on (default: all)"),
                _o("--user", default="", help="whom the broker runs as (default: mosquitto, or rabbitmq)"),
                _o("--access", default="", metavar="URL", help="rabbitmq: where a node asks a collector about terminals (default: https://ADDRESS:8846, by [enrolment] and [amqp])"),
            ),
        ),
    )),
    ("Keep and prove", (
        Command(
            "backup", "commands.recovery:run_backup", "write the store, the collector's keys and the console's accounts into one new file, mode 0600, beside both",
            "tillwatch-collector backup /var/backups/tillwatch/2026-11-21.db",
            (
                _o("file", type=Path),
                _o("--without-keys", action="store_true", help="the store alone; with it alone every terminal must enrol again and every account is made anew"),
                _PASSPHRASE,
            ),
            json=True,
        ),
        Command(
            "restore", "commands.recovery:run_restore",
            "put a backup in the place of store, keys and accounts of a collector and console that do not run; what was there is set aside",
            "tillwatch-collector restore /var/backups/tillwatch/2026-11-21.db",
            (
                _o("file", type=Path),
                _o("--damaged", action="store_true", help="also where its journal is not whole"),
                _PASSPHRASE,
            ),
        ),
        Command(
            "move", "commands.move_command:run_move",
            "move the state of the stopped collector from its file into [store] postgres, or back; broken off, it goes on where it was",
            "tillwatch-collector move",
            (_o("--back", action="store_true", help="out of PostgreSQL into the file of the data directory, which must not be there"),),
            json=True,
        ),
        Command(
            "prove", "proof.evidence:run_prove", "write a file that proves what a terminal reported at a time",
            "tillwatch-collector prove till-0042 ups battery.charge 2026-11-21T14:05:00+01:00 -o charge.proof",
            (
                _o("terminal"), _o("component"), _o("signal"),
                _o("time", help="ISO 8601; the latest reading up to it is proven"),
                _o("-o", "--output", metavar="FILE", help="default: TERMINAL.proof"),
            ),
            json=True,
        ),
        Command(
            "verify", "proof.evidence:run_verify", "check a file made by `prove`, without database or network, or the whole log",
            "tillwatch-collector verify charge.proof --trust 9f86d081...",
            (
                _o("bundle", nargs="?", metavar="BUNDLE"),
                _o("--trust", metavar="FINGERPRINT", help="SHA-256 of the CA certificate that is trusted, hexadecimal"),
                _o("--log", action="store_true", help="walk the whole log of this collector instead"),
            ),
            json=True,
        ),
        Command(
            "audit", "proof.evidence:run_audit", "list who did what, and check each entry against the log", "tillwatch-collector audit --json", json=True,
        ),
    )),
)  # fmt: skip


def parser_of(groups: tuple[tuple[str, tuple[Command, ...]], ...] = GROUPS) -> argparse.ArgumentParser:
    """`options.command` of what it parses is called with the configuration and the options."""
    parser = argparse.ArgumentParser(
        prog="tillwatch-collector",
        usage="tillwatch-collector COMMAND [...]",
        description=_HELP + _listed(groups),
        epilog=_ENDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(
        prog="tillwatch-collector", metavar="COMMAND", required=True, help=argparse.SUPPRESS
    )
    for one in (command for _, group in groups for command in group):
        sub = commands.add_parser(
            one.name,
            description=one.text[0].upper() + one.text[1:] + "." + (f"\n\n{one.more}" if one.more else ""),
            epilog=f"example:\n  {one.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.add_argument(
            "--config", type=Path, metavar="FILE", help="configuration instead of /etc/tillwatch/collector.toml"
        )
        for option in one.options:
            sub.add_argument(*option.names, **option.how)
        if one.json:
            sub.add_argument("--json", action="store_true", help="print JSON")
        sub.set_defaults(command=_later(one.call))
    return parser


def _listed(groups: tuple[tuple[str, tuple[Command, ...]], ...]) -> str:
    """All commands by what they are for: argparse knows one flat list only."""
    lines = [""]
    for title, group in groups:
        lines += [f"{title}:", *(f"  {one.name:<15} {one.text}" for one in group), ""]
    return "\n".join(lines)


def _later(call: str) -> Callable[[Config, argparse.Namespace], int]:
    """Imported when it is called. What the module names as its CommandError means that it could not be done."""
    module, _, name = call.partition(":")

    def command(config: Config, options: argparse.Namespace) -> int:
        found = import_module(f"tillwatch.collector.{module}")
        try:
            return int(getattr(found, name)(config, options))
        except CommandError:
            raise
        except found.CommandError as error:
            raise CommandError(str(error)) from None

    return command
