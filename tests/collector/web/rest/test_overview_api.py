"""The fleet from above over REST: what adds up, what is found, and that nobody gets what is not theirs."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from tests.collector.fake_fleet import BRANCHES, NANO, FakeFleet
from tests.collector.web.as_visitor import let_in
from tillwatch.collector.people.roles import NOBODY, Role, Scope, Visitor
from tillwatch.collector.web.app import Console

BASE = 1_790_000_000 * NANO
V1 = "/api/v1"
SOUTH = Visitor("wang", Role.VIEWER, Scope(regions=frozenset({"South"})))


def client_of(tmp_path, visitor=None, **more):
    changes = tmp_path / "changes.json"
    console = Console(lambda: FakeFleet(60, BASE, changes), now=lambda: BASE, with_pages=False, **more)
    if visitor is not None:
        let_in(console, {"asked": visitor}, "asked")
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
        found = client.get(f"{V1}/branch", params={"name": name}).json()
        assert (found["name"], found["region"], found["terminals"]) == (name, region, 10)
    for path in ("branch", "branch/incidents", "branch/week", "branch/duty"):
        assert client.get(f"{V1}/{path}", params={"name": "Nowhere"}).status_code == 404


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
        assert client.get(f"{V1}/branch", params={"name": "University"}).status_code == 404
        assert client.get(f"{V1}/path", params={"terminal": "ATM-003"}).status_code == 404
        assert [one["name"] for one in client.get(f"{V1}/paths").json()["items"]] == ["South"]
        assert len(client.get(f"{V1}/heat").json()["terminals"]) == 20
        assert {one["region"] for one in client.get(f"{V1}/worst", params={"limit": 60}).json()["items"]} == {"South"}
        assert client.get(f"{V1}/search", params={"q": "University"}).json()["items"] == []
        assert client.get(f"{V1}/search", params={"q": "ATM-003"}).json()["items"] == []


def test_nobody_sees_nothing(tmp_path) -> None:
    with client_of(tmp_path, NOBODY) as client:
        for path in (
            "fleet",
            "regions",
            "branches",
            "branch?name=University",
            "search?q=a",
            "worst",
            "path",
            "paths",
            "heat",
        ):
            assert client.get(f"{V1}/{path}").status_code == 401


def test_the_worst_comes_first_with_its_alarm(client) -> None:
    found = client.get(f"{V1}/worst", params={"limit": 3}).json()
    assert (found["total"], [one["id"] for one in found["items"]]) == (60, ["ATM-001", "ATM-003", "ATM-013"])
    first = found["items"][0]
    assert (first["state"], first["text"], first["cells"][6]) == (
        "degraded",
        "The terminal runs on battery and the charge falls",
        "c",
    )
    assert first["incident"]
    branch = client.get(f"{V1}/worst", params={"branch": "University", "limit": 60}).json()
    assert {one["branch"] for one in branch["items"]} == {"University"}


def test_the_fleet_counts_missed_targets(client) -> None:
    found = client.get(f"{V1}/fleet").json()
    assert (found["incidents"], found["breached"]) == (5, 1)


def test_the_path_of_a_part_says_whose_it_is(client) -> None:
    whole = client.get(f"{V1}/path").json()
    assert [hop["hop"] for hop in whole["hops"]] == ["device", "lan", "wan", "broker", "collector"]
    regions = client.get(f"{V1}/paths").json()["items"]
    assert sum(one["terminals"] for one in regions) == whole["terminals"]
    one = client.get(f"{V1}/path", params={"terminal": "SRV-005"}).json()
    assert (one["scope"], one["terminals"], one["guilty"]) == ("terminal", 1, "")
    assert {hop["hop"]: hop["health"].get("unknown", 0) for hop in one["hops"]}["lan"] == 1
    assert client.get(f"{V1}/path", params={"terminal": "ATM-999"}).status_code == 404


def test_the_parts_of_a_terminal_stand_in_their_columns(client) -> None:
    found = client.get(f"{V1}/terminals/ATM-001/parts").json()
    assert {one["component"]: one["group"] for one in found}["ups/battery"] == "power"
    assert client.get(f"{V1}/terminals/ATM-999/parts").status_code == 404


def test_a_branch_without_a_store_behind_it_has_no_week_and_says_so(client) -> None:
    assert client.get(f"{V1}/branch/week", params={"name": "University"}).json()["days"] == []
    assert client.get(f"{V1}/branch/duty", params={"name": "University"}).json() == []
    found = client.get(f"{V1}/branch/incidents", params={"name": "Harbour Road"}).json()
    assert {one["branch"] for one in found["items"]} == {"Harbour Road"}
