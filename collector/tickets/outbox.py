"""The outbox in SQLite: messages wait here from the moment their incident changed until everybody whom they concern has them.

`enqueue` runs inside the transaction of the incident, so that neither exists without the other. A sender takes rows and records what
came of them over a connection of its own, in transactions of one statement or two. A lane is what one receiver is told of one incident: in it
rows go strictly in order, one at a time; a row comes due only when all before it are done. A dead update is passed over, a dead open holds its lane
back: there is nothing to update or resolve. Across lanes level 1 goes first, then the oldest.

Who takes a row holds it by a lease: a sender that was stopped or cut off loses it, and what it says afterwards of that taking is not written.
Each receiver has a queue of its own here, so that none waits for another; drills have theirs and never reach the bank's ticket system.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from tillwatch.collector.store.db import Db, Where
from tillwatch.collector.store.whereabouts import writing
from tillwatch.collector.tickets.delivery import LONGEST_WAIT_S, MAX_ANSWER, SECOND, Row, RowState, take
from tillwatch.collector.tickets.message import Op, TicketMessage
from tillwatch.collector.tickets.port import Destination, Leg, Link

BUSY_S = 10.0
"""How long the sender waits for the collector's own transactions, which take milliseconds: past this something is wrong, and it is said."""

PRUNE_AT_ONCE = 500
"""Incidents forgotten in one transaction: some 2,000 rows, well under a second."""

TOGETHER = 50
"""Updates that are told in one: what was longer away than that is told in several."""

_LONGEST_NS = int(LONGEST_WAIT_S * SECOND)

_LANE = (
    "{0}.connector = {1}.connector AND {0}.incident = {1}.incident AND {0}.channel = {1}.channel"
    " AND {0}.contact = {1}.contact"
)

# A row whose earlier rows are all done, dead updates aside. The first term repeats the index's own: SQLite uses a partial index only then,
# and the rows that are done, years of them, are not looked at.
_HEAD = f"""state <> 'done' AND state IN ('pending', 'sending', 'uncertain') AND NOT EXISTS (
    SELECT 1 FROM outbox AS earlier WHERE {_LANE.format("earlier", "outbox")} AND earlier.seq < outbox.seq
    AND earlier.state <> 'done' AND NOT (earlier.state = 'dead' AND earlier.op IN ('update', 'notify')))"""  # noqa: S608 - constants of this file
_DUE = """((state <> 'sending' AND (not_before <= :now OR not_before > :now + :longest))
    OR (state = 'sending' AND (lease_until <= :now OR lease_until > :now + :longest)))"""
_FREE = """NOT EXISTS (SELECT 1 FROM outbox AS other WHERE other.connector = :connector AND other.incident = outbox.incident
    AND other.channel = outbox.channel AND other.contact = outbox.contact AND other.seq = outbox.seq AND other.id <> outbox.id)"""
"""The place of a row in that connector's lane is nobody else's: the table takes one row for each."""
_COLUMNS = (
    "id, incident, op, seq, level, created_at, state, attempts, not_before, answer, queue, channel, contact, body"
)


class Taken(NamedTuple):
    """A row that is to be sent. earlier: bodies of the updates that it tells together with its own; link: the incident's ticket there."""

    row: Row
    body: bytes
    earlier: tuple[bytes, ...]
    leg: Leg
    link: Link | None


def connect(where: Where) -> Db:
    """A connection for the sender alone; the collector's store has created the tables and set WAL."""
    return writing(where, BUSY_S)


def enqueue(conn: Db, message: TicketMessage, now: int, to: Sequence[Destination]) -> int:
    """Put a message into the caller's open transaction, once for each receiver; how many rows that made. One that is there stands."""
    body = message.pack()
    made = 0
    for each in to:
        made += conn.execute(
            "INSERT INTO outbox (connector, incident, op, seq, queue, channel, contact, body, level, created_at, state)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending') ON CONFLICT (connector, incident, channel, contact, seq) DO NOTHING",
            (
                each.connector,
                message.incident,
                Op.NOTIFY.value if each.notify else message.op.value,
                message.seq,
                each.leg.queue,
                each.leg.channel,
                each.leg.contact,
                body,
                message.level,
                now,
            ),
        ).rowcount
    return made


