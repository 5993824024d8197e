"""What was known of a unit at a moment, as numbers: how many events of each kind lately, how long since each, how old each part is, where the
telemetry stands, where it stood and how it moved, what the unit is. Vectorised over all rows; nothing that happens after a row's time changes
that row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tillwatch.collector.learn.panel import DAY_NS, Features, Floats, Ints, Times

MAX_COLUMNS = 2_000
"""A model of more columns than this is a list of kinds that grew by itself (a serial number taken for an error code), and no card shows it."""


@dataclass(frozen=True, slots=True)
class Happenings:
    """Events, or replacements of parts: the unit's index, when, and which of `kinds`. In any order."""

    unit: Ints
    at: Ints
    kind: Ints
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Named values of a unit at a time: float32 (rows, names), nan where one was not read. In any order."""

    unit: Ints
    at: Ints
    values: Floats
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a unit is, an entry a unit: born: when it was new, nan where nobody knows; words (model, kind of component), "" where not
    known; numbers (size, rated life).
    """

    born: ArrayLike | None = None
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    numbers: Mapping[str, ArrayLike] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Past:
    """All that is on record of some units."""

    events: Happenings | None = None
    replacements: Happenings | None = None
    telemetry: Telemetry | None = None
    facts: Facts = Facts()


@dataclass(frozen=True, slots=True)
class View:
    """In days of the clock in use. Windows of a day, three, a week and a month: most hardware errors announce themselves within a week, wear
    within a month. counts: lags: how long ago a value is compared with; half_lives of the moving means, whose difference is a trend.
    day: ns, or whatever the times are in.
    """

    windows: tuple[float, ...] = (1, 3, 7, 30)
    lags: tuple[float, ...] = (1, 3, 7)
    half_lives: tuple[float, ...] = (3, 30)
    rises: bool = False
    """Whether the telemetry holds counters, of which each rise is an event to count."""
    day: int = DAY_NS


class _Columns:
    def __init__(self, rows: int) -> None:
        self._rows = rows
        self.names: list[str] = []
        self.subjects: list[str] = []
        self.columns: list[Floats] = []
        self.words: dict[str, tuple[str, ...]] = {}

    def add(self, subject: str, what: str, values: NDArray[np.generic]) -> None:
        if len(self.names) >= MAX_COLUMNS:
            raise ValueError(
                f"features: more than {MAX_COLUMNS} columns, the last of them on {subject}: give fewer kinds or windows"
            )
        self.names.append(f"{subject} {what}" if what else subject)
        self.subjects.append(subject)
        self.columns.append(values.astype(np.float32))

    def features(self) -> Features:
        values = np.stack(self.columns, axis=1) if self.columns else np.zeros((self._rows, 0), np.float32)
        return Features(tuple(self.names), values, tuple(self.subjects), dict(self.words))


def features(past: Past, unit: Ints, at: Ints, view: View = View()) -> Features:
    """One row for each (unit, time), of everything that happened at or before that time."""
    unit, at = np.asarray(unit, np.int64), np.asarray(at, np.int64)
    columns = _Columns(len(unit))
    if past.events is not None:
        _happenings(columns, past.events, unit, at, view, counted=True)
    if past.replacements is not None:
        _happenings(columns, past.replacements, unit, at, view, counted=False)
    if past.telemetry is not None:
        _telemetry(columns, past.telemetry, unit, at, view)
    _facts(columns, past.facts, unit, at, view)
    return columns.features()


def _days(view: View, days: float) -> int:
    return round(days * view.day)


def _window(days: float) -> str:
    return f"{days:g} d"


def _happenings(columns: _Columns, past: Happenings, unit: Ints, at: Ints, view: View, *, counted: bool) -> None:
    for index, kind in enumerate(past.kinds):
        mine = past.kind == index
        times = Times(past.unit[mine], past.at[mine])
        if counted:
            now = times.end(unit, at)
            for days in view.windows:
                columns.add(kind, f"count {_window(days)}", now - times.end(unit, at - _days(view, days)))
        columns.add(kind, "days since" if counted else "age", times.since(unit, at) / view.day)


def _telemetry(columns: _Columns, past: Telemetry, unit: Ints, at: Ints, view: View) -> None:
    for index, name in enumerate(past.names):
        known = ~np.isnan(past.values[:, index])
        times = Times(past.unit[known], past.at[known])
        values = past.values[known, index][times.order]
        first, end = times.first(unit), times.end(unit, at)
        now = _at(values, first, end)
        columns.add(name, "now", now)
        for days in view.lags:
            then = _at(values, first, times.end(unit, at - _days(view, days)))
            columns.add(name, f"change {_window(days)}", now - then)
        means = [_moving_mean(times, values, _days(view, days)) for days in view.half_lives]
        for days, mean in zip(view.half_lives, means, strict=True):
            columns.add(name, f"mean {_window(days)}", _at(mean, first, end))
        for mean, days in zip(means[1:], view.half_lives[1:], strict=True):
            columns.add(name, f"against mean {_window(days)}", _at(means[0], first, end) - _at(mean, first, end))
        if view.rises:
            _rises(columns, name, times, values, unit, at, view)


def _rises(columns: _Columns, name: str, times: Times, values: Floats, unit: Ints, at: Ints, view: View) -> None:
    same = times.unit[1:] == times.unit[:-1]
    rose = np.flatnonzero(same & (values[1:] > values[:-1])) + 1
    risen = Times(times.unit[rose], times.at[rose])
    now = risen.end(unit, at)
    for days in view.windows:
        columns.add(name, f"rises {_window(days)}", now - risen.end(unit, at - _days(view, days)))
    columns.add(name, "days since rise", risen.since(unit, at) / view.day)


def _at(values: NDArray[np.floating], first: Ints, end: Ints) -> NDArray[np.float64]:
    found = np.full(len(end), np.nan)
    known = end > first
    found[known] = values[end[known] - 1]
    return found


def _moving_mean(times: Times, values: Floats, half_life: int) -> NDArray[np.float64]:
    """Of each reading, the mean of it and the unit's earlier ones, weighted by half for each half life that they are older. The k-th readings
    of all units are one step: a running sum over all rows would carry the rounding of one unit into the next.
    """
    mean = values.astype(np.float64)
    if not len(mean):
        return mean
    starts = np.flatnonzero(np.r_[True, times.unit[1:] != times.unit[:-1]])
    lengths = np.diff(np.r_[starts, len(mean)])
    longest_first = np.argsort(-lengths, kind="stable")
    starts, lengths = starts[longest_first], lengths[longest_first]
    weight = np.ones(len(starts))
    alive = len(starts)
    for step in range(1, int(lengths[0])):
        alive = int(np.searchsorted(-lengths[:alive], -step, side="left"))  # those longer than this step
        row = starts[:alive] + step
        faded = weight[:alive] * np.exp2(-(times.at[row] - times.at[row - 1]) / half_life)
        weight[:alive] = faded + 1.0
        mean[row] = mean[row - 1] + (values[row] - mean[row - 1]) / weight[:alive]
    return mean


def _facts(columns: _Columns, facts: Facts, unit: Ints, at: Ints, view: View) -> None:
    if facts.born is not None:
        columns.add("age", "", (at - np.asarray(facts.born, np.float64)[unit]) / view.day)
    for name, numbers in facts.numbers.items():
        columns.add(name, "", np.asarray(numbers, np.float32)[unit])
    for name, said in facts.words.items():
        words = tuple(sorted({word for word in said if word}))
        number = {word: float(index) for index, word in enumerate(words)}
        columns.words[name] = words
        columns.add(name, "", np.array([number.get(word, np.nan) for word in said])[unit])
