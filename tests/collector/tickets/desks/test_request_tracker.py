"""Request Tracker, against a real one."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.collector.tickets.desks.contract import Contract
from tests.collector.tickets.desks.proxy import FaultProxy
from tests.collector.tickets.desks.request_tracker_server import SECOND_QUEUE, RequestTrackerServer, running
from tillwatch.collector.tickets.desk import Desk
from tillwatch.collector.tickets.desks.request_tracker import RequestTracker, Settings
from tillwatch.collector.tickets.message import Op, TicketState
from tillwatch.collector.tickets.port import (
    Barred,
    Done,
    Draft,
    GoneError,
    Leg,
    Link,
    NotAppliedError,
    Outcome,
    RejectedError,
    Retry,
    Uncertain,
)
from tillwatch.collector.tickets.products import rest2


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RequestTrackerServer]:
    with running(tmp_path_factory.mktemp("rt")) as server:
        yield server


class TestRequestTracker(Contract):
    etags = True
    # Its requests take 20 to 90 ms, on a machine with nothing else to do.
    slow_timeout_s = 2.0
    # Its lifecycle has no word for what was closed after it was resolved.
    changes = Contract.changes | {"close": TicketState.RESOLVED}

    @pytest.mark.parametrize("edits", [1, 2])
    async def test_two_edits_at_the_same_time(self, system, connect, key, edits) -> None:
        """A real 412, where the contract makes one up for every write: the technician writes between our look and our change."""
        left = [0] * edits

        def meanwhile(method: str, path: str) -> bool:
            if method == "PUT" and left:
                left.pop()
                system.person(path.rpartition("/")[2], "note", "I am there")
            return False

        with FaultProxy(system.address, meanwhile) as proxy:
            proxy.writes = ["pass"]
            port = connect(proxy.address)
            made = await port.create(draft(key))
            if edits == 1:
                await port.set_state(made.id, TicketState.ON_HOLD, "")
            else:
                with pytest.raises(NotAppliedError, match="somebody else"):
                    await port.set_state(made.id, TicketState.ON_HOLD, "")
            [seen] = system.tickets(key)
            assert left == []
            assert seen.notes == ["I am there"] * edits
            assert seen.state is (TicketState.ON_HOLD if edits == 1 else TicketState.OPEN)


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    return f"HWM-{zlib.crc32(request.node.nodeid.encode()):08x}-7"


@pytest.fixture
async def connect(system: RequestTrackerServer) -> AsyncIterator[Callable[..., RequestTracker]]:
    made: list[RequestTracker] = []

    def connected(address: str = "", **settings: Any) -> RequestTracker:
        made.append(system.connector(address or system.address, **settings))
        return made[-1]

    yield connected
    for each in made:
        await each.close()


@pytest.fixture
def port(connect: Callable[..., RequestTracker]) -> RequestTracker:
    return connect()


def draft(key: str, **fields: Any) -> Draft:
    return Draft(key, **({"title": "UPS 电池", "body": "runs on battery", "level": 1} | fields))


async def test_level_becomes_priority_and_its_field(system, port, key) -> None:
    for level, priority in ((1, 100), (2, 50), (3, 0)):
        made = await port.create(draft(f"{key}{level}", level=level))
        assert system.column(made.id, "Priority") == priority
        [seen] = system.tickets(f"{key}{level}")
        assert [each.id for each in system.tickets(str(level), "FaultLevel") if each.id == made.id] == [seen.id]


async def test_quotes_in_a_key_a_field_and_a_queue(system, connect, key) -> None:
    port = connect(key_field="Chef's key")
    for odd in (f"{key}'1", f"{key}''2", f"{key}\\3", f"{key}\\'4", f"{key}'OR'1'='1"):
        made = await port.create(draft(odd))
        assert [each.id for each in await port.find(odd)] == [made.id], odd
    plain = connect(queue=SECOND_QUEUE)
    assert await plain.preflight() == []
    made = await plain.create(draft(key))
    queues = {made.id: system.column(made.id, "Queue")}
    made = await connect().create(draft(f"{key}2", queue=SECOND_QUEUE))
    queues[made.id] = system.column(made.id, "Queue")
    assert len(queues) == 2
    assert len(set(queues.values())) == 1


async def test_unknown_status_is_answered_with_200_and_noticed(system, connect, key) -> None:
    port = connect(states={"no such": "on_hold"})
    made = await port.create(draft(key))
    # The sentence is in Chinese around the word that it declines.
    with pytest.raises(RejectedError, match=f"{made.id} did not become on_hold: .*'no such'"):
        await port.set_state(made.id, TicketState.ON_HOLD, "")
    [seen] = system.tickets(key)
    assert seen.state is TicketState.OPEN


async def test_unknown_key_field_would_be_answered_with_201(connect, message, key) -> None:
    port = connect(key_field="Nonsense")
    [problem] = await port.preflight()
    assert "'Nonsense'" in problem.what
    outcome = await Desk(port).deliver(message(key), None, doubtful=False, leg=Leg())
    assert outcome == Retry(outcome.reason, refused=True)
    # A field that was taken away later: the ticket is made without its key, and the read-back says so.
    outcome = await Desk(in_haste(port)).deliver(message(key), None, doubtful=False, leg=Leg())
    assert isinstance(outcome, Done)
    assert "does not show its key" in outcome.also
    # Why that is asked before the first ticket: nothing will ever find this one, and no word of it.
    assert await port.find(key) == []


@pytest.mark.parametrize(("queue", "lacking"), [("Nowhere", "'Nowhere'"), ("Keyless", "'DedupKey'")])
async def test_queue_of_a_route_that_does_not_do_refuses_one_message(
    system, connect, message, key, queue, lacking
) -> None:
    outcome = await Desk(connect()).deliver(message(key), None, doubtful=False, leg=Leg(queue=queue))
    assert outcome == Retry(outcome.reason, refused=True)
    assert lacking in outcome.reason
    assert system.tickets(key) == []


async def test_right_that_was_withdrawn_later_refuses_one_message(connect, message, key) -> None:
    port = connect()
    port._fit.add("Secret")
    outcome = await Desk(port).deliver(message(key), None, doubtful=False, leg=Leg(queue="Secret"))
    assert outcome == Retry(outcome.reason, refused=True)
    assert "CreateTicket" in outcome.reason


async def test_queue_without_the_key_field_or_the_right_to_it(connect) -> None:
    assert "'DedupKey'" in (await connect(queue="Keyless").preflight())[0].what
    [problem] = await connect(queue="Secret").preflight()
    assert "SeeQueue" in problem.mend


async def test_ticket_that_may_be_made_and_not_be_read_bars_the_system(system, connect, message, key) -> None:
    """Otherwise each doubt would make one more, since none is ever found."""
    port = connect(queue="Letterbox")
    desk = Desk(port)
    assert await port.preflight() == []
    outcome = await desk.deliver(message(key), None, doubtful=False, leg=Leg())
    assert isinstance(outcome, Uncertain)
    assert isinstance(await desk.deliver(message(key), None, doubtful=True, leg=Leg()), Barred)
    [problem] = await port.preflight()
    assert "ShowTicket" in problem.mend
    [seen] = system.tickets(key)
    # The way out: somebody mends it, here by moving the ticket.
    system.rest("PUT", f"ticket/{seen.id}", {"Queue": "Hardware"})
    assert await port.preflight() == []
    again = await desk.deliver(message(key), None, doubtful=True, leg=Leg())
    assert isinstance(again, Done)
    assert again.external_id == seen.id


async def test_secret_that_ends_half_way_leaves_one_ticket(system, connect, message, key, tmp_path: Path) -> None:
    """A token withdrawn between the ticket and its read-back."""
    secret = tmp_path / "token"
    secret.write_text(system.token)

    def withdrawn(method: str, path: str) -> bool:
        if method == "POST":
            secret.write_text("1-27-withdrawn")
        return False

    with FaultProxy(system.address, withdrawn) as proxy:
        proxy.writes = ["pass"]
        desk = Desk(connect(proxy.address, secret_file=secret))
        assert isinstance(await desk.deliver(message(key), None, doubtful=False, leg=Leg()), Uncertain)
        assert isinstance(await desk.deliver(message(key), None, doubtful=True, leg=Leg()), Barred)
        secret.write_text(system.token)
        assert isinstance(await desk.deliver(message(key), None, doubtful=True, leg=Leg()), Done)
    assert len(system.tickets(key)) == 1


async def test_ticket_moved_to_where_we_may_not_look_is_refused_alone(system, port, message, key) -> None:
    desk = Desk(port)
    made = await desk.deliver(message(key), None, doubtful=False, leg=Leg())
    assert isinstance(made, Done)
    system.rest("PUT", f"ticket/{made.external_id}", {"Queue": "Secret"})
    link = Link(made.external_id, made.url, made.state)
    outcome = await desk.deliver(message(key, Op.UPDATE, 2), link, doubtful=False, leg=Leg())
    assert outcome == Retry(outcome.reason, refused=True)
    assert "ShowTicket" in outcome.reason
    assert len(system.tickets(key)) == 1


async def test_other_lifecycle_needs_its_words_and_takes_them(system, connect, key) -> None:
    [problem] = await connect(queue="Maintenance").preflight()
    assert "'maintenance'" in problem.what
    port = connect(queue="Maintenance", states={"queued": "open", "at site": "working", "done": "resolved"})
    assert await port.preflight() == []
    made = await port.create(draft(key))
    assert (await port.read(made.id)).state is TicketState.OPEN
    await port.set_state(made.id, TicketState.RESOLVED, "")
    assert (await port.read(made.id)).status == "done"
    # Nothing leads from done to queued: the other word for one that lives.
    await port.set_state(made.id, TicketState.OPEN, "")
    assert (await port.read(made.id)).state is TicketState.WORKING
    await port.set_state(made.id, TicketState.DUPLICATE, "")
    assert (await port.read(made.id)).status == "done"


async def test_merged_tickets_are_found_as_what_they_are(system, port, message, key) -> None:
    ours, other = (await port.create(draft(key))).id, (await port.create(draft(key))).id
    system.person(ours, "merge", other)
    found = await port.find(key)
    assert [(each.id, each.state, each.merged_into) for each in found] == [
        (ours, TicketState.DUPLICATE, other),
        (other, TicketState.OPEN, ""),
    ]
    outcome = await Desk(port).deliver(message(key), None, doubtful=True, leg=Leg())
    assert isinstance(outcome, Done)
    assert outcome.external_id == other
    assert (await port.read(other)).state is TicketState.OPEN


async def test_ticket_that_goes_on_in_one_of_the_technicians_is_followed(system, port, key) -> None:
    ours = (await port.create(draft(key))).id
    theirs = system.rest("POST", "ticket", {"Queue": "Hardware", "Subject": "branch is dark"})["id"]
    stray = system.rest("POST", "ticket", {"Queue": "Hardware", "Subject": "coffee machine"})["id"]
    _, cursor = await port.changed_since("")
    system.person(ours, "merge", theirs)
    system.person(theirs, "resolve")
    system.person(stray, "resolve")
    changed, _ = await port.changed_since(cursor)
    seen = {each.id: each for each in changed}
    assert (seen[ours].key, seen[ours].merged_into, seen[ours].by) == (key, theirs, "li.wei")
    # It holds no key. What it goes on for does.
    assert (seen[theirs].key, seen[theirs].state) == ("", TicketState.RESOLVED)
    assert stray not in seen


async def test_deleted_ticket_is_gone_and_told_of(system, port, key) -> None:
    made = await port.create(draft(key))
    _, cursor = await port.changed_since("")
    system.person(made.id, "delete")
    for doing in (port.read(made.id), port.set_state(made.id, TicketState.RESOLVED, ""), port.read("999999")):
        with pytest.raises(GoneError):
            await doing
    for odd in ("999999", "x/../1"):
        with pytest.raises(GoneError):
            await port.note(odd, "text")
    assert await port.find(key) == []
    changed, _ = await port.changed_since(cursor)
    assert [(each.status, each.key, each.by) for each in changed if each.id == made.id] == [("deleted", key, "li.wei")]


async def test_our_own_changes_are_not_told_back(system, port, key) -> None:
    _, cursor = await port.changed_since("")
    made = await port.create(draft(key))
    await port.note(made.id, "ours")
    await port.set_state(made.id, TicketState.ON_HOLD, "")
    changed, cursor = await port.changed_since(cursor)
    assert made.id not in {each.id for each in changed}
    system.person(made.id, "own")
    # Ours is the last change, and his is not forgotten over it.
    await port.note(made.id, "ours again")
    changed, _ = await port.changed_since(cursor)
    [remote] = [each for each in changed if each.id == made.id]
    assert (remote.owner, remote.by, remote.said) == ("li.wei", "li.wei", ())


async def test_what_people_wrote_in_either_form(system, port, key, monkeypatch) -> None:
    monkeypatch.setattr(rest2, "MAX_NOTE", 2000)
    made = await port.create(draft(key))
    _, cursor = await port.changed_since("")
    rich = "<p>换了电池 &amp; 测试<br />两次</p><p>ok</p>"
    system.rest("POST", f"ticket/{made.id}/comment", {"Content": rich, "ContentType": "text/html"})
    system.rest("POST", f"ticket/{made.id}/comment", {"Content": "x" * 3000, "ContentType": "text/plain"})
    photo = {"FileName": "a.txt", "FileType": "text/plain", "FileContent": base64.b64encode(b"log").decode()}
    reply = {"Content": "see the file", "ContentType": "text/plain", "Attachments": [photo]}
    system.rest("POST", f"ticket/{made.id}/correspond", reply)
    changed, _ = await port.changed_since(cursor)
    [remote] = [each for each in changed if each.id == made.id]
    assert [said.text for said in remote.said] == [
        "换了电池 & 测试\n两次\nok",
        "(too long to be repeated here)",
        "see the file",
    ]
    assert [int(said.id) for said in remote.said] == sorted(int(said.id) for said in remote.said)
    assert {said.by for said in remote.said} == {"li.wei"}
    assert (await port.read(made.id)).said == remote.said
    # A reply opens the ticket by itself: RT did that, and he caused it.
    assert (remote.state, remote.by) == (TicketState.WORKING, "li.wei")


async def test_what_the_technician_found(system, port, key) -> None:
    made = await port.create(draft(key))
    system.rest("PUT", f"ticket/{made.id}", {"CustomFields": {"Verdict": "误报", "Part": "RBC48 电池"}})
    remote = await port.read(made.id)
    assert (remote.verdict, remote.part) == ("false_alarm", "RBC48 电池")


async def test_window_is_not_moved_by_the_time_zone_of_our_user(system, port, key) -> None:
    """He lives eight hours east of the server's clock."""
    made = [(await port.create(draft(f"{key}{at}"))).id for at in range(2)]
    _, cursor = await port.changed_since("")
    for each in made:
        system.person(each, "own")
    system.backdate(made[0], 3600)
    changed, _ = await port.changed_since(cursor)
    assert [each.id for each in changed if each.id in made] == made[1:]


