"""What the phone is told: mine before what nobody has, what to bring and why, and what the readings say of the fault."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.collector.web.counter import Counter
from tillwatch.collector.people.roles import Role, Scope, Visitor

V1 = "/api/v1"
CHEN = Visitor("chen", Role.TECHNICIAN)


@pytest.fixture
def counter(tmp_path: Path) -> Counter:
    counter = Counter(tmp_path, who=CHEN)
    counter.desk.enrol("atm-1", "atm-2")
    counter.desk.enrol("atm-9", branch="Lake", region="South")
    for name in ("atm-1", "atm-2", "atm-9"):
        counter.desk.say(name, "host/disk:/", "host.disk.percent", 99)
    return counter


@pytest.fixture
def client(counter: Counter) -> Iterator[TestClient]:
    with counter.client() as client:
        yield client


def name(counter: Counter, terminal: str = "atm-1") -> str:
    return next(each.id for each in counter.desk.incidents(living=False) if each.terminal == terminal)


def test_mine_come_first_and_what_somebody_else_has_is_not_mine(counter: Counter, client: TestClient) -> None:
    counter.desk.operate(action="assign", incident=name(counter), to="Chen", terminal="atm-1")
    counter.desk.operate(action="assign", incident=name(counter, "atm-2"), to="zhou", terminal="atm-2")
    said = client.get(f"{V1}/my").json()
    assert [each["terminal"] for each in said["mine"]] == ["atm-1"]
    assert [each["terminal"] for each in said["unowned"]] == ["atm-9"]
    assert {one["source"] for one in said["mine"][0]["brings"]} == {"card"}
    counter.who = Visitor("chen", Role.TECHNICIAN, Scope(branches=frozenset({"Harbour"})))
    assert client.get(f"{V1}/my").json()["unowned"] == []


def test_the_readings_say_whether_it_is_mended(counter: Counter, client: TestClient) -> None:
    path = f"{V1}/repairs/{name(counter)}"
    still = client.get(path).json()
    assert (still["mended"]["state"], still["mended"]["alarms"][0]["value"]) == ("still", 99)
    assert still["steps"]
    assert still["can"][:2] == ["acknowledge", "assign"]
    counter.desk.say("atm-1", "host/disk:/", "host.disk.percent", 10, lasting=400)
    well = client.get(path).json()
    assert (well["mended"]["state"], well["mended"]["since"] is not None) == ("well", True)


def test_what_is_not_heard_is_not_mended(counter: Counter, client: TestClient) -> None:
    async def goodbye(world):  # type: ignore[no-untyped-def]
        sender = counter.desk.senders["atm-1"]
        await world.pipeline.take([sender.life(world.now, state="offline", n=sender.n)])

    disk = name(counter)
    counter.desk.feed(goodbye)
    assert client.get(f"{V1}/repairs/{disk}").json()["mended"]["state"] == "unknown"
    lost = next(each.id for each in counter.desk.incidents() if each.fault == "terminal.silent")
    assert client.get(f"{V1}/repairs/{lost}").json()["mended"]["state"] == "still", "silence is the fault itself"


def test_what_was_changed_before_is_brought_again(counter: Counter, client: TestClient) -> None:
    counter.desk.operate(
        action="resolve", incident=name(counter), terminal="atm-1", verdict="part_changed", part="SSD 480", note=""
    )
    said = client.get(f"{V1}/repairs/{name(counter)}").json()
    assert [(one["text"], one["component"]) for one in said["brings"] if one["source"] == "history"] == [
        ("SSD 480", "host/disk:/")
    ]
    assert said["past"][0]["verdict"] == "part_changed"


def test_out_of_scope_there_is_nothing(counter: Counter, client: TestClient) -> None:
    counter.who = Visitor("far", Role.TECHNICIAN, Scope(branches=frozenset({"Lake"})))
    assert client.get(f"{V1}/repairs/{name(counter)}").status_code == 404
    assert [each["terminal"] for each in client.get(f"{V1}/my").json()["unowned"]] == ["atm-9"]
