"""Sessions, the browsers they are begun with, and API tokens. What somebody holds is random and 256 bits long; here stands its SHA-256, so that who
reads this file cannot come in with it.
"""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import dataclass, field
from hashlib import sha256

from tillwatch.collector.people.accounts import AccountError, pack_scope, unpack_scope
from tillwatch.collector.people.roles import GRANTS, Role, Scope

MAX_DEVICES = 10
"""Browsers that are known of one person."""
MAX_TOKENS = 20
"""Of one person: each belongs to one program."""
MAX_LABEL = 60
MAX_TOKEN_DAYS = 366
TOKEN_PREFIX = "tw_"  # noqa: S105 - by it programs that look for leaked secrets know one
_SESSION = "id, person, csrf, begun_at, seen_at, until, idle, origin, way, step"
_TOKEN = "number, name, person, role, scope, created_at, until, seen_at"  # noqa: S105 - columns


def new_secret() -> str:
    """256 bits, as they may stand in a cookie or an address."""
    return secrets.token_urlsafe(32)


def digest_of(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


@dataclass(frozen=True, slots=True)
class Session:
    """csrf: what acts of its pages carry; until, idle: ns, idle 0 for none; origin: address and browser; way: how it was begun; step: what is still asked,
    empty once signed in.
    """

    id: bytes = field(repr=False)
    person: str
    csrf: str = field(repr=False)
    begun_at: int
    seen_at: int
    until: int
    idle: int
    origin: str
    way: str
    step: str

    @property
    def mark(self) -> str:
        """By which people and the record tell it from others: nobody comes in with it."""
        return self.id[:6].hex()

    def over(self, now: int) -> bool:
        return now >= self.until or (self.idle > 0 and now >= self.seen_at + self.idle)


@dataclass(frozen=True, slots=True)
class Token:
    """seen_at: when it was used last, 0 for never."""

    number: int
    name: str
    person: str
    role: Role
    scope: Scope
    created_at: int
    until: int
    seen_at: int


def begin(db: sqlite3.Connection, session: Session, most: int) -> None:
    """The one of that person that was quiet longest ends where there are too many."""
    db.execute(
        "DELETE FROM session WHERE until <= ? OR (idle > 0 AND seen_at + idle <= ?)",
        (session.begun_at, session.begun_at),
    )
    db.execute(
        "DELETE FROM session WHERE id IN (SELECT id FROM session WHERE person = ? ORDER BY seen_at DESC, id LIMIT -1 OFFSET ?)",
        (session.person, most - 1),
    )
    db.execute(
        f"INSERT INTO session ({_SESSION}) VALUES (?,?,?,?,?,?,?,?,?,?)",  # noqa: S608 - a constant
        (
            session.id, session.person, session.csrf, session.begun_at, session.seen_at, session.until, session.idle, session.origin, session.way,
            session.step,
        ),
    )  # fmt: skip


def session(db: sqlite3.Connection, digest: bytes) -> Session | None:
    """Also one that is over."""
    row = db.execute(f"SELECT {_SESSION} FROM session WHERE id = ?", (digest,)).fetchone()  # noqa: S608 - a constant
    return Session(*row) if row is not None else None


def sessions_of(db: sqlite3.Connection, person: str, now: int) -> list[Session]:
    """That last, the one used last first."""
    rows = db.execute(f"SELECT {_SESSION} FROM session WHERE person = ? ORDER BY seen_at DESC, id", (person,))  # noqa: S608 - a constant
    return [each for each in (Session(*row) for row in rows) if not each.over(now)]


def seen(db: sqlite3.Connection, digest: bytes, at: int) -> None:
    db.execute("UPDATE session SET seen_at = max(seen_at, ?) WHERE id = ?", (at, digest))


def end(db: sqlite3.Connection, digest: bytes) -> None:
    db.execute("DELETE FROM session WHERE id = ?", (digest,))


def end_all(db: sqlite3.Connection, person: str, *, besides: bytes = b"") -> None:
    db.execute("DELETE FROM session WHERE person = ? AND id <> ?", (person, besides))


def remember_device(db: sqlite3.Connection, digest: bytes, person: str, at: int) -> None:
    db.execute("INSERT OR REPLACE INTO device (id, person, seen_at) VALUES (?, ?, ?)", (digest, person, at))
    db.execute(
        "DELETE FROM device WHERE id IN (SELECT id FROM device WHERE person = ? ORDER BY seen_at DESC, id LIMIT -1 OFFSET ?)",
        (person, MAX_DEVICES),
    )


def knows_device(db: sqlite3.Connection, digest: bytes, person: str) -> bool:
    return db.execute("SELECT 1 FROM device WHERE id = ? AND person = ?", (digest, person)).fetchone() is not None


def make_token(db: sqlite3.Connection, digest: bytes, token: Token, owner: Role, reach: Scope) -> Token:
    """owner, reach: whose it is: it may do and see no more than they. Raises AccountError."""
    if not 0 < len(token.name) <= MAX_LABEL or not token.name.isprintable():
        raise AccountError(
            "token_name", f"a token needs a name of 1 to {MAX_LABEL} printable characters: say what uses it"
        )
    if not GRANTS[token.role] <= GRANTS[owner]:
        raise AccountError("token_role", f"a token may do no more than whose it is: {owner} is not above {token.role}")
    if not reach.whole and not within(token.scope, reach):
        raise AccountError(
            "token_scope", "a token sees no more than whose it is: leave its scope empty, or take a part of your own"
        )
    if not 0 < token.until - token.created_at <= MAX_TOKEN_DAYS * 86_400 * 10**9:
        raise AccountError("token_until", f"a token lasts up to {MAX_TOKEN_DAYS} days")
    if db.execute("SELECT count(*) FROM token WHERE person = ?", (token.person,)).fetchone()[0] >= MAX_TOKENS:
        raise AccountError(
            "token_count", f"{MAX_TOKENS} tokens are the most of one person; revoke one that nothing uses"
        )
    number = db.execute(
        "INSERT INTO token (id, name, person, role, scope, created_at, until, seen_at) VALUES (?,?,?,?,?,?,?,0)",
        (digest, token.name, token.person, str(token.role), pack_scope(token.scope), token.created_at, token.until),
    ).lastrowid
    made = tokens_of(db, token.person, number)
    return made[0]


def within(part: Scope, whole: Scope) -> bool:
    return not part.whole and part.regions <= whole.regions and part.branches <= whole.branches


def tokens_of(db: sqlite3.Connection, person: str, number: int | None = None) -> list[Token]:
    rows = db.execute(f"SELECT {_TOKEN} FROM token WHERE person = ? ORDER BY number", (person,))  # noqa: S608 - a constant
    return [each for each in map(_token, rows) if number is None or each.number == number]


def token(db: sqlite3.Connection, digest: bytes) -> Token | None:
    row = db.execute(f"SELECT {_TOKEN} FROM token WHERE id = ?", (digest,)).fetchone()  # noqa: S608 - a constant
    return _token(row) if row is not None else None


def token_seen(db: sqlite3.Connection, number: int, at: int) -> None:
    db.execute("UPDATE token SET seen_at = max(seen_at, ?) WHERE number = ?", (at, number))


def revoke_token(db: sqlite3.Connection, person: str, number: int) -> Token | None:
    """What it was, or None if there is none of that number of theirs."""
    held = tokens_of(db, person, number)
    db.execute("DELETE FROM token WHERE person = ? AND number = ?", (person, number))
    return held[0] if held else None


def _token(row: tuple[int, str, str, str, bytes, int, int, int]) -> Token:
    number, name, person, role, scope, created_at, until, seen_at = row
    return Token(number, name, person, Role(role), unpack_scope(scope), created_at, until, seen_at)
