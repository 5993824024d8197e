"""What has become of messages and tickets is listed and explained, and what is stuck is helped, before a real tracker."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tests.collector.desk import Desk
from tests.collector.tickets.desks.roundup_server import SECRET, RoundupServer, running
from tests.collector.tickets.invariants import assert_told_once
from tillwatch.collector.alarm.rules import parse_rules
from tillwatch.collector.config import load_config
from tillwatch.collector.dispatch import Dispatch
from tillwatch.collector.duty.policy import parse_policy

TRACKER = """
[tickets.tracker]
kind = "roundup"
url = "{}"
secret_env = "TILLWATCH_TEST_ROUNDUP"
user = "hwmon"
queue = "Hardware"
"""


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoundupServer]:
    with running(tmp_path_factory.mktemp("roundup")) as server:
        yield server


class Site(Desk):
    """A desk whose outbox is emptied when the test says so."""

    def configure(self, tables: str) -> None:
        self.file.write_text(f'[collector]\ndata_dir = "{self.path.parent}"\n{tables}', "utf-8")

    def deliver(self) -> None:
        """As a collector that runs until nothing waits any more."""
        self.feed(self._deliver)

    async def _deliver(self, world: World) -> None:
        dispatch = Dispatch(load_config(self.file), parse_policy(), parse_rules(), clock=lambda: world.now)
        dispatch.attach(world.pipeline)
        dispatch.begin()
        senders = [asyncio.create_task(each.run()) for each in dispatch._senders]
        async with asyncio.timeout(60):
            while world.store.conn.execute("SELECT 1 FROM outbox WHERE state NOT IN ('done', 'dead')").fetchone():
                await asyncio.sleep(0.02)
                world.now += 10**9
                dispatch.wake()
        for task in senders:
            task.cancel()
        await asyncio.gather(*senders, return_exceptions=True)

    def spoil(self, sql: str) -> None:
        with closing(sqlite3.connect(self.path)) as db, db:
            assert db.execute(sql).rowcount

    def incident_id(self) -> str:
        return self.incidents()[0].id


@pytest.fixture
def bare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Site:
    """One incident of level 2, and no ticket system."""
    made = Site(tmp_path, capsys)
    made.enrol("atm-1", branch="海港支行")
    made.say("atm-1", "host/disk:/", "host.disk.percent", 99)
    return made


@pytest.fixture
def site(bare: Site, tracker: RoundupServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The same, with the tracker configured. Incidents of the tests differ by their episode alone: each test has the tracker to itself."""
    monkeypatch.setenv("TILLWATCH_TEST_ROUNDUP", SECRET)
    bare.configure(TRACKER.format(tracker.address))
    yield bare
    for tickets in tracker.every().values():
        for each in tickets:
            tracker.person(each.id, "delete")


def rows(said: str) -> list[list[str]]:
    """Words of the lines below the headings of the last table."""
    return [line.split() for line in said.strip().splitlines()[1:]]


def test_without_a_ticket_system_it_is_said_so(bare: Site) -> None:
    said = bare.done("tickets")
    assert said.startswith("Not delivered\n  RECEIVER  WAITING")
    assert "  (none)" in said
    assert said.endswith("no ticket of an incident that is not settled\n")
    assert bare.done("tickets", "--all").endswith("no ticket\n")
    assert "no ticket: no ticket system is configured; see [tickets.NAME]" in bare.done(
        "tickets", "explain", bare.incident_id()[:9]
    )
    assert bare.done("tickets", "check") == "no receiver is configured; see [tickets.NAME] in collector.toml\n"
    assert bare.done("tickets", "sweep") == "0 tickets were looked at; none is there twice\n"
    error = bare.refused("tickets", "link", bare.incident_id(), "1")
    assert "no ticket system is configured; see [tickets.NAME] in collector.toml" in error


def test_before_the_first_incident_nothing_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = Site(tmp_path, capsys)
    assert empty.done("tickets") == "no ticket of an incident that is not settled\n"
    assert empty.json("tickets") == {"queues": [], "waiting": [], "tickets": []}
    assert empty.json("tickets", "retry") == {"waiting": []}


