"""From the outbox to a real ticket desk: 0 lost, 0 doubled, in order, whatever breaks in between."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tillwatch.collector.tickets import outbox
from tillwatch.collector.tickets.delivery import IN_FLIGHT, Pace
from tillwatch.collector.tickets.desks.webhook import WebhookPort
from tillwatch.collector.tickets.links import keep_link
from tillwatch.collector.tickets.message import Op
from tillwatch.collector.tickets.port import Barred, Destination, Done, Problem, Retry, Uncertain
from tillwatch.collector.tickets.sender import OutboxSender
from tillwatch.collector.tickets.signature import read_secrets

QUEUE = "webhook"
QUICK = Pace(base_s=0.01, cap_s=0.05, refused_s=0.05)
KILLED_SENDER = Path(__file__).with_name("killed_sender.py")
NOW = 1_772_352_000_000_000_000


@contextlib.asynccontextmanager
async def running(sender: OutboxSender):
    task = asyncio.create_task(sender.run())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def write(store):
    """Enqueue messages as the collector's store does: in a transaction of its own connection."""
    with contextlib.closing(sqlite3.connect(store, timeout=60, isolation_level=None)) as conn:

        def enqueue(*messages) -> None:
            conn.execute("BEGIN IMMEDIATE")
            for message in messages:
                assert outbox.enqueue(conn, message, NOW, [Destination("drills" if message.drill else QUEUE)])
            conn.execute("COMMIT")

        yield enqueue


@pytest.fixture
def sender_to(store, secret_file):
    def make(address: str, **options) -> OutboxSender:
        port = WebhookPort(address, read_secrets(secret_file), timeout_s=options.pop("timeout_s", 0.4), settle_s=0.02)
        hear = options.pop("on_change", None)

        async def journal(facts) -> None:
            if hear is not None:
                await hear(facts)
            with contextlib.closing(outbox.connect(store)) as conn:
                keep_link(conn, facts)

        return OutboxSender(lambda: outbox.connect(store), port, on_change=journal, **({"pace": QUICK} | options))

    return make


class Heard:
    """What the journal would have heard."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, str, str]] = []

    async def __call__(self, facts) -> None:
        assert facts["origin"] == "delivered"
        self.changes.append((facts["incident"], facts["state"], facts["external_id"]))


class StubPort:
    """A port of the test's own, where the matter is the sender and not HTTP."""

    name = QUEUE
    settle_s = 0.01
    coalesces = False

    def __init__(self, deliver) -> None:
        self._deliver = deliver
        self.closed = False

    async def preflight(self):
        return []

    async def deliver(self, message, link, *, doubtful, leg):
        return await self._deliver(message, link, doubtful)

    async def close(self) -> None:
        self.closed = True


def whole_life(message, incident: str, level: int = 2):
    return [message(incident, op, seq, level=level) for seq, op in enumerate((Op.OPEN, Op.UPDATE, Op.RESOLVE), 1)]


def assert_told_exactly_once(desk, incidents) -> None:
    """Every message acted on once and in order; every ticket at its end."""
    tickets = {ticket["incident"]: ticket for ticket in desk.tickets()}
    assert sorted(tickets) == sorted(incidents)
    assert all(ticket["state"] == "resolved" for ticket in tickets.values())
    assert all(ticket["history"] == ["1 opened", "2 updated", "3 resolved"] for ticket in tickets.values())
    assert len({ticket["id"] for ticket in tickets.values()}) == len(tickets)


def links(store) -> dict[str, tuple[str, str, str]]:
    with contextlib.closing(sqlite3.connect(store)) as conn:
        return {
            row[0]: row[1:] for row in conn.execute("SELECT incident, connector, external_id, state FROM ticket_link")
        }


async def test_an_incident_is_told_to_its_end_and_the_journal_hears_of_it(
    store, desk, write, sender_to, states, until, message
) -> None:
    heard = Heard()
    sender = sender_to(desk.address, on_change=heard)
    async with running(sender):
        write(*whole_life(message, "HWM-0011-1"))
        sender.wake()
        await until(lambda: states() == {"done": 3})
    assert_told_exactly_once(desk, ["HWM-0011-1"])
    assert links(store) == {"HWM-0011-1": ("webhook", "T-0001", "resolved")}
    assert heard.changes == [("HWM-0011-1", state, "T-0001") for state in ("open", "open", "resolved")]


