"""The routes of bundles and rollouts over a real store with its collector: who may do what, what is refused, what the page shows."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import msgpack
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient

from tests.collector.desk import Desk
from tests.collector.web.taking import Taking
from tillwatch.agent.model import AGENT
from tillwatch.agent.wire import CONFIG, Report, Running
from tillwatch.collector.alarm.diagnosis import load_cards
from tillwatch.collector.people.roles import GRANTS, Permission, Role, Scope, Visitor, on_behalf_of
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.web.acting import ActsDoor
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.reads import Reads
from tillwatch.collector.web.rest import rollout_api
from tillwatch.collector.web.rest.answers import add_problem_handlers
from tillwatch.collector.web.scope.scoped import ScopedReader
from tillwatch.device_profiles.bundle import Content, pack

START = {"bundle": "winter", "rings": [{"name": "pilot", "terminals": ["atm-1"]}, {"name": "rest", "share": 100}], "reason": "cold rooms"}  # fmt: skip
WHY = {"reason": "wait"}


class House:
    """A console of these routes alone. who: on whose behalf everything is asked."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.who = Visitor("li.na", Role.SUPERVISOR)
        app = FastAPI()
        add_problem_handlers(app)
        api = APIRouter(prefix="/api/v1")
        reads: Any = Reads(lambda: SqliteReader(desk.path))
        unused: Any = None
        rollout_api.add(api, Parts(reads, unused, time.time_ns, ActsDoor(desk.path), load_cards(None), unused))
        app.include_router(api)

        async def on_behalf(scope: Any, receive: Any, send: Any) -> None:
            with on_behalf_of(self.who):
                await app(scope, receive, send)

        self.client = TestClient(on_behalf)

    def switch(self, *, enabled: bool) -> None:
        with closing(sqlite3.connect(self.desk.path)) as db, db:
            packed = msgpack.packb({"rollout.enabled": str(enabled)})
            db.execute("INSERT OR REPLACE INTO meta VALUES ('settings', ?)", (packed,))

    def act(self, path: str, body: Any, method: str = "POST", **headers: str) -> Any:
        with Taking(self.desk.path, now=self.desk.now):
            return self.client.request(method, f"/api/v1{path}", json=body, headers=headers)

    def get(self, path: str) -> Any:
        return self.client.get(f"/api/v1{path}")

    def say(self, terminal: str, report: Report) -> None:
        self.desk.say(terminal, AGENT, CONFIG, report.text())


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    desk = Desk(tmp_path, capsys)
    for name in ("atm-1", "atm-2"):
        desk.enrol(name)
        desk.say(name, AGENT, CONFIG, Report(0, Running.NONE).text())
    desk.operate(
        action="bundle", name="winter", content=pack(Content({"normal": "2m"})), files={"bundle.toml": 8}, reason="x"
    )
    made = House(desk)
    made.switch(enabled=True)
    return made


def test_from_the_start_to_the_return(house: House) -> None:
    started = house.act("/rollouts", START, **{"Idempotency-Key": "once-and-no-more"})
    assert started.status_code == 202, started.text
    one = started.json()
    assert [(ring["name"], ring["state"], ring["told"]) for ring in one["rings"]] == [
        ("pilot", "running", 1),
        ("rest", "ahead", 0),
    ]
    again = house.act("/rollouts", START, **{"Idempotency-Key": "once-and-no-more"})
    assert again.json()["id"] == one["id"]
    assert house.act("/rollouts", START).status_code == 409
    with closing(SqliteReader(house.desk.path)) as reader:
        number = reader.rollout(one["id"]).rollout.number
    house.say("atm-1", Report(number, Running.FALLEN_BACK, "", "", "ups gave 12 values, now 0"))
    over = house.get(f"/rollouts/{one['id']}").json()
    assert (over["state"], over["losses"][0]["words"]) == ("returned", "ups gave 12 values, now 0")
    assert [event["what"] for event in over["history"]] == ["started", "ring", "halted", "returned"]
    assert house.act(f"/rollouts/{one['id']}/return", WHY).status_code == 409
    second = house.act("/rollouts", {**START, "bundle": ""}).json()
    assert house.act(f"/rollouts/{second['id']}/halt", WHY).json()["state"] == "halted"
    assert house.act(f"/rollouts/{second['id']}/halt", WHY).status_code == 409
    assert house.act(f"/rollouts/{one['id']}/return", WHY).status_code == 409
    assert house.act(f"/rollouts/{second['id']}/return", WHY).json()["state"] == "returned"
    assert house.get("/rollouts").json()["total"] == 2
    acts = [(act, detail["role"]) for act, _, detail in house.desk.acts() if act.startswith("rollout")]
    assert acts == [(act, "supervisor") for act in ("rollout", "rollout", "rollout-halt", "rollout-return")]


