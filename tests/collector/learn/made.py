"""Panels of units that fail by a law that is known, so that what is learnt can be held against it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tillwatch.collector.learn.calibration import probability
from tillwatch.collector.learn.episodes import Telling
from tillwatch.collector.learn.panel import DAY_NS, Features, Panel

TELLING = Telling(stays=0.5, silent=1, grace=0, rest_hit=2, rest_false=5)
MODELS = ("sturdy", "usual", "weak")
NAMES = ("jam count 7 d", "jam days since", "age", "noise", "model")
SUBJECTS = ("jam", "jam", "age", "noise", "model")


def law(panel: Panel) -> NDArray[np.float64]:
    """What the failures were drawn from."""
    jams, age = panel.features.values[:, 0], panel.features.values[:, 2]
    model = np.nan_to_num(panel.features.values[:, 4], nan=1.0)
    return probability(-5.5 + 1.1 * np.minimum(jams, 4) + 0.0006 * age + 0.8 * (model - 1))


def panel(units: int = 120, days: int = 60, seed: int = 0, *, offset: float = 0.0) -> Panel:
    """A row a unit and day. offset: of the log odds, for fleets that fail less."""
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(units), days)
    at = np.tile(np.arange(days), units).astype(np.int64) * DAY_NS
    jams = rng.poisson(0.4, len(unit)).astype(np.float64)
    since = np.where(jams > 0, rng.uniform(0, 7, len(unit)), np.nan)
    age = np.repeat(rng.uniform(0, 2000, units), days) + at / DAY_NS
    model = np.repeat(rng.integers(0, 3, units), days).astype(np.float64)
    model[rng.random(len(unit)) < 0.02] = np.nan
    values = np.column_stack([jams, since, age, rng.normal(size=len(unit)), model]).astype(np.float32)
    table = Features(NAMES, values, SUBJECTS, {"model": MODELS})
    blank = Panel(unit, at, table, np.zeros(len(unit), bool), DAY_NS, DAY_NS)
    chance = probability(np.log(law(blank) / (1 - law(blank))) + offset)
    return Panel(unit, at, table, rng.random(len(unit)) < chance, DAY_NS, DAY_NS)
