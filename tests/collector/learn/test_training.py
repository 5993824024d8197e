"""Training, its card and its file, as `tillwatch-collector train` uses them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.collector.learn import made
from tillwatch.collector.learn import model_file
from tillwatch.collector.learn.card import markdown, when
from tillwatch.collector.learn.fallback import Fallback
from tillwatch.collector.learn.hazard import Hazard, Settings
from tillwatch.collector.learn.model_file import ModelFile, ModelFileError
from tillwatch.collector.learn.panel import DAY_NS
from tillwatch.collector.learn.training import Trained, train

QUICK = Settings(budget=5.0, folds=3, iterations=40)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train(made.panel(250, 60, seed=1), made.TELLING, QUICK)


def test_it_is_judged_on_what_came_later_and_learns_from_all(trained: Trained) -> None:
    card = trained.card
    assert isinstance(trained.model, Hazard)
    assert card["trained_on"]["rows"] == 250 * 60
    assert card["trained_on"]["units"] == 250
    assert card["holdout"]["from"] == when(round(59 * 0.8 * DAY_NS))
    assert card["holdout"]["rows"] == 250 * 12
    auc = card["holdout"]["measures"]["auc"]
    assert auc["low"] < auc["value"] < auc["high"]
    assert auc["value"] > 0.65


def test_a_moment_may_be_given() -> None:
    found = train(made.panel(250, 60, seed=1), made.TELLING, QUICK, holdout_from=50 * DAY_NS)
    assert found.card["holdout"]["rows"] == 250 * 10


def test_the_card_is_plain_values_and_a_page(trained: Trained) -> None:
    assert json.loads(json.dumps(trained.card, allow_nan=False)) == trained.card
    page = markdown(trained.card)
    for said in (
        "250 units",
        "5 features of 4 subjects",
        "5 false episodes a unit and year",
        "false episodes a terminal and year",
        "| fixed rule |",
        "scikit-learn ",
        "- seed: 0",
    ):
        assert said in page
    assert "nan" not in page


def test_it_is_stored_and_loaded_with_its_card_and_its_drift(trained: Trained, tmp_path: Path) -> None:
    model_file.save(tmp_path / "m", trained.file())
    again = Trained.of(model_file.load(tmp_path / "m"))
    other = made.panel(250, 8, seed=2).features
    np.testing.assert_array_equal(again.model.predict(other), trained.model.predict(other))
    assert again.model.threshold == trained.model.threshold
    assert again.card == trained.card
    assert again.drift is not None
    assert isinstance(again.model, Hazard)
    again.drift.add(again.model.encoding.matrix(other), again.model.predict(other))
    assert again.drift.verdict().level == "ok"
    ours, theirs = trained.model.factors(other, 3), again.model.factors(other, 3)
    assert [factor.subject for factor in ours] == [factor.subject for factor in theirs]


def test_with_few_failures_the_fixed_rule_speaks_and_its_card_says_so(tmp_path: Path) -> None:
    found = train(made.panel(20, 30, seed=1), made.TELLING, QUICK)
    assert isinstance(found.model, Fallback)
    page = markdown(found.card)
    assert "fixed rule, nothing learnt" in page
    assert "Not judged" in page
    model_file.save(tmp_path / "m", found.file())
    again = Trained.of(model_file.load(tmp_path / "m"))
    assert again.model == found.model
    assert again.drift is None


def test_a_model_of_another_kind_or_without_a_part_is_refused(trained: Trained) -> None:
    file = trained.file()
    with pytest.raises(ModelFileError, match="this is one of remaining_life"):
        Trained.of(ModelFile("remaining_life", (), {}, {}))
    parts = {name: part for name, part in file.parts.items() if name != "threshold"}
    with pytest.raises(ModelFileError, match="lacks 'threshold'"):
        Trained.of(ModelFile("hazard", file.features, file.card, parts))
