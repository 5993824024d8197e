from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.collector.learn import made
from tillwatch.collector.learn.budget import NEVER
from tillwatch.collector.learn.calibration import slope
from tillwatch.collector.learn.hazard import Fitted, Settings, choose, enough, failures, fit, folds, thinned
from tillwatch.collector.learn.holdout import Ranked
from tillwatch.collector.learn.panel import DAY_NS, Features

QUICK = Settings(budget=5.0, folds=3, iterations=60)


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return fit(made.panel(300, 60, seed=1), QUICK)


def test_it_ranks_units_it_never_saw_almost_as_the_law_does(fitted: Fitted) -> None:
    other = made.panel(300, 60, seed=2)
    one = np.ones(len(other))
    found = Ranked(fitted.hazard.predict(other.features), other.failed).auc(one)
    best = Ranked(made.law(other), other.failed).auc(one)
    assert best - 0.03 < found < best + 0.01


def test_its_probabilities_hold_on_units_it_never_saw(fitted: Fitted) -> None:
    other = made.panel(600, 60, seed=3)
    chance = fitted.hazard.predict(other.features)
    assert 0.85 < slope(chance, other.failed)[0] < 1.15
    assert 0.85 < chance.sum() / other.failed.sum() < 1.15


def test_its_alarms_keep_the_budget_on_units_it_never_saw(fitted: Fitted) -> None:
    other = made.panel(600, 60, seed=4)
    raised = fitted.hazard.predict(other.features) >= fitted.hazard.threshold.value
    false = np.count_nonzero(raised & ~other.failed) / (len(other) * other.years_a_row)
    assert false < 1.5 * QUICK.budget
    assert (raised & other.failed).any()


def test_rows_left_out_are_counted_for_what_they_stand_for() -> None:
    whole = made.panel(400, 100, seed=5, offset=-1.5)
    part = fit(whole, replace(QUICK, rows=6_000))
    assert len(part.rows) == 6_000
    assert part.weights.sum() == pytest.approx(len(whole))
    other = made.panel(600, 60, seed=6, offset=-1.5)
    chance = part.hazard.predict(other.features)
    assert 0.8 < chance.sum() / other.failed.sum() < 1.25


def test_out_of_fold_means_that_the_unit_was_not_seen() -> None:
    unit = np.repeat(np.arange(40), 5)
    failed = (unit < 8) & (np.arange(200) % 5 == 2)
    fold = folds(unit, failed, 4, np.random.default_rng(0))
    assert all(len(set(fold[unit == one])) == 1 for one in range(40))
    assert np.bincount(fold).tolist() == [50] * 4
    assert np.bincount(fold[failed]).tolist() == [2] * 4


def test_a_unit_that_is_known_by_heart_is_not_known_out_of_fold() -> None:
    """A column that names the unit tells all of a unit that was seen, and nothing of another."""
    rng = np.random.default_rng(7)
    whole = made.panel(80, 50, seed=7)
    names = rng.permutation(80).astype(np.float32)[whole.unit]
    failed = rng.random(len(whole)) < np.where(rng.random(80) < 0.3, 0.4, 0.01)[whole.unit]
    by_heart = replace(whole, features=Features(("name",), names[:, None], ("name",), {}), failed=failed)
    found = fit(by_heart, QUICK)
    one = np.ones(len(by_heart))
    assert Ranked(found.hazard.trees(names[:, None]), failed).auc(one) > 0.8
    assert Ranked(found.out_of_fold, failed).auc(one) < 0.7


def test_all_failures_are_kept_when_rows_are_left_out() -> None:
    failed = np.arange(1000) % 100 == 0
    rows, weights = thinned(failed, 100, np.random.default_rng(0))
    assert failed[rows].sum() == 10
    assert len(rows) == 100
    assert set(weights[failed[rows]]) == {1.0}
    assert set(weights[~failed[rows]]) == {11.0}


def test_the_same_seed_gives_the_same_model(fitted: Fitted) -> None:
    again = fit(made.panel(300, 60, seed=1), QUICK)
    other = made.panel(20, 10, seed=8).features
    np.testing.assert_array_equal(again.hazard.predict(other), fitted.hazard.predict(other))


