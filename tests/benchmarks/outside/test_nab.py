from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.outside import nab, nab_scoring
from tests.benchmarks.outside.__main__ import main

START = np.datetime64("2024-03-04T00:00:00")
DATA = os.environ.get("TILLWATCH_DATA")


def stamp(row: int) -> str:
    return str(START + np.timedelta64(300 * row, "s")).replace("T", " ")


def folder(path: Path, series: dict[str, tuple[list[float], list[tuple[int, int]]]]) -> Path:
    for name, (values, _) in series.items():
        file = path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("timestamp,value\n" + "".join(f"{stamp(row)},{value}\n" for row, value in enumerate(values)))
    (path / "labels").mkdir()
    windows = {
        name: [[stamp(a) + ".000000", stamp(b) + ".000000"] for a, b in bounds] for name, (_, bounds) in series.items()
    }
    (path / "labels" / "combined_windows.json").write_text(json.dumps(windows))
    return path


def one(tmp_path: Path, rows: int, bounds: list[tuple[int, int]]) -> list[nab_scoring.Series]:
    return nab_scoring.read(folder(tmp_path, {"a/one.csv": ([0.0] * rows, bounds)}))


def alarms(rows: int, *at: int) -> dict[str, np.ndarray]:
    scores = np.zeros(rows, np.float32)
    scores[list(at)] = 1
    return {"a/one.csv": scores}


def test_a_perfect_detector_has_100_and_a_silent_one_0(tmp_path: Path) -> None:
    series = one(tmp_path, 200, [(100, 120)])
    assert nab_scoring.score(series, alarms(200, 100))[0] == pytest.approx(100, abs=1)
    assert nab_scoring.score(series, alarms(200))[0] == 0


def test_the_earlier_in_the_window_the_better_and_a_second_alarm_earns_nothing(tmp_path: Path) -> None:
    series = one(tmp_path, 200, [(100, 120)])
    early, late = (nab_scoring.score(series, alarms(200, at))[0] for at in (102, 118))
    assert 0 < late < early
    assert nab_scoring.score(series, alarms(200, 102, 118))[0] == early


def test_an_alarm_outside_costs_its_profile_s_weight(tmp_path: Path) -> None:
    series = one(tmp_path, 200, [(100, 120)])
    with_one = {
        profile: nab_scoring.score(series, alarms(200, 60, 102), profile)[0] for profile in nab_scoring.PROFILES
    }
    without = {profile: nab_scoring.score(series, alarms(200, 102), profile)[0] for profile in nab_scoring.PROFILES}
    lost = {profile: without[profile] - with_one[profile] for profile in with_one}
    assert lost["standard"] == pytest.approx(100 * 0.11 / 2)
    assert lost["low_FP"] == pytest.approx(100 * 0.22 / 2)
    assert lost["low_FN"] == pytest.approx(100 * 0.11 / 3)


def test_an_alarm_right_behind_a_window_costs_less_than_one_far_behind(tmp_path: Path) -> None:
    series = one(tmp_path, 400, [(100, 120)])
    near, far = (nab_scoring.score(series, alarms(400, 102, at))[0] for at in (122, 300))
    assert near > far


def test_the_beginning_is_not_scored(tmp_path: Path) -> None:
    series = one(tmp_path, 200, [(100, 120)])
    assert nab_scoring.score(series, alarms(200, 29, 102)) == nab_scoring.score(series, alarms(200, 102))
    assert nab_scoring.score(series, alarms(200, 30, 102))[0] < nab_scoring.score(series, alarms(200, 102))[0]


def test_a_window_that_is_no_rows_of_its_series_is_named(tmp_path: Path) -> None:
    path = folder(tmp_path, {"a/one.csv": ([0.0] * 20, [(10, 12)])})
    labels = path / "labels" / "combined_windows.json"
    labels.write_text(labels.read_text().replace("00:50:00", "00:50:01"))
    with pytest.raises(ValueError, match=r"a/one.csv: a window"):
        nab_scoring.read(path)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    series = {}
    for group in "ab":
        for number in range(2):
            values = rng.standard_normal(700) + 20
            at = 400 + 50 * number
            values[at] += 30
            series[f"{group}/{number}.csv"] = (values.tolist(), [(at - 20, at + 20)])
    series["b/silent.csv"] = ([5.0] * 300, [])
    return folder(tmp_path / "nab", series)


def test_any_folder_of_the_format_is_scored_with_one_score_a_row(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nab, "TIMED_SERIES", 50)
    monkeypatch.setattr(nab, "NEIGHBOURS", dict(list(nab.NEIGHBOURS.items())[:2]))
    out = tmp_path / "out"
    assert main(["nab", "--data", str(small), "--out", str(out)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["standard"] > 50
    assert {
        "standard",
        "low_FP",
        "low_FN",
        "neighbours",
        "neighbours_median",
        "cross_validated",
        "standard_error",
    } <= found.keys()
    assert {"configurations_tried", "us_per_point"} <= found.keys()
    assert set(found["cross_validated_choice"]) == {"a", "b"}
    lines = (out / "b" / "silent.csv").read_text().splitlines()
    assert lines == ["score", *["0.0"] * 300]
    assert len((out / "a" / "0.csv").read_text().splitlines()) == 701


def test_scores_are_causal(small: Path) -> None:
    """What comes later changes nothing of what was said before."""
    series = nab_scoring.read(small)
    whole = nab.detect(series, nab.DEFAULT)
    cut = [
        nab_scoring.Series(
            s.name, s.stamps[:450], s.values[:450], s.window[:450], s.worth[:450], s.scored[:450], s.windows
        )
        for s in series
    ]
    for name, scores in nab.detect(cut, nab.DEFAULT).items():
        np.testing.assert_array_equal(scores, whole[name][:450])


def test_hours_of_the_week_begin_on_monday() -> None:
    stamps = np.array(["2024-03-04T00:59:59", "2024-03-04T01:00:00", "2024-03-10T23:00:00"], "datetime64[s]").astype(
        np.int64
    )
    assert nab.hour_of_week(stamps).tolist() == [0, 1, 167]


def test_there_are_ten_neighbours_and_each_differs_from_the_default() -> None:
    assert len(nab.NEIGHBOURS) == 10
    assert all(settings != nab.DEFAULT for settings in nab.NEIGHBOURS.values())


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.skipif(DATA is None, reason="TILLWATCH_DATA does not say where the data sets lie")
def test_the_bars_on_the_development_series(tmp_path: Path) -> None:
    found = nab.run(Path(str(DATA)) / "benchmarks" / "nab", tmp_path)
    assert found["standard"] + found["standard_error"] >= 77.5
    assert found["standard"] >= 72
    assert found["neighbours_median"] >= 68
    assert found["cross_validated"] >= 72
