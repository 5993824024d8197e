"""What parts that ran to their end say of those that run: out of the store, out of a file, or what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.collector.desk import Desk
from tests.collector.fans import FAN, TERMINALS, worn_fans
from tillwatch.collector.__main__ import main
from tillwatch.collector.commands import lifetimes_command
from tillwatch.collector.learn.remaining_life import Settings


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for parts that wear in a straight line."""
    monkeypatch.setattr(
        lifetimes_command, "settings_of", lambda signals: Settings(signals, seeds=1, iterations=60, leaf=10)
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return worn_fans(tmp_path / "fans")[0]


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    """26 units that ran to their end, and 6 that have 3 to 40 left; `wear` drifts, `room` does not."""
    rng = np.random.default_rng(1)
    lines = ["unit,age,wear,room,ended"]
    for unit in range(32):
        life = int(rng.integers(50, 140))
        last = life if unit < 26 else life - (3, 8, 15, 20, 30, 40)[unit - 26]
        lines += [
            f"u{unit},{age},{10 * age / life + rng.normal(0, 0.3):.3f},{rng.normal(20, 5):.2f},{int(unit < 26 and age == last)}"
            for age in range(1, last + 1)
        ]
    file = tmp_path / "lives.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def _run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["lifetimes", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


def _json(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    code, said, error = _run(capsys, *words, "--json")
    assert code == 0, error
    return json.loads(said)


def test_the_store_tells_of_each_running_part_the_first_to_end_first(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = _json(capsys, "--config", str(site), "--component", "host/fan")
    assert (told["unit"], told["signals"], told["level"]) == ("days", ["host.fan.speed"], 0.9)
    assert told["lives"]["ended"] >= lifetimes_command.MIN_LIVES
    assert (told["lives"]["running"], told["lives"]["cut_off"]) == (TERMINALS, 1)
    assert {(each["terminal"], each["component"]) for each in told["parts"]} == {
        (f"T{i}", FAN) for i in range(TERMINALS)
    }
    assert [each["low"] for each in told["parts"]] == sorted(each["low"] for each in told["parts"])
    assert told["unseen"]["error"] < told["unseen"]["usual_error"]
    assert len(told["unseen"]["parts"]) == told["lives"]["ended"]
    moved = [one["signal"] for each in told["parts"] for one in each["moved"]]
    assert set(moved) == {"host.fan.speed"}


def test_what_is_printed_of_the_store(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = _run(capsys, "--config", str(site), "--component", "host/fan")
    assert code == 0
    lines = said.splitlines()
    assert lines[0].startswith("host/fan: ")
    assert "8 still run; 1 cut off before a fault" in lines[0]
    assert "on lives that it did not know: off by" in lines[2]
    heading = next(i for i, line in enumerate(lines) if line.startswith("TERMINAL"))
    assert len(lines) - heading - 1 == TERMINALS
    assert "RANGE AT 90%" in lines[heading]


def test_a_file_from_elsewhere_is_learnt_from_alike(sheet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = _json(capsys, "--csv", str(sheet))
    assert told["unit"] == "age"
    assert told["lives"]["ended"] == 26
    left = {f"u{26 + i}": days for i, days in enumerate((3, 8, 15, 20, 30, 40))}
    assert {each["terminal"] for each in told["parts"]} == set(left)
    for each in told["parts"]:
        assert abs(each["likely"] - min(left[each["terminal"]], told["cap"])) < 12, each
        assert each["low"] <= each["likely"]
        assert each["high"] is None or each["likely"] <= each["high"]
    first = told["parts"][0]
    assert first["terminal"] == "u26"
    assert first["moved"][0]["signal"] == "wear"
    assert first["moved"][0]["by"] < 0
    assert 0.8 < told["unseen"]["held"] <= 1


def test_signals_can_be_chosen_and_what_says_nothing_is_called_so(
    sheet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _json(capsys, "--csv", str(sheet), "--signal", "wear")["signals"] == ["wear"]
    lines = ["unit,age,room,ended"]
    rng = np.random.default_rng(2)
    for unit, life in enumerate(rng.permutation(np.arange(40, 140, 4))):
        lines += [f"u{unit},{age},{rng.normal():.3f},{int(age == life)}" for age in range(1, int(life) + 1)]
    sheet.write_text("\n".join(lines))
    told = _json(capsys, "--csv", str(sheet))
    assert told["unseen"]["error"] > 0.8 * told["unseen"]["usual_error"]
    assert told["parts"] == []
    code, said, _ = _run(capsys, "--csv", str(sheet))
    assert (code, "no part still runs" in said) == (0, True)


def test_too_few_lives_are_counted_and_nothing_is_foreseen(
    site: Path, sheet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    early = ("--config", str(site), "--component", "host/fan", "--until", "2026-10-20")
    code, said, _ = _run(capsys, *early)
    assert code == 1
    assert "lives that ended, it takes 20" in said
    assert "8 still run" in said
    code, said, _ = _run(capsys, *early, "--json")
    told = json.loads(said)
    assert (code, told["learnt"], told["ended_needed"]) == (1, False, 20)
    assert 0 < told["lives"]["ended"] < 20
    sheet.write_text("unit,age,x\na,1,2\na,2,2\n")
    code, said, _ = _run(capsys, "--csv", str(sheet))
    assert (code, "has 1 lives" in said) == (1, True)


def test_what_cannot_be_done_is_one_error(desk: Desk, tmp_path: Path) -> None:
    assert "either --component KIND" in desk.refused("lifetimes", status=2)
    broken = tmp_path / "broken.csv"
    broken.write_text("unit,age,x\na,1,warm\n")
    assert "line 2, column x: 'warm' is no number" in desk.refused("lifetimes", "--csv", str(broken))
    assert "either" in desk.refused("lifetimes", "--csv", str(broken), "--component", "ups", status=2)
    assert "--until is for the store" in desk.refused(
        "lifetimes", "--csv", str(broken), "--until", "2026-01-01", status=2
    )
    assert "knows no part of the kind blimp" in desk.refused("lifetimes", "--component", "blimp")
    assert "is no day or time" in desk.refused("lifetimes", "--component", "ups", "--until", "soon", status=2)
    assert "--signal room" in desk.refused("lifetimes", "--component", "host/disk", "--signal", "room")
