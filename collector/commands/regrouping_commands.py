"""`incidents`: list them, and say what belongs to one cause and what does not: split alarms off an incident, merge one into another."""

from __future__ import annotations

import argparse
import time

from tillwatch.collector.commands.acting import reading, the_incident, words
from tillwatch.collector.commands.handling_commands import handle
from tillwatch.collector.commands.incident_commands import run_incidents as listed
from tillwatch.collector.commands.output import USAGE, CommandError
from tillwatch.collector.config import Config
from tillwatch.collector.incident import applies
from tillwatch.collector.incident.case import Line
from tillwatch.collector.incident.incident_views import IncidentFile

__all__ = ["CommandError", "run_incidents"]


def run_incidents(config: Config, options: argparse.Namespace) -> int:
    match options.action:
        case "split" if options.incident and options.what and all(each.isdecimal() for each in options.what):
            return _split(config, options)
        case "split":
            raise CommandError("incidents split takes an incident and the numbers of alarms of it", USAGE)
        case "merge" if options.incident and len(options.what) == 1:
            return _merge(config, options)
        case "merge":
            raise CommandError("incidents merge takes an incident, and the one that goes on", USAGE)
        case _ if options.incident:
            raise CommandError("incidents list takes no incident; tillwatch-collector incident opens one", USAGE)
    return listed(config, options)


def _split(config: Config, options: argparse.Namespace) -> int:
    chosen = [int(each) for each in options.what]

    def check(found: IncidentFile) -> Line | None:
        return applies.to_split(found.view.id, found.view, found.parts_now(), chosen)

    return handle(config, options, "split", {"alarms": chosen, "note": words(options.note, "--note")}, check)


def _merge(config: Config, options: argparse.Namespace) -> int:
    with reading(config) as reader:
        into = the_incident(reader, options.what[0], time.time_ns()).view

    def check(found: IncidentFile) -> Line | None:
        return applies.to_merge(found.view.id, found.view, into.id, into)

    return handle(config, options, "merge", {"into": into.id, "note": words(options.note, "--note")}, check)