def test_from_waiting_to_the_ticket(site: Site, tracker: RoundupServer) -> None:
    name = site.incident_id()
    found = site.json("tickets")
    assert [(each["connector"], each["dead"], each["graves"]) for each in found["queues"]] == [("", 0, 1)]
    assert {row["state"] for row in found["waiting"]} == {"pending"}
    assert found["tickets"] == []
    site.deliver()
    (ticket,) = tracker.tickets(name)
    found = site.json("tickets")
    assert (found["queues"], found["waiting"]) == ([], [])
    assert [(each["incident"], each["id"], each["connector"], each["state"]) for each in found["tickets"]] == [
        (name, ticket.id, "tracker", "open")
    ]
    assert rows(site.done("tickets"))[0][:4] == [name, ticket.id, "tracker", "open"]
    assert site.done("tickets", "--connector", "another") == "no ticket of an incident that is not settled\n"
    said = site.done("tickets", "explain", name)
    assert said.startswith(f"{name}: level 2, open: ")
    assert f"its ticket is {ticket.id} in tracker, open: {tracker.address}/issue{ticket.id}\n" in said
    assert f"Why it goes there: tillwatch-collector route --explain {name}" in said
    explained = site.json("tickets", "explain", name)
    assert explained["ticket"]["id"] == ticket.id
    first = explained["messages"][0]
    assert (first["op"], first["state"], first["not_before"]) == ("open", "done", None)
    assert_told_once(site.path, tracker.tickets)


def test_why_a_ticket_is_not_there_yet(site: Site) -> None:
    name = site.incident_id()
    site.configure(TRACKER.format("http://127.0.0.1:1/hw"))
    site.spoil(
        "UPDATE outbox SET connector = 'tracker', attempts = 3, answer = 'no connection to 127.0.0.1 (refused)',"
        " not_before = 9000000000000000000"
    )
    said = site.done("tickets", "explain", name)
    assert "no ticket yet: tracker was asked 3 times; no connection to 127.0.0.1 (refused)\n" in said
    waits = next(line for line in said.splitlines() if line.startswith("  1 "))
    assert " pending  3      in " in waits
    assert site.json("tickets")["queues"][0]["answer"] == "no connection to 127.0.0.1 (refused)"
    assert "tracker" in site.done("tickets").splitlines()[2]


def test_what_was_given_up_is_tried_again(site: Site, tracker: RoundupServer) -> None:
    name = site.incident_id()
    site.spoil("UPDATE outbox SET connector = 'tracker', state = 'dead', answer = 'the tracker did not like it'")
    said = site.done("tickets", "explain", name)
    assert "never, unless retried" in said
    assert site.json("tickets")["queues"][0]["dead"] >= 1
    assert "0 messages wait" in site.done("tickets", "retry", "--connector", "another")
    assert site.json("tickets", "explain", name)["messages"][0]["state"] == "dead"
    waiting = site.json("tickets", "retry", name[:9])["waiting"]
    assert [(row["op"], row["state"], row["not_before"]) for row in waiting[:1]] == [("open", "uncertain", None)]
    assert site.acts()[-1][0] == "ticket-retry"
    assert site.acts()[-1][2]["incident"] == name
    site.deliver()
    assert site.json("tickets", "retry") == {"waiting": []}
    assert_told_once(site.path, tracker.tickets)


def test_ticket_that_a_person_made_is_followed(site: Site, tracker: RoundupServer) -> None:
    name = site.incident_id()
    made = tracker.rest("POST", "issue", {"title": "硬盘满 disk is full"}, user="li.wei")["id"]
    said = site.done("tickets", "link", name[:9], made)
    assert f"{name} is followed in ticket {made} of tracker (unread)\n" in said
    assert f"the ticket does not show this key; put {name} into its key field" in said
    assert site.acts()[-1][0] == "ticket-link"
    assert site.json("tickets", "explain", name)["ticket"]["id"] == made
    site.say("atm-1", "host/disk:/", "host.disk.percent", 20, lasting=400)
    site.deliver()
    assert tracker.tickets(name) == [], "nobody makes another one"
    assert tracker._messages(made), "what comes later is told there"


