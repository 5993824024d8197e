"""What is foreseen over the REST API, out of a real store: ranking and filters, evidence, hit rates, rounds, and how far the predictions are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient

from tests.collector.desk import Desk
from tests.collector.sending import S
from tests.collector.web.foreseen_bank import DISK, ForeseenBank
from tillwatch.collector.duty.policy import parse_policy
from tillwatch.collector.predict.checkpoint import Status, read_status
from tillwatch.collector.predict.finding import ANOMALY, FAILURE, WEAR
from tillwatch.collector.predict.settings import DAY_NS
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.web.app import Console
from tillwatch.collector.web.predicting import Predicting

V1 = "/api/v1"


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> ForeseenBank:
    bank = ForeseenBank(tmp_path_factory.mktemp("bank"))
    bank.stand()
    return bank


@pytest.fixture(scope="module")
def client(bank: ForeseenBank) -> Iterator[TestClient]:
    predicting = Predicting(status=lambda: read_status(bank.path))
    console = Console(lambda: SqliteReader(bank.path), with_pages=False, predicting=predicting)
    with TestClient(console.app, base_url="http://127.0.0.1") as client:
        yield client


def names(client: TestClient, query: str = "") -> list[str]:
    return [each["terminal"] for each in client.get(f"{V1}/risk{query}").json()["items"]]


def test_terminals_are_ranked_and_what_is_demoted_or_merely_old_is_left_out(client: TestClient) -> None:
    body = client.get(f"{V1}/risk").json()
    assert [(each["terminal"], each["grade"]) for each in body["items"]] == [
        ("atm-1", "high"),
        ("atm-3", "high"),
        ("atm-4", "medium"),
    ]
    assert (body["total"], body["quiet"]) == (3, 2)
    assert all(not finding["demoted"] for each in body["items"] for finding in each["findings"])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?branch=Harbour Road", ["atm-1"]),
        ("?region=North", ["atm-3", "atm-4"]),
        ("?grade=medium", ["atm-4"]),
        ("?family=wear", ["atm-1"]),
        ("?family=runout&region=North", ["atm-3"]),
        ("?grade=low", []),
        ("?limit=1&offset=1", ["atm-3"]),
        ("?limit=2", ["atm-1", "atm-3"]),
    ],
)
def test_filters_and_pages(client: TestClient, query: str, expected: list[str]) -> None:
    assert names(client, query) == expected


@pytest.mark.parametrize("query", ["?grade=red", "?family=luck", "?lang=fr", "?limit=0"])
def test_what_cannot_be_asked_is_a_problem(client: TestClient, query: str) -> None:
    answer = client.get(f"{V1}/risk{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_finding_says_why_when_and_how_far_to_believe_it(client: TestClient, bank: ForeseenBank) -> None:
    disk = client.get(f"{V1}/risk").json()["items"][0]["findings"][0]
    assert disk["id"] == bank.foreseen["disk"].id
    assert disk["reason"].startswith("A disk fills up: host.disk.percent rises by 0.71% a day, is 82.6% now")
    assert disk["near"] < disk["likely"] < disk["far"]
    near = datetime.fromisoformat(disk["near"]).astimezone(ZoneInfo(parse_policy().zone))
    assert disk["range"].startswith(f"Expected between {near.date()}"), "the day that it is in the bank's zone"
    record = disk["record"]
    assert (record["hits"], record["judged"], record["false"]) == (14, 17, 3)
    assert record["least"] < record["precision"] < record["most"]
    assert "14 came true" in record["text"]
    assert disk["incident"].startswith("HWM-")
    assert client.get(f"{V1}/incidents/{disk['incident']}").status_code == 200
    assert client.get(disk["chart"]).status_code == 200


def test_in_chinese(client: TestClient) -> None:
    first = client.get(f"{V1}/risk?lang=zh").json()["items"][0]
    assert first["grade_text"] == "高"
    assert first["findings"][0]["family_text"] == "趋近限值"
    assert first["findings"][0]["reason"].startswith("磁盘即将写满")
    (listed,) = [
        each
        for each in client.get(f"{V1}/alarms?terminal=atm-1&lang=zh").json()["items"]
        if each["rule"] == "predicted.trend"
    ]
    assert "磁盘即将写满" in listed["value"]
    assert "预计发生在" in listed["value"]


def test_of_one_terminal_also_what_is_over(client: TestClient, bank: ForeseenBank) -> None:
    open_ = client.get(f"{V1}/terminals/atm-1/findings").json()
    assert {each["component"] for each in open_["items"]} == {DISK, "ups/battery"}
    every = client.get(f"{V1}/terminals/atm-1/findings?state=all").json()["items"]
    over = next(each for each in every if each["id"] == bank.over.id)
    assert (over["status"], over["outcome"], over["outcome_text"]) == ("over", "hit", "came true")
    assert client.get(f"{V1}/terminals/atm-1/findings?limit=1").json()["total"] == 2
    assert client.get(f"{V1}/terminals/nobody/findings").status_code == 404


def test_one_finding_has_all_of_its_evidence(client: TestClient, bank: ForeseenBank) -> None:
    found = client.get(f"{V1}/findings/{bank.foreseen['disk'].id}").json()
    assert [each["value"] for each in found["readings"]] == pytest.approx([78.4, 79.1, 79.8, 80.5, 81.2, 81.9, 82.6])
    assert found["readings"][0]["unit"] == "%"
    assert found["record_then"]["hits"] == 14
    assert found["model"] == "3f6c0d208b1e"
    assert found["prove"][0].startswith(f"prove atm-1 {DISK} host.disk.percent 20")
    reader = client.get(f"{V1}/findings/{bank.foreseen['reader'].id}").json()
    assert reader["factors"][0] == {
        "name": "hardware",
        "text": "hardware alarms of this kind of part",
        "value": 4.0,
        "unit": "",
        "weight": 1.21,
    }
    assert (reader["probability"], reader["chart"], reader["prove"]) == (0.38, "", [])
    cash = client.get(f"{V1}/findings/{bank.foreseen['cash'].id}").json()
    assert cash["prove"][0].startswith("prove atm-3 'atm/CashDispenser unit:2' atm.unit.count 20"), (
        "as a shell takes it"
    )
    assert client.get(f"{V1}/findings/nothing").status_code == 404


def test_findings_of_demoted_detectors_stand_apart(client: TestClient) -> None:
    assert [each["terminal"] for each in client.get(f"{V1}/findings?demoted=true").json()["items"]] == ["atm-2"]
    assert client.get(f"{V1}/findings?demoted=false").json()["total"] == 5
    assert client.get(f"{V1}/findings").json()["total"] == 6


def test_detectors_are_listed_with_their_floor_the_demoted_first(client: TestClient, bank: ForeseenBank) -> None:
    listed = client.get(f"{V1}/detectors").json()["items"]
    first = listed[0]
    assert (first["detector"], first["kind"], first["demoted"]) == ("anomaly/series", "host/fan", True)
    assert (first["hits"], first["judged"], first["floor"]) == (2, 17, 0.3)
    assert int(datetime.fromisoformat(first["demoted_at"]).timestamp()) == bank.records[2].demoted_at // 10**9
    assert [each["judged"] for each in listed[1:3]] == [17, 6]
    unjudged = {each["detector"]: each for each in listed if not each["judged"]}
    assert unjudged["failure/learnt"]["precision"] is None
    assert unjudged["failure/learnt"]["open"] == 1


def test_rounds_go_where_an_hour_avoids_the_most(client: TestClient) -> None:
    rounds = client.get(f"{V1}/inspections").json()["items"]
    assert [each["branch"] for each in rounds] == ["人民路支行", "Harbour Road"]
    assert [each["terminal"] for each in rounds[0]["due"]] == ["atm-3", "atm-4"]
    late = rounds[0]["due"][1]
    assert late["overdue_s"] > 4 * 86_400
    assert rounds[0]["minutes"] > 20 + 45, "the way comes on top"


def test_asking_again_costs_little(client: TestClient) -> None:
    first = client.get(f"{V1}/risk")
    again = client.get(f"{V1}/risk", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_an_incident_shows_what_it_tells_of(client: TestClient, bank: ForeseenBank) -> None:
    disk = bank.foreseen["disk"]
    of = {each["component"]: each for each in client.get(f"{V1}/incidents").json()["items"]}
    (told,) = client.get(f"{V1}/incidents/{of[DISK]['id']}").json()["foretold"]
    assert told["id"] == disk.id


def test_the_small_chart_shows_the_signal_its_limit_and_the_range(client: TestClient, bank: ForeseenBank) -> None:
    ids = {name: each.id for name, each in bank.foreseen.items()}
    answer = client.get(f"/findings/{ids['disk']}.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert "atm-1 host/disk:/ host.disk.percent (%)" in answer.text
    assert all(each in answer.text for each in ("today", "<circle", 'fill-opacity="0.14"', ">90<"))
    assert "今天" in client.get(f"/findings/{ids['disk']}.svg?lang=zh&theme=dark").text
    fan = client.get(f"/findings/{ids['fan']}.svg").text
    assert "#e4f3e9" in fan, "what is usual is shaded"
    assert "<circle" not in fan
    for nothing in (ids["reader"], ids["evil"], "nobody"):
        assert client.get(f"/findings/{nothing}.svg").status_code == 404
    assert client.get(f"/findings/{ids['disk']}.svg?theme=pink").status_code == 422


# How far the predictions are.


def how(desk: Desk, predicting: Predicting) -> dict[str, Any]:
    console = Console(lambda: SqliteReader(desk.path), with_pages=False, predicting=predicting)
    with TestClient(console.app, base_url="http://127.0.0.1") as client:
        said: dict[str, Any] = client.get(f"{V1}/predictions").json()
        return said


def entries(bank: ForeseenBank) -> tuple[int, int]:
    with closing(SqliteReader(bank.path)) as reader:
        health = reader.health()
    return health.journal_entries, health.last_entry_at


@pytest.mark.parametrize(
    ("behind", "late_ns", "quiet_s", "process", "trouble", "state"),
    [
        (0, 0, 0, 7, "", "well"),
        (0, 0, 10**6, 7, "", "well"),
        (3, 0, 0, 7, "", "well"),
        (90, 2 * DAY_NS, 0, 7, "", "behind"),
        (90, 2 * DAY_NS, 900, 7, "", "stuck"),
        (0, 0, 0, 0, "", "stopped"),
        (0, 0, 0, 7, "no room on the disk", "trouble"),
    ],
)
def test_how_far_they_are(
    bank: ForeseenBank, behind: int, late_ns: int, quiet_s: int, process: int, trouble: str, state: str
) -> None:
    """The head is that of the store: a process that was killed cannot say that it stands still."""
    head, at = entries(bank)
    status = Status(
        head - behind, at - late_ns, head - behind, time.time_ns() - quiet_s * S, 1200, {}, process, trouble
    )
    said = how(bank, Predicting(status=lambda: status))
    assert (said["state"], said["entries"], said["lag_s"]) == (state, behind, late_ns // 10**9)
    assert said["stale"] == (state != "well")


def test_switched_off_or_not_begun(tmp_path: Path, bank: ForeseenBank) -> None:
    assert how(bank, Predicting(enabled=False))["state"] == "off"
    young = Desk(tmp_path)
    said = how(young, Predicting())
    assert (said["state"], said["stale"]) == ("new", False)
    said = how(bank, Predicting())
    assert (said["state"], said["stale"]) == ("stopped", True), "somebody has said what stands there"
    assert said["entries"] > 0


def test_which_kinds_still_learn(tmp_path: Path, bank: ForeseenBank) -> None:
    young = Desk(tmp_path)
    young.enrol("atm-1")
    states = {each["family"]: each for each in how(young, Predicting())["learning"]}
    assert {family for family, each in states.items() if each["state"] == "learning"} == {ANOMALY, "trend", "runout"}
    assert states[ANOMALY]["since"] < states[ANOMALY]["until"]
    assert (states[WEAR]["state"], states[FAILURE]["state"]) == ("ready", "by_rule")
    assert {each["state"] for each in how(bank, Predicting())["learning"]} == {"ready"}