async def test_drills_have_a_queue_and_a_receiver_of_their_own(
    store, desk, write, sender_to, states, until, message
) -> None:
    heard: dict[str, list[str]] = {"tickets": [], "drills": []}

    def port(name: str) -> StubPort:
        async def deliver(told, link, doubtful):
            heard[name].append(told.incident)
            return Retry("away", after_s=3600) if name == "tickets" else Done()

        return StubPort(deliver)

    tickets = OutboxSender(lambda: outbox.connect(store), port("tickets"), pace=QUICK)
    drills = OutboxSender(lambda: outbox.connect(store), port("drills"), pace=QUICK, connector="drills")
    write(
        *whole_life(message, "HWM-0011-1"),
        *(message("HWM-0022-1", op, seq, drill=True) for seq, op in ((1, Op.OPEN), (2, Op.RESOLVE))),
    )
    async with running(tickets), running(drills):
        await until(lambda: states() == {"done": 2, "pending": 3} and bool(heard["tickets"]))
    assert heard == {"tickets": ["HWM-0011-1"], "drills": ["HWM-0022-1"] * 2}, "neither waits for the other's receiver"
    assert links(store) == {}, "a drill has no ticket"


async def test_through_every_misbehaviour_nothing_is_lost_or_doubled(
    store, proxy, desk, write, sender_to, states, until, message
) -> None:
    dice = random.Random(7)
    bad = ["500", "500 after commit", "hang", "drop", "drop after commit", "drip", "302", "400", "401", "login", "502"]
    proxy.script = [dice.choice([*bad, *["pass"] * len(bad)]) for _ in range(150)]
    incidents = [f"HWM-{number:04}-1" for number in range(30)]
    messages = [
        one for number, incident in enumerate(incidents) for one in whole_life(message, incident, level=1 + number % 3)
    ]
    heard = Heard()
    sender = sender_to(proxy.address, on_change=heard)
    async with running(sender):
        write(*messages[:45])
        sender.wake()
        await until(lambda: len(proxy.seen) >= 20)
        write(*messages[45:])
        sender.wake()
        await until(lambda: states() == {"done": 90}, 90)
    assert_told_exactly_once(desk, incidents)
    assert len(proxy.seen) > 90
    assert sum(entry["repeated"] for entry in desk.received()) > 0, (
        "no attempt was repeated: the proxy did not misbehave"
    )
    told = {ticket["incident"]: ticket["id"] for ticket in desk.tickets()}
    assert links(store) == {incident: ("webhook", told[incident], "resolved") for incident in incidents}
    assert {change[0] for change in heard.changes if change[1] == "resolved"} == set(incidents)


async def test_success_without_a_readable_answer_counts(
    store, proxy, desk, write, sender_to, states, until, message
) -> None:
    proxy.script = ["pass", "garbage", "huge"]
    async with running(sender_to(proxy.address)):
        write(*whole_life(message, "HWM-0011-1"))
        await until(lambda: states() == {"done": 3})
    assert_told_exactly_once(desk, ["HWM-0011-1"])
    assert links(store) == {"HWM-0011-1": ("webhook", "T-0001", "resolved")}


async def test_a_wait_that_is_asked_for_holds_the_whole_endpoint(
    proxy, write, sender_to, states, until, message
) -> None:
    offset = 0
    proxy.script = ["429"]
    sender = sender_to(proxy.address, clock=lambda: NOW + offset, jitter=lambda: 0.0)
    async with running(sender):
        write(message("HWM-a-1", level=1))
        sender.wake()
        await until(lambda: len(proxy.seen) == 1 and states() == {"pending": 1})
        write(message("HWM-b-1", level=1))
        sender.wake()
        await asyncio.sleep(0)
        offset = 999_000_000
        sender.wake()
        # 20 wakes are 20 chances to send too early
        for _ in range(20):
            sender.wake()
            await asyncio.sleep(0.01)
        assert len(proxy.seen) == 1
        offset = 1_001_000_000
        sender.wake()
        await until(lambda: len(proxy.seen) == 3)


