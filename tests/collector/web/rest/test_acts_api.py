"""Acts through the REST API over a real store and a running collector: each is done once, says what it has changed, and is refused where it changes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.collector.web import counter as counter_of
from tests.collector.web.taking import Taking
from tillwatch.collector.people.roles import Role, Scope, Visitor
from tillwatch.collector.store.reader import SqliteReader

V1 = "/api/v1"
CHEN = Visitor("chen", Role.TECHNICIAN)


class Counter(counter_of.Counter):
    """Two terminals have a fault each, and chen acts."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, who=CHEN)
        self.desk.enrol("atm-1", "atm-2", "atm-3")
        self.desk.say("atm-1", "host/disk:/", "host.disk.percent", 93)
        self.desk.say("atm-2", "host/disk:/", "host.disk.percent", 99)

    def name(self, terminal: str = "atm-1") -> str:
        return next(each.id for each in self.desk.incidents(living=False) if each.terminal == terminal)

    def kinds(self, terminal: str = "atm-1") -> list[str]:
        with closing(SqliteReader(self.desk.path)) as reader:
            return [each.kind for each in reader.incident(self.name(terminal), time.time_ns()).events]


@pytest.fixture
def counter(tmp_path: Path) -> Counter:
    return Counter(tmp_path)


@pytest.fixture
def client(counter: Counter) -> Iterator[TestClient]:
    with (
        Taking(counter.desk.path, counter.desk.rules, counter.desk.now),
        TestClient(counter.console.app, base_url="http://127.0.0.1") as client,
    ):
        yield client


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Counter, TestClient]]:
    """Nothing is done here."""
    counter = Counter(tmp_path_factory.mktemp("idle"))
    with TestClient(counter.console.app, base_url="http://127.0.0.1") as client:
        yield counter, client


def post(client: TestClient, path: str, body: dict[str, Any] | None = None, key: str = "", **headers: str) -> Any:
    return client.post(f"{V1}{path}", json=body or {}, headers={**({"Idempotency-Key": key} if key else {}), **headers})


def test_the_way_of_an_incident_to_its_end(counter: Counter, client: TestClient) -> None:
    name = counter.name()
    taken = post(client, f"/incidents/{name}/acknowledge", {"note": "on my way"})
    assert taken.status_code == 200, taken.text
    assert (taken.json()["incident"]["state"], taken.json()["incident"]["owner"]) == ("acknowledged", "chen")
    assert [line["key"] for line in taken.json()["changed"]] == ["event.acknowledged", "event.said"]
    assert post(client, f"/incidents/{name}/assign", {"to": "zhang.min"}).json()["incident"]["owner"] == "zhang.min"
    assert post(client, f"/incidents/{name}/repair").json()["incident"]["state"] == "in_repair"
    assert post(client, f"/incidents/{name}/hold", {"reason": "parts"}).json()["incident"]["on_hold"] == "parts"
    refused = post(client, f"/incidents/{name}/hold", {"reason": "parts"})
    assert (refused.status_code, refused.headers["content-type"]) == (409, "application/problem+json")
    assert refused.json()["detail"] == f"{name} is on hold already: parts"
    assert refused.json()["reason"]["key"] == "refused.held"
    assert post(client, f"/incidents/{name}/resume").json()["incident"]["on_hold"] == ""
    assert post(client, f"/incidents/{name}/note", {"text": "branch has the key"}).status_code == 200
    back = post(
        client, f"/incidents/{name}/resolve", {"verdict": "part_changed", "part": "SSD 480", "serial": "S1"}
    ).json()
    assert (back["still_there"], back["incident"]["state"]) == (True, "open"), "its readings say that it is not mended"
    # Within the bank's hours its time is over at that moment, and it is escalated, too.
    assert [kind for kind in counter.kinds() if kind != "escalated"][-1] == "reopened"


def test_who_acts_is_on_record(counter: Counter, client: TestClient) -> None:
    post(client, f"/incidents/{counter.name()}/acknowledge", key="abcdefgh-1")
    found = client.get(f"{V1}/incidents/{counter.name()}").json()
    assert found["owner"] == "chen"
    with closing(SqliteReader(counter.desk.path)) as reader:
        assert reader.asked("chen", "abcdefgh-1", 0) == "done"
        assert reader.asked("zhou", "abcdefgh-1", 0) == ""


