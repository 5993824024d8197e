"""The way back as a whole: what people do at a ticket, seen by the poller, told to the fold, and kept in the store, over its real tables."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.collector.stories.stage import HOUR, MINUTE, PATIENT, Stage
from tests.collector.tickets.two_way.following import MemoryPort, told
from tillwatch.collector.incident.incidents import ACKNOWLEDGED, OPEN
from tillwatch.collector.journal import Kind
from tillwatch.collector.tickets import outbox
from tillwatch.collector.tickets.message import Op, TicketState
from tillwatch.collector.tickets.two_way.sync import VERIFY_NS, Sync

RULES = PATIENT + '[[rule]]\nid = "disk.full"\nfor = "0s"\nhold = "0s"\n'


class Whole:
    """A terminal with a full disk, whose incident has ticket 1 in the system "memory"."""

    def __init__(self, folder: Path) -> None:
        self.stage = Stage(folder, rules=RULES)
        self.stage.terminal("atm-1")
        self.port = MemoryPort(lambda: self.stage.now)
        self.seen: list[dict] = []
        self.sync = Sync(lambda: outbox.connect(self.stage.path), self.port, self.journal, clock=lambda: self.stage.now)
        self.stage.players["atm-1"].disk(99)
        self.stage.wait(MINUTE)
        self.key = self.stage.incident("disk.full").corr_id
        self.port.open(self.key, "1")
        self.delivered("open")

    async def journal(self, facts: dict) -> None:
        self.seen.append(facts)
        self.stage.enter(Kind.TICKET_CHANGE, "", facts)

    def delivered(self, state: str, ticket: str = "1") -> None:
        """As the sender says it."""
        self.stage.enter(Kind.TICKET_CHANGE, "", told(self.key, ticket, "memory", state))
        self.stage.store.conn.execute("UPDATE outbox SET state = 'done', attempts = attempts + 1")

    async def ask(self, ns: int = MINUTE) -> int:
        self.stage.wait(ns)
        before = len(self.seen)
        await self.sync.round()
        return len(self.seen) - before

    @property
    def incident(self):
        return next(each for each in self.stage.incidents() if each.corr_id == self.key)


@pytest.fixture
async def whole(tmp_path) -> AsyncIterator[Whole]:
    made = Whole(tmp_path)
    await made.ask()
    await made.ask()
    assert made.seen == []
    yield made
    await made.sync.close()
    made.stage.store.close()


async def test_person_takes_it_on_and_our_note_does_not_take_it_away(whole) -> None:
    whole.port.change("1", owner="li.wei", by="li.wei")
    assert await whole.ask() == 1
    assert (whole.incident.state, whole.incident.owner) == (ACKNOWLEDGED, "li.wei")
    whole.port.change("1")
    whole.delivered("open")
    assert [await whole.ask(), await whole.ask(), await whole.ask(VERIFY_NS)] == [0, 0, 0]
    assert whole.incident.owner == "li.wei"


async def test_person_closes_while_a_note_of_ours_is_delivered(whole) -> None:
    """The delivery reads back what the person did: that must not pass for our own doing."""
    whole.port.change("1", state=TicketState.CLOSED, by="li.wei")
    whole.delivered("closed")
    assert await whole.ask() == 1
    assert whole.incident.claim is not None
    assert await whole.ask() == 0


@pytest.mark.parametrize("state", [TicketState.WORKING, TicketState.ON_HOLD, None])
async def test_state_is_told_once(whole, state) -> None:
    whole.port.change("1", state=state, status="parked" if state is None else state.value)
    assert [await whole.ask(), await whole.ask(), await whole.ask(VERIFY_NS)] == [1, 0, 0]


async def test_merged_ticket_is_followed_with_its_owner(whole) -> None:
    whole.port.open("other", "7", owner="wang", by="wang")
    whole.port.change("1", state=TicketState.DUPLICATE, merged_into="7", by="wang")
    assert await whole.ask() == 2
    assert (whole.incident.state, whole.incident.owner) == (ACKNOWLEDGED, "wang")
    assert [await whole.ask(), await whole.ask(VERIFY_NS)] == [0, 0]
    whole.port.change("7", state=TicketState.ON_HOLD, status="waits for a part")
    assert await whole.ask() == 1
    assert whole.incident.on_hold == "waits for a part"


async def test_deleted_ticket_is_made_anew(whole) -> None:
    del whole.port.tickets["1"]
    before = len(whole.stage.told)
    assert await whole.ask(HOUR) == 1
    told_since = [each.op for each in whole.stage.told[before:] if each.incident == whole.key]
    assert told_since.count(Op.OPEN) == 1, "and beside it only what the hour has brought"
    whole.port.open(whole.key, "2")
    whole.delivered("open", "2")
    assert [await whole.ask(), await whole.ask(HOUR)] == [0, 0]
    assert whole.incident.state == OPEN
    whole.port.change("2", owner="li.wei")
    assert await whole.ask() == 1
    assert whole.incident.owner == "li.wei"


async def test_notes_stand_in_the_history_once(whole) -> None:
    whole.port.say("1", "on my way")
    await whole.ask()
    whole.port.say("1", "belt changed")
    await whole.ask()
    await whole.ask(VERIFY_NS)
    texts = [each.detail["text"] for each in whole.stage.log(whole.key) if each.kind == "note"]
    assert texts == ["on my way", "belt changed"]
