"""Failure within a horizon: gradient boosting as a discrete-time hazard. A row of the panel is a unit at a time, alive; the model says how
probable it is that it fails before the horizon is over, calibrated on units that it did not learn from, with a threshold that a budget of
false alarms leaves. scikit-learn is imported in functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tillwatch.collector.learn.budget import Threshold, by_budget
from tillwatch.collector.learn.calibration import Calibration, calibrate, log_odds, probability
from tillwatch.collector.learn.episodes import Telling, by_episodes
from tillwatch.collector.learn.holdout import Ranked
from tillwatch.collector.learn.panel import Features, Floats, Ints, Panel, Probabilities
from tillwatch.collector.learn.threads import one_thread

MIN_FAILURES = 50
"""Failures (not rows) below which boosting learns the noise of the few: ten events for each of a handful of effects, the usual least for a
logistic model. Below it the fixed rule of fallback.py speaks.
"""
MIN_FAILED_UNITS = 10
"""So many units must have failed: fifty failures of one bad unit teach that unit."""
CHOICE_ROWS = 100_000
"""What settings are chosen on. With fewer the smaller trees win, which more rows would not have needed."""
WORD_PRIOR = 20.0
"""A model of drive with fewer failures than this times the base rate is drawn to the base rate: a model seen twice, failed once, is no omen."""

Progress = Callable[[str, float], None]
"""Called with what is being done and the share that is done, 0 to 1, from the thread of fit."""


def silent(_what: str, _share: float) -> None:
    """No progress."""


@dataclass(frozen=True, slots=True)
class Settings:
    """budget: false alarms a unit and year. rows: how many rows are learnt from; where a panel has more, rows without a failure are drawn, and
    count for what they stand for: beyond some 200,000 they cost minutes and teach little. The rest is HistGradientBoostingClassifier: shallow
    trees, strongly held, for failures are few.
    """

    budget: float = 0.15
    rows: int = 200_000
    folds: int = 5
    iterations: int = 200
    rate: float = 0.05
    leaves: int = 15
    leaf_rows: int = 20
    l2: float = 5.0
    share_of_features: float = 0.5
    members: int = 1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Factor:
    """One reason: the subject (an error, a part, a sensor), what it adds to the log odds against the usual state of it, and the values of its
    columns that are not usual, by name.
    """

    subject: str
    contribution: float
    values: Mapping[str, float | str]


@dataclass(frozen=True, slots=True)
class Encoding:
    """What a model needs to read features: the columns in their order, the words that their values stood for and what each word is worth (the
    shrunk failure rate of its units: one number, where a tree needs no list of words), the usual value of each column, and which columns were
    never known: nothing was learnt from those, so nothing is read from them.
    """

    names: tuple[str, ...]
    subjects: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]]
    worth: Mapping[str, NDArray[np.float64]]
    usual: Floats
    unknown: NDArray[np.bool_]

    def matrix(self, features: Features) -> Floats:
        """Words that were not there when it was learnt are not known, as is a word that is missing."""
        if features.names != self.names:
            other = sorted(set(features.names) ^ set(self.names))[:5] or ["in another order"]
            raise ValueError(f"the model was trained on other features ({', '.join(other)}): train it again")
        values = features.values.copy()
        for name, worth in self.worth.items():
            column = self.names.index(name)
            ours = {word: worth[index] for index, word in enumerate(self.words[name])}
            table = np.array([*(ours.get(word, np.nan) for word in features.words[name]), np.nan])
            said = features.values[:, column]
            values[:, column] = table[np.where(np.isnan(said), len(table) - 1, said).astype(np.int64)]
        values[:, self.unknown] = 0.0
        return values


def encode(features: Features, failed: NDArray[np.bool_], weights: Probabilities) -> Encoding:
    rate = float(np.average(failed, weights=weights))
    worth: dict[str, NDArray[np.float64]] = {}
    for name, words in features.words.items():
        said = features.values[:, features.names.index(name)]
        known = ~np.isnan(said)
        index = said[known].astype(np.int64)
        seen = np.bincount(index, weights[known], len(words))
        hits = np.bincount(index, (weights * failed)[known], len(words))
        shrunk = (hits + WORD_PRIOR) / (seen * rate + WORD_PRIOR)
        worth[name] = np.where(seen > 0, shrunk, np.nan)
    columns = len(features.names)
    bare = Encoding(
        features.names,
        features.subjects,
        dict(features.words),
        worth,
        np.zeros(columns, np.float32),
        np.asarray(np.isnan(features.values).all(axis=0)),
    )
    return replace(bare, usual=_median(bare.matrix(features)))


def _median(values: Floats) -> Floats:
    usual = np.full(values.shape[1], np.nan, np.float32)
    for column in range(values.shape[1]):
        known = values[~np.isnan(values[:, column]), column]
        # Where most do not know (no such event yet), not knowing is what is usual.
        if 2 * len(known) >= len(values) and len(known):
            usual[column] = np.median(known)
    return usual


@dataclass(frozen=True, slots=True)
class Trees:
    """members: scikit-learn classifiers, whose mean log odds count. offset: what thinning the rows without a failure added to the log odds,
    the logarithm of how many rows each of them stood for, taken off again (King and Zeng 2001). Learning from weighted rows instead was less
    well calibrated and ranked no better.
    """

    members: tuple[Any, ...]
    offset: float

    def __call__(self, matrix: Floats) -> Probabilities:
        if not len(matrix):
            return np.zeros(0)
        with one_thread():
            odds = np.mean([log_odds(member.predict_proba(matrix)[:, 1]) for member in self.members], axis=0)
        return probability(odds - self.offset)


@dataclass(frozen=True, slots=True)
class Hazard:
    """A model that was fitted. threshold: chosen out of fold. learnt_from: counts and times for the card."""

    encoding: Encoding
    trees: Trees
    calibration: Calibration
    threshold: Threshold
    horizon: int
    learnt_from: Mapping[str, int | float] = field(default_factory=dict)

    def predict(self, features: Features) -> Probabilities:
        """The probability that each row's unit fails within the horizon."""
        return self._predict(self.encoding.matrix(features))

    def _predict(self, matrix: Floats) -> Probabilities:
        return self.calibration(self.trees(matrix))

    def factors(self, features: Features, row: int, most: int = 5) -> list[Factor]:
        """What speaks for a failure most, of one row: each subject is put back to its usual state and the fall of the log odds is its share.
        Cheap, and honest about one subject at a time; two that say the same hide each other.
        """
        one = features.rows(np.array([row]))
        matrix = self.encoding.matrix(one)
        subjects = list(dict.fromkeys(self.encoding.subjects))
        without = np.repeat(matrix, len(subjects) + 1, axis=0)
        columns = {name: [i for i, of in enumerate(self.encoding.subjects) if of == name] for name in subjects}
        for index, subject in enumerate(subjects, 1):
            without[index, columns[subject]] = self.encoding.usual[columns[subject]]
        odds = log_odds(self._predict(without))
        shares = odds[0] - odds[1:]
        found = [
            Factor(subjects[index], float(shares[index]), self._unusual(one, matrix, columns[subjects[index]]))
            for index in np.argsort(-shares, kind="stable")[:most]
        ]
        return [factor for factor in found if factor.contribution > 0]

    def _unusual(self, one: Features, matrix: Floats, columns: Sequence[int]) -> dict[str, float | str]:
        found: dict[str, float | str] = {}
        for column in columns:
            name, value = one.names[column], float(one.values[0, column])
            if np.isnan(value) or matrix[0, column] == self.encoding.usual[column]:
                continue
            found[name] = one.words[name][int(value)] if name in one.words else value
        return found

    def parts(self) -> dict[str, Any]:
        """Plain values, arrays and estimators, for model_file."""
        return {
            "names": list(self.encoding.names),
            "subjects": list(self.encoding.subjects),
            "words": {name: list(words) for name, words in self.encoding.words.items()},
            "worth": dict(self.encoding.worth),
            "usual": self.encoding.usual,
            "unknown": self.encoding.unknown,
            "members": list(self.trees.members),
            "offset": self.trees.offset,
            "calibration": self.calibration.parts(),
            "threshold": asdict(self.threshold),
            "horizon": self.horizon,
            "learnt_from": dict(self.learnt_from),
        }

    @classmethod
    def from_parts(cls, parts: Mapping[str, Any]) -> Hazard:
        encoding = Encoding(
            tuple(parts["names"]),
            tuple(parts["subjects"]),
            {name: tuple(words) for name, words in parts["words"].items()},
            dict(parts["worth"]),
            parts["usual"],
            parts["unknown"],
        )
        return cls(
            encoding,
            Trees(tuple(parts["members"]), float(parts["offset"])),
            Calibration.from_parts(parts["calibration"]),
            Threshold(**parts["threshold"]),
            int(parts["horizon"]),
            dict(parts["learnt_from"]),
        )


