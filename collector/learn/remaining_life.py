"""How long a part that runs still has, with an interval, learnt from parts of its kind that ran to their end.

The model follows the remaining life only up to a cap: the first part of a life says nothing about its end, and a model that is made to guess there
guesses worse everywhere. So a median at the cap means "the cap or more", and an interval that reaches it has no upper end (infinite). Intervals come
from parts that the model had not seen: each part's predictions are made by a model of the others, and the conformal interval is calibrated
on them, part by part (`conformal.py`). Every prediction names the sensors that made it so. scikit-learn is imported inside functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tillwatch.collector.learn.conformal import Calibration, calibrate
from tillwatch.collector.learn.histories import History, Scale, features, scale_of
from tillwatch.collector.learn.threads import one_thread

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

MIN_PARTS = 5
"""Whole lives without which nothing is learnt. An interval needs more: `conformal.groups_needed`."""
MAX_ROWS = 200_000
"""Rows that a model is taught with: minutes on two cores. Of more, each part keeps an even selection; `RemainingLife.left_out` counts the rest."""
JUDGES = 1
"""Models a fold that judge parts which they do not know. One instead of `Settings.seeds` halves the time; the mean of several is a little better, so
the interval is a little wider than it had to be.
"""
CAP_SHARE = 0.6
"""The cap where none is given, as a share of the median life: signs of the end are found in about the last half of a life, and a part at its
cap needs no attention yet."""
FACTORS = 3
"""Sensors named for each prediction: what a technician reads."""
NAMES = ("sensors", "conditions")
"""The settings that are tuples, which a stored model holds as lists."""
FORMAT = 1
"""Of `parts()`; another number is refused."""


@dataclass(frozen=True)
class Settings:
    """sensors: names of the columns; conditions: those of them that say how the part is run (load, room temperature), which the others are judged by; cap: in the unit of the age, None: a share of the median life; level: how often the interval holds; folds: models
    that judge parts they were not taught with; seeds: models whose mean is the prediction. The rest is scikit-learn's gradient boosting.
    """

    sensors: tuple[str, ...]
    conditions: tuple[str, ...] = ()
    cap: float | None = None
    level: float = 0.9
    folds: int = 5
    seeds: int = 3
    iterations: int = 400
    learning_rate: float = 0.03
    leaves: int = 15
    leaf: int = 60
    l2: float = 5.0
    share: float = 0.3


@dataclass(frozen=True)
class Factor:
    """moved: by how much, in the unit of the age, this sensor moved the prediction from what it would be had the sensor stayed as in new parts."""

    sensor: str
    moved: float


@dataclass(frozen=True)
class Prediction:
    """median, low, high: (n,) remaining life at the last reading of each history, in the unit of its age; high is infinite where the interval reaches the
    cap, and low is 0 with it where too few parts were there to learn from. factors: for each history the sensors that moved it most, most first.
    """

    median: Floats
    low: Floats
    high: Floats
    factors: tuple[tuple[Factor, ...], ...]


@dataclass(frozen=True)
class OutOfFold:
    """What was predicted for the rows of parts by models of other parts: all (n,). part: index into the histories taught with; remaining: the truth,
    not capped.
    """

    part: Ints
    age: Floats
    predicted: Floats
    remaining: Floats


@dataclass(frozen=True)
class RemainingLife:
    """A fitted model; made by `fit` or `from_parts`. fresh: (used,) the sensors of new parts, raw. out_of_fold is for judging and is not stored.
    left_out: rows that the bound on rows kept from the teaching.
    """

    settings: Settings
    cap: float
    scale: Scale
    fresh: Floats
    calibration: Calibration
    models: tuple[Any, ...]
    left_out: int = 0
    out_of_fold: OutOfFold | None = None

    def predict(self, histories: Sequence[History]) -> Prediction:
        """For each history at its last reading. ValueError where its sensors are not those that the model was taught with."""
        if not histories:
            nothing = np.zeros(0)
            return Prediction(nothing, nothing, nothing, ())
        asked = [features(history, self.scale)[-1] for history in histories]
        for history in histories:
            asked += [features(_without(history, column, value), self.scale)[-1] for column, value in self._new()]
        said = _mean(self.models, np.vstack(asked), self.cap)
        median, others = said[: len(histories)], said[len(histories) :].reshape(len(histories), -1)
        low, high = self.interval(median)
        return Prediction(median, low, high, tuple(self._factors(row) for row in median[:, None] - others))

    def interval(self, predicted: Floats) -> tuple[Floats, Floats]:
        """Both ends for predictions of this model; infinite above where the cap is reached."""
        low, high = self.calibration.interval(predicted)
        return np.clip(low, 0, self.cap), np.where(high >= self.cap, np.inf, np.maximum(high, 0))

    def parts(self) -> dict[str, Any]:
        """Plain values, arrays and scikit-learn models: for storing."""
        return {
            "format": FORMAT,
            "settings": {**asdict(self.settings), **{name: list(getattr(self.settings, name)) for name in NAMES}},
            "cap": self.cap,
            "scale": _plain(self.scale),
            "fresh": self.fresh,
            "calibration": _plain(self.calibration),
            "models": list(self.models),
            "left_out": self.left_out,
        }

    def _new(self) -> list[tuple[int, float]]:
        return [(int(column), float(value)) for column, value in zip(self.scale.used, self.fresh, strict=True)]

    def _factors(self, moved: Floats) -> tuple[Factor, ...]:
        order = np.argsort(-np.abs(moved), kind="stable")[:FACTORS]
        named = (Factor(self.settings.sensors[int(self.scale.used[one])], float(moved[one])) for one in order)
        return tuple(factor for factor in named if factor.moved)


def from_parts(parts: Mapping[str, Any]) -> RemainingLife:
    """What `parts()` gave. ValueError for another format."""
    if parts.get("format") != FORMAT:
        raise ValueError(f"a model of format {parts.get('format')!r}; this version reads {FORMAT}: train it again")
    settings = {**parts["settings"], **{name: tuple(parts["settings"][name]) for name in NAMES}}
    return RemainingLife(
        Settings(**settings),
        parts["cap"],
        Scale(**parts["scale"]),
        parts["fresh"],
        Calibration(**parts["calibration"]),
        tuple(parts["models"]),
        parts["left_out"],
    )


def fit(
    histories: Sequence[History], settings: Settings, progress: Callable[[str], None] | None = None
) -> RemainingLife:
    """Learnt from whole lives: the last reading of each history stands at its end.

    progress: told in a sentence what is done, before each step that takes time. ValueError for fewer than MIN_PARTS parts, two of one name, or sensors
    that do not fit the settings. Deterministic.
    """
    _check(histories, settings)
    lives = [float(history.age[-1]) for history in histories]
    cap = float(np.median(lives)) * CAP_SHARE if settings.cap is None else settings.cap
    kept = max(1, MAX_ROWS // len(histories))
    rows = [np.unique(np.linspace(0, len(h.age) - 1, min(kept, len(h.age))).astype(np.intp)) for h in histories]
    fold = np.random.default_rng(0).permutation(len(histories)) % settings.folds
    part = np.repeat(np.arange(len(histories)), [len(chosen) for chosen in rows])
    ages = np.concatenate([history.age[chosen] for history, chosen in zip(histories, rows, strict=True)])
    remaining = np.asarray(lives)[part] - ages
    judged = np.zeros(len(part))
    for one in range(settings.folds):
        if progress:
            progress(f"model {one + 1} of {settings.folds + 1}, for parts that it is not taught with")
        # The health index too is learnt without the parts that are judged.
        scale = _scale([h for h, where in zip(histories, fold, strict=True) if where != one], cap, settings)
        asked = np.vstack([features(h, scale)[chosen] for h, chosen in zip(histories, rows, strict=True)])
        out = fold[part] == one
        models = _teach(asked[~out], np.minimum(remaining[~out], cap), settings, JUDGES)
        judged[out] = _mean(models, asked[out], cap)
    if progress:
        progress(f"model {settings.folds + 1} of {settings.folds + 1}, of all parts")
    scale = _scale(histories, cap, settings)
    asked = np.vstack([features(h, scale)[chosen] for h, chosen in zip(histories, rows, strict=True)])
    return RemainingLife(
        settings,
        cap,
        scale,
        _fresh(histories, scale),
        calibrate(judged, np.minimum(remaining, cap), part, settings.level),
        tuple(_teach(asked, np.minimum(remaining, cap), settings, settings.seeds)),
        sum(len(history.age) for history in histories) - len(part),
        OutOfFold(part, ages, judged, remaining),
    )


def _check(histories: Sequence[History], settings: Settings) -> None:
    if len(histories) < max(MIN_PARTS, settings.folds):
        needed = max(MIN_PARTS, settings.folds)
        raise ValueError(f"{len(histories)} whole lives; it takes at least {needed} parts that ran to their end")
    if len({history.part for history in histories}) != len(histories):
        raise ValueError("two histories of one part: join them, or parts would be judged by models that know them")
    width = histories[0].values.shape[1]
    if len(settings.sensors) != width:
        raise ValueError(f"{width} sensors in the histories, but {len(settings.sensors)} names for them")
    if unknown := set(settings.conditions) - set(settings.sensors):
        raise ValueError(f"conditions that are no sensors: {', '.join(sorted(unknown))}")


def _scale(histories: Sequence[History], cap: float, settings: Settings) -> Scale:
    remaining = [np.minimum(history.age[-1] - history.age, cap) for history in histories]
    return scale_of(histories, remaining, [settings.sensors.index(name) for name in settings.conditions])


def _fresh(histories: Sequence[History], scale: Scale) -> Floats:
    """(used,): the median over parts of what each sensor said first."""
    found = []
    for column in scale.used:
        values = [history.values[np.isfinite(history.values[:, column]), column][:1] for history in histories]
        found.append(np.median(np.concatenate(values)))
    return np.asarray(found, np.float64)


def _without(history: History, column: int, value: float) -> History:
    """The same history, had one sensor stayed as in new parts."""
    values = history.values.copy()
    values[:, column] = value
    return History(history.part, history.age, values)


def _teach(asked: Floats, remaining: Floats, settings: Settings, seeds: int) -> list[Any]:
    from sklearn.ensemble import HistGradientBoostingRegressor  # noqa: PLC0415  half a second and 100 MB, only where models are

    # Small collections have small leaves, or nothing would be told apart at all.
    leaf = max(2, min(settings.leaf, len(asked) // 50))
    models = [
        HistGradientBoostingRegressor(
            max_iter=settings.iterations,
            learning_rate=settings.learning_rate,
            max_leaf_nodes=settings.leaves,
            min_samples_leaf=leaf,
            l2_regularization=settings.l2,
            max_features=settings.share,
            early_stopping=False,  # it would hold rows back, of parts that the rest of the rows show as well
            random_state=seed,
        )
        for seed in range(seeds)
    ]
    with one_thread():
        return [model.fit(asked, remaining) for model in models]


def _mean(models: Sequence[Any], asked: Floats, cap: float) -> Floats:
    with one_thread():
        said: Floats = np.mean([model.predict(asked) for model in models], axis=0)
    return np.clip(said, 0, cap)


def _plain(given: Scale | Calibration) -> dict[str, Any]:
    return {field.name: getattr(given, field.name) for field in fields(given)}
