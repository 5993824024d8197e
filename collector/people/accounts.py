"""Accounts: who there is, with which role and for which part of the fleet. Functions over the console's file; each that changes something is called
inside a transaction and says, in the same one, what becomes record.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgpack

from tillwatch.collector.people.console_db import say
from tillwatch.collector.people.roles import Role, Scope
from tillwatch.collector.people.second_factor import SecondFactor

MAX_PEOPLE = 2_000
"""A bank's operations; who comes through an identity provider counts, too."""
MAX_FULL_NAME = 80
MAX_PLACES = 200
"""Regions or branches of one scope."""
MAX_PLACE = 120
_NAME = re.compile(r"\w[\w.@+-]{0,59}")
_COLUMNS = "name, full_name, role, scope, state, password, must_change, factor, subject, board, settings, freed_at, created_at, seen_at"


class AccountError(ValueError):
    """What was asked of an account cannot be. code: of the message, and of the API's problem; the text says it in English."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Person:
    """password: argon2id in PHC form, empty for none; factor: None without a second one; board: a wall-board, which only looks; settings: language,
    zone, theme; times are UTC ns, seen_at 0 for never.
    """

    name: str
    full_name: str
    role: Role
    scope: Scope = field(default_factory=Scope)
    active: bool = True
    password: str = field(default="", repr=False)
    must_change: bool = False
    factor: SecondFactor | None = None
    subject: str = ""
    board: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    freed_at: int = 0
    created_at: int = 0
    seen_at: int = 0


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes an account. via: `console` or `command line`; role: empty at the command line."""

    name: str
    role: str = ""
    via: str = "console"

    def facts(self, action: str, **more: Any) -> dict[str, Any]:
        return {"action": action, "actor": self.name, "role": self.role, "via": self.via, **more}


def tidy(name: str) -> str:
    """The name as it is kept: people type it with and without capitals. Raises AccountError."""
    said = unicodedata.normalize("NFKC", name.strip()).casefold()
    if not _NAME.fullmatch(said):
        raise AccountError(
            "name", "a name has 1 to 60 letters, digits and . _ @ + -, and begins with a letter or digit"
        )
    return said


def scope_of(regions: Sequence[str], branches: Sequence[str]) -> Scope:
    """Raises AccountError."""
    for said in (regions, branches):
        if len(said) > MAX_PLACES or any(not 0 < len(one) <= MAX_PLACE or not one.isprintable() for one in said):
            raise AccountError(
                "scope", f"up to {MAX_PLACES} regions and branches, each of 1 to {MAX_PLACE} printable characters"
            )
    return Scope(frozenset(regions), frozenset(branches))


def pack_scope(scope: Scope) -> bytes:
    packed: bytes = msgpack.packb({"regions": sorted(scope.regions), "branches": sorted(scope.branches)})
    return packed


def unpack_scope(packed: bytes) -> Scope:
    held = msgpack.unpackb(packed)
    return Scope(frozenset(held["regions"]), frozenset(held["branches"]))


