"""The adapter reads any folder of the format, learns the starts only, and what it states is what its files hold."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.outside import skab

SIGNALS = ("Accelerometer1RMS", "Temperature", "Volume Flow RateRMS")


def recording(path: Path, seed: int, *, fault: float = 8.0, rows: int = 700, labelled: bool = True) -> None:
    """A quiet bench, and a fault of the flow from row 500 to 600."""
    rng = np.random.default_rng(seed)
    values = rng.normal((0.2, 85, 125), (0.01, 0.3, 0.5), (rows, 3))
    anomalous = np.zeros(rows)
    if labelled:
        values[500:600, 2] -= fault
        anomalous[500:600] = 1
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, delimiter=";")
        writer.writerow(["datetime", *SIGNALS, *(["anomaly", "changepoint"] if labelled else [])])
        for at, row in enumerate(values):
            second = f"2020-03-09 10:{at // 60 % 60:02}:{at % 60:02}"
            writer.writerow([second, *(f"{value:.6g}" for value in row), *([anomalous[at], 0.0] if labelled else [])])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        recording(tmp_path / "data" / "valve1" / f"{number}.csv", number)
    recording(tmp_path / "data" / "valve2" / "0.csv", 9)
    recording(tmp_path / "data" / "anomaly-free" / "anomaly-free.csv", 5, rows=1300, labelled=False)
    (tmp_path / "data" / "notes.csv").write_text("a,b\n1,2\n", "utf-8")
    (tmp_path / "out").mkdir()
    return tmp_path


def test_a_folder_of_the_format_is_scored(folder: Path) -> None:
    found = skab.run(folder / "data", folder / "out")
    assert sorted(found["files"]) == ["valve1/0", "valve1/1", "valve1/2", "valve2/0"]
    assert found["f1"] > 0.85
    assert found["far"] < 0.15
    assert found["mar"] < 0.1
    assert found["anomaly_free_far"] < 0.05
    assert found["se"] >= 0
    assert found["configurations_tried"] == len(skab.LIMITS)
    json.dumps(found, allow_nan=False)


def test_the_scores_are_those_of_the_rows_that_are_written(folder: Path) -> None:
    found = skab.run(folder / "data", folder / "out")
    hit = false = missed = 0
    for path in (folder / "out").glob("*.csv"):
        with path.open(encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        assert [int(row["row"]) for row in rows] == list(range(skab.TRAIN, 700))
        hit += sum(row["anomaly"] == row["fired"] == "1" for row in rows)
        false += sum(row["anomaly"] < row["fired"] for row in rows)
        missed += sum(row["anomaly"] > row["fired"] for row in rows)
        assert all(row["speaks"] == "Volume Flow RateRMS" for row in rows[150:200])
    assert found["f1"] == pytest.approx(2 * hit / (2 * hit + false + missed))


def test_what_is_said_of_a_row_does_not_depend_on_later_rows_nor_on_any_label(folder: Path) -> None:
    one = skab.recordings(folder / "data")[-1]
    assert one.anomalous is not None
    cut = skab.Recording(one.name, one.signals, one.values[:550], ~one.anomalous[:550])
    whole, part = skab.judge([one], skab.Setting())[0], skab.judge([cut], skab.Setting())[0]
    np.testing.assert_array_equal(whole.fired[:550], part.fired)
    np.testing.assert_array_equal(whole.t2[:550], part.t2)


def test_the_limit_of_a_file_is_chosen_without_it(folder: Path) -> None:
    """Its own labels turned round do not change what is chosen for it."""
    before = skab.run(folder / "data", folder / "out")["files"]["valve2/0"]["limit"]
    path = folder / "data" / "valve2" / "0.csv"
    turned = path.read_text("utf-8").replace(";0.0;0.0", ";2.0;0.0").replace(";1.0;0.0", ";0.0;0.0")
    path.write_text(turned.replace(";2.0;0.0", ";1.0;0.0"), "utf-8")
    after = skab.run(folder / "data", folder / "out")
    assert after["files"]["valve2/0"]["limit"] == before
    assert after["files"]["valve2/0"]["f1"] < 0.2


def test_one_file_is_scored_under_the_default(tmp_path: Path) -> None:
    recording(tmp_path / "only.csv", 1)
    (tmp_path / "out").mkdir()
    found = skab.run(tmp_path, tmp_path / "out")
    assert found["files"]["only"]["limit"] == skab.Setting().limit
    assert "default" in found["choice"]
    assert found["anomaly_free_far"] is None


def test_a_folder_or_a_row_that_is_not_of_the_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no file below"):
        skab.run(tmp_path, tmp_path)
    recording(tmp_path / "1.csv", 1, rows=skab.TRAIN)
    with pytest.raises(ValueError, match="more than 400 rows"):
        skab.run(tmp_path, tmp_path)
    with (tmp_path / "1.csv").open("a", encoding="utf-8") as lines:
        lines.write("2020-03-09 10:00:00;0.2;warm;125;0.0;0.0\n")
    with pytest.raises(ValueError, match=r"1\.csv:402: not a row of numbers"):
        skab.run(tmp_path, tmp_path)


@pytest.mark.long
@pytest.mark.skipif("TILLWATCH_DATA" not in os.environ, reason="needs the data sets")
def test_the_bars_hold_on_the_bench_itself(tmp_path: Path) -> None:
    found = skab.run(Path(os.environ["TILLWATCH_DATA"]) / "benchmarks" / "skab", tmp_path)
    assert found["f1"] >= 0.84
    assert found["far"] <= 0.135
    assert all(limit["f1"] >= 0.8 for limit in found["limits"].values()), "a plateau, not a peak"
