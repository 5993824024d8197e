"""The commands that show incidents: `incidents` lists them, `incident` opens one, `why` says why somebody was told of it, or of an alarm."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from tillwatch.collector.alarm.rules import Rules
from tillwatch.collector.commands.acting import reading, the_alarm, the_incident
from tillwatch.collector.commands.output import CommandError, age, print_json, print_table, value_text
from tillwatch.collector.config import Config
from tillwatch.collector.incident.case import Line, Why
from tillwatch.collector.incident.incident_views import ClockView, IncidentFile, IncidentView, next_acts
from tillwatch.collector.web.lines import say, stamp
from tillwatch.collector.web.messages import TEXTS

__all__ = ["CommandError", "run_incident", "run_incidents", "run_why"]

MOST = 10_000
"""Incidents in one list."""
TEXT = TEXTS["en"]
_TOPICS = {
    "rule": "What decided", "place": "Which incident", "mask": "What silences it", "people": "Who was told", "clock": "Deadlines", "ticket": "Ticket",
}  # fmt: skip


def run_incidents(config: Config, options: argparse.Namespace) -> int:
    now = time.time_ns()
    with reading(config) as reader:
        views, total = reader.incidents(now, living=not options.all, limit=MOST)
    if options.json:
        print_json([asdict(view) for view in views])
        return 0
    if not views:
        print("no incident" if options.all else "no open incident")
        return 0
    print_table(
        ("INCIDENT", "LEVEL", "STATE", "WHERE", "WHAT", "SINCE", "NEXT TARGET", "TAKEN ON BY", "TICKET"),
        [_row(view, now) for view in views],
    )
    if total > len(views):
        print(f"and {total - len(views)} more")
    return 0


def _row(view: IncidentView, now: int) -> tuple[str, ...]:
    what = f"{view.text}{' (drill)' if view.drill else ''}"
    return (
        view.id, str(view.level), state(view), where(view), what, age(view.occurred_at), target(view.clocks, now), view.owner, view.ticket.id or view.ticket.state,
    )  # fmt: skip


def state(view: IncidentView) -> str:
    return f"{view.state} (on hold)" if view.on_hold else view.state


def where(view: IncidentView) -> str:
    """What it is about: a part of a terminal, or the place for which it was concluded."""
    if view.terminal:
        return f"{view.terminal} {view.component}".strip()
    return f"{view.branch or view.region or 'everywhere'} ({view.terminals} terminals)"


def target(clocks: Sequence[ClockView], now: int) -> str:
    """The clock that is missed next, or was; the response before the repair."""
    going = [each for each in clocks if not each.stopped_at]
    if not going:
        return ""
    first = min(going, key=lambda each: (each.due == 0, each.due))
    if not first.due:
        return f"{first.kind} on hold"
    text = roughly(abs(first.due - now) / 1e9)
    return f"{first.kind} missed {text} ago" if first.due <= now else f"{first.kind} in {text}"


Names = Callable[[str], str]
"""The text of a rule, by its id."""


def names_of(rules: Rules) -> Names:
    return lambda rule: rules.by_id[rule].text if rule in rules.by_id else rule


def roughly(seconds: float) -> str:
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


def run_incident(config: Config, options: argparse.Namespace) -> int:
    now = time.time_ns()
    with reading(config) as reader:
        found, names = the_incident(reader, options.incident, now), names_of(reader.in_force().rules)
    if options.json:
        print_json(file_fields(found, names))
        return 0
    view = found.view
    print(f"{view.id}: level {view.level}, {state(view)}{', drill' if view.drill else ''}")
    print(f"{where(view)}: {view.text}{f' ({view.cause})' if view.cause else ''}")
    place = ", ".join(each for each in (view.branch, view.region) if each)
    print(f"{place}; since {stamp(view.occurred_at)}{f'; taken on by {view.owner}' if view.owner else ''}")
    for name, text in (
        ("cause", found.rule_cause),
        ("consequence", found.consequence),
        ("action", found.action),
    ):
        if text:
            print(f"  {name + ':':<13}{text}")
    _print_why(found.why, names)
    _print_members(found)
    if found.steps:
        print("\nEscalation")
        rows = [
            (each.kind, each.role, ", ".join(each.channels), _step(each.done, each.due, nobody=each.nobody), each.text)
            for each in found.steps
        ]
        print_table(("  CLOCK", "ROLE", "BY", "WHEN", "TEXT"), [("  " + row[0], *row[1:]) for row in rows])
    print("\nHistory")
    for event in found.events:
        print(f"  {stamp(event.at)}  {'; '.join(say(TEXT, line, names) for line in event.lines)}")
    if hints := next_acts(view):
        print("\nWhat you can do now")
        for hint in hints:
            print(f"  tillwatch-collector {hint}")
    return 0


def _step(done: bool, due: int, *, nobody: bool) -> str:  # noqa: FBT001 - of a row
    if done:
        return "nobody on duty" if nobody else "done"
    return stamp(due) if due else "-"


def _print_members(found: IncidentFile) -> None:
    if not found.members:
        return
    print("\nAlarms")
    rows = [
        (f"  {m.alarm.id}", m.role, str(m.alarm.level), "over" if m.until else m.alarm.isa_state, f"{m.alarm.terminal} {m.alarm.component}", m.alarm.text,
         value_text(m.alarm.value, m.alarm.unit))
        for m in found.members
    ]  # fmt: skip
    print_table(("  ALARM", "ROLE", "LEVEL", "STATE", "WHERE", "WHAT", "VALUE"), rows)
    if found.more_members:
        print(f"  and {found.more_members} more")
    if found.parts:
        print(f"  told before it was known: {', '.join(found.parts)}")


def run_why(config: Config, options: argparse.Namespace) -> int:
    now, asked = time.time_ns(), options.about
    with reading(config) as reader:
        names = names_of(reader.in_force().rules)
        if asked.isdecimal():
            alarm = the_alarm(reader, asked)
            _, why = reader.why(alarm.id, now)
            subject = f"alarm {alarm.id}: {alarm.text} ({alarm.terminal} {alarm.component}), {alarm.isa_state}"
        else:
            found = the_incident(reader, asked, now)
            why, subject = found.why, f"{found.view.id}: {found.view.text} ({where(found.view)}), {found.view.state}"
    if options.json:
        print_json(why_fields(why, names))
        return 0
    print(subject)
    _print_why(why, names)
    return 0


def _print_why(why: Why, names: Names) -> None:
    print(say(TEXT, why.head, names))
    topic = ""
    for line in why.lines:
        if line.topic != topic:
            topic = line.topic
            print(f"\n{_TOPICS[topic]}")
        print(f"  {say(TEXT, line, names)}")


# As JSON: every line with its words, and with what was filled in.


def line_fields(line: Line, names: Names) -> dict[str, Any]:
    return {"topic": line.topic, "key": line.key, "text": say(TEXT, line, names), "values": dict(line.values)}


def why_fields(why: Why, names: Names) -> dict[str, Any]:
    lines = [line_fields(line, names) for line in why.lines]
    return {"told": why.told, "head": line_fields(why.head, names), "lines": lines}


def file_fields(found: IncidentFile, names: Names) -> dict[str, Any]:
    fields = asdict(found)
    fields["why"] = why_fields(found.why, names)
    fields["events"] = [
        {"at": event.at, "kind": event.kind, "lines": [line_fields(line, names) for line in event.lines]}
        for event in found.events
    ]
    return fields