def test_bundles_and_what_terminals_run(house: House) -> None:
    (bundle,) = house.get("/bundles").json()
    assert house.get(f"/bundles/{bundle['id']}").json()["sampling"] == {"normal": "2m"}
    assert house.get("/bundles/4711").status_code == 404
    ring = house.act("/terminals/atm-2/ring", {"ring": "pilot", "reason": "near"}, "PUT")
    assert (ring.json()["ring"], ring.json()["fixed"]) == ("pilot", True)
    assert house.act("/terminals/atm-9/ring", {"ring": "pilot", "reason": "near"}, "PUT").status_code == 404
    found = house.get("/configurations?ring=pilot").json()
    assert (found["enabled"], found["counts"], [one["terminal"] for one in found["items"]]) == (
        True,
        {"none": 2},
        ["atm-2"],
    )
    assert house.get("/configurations?terminal=atm-1").json()["items"][0]["state"] == "none"
    assert house.get("/configurations?state=good").json()["total"] == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": " "}, {"reason": "a\nb"}, {"bundle": "gone"}, {"rings": []}, {"rings": [{"name": "No"}]}, {"rings": [{"name": "a"}]},
        {"rings": [{"name": "a", "terminals": ["atm-9"]}]}, {"rings": [{"name": "a", "share": 0.0001}, {"name": "b", "share": 100}]},
        {"gate": {"good": 0}}, {"gate": {"minutes": 0}}, {"gate": {"every": 1}}, {"commands": ["reboot"]},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_wrong_starts_nothing(house: House, changes: dict[str, Any]) -> None:
    assert house.act("/rollouts", {**START, **changes}).status_code == 422
    assert house.get("/rollouts").json()["total"] == 0


def test_off_until_it_is_switched_on(house: House) -> None:
    house.switch(enabled=False)
    assert house.act("/rollouts", START).status_code == 409
    assert not house.get("/configurations").json()["enabled"]


def test_it_takes_a_supervisor_of_the_whole_fleet(house: House) -> None:
    assert [role for role in Role if Permission.ROLL_OUT in GRANTS[role]] == [Role.SUPERVISOR]
    house.who = Visitor("chen.jun", Role.ADMINISTRATOR)
    assert house.act("/rollouts", START).status_code == 403
    house.who = Visitor("wu.min", Role.SUPERVISOR, Scope(regions=frozenset({"nowhere"})))
    answer = house.act("/rollouts", START)
    assert (answer.status_code, "whole fleet" in answer.json()["detail"]) == (403, True)


def test_elsewhere_terminals_have_no_names(house: House) -> None:
    one = house.act("/rollouts", START).json()
    with closing(SqliteReader(house.desk.path)) as reader:
        number = reader.rollout(one["id"]).rollout.number
    house.say("atm-1", Report(number, Running.REFUSED, "", "", "no"))
    with closing(SqliteReader(house.desk.path)) as reader:
        scoped = ScopedReader(reader, Visitor("wu.min", Role.SUPERVISOR, Scope(regions=frozenset({"nowhere"}))))
        (view,) = scoped.rollouts()
        assert (view.rollout.losses, view.rollout.rings[0].terminals, scoped.members()) == ((), (), [])
        assert reader.rollouts()[0].rollout.losses
