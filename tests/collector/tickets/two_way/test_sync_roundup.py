"""People at work in a real tracker, and what the journal hears of it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.collector.tickets.desks.roundup_server import RoundupServer, running
from tests.collector.tickets.two_way.following import Clock, Journal, told
from tillwatch.collector.tickets import outbox
from tillwatch.collector.tickets.delivery import SECOND
from tillwatch.collector.tickets.desk import Desk
from tillwatch.collector.tickets.links import keep_link
from tillwatch.collector.tickets.message import Op, TicketState
from tillwatch.collector.tickets.port import Done, Leg, Link
from tillwatch.collector.tickets.two_way.sync import VERIFY_NS, Sync, _AwayError

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoundupServer]:
    with running(tmp_path_factory.mktemp("roundup")) as server:
        yield server


class Desked:
    """One incident with a ticket in the tracker, and the sync that follows it. The collector's clock is its own: the tracker's is the machine's."""

    def __init__(self, path, tracker: RoundupServer, desk: Desk, message) -> None:
        self.path, self.tracker, self.desk, self.message = path, tracker, desk, message
        self.clock = Clock()
        self.journal = Journal(path)
        self.key = f"HWM-SYNC-{next(NUMBERS)}"
        self.seq = 0
        self.ticket = ""
        self.sync = self.another()

    def another(self) -> Sync:
        return Sync(
            lambda: outbox.connect(self.path), self.desk.port, self.journal, sweeps=self.desk.port, clock=self.clock
        )

    async def tell(self, op: Op = Op.OPEN, **fields) -> None:
        """As the sender does it."""
        self.seq += 1
        link = Link(self.ticket, "", "") if self.ticket else None
        outcome = await self.desk.deliver(
            self.message(self.key, op, self.seq, **fields), link, doubtful=False, leg=Leg()
        )
        assert isinstance(outcome, Done), outcome
        facts = told(self.key, outcome.external_id, "roundup", outcome.state)
        if not self.ticket:
            self.journal.incident(self.key, outcome.external_id, "roundup")
        keep_link(self.journal.conn, facts)
        self.ticket = outcome.external_id

    async def ask(self, after_s: float = 60) -> list[tuple[str, str, str]]:
        self.clock.pass_s(after_s)
        before = len(self.journal.facts)
        await self.sync.round()
        return [(each["state"], each["owner"], each["by"]) for each in self.journal.facts[before:]]

    def person(self, act: str, text: str = "") -> None:
        self.tracker.person(self.ticket, act, text)


@pytest.fixture
async def desked(store, tracker, message) -> AsyncIterator[Desked]:
    desk = tracker.receiver(tracker.address)
    made = Desked(store, tracker, desk, message)
    await made.tell()
    assert await made.ask() == []
    assert await made.ask() == []
    yield made
    await made.sync.close()
    await desk.close()
    made.journal.conn.close()


async def test_technician_from_taking_it_on_to_the_verdict(desked) -> None:
    desked.person("own")
    [(state, owner, by)] = await desked.ask()
    assert (state, owner) == ("open", "li.wei")
    assert by
    desked.person("work")
    assert [each[0] for each in await desked.ask()] == ["working"]
    desked.person("hold")
    assert [each[0] for each in await desked.ask()] == ["on_hold"]
    desked.person("note", "等备件 waiting for the part")
    await desked.ask()
    desked.tracker.edit(desked.ticket, verdict="Part replaced", part="dispenser belt")
    desked.person("resolve")
    await desked.ask()
    desked.person("close")
    await desked.ask()
    assert await desked.ask() == []
    assert desked.journal.notes() == ["等备件 waiting for the part"]
    last = desked.journal.facts[-1]
    assert (last["state"], last["verdict"], last["part"]) == ("closed", "part_changed", "dispenser belt")
    desked.person("reopen")
    assert [each[0] for each in await desked.ask()] == ["open"]


async def test_what_we_write_is_not_told_as_peoples(desked) -> None:
    await desked.tell(Op.UPDATE, note="another terminal is concerned")
    assert await desked.ask() == []
    await desked.tell(Op.RESOLVE, note="working again", wish=TicketState.RESOLVED)
    assert await desked.ask() == []
    assert await desked.ask(VERIFY_NS / SECOND) == []
    assert desked.journal.link(desked.key)["status"] == "resolved"


async def test_person_and_delivery_between_two_looks(desked) -> None:
    desked.person("own")
    await desked.tell(Op.UPDATE, note="the second UPS is on battery, too")
    desked.person("note", "I am there")
    assert [each[:2] for each in await desked.ask()] == [("open", "li.wei")]
    assert desked.journal.notes() == ["I am there"]


async def test_what_happens_while_nobody_asks_is_found(desked) -> None:
    desked.person("own")
    desked.person("resolve")
    await desked.sync.close()
    desked.sync = desked.another()
    assert [each[:2] for each in await desked.ask(6 * 3600)] == [("resolved", "li.wei")]


async def test_tracker_away_and_back(desked) -> None:
    desked.person("own")
    desked.tracker.kill()
    with pytest.raises(_AwayError):
        await desked.ask()
    desked.tracker.start()
    assert [each[:2] for each in await desked.ask()] == [("open", "li.wei")]


async def test_deleted_is_found_by_reading_it(desked) -> None:
    desked.person("delete")
    await desked.ask(VERIFY_NS / SECOND)
    await desked.ask()
    [facts] = desked.journal.facts
    assert facts["gone"]
    assert desked.journal.link(desked.key)["external_id"] == ""


async def test_merged_is_followed(desked) -> None:
    other = Desked(desked.path, desked.tracker, desked.desk, desked.message)
    await other.tell()
    desked.tracker.person(other.ticket, "own")
    desked.person("merge", other.ticket)
    await desked.ask()
    merged = [each for each in desked.journal.facts if each["incident"] == desked.key]
    assert [(each["external_id"], each["merged_into"], each["owner"]) for each in merged] == [
        (desked.ticket, other.ticket, ""),
        (other.ticket, "", "li.wei"),
    ]
    assert desked.journal.link(desked.key)["external_id"] == other.ticket
    desked.journal.facts.clear()
    desked.tracker.person(other.ticket, "close")
    await desked.ask()
    assert {each["incident"] for each in desked.journal.facts} == {desked.key, other.key}
    await other.sync.close()
    other.journal.conn.close()


@pytest.mark.parametrize("key", ["", "HWM-ELSE-1"])
async def test_edited_key_is_found_and_the_id_wins(desked, key) -> None:
    desked.tracker.edit(desked.ticket, dedup_key=key, assignedto="li.wei")
    await desked.ask(VERIFY_NS / SECOND)
    assert [(each["owner"], each["key"]) for each in desked.journal.facts] == [("li.wei", key)]
    assert desked.sync.strange_keys == {desked.key: key}


async def test_copies_of_a_ticket_are_swept(desked) -> None:
    copied = desked.tracker.rest(
        "POST", "issue", {"title": "copy", "dedup_key": desked.key, "status": "chatting"}, user="li.wei"
    )["id"]
    await desked.ask(7 * 3600)
    states = {each.id: each.state.over for each in desked.tracker.tickets(desked.key)}
    assert states == {desked.ticket: False, copied: True}
    assert await desked.ask() == []
