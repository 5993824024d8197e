"""What people do comes back: once each, none missed, and never what we did ourselves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.collector.tickets.conftest import make_store
from tests.collector.tickets.two_way.following import START, Clock, Journal, MemoryPort, told
from tillwatch.collector.tickets import outbox
from tillwatch.collector.tickets.delivery import SECOND
from tillwatch.collector.tickets.links import keep_link
from tillwatch.collector.tickets.message import TicketState
from tillwatch.collector.tickets.port import BarredError, NotAppliedError, RejectedError
from tillwatch.collector.tickets.two_way.sync import (
    MANY_GONE,
    READ_AT_ONCE,
    SWEEP_FIRST_NS,
    UNKEPT,
    VERIFY_NS,
    Rhythm,
    Sync,
    _AwayError,
)

QUICK = Rhythm(poll_s=0.02, hinted_s=0.001, most_s=0.05)


class Followed:
    """One incident H-1 with ticket 1, a system in memory, a journal and a sync."""

    def __init__(self, path: Path, **options) -> None:
        self.path = path
        self.connect = lambda: outbox.connect(path)
        self.clock = Clock()
        self.port = MemoryPort(self.clock)
        self.journal = Journal(path)
        self.options = options
        self.sync = self.another()

    def another(self) -> Sync:
        """As after a restart of the collector."""
        return Sync(
            self.connect,
            self.port,
            self.journal,
            clock=self.clock,
            jitter=lambda: 0.5,
            **{"rhythm": QUICK, **self.options},
        )

    def incident(self, incident: str = "H-1", ticket: str = "1", *, state: str = "open") -> None:
        self.port.open(incident, ticket)
        self.journal.incident(incident, ticket, state=state)

    async def settle(self, minutes: int = 2) -> None:
        """The first rounds: the cursor, and what a ticket looks like from the start."""
        for _ in range(minutes):
            await self.ask()
        self.port.reads.clear()

    async def ask(self, after_s: float = 60) -> None:
        self.clock.pass_s(after_s)
        await self.sync.round()


@pytest.fixture
async def followed(store):
    made = Followed(store)
    made.incident()
    yield made
    await made.sync.close()
    made.journal.conn.close()


async def test_new_ticket_is_nobodys_doing(followed) -> None:
    await followed.settle(3)
    assert followed.journal.facts == []
    link = followed.journal.link("H-1")
    assert (link["status"], link["updated_at"]) == ("new", START)


@pytest.mark.parametrize(
    ("change", "told_as"),
    [
        ({"owner": "li.wei"}, ("open", "li.wei")),
        ({"state": TicketState.ON_HOLD}, ("on_hold", "")),
        ({"state": TicketState.CLOSED}, ("closed", "")),
        ({"state": None, "status": "parked"}, ("parked", "")),
        ({"status": "seen by the desk"}, ("open", "")),
        ({"verdict": "part_changed", "part": "dispenser belt"}, ("open", "")),
    ],
)
async def test_change_is_told_once(followed, change, told_as) -> None:
    await followed.settle()
    followed.port.change("1", by="li.wei", **change)
    await followed.ask()
    await followed.ask()
    await followed.ask(VERIFY_NS / SECOND)
    assert [each[1:] for each in followed.journal.seen()] == [told_as]
    [facts] = followed.journal.facts
    assert facts["origin"] == "seen"
    assert facts["by"] == "li.wei"
    assert {name: facts[name] for name in ("verdict", "part") if name in change} == {
        name: change[name] for name in ("verdict", "part") if name in change
    }
    assert followed.journal.link("H-1")["state"] == told_as[0]


@pytest.mark.parametrize("lists_notes", [True, False])
async def test_notes_are_told_once_each_and_in_order(followed, lists_notes) -> None:
    followed.port.lists_notes = lists_notes
    await followed.settle()
    for text in ("on my way", "门已打开"):
        followed.port.say("1", text)
    await followed.ask()
    followed.port.say("1", "belt changed")
    await followed.ask()
    await followed.ask()
    assert followed.journal.notes() == ["on my way", "门已打开", "belt changed"]


async def test_note_within_the_second_of_the_change_before_is_found(followed) -> None:
    """The system tells whole seconds, its list of changes no notes: nothing in the list shows that there is one more."""
    await followed.settle()
    followed.clock.pass_s(60)
    followed.port.change("1", owner="li.wei")
    await followed.ask(0)
    followed.port.say("1", "on my way")
    await followed.ask(2)
    assert followed.journal.notes() == ["on my way"]
    followed.port.reads.clear()
    await followed.ask(2)
    assert followed.port.reads == [], "and then it is at rest"


async def test_what_happens_while_it_is_down_is_found(followed) -> None:
    await followed.settle()
    followed.clock.pass_s(5 * 3600)
    followed.port.change("1", owner="li.wei")
    followed.clock.pass_s(5 * 3600)
    followed.port.change("1", state=TicketState.RESOLVED)
    await followed.sync.close()
    followed.sync = followed.another()
    await followed.ask()
    assert followed.journal.seen() == [("H-1", "resolved", "li.wei")]


async def test_our_own_delivery_is_not_told_as_peoples(followed) -> None:
    await followed.settle()
    followed.port.change("1", state=TicketState.RESOLVED, status="done")
    keep_link(followed.journal.conn, told("H-1", "1", "memory", "resolved"))
    await followed.ask()
    await followed.ask()
    assert followed.journal.facts == []
    assert followed.journal.link("H-1")["status"] == "done"


@pytest.mark.parametrize("state", ["sending", "uncertain"])
async def test_while_a_delivery_is_under_way_nothing_is_concluded(followed, state) -> None:
    await followed.settle()
    followed.journal.row("H-1", state)
    followed.port.change("1", state=TicketState.RESOLVED)
    await followed.ask()
    assert followed.journal.facts == []
    keep_link(followed.journal.conn, told("H-1", "1", "memory", "resolved"))
    followed.journal.row("H-1", "done")
    await followed.ask()
    assert followed.journal.facts == []


async def test_what_people_do_meanwhile_is_told_afterwards(followed) -> None:
    """Even if it never comes up again, and the collector was restarted in between."""
    await followed.settle()
    followed.journal.row("H-1", "sending")
    followed.port.change("1", owner="li.wei")
    await followed.ask()
    await followed.ask(600)
    followed.journal.row("H-1", "done")
    await followed.sync.close()
    followed.sync = followed.another()
    await followed.ask()
    assert followed.journal.seen() == [("H-1", "open", "li.wei")]


async def test_delivery_between_asking_and_reading(followed) -> None:
    """What was read before our delivery, and compared with what was known after it, would be a change back that nobody made."""
    await followed.settle()

    def deliver(_: str) -> None:
        followed.port.on_read = lambda _: None
        followed.journal.row("H-1", "sending")
        followed.port.change("1", state=TicketState.RESOLVED)
        keep_link(followed.journal.conn, told("H-1", "1", "memory", "resolved"))
        followed.journal.row("H-1", "done")

    followed.port.change("1", owner="li.wei")
    followed.port.on_read = deliver
    await followed.ask()
    await followed.ask()
    assert followed.journal.seen() == [("H-1", "resolved", "li.wei")]


async def test_delivery_while_another_ticket_is_read(followed) -> None:
    """What was known when the round began is not what is compared with."""
    followed.incident("H-2", "2")
    await followed.settle()

    def deliver(ticket: str) -> None:
        if ticket == "1":
            followed.port.change("2", state=TicketState.RESOLVED)
            followed.journal.row("H-2", "sending")
            keep_link(followed.journal.conn, told("H-2", "2", "memory", "resolved"))
            followed.journal.row("H-2", "done")

    followed.clock.pass_s(60)
    followed.port.change("1", owner="li.wei")
    followed.port.change("2")
    followed.port.on_read = deliver
    await followed.ask(0)
    assert followed.port.reads == ["1", "2"]
    assert followed.journal.seen() == [("H-1", "open", "li.wei")]


async def test_ticket_made_anew_starts_anew(followed) -> None:
    """Its owner was not taken from anybody."""
    await followed.settle()
    followed.port.change("1", owner="li.wei")
    await followed.ask()
    del followed.port.tickets["1"]
    followed.port.open("H-1", "2")
    keep_link(followed.journal.conn, told("H-1", "2", "memory", "open"))
    await followed.ask()
    await followed.ask()
    assert followed.journal.seen() == [("H-1", "open", "li.wei")]


async def test_deleted_is_told_once(followed) -> None:
    followed.incident("H-2", "2")
    await followed.settle()
    del followed.port.tickets["1"]
    await followed.ask()
    assert followed.journal.facts == [], "it came up in no list"
    for _ in range(3):
        await followed.ask(VERIFY_NS / SECOND)
    [facts] = followed.journal.facts
    assert facts["gone"]
    assert facts["external_id"] == "1"
    assert followed.journal.link("H-1")["external_id"] == ""


async def test_tickets_that_are_all_gone_at_once_are_not_believed(followed, caplog) -> None:
    for number in range(2, MANY_GONE + 1):
        followed.incident(f"H-{number}", str(number))
    await followed.settle()
    held = followed.port.tickets
    followed.port.tickets = {}
    for _ in range(2):
        with pytest.raises(_AwayError, match="what its user may see"):
            await followed.ask(VERIFY_NS / SECOND)
    followed.port.tickets = held
    await followed.ask()
    assert followed.journal.facts == []


async def test_merged_is_followed(followed) -> None:
    await followed.settle()
    followed.port.open("other", "7", state=TicketState.WORKING, owner="li.wei")
    followed.port.change("1", state=TicketState.DUPLICATE, merged_into="7")
    await followed.ask()
    first, second = followed.journal.facts
    assert (first["external_id"], first["merged_into"], first["state"]) == ("1", "7", "open")
    assert (second["external_id"], second["merged_into"], second["state"], second["owner"]) == (
        "7",
        "",
        "working",
        "li.wei",
    )
    followed.port.change("7", state=TicketState.RESOLVED)
    await followed.ask()
    assert [(each["external_id"], each["state"]) for each in followed.journal.facts[2:]] == [("7", "resolved")]


async def test_tickets_merged_in_a_circle_end(followed) -> None:
    await followed.settle()
    followed.port.open("other", "7", merged_into="1")
    followed.port.change("1", merged_into="7")
    await followed.ask()
    assert followed.journal.facts == []
    assert followed.journal.link("H-1")["external_id"] == "1"


@pytest.mark.parametrize("key", ["", "H-9"])
async def test_edited_key_is_reported_and_the_id_wins(followed, key, caplog) -> None:
    await followed.settle()
    followed.port.change("1", key=key, owner="li.wei")
    await followed.ask()
    await followed.ask()
    assert followed.journal.seen() == [("H-1", "open", "li.wei")]
    assert followed.journal.facts[0]["key"] == key
    assert followed.sync.strange_keys == {"H-1": key}
    assert sum("shows the key" in line for line in caplog.messages) == 1
    followed.port.change("1", key="H-1")
    await followed.ask()
    assert followed.sync.strange_keys == {}


async def test_number_that_was_given_to_another_incidents_ticket(followed) -> None:
    followed.incident("H-2", "2")
    await followed.settle()
    followed.port.change("1", key="H-2")
    await followed.ask()
    assert [(each["incident"], each["gone"]) for each in followed.journal.facts] == [("H-1", True)]


async def test_copy_with_our_key_is_not_the_ticket(followed) -> None:
    await followed.settle()
    followed.port.open("H-1", "9", state=TicketState.CLOSED, owner="somebody")
    await followed.ask()
    assert followed.journal.facts == []
    assert followed.port.reads == ["1"], "its own ticket is looked at"


async def test_ticket_of_an_incident_that_is_over_still_brings_its_verdict(followed) -> None:
    followed.incident("H-2", "2", state="closed")
    await followed.settle()
    followed.port.change("2", verdict="no_fault_found")
    await followed.ask()
    assert [(each["incident"], each["verdict"]) for each in followed.journal.facts] == [("H-2", "no_fault_found")]


async def test_every_living_ticket_is_read_within_the_hour(followed) -> None:
    for number in range(2, 400):
        followed.incident(f"H-{number}", str(number))
    followed.incident("H-over", "over", state="closed")
    for _ in range(10):
        await followed.ask()
    followed.port.reads.clear()
    for _ in range(61):
        await followed.ask()
    assert set(followed.port.reads) == {str(number) for number in range(1, 400)}
    assert len(followed.port.reads) < 2.5 * 400


async def test_crash_before_the_cursor_tells_the_same_again(followed, monkeypatch) -> None:
    """At least once: and the link already says it, so even then it is not told twice unless that is lost, too."""
    await followed.settle()
    before = followed.journal.conn.execute("SELECT cursor FROM sync_cursor").fetchone()
    followed.port.change("1", owner="li.wei")

    def power_cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tillwatch.collector.tickets.two_way.tracked.advance", power_cut)
        with pytest.raises(KeyboardInterrupt):
            await followed.ask()
    assert followed.journal.conn.execute("SELECT cursor FROM sync_cursor").fetchone() == before
    first = dict(followed.journal.facts[0])
    keep_link(followed.journal.conn, told("H-1", "1", "memory", "open") | {"owner": ""})
    await followed.sync.close()
    followed.sync = followed.another()
    await followed.ask()
    assert followed.journal.facts == [first, first]


async def test_change_that_cannot_be_journaled_waits_and_stops_no_other(followed, caplog) -> None:
    followed.incident("H-2", "2")
    await followed.settle()
    followed.journal.fails = 1
    followed.port.change("1", owner="li.wei")
    followed.port.change("2", owner="li.wei")
    await followed.ask()
    await followed.ask()
    assert [each[0] for each in followed.journal.seen()] == ["H-2", "H-1"]


async def test_journal_that_takes_nothing_ends_the_round_and_moves_no_cursor(followed) -> None:
    for number in range(2, 9):
        followed.incident(f"H-{number}", str(number))
    await followed.settle()
    for number in range(1, 9):
        followed.port.change(str(number), owner="li.wei")
    followed.journal.fails = UNKEPT
    with pytest.raises(_AwayError):
        await followed.ask()
    await followed.ask()
    assert len(followed.journal.facts) == 8


@pytest.mark.parametrize("error", [NotAppliedError("no connection"), BarredError("401")])
async def test_system_that_is_down_costs_one_attempt(followed, error) -> None:
    await followed.settle()
    followed.clock.pass_s(VERIFY_NS / SECOND)
    followed.port.raises = [error]
    asked = followed.port.asked
    with pytest.raises(_AwayError):
        await followed.sync.round()
    assert (followed.port.asked - asked, followed.port.reads) == (1, [])


async def test_where_changes_cannot_be_asked_for_tickets_are_read_all_the_same(followed) -> None:
    await followed.settle()
    followed.port.change("1", owner="li.wei")
    followed.port.raises = [RejectedError("unknown field")]
    with pytest.raises(_AwayError, match="unknown field"):
        await followed.ask(VERIFY_NS / SECOND)
    assert followed.journal.seen() == [("H-1", "open", "li.wei")]


async def test_ticket_that_cannot_be_read_stops_no_other(followed, caplog) -> None:
    followed.incident("H-2", "2")
    await followed.settle()
    followed.port.unreadable["1"] = ValueError("secret https://desk/?token=hush")
    followed.port.change("1", owner="li.wei")
    followed.port.change("2", owner="li.wei")
    await followed.ask()
    await followed.ask()
    assert followed.journal.seen() == [("H-2", "open", "li.wei")]
    assert sum("cannot be read" in line for line in caplog.messages) == 1
    assert "hush" not in caplog.text


async def test_storm_is_worked_off_over_several_rounds(followed) -> None:
    number = READ_AT_ONCE * 2 + 30
    for each in range(2, number + 1):
        followed.incident(f"H-{each}", str(each))
    await followed.settle(4)
    for each in range(1, number + 1):
        followed.port.change(str(each), owner="li.wei")
    reads = []
    for _ in range(3):
        followed.port.reads.clear()
        await followed.ask()
        reads.append(len(followed.port.reads))
    assert max(reads) <= 2 * READ_AT_ONCE + 10
    assert sorted(followed.journal.seen()) == sorted((f"H-{each}", "open", "li.wei") for each in range(1, number + 1))


async def test_doubles_are_closed_now_and_then(store, caplog) -> None:
    followed = Followed(store)
    followed.sync = Sync(
        lambda: outbox.connect(store), followed.port, followed.journal, sweeps=followed.port, clock=followed.clock
    )
    followed.incident()
    await followed.settle()
    followed.port.open("H-1", "2")
    await followed.ask()
    assert followed.port.tickets["2"].state is TicketState.OPEN
    followed.journal.row("H-1", "sending")
    await followed.ask(SWEEP_FIRST_NS / SECOND)
    assert followed.port.tickets["2"].state is TicketState.OPEN, "a delivery may be making another one"
    followed.journal.row("H-1", "done")
    await followed.ask(7 * 3600)
    assert followed.port.tickets["2"].state is TicketState.DUPLICATE
    assert followed.port.tickets["1"].state is TicketState.OPEN
    assert followed.journal.facts == []
    await followed.sync.close()
    followed.journal.conn.close()


# Any order of events.

TICKETS = ("1", "2")
EVENT = st.one_of(
    st.tuples(st.just("owner"), st.sampled_from(TICKETS), st.sampled_from(["", "li.wei", "wang"])),
    st.tuples(st.just("state"), st.sampled_from(TICKETS), st.sampled_from(list(TicketState))),
    st.tuples(st.just("say"), st.sampled_from(TICKETS), st.just("")),
    st.tuples(st.just("deliver"), st.sampled_from(TICKETS), st.sampled_from([TicketState.OPEN, TicketState.RESOLVED])),
    st.tuples(st.just("begin"), st.sampled_from(TICKETS), st.just("")),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 0.4, 1.0, 3.0, 60.0]), st.just("")),
    st.tuples(st.just("ask"), st.just(""), st.just("")),
    st.tuples(st.just("ask within a read"), st.just(""), st.just("")),
    st.tuples(st.just("restart"), st.just(""), st.just("")),
)


def careless(path: Path) -> sqlite3.Connection:
    conn = outbox.connect(path)
    conn.execute("PRAGMA synchronous = OFF")
    return conn


@settings(max_examples=40, deadline=None)
@given(events=st.lists(EVENT, max_size=25), lists_notes=st.booleans())
async def test_nothing_is_lost_and_nothing_told_that_nobody_did(events, lists_notes) -> None:
    """People, our deliveries and rounds in any order, within seconds that the system cannot tell apart."""
    with tempfile.TemporaryDirectory() as folder:
        # Without waiting for the disk: this is about the order of things, and there are thousands of transactions.
        followed = Followed(make_store(Path(folder)))
        followed.connect = lambda: careless(followed.path)
        followed.journal.conn.execute("PRAGMA synchronous = OFF")
        followed.sync = followed.another()
        followed.port.lists_notes = lists_notes
        for ticket in TICKETS:
            followed.incident(f"H-{ticket}", ticket)
        await followed.settle()
        said, people, late, asked_at = 0, set(), [], 0

        async def ask() -> None:
            """As soon as the rhythm has it after the round before: what happens next may be in the same second."""
            nonlocal asked_at
            followed.clock.now = max(followed.clock.now, asked_at + 2 * SECOND)
            asked_at = followed.clock.now
            await followed.ask(0)

        def act(kind: str, ticket: str, what: object) -> None:
            nonlocal said
            if kind == "owner":
                people.add(ticket)
                followed.port.change(ticket, owner=what)
            elif kind == "state":
                people.add(ticket)
                followed.port.change(ticket, state=what)
            elif kind == "say":
                people.add(ticket)
                said += 1
                followed.port.say(ticket, f"note {said}")
            elif kind == "begin":
                followed.journal.row(f"H-{ticket}", "sending")
            elif kind == "deliver":
                followed.journal.row(f"H-{ticket}", "sending")
                followed.port.change(ticket, state=what, status=f"ours {what}")
                keep_link(followed.journal.conn, told(f"H-{ticket}", ticket, "memory", what.value))
                followed.journal.row(f"H-{ticket}", "done")

        def within(_: str) -> None:
            if late:
                act(*late.pop())

        for kind, ticket, what in events:
            if kind == "wait":
                followed.clock.pass_s(ticket)
            elif kind == "ask":
                await ask()
            elif kind == "ask within a read":
                # What comes next happens while a ticket is being read.
                late[:] = [event for event in events if event[0] in {"owner", "say", "deliver"}][:1]
                followed.port.on_read = within
                await ask()
                followed.port.on_read = lambda _: None
            elif kind == "restart":
                await followed.sync.close()
                followed.sync = followed.another()
            else:
                act(kind, ticket, what)
        for ticket in TICKETS:
            followed.journal.row(f"H-{ticket}", "done")
        for _ in range(4):
            await ask()
        for ticket in TICKETS:
            link, held = followed.journal.link(f"H-{ticket}"), followed.port.tickets[ticket]
            assert (link["state"], link["owner"], link["status"]) == (held.state.value, held.owner, held.status)
        assert sorted(followed.journal.notes()) == sorted(f"note {number + 1}" for number in range(said))
        assert {each["external_id"] for each in followed.journal.facts} <= people
        await followed.sync.close()
        followed.journal.conn.close()


# The task.


@contextlib.asynccontextmanager
async def running(sync: Sync):
    task = asyncio.create_task(sync.run())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_it_asks_by_itself(followed, until) -> None:
    async with running(followed.sync):
        await until(lambda: followed.port.asked > 2)
        followed.port.change("1", owner="li.wei")
        await until(lambda: followed.journal.facts)
    assert followed.journal.seen() == [("H-1", "open", "li.wei")]


async def test_hint_is_followed_at_once_and_a_flood_asks_one_at_a_time(store, until) -> None:
    followed = Followed(store, rhythm=Rhythm(poll_s=3600, hinted_s=0.05))
    followed.incident()
    at_once, most = 0, 0
    ask = followed.port.changed_since

    async def counted(cursor: str):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        for _ in range(100):  # of other tasks
            await asyncio.sleep(0)
        try:
            return await ask(cursor)
        finally:
            at_once -= 1

    followed.port.changed_since = counted
    async with running(followed.sync):
        await until(lambda: followed.port.asked == 1)
        followed.port.change("1", owner="li.wei")
        calls = 0
        began = asyncio.get_running_loop().time()
        while not followed.journal.facts:
            followed.sync.hint()
            calls += 1
            await asyncio.sleep(0)
        took = asyncio.get_running_loop().time() - began
    assert followed.journal.seen() == [("H-1", "open", "li.wei")]
    assert most == 1
    assert calls > 20
    assert followed.port.asked <= 3 + took / 0.05
    followed.journal.conn.close()


async def test_it_goes_on_after_failures_and_says_so_once(followed, until, caplog) -> None:
    caplog.set_level(logging.INFO)
    followed.port.raises = [NotAppliedError("no connection to desk") for _ in range(5)]
    async with running(followed.sync):
        await until(lambda: followed.sync.down_since is not None)
        await until(lambda: followed.sync.down_since is None)
    lines = [line for line in caplog.messages if line.startswith("memory:")]
    assert len(lines) == 2
    assert "no connection to desk" in lines[0]
    assert "again" in lines[1]


async def test_error_of_the_connector_ends_nothing(followed, until) -> None:
    followed.port.raises = [RuntimeError("bug"), RuntimeError("bug")]
    async with running(followed.sync) as task:
        await until(lambda: followed.port.asked > 4)
        assert not task.done()
