"""The commands `drill`, which injects a fault to see who comes, and `correct`, by which a person says what a stretch of a terminal's time counts as."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict

from tillwatch.collector.commands.acting import journal, moment, reading, the_terminal, unknown, words, zone_of
from tillwatch.collector.commands.output import USAGE, CommandError, print_json
from tillwatch.collector.config import Config
from tillwatch.collector.figures.correcting import CorrectionError, check, facts
from tillwatch.collector.read import AlarmView
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.terminal.fleet import IN_SERVICE
from tillwatch.collector.web.lines import stamp

__all__ = ["CommandError", "run_correct", "run_drill"]

MAX_MINUTES = 24 * 60
"""A drill that nobody ends does so by then: it stands in the lists of people who work."""


def run_drill(config: Config, options: argparse.Namespace) -> int:
    if not options.end and not 0 < options.minutes <= MAX_MINUTES:
        raise CommandError(f"--minutes takes 1 to {MAX_MINUTES}", USAGE)
    component = words(options.component, "--component")
    with reading(config) as reader:
        terminal = the_terminal(reader, options.terminal)
        rules = reader.in_force().rules.by_id
        if options.rule not in rules:
            raise unknown("rule", options.rule, rules)
        running = _running(reader, terminal.id, options.rule, component)
    if options.end and running is None:
        raise CommandError(f"no drill of {options.rule} runs on {terminal.id}")
    if terminal.life_cycle != IN_SERVICE and not options.end:
        raise CommandError(
            f"{terminal.id} is {terminal.life_cycle}: nobody would come for it; take one that is in service"
        )
    if not options.end and running is not None:
        raise CommandError(f"alarm {running.id} is that very drill already; it ends with --end")
    minutes = 0 if options.end else options.minutes
    journal(
        config,
        {"action": "drill", "terminal": terminal.id, "rule": options.rule, "component": component, "minutes": minutes, "level": options.level},
    )  # fmt: skip
    with reading(config) as reader:
        alarm = _running(reader, terminal.id, options.rule, component)
    if (alarm is None) != options.end:
        raise CommandError(f"the drill on {terminal.id} has {'not ended' if options.end else 'raised nothing'}")
    if options.json:
        shown = alarm or running
        assert shown is not None
        print_json(
            {"alarm": shown.id, "terminal": terminal.id, "incident": shown.incident, "running": alarm is not None}
        )
        return 0
    if alarm is None:
        print(f"the drill of {options.rule} on {terminal.id} is over")
        return 0
    print(f"alarm {alarm.id} on {terminal.id}, level {alarm.level}: a drill for {minutes} minutes")
    print(f"It goes the way of a fault, marked as a drill up to its ticket, and stays out of the figures. Incident {alarm.incident or '-'}.")  # fmt: skip
    print(f"To end it sooner: tillwatch-collector drill {terminal.id} --rule {options.rule} --end")
    return 0


def _running(reader: SqliteReader, terminal: str, rule: str, component: str) -> AlarmView | None:
    name = "/".join(each for each in ("drill", component) if each)
    found = (one for one in reader.alarms(terminal=terminal) if one.drill and one.condition != "normal")
    return next((one for one in found if (one.rule, one.component) == (rule, name)), None)


_FLAGS = {"from": "--from", "to": "--to", "reason": "--reason", "counts_as": "--counts-as", "party": "--party"}


def run_correct(config: Config, options: argparse.Namespace) -> int:
    now = time.time_ns()
    with reading(config) as reader:
        terminal = the_terminal(reader, options.terminal)
        zone = zone_of(reader.in_force().policy, terminal.branch)
        earlier = reader.corrections(terminal.id)
    since, until = moment(options.since, zone, "--from", now), moment(options.until, zone, "--to", now)
    try:
        reason = check(since, until, options.counts_as, options.reason, options.party, now)
    except CorrectionError as error:
        raise CommandError(f"{_FLAGS[error.field]}: {error}", USAGE) from None
    for one in earlier:
        if one.since < until and since < one.until:
            print(f"note: over {stamp(one.since)} to {stamp(one.until)}, which {one.by} corrected to {one.counts_as} ({one.reason}), this one counts now", file=sys.stderr)  # fmt: skip
    journal(config, facts(terminal.id, since, until, options.counts_as, reason, options.party))
    with reading(config) as reader:
        made = [one for one in reader.corrections(terminal.id) if one not in earlier]
    if not made:
        raise CommandError("the correction was journaled and changed nothing; see tillwatch-collector audit")
    last = made[-1]
    if options.json:
        print_json({**asdict(last), "at": last.at})
        return 0
    print(
        f"{terminal.id}, {stamp(since)} to {stamp(until)} counts as {last.counts_as} (entry {last.n}, signed by the collector)"
    )
    print("What was recorded stays; the figures of that time say so the next time that they are asked for.")
    return 0
