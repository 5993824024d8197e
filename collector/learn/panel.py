"""A panel: what was known of each unit at each time, and whether it failed within the horizon after it. Everything that is learnt about
failures is learnt from one, and judged on one.

A unit is what fails and is mended or replaced: a component of a terminal, a drive, a machine. Times are UTC ns; any other clock of integers
(power-on hours) does as well where all of a panel is on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

DAY_NS = 86_400_000_000_000
YEAR_DAYS = 365.25

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Probabilities = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Features:
    """names: of the columns; values: float32 (rows, columns), nan where nothing is known; subjects: what each column is about, so that one
    reason is given for ten columns of one error; words: a column that stands for a word (model, kind of component) -> the words that its
    values are indices of. A word that is not known is nan.
    """

    names: tuple[str, ...]
    values: Floats
    subjects: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        columns = self.values.shape[1] if self.values.ndim == 2 else -1
        if not len(self.names) == len(self.subjects) == columns or len(set(self.names)) != columns:
            raise ValueError(f"features: {len(self.names)} names for values of shape {self.values.shape}, each once")

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, chosen: NDArray[np.bool_] | Ints) -> Features:
        return replace(self, values=self.values[chosen])


@dataclass(frozen=True, slots=True)
class Panel:
    """unit: an index; at: when; failed: whether the unit failed in (at, at + horizon]; cadence: the time that one row stands for, which
    makes alarms a year out of alarms a row. day: of the clock of `at`.
    """

    unit: Ints
    at: Ints
    features: Features
    failed: NDArray[np.bool_]
    horizon: int
    cadence: int
    day: int = DAY_NS

    def __post_init__(self) -> None:
        if not len(self.unit) == len(self.at) == len(self.features) == len(self.failed):
            raise ValueError("panel: unit, time, features and failures have a row each for the same rows")
        if self.horizon <= 0 or self.cadence <= 0:
            raise ValueError("panel: the horizon and the cadence are longer than nothing")

    def __len__(self) -> int:
        return len(self.unit)

    @property
    def years_a_row(self) -> float:
        return self.cadence / (self.day * YEAR_DAYS)

    def rows(self, chosen: NDArray[np.bool_] | Ints) -> Panel:
        return replace(
            self,
            unit=self.unit[chosen],
            at=self.at[chosen],
            features=self.features.rows(chosen),
            failed=self.failed[chosen],
        )

    def before(self, moment: int) -> Panel:
        """Rows whose horizon is over by then: nothing of them is known only later."""
        return self.rows(self.at + self.horizon <= moment)

    def since(self, moment: int) -> Panel:
        return self.rows(self.at >= moment)


def labels(
    unit: Ints, at: Ints, *, failed_unit: Ints, failed_at: Ints, horizon: int, seen_until: ArrayLike
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each (unit, time) fails within the horizon, and whether that is known: a row is known where it failed, or where the unit was
    watched to the end of the horizon. seen_until: until when, for all or for each unit. Rows that are not known teach nothing: leave them out.
    """
    times = Times(failed_unit, failed_at)
    failed = times.until(unit, at + horizon) > times.until(unit, at)
    until = np.asarray(seen_until, np.int64)
    return failed, failed | (at + horizon <= (until[unit] if until.ndim else until))


class Times:
    """Times of units, sorted once, asked in bulk: how many of a unit's times lie at or before a moment. Exact, in integers: a time that is
    added later, or of another unit, changes no answer.
    """

    def __init__(self, unit: Ints, at: Ints) -> None:
        self.order = np.lexsort((at, unit))
        self.unit = np.asarray(unit, np.int64)[self.order]
        self.at = np.asarray(at, np.int64)[self.order]
        self._known = np.unique(self.at)
        # One sorted integer for (unit, time): the time is its rank among the times there are, for nanoseconds leave no room for a unit.
        self._stride = len(self._known) + 1
        self._key = self.unit * self._stride + np.searchsorted(self._known, self.at, side="right")

    def __len__(self) -> int:
        return len(self.at)

    def first(self, unit: Ints) -> Ints:
        """Where the times of each unit begin, in the sorted order."""
        return np.searchsorted(self._key, np.asarray(unit, np.int64) * self._stride).astype(np.int64)

    def end(self, unit: Ints, at: Ints) -> Ints:
        """One past the last time of each unit that is at or before a moment, in the sorted order."""
        rank = np.searchsorted(self._known, at, side="right")
        return np.searchsorted(self._key, np.asarray(unit, np.int64) * self._stride + rank, side="right").astype(
            np.int64
        )

    def until(self, unit: Ints, at: Ints) -> Ints:
        """How many times of each unit are at or before a moment."""
        return self.end(unit, at) - self.first(unit)

    def since(self, unit: Ints, at: Ints) -> NDArray[np.float64]:
        """Time since the latest time of each unit at or before a moment; nan before the first."""
        end = self.end(unit, at)
        known = end > self.first(unit)
        found = np.full(len(end), np.nan)
        found[known] = at[known] - self.at[end[known] - 1]
        return found
