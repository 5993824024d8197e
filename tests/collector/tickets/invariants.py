"""What must hold between alarms, incidents, the outbox and a ticket system: at every moment, and once nothing is under way any more."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from tests.collector.tickets.desks.contract import Seen
from tillwatch.collector.incident.incidents import LIVING
from tillwatch.collector.incident_check import TICKETLESS
from tillwatch.collector.store.folded import ALARM, alarm_of
from tillwatch.collector.tickets import text
from tillwatch.collector.tickets.message import Op, TicketMessage, TicketState

Tickets = Callable[[str], list[Seen]]
"""All tickets of an incident that were not deleted, the oldest first: SystemUnderTest.tickets, or the same of what was read at once."""

GRAVE = 2
"""Levels 1 and 2 are never without their ticket."""

_OPEN_OF = f"""
    SELECT DISTINCT i.corr_id FROM incident_alarm m JOIN incident i ON i.corr_id = m.incident
    WHERE m.alarm = ? AND m.until = 0 AND i.state IN {LIVING}"""
_TOLD = """
    SELECT connector, body, state, told_in FROM outbox WHERE op <> 'notify' AND connector <> 'drills' AND incident = ? ORDER BY seq"""


def assert_invariants(store: Path, tickets: Tickets | None = None) -> None:
    """I1, I2 and, of a ticket system that can be asked, I3. At any moment."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=60)) as db:
        db.execute("BEGIN")
        alarms = [alarm_of(row) for row in db.execute(f"SELECT {ALARM} FROM alarm WHERE condition <> 'normal'")]
        grave = [each for each in alarms if each.level <= GRAVE and each.muted is None]
        opened = {each.id: [row[0] for row in db.execute(_OPEN_OF, (each.id,))] for each in grave}
        ticketless = [row[0] for row in db.execute(TICKETLESS)]
        keys = [row[0] for row in db.execute("SELECT DISTINCT incident FROM outbox WHERE connector <> 'drills'")]
    assert {number: len(found) for number, found in opened.items()} == dict.fromkeys(opened, 1), f"I1: {opened}"
    assert ticketless == [], "I2"
    if tickets is not None:
        living = {key: [each.id for each in tickets(key) if not each.state.over] for key in keys}
        assert {key: ids for key, ids in living.items() if len(ids) > 1} == {}, "I3"


def assert_told_once(store: Path, tickets: Tickets, *, connector: str = "") -> None:
    """At rest: every incident has one ticket, that stands where it was last asked to be, and each of its messages is in it once. What people did
    afterwards is not looked at here.
    """
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=60)) as db:
        keys = [row[0] for row in db.execute("SELECT DISTINCT incident FROM outbox WHERE connector <> 'drills'")]
        rows = {key: db.execute(_TOLD, (key,)).fetchall() for key in keys}
    for key, of_it in rows.items():
        mine = [row for row in of_it if connector in ("", row[0])]
        if not mine:
            continue
        assert {row[2] for row in mine} == {"done"}, f"{key} is not told to its end: {[row[2] for row in mine]}"
        found = tickets(key)
        assert len(found) == 1, f"{key} has {len(found)} tickets"
        assert found[0].key == key
        messages = [(TicketMessage.unpack(body), told_in) for _, body, _, told_in in mine]
        assert found[0].state is _wished([message for message, _ in messages]), f"{key}: {found[0]}"
        expected = Counter(text.mark(message) for message, told_in in messages if told_in is None)
        assert _marks(found[0], expected) == expected, f"{key}: {found[0].notes}"


def _wished(messages: list[TicketMessage]) -> TicketState:
    wishes = [each.wish or (TicketState.OPEN if each.op is Op.OPEN else None) for each in messages]
    return [wish for wish in wishes if wish is not None][-1]


def _marks(ticket: Seen, marks: Mapping[str, int]) -> Counter[str]:
    """How often each message is in the ticket. What opened it is its body."""
    return Counter({mark: sum(mark in each for each in (ticket.body, *ticket.notes)) for mark in marks})