async def test_cursor_stands_in_the_middle_of_many(system, port, key, monkeypatch) -> None:
    monkeypatch.setattr(rest2, "PAGE", 2)
    monkeypatch.setattr(rest2, "TICKET_PAGES", 1)
    made = [(await port.create(draft(f"{key}{at}"))).id for at in range(5)]
    _, cursor = await port.changed_since("")
    for each in made:
        system.person(each, "own")
    since, _, _ = cursor.partition("/")
    cursor = f"{since}/{int(made[0]) - 1}"
    pages = []
    while not cursor.endswith("/0"):
        changed, cursor = await port.changed_since(cursor)
        pages.append([each.id for each in changed if each.key])
        assert cursor in {f"{since}/{made[1]}", f"{since}/{made[3]}"} or cursor.endswith("/0")
    assert pages[:2] == [made[:2], made[2:4]]
    assert made[4] in pages[2]


async def test_note_is_found_behind_many(port, key, monkeypatch) -> None:
    monkeypatch.setattr(rest2, "NOTES", 2)
    made = await port.create(draft(key))
    for at in range(5):
        await port.note(made.id, f"充电 {at} [{key}/{at}]")
    assert await port.has_note(made.id, f"[{key}/0]")
    assert not await port.has_note(made.id, f"[{key}/9]")


