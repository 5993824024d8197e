"""Supplies over the API: urgent ones first, everybody their own, dates with their range, and the reason where there is none."""

from __future__ import annotations

import asyncio
import csv
import io
import sqlite3
import threading
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.collector.fake_fleet import NANO, FakeFleet
from tests.collector.web.as_visitor import HEADER, let_in
from tests.collector.web.foreseen_bank import CASH, ForeseenBank
from tillwatch.collector.alarm.diagnosis import load_cards
from tillwatch.collector.people.roles import Role, Scope, Visitor, on_behalf_of
from tillwatch.collector.predict.supplies import Stored
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.web.app import Console, nothing_taken
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.predicting import Predicting
from tillwatch.collector.web.reads import Unreadable
from tillwatch.collector.web.rest.supplies_api import KEPT_S, OLD_S, SHARE, Looking

V1 = "/api/v1"
WHO = {
    "chen": Visitor("chen", Role.VIEWER),
    "south": Visitor("wu", Role.VIEWER, Scope(regions=frozenset({"South"}))),
}


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> ForeseenBank:
    return ForeseenBank(tmp_path_factory.mktemp("bank"))


@pytest.fixture(scope="module")
def client(bank: ForeseenBank) -> Iterator[TestClient]:
    console = let_in(Console(lambda: SqliteReader(bank.path), now=lambda: bank.now, with_pages=False), WHO, "chen")
    with TestClient(console.app, base_url="http://127.0.0.1") as made:
        yield made


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[TestClient]:
    base = 1_790_000_000 * NANO
    console = Console(lambda: FakeFleet(60, base, tmp_path / "c.json"), now=lambda: base, with_pages=False)
    with TestClient(let_in(console, WHO, "chen").app, base_url="http://127.0.0.1") as made:
        yield made


def test_a_date_comes_from_its_finding_and_a_level_stands_with_its_reason(client, bank):
    rows = {(row["terminal"], row["component"]): row for row in client.get(f"{V1}/supplies").json()["items"]}
    cash = rows["atm-3", CASH]
    assert (cash["group"], cash["way"], cash["why"], cash["finding"]) == (
        "cash",
        "empties",
        "foretold",
        bank.foreseen["cash"].id,
    )
    assert cash["near"] < cash["likely"] < cash["far"]
    assert cash["level"] > 0
    disk = rows["atm-1", "host/disk:/"]
    assert (disk["group"], disk["why"], disk["likely"]) == ("disk", "beyond", None)
    battery = rows["atm-1", "ups/battery"]
    assert (battery["group"], battery["left"]) == ("battery", pytest.approx(0.07))


def test_what_needs_attention_is_a_part_of_all(client):
    everything = client.get(f"{V1}/supplies").json()
    some = client.get(f"{V1}/supplies", params={"attention": "true"}).json()
    assert 0 < some["total"] < everything["total"]
    assert all(row["word"] in ("out", "low") or row["likely"] for row in some["items"])
    assert everything["counts"] == some["counts"]


def test_refills_are_read_out_of_the_past(client):
    asked = {"component": CASH, "signal": "atm.unit.count"}
    said = client.get(f"{V1}/terminals/atm-3/refills", params=asked).json()
    assert len(said["refills"]) == 4
    assert all(one["after"] - one["before"] > 1500 for one in said["refills"])
    assert [one["at"] for one in said["refills"]] == sorted((one["at"] for one in said["refills"]), reverse=True)
    assert said["per_day"] == pytest.approx(151, abs=40)
    assert client.get(f"{V1}/terminals/atm-9/refills", params=asked).status_code == 404
    assert client.get(f"{V1}/terminals/atm-3/refills", params={**asked, "signal": "x"}).status_code == 404


def test_the_most_urgent_come_first_and_everybody_sees_their_own(fake):
    rows = fake.get(f"{V1}/supplies", params={"limit": 1000}).json()["items"]
    rank = {"out": 0, "low": 1, "enough": 2, "unknown": 3}
    assert [rank[row["word"]] for row in rows] == sorted(rank[row["word"]] for row in rows)
    south = fake.get(f"{V1}/supplies", params={"limit": 1000}, headers={HEADER: "south"}).json()
    assert {row["region"] for row in south["items"]} == {"South"}
    assert south["total"] < len(rows)
    stops = fake.get(f"{V1}/supplies/route", headers={HEADER: "south"}).json()["items"]
    assert {stop["region"] for stop in stops} == {"South"}
    with_file = fake.get(f"{V1}/supplies", params={"format": "csv"}, headers={HEADER: "south"})
    assert {row["region"] for row in csv.DictReader(io.StringIO(with_file.content.decode("utf-8-sig")))} == {"South"}


