"""C-MAPSS turbofan engines (NASA): train_FD00x.txt holds whole lives, test_FD00x.txt lives cut short, RUL_FD00x.txt what those still had. The remaining life
at the last cycle of each cut life is predicted, once; a folder with several subsets gives one result for each.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.outside.judging import standard_error
from tillwatch.collector.learn.conformal import calibrate
from tillwatch.collector.learn.histories import History
from tillwatch.collector.learn.remaining_life import OutOfFold, Prediction, RemainingLife, Settings, fit

Floats = NDArray[np.float64]

CAP = 125.0
"""The protocol's own, for training and for the capped figures."""
COLUMNS = (*(f"setting {n}" for n in range(1, 4)), *(f"sensor {n}" for n in range(1, 22)))
BANDWIDTH = 15.0
"""Cycles: how far the ages of the test engines are smoothed when whole lives are cut like them."""
CONFIGURATIONS_TRIED = 50
CHOICE = "features by cross-validation by engine inside the train file of FD001, each life cut at ages like those of the test file (ages only); boosting as published beforehand; nothing was chosen by the test file's remaining lives"  # fmt: skip


def run(data: Path, out: Path) -> dict[str, Any]:
    """ValueError or OSError where the folder is not of the format."""
    names = sorted(path.stem.removeprefix("train_") for path in data.glob("train_FD*.txt"))
    if not names:
        raise ValueError(f"{data}: no train_FD00x.txt; with it belong test_FD00x.txt and RUL_FD00x.txt")
    found = {name: _subset(data, name, out) for name in names}
    return found[names[0]] if len(names) == 1 else {"subsets": found}


def _subset(data: Path, name: str, out: Path) -> dict[str, Any]:
    train, test = _engines(data / f"train_{name}.txt"), _engines(data / f"test_{name}.txt")
    truth = np.loadtxt(data / f"RUL_{name}.txt", ndmin=1)
    if len(truth) != len(test):
        raise ValueError(f"RUL_{name}.txt: {len(truth)} remaining lives for {len(test)} engines in test_{name}.txt")
    model = fit(
        train, Settings(COLUMNS, COLUMNS[:3], CAP), lambda said: print(f"cmapss {name}: {said}", file=sys.stderr)
    )
    said = model.predict(test)
    _write(out / f"{name}.csv", test, said, truth)
    assert model.out_of_fold is not None
    ages = np.array([engine.age[-1] for engine in test])
    return {
        "subset": name,
        "engines_train": len(train),
        "engines_test": len(test),
        "metrics": _metrics(said, truth),
        "standard_error": _errors(said, truth),
        "cross_validated": _cross_validated(model, model.out_of_fold, ages),
        "uncapped": "the same prediction, which never exceeds the cap, against the remaining life as it is",
        "interval": "of 90 %; where its upper end reaches the cap it says 'the cap or more' and has no upper end; widths are taken up to the cap",
        "configurations_tried": CONFIGURATIONS_TRIED,
        "choice": CHOICE,
    }


def _engines(path: Path) -> list[History]:
    rows = np.loadtxt(path, ndmin=2)
    if rows.shape[1] != 2 + len(COLUMNS):
        raise ValueError(
            f"{path}: {rows.shape[1]} columns instead of {2 + len(COLUMNS)}: engine, cycle, 3 settings, 21 sensors"
        )
    return [
        History(str(int(engine)), rows[rows[:, 0] == engine, 1], rows[rows[:, 0] == engine, 2:])
        for engine in np.unique(rows[:, 0])
    ]


def _metrics(said: Prediction, truth: Floats) -> dict[str, float]:
    capped = np.minimum(truth, CAP)
    return {
        "rmse_capped": _rmse(said.median - capped),
        "rmse_uncapped": _rmse(said.median - truth),
        "nasa_score_capped": _nasa(said.median - capped),
        "nasa_score_uncapped": _nasa(said.median - truth),
        "coverage": float(np.mean(_covered(said.low, said.high, truth))),
        "mean_width": float(np.mean(np.minimum(said.high, CAP) - said.low)),
        "without_upper_end": float(np.mean(np.isinf(said.high))),
    }


