"""The commands about alarms: `alarms` lists them with their numbers, `acknowledge` says that somebody has taken one on."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from dataclasses import asdict

from tillwatch.collector.acts import ActError, act, prepare_data_dir
from tillwatch.collector.config import Config
from tillwatch.collector.output import CommandError, age, iso, print_json, print_table, value_text
from tillwatch.collector.read import AlarmView
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.store.requests import RequestError
from tillwatch.collector.store.sqlite import StoreError

MAX_NOTE = 200
"""Characters of a note: one line on a page."""

MOST = 100_000
"""Alarms in one list."""


def run_alarms(config: Config, options: argparse.Namespace) -> int:
    views = _alarms(config, closed=options.all)
    if options.json:
        print_json([asdict(view) for view in views])
        return 0
    rows = [
        (str(a.id), str(a.level), a.condition, a.terminal, a.component, a.text, value_text(a.value, a.unit), age(a.raised_at), a.acked_by)
        for a in views
    ]  # fmt: skip
    if not rows:
        print("no alarm" if options.all else "no open alarm")
        return 0
    print_table(
        ("ALARM", "LEVEL", "CONDITION", "TERMINAL", "COMPONENT", "WHAT", "VALUE", "RAISED", "TAKEN ON BY"), rows
    )
    return 0


def run_acknowledge(config: Config, options: argparse.Namespace) -> int:
    note = options.note.strip()
    if len(note) > MAX_NOTE or (note and not note.isprintable()):
        raise CommandError(f"--note takes up to {MAX_NOTE} printable characters")
    alarm = _found(config, options.alarm)
    try:
        prepare_data_dir(config.collector.data_dir)
        act(config, {"action": "acknowledge", "terminal": alarm.terminal, "alarm": alarm.id, "note": note})
    except (ActError, RequestError, StoreError) as error:
        raise CommandError(str(error)) from None
    now = _found(config, options.alarm)
    if options.json:
        told = {"alarm": now.id, "terminal": now.terminal, "acked_by": now.acked_by, "ack_until": iso(now.ack_until)}
        print(json.dumps(told, ensure_ascii=False))
        return 0
    print(f"alarm {now.id} ({now.terminal} {now.component}: {now.text}) is taken on by {now.acked_by}")
    print(f"It counts until the fault ends or grows worse, at most until {iso(now.ack_until)}.")
    return 0


def _found(config: Config, number: int) -> AlarmView:
    alarm = next((view for view in _alarms(config, closed=False) if view.id == number), None)
    if alarm is None:
        raise CommandError(f"there is no open alarm {number}; tillwatch-collector alarms lists those that are open")
    return alarm


def _alarms(config: Config, *, closed: bool) -> list[AlarmView]:
    try:
        with closing(SqliteReader(config.database)) as reader:
            return list(reader.alarms(open_only=not closed, limit=MOST))
    except StoreError as error:
        raise CommandError(str(error)) from None
