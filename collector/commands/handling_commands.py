"""The commands by which people handle incidents: take one on, hand it over, work on it, let it wait, say what it was, close it. Each says what
it has changed; one that changed nothing fails.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from tillwatch.collector.commands.acting import journal, reading, refuse, the_alarm, the_incident, words
from tillwatch.collector.commands.incident_commands import TEXT, file_fields, names_of, state
from tillwatch.collector.commands.output import USAGE, CommandError, print_json
from tillwatch.collector.config import Config
from tillwatch.collector.incident import applies
from tillwatch.collector.incident.case import Line
from tillwatch.collector.incident.incident_views import IncidentFile, news
from tillwatch.collector.incident.incidents import RESOLVED
from tillwatch.collector.web.lines import say, stamp

__all__ = [
    "CommandError", "handle", "run_acknowledge", "run_assign", "run_close", "run_hold", "run_note", "run_repair", "run_resolve", "run_resume",
]  # fmt: skip


def run_acknowledge(config: Config, options: argparse.Namespace) -> int:
    note = words(options.note, "--note")
    if not options.about.isdecimal():
        return handle(config, options, "acknowledge", {"note": note}, _to_take)
    with reading(config) as reader:
        alarm = the_alarm(reader, options.about)
    refuse(applies.to_acknowledge(alarm.id, listed=alarm.condition != "normal" or alarm.returned))
    journal(config, {"action": "acknowledge", "terminal": alarm.terminal, "alarm": alarm.id, "note": note})
    with reading(config) as reader:
        now = reader.alarm(alarm.id)
        incident = reader.incident(now.incident, time.time_ns()).view if now.incident else None
    if now.condition != "normal" and not now.acked_by:
        raise CommandError(f"alarm {alarm.id} was not taken on: it is an old episode; see tillwatch-collector alarms")
    if options.json:
        told = {"alarm": now.id, "terminal": now.terminal, "acked_by": now.acked_by, "ack_until": now.ack_until, "incident": now.incident}  # fmt: skip
        print_json(told)
        return 0
    what = f"alarm {now.id} ({now.terminal} {now.component}: {now.text})"
    if now.condition == "normal":
        print(f"{what} was over before; now that it was seen it leaves the list")
        return 0
    print(f"{what} is taken on by {now.acked_by}")
    print(f"It counts until the fault ends or grows worse, at most until {stamp(now.ack_until)}.")
    if incident is not None and incident.responded_at:
        print(f"Incident {incident.id} is {state(incident)}, with {incident.owner}.")
    return 0


def run_assign(config: Config, options: argparse.Namespace) -> int:
    person = words(options.to, "--to", needed=True)
    with reading(config) as reader:
        roster = reader.in_force().policy.roster
    if roster.people and person not in roster.people and person not in {each.name for each in roster.people.values()}:
        print(f"note: the roster does not know {person}", file=sys.stderr)
    return handle(config, options, "assign", {"to": person}, _to_take)


def run_repair(config: Config, options: argparse.Namespace) -> int:
    return handle(config, options, "in-repair", {}, lambda found: applies.to_repair(found.view.id, found.view))


def run_hold(config: Config, options: argparse.Namespace) -> int:
    with reading(config) as reader:
        reasons = reader.in_force().policy.hold_reasons
    if options.reason not in reasons:
        known = "; ".join(f"{word} ({text})" for word, text in reasons.items())
        raise CommandError(f"--reason {options.reason!r} is none of the policy's: {known}", USAGE)
    return handle(
        config, options, "hold", {"reason": options.reason}, lambda found: applies.to_hold(found.view.id, found.view, options.reason, reasons)
    )  # fmt: skip


def run_resume(config: Config, options: argparse.Namespace) -> int:
    return handle(config, options, "resume", {}, lambda found: applies.to_resume(found.view.id, found.view))


def run_resolve(config: Config, options: argparse.Namespace) -> int:
    part, note = words(options.part, "--part"), words(options.note, "--note")
    if options.verdict == "part_changed" and not part:
        raise CommandError("--verdict part_changed needs --part: which one, with its number if it has one", USAGE)
    facts = {"verdict": options.verdict, "part": part, "note": note}
    return handle(config, options, "resolve", facts, lambda found: applies.to_resolve(found.view.id, found.view))


def run_close(config: Config, options: argparse.Namespace) -> int:
    return handle(config, options, "close", {}, lambda found: applies.to_close(found.view.id, found.view))


def run_note(config: Config, options: argparse.Namespace) -> int:
    return handle(config, options, "note", {"text": words(options.text, "TEXT", needed=True)}, lambda _: None)


def _to_take(found: IncidentFile) -> Line | None:
    return applies.to_take(found.view.id, found.view)


def handle(
    config: Config,
    options: argparse.Namespace,
    action: str,
    facts: dict[str, Any],
    check: Callable[[IncidentFile], Line | None],
) -> int:
    """Look at the incident, have the act journaled, and say what it has changed."""
    asked = options.incident if hasattr(options, "incident") else options.about
    with reading(config) as reader:
        before = the_incident(reader, asked, time.time_ns())
    refuse(check(before))
    journal(config, {"action": action, "incident": before.view.id, "terminal": before.view.terminal, **facts})
    with reading(config) as reader:
        after, names = reader.incident(before.view.id, time.time_ns()), names_of(reader.in_force().rules)
    new = news(before, after)
    if not new:
        raise CommandError(
            f"{after.view.id} has not changed: it is {state(after.view)}, and nothing can come of it any more"
        )
    if options.json:
        print_json(file_fields(after, names))
    else:
        print(f"{after.view.id} ({after.view.text}) is {state(after.view)}")
        for event in new:
            print(f"  {'; '.join(say(TEXT, line, names) for line in event.lines)}")
    if action == "resolve" and after.view.state != RESOLVED:
        raise CommandError(f"{after.view.id} is {after.view.state} again: by its readings the fault is still there")
    return 0
