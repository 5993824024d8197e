"""What a part's past says in numbers: features of sensor values over an age axis, each row from itself and what came before it, never from later.

Levels (exponentially weighted means), what changed since the part was new, roughness, slopes over short and long windows and over the whole life so
far, and the same for one health index: the straight combination of all sensors that follows the remaining life best. Slopes over a long past
say how fast this very part wears; single readings do not. numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_READINGS = 50_000
"""Of one part: an hourly value over more than five years. Thin out what is longer; a life is not told by the minute."""
SPANS = (5.0, 20.0, 60.0)
"""Exponentially weighted means of each sensor, in steps."""
FRESH = 10
"""The first readings of a part: how it was when new."""
ROUGH = 20.0
"""The window in steps of the standard deviation."""
SLOPES = (100.0, np.inf)
"""Windows in steps of each sensor's slope; infinite: all its life so far."""
INDEX_SPANS = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
INDEX_FRESH = (20, 50)
INDEX_SLOPES = (15.0, 30.0, 60.0, 100.0, np.inf)
STEP_SLACK = 1e-6
"""Ages in steps carry rounding; a reading exactly one window back is out."""
EXPLAINED = 0.1
"""The share of a sensor's variance that conditions must explain to be taken off; below it they would add noise."""
CONDITION_PENALTY = 1e-6
"""A row: keeps conditions that come as a few fixed points from being fitted by their last digits."""
PENALTY = 1.0
"""Of the ridge regression behind the health index, on standardised sensors: it only has to part sensors that say the same."""


@dataclass(frozen=True)
class History:
    """One part: age (n,) strictly rising, in any unit, values (n, sensors), nan where a sensor was silent; n is at least 1.

    The age counts from when the part was new. For a part that ran to its end the last reading stands at the end.
    """

    part: str
    age: Floats
    values: Floats

    def __post_init__(self) -> None:
        age, values = np.asarray(self.age, np.float64), np.asarray(self.values, np.float64)
        object.__setattr__(self, "age", age)
        object.__setattr__(self, "values", values)
        if age.ndim != 1 or values.ndim != 2 or len(age) != len(values) or not len(age):
            raise ValueError(
                f"part {self.part}: one age for each row of values and at least one row, not ages {age.shape} and values {values.shape}"
            )
        if len(age) > MAX_READINGS:
            raise ValueError(f"part {self.part}: {len(age)} readings; at most {MAX_READINGS}: thin them out")
        if not np.isfinite(age).all() or (np.diff(age) <= 0).any():
            raise ValueError(
                f"part {self.part}: ages are finite and rise from row to row: sort them and leave out doubles"
            )


@dataclass(frozen=True)
class Scale:
    """How raw sensors become comparable, learnt from whole lives.

    used: columns that vary and are no conditions; conditions: columns that say how the part is run (load, room, speed), bounds: (2, conditions) seen of
    them; expected: (terms, used) of the quadratic in the conditions that gives each sensor's usual value, a plain mean where conditions explain
    nothing; spread: (used,) around it; index: (used,) weights of the health index; step: the usual distance of two readings in units of the age, which all spans
    and windows count in; sensors: how many columns a history has.
    """

    used: NDArray[np.intp]
    conditions: NDArray[np.intp]
    bounds: Floats
    expected: Floats
    spread: Floats
    index: Floats
    step: float
    sensors: int

    def standard(self, values: Floats) -> Floats:
        """(n, used), nan where silent or not finite."""
        chosen = np.where(np.isfinite(values[:, self.used]), values[:, self.used], np.nan)
        found: Floats = (chosen - _terms(values[:, self.conditions], self.bounds) @ self.expected) / self.spread
        return found


def scale_of(histories: Sequence[History], remaining: Sequence[Floats], conditions: Sequence[int] = ()) -> Scale:
    """Learnt from whole lives; remaining: (n,) for each, capped as the model wants it; conditions: columns. ValueError where histories differ in their
    sensors.
    """
    widths = {history.values.shape[1] for history in histories}
    if len(widths) != 1:
        raise ValueError(f"all parts have the same sensors in the same order; these have {sorted(widths)} columns")
    values = np.vstack([history.values for history in histories])
    values = np.where(np.isfinite(values), values, np.nan)
    run = np.asarray(conditions, np.intp)
    seen_of = [values[np.isfinite(values[:, column]), column] for column in run]
    bounds = np.array([[x.min(), x.max()] if len(x) else [0.0, 0.0] for x in seen_of]).reshape(-1, 2).T
    expected, spread = _expected(values, _terms(values[:, run], bounds))
    # What differs by rounding only is constant.
    varies = np.flatnonzero(spread > 1e-9 * np.maximum(np.abs(expected[0]), 1e-12))
    used = np.setdiff1d(varies, run)
    steps = np.concatenate([np.diff(history.age) for history in histories])
    step = float(np.median(steps)) if len(steps) else 1.0
    scale = Scale(used, run, bounds, expected[:, used], spread[used], np.zeros(len(used)), step, int(widths.pop()))
    standard = np.nan_to_num(scale.standard(values))
    target = np.concatenate(list(remaining))
    gram = standard.T @ standard + PENALTY * np.eye(len(used))
    index = np.linalg.solve(gram, standard.T @ (target - target.mean()))
    size = float(np.std(standard @ index)) if len(used) else 0.0
    return replace(scale, index=index / (size if size > 0 else 1.0))


