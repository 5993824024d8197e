"""How what a person does on the console becomes record: the act waits in the store's table of requests until the collector has journaled it, as an act
at the command line does. The console itself never writes the journal.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Mapping
from contextlib import closing
from typing import Any, Protocol

from tillwatch.collector.people.roles import Visitor
from tillwatch.collector.store import requests
from tillwatch.collector.store.db import Where
from tillwatch.collector.store.whereabouts import writing

ANSWER_S = 10.0
"""For the collector to journal an act: it looks every second, and a commit of a slow disk takes a few."""
POLL_S = 0.05
BUSY_S = 5.0
"""For the collector's own transaction to end."""


class NotTaken(Exception):  # noqa: N818  # a state of the collector, answered with 503
    """The act is not in effect, and does not wait either, unless it is Kept. The text says what becomes of it."""


class Kept(NotTaken):
    """The act waits for the collector, which does it as soon as it can."""


class Acts(Protocol):
    """Called from the event loop, on behalf of a visitor. Returns once the acts are journaled, in this order, and in effect. Raises NotTaken."""

    def __call__(self, visitor: Visitor, *facts: Mapping[str, Any]) -> Awaitable[None]: ...


class ActsDoor:
    """Acts. database: the collector's store."""

    def __init__(self, database: Where) -> None:
        self._database = database

    async def __call__(self, visitor: Visitor, *facts: Mapping[str, Any]) -> None:
        await asyncio.to_thread(self._journal, [self.signed(visitor, each) for each in facts], wait=True)

    async def leave(self, visitor: Visitor, facts: Mapping[str, Any]) -> None:
        """The same without waiting: it is kept, and record as soon as a collector runs."""
        await asyncio.to_thread(self._journal, [self.signed(visitor, facts)], wait=False)

    def signed(self, visitor: Visitor, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {**facts, "actor": visitor.name or "console", "role": str(visitor.role or ""), "via": "console"}

    def _journal(self, acts: list[dict[str, Any]], *, wait: bool) -> None:
        asked = 0
        try:
            with closing(writing(self._database, BUSY_S)) as db:
                db.execute("BEGIN IMMEDIATE")
                number = max(requests.ask(db, facts) for facts in acts)
                db.execute("COMMIT")
                asked = number
                until = time.monotonic() + ANSWER_S
                while wait and requests.waits(db, number):
                    if time.monotonic() > until:
                        msg = f"the collector has not taken this within {ANSWER_S:g} s; it is kept and done as soon as it can, do not repeat it"
                        raise Kept(msg)
                    time.sleep(POLL_S)
        except sqlite3.Error as error:
            if asked:
                raise Kept(f"this is kept, and whether it is done cannot be read: {error}") from error
            raise NotTaken(f"the store cannot be written: {error}; nothing was done") from error
        except requests.RequestError as error:
            raise NotTaken(str(error)) from error