def test_ticket_that_is_not_there_is_not_linked(site: Site, tracker: RoundupServer) -> None:
    assert "tracker has no ticket 9999" in site.refused("tickets", "link", site.incident_id(), "9999")
    assert site.json("tickets")["tickets"] == []
    site.configure(TRACKER.format("http://127.0.0.1:1/hw"))
    error = site.refused("tickets", "link", site.incident_id(), "1")
    assert error.startswith("tillwatch-collector: tracker: ")
    assert SECRET not in error


def test_doubles_are_swept(site: Site, tracker: RoundupServer) -> None:
    name = site.incident_id()
    site.deliver()
    (own,) = tracker.tickets(name)
    copy = tracker.rest("POST", "issue", {"title": "a copy", "dedup_key": name}, user="li.wei")["id"]
    site.spoil("UPDATE outbox SET state = 'sending' WHERE op = 'open'")
    assert site.done("tickets", "sweep") == "1 tickets were looked at; none is there twice\n", "a delivery is under way"
    site.spoil("UPDATE outbox SET state = 'done' WHERE op = 'open'")
    assert site.json("tickets", "sweep") == [
        {"connector": "tracker", "incident": name, "kept": own.id, "closed": [copy], "problem": ""}
    ]
    assert [(each.id, each.state.over) for each in tracker.tickets(name)] == [(own.id, False), (copy, True)]
    assert site.done("tickets", "sweep", "--connector", "tracker") == "1 tickets were looked at; none is there twice\n"
    third = tracker.rest("POST", "issue", {"title": "another", "dedup_key": name}, user="li.wei")["id"]
    assert rows(site.done("tickets", "sweep")) == [[name, "tracker", own.id, third]]


def test_sweep_of_a_system_that_is_away_is_a_failure(site: Site, tracker: RoundupServer) -> None:
    site.deliver()
    site.configure(TRACKER.format("http://127.0.0.1:1/hw"))
    code, out, error = site.call("tickets", "sweep", "--json")
    assert (code, error) == (1, "")
    assert '"problem": ""' not in out


def test_receivers_are_checked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    said = site.done("tickets", "check")
    assert rows(said) == [["tracker", "ok", "can", "take", "messages"]]
    assert site.json("tickets", "check", "--connector", "tracker") == {"tracker": []}
    monkeypatch.setenv("TILLWATCH_TEST_ROUNDUP", "wrong-secret")
    code, out, error = site.call("tickets", "check")
    assert (code, error) == (1, "")
    assert rows(out)[0][:2] == ["tracker", "fail"]
    assert "wrong-secret" not in out
    code, out, _ = site.call("tickets", "check", "--json")
    assert code == 1
    assert '"mend": "' in out


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("explain",), 2, "tickets explain takes INCIDENT"),
        (("link", "HWM-1"), 2, "tickets link takes INCIDENT TICKET"),
        (("list", "HWM-1"), 2, "tickets list takes no incident"),
        (("sweep", "HWM-1"), 2, "tickets sweep takes no incident"),
        (("retry", "HWM-1", "5"), 2, "tickets retry takes one incident or none"),
        (("explain", "HWM-ffff"), 1, "there is no incident HWM-ffff; tillwatch-collector incidents lists them"),
        (("retry", "HWM-ffff"), 1, "there is no incident HWM-ffff"),
        (("check", "--connector", "deks"), 1, "no receiver deks is configured; there are: tracker"),
    ],
)
def test_what_cannot_be_said(site: Site, words: tuple[str, ...], status: int, said: str) -> None:
    assert said in site.refused("tickets", *words, status=status)


def test_receiver_that_can_only_be_told_is_not_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "whsec_dGlsbHdhdGNoLXRlc3Qtc2VjcmV0LTAxMjM0NTY3ODk=")
    site.configure('[tickets.hook]\nkind = "webhook"\nurl = "http://127.0.0.1:1/"\nsecret_env = "HOOK"\n')
    error = site.refused("tickets", "sweep", "--connector", "hook")
    assert "[tickets.hook] takes messages and tells nothing of its tickets" in error
