"""The outbox in SQLite: messages wait here from the moment their incident changed until the ticket system has them.

`enqueue` runs inside the transaction of the incident, so that neither exists without the other. The sender takes rows and records what
came of them over a connection of its own, in transactions of one statement or two. Within an incident rows go strictly in order, one
at a time; a row comes due only when all before it are done. A dead update is passed over, a dead open holds its incident back: there is
nothing to update or resolve. Across incidents level 1 goes first, then the oldest.

Drills stand in the same table and are another queue: a sender takes the rows of the one it was made for, so that neither waits for the
other's receiver and no drill ever reaches the bank's ticket system.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from tillwatch.collector.tickets.delivery import LONGEST_WAIT_S, SECOND, Row, RowState, take
from tillwatch.collector.tickets.message import Op, TicketMessage
from tillwatch.collector.tickets.port import Link

BUSY_S = 10.0
"""How long the sender waits for the collector's own transactions, which take milliseconds: past this something is wrong, and it is said."""

PRUNE_AT_ONCE = 500
"""Incidents forgotten in one transaction: some 2,000 rows, well under a second."""

_LONGEST_NS = int(LONGEST_WAIT_S * SECOND)

# A row whose earlier rows are all done, dead updates aside. The first term repeats the index's own: SQLite uses a partial index only then,
# and the rows that are done, years of them, are not looked at.
_HEAD = """state IN ('pending', 'sending', 'uncertain') AND state <> 'sending' AND NOT EXISTS (
    SELECT 1 FROM outbox AS earlier WHERE earlier.incident = outbox.incident AND earlier.seq < outbox.seq
    AND earlier.state <> 'done' AND NOT (earlier.state = 'dead' AND earlier.op = 'update'))"""


def connect(path: Path) -> sqlite3.Connection:
    """A connection for the sender alone; the collector's store has created the tables and set WAL."""
    conn = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    conn.execute("PRAGMA synchronous = FULL")
    return conn


def enqueue(conn: sqlite3.Connection, message: TicketMessage, now: int) -> bool:
    """Put a message into the caller's open transaction. False: this incident has a message of this seq already, and it stands."""
    done = conn.execute(
        "INSERT INTO outbox (incident, op, seq, body, level, created_at, drill, state) VALUES (?, ?, ?, ?, ?, ?, ?, 'pending')"
        " ON CONFLICT (incident, seq) DO NOTHING",
        (message.incident, message.op.value, message.seq, message.pack(), message.level, now, int(message.drill)),
    )
    return done.rowcount == 1


def recover(conn: sqlite3.Connection, now: int, settle_s: float, *, drill: bool = False) -> int:
    """At start: rows that an ended sender left `sending` may have been carried out. Returns how many there were."""
    conn.execute("BEGIN IMMEDIATE")
    try:
        left = conn.execute(
            "UPDATE outbox SET state = 'uncertain', not_before = ?, answer = 'the sender ended while it was sent'"
            " WHERE state = 'sending' AND drill = ?",
            (now + int(settle_s * SECOND), int(drill)),
        ).rowcount
        conn.execute("COMMIT")
    except BaseException:
        _roll_back(conn)
        raise
    return left


def take_due(
    conn: sqlite3.Connection, now: int, limit: int, *, drill: bool = False
) -> list[tuple[Row, bytes, Link | None]]:
    """Up to `limit` rows that are due, marked `sending`, each with its body and its incident's ticket. Level 1 first, then the oldest."""
    if limit <= 0:
        return []
    conn.execute("BEGIN IMMEDIATE")
    try:
        found = conn.execute(
            f"""SELECT id, incident, op, seq, level, created_at, state, attempts, not_before, answer, body,
                EXISTS (SELECT 1 FROM outbox AS later WHERE later.incident = outbox.incident AND later.seq > outbox.seq)
                FROM outbox WHERE drill = ? AND (not_before <= ? OR not_before > ?) AND {_HEAD} ORDER BY level, created_at, id LIMIT ?""",  # noqa: S608 - a constant of this file
            (int(drill), now, now + _LONGEST_NS, limit),
        ).fetchall()
        taken = []
        for *head, body, followed in found:
            number, incident, op, seq, level, created_at, state, attempts, not_before, answer = head
            row = take(
                Row(
                    number,
                    incident,
                    Op(op),
                    seq,
                    level,
                    created_at,
                    RowState(state),
                    attempts,
                    not_before,
                    answer,
                    followed=bool(followed),
                )
            )
            conn.execute(
                "UPDATE outbox SET state = ?, attempts = ? WHERE id = ?", (row.state.value, row.attempts, row.id)
            )
            taken.append((row, body, link_of(conn, incident)))
        conn.execute("COMMIT")
    except BaseException:
        _roll_back(conn)
        raise
    return taken


def record_outcome(
    conn: sqlite3.Connection, row: Row, now: int, *, connector: str = "", link: Link | None = None
) -> bool:
    """Keep what came of an attempt, with the incident's ticket if there is one to keep.

    row: as delivery.settle() left it. False: the row was taken by somebody else meanwhile, nothing was written.
    """
    conn.execute("BEGIN IMMEDIATE")
    try:
        mine = conn.execute(
            "UPDATE outbox SET state = ?, not_before = ?, answer = ?, done_at = ? WHERE id = ? AND state = 'sending' AND attempts = ?",
            (
                row.state.value,
                row.not_before,
                row.answer,
                now if row.state is RowState.DONE else None,
                row.id,
                row.attempts,
            ),
        ).rowcount
        if mine and link is not None:
            conn.execute(
                "INSERT INTO ticket_link (incident, connector, external_id, url, state) VALUES (?, ?, ?, ?, ?) ON CONFLICT (incident)"
                " DO UPDATE SET connector = excluded.connector, external_id = excluded.external_id, url = excluded.url, state = excluded.state",
                (row.incident, connector, link.external_id, link.url, link.state),
            )
        conn.execute("COMMIT")
    except BaseException:
        _roll_back(conn)
        raise
    return bool(mine)


def link_of(conn: sqlite3.Connection, incident: str) -> Link | None:
    found = conn.execute("SELECT external_id, url, state FROM ticket_link WHERE incident = ?", (incident,)).fetchone()
    return Link(*found) if found else None


def next_due(conn: sqlite3.Connection, now: int, *, drill: bool = False) -> int | None:
    """When the next row comes due, UTC ns; None if no row waits for its time."""
    found: tuple[int | None] = conn.execute(
        f"SELECT MIN(not_before) FROM outbox WHERE drill = ? AND not_before > ? AND not_before <= ? AND {_HEAD}",  # noqa: S608 - a constant of this file
        (int(drill), now, now + _LONGEST_NS),
    ).fetchone()
    return found[0]


def settled(conn: sqlite3.Connection, before: int) -> list[str]:
    """Incidents of which every message, the end among them, was delivered before that time, UTC ns; at most PRUNE_AT_ONCE."""
    found = conn.execute(
        "SELECT incident FROM outbox GROUP BY incident"
        " HAVING min(state = 'done') AND max(op = 'resolve') AND max(done_at) < ? LIMIT ?",
        (before, PRUNE_AT_ONCE),
    )
    return [row[0] for row in found]


def prune(conn: sqlite3.Connection, incidents: Sequence[str]) -> None:
    """Forget the messages of settled incidents, within the caller's transaction. Which ticket was theirs stays known."""
    conn.executemany("DELETE FROM outbox WHERE incident = ?", [(incident,) for incident in incidents])


def _roll_back(conn: sqlite3.Connection) -> None:
    if conn.in_transaction:
        conn.execute("ROLLBACK")
