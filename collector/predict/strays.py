"""How far the last days of a part lie from its own past: the level of what is measured, the pace of what is counted. A reject rate of 3 % is nothing on a worn
dispenser and the beginning of the end on a good one. Reckoned from the days that the engine keeps anyway; nothing is learnt and nothing more is kept.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tillwatch.collector.predict.daily import Daily
from tillwatch.collector.predict.finding import unit_of
from tillwatch.collector.predict.series import Registry

RECENT = (3, 10)
"""Days whose mean is compared: what breaks within days, and what creeps for weeks."""
LEAST_PAST = 7
"""Days known before those: of fewer, a week end is a change."""
MOST = 30.0
"""Spreads; further away is all the same."""
TO_SPREAD = 1.4826
"""From the median absolute deviation to the standard deviation of the normal distribution."""
LEAST_SHARE = 0.02
"""Of its usual level, that a gauge wanders at least: one that never moved is not infinitely odd when it first does."""
LEAST_COUNT = 0.5
"""Of a counter after the square root, which makes the spread of any pure chance 1 (Anscombe 1948)."""
HIGHER, LOWER, FASTER = "readings higher", "readings lower", "counts faster"
SUBJECTS = tuple(subject for subject in (HIGHER, LOWER, FASTER) for _ in RECENT)
NAMES = tuple(f"{subject} {days} d" for subject in (HIGHER, LOWER, FASTER) for days in RECENT)

Floats = NDArray[np.float32]
Device = tuple[str, str]
"""Terminal and kind."""


class Strays:
    """Of whole devices: the rejects of a cassette tell of the dispenser, failed reads of the jam. signals: those that are compared."""

    def __init__(self, registry: Registry, daily: Daily, signals: frozenset[str]) -> None:
        self._registry, self._daily, self._signals = registry, daily, signals
        self._devices: dict[Device, int] = {}
        self._asked = 0
        self._gauges: list[tuple[int, int]] = []
        self._counters: list[tuple[int, int]] = []

    def day(self, day: int, units: Iterable[Device]) -> Floats:
        """(units x NAMES) of the days up to this one: of all series of the device of a unit the one furthest away, nan where none has a past. units: (terminal,
        kind).
        """
        self._grow()
        found = np.full((len(self._devices) + 1, len(NAMES)), np.nan, np.float32)
        columns, few = np.arange(len(RECENT)), len(RECENT)
        if self._gauges:
            rows, where = np.array(self._gauges, np.intp).T
            away = away_from_past(self._daily.window("mean", rows, day), LEAST_SHARE)
            np.fmax.at(found, (where[:, None], columns), away)
            np.fmax.at(found, (where[:, None], few + columns), -away)
        if self._counters:
            rows, where = np.array(self._counters, np.intp).T
            away = away_from_past(paces(self._daily.window("last", rows, day)), 0.0, LEAST_COUNT)
            np.fmax.at(found, (where[:, None], 2 * few + columns), away)
        none = len(self._devices)
        return found[[self._devices.get((terminal, kind), none) for terminal, kind in units]]

    def _grow(self) -> None:
        """Series get a row once and keep it."""
        for row in range(self._asked, len(self._registry)):
            terminal, component, signal = self._registry.names[row]
            if signal in self._signals:
                device = self._devices.setdefault((terminal, unit_of(component)), len(self._devices))
                (self._counters if self._registry.counts[row] else self._gauges).append((row, device))
        self._asked = len(self._registry)


def paces(last: Floats) -> Floats:
    """Last values of days -> what was counted on each, made alike in spread; a counter that fell began anew. nan where the day before is not known."""
    counted = np.diff(last, axis=1)
    counted = np.where(counted < 0, last[:, 1:], counted)
    return (2 * np.sqrt(np.maximum(counted, 0) + 0.375)).astype(np.float32)


def away_from_past(values: Floats, share: float, least: float = 0.0) -> Floats:
    """(series x RECENT): how many spreads the mean of the last days lies above the median of the days before the longest of them."""
    past = values[:, : -max(RECENT)]
    count = np.count_nonzero(~np.isnan(past), axis=1)
    usual = _median(past, count)
    spread = TO_SPREAD * _median(np.abs(past - usual[:, None]), count)
    spread = np.maximum(np.maximum(spread, share * np.abs(usual)), max(least, 1e-6))
    away = np.full((len(values), len(RECENT)), np.nan, np.float32)
    for index, days in enumerate(RECENT):
        lately = values[:, -days:]
        known = np.count_nonzero(~np.isnan(lately), axis=1)
        mean = np.divide(
            np.nansum(lately, axis=1), known, out=np.full(len(values), np.nan, np.float32), where=known > 0
        )
        away[:, index] = np.clip((mean - usual) / spread, -MOST, MOST)
    away[count < LEAST_PAST] = np.nan
    return away


def _median(values: Floats, count: NDArray[np.intp]) -> Floats:
    """Of each row; nan where nothing is known. count: known values of each."""
    ordered = np.sort(values, axis=1)  # nan last
    each = np.arange(len(values))
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[1] - 1)
    middle: Floats = (ordered[each, low] + ordered[each, high]) / 2
    return middle