def ticket_of(conn: Db, incident: str) -> str:
    """The connector that has the incident's ticket, or is to make it; empty where none has."""
    found = conn.execute(
        "SELECT connector FROM outbox WHERE incident = ? AND op <> 'notify' ORDER BY seq DESC, id DESC LIMIT 1",
        (incident,),
    ).fetchone()
    found = found or conn.execute("SELECT connector FROM ticket_link WHERE incident = ?", (incident,)).fetchone()
    return found[0] if found else ""


def reroute(conn: Db, known: Collection[str], route: Callable[[TicketMessage, int, str], Sequence[Destination]]) -> int:
    """At start, in a transaction of its own: what waits for a receiver that is not configured (any more) goes to the one that has its place.
    A person who was to be told over such a channel was told otherwise or not at all: that row is dead. Returns how many rows moved.
    """
    conn.execute("BEGIN IMMEDIATE")
    try:
        strangers = conn.execute(
            "SELECT id, incident, op, created_at, body FROM outbox WHERE state <> 'done' AND state <> 'dead'"
            " AND connector NOT IN (SELECT value FROM json_each(?)) ORDER BY id",
            (json.dumps(sorted(known)),),
        ).fetchall()
        places: dict[str, Destination] = {}
        for number, incident, op, created_at, body in strangers:
            if op == Op.NOTIFY.value:
                _give_up(conn, number, "the channel is not configured any more")
                continue
            if incident not in places:
                try:
                    message = TicketMessage.unpack(body)
                except ValueError as error:  # one that cannot be read must not stop a start
                    _give_up(conn, number, str(error))
                    continue
                ways = route(message, created_at, "")
                places[incident] = next(each for each in ways if not each.notify)
            place = places[incident]
            conn.execute(
                f"UPDATE outbox SET connector = :connector, queue = :queue, state = 'pending', attempts = 0 WHERE id = :id AND {_FREE}",  # noqa: S608 - a constant of this file
                {"connector": place.connector, "queue": place.leg.queue, "id": number},
            )
        conn.execute("COMMIT")
    except BaseException:
        _roll_back(conn)
        raise
    return len(strangers)


def retry(conn: Db, incident: str, connector: str) -> int:
    """Within the caller's transaction: what was given up waits again, and what waits is due now; of one incident or connector, or of all. What
    was given up may have been carried out. Returns how many rows that are.
    """
    return conn.execute(
        "UPDATE outbox SET state = CASE state WHEN 'dead' THEN 'uncertain' ELSE state END, not_before = 0"
        " WHERE state <> 'done' AND state <> 'sending' AND (:incident = '' OR incident = :incident) AND (:connector = '' OR connector = :connector)",
        {"incident": incident, "connector": connector},
    ).rowcount


def hand_over(conn: Db, incident: str, connector: str) -> None:
    """Within the caller's transaction: a person has put a ticket in the place of the one that was to be made. Nobody makes another one, and what waits
    goes there.
    """
    conn.execute(
        "UPDATE outbox SET state = 'done', answer = 'linked by a person' WHERE incident = ? AND op = 'open' AND state NOT IN ('done', 'sending')",
        (incident,),
    )
    waiting = conn.execute(
        "SELECT id FROM outbox WHERE incident = ? AND op <> 'notify' AND state NOT IN ('done', 'sending') ORDER BY id",
        (incident,),
    ).fetchall()
    # One by one: two that waited for different systems may be of one place in the lane, and the first of them has it.
    conn.executemany(
        f"UPDATE outbox SET connector = :connector WHERE id = :id AND {_FREE}",  # noqa: S608 - a constant of this file
        [{"connector": connector, "id": number} for (number,) in waiting],
    )


