"""The routes of remote diagnosis over a real store with its collector: who may ask what, what is said when nobody can, and the bundle that came back."""

from __future__ import annotations

import json
import sqlite3
import time
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import msgpack
import pytest
from fastapi import APIRouter, FastAPI, HTTPException
from fastapi.testclient import TestClient

from tests.collector.desk import Desk
from tests.collector.web.taking import Taking
from tillwatch.agent.model import AGENT
from tillwatch.agent.wire import ALLOWED, PIECE, RESULT, Outcome, Result, pieces_of
from tillwatch.collector.alarm.diagnosis import load_cards
from tillwatch.collector.diagnosis.order import Order
from tillwatch.collector.people.roles import Role, Scope, Visitor, on_behalf_of
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.web.acting import ActsDoor
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.reads import Reads
from tillwatch.collector.web.rest import diagnosis_api
from tillwatch.collector.web.rest.answers import add_problem_handlers

ALL = "poll-now raise-sampling collect-bundle self-report"
ASK = {"kind": "poll-now", "component": "host", "reason": "is it there?"}


class House:
    """A console of these routes alone. who: on whose behalf everything is asked."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.who = Visitor("chen.jun", Role.TECHNICIAN)
        app = FastAPI()
        add_problem_handlers(app)
        api = APIRouter(prefix="/api/v1")
        reads: Any = Reads(lambda: SqliteReader(desk.path))
        unused: Any = None
        diagnosis_api.add(api, Parts(reads, unused, time.time_ns, ActsDoor(desk.path), load_cards(None), unused))
        app.include_router(api)

        async def on_behalf(scope: Any, receive: Any, send: Any) -> None:
            with on_behalf_of(self.who):
                await app(scope, receive, send)

        self.client = TestClient(on_behalf)

    def switch(self, *, enabled: bool) -> None:
        """As a start of the collector with this setting leaves it."""
        with closing(sqlite3.connect(self.desk.path)) as db, db:
            packed = msgpack.packb({"diagnosis.enabled": str(enabled)})
            db.execute("INSERT OR REPLACE INTO meta VALUES ('settings', ?)", (packed,))

    def ask(self, body: dict[str, Any] | None = None, terminal: str = "atm-1", **headers: str) -> Any:
        with Taking(self.desk.path, now=self.desk.now):
            return self.client.post(f"/api/v1/terminals/{terminal}/commands", json=body or ASK, headers=headers)

    def get(self, path: str) -> Any:
        return self.client.get(f"/api/v1{path}")

    def orders(self) -> list[Order]:
        with closing(SqliteReader(self.desk.path)) as reader:
            return list(reader.orders())

    def offers(self) -> dict[str, str]:
        return {each["kind"]: each["why_not"] for each in self.get("/terminals/atm-1/diagnosis").json()["offers"]}


@pytest.fixture
def house(tmp_path: Path) -> House:
    desk = Desk(tmp_path)
    desk.enrol("atm-1")
    desk.say("atm-1", "host", "host.cpu.percent", 5.0)
    made = House(desk)
    made.switch(enabled=True)
    return made


def test_it_says_why_nothing_can_be_asked(house: House) -> None:
    assert set(house.offers().values()) == {"no-commands"}
    assert (house.ask().status_code, house.orders()) == (409, [])
    house.desk.say("atm-1", AGENT, ALLOWED, "off")
    assert set(house.offers().values()) == {"terminal-off"}
    house.desk.say("atm-1", AGENT, ALLOWED, "poll-now")
    assert house.offers() == {
        "poll-now": "", "raise-sampling": "not-allowed", "collect-bundle": "not-allowed", "self-report": "not-allowed",
    }  # fmt: skip
    answer = house.ask({"kind": "collect-bundle", "reason": "x"})
    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert "allow" in answer.json()["detail"]
    house.switch(enabled=False)
    assert set(house.offers().values()) == {"collector-off"}
    assert house.ask().status_code == 409
    assert house.orders() == []


def test_a_command_is_asked_once_for_its_key_and_is_on_record(house: House) -> None:
    house.desk.say("atm-1", AGENT, ALLOWED, ALL)
    first = house.ask(**{"Idempotency-Key": "0123456789abcdef"})
    assert first.status_code == 202, first.text
    made = first.json()
    assert (made["state"], made["by"], made["reason"], made["arguments"]) == (
        "asked",
        "chen.jun",
        "is it there?",
        {"component": "host"},
    )
    again = house.ask(**{"Idempotency-Key": "0123456789abcdef"})
    assert (again.status_code, again.json()["id"]) == (202, made["id"])
    assert house.ask(**{"Idempotency-Key": "fedcba9876543210"}).json()["id"] != made["id"]
    assert house.get(f"/commands/{made['id']}").json() == made
    listed = house.get("/commands?terminal=atm-1&state=open").json()
    assert (listed["total"], [each["id"] for each in listed["items"]][-1]) == (2, made["id"])
    shown = house.get("/terminals/atm-1/diagnosis")
    assert shown.json()["devices"] == ["host"]
    etag = shown.headers["etag"]
    assert house.client.get("/api/v1/terminals/atm-1/diagnosis", headers={"If-None-Match": etag}).status_code == 304


@pytest.mark.parametrize(
    "body",
    [
        {}, {"kind": "poll-now"}, {"kind": "reboot", "reason": "x"}, {"kind": "poll-now", "reason": ""}, {"kind": "poll-now", "reason": "  "},
        {"kind": "poll-now", "reason": "a\nb"}, {"kind": "poll-now", "reason": "x" * 201}, {"kind": "self-report", "reason": "x"},
        {"kind": "raise-sampling", "reason": "x", "factor": 9}, {"kind": "raise-sampling", "reason": "x", "minutes": 60},
        {"kind": "collect-bundle", "reason": "x", "component": "ups"}, {"kind": "poll-now", "reason": "x", "minutes": 5},
        {"kind": "poll-now", "reason": "x", "opcode": "T"}, {"kind": "poll-now", "reason": "x", "life_s": 1}, {"kind": "poll-now", "reason": "x", "component": "a\u0000"},
    ],
)  # fmt: skip
def test_bad_input_is_told_and_nothing_is_asked(house: House, body: dict[str, Any]) -> None:
    answer = house.client.post("/api/v1/terminals/atm-1/commands", json=body)
    assert (answer.status_code, house.orders()) == (422, [])


def test_who_may(house: House) -> None:
    house.desk.say("atm-1", AGENT, ALLOWED, ALL)
    for role, may in ((Role.VIEWER, False), (Role.TECHNICIAN, True), (Role.SUPERVISOR, True), (Role.ADMINISTRATOR, False), (Role.AUDITOR, False)):  # fmt: skip
        house.who = Visitor("somebody", role)
        assert house.get("/terminals/atm-1/diagnosis").status_code == 200
        assert house.ask().status_code == (202 if may else 403), role
        assert house.get("/commands/999/bundle").status_code == (404 if may else 403)
    house.who = Visitor("far.away", Role.SUPERVISOR, Scope(branches=frozenset({"elsewhere"})))
    number = house.orders()[0].n
    assert house.ask().status_code == 404
    for path in (
        "/terminals/atm-1/diagnosis",
        f"/commands/{number}",
        f"/commands/{number}/bundle",
        "/commands?terminal=atm-1",
    ):
        assert house.get(path).status_code == 404, path
    assert house.get("/commands").json()["total"] == 0
    assert house.ask(terminal="atm-9").status_code == 404


def test_a_bundle_comes_back_and_what_is_none_is_said(house: House) -> None:
    house.desk.say("atm-1", AGENT, ALLOWED, ALL)
    contents = [zlib.compress(json.dumps({"terminal": {"id": "atm-1"}, "log": ["<script>"]}).encode()), b"no zlib at all", zlib.compress(b"no json")]  # fmt: skip
    for content in contents:
        number = house.ask({"kind": "collect-bundle", "reason": "it restarts"}).json()["id"]
        order = house.orders()[0]
        assert house.get(f"/commands/{number}/bundle").status_code == 409
        house.desk.operate(action="command-sent", terminal="atm-1", n=order.n, sha256=b"x")
        pieces = list(pieces_of(order.number, content))
        for at, piece in enumerate(pieces):
            house.desk.say("atm-1", AGENT, PIECE, piece)
            if at + 1 < len(pieces):
                assert "missing" in house.get(f"/commands/{number}/bundle").json()["detail"]
        house.desk.say("atm-1", AGENT, RESULT, Result(order.number, Outcome.DONE, words="99 bytes").text())
        answer = house.get(f"/commands/{number}/bundle")
        assert house.get(f"/commands/{number}").json()["bundle"] is True
        if content is contents[0]:
            assert answer.json() == {"terminal": {"id": "atm-1"}, "log": ["<script>"]}
            assert answer.headers["content-disposition"] == f'attachment; filename="bundle-atm-1-{number}.json"'
            assert answer.headers["x-content-type-options"] == "nosniff"
        else:
            assert answer.status_code == 409


def test_a_bundle_that_unpacks_to_too_much_is_refused() -> None:
    with pytest.raises(HTTPException, match="longer"):
        diagnosis_api.readable(zlib.compress(b" " * (diagnosis_api.MAX_BUNDLE_JSON + 1)))
