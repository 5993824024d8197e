"""How somebody comes in: password, what else is asked before the fleet is shown (a second factor, a password of one's own), a link to begin with, and the
way out. Every answer to a wrong name is that to a wrong password, and takes as long.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from tillwatch.collector.people import accounts, second_factor, sessions
from tillwatch.collector.people.accounts import AccountError, Actor, Person
from tillwatch.collector.people.console_db import say
from tillwatch.collector.people.directory import NANO, Directory, Full
from tillwatch.collector.people.passwords import Passwords, Weak, weakness
from tillwatch.collector.people.rates import Attempts, Key, place_of
from tillwatch.collector.people.recording import Refusals
from tillwatch.collector.people.sessions import Session
from tillwatch.collector.people.settings import ConsoleSection

T = TypeVar("T")

STEP_NS = 10 * 60 * NANO
"""For the second factor, or to think of a password."""
BOARD_NS = 400 * 24 * 3600 * NANO
"""The session of a wall-board: over a year, and whoever manages people can end it. A browser keeps a cookie for 400 days."""
MAX_HASHING = 2
"""Passwords hashed at once: 64 MiB each, beside the pages."""
MAX_WAITING = 30
"""Who waits for that: 1.5 s for the last one. More are told to come again."""
MAX_ENROLLING = 1_000
"""Second factors that were shown and not confirmed yet."""
MAX_AGENT = 160
"""Characters of what a browser says of itself."""


class Refused(Exception):  # noqa: N818 - whoever asks is wrong, not the program
    """Nobody comes in. code: `wrong`, `wait`, `code`, `over`; wait: seconds."""

    def __init__(self, code: str, wait: float = 0.0) -> None:
        super().__init__(code)
        self.code = code
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Caller:
    """From where somebody asks. device: what that browser's cookie says, empty for none."""

    address: str
    agent: str = ""
    device: str = field(default="", repr=False)

    @property
    def origin(self) -> str:
        agent = "".join(each for each in self.agent if each.isprintable())[:MAX_AGENT]
        return f"{self.address} {agent}".strip()


@dataclass(frozen=True, slots=True)
class Entered:
    """A new session. cookie, device: what the browser keeps; device is empty for nothing new. name: whose it is."""

    session: Session
    cookie: str = field(repr=False)
    device: str = field(default="", repr=False)


