"""Whether the fleet is still the one that a model learnt from: the population stability index of each feature and of the score, over histograms
whose edges are fixed at training. Memory is the histograms, however many rows are watched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tillwatch.collector.learn.panel import Floats

BINS = 10
"""Deciles, the usual bins of the index; with more, its noise on a few thousand rows passes for drift."""
LOOK = 0.1
RETRAIN = 0.25
"""The usual reading of the index (credit scoring): below 0.1 nothing to speak of, above 0.25 another population."""
SHARE = 0.2
"""Of the features: as many as this beyond RETRAIN are another fleet even where the score has not moved yet."""
LEAST_ROWS = 500
"""Below it the index of one population against itself is often above LOOK: about (bins - 1) (1/n + 1/m)."""
FLOOR = 1e-4
"""An empty bin counts as this share: the logarithm needs something."""
SCORE = "score"

Level = Literal["ok", "look", "retrain"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """reason: which features moved how far, the furthest first, in words for a person."""

    level: Level
    reason: str
    score: float
    features: Mapping[str, float]


class Drift:
    """Counts of rows at training (`then`) and since (`now`): arrays (columns, bins + 1), the last of which is for nan. The last column is the
    score.
    """

    def __init__(
        self, names: tuple[str, ...], edges: NDArray[np.float64], then: NDArray[np.int64], now: NDArray[np.int64]
    ) -> None:
        self.names, self.edges, self.then, self.now = names, edges, then, now

    @classmethod
    def learnt(cls, names: tuple[str, ...], matrix: Floats, score: NDArray[np.float64]) -> Drift:
        """matrix: as the model sees it (Encoding.matrix). Equal edges leave bins empty on both sides, which say nothing."""
        columns = np.column_stack([matrix, score]).astype(np.float64)
        shares = np.linspace(0, 1, BINS + 1)[1:-1]
        edges = np.zeros((columns.shape[1], BINS - 1))
        for index in range(columns.shape[1]):
            known = columns[~np.isnan(columns[:, index]), index]
            if len(known):
                edges[index] = np.quantile(known, shares)
        empty = np.zeros((columns.shape[1], BINS + 1), np.int64)
        drift = cls((*names, SCORE), edges, empty, empty.copy())
        drift.then = drift._counts(columns)
        return drift

    def add(self, matrix: Floats, score: NDArray[np.float64]) -> None:
        """Rows that were scored since."""
        self.now = self.now + self._counts(np.column_stack([matrix, score]).astype(np.float64))

    def begin(self) -> None:
        """A new period of watching."""
        self.now = np.zeros_like(self.then)

    def _counts(self, columns: NDArray[np.float64]) -> NDArray[np.int64]:
        found = np.zeros((columns.shape[1], BINS + 1), np.int64)
        for index in range(columns.shape[1]):
            values = columns[:, index]
            bins = np.where(np.isnan(values), BINS, np.searchsorted(self.edges[index], values, side="right"))
            found[index] = np.bincount(bins, minlength=BINS + 1)
        return found

    def verdict(self) -> Verdict:
        rows = int(self.now[-1].sum())
        if rows < LEAST_ROWS:
            return Verdict("ok", f"{rows} rows since the training; from {LEAST_ROWS} on they say something", 0.0, {})
        moved = stability(self.then, self.now)
        score, features = float(moved[-1]), dict(zip(self.names[:-1], moved[:-1].tolist(), strict=True))
        furthest = sorted(features.items(), key=lambda item: -item[1])
        names = ", ".join(f"{name} {index:.2f}" for name, index in furthest[:3] if index >= LOOK)
        many = sum(index >= RETRAIN for index in features.values()) > SHARE * max(len(features), 1)
        said = f"stability index of the score {score:.2f}" + (f", of {names}" if names else "")
        if score >= RETRAIN or many:
            return Verdict("retrain", f"{said}: the fleet is no longer the one it was trained on", score, features)
        if score >= LOOK or names:
            return Verdict("look", f"{said}: look whether something was exchanged or renamed", score, features)
        return Verdict("ok", said, score, features)

    def parts(self) -> dict[str, Any]:
        return {"names": list(self.names), "edges": self.edges, "then": self.then, "now": self.now}

    @classmethod
    def from_parts(cls, parts: Mapping[str, Any]) -> Drift:
        return cls(tuple(parts["names"]), parts["edges"], parts["then"], parts["now"])


def stability(then: NDArray[np.int64], now: NDArray[np.int64]) -> NDArray[np.float64]:
    """The index of each row of counts: sum of (p - q) ln (p / q)."""
    was = np.maximum(then / np.maximum(then.sum(axis=1, keepdims=True), 1), FLOOR)
    is_ = np.maximum(now / np.maximum(now.sum(axis=1, keepdims=True), 1), FLOOR)
    return np.asarray(np.sum((is_ - was) * np.log(is_ / was), axis=1))
