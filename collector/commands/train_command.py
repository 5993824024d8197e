"""`tillwatch-collector train`: a model of failures out of this collector's own history, judged on what came last, saved with its card. The predictions go on
with it within some minutes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tillwatch.collector.commands.acting import reading
from tillwatch.collector.commands.moments import day_or_time, length
from tillwatch.collector.commands.output import DONE, FAILED, NS, USAGE, CommandError, print_json
from tillwatch.collector.commands.progress import Progress
from tillwatch.collector.config import Config

if TYPE_CHECKING:
    from tillwatch.collector.learn.from_store import FromStore, Scope
    from tillwatch.collector.learn.training import Trained
    from tillwatch.collector.predict.settings import Tables

__all__ = ["CommandError", "run_train"]

DAY_NS = 86_400 * NS
ROWS = 100_000
"""That are taught at once, all failures among them: twelve models are fitted for the holdout and the folds, and twice the rows take twice the minutes."""
LONGEST = 90 * DAY_NS
"""A failure that is told three months ahead is told of nearly every part."""


def run_train(config: Config, options: argparse.Namespace) -> int:
    needed()
    from tillwatch.collector.learn.from_store import PastError, Scope, panel_of  # noqa: PLC0415 - help should not wait for it
    from tillwatch.collector.learn.hazard import enough  # noqa: PLC0415
    from tillwatch.collector.learn.model_file import ModelFileError  # noqa: PLC0415
    from tillwatch.collector.learn.training import train  # noqa: PLC0415
    from tillwatch.collector.predict.__main__ import tables_of  # noqa: PLC0415
    from tillwatch.collector.predict.failures import telling  # noqa: PLC0415

    tables, progress = tables_of(config), Progress()
    horizon = length(options.horizon, "--horizon") if options.horizon else tables.horizon_ns
    if not DAY_NS <= horizon <= LONGEST:
        raise CommandError(f"--horizon is from 1d to {LONGEST // DAY_NS}d", USAGE)
    try:
        with reading(config) as reader, reader.snapshot() as db:
            known = db.execute("SELECT coalesce(max(at), 0) FROM journal").fetchone()[0]
            until = min(known, day_or_time(options.until, "--until")) if options.until else known
            scope = Scope(until, horizon, tuple(options.component or ()))
            found = panel_of(db, tables, scope, lambda _, share: progress.at("reading the log", 0.5 * share))
        if not enough(found.panel):
            progress.end()
            return _too_little(found, scope, as_json=options.json)
        settings = _settings(tables, found)
        trained = train(
            found.panel,
            telling(tables),
            settings,
            terminals=found.terminals,
            progress=lambda what, share: progress.at(what, 0.5 + 0.5 * share),
        )
        progress.end()
        path = options.out or config.models / _name()
        card = {**trained.card, "history": _history(found, scope)}
        _save(path, trained, card)
    except PastError as error:
        progress.end()
        raise CommandError(str(error)) from None
    except (ModelFileError, OSError) as error:
        progress.end()
        raise CommandError(f"the model cannot be saved: {error}") from None
    _say(path, card, as_json=options.json)
    return DONE


def needed() -> None:
    """Raises CommandError where the libraries are not there."""
    from importlib.util import find_spec  # noqa: PLC0415

    missing = [
        name
        for name, module in (("scikit-learn", "sklearn"), ("skops", "skops"), ("numpy", "numpy"))
        if find_spec(module) is None
    ]
    if missing:
        raise CommandError(f"training needs {', '.join(missing)}: pip install 'tillwatch[collector]'")


def _name() -> str:
    from tillwatch.collector.predict.learnt import HAZARD  # noqa: PLC0415

    return HAZARD


def _settings(tables: Tables, found: FromStore) -> Any:
    """The budget of the tables is of a terminal, that of a model of a unit."""
    from tillwatch.collector.learn.hazard import Settings  # noqa: PLC0415

    units = max(len(found.units), 1)
    return Settings(budget=tables.failure_budget * found.terminals / units, rows=ROWS)


def _history(found: FromStore, scope: Scope) -> dict[str, Any]:
    return {
        "terminals": found.terminals,
        "terminals of the fleet": found.of,
        "days between looks": found.every,
        "kinds": list(scope.kinds),
        "entries of the log": found.told.entries,
    }


def _too_little(found: FromStore, scope: Scope, *, as_json: bool) -> int:
    """What is missing."""
    import numpy as np  # noqa: PLC0415

    from tillwatch.collector.learn.hazard import MIN_FAILED_UNITS, MIN_FAILURES, failures  # noqa: PLC0415

    panel = found.panel
    seen, units = failures(panel), len(np.unique(panel.unit[panel.failed]))
    if as_json:
        print_json({
            "trained": False, "failures": seen, "failures_needed": MIN_FAILURES, "failed_units": units, "failed_units_needed": MIN_FAILED_UNITS,
            "rows": len(panel), "history": _history(found, scope),
        })  # fmt: skip
        return FAILED
    print(f"too little to learn from: {seen} failures of {units} parts in {len(panel)} part-days looked at")
    if seen < MIN_FAILURES:
        print(
            f"  {MIN_FAILURES - seen} failures are missing: {MIN_FAILURES} is the least from which more than chance can be learnt"
        )
    if units < MIN_FAILED_UNITS:
        print(
            f"  {MIN_FAILED_UNITS - units} parts that failed are missing: {MIN_FAILED_UNITS} different ones, or it learns one bad part"
        )
    print(
        "the fixed rule goes on in its place. Failures count from alarms of hardware and from verdicts: resolve incidents with one, and train again later"
    )
    return FAILED


def _save(path: Path, trained: Trained, card: dict[str, Any]) -> None:
    from tillwatch.collector.learn import model_file  # noqa: PLC0415
    from tillwatch.collector.learn.card import markdown  # noqa: PLC0415

    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(card), encoding="utf-8")
    # The model comes last: whoever sees it has its card beside it.
    model_file.save(path, trained.file())


def _say(path: Path, card: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json({"trained": True, "model": str(path), "card": card})
        return
    learnt, holdout, alarm = card["trained_on"], card["holdout"], card["alarm"]
    print(
        f"learnt from {learnt['failures']} failures in {learnt['rows']} looks at {learnt['units']} parts, {learnt['from']} to {learnt['to']}"
    )
    if holdout is None:
        print("not judged: too few failures in the first part of the time to keep the last part back")
    else:
        measured = holdout["measures"]
        shown = ", ".join(
            f"{name} {measured[key]['value']:.3g}"
            for name, key in (
                ("AUC", "auc"),
                ("precision of episodes", "precision"),
                ("recall", "recall"),
                ("false a terminal and year", "false_alarms_terminal"),
                ("calibration slope", "calibration_slope"),
            )
            if measured[key]["value"] is not None
        )
        print(f"on what came later, from {holdout['from']}: {holdout['failures']} failures, {shown}")
    print(
        f"tells of a part from a probability of {alarm['threshold']:.3g} on"
        if alarm["threshold"] <= 1
        else "tells of none: no threshold keeps the budget of false alarms"
    )
    print(f"{path}\n{path.with_suffix('.md')}: its card\na running collector goes on with it within some minutes")
