"""Which messages wait for too long, for whom, and until when that counts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tillwatch.collector.tickets import outbox
from tillwatch.collector.tickets.delivery import SECOND
from tillwatch.collector.tickets.message import Op
from tillwatch.collector.tickets.overdue import AT_ONCE, Overdue, late_messages, overdue
from tillwatch.collector.tickets.port import Destination, Leg

MINUTE = 60 * SECOND
NOW = 1_772_352_000 * SECOND
LIMITS = {1: 2 * MINUTE, 2: 5 * MINUTE, 3: 0}
DESK = Destination("desk")
SMS = Destination("gateway", Leg(channel="sms"), notify=True)


@pytest.fixture
def db(store: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(store, isolation_level=None)) as conn:
        yield conn


def test_each_level_has_its_limit_and_each_receiver_its_own(db, message) -> None:
    for level in (1, 2, 3):
        outbox.enqueue(db, message(f"HWM-{level}-1", level=level), NOW, [DESK])
    outbox.enqueue(db, message("HWM-1-1", Op.UPDATE, 2, level=1), NOW - MINUTE, [DESK])
    outbox.enqueue(db, message("HWM-9-1", level=1, drill=True), NOW - MINUTE, [Destination("drills")])
    assert overdue(db, LIMITS, NOW + 2 * MINUTE) == ()
    assert overdue(db, LIMITS, NOW + 2 * MINUTE + 1) == (Overdue("desk", {1: (1, NOW)}),)
    outbox.enqueue(db, message("HWM-8-1", level=1), NOW + MINUTE, [SMS])
    both = overdue(db, LIMITS, NOW + 6 * MINUTE)
    assert both == (Overdue("desk", {1: (1, NOW), 2: (1, NOW)}), Overdue("gateway", {1: (1, NOW + MINUTE)}))
    db.execute("UPDATE outbox SET state = 'done'")
    assert overdue(db, LIMITS, NOW + 6 * MINUTE) == ()


def test_ticket_that_was_given_up_waits_for_a_person_and_a_call_for_nobody(db, message) -> None:
    outbox.enqueue(db, message(level=1), NOW, [DESK, SMS])
    assert [each.connector for each in overdue(db, LIMITS, NOW + 3 * MINUTE)] == ["desk", "gateway"]
    db.execute("UPDATE outbox SET state = 'dead'")
    assert [each.connector for each in overdue(db, LIMITS, NOW + 3 * MINUTE)] == ["desk"]


def test_what_is_late_is_read_in_parts_each_once(db, message) -> None:
    for number in range(AT_ONCE + 3):
        outbox.enqueue(db, message(f"HWM-{number}-1", level=1), NOW, [DESK])
    assert late_messages(db, 1, NOW - 1, 0) == []
    first = late_messages(db, 1, NOW, 0)
    rest = late_messages(db, 1, NOW, first[-1][0])
    assert (len(first), len(rest)) == (AT_ONCE, 3)
    assert late_messages(db, 1, NOW, rest[-1][0]) == []
    assert late_messages(db, 2, NOW, 0) == []