def test_factors_name_what_was_unusual(fitted: Fitted) -> None:
    usual = np.array([[0, np.nan, 1000, 0, 1], [4, 1.0, 1000, 0, 1]], np.float32)
    table = Features(made.NAMES, usual, made.SUBJECTS, {"model": made.MODELS})
    found = fitted.hazard.factors(table, 1)
    assert found[0].subject == "jam"
    assert found[0].contribution > 0.5
    assert found[0].values == {"jam count 7 d": 4.0, "jam days since": 1.0}
    assert all(factor.contribution < 0.5 for factor in fitted.hazard.factors(table, 0))


def test_words_are_known_by_name_not_by_number(fitted: Fitted) -> None:
    """A later panel numbers its models by those that it has."""
    row = np.array([[1, 2.0, 1000, 0, 2]], np.float32)
    ours = Features(made.NAMES, row, made.SUBJECTS, {"model": made.MODELS})
    theirs = Features(made.NAMES, row, made.SUBJECTS, {"model": ("brand new", "usual", "weak", "sturdy")})
    assert fitted.hazard.predict(ours) == fitted.hazard.predict(theirs)
    row[0, 4] = 0
    unknown = fitted.hazard.predict(Features(made.NAMES, row, made.SUBJECTS, {"model": ("brand new",)}))
    row[0, 4] = np.nan
    assert fitted.hazard.predict(Features(made.NAMES, row, made.SUBJECTS, {"model": made.MODELS})) == unknown


def test_a_column_that_was_never_known_teaches_and_says_nothing() -> None:
    whole = made.panel(60, 30, seed=1)
    values = whole.features.values.copy()
    values[:, 3] = np.nan
    never = replace(whole, features=replace(whole.features, values=values))
    hazard = fit(never, QUICK).hazard
    np.testing.assert_array_equal(hazard.predict(whole.features), hazard.predict(never.features))
    assert "noise" not in {factor.subject for row in range(50) for factor in hazard.factors(whole.features, row)}


def test_other_features_are_refused(fitted: Fitted) -> None:
    with pytest.raises(ValueError, match=r"other features .*jams.*train it again"):
        fitted.hazard.predict(Features(("jams",), np.zeros((1, 1), np.float32), ("jams",), {}))


def test_rows_that_look_at_one_failure_are_one_failure() -> None:
    whole = made.panel(2, 40, seed=9)
    failed = np.zeros(80, bool)
    failed[[3, 4, 20, 45]] = True
    assert failures(replace(whole, failed=failed)) == 3
    assert failures(replace(whole, failed=failed, horizon=30 * DAY_NS)) == 2


def test_many_failures_of_one_unit_are_not_enough() -> None:
    whole = made.panel(60, 200, seed=9)
    every_third = whole.at % (3 * DAY_NS) == 0
    assert enough(replace(whole, failed=every_third & (whole.unit < 10)))
    assert not enough(replace(whole, failed=every_third & (whole.unit < 9)))
    assert not enough(replace(whole, failed=whole.at == 0, unit=whole.unit % 40))


def test_nothing_to_learn_from_is_refused() -> None:
    whole = made.panel(10, 10)
    with pytest.raises(ValueError, match="fewer than 3 units failed"):
        fit(replace(whole, failed=np.zeros(len(whole), bool)), QUICK)


def test_where_no_threshold_keeps_the_budget_it_never_raises() -> None:
    found = fit(made.panel(60, 30, seed=1), replace(QUICK, budget=0.0))
    raised = found.out_of_fold >= found.hazard.threshold.value
    assert found.hazard.threshold.value == NEVER or not (raised & ~made.panel(60, 30, seed=1).failed).any()


def test_the_better_of_two_is_chosen_out_of_fold() -> None:
    whole = made.panel(150, 60, seed=1)
    one_leaf_fits_all, learns = replace(QUICK, leaf_rows=4_000), QUICK
    assert choose(whole, [one_leaf_fits_all, learns]) is learns
    by_heart = replace(QUICK, leaf_rows=1, leaves=255, iterations=300, rate=0.3, l2=0.0)
    assert choose(whole, [by_heart, learns]) is learns


def test_progress_ends_at_one() -> None:
    told: list[float] = []
    fit(made.panel(60, 30, seed=1), QUICK, lambda _what, share: told.append(share))
    assert told == sorted(told)
    assert told[-1] == 1.0
