"""The file of a terminal over the API, from a real store beside a collector that takes what people do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.collector.desk import HOUR, Desk
from tests.collector.web.as_visitor import let_in
from tests.collector.web.taking import Taking
from tillwatch.collector.people.roles import Role, Scope, Visitor
from tillwatch.collector.proof.audit import acts
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.web.acting import ActsDoor
from tillwatch.collector.web.app import Console

V1 = "/api/v1/terminals/atm-1"
WHO = {
    "chen": Visitor("chen", Role.SUPERVISOR),
    "wang": Visitor("wang", Role.TECHNICIAN),
    "qian": Visitor("qian", Role.VIEWER),
    "wu": Visitor("wu", Role.SUPERVISOR, Scope(branches=frozenset({"nowhere"}))),
}
DAY = 24 * HOUR


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A terminal whose printer gets other firmware and a part, in an incident that is settled, with a window and a week in the workshop."""
    desk = Desk(tmp_path_factory.mktemp("story"), ago=8 * DAY)
    desk.enrol("atm-1", "atm-2")
    desk.say("atm-1", "printer", "identity.firmware", "4.1.0")
    desk.say("atm-1", "printer", "identity.serial", "PR-1")
    desk.say("atm-1", "printer", "printer.cuts", 1_290_000)
    desk.say("atm-1", "host", "host.uptime", 5 * 86_400)
    desk.wait(5 * 86_400)
    desk.say("atm-1", "host", "host.uptime", 3_600)
    desk.say("atm-1", "printer", "identity.firmware", "4.2.1")
    desk.say("atm-1", "printer", "printer.cuts", 1_291_000)
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 99)
    desk.wait(1_200)
    (incident,) = desk.incidents()
    desk.operate(action="resolve", incident=incident.id, terminal="atm-1", verdict="part_changed", part="cutter")
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 20, lasting=400)
    desk.operate(action="window", id="M-1", scope="branch:Harbour", **{"from": desk.now + HOUR, "to": desk.now + 3 * HOUR}, reason="new switch",
                 approved_by="qin", change_ref="C-1")  # fmt: skip
    desk.wait(4 * 3_600)
    desk.operate(action="life-cycle", terminal="atm-1", state="repair", reason="workshop")
    desk.wait(86_400)
    desk.operate(action="life-cycle", terminal="atm-1", state="in_service", reason="back")
    desk.wait(600)
    return desk.path


@pytest.fixture
def store(story: Path, tmp_path: Path) -> Path:
    (tmp_path / "collector.db").write_bytes(story.read_bytes())
    return tmp_path / "collector.db"


@pytest.fixture
def client(store: Path) -> Iterator[TestClient]:
    console = let_in(Console(lambda: SqliteReader(store), with_pages=False, acts=ActsDoor(store)), WHO, "chen")
    with TestClient(console.app, base_url="http://127.0.0.1") as made:
        yield made


def timeline(client: TestClient, **asked: str) -> list[dict[str, Any]]:
    answer = client.get(f"{V1}/timeline", params={"from": str(time.time() - 60 * 86_400), **asked})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["moments"]
    return found


def test_the_device_file_is_changed_over_what_was_seen(client: TestClient, store: Path) -> None:
    with Taking(store):
        before = client.get(f"{V1}/dossier").json()["asset"]
        assert before["fields"] == {}
        fields = {
            "maker": "Acme",
            "serials": {"printer": "PR-2"},
            "warranty_until": "2020-01-01",
            "address": "12 Harbour Road",
        }
        first = client.put(f"{V1}/asset", json=fields, headers={"If-Match": f'"{before["version"]}"'})
        assert first.status_code == 200, first.text
        assert first.json()["fields"]["address"] == "••••ad"
        assert first.headers["etag"] == f'"{first.json()["version"]}"'
        again = client.put(f"{V1}/asset", json={"maker": "Bolt"}, headers={"If-Match": before["version"]})
        assert (again.status_code, "meanwhile" in again.json()["detail"]) == (412, True)
        same = client.put(f"{V1}/asset", json={"maker": "Acme"}, headers={"If-Match": first.headers["etag"]})
        assert same.json()["version"] == first.json()["version"]
        emptied = client.put(f"{V1}/asset", json={"maker": None}, headers={"If-Match": first.headers["etag"]})
        assert "maker" not in emptied.json()["fields"]
        assert client.put(f"{V1}/asset", json={"maker": "Bolt"}).status_code == 428
        told = client.get(f"{V1}/dossier").json()
    assert told["serials"] == [
        {"component": "printer", "listed": "••••", "told": "••••", "state": "differs", "at": told["serials"][0]["at"]}
    ]
    assert [(due["kind"], due["days"] < 0) for due in told["dues"]] == [("warranty", True)]
    due = client.get("/api/v1/service-due").json()
    assert [(item["terminal"], item["kind"], item["branch"]) for item in due["items"]] == [
        ("atm-1", "warranty", "Harbour")
    ]