def recover(conn: Db, connector: str, now: int, settle_s: float) -> int:
    """At the start of the only sender of this store: rows that an ended one left `sending` may have been carried out. Returns how many there were."""
    conn.execute("BEGIN IMMEDIATE")
    try:
        left = conn.execute(
            "UPDATE outbox SET state = 'uncertain', not_before = ?, answer = 'the sender ended while it was sent'"
            " WHERE state = 'sending' AND connector = ?",
            (now + int(settle_s * SECOND), connector),
        ).rowcount
        conn.execute("COMMIT")
    except BaseException:
        _roll_back(conn)
        raise
    return left


def take_due(
    conn: Db,
    connector: str,
    now: int,
    limit: int,
    *,
    owner: str,
    lease_until: int,
    together: bool = False,
) -> list[Taken]:
    """Up to `limit` rows that are due, marked `sending` until the lease ends. Level 1 first, then the oldest. together: updates of one lane that
    wait are told in the last of them.
    """
    if limit <= 0:
        return []
    conn.execute("BEGIN IMMEDIATE")
    try:
        found = conn.execute(
            f"""SELECT {_COLUMNS}, EXISTS (SELECT 1 FROM outbox AS later WHERE {_LANE.format("later", "outbox")} AND later.seq > outbox.seq)
                FROM outbox WHERE connector = :connector AND {_DUE} AND {_HEAD} ORDER BY level, created_at, id LIMIT :limit""",  # noqa: S608 - constants of this file
            {"connector": connector, "now": now, "longest": _LONGEST_NS, "limit": limit},
        ).fetchall()
        taken = [_take(conn, connector, head, now, owner, lease_until, together=together) for head in found]
        conn.execute("COMMIT")
    except BaseException:
        _roll_back(conn)
        raise
    return taken


def _take(
    conn: Db,
    connector: str,
    head: tuple[Any, ...],
    now: int,
    owner: str,
    lease_until: int,
    *,
    together: bool,
) -> Taken:
    row, leg, body = _row(head)
    # What was tried may be there already: it is told by itself. What nobody ever tried goes with the others.
    if together and row.op is Op.UPDATE and row.followed and not row.attempts:
        row, leg, body = _row(_last_of(conn, connector, row, leg, now) or head)
    taken = take(row, owner)
    conn.execute(
        "UPDATE outbox SET state = ?, attempts = ?, owner = ?, lease_until = ? WHERE id = ?",
        (taken.state.value, taken.attempts, owner, lease_until, row.id),
    )
    earlier = conn.execute("SELECT body FROM outbox WHERE told_in = ? ORDER BY seq", (row.id,)).fetchall()
    return Taken(taken, body, tuple(one for (one,) in earlier), leg, link_of(conn, row.incident, connector))


def _last_of(conn: Db, connector: str, first: Row, leg: Leg, now: int) -> tuple[Any, ...] | None:
    """The last of the updates that wait in a row from `first` on; the ones before it are told in it."""
    later = conn.execute(
        f"""SELECT {_COLUMNS}, EXISTS (SELECT 1 FROM outbox AS later WHERE {_LANE.format("later", "outbox")} AND later.seq > outbox.seq)
            FROM outbox WHERE connector = ? AND incident = ? AND channel = ? AND contact = ? AND seq >= ? ORDER BY seq LIMIT ?""",  # noqa: S608 - constants of this file
        (connector, first.incident, leg.channel, leg.contact, first.seq, TOGETHER),
    ).fetchall()
    run = []
    for each in later:
        if each[2] != Op.UPDATE.value or each[6] != RowState.PENDING.value or each[7]:
            break
        run.append(each)
    if len(run) < 2:
        return None
    last = run[-1][0]
    conn.executemany(
        "UPDATE outbox SET state = 'done', done_at = ?, told_in = ?, answer = ? WHERE id = ?",
        [(now, last, f"told with message {run[-1][3]}", each[0]) for each in run[:-1]],
    )
    # What an earlier gathering told in one of these is told in the last one, too.
    conn.executemany("UPDATE outbox SET told_in = ? WHERE told_in = ?", [(last, each[0]) for each in run[:-1]])
    return tuple(run[-1])


