"""The roster through the REST API: gaps, who would be told by the real table of routes, and numbers that stay masked until somebody looks, which is record."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from tests.collector.web.counter import LI, Counter
from tests.collector.web.taking import Taking
from tillwatch.collector.people.roles import Role, Scope, Visitor

V1 = "/api/v1"
PHONE = "+86 139 0000 0103"
POLICY = f"""
[person.chen]
name = "Chen Jun"
phone = "{PHONE}"
[person.li]
name = "Li Na"
mail = "li.na@bank.example"
[[shift]]
role = "duty engineer"
people = "chen"
hours = "24x7"
[[shift]]
role = "backup engineer"
people = "li"
hours = "24x7"
scope = "branch:Market"
"""


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Counter:
    folder = tmp_path_factory.mktemp("counter")
    counter = Counter(folder, POLICY)
    counter.desk.enrol("atm-1")
    counter.desk.enrol("pos-3", branch="Market", region="South")
    return counter


@pytest.fixture(scope="module")
def running(counter: Counter) -> Iterator[TestClient]:
    with Taking(counter.desk.path, counter.desk.rules, counter.desk.now), counter.client() as client:
        yield client


@pytest.fixture
def client(running: TestClient, counter: Counter) -> TestClient:
    counter.who = LI
    return running


def test_the_roster_says_who_has_which_role_and_when_nobody_does(client: TestClient) -> None:
    got = client.get(f"{V1}/roster").json()
    rows = {(row["role"], row["branch"]): row for row in got["rows"]}
    duty = rows["duty engineer", ""]
    assert ([each["name"] for each in duty["now"]], duty["gaps"], duty["levels"]) == (["Chen Jun"], 0, [1, 2, 3])
    backup = rows["backup engineer", ""]
    assert (backup["now"], backup["gaps"], backup["gap_s"]) == ([], 1, 7 * 86_400)
    assert rows["backup engineer", "Market"]["gaps"] == 0
    assert got["used"]
    assert "director" in got["unmanned"]
    assert "duty engineer" not in got["unmanned"]
    assert [ladder["level"] for ladder in got["ladders"]] == [1, 2, 3]
    assert client.get(f"{V1}/roster", params={"days": 63}).status_code == 422


def test_numbers_are_masked_and_a_look_at_one_is_record(client: TestClient, counter: Counter) -> None:
    assert PHONE not in client.get(f"{V1}/roster").text
    assert PHONE not in client.get(f"{V1}/roster/told", params={"branch": "Harbour"}).text
    whole = client.post(f"{V1}/roster/people/chen/contact")
    assert whole.json()["contact"] == {"phone": PHONE}
    again = client.post(f"{V1}/roster/people/chen/contact")  # within the hour: shown, and not told twice
    assert again.json() == whole.json()
    assert client.post(f"{V1}/roster/people/nobody/contact").status_code == 404
    counter.who = Visitor("zhou", Role.AUDITOR)
    (look,) = client.get(f"{V1}/audit", params={"group": "look"}).json()["items"]
    assert (look["actor"], look["action"], look["detail"]["person"]) == ("li.na", "look", "chen")
    counter.who = Visitor("x", Role.VIEWER)
    assert client.post(f"{V1}/roster/people/chen/contact").status_code == 403


def test_who_would_be_told_is_by_branch_and_level(client: TestClient) -> None:
    here = client.get(f"{V1}/roster/told", params={"branch": "Harbour", "level": 1}).json()
    assert here["open"]
    assert [(step["role"], [p["name"] for p in step["people"]]) for step in here["steps"]][:2] == [
        ("duty engineer", ["Chen Jun"]),
        ("backup engineer", []),
    ]
    assert not here["routed"]
    market = client.get(f"{V1}/roster/told", params={"branch": "Market", "level": 1}).json()
    assert [p["name"] for p in market["steps"][1]["people"]] == ["Li Na"]
    third = client.get(f"{V1}/roster/told", params={"branch": "Market", "level": 3}).json()
    assert third["steps"][0]["role"] == "queue"
    assert third["steps"][0]["people"] == []
    assert client.get(f"{V1}/roster/told", params={"branch": "Nowhere"}).status_code == 404
    assert client.get(f"{V1}/roster/told", params={"branch": "Market", "level": 4}).status_code == 422


def test_who_is_there_for_a_branch_sees_that_branch(client: TestClient, counter: Counter) -> None:
    counter.who = Visitor("wu", Role.SUPERVISOR, Scope(branches=frozenset({"Harbour"})))
    rows = client.get(f"{V1}/roster").json()["rows"]
    assert {row["branch"] for row in rows} == {""}
    assert client.get(f"{V1}/roster/told", params={"branch": "Market"}).status_code == 404