def count(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM person").fetchone()[0])


def everybody(db: sqlite3.Connection) -> list[Person]:
    """By name; never more than MAX_PEOPLE."""
    return [_person(row) for row in db.execute(f"SELECT {_COLUMNS} FROM person ORDER BY name")]  # noqa: S608 - a constant


def find(db: sqlite3.Connection, name: str) -> Person | None:
    row = db.execute(f"SELECT {_COLUMNS} FROM person WHERE name = ?", (name,)).fetchone()  # noqa: S608 - a constant
    return _person(row) if row is not None else None


def by_subject(db: sqlite3.Connection, subject: str) -> Person | None:
    row = db.execute(f"SELECT {_COLUMNS} FROM person WHERE subject = ?", (subject,)).fetchone()  # noqa: S608 - a constant
    return _person(row) if row is not None else None


def _person(row: tuple[Any, ...]) -> Person:
    (
        name,
        full_name,
        role,
        scope,
        state,
        password,
        must_change,
        factor,
        subject,
        board,
        settings,
        freed_at,
        created_at,
        seen_at,
    ) = row
    return Person(
        name, full_name, Role(role), unpack_scope(scope), state == "active", password, bool(must_change),
        SecondFactor.of(msgpack.unpackb(factor)) if factor else None, subject, bool(board), msgpack.unpackb(settings), freed_at, created_at, seen_at,
    )  # fmt: skip


def put(db: sqlite3.Connection, person: Person) -> None:
    """As it is from now on. What of it is record is said by whoever calls."""
    db.execute(
        f"INSERT OR REPLACE INTO person ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",  # noqa: S608 - a constant
        (
            person.name, person.full_name, str(person.role), pack_scope(person.scope), "active" if person.active else "disabled", person.password,
            person.must_change, msgpack.packb(person.factor.packed()) if person.factor is not None else b"", person.subject, person.board,
            msgpack.packb(dict(person.settings)), person.freed_at, person.created_at, person.seen_at,
        ),
    )  # fmt: skip


def add(db: sqlite3.Connection, person: Person, by: Actor) -> None:
    """A new account. Raises AccountError."""
    check(person)
    if find(db, person.name) is not None:
        raise AccountError(
            "taken", f"{person.name} is somebody already; give them another role or scope, or take another name"
        )
    if count(db) >= MAX_PEOPLE:
        raise AccountError("full", f"{MAX_PEOPLE} accounts are the most there may be")
    put(db, person)
    say(db, by.facts("person", person=person.name, did="added", **_told(person)))


def change(db: sqlite3.Connection, after: Person, by: Actor, did: str) -> None:
    """did: one word of what was done, for the record. A person who may do something else than before signs in anew. Raises AccountError."""
    before = find(db, after.name)
    if before is None:
        raise AccountError("unknown", f"nobody is called {after.name}")
    check(after)
    if (before.role is Role.ADMINISTRATOR and before.active) and not (
        after.role is Role.ADMINISTRATOR and after.active
    ):
        _keep_one(db, after.name)
    put(db, after)
    if (before.role, before.scope, before.active, before.password, before.board) != (
        after.role,
        after.scope,
        after.active,
        after.password,
        after.board,
    ):
        db.execute("DELETE FROM session WHERE person = ?", (after.name,))
    if before.password != after.password or not after.active:
        db.execute("DELETE FROM invitation WHERE person = ?", (after.name,))
        db.execute("DELETE FROM device WHERE person = ?", (after.name,))
    say(db, by.facts("person", person=after.name, did=did, **_told(after)))


def check(person: Person) -> None:
    """What no single field can say. Raises AccountError."""
    tidy(person.name)
    if len(person.full_name) > MAX_FULL_NAME or (person.full_name and not person.full_name.isprintable()):
        raise AccountError("full_name", f"a full name has up to {MAX_FULL_NAME} printable characters")
    if person.board and person.role is not Role.VIEWER:
        raise AccountError("board", "the session of a wall-board lasts for months: only a viewer may have one")
    if person.role is Role.ADMINISTRATOR and not person.scope.whole:
        raise AccountError(
            "administrator_scope", "who manages people manages all of them: an administrator has no scope"
        )


def _keep_one(db: sqlite3.Connection, besides: str) -> None:
    rows = db.execute(
        "SELECT 1 FROM person WHERE role = ? AND state = 'active' AND name <> ?", (str(Role.ADMINISTRATOR), besides)
    )
    if rows.fetchone() is None:
        raise AccountError("last_administrator", "this is the last administrator; make another one first")


def _told(person: Person) -> dict[str, Any]:
    return {
        "holds": str(person.role), "regions": sorted(person.scope.regions), "branches": sorted(person.scope.branches), "active": person.active,
        "factor": person.factor is not None, "board": person.board,
    }  # fmt: skip


def invite(db: sqlite3.Connection, name: str, digest: bytes, until: int) -> None:
    """A link to choose a password with, which holds what this is the SHA-256 of. The one before is over."""
    db.execute("DELETE FROM invitation WHERE person = ?", (name,))
    db.execute("INSERT INTO invitation (id, person, until) VALUES (?, ?, ?)", (digest, name, until))


def invited(db: sqlite3.Connection, digest: bytes, now: int) -> Person | None:
    row = db.execute("SELECT person FROM invitation WHERE id = ? AND until > ?", (digest, now)).fetchone()
    person = find(db, row[0]) if row is not None else None
    return person if person is not None and person.active else None


def with_setting(person: Person, key: str, value: str) -> Person:
    settings = {**person.settings, key: value}
    return replace(person, settings={name: one for name, one in settings.items() if one})
