from __future__ import annotations

import itertools
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.benchmarks.outside import backblaze

DATA = (
    Path(os.environ.get("TILLWATCH_DATA") or Path(__file__).parents[4] / "shared/data") / "benchmarks/backblaze_smart"
)

QUICK = [replace(backblaze.CANDIDATES[0], iterations=20)]


def made(folder: Path, drives: int = 160) -> Path:
    """Drives of which a rise of SMART 197 says that they fail within some weeks."""
    rng = np.random.default_rng(2)
    rows = []
    for number in range(drives):
        first, hours = int(rng.integers(0, 3000)), int(rng.integers(4000, 12_000))
        fails = rng.random() < 0.5
        cuts = np.unique(
            np.r_[first, rng.integers(first + 1, hours, 4), max(hours - 500, first + 1) if fails else first, hours]
        )
        for start, stop in itertools.pairwise(cuts):
            pending = 8.0 if fails and start >= hours - 500 else 0.0
            rows.append(
                {
                    "serial_number": f"S{number:04}",
                    "model": f"M{number % 3}",
                    "size_tb": 4.0,
                    "tstart": int(start),
                    "tstop": int(stop),
                    "fails": float(fails and stop == hours),
                    **dict.fromkeys(backblaze.COUNTERS, 0.0),
                    "smart_188": None,
                    "smart_197": pending,
                    "smart_12": float(rng.integers(0, 5)),
                }
            )
    rng.shuffle(rows)  # type: ignore[arg-type]
    folder.mkdir(exist_ok=True)
    table = pa.Table.from_pylist(rows)
    for name in ("serial_number", "model"):
        table = table.set_column(table.column_names.index(name), name, table[name].dictionary_encode())
    pq.write_table(
        table.set_column(table.column_names.index("smart_188"), "smart_188", pa.nulls(len(rows), pa.float64())),
        folder / backblaze.FILE,
    )
    return folder


def test_a_landmark_sees_what_held_then_and_the_next_720_hours(tmp_path: Path) -> None:
    drives = backblaze.read(made(tmp_path))
    panel = backblaze.panel_of(drives)
    now = panel.features.names.index("smart_197 now")
    for row in range(0, len(panel), 7):
        drive, at = panel.unit[row], panel.at[row]
        mine = np.flatnonzero((drives.drive == drive) & (drives.start <= at))
        assert panel.features.values[row, now] == drives.values[mine[-1], backblaze.COUNTERS.index("smart_197")]
        assert at % 720 == 0
        assert drives.first[drive] <= at < drives.last[drive]
        left = drives.last[drive] - at
        assert panel.failed[row] == (drives.failed[drive] and left <= 720)
        assert panel.failed[row] or left >= 720
    assert panel.failed.sum() > 40


def test_every_drive_is_scored_by_what_did_not_see_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = backblaze.panel_of(backblaze.read(made(tmp_path)))
    seen: list[set[int]] = []
    fit = backblaze.fit

    def watched(others: backblaze.Panel, *given: object) -> object:
        seen.append(set(others.unit.tolist()))
        return fit(others, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(backblaze, "fit", watched)
    monkeypatch.setattr(backblaze, "CANDIDATES", QUICK)
    backblaze.cross_fitted(panel)
    drives = set(panel.unit.tolist())
    assert len(seen) == backblaze.FOLDS
    assert all(any(drive not in fold for fold in seen) for drive in drives)
    assert sum(len(drives - fold) for fold in seen) == len(drives)


def test_a_folder_is_scored_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backblaze, "CANDIDATES", QUICK)
    found = backblaze.run(made(tmp_path / "data"), tmp_path)
    assert found["auc"] > 0.8
    assert found["realised_1.0%"] <= 0.01
    assert set(found["standard_error"]) == {"ap", "recall_at_1.0%_false_alarms", "calibration_slope"}
    table = pq.read_table(tmp_path / "backblaze.parquet")
    assert table.num_rows == found["scored"]["landmarks"]
    assert sum(table["failed_within_720_h"].to_pylist()) == found["scored"]["failures_within_720_h"]


def test_a_folder_without_failures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fewer than 8 failures"):
        backblaze.run(made(tmp_path, 10), tmp_path)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no {DATA}: set TILLWATCH_DATA")
def test_bars_on_the_real_drives(tmp_path: Path) -> None:
    found = backblaze.run(DATA, tmp_path)
    error = found["standard_error"]
    assert found["ap"] + error["ap"] >= 0.18
    assert found["recall_at_1.0%_false_alarms"] + error["recall_at_1.0%_false_alarms"] >= 0.47
    assert 0.9 - error["calibration_slope"] <= found["calibration_slope"] <= 1.1 + error["calibration_slope"]
