"""The commands about alarms, incidents and their tickets, as the command line lists them."""

from __future__ import annotations

from tillwatch.collector.commands.entries import Command
from tillwatch.collector.commands.entries import option as _o
from tillwatch.collector.incident.incidents import VERDICTS

_ALARM = _o("alarm", metavar="ALARM", help="its number; see tillwatch-collector alarms")
INCIDENT = _o(
    "incident", metavar="INCIDENT", help="its id, or as much of it as fits no other; see tillwatch-collector incidents"
)
ABOUT = _o("about", metavar="ALARM|INCIDENT", help="an alarm's number, or an incident's id or the beginning of it")
NOTE = _o("--note", default="", metavar="TEXT", help="for the record")

ACT: tuple[str, tuple[Command, ...]] = ("Act on alarms and incidents", (
    Command(
        "acknowledge", "commands.handling_commands:run_acknowledge",
        "say that you have taken an alarm or an incident on",
        'tillwatch-collector acknowledge 41 --note "on my way, 20 minutes"',
        (ABOUT, NOTE),
        json=True,
        more="It stops the response clock, and counts until the fault ends or grows worse: for 1 hour at most, level 3 for 8 hours, longer while\n"
        "its repair goes on. An alarm that is over leaves the list with it.",
    ),
    Command(
        "assign", "commands.handling_commands:run_assign", "hand an incident over to somebody",
        "tillwatch-collector assign HWM-3f2a --to zhang.min", (INCIDENT, _o("--to", required=True, metavar="NAME", help="who has it from now on")),
        json=True,
    ),
    Command(
        "repair", "commands.handling_commands:run_repair", "say that you are at work on an incident: what is acknowledged stays so meanwhile",
        "tillwatch-collector repair HWM-3f2a", (INCIDENT,), json=True,
    ),
    Command(
        "hold", "commands.handling_commands:run_hold", "let the repair clock of an incident stand still, for a reason of the policy",
        "tillwatch-collector hold HWM-3f2a --reason parts",
        (INCIDENT, _o("--reason", required=True, metavar="WORD", help="of [hold] in the policy; a wrong one lists them")),
        json=True,
        more="The response clock goes on. Figures are shown with and without the time on hold.",
    ),
    Command(
        "resume", "commands.handling_commands:run_resume", "end a hold: the repair clock goes on", "tillwatch-collector resume HWM-3f2a", (INCIDENT,), json=True,
    ),
    Command(
        "note", "commands.handling_commands:run_note", "write a line into an incident's history and its ticket",
        'tillwatch-collector note HWM-3f2a "branch manager has the key"', (INCIDENT, _o("text", metavar="TEXT", help="the line")), json=True,
    ),
    Command(
        "resolve", "commands.handling_commands:run_resolve", "say that an incident is mended, and what it was",
        'tillwatch-collector resolve HWM-3f2a --verdict part_changed --part "fuser RM2-5425"',
        (
            INCIDENT,
            _o("--verdict", required=True, choices=VERDICTS, help="what it turned out to be: rules and predictions learn from it"),
            _o("--part", default="", metavar="TEXT", help="which part was changed"),
            NOTE,
        ),
        json=True,
        more="Where the readings say that the fault is still there, it is open again at once, and the exit code is 1.",
    ),
    Command(
        "close", "commands.handling_commands:run_close", "close an incident that is resolved, before the time to look whether it holds is over",
        "tillwatch-collector close HWM-3f2a", (INCIDENT,), json=True,
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
))  # fmt: skip
TICKETS: tuple[str, tuple[Command, ...]] = ("Tickets", (
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
))  # fmt: skip
