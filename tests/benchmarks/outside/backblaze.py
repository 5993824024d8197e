"""Drives: a landmark every 720 power-on hours, at which a failure within the next 720 is predicted from SMART counters.

`drives.parquet` has a row for each stretch (tstart, tstop] of power-on hours in which no counter changed, with the values that held from tstart
on; `fails` where the drive failed at tstop. What only the whole life of a drive tells (max_hours, n_records, n_fails, the dates) is not used.
Every drive is scored by a model that saw neither it nor its calibration: four folds of drives, and out-of-fold calibration inside each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.options import progress as say
from tests.benchmarks.outside.judging import standard_error
from tillwatch.collector.learn import features as f
from tillwatch.collector.learn.calibration import logistic, probability, slope
from tillwatch.collector.learn.hazard import Settings, choose, fit, folds, thinned
from tillwatch.collector.learn.holdout import Ranked
from tillwatch.collector.learn.panel import Features, Panel, labels

FILE = "drives.parquet"
COUNTERS = (
    "smart_5",
    "smart_10",
    "smart_12",
    "smart_187",
    "smart_188",
    "smart_189",
    "smart_196",
    "smart_197",
    "smart_198",
)
LANDMARK_HOURS = 720
DAY_HOURS = 24
VIEW = f.View(windows=(30, 90, 360), lags=(30, 90), half_lives=(30, 180), rises=True, day=DAY_HOURS)

FOLDS = 4
SEED = 20130410
CANDIDATES = tuple(Settings(rows=150_000, folds=2, leaves=leaves, seed=1) for leaves in (31, 15))
"""Two inner folds: with thousands of failures each half is enough to calibrate by, and five would cost the minutes of a second run."""
RATES = (0.001, 0.005, 0.01)
RESAMPLES = 60
ERROR_ROWS = BASELINE_ROWS = 100_000
CONFIGURATIONS = 11 + len(CANDIDATES)
CHOICE = (
    "leaves of a tree by the average precision out of fold, inside each outer fold, on its own drives. While the learner was written, weighting "
    "against thinning with an offset, 8 to 63 leaves, rates of learning, held features and 100,000 against 200,000 rows (11 configurations) "
    "were looked at on splits by drive of the development data, and the log loss as the measure of the choice."
)


@dataclass(frozen=True)
class Drives:
    """Rows in order of drive and hour; of a drive (by its number): its serial, model, size, last hour and whether it failed then."""

    drive: NDArray[np.int64]
    start: NDArray[np.int64]
    values: NDArray[np.float32]
    serial: list[str]
    model: list[str]
    size: NDArray[np.float64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    failed: NDArray[np.bool_]


def read(data: Path) -> Drives:
    import pyarrow.parquet as pq

    columns = ["serial_number", "model", "size_tb", "tstart", "tstop", "fails", *COUNTERS]
    table = pq.read_table(data / FILE, columns=columns)
    serial = np.asarray(table["serial_number"].cast("string").to_pylist(), object)
    start, stop = (table[name].to_numpy().astype(np.int64) for name in ("tstart", "tstop"))
    names, drive = np.unique(serial.astype(str), return_inverse=True)
    order = np.lexsort((start, drive))
    drive, start, stop = drive[order].astype(np.int64), start[order], stop[order]
    begins = np.flatnonzero(np.r_[True, drive[1:] != drive[:-1]])
    ends = np.r_[begins[1:], len(drive)] - 1
    fails = table["fails"].to_numpy()[order] > 0
    model = table["model"].cast("string").to_pylist()
    return Drives(
        drive,
        start,
        np.stack([table[name].to_numpy().astype(np.float32)[order] for name in COUNTERS], axis=1),
        names.tolist(),
        [model[order[row]] for row in begins],
        table["size_tb"].to_numpy()[order][begins],
        start[begins],
        stop[ends],
        fails[ends],
    )


def panel_of(drives: Drives) -> Panel:
    """Landmarks at whole multiples of 720 hours from the first hour seen to the last; those whose next 720 hours nobody saw are left out."""
    lowest, highest = -(-drives.first // LANDMARK_HOURS), -(-drives.last // LANDMARK_HOURS)
    count = np.maximum(highest - lowest, 0)
    unit = np.repeat(np.arange(len(count)), count)
    step = np.arange(len(unit)) - np.repeat(np.cumsum(count) - count, count)
    at = (np.repeat(lowest, count) + step) * LANDMARK_HOURS
    broke = np.flatnonzero(drives.failed)
    failed, known = labels(
        unit, at, failed_unit=broke, failed_at=drives.last[broke], horizon=LANDMARK_HOURS, seen_until=drives.last
    )
    unit, at, failed = unit[known], at[known], failed[known]
    telemetry = f.Telemetry(drives.drive, drives.start, drives.values, COUNTERS)
    changes = f.Happenings(drives.drive, drives.start, np.zeros(len(drives.drive), np.int64), ("change",))
    facts = f.Facts(born=np.zeros(len(drives.model)), words={"model": drives.model}, numbers={"size": drives.size})
    past = f.Past(events=changes, telemetry=telemetry, facts=facts)
    table = f.features(past, unit, at, VIEW)
    return Panel(unit, at, table, failed, LANDMARK_HOURS, LANDMARK_HOURS, DAY_HOURS)


@dataclass(frozen=True)
class Scored:
    panel: Panel
    chance: NDArray[np.float64]
    logistic: NDArray[np.float64]
    rule: NDArray[np.float64]
    leaves: list[int]


def cross_fitted(panel: Panel) -> Scored:
    fold = folds(panel.unit, panel.failed, FOLDS, np.random.default_rng(SEED))
    plain = baseline_columns(panel.features)
    chance, baseline = np.zeros(len(panel)), np.zeros(len(panel))
    chosen: list[int] = []
    for index in range(FOLDS):
        held = fold == index

        def told(what: str, share: float, index: int = index) -> None:
            say(f"fold {index + 1} of {FOLDS}: {what}, {share:.0%}")

        others = panel.rows(~held)
        settings = choose(others, CANDIDATES, told)
        hazard = fit(others, settings, told).hazard
        chosen.append(settings.leaves)
        chance[held] = hazard.predict(panel.features.rows(held))
        rows, weights = thinned(others.failed, BASELINE_ROWS, np.random.default_rng(SEED))
        found = logistic(plain[~held][rows], others.failed[rows], weights)
        baseline[held] = probability(plain[held] @ found)
    return Scored(panel, chance, baseline, five_attributes(panel.features), chosen)


def baseline_columns(features: Features) -> NDArray[np.float64]:
    """Of the logistic regression that is compared with: the logarithm of each counter, whether it is reported, and the age."""
    now = [features.values[:, features.names.index(f"{name} now")].astype(np.float64) for name in COUNTERS]
    age = features.values[:, features.names.index("age")].astype(np.float64) / 365.25
    return np.column_stack(
        [
            *(np.log1p(np.nan_to_num(value)) for value in now),
            *(np.isnan(value) for value in now),
            age,
            np.ones(len(age)),
        ]
    )


def five_attributes(features: Features) -> NDArray[np.float64]:
    """The rule that Backblaze itself published: how many of SMART 5, 187, 188, 197, 198 are above 0."""
    return np.sum(
        [features.values[:, features.names.index(f"smart_{n} now")] > 0 for n in (5, 187, 188, 197, 198)],
        axis=0,
        dtype=np.float64,
    )


def figures(score: NDArray[np.float64], failed: NDArray[np.bool_]) -> dict[str, Any]:
    ranked, one = Ranked(score, failed), np.ones(len(score))
    found: dict[str, Any] = {"auc": ranked.auc(one), "ap": ranked.average_precision(one)}
    for rate in RATES:
        recall, realised = ranked.recall_at(rate, one)
        found[f"recall_at_{rate:.1%}_false_alarms"] = recall
        found[f"realised_{rate:.1%}"] = realised
    return found


def run(data: Path, out: Path) -> dict[str, Any]:
    drives = read(data)
    say(f"{len(drives.serial)} drives, {int(drives.failed.sum())} failed")
    panel = panel_of(drives)
    if np.unique(panel.unit[panel.failed]).size < 2 * FOLDS:
        raise ValueError(f"{data / FILE}: fewer than {2 * FOLDS} failures within {LANDMARK_HOURS} hours of a landmark")
    scored = cross_fitted(panel)
    write(out, drives, scored)
    return report(drives, scored)


def report(drives: Drives, scored: Scored) -> dict[str, Any]:
    panel, chance = scored.panel, scored.chance
    top = np.argsort(-chance, kind="stable")[: max(len(chance) // 10, 1)]
    ranked, count = Ranked(chance, panel.failed), len(drives.serial)
    bent = slope(chance, panel.failed)
    rows, weights = thinned(panel.failed, ERROR_ROWS, np.random.default_rng(SEED))

    def drawn(units: NDArray[np.intp]) -> NDArray[np.float64]:
        return np.bincount(units, minlength=count).astype(np.float64)

    def error(statistic: Callable[[NDArray[np.intp]], float]) -> float:
        return standard_error(count, statistic, resamples=RESAMPLES)

    say("standard errors")
    return {
        **figures(chance, panel.failed),
        "calibration_slope": float(bent[0]),
        "calibration_offset": float(bent[1]),
        "top_decile": {
            "said": float(chance[top].mean()),
            "seen": float(panel.failed[top].mean()),
            "said_over_seen": float(chance[top].sum() / max(int(panel.failed[top].sum()), 1)),
        },
        "standard_error": {
            "ap": error(lambda units: ranked.average_precision(drawn(units)[panel.unit])),
            "recall_at_1.0%_false_alarms": error(lambda units: ranked.recall_at(0.01, drawn(units)[panel.unit])[0]),
            "calibration_slope": error(
                lambda units: float(
                    slope(chance[rows], panel.failed[rows], weights * drawn(units)[panel.unit[rows]], bent)[0]
                )
            ),
        },
        "compared_with": {
            "hazard_logistic_regression": figures(scored.logistic, panel.failed),
            "five_attribute_rule": figures(scored.rule, panel.failed),
        },
        "scored": {"drives": count, "landmarks": len(panel), "failures_within_720_h": int(panel.failed.sum())},
        "split": f"{FOLDS} folds of drives: each drive is scored by a model, and a calibration, made from the others",
        "configurations_tried": CONFIGURATIONS,
        "chosen": {"leaves": scored.leaves},
        "choice": CHOICE,
    }


def write(out: Path, drives: Drives, scored: Scored) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    panel = scored.panel
    table = pa.table(
        {
            "serial_number": pa.DictionaryArray.from_arrays(panel.unit.astype(np.int32), drives.serial),
            "hours": panel.at,
            "probability": scored.chance,
            "failed_within_720_h": panel.failed,
        }
    )
    pq.write_table(table, out / "backblaze.parquet")
