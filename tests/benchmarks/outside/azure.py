"""Machines: at the end of each day a failure on the next day is predicted from errors, replacements of components, failures and the daily means
of four sensors.

A folder of `daily.csv` and `PdM_errors.csv`, `PdM_failures.csv`, `PdM_machines.csv`, `PdM_maintenance.csv`. The model and its threshold come from
the first months (seven, where there are more; else seven eighths of the days), the score from the later ones. A replacement on the day of a
failure is that failure: it counts as known from its own hour on, as everything does, so never before the failure that it mends.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.options import progress as say
from tests.benchmarks.outside.judging import standard_error
from tillwatch.collector.learn import features as f
from tillwatch.collector.learn.hazard import Settings, choose, fit
from tillwatch.collector.learn.holdout import Ranked
from tillwatch.collector.learn.panel import DAY_NS, Panel, labels

MONTHS = 7
WARM_UP = 7 * DAY_NS
"""Left out at the start of the files: before it the counts of a week are those of the log, which begins there, not those of the machine."""
SENSORS = ("voltage", "rotation", "pressure", "vibration")
VIEW = f.View(windows=(1, 2, 3, 7, 30), lags=(1, 3), half_lives=(2, 20))

CANDIDATES = tuple(Settings(budget=0.15, leaf_rows=rows) for rows in (20, 10, 40))
"""Few failures in small leaves, or steadier large ones: the months that are trained on decide."""


def progress(what: str, share: float) -> None:
    say(f"{what}, {share:.0%}")


@dataclass(frozen=True)
class Machines:
    names: list[str]
    past: f.Past
    failed_machine: NDArray[np.int64]
    failed_at: NDArray[np.int64]
    first_day: int
    last_day: int


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def _ns(text: str) -> int:
    return int(np.datetime64(text, "ns").astype(np.int64))


def read(data: Path) -> Machines:
    machines = _table(data / "PdM_machines.csv")
    names = [row["machineID"] for row in machines]
    number = {name: index for index, name in enumerate(names)}

    def happenings(file: str, column: str, prefix: str) -> f.Happenings:
        rows = [row for row in _table(data / file) if row["machineID"] in number]
        kinds = tuple(sorted({row[column] for row in rows}))
        return f.Happenings(
            np.array([number[row["machineID"]] for row in rows], np.int64),
            np.array([_ns(row["datetime"]) for row in rows], np.int64),
            np.array([kinds.index(row[column]) for row in rows], np.int64),
            tuple(f"{prefix}{kind}" for kind in kinds),
        )

    errors = happenings("PdM_errors.csv", "errorID", "")
    failures = happenings("PdM_failures.csv", "failure", "failure of ")
    parts = happenings("PdM_maintenance.csv", "comp", "")
    daily = _table(data / "daily.csv")
    days = np.array([_ns(row["date"]) for row in daily], np.int64)
    telemetry = f.Telemetry(
        np.array([number[row["machineID"]] for row in daily], np.int64),
        days + DAY_NS - 1,  # the mean of a day is known at its end
        np.array([[float(row[f"mean_daily_{name}"] or "nan") for name in SENSORS] for row in daily], np.float32),
        SENSORS,
    )
    first, last = int(days.min()), int(days.max())
    born = np.array([first - float(row["age"]) * 365.25 * DAY_NS for row in machines])
    facts = f.Facts(born=born, words={"model": [row["model"] for row in machines]})
    return Machines(names, f.Past(errors, parts, telemetry, facts), failures.unit, failures.at, first, last)


def panel_of(machines: Machines) -> Panel:
    days = np.arange(machines.first_day, machines.last_day, DAY_NS)
    unit = np.tile(np.arange(len(machines.names)), len(days))
    at = np.repeat(days + DAY_NS - 1, len(machines.names))
    failed, known = labels(
        unit,
        at,
        failed_unit=machines.failed_machine,
        failed_at=machines.failed_at,
        horizon=DAY_NS,
        seen_until=machines.last_day + DAY_NS - 1,
    )
    panel = Panel(unit, at, f.features(machines.past, unit, at, VIEW), failed, DAY_NS, DAY_NS)
    return panel.rows(known).since(machines.first_day + WARM_UP)


def split(machines: Machines) -> int:
    """The first moment that is scored."""
    first, last = (np.datetime64(day, "ns").astype("datetime64[D]") for day in (machines.first_day, machines.last_day))
    months = first.astype("datetime64[M]") + MONTHS
    moment = months.astype("datetime64[D]")
    if moment > last:
        moment = first + int(((last - first).astype(int) + 1) * 7 / 8)
    return _ns(str(moment)) - 1


def run(data: Path, out: Path) -> dict[str, Any]:
    machines = read(data)
    panel = panel_of(machines)
    moment = split(machines)
    earlier, later = panel.before(moment), panel.since(moment)
    if not later.failed.any():
        raise ValueError(
            f"{data}: no failure in the part that is scored, from {str(np.datetime64(moment + 1, 'ns'))[:10]} on"
        )
    settings = choose(earlier, CANDIDATES, progress)
    hazard = fit(earlier, settings, progress).hazard
    chance = hazard.predict(later.features)
    raised = chance >= hazard.threshold.value

    def score(weights: NDArray[np.float64]) -> dict[str, float]:
        hits, false = float(weights[raised & later.failed].sum()), float(weights[raised & ~later.failed].sum())
        failures = float(weights[later.failed].sum())
        return {
            "f1": 2 * hits / (hits + false + failures) if hits + false + failures else float("nan"),
            "precision": hits / (hits + false) if hits + false else float("nan"),
            "recall": hits / failures if failures else float("nan"),
            "false_alarms_per_machine_year": false / (float(weights.sum()) * later.years_a_row),
        }

    def error(name: str) -> float:
        count = len(machines.names)
        return standard_error(
            count, lambda drawn: score(np.bincount(drawn, minlength=count)[later.unit].astype(float))[name]
        )

    counts = [column for column, name in enumerate(later.features.names) if name.endswith("count 1 d")]
    today = later.features.values[:, counts].any(axis=1)
    rows = sorted(range(len(later)), key=lambda row: (later.unit[row], later.at[row]))
    with (out / "azure.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["machineID", "day", "probability", "alarm", "failed_next_day"])
        for row in rows:
            day = str(np.datetime64(int(later.at[row]), "ns"))[:10]
            writer.writerow(
                [machines.names[later.unit[row]], day, f"{chance[row]:.6f}", int(raised[row]), int(later.failed[row])]
            )
    return {
        **score(np.ones(len(later))),
        "standard_error": {name: error(name) for name in ("f1", "false_alarms_per_machine_year")},
        "auc": Ranked(chance, later.failed).auc(np.ones(len(later))),
        "threshold": hazard.threshold.value,
        "budget_per_machine_year": settings.budget,
        "out_of_fold": {
            "recall": hazard.threshold.recall,
            "precision": hazard.threshold.precision,
            "false_alarms_per_machine_year": hazard.threshold.false_alarms,
        },
        "rule_an_error_today": {
            "recall": float((today & later.failed).sum() / later.failed.sum()),
            "precision": float((today & later.failed).sum() / max(int(today.sum()), 1)),
        },
        "trained": {"rows": len(earlier), "failures": int(earlier.failed.sum())},
        "scored": {
            "from": str(np.datetime64(moment + 1, "ns"))[:10],
            "machine_days": len(later),
            "failures": int(later.failed.sum()),
            "false_alarms": int((raised & ~later.failed).sum()),
            "missed": int((~raised & later.failed).sum()),
        },
        "configurations_tried": len(CANDIDATES),
        "chosen": {"leaf_rows": settings.leaf_rows},
        "choice": "least rows of a leaf by the average precision out of fold, by machine, and the threshold by the budget, out of fold: "
        "both on the months that are trained on",
    }
