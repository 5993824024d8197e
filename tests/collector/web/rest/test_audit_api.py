"""The audit log through the REST API: who may read it, backwards page by page, each entry with its proof, the chain followed, and a file of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.collector.web.counter import AUDITOR, Counter
from tillwatch.collector.people.roles import Role, Scope, Visitor
from tillwatch.collector.proof.acts_page import Logged
from tillwatch.collector.proof.audit import Act
from tillwatch.collector.store import done
from tillwatch.collector.web.rest.audit_schema import MAX_DETAIL, MAX_NAMES, AuditEntry

V1 = "/api/v1"


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Counter:
    counter = Counter(tmp_path_factory.mktemp("counter"), who=AUDITOR)
    counter.desk.enrol("atm-1", "atm-2")
    counter.desk.enrol("pos-3", branch="Market", region="South")
    return counter


@pytest.fixture(scope="module")
def opened(counter: Counter) -> Iterator[TestClient]:
    with counter.client() as client:
        yield client


@pytest.fixture
def client(opened: TestClient, counter: Counter) -> TestClient:
    counter.who = AUDITOR
    return opened


def test_the_log_is_read_backwards_in_pages_that_meet(client: TestClient) -> None:
    whole = client.get(f"{V1}/audit").json()
    assert [each["n"] for each in whole["items"]] == sorted((each["n"] for each in whole["items"]), reverse=True)
    assert {each["action"] for each in whole["items"]} >= {"enrol", "rules", "started"}
    assert (whole["before"], whole["whole"]) == (0, True)
    parts: list[dict[str, object]] = []
    before = 0
    while True:
        got = client.get(f"{V1}/audit", params={"limit": 2, "before": before}).json()
        parts += got["items"]
        before = got["before"]
        if not before:
            break
    assert parts == whole["items"]


def test_a_filter_by_kind_person_and_subject(client: TestClient) -> None:
    keys = client.get(f"{V1}/audit", params={"group": "key", "subject": "ATM-2"}).json()["items"]
    assert [(each["action"], each["terminal"], each["group"]) for each in keys] == [("enrol", "atm-2", "key")]
    assert client.get(f"{V1}/audit", params={"actor": "nobody at all"}).json()["items"] == []
    assert client.get(f"{V1}/audit", params={"to": "1990-01-01"}).json()["items"] == []
    assert client.get(f"{V1}/audit", params={"group": "all of it"}).status_code == 422


def test_an_entry_comes_with_its_place_in_the_chain(client: TestClient) -> None:
    listed = client.get(f"{V1}/audit").json()["items"]
    one = client.get(f"{V1}/audit/{listed[0]['n']}").json()
    assert one["ok"]
    assert one["entry"]["digest"] == listed[0]["digest"]
    assert len(one["prev"]) == 64
    assert client.get(f"{V1}/audit/999999").status_code == 404
    assert client.get(f"{V1}/audit/0").status_code == 422


def test_the_chain_is_followed_on_demand_and_its_last_verification_told(client: TestClient, counter: Counter) -> None:
    assert client.get(f"{V1}/audit/chain").json()["verified_ok"] is None
    done.keep(counter.desk.path, done.VERIFIED, 5 * 10**18 // 3, ok=True, text="", entries=7)
    got = client.post(f"{V1}/audit/stretch", json={}).json()
    assert (got["ok"], got["first"], got["entries"]) == (True, 1, got["last"])
    state = client.get(f"{V1}/audit/chain").json()
    assert (state["verified_ok"], state["verified_entries"], state["stretch"]) == (True, 7, got)
    assert state["head"] == got["last"]
    assert client.post(f"{V1}/audit/stretch", json={"first": 10**6}).status_code == 422
    assert client.post(f"{V1}/audit/stretch", json={"first": -1}).status_code == 422


def test_a_changed_entry_is_named(tmp_path: Path) -> None:
    counter = Counter(tmp_path, who=AUDITOR)
    counter.desk.enrol("atm-1")
    with closing(sqlite3.connect(counter.desk.path)) as db:
        (n,) = db.execute("SELECT n FROM journal WHERE kind = 5 ORDER BY n LIMIT 1").fetchone()
        db.execute("UPDATE journal SET terminal = 'atm-9' WHERE n = ?", (n,))
        db.commit()
    with counter.client() as client:
        assert client.get(f"{V1}/audit/{n}").json()["ok"] is False
        got = client.post(f"{V1}/audit/stretch", json={}).json()
    assert not got["ok"]
    assert got["faults"][0]["first"] == n


def test_all_of_it_leaves_as_a_file(client: TestClient) -> None:
    answer = client.get(f"{V1}/audit", params={"format": "csv", "group": "key"})
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    lines = answer.text.strip().splitlines()
    assert len(lines) == 1 + 3
    assert lines[0].lstrip("\ufeff").startswith("n,at,actor,action")


def test_a_fact_that_is_a_table_stays_one_and_is_bounded() -> None:
    facts = {"labels": {"branch": "Hill", "note": "x" * 2 * MAX_DETAIL, **{f"l{n}": n for n in range(2 * MAX_NAMES)}}}
    act = Act(7, 10**18, "alerts prometheus", "alert", "", facts, ok=True)
    labels = AuditEntry.of(Logged(act, b"")).detail["labels"]
    assert labels["branch"] == "Hill"
    assert len(labels["note"]) == MAX_DETAIL + 1
    assert len(labels) == MAX_NAMES


@pytest.mark.parametrize("role", [Role.VIEWER, Role.TECHNICIAN, Role.SUPERVISOR, Role.ADMINISTRATOR])
def test_only_an_auditor_reads_it(client: TestClient, counter: Counter, role: Role) -> None:
    counter.who = Visitor("x", role)
    for address in ("audit", "audit/1", "audit/chain"):
        assert client.get(f"{V1}/{address}").status_code == 403
    assert client.post(f"{V1}/audit/stretch", json={}).status_code == 403


def test_an_auditor_of_a_part_sees_what_is_about_its_terminals(client: TestClient, counter: Counter) -> None:
    counter.who = Visitor("wu", Role.AUDITOR, Scope(branches=frozenset({"Market"})))
    got = client.get(f"{V1}/audit").json()
    assert {each["terminal"] for each in got["items"]} == {"pos-3"}
    assert not got["whole"]
    counter.who = AUDITOR
    other = client.get(f"{V1}/audit", params={"subject": "atm-1"}).json()["items"][0]["n"]
    counter.who = Visitor("wu", Role.AUDITOR, Scope(branches=frozenset({"Market"})))
    assert client.get(f"{V1}/audit/{other}").status_code == 404
