"""The dashboards: of the form that Grafana loads, and every query of them asked of a real VictoriaMetrics that holds what tillwatch writes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.health_told import T0, told
from tests.scale.servers.victoriametrics import VictoriaMetrics
from tillwatch.agent.model import Quality, State, Value
from tillwatch.agent.wire import Column
from tillwatch.collector.series.lines import Place, Renderer
from tillwatch.collector.web.monitoring import S
from tillwatch.device_profiles.catalogue import kept_catalogue

FOLDER = Path(__file__).parents[2] / "packaging" / "grafana"
BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))
}
CHOSEN = {
    "region": ".*",
    "branch": ".*",
    "class": ".*",
    "component": ".*",
    "terminal": "atm-1",
    "kind": "ups",
    "datasource": "x",
}
SIGNALS = {"devices": "ups.battery.charge", "terminal": ".*"}
EMPTY_WHEN_WELL = {"Parts that are not well"}
WIDTH = 24
KINDS = {"row", "stat", "timeseries", "bargauge", "table"}
"""Panels that Grafana has had since version 8."""


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def filled(text: str, board: str) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda found: {**CHOSEN, "signal": SIGNALS.get(board, "")}[found[1]], text)


QUERIES = [
    pytest.param(name, panel["title"], target, id=f"{name}: {panel['title']} {target['refId']}")
    for name, board in BOARDS.items()
    for panel in panels(board)
    for target in panel["targets"]
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VictoriaMetrics]:
    """An hour of three terminals, one of them ill, and of the health of what watches them."""
    server = VictoriaMetrics(tmp_path_factory.mktemp("dashboards"))
    server.start()
    told(server, minutes=10)
    render = Renderer(kept_catalogue().signals, words=False)
    at = [T0 // 10**6 - 60_000 * i for i in reversed(range(60))]

    def column(
        component: str, signal: str, value: Value, state: State = State.NONE, quality: Quality = Quality.GOOD
    ) -> Column:
        return Column(component, signal, at, [value] * len(at), quality, state, isinstance(value, int | float))

    lines: list[str] = []
    for i in range(1, 4):
        sick = i == 1
        columns = [
            column("agent", "agent.spool.batches", i), column("agent", "agent.spool.oldest", 60 * i), column("agent", "agent.clock.error", 5),
            column("host", "host.cpu.percent", 10.5 * i, State.OK), column("host", "host.memory.percent", 40), column("host", "host.uptime", 5000),
            column("host/disk:/", "host.disk.percent", 90 + i, State.CRIT if sick else State.OK), column("host/temp:1", "host.temperature", 50),
            column("ups", "ups.battery.charge", 100 - i, State.CRIT if sick else State.OK), column("ups", "ups.output.load", 30), column("ups", "ups.input.voltage", 230),
            column("ups", "ups.output.source", "battery" if sick else "normal", State.WARN if sick else State.OK),
            column("ups", "ups.temperature", None, quality=Quality.ERROR),
        ]  # fmt: skip
        lines += render.batch(f"atm-{i}", Place(f"branch {i}", "north", "atm"), columns, 0, i)
    server.post("/api/v2/write?precision=ns", "\n".join(lines).encode())
    server.get("/internal/force_flush")
    yield server
    server.kill()


def test_there_is_one_of_each() -> None:
    assert set(BOARDS) == {"fleet", "terminal", "devices", "health"}
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS)


@pytest.mark.parametrize("name", BOARDS)
def test_it_is_of_the_form_that_grafana_loads(name: str) -> None:
    board = BOARDS[name]
    assert board["schemaVersion"] >= 36
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", board["uid"])
    assert "id" not in board, "Grafana gives its own; a foreign one is refused or overwrites another dashboard"
    assert "__inputs" not in board, "it is loaded unchanged, by provisioning, too"
    assert board["templating"]["list"][0]["type"] == "datasource"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        assert panel["type"] in KINDS
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= WIDTH
        assert not cells & taken, f"{panel['title']} lies over another panel"
        taken |= cells
    for panel in panels(board):
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) > 0
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"] is None
    known = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)\}?", json.dumps([p["targets"] for p in panels(board)]))) - {"datasource"}
    assert used <= known
    assert known - {"datasource"} <= used | set(re.findall(r"\$\{?(\w+)\}?", json.dumps(board["templating"])))


@pytest.mark.parametrize(("name", "title", "target"), QUERIES)
def test_every_query_finds_something(store: VictoriaMetrics, name: str, title: str, target: dict[str, Any]) -> None:
    expression = filled(target["expr"], name)
    end = T0 / S
    found = store.query(expression, end)
    assert bool(found) == (title not in EMPTY_WHEN_WELL), f"{title}: {found}"
    if target["range"]:
        assert store.query_range(expression, end - 600, end, "60s")


@pytest.mark.parametrize("name", BOARDS)
def test_every_choice_offers_something(store: VictoriaMetrics, name: str) -> None:
    for variable in BOARDS[name]["templating"]["list"]:
        if variable["type"] != "query":
            continue
        asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
        assert asked, variable
        question = {"match[]": filled(asked[1], name), "start": str(T0 // S - 3600), "end": str(T0 // S)}
        offered = json.loads(store.get(f"/api/v1/label/{asked[2]}/values", question))["data"]
        if variable["regex"]:
            offered = [found[1] for one in offered if (found := re.fullmatch(variable["regex"].strip("/"), one))]
        assert offered, variable["name"]


def test_the_figures_are_those_of_the_fleet(store: VictoriaMetrics) -> None:
    stats = {
        panel["title"]: filled(panel["targets"][0]["expr"], "fleet")
        for panel in panels(BOARDS["fleet"])
        if panel["type"] == "stat"
    }
    found = {title: float(store.query(expression, T0 / S)[0]["value"][1]) for title, expression in stats.items()}
    assert found == {
        "Terminals heard within 15 minutes": 3, "Heard within a day, and not within 15 minutes": 0, "Signals that are critical": 2, "Signals that warn": 1,
        "Readings that could not be made": 3, "Oldest batch that waits on a terminal": 180,
    }  # fmt: skip
    later = float(store.query(stats["Heard within a day, and not within 15 minutes"], T0 / S + 3600)[0]["value"][1])
    assert later == 3


@pytest.mark.long
def test_prometheus_understands_every_query(tmp_path: Path) -> None:
    program = shutil.which("promtool")
    assert program, "promtool is missing: make packages"
    queries = [filled(query.values[2]["expr"], query.values[0]) for query in QUERIES]
    rules = [{"record": f"query:{i}", "expr": expression} for i, expression in enumerate(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    done = subprocess.run([program, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
