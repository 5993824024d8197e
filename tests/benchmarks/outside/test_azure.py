from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.outside import azure
from tillwatch.collector.learn.panel import DAY_NS

DATA = Path(os.environ.get("TILLWATCH_DATA") or Path(__file__).parents[4] / "shared/data") / "benchmarks/azure_pdm"
MACHINES = 12


def write(path: Path, header: str, rows: list[str]) -> None:
    path.write_text("\n".join([header, *rows]) + "\n", "utf-8")


def made(folder: Path, days: int, *, start: str = "2015-01-01", last: int | None = None) -> Path:
    """Machines of which an error at noon says, four times of five, that the component fails the next morning. last: days that are written."""
    rng = np.random.default_rng(4)
    first = np.datetime64(start)
    errors, failures, parts, daily = [], [], [], []
    for day in range(days):
        for machine in range(1, MACHINES + 1):
            date = first + day
            daily.append((day, f"{machine},{date},{rng.normal(170, 5)},450,100,40" + ",0" * 13))
            if rng.random() < 0.12:
                errors.append((day, f"{date}T12:00:00.000000,{machine},error1"))
                if rng.random() < 0.8:
                    failures.append((day + 1, f"{date + 1}T06:00:00.000000,{machine},comp1"))
                    parts.append((day + 1, f"{date + 1}T06:00:00.000000,{machine},comp1"))
    last = days if last is None else last
    rest = ",".join(f"c{n}" for n in range(13))
    folder.mkdir(exist_ok=True)
    for file, header, rows in (
        (
            "daily.csv",
            f"machineID,date,mean_daily_voltage,mean_daily_rotation,mean_daily_pressure,mean_daily_vibration,{rest}",
            daily,
        ),
        ("PdM_errors.csv", "datetime,machineID,errorID", errors),
        ("PdM_failures.csv", "datetime,machineID,failure", failures),
        ("PdM_maintenance.csv", "datetime,machineID,comp", parts),
    ):
        write(folder / file, header, [row for day, row in rows if day < last])
    write(folder / "PdM_machines.csv", "machineID,model,age", [f"{n},model{n % 3},{n}" for n in range(1, MACHINES + 1)])
    return folder


def test_a_folder_is_learnt_from_and_scored_on_later_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azure, "CANDIDATES", [replace(azure.CANDIDATES[0], iterations=30, budget=30.0)])
    found = azure.run(made(tmp_path / "data", 80), tmp_path)
    assert found["scored"]["from"] == "2015-03-12"
    assert found["recall"] > 0.5
    assert set(found["standard_error"]) == {"f1", "false_alarms_per_machine_year"}
    with (tmp_path / "azure.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == found["scored"]["machine_days"]
    assert sum(int(row["failed_next_day"]) for row in rows) == found["scored"]["failures"]
    false = sum(row["alarm"] == "1" and row["failed_next_day"] == "0" for row in rows)
    assert false == found["scored"]["false_alarms"]


def test_the_last_days_change_no_feature_of_the_days_before(tmp_path: Path) -> None:
    """A replacement on the morning of a failure is the failure itself."""
    whole = azure.panel_of(azure.read(made(tmp_path / "whole", 40)))
    cut = azure.panel_of(azure.read(made(tmp_path / "cut", 40, last=30)))
    earlier = whole.rows(whole.at < whole.at.min() + 22 * DAY_NS)
    assert earlier.features.names == cut.features.names
    np.testing.assert_array_equal(earlier.features.values, cut.features.values)
    np.testing.assert_array_equal(earlier.failed, cut.failed)


@pytest.mark.parametrize(
    ("days", "expected"),
    [(243, "2015-08-01"), (365, "2015-08-01"), (80, "2015-03-12")],
    ids=["eight months", "a year", "80 days"],
)
def test_seven_months_are_trained_on_or_seven_eighths(days: int, expected: str) -> None:
    first = azure._ns("2015-01-01")
    machines = azure.Machines(
        [], azure.f.Past(), np.zeros(0, np.int64), np.zeros(0, np.int64), first, first + (days - 1) * DAY_NS
    )
    assert str(np.datetime64(azure.split(machines) + 1, "ns"))[:10] == expected


def test_a_folder_without_failures_in_the_scored_part_is_refused(tmp_path: Path) -> None:
    data = made(tmp_path / "data", 40)
    lines = (data / "PdM_failures.csv").read_text("utf-8").splitlines()
    write(data / "PdM_failures.csv", lines[0], [line for line in lines[1:] if line < "2015-02-01"])
    with pytest.raises(ValueError, match="no failure in the part that is scored, from 2015-02-05"):
        azure.run(data, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no {DATA}: set TILLWATCH_DATA")
def test_bars_on_the_real_machines(tmp_path: Path) -> None:
    found = azure.run(DATA, tmp_path)
    error = found["standard_error"]
    assert found["f1"] + error["f1"] >= 0.97
    assert found["false_alarms_per_machine_year"] - error["false_alarms_per_machine_year"] <= 0.15
