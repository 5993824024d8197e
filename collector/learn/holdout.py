"""How good a model is on rows that it did not learn from, with an interval from drawing whole units again: rows of one unit are no independent
witnesses. Ranks are sorted once and counted again by weight, so that a hundred draws of a million rows cost seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tillwatch.collector.learn.calibration import slope
from tillwatch.collector.learn.episodes import Counted, Telling, Told
from tillwatch.collector.learn.panel import Ints, Panel, Probabilities

DRAWS = 100
INTERVAL = (5.0, 95.0)
"""Percentiles of the draws: nine times in ten the figure of another such fleet lies between."""
MEASURES = ("auc", "ap", "precision", "recall", "false_alarms", "calibration_slope", "calibration_ratio")


@dataclass(frozen=True, slots=True)
class Measure:
    """nan where it is not defined: no failure, or nothing raised."""

    value: float
    low: float
    high: float


def scaled(measure: Measure, by: float) -> Measure:
    """The same of something that is so many times as much."""
    return Measure(measure.value * by, measure.low * by, measure.high * by)


class Ranked:
    """Rows from the highest score down, ready to be counted under any weights. Equal scores count as one step."""

    def __init__(self, score: Probabilities, failed: NDArray[np.bool_]) -> None:
        self.order = np.argsort(-score, kind="stable")
        ranked = score[self.order]
        self._last = (
            np.r_[np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1] if len(ranked) else np.zeros(0, int)
        )
        self._score = ranked[self._last]
        self._failed = failed[self.order]

    def steps(self, weights: Probabilities) -> tuple[Probabilities, Probabilities]:
        """(failures, others) at or above each distinct score."""
        weight = weights[self.order]
        hits = np.cumsum(np.where(self._failed, weight, 0.0))[self._last]
        others = np.cumsum(np.where(self._failed, 0.0, weight))[self._last]
        return hits, others

    def auc(self, weights: Probabilities) -> float:
        hits, others = self.steps(weights)
        if not len(hits) or hits[-1] == 0 or others[-1] == 0:
            return float("nan")
        return float(np.trapezoid(np.r_[0.0, hits], np.r_[0.0, others]) / (hits[-1] * others[-1]))

    def average_precision(self, weights: Probabilities) -> float:
        hits, others = self.steps(weights)
        if not len(hits) or hits[-1] == 0:
            return float("nan")
        raised = hits + others
        precision = np.divide(hits, raised, out=np.zeros_like(hits), where=raised > 0)
        return float(np.sum(np.diff(hits, prepend=0.0) * precision) / hits[-1])

    def recall_at(self, rate: float, weights: Probabilities) -> tuple[float, float]:
        """(recall, realised rate of false alarms) of the lowest threshold whose false alarms are at most that share of the rows that did not
        fail.
        """
        hits, others = self.steps(weights)
        if not len(hits) or hits[-1] == 0 or others[-1] == 0:
            return float("nan"), float("nan")
        at = int(np.searchsorted(others, rate * others[-1], side="right")) - 1
        return (float(hits[at] / hits[-1]), float(others[at] / others[-1])) if at >= 0 else (0.0, 0.0)


def judge(
    score: Probabilities, panel: Panel, threshold: float, telling: Telling, *, draws: int = DRAWS, seed: int = 0
) -> dict[str, Measure]:
    """MEASURES of probabilities of a panel's rows. Of rows: auc, ap and calibration (calibration_ratio: failures that were said over failures that
    were). Of episodes: precision, the share that came true; recall, the share of failures that one told of; false_alarms a unit and year.
    """
    ranked = Ranked(score, panel.failed)
    told = Told(score, panel, telling)
    alarms = _Alarms(told.at_threshold(threshold), told.first_of_failures(), told.failures)
    everything = np.ones(len(score))
    start = slope(score, panel.failed)
    point = _measures(ranked, score, panel, alarms, everything, start)
    found = [_measures(ranked, score, panel, alarms, weights, start) for weights in draws_of(panel.unit, draws, seed)]
    table = np.array(found).reshape(-1, len(MEASURES))
    return {name: Measure(point[index], *_between(table[:, index])) for index, name in enumerate(MEASURES)}


def draws_of(unit: Ints, draws: int, seed: int) -> Iterator[Probabilities]:
    """Weights of rows: how often each row's unit was drawn, with replacement."""
    rng = np.random.default_rng(seed)
    names, index = np.unique(unit, return_inverse=True)
    if not len(names):
        return
    for _ in range(draws):
        yield rng.multinomial(len(names), np.full(len(names), 1 / len(names)))[index].astype(np.float64)


def _between(values: Probabilities) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.percentile(known, INTERVAL)
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class _Alarms:
    """Episodes, and a row of each failure, by which both are counted again under any weights of units."""

    episodes: Counted
    failures: Ints
    count: int

    def figures(self, weights: Probabilities) -> tuple[float, float, float]:
        """(precision, recall, false episodes)."""
        each = weights[self.episodes.first]
        right, all_of_them = float(each[self.episodes.hit].sum()), float(each.sum())
        told = np.zeros(self.count, bool)
        told[self.episodes.failure[self.episodes.hit]] = True
        failed = weights[self.failures]
        nan = float("nan")
        return (
            right / all_of_them if all_of_them else nan,
            float(failed[told].sum() / failed.sum()) if failed.sum() else nan,
            all_of_them - right,
        )


def _measures(
    ranked: Ranked, score: Probabilities, panel: Panel, alarms: _Alarms, weights: Probabilities, start: Probabilities
) -> list[float]:
    precision, recall, false = alarms.figures(weights)
    failures, years = float(np.sum(weights[panel.failed])), float(np.sum(weights)) * panel.years_a_row
    nan = float("nan")
    known = failures > 0 and failures < np.sum(weights)
    return [
        ranked.auc(weights),
        ranked.average_precision(weights),
        precision,
        recall,
        false / years if years else nan,
        float(slope(score, panel.failed, weights, start)[0]) if known else nan,
        float(np.sum(weights * score)) / failures if failures else nan,
    ]
