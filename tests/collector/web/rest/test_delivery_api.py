"""The API of what leaves the collector, over a real store: where a ticket stands, where its messages are, what is late."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.collector.desk import Desk
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.web.app import Console

V1 = "/api/v1"
PHONE, SHOWN = "+86 139 1234 0101", "+86 139 **** 0101"


class Bank:
    """A fire of level 1, whose ticket is there and whose duty engineer is to be called. now: of the console, UTC ns."""

    def __init__(self, folder: Path) -> None:
        self.desk = Desk(folder)
        self.desk.enrol("atm-1")
        self.desk.say("atm-1", "env/smoke", "env.smoke", "alarm")
        (incident,) = self.desk.incidents()
        self.incident, self.made = incident.id, incident.announced_at
        self.now = self.made + 60 * 10**9
        self.change("DELETE FROM outbox WHERE op = 'update'")  # how it went on since
        self.change("UPDATE outbox SET connector = 'desk', queue = 'Hardware', answer = '503 from desk.bank.example', attempts = 4, not_before = ?", self.made + 90 * 10**9)  # fmt: skip

    def change(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.desk.path)) as db, db:
            assert db.execute(statement, values).rowcount

    def call(self, state: str, answer: str) -> None:
        self.change(
            "INSERT INTO outbox (connector, incident, op, seq, channel, contact, body, level, created_at, state, answer)"
            " VALUES ('sms', ?, 'notify', 1, 'sms', ?, x'80', 1, ?, ?, ?)",
            self.incident, PHONE, self.made, state, answer,
        )  # fmt: skip

    def link(self) -> None:
        self.change(
            "INSERT INTO ticket_link (incident, connector, external_id, url, state, status, owner, updated_at, verified_at, verdict, part)"
            " VALUES (?, 'desk', '4711', 'https://desk.bank.example/4711', 'working', 'In Arbeit', 'weiss', ?, ?, 'part_changed', 'smoke detector')",
            self.incident, self.made + 10**9, self.made + 2 * 10**9,
        )  # fmt: skip


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return Bank(tmp_path)


@pytest.fixture
def client(bank: Bank) -> Iterator[TestClient]:
    console = Console(lambda: SqliteReader(bank.desk.path), with_pages=False, now=lambda: bank.now)
    with TestClient(console.app, base_url="http://127.0.0.1") as client:
        yield client


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1e6)


def test_what_is_late_is_part_of_the_health_from_the_policys_limit_on(bank: Bank, client: TestClient) -> None:
    assert client.get(f"{V1}/health").json()["undelivered"] == []
    bank.now = bank.made + 121 * 10**9
    (late,) = client.get(f"{V1}/health").json()["undelivered"]
    assert at(late.pop("oldest_at")) == bank.made // 1000
    assert late == {"connector": "desk", "level": 1, "count": 1, "answer": "503 from desk.bank.example"}
    bank.change("UPDATE outbox SET state = 'done'")
    assert client.get(f"{V1}/health").json()["undelivered"] == []


def test_where_the_ticket_stands(bank: Bank, client: TestClient) -> None:
    ticket = client.get(f"{V1}/incidents/{bank.incident}").json()["ticket"]
    assert (ticket["id"], ticket["connector"], ticket["state"], ticket["verified_at"]) == ("", "desk", "pending", None)
    bank.link()
    ticket = client.get(f"{V1}/incidents/{bank.incident}").json()["ticket"]
    assert at(ticket.pop("verified_at")) - at(ticket.pop("updated_at")) == 10**6
    assert ticket == {
        "id": "4711", "url": "https://desk.bank.example/4711", "state": "working", "connector": "desk", "status": "In Arbeit", "owner": "weiss",
        "verdict": "part_changed", "part": "smoke detector",
    }  # fmt: skip
    (listed,) = client.get(f"{V1}/incidents").json()["items"]
    assert (listed["ticket"]["state"], listed["ticket"]["owner"]) == ("working", "weiss")
    (alarm,) = client.get(f"{V1}/alarms").json()["items"]
    assert (alarm["ticket"], alarm["ticket_state"]) == ("4711", "working")


def test_where_its_messages_are(bank: Bank, client: TestClient) -> None:
    bank.call("dead", f"{PHONE} is not reachable")
    call, ticket = client.get(f"{V1}/incidents/{bank.incident}").json()["messages"]
    assert (ticket["op"], ticket["connector"], ticket["queue"], ticket["attempts"]) == ("open", "desk", "Hardware", 4)
    assert at(ticket["next_at"]) == (bank.made + 90 * 10**9) // 1000
    assert (call["op"], call["connector"], call["channel"], call["contact"]) == ("notify", "sms", "sms", SHOWN)
    assert (call["state"], call["next_at"], call["answer"]) == ("dead", None, f"{SHOWN} is not reachable")


def test_no_number_of_a_person_leaves_the_api(bank: Bank, client: TestClient) -> None:
    bank.call("pending", f"{PHONE} is busy")
    bank.now += 10**12
    for path in ("/health", "/deliveries", "/incidents", f"/incidents/{bank.incident}", "/alarms/1/why"):
        answer = client.get(V1 + path)
        assert answer.status_code == 200
        assert "139 1234" not in answer.text, path
    assert PHONE in str(bank.desk.incident().messages)  # what the command line shows


def test_why_speaks_of_the_ticket_and_not_of_calls(bank: Bank, client: TestClient) -> None:
    bank.change("UPDATE outbox SET state = 'done', done_at = created_at")
    bank.call("pending", "busy")
    lines = client.get(f"{V1}/incidents/{bank.incident}").json()["why"]["lines"]
    assert [line["key"] for line in lines if line["topic"] == "ticket"] == ["why.delivered"]


def test_what_has_not_reached_its_receiver(bank: Bank, client: TestClient) -> None:
    bank.call("dead", "no such number")
    page = client.get(f"{V1}/deliveries").json()
    assert [(one["connector"], one["incident"], one["state"]) for one in page["items"]] == [("desk", bank.incident, "pending"), ("sms", bank.incident, "dead")]  # fmt: skip
    assert client.get(f"{V1}/deliveries", params={"connector": "sms"}).json()["total"] == 1
    assert client.get(f"{V1}/deliveries", params={"connector": ""}).json()["total"] == 0
    assert [one["connector"] for one in client.get(f"{V1}/deliveries", params={"offset": 1}).json()["items"]] == ["sms"]
    bank.change("UPDATE outbox SET state = 'done'")
    assert client.get(f"{V1}/deliveries").json()["items"] == []


def test_openapi_says_so(client: TestClient) -> None:
    schemas = client.get(f"{V1}/openapi.json").json()["components"]["schemas"]
    assert set(schemas["Undelivered"]["properties"]) == {"connector", "level", "count", "oldest_at", "answer"}
    assert "undelivered" in schemas["MonitoringHealth"]["required"]
