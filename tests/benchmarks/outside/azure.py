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

import numpy as np
from numpy.typing import NDArray

from tillwatch.collector.learn import features as f
from tillwatch.collector.learn.panel import DAY_NS, Panel, labels

MONTHS = 7
SENSORS = ("voltage", "rotation", "pressure", "vibration")
VIEW = f.View(windows=(1, 2, 3, 7, 30), lags=(1, 3), half_lives=(2, 20))


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
    return Panel(unit, at, f.features(machines.past, unit, at, VIEW), failed, DAY_NS, DAY_NS).rows(known)
