"""Drives: a landmark every 720 power-on hours, at which a failure within the next 720 is predicted from SMART counters.

`drives.parquet` has a row for each stretch (tstart, tstop] of power-on hours in which no counter changed, with the values that held from tstart
on; `fails` where the drive failed at tstop. What only the whole life of a drive tells (max_hours, n_records, n_fails, the dates) is not used.
Every drive is scored by a model that saw neither it nor its calibration: 4 folds of drives, and out-of-fold calibration inside each.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.outside.judging import standard_error
from tillwatch.collector.learn import features as f
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


def panel_of(drives: Drives, chunk: int = 4000) -> Panel:
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
