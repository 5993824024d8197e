"""Readings of another system: judged by the same limits, refused with line and column."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tillwatch.collector.alarm.rules import parse_rules
from tillwatch.collector.backtest.judging import Episode
from tillwatch.collector.backtest.sheet import Sheet, SheetError, try_detector, try_rule
from tillwatch.collector.predict.engine import Models
from tillwatch.collector.predict.settings import DAY_NS, parse_tables

SITE = """
[[rule]]
id = "trial.disk"
signal = "host.disk.percent"
above = [{limit = 80, level = 3}, {limit = 95, level = 2}]
deadband = 5
for = "10m"
hold = "10m"
text = "t"
cause = "c"
consequence = "c"
action = "a"
owner = "o"
review = "2027-06-30"
"""
RULES = parse_rules(SITE)
SIGNAL = "host.disk.percent"


def _file(tmp_path: Path, values: list[float], minutes: int = 5, head: str = "time,value", tail: str = "") -> Path:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    lines = [f"{(start + timedelta(minutes=minutes * i)).isoformat()},{value}{tail}" for i, value in enumerate(values)]
    path = tmp_path / "readings.csv"
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


def _try(path: Path, reopen_ns: int = 0) -> tuple[list[Episode], Sheet]:
    found, sheet = try_rule(path, RULES.by_id["trial.disk"], SIGNAL, reopen_ns)
    return found.episodes, sheet


def test_a_rule_is_judged_with_its_duration_deadband_and_hold(tmp_path: Path) -> None:
    quiet = [50.0] * 4
    episodes, _ = _try(_file(tmp_path, [*quiet, 90, *quiet, 90, 90, 90, 78, 78, 78, *quiet, *quiet]))
    (only,) = episodes
    minutes = [round((each - _start()) / 60e9) for each in (only.begun, only.ended)]
    assert minutes == [55, 85], (
        "one reading is not ten minutes; within the deadband it lasts; ten minutes below it is over"
    )
    assert (only.level, only.value) == (3, 90.0)


def test_what_comes_back_soon_is_a_new_episode_and_what_lasts_at_the_end_lasts(tmp_path: Path) -> None:
    up, down = [90.0] * 4, [50.0] * 4
    episodes, _ = _try(_file(tmp_path, [*up, *down, *up]))
    assert [each.ended > 0 for each in episodes] == [True, False]


def test_each_terminal_and_component_is_a_series_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    rows = [
        f"2026-03-01T{h:02}:00:00Z,{t},{c},{90 if t == 'a' else 50}"
        for t in "ab"
        for c in ("host/disk:C", "host/disk:D")
        for h in range(3)
    ]
    path.write_text("\n".join(["time,terminal,component,value", *rows]))
    episodes, sheet = _try(path)
    assert [(each.terminal, each.component) for each in episodes] == [("a", "host/disk:C"), ("a", "host/disk:D")]
    assert (sheet.terminals, sheet.labelled) == ({"a", "b"}, False)


def test_labels_become_faults(tmp_path: Path) -> None:
    lines = ["time,value,fault", *(f"2026-03-01T{h:02}:00:00Z,50,{int(4 <= h < 7)}" for h in range(10))]
    path = tmp_path / "labelled.csv"
    path.write_text("\n".join(lines))
    _, sheet = _try(path)
    (fault,) = sheet.faults
    assert (fault.ended - fault.at, sheet.labelled) == (3 * 3600 * 10**9, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("when,value\n", "line 1: no column 'time'"),
        ("time,value,colour\n", "line 1: unknown column 'colour'"),
        ("time,value\n2026-03-01,1\nyesterday,2\n", "line 3, column time: 'yesterday'"),
        ("time,value\n2026-03-01,\n", "line 2, column value: is empty"),
        ("time,value\n2026-03-01,nan\n", "line 2, column value: 'nan'"),
        ("time,value,fault\n2026-03-01,1,maybe\n", "line 2, column fault: 'maybe'"),
        ("time,value\n2026-03-02,1\n2026-03-01,1\n", "line 3, column time: earlier"),
        ("time,value\n2026-03-02\n", "line 2: has not as many columns"),
    ],
    ids=["missing", "unknown", "time", "empty", "nan", "label", "order", "short"],
)
def test_what_cannot_be_read_is_refused_with_its_line_and_column(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(SheetError, match=said):
        _try(path)


def test_another_signal_than_the_rule_compares_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SheetError, match=r"compares host\.disk\.percent"):
        try_rule(_file(tmp_path, [1.0]), RULES.by_id["trial.disk"], "host.cpu.percent", 0)


def test_a_detector_is_the_engine_itself(tmp_path: Path) -> None:
    days = 40
    path = _file(
        tmp_path, [60 + 0.8 * i for i in range(days)], minutes=24 * 60, head="time,value,component", tail=",host/disk:C"
    )
    found, _ = try_detector(path, parse_tables(), Models(), "runout", SIGNAL)
    assert found.episodes, "a disk that fills by the day is told before it is full"
    assert {each.component for each in found.episodes} == {"host/disk:C"}
    assert found.episodes[0].begun < _start() + days * DAY_NS
    nothing, _ = try_detector(path, parse_tables(), Models(), "wear", SIGNAL)
    assert nothing.episodes == []


def _start() -> int:
    return int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 10**9
