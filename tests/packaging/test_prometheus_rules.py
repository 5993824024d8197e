"""The alerts over tillwatch's own health: each name in them is told by /metrics, each is silent while all is well and speaks when it is not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient

from tests.collector.fake_fleet import FakeFleet
from tests.packaging.health_told import MINUTE, T0, ill, opener_ill, opener_well, tell, told
from tests.scale.servers.victoriametrics import VictoriaMetrics
from tillwatch.collector.opening.listening import exposition as of_opener
from tillwatch.collector.web.app import Console
from tillwatch.collector.web.monitoring import S

FILE = Path(__file__).parents[2] / "packaging" / "prometheus" / "tillwatch.rules.yml"
GROUPS = yaml.safe_load(FILE.read_text("utf-8"))["groups"]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
GONE = "TillwatchGone"
AFTER_MIN = 20
"""Without a scrape: beyond it nothing is known any more."""


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VictoriaMetrics]:
    """Well until T0, ill for five minutes after it, and then nothing."""
    server = VictoriaMetrics(tmp_path_factory.mktemp("scraped"))
    server.start()
    told(server, minutes=65)
    for i in range(1, 6):
        tell(server, ill(T0 + i * MINUTE), opener_ill(T0 + i * MINUTE))
    server.get("/internal/force_flush")
    yield server
    server.kill()


def test_every_metric_in_a_rule_is_told() -> None:
    with TestClient(Console(FakeFleet, with_pages=False).app, base_url="http://127.0.0.1") as client:
        said = client.get("/metrics").text + of_opener(*opener_well(T0))
    told_names = set(re.findall(r"^# TYPE (tillwatch_\w+) ", said, re.MULTILINE))
    named = {name for rule in RULES for name in re.findall(r"\btillwatch_\w+", rule["expr"])}
    assert named - told_names <= {"tillwatch_clock_synchronised", "tillwatch_clock_skew_seconds_max"}
    assert len(named) > 20


def test_every_alert_says_what_to_do() -> None:
    assert len(ALERTS) == sum("alert" in rule for rule in RULES)
    for rule in ALERTS.values():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description"}


@pytest.mark.parametrize("name", ALERTS)
def test_it_is_silent_while_all_is_well_and_speaks_when_it_is_not(scraped: VictoriaMetrics, name: str) -> None:
    expression, end = ALERTS[name]["expr"], T0 / S
    assert scraped.query(expression, end) == []
    if name == GONE:
        assert scraped.query(expression, end + AFTER_MIN * 60)
    else:
        assert scraped.query(expression, end + 300)


def test_figures_are_what_they_say(scraped: VictoriaMetrics) -> None:
    kept = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}

    def value(name: str, minutes: int) -> float:
        (found,) = scraped.query(kept[name], T0 / S + 60 * minutes)
        return float(found["value"][1])

    assert value("tillwatch:terminals_silent:share", 0) == 0
    assert value("tillwatch:terminals_silent:share", 5) == 0.5
    assert value("tillwatch:collector_delay:seconds", 5) == 300
    assert value("tillwatch:journal_entries:rate5m", 0) == pytest.approx(1)
    assert value("tillwatch:sink_points:rate5m", 0) == pytest.approx(1)


def test_vmalert_takes_the_file() -> None:
    program = shutil.which("vmalert")
    assert program, "vmalert is missing: make packages"
    done = subprocess.run([program, "-dryRun", f"-rule={FILE}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_prometheus_takes_the_file_and_fires_in_its_time(tmp_path: Path) -> None:
    program = shutil.which("promtool")
    assert program, "promtool is missing: make packages"
    done = subprocess.run([program, "check", "rules", str(FILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(RULES)} rules found" in done.stdout + done.stderr

    def alert(name: str, labels: dict[str, str], at: str, text: dict[str, str]) -> dict[str, Any]:
        expected = {
            "exp_labels": {**ALERTS[name]["labels"], **labels},
            "exp_annotations": {"description": ALERTS[name]["annotations"]["description"], **text},
        }
        return {"eval_time": at, "alertname": name, "exp_alerts": [expected]}

    def none(name: str, at: str) -> dict[str, Any]:
        return {"eval_time": at, "alertname": name, "exp_alerts": []}

    tests = [
        {
            "interval": "1m",
            "input_series": [
                {"series": "tillwatch_collector_advanced_seconds", "values": "0+60x10 600x20"},
                {"series": 'tillwatch_sink_down{sink="analysts"}', "values": "0x9 1x30"},
                {"series": 'tillwatch_sink_lag_seconds{sink="analysts"}', "values": "0x9 0+60x30"},
                {"series": "tillwatch_batches_missing", "values": "4x30 5x30"},
            ],
            "alert_rule_test": [
                none("TillwatchStandsStill", "15m"),
                alert("TillwatchStandsStill", {}, "16m", {"summary": "the collector's time stands still since 6m 0s"}),
                none("TillwatchSinkDown", "20m"),
                alert(
                    "TillwatchSinkDown",
                    {"sink": "analysts"},
                    "25m",
                    {"summary": "nothing can be written to the sink analysts"},
                ),
                none("TillwatchBatchesMissing", "30m"),
                alert("TillwatchBatchesMissing", {}, "35m", {"summary": "batches of terminals will never come"}),
                none(GONE, "30m"),
                alert(GONE, {}, "45m", {"summary": "tillwatch says nothing of itself"}),
            ],
        }
    ]
    file = tmp_path / "tests.yml"
    file.write_text(json.dumps({"rule_files": [str(FILE)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run([program, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
