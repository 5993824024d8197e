"""Planned work through the REST API over a real store and a running collector: what a window silences, who may make one, and what is refused with its field."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.collector.web.counter import LI, Counter
from tests.collector.web.taking import Taking
from tillwatch.collector.people.roles import Role, Scope, Visitor
from tillwatch.collector.store.reader import SqliteReader

V1 = "/api/v1"
POLICY = """
[site]
time_zone = "Asia/Shanghai"
[branch."Far West"]
time_zone = "Asia/Urumqi"
[[window]]
id = "weekly-restart"
scope = "branch:Harbour"
weekly = "mon-sun"
at = "02:00"
length = "30m"
reason = "restart"
approved_by = "board"
[person.chen]
name = "Chen Jun"
phone = "1"
"""


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Counter:
    counter = Counter(tmp_path_factory.mktemp("counter"), POLICY)
    counter.desk.enrol("atm-1", "atm-2")
    counter.desk.enrol("atm-9", branch="Far West", region="West")
    counter.desk.enrol("pos-3", "pos-4", "pos-5", branch="Market", region="South")
    counter.desk.say("atm-1", "host/disk:/", "host.disk.percent", 93)
    return counter


@pytest.fixture(scope="module")
def running(counter: Counter) -> Iterator[TestClient]:
    with Taking(counter.desk.path, counter.desk.rules, counter.desk.now), counter.client() as client:
        yield client


@pytest.fixture
def client(running: TestClient, counter: Counter) -> TestClient:
    counter.who = LI
    return running


def asked(scope: str = "branch:Harbour", **more: Any) -> dict[str, Any]:
    until = (datetime.now(UTC) + timedelta(hours=3)).isoformat()
    return {"scope": scope, "from": "now", "to": until, "reason": "new UPS", "approved_by": "chen.jun", **more}


def problem(answer: Any, status: int = 422) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    return body["errors"][0]["where"] if body["errors"] else body["detail"]


def test_a_window_silences_what_it_covers_and_ends_when_it_is_told_to(client: TestClient, counter: Counter) -> None:
    before = client.get(f"{V1}/windows/preview", params={"scope": "branch:Harbour"}).json()
    assert (before["count"], before["terminals"], before["mask_count"]) == (2, ["atm-1", "atm-2"], 1)
    assert before["masks"][0]["terminal"] == "atm-1"
    made = client.post(f"{V1}/windows", json=asked(change_ref="CHG-1"))
    assert made.status_code == 201
    window = made.json()
    assert (window["state"], window["by"], window["approved_by"], window["change_ref"]) == ("open", "li.na", "chen.jun", "CHG-1")  # fmt: skip
    with closing(SqliteReader(counter.desk.path)) as reader:
        assert [mask.ref for mask in reader.alarm(1).masks] == [window["id"]]
    plan = client.get(f"{V1}/windows").json()
    assert {each["id"]: each["made_in"] for each in plan["windows"]} == {"weekly-restart": "policy", window["id"]: "journal"}  # fmt: skip
    assert plan["zone"] == "Asia/Shanghai"
    assert plan["may_plan"]
    now = client.get(f"{V1}/windows/{window['id']}").json()
    assert (now["count"], now["mask_count"]) == (2, 1)
    assert client.delete(f"{V1}/windows/{window['id']}").status_code == 204
    with closing(SqliteReader(counter.desk.path)) as reader:
        assert reader.alarm(1).masks == ()
    assert problem(client.delete(f"{V1}/windows/{window['id']}"), 404)


def test_a_change_makes_another_window_and_cancels_the_one_before(client: TestClient) -> None:
    first = client.post(f"{V1}/windows", json=asked("branch:Market")).json()
    second = client.put(f"{V1}/windows/{first['id']}", json=asked("branch:Market", reason="longer")).json()
    found = {each["id"]: each["reason"] for each in client.get(f"{V1}/windows").json()["windows"]}
    assert first["id"] not in found
    assert found[second["id"]] == "longer"
    client.delete(f"{V1}/windows/{second['id']}")


def test_what_the_policy_says_is_changed_there(client: TestClient) -> None:
    assert "site's policy" in problem(client.delete(f"{V1}/windows/weekly-restart"), 409)
    assert "site's policy" in problem(client.put(f"{V1}/windows/weekly-restart", json=asked()), 409)


def test_tonight_is_by_the_clocks_of_the_branch(client: TestClient) -> None:
    here = client.get(f"{V1}/windows/tonight", params={"scope": "branch:Harbour"}).json()
    west = client.get(f"{V1}/windows/tonight", params={"scope": "branch:Far West"}).json()
    assert (here["zone"], west["zone"]) == ("Asia/Shanghai", "Asia/Urumqi")
    assert here["to"].endswith("T06:00")
    assert here["people"] == ["Chen Jun"]
    made = client.post(f"{V1}/windows", json=asked("branch:Far West", **{"from": west["from"], "to": west["to"]})).json()  # fmt: skip
    ends = datetime.fromisoformat(made["to"])
    assert ends == datetime.fromisoformat(f"{west['to']}+06:00")
    client.delete(f"{V1}/windows/{made['id']}")


def test_more_than_half_of_the_fleet_is_asked_about_twice(client: TestClient) -> None:
    assert client.get(f"{V1}/windows/preview", params={"scope": "all"}).json()["large"]
    assert problem(client.post(f"{V1}/windows", json=asked("all"))) == "large"
    made = client.post(f"{V1}/windows", json=asked("all", large=True))
    assert made.status_code == 201
    client.delete(f"{V1}/windows/{made.json()['id']}")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"scope": "branch:Harbor"}, "scope"),
        ({"scope": "atm-1/nothing*"}, "scope"),
        ({"scope": "x" * 201}, "body.scope"),
        ({"to": "2020-01-01"}, "to"),
        ({"to": "2999-01-01"}, "to"),
        ({"to": "0001-01-01T00:00+23:59"}, "to"),
        ({"from": "tomorrow"}, "from"),
        ({"reason": " "}, "reason"),
        ({"reason": "a\nb"}, "reason"),
        ({"approved_by": ""}, "approved_by"),
        ({"approved_by": "LI.NA"}, "approved_by"),
        ({"change_ref": "\x07"}, "change_ref"),
        ({"large": "perhaps"}, "body.large"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_field(client: TestClient, change: dict[str, Any], field: str) -> None:
    assert problem(client.post(f"{V1}/windows", json={**asked(), **change})) == field


def test_who_is_there_for_a_branch_plans_for_that_branch(client: TestClient, counter: Counter) -> None:
    counter.who = Visitor("wu", Role.SUPERVISOR, Scope(branches=frozenset({"Market"})))
    assert "beyond the part" in problem(client.post(f"{V1}/windows", json=asked("branch:Harbour")), 403)
    assert "beyond the part" in problem(client.post(f"{V1}/windows", json=asked("all", large=True)), 403)
    assert "beyond the part" in problem(client.get(f"{V1}/windows/preview", params={"scope": "atm-1"}), 403)
    made = client.post(f"{V1}/windows", json=asked("branch:Market"))
    assert made.status_code == 201
    seen = client.get(f"{V1}/windows").json()["windows"]
    assert [each["id"] for each in seen] == [made.json()["id"]], "nothing of other branches"
    assert problem(client.get(f"{V1}/windows/weekly-restart"), 404)
    client.delete(f"{V1}/windows/{made.json()['id']}")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.TECHNICIAN, Role.ADMINISTRATOR, Role.AUDITOR])
def test_only_a_supervisor_plans(client: TestClient, counter: Counter, role: Role) -> None:
    counter.who = Visitor("x", role)
    assert client.post(f"{V1}/windows", json=asked()).status_code == 403
    assert client.delete(f"{V1}/windows/weekly-restart").status_code == 403
    assert not client.get(f"{V1}/windows").json()["may_plan"]


def test_the_calendar_goes_into_other_calendars(client: TestClient) -> None:
    answer = client.get(f"{V1}/windows.ics")
    assert answer.headers["content-type"].startswith("text/calendar")
    assert answer.text.count("BEGIN:VEVENT") >= 100
    assert "SUMMARY:branch:Harbour: restart" in answer.text


@pytest.mark.parametrize("params", [{"from": "x"}, {"from": "2026-01-01", "to": "2025-01-01"}, {"from": "1980", "to": "2026-01-01"}])  # fmt: skip
def test_a_look_at_the_calendar_is_bounded(client: TestClient, params: dict[str, str]) -> None:
    assert client.get(f"{V1}/windows", params=params).status_code == 422


def test_acts_of_planning_stand_in_the_audit_log_with_who_did_them(client: TestClient, counter: Counter) -> None:
    counter.who = Visitor("zhou", Role.AUDITOR)
    found = client.get(f"{V1}/audit", params={"group": "planning", "actor": "li.na"}).json()["items"]
    assert {each["action"] for each in found} == {"window", "window-cancel"}
    assert {each["actor"] for each in found} == {"li.na"}