def in_haste(port: RequestTracker) -> RequestTracker:
    """One that has seen its queue before: its first request is the ticket."""
    port._fit.add("Hardware")
    return port


async def test_request_that_waited_is_carried_out_after_the_search(system, connect, message, key) -> None:
    """Why doubt waits: what was asked first may happen last."""
    async with held_back(system.address) as (address, held, release):
        hasty = Desk(in_haste(connect(address, timeout=0.3)))
        assert isinstance(await hasty.deliver(message(key), None, doubtful=False, leg=Leg()), Uncertain)
        assert held.is_set()
        patient = Desk(connect())
        assert await patient.port.find(key) == []
        await release()
        outcome = await patient.deliver(message(key), None, doubtful=True, leg=Leg())
    assert isinstance(outcome, Done)
    assert [seen.id for seen in system.tickets(key)] == [outcome.external_id]


async def test_hasty_sender_before_three_workers_leaves_one_ticket_each(system, connect, message, key) -> None:
    with FaultProxy(system.start_workers()) as proxy:
        hasty, patient = Desk(in_haste(connect(proxy.address, timeout=0.05))), Desk(connect(proxy.address))
        assert patient.settle_s >= 30
        keys = [f"{key}{at}" for at in range(9)]

        async def told(desk: Desk, each: str, doubt: bool) -> Outcome:
            return await desk.deliver(message(each), None, doubtful=doubt, leg=Leg())

        first = dict(zip(keys, await asyncio.gather(*(told(hasty, each, False) for each in keys)), strict=True))
        assert any(isinstance(outcome, Uncertain) for outcome in first.values()), first
        # What the settle time is for: until nothing is under way any more.
        await asyncio.to_thread(proxy.wait_idle)
        for each, outcome in first.items():
            if not isinstance(outcome, Done):
                assert isinstance(await told(patient, each, isinstance(outcome, Uncertain)), Done)
    assert [len(system.tickets(each)) for each in keys] == [1] * len(keys)


