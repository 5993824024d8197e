"""The command `report`: the figures of a month, or of any period, as a page, CSV files and JSON. It reads the store beside a running collector and
changes nothing.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

from tillwatch.collector.alarm.diagnosis import CardsError, load_cards
from tillwatch.collector.commands.output import DONE, USAGE, CommandError
from tillwatch.collector.config import Config
from tillwatch.collector.figures.impact import FLAT, HOURS_OF_WEEK, Profile
from tillwatch.collector.figures.period import PeriodError, period
from tillwatch.collector.figures.report import Asked, Report, make, titles
from tillwatch.collector.figures.rollup import FLEET, KINDS, Scope, Settings
from tillwatch.collector.figures.rows import read_log, read_policy, read_rules
from tillwatch.collector.figures.wording import Wording
from tillwatch.collector.store.reading import reading
from tillwatch.collector.store.sqlite import StoreError

MAX_WEIGHTS = 64 * 1024
"""Bytes of a file of 168 numbers."""


def run_report(config: Config, options: argparse.Namespace) -> int:
    """Write the files and say where, or print JSON. Raises CommandError."""
    settings = _settings(options)
    scope = _scope(options.scope)
    try:
        with closing(reading(config.store)) as db:
            policy, rules = read_policy(db), read_rules(db)
            cards = load_cards(config.cards.file, rules.by_id)
            zone = _zone(options.zone or policy.zone)
            name, start, end = _period(options, zone)
            asked = Asked(name, start, end, zone, scope, options.language, settings)
            log = read_log(db, start, end, (scope,))
    except (StoreError, CardsError) as error:
        raise CommandError(str(error)) from None
    if not log.places:
        raise CommandError(_nobody(scope))
    if log.known <= start:
        last = Wording("en", zone, {}).at(log.known)
        raise CommandError(f"nothing is known of {name}: the log ends at {last} ({zone})")
    report = make(log, policy, asked, titles(rules, cards, options.language))
    if options.json:
        print(json.dumps(report.plain(), ensure_ascii=False, indent=2))
    if options.out is not None or not options.json:
        folder = options.out if options.out is not None else Path(f"tillwatch-report-{asked.label}")
        _write(folder, report, said=not options.json)
    return DONE


def _period(options: argparse.Namespace, zone: str) -> tuple[str, int, int]:
    try:
        return period(options.month, options.since, options.until, zone, time.time_ns())
    except PeriodError as error:
        raise CommandError(str(error), USAGE) from None


def _nobody(scope: Scope) -> str:
    if scope == FLEET:
        return "no terminal is enrolled yet: tillwatch-collector enrol-token makes one known"
    return f"no terminal belongs to {scope.kind}:{scope.name}; tillwatch-collector terminals lists all with their branches and regions"


def _write(folder: Path, report: Report, *, said: bool) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in report.files().items():
            (folder / name).write_text(text, encoding="utf-8", newline="")
            if said:
                print(folder / name)
    except OSError as error:
        raise CommandError(f"{folder}: {error.strerror}; name a folder with --out that this user may write") from None


def _zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ValueError, OSError, KeyError):
        raise CommandError(
            f"{name!r} is no time zone; write one such as Asia/Shanghai or Europe/Berlin", USAGE
        ) from None


def _scope(text: str) -> Scope:
    kind, colon, name = text.partition(":")
    if text == FLEET.kind:
        return FLEET
    if kind not in KINDS[1:] or not colon or not name.strip():
        raise CommandError(
            f"{text!r} is no scope; write fleet, {', '.join(f'{kind}:NAME' for kind in KINDS[1:])}", USAGE
        )
    return Scope(kind, name)


def _settings(options: argparse.Namespace) -> Settings:
    if options.operators < 1:
        raise CommandError("--operators is a number of people, at least 1", USAGE)
    return Settings(_weights(options.weights) if options.weights is not None else FLAT, options.operators)


def _weights(path: Path) -> Sequence[float]:
    mend = f"write {HOURS_OF_WEEK} numbers into it, separated by spaces, commas or new lines, from Monday 00:00 on"
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_WEIGHTS)
        weights = [float(word) for word in re.split(r"[\s,;]+", text.strip())]
        Profile(weights)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}; {mend}", USAGE) from None
    except ValueError as error:
        raise CommandError(f"{path}: {error}; {mend}", USAGE) from None
    return weights