@dataclass(frozen=True, slots=True)
class Fitted:
    """hazard, and for the rows that were learnt from (`rows`: which of the panel's): the probability from a model that did not see the row's
    unit, and the weight of the row.
    """

    hazard: Hazard
    rows: Ints
    out_of_fold: Probabilities
    weights: Probabilities


def fit(
    panel: Panel, settings: Settings = Settings(), progress: Progress = silent, telling: Telling | None = None
) -> Fitted:
    """ValueError where there is nothing to learn a failure from; ask enough() first. Deterministic for one seed and one version of the libraries.
    telling: the budget is counted in the episodes that it makes of all rows of the panel; otherwise in rows.
    """
    rows, weights, scores = _cross_fit(panel, settings, progress, all_rows=telling is not None)
    score = scores if telling is None else scores[rows]
    learnt = panel.rows(rows)
    calibration = calibrate(score, learnt.failed, weights)
    out_of_fold = calibration(score)
    if telling is None:
        years = float(weights.sum()) * panel.years_a_row
        threshold = by_budget(out_of_fold, learnt.failed, years=years, budget=settings.budget, weights=weights)
    else:
        threshold = by_episodes(calibration(scores), panel, telling, budget=settings.budget)
    progress("fitting", settings.folds / (settings.folds + 1))
    encoding, trees = _boost(learnt, weights, settings)
    learnt_from = {
        "rows": len(panel),
        "rows used": len(learnt),
        "units": len(np.unique(panel.unit)),
        "failures": failures(panel),
        "failed rows": int(panel.failed.sum()),
        "from": int(panel.at.min()),
        "to": int(panel.at.max()),
    }
    progress("fitted", 1.0)
    return Fitted(
        Hazard(encoding, trees, calibration, threshold, panel.horizon, learnt_from), rows, out_of_fold, weights
    )


