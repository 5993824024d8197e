"""`tillwatch-collector backtest`: what a rule, a detector or a model would have raised in the past, beside what the one in force raised, both against what
happened. It writes nothing.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tillwatch.collector.backtest import happened
from tillwatch.collector.backtest.judging import Episode, Faults, Span, Tally, judge
from tillwatch.collector.commands.acting import made, reading
from tillwatch.collector.commands.moments import day_or_time
from tillwatch.collector.commands.output import DONE, NS, USAGE, CommandError, print_json, print_table, value_text
from tillwatch.collector.commands.progress import Progress
from tillwatch.collector.config import Config, ConfigError
from tillwatch.collector.predict.finding import FAILURE, FAMILIES
from tillwatch.collector.predict.past import Told
from tillwatch.collector.store.db import Db
from tillwatch.collector.web.lines import stamp

if TYPE_CHECKING:
    from tillwatch.collector.backtest.engine_run import Found
    from tillwatch.collector.backtest.rule_run import Raised
    from tillwatch.collector.backtest.sheet import Sheet
    from tillwatch.collector.incident.incident_views import InForce
    from tillwatch.collector.predict.engine import Models
    from tillwatch.collector.predict.settings import Tables

__all__ = ["CommandError", "run_backtest"]

SHOWN = 40
"""Episodes on the screen; JSON has all."""
MODEL, PREDICTED = "model:", "predicted."


@dataclass(frozen=True, slots=True)
class Asked:
    """detector: of the predictions, empty where `rule` is of the alarm table; model: a file to go by, None for the one in use."""

    rule: str
    detector: str
    model: Path | None


@dataclass(frozen=True, slots=True)
class Report:
    """tried, stood: the one on trial, and the one in force, None where there was none to compare with. told: what was read."""

    asked: Asked
    span: Span
    tried: Tally
    stood: Tally | None
    told: Told | None
    labelled: bool = True


def asked_of(rule: str, model: Path | None) -> Asked:
    if rule.startswith(MODEL):
        return Asked(rule, FAILURE, Path(rule.removeprefix(MODEL)))
    if rule.removeprefix(PREDICTED) in FAMILIES:
        return Asked(rule, rule.removeprefix(PREDICTED), model)
    if rule.partition("/")[0] in FAMILIES and "/" in rule:
        return Asked(rule, rule, model)
    return Asked(rule, "", None)


def run_backtest(config: Config, options: argparse.Namespace) -> int:
    from tillwatch.collector.backtest.rule_run import TrialError  # noqa: PLC0415 - the fold: help should not wait for it
    from tillwatch.collector.backtest.sheet import SheetError  # noqa: PLC0415

    asked = asked_of(options.rule, options.model)
    if asked.detector and options.rules is not None:
        raise CommandError(f"--rules is for rules of the alarm table; {asked.rule} is judged by --predictions", USAGE)
    progress = Progress()
    try:
        report = _sheet(config, options, asked) if options.csv is not None else _past(config, options, asked, progress)
    except (TrialError, SheetError) as error:
        raise CommandError(str(error)) from None
    finally:
        progress.end()
    if options.json:
        print_json(fields(report))
    else:
        show(report)
    return DONE


def _text(path: Path | None, option: str) -> str:
    try:
        return path.read_text(encoding="utf-8") if path is not None else ""
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{option} {path}: {error}") from None


def _tables(config: Config, options: argparse.Namespace) -> Tables:
    from tillwatch.collector.predict.__main__ import tables_of  # noqa: PLC0415 - numpy

    if options.predictions is None:
        return tables_of(config)
    trial = replace(config, predictions=replace(config.predictions, file=options.predictions))
    try:
        return tables_of(trial)
    except ConfigError as error:
        raise CommandError(str(error)) from None


def _models(config: Config, asked: Asked) -> Models:
    from tillwatch.collector.learn.model_file import ModelFileError, load  # noqa: PLC0415 - scikit-learn
    from tillwatch.collector.learn.training import Trained  # noqa: PLC0415
    from tillwatch.collector.predict.engine import Models  # noqa: PLC0415
    from tillwatch.collector.predict.learnt import load_models  # noqa: PLC0415

    if asked.model is None:
        return load_models(config.models)
    try:
        trained = Trained.of(load(asked.model))
    except ModelFileError as error:
        raise CommandError(str(error)) from None
    return Models(hazard=trained.model)


# Over the stored history.


def _past(config: Config, options: argparse.Namespace, asked: Asked, progress: Progress) -> Report:
    if not options.since:
        raise CommandError("--from is missing: from which day on? Such as --from 2026-10-01", USAGE)
    since = day_or_time(options.since, "--from")
    until = day_or_time(options.until, "--to") if options.until else time.time_ns()
    if until <= since:
        raise CommandError("--to is not after --from", USAGE)
    with reading(config) as reader:
        in_force = reader.in_force()
        if options.terminal:
            try:
                reader.terminal(options.terminal)
            except KeyError:
                raise CommandError(f"no terminal {options.terminal}; see tillwatch-collector terminals") from None
        with reader.snapshot() as db:
            if asked.detector:
                return _detector(db, config, options, asked, in_force, since, until, progress)
            return _rule(db, options, asked, in_force, since, until, progress)


def _rule(
    db: Db, options: argparse.Namespace, asked: Asked, in_force: InForce, since: int, until: int, progress: Progress
) -> Report:  # fmt: skip
    from tillwatch.collector.backtest import trial  # noqa: PLC0415 - the fold

    text, terminal = _text(options.rules, "--rules"), options.terminal or ""
    found = trial.of_rule(
        db, in_force, text, asked.rule, since, until, terminal, lambda _, share: progress.at("folding the log", share)
    )
    return Report(asked, found.span, found.tried, found.stood, found.told)


def _detector(
    db: Db, config: Config, options: argparse.Namespace, asked: Asked, in_force: InForce, since: int, until: int, progress: Progress,
) -> Report:  # fmt: skip
    from tillwatch.collector.backtest import engine_run, trial  # noqa: PLC0415 - numpy

    tables, terminal = _tables(config, options), options.terminal or ""
    found = engine_run.run(
        db,
        tables,
        _models(config, asked),
        asked.detector,
        since,
        until,
        terminal,
        lambda _, share: progress.at("reading the log", share),
    )
    span = trial.span_of(db, found, since, until, tables.horizon_ns)
    faults = happened.faults(db, in_force.rules, asked.rule, since - tables.horizon_ns, span.known)
    stood = list(happened.found(db, asked.detector, since, until, terminal))
    kinds = {each.component.partition(":")[0] for each in (*found.episodes, *stood)}
    looked = [
        each for each in trial.others(faults, since, until, terminal) if each.component.partition(":")[0] in kinds
    ]
    judged = trial.judged(db, span, found, stood, faults, looked)
    return Report(asked, span, judged.tried, judged.stood, judged.told)


# Over a file.


def _sheet(config: Config, options: argparse.Namespace, asked: Asked) -> Report:
    from tillwatch.collector.backtest import rule_run, sheet  # noqa: PLC0415 - the fold, numpy
    from tillwatch.collector.backtest.trial import HORIZON_NS  # noqa: PLC0415 - as above

    found: Raised | Found
    if asked.detector:
        tables = _tables(config, options)
        horizon = tables.horizon_ns
        found, read = sheet.try_detector(
            options.csv, tables, _models(config, asked), asked.detector, options.signal or ""
        )
    else:
        rules = rule_run.trial(_rules(config), _text(options.rules, "--rules"), asked.rule)
        horizon = HORIZON_NS
        found, read = sheet.try_rule(options.csv, rules.by_id[asked.rule], options.signal or "", rules.reopen_ns)
    if not read.lines:
        raise CommandError(f"{options.csv}: has no readings")
    return _of_sheet(asked, found, read, horizon)


def _rules(config: Config) -> Any:
    """Those in force; those that ship where nothing was ever kept here."""
    from tillwatch.collector.alarm.rules import parse_rules  # noqa: PLC0415 - the other commands need none of it

    if not made(config):
        return parse_rules()
    with reading(config) as reader:
        return reader.in_force().rules


def _of_sheet(asked: Asked, found: Raised | Found, read: Sheet, horizon: int) -> Report:
    span = Span(read.since, read.until, read.until, len(read.terminals), horizon)
    tally = judge(
        found.episodes,
        Faults.of(read.faults),
        span,
        looked_at=read.faults,
        tickets=found.tickets,
        left_out=found.left_out,
    )
    return Report(asked, span, tally, None, None, labelled=read.labelled)


# What it says.


def fields(report: Report) -> dict[str, Any]:
    """For JSON."""
    span, told = report.span, report.told

    def table(tally: Tally | None) -> dict[str, Any] | None:
        return None if tally is None else {**tally.facts(), "list": [_episode(each) for each in tally.episodes]}

    return {
        "rule": report.asked.rule, "from": span.since, "to": span.until, "terminals": span.terminals, "terminal_years": round(span.terminal_years, 4),
        "horizon_days": span.horizon / (86_400 * NS), "labelled": report.labelled,
        "tried": table(report.tried), "in_force": table(report.stood),
        "read": None if told is None else {
            "entries": told.entries, "batches": told.batches, "terminals_by_the_hour": len(told.hourly),
            "faults": [asdict(each) for each in told.faults],
        },
    }  # fmt: skip


def _episode(each: Episode) -> dict[str, Any]:
    plain = asdict(each)
    del plain["lead"]
    return {
        **plain,
        "begun_at": plain.pop("begun"),
        "ended_at": plain.pop("ended"),
        "lead_days": None if each.lead is None else round(each.lead / (86_400 * NS), 3),
    }


def show(report: Report) -> None:
    span = report.span
    print(f"{report.asked.rule}, {stamp(span.since)} to {stamp(span.until)}, {span.terminals} terminals")
    if report.told is not None and report.told.hourly:
        print(
            f"sealed readings of {len(report.told.hourly)} terminals are not there any more: for that time it goes by the last reading of each hour, and what came "
            "and went within one is not seen"
        )
    for fault in report.told.faults if report.told is not None else ():
        print(f"the log has a {fault.what} at entry {fault.n}: {fault.text}")
    rows = [("on trial", report.tried), *([("in force then", report.stood)] if report.stood is not None else [])]
    print()
    print_table(
        ("", "RAISED", "RIGHT", "FALSE", "PREVENTED", "NOT KNOWN", "MISSED", "LEAD, MEDIAN", "FALSE A TERMINAL-YEAR", "TICKETS A WEEK"),
        [
            (name, str(len(t.episodes)), str(t.hits), str(t.false), str(t.prevented), str(t.unknown), f"{t.missed} of {t.faults}",
             "-" if t.lead_days is None else f"{t.lead_days:.2g} d", "-" if t.false_per_terminal_year is None else f"{t.false_per_terminal_year:.3g}",
             f"{sum(t.tickets.values()):.3g}")
            for name, t in rows
        ],
    )  # fmt: skip
    if not report.labelled:
        print("\nthe file has no column fault: nothing says which of them are right")
    if report.stood is not None:
        print(
            f"\n{report.tried.also} of those on trial were raised by the one in force, too; {report.stood.also} of its own are among those on trial"
        )
    for name, tally in rows:
        _show_branches(name, tally)
    for name, tally in rows:
        _show_episodes(name, tally)


def _show_branches(name: str, tally: Tally) -> None:
    ranked = sorted(tally.tickets.items(), key=lambda one: -one[1])
    if len(ranked) > 1:
        print(
            f"\ntickets a week, {name}: "
            + ", ".join(f"{branch or 'no branch'} {n:.3g}" for branch, n in ranked[:SHOWN])
        )


def _show_episodes(name: str, tally: Tally) -> None:
    if not tally.episodes:
        return
    print(f"\n{name}")
    print_table(
        ("  WHEN", "LASTED", "WHERE", "LEVEL", "VALUE", "WHAT BECAME OF IT", "LEAD"),
        [
            (f"  {stamp(e.begun)}", _lasted(e), f"{e.terminal} {e.component}", str(e.level), value_text(e.value, ""),
             e.outcome + ("" if e.told else ", demoted"), "" if e.lead is None else f"{e.lead / (86_400 * NS):.2g} d")
            for e in tally.episodes[:SHOWN]
        ],
    )  # fmt: skip
    if len(tally.episodes) > SHOWN or tally.left_out:
        print(f"  and {len(tally.episodes) - SHOWN + tally.left_out} more; --json has {len(tally.episodes)}")


def _lasted(episode: Episode) -> str:
    if not episode.ended:
        return "lasts"
    hours = (episode.ended - episode.begun) / (3600 * NS)
    return f"{hours / 24:.1f} d" if hours >= 48 else f"{hours:.1f} h"