@pytest.mark.parametrize(
    ("field", "value", "mend"), [("queue", "", "queue"), ("key_field", "{x}", "braces"), ("url", "", "url")]
)
def test_settings_that_cannot_work(field, value, mend) -> None:
    given = {"url": "https://rt.bank.example", "queue": "Hardware", "secret_env": "RT_TOKEN"} | {field: value}
    problem = Settings(**given).problem()
    assert problem is not None
    assert mend in problem[1]


async def test_secret_that_is_no_token_is_named(connect, tmp_path: Path) -> None:
    wrong = tmp_path / "secret"
    wrong.write_text("password")
    [problem] = await connect(secret_file=wrong).preflight()
    assert "authentication token" in problem.what
    assert not problem.passing


@contextlib.asynccontextmanager
async def held_back(address: str) -> AsyncIterator[tuple[str, asyncio.Event, Callable[[], Any]]]:
    """A gateway that keeps the first request to itself until it is told to let go, whoever still waits. Yields its address, whether it holds one, and
    how to let go, which returns when the server behind has answered.
    """
    target = urlsplit(address)
    held, go = asyncio.Event(), asyncio.Event()
    carried: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
        body = await reader.readexactly(length)
        held.set()
        await go.wait()
        back, onward = await asyncio.open_connection(target.hostname, target.port)
        onward.write(re.sub(rb"(?i)connection: [\w-]+", b"connection: close", head) + body)
        carried.set_result(await back.read())
        for each in (onward, writer):
            each.close()

    async def release() -> None:
        go.set()
        async with asyncio.timeout(60):
            assert b" 201 " in (await carried).splitlines()[0]

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", held, release