def test_what_is_sent_again_is_done_once(counter: Counter, client: TestClient) -> None:
    path = f"/incidents/{counter.name()}/note"
    first = post(client, path, {"text": "once"}, key="0123456789abcdef")
    again = post(client, path, {"text": "once"}, key="0123456789abcdef")
    assert (again.status_code, again.content) == (200, first.content)
    assert counter.kinds().count("note") == 1
    other = post(client, path, {"text": "another"}, key="0123456789abcdef")
    assert (other.status_code, "used for another act" in other.json()["detail"]) == (422, True)
    counter.who = Visitor("zhou", Role.TECHNICIAN)
    assert post(client, path, {"text": "once"}, key="0123456789abcdef").status_code == 200, "a key is a person's own"
    assert counter.kinds().count("note") == 2


def test_a_refusal_is_the_same_when_it_is_sent_again(counter: Counter, client: TestClient) -> None:
    path = f"/incidents/{counter.name()}/resume"
    first = post(client, path, key="0123456789abcdef")
    post(client, f"/incidents/{counter.name()}/hold", {"reason": "parts"})
    again = post(client, path, key="0123456789abcdef")
    assert (first.status_code, again.content) == (409, first.content)


def test_two_at_the_same_time_are_one(counter: Counter, client: TestClient) -> None:
    """A phone that did not wait for the first answer."""
    path = f"/incidents/{counter.name()}/note"
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: post(client, path, {"text": "x"}, key="0123456789abcdef"), range(4)))
    assert {each.status_code for each in answers} == {200}
    assert len({each.content for each in answers}) == 1
    assert counter.kinds().count("note") == 1


