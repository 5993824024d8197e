"""What is on its way out of the collector, as people look at it: messages and their receivers, tickets, and what waits for how long."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

MOST = 10_000
"""Rows of one answer."""

_ROW = "id, connector, incident, op, seq, level, queue, channel, contact, created_at, state, attempts, not_before, coalesce(done_at, 0), answer"
_TICKET = "incident, connector, external_id, url, state, status, owner, updated_at, verified_at"


@dataclass(frozen=True, slots=True)
class OutgoingView:
    """One row of the outbox. contact: of a person, empty for a ticket; not_before: when it is tried next; times UTC ns, 0 for never."""

    id: int
    connector: str
    incident: str
    op: str
    seq: int
    level: int
    queue: str
    channel: str
    contact: str
    created_at: int
    state: str
    attempts: int
    not_before: int
    done_at: int
    answer: str


@dataclass(frozen=True, slots=True)
class TicketLinkView:
    """The ticket of an incident as it was last heard of. status: the system's own word; verified_at: when it was last read."""

    incident: str
    connector: str
    id: str
    url: str
    state: str
    status: str
    owner: str
    updated_at: int
    verified_at: int


@dataclass(frozen=True, slots=True)
class QueueView:
    """What waits for one receiver. waiting, dead: messages; oldest_at: of those that wait, UTC ns; graves: those of levels 1 and 2 among them; answer: why
    the oldest one waits that was tried.
    """

    connector: str
    waiting: int
    dead: int
    oldest_at: int
    graves: int
    answer: str


def outgoing(
    db: sqlite3.Connection, *, incident: str = "", connector: str = "", undone: bool = False
) -> list[OutgoingView]:
    """In the order in which they were made; drills apart. undone: only what waits or was given up."""
    rows = db.execute(
        f"SELECT {_ROW} FROM outbox WHERE connector <> 'drills' AND (:incident = '' OR incident = :incident)"  # noqa: S608 - constant columns
        " AND (:connector = '' OR connector = :connector)"
        f" AND {'state <> :done' if undone else ':done <> 0'} ORDER BY id LIMIT {MOST}",
        {"incident": incident, "connector": connector, "done": "done"},
    )
    return [OutgoingView(*row) for row in rows]


def ticket_links(db: sqlite3.Connection, *, incident: str = "", living: bool = False) -> list[TicketLinkView]:
    """living: only those of incidents that are not settled."""
    rows = db.execute(
        f"SELECT {_TICKET} FROM ticket_link WHERE external_id <> '' AND (:incident = '' OR incident = :incident)"  # noqa: S608 - constant columns
        " AND (NOT :living OR incident IN (SELECT corr_id FROM incident WHERE state NOT IN ('resolved', 'closed', 'dropped')))"
        f" ORDER BY incident LIMIT {MOST}",
        {"incident": incident, "living": living},
    )
    return [TicketLinkView(*row) for row in rows]


def queues(db: sqlite3.Connection) -> list[QueueView]:
    """Of each receiver for which something waits or was given up."""
    rows = db.execute(
        """SELECT connector, sum(state <> 'dead'), sum(state = 'dead'), coalesce(min(CASE WHEN state <> 'dead' THEN created_at END), 0),
            sum(state <> 'dead' AND level <= 2 AND op <> 'update'), coalesce((SELECT answer FROM outbox AS oldest
                WHERE oldest.connector = outbox.connector AND oldest.state NOT IN ('done', 'dead') AND answer <> '' ORDER BY created_at, id LIMIT 1), '')
            FROM outbox WHERE state <> 'done' AND connector <> 'drills' GROUP BY connector ORDER BY connector"""
    )
    return [QueueView(*row) for row in rows]
