"""The outbox on real SQLite, against a plain model of its rules."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tillwatch.collector.tickets import outbox
from tillwatch.collector.tickets.delivery import LONGEST_WAIT_S, SECOND, Pace, Row, settle
from tillwatch.collector.tickets.message import Op, TicketMessage
from tillwatch.collector.tickets.port import Dead, Destination, Disabled, Done, Leg, Link, Retry, Uncertain

SCHEMA = sorted((Path(__file__).parents[3] / "collector/store").glob("schema_v*.sql"))
NOW = 1_772_352_000 * SECOND
HOLDS = 300 * SECOND
"""How long a taking holds in these tests."""


def open_store() -> sqlite3.Connection:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    for step in SCHEMA:
        conn.executescript(step.read_text())
    return conn


@pytest.fixture
def conn():
    with contextlib.closing(open_store()) as conn:
        yield conn


DRILLS = "yz"
"""Incidents that somebody injected."""


def make(incident: str, op: Op, seq: int, level: int = 2) -> TicketMessage:
    return TicketMessage(incident, op, seq, level, "t", "b", "r", "c", "what", NOW, NOW, drill=incident in DRILLS)


QUEUES = ("webhook", "drills")


def enqueue(conn: sqlite3.Connection, message: TicketMessage, now: int, *to: Destination) -> bool:
    return outbox.enqueue(conn, message, now, to or [Destination(QUEUES[message.drill])]) == 1


def take_due(
    conn: sqlite3.Connection, now: int, limit: int, *, drill: bool = False
) -> list[tuple[Row, bytes, Link | None]]:
    lease = now + HOLDS
    taken = outbox.take_due(conn, QUEUES[drill], now, limit, owner="me", lease_until=lease)
    return [(each.row, each.body, each.link) for each in taken]


def finish(conn: sqlite3.Connection, row: Row, outcome, now: int = NOW, jitter: float = 0.5) -> bool:
    return outbox.record_outcome(conn, settle(row, outcome, now, settle_s=5, pace=Pace(), jitter=jitter), now)


outcomes = st.one_of(
    st.just(Done("T-1")),
    st.just(Uncertain("timeout")),
    st.just(Dead("unreadable")),
    st.just(Disabled("gone")),
    st.builds(Retry, st.just("no"), st.none() | st.floats(0, 5000), st.booleans()),
)


class OutboxMachine(RuleBasedStateMachine):
    """Several incidents, drills among them, outcomes of every kind, crashes and a person who revives the dead, in any order."""

    @initialize()
    def start(self) -> None:
        self.conn = open_store()
        self.now = NOW
        self.written: dict[str, list[Op]] = {}
        self.taken: dict[int, Row] = {}
        self.delivered: list[tuple[str, int]] = []
        self.enqueued: set[tuple[str, int]] = set()

    @rule(incident=st.sampled_from("abcd" + DRILLS), resolve=st.booleans())
    def change(self, incident: str, resolve: bool) -> None:
        before = self.written.setdefault(incident, [])
        if Op.RESOLVE in before:
            return
        op = Op.OPEN if not before else Op.RESOLVE if resolve else Op.UPDATE
        before.append(op)
        assert enqueue(self.conn, make(incident, op, len(before), level=1 + ord(incident) % 3), self.now)
        self.enqueued.add((incident, len(before)))

    @rule(limit=st.integers(0, 4), drill=st.booleans())
    def take(self, limit: int, drill: bool) -> None:
        expected = self.due(drill=drill)[:limit]
        got = take_due(self.conn, self.now, limit, drill=drill)
        assert [row.id for row, _, _ in got] == expected
        for row, body, _ in got:
            message = TicketMessage.unpack(body)
            assert (message.seq, message.drill) == (row.seq, drill)
            if row.id in self.taken:
                assert row.doubtful, "what another sender had may have been carried out"
                stale = settle(self.taken[row.id], Done("late"), self.now, settle_s=5, pace=Pace(), jitter=0)
                assert not outbox.record_outcome(self.conn, stale, self.now), "a lease that ended still writes"
            self.taken[row.id] = row

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), outcome=outcomes, jitter=st.floats(0, 1, exclude_max=True))
    def answer(self, data, outcome, jitter: float) -> None:
        row = self.taken.pop(data.draw(st.sampled_from(sorted(self.taken))))
        assert finish(self.conn, row, outcome, self.now, jitter)
        if isinstance(outcome, Done):
            self.delivered.append((row.incident, row.seq))

    @rule(seconds=st.sampled_from([0.1, 5, 60, 4000, -86400]))
    def time_passes(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)

    @rule()
    def crash(self) -> None:
        for drill in (False, True):
            mine = [row for row in self.taken.values() if (row.incident in DRILLS) is drill]
            assert outbox.recover(self.conn, QUEUES[drill], self.now, 5) == len(mine)
        stale = list(self.taken.values())
        self.taken.clear()
        for row in stale:
            assert not finish(self.conn, row, Done("late")), "a sender that lost its row still wrote to it"

    @rule()
    def a_person_revives(self) -> None:
        self.conn.execute("UPDATE outbox SET state = 'pending', not_before = 0 WHERE state = 'dead' AND op <> 'update'")

    def rows(self) -> list[tuple]:
        return self.conn.execute(
            "SELECT id, incident, op, seq, level, created_at, state, CASE state WHEN 'sending' THEN lease_until ELSE not_before END FROM outbox"
        ).fetchall()

    def heads(self, *, drill: bool) -> list[tuple]:
        found = []
        for incident in [each for each in self.written if (each in DRILLS) is drill]:
            mine = sorted((row for row in self.rows() if row[1] == incident), key=lambda row: row[3])
            undone = [row for row in mine if row[6] != "done" and not (row[6] == "dead" and row[2] == "update")]
            if undone and undone[0][6] != "dead":
                found.append(undone[0])
        return found

    def due(self, *, drill: bool) -> list[int]:
        ready = [
            row for row in self.heads(drill=drill) if row[7] <= self.now or row[7] > self.now + LONGEST_WAIT_S * SECOND
        ]
        return [row[0] for row in sorted(ready, key=lambda row: (row[4], row[5], row[0]))]

    @invariant()
    def nothing_is_lost_or_out_of_order(self) -> None:
        if not hasattr(self, "conn"):
            return
        rows = self.rows()
        assert {(row[1], row[3]) for row in rows} == self.enqueued
        assert sorted((row[1], row[3]) for row in rows if row[6] == "done") == sorted(self.delivered)
        for incident in self.written:
            seqs = [seq for name, seq in self.delivered if name == incident]
            assert seqs == sorted(set(seqs)), "delivered twice or out of order"
            assert sum(row[1] == incident and row[6] == "sending" for row in rows) <= 1

    @invariant()
    def the_next_time_is_the_first_of_the_heads(self) -> None:
        for drill in (False, True) if hasattr(self, "conn") else ():
            coming = [
                row[7] for row in self.heads(drill=drill) if self.now < row[7] <= self.now + LONGEST_WAIT_S * SECOND
            ]
            assert outbox.next_due(self.conn, QUEUES[drill], self.now) == min(coming, default=None)

    def teardown(self) -> None:
        """Once the ticket system takes everything, all arrives that a dead open does not hold back."""
        if not hasattr(self, "conn"):
            return
        self.crash()
        for _ in range(len(self.enqueued) + 1):
            self.now += int(LONGEST_WAIT_S * SECOND)
            for drill in (False, True):
                for row, _, _ in take_due(self.conn, self.now, 100, drill=drill):
                    assert finish(self.conn, row, Done("T-1"), self.now)
        rows = self.rows()
        held = {row[1] for row in rows if row[6] == "dead" and row[2] == "open"}
        dead_resolves = {row[1] for row in rows if row[6] == "dead" and row[2] == "resolve"}
        for row in rows:
            if row[1] not in held | dead_resolves:
                assert row[6] == "done" or (row[6] == "dead" and row[2] == "update")
        self.conn.close()


TestOutboxMachine = OutboxMachine.TestCase
TestOutboxMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_message_lives_and_dies_with_its_incidents_transaction(conn) -> None:
    conn.execute("BEGIN IMMEDIATE")
    enqueue(conn, make("a", Op.OPEN, 1), NOW)
    conn.execute("ROLLBACK")
    assert take_due(conn, NOW, 10) == []
    conn.execute("BEGIN IMMEDIATE")
    enqueue(conn, make("a", Op.OPEN, 1), NOW)
    conn.execute("COMMIT")
    assert [row.incident for row, _, _ in take_due(conn, NOW, 10)] == ["a"]


def test_the_same_message_enqueued_again_stands_as_it_was(conn) -> None:
    assert enqueue(conn, make("a", Op.OPEN, 1, level=1), NOW)
    assert not enqueue(conn, make("a", Op.OPEN, 1, level=3), NOW)
    [(row, body, _)] = take_due(conn, NOW, 10)
    assert (row.level, TicketMessage.unpack(body).level) == (1, 1)


def test_a_resolve_waits_for_its_open_even_if_both_are_due(conn) -> None:
    enqueue(conn, make("a", Op.OPEN, 1), NOW)
    enqueue(conn, make("a", Op.RESOLVE, 2), NOW)
    [(opened, _, _)] = take_due(conn, NOW, 10)
    assert opened.op is Op.OPEN
    assert opened.followed
    assert take_due(conn, NOW, 10) == []
    finish(conn, opened, Uncertain("timeout"))
    assert take_due(conn, NOW, 10) == []
    [(opened, _, _)] = take_due(conn, NOW + 10 * SECOND, 10)
    assert opened.doubtful
    finish(conn, opened, Done("T-1"))
    [(resolve, _, _)] = take_due(conn, NOW, 10)
    assert resolve.op is Op.RESOLVE
    assert not resolve.followed


def test_level_one_goes_first_then_the_oldest(conn) -> None:
    for number, level in enumerate([3, 2, 1, 2, 1]):
        enqueue(conn, make(f"i{number}", Op.OPEN, 1, level=level), NOW + number)
    assert [row.incident for row, _, _ in take_due(conn, NOW + 9, 10)] == ["i2", "i4", "i1", "i3", "i0"]


def test_the_ticket_is_kept_with_its_row_or_not_at_all(conn) -> None:
    enqueue(conn, make("a", Op.OPEN, 1), NOW)
    enqueue(conn, make("a", Op.RESOLVE, 2), NOW)
    [(row, _, link)] = take_due(conn, NOW, 10)
    assert link is None
    done = settle(row, Done("T-1"), NOW, settle_s=5, pace=Pace(), jitter=0)
    assert outbox.record_outcome(conn, done, NOW, connector="webhook", link=Link("T-1", "http://x/1", "open"))
    [(row, _, link)] = take_due(conn, NOW, 10)
    assert link == Link("T-1", "http://x/1", "open")
    assert outbox.recover(conn, "webhook", NOW, 5) == 1
    done = settle(row, Done("T-9"), NOW, settle_s=5, pace=Pace(), jitter=0)
    assert not outbox.record_outcome(conn, done, NOW, connector="webhook", link=Link("T-9", "", ""))
    assert outbox.link_of(conn, "a", "webhook") == Link("T-1", "http://x/1", "open")


def test_a_dead_update_is_passed_over_and_a_dead_open_holds_back(conn) -> None:
    for incident, dead in (("a", Op.UPDATE), ("b", Op.OPEN)):
        for seq, op in enumerate((Op.OPEN, Op.UPDATE, Op.RESOLVE), 1):
            enqueue(conn, make(incident, op, seq), NOW)
        for _ in range(2):
            for row, _, _ in take_due(conn, NOW, 10):
                assert finish(conn, row, Dead("unreadable") if row.op is dead and row.incident == incident else Done())
    assert take_due(conn, NOW, 10) == []
    states = dict(conn.execute("SELECT incident || seq, state FROM outbox"))
    assert states == {"a1": "done", "a2": "dead", "a3": "done", "b1": "dead", "b2": "pending", "b3": "pending"}


def test_what_a_crash_left_is_doubtful_and_settles_first(conn) -> None:
    enqueue(conn, make("a", Op.OPEN, 1), NOW)
    assert take_due(conn, NOW, 1)
    assert outbox.recover(conn, "webhook", NOW, 5) == 1
    assert take_due(conn, NOW + 5 * SECOND - 1, 1) == []
    [(row, _, _)] = take_due(conn, NOW + 5 * SECOND, 1)
    assert row.doubtful
    assert row.attempts == 2


def test_a_row_stamped_by_a_clock_that_ran_ahead_is_due(conn) -> None:
    enqueue(conn, make("a", Op.OPEN, 1), NOW)
    [(row, _, _)] = take_due(conn, NOW, 1)
    finish(conn, row, Retry("no", after_s=60), NOW + 86400 * SECOND)
    assert take_due(conn, NOW, 1)


def test_rows_that_are_done_are_not_looked_at(conn) -> None:
    seen: list[str] = []
    conn.set_trace_callback(seen.append)
    take_due(conn, NOW, 4)
    outbox.next_due(conn, "webhook", NOW)
    conn.set_trace_callback(None)
    selects = [sql for sql in seen if sql.lstrip().startswith("SELECT")]
    assert len(selects) == 2
    for sql in selects:
        plan = " ".join(row[3] for row in conn.execute("EXPLAIN QUERY PLAN " + sql))
        assert "SCAN outbox" not in plan.replace("SCAN outbox USING INDEX outbox_order", ""), plan


def test_what_was_delivered_to_its_end_long_ago_is_forgotten_and_nothing_else(conn):
    """One that is not resolved, one of which a row was given up, one that ended yesterday."""
    ends = {"old": NOW, "open": NOW, "dead": NOW, "new": NOW + 10 * SECOND}
    for incident, at in ends.items():
        enqueue(conn, make(incident, Op.OPEN, 1), NOW)
        enqueue(conn, make(incident, Op.UPDATE, 2), NOW)
        if incident != "open":
            enqueue(conn, make(incident, Op.RESOLVE, 3), NOW)
        while taken := [row for row, _, _ in take_due(conn, at, 9) if row.incident == incident]:
            for row in taken:
                outcome = Dead("no") if (incident, row.seq) == ("dead", 2) else Done("T-1")
                outbox.record_outcome(
                    conn,
                    settle(row, outcome, at, settle_s=5, pace=Pace(), jitter=0.5),
                    at,
                    connector="webhook",
                    link=Link("T-1", "", ""),
                )
    assert outbox.settled(conn, NOW) == []
    assert outbox.settled(conn, NOW + SECOND) == ["old"]
    outbox.prune(conn, ["old"])
    assert outbox.settled(conn, NOW + SECOND) == []
    assert {row[0] for row in conn.execute("SELECT incident FROM outbox")} == {"open", "dead", "new"}
    assert outbox.link_of(conn, "old", "webhook") == Link("T-1", "", "")


def test_a_lease_that_ends_is_anothers_to_take_and_the_first_ones_word_counts_no_more(conn) -> None:
    enqueue(conn, make("a", Op.OPEN, 1), NOW)
    enqueue(conn, make("a", Op.UPDATE, 2), NOW)
    [(first, _, _)] = take_due(conn, NOW, 10)
    assert take_due(conn, NOW + HOLDS - 1, 10) == []
    assert outbox.next_due(conn, "webhook", NOW) == NOW + HOLDS
    [other] = outbox.take_due(conn, "webhook", NOW + HOLDS, 10, owner="other", lease_until=NOW + 2 * HOLDS)
    assert other.row.doubtful
    assert not finish(conn, first, Done("T-1")), "the fence is down"
    assert finish(conn, other.row, Done("T-2"))
    assert [row.seq for row, _, _ in take_due(conn, NOW + HOLDS, 10)] == [2]


def test_people_are_told_beside_the_ticket_each_over_a_lane_of_his_own(conn) -> None:
    ways = [
        Destination("webhook", Leg("cash")),
        *(Destination("sms", Leg("", "sms", each), notify=True) for each in "12"),
    ]
    assert outbox.enqueue(conn, make("a", Op.OPEN, 1), NOW, ways) == 3
    assert outbox.enqueue(conn, make("a", Op.OPEN, 1), NOW, ways) == 0
    [ticket] = outbox.take_due(conn, "webhook", NOW, 10, owner="me", lease_until=NOW + HOLDS)
    assert (ticket.row.op, ticket.leg) == (Op.OPEN, Leg("cash"))
    calls = outbox.take_due(conn, "sms", NOW, 10, owner="me", lease_until=NOW + HOLDS)
    assert [(each.row.op, each.leg.contact) for each in calls] == [(Op.NOTIFY, "1"), (Op.NOTIFY, "2")]
    assert outbox.ticket_of(conn, "a") == "webhook"


def gather(conn, now: int = NOW) -> list[outbox.Taken]:
    return outbox.take_due(conn, "webhook", now, 10, owner="me", lease_until=now + HOLDS, together=True)


def test_updates_that_waited_are_told_in_one_and_the_end_is_told_by_itself(conn) -> None:
    ops = [Op.OPEN, Op.UPDATE, Op.UPDATE, Op.UPDATE, Op.RESOLVE]
    for seq, op in enumerate(ops, 1):
        enqueue(conn, make("a", op, seq), NOW)
    [opened] = gather(conn)
    assert opened.row.op is Op.OPEN
    finish(conn, opened.row, Done("T-1"))
    [told] = gather(conn)
    assert (told.row.seq, [TicketMessage.unpack(each).seq for each in told.earlier]) == (4, [2, 3])
    assert finish(conn, told.row, Retry("away", after_s=1))
    enqueue(conn, make("a", Op.UPDATE, 6), NOW)
    [again] = gather(conn, NOW + 5 * SECOND)
    assert (again.row.seq, len(again.earlier)) == (4, 2), "what was tried is told as it was"
    finish(conn, again.row, Done("T-1"))
    [resolved] = gather(conn)
    assert (resolved.row.op, resolved.earlier) == (Op.RESOLVE, ())
    assert dict(conn.execute("SELECT seq, answer FROM outbox WHERE told_in IS NOT NULL")) == {
        2: "told with message 4",
        3: "told with message 4",
    }


def test_what_waits_for_a_receiver_that_is_no_more_goes_to_the_one_in_its_place(conn) -> None:
    for seq, op in enumerate([Op.OPEN, Op.UPDATE], 1):
        enqueue(
            conn, make("a", op, seq), NOW, Destination("old"), Destination("pager", Leg("", "sms", "1"), notify=True)
        )
    enqueue(conn, make("b", Op.OPEN, 1), NOW, Destination(""))
    enqueue(conn, make("c", Op.OPEN, 1), NOW, Destination("webhook"))
    asked = []

    def route(message: TicketMessage, at: int, stays: str) -> list[Destination]:
        asked.append((message.incident, stays))
        return [Destination("sms", Leg("", "sms", "2"), notify=True), Destination("webhook", Leg("new"))]

    assert outbox.reroute(conn, {"webhook", "sms"}, route) == 5
    assert asked == [("a", ""), ("b", "")], "one answer for an incident"
    rows = conn.execute(
        "SELECT incident, seq, connector, queue, state FROM outbox ORDER BY incident, seq, connector"
    ).fetchall()
    assert rows == [
        ("a", 1, "pager", "", "dead"),
        ("a", 1, "webhook", "new", "pending"),
        ("a", 2, "pager", "", "dead"),
        ("a", 2, "webhook", "new", "pending"),
        ("b", 1, "webhook", "new", "pending"),
        ("c", 1, "webhook", "", "pending"),
    ]
    assert outbox.reroute(conn, {"webhook", "sms"}, route) == 0
