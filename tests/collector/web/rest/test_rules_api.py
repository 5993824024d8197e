"""Rules, cards and the roster through the REST API: over a real store with people's acts, and over a simulated bank for trials."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.collector.desk import Desk
from tests.collector.simulated import bank, opened
from tests.collector.web.counter import LI, Counter
from tillwatch.collector.people.directory import Asker
from tillwatch.collector.people.roles import Role, Scope, Visitor
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.web.app import Console
from tillwatch.collector.web.trials import DONE, OVER

V1 = "/api/v1"
DAY = 86_400 * 10**9
POLICY = """
[class.atm.levels]
"disk.full" = 2
"""


def resolved(desk: Desk, terminal: str, value: float, verdict: str) -> None:
    desk.say(terminal, "host/disk:/", "host.disk.percent", value)
    name = next(each.id for each in desk.incidents() if each.terminal == terminal)
    desk.done("acknowledge", name)
    desk.say(terminal, "host/disk:/", "host.disk.percent", 20, lasting=4000)
    desk.done("resolve", name, "--verdict", verdict, *(("--part", "SSD") if verdict == "part_changed" else ()))


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Counter:
    counter = Counter(tmp_path_factory.mktemp("counter"), POLICY)
    counter.desk.enrol("atm-1", "atm-2")
    counter.desk.enrol("pos-3", branch="Market", region="South")
    counter.desk.say("atm-1", "host/disk:/", "host.disk.percent", 93)
    counter.desk.say("pos-3", "host/disk:/", "host.disk.percent", 99)
    return counter


@pytest.fixture(scope="module")
def opened_client(counter: Counter) -> Iterator[TestClient]:
    with counter.client() as client:
        yield client


@pytest.fixture
def client(opened_client: TestClient, counter: Counter) -> TestClient:
    counter.who = LI
    return opened_client


def test_rules_come_with_what_they_did(client: TestClient, counter: Counter) -> None:
    got = client.get(f"{V1}/rules", params={"sort": "raised"}).json()
    first = got["items"][0]
    assert (first["id"], first["fired"]["raised"], first["fired"]["terminals"], first["fired"]["open"]) == ("disk.full", 2, 2, 2)  # fmt: skip
    assert first["fired"]["hit_share"] is None
    assert got["total"] > 100
    counter.who = Visitor("wu", Role.VIEWER, Scope(branches=frozenset({"Market"})))
    mine = client.get(f"{V1}/rules", params={"sort": "raised"}).json()["items"][0]
    assert mine["fired"]["raised"] == 1


def test_rules_are_found_by_words_signals_and_party(client: TestClient) -> None:
    by_signal = client.get(f"{V1}/rules", params={"q": "host.disk.percent"}).json()["items"]
    assert "disk.full" in [each["id"] for each in by_signal]
    power = client.get(f"{V1}/rules", params={"party": "power"}).json()["items"]
    assert {each["party"] for each in power} == {"power"}
    assert client.get(f"{V1}/rules", params={"origin": "own"}).json()["total"] == 0
    zh = client.get(f"{V1}/rules", params={"q": "电池", "lang": "zh"}).json()["items"]
    assert zh
    file = client.get(f"{V1}/rules", params={"format": "csv", "party": "power"})
    assert len(file.text.strip().splitlines()) == 1 + len(power)


def test_one_rule_says_its_limits_and_what_it_did(client: TestClient) -> None:
    got = client.get(f"{V1}/rules/disk.full").json()
    assert got["signals"][0] == "host.disk.percent"
    assert got["unit"] == "%"
    assert got["class_levels"] == {"atm": 2}
    assert got["worst"] == {"atm-1": 1, "pos-3": 1}
    assert sum(got["days"]) == 2
    assert len(got["days"]) in (31, 32)
    assert {each["terminal"] for each in got["incidents"]} == {"atm-1", "pos-3"}
    assert got["tried"]
    assert not client.get(f"{V1}/rules/terminal.silent").json()["tried"]
    assert client.get(f"{V1}/rules/no.such").status_code == 404


def test_cards_are_searched_and_one_tells_what_was_seen(client: TestClient) -> None:
    got = client.get(f"{V1}/cards", params={"q": "disk full", "lang": "zh"}).json()
    hit = next(each for each in got["items"] if each["rule"] == "disk.full")
    assert (hit["open"], got["total"] < 20) == (2, True)
    card = client.get(f"{V1}/cards/disk.full").json()
    assert (card["raised"], len(card["incidents"]), card["fixes"]) == (2, 2, [])
    assert card["branch_checks"]
    assert client.get(f"{V1}/cards/none").status_code == 404
    assert client.get(f"{V1}/cards", params={"party": "nobody"}).status_code == 422


def test_verdicts_make_a_share_and_a_history_of_fixes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counter = Counter(tmp_path)
    desk = counter.desk
    desk._capsys = capsys
    desk.enrol("atm-1", "atm-2", "atm-3")
    resolved(desk, "atm-1", 99, "part_changed")
    resolved(desk, "atm-2", 99, "part_changed")
    resolved(desk, "atm-3", 99, "false_alarm")
    with counter.client() as client:
        fired = client.get(f"{V1}/rules/disk.full").json()["fired"]
        card = client.get(f"{V1}/cards/disk.full").json()
    assert (fired["right"], fired["wrong"], fired["hit_share"]) == (2, 1, 0.6667)
    assert fired["acknowledged"] == 3
    assert [(each["verdict"], each["part"], each["count"]) for each in card["fixes"]] == [
        ("part_changed", "SSD", 2),
        ("false_alarm", "", 1),
    ]


# Trials.


@pytest.fixture(scope="module")
def banked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, list[Visitor], dict[str, Any]]]:
    database = bank(tmp_path_factory.mktemp("bank")).parent / "collector.db"
    with opened(database) as db:
        (last,) = db.execute("SELECT max(at) FROM journal").fetchone()
        (terminal, branch) = db.execute(
            "SELECT id, branch FROM terminal WHERE class = 'atm' ORDER BY id LIMIT 1"
        ).fetchone()
    who = [LI]
    console = Console(lambda: SqliteReader(database), with_pages=False, database=database, now=lambda: last)
    console.house.who = lambda _: Asker(who[0])  # type: ignore[method-assign]
    with TestClient(console.app, base_url="http://127.0.0.1") as client:
        asked = {"rule": "env.door-open", "from": str((last - 5 * DAY) / 1e9)}
        yield client, who, {"asked": asked, "terminal": terminal, "branch": branch}


async def over(number: str) -> None:
    at_work = [task for task in asyncio.all_tasks() if task.get_name() == f"trial {number}"]
    if at_work:
        await asyncio.wait(at_work, timeout=60)


def done(client: TestClient, number: str) -> dict[str, Any]:
    assert client.portal is not None
    client.portal.call(over, number)
    got: dict[str, Any] = client.get(f"{V1}/backtests/{number}").json()
    assert got["state"] in OVER, got
    return got


def test_a_trial_says_what_would_have_been_and_what_to_write(banked: Any) -> None:
    client, who, known = banked
    who[0] = LI
    started = client.post(f"{V1}/backtests", json={**known["asked"], "changes": {"for_s": 5_184_000}})
    assert started.status_code == 202
    got = done(client, started.json()["id"])
    assert got["state"] == DONE
    assert got["fragment"] == '[[rule]]\nid = "env.door-open"\nfor = "60d"\n'
    assert got["report"]["tried"]["episodes"] == 0
    assert got["report"]["stood"]["episodes"] > 0
    file = client.get(f"{V1}/backtests/{got['id']}", params={"format": "csv"})
    assert len(file.text.strip().splitlines()) == 1 + got["report"]["stood"]["episodes"]
    listed = client.get(f"{V1}/backtests", params={"rule": "env.door-open"}).json()
    assert (listed["items"][0]["id"], listed["items"][0]["report"]) == (got["id"], None)
    who[0] = Visitor("wang", Role.AUDITOR)
    assert client.get(f"{V1}/backtests").json()["total"] == 0
    assert client.get(f"{V1}/backtests/{got['id']}").status_code == 404


def test_a_trial_of_a_part_is_of_that_part(banked: Any) -> None:
    client, who, known = banked
    who[0] = Visitor("wu", Role.SUPERVISOR, Scope(branches=frozenset({known["branch"]})))
    got = done(client, client.post(f"{V1}/backtests", json=known["asked"]).json()["id"])
    assert got["fragment"] == ""
    assert known["terminal"] in {row["terminal"] for row in got["report"]["by_terminal"]} | {known["terminal"]}
    assert got["report"]["terminals"] < 6


def test_a_trial_is_called_off(banked: Any) -> None:
    client, who, known = banked
    who[0] = LI
    number = client.post(f"{V1}/backtests", json={**known["asked"], "from": "2024-12-01"}).json().get("id", "")
    assert client.delete(f"{V1}/backtests/{number}").status_code == 204
    assert client.get(f"{V1}/backtests/{number}").json()["state"] in OVER
    assert client.delete(f"{V1}/backtests/none").status_code == 404


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"rule": "no.such"}, 404),
        ({"terminal": "no-such"}, 404),
        ({"from": "x"}, 422),
        ({"from": "2999-01-01"}, 422),
        ({"from": "1980-01-01"}, 422),
        ({"changes": {"above": [{"limit": 10, "level": 1}, {"limit": 20, "level": 3}]}}, 422),
        ({"changes": {"above": [{"limit": 10, "level": 7}]}}, 422),
        ({"changes": {"for_s": -1}}, 422),
        ({"changes": {"deadband": "nan"}}, 422),
    ],
)
def test_what_cannot_be_tried_is_refused(banked: Any, change: dict[str, Any], status: int) -> None:
    client, who, known = banked
    who[0] = LI
    answer = client.post(f"{V1}/backtests", json={**known["asked"], **change})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.TECHNICIAN, Role.ADMINISTRATOR])
def test_only_who_may_tries(banked: Any, role: Role) -> None:
    client, who, known = banked
    who[0] = Visitor("x", role)
    assert client.post(f"{V1}/backtests", json=known["asked"]).status_code == 403
