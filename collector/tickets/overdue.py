"""Messages of grave incidents that no ticket system takes: how many wait for which receiver, since when, and who is told of it another way.

Where no receiver is configured nothing is late. The limits are the policy's. What is over a limit is told once to whom the fallback names, with the whole message; the state of each
receiver's queue goes to the journal when it changes, so that the monitoring itself has an incident for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tillwatch.collector.store.db import Db

UNDELIVERED = (
    "state <> 'done' AND connector NOT IN ('drills', '') AND op <> 'update' AND NOT (op = 'notify' AND state = 'dead')"
)
"""What has not reached whom it is for, a ticket that was given up among it. A call that was given up is of no use to anybody any more."""
_WAITING = f"""
    SELECT connector, level, count(*), min(created_at) FROM outbox WHERE {UNDELIVERED} AND level <= :most
    GROUP BY connector, level"""  # noqa: S608 - a constant condition
_LATE = """
    SELECT id, body FROM outbox WHERE state <> 'done' AND connector NOT IN ('drills', '') AND op <> 'update'
    AND level = :level AND created_at <= :before AND id > :after ORDER BY id LIMIT :limit"""

AT_ONCE = 200
"""Messages told another way in one look: a storm is told in several."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """Of one receiver. waiting: level -> (messages over the limit of that level or waiting with them, created_at of the oldest, UTC ns)."""

    connector: str
    waiting: Mapping[int, tuple[int, int]] = field(default_factory=dict)


def overdue(conn: Db, limits: Mapping[int, int], now: int) -> tuple[Overdue, ...]:
    """Receivers whose oldest message of a level waits longer than that level's limit (ns; 0 or absent: none)."""
    most = max((level for level, limit in limits.items() if limit), default=0)
    found: dict[str, dict[int, tuple[int, int]]] = {}
    for connector, level, count, oldest in conn.execute(_WAITING, {"most": most}):
        limit = limits.get(level, 0)
        if limit and now - oldest > limit:
            found.setdefault(connector, {})[level] = (count, oldest)
    return tuple(Overdue(connector, waiting) for connector, waiting in sorted(found.items()))


def late_messages(conn: Db, level: int, before: int, after: int) -> Sequence[tuple[int, bytes]]:
    """(row id, body) of messages of that level that have waited since `before` or longer, from row `after` on, at most AT_ONCE."""
    return conn.execute(_LATE, {"level": level, "before": before, "after": after, "limit": AT_ONCE}).fetchall()


def still_late(conn: Db, rows: Sequence[int]) -> Sequence[tuple[int, bytes]]:
    """(row id, body) of those of these rows that still wait."""
    return conn.execute(
        "SELECT id, body FROM outbox WHERE state <> 'done' AND id IN (SELECT CAST(value AS INTEGER) FROM json_each(?)) ORDER BY id",
        (json.dumps(rows),),
    ).fetchall()
