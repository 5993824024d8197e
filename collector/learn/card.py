"""What a model is, for the one who answers for it: what it was trained on, how it did on what came later, what it costs in false alarms, where it
must not be trusted. Plain values, stored with the model, and a page of Markdown made of them.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tillwatch.collector.learn.holdout import Measure, scaled

LIBRARIES = ("scikit-learn", "numpy", "skops")
TITLES = {
    "auc": "ranks a failure above another row (AUC)",
    "ap": "average precision",
    "precision": "episodes that were followed by a failure",
    "recall": "failures that an episode announced",
    "false_alarms": "false episodes a unit and year",
    "false_alarms_terminal": "false episodes a terminal and year",
    "calibration_slope": "calibration slope (1: as sure as right; below 1: too sure)",
    "calibration_ratio": "failures said / failures seen",
}


def measures(found: Mapping[str, Measure], share: float) -> dict[str, dict[str, float | None]]:
    """share: units a terminal. Not defined is None: a card is also JSON, which knows no nan."""
    shown = dict(found) | {"false_alarms_terminal": scaled(found["false_alarms"], share)}
    return {
        name: {"value": _number(one.value), "low": _number(one.low), "high": _number(one.high)}
        for name, one in shown.items()
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def libraries() -> dict[str, str]:
    """Versions that a model was made with: another one may not read it, or predict otherwise."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def when(ns: int) -> str:
    """UTC, to the minute."""
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="minutes")


def markdown(card: Mapping[str, Any]) -> str:
    """The page of a card made by training.train."""
    learnt, holdout, alarm = card["trained_on"], card["holdout"], card["alarm"]
    lines = [
        f"# Failure within {card['horizon_days']:g} days",
        "",
        card["method"],
        "",
        "## Trained on",
        "",
        f"- from {learnt['from']} to {learnt['to']}",
        f"- {learnt['units']} units, {learnt['rows']} rows ({learnt['rows used']} used), {learnt['failures']} failures",
        f"- {len(card['features'])} features of {len(card['subjects'])} subjects: {', '.join(card['subjects'])}",
        "",
        "## On what came later",
        "",
    ]
    if holdout is None:
        lines += ["Not judged: there is too little data to keep some back.", ""]
    else:
        lines += [
            (
                f"A model trained until {holdout['from']}, judged on {holdout['rows']} rows with {holdout['failures']} failures from then to "
                f"{holdout['to']}, in which it told of {holdout['episodes']} episodes. Beside it the fixed rule on the same rows. Intervals: nine of ten draws of the same units with replacement."
            ),
            "",
            "| measure | value | from | to | fixed rule |",
            "|---|---|---|---|---|",
            *(
                f"| {title} | {_said(one['value'])} | {_said(one['low'])} | {_said(one['high'])} | {_said(rule['value'])} |"
                for name, title in TITLES.items()
                for one, rule in [(holdout["measures"][name], holdout["fixed_rule"][name])]
            ),
            "",
        ]
    lines += [
        "## Alarm",
        "",
        f"- budget: {alarm['budget']:.3g} false {alarm['counted']} a unit and year, {alarm['budget_terminal']:.3g} a terminal and year",
        f"- at a probability of {alarm['threshold']:.4g} or above"
        if alarm["threshold"] <= 1
        else "- never: no threshold keeps the budget",
        (
            f"- on rows of units not learnt from: {_said(alarm['false_alarms'])} false {alarm['counted']} a unit and year, recall {_said(alarm['recall'])}, "
            f"precision {_said(alarm['precision'])}"
        ),
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in card["limits"]),
        "",
        "## Made with",
        "",
        *(f"- {name} {number}" for name, number in card["libraries"].items()),
        *(f"- {name}: {value}" for name, value in card["settings"].items()),
        "",
    ]
    return "\n".join(lines)


def _said(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3g}"