async def test_gone_keeps_everything_until_a_person_enables_it(
    proxy, desk, write, sender_to, states, until, message, caplog
) -> None:
    proxy.script = ["410"]
    sender = sender_to(proxy.address)
    async with running(sender):
        write(*whole_life(message, "HWM-a-1"))
        await until(lambda: bool(sender.disabled) and states() == {"pending": 3})
        write(message("HWM-b-1"))
        for _ in range(10):
            sender.wake()
            await asyncio.sleep(0.01)
        assert len(proxy.seen) == 1
        assert states() == {"pending": 4}
        assert sender.down_since is not None
        sender.enable()
        await until(lambda: states() == {"done": 4})
        assert sender.down_since is None
        assert not sender.disabled
    assert [record.levelname for record in caplog.records if "wants no more" in record.message] == ["ERROR"]


async def test_one_poison_row_stops_no_other(store, write, states, until, message) -> None:
    delivered = []

    async def deliver(one, link, doubtful):
        if one.incident == "poison":
            raise RuntimeError("https://desk/?token=s3cr3t")
        delivered.append(one.incident)
        return Done()

    with contextlib.closing(sqlite3.connect(store)) as conn, conn:
        conn.execute(
            "INSERT INTO outbox (connector, incident, op, seq, body, level, created_at, state) VALUES ('webhook', 'junk', 'open', 1, x'c1', 1, 0, 'pending')"
        )
    write(message("poison", level=1), *[message(f"HWM-{n}-1", level=3) for n in range(20)])
    async with running(OutboxSender(lambda: outbox.connect(store), StubPort(deliver), pace=QUICK)):
        await until(
            lambda: (
                states() == {"done": 20, "uncertain": 1, "dead": 1} or states() == {"done": 20, "sending": 1, "dead": 1}
            )
        )
    assert len(delivered) == 20


async def test_at_most_one_in_flight_for_an_incident_and_few_in_all(store, write, states, until, message) -> None:
    in_flight: set[str] = set()
    most = 0

    async def deliver(one, link, doubtful):
        nonlocal most
        assert one.incident not in in_flight
        in_flight.add(one.incident)
        most = max(most, len(in_flight))
        await asyncio.sleep(0.002)
        in_flight.remove(one.incident)
        return random.choice([Done(), Done(), Uncertain("?"), Retry("no")])

    sender = OutboxSender(lambda: outbox.connect(store), StubPort(deliver), pace=Pace(0.001, 0.005, 0.005))
    async with running(sender):
        for number in range(12):
            write(*whole_life(message, f"HWM-{number}-1"))
            sender.wake()
        await until(lambda: states() == {"done": 36})
    assert 1 < most <= IN_FLIGHT


async def test_what_the_journal_did_not_take_is_told_again(store, write, states, until, message) -> None:
    doubts, heard = [], Heard()

    async def deliver(one, link, doubtful):
        doubts.append(doubtful)
        return Done("T-1", "", "open")

    async def full_once(*change) -> None:
        if len(doubts) == 1:
            raise OSError(28, "No space left on device")
        await heard(*change)

    async with running(OutboxSender(lambda: outbox.connect(store), StubPort(deliver), on_change=full_once, pace=QUICK)):
        write(message())
        await until(lambda: states() == {"done": 1})
    assert doubts == [False, True]
    assert heard.changes == [("HWM-0011-1", "open", "T-1")]


async def test_a_busy_store_is_waited_for(
    store, desk, write, sender_to, states, until, message, caplog, monkeypatch
) -> None:
    monkeypatch.setattr(outbox, "BUSY_S", 0.05)
    monkeypatch.setattr("tillwatch.collector.tickets.store_thread.STORE_AGAIN_S", 0.05)
    caplog.set_level(logging.INFO)
    write(message())
    with contextlib.closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with running(sender_to(desk.address)):
            await until(lambda: "the store refuses: database is locked" in caplog.text)
            assert states() == {"pending": 1}
            other.execute("COMMIT")
            await until(lambda: states() == {"done": 1})
    texts = [record.message for record in caplog.records if "outbox webhook" in record.message]
    assert len(texts) == 2
    assert texts[1] == "outbox webhook: the store answers again"


