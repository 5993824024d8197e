"""The rules of the Numenta Anomaly Benchmark v1.1: reading its folder, and the score of a detector (Lavin and Ahmad, 2015; `scoring` of numenta/NAB).

An alarm inside a window earns by how early it is, only the best of a window counts, a missed window costs; an alarm outside costs the more the
farther it lies behind a window. One threshold for the corpus, the one with the best score. 0: a silent detector, 100: a perfect one.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PROFILES = {"standard": (1.0, 0.11, 1.0), "low_FP": (1.0, 0.22, 1.0), "low_FN": (1.0, 0.11, 2.0)}
"""Weights of a true positive, a false positive and a false negative."""
PROBATION, PROBATION_MOST = 0.15, 750
"""The share of a series that is not scored, and the rows that it is at most."""


@dataclass(frozen=True, slots=True)
class Series:
    """stamps: seconds since 1970 as the file has them. window: which window a row lies in, -1 for none; worth: of an alarm there, before weights;
    scored: rows after the probation; windows: how many there are.
    """

    name: str
    stamps: NDArray[np.int64]
    values: NDArray[np.float32]
    window: NDArray[np.int64]
    worth: NDArray[np.float64]
    scored: NDArray[np.bool_]
    windows: int

    @property
    def group(self) -> str:
        return self.name.partition("/")[0]


def sigmoid(position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of an alarm at a position relative to the end of a window, in windows: +1 long before, 0 at its end, -1 far behind."""
    return np.where(position > 3, -1.0, 2 / (1 + np.exp(5 * np.minimum(position, 3))) - 1)


def read(folder: Path) -> list[Series]:
    """ValueError where a file is not of the format."""
    labels = json.loads((folder / "labels" / "combined_windows.json").read_text("utf-8"))
    found = [_series(folder, name, labels[name]) for name in sorted(labels)]
    if not found:
        raise ValueError(f"{folder}/labels/combined_windows.json names no series")
    return found


def _series(folder: Path, name: str, windows: Sequence[Sequence[str]]) -> Series:
    with (folder / "data" / name).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"timestamp", "value"} <= rows[0].keys():
        raise ValueError(f"{name}: no rows with the columns timestamp and value")
    stamps = np.array([row["timestamp"] for row in rows], "datetime64[s]").astype(np.int64)
    values = np.array([row["value"] or "nan" for row in rows], np.float64).astype(np.float32)
    bounds = []
    for pair in windows:
        ends = np.array(pair, "datetime64[s]").astype(np.int64)
        # Clocks are set back in some series: of rows with the same time the last one counts, as in the benchmark's own scorer.
        places = [np.flatnonzero(stamps == end) for end in ends]
        if not all(place.size for place in places):
            raise ValueError(
                f"{name}: a window from {pair[0]} to {pair[1]} does not begin and end on rows of the series"
            )
        bounds.append((int(places[0][-1]), int(places[1][-1])))
    window, worth = _worth(len(rows), bounds)
    scored = np.arange(len(rows)) >= min(int(PROBATION * len(rows)), PROBATION_MOST)
    return Series(name, stamps, values, window, worth, scored, len(bounds))


def _worth(rows: int, bounds: Sequence[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    window, worth = np.full(rows, -1, np.int64), np.full(rows, -1.0)
    full = float(sigmoid(np.array(-1.0)))
    for number, (first, last) in enumerate(bounds):
        inside = np.arange(first, last + 1)
        window[inside] = number
        worth[inside] = sigmoid((inside - last - 1) / (last - first + 1)) / full
        behind = np.arange(last + 1, bounds[number + 1][0] if number + 1 < len(bounds) else rows)
        worth[behind] = sigmoid((behind - last) / (last - first))
    return window, worth


def score(
    series: Sequence[Series], scores: Mapping[str, NDArray[np.float32]], profile: str = "standard"
) -> tuple[float, float]:
    """Of the corpus, with the threshold that makes it best. scores: by name of the series, one a row; an alarm is a row at or above the threshold.

    A series may occur several times (a bootstrap). nan where no series has a window.
    """
    hit, false, missed = PROFILES[profile]
    values, worths, windows = [], [], []
    known, reachable = 0, 0
    for one in series:
        window = np.where(one.window >= 0, one.window + known, -1)[one.scored]
        values.append(scores[one.name][one.scored])
        worths.append(one.worth[one.scored])
        windows.append(window)
        known += one.windows
        reachable += np.unique(window[window >= 0]).size
    if not known:
        return float("nan"), float("nan")
    value, worth, window = np.concatenate(values), np.concatenate(worths), np.concatenate(windows)
    order = np.argsort(-value, kind="stable")
    value, worth, window = value[order], worth[order], window[order]
    gain = np.where(window < 0, worth * false, 0.0)
    best: dict[int, float] = {}
    for row in np.flatnonzero(window >= 0).tolist():
        before, now = best.get(int(window[row]), -missed), float(worth[row]) * hit
        if now > before:
            gain[row], best[int(window[row])] = now - before, now
    ends = np.flatnonzero(np.append(value[1:] != value[:-1], True))
    totals = np.append(0.0, np.cumsum(gain)[ends]) - missed * reachable
    chosen = int(np.argmax(totals))
    # A window that lies in the probation cannot be found: it counts as missed.
    raw = totals[chosen] - missed * (known - reachable)
    threshold = np.append(np.inf, value[ends])[chosen]
    return 100 * (raw + missed * known) / ((hit + missed) * known), float(threshold)
