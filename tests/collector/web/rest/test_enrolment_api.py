"""The API of the installation over a real store: what is expected, what has enrolled, what waits for a person; each sees their own part, and serials by their end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.collector.conftest import World
from tests.collector.desk import Desk
from tests.collector.web.as_visitor import HEADER, let_in
from tillwatch.collector.people.roles import Role, Scope, Visitor
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.web.app import Console

V1 = "/api/v1"
ROWS = [
    ["5CG9231X4K", "atm-1", "Harbour", "North", "atm", "pilot"],
    ["5CG9231X4L", "atm-2", "Hill", "South", "atm", ""],
]
PEOPLE = {
    "all": Visitor("li.wei", Role.VIEWER),
    "south": Visitor("chen.jun", Role.VIEWER, scope=Scope(regions=frozenset({"South"}))),
}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    desk = Desk(tmp_path)
    desk.enrol("atm-1")
    desk.say("atm-1", "agent", "agent.version", "1.2.0")

    async def work(world: World) -> None:
        day = 86_400 * 10**9
        image = {"name": "kiosk", "since": 0, "until": world.now + day, "count": 2, "listed": True, "digest": b"", "source": "list.csv", "secret": bytes(32)}  # fmt: skip
        refused = {"actor": "collector", "image": "kiosk", "address": "192.0.2.7"}
        for facts in (
            {"action": "image-token", "actor": "li.wei", **image},
            {"action": "expect", "actor": "li.wei", "rows": ROWS, "image": "kiosk", "source": "list.csv"},
            {"action": "claim-refused", **refused, "serial": "5CG9231X4K", "terminal": "atm-1", "reason": "the terminal is enrolled already"},
            {"action": "claim-refused", **refused, "serial": "ZZ00STRANGER", "terminal": "", "reason": "the serial number is not expected"},
        ):  # fmt: skip
            await world.pipeline.operate(facts)

    desk.feed(work)
    console = let_in(Console(lambda: SqliteReader(desk.path), with_pages=False, now=time.time_ns), PEOPLE, "all")
    with TestClient(console.app, base_url="http://127.0.0.1") as client:
        yield client


def test_what_an_installer_needs(client: TestClient) -> None:
    now = client.get(f"{V1}/enrolment").json()
    assert (now["terminals"], now["expected"], now["claimed"], now["disputed"]) == (1, 1, 0, 1)
    assert now["versions"] == {"1.2.0": 1}
    (grant,) = now["grants"]
    assert (grant["name"], grant["kind"], grant["count"], grant["used"], grant["good"], grant["revoked_at"]) == ("kiosk", "image", 2, 0, True, None)  # fmt: skip
    assert "secret" not in grant
    assert [(one["terminal"], one["reason"]) for one in now["refused"]] == [
        ("", "the serial number is not expected"),
        ("atm-1", "the terminal is enrolled already"),
    ]
    listed = client.get(f"{V1}/enrolment/expected").json()
    assert [(one["terminal"], one["state"], one["ring"]) for one in listed["items"]] == [("atm-1", "disputed", "pilot"), ("atm-2", "expected", "")]  # fmt: skip
    assert client.get(f"{V1}/enrolment/expected?state=expected").json()["total"] == 1
    assert client.get(f"{V1}/enrolment/grants/kiosk/missing").json()["items"][0]["terminal"] == "atm-2"
    assert client.get(f"{V1}/enrolment/grants/none/missing").status_code == 404
    assert client.get(f"{V1}/terminals?version=1.2.0").json()["items"][0]["version"] == "1.2.0"
    assert client.get(f"{V1}/terminals?version=9").json()["total"] == 0


def test_serial_numbers_and_addresses_are_shown_by_their_end(client: TestClient) -> None:
    told = "".join(client.get(f"{V1}{path}").text for path in ("/enrolment", "/enrolment/expected", "/enrolment/expected?format=csv", "/enrolment/grants/kiosk/missing"))  # fmt: skip
    assert "4K" in told
    for whole in ("5CG9231X4K", "5CG9231X4L", "ZZ00STRANGER", "192.0.2.7"):
        assert whole not in told


def test_everybody_sees_their_own_part(client: TestClient) -> None:
    own = {HEADER: "south"}
    now = client.get(f"{V1}/enrolment", headers=own).json()
    assert (now["terminals"], now["expected"], now["disputed"], now["refused"]) == (0, 1, 0, [])
    listed = client.get(f"{V1}/enrolment/expected", headers=own).json()["items"]
    assert [one["terminal"] for one in listed] == ["atm-2"]
