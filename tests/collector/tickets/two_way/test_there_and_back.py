"""The whole way there and back: a terminal's fault over MQTT into a running collector, from there into a real tracker, and what people do there back
into the incident, as the command line tells it.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from gmqtt import Client
from gmqtt.mqtt.constants import MQTTv311

from tests.collector.sending import S, Sender, reading
from tests.collector.test_service import Line, until
from tests.collector.tickets.desks.contract import Seen
from tests.collector.tickets.desks.roundup_server import SECRET, RoundupServer, running
from tests.collector.tickets.invariants import assert_invariants
from tillwatch.agent.model import MS
from tillwatch.collector.commands.acts import act
from tillwatch.collector.config import load_config
from tillwatch.collector.incident_check import examine_incidents
from tillwatch.collector.intake import Message
from tillwatch.collector.journal import Kind
from tillwatch.collector.tickets.message import TicketState
from tillwatch.collector.trust.authority import open_authority

HOOK_SECRET = "a-hint-that-only-the-tracker-knows"
RULES = '[[rule]]\nid = "disk.full"\nfor = "0s"\nhold = "0s"\n'
POLICY = '[incident]\nticket_grace = "1s"\n'
MORE = """
[rules]
file = "rules.toml"
[policy]
file = "policy.toml"
[tickets]
port = {port}
[tickets.roundup]
kind = "roundup"
url = "{url}"
secret_env = "TILLWATCH_TEST_ROUNDUP"
user = "hwmon"
queue = "Hardware"
language = "zh"
states = {{ closed = "closed" }}
verdict_field = "verdict"
part_field = "part"
verdicts = {{ "Part replaced" = "part_changed", "Nothing found" = "no_fault_found" }}
hook_scheme = "token"
hook_secret_env = "TILLWATCH_TEST_HOOK"
"""
SETTLED = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM outbox WHERE state <> 'done')"
"""Has a row once nothing waits for the tracker."""
OWNED, HELD, CLOSED, DELETED, MERGED, GENTLE = range(6)
"""Disks, and what becomes of the ticket of each. The last one is of level 3."""
FULL = (99, 99, 99, 99, 99, 93)


class Site(Line):
    """A collector with a tracker, and one terminal on a plain listener of its broker."""

    def __init__(self, folder: Path, tracker: RoundupServer) -> None:
        super().__init__(folder)
        self.tracker = tracker
        with socket.create_server(("127.0.0.1", 0)) as holder:
            self.hooks = holder.getsockname()[1]
        (folder / "rules.toml").write_text(RULES)
        (folder / "policy.toml").write_text(POLICY)
        text = self.file.read_text().replace("[broker]\n", "[broker]\ntls = false\n")
        self.file.write_text(text + MORE.format(port=self.hooks, url=tracker.address), "utf-8")
        self.config = load_config(self.file)
        self.atm = Sender("atm-1", boot_at=time.time_ns() - 3600 * S)
        place = {"terminal": "atm-1", "branch": "海港支行", "region": "north", "class": "atm"}
        act(self.config, {"action": "enrol", **place, "public": self.atm.key.public})

    async def connect(self) -> None:
        self.client = Client("atm-1", clean_session=True)
        await self.client.connect("127.0.0.1", self.config.broker.port, False, 60, MQTTv311)

        def heard() -> bool:
            self._publish(self.atm.life(self._now()))
            return bool(self.rows(f"SELECT 1 FROM journal WHERE kind = {Kind.LIFE.value}"))

        await until(heard, what="that the collector listens")

    def say(self, *percents: float) -> None:
        """How full each disk is."""
        now = self._now()
        told = [reading(f"host/disk:/{n}", "host.disk.percent", now, percent) for n, percent in enumerate(percents)]
        self._publish(self.atm.batch(told, now))

    def _now(self) -> int:
        return time.time_ns() // MS * MS

    def _publish(self, message: Message) -> None:
        self.client.publish(message.topic, message.payload, qos=1)

    def hint(self) -> None:
        """As the tracker calls when something changed."""
        context = ssl.create_default_context(cafile=str(open_authority(self.config.authority).ca_file))
        caller = http.client.HTTPSConnection("127.0.0.1", self.hooks, timeout=60, context=context)
        caller.request("POST", "/hooks/roundup", b"{}", {"authorization": f"Bearer {HOOK_SECRET}"})
        assert caller.getresponse().status == 202
        caller.close()

    async def noticed(self, sql: str, what: str) -> None:
        """Until the store has it, with a hint now and then: what changed while the collector was asking is asked for once more."""

        async def calling() -> None:
            while True:
                self.hint()
                await asyncio.sleep(2)

        caller = asyncio.create_task(calling())
        try:
            await until(lambda: self.rows(sql), what=what)
        finally:
            caller.cancel()

    def ids(self) -> list[str]:
        """The incident of each disk."""
        found = self.rows(
            "SELECT a.incident FROM alarm a JOIN incident i ON i.corr_id = a.incident WHERE a.rule = 'disk.full'"
            " AND i.announced_at > 0 GROUP BY a.component HAVING max(a.id) ORDER BY a.component"
        )
        return [row[0] for row in found]

    def json(self, *words: str) -> Any:
        done = self.collector(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def incident(self, name: str) -> dict[str, Any]:
        return self.json("incident", name)

    def ticket(self, incident: str) -> Seen:
        """The one that lives, or else the last one."""
        found = self.tracker.every()[incident]
        return next((each for each in found if not each.state.over), found[-1])


@pytest.fixture
def tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RoundupServer]:
    monkeypatch.setenv("TILLWATCH_TEST_ROUNDUP", SECRET)
    monkeypatch.setenv("TILLWATCH_TEST_HOOK", HOOK_SECRET)
    with running(tmp_path) as server:
        yield server


@pytest.fixture
def made(tmp_path: Path, tracker: RoundupServer) -> Site:
    return Site(tmp_path, tracker)


@pytest.fixture
async def site(made: Site) -> AsyncIterator[Site]:
    try:
        await made.start()
        await made.connect()
        yield made
        await made.client.disconnect()
    finally:
        for process in made.running.values():
            process.terminate()
            process.wait(60)


@pytest.mark.timeout(240)
async def test_what_people_do_comes_back_and_what_the_readings_say_goes_there(site: Site) -> None:
    tracker = site.tracker
    site.say(*FULL)
    await until(lambda: len(site.ids()) == len(FULL) and site.rows(SETTLED), what="a ticket for each fault")
    ids = site.ids()
    tickets = [site.ticket(each).id for each in ids]
    for each in ids:
        assert re.search(r"[\u4e00-\u9fff]", site.ticket(each).title), "the tracker is told in Chinese"
        assert "海港支行" in site.ticket(each).body
    await until(lambda: site.rows("SELECT 1 FROM sync_cursor"), what="the first look at the tracker")

    mine = tracker.rest("POST", "issue", {"title": "All disks of this branch"}, user="li.wei")["id"]
    tracker.person(tickets[OWNED], "own")
    tracker.person(tickets[OWNED], "work")
    tracker.person(tickets[OWNED], "note", "备件已订，明天到")
    tracker.person(tickets[HELD], "hold")
    tracker.person(tickets[CLOSED], "close")
    tracker.person(tickets[DELETED], "delete")
    tracker.person(tickets[MERGED], "merge", mine)
    await site.noticed(
        f"SELECT 1 WHERE EXISTS (SELECT 1 FROM incident_event WHERE incident = '{ids[OWNED]}' AND kind = 'acknowledged')"
        f" AND EXISTS (SELECT 1 FROM incident_event WHERE incident = '{ids[HELD]}' AND kind = 'held')"
        f" AND EXISTS (SELECT 1 FROM incident_event WHERE incident = '{ids[CLOSED]}' AND kind = 'reopened')"
        f" AND (SELECT external_id FROM ticket_link WHERE incident = '{ids[DELETED]}') NOT IN ('', '{tickets[DELETED]}')"
        f" AND (SELECT external_id FROM ticket_link WHERE incident = '{ids[MERGED]}') = '{mine}'"
        " AND NOT EXISTS (SELECT 1 FROM outbox WHERE state <> 'done')",
        "what people did",
    )
    assert_invariants(site.config.database, tracker.tickets)

    owned = site.incident(ids[OWNED])
    assert (owned["view"]["state"], owned["view"]["owner"]) == ("acknowledged", "li.wei")
    assert "备件已订，明天到" in json.dumps(owned["events"], ensure_ascii=False)
    held = site.incident(ids[HELD])["view"]
    assert held["on_hold"] == "deferred"
    reopened = site.incident(ids[CLOSED])["view"]
    assert (reopened["state"], reopened["reopened"]) == ("open", 1)
    again = site.ticket(ids[CLOSED])
    assert (again.id, again.state.over) == (tickets[CLOSED], False), "the fault is still there"
    anew = site.ticket(ids[DELETED])
    assert anew.id != tickets[DELETED]
    followed = {each["incident"]: (each["connector"], each["id"]) for each in site.json("tickets")["tickets"]}
    assert {each: followed[each][1] for each in ids} == dict(
        zip(ids, [*tickets[:DELETED], anew.id, mine, tickets[GENTLE]], strict=True)
    )
    assert "tickets.gone" in site.collector("incidents", "--all", "--json").stdout

    said = site.collector("note", ids[HELD], "换班交接：等客户开门")
    assert said.returncode == 0, said.stderr
    tracker.edit(tickets[HELD], status="in-progress")
    await site.noticed(
        f"SELECT 1 FROM incident_event WHERE kind = 'resumed' AND incident = '{ids[HELD]}'", "that it goes on"
    )
    site.say(*(20 for _ in FULL))
    await until(
        lambda: (
            not site.rows("SELECT 1 FROM alarm WHERE rule = 'disk.full' AND condition <> 'normal'")
            and site.rows(SETTLED)
        ),
        what="that all is well",
    )
    assert sum("换班交接：等客户开门" in each for each in site.ticket(ids[HELD]).notes) == 1
    states = [site.ticket(each).state for each in ids]
    assert states[GENTLE] is TicketState.RESOLVED, "level 3 is over by itself"
    assert not any(site.ticket(each).state.over for each in (ids[OWNED], ids[HELD], ids[CLOSED], ids[DELETED]))
    told = tracker.rest("GET", f"issue/{mine}")["attributes"]["messages"]
    assert told, "the ticket that it was merged into hears of it"

    tracker.edit(tickets[OWNED], verdict="Part replaced", part="硬盘 disk 2", status="resolved")
    await site.noticed(f"SELECT 1 FROM incident WHERE corr_id = '{ids[OWNED]}' AND state = 'resolved'", "the verdict")
    owned = site.incident(ids[OWNED])["view"]
    assert (owned["verdict"], owned["part"]) == ("part_changed", "硬盘 disk 2")
    assert_invariants(site.config.database, tracker.tickets)
    assert not [each for each in examine_incidents(site.config, time.time_ns()) if each[1] == "fail"]
    assert not re.search(r"Traceback|ERROR|write it back", site.log("collector")), site.log("collector")
    for words in ("incident", ids[OWNED]), ("tickets", "explain", ids[CLOSED]):
        assert SECRET not in site.collector(*words).stdout
