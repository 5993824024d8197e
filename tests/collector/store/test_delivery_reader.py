"""What waits for whom, since when and why, out of the outbox."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tillwatch.collector.read import WaitingView
from tillwatch.collector.store.delivery_reader import backlog, outgoing, queues, undone, waiting
from tillwatch.collector.tickets.overdue import overdue

MIN = 60 * 10**9
LIMITS = {1: 2 * MIN, 2: 5 * MIN}


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    World(tmp_path / "collector.db").store.close()  # for its tables
    with closing(sqlite3.connect(tmp_path / "collector.db")) as conn, conn:
        yield conn


def put(db: sqlite3.Connection, connector: str, op: str, level: int, at: int, state: str = "pending", answer: str = "", contact: str = "") -> int:  # fmt: skip
    row = db.execute(
        "INSERT INTO outbox (connector, incident, op, seq, channel, contact, body, level, created_at, state, answer)"
        " SELECT ?, 'HWM-1', ?, count(*), ?, ?, x'80', ?, ?, ?, ? FROM outbox",
        (connector, op, "sms" if contact else "", contact, level, at, state, answer),
    )
    assert row.lastrowid
    return row.lastrowid


def test_what_waits_by_receiver_and_level_with_the_answer_of_the_oldest_that_was_tried(db: sqlite3.Connection) -> None:
    put(db, "desk", "open", 1, 10 * MIN)
    put(db, "desk", "resolve", 1, 11 * MIN, "uncertain", "503 at first")
    put(db, "desk", "open", 1, 12 * MIN, "pending", "a later one")
    put(db, "desk", "open", 2, 9 * MIN)
    put(db, "sms", "notify", 1, 13 * MIN, "pending", "+86 139 1234 0101 is no number", contact="+86 139 1234 0101")
    assert waiting(db, LIMITS) == (
        WaitingView("desk", 1, 3, 10 * MIN, 2 * MIN, "503 at first"),
        WaitingView("desk", 2, 1, 9 * MIN, 5 * MIN, "503 at first"),
        WaitingView("sms", 1, 1, 13 * MIN, 2 * MIN, "+86 139 **** 0101 is no number"),
    )


def test_it_is_late_when_the_journal_says_so(db: sqlite3.Connection) -> None:
    put(db, "desk", "open", 1, 10 * MIN)
    put(db, "desk", "open", 2, 10 * MIN)
    put(db, "mail", "open", 3, 10 * MIN)
    for minutes in (12, 13, 15, 16, 99):
        late = {(each.connector, each.level) for each in waiting(db, LIMITS) if each.late(minutes * MIN)}
        said = overdue(db, LIMITS, minutes * MIN)
        assert late == {(each.connector, level) for each in said for level in each.waiting}
    assert late == {("desk", 1), ("desk", 2)}


def test_notes_drills_what_is_done_and_calls_that_were_given_up_do_not_wait(db: sqlite3.Connection) -> None:
    put(db, "desk", "update", 1, MIN)
    put(db, "desk", "open", 1, MIN, "done")
    put(db, "drills", "open", 1, MIN)
    put(db, "sms", "notify", 1, MIN, "dead", "stale")
    assert waiting(db, LIMITS) == ()
    assert overdue(db, LIMITS, 99 * MIN) == ()
    put(db, "desk", "open", 1, 2 * MIN, "dead", "422")
    assert [(each.count, each.answer) for each in waiting(db, LIMITS)] == [(1, "422")]


def test_a_queue_says_why_its_oldest_waits_and_not_what_comes_last_in_the_alphabet(db: sqlite3.Connection) -> None:
    put(db, "desk", "open", 3, MIN, "pending", "503")
    put(db, "desk", "open", 3, 2 * MIN, "pending", "zzz")
    put(db, "desk", "open", 3, MIN, "dead", "400")
    assert [(q.waiting, q.dead, q.answer) for q in queues(db)] == [(2, 1, "503")]


def test_the_gravest_first_a_part_at_a_time(db: sqlite3.Connection) -> None:
    third = put(db, "desk", "open", 2, MIN)
    second = put(db, "desk", "open", 1, 3 * MIN, "dead")
    first = put(db, "", "open", 1, 2 * MIN)
    put(db, "desk", "open", 1, MIN, "done")
    rows, total = backlog(db, None, 2, 0)
    assert ([row.id for row in rows], total) == ([first, second], 3)
    assert [row.id for row in backlog(db, None, 2, 2)[0]] == [third]
    assert [row.id for row in backlog(db, "", 9, 0)[0]] == [first]
    assert [row.id for row in backlog(db, "desk", 9, 0)[0]] == [second, third]


def test_drills_are_shown_with_their_incident_only(db: sqlite3.Connection) -> None:
    drill = put(db, "drills", "open", 1, MIN)
    assert outgoing(db) == []
    assert [row.id for row in outgoing(db, incident="HWM-1")] == [drill]


def test_each_step_of_a_message_shows_in_the_number_that_pages_watch(db: sqlite3.Connection) -> None:
    seen = [undone(db)]
    put(db, "drills", "open", 1, MIN)
    assert undone(db) == seen[0] == (0, 0)
    put(db, "desk", "update", 3, MIN)
    seen.append(undone(db))
    for step in (
        "state = 'sending', attempts = 1",
        "state = 'uncertain'",
        "state = 'sending', attempts = 2",
        "state = 'dead'",
        "state = 'uncertain'",
        "state = 'done'",
    ):
        db.execute(f"UPDATE outbox SET {step} WHERE connector = 'desk'")
        assert undone(db) != seen[-1], step
        seen.append(undone(db))
    assert seen[-1] == (0, 0)