def choose(panel: Panel, candidates: Sequence[Settings], progress: Progress = silent) -> Settings:
    """The candidate with the best average precision out of fold: on units that it did not learn from, each row counting for what it stands
    for. It is the top of the list that a budget pays for; the log loss is all but decided by the rows that nobody will be told of. To judge
    the choice, judge on other rows than these.
    """
    found = []
    for index, settings in enumerate(candidates):
        progress("choosing", index / len(candidates))
        rows, weights, score = _cross_fit(panel, replace(settings, rows=min(settings.rows, CHOICE_ROWS)), silent)
        found.append(Ranked(score, panel.failed[rows]).average_precision(weights))
    return candidates[int(np.argmax(found))]


def _cross_fit(
    panel: Panel, settings: Settings, progress: Progress, *, all_rows: bool = False
) -> tuple[Ints, Probabilities, Probabilities]:
    """Rows learnt from, what each stands for, and the score of each by trees that did not see its unit; with all_rows that of each row of the panel."""
    rng = np.random.default_rng(settings.seed)
    rows, weights = thinned(panel.failed, settings.rows, rng)
    learnt = panel.rows(rows)
    if len(np.unique(learnt.unit[learnt.failed])) < settings.folds:
        raise ValueError(
            f"fewer than {settings.folds} units failed, nothing can be learnt of the next: collect more, the fixed rule holds until then"
        )
    fold = folds(learnt.unit, learnt.failed, settings.folds, rng)
    asked, of = (panel, _of_units(panel.unit, learnt.unit, fold)) if all_rows else (learnt, fold)
    score = np.zeros(len(asked))
    for index in np.unique(fold):
        progress("cross-fitting", float(index) / (settings.folds + 1))
        held = fold == index
        encoding, trees = _boost(learnt.rows(~held), weights[~held], settings)
        score[of == index] = trees(encoding.matrix(asked.features.rows(of == index)))
    return rows, weights, score


