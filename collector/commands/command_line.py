"""The command line of the collector: its commands in groups, each with its options, an example and the function that does it. Apart from what
the commands do, because only the one that was asked for is imported.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from tillwatch.collector.alarm.rules import PARTIES
from tillwatch.collector.commands.entries import Command
from tillwatch.collector.commands.entries import option as _o
from tillwatch.collector.commands.foresee import FORESEE
from tillwatch.collector.commands.output import CommandError
from tillwatch.collector.commands.people_entries import PEOPLE
from tillwatch.collector.config import Config
from tillwatch.collector.incident.incidents import VERDICTS
from tillwatch.collector.records import COUNTS_AS, LIFE_CYCLE
from tillwatch.collector.terminal.fleet import IN_SERVICE
from tillwatch.collector.trust.registry import CLASSES

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
_ALARM = _o("alarm", metavar="ALARM", help="its number; see tillwatch-collector alarms")
_INCIDENT = _o(
    "incident", metavar="INCIDENT", help="its id, or as much of it as fits no other; see tillwatch-collector incidents"
)
_ABOUT = _o("about", metavar="ALARM|INCIDENT", help="an alarm's number, or an incident's id or the beginning of it")
_NOTE = _o("--note", default="", metavar="TEXT", help="for the record")
_PASSPHRASE = _o(
    "--passphrase-file", type=Path, metavar="FILE", help="its first line seals the keys in the backup"
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
                _NOTE,
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
            (_INCIDENT,),
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
            (_ABOUT,),
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
    ("Act on alarms and incidents", (
        Command(
            "acknowledge", "commands.handling_commands:run_acknowledge",
            "say that you have taken an alarm or an incident on",
            'tillwatch-collector acknowledge 41 --note "on my way, 20 minutes"',
            (_ABOUT, _NOTE),
            json=True,
            more="It stops the response clock, and counts until the fault ends or grows worse: for 1 hour at most, level 3 for 8 hours, longer while\n"
            "its repair goes on. An alarm that is over leaves the list with it.",
        ),
        Command(
            "assign", "commands.handling_commands:run_assign", "hand an incident over to somebody",
            "tillwatch-collector assign HWM-3f2a --to zhang.min", (_INCIDENT, _o("--to", required=True, metavar="NAME", help="who has it from now on")),
            json=True,
        ),
        Command(
            "repair", "commands.handling_commands:run_repair", "say that you are at work on an incident: what is acknowledged stays so meanwhile",
            "tillwatch-collector repair HWM-3f2a", (_INCIDENT,), json=True,
        ),
        Command(
            "hold", "commands.handling_commands:run_hold", "let the repair clock of an incident stand still, for a reason of the policy",
            "tillwatch-collector hold HWM-3f2a --reason parts",
            (_INCIDENT, _o("--reason", required=True, metavar="WORD", help="of [hold] in the policy; a wrong one lists them")),
            json=True,
            more="The response clock goes on. Figures are shown with and without the time on hold.",
        ),
        Command(
            "resume", "commands.handling_commands:run_resume", "end a hold: the repair clock goes on", "tillwatch-collector resume HWM-3f2a", (_INCIDENT,), json=True,
        ),
        Command(
            "note", "commands.handling_commands:run_note", "write a line into an incident's history and its ticket",
            'tillwatch-collector note HWM-3f2a "branch manager has the key"', (_INCIDENT, _o("text", metavar="TEXT", help="the line")), json=True,
        ),
        Command(
            "resolve", "commands.handling_commands:run_resolve", "say that an incident is mended, and what it was",
            'tillwatch-collector resolve HWM-3f2a --verdict part_changed --part "fuser RM2-5425"',
            (
                _INCIDENT,
                _o("--verdict", required=True, choices=VERDICTS, help="what it turned out to be: rules and predictions learn from it"),
                _o("--part", default="", metavar="TEXT", help="which part was changed"),
                _NOTE,
            ),
            json=True,
            more="Where the readings say that the fault is still there, it is open again at once, and the exit code is 1.",
        ),
        Command(
            "close", "commands.handling_commands:run_close", "close an incident that is resolved, before the time to look whether it holds is over",
            "tillwatch-collector close HWM-3f2a", (_INCIDENT,), json=True,
        ),
        Command(
            "shelve", "commands.alarm_commands:run_shelve", "silence one alarm for at most 24 hours, with a reason; level 1 takes a second person",
            'tillwatch-collector shelve 41 --hours 4 --reason "sensor is being replaced"',
            (
                _ALARM,
                _o("--hours", required=True, type=float, metavar="N", help="for how long: up to 24"),
                _o("--reason", required=True, metavar="TEXT", help="why: for whoever wonders"),
                _o("--second", default="", metavar="NAME", help="who agreed; not you"),
            ),
            json=True,
            more="Its condition is followed all the same. What still lasts at the end is told, and nobody has acknowledged it then.",
        ),
        Command(
            "unshelve", "commands.alarm_commands:run_unshelve", "end the shelving of an alarm now", "tillwatch-collector unshelve 41", (_ALARM,), json=True,
        ),
    )),
    ("Tickets", (
        Command(
            "tickets", "commands.ticket_commands:run_tickets",
            "show what has become of the messages to ticket systems and people, and help where one is stuck",
            "tillwatch-collector tickets explain HWM-3f2a",
            (
                _o("action", nargs="?", choices=("list", "explain", "retry", "link", "sweep", "check"), default="list",
                   help="list what waits and all tickets (default); explain what became of one incident's; retry what was given up, now; link an incident to a "
                   "ticket that a person made; sweep tickets that are there twice; check whether each receiver can work"),
                _o("incident", nargs="?", default="", metavar="INCIDENT", help="of explain, retry, link"),
                _o("ticket", nargs="?", default="", metavar="TICKET", help="of link: the ticket's id in its system"),
                _o("--connector", default="", metavar="NAME", help="of [tickets.NAME] or [channels.NAME]: only this one"),
                _o("--all", action="store_true", help="of list and sweep: tickets of settled incidents, too"),
            ),
            json=True,
            more="Exit code 1: a check failed, or a sweep met a problem.",
        ),
        Command(
            "route", "commands.route_commands:run_route",
            "say which ticket system an incident goes to and through what people are called, row by row; or check a table of routes",
            "tillwatch-collector route --explain HWM-3f2a",
            (
                _o("--explain", metavar="INCIDENT", help="its id, or as much of it as fits no other"),
                _o("--at", metavar="TIME", help="with --explain: as it would be decided then: ISO 8601, now (default), or +90m"),
                _o("--check", nargs="?", const="", metavar="FILE", help="look through a table: this file, or the one of the configuration"),
            ),
            json=True,
            more="Level and place are those of now; --at is for hours, dates and the roster. --check ends with exit code 1 where a name is not there\n"
            "or a row never comes to anything; packaging/docs/routing.md explains the table.",
        ),
    )),
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
    )),
    FORESEE,
    ("The console's accounts", (PEOPLE,)),
    ("Terminals and their keys", (
        Command(
            "enrol-token", "commands.terminal_commands:run_enrol_token", "make a one-time token for one terminal, good for 24 hours",
            "tillwatch-collector enrol-token till-0042 --branch Harbour --region North --class atm --host 10.1.2.3",
            (
                _o("terminal", help="its id: letters, digits, - and _, at most 64"),
                _o("--branch", required=True, help="where it stands"),
                _o("--region", required=True, help="what the branch belongs to"),
                _o("--class", dest="terminal_class", required=True, choices=CLASSES, help="what it is"),
                _o("--host", metavar="ADDRESS", help="where the terminal reaches this collector (default: address in [enrolment])"),
            ),
            json=True,
        ),
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
                _o("broker", choices=("mosquitto",)),
                _o("--out", type=Path, default=Path("tillwatch-mosquitto"), metavar="DIR", help="where to (default: ./tillwatch-mosquitto)"),
                _o("--listen", default="", metavar="ADDRESS", help="the address it listens on (default: all)"),
                _o("--user", default="mosquitto", help="whom the broker runs as (default: mosquitto)"),
            ),
        ),
    )),
    ("Keep and prove", (
        Command(
            "backup", "commands.recovery:run_backup", "write the store and the collector's keys into one new file, mode 0600, beside a running collector",
            "tillwatch-collector backup /var/backups/tillwatch-2026-11-21.db",
            (
                _o("file", type=Path),
                _o("--without-keys", action="store_true", help="the store alone; with it alone every terminal must enrol again"),
                _PASSPHRASE,
            ),
            json=True,
        ),
        Command(
            "restore", "commands.recovery:run_restore",
            "put a backup in the place of store and keys of a collector that is not running; what was there is set aside",
            "tillwatch-collector restore /var/backups/tillwatch-2026-11-21.db",
            (
                _o("file", type=Path),
                _o("--damaged", action="store_true", help="also where its journal is not whole"),
                _PASSPHRASE,
            ),
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
