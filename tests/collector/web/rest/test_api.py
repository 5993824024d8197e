"""The REST API over the fake fleet, in process."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.collector.fake_fleet import HOUR, NANO, FakeFleet
from tillwatch.collector.web.app import Console

BASE = 1_790_000_000 * NANO
V1 = "/api/v1"


@pytest.fixture
def changes(tmp_path: Path) -> Path:
    return tmp_path / "changes.json"


@pytest.fixture
def client(changes) -> Iterator[TestClient]:
    console = Console(lambda: FakeFleet(60, BASE, changes), now=lambda: BASE, with_pages=False)
    with TestClient(console.app, base_url="http://127.0.0.1") as client:
        yield client


def test_terminals_come_worst_first_in_pages(client):
    first = client.get(f"{V1}/terminals", params={"limit": 3}).json()
    assert [item["id"] for item in first["items"]] == ["ATM-001", "ATM-003", "ATM-013"]
    assert (first["total"], first["limit"], first["offset"]) == (60, 3, 0)
    rest = client.get(f"{V1}/terminals", params={"limit": 1000, "offset": 3}).json()
    assert len(rest["items"]) == 57
    assert client.get(f"{V1}/terminals", params={"offset": 900}).json()["items"] == []


def test_filters_hold_together(client):
    found = client.get(
        f"{V1}/terminals", params={"branch": "Market Square", "condition": "unknown", "class": "pos"}
    ).json()
    assert [item["id"] for item in found["items"]] == ["POS-014"]
    assert found["items"][0]["connection"] == "silent"


def test_times_are_iso_8601_with_offset_and_never_is_null(client):
    terminal = client.get(f"{V1}/terminals/ATM-001").json()
    assert datetime.fromisoformat(terminal["last_received"]).timestamp() == BASE // NANO - 1
    assert terminal["last_received"].endswith(("Z", "+00:00"))
    alarm = client.get(f"{V1}/alarms").json()["items"][0]
    assert alarm["cleared_at"] is None
    assert datetime.fromisoformat(alarm["raised_at"]).utcoffset() is not None


def test_components_carry_values_units_and_freshness(client):
    components = client.get(f"{V1}/terminals/ATM-001/components").json()
    battery = next(item for item in components if item["name"] == "ups/battery")
    charge = next(item for item in battery["signals"] if item["signal"] == "battery.charge")
    assert (charge["value"], charge["unit"], charge["state"]) == (23.5, "%", "crit")
    assert battery["interval_s"] == 60
    assert datetime.fromisoformat(battery["due"]) > datetime.fromisoformat(battery["last_at"])


def test_alarms_open_all_and_of_one_terminal(client):
    assert [item["level"] for item in client.get(f"{V1}/alarms").json()["items"]] == [1, 2, 2, 3, 3]
    assert client.get(f"{V1}/alarms", params={"state": "all"}).json()["total"] == 10
    own = client.get(f"{V1}/alarms", params={"terminal": "POS-008"}).json()["items"]
    assert [item["terminal"] for item in own] == ["POS-008"]


def test_incidents_open_all_and_one(client):
    page = client.get(f"{V1}/incidents", params={"limit": 2}).json()
    assert ([item["level"] for item in page["items"]], page["total"]) == ([1, 2], 5)
    assert client.get(f"{V1}/incidents", params={"state": "all"}).json()["total"] == 10
    first = page["items"][0]
    assert first["closed_at"] is None
    assert datetime.fromisoformat(first["clocks"][0]["due"]) > datetime.fromisoformat(first["opened_at"])
    whole = client.get(f"{V1}/incidents/{first['id']}").json()
    assert whole.items() >= {key: value for key, value in first.items() if key != "clocks"}.items()
    assert [member["role"] for member in whole["members"]] == ["root"]
    assert whole["members"][0]["alarm"]["isa_state"] == "UNACK"
    assert [event["lines"][0]["text"] for event in whole["events"]][:1] == ["Found"]
    assert whole["why"]["told"] == "told"


def test_why_gives_each_reason_as_text_and_as_what_is_filled_in(client):
    said = client.get(f"{V1}/alarms/1/why").json()
    assert said["alarm"]["terminal"] == "ATM-001"
    head = said["why"]["head"]
    assert head["key"] == "why.yes"
    assert head["text"].startswith(f"Told: incident {said['alarm']['incident']} was announced at ")
    assert datetime.fromisoformat(head["values"]["announced_at"]).timestamp() == BASE // NANO - 420
    assert {line["topic"] for line in said["why"]["lines"]} >= {"rule", "place", "people", "clock", "ticket"}
    chinese = client.get(f"{V1}/alarms/1/why", params={"lang": "zh"}).json()
    assert chinese["why"]["head"]["text"].startswith("已通知：")
    assert chinese["why"]["head"]["values"] == head["values"]


def test_a_list_of_incidents_that_did_not_change_is_not_sent_again(client):
    first = client.get(f"{V1}/incidents")
    again = client.get(f"{V1}/incidents", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def history(client, **params):
    return client.get(
        f"{V1}/terminals/ATM-001/history", params={"component": "ups/battery", "signal": "battery.charge", **params}
    )


def test_history_defaults_to_the_last_day_and_is_bounded(client):
    day = history(client).json()
    assert (day["resolution"], day["unit"]) == ("reading", "%")
    times = [datetime.fromisoformat(point["at"]).timestamp() for point in day["points"]]
    assert times == sorted(times)
    assert times[0] >= BASE // NANO - 86_400
    assert times[-1] <= BASE // NANO
    few = history(client, points=100).json()
    assert len(few["points"]) <= 110
    assert few["merged"] + len(few["points"]) == len(day["points"])
    values = [point["value"] for point in day["points"] if point["value"] is not None]
    extremes = [edge for point in few["points"] for edge in (point["least"], point["most"]) if edge is not None]
    assert (min(extremes), max(extremes)) == (min(values), max(values))


def test_history_takes_iso_and_epoch_alike(client):
    start = (BASE - 2 * HOUR) / NANO
    by_epoch = history(client, **{"from": start, "to": BASE / NANO}).json()
    stamp = [datetime.fromtimestamp(second).astimezone().isoformat() for second in (start, BASE / NANO)]
    assert history(client, **{"from": stamp[0], "to": stamp[1]}).json() == by_epoch
    assert len(by_epoch["points"]) == 120


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("/terminals/nowhere", 404, "nowhere"),
        ("/terminals/nowhere/components", 404, "nowhere"),
        ("/terminals/ATM-001/history?component=ups&signal=none", 404, "none"),
        ("/terminals/ATM-001/history?component=ups", 422, "query.signal"),
        ("/terminals/ATM-001/history?component=ups&signal=load&from=yesterday", 422, "query.from"),
        ("/terminals/ATM-001/history?component=ups&signal=load&from=nan", 422, "query.from"),
        ("/terminals/ATM-001/history?component=ups&signal=load&from=20&to=10", 422, "before"),
        ("/terminals/ATM-001/history?component=ups&signal=load&from=0", 422, "ten years"),
        ("/terminals?limit=0", 422, "query.limit"),
        ("/terminals?limit=99999", 422, "query.limit"),
        ("/terminals?condition=fine", 422, "query.condition"),
        ("/alarms?state=some", 422, "query.state"),
        ("/alarms?lang=fr", 422, "query.lang"),
        ("/alarms/77/why", 404, "77"),
        ("/alarms/one/why", 422, "path.alarm"),
        ("/incidents?state=some", 422, "query.state"),
        ("/incidents/HWM-nothing", 404, "HWM-nothing"),
        ("/nothing", 404, "openapi.json"),
    ],
)
def test_what_cannot_be_answered_is_a_problem(client, path, status, word):
    answer = client.get(V1 + path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert word in body["detail"]
    assert body["instance"] == (V1 + path).partition("?")[0]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_another_method_is_told_which_ones_there_are(client, method):
    answer = client.request(method, f"{V1}/terminals")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


def test_what_did_not_change_is_not_sent_again(client, changes):
    first = client.get(f"{V1}/terminals")
    again = client.get(f"{V1}/terminals", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    changes.write_text('{"revision": 2}')
    assert client.get(f"{V1}/terminals", headers={"If-None-Match": first.headers["etag"]}).status_code == 200


def test_the_tag_of_another_life_of_the_process_does_not_hold(client):
    tag = client.get(f"{V1}/terminals").headers["etag"]
    other = Console(lambda: FakeFleet(60, BASE), now=lambda: BASE, with_pages=False)
    with TestClient(other.app, base_url="http://127.0.0.1") as later:
        assert later.get(f"{V1}/terminals", headers={"If-None-Match": tag}).status_code == 200


def test_a_store_that_fails_is_503_and_comes_back(client, changes):
    changes.write_text('{"revision": 2, "fail": "disk gone"}')
    answer = client.get(f"{V1}/terminals")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert "disk gone" not in answer.text
    changes.write_text('{"revision": 3}')
    assert client.get(f"{V1}/terminals").status_code == 200


def test_health_of_the_monitoring(client):
    body = client.get(f"{V1}/health").json()
    assert body["refused"] == {"bad_signature": 3, "replayed": 1}
    assert body["outbox_dead"] == 1


def test_every_answer_has_the_headers(client):
    for path in ("/terminals", "/nothing", "/openapi.json"):
        headers = client.get(V1 + path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_openapi_describes_every_route_with_examples_and_problems(client):
    document = client.get(f"{V1}/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert "application/problem+json" in str(operation["responses"]), (method, path)
            assert operation["summary"], (method, path)
    terminal = document["components"]["schemas"]["Terminal"]["properties"]
    assert terminal["class"]["examples"] == ["atm"]
