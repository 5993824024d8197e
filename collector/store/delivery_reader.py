"""What is on its way out of the collector, as people look at it: messages and their receivers, tickets, and what waits for how long."""

from __future__ import annotations

from collections.abc import Mapping

from tillwatch.collector.contacts import without
from tillwatch.collector.read import OutgoingView, QueueView, TicketLinkView, WaitingView
from tillwatch.collector.store.db import Db
from tillwatch.collector.tickets.overdue import UNDELIVERED

MOST = 10_000
"""Rows of one answer."""

_ROW = "id, connector, incident, op, seq, level, queue, channel, contact, created_at, state, attempts, not_before, coalesce(done_at, 0), answer"
_TICKET = "incident, connector, external_id, url, state, status, owner, updated_at, verified_at"


def outgoing(db: Db, *, incident: str = "", connector: str = "", undone: bool = False) -> list[OutgoingView]:
    """In the order in which they were made; drills only of an incident. undone: only what waits or was given up."""
    rows = db.execute(
        f"SELECT {_ROW} FROM outbox WHERE (connector <> 'drills' OR :incident <> '') AND (:incident = '' OR incident = :incident)"  # noqa: S608 - constant columns
        " AND (:connector = '' OR connector = :connector)"
        f" AND {'state <> :done' if undone else ':done = :done'} ORDER BY id LIMIT {MOST}",
        {"incident": incident, "connector": connector, "done": "done"},
    )
    return [OutgoingView(*row) for row in rows]


def ticket_links(db: Db, *, incident: str = "", living: bool = False) -> list[TicketLinkView]:
    """living: only those of incidents that are not settled."""
    rows = db.execute(
        f"SELECT {_TICKET} FROM ticket_link WHERE external_id <> '' AND (:incident = '' OR incident = :incident)"  # noqa: S608 - constant columns
        " AND (:living = 0 OR incident IN (SELECT corr_id FROM incident WHERE state NOT IN ('resolved', 'closed', 'dropped')))"
        f" ORDER BY incident LIMIT {MOST}",
        {"incident": incident, "living": int(living)},
    )
    return [TicketLinkView(*row) for row in rows]


def queues(db: Db) -> list[QueueView]:
    """Of each receiver for which something waits or was given up."""
    rows = db.execute(
        """SELECT connector, count(*) FILTER (WHERE state <> 'dead'), count(*) FILTER (WHERE state = 'dead'), coalesce(min(CASE WHEN state <> 'dead' THEN created_at END), 0),
            count(*) FILTER (WHERE state <> 'dead' AND level <= 2 AND op <> 'update'),
            coalesce((SELECT answer FROM outbox tried WHERE tried.state <> 'done' AND tried.state <> 'dead' AND tried.connector = outbox.connector AND answer <> ''
                ORDER BY created_at, id LIMIT 1), '')
            FROM outbox WHERE state <> 'done' AND connector <> 'drills' GROUP BY connector ORDER BY connector"""
    )
    return [QueueView(*row) for row in rows]


def backlog(db: Db, connector: str | None, limit: int, offset: int) -> tuple[list[OutgoingView], int]:
    """What waits or was given up, of one receiver or of all: level 1 first, the oldest first within a level; and how many that are."""
    of = (
        "FROM outbox WHERE state <> 'done' AND connector <> 'drills' AND (:connector IS NULL OR connector = :connector)"
    )
    wanted = {"connector": connector, "limit": limit, "offset": offset}
    (total,) = db.execute(f"SELECT count(*) {of}", wanted).fetchone()
    rows = db.execute(f"SELECT {_ROW} {of} ORDER BY level, created_at, id LIMIT :limit OFFSET :offset", wanted)
    return [OutgoingView(*row) for row in rows], int(total)


def undone(db: Db) -> tuple[int, int]:
    """What waits or was given up, and the attempts at it, one that lasts counted twice."""
    found: tuple[int, int] = db.execute(
        "SELECT count(*), coalesce(sum(attempts * 2 - CASE state WHEN 'sending' THEN 0 WHEN 'dead' THEN -1 ELSE 1 END), 0) FROM outbox WHERE state <> 'done' AND connector <> 'drills'"
    ).fetchone()
    return found


_TRIED = f"""
    SELECT answer, contact FROM outbox WHERE {UNDELIVERED} AND connector = :connector AND answer <> '' AND level <= :level
    ORDER BY level = :level DESC, created_at, id LIMIT 1"""  # noqa: S608 - a constant condition


def waiting(db: Db, limits: Mapping[int, int]) -> tuple[WaitingView, ...]:
    """By receiver and level. limits: level -> how long that may take, ns, 0 or absent for as long as it likes."""
    rows = db.execute(
        f"SELECT connector, level, count(*), min(created_at) FROM outbox WHERE {UNDELIVERED} GROUP BY connector, level ORDER BY connector, level"  # noqa: S608 - a constant condition
    ).fetchall()
    found = []
    for connector, level, count, oldest in rows:
        answer, contact = db.execute(_TRIED, {"connector": connector, "level": level}).fetchone() or ("", "")
        found.append(WaitingView(connector, level, count, oldest, limits.get(level, 0), without(answer, contact)))
    return tuple(found)