def test_what_nobody_took_is_done_once_by_whoever_comes_next(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    """No collector runs, the console says so; later it was done, and who asks again is told that."""
    monkeypatch.setattr("tillwatch.collector.web.acting.ANSWER_S", 0.1)
    path, key = f"/incidents/{counter.name()}/note", "0123456789abcdef"
    with TestClient(counter.console.app, base_url="http://127.0.0.1") as client:
        first = post(client, path, {"text": "in the cellar"}, key=key)
        assert (first.status_code, "do not repeat it" in first.json()["detail"]) == (503, True)
        again = post(client, path, {"text": "in the cellar"}, key=key)
        assert (again.status_code, "has not taken this yet" in again.json()["detail"]) == (503, True)
        with Taking(counter.desk.path, counter.desk.rules, counter.desk.now):
            deadline = time.monotonic() + 60
            while (done := post(client, path, {"text": "in the cellar"}, key=key)).status_code == 503:
                assert time.monotonic() < deadline
            assert (done.status_code, done.json()["changed"]) == (200, [])
            assert done.json()["incident"]["id"] == counter.name()
    assert counter.kinds().count("note") == 1


def test_somebody_else_was_faster(counter: Counter, client: TestClient) -> None:
    name = counter.name()
    seq = client.get(f"{V1}/incidents/{name}").json()["seq"]
    assert post(client, f"/incidents/{name}/acknowledge", **{"If-Match": f'"{seq}"'}).status_code == 200
    late = post(client, f"/incidents/{name}/assign", {"to": "zhou"}, **{"If-Match": f'"{seq}"'})
    assert (late.status_code, late.json()["reason"]["key"]) == (412, "refused.faster")
    assert client.get(f"{V1}/incidents/{name}").json()["owner"] == "chen"


def test_an_alarm_is_taken_on_shelved_and_listed_again(counter: Counter, client: TestClient) -> None:
    taken = post(client, "/alarms/1/acknowledge").json()
    assert (taken["alarm"]["acked_by"], taken["incident"]["state"]) == ("chen", "acknowledged")
    shelved = post(client, "/alarms/1/shelve", {"hours": 2, "reason": "sensor is replaced"}).json()
    assert shelved["alarm"]["isa_state"] == "SHLVD"
    assert [line["key"] for line in shelved["changed"]] == ["acted.shelved"]
    assert post(client, "/alarms/1/unshelve").json()["alarm"]["isa_state"] == "UNACK"
    assert post(client, "/alarms/1/unshelve").status_code == 409


def test_many_at_once_have_an_answer_each(counter: Counter, client: TestClient) -> None:
    one, two = counter.name("atm-1"), counter.name("atm-2")
    items = [
        {"incident": one, "act": "acknowledge"},
        {"incident": two, "act": "assign", "to": "zhou"},
        {"incident": "HWM-nothing", "act": "acknowledge"},
        {"incident": one, "act": "resume"},
        {"alarm": 1, "act": "shelve", "hours": 1, "reason": "x"},
        {"incident": two, "act": "dance"},
        {"incident": two, "act": "assign"},
    ]
    answer = post(client, "/incidents/acts", {"items": items}, key="0123456789abcdef")
    assert answer.status_code == 200, answer.text
    told = answer.json()["items"]
    assert [each["status"] for each in told] == [200, 200, 404, 409, 200, 422, 422]
    assert told[1]["acted"]["incident"]["owner"] == "zhou"
    assert told[5]["problem"]["detail"].startswith("act: 'dance' is none of acknowledge,")
    again = post(client, "/incidents/acts", {"items": items}, key="0123456789abcdef")
    assert again.content == answer.content
    assert counter.kinds("atm-2").count("assigned") == 1


def test_alarms_are_split_and_merged(counter: Counter, client: TestClient) -> None:
    one, two = counter.name("atm-1"), counter.name("atm-2")
    merged = post(client, f"/incidents/{one}/merge", {"into": two, "note": "one image"})
    assert merged.status_code == 200, merged.text
    assert (merged.json()["incident"]["state"], merged.json()["incident"]["parent"]) == ("closed", two)
    split = post(client, f"/incidents/{two}/split", {"alarms": [1]})
    assert split.status_code == 200, split.text
    assert "event.split" in [line["key"] for line in split.json()["changed"]]
    refused = post(client, f"/incidents/{two}/split", {"alarms": [2]}, **{"Accept-Language": "zh"})
    assert (refused.status_code, refused.json()["reason"]["key"]) == (409, "refused.root")
    assert "根因" in client.post(f"{V1}/incidents/{two}/split?lang=zh", json={"alarms": [2]}).json()["detail"]


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/incidents/HWM-nothing/acknowledge", {}, 404, "no 'HWM-nothing' in the store"),
        ("/incidents/{}/acknowledge", {"note": "x" * 201}, 422, "at most 200"),
        ("/incidents/{}/acknowledge", {"note": "a\x00b"}, 422, "printable"),
        ("/incidents/{}/acknowledge", {"nope": 1}, 422, "Extra inputs"),
        ("/incidents/{}/assign", {}, 422, "to"),
        ("/incidents/{}/hold", {"reason": "lunch"}, 409, "none of the reasons"),
        ("/incidents/{}/resolve", {"verdict": "part_changed"}, 422, "needs `part`"),
        ("/incidents/{}/resolve", {"verdict": "bad"}, 422, "verdict"),
        ("/incidents/{}/close", {}, 409, "what is closed was resolved before"),
        ("/incidents/{}/split", {"alarms": [999]}, 409, "Alarm 999 is not part of"),
        ("/incidents/{}/split", {"alarms": []}, 422, "alarms"),
        ("/incidents/{}/merge", {"into": "HWM-nothing"}, 404, "no 'HWM-nothing'"),
        ("/alarms/999/acknowledge", {}, 404, "no '999'"),
        ("/alarms/99999999999999999999/acknowledge", {}, 404, "no 99999"),
        ("/alarms/1/shelve", {"hours": 25, "reason": "x"}, 422, "hours"),
        ("/alarms/1/shelve", {"hours": 1, "reason": "x", "second": "CHEN"}, 422, "somebody else has to agree"),
        ("/incidents/acts", {"items": []}, 422, "items"),
        ("/incidents/acts", {"items": [{"act": "close"}]}, 422, "name an incident or an alarm"),
    ],
)
def test_what_cannot_be_is_refused(
    idle: tuple[Counter, TestClient], path: str, body: dict[str, Any], status: int, said: str
) -> None:
    counter, client = idle
    answer = post(client, path.replace("{}", counter.name()), body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert said in answer.json()["detail"]


def test_a_key_of_another_form_is_refused(idle: tuple[Counter, TestClient]) -> None:
    counter, client = idle
    assert post(client, f"/incidents/{counter.name()}/resume", key="short").status_code == 422
    assert post(client, f"/incidents/{counter.name()}/resume", **{"If-Match": "now"}).status_code == 422


@pytest.mark.parametrize(
    ("who", "status"),
    [
        (Visitor("wang", Role.VIEWER), 403),
        (Visitor("root", Role.ADMINISTRATOR), 403),
        (Visitor("audit", Role.AUDITOR), 403),
        (Visitor("", None), 401),
        (Visitor("far", Role.SUPERVISOR, Scope(branches=frozenset({"Lake"}))), 404),
    ],
)
def test_only_who_may_and_is_there_for_it_acts(
    idle: tuple[Counter, TestClient], monkeypatch: pytest.MonkeyPatch, who: Visitor, status: int
) -> None:
    counter, client = idle
    monkeypatch.setattr(counter, "who", who)
    for path in (f"/incidents/{counter.name()}/acknowledge", "/alarms/1/acknowledge"):
        assert post(client, path).status_code == status
    many = post(client, "/incidents/acts", {"items": [{"incident": counter.name(), "act": "acknowledge"}]})
    assert (many.json()["items"][0]["status"] if many.status_code == 200 else many.status_code) == status
