"""The fleet from above over REST: what adds up, what is found, and that nobody gets what is not theirs."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from tests.collector.fake_fleet import BRANCHES, NANO, FakeFleet
from tillwatch.collector.people.roles import NOBODY, Role, Scope, Visitor
from tillwatch.collector.web.app import Console

BASE = 1_790_000_000 * NANO
V1 = "/api/v1"
SOUTH = Visitor("wang", Role.VIEWER, Scope(regions=frozenset({"South"})))


def client_of(tmp_path, visitor=None):
    changes = tmp_path / "changes.json"
    more = {} if visitor is None else {"authenticate": lambda _: visitor}
    console = Console(lambda: FakeFleet(60, BASE, changes), now=lambda: BASE, with_pages=False, **more)
    return TestClient(console.app, base_url="http://127.0.0.1")


@pytest.fixture
def client(tmp_path):
    with client_of(tmp_path) as made:
        yield made


def test_regions_and_branches_add_up_to_the_fleet(client) -> None:
    whole = client.get(f"{V1}/fleet").json()
    regions = client.get(f"{V1}/regions").json()["items"]
    branches = client.get(f"{V1}/branches").json()["items"]
    assert (whole["terminals"], whole["branches"], len(regions), len(branches)) == (60, 6, 3, 6)
    for parts in (regions, branches):
        for word in ("up", "down", "unmonitored", "planned", "excluded"):
            assert sum(part["counts"][word] for part in parts) == whole["counts"][word]
    assert (
        whole["available_least"] < whole["available_most"] == 1
    )  # nothing is known to be down, much is not known to be up
    south = client.get(f"{V1}/branches", params={"region": "South"}).json()
    assert {each["name"] for each in south["items"]} == {"Harbour Road", "Market Square"}


def test_one_branch_by_any_name(client) -> None:
    for name, region in BRANCHES:
        found = client.get(f"{V1}/branches/{quote(name, safe='')}").json()
        assert (found["name"], found["region"], found["terminals"]) == (name, region, 10)
    assert client.get(f"{V1}/branches/Nowhere").status_code == 404


def test_an_answer_is_not_sent_twice(client) -> None:
    first = client.get(f"{V1}/regions")
    again = client.get(f"{V1}/regions", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_search_leads_to_pages(client) -> None:
    found = client.get(f"{V1}/search", params={"q": "ATM-003"}).json()["items"]
    assert [(hit["kind"], hit["address"], hit["condition"]) for hit in found] == [
        ("terminal", "/terminal/ATM-003", "crit"),
        ("incident", f"/incident/{found[1]['id']}", ""),
    ]
    hostile = client.get(f"{V1}/search", params={"q": "Airport"}).json()["items"]
    assert hostile[0]["address"] == "/branch/%3Cb%20onclick%3Dalert%281%29%3EAirport%3C%2Fb%3E"


@pytest.mark.parametrize("query", ["", "?q=", f"?q={'x' * 101}", "?q=a&limit=0"])
def test_a_search_for_nothing_is_refused(client, query) -> None:
    assert client.get(f"{V1}/search{query}").status_code == 422


def test_who_is_there_for_one_region_sees_no_other(tmp_path) -> None:
    with client_of(tmp_path, SOUTH) as client:
        assert {each["name"] for each in client.get(f"{V1}/branches").json()["items"]} == {
            "Harbour Road",
            "Market Square",
        }
        assert client.get(f"{V1}/fleet").json()["terminals"] == 20
        assert client.get(f"{V1}/branches/University").status_code == 404
        assert client.get(f"{V1}/search", params={"q": "University"}).json()["items"] == []
        assert client.get(f"{V1}/search", params={"q": "ATM-003"}).json()["items"] == []


def test_nobody_sees_nothing(tmp_path) -> None:
    with client_of(tmp_path, NOBODY) as client:
        for path in ("fleet", "regions", "branches", "branches/University", "search?q=a"):
            assert client.get(f"{V1}/{path}").status_code == 401
