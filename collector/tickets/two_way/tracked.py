"""The tickets that are followed, as the store has them: which are to be looked at, whether our own deliveries are at rest, and how far each system
was asked. What a look finds is written by the journal (links.py); here only what it confirms.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from tillwatch.collector.store.db import Db
from tillwatch.collector.tickets.port import Remote

_COLUMNS = (
    "l.incident, l.external_id, l.url, l.state, l.status, l.owner, l.updated_at, l.said, l.verdict, l.part, l.adopted"
)
_LIVING = "state NOT IN ('closed', 'dropped')"
"""In the words of the index incident_living."""
_AT_ONCE = 500
"""Values in one statement: SQLite's own limit is 32,766, and was 999."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """The ticket of an incident as it was journaled last. status: empty where only our own delivery is known since; said: id of the last note; adopted:
    it may show the key of another incident, or none.
    """

    incident: str
    external_id: str
    url: str = ""
    state: str = ""
    status: str = ""
    owner: str = ""
    updated_at: int = 0
    said: str = ""
    verdict: str = ""
    part: str = ""
    adopted: bool = False


def cursor(conn: Db, connector: str) -> str:
    found = conn.execute("SELECT cursor FROM sync_cursor WHERE connector = ?", (connector,)).fetchone()
    return found[0] if found else ""


def advance(conn: Db, connector: str, to: str, now: int, left: Iterable[str]) -> None:
    """Go on from there next time. left: incidents whose tickets were not looked at though they came up: they are due from now on."""
    conn.execute("BEGIN IMMEDIATE")
    try:
        conn.executemany(
            "UPDATE ticket_link SET verified_at = 0 WHERE connector = ? AND incident = ?",
            [(connector, incident) for incident in left],
        )
        conn.execute(
            "INSERT INTO sync_cursor (connector, cursor, asked_at) VALUES (?, ?, ?) ON CONFLICT (connector)"
            " DO UPDATE SET cursor = excluded.cursor, asked_at = excluded.asked_at",
            (connector, to, now),
        )
        conn.execute("COMMIT")
    except BaseException:
        if conn.in_transaction:
            conn.execute("ROLLBACK")
        raise


def of_incident(conn: Db, connector: str, incident: str) -> Tracked | None:
    """None too for a ticket whose id nobody told, and for one that is gone."""
    return next(iter(_tracked(conn, connector, "l.incident", [incident])), None)


def known(conn: Db, connector: str, incident: str) -> Tracked | None:
    """The same, and one without an id too."""
    found = conn.execute(
        f"SELECT {_COLUMNS} FROM ticket_link l WHERE l.connector = ? AND l.incident = ?",  # noqa: S608 - constants of this file
        (connector, incident),
    ).fetchone()
    return Tracked(*found) if found else None


def concerned(conn: Db, connector: str, remotes: Collection[Remote]) -> list[tuple[Tracked, Remote]]:
    """Our tickets among those that changed there. A ticket that only has the key of an incident is not that incident's: people may have copied
    it; but something happened around it, so its own ticket is in the list, beside the one that came up.
    """
    by_id = {remote.id: remote for remote in remotes}
    by_key = {remote.key: remote for remote in remotes if remote.key}
    found = {
        each.incident: (each, by_id[each.external_id]) for each in _tracked(conn, connector, "l.external_id", by_id)
    }
    for each in _tracked(conn, connector, "l.incident", by_key):
        found.setdefault(each.incident, (each, by_key[each.incident]))
    return list(found.values())


def left_over(conn: Db, connector: str, limit: int) -> list[Tracked]:
    """Tickets that were never looked at, or came up and were left for later."""
    found = conn.execute(
        f"SELECT {_COLUMNS} FROM ticket_link l WHERE l.connector = ? AND l.external_id <> '' AND l.verified_at = 0 ORDER BY l.incident LIMIT ?",  # noqa: S608 - constants of this file
        (connector, limit),
    )
    return [Tracked(*row) for row in found]


def unseen(conn: Db, connector: str, before: int, now: int, limit: int) -> list[Tracked]:
    """Tickets of living incidents that were not looked at since `before` (UTC ns), the longest ago first. A look of the future is the mark of a
    clock that was set back.
    """
    found = conn.execute(
        f"SELECT {_COLUMNS} FROM incident i JOIN ticket_link l ON l.incident = i.corr_id WHERE i.{_LIVING}"  # noqa: S608 - as above
        " AND l.connector = ? AND l.external_id <> '' AND l.verified_at <> 0 AND (l.verified_at <= ? OR l.verified_at > ?)"
        " ORDER BY l.verified_at, l.incident LIMIT ?",
        (connector, before, now, limit),
    )
    return [Tracked(*row) for row in found]


def living(conn: Db, connector: str) -> int:
    """How many tickets of living incidents there are."""
    count: tuple[int] = conn.execute(
        f"SELECT count(*) FROM incident i JOIN ticket_link l ON l.incident = i.corr_id WHERE i.{_LIVING} AND l.connector = ?",  # noqa: S608 - as above
        (connector,),
    ).fetchone()
    return count[0]


def lately(conn: Db, connector: str, since: int) -> list[tuple[str, str]]:
    """(incident, ticket) of living incidents and of those that were opened since, UTC ns."""
    return conn.execute(
        f"SELECT l.incident, l.external_id FROM incident i JOIN ticket_link l ON l.incident = i.corr_id"  # noqa: S608 - as above
        f" WHERE (i.{_LIVING} OR i.opened_at >= ?) AND l.connector = ? AND l.external_id <> '' ORDER BY l.incident",
        (since, connector),
    ).fetchall()


def rest(conn: Db, connector: str, incident: str) -> int | None:
    """None while a delivery of ours is under way or may be; otherwise a number that is another one after the next delivery. What is read between
    two looks with the same number was not changed by us meanwhile.
    """
    busy, attempts = conn.execute(
        "SELECT count(*) FILTER (WHERE state IN ('sending', 'uncertain')), coalesce(sum(attempts), 0) FROM outbox"
        " WHERE incident = ? AND connector = ? AND op <> 'notify'",
        (incident, connector),
    ).fetchone()
    return None if busy else int(attempts)


def taken_over(conn: Db, incident: str, key: str) -> bool:
    """Whether a ticket with that key is another incident's by now: the number of one that was deleted may be given to the next."""
    found = conn.execute(
        "SELECT 1 FROM ticket_link l JOIN incident i ON i.corr_id = ? WHERE l.incident = ? AND l.adopted = 0",
        (key, incident),
    ).fetchone()
    return key != incident and found is not None


def confirm(conn: Db, connector: str, incident: str, remote: Remote, now: int) -> None:
    """It was looked at, and nobody but us had changed it. Its status is told by the look where our own delivery did not say it."""
    conn.execute(
        "UPDATE ticket_link SET verified_at = ?, updated_at = CASE WHEN updated_at > ? THEN updated_at ELSE ? END, status = ?"
        " WHERE connector = ? AND incident = ?",
        (now, remote.updated_at, remote.updated_at, remote.status, connector, incident),
    )


def looked_at(conn: Db, connector: str, incident: str, now: int) -> None:
    conn.execute(
        "UPDATE ticket_link SET verified_at = ? WHERE connector = ? AND incident = ?", (now, connector, incident)
    )


def _tracked(conn: Db, connector: str, column: str, values: Iterable[str]) -> list[Tracked]:
    wanted = list(values)
    found: list[Tracked] = []
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        found += [
            Tracked(*row)
            for row in conn.execute(
                f"SELECT {_COLUMNS} FROM ticket_link l WHERE l.connector = ? AND l.external_id <> ''"  # noqa: S608 - constants of this file
                f" AND {column} IN ({','.join('?' * len(part))})",
                (connector, *part),
            )
        ]
    return found