class SigningIn:
    """All ways in and out. Runs on the event loop."""

    def __init__(self, directory: Directory, settings: ConsoleSection, passwords: Passwords | None = None) -> None:
        self.directory = directory
        self.settings = settings
        self.attempts = Attempts()
        self._passwords = passwords or Passwords()
        self._hashing = asyncio.Semaphore(MAX_HASHING)
        self._waiting = 0
        self._refusals = Refusals()
        self._enrolling: OrderedDict[bytes, str] = OrderedDict()

    async def hashed(self, work: Callable[[], T]) -> T:
        """Raises Full."""
        if self._waiting >= MAX_WAITING:
            raise Full(f"{MAX_WAITING} passwords already wait to be looked at")
        self._waiting += 1
        try:
            async with self._hashing:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1

    # In.

    async def password(self, name: str, password: str, caller: Caller, before: Session | None = None) -> Entered:
        """Name and password are right: signed in, or further on. before: what the same browser held until now, which ends. Raises Refused, Full,
        ConsoleDbError.
        """
        try:
            said = accounts.tidy(name)
        except AccountError:
            said = ""
        person = accounts.find(self.directory.db, said) if said else None
        keys = self._keys(said, person, caller)
        await self._unless_delayed(keys, person, caller)
        held = person.password if person is not None and person.active else ""
        right = await self.hashed(lambda: self._passwords.verify(held, password))
        if not right or person is None:
            self.attempts.failed(keys, self.directory.now())
            await self._refused(person, caller, "password")
            raise Refused("wrong")
        if self._passwords.aged(held):
            fresh = await self.hashed(lambda: self._passwords.hash(password))
            person = await self.directory.write(lambda db: _rehashed(db, said, held, fresh))
        return await self._enter(person, "password", caller, before=before)

    async def code(self, session: Session, code: str, caller: Caller) -> Entered:
        """The second factor of a session that asks for one. Raises as password()."""
        person = accounts.find(self.directory.db, session.person)
        keys = self._keys(session.person, person, caller)
        await self._unless_delayed(keys, person, caller)
        now = self.directory.now()

        def take(db: sqlite3.Connection) -> Person | None:
            # Read and written in one transaction: of two who show one code at once one comes in.
            held = accounts.find(db, session.person)
            left = second_factor.take(held.factor, code, now) if held is not None and held.factor is not None else None
            if held is None or left is None or not held.active:
                return None
            after = replace(held, factor=left)
            accounts.put(db, after)
            return after

        taken = await self.directory.write(take) if len(code) <= MAX_AGENT else None
        if taken is None:
            self.attempts.failed(keys, now)
            await self._refused(person, caller, "code")
            raise Refused("code")
        used = (
            "recovery code"
            if person and person.factor and taken.factor and len(taken.factor.codes) < len(person.factor.codes)
            else "totp"
        )
        return await self._enter(taken, f"{session.way}, {used}", caller, before=session, confirmed=True)

    async def choose(self, session: Session, password: str, caller: Caller) -> Entered:
        """A password of one's own, where the one that was given has to be changed. Raises AccountError, Full."""
        person = self._still(session)
        after = await self._new_password(person, password)
        actor = Actor(person.name, str(person.role))
        await self.directory.write(lambda db: accounts.change(db, after, actor, "password"))
        return await self._enter(after, session.way, caller, confirmed=True)

    async def invitation(self, secret: str, password: str, caller: Caller) -> Entered:
        """Whoever holds the link chooses the password of that account. Raises Refused, AccountError, Full."""
        digest = sessions.digest_of(secret)
        person = accounts.invited(self.directory.db, digest, self.directory.now())
        if person is None:
            raise Refused("over")
        after = await self._new_password(person, password)
        actor = Actor(person.name, str(person.role))

        def take(db: sqlite3.Connection) -> None:
            if accounts.invited(db, digest, self.directory.now()) is None:
                raise Refused("over")
            accounts.change(db, after, actor, "password")

        await self.directory.write(take)
        return await self._enter(after, "invitation", caller)

    async def vouched(self, person: Person, caller: Caller) -> Entered:
        """An identity provider says that it is this person; what it asked of them is its matter."""
        return await self._enter(person, "oidc", caller, confirmed=True)

    async def refused_elsewhere(self, caller: Caller, why: str) -> None:
        """The identity provider did not let somebody in, or nothing says what they may do here."""
        await self._refused(None, caller, why)

    # One's own account.

    async def change_password(self, session: Session, before: str, password: str, caller: Caller) -> Entered:
        """Ends all sessions and begins this one anew. Raises Refused, AccountError, Full."""
        person = self._still(session)
        if person.password:
            await self.is_own(person, before, caller)
            if before == password:
                raise AccountError(f"password_{Weak.SAME}", WEAK[Weak.SAME])
        after = await self._new_password(person, password)
        actor = Actor(person.name, str(person.role))
        await self.directory.write(lambda db: accounts.change(db, after, actor, "password"))
        return await self._enter(after, session.way, caller, confirmed=True)

    async def is_own(self, person: Person, password: str, caller: Caller) -> None:
        """Whoever left a browser open does not lose their account to the next one who sits down. Raises Refused, Full."""
        if not person.password:
            return
        keys = self._keys(person.name, person, caller)
        await self._unless_delayed(keys, person, caller)
        if not await self.hashed(lambda: self._passwords.verify(person.password, password)):
            self.attempts.failed(keys, self.directory.now())
            await self._refused(person, caller, "password")
            raise Refused("wrong")

    async def hashed_password(self, password: str) -> str:
        """As it is kept. Raises Full."""
        return await self.hashed(lambda: self._passwords.hash(password))

    async def revoke(self, name: str, number: int, by: Actor) -> None:
        """A token of that person; one that is not there is revoked already."""

        def work(db: sqlite3.Connection) -> None:
            held = sessions.revoke_token(db, name, number)
            if held is not None:
                say(db, by.facts("token", did="revoked", person=name, number=number, name=held.name))

        await self.directory.write(work)

    def offer_factor(self, session: Session) -> str:
        """A secret for the app, the same until it is confirmed."""
        held = self._enrolling.get(session.id) or second_factor.new_secret()
        self._enrolling[session.id] = held
        if len(self._enrolling) > MAX_ENROLLING:
            self._enrolling.popitem(last=False)
        return held

    async def confirm_factor(
        self, session: Session, code: str, caller: Caller
    ) -> tuple[Entered | None, tuple[str, ...]]:
        """The app shows right codes: it counts from now on. The recovery codes, to be shown once, and the session anew where this was the last step.
        Raises Refused.
        """
        person = self._still(session)
        secret = self._enrolling.get(session.id, "")
        now = self.directory.now()
        taken = second_factor.take(second_factor.SecondFactor(secret), code, now) if secret else None
        if taken is None:
            raise Refused("code")
        shown, kept = second_factor.new_codes()
        after = replace(person, factor=replace(taken, codes=kept))
        actor = Actor(person.name, str(person.role))
        await self.directory.write(lambda db: accounts.change(db, after, actor, "factor"))
        self._enrolling.pop(session.id, None)
        entered = (
            await self._enter(after, f"{session.way}, totp", caller, before=session, confirmed=True)
            if session.step
            else None
        )
        return entered, shown

    async def _new_password(self, person: Person, password: str) -> Person:
        weak = weakness(password, person.name, person.full_name)
        if weak is not None:
            raise AccountError(f"password_{weak}", WEAK[weak])
        return replace(person, password=await self.hashed_password(password), must_change=False)

    # Out.

    async def out(self, session: Session) -> None:
        def end(db: sqlite3.Connection) -> None:
            person = accounts.find(db, session.person)
            sessions.end(db, session.id)
            if person is not None and not session.step:
                say(
                    db,
                    Actor(person.name, str(person.role)).facts(
                        "sign-out", session=session.mark, at=self.directory.now()
                    ),
                )

        await self.directory.write(end)

    # In common.

    def _keys(self, name: str, person: Person | None, caller: Caller) -> tuple[Key, ...]:
        """What a wrong password counts against. A browser that this person has signed in with counts by itself: nobody elsewhere can delay it."""
        if person is not None and caller.device:
            digest = sessions.digest_of(caller.device)
            if sessions.knows_device(self.directory.db, digest, person.name):
                return (("device", digest.hex()),)
        # Somebody at the machine has freed the name: what was counted before belongs to another key.
        freed = f"{name} {person.freed_at}" if person is not None else name
        return ("name", freed), ("address", place_of(caller.address))

    async def _unless_delayed(self, keys: tuple[Key, ...], person: Person | None, caller: Caller) -> None:
        wait = self.attempts.wait(keys, self.directory.now())
        if wait > 0:
            await self._refused(person, caller, "delayed")
            raise Refused("wait", wait)

    async def _refused(self, person: Person | None, caller: Caller, why: str) -> None:
        """Told without what was typed: people type their password where the name belongs."""
        name = person.name if person is not None else ""
        at = self.directory.now()
        facts = {
            "action": "sign-in-refused",
            "actor": name,
            "via": "console",
            "reason": why,
            "from": caller.origin,
            "count": 1,
            "at": at,
        }
        await self._tell(self._refusals.take(facts, at))

    async def tell_due(self) -> None:
        """The refusals of a minute that is over. Call it now and then."""
        await self._tell(self._refusals.due(self.directory.now()))

    async def _tell(self, facts: list[dict[str, Any]]) -> None:
        if facts:
            await self.directory.write(lambda db: _say_all(db, facts))

    def _still(self, session: Session) -> Person:
        person = accounts.find(self.directory.db, session.person)
        if person is None or not person.active:
            raise Refused("over")
        return person

    def _next(self, person: Person, *, confirmed: bool) -> str:
        """What is still asked of somebody whose password was right."""
        if person.factor is not None and not confirmed:
            return "totp"
        if person.must_change:
            return "password"
        return "enrol" if self._must_enrol(person) else ""

    def _must_enrol(self, person: Person) -> bool:
        return person.factor is None and person.role in self.settings.totp and not person.board and not person.subject

    async def _enter(
        self, person: Person, way: str, caller: Caller, *, before: Session | None = None, confirmed: bool = False
    ) -> Entered:
        """A new session, never the one of before: who has seen that one's cookie has nothing."""
        now, step = self.directory.now(), self._next(person, confirmed=confirmed)
        cookie, device = sessions.new_secret(), ""
        length, idle = int(self.settings.session_length * NANO), int(self.settings.session_idle * NANO)
        if person.board:
            length, idle = BOARD_NS, 0
        if step:
            length, idle = STEP_NS, 0
        made = Session(
            sessions.digest_of(cookie),
            person.name,
            sessions.new_secret(),
            now,
            now,
            now + length,
            idle,
            caller.origin,
            way,
            step,
        )
        keys = self._keys(person.name, person, caller)
        if not step and keys[0][0] != "device":
            device = sessions.new_secret()

        def begin(db: sqlite3.Connection) -> None:
            if before is not None:
                sessions.end(db, before.id)
            sessions.begin(db, made, self.settings.sessions)
            if step:
                return
            if device:
                sessions.remember_device(db, sessions.digest_of(device), person.name, now)
            held = accounts.find(db, person.name)
            if held is None or not held.active:  # disabled while this one was under way
                raise Refused("wrong")
            accounts.put(db, replace(held, seen_at=now))
            say(
                db,
                Actor(held.name, str(held.role)).facts(
                    "sign-in", way=way, session=made.mark, at=now, **{"from": caller.origin}
                ),
            )

        await self.directory.write(begin)
        if not step:
            self.attempts.forget(
                key for key in keys if key[0] != "address"
            )  # or one's own account would free the way to others'
        return Entered(made, cookie, device)


WEAK: Mapping[Weak, str] = {
    Weak.SHORT: "a password has at least 12 characters: a few words that do not belong together are easy to keep in mind",
    Weak.LONG: "a password has at most 256 characters",
    Weak.NAME: "without your name little is left of it; take words that have nothing to do with you",
    Weak.COMMON: "it is made of words and keys that every list of stolen passwords begins with; take others",
    Weak.SAME: "that is the password of before",
}


def _say_all(db: sqlite3.Connection, facts: list[dict[str, Any]]) -> None:
    for each in facts:
        say(db, each)


def _rehashed(db: sqlite3.Connection, name: str, held: str, fresh: str) -> Person:
    """The same password under today's parameters. Nobody's sessions end by it."""
    person = accounts.find(db, name)
    if person is None:
        raise Refused("wrong")
    if person.password == held:  # else it was changed meanwhile, and that counts
        person = replace(person, password=fresh)
        accounts.put(db, person)
    return person