async def test_an_outage_is_one_line_at_its_start_and_one_at_its_end(
    proxy, write, sender_to, states, until, message, caplog
) -> None:
    caplog.set_level(logging.INFO, "tillwatch")
    proxy.script = ["500"] * 15
    async with running(sender_to(proxy.address)):
        write(*[message(f"HWM-{n}-1") for n in range(12)])
        await until(lambda: states() == {"done": 12})
    texts = [record.message for record in caplog.records]
    assert sum("ticket messages wait and are tried one at a time" in text for text in texts) == 1
    assert sum("takes ticket messages again" in text for text in texts) == 1
    assert len(texts) <= 2 + 2 * IN_FLIGHT


async def test_a_broken_store_ends_the_sender_aloud(store, write, message) -> None:
    async def deliver(one, link, doubtful):
        with contextlib.closing(sqlite3.connect(store)) as conn, conn:
            conn.execute("ALTER TABLE outbox DROP COLUMN answer")
        return Done()

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(store, isolation_level=None, factory=Broken)

    class Broken(sqlite3.Connection):
        def execute(self, sql, *parameters):
            try:
                return super().execute(sql, *parameters)
            except sqlite3.OperationalError as error:
                raise sqlite3.DatabaseError(str(error)) from error

    write(message())
    port = StubPort(deliver)
    with pytest.raises(sqlite3.DatabaseError):
        await asyncio.wait_for(OutboxSender(connect, port, pace=QUICK).run(), 60)
    assert port.closed


async def test_what_comes_due_between_two_looks_is_not_slept_over(store, write, states, until, message) -> None:
    async def deliver(one, link, doubtful):
        return Done()

    write(message())
    with contextlib.closing(sqlite3.connect(store)) as conn, conn:
        conn.execute("UPDATE outbox SET not_before = ?", (NOW + 15_000_000,))
    times = itertools.count(NOW, 10_000_000)
    async with running(OutboxSender(lambda: outbox.connect(store), StubPort(deliver), clock=lambda: next(times))):
        await until(lambda: states() == {"done": 1}, 60)


@pytest.mark.parametrize("steps", range(4))
async def test_it_ends_when_it_is_cancelled_as_it_is_woken(store, steps) -> None:
    async def deliver(one, link, doubtful):
        return Done()

    port = StubPort(deliver)
    sender = OutboxSender(lambda: outbox.connect(store), port)
    task = asyncio.create_task(sender.run())
    while not sender._wanted._waiters:
        await asyncio.sleep(0.001)
    sender._wanted.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()
    assert port.closed


POINTS = ["before POST", "in POST", "after POST", "after journal", "before commit", "after commit"]


@pytest.mark.parametrize("point", POINTS)
def test_sigkill_at_any_point_changes_nothing_in_the_end(
    store, desk, secret_file, tmp_path, write, message, point
) -> None:
    incidents = [f"HWM-{number:04}-1" for number in range(8)]
    write(*[one for incident in incidents for one in whole_life(message, incident)])
    changes = tmp_path / "changes"
    dice = random.Random(point)
    kills = 0
    command = [sys.executable, str(KILLED_SENDER), str(store), desk.address, str(secret_file), str(changes)]
    for stop in [*[str(dice.randint(1, 6)) for _ in range(5)], "0"]:
        ended = subprocess.run([*command, point, stop], check=False, timeout=60, capture_output=True, text=True)
        assert ended.returncode == (0 if stop == "0" else -signal.SIGKILL), ended.stderr
        kills += stop != "0"
    assert kills == 5
    assert_told_exactly_once(desk, incidents)
    assert {incident: link[2] for incident, link in links(store).items()} == dict.fromkeys(incidents, "resolved")
    resolved = {line.split()[0] for line in changes.read_text().splitlines() if " resolved " in line}
    assert resolved == set(incidents)


class Guarded(StubPort):
    """A receiver that says whether it can work."""

    def __init__(self, deliver, problems) -> None:
        super().__init__(deliver)
        self.problems = problems
        self.asked = 0

    async def preflight(self):
        self.asked += 1
        return self.problems