def _of_units(unit: Ints, learnt: Ints, fold: Ints) -> Ints:
    """The fold of each row by that of its unit; a unit that nothing was learnt from is as well in the first as in any."""
    known, first = np.unique(learnt, return_index=True)
    place = np.minimum(np.searchsorted(known, unit), len(known) - 1)
    return np.where(known[place] == unit, fold[first][place], 0)


def failures(panel: Panel) -> int:
    """Failures, not rows: rows of one unit that lie within one horizon look at the same failure."""
    order = np.lexsort((panel.at[panel.failed], panel.unit[panel.failed]))
    unit, at = panel.unit[panel.failed][order], panel.at[panel.failed][order]
    if not len(unit):
        return 0
    return 1 + int(np.count_nonzero((unit[1:] != unit[:-1]) | (at[1:] - at[:-1] > panel.horizon)))


def enough(panel: Panel) -> bool:
    return failures(panel) >= MIN_FAILURES and len(np.unique(panel.unit[panel.failed])) >= MIN_FAILED_UNITS


def thinned(failed: NDArray[np.bool_], rows: int, rng: np.random.Generator) -> tuple[Ints, Probabilities]:
    """Rows to learn from, in order, and what each stands for: all that failed, and of the others as many as there is room for."""
    hits, others = np.flatnonzero(failed), np.flatnonzero(~failed)
    room = max(rows - len(hits), len(hits))
    weights = np.ones(len(failed))
    if len(others) > room:
        weights[others] = len(others) / room
        others = rng.choice(others, room, replace=False)
    chosen = np.sort(np.r_[hits, others])
    return chosen.astype(np.int64), weights[chosen]


def folds(unit: Ints, failed: NDArray[np.bool_], count: int, rng: np.random.Generator) -> Ints:
    """A fold for each row, the same for all rows of a unit. Units that failed are dealt out first, so that each fold has its share of them."""
    _, index = np.unique(unit, return_inverse=True)
    units = int(index.max()) + 1 if len(index) else 0
    ever = np.bincount(index, failed, units) > 0
    order = rng.permutation(units)
    order = order[np.argsort(~ever[order], kind="stable")]
    dealt = np.empty(units, np.int64)
    dealt[order] = np.arange(units) % count
    return dealt[index]


def _boost(panel: Panel, weights: Probabilities, settings: Settings) -> tuple[Encoding, Trees]:
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415  # 60 MB that only training and prediction need

    encoding = encode(panel.features, panel.failed, weights)
    matrix = encoding.matrix(panel.features)
    with one_thread():
        members = tuple(
            HistGradientBoostingClassifier(
                max_iter=settings.iterations,
                learning_rate=settings.rate,
                max_leaf_nodes=settings.leaves,
                min_samples_leaf=settings.leaf_rows,
                l2_regularization=settings.l2,
                max_features=settings.share_of_features,
                early_stopping=False,
                random_state=settings.seed + member,
            ).fit(matrix, panel.failed)
            for member in range(settings.members)
        )
    return encoding, Trees(members, float(np.log(weights.max())))