def _row(found: tuple[Any, ...]) -> tuple[Row, Leg, bytes]:
    number, incident, op, seq, level, created_at, state, attempts, not_before, answer, queue, channel, contact, body, followed = found  # fmt: skip
    row = Row(
        number, incident, Op(op), seq, level, created_at, RowState(state), attempts, not_before, answer, followed=bool(followed),
    )  # fmt: skip
    return row, Leg(queue, channel, contact), body


def record_outcome(conn: Db, row: Row, now: int, *, connector: str = "", link: Link | None = None) -> bool:
    """Keep what came of an attempt, with the incident's ticket if there is one to keep.

    row: as delivery.settle() left it. False: the row was taken by somebody else meanwhile, nothing was written.
    """
    conn.execute("BEGIN IMMEDIATE")
    try:
        mine = conn.execute(
            "UPDATE outbox SET state = ?, not_before = ?, answer = ?, done_at = ?, owner = '', lease_until = 0"
            " WHERE id = ? AND state = 'sending' AND attempts = ? AND owner = ?",
            (
                row.state.value,
                row.not_before,
                row.answer,
                now if row.state is RowState.DONE else None,
                row.id,
                row.attempts,
                row.owner,
            ),
        ).rowcount
        if mine and link is not None:
            conn.execute(
                "INSERT INTO ticket_link (incident, connector, external_id, url, state, adopted) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (incident) DO UPDATE SET connector = excluded.connector, external_id = excluded.external_id,"
                " url = excluded.url, adopted = excluded.adopted, state = CASE WHEN ticket_link.external_id = excluded.external_id THEN ticket_link.state ELSE excluded.state END",
                (row.incident, connector, link.external_id, link.url, link.state, int(link.adopted)),
            )
        conn.execute("COMMIT")
    except BaseException:
        _roll_back(conn)
        raise
    return bool(mine)


def link_of(conn: Db, incident: str, connector: str) -> Link | None:
    """The incident's ticket in that system."""
    found = conn.execute(
        "SELECT external_id, url, state, adopted FROM ticket_link WHERE incident = ? AND connector = ?",
        (incident, connector),
    ).fetchone()
    return Link(found[0], found[1], found[2], bool(found[3])) if found else None


def next_due(conn: Db, connector: str, now: int) -> int | None:
    """When the next row comes due, UTC ns; None if no row waits for its time."""
    found: tuple[int | None] = conn.execute(
        f"""SELECT MIN(CASE state WHEN 'sending' THEN lease_until ELSE not_before END) FROM outbox
            WHERE connector = :connector AND CASE state WHEN 'sending' THEN lease_until ELSE not_before END > :now
            AND CASE state WHEN 'sending' THEN lease_until ELSE not_before END <= :now + :longest AND {_HEAD}""",  # noqa: S608 - a constant of this file
        {"connector": connector, "now": now, "longest": _LONGEST_NS},
    ).fetchone()
    return found[0]


def settled(conn: Db, before: int) -> list[str]:
    """Incidents of which every message, the end among them, was delivered before that time, UTC ns; at most PRUNE_AT_ONCE."""
    found = conn.execute(
        "SELECT incident FROM outbox GROUP BY incident"
        " HAVING count(*) FILTER (WHERE state <> 'done' AND (op <> 'notify' OR state <> 'dead')) = 0"
        " AND count(*) FILTER (WHERE op = 'resolve') > 0 AND max(done_at) < ? ORDER BY incident LIMIT ?",
        (before, PRUNE_AT_ONCE),
    )
    return [row[0] for row in found]


def prune(conn: Db, incidents: Sequence[str]) -> None:
    """Forget the messages of settled incidents, within the caller's transaction. Which ticket was theirs stays known."""
    conn.executemany("DELETE FROM outbox WHERE incident = ?", [(incident,) for incident in incidents])


def _give_up(conn: Db, number: int, why: str) -> None:
    conn.execute("UPDATE outbox SET state = 'dead', answer = ? WHERE id = ?", (why[:MAX_ANSWER], number))


def _roll_back(conn: Db) -> None:
    if conn.in_transaction:
        conn.execute("ROLLBACK")