async def test_nothing_is_sent_before_the_receiver_can_work(
    store, write, states, until, message, caplog, monkeypatch
) -> None:
    monkeypatch.setattr("tillwatch.collector.tickets.sender.ASK_AGAIN_S", (0.01, 0.05))
    caplog.set_level(logging.INFO)
    sent = []

    async def deliver(one, link, doubtful):
        sent.append(one.incident)
        return Done("T-1")

    port = Guarded(deliver, [Problem("there is no queue 'Cash'", "write one that exists")])
    sender = OutboxSender(lambda: outbox.connect(store), port, pace=QUICK)
    async with running(sender):
        write(message())
        await until(lambda: port.asked > 3)
        assert sent == []
        assert states() == {"pending": 1}
        assert sender.down_since is not None
        port.problems = []
        await until(lambda: states() == {"done": 1})
    said = [record.message for record in caplog.records if record.name.endswith("sender")]
    assert said == ["webhook: there is no queue 'Cash'; write one that exists", "webhook: can take messages now"]


async def test_a_receiver_that_bars_us_stops_all_and_costs_no_message_an_attempt_more(
    store, write, states, until, message, monkeypatch
) -> None:
    monkeypatch.setattr("tillwatch.collector.tickets.sender.ASK_AGAIN_S", (0.01, 0.05))
    tried = []

    async def deliver(one, link, doubtful):
        tried.append(one.incident)
        if barred:
            port.problems = [Problem("the token is not known", "write a new one into the file")]
            return Barred("127.0.0.1 answered 401")
        return Done("T-1")

    barred = True
    port = Guarded(deliver, [])
    async with running(OutboxSender(lambda: outbox.connect(store), port, pace=QUICK)):
        write(*[message(f"HWM-{n}-1", level=1) for n in range(20)])
        await until(lambda: port.asked > 3)
        assert len(tried) <= IN_FLIGHT
        assert states() == {"pending": 20}
        barred, port.problems = False, []
        await until(lambda: states() == {"done": 20})
    assert len(tried) <= IN_FLIGHT + 20


async def test_an_attempt_ends_before_its_lease_does(store, write, states, until, message) -> None:
    """Whoever is stopped in the middle writes nothing any more when he goes on: the time for it is over."""
    began = asyncio.Event()

    async def deliver(one, link, doubtful):
        began.set()
        await asyncio.Event().wait()

    slow = OutboxSender(
        lambda: outbox.connect(store), StubPort(deliver), pace=QUICK, delivery_s=0.05, jitter=lambda: 0.99
    )
    async with running(slow):
        write(message())
        await began.wait()
        await until(lambda: states() == {"uncertain": 1})


async def test_of_two_senders_on_one_store_one_has_a_row(store, write, states, until, message) -> None:
    told: list[tuple[str, int]] = []

    def sender(name: str) -> OutboxSender:
        async def deliver(one, link, doubtful):
            told.append((one.incident, one.seq))
            await asyncio.sleep(0.001)
            return Done("T-1")

        return OutboxSender(lambda: outbox.connect(store), StubPort(deliver), pace=QUICK, alone=False)

    both = sender("a"), sender("b")
    async with running(both[0]), running(both[1]):
        for n in range(30):
            write(*whole_life(message, f"HWM-{n}-1"))
            for each in both:
                each.wake()
        await until(lambda: states() == {"done": 90})
    assert len(told) == len(set(told)) == 90


async def test_what_waited_for_a_desk_is_told_in_one_note_and_never_lost(store, write, states, until, message) -> None:
    told = []

    async def deliver(one, link, doubtful):
        told.append((one.seq, [note for _, note in one.earlier], one.note))
        return Done("T-1")

    port = StubPort(deliver)
    port.coalesces = True
    ops = [Op.OPEN, *[Op.UPDATE] * 4, Op.RESOLVE]
    write(*[message("HWM-a-1", op, seq, note=f"note {seq}") for seq, op in enumerate(ops, 1)])
    async with running(OutboxSender(lambda: outbox.connect(store), port, pace=QUICK)):
        await until(lambda: states() == {"done": 6})
    assert told == [(1, [], "note 1"), (5, ["note 2", "note 3", "note 4"], "note 5"), (6, [], "note 6")]