def _errors(said: Prediction, truth: Floats) -> dict[str, float]:
    def of(chosen: NDArray[np.intp]) -> dict[str, float]:
        drawn = Prediction(said.median[chosen], said.low[chosen], said.high[chosen], ())
        return _metrics(drawn, truth[chosen])

    return {
        name: standard_error(len(truth), lambda chosen, name=name: of(chosen)[name])  # type: ignore[misc]
        for name in _metrics(said, truth)
    }


def _cross_validated(model: RemainingLife, seen: OutOfFold, ages: Floats) -> dict[str, Any]:
    """Over engines of the train file, each judged by a model of the others, as if cut at an age like those of the test file: every cycle counts, by how
    likely that age is there, and every engine the same. The interval is calibrated without the engines that it is judged by.
    """
    likely = np.exp(-0.5 * ((seen.age[:, None] - ages) / BANDWIDTH) ** 2).mean(axis=1)
    likely *= (seen.age >= ages.min()) & (seen.remaining > 0)
    engines, row = np.unique(seen.part, return_inverse=True)
    mass = np.bincount(row, likely)
    weight = likely / np.where(mass > 0, mass, 1)[row]
    capped = np.minimum(seen.remaining, model.cap)
    low, high = np.zeros(len(row)), np.zeros(len(row))
    fold = np.random.default_rng(1).permutation(len(engines))[row] % 5
    for one in range(5):
        rest, judged = fold != one, fold == one
        found = calibrate(seen.predicted[rest], capped[rest], seen.part[rest], model.calibration.level)
        ends = found.interval(seen.predicted[judged])
        low[judged], high[judged] = np.clip(ends[0], 0, model.cap), np.where(ends[1] >= model.cap, np.inf, ends[1])

    def per_engine(values: Floats) -> Floats:
        return np.bincount(row, weight * values)[mass > 0]

    of = {
        "rmse_capped": per_engine((seen.predicted - capped) ** 2),
        "rmse_uncapped": per_engine((seen.predicted - seen.remaining) ** 2),
        "coverage": per_engine(_covered(low, high, seen.remaining).astype(np.float64)),
        "mean_width": per_engine(np.minimum(high, model.cap) - low),
    }

    def figure(name: str, values: Floats) -> float:
        return float(np.sqrt(values.mean()) if name.startswith("rmse") else values.mean())

    figures = {name: figure(name, values) for name, values in of.items()}
    errors = {
        name: standard_error(len(values), lambda chosen, name=name, values=values: figure(name, values[chosen]))  # type: ignore[misc]
        for name, values in of.items()
    }
    return {**figures, "standard_error": errors}


def _covered(low: Floats, high: Floats, truth: Floats) -> NDArray[np.bool_]:
    # A low end at the cap would be 'the cap or more': it is held against the life as far as the model can see.
    found: NDArray[np.bool_] = (np.minimum(truth, CAP) >= low) & (truth <= high)
    return found


def _rmse(off: Floats) -> float:
    return float(np.sqrt(np.mean(off**2)))


def _nasa(off: Floats) -> float:
    """The score of the PHM 2008 challenge: late costs more than early."""
    return float(np.sum(np.where(off < 0, np.exp(-off / 13), np.exp(off / 10)) - 1))


def _write(path: Path, engines: list[History], said: Prediction, truth: Floats) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["engine", "cycle", "remaining", "predicted", "low", "high", "factors"])
        for engine, life, median, low, high, factors in zip(
            engines, truth, said.median, said.low, said.high, said.factors, strict=True
        ):
            named = "; ".join(f"{factor.sensor} {factor.moved:+.1f}" for factor in factors)
            rows.writerow([engine.part, int(engine.age[-1]), life, f"{median:.2f}", f"{low:.2f}", f"{high:.2f}", named])
