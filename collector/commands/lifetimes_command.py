"""`tillwatch-collector lifetimes`: what the parts of a kind that ran to their end say of those that still run. It writes nothing."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from tillwatch.collector.commands.acting import reading
from tillwatch.collector.commands.moments import day_or_time
from tillwatch.collector.commands.output import DONE, FAILED, USAGE, CommandError, print_json, print_table
from tillwatch.collector.commands.progress import Progress
from tillwatch.collector.commands.train_command import needed
from tillwatch.collector.config import Config

if TYPE_CHECKING:
    from tillwatch.collector.learn.histories import History
    from tillwatch.collector.learn.lives_from_store import Found
    from tillwatch.collector.learn.part_lives import Life
    from tillwatch.collector.learn.remaining_life import RemainingLife, Settings
    from tillwatch.collector.learn.unseen import Unseen
    from tillwatch.collector.store.log import Fault

__all__ = ["CommandError", "run_lifetimes"]

MIN_LIVES = 20
"""Lives that ended, before anything is said: a range at 90 % is then drawn with two of them outside, and each model of the cross-validation knows sixteen. With
ten the range is that of the worst part there was, and no part that runs learns anything from it.
"""
AT_ONCE = 50
"""Running parts that are read and asked about together: the store is held no longer than that takes."""
SHOWN = 40
"""Parts on the screen; JSON has all."""
WALKED, READ, TAUGHT = 0.3, 0.4, 0.8
"""Shares of the time by which each step is done."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Lives: ended, with readings; running; cut_off: replaced before a fault, or out of service; broken: not renewed after a fault; silent: ended, without readings;
    left_out: ended, beyond the bound.
    """

    ended: int
    running: int
    cut_off: int = 0
    broken: int = 0
    silent: int = 0
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Foreseen:
    """likely, low, high: what is left, in the unit of the age; high is infinite where there is no upper end. moved: (signal, by how much)."""

    terminal: str
    component: str
    age: float
    likely: float
    low: float
    high: float
    moved: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """about: kind of part, or file; unit: of all ages; names: of the lives that were taught; unused: signals that were not learnt from; faults: of the log."""

    about: str
    unit: str
    counts: Counts
    signals: tuple[str, ...]
    cap: float
    level: float
    unseen: Unseen
    names: tuple[str, ...]
    parts: tuple[Foreseen, ...]
    unused: int = 0
    faults: Sequence[Fault] = ()


class _TooFewError(Exception):
    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self.counts = counts


def run_lifetimes(config: Config, options: argparse.Namespace) -> int:
    if (options.csv is None) == (options.component is None):
        raise CommandError("say either --component KIND, such as atm/CardReader, or --csv FILE", USAGE)
    if options.csv is not None and options.until:
        raise CommandError("--until is for the store; a file ends where it ends", USAGE)
    needed()
    from tillwatch.collector.learn.from_store import PastError  # noqa: PLC0415 - help should not wait for it
    from tillwatch.collector.learn.lives_from_file import LivesFileError  # noqa: PLC0415

    about, progress = str(options.csv or options.component), Progress()
    try:
        report = _sheet(options, progress) if options.csv is not None else _store(config, options, progress)
    except _TooFewError as error:
        progress.end()
        return _too_few(about, error.counts, as_json=options.json)
    except (PastError, LivesFileError) as error:
        raise CommandError(str(error)) from None
    finally:
        progress.end()
    if options.json:
        print_json(fields(report))
    else:
        show(report)
    return DONE


def _store(config: Config, options: argparse.Namespace, progress: Progress) -> Report:
    from tillwatch.collector.learn.lives_from_store import find, teaching  # noqa: PLC0415 - numpy
    from tillwatch.collector.learn.part_lives import BROKEN, CUT_OFF, RUNNING  # noqa: PLC0415
    from tillwatch.collector.predict.__main__ import tables_of  # noqa: PLC0415

    tables = tables_of(config)
    with reading(config) as reader:
        with reader.snapshot() as db:
            known = db.execute("SELECT coalesce(max(at), 0) FROM journal").fetchone()[0]
            until = min(known, day_or_time(options.until, "--until")) if options.until else known
            found = find(
                db, tables, options.component, until, options.signal or (),
                lambda _, share: progress.at("reading the log", WALKED * share),
            )  # fmt: skip
            taught = teaching(
                db, found, progress=lambda _, share: progress.at("reading lives", WALKED + (READ - WALKED) * share)
            )
        running = found.of(RUNNING)
        counts = Counts(
            len(taught.histories), len(running), len(found.of(CUT_OFF)), len(found.of(BROKEN)), taught.silent, taught.left_out
        )  # fmt: skip
        model = _fit(taught.histories, found.signals, counts, progress)
        parts: list[Foreseen] = []
        for begin in range(0, len(running), AT_ONCE):
            progress.at("asking about parts that run", TAUGHT + (1 - TAUGHT) * begin / len(running))
            with reader.snapshot() as db:
                asked = list(_histories(db, found, running[begin : begin + AT_ONCE]))
            parts += _foreseen(model, [(life.terminal, life.component, history) for life, history in asked])
    report = _report(options.component, "days", counts, model, taught.histories, parts)
    return replace(report, unused=found.unused, faults=found.faults)


def _histories(db: Any, found: Found, lives: Sequence[Life]) -> Iterator[tuple[Life, History]]:
    """Of those that told something."""
    from tillwatch.collector.learn.lives_from_store import history_of  # noqa: PLC0415 - numpy

    for life in lives:
        if (history := history_of(db, life, found.signals)) is not None:
            yield life, history


def _sheet(options: argparse.Namespace, progress: Progress) -> Report:
    from tillwatch.collector.learn.lives_from_file import read_lives  # noqa: PLC0415 - numpy

    read = read_lives(options.csv, options.signal or ())
    counts = Counts(len(read.ended), len(read.running))
    model = _fit(read.ended, read.signals, counts, progress)
    parts: list[Foreseen] = []
    for begin in range(0, len(read.running), AT_ONCE):
        progress.at("asking about parts that run", TAUGHT + (1 - TAUGHT) * begin / len(read.running))
        parts += _foreseen(model, [(each.part, "", each) for each in read.running[begin : begin + AT_ONCE]])
    return _report(str(options.csv), "", counts, model, read.ended, parts)


def _fit(histories: Sequence[History], signals: tuple[str, ...], counts: Counts, progress: Progress) -> RemainingLife:
    from tillwatch.collector.learn.remaining_life import fit  # noqa: PLC0415 - numpy

    if len(histories) < MIN_LIVES:
        raise _TooFewError(counts)
    settings = settings_of(signals)
    done = 0

    def told(what: str) -> None:
        nonlocal done
        progress.at(what, READ + (TAUGHT - READ) * done / (settings.folds + 1))
        done += 1

    return fit(histories, settings, told)


def settings_of(signals: tuple[str, ...]) -> Settings:
    from tillwatch.collector.learn.remaining_life import Settings  # noqa: PLC0415 - numpy

    return Settings(signals)


def _foreseen(model: RemainingLife, asked: Sequence[tuple[str, str, History]]) -> list[Foreseen]:
    said = model.predict([history for _, _, history in asked])
    return [
        Foreseen(
            terminal, component, float(history.age[-1]), float(said.median[i]), float(said.low[i]), float(said.high[i]),
            tuple((factor.sensor, factor.moved) for factor in said.factors[i]),
        )
        for i, (terminal, component, history) in enumerate(asked)
    ]  # fmt: skip


def _report(
    about: str, unit: str, counts: Counts, model: RemainingLife, histories: Sequence[History], parts: Sequence[Foreseen]
) -> Report:
    from tillwatch.collector.learn.unseen import judge  # noqa: PLC0415 - numpy

    ranked = sorted(parts, key=lambda each: (each.low, each.likely, each.terminal, each.component))
    return Report(
        about, unit, counts, model.settings.sensors, model.cap, model.settings.level, judge(model),
        tuple(each.part for each in histories), tuple(ranked),
    )  # fmt: skip


# What it says.


def _too_few(about: str, counts: Counts, *, as_json: bool) -> int:
    if as_json:
        print_json({"learnt": False, "about": about, "ended_needed": MIN_LIVES, "lives": _counted(counts)})
        return FAILED
    print(f"too little to learn from: {about} has {counts.ended} lives that ended, it takes {MIN_LIVES}")
    print(f"  {_others(counts)}")
    print(
        "a life ends with an alarm of hardware that no verdict took back; one that was cut off by a replacement does not tell how long it would have lasted"
    )
    return FAILED


def _counted(counts: Counts) -> dict[str, int]:
    return {
        "ended": counts.ended, "running": counts.running, "cut_off": counts.cut_off, "broken": counts.broken, "silent": counts.silent,
        "left_out": counts.left_out,
    }  # fmt: skip


def _others(counts: Counts) -> str:
    said = [f"{counts.running} still run"]
    for number, what in (
        (counts.cut_off, "cut off before a fault"),
        (counts.broken, "not replaced after a fault, and not foreseen"),
        (counts.silent, "more ended without any reading of these signals"),
        (counts.left_out, "more ended earlier than what fits into one training"),
    ):
        if number:
            said.append(f"{number} {what}")
    return "; ".join(said)


def fields(report: Report) -> dict[str, Any]:
    """For JSON. Ages and what is left in days, of a file in the unit of its ages; high is null where there is no upper end."""
    unseen = report.unseen
    return {
        "learnt": True, "about": report.about, "unit": report.unit or "age", "signals": list(report.signals), "signals_unused": report.unused, "lives": _counted(report.counts),
        "cap": _plain(report.cap), "level": report.level,
        "unseen": {
            "error": _plain(unseen.error), "usual_error": _plain(unseen.usual_error), "held": _plain(unseen.held),
            "parts": [
                {"part": report.names[each.index], "life": _plain(each.life), "error": _plain(each.error), "held": _plain(each.held)}
                for each in unseen.parts
            ],
        },
        "parts": [
            {
                "terminal": each.terminal, "component": each.component, "age": _plain(each.age), "likely": _plain(each.likely), "low": _plain(each.low),
                "high": _plain(each.high), "moved": [{"signal": signal, "by": _plain(by)} for signal, by in each.moved],
            }
            for each in report.parts
        ],
        "faults": [asdict(each) for each in report.faults],
    }  # fmt: skip


def _plain(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def show(report: Report) -> None:
    unseen, unit = report.unseen, f" {report.unit}".rstrip()
    lives = sorted(each.life for each in unseen.parts)
    print(
        f"{report.about}: {report.counts.ended} lives that ended, after {lives[0]:.3g} to {lives[-1]:.3g}{unit}; {_others(report.counts)}"
    )
    for fault in report.faults:
        print(f"the log has a {fault.what} at entry {fault.n}: {fault.text}")
    more = f"; and not from {report.unused} more that few of them measure" if report.unused else ""
    print(f"learnt from {', '.join(report.signals)}{more}")
    print(
        f"on lives that it did not know: off by {unseen.error:.3g}{unit} over the last {report.cap:.3g} (one figure for all parts: {unseen.usual_error:.3g}); the range at "
        f"{report.level:.0%} held {unseen.held:.0%} of the time"
    )
    if unseen.error >= unseen.usual_error:
        print("what is measured says nothing of the end that one figure for all would not say: do not plan by it")
    if not report.parts:
        print("no part still runs that told anything")
        return
    print(
        f"\nwhat is left of those that run, in {report.unit or 'the unit of the age'}; from {report.cap:.3g} on nothing is told apart"
    )
    store = any(each.component for each in report.parts)
    heads = ("TERMINAL", "COMPONENT") if store else ("UNIT",)
    print_table(
        (*heads, "AGE", "LIKELY", f"RANGE AT {report.level:.0%}", "MOVED BY"),
        [
            (
                *((each.terminal, each.component) if store else (each.terminal,)), f"{round(each.age, 1):g}",
                f"{each.likely:.3g}" if each.likely < report.cap else f"{report.cap:.3g} or more",
                f"{each.low:.3g} or more" if math.isinf(each.high) else f"{each.low:.3g} to {each.high:.3g}",
                ", ".join(f"{signal} {by:+.2g}" for signal, by in each.moved),
            )
            for each in report.parts[:SHOWN]
        ],
    )  # fmt: skip
    if len(report.parts) > SHOWN:
        print(f"and {len(report.parts) - SHOWN} more; --json has all")
