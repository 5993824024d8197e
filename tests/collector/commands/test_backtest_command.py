"""A rule is tried on what was: the collector's own fold says what it would have raised, and nothing is written."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.collector.desk import HOUR, Desk
from tests.collector.simulated import bank
from tillwatch.collector.__main__ import main

TRIAL = """
[[rule]]
id = "disk.full"
above = [{limit = 95, level = 3}, {limit = 98, level = 2}]
"""


def _when(at: int) -> str:
    return datetime.fromtimestamp(at / 1e9, UTC).isoformat()


def _contents(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


def test_the_rule_in_force_tried_again_raises_what_it_raised(desk: Desk) -> None:
    before = _contents(desk.path)
    found = desk.json("backtest", "disk.full", "--from", _when(desk.now - 2 * HOUR))
    assert _contents(desk.path) == before, "nothing is written"
    (tried,), (stood,) = found["tried"]["list"], found["in_force"]["list"]
    same = ("terminal", "component", "level", "value", "begun_at")
    assert [tried[each] for each in same] == [stood[each] for each in same]
    assert (found["tried"]["also_raised_by_the_other"], found["tried"]["tickets_a_week"].keys()) == (1, {"Harbour"})
    assert (tried["outcome"], stood["outcome"]) == ("hit", "unknown"), (
        "what was raised then is evidence for it, not for itself"
    )
    assert found["read"]["terminals_by_the_hour"] == 0
    assert "on trial" in desk.done("backtest", "disk.full", "--from", _when(desk.now - 2 * HOUR))


def test_what_ends_and_comes_back_at_once_is_one_episode_for_both(desk: Desk) -> None:
    """As in the table of alarms: a fault that comes and goes is no hundred false alarms of the rule on trial."""
    since = _when(desk.now - 2 * HOUR)
    for percent in (50, 99, 50, 99, 50):
        desk.say("atm-1", "host/disk:/", "host.disk.percent", percent, lasting=400.0)
    found = desk.json("backtest", "disk.full", "--from", since, "--to", _when(desk.now))
    (tried,), (stood,) = found["tried"]["list"], found["in_force"]["list"]
    same = ("begun_at", "ended_at", "level", "value")
    assert [tried[each] for each in same] == [stood[each] for each in same]
    with closing(sqlite3.connect(desk.path)) as db:
        kinds = [kind for (kind,) in db.execute("SELECT kind FROM alarm_event ORDER BY seq")]
    assert (kinds.count("raised"), kinds.count("recurred"), kinds[-1]) == (1, 2, "cleared"), "it did come back"


def test_another_limit_raises_otherwise(desk: Desk, tmp_path: Path) -> None:
    trial = tmp_path / "trial.toml"
    trial.write_text(TRIAL)
    since = _when(desk.now - 2 * HOUR)
    desk.say("atm-1", "host/disk:D", "host.disk.percent", 99)
    found = desk.json("backtest", "disk.full", "--from", since, "--rules", str(trial))
    assert [(each["component"], each["level"]) for each in found["tried"]["list"]] == [("host/disk:D", 2)]
    assert {each["component"] for each in found["in_force"]["list"]} == {"host/disk:/", "host/disk:D"}


def test_a_rule_that_is_not_switched_on_yet_can_be_tried(desk: Desk, tmp_path: Path) -> None:
    trial = tmp_path / "trial.toml"
    text = TRIAL.replace("disk.full", "disk.early").replace("95", "60").replace("98", "90")
    words = "".join(f'{each} = "x"\n' for each in ("text", "cause", "consequence", "action", "owner"))
    trial.write_text(f'{text}signal = "host.disk.percent"\nreview = "2027-06-30"\n{words}')
    found = desk.json("backtest", "disk.early", "--from", _when(desk.now - 2 * HOUR), "--rules", str(trial))
    (only,) = found["tried"]["list"]
    assert (only["component"], only["level"], only["outcome"]) == ("host/disk:/", 2, "hit"), (
        "the rule in force saw the same disk"
    )
    assert found["in_force"]["list"] == []


def test_what_a_technician_found_counts_for_both(desk: Desk) -> None:
    incident = desk.incidents()[0].id
    desk.call("resolve", incident, "--verdict", "false_alarm")
    found = desk.json("backtest", "disk.full", "--from", _when(desk.now - 2 * HOUR))
    assert (found["tried"]["false"], found["in_force"]["false"]) == (1, 1)


def test_what_cannot_be_tried_is_one_error(desk: Desk, tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("[[rule]]\nid = 'disk.full'\ncolour = 'red'\n")
    day = "2026-01-01"
    assert "no rule 'disk.fool'" in desk.refused("backtest", "disk.fool", "--from", day)
    assert "unknown key 'colour'" in desk.refused("backtest", "disk.full", "--from", day, "--rules", str(bad))
    assert "--from is missing" in desk.refused("backtest", "disk.full", status=2)
    assert "is no day or time" in desk.refused("backtest", "disk.full", "--from", "monday", status=2)
    assert "--to is not after --from" in desk.refused("backtest", "disk.full", "--from", day, "--to", day, status=2)
    assert "no terminal atm-9" in desk.refused("backtest", "disk.full", "--from", day, "--terminal", "atm-9")
    assert "--rules is for rules" in desk.refused(
        "backtest", "predicted.wear", "--from", day, "--rules", str(bad), status=2
    )
    assert "none.skops" in desk.refused("backtest", f"model:{tmp_path / 'none.skops'}", "--from", day)
    assert "predictions" in desk.refused("backtest", "predicted.wear", "--from", day, "--predictions", str(bad))


def test_where_readings_are_not_sealed_any_more_hours_stand_for_them_and_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = bank(tmp_path / "bank")
    words = ["backtest", "atm.device", "--from", "2025-02-01", "--to", "2025-02-20", "--config", str(file)]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tried"]["episodes"] > 0
    assert found["read"]["terminals_by_the_hour"] == found["terminals"]
    assert found["tried"]["hits"] > found["tried"]["false"], "nearly all that it raises was raised then"
    assert main(words) == 0
    assert "the last reading of each hour" in capsys.readouterr().out


@pytest.mark.long
def test_a_family_is_tried_by_the_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = bank(tmp_path / "bank")
    trial = tmp_path / "predictions.toml"
    trial.write_text("[failure]\nfalse_alarms = 12\n")
    words = [
        "backtest",
        "predicted.failure",
        "--from",
        "2025-01-20",
        "--to",
        "2025-02-20",
        "--config",
        str(file),
        "--json",
    ]
    assert main([*words, "--predictions", str(trial)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tried"]["episodes"] > 0
    assert {each["rule"].partition("/")[0] for each in found["tried"]["list"]} == {"failure"}
    assert found["in_force"]["episodes"] == 0, "nobody had predictions then"


def test_a_file_is_tried_in_place_of_the_history(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "disk.csv"
    rows = [f"2026-03-01T{h:02}:00:00Z,{50 + 4 * h},{int(h > 18)}" for h in range(24)]
    path.write_text("\n".join(["time,value,fault", *rows]))
    words = ("backtest", "disk.full", "--csv", str(path), "--signal", "host.disk.percent")
    found = desk.json(*words)
    assert (found["tried"]["hits"], found["tried"]["missed"], found["in_force"]) == (1, 0, None)
    assert found["tried"]["lead_days_median"] > 0
    assert "host.disk.percent" in desk.refused("backtest", "disk.full", "--csv", str(path))
