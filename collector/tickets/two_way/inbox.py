"""Calls of ticket systems that were taken. A call whose id is known is answered and not acted on. What a call itself says, where the system cannot
be asked for it, is in the store before the call is answered, and is journaled afterwards, in its order and at least once.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from tillwatch.collector.store.db import Db, Where
from tillwatch.collector.store.whereabouts import writing
from tillwatch.collector.tickets.delivery import SECOND
from tillwatch.collector.tickets.settings import ReceiverSettings
from tillwatch.collector.tickets.store_thread import StoreThread
from tillwatch.collector.tickets.two_way import pushed, tracked
from tillwatch.collector.tickets.two_way.sync import OnChange

log = logging.getLogger(__name__)

REMEMBERED_NS = 72 * 3600 * SECOND
"""Standard Webhooks asks for as much: senders try again for days."""

PRUNE_NS = 3600 * SECOND
"""Between looks for ids that may be forgotten."""

MAX_REMEMBERED = 100_000
"""Ids of one system: a call every 3 s for 72 h. Beyond it the oldest are forgotten, and a very late repetition asks once more."""

MAX_WAITING = 1_000
"""Calls that are taken and not journaled yet, of one system: a journal that takes nothing is found out long before."""

BUSY_S = 2.0
"""How long a call waits for the collector's own transactions: who calls gives up after 5 s (PagerDuty) to 30 s, and calls again."""

AT_ONCE = 100
AGAIN_S = 5.0
"""Between attempts at a journal that does not take what was said."""

Apply = Callable[["Inbox", str, bytes, int], Awaitable[None]]
"""(who asks, id of the call, its body, when it came in UTC ns): journals what it says. Raises ValueError for what can never be journaled."""


def connect(where: Where) -> Db:
    """A connection for an inbox; the collector's store has created the tables and set WAL."""
    return writing(where, BUSY_S)


class FullError(Exception):
    """No more calls are taken until those that wait are journaled."""


class Inbox:
    """One for all systems. connect: opens a connection of its own (inbox.connect); clock: UTC ns. applying: system -> what journals its calls."""

    def __init__(
        self,
        connect: Callable[[], Db],
        applying: Mapping[str, Apply],
        *,
        clock: Callable[[], int] = time.time_ns,
        again_s: float = AGAIN_S,
    ) -> None:
        self._store = StoreThread(connect, "ticket inbox")
        self._applying = applying
        self._clock = clock
        self._again_s = again_s
        self._wanted = asyncio.Event()
        self._pruned_at = 0
        self._ill = ""

    async def take(self, connector: str, delivery_id: str, body: bytes | None = None) -> bool:
        """Keep a call. False: it was taken before. body: what is to be journaled of it. Raises FullError, and sqlite3.Error with nothing kept."""
        now = self._clock()
        taken = await self._store.once(_take, connector, delivery_id, now, body)
        if taken and body is not None:
            self._wanted.set()
        return taken

    async def ticket_of(self, connector: str, incident: str) -> tracked.Tracked | None:
        """The incident's ticket as it was journaled last, one without an id too; None for an incident that there is not."""
        return await self._store.once(_tracked, connector, incident)

    async def run(self) -> None:
        """Journal what was taken until cancelled."""
        try:
            while True:
                self._wanted.clear()
                if await self.drain():
                    await self._wanted.wait()
                else:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._again_s):
                            await self._wanted.wait()
        finally:
            await self.close()

    async def close(self) -> None:
        """For who does not call `run`."""
        await self._store.close()

    async def drain(self) -> bool:
        """Journal what waits, the oldest first. False: the journal did not take all of it."""
        await self._prune()
        while waiting := await self._store.surely(_waiting, sorted(self._applying)):
            for connector, delivery_id, body, at in waiting:
                try:
                    await self._applying[connector](self, delivery_id, body, at)
                except ValueError as error:
                    log.warning(f"{connector}: a call said nothing that could be kept: {error}")
                except Exception as error:  # it stays, and is tried again
                    frames = traceback.extract_tb(error.__traceback__)
                    reason = f"{type(error).__name__} at {frames[-1].filename}:{frames[-1].lineno}"
                    if reason != self._ill:
                        log.error(f"{connector}: what a call said could not be journaled: {reason}; it waits")
                    self._ill = reason
                    return False
                await self._store.surely(_applied, connector, delivery_id)
        self._ill = ""
        return True

    async def _prune(self) -> None:
        now = self._clock()
        if not 0 <= now - self._pruned_at < PRUNE_NS:
            self._pruned_at = now
            await self._store.surely(_prune, now - REMEMBERED_NS)


def changes_of(name: str, settings: ReceiverSettings, on_change: OnChange) -> Apply:
    """What journals the calls of a generic webhook."""

    async def apply(inbox: Inbox, delivery_id: str, body: bytes, at: int) -> None:
        known = await inbox.ticket_of(name, pushed.incident_of(body))
        if known is None:
            raise pushed.PushError("there is no such incident")
        words = {"states": settings.states, "verdicts": settings.verdicts}
        await on_change(pushed.facts_of(body, known, connector=name, delivery_id=delivery_id, at=at, **words))

    return apply


def _take(conn: Db, connector: str, delivery_id: str, now: int, body: bytes | None) -> bool:
    if body is not None:
        waits = conn.execute(
            "SELECT count(*) FROM ticket_inbox WHERE connector = ? AND body IS NOT NULL", (connector,)
        ).fetchone()
        if waits[0] >= MAX_WAITING:
            raise FullError(f"{MAX_WAITING} calls wait to be journaled")
    made = conn.execute(
        "INSERT INTO ticket_inbox (connector, delivery_id, received_at, body) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (connector, delivery_id) DO NOTHING",
        (connector, delivery_id, now, body),
    )
    return made.rowcount == 1


def _waiting(conn: Db, connectors: list[str]) -> list[tuple[str, str, bytes, int]]:
    if not connectors:
        return []  # PostgreSQL takes no empty list
    return conn.execute(
        "SELECT connector, delivery_id, body, received_at FROM ticket_inbox WHERE body IS NOT NULL"  # noqa: S608 - question marks
        f" AND connector IN ({','.join('?' * len(connectors))}) ORDER BY received_at, delivery_id LIMIT ?",
        (*connectors, AT_ONCE),
    ).fetchall()


def _applied(conn: Db, connector: str, delivery_id: str) -> None:
    conn.execute(
        "UPDATE ticket_inbox SET body = NULL WHERE connector = ? AND delivery_id = ?", (connector, delivery_id)
    )


def _prune(conn: Db, before: int) -> None:
    conn.execute("DELETE FROM ticket_inbox WHERE body IS NULL AND received_at < ?", (before,))
    for connector, count in conn.execute("SELECT connector, count(*) FROM ticket_inbox GROUP BY connector").fetchall():
        conn.execute(
            "DELETE FROM ticket_inbox WHERE (connector, delivery_id) IN (SELECT connector, delivery_id FROM ticket_inbox"
            " WHERE connector = ? AND body IS NULL ORDER BY received_at LIMIT ?)",
            (connector, max(0, count - MAX_REMEMBERED)),
        )


def _tracked(conn: Db, connector: str, incident: str) -> tracked.Tracked | None:
    if conn.execute("SELECT 1 FROM incident WHERE corr_id = ?", (incident,)).fetchone() is None:
        return None
    return tracked.known(conn, connector, incident) or tracked.Tracked(incident, "", state="open")
