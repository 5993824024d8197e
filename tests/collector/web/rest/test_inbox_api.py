"""What the inbox lists and counts: by urgency, with what is silenced and what was forgotten, and only of one's own part of the fleet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.collector.web.counter import Counter
from tillwatch.collector.alarm.alarms import ACK_NS
from tillwatch.collector.people.roles import Role, Scope, Visitor

V1 = "/api/v1"
S = 10**9


@pytest.fixture
def counter(tmp_path: Path) -> Counter:
    counter = Counter(tmp_path, who=Visitor("chen", Role.TECHNICIAN))
    counter.desk.enrol("atm-1", "atm-2")
    counter.desk.enrol("atm-9", branch="Lake", region="South")
    counter.desk.say("atm-1", "host/disk:/", "host.disk.percent", 93)
    counter.desk.say("atm-2", "host/disk:/", "host.disk.percent", 99)
    counter.desk.say("atm-9", "host/disk:/", "host.disk.percent", 99)
    return counter


@pytest.fixture
def client(counter: Counter) -> Iterator[TestClient]:
    with counter.client() as client:
        yield client


def inbox(client: TestClient) -> dict[str, Any]:
    answer = client.get(f"{V1}/inbox")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_what_is_urgent_comes_first(counter: Counter, client: TestClient) -> None:
    name = {each.terminal: each.id for each in counter.desk.incidents()}
    counter.desk.operate(action="acknowledge", incident=name["atm-2"], terminal="atm-2")
    counter.desk.operate(action="hold", incident=name["atm-9"], terminal="atm-9", reason="parts")
    counter.desk.say("atm-1", "host/disk:/var", "host.disk.percent", 99)
    said = inbox(client)
    order = [(each["terminal"], each["component"]) for each in said["items"]]
    assert order[0] == ("atm-1", "host/disk:/var"), "nobody has it"
    assert order[1] == ("atm-2", "host/disk:/"), "somebody has it"
    assert order[2] == ("atm-1", "host/disk:/"), "milder"
    assert order[-1] == ("atm-9", "host/disk:/"), "it waits"
    assert said["items"][0]["can"][:3] == ["acknowledge", "assign", "repair"]
    assert (
        client.get(f"{V1}/inbox", headers={"If-None-Match": client.get(f"{V1}/inbox").headers["etag"]}).status_code
        == 304
    )


def test_what_is_silenced_and_forgotten_is_counted(counter: Counter, client: TestClient) -> None:
    desk = counter.desk
    desk.operate(action="acknowledge", alarm=2, terminal="atm-2")
    desk.operate(action="shelve", alarm=3, terminal="atm-9", until=desk.now + 24 * 3600 * S, reason="x")
    before = inbox(client)
    assert (before["forgotten"], before["masks"]) == (0, {"shelved": 1})
    desk.wait(ACK_NS[2] / S + 60)
    after = inbox(client)
    assert after["forgotten"] == 1
    assert [each["terminal"] for each in after["items"] if each["forgotten"]] == ["atm-2"]
    desk.say("atm-2", "host/disk:/", "host.disk.percent", 10, lasting=400)
    gone = inbox(client)
    assert (gone["forgotten"], gone["unseen"]) == (0, 1)


def test_one_sees_ones_own_part(counter: Counter, client: TestClient) -> None:
    counter.who = Visitor("far", Role.SUPERVISOR, Scope(branches=frozenset({"Lake"})))
    said = inbox(client)
    assert [each["terminal"] for each in said["items"]] == ["atm-9"]
    assert (said["total"], said["loose"]) == (1, [])


def test_what_acts_may_name(counter: Counter, client: TestClient) -> None:
    name = {each.terminal: each.id for each in counter.desk.incidents()}
    said = client.get(f"{V1}/handling", params={"incident": name["atm-1"]}).json()
    assert [each["id"] for each in said["neighbours"]] == [name["atm-2"]], "of the same branch"
    assert "parts" in [each["id"] for each in said["reasons"]]
    assert client.get(f"{V1}/handling", params={"incident": "HWM-nothing"}).status_code == 404
    counter.who = Visitor("wang", Role.VIEWER)
    assert client.get(f"{V1}/handling").status_code == 403
    assert inbox(client)["items"][0]["can"] == []
