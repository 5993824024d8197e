"""The monitoring's own health over a real store, and the same as Prometheus takes it: read back by Prometheus' own parser, documented name by name, and only for who may."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from tests.collector.fake_fleet import FakeFleet
from tests.collector.web.counter import Counter
from tillwatch.collector.people.directory import Asker
from tillwatch.collector.people.roles import NOBODY, Role, Scope, Visitor
from tillwatch.collector.store import done
from tillwatch.collector.web.app import Console

V1 = "/api/v1"
DOCUMENT = Path(__file__).parents[4] / "packaging" / "docs" / "metrics.md"


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Counter:
    counter = Counter(tmp_path_factory.mktemp("counter"))
    counter.desk.enrol("atm-1", "atm-2")
    counter.desk.enrol("pos-3", branch="Market")
    done.keep(counter.desk.path, done.BACKUP, counter.desk.now, ok=True, text="", entries=1)
    return counter


@pytest.fixture(scope="module")
def client(counter: Counter) -> Iterator[TestClient]:
    with counter.client() as client:
        yield client


def test_every_part_is_told_with_its_figure_and_its_limits(client: TestClient) -> None:
    got = client.get(f"{V1}/monitoring").json()
    parts = {each["key"]: each for each in got["parts"]}
    assert parts["spool"]["state"] == "unknown", "no agent has said anything of its spool"
    assert parts["verified"]["state"] == "unknown"
    assert parts["backup"]["value"] >= 1000
    assert parts["disk"]["unit"] == "B"
    assert got["state"] in ("fail", "unknown")
    assert sum(got["counts"].values()) == len(parts)
    zh = client.get(f"{V1}/monitoring", params={"lang": "zh"}).json()["parts"]
    assert all(re.search("[一-鿿]", each["title"] + each["means"]) for each in zh)


def test_who_sees_a_part_of_the_fleet_sees_its_health(client: TestClient, counter: Counter) -> None:
    before = counter.who
    counter.who = Visitor("wu", Role.VIEWER, Scope(branches=frozenset({"Market"})))
    silent = next(each for each in client.get(f"{V1}/monitoring").json()["parts"] if each["key"] == "silent")
    counter.who = before
    assert silent["total"] == 1


def families(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    return {each.name: [(s.labels, s.value) for s in each.samples] for each in text_string_to_metric_families(text)}


def test_prometheus_reads_what_is_told(client: TestClient) -> None:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = families(answer.text)
    assert sum(value for _, value in found["tillwatch_terminals"]) == 3
    states = found["tillwatch_part_state"]
    assert sum(value for _, value in states) == len({labels["part"] for labels, _ in states})
    assert "tillwatch_verified_seconds" not in found, "what is not known is not there"
    assert found["tillwatch_backup_seconds"][0][1] > 10**9


def test_nothing_of_the_process_or_its_paths_is_told(client: TestClient, counter: Counter) -> None:
    text = client.get("/metrics").text
    assert not re.search(r"^(process|python|go)_", text, re.MULTILINE)
    assert str(counter.desk.path.parent) not in text


def test_every_name_is_documented_and_every_documented_name_is_told() -> None:
    with TestClient(Console(FakeFleet, with_pages=False).app, base_url="http://127.0.0.1") as client:
        told = set(families(client.get("/metrics").text))
    documented = set(re.findall(r"`(tillwatch_[a-z_]+)", DOCUMENT.read_text(encoding="utf-8")))
    assert told <= documented
    only_at_times = {"tillwatch_clock_synchronised", "tillwatch_clock_skew_seconds_max"}
    assert documented - told <= only_at_times


@pytest.mark.parametrize(
    ("who", "host", "headers", "status"),
    [
        (NOBODY, "10.9.8.7", {}, 401),
        (NOBODY, "127.0.0.1", {}, 200),
        (NOBODY, "127.0.0.1", {"x-forwarded-for": "10.1.2.3"}, 401),  # behind a proxy everybody comes from here
        (Visitor("prometheus", Role.VIEWER), "10.9.8.7", {}, 200),
    ],
)
def test_it_is_for_who_may_and_for_this_machine(who: Visitor, host: str, headers: dict[str, str], status: int) -> None:
    console = Console(FakeFleet, with_pages=False)
    console.house.who = lambda _: Asker(who)  # type: ignore[method-assign]
    with TestClient(console.app, base_url="http://127.0.0.1", client=(host, 5)) as client:
        assert client.get("/metrics", headers=headers).status_code == status