def test_a_look_at_what_is_protected_is_on_record(client: TestClient, store: Path) -> None:
    with Taking(store):
        seen = client.post(f"{V1}/reveal", headers={"x-test-who": "wang"})
        assert seen.status_code == 200, seen.text
        assert seen.json()["serials"][0]["told"] == "PR-1"
        assert seen.headers["cache-control"] == "no-store"
        assert seen.json()["readings"]["printer identity.serial"] == "PR-1"
        assert client.post(f"{V1}/reveal", headers={"x-test-who": "wang"}).status_code == 200
        assert client.post(f"{V1}/reveal", headers={"x-test-who": "qian"}).status_code == 403
        assert client.post(f"{V1}/reveal", headers={"x-test-who": "wu"}).status_code == 404
    with closing(SqliteReader(store)) as reader, reader.snapshot() as db:
        looks = [(act.actor, act.terminal) for act in acts(db) if act.action == "look"]
    assert looks == [("wang", "atm-1")]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"colour": "red"}, "body.colour"), ({"bought": "yesterday"}, "body.bought"), ({"service_interval_days": 0}, "body.service_interval_days"),
        ({"serial": "••••17"}, "body.serial"), ({"serials": {"a": "1" * 121}}, "body.serials"), ({"maker": "x" * 121}, "body.maker"),
        ({"notes": "a\x07b"}, "body.notes"), ([], "body"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_said_with_its_field(client: TestClient, body: object, says: str) -> None:
    answer = client.put(f"{V1}/asset", json=body, headers={"If-Match": '"x"'})
    assert answer.status_code == 422
    assert says in answer.json()["detail"]


def test_a_note_stands_in_the_file_and_on_the_timeline(client: TestClient, store: Path) -> None:
    with Taking(store):
        made = client.post(f"{V1}/notes", json={"text": " Key is with the porter "}, headers={"x-test-who": "wang"})
        assert (made.status_code, made.json()["by"], made.json()["text"]) == (201, "wang", "Key is with the porter")
        assert client.post(f"{V1}/notes", json={"text": "  "}).status_code == 422
    (note,) = client.get(f"{V1}/dossier").json()["notes"]
    assert note["n"] == made.json()["n"]
    assert [(one["kind"], one["by"], one["text"]) for one in timeline(client, kinds="note")] == [
        ("note", "wang", note["text"])
    ]


def test_a_terminal_is_taken_out_of_service_and_put_back(client: TestClient, store: Path) -> None:
    with Taking(store):
        out = client.post(f"{V1}/life-cycle", json={"state": "spare", "reason": "moved"})
        assert out.json() == {"terminal": "atm-1", "life_cycle": "spare", "was": "in_service"}
        assert client.post(f"{V1}/life-cycle", json={"state": "spare", "reason": "moved"}).status_code == 409
        assert client.post(f"{V1}/life-cycle", json={"state": "lost", "reason": "?"}).status_code == 422
        assert client.post(f"{V1}/life-cycle", json={"state": "repair", "reason": " "}).status_code == 422
    last = timeline(client, kinds="change")[-1]
    assert (last["what"], last["values"]["state"], last["text"], last["by"]) == ("life-cycle", "spare", "moved", "chen")


def test_without_a_collector_nothing_is_said_to_be_done(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tillwatch.collector.web.acting.ANSWER_S", 0.1)
    answer = client.post(f"{V1}/notes", json={"text": "x"})
    assert answer.status_code == 503
    assert "do not repeat it" in answer.json()["detail"]


def test_only_who_may_changes_it_and_only_within_the_own_part(client: TestClient) -> None:
    viewer, elsewhere = {"x-test-who": "qian"}, {"x-test-who": "wu", "If-Match": "x"}
    assert client.put(f"{V1}/asset", json={}, headers={**viewer, "If-Match": "x"}).status_code == 403
    assert client.post(f"{V1}/notes", json={"text": "x"}, headers=viewer).status_code == 403
    assert (
        client.post(
            f"{V1}/life-cycle", json={"state": "spare", "reason": "x"}, headers={"x-test-who": "wang"}
        ).status_code
        == 403
    )
    assert client.get(f"{V1}/dossier", headers=viewer).json()["may"] == []
    for path in ("dossier", "timeline", "strip", "lives", "similar"):
        assert client.get(f"{V1}/{path}", headers={"x-test-who": "wu"}).status_code == 404
    assert client.put(f"{V1}/asset", json={}, headers=elsewhere).status_code == 404
    assert client.post(f"{V1}/notes", json={"text": "x"}, headers=elsewhere).status_code == 404
    assert client.get("/api/v1/service-due", headers={"x-test-who": "wu"}).json()["total"] == 0


def test_one_timeline_has_all_that_happened_in_order(client: TestClient) -> None:
    found = timeline(client)
    assert [one["at"] for one in found] == sorted(one["at"] for one in found)
    of: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        of.setdefault(one["kind"], []).append(one)
    assert [one["what"] for one in of["state"]][-3:] == ["in_service", "repair", "in_service"]
    assert (of["state"][-1]["lasts"], of["state"][-2]["until"]) == (True, of["state"][-1]["at"])
    assert [(one["what"], one["lasts"]) for one in of["alarm"]] == [("disk.full", False)]
    (incident,) = of["incident"]
    assert incident["ref"].startswith("HWM-")
    assert [(one["text"], one["by"]) for one in of["maintenance"]] == [("new switch", "li.wei")]
    assert [(one["what"], one["values"]["said"]) for one in of["part"]] == [("disk.full", "cutter")]
    changes = [(one["what"], one["values"].get("after", "")) for one in of["change"]]
    assert ("identity.firmware", "4.2.1") in changes
    assert [what for what, _ in changes].count("life-cycle") == 2
    assert {one["what"] for one in of["restart"]} == {"machine", "collector"}
    some = timeline(client, kinds="incident,part")
    assert {one["kind"] for one in some} == {"incident", "part"}


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"kinds": "incident,lunch"}, "'lunch'"),
        ({"from": "0"}, "400 days"),
        ({"from": "9", "to": "8"}, "before"),
        ({"from": "soon"}, "query.from"),
    ],
)
def test_a_timeline_that_cannot_be_asked_for_is_refused(client: TestClient, asked: dict[str, str], says: str) -> None:
    answer = client.get(f"{V1}/timeline", params=asked)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]