def _terms(conditions: Floats, bounds: Floats) -> Floats:
    """(n, terms): one, the conditions between -1 and 1, and their products; a silent condition counts as the middle, one outside as the nearest bound."""
    middle, half = bounds.mean(axis=0), np.maximum(np.diff(bounds, axis=0)[0] / 2, 1e-12)
    placed = np.clip(np.nan_to_num((conditions - middle) / half), -1, 1)
    count = placed.shape[1]
    products = [placed[:, one] * placed[:, other] for one in range(count) for other in range(one, count)]
    return np.column_stack([np.ones(len(placed)), placed, *products])


def _expected(values: Floats, terms: Floats) -> tuple[Floats, Floats]:
    """(terms, sensors), and (sensors,) the spread around what they give."""
    expected = np.zeros((terms.shape[1], values.shape[1]))
    spread = np.zeros(values.shape[1])
    for column in range(values.shape[1]):
        seen = np.isfinite(values[:, column])
        if not seen.any():
            continue
        known, by = values[seen, column], terms[seen]
        expected[0, column] = known.mean()
        spread[column] = known.std()
        light = CONDITION_PENALTY * len(known) * np.eye(terms.shape[1])
        fitted = np.linalg.solve(by.T @ by + light, by.T @ (known - known.mean()))
        fitted[0] += known.mean()
        around = float(np.sqrt(np.mean((known - by @ fitted) ** 2)))
        if around**2 < (1 - EXPLAINED) * spread[column] ** 2:
            expected[:, column], spread[column] = fitted, around
    return expected, spread


def features(history: History, scale: Scale) -> Floats:
    """(n, features): row i from readings 0 to i. nan where there is not enough behind it yet."""
    if history.values.shape[1] != scale.sensors:
        raise ValueError(
            f"part {history.part}: {history.values.shape[1]} sensors; the model was taught with {scale.sensors}"
        )
    steps = (history.age - history.age[0]) / scale.step
    standard = scale.standard(history.values)
    index = (np.nan_to_num(standard) @ scale.index)[:, None]
    sensors = _means(standard, steps, SPANS)
    level, slow, slowest = sensors
    of_sensors = [level, slow, slow - _first(standard, FRESH), level - slowest, _roughness(standard, steps, ROUGH)]
    of_sensors += [_slope(standard, steps, window) for window in SLOPES]
    means = _means(index, steps, INDEX_SPANS)
    fresh = [_first(index, count) for count in INDEX_FRESH]
    whole = _first(index, len(index))
    of_index = [*means, *fresh, whole, means[1] - fresh[0], means[2] - whole, _roughness(index, steps, ROUGH)]
    of_index += [_slope(index, steps, window) for window in INDEX_SLOPES]
    return np.hstack([*of_sensors, *of_index, history.age[:, None]])


def _means(values: Floats, steps: Floats, spans: Sequence[float]) -> list[Floats]:
    """Exponentially weighted, by age rather than by count: a reading weighs (1 - 2 / (span + 1)) for each step that has passed since."""
    keep = 1 - 2 / (np.asarray(spans) + 1)
    decay = keep[:, None] ** np.diff(steps, prepend=steps[0])
    seen = np.isfinite(values)
    filled = np.where(seen, values, 0.0)
    total = np.zeros((len(spans), values.shape[1]))
    weight = np.zeros_like(total)
    found = np.full((len(spans), *values.shape), np.nan)
    for row in range(len(values)):
        past = decay[:, row, None]
        total = total * past + filled[row]
        weight = weight * past + seen[row]
        np.divide(total, weight, out=found[:, row], where=weight > 0)
    return list(found)


def _first(values: Floats, count: int) -> Floats:
    """The mean of the first readings, as far as they were there at each row."""
    seen = np.isfinite(values)
    early = seen & (np.cumsum(seen, axis=0) <= count)
    total, number = np.cumsum(np.where(early, values, 0.0), axis=0), np.cumsum(early, axis=0, dtype=np.float64)
    return _divided(total, number, number > 0)


def _roughness(values: Floats, steps: Floats, window: float) -> Floats:
    """The standard deviation over a window; nan with fewer than two readings."""
    seen, filled = np.isfinite(values), np.nan_to_num(values)
    number, total, squares = _sums(steps, window, seen.astype(np.float64), filled, filled**2)
    variance = np.maximum(squares - total**2 / np.maximum(number, 1), 0) / np.maximum(number - 1, 1)
    return np.where(number >= 2, np.sqrt(variance), np.nan)


def _slope(values: Floats, steps: Floats, window: float) -> Floats:
    """Least squares over a window, per step; nan with fewer than three readings."""
    seen, filled = np.isfinite(values).astype(np.float64), np.nan_to_num(values)
    at = steps[:, None]
    number, total, ages, squares, products = _sums(steps, window, seen, filled, seen * at, seen * at**2, filled * at)
    kept = np.maximum(number, 1)
    across, along = squares - ages**2 / kept, products - ages * total / kept
    return _divided(along, across, (number >= 3) & (across > 0))


def _sums(steps: Floats, window: float, *terms: Floats) -> list[Floats]:
    """Of each term over the rows that lie less than a window back, the row itself included."""
    first = np.searchsorted(steps, steps - window + STEP_SLACK, side="right")
    found = []
    for term in terms:
        reached = np.vstack([np.zeros((1, term.shape[1])), np.cumsum(term, axis=0)])
        found.append(reached[1:] - reached[first])
    return found


def _divided(above: Floats, below: Floats, where: NDArray[np.bool_]) -> Floats:
    found = np.full(above.shape, np.nan)
    np.divide(above, below, out=found, where=where)
    return found
