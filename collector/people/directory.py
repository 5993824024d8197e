"""The console's file while the console runs: who asks is looked up at every request, because another process (a command) may have changed it a moment
ago; changes are made one after the other on a thread of their own, so that no slow disk stops the pages.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tillwatch.collector.people import accounts, sessions
from tillwatch.collector.people.accounts import Person
from tillwatch.collector.people.console_db import open_console, transaction
from tillwatch.collector.people.roles import ANYBODY, GRANTS, NOBODY, Scope, Visitor
from tillwatch.collector.people.sessions import Session, Token

T = TypeVar("T")
NANO = 1_000_000_000
SEEN_NS = 60 * NANO
"""How old what the file says of the last sign of life may get: one write a minute and session, not one a request."""
MAX_WRITES = 200
"""Changes that wait for their turn. Past it the answer is Full at once."""
MAX_ALIVE = 10_000
"""Sessions whose last sign of life is remembered before it is written."""


class Full(Exception):  # noqa: N818 - a state of the console, answered with 503
    """Too many changes wait for the disk."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks. session, token: what they showed; none for somebody who showed nothing that holds."""

    visitor: Visitor
    session: Session | None = None
    token: Token | None = None


class Directory:
    """path: of the console's file. anonymous: whether somebody who has not signed in may look, as settings say; until there is an account everybody on
    this machine may. Raises ConsoleDbError.
    """

    def __init__(
        self, path: Path, *, anonymous: bool = False, far: bool = False, now: Callable[[], int] = time.time_ns
    ) -> None:
        self.now = now
        self._anonymous = anonymous
        self._far = far
        self._reading = open_console(path)
        self._writing = open_console(path)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="console.db")
        self._waiting = 0
        self._alive: dict[bytes, int] = {}
        self._peopled = False

    @property
    def db(self) -> sqlite3.Connection:
        """To look something up, on the event loop: every question is by a key and takes some microseconds."""
        return self._reading

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """`work` in a transaction. Raises Full, or what it raises."""
        if self._waiting >= MAX_WRITES:
            raise Full(f"{MAX_WRITES} changes already wait for the disk")

        def run() -> T:
            with transaction(self._writing):
                return work(self._writing)

        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._writer, run)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._writer.shutdown(wait=True, cancel_futures=True)
        self._writing.close()
        self._reading.close()

    # Who asks.

    def peopled(self) -> bool:
        """Whether there is an account; none is ever removed."""
        self._peopled = self._peopled or accounts.count(self._reading) > 0
        return self._peopled

    def nobody(self) -> Visitor:
        """Who has shown nothing: may look where that is allowed."""
        return ANYBODY if not self._far and (self._anonymous or not self.peopled()) else NOBODY

    def by_cookie(self, secret: str) -> Asker:
        """Also a session in which something is still asked; its visitor is nobody."""
        held = self.session(sessions.digest_of(secret))
        if held is None:
            return Asker(self.nobody())
        person = accounts.find(self._reading, held.person)
        if person is None or not person.active:
            return Asker(self.nobody())
        if held.step:
            return Asker(NOBODY, held)
        return Asker(visitor_of(person, held), held)

    def by_token(self, secret: str) -> Asker:
        token = sessions.token(self._reading, sessions.digest_of(secret))
        person = accounts.find(self._reading, token.person) if token is not None else None
        if token is None or person is None or not person.active or token.until <= self.now():
            return Asker(NOBODY)
        if not GRANTS[token.role] <= GRANTS[person.role]:
            return Asker(NOBODY)
        scope = reach(token.scope, person.scope)
        if scope is None:
            return Asker(NOBODY)
        visitor = Visitor(
            person.name,
            token.role,
            scope,
            language=person.settings.get("language", ""),
            zone=person.settings.get("zone", ""),
        )
        return Asker(visitor, token=token)

    def session(self, digest: bytes) -> Session | None:
        """One that lasts."""
        held = sessions.session(self._reading, digest)
        if held is None:
            return None
        held = replace(held, seen_at=max(held.seen_at, self._alive.get(digest, 0)))
        return None if held.over(self.now()) else held

    def touched(self, session: Session) -> bool:
        """A sign of life of the person. Whether it is time to write it down."""
        self._alive[session.id] = now = self.now()
        if len(self._alive) > MAX_ALIVE:
            self._alive.pop(next(iter(self._alive)))
        row = sessions.session(self._reading, session.id)
        return row is not None and now - row.seen_at >= SEEN_NS

    async def write_down(self, session: Session) -> None:
        at = self._alive.get(session.id, 0)
        await self.write(lambda db: sessions.seen(db, session.id, at))
        if self._alive.get(session.id) == at:  # until the file says it, this is what is known
            del self._alive[session.id]


def visitor_of(person: Person, session: Session) -> Visitor:
    settings = person.settings
    return Visitor(
        person.name, person.role, person.scope, session.mark, settings.get("language", ""), settings.get("zone", ""), theme=settings.get("theme", ""),
        csrf=session.csrf,
    )  # fmt: skip


def reach(asked: Scope, own: Scope) -> Scope | None:
    """What a token sees: what it was made for, and no more than its owner today; None where nothing is left."""
    if asked.whole:
        return own
    return asked if own.whole or sessions.within(asked, own) else None