def test_an_old_value_is_told_as_one(fake):
    rows = {row["terminal"]: row for row in fake.get(f"{V1}/supplies", params={"limit": 1000}).json()["items"]}
    assert rows["POS-014"]["stale"]
    assert not rows["ATM-007"]["stale"]


def test_a_route_lists_what_ended_by_branch(fake):
    stops = fake.get(f"{V1}/supplies/route").json()["items"]
    assert all(stop["supplies"] for stop in stops)
    assert [stop["out"] for stop in stops] == sorted((stop["out"] for stop in stops), reverse=True)
    for stop in stops:
        assert {row["branch"] for row in stop["supplies"]} == {stop["branch"]}
        assert all(row["word"] in ("out", "low") for row in stop["supplies"])
    only = fake.get(f"{V1}/supplies/route", params={"region": "North"}).json()["items"]
    assert {stop["region"] for stop in only} == {"North"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("supplies?group=gold", 422),
        ("supplies?limit=0", 422),
        ("supplies/route?within_days=-1", 422),
        ("supplies/route?within_days=nan", 422),
        (f"supplies?branch={'x' * 201}", 422),
        ("supplies?branch=nowhere", 200),
    ],
)
def test_what_cannot_be_asked_is_a_problem(fake, path, status):
    answer = fake.get(f"{V1}/{path}")
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith(
        "application/problem+json" if status != 200 else "application/json"
    )


class Held(FakeFleet):
    """A fleet whose supplies can be looked at when the test lets it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(60, 1_790_000_000 * NANO, folder / "c.json")
        self.looks, self.go, self.broken = 0, threading.Event(), False
        self.go.set()

    def supplies(self, signals: Collection[str]) -> Sequence[Stored]:
        self.looks += 1
        assert self.go.wait(60)
        if self.broken:
            raise sqlite3.OperationalError("disk I/O error")
        return super().supplies(signals)


class Times:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
async def held(tmp_path: Path) -> AsyncIterator[tuple[Held, Times, Looking]]:
    fleet, times = Held(tmp_path), Times()
    console = Console(lambda: fleet, now=lambda: fleet.base + round(times.s * NANO), with_pages=False)
    parts = Parts(
        console.reads,
        console.feed,
        lambda: fleet.base + round(times.s * NANO),
        nothing_taken,
        load_cards(None),
        Predicting(),
    )
    look = Looking(parts, times)
    with on_behalf_of(WHO["chen"]):
        yield fleet, times, look
    fleet.go.set()
    await look.close()
    console.reads.close()


async def test_who_asks_in_the_next_minute_does_not_wait_and_sees_how_old_it_is(held) -> None:
    fleet, times, look = held
    first, at = await look()
    assert first
    assert (fleet.looks, at) == (1, fleet.base)
    times.s = KEPT_S + 1
    fleet.go.clear()  # the next look takes as long as the test says
    for _ in range(5):
        assert await look() == (first, at)
    following = look._next
    assert following is not None
    fleet.go.set()
    await following
    assert fleet.looks == 2
    assert (await look())[1] == fleet.base + round(times.s * NANO)


async def test_what_is_too_old_is_waited_for_by_all_at_once(held) -> None:
    fleet, times, look = held
    await look()
    times.s = OLD_S + 1
    answers = await asyncio.gather(*(look() for _ in range(4)))
    assert {at for _, at in answers} == {fleet.base + round(times.s * NANO)}
    assert fleet.looks == 2


async def test_a_slow_store_is_looked_at_less_often(held) -> None:
    fleet, times, look = held
    fleet.go.clear()
    waiting = asyncio.create_task(look())
    while not fleet.looks:
        await asyncio.sleep(0)
    times.s = 20.0
    fleet.go.set()
    await waiting
    times.s = 20.0 + SHARE * 20 - 1
    await look()
    assert fleet.looks == 1
    times.s += 2
    await look()
    assert look._next is not None
    await look._next
    assert fleet.looks == 2


async def test_a_store_that_does_not_answer_leaves_the_last_answer_until_it_is_too_old(held) -> None:
    fleet, times, look = held
    first, at = await look()
    fleet.broken, times.s = True, KEPT_S + 1
    assert await look() == (first, at)
    with pytest.raises(Unreadable):
        await look._next
    times.s = OLD_S + 1
    with pytest.raises(Unreadable):
        await look()
    fleet.broken = False
    assert (await look())[1] > at
