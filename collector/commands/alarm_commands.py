"""The commands about alarms: `alarms` lists them with their numbers, `shelve` and `unshelve` silence one for a time and end that."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict

from tillwatch.collector.alarm.alarms import SHELF_NS, SHELVED
from tillwatch.collector.commands.acting import another, journal, reading, refuse, the_alarm, words
from tillwatch.collector.commands.output import USAGE, CommandError, age, print_json, print_table, value_text
from tillwatch.collector.config import Config
from tillwatch.collector.incident import applies
from tillwatch.collector.read import AlarmView, MaskView
from tillwatch.collector.web.lines import say, stamp
from tillwatch.collector.web.messages import TEXTS

__all__ = ["CommandError", "run_alarms", "run_shelve", "run_unshelve"]

MOST = 100_000
"""Alarms in one list."""
HOUR_NS = 3600 * 10**9


def run_alarms(config: Config, options: argparse.Namespace) -> int:
    with reading(config) as reader:
        views = reader.alarms(open_only=not options.all, limit=MOST)
    if options.json:
        print_json([asdict(view) for view in views])
        return 0
    rows = [
        (str(a.id), str(a.level), a.isa_state, a.terminal, a.component, a.text, value_text(a.value, a.unit), age(a.raised_at), a.acked_by,
         ", ".join(mask.kind for mask in a.masks))
        for a in views
    ]  # fmt: skip
    if not rows:
        print("no alarm" if options.all else "no open alarm")
        return 0
    print_table(
        ("ALARM", "LEVEL", "STATE", "TERMINAL", "COMPONENT", "WHAT", "VALUE", "RAISED", "TAKEN ON BY", "MASKS"), rows
    )
    return 0


def run_shelve(config: Config, options: argparse.Namespace) -> int:
    reason = words(options.reason, "--reason", needed=True)
    most = SHELF_NS // HOUR_NS
    if not 0 < options.hours <= most:
        raise CommandError(
            f"--hours takes more than 0 and at most {most}: what is to be silent for longer needs a change of its rule",
            USAGE,
        )
    second = another(options.second, "--second") if options.second else ""
    with reading(config) as reader:
        alarm = the_alarm(reader, options.alarm)
    if (refused := applies.to_shelve(alarm.id, alarm.level, second)) is not None:
        raise CommandError(f"{say(TEXTS['en'], refused)}, --second NAME", USAGE)
    until = time.time_ns() + round(options.hours * HOUR_NS)
    facts = {
        "action": "shelve", "terminal": alarm.terminal, "alarm": alarm.id, "until": until, "reason": reason, "second": second,
    }  # fmt: skip
    journal(config, facts)
    now, mask = _shelf(config, alarm.id)
    if mask is None or mask.until != until:
        raise CommandError(f"alarm {alarm.id} is not shelved: it is an old episode; see tillwatch-collector alarms")
    if options.json:
        print_json({"alarm": now.id, "terminal": now.terminal, "shelved": asdict(mask), "second": second})
        return 0
    print(f"alarm {now.id} ({now.terminal} {now.component}: {now.text}) is shelved until {stamp(mask.until)}")
    print("Its condition is followed all the same. What still lasts then is told; sooner: tillwatch-collector unshelve")
    if alarm.isa_state not in ("RTNUN", "NORM") and alarm.incident:
        print(f"Incident {alarm.incident} was told before and goes on; to let it wait: tillwatch-collector hold")
    return 0


def run_unshelve(config: Config, options: argparse.Namespace) -> int:
    with reading(config) as reader:
        alarm = the_alarm(reader, options.alarm)
    refuse(applies.to_unshelve(alarm.id, alarm.isa_state, shelved=any(mask.kind == SHELVED for mask in alarm.masks)))
    journal(config, {"action": "unshelve", "terminal": alarm.terminal, "alarm": alarm.id})
    now, mask = _shelf(config, alarm.id)
    if mask is not None:
        raise CommandError(f"alarm {alarm.id} is still shelved: it is an old episode; see tillwatch-collector alarms")
    if options.json:
        print_json({"alarm": now.id, "terminal": now.terminal, "shelved": None, "isa_state": now.isa_state})
        return 0
    said = "it lasts, and is told" if now.condition != "normal" else "its condition is over"
    print(f"alarm {now.id} ({now.terminal} {now.component}: {now.text}) is not shelved any more; {said}")
    return 0


def _shelf(config: Config, number: int) -> tuple[AlarmView, MaskView | None]:
    with reading(config) as reader:
        alarm = reader.alarm(number)
    return alarm, next((mask for mask in alarm.masks if mask.kind == SHELVED), None)
