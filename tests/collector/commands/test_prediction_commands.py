"""What is foreseen is shown with why, when and how far to believe it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import pytest

from tests.collector.desk import Desk
from tests.collector.stories.foreseen import found
from tillwatch.collector.predict.checkpoint import Checkpoint, Status, beside
from tillwatch.collector.predict.finding import Grade, Record
from tillwatch.collector.predict.settings import DAY_NS


@pytest.fixture
def foreseen(desk: Desk) -> Desk:
    """Two terminals at risk, one of them high."""
    desk.enrol("till-7", branch="Hill")
    now = time.time_ns()
    worn = found(
        "atm-1",
        "ups",
        now,
        due=(now + 3 * DAY_NS, now + 9 * DAY_NS, now + 20 * DAY_NS),
        record=Record("wear/ups.battery.age", "ups", 7, 3, since=now),
    )
    demoted = found(
        "till-7",
        "host",
        now,
        family="anomaly",
        look="level",
        demoted=True,
        record=Record("anomaly/level", "host", 1, 15, since=now, demoted=True),
    )
    grades = [
        Grade("atm-1", "high", 0.8, now, now, ((worn.id, 0.7), ("faults", 0.1)), 0.5, now - 2 * DAY_NS, 45),
        Grade("till-7", "medium", 0.3, now, now, (("age", 0.3),), 1.0, now + 5 * DAY_NS, 20),
    ]
    facts = {
        "position": 1, "part": 0, "actor": "predictions", "findings": [worn.facts(), demoted.facts()], "grades": [each.facts() for each in grades],
        "records": [asdict(each.record) for each in (worn, demoted) if each.record is not None],
    }  # fmt: skip
    desk.feed(lambda world: world.pipeline.foretold(facts))
    return desk


def test_the_terminals_at_risk_stand_in_order_with_reason_range_and_precision(foreseen: Desk) -> None:
    lines = foreseen.done("risk").splitlines()
    assert [line.split()[0] for line in lines] == ["TERMINAL", "atm-1", "till-7"]
    assert "7 of 10" in lines[1]
    assert " to " in lines[1]
    assert [line.split()[0] for line in foreseen.done("risk", "--grade", "high").splitlines()[1:]] == ["atm-1"]
    assert [each["terminal"] for each in foreseen.json("risk", "--branch", "Hill")] == ["till-7"]
    (first, _) = foreseen.json("risk")
    (finding,) = first["findings"]
    assert (finding["precision"], set(finding["due"])) == (0.7, {"near_at", "likely_at", "far_at"})
    assert first["grade"]["inspect_by"].startswith("20")
    assert "no such terminal at risk" in foreseen.done("risk", "--branch", "Nowhere")


def test_one_terminal_shows_its_findings_with_their_evidence(foreseen: Desk) -> None:
    said = foreseen.done("risk", "atm-1")
    assert "atm-1: high risk, 0.80 visits expected" in said
    assert "wear/ups.battery.age" in said
    assert "without the right to an alarm" in foreseen.done("risk", "till-7")
    assert foreseen.json("risk", "till-7")["findings"][0]["demoted"] is True
    assert "no terminal atm-9" in foreseen.refused("risk", "atm-9")


def test_inspections_go_branch_by_branch_by_what_an_hour_avoids(foreseen: Desk) -> None:
    said = foreseen.done("inspections")
    assert said.index("Harbour") < said.index("Hill")
    assert "2 d ago" in said
    (hill,) = foreseen.json("inspections", "--branch", "Hill")
    assert [each["terminal"] for each in hill["due"]] == ["till-7"]
    assert foreseen.done("inspections", "--branch", "Nowhere") == "no inspection is due\n"


def test_detectors_stand_with_their_precision_and_the_demoted_say_so(foreseen: Desk) -> None:
    said = foreseen.done("predictions")
    rows = {line.split()[0]: line for line in said.splitlines() if "/" in line.split(" ")[0]}
    assert "7 of 10" in rows["wear/ups.battery.age"]
    assert "70%" in rows["wear/ups.battery.age"]
    assert "demoted" in rows["anomaly/level"]
    assert "by the fixed rule" in said
    assert {each["detector"]: each["precision"] for each in foreseen.json("predictions")["detectors"]} == {
        "wear/ups.battery.age": 0.7, "anomaly/level": 1 / 16,
    }  # fmt: skip


def test_the_process_the_model_and_its_drift_are_told(foreseen: Desk) -> None:
    checkpoint = Checkpoint(beside(foreseen.path))
    checkpoint.tell(
        Status(
            5,
            foreseen.now,
            9,
            foreseen.now,
            40,
            {"series": 3},
            77,
            drift=("retrain", "stability index of the score 0.31"),
        )
    )
    checkpoint.close()
    models = foreseen.path.parent / "models"
    models.mkdir()
    (models / "hazard.skops").write_bytes(b"")
    measured = {"value": 0.8, "low": 0.7, "high": 0.9}
    card = {
        "trained_on": {"failures": 60, "units": 20, "to": "2026-10-01T00:00"},
        "holdout": {"measures": {"auc": measured}},
    }
    (models / "hazard.json").write_text(json.dumps(card))
    said = foreseen.done("predictions")
    assert "running, at entry 5 of 9, 40 series, 4 entries" in said
    assert "series: more than is followed, 3 times" in said
    assert "60 failures of 20 parts until 2026-10-01" in said
    assert "auc 0.8" in said
    assert "0.31; train it again" in said
    assert foreseen.json("predictions")["process"]["behind"] == 4
    doctor = json.loads(foreseen.call("doctor", "--json")[1])
    assert any(
        "0.31" in each["text"] and "tillwatch-collector train" in each["text"]
        for each in doctor
        if each["subject"] == "predictions"
    )
    (models / "hazard.json").unlink()
    assert "its card cannot be read" in foreseen.done("predictions")


def test_nothing_foreseen_is_said_so(desk: Desk) -> None:
    assert desk.done("risk") == "no terminal at risk\n"
    assert "nothing speaks for a risk" in desk.done("risk", "atm-1")
    assert "no finding was judged yet" in desk.done("predictions")
