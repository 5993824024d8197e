"""`tillwatch-collector simulate` as a person calls it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from tillwatch.collector.__main__ import main
from tillwatch.collector.simulate import report
from tillwatch.collector.store.reader import SqliteReader

YEAR = ("simulate", "--terminals", "20", "--days", "3", "--seed", "5", "--pace", "5")


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its data directory is not touched."""
    path = tmp_path / "collector.toml"
    path.write_text(f'[collector]\ndata_dir = "{tmp_path / "data"}"\n', encoding="utf-8")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> int:
    return main([*arguments, "--config", "collector.toml"])


def test_it_prints_each_bar_with_its_figure_and_says_by_its_exit_whether_all_are_met(capsys):
    assert run(*YEAR) == 0
    shown = capsys.readouterr().out
    assert shown.count("  ok\n") == 5
    assert "tickets per true cause" in shown
    assert "false notifications per terminal and month: 0" in shown
    assert not Path("data").exists()


def test_a_bar_that_is_missed_is_an_exit_of_1_with_what_misses_it(capsys, monkeypatch):
    monkeypatch.setattr(report, "MOST_ERROR", 0.0)
    assert run(*YEAR, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["met"], told["seed"]) == (False, 5)
    missed = [bar for bar in told["bars"] if not bar["met"]]
    assert [bar["name"] for bar in missed] == ["availability"]
    assert missed[0]["missed"]


def test_what_comes_of_it_can_be_kept_and_looked_at(capsys):
    assert run(*YEAR, "--keep", "year.db") == 0
    capsys.readouterr()
    with closing(SqliteReader(Path("year.db"))) as reader:
        assert len(reader.terminals()) == 20
        assert reader.alarms(open_only=False)
    assert run(*YEAR, "--keep", "year.db") == 1
    assert "year.db is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"), [("--terminals", "0"), ("--days", "1"), ("--pace", "-1"), ("--days", "400")]
)
def test_what_cannot_be_simulated_is_refused_in_one_line(capsys, option, value):
    assert run("simulate", option, value) == 1
    assert capsys.readouterr().err.count("\n") == 1
