"""How well remaining lives are told of parts that were not taught: each part is judged by a model of others, within a range that was calibrated on others. One
part counts as much as another, however long it lived. numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tillwatch.collector.learn.conformal import FOLDS, calibrate
from tillwatch.collector.learn.remaining_life import RemainingLife


@dataclass(frozen=True, slots=True)
class Judged:
    """index: of the history that was taught; error: mean distance of what was told from the truth, over the time in which less than the cap was left; held: share of its
    readings at which the range held the truth. In the unit of the age.
    """

    index: int
    life: float
    error: float
    held: float


@dataclass(frozen=True, slots=True)
class Unseen:
    """Means over the parts. usual_error: had one figure been told of every part at every age, the middle one of the others."""

    parts: tuple[Judged, ...]
    error: float
    usual_error: float
    held: float


def judge(model: RemainingLife) -> Unseen:
    """model: as `fit` made it. ValueError for one that was stored in between, which does not have what was held back any more."""
    found = model.out_of_fold
    if found is None:
        raise ValueError("a stored model does not have what it was judged by; fit it again")
    truth = np.minimum(found.remaining, model.cap)
    ending = found.remaining < model.cap
    low, high, usual = np.zeros(len(truth)), np.zeros(len(truth)), np.zeros(len(truth))
    indices = np.unique(found.part)
    fold = np.random.default_rng(1).permutation(len(indices))[np.searchsorted(indices, found.part)] % FOLDS
    for one in np.unique(fold):
        mine = fold == one
        others = calibrate(found.predicted[~mine], truth[~mine], found.part[~mine], model.settings.level)
        low[mine], high[mine] = replace(model, calibration=others).interval(found.predicted[mine])
        usual[mine] = np.median(truth[~mine & ending])
    held = (low <= truth) & (truth <= high)
    missed, missed_usually = np.abs(found.predicted - truth), np.abs(usual - truth)
    judged, plain = [], []
    for index in indices:
        mine = found.part == index
        last = mine & ending
        life = float((found.age + found.remaining)[mine][0])
        judged.append(Judged(int(index), life, float(missed[last].mean()), float(held[mine].mean())))
        plain.append(float(missed_usually[last].mean()))
    error, share = (float(np.mean([getattr(each, name) for each in judged])) for name in ("error", "held"))
    return Unseen(tuple(judged), error, float(np.mean(plain)), share)
