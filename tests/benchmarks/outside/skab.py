"""SKAB (waico/SKAB): a test bench of valves, eight signals a second, faults that last. Every CSV below the folder that has a column `anomaly` counts;
what lies in a folder `anomaly-free` is only checked for false alarms.

The first 400 rows of a file are learnt, the rest is judged row by row, causally. Scores are pooled over rows without any adjustment of
points. The one thing that is chosen, the threshold, is chosen for each file on the other
files.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.outside.judging import standard_error
from tillwatch.collector.detect.multivariate import LEARN, MAX_SIGNALS, DeviceDistances, Distances, Setting

TRAIN = 400
PIECE = 1150
"""Rows of an anomaly-free file that are run as one file: the usual length of the files with faults."""
LIMITS = (4.5, 5.0, 5.5, 6.0, 6.5, 7.0, 7.5, 8.0, 9.0)
"""Around the default of 7, far enough for a bench whose faults are smaller or whose drift is larger."""
DESIGNED = "about 350 variants of the detector, each at 9 to 22 thresholds, were scored on the 14 files of `other`"

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Recording:
    """One file: (rows, signals) and whether each row is anomalous, or None where nothing is labelled."""

    name: str
    signals: tuple[str, ...]
    values: NDArray[np.float64]
    anomalous: NDArray[np.bool_] | None


def run(data: Path, out: Path) -> dict[str, Any]:
    """Scores of the folder. Raises ValueError where it holds no labelled file that is long enough."""
    found = recordings(data)
    labelled = [recording for recording in found if recording.anomalous is not None and len(recording.values) > TRAIN]
    free = [piece for recording in found if recording.anomalous is None for piece in pieces(recording)]
    if not labelled:
        raise ValueError(f"no file below {data} has a column `anomaly` and more than {TRAIN} rows")
    settings = [Setting(limit=limit) for limit in LIMITS]
    judged = []
    for number, setting in enumerate(settings, 1):
        print(f"skab: setting {number} of {len(settings)}, {len(labelled)} files", file=sys.stderr)
        judged.append(judge(labelled, setting))
    table = np.array([[tally(*pair) for pair in zip(said, labelled, strict=True)] for said in judged])
    chosen = [choice(np.delete(table, left_out, axis=1)) for left_out in range(len(labelled))]
    crossed = np.array([table[chosen[file], file] for file in range(len(labelled))])
    usual = judged[LIMITS.index(Setting().limit)]
    default = table[LIMITS.index(Setting().limit)]
    for file, recording in enumerate(labelled):
        write(out / (recording.name.replace("/", "-") + ".csv"), recording, judged[chosen[file]][file], usual[file])
    return {
        **stated(crossed.sum(axis=0)),
        "se": standard_error(len(crossed), lambda drawn: scores(crossed[drawn].sum(axis=0))["f1"]),
        "se_far": standard_error(len(crossed), lambda drawn: scores(crossed[drawn].sum(axis=0))["far"]),
        "choice": "the limit, for each file on the others: the best F1 together with both neighbouring limits"
        if len(labelled) > 1
        else "the default setting: one file leaves none to choose on",
        "configurations_tried": len(settings),
        "configurations_tried_in_design": DESIGNED,
        "default": {
            **stated(default.sum(axis=0)),
            "se": standard_error(len(default), lambda drawn: scores(default[drawn].sum(axis=0))["f1"]),
            "limit": Setting().limit,
        },
        "limits": {str(limit): stated(one.sum(axis=0)) for limit, one in zip(LIMITS, table, strict=True)},
        "anomaly_free_far": false_alarms(free) if free else None,
        "files": {
            recording.name: {
                **stated(crossed[file]),
                "limit": settings[chosen[file]].limit,
                "default": stated(default[file]),
            }
            for file, recording in enumerate(labelled)
        },
    }


def recordings(data: Path) -> list[Recording]:
    """All files below, by name. Raises ValueError where a field is not a number, with the file and its line."""
    found = []
    for path in sorted(data.rglob("*.csv")):
        with path.open(encoding="utf-8", newline="") as lines:
            reader = csv.reader(lines, delimiter=";")
            header = next(reader, [])
            signals = [name for name in header if name not in ("datetime", "anomaly", "changepoint")]
            labelled = "anomaly" in header
            if not signals or not (labelled or "anomaly-free" in path.relative_to(data).parts):
                continue
            if len(signals) > MAX_SIGNALS:
                raise ValueError(f"{path}: {len(signals)} signals, a device is judged by {MAX_SIGNALS} at most")
            rows = []
            for row in reader:
                named = dict(zip(header, row, strict=False))
                try:
                    rows.append([float(named[name] or "nan") for name in (*signals, *(["anomaly"] * labelled))])
                except (KeyError, ValueError) as error:
                    raise ValueError(f"{path}:{reader.line_num}: not a row of numbers: {error}") from error
        table = np.array(rows, dtype=np.float64).reshape(len(rows), len(signals) + labelled)
        values = table[:, : len(signals)]
        free = "anomaly-free" in path.relative_to(data).parts
        anomalous = table[:, -1] > 0.5 if labelled and not free else None
        found.append(Recording(str(path.relative_to(data).with_suffix("")), tuple(signals), values, anomalous))
    return found


def pieces(recording: Recording) -> list[Recording]:
    """An anomaly-free recording as files of the usual length."""
    starts = range(0, max(len(recording.values) - PIECE, 0) + 1, PIECE - TRAIN)
    cut = [recording.values[start : start + PIECE] for start in starts]
    return [Recording(recording.name, recording.signals, values, None) for values in cut if len(values) > TRAIN]


def judge(files: Sequence[Recording], setting: Setting) -> list[Distances]:
    """What the product says of each row of each file: the files run side by side as devices of one fleet."""
    assert LEARN == TRAIN
    width = max(recording.values.shape[1] for recording in files)
    longest = max(len(recording.values) for recording in files)
    padded = np.full((longest, len(files), width), np.nan)
    for device, recording in enumerate(files):
        padded[: len(recording.values), device, : recording.values.shape[1]] = recording.values
    lengths = np.array([len(recording.values) for recording in files])
    fleet = DeviceDistances(len(files), width, setting)
    kept = Distances(
        np.zeros((longest, len(files)), bool),
        np.full((longest, len(files)), np.nan, np.float32),
        np.ones((longest, len(files)), np.float32),
        np.zeros((longest, len(files)), bool),
        np.zeros((longest, len(files), width), np.float32),
    )
    for tick, rows in enumerate(padded):
        which = np.flatnonzero(lengths > tick)
        said = fleet.step(which, rows[which])
        for name in ("known", "t2", "p", "fired", "contributions"):
            getattr(kept, name)[tick, which] = getattr(said, name)
    return [
        Distances(*(getattr(kept, name)[:length, device] for name in ("known", "t2", "p", "fired", "contributions")))
        for device, length in enumerate(lengths)
    ]


def tally(said: Distances, recording: Recording) -> Counts:
    """True and false positives, false and true negatives of the judged rows."""
    assert recording.anomalous is not None
    fired, anomalous = said.fired[TRAIN:], recording.anomalous[TRAIN:]
    return np.array(
        [
            (fired & anomalous).sum(),
            (fired & ~anomalous).sum(),
            (~fired & anomalous).sum(),
            (~fired & ~anomalous).sum(),
        ]
    )


def stated(counts: Counts) -> dict[str, float | None]:
    """The scores as JSON has them: null where there is nothing to score."""
    return {name: None if math.isnan(score) else score for name, score in scores(counts).items()}


def scores(counts: Counts) -> dict[str, float]:
    """F1, and the shares of normal rows that fired (far) and of anomalous rows that did not (mar); nan where there are none."""
    hit, false, missed, passed = (int(count) for count in counts)
    return {
        "f1": 2 * hit / (2 * hit + false + missed) if hit + false + missed else float("nan"),
        "far": false / (false + passed) if false + passed else float("nan"),
        "mar": missed / (hit + missed) if hit + missed else float("nan"),
    }


def choice(table: NDArray[np.int64]) -> int:
    """Of (settings, files, 4) the setting whose F1 is best together with its neighbouring limits; the default where there are no files."""
    if not table.shape[1]:
        return LIMITS.index(Setting().limit)
    f1 = np.pad(np.nan_to_num([scores(one.sum(axis=0))["f1"] for one in table]), 1, mode="edge")
    return int(np.argmax(f1[:-2] + f1[1:-1] + f1[2:]))


def false_alarms(free: Sequence[Recording]) -> float:
    """The share of rows that fire under the default setting where nothing is wrong."""
    return float(np.mean(np.concatenate([said.fired[TRAIN:] for said in judge(free, Setting())])))


def write(path: Path, recording: Recording, chosen: Distances, default: Distances) -> None:
    """Each judged row: the label, what was said under the chosen setting, and the alarm under the default one."""
    assert recording.anomalous is not None
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["row", "anomaly", "t2", "p", "fired", "fired_default", "speaks"])
        for row in range(TRAIN, len(recording.values)):
            speaks = recording.signals[int(np.argmax(chosen.contributions[row, : len(recording.signals)]))]
            t2, p = float(chosen.t2[row]), float(chosen.p[row])
            flags = [int(recording.anomalous[row]), int(chosen.fired[row]), int(default.fired[row])]
            writer.writerow([row, flags[0], f"{t2:.6g}", f"{p:.6g}", *flags[1:], speaks])
