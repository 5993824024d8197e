"""Roundup, against a real tracker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector.tickets.desks.contract import Contract
from tests.collector.tickets.desks.roundup_server import SECRET, RoundupServer, running
from tillwatch.collector.tickets.desks import roundup
from tillwatch.collector.tickets.message import Op, TicketState
from tillwatch.collector.tickets.port import Done, Leg, Retry, Uncertain


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoundupServer]:
    with running(tmp_path_factory.mktemp("roundup")) as server:
        yield server


class TestRoundup(Contract):
    etags = True
    slow_timeout_s = 2.0

    @staticmethod
    def writing(method: str, path: str) -> bool:
        """A message that belongs to no ticket, and a link that a ticket may be made over, are seen by nobody."""
        return method in {"PATCH", "DELETE"} or (method == "POST" and "/issue/@poe/" in path)

    async def test_verdict_and_part_come_back_in_our_words(self, system, receiver, tell, key) -> None:
        ticket = await self.made(tell, key)
        system.edit(ticket, verdict="Part replaced", part="电池组")
        remote = await receiver.port.read(ticket)
        assert (remote.verdict, remote.part, remote.by) == ("part_changed", "电池组", "li.wei")
        system.edit(ticket, verdict="Nothing found")
        assert (await receiver.port.read(ticket)).verdict == "no_fault_found"

    async def test_superseded_and_still_open_is_not_merged(self, system, receiver, tell, key) -> None:
        ticket, other = await self.made(tell, key), await self.made(tell, f"{key}9")
        system.edit(ticket, superseder=[other])
        assert (await receiver.port.read(ticket)).merged_into == ""
        system.edit(ticket, status="resolved")
        assert (await receiver.port.read(ticket)).merged_into == other

    async def test_note_neither_opens_again_nor_says_that_people_chat(self, system, tell, key) -> None:
        """The tracker's own detector does both, unless a status comes with the note."""
        ticket = await self.made(tell, key)
        for status in ("unread", "done-cbb", "in-progress"):
            system.edit(ticket, status=status)
            await tell(key, Op.UPDATE, len(status), link=ticket)
            assert system.rest("GET", f"issue/{ticket}?@verbose=2")["attributes"]["status"]["name"] == status

    async def test_create_that_arrives_after_it_was_given_up_makes_nothing(
        self, system, proxy, connected, tell, key
    ) -> None:
        """The link lives as long as the settle time: what is looked for then cannot come up later."""
        proxy.writes = ["hang before"]
        proxy.hold_s = 30.0
        hasty = connected(timeout=self.slow_timeout_s, settle=1.0)
        assert isinstance(await tell(key, by=hasty), Uncertain)
        late = next(asked for asked in proxy.seen if "/issue/@poe/" in asked.path)
        over = time.time() + hasty.settle_s
        while time.time() < over:  # the tracker's clock, which is this one
            await asyncio.sleep(0.05)
        assert isinstance(await tell(key, doubtful=True), Done)
        status, _, said = await asyncio.to_thread(proxy.forward, late)
        assert (status, b"not valid" in said) == (400, True)
        assert len(system.tickets(key)) == 1

    async def test_create_that_a_gateway_sends_twice_is_one(self, system, proxy, tell, key) -> None:
        proxy.writes = ["twice"]
        assert isinstance(await tell(key), Uncertain)
        assert len(system.tickets(key)) == 1
        assert isinstance(await tell(key, doubtful=True), Done)
        assert len(system.tickets(key)) == 1

    async def test_what_the_tracker_declines_is_refused_in_its_words(self, system, connected, tell, key) -> None:
        outcome = await tell(key, by=connected(priorities={"2": "P1"}))
        assert outcome == Retry(outcome.reason, refused=True)
        assert "P1" in outcome.reason
        assert system.tickets(key) == []

    async def test_every_page_of_changes_is_read(self, system, receiver, tell, key, monkeypatch) -> None:
        monkeypatch.setattr(roundup, "PAGE", 3)
        _, cursor = await receiver.port.changed_since("")
        made = [await self.made(tell, f"{key}{at}") for at in range(7)]
        changed, after = await receiver.port.changed_since(cursor)
        ids = [each.id for each in changed]
        assert [ticket for ticket in made if ids.count(ticket) != 1] == []
        assert int(after) >= int(cursor)

    async def test_preflight_names_statuses_and_priorities_that_are_not_there(self, connected) -> None:
        found = await connected(states={"Gone fishing": "on_hold"}, priorities={"1": "P1"}).preflight()
        assert [("Gone fishing" in each.what, "P1" in each.what) for each in found] == [(True, False), (False, True)]


async def test_rate_limit_is_waited_for(tmp_path: Path, message) -> None:
    with running(tmp_path, calls=30) as server:
        desk = server.receiver(server.address)
        try:
            for seq in range(1, 31):
                outcome = await desk.deliver(message(f"HWM-{seq}"), None, doubtful=False, leg=Leg())
                if not isinstance(outcome, Done):
                    break
            assert isinstance(outcome, Retry | Uncertain)
            outcome = await desk.deliver(message("HWM-99"), None, doubtful=True, leg=Leg())
            assert isinstance(outcome, Retry)
            assert outcome.after_s is not None
            assert 0 < outcome.after_s <= 60
        finally:
            await desk.close()


async def test_power_cut_of_the_tracker_loses_and_doubles_nothing(tmp_path: Path, message) -> None:
    with running(tmp_path) as server:
        desk = server.receiver(server.address)
        try:
            made = await desk.deliver(message(), None, doubtful=False, leg=Leg())
            server.kill()
            down = await desk.deliver(message(), None, doubtful=True, leg=Leg())
            assert isinstance(down, Retry)
            assert [problem.passing for problem in await desk.preflight()] == [True]
            server.start()
            again = await desk.deliver(message(), None, doubtful=True, leg=Leg())
            assert (again.external_id, len(server.tickets("HWM-0011-1"))) == (made.external_id, 1)
        finally:
            await desk.close()


@pytest.mark.parametrize(("settings", "key"), [({"user": ""}, "user"), ({"url": ""}, ""), ({"secret_env": ""}, "")])
def test_settings_that_cannot_work_say_which(settings, key) -> None:
    right = {"url": "https://roundup.bank.example/hw", "user": "hwmon", "secret_env": "ROUNDUP"}
    assert roundup.Settings(**right).problem() is None
    assert roundup.Settings(**(right | settings)).problem()[0] == key


def test_secret_is_not_in_what_is_kept_of_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    chosen = roundup.Settings(url="https://roundup.bank.example/hw", user="hwmon", secret_file=file)
    assert SECRET not in repr((chosen, chosen.told(), roundup.connect("roundup", chosen)))


def test_words_for_what_a_tracker_has_no_word_for() -> None:
    port = roundup.connect("roundup", roundup.Settings(url="https://r.example", user="u", states={"shut": "closed"}))
    assert [port._word(state) for state in TicketState] == [
        *("chatting", "in-progress", "deferred", "resolved", "shut", "shut", "shut"),
    ]
