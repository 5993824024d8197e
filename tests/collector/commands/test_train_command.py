"""A model comes out of the store with its card, or it is said what is missing; nothing else is touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.collector.desk import Desk
from tests.collector.simulated import bank
from tillwatch.collector.__main__ import main
from tillwatch.collector.commands import train_command
from tillwatch.collector.config import load_config
from tillwatch.collector.learn import hazard
from tillwatch.collector.learn.hazard import Hazard, Settings
from tillwatch.collector.learn.model_file import load
from tillwatch.collector.learn.training import Trained
from tillwatch.collector.predict.learnt import load_models

LEAST = 8


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bank in which much breaks in two months, and a small model of it: the whole one takes years, and minutes."""
    monkeypatch.setattr(hazard, "MIN_FAILURES", LEAST)
    monkeypatch.setattr(hazard, "MIN_FAILED_UNITS", 4)
    monkeypatch.setattr(train_command, "_settings", lambda *_: Settings(budget=2.0, iterations=15, folds=2))
    return bank(tmp_path / "bank")


def _train(file: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["train", "--config", str(file), *words])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_model_is_saved_with_its_card_where_the_predictions_find_it(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load_config(site)
    code, said, _ = _train(site, capsys, "--horizon", "7d")
    assert code == 0, said
    assert "learnt from" in said
    models = load_models(config.models)
    assert isinstance(models.hazard, Hazard)
    assert models.drift is not None
    card = (site.parent / "models" / "hazard.md").read_text()
    facts = json.loads((site.parent / "models" / "hazard.json").read_text())
    assert "## On what came later" in card
    assert facts["trained_on"]["failures"] >= LEAST
    assert facts["history"]["terminals"] == facts["history"]["terminals of the fleet"]
    assert not list((site.parent / "models").glob(".*")), "nothing is left over"


def test_where_to_until_when_of_what_and_how_far_ahead_can_be_said(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine" / "trial.skops"
    code, said, error = _train(
        site,
        capsys,
        "--out",
        str(out),
        "--horizon",
        "7d",
        "--until",
        "2025-02-26",
        "--component",
        "atm*",
        "acceptor",
        "--json",
    )
    assert code == 0, error
    told: dict[str, Any] = json.loads(said)
    card = told["card"]
    assert (told["model"], card["horizon_days"], card["history"]["kinds"]) == (str(out), 7.0, ["atm*", "acceptor"])
    assert card["trained_on"]["to"] < "2025-02-26T03"
    assert Trained.of(load(out)).model.horizon == 7 * train_command.DAY_NS
    assert not (site.parent / "models").exists()


def test_too_little_is_said_with_what_is_missing_and_nothing_is_saved(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, _ = _train(site, capsys, "--until", "2025-01-20", "--component", "ups")
    assert code == 1
    assert "failures are missing" in said
    assert "the fixed rule goes on" in said
    code, said, _ = _train(site, capsys, "--until", "2025-01-20", "--component", "ups", "--json")
    assert code == 1
    assert json.loads(said)["failures_needed"] == LEAST
    assert not (site.parent / "models").exists()


def test_what_cannot_be_trained_is_one_error(desk: Desk) -> None:
    assert "no part was seen over a whole day" in desk.refused("train")
    assert "--horizon is from 1d" in desk.refused("train", "--horizon", "1h", status=2)
    assert "is no day or time" in desk.refused("train", "--until", "soon", status=2)
    assert "write a duration" in desk.refused("train", "--horizon", "soon", status=2)