def test_versions_say_since_when_and_what_was_before(client: TestClient) -> None:
    told = {one["signal"]: one for one in client.get(f"{V1}/dossier").json()["versions"]}
    firmware = told["identity.firmware"]
    assert (firmware["value"], firmware["before"]) == ("4.2.1", "4.1.0")
    assert firmware["since"] is not None
    assert told["identity.serial"]["value"] == "••••"
    (repair,) = client.get(f"{V1}/dossier").json()["repairs"]
    assert (repair["verdict"], repair["part"]) == ("part_changed", "cutter")
    assert repair["text"] != repair["fault"], "in words"


def test_the_strip_is_never_well_where_nothing_was_seen(client: TestClient) -> None:
    strip = client.get(f"{V1}/strip", params={"days": 10}).json()
    printer = next(one for one in strip["components"] if one["component"] == "printer")
    assert printer["bands"][0]["since"] == strip["from"]
    assert printer["bands"][-1]["until"] == strip["to"]
    assert "out" in {band["state"] for band in printer["bands"]}
    assert [band["state"] for band in strip["states"]][-2:] == ["repair", "in_service"]


def test_rated_lives_say_how_much_is_used_and_on_whose_word(client: TestClient) -> None:
    lives = {one["life"]: one for one in client.get(f"{V1}/lives").json()}
    cutter = lives["printer.cutter"]
    assert (cutter["used"], cutter["rated"], round(cutter["share"], 3)) == (1_291_000, 1_500_000, 0.861)
    assert "Epson" in cutter["evidence"]
    assert lives["printer.cutter"]["title"] == "paper cutter"
    assert client.get(f"{V1}/lives", params={"lang": "zh"}).json()[0]["title"] == "切纸刀"


def test_terminals_like_it_are_compared(client: TestClient) -> None:
    like = client.get(f"{V1}/similar").json()
    assert (like["incidents"], like["of_class"], like["usual_of_class"]) == (1, 1, 0)
    assert [(one["id"], one["like"]) for one in like["terminals"]] == [("atm-2", ["class", "branch"])]
