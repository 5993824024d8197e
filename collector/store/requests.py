"""The door for operators: what a command does beside the running collector waits in a table of the same file until the collector has
journaled it, so that there is one writer of the chain and no act without its entry.
"""

from __future__ import annotations

from typing import Any

import msgpack

from tillwatch.collector.store.db import Db

MAX_WAITING = 1_000
"""Requests that wait: a person or a script is nowhere near it; a loop gone wild ends here."""
MAX_FACTS = 64 * 1024
"""Bytes of one act's facts."""
FINDINGS = "findings"
"""The one action that is nobody's act: what the predictions say (collector/predict), journaled as FINDING."""
AT_ONCE = 100
"""Requests journaled in one turn: intake waits meanwhile."""


class RequestError(Exception):
    """The act cannot be asked for. The text says why and what to do."""


def ask(db: Db, facts: dict[str, Any]) -> int:
    """Leave an act for the collector to journal: facts of an Operator entry, with `action` and `actor`. Returns the request's number.

    The connection is in autocommit mode, or inside the transaction of what the act belongs to. Raises RequestError.
    """
    packed = msgpack.packb(facts)
    if not isinstance(facts.get("action"), str) or not isinstance(facts.get("actor"), str):
        msg = "an act has an action and an actor"
        raise RequestError(msg)
    if len(packed) > MAX_FACTS:
        msg = f"{len(packed)} bytes of facts for one act; the limit is {MAX_FACTS}"
        raise RequestError(msg)
    if count(db) >= MAX_WAITING:
        msg = f"{MAX_WAITING} acts wait for the collector already; start it, or look why it does not take them"
        raise RequestError(msg)
    (number,) = db.execute("INSERT INTO operator_request (facts) VALUES (?) RETURNING id", (packed,)).fetchone()
    return int(number)


def count(db: Db) -> int:
    """Acts that wait, whoever asked for them."""
    return int(db.execute("SELECT count(*) FROM operator_request").fetchone()[0])


def waiting(db: Db) -> list[tuple[int, dict[str, Any]]]:
    """The oldest acts that are not journaled yet, with their numbers."""
    rows = db.execute("SELECT id, facts FROM operator_request ORDER BY id LIMIT ?", (AT_ONCE,)).fetchall()
    return [(number, msgpack.unpackb(facts)) for number, facts in rows]


def settle(db: Db, number: int) -> None:
    """Called inside the transaction that journals the act."""
    db.execute("DELETE FROM operator_request WHERE id = ?", (number,))


def waits(db: Db, number: int) -> bool:
    return db.execute("SELECT 1 FROM operator_request WHERE id = ?", (number,)).fetchone() is not None
