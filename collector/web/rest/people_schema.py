"""The shapes in which the REST API takes and gives accounts, sessions and tokens. No password, secret or hash is in any answer, but those that are shown once."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tillwatch.collector.people import accounts, sessions
from tillwatch.collector.people.passwords import MAX_LENGTH
from tillwatch.collector.people.roles import GRANTS, Permission, Role, Scope, Visitor
from tillwatch.collector.web.rest.schema import iso

MAX_CODE = 32
MAX_PREFERENCE = 16 * 1024
"""Bytes of one: a hundred saved filters."""
MAX_PREFERENCES = 100
"""Of one person."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Name = Annotated[str, Field(min_length=1, max_length=60, description="As it is signed in with", examples=["li.wei"])]
FullName = Annotated[str, Field(max_length=accounts.MAX_FULL_NAME, examples=["Li Wei"])]
Password = Annotated[str, Field(min_length=1, max_length=MAX_LENGTH, examples=["violet tundra kayak 93"])]
Code = Annotated[
    str,
    Field(
        min_length=1, max_length=MAX_CODE, description="Six digits of the app, or a recovery code", examples=["287082"]
    ),
]
Place = Annotated[str, Field(min_length=1, max_length=accounts.MAX_PLACE)]
Places = Annotated[list[Place], Field(max_length=accounts.MAX_PLACES, examples=[["North"]])]


class Reach(_Model):
    """The part of the fleet: terminals of these regions and of these branches; both empty: of all."""

    regions: Places = []
    branches: Places = []

    @classmethod
    def of(cls, scope: Scope) -> Reach:
        return cls(regions=sorted(scope.regions), branches=sorted(scope.branches))

    def scope(self) -> Scope:
        return accounts.scope_of(self.regions, self.branches)


class SigningInForm(_Model):
    name: Name
    password: Password
    code: Annotated[str, Field(max_length=MAX_CODE, description="The second factor, where there is one")] = ""


class SignedIn(_Model):
    name: Name
    step: Annotated[
        str,
        Field(
            description="Empty once signed in; `totp`, `password` or `enrol`: what is still asked, at /sign-in",
            examples=[""],
        ),
    ]
    csrf: Annotated[
        str, Field(description="For the header X-TW-CSRF of everything that changes something with this cookie")
    ]


class Me(_Model):
    """Whoever asks."""

    name: Annotated[str, Field(description="Empty where nobody has signed in", examples=["li.wei"])]
    full_name: str
    role: Role
    scope: Reach
    anonymous: bool
    permissions: Annotated[list[Permission], Field(description="What this role may")]
    language: str
    zone: str
    theme: str
    factor: Annotated[bool, Field(description="Has a second factor")]
    recovery_codes: Annotated[int, Field(description="Recovery codes that are left")]
    password: Annotated[bool, Field(description="Signs in with a password; else an identity provider vouches")]
    csrf: str

    @classmethod
    def of(cls, visitor: Visitor, person: accounts.Person | None) -> Me:
        assert visitor.role is not None
        return cls(
            name=visitor.name, full_name=person.full_name if person else "", role=visitor.role, scope=Reach.of(visitor.scope), anonymous=visitor.anonymous,
            permissions=sorted(each for each in GRANTS[visitor.role] if visitor.may(each)), language=visitor.language, zone=visitor.zone,
            theme=visitor.theme, factor=bool(person and person.factor), recovery_codes=len(person.factor.codes) if person and person.factor else 0,
            password=bool(person and person.password), csrf=visitor.csrf,
        )  # fmt: skip


class MeChange(_Model):
    """What is left out stays as it is; an empty text is the browser's own."""

    full_name: FullName | None = None
    language: Literal["", "en", "zh"] | None = None
    zone: Annotated[str, Field(max_length=60, description="IANA name", examples=["Asia/Shanghai"])] | None = None
    theme: Literal["", "auto", "dark", "light"] | None = None


class PasswordChange(_Model):
    before: Annotated[str, Field(max_length=MAX_LENGTH)] = ""
    password: Password


class PasswordOnly(_Model):
    password: Annotated[str, Field(max_length=MAX_LENGTH, description="One's own, again")]


class FactorOffer(_Model):
    secret: Annotated[str, Field(description="To type into an app, base32; shown until it is confirmed")]
    address: Annotated[str, Field(description="The same as an otpauth:// address")]
    picture: Annotated[str, Field(description="The same as a QR code: SVG")]


class CodeOnly(_Model):
    code: Code


class RecoveryCodes(_Model):
    codes: Annotated[list[str], Field(description="Shown only now; each lets one in once")]


class Session(_Model):
    mark: Annotated[str, Field(description="By which it is told from others", examples=["5f1d0c2b9a77"])]
    own: Annotated[bool, Field(description="It is the one that asks")]
    begun_at: datetime | None
    seen_at: datetime | None
    until: datetime | None
    origin: Annotated[str, Field(description="Address and browser", examples=["192.0.2.7 Mozilla/5.0"])]
    way: Annotated[str, Field(examples=["password, totp"])]

    @classmethod
    def of(cls, session: sessions.Session, own: str) -> Session:
        return cls(
            mark=session.mark, own=session.mark == own, begun_at=iso(session.begun_at), seen_at=iso(session.seen_at), until=iso(session.until),
            origin=session.origin, way=session.way,
        )  # fmt: skip


class Token(_Model):
    number: Annotated[int, Field(examples=[3])]
    name: Annotated[str, Field(examples=["grafana"])]
    role: Role
    scope: Reach
    created_at: datetime | None
    until: datetime | None
    seen_at: Annotated[datetime | None, Field(description="When it was used last, to the minute")]

    @classmethod
    def of(cls, token: sessions.Token) -> Token:
        return cls(
            number=token.number, name=token.name, role=token.role, scope=Reach.of(token.scope), created_at=iso(token.created_at), until=iso(token.until),
            seen_at=iso(token.seen_at),
        )  # fmt: skip


class TokenWish(_Model):
    name: Annotated[
        str, Field(min_length=1, max_length=sessions.MAX_LABEL, description="What uses it", examples=["grafana"])
    ]
    role: Role
    scope: Reach = Reach()
    days: Annotated[int, Field(ge=1, le=sessions.MAX_TOKEN_DAYS, examples=[90])] = 90


class NewToken(_Model):
    token: Annotated[str, Field(description="Shown only now: `Authorization: Bearer TOKEN`", examples=["tw_…"])]
    entry: Token


class Person(_Model):
    name: Name
    full_name: FullName
    role: Role
    scope: Reach
    active: bool
    board: Annotated[bool, Field(description="A wall-board: a viewer whose session lasts for over a year")]
    factor: bool
    password: Annotated[bool, Field(description="Has a password")]
    must_change: Annotated[bool, Field(description="Has to choose another one at the next sign-in")]
    provider: Annotated[bool, Field(description="An identity provider vouches, and says the role")]
    sessions: int
    tokens: int
    created_at: datetime | None
    seen_at: Annotated[datetime | None, Field(description="When they signed in last")]

    @classmethod
    def of(cls, person: accounts.Person, open_sessions: int, tokens: int) -> Person:
        return cls(
            name=person.name, full_name=person.full_name, role=person.role, scope=Reach.of(person.scope), active=person.active, board=person.board,
            factor=person.factor is not None, password=bool(person.password), must_change=person.must_change, provider=bool(person.subject),
            sessions=open_sessions, tokens=tokens, created_at=iso(person.created_at), seen_at=iso(person.seen_at),
        )  # fmt: skip


class PersonWish(_Model):
    name: Name
    full_name: FullName = ""
    role: Role = Role.VIEWER
    scope: Reach = Reach()
    board: bool = False


class PersonChange(_Model):
    """What is left out stays as it is."""

    full_name: FullName | None = None
    role: Role | None = None
    scope: Reach | None = None
    active: bool | None = None
    board: bool | None = None


class Invitation(_Model):
    address: Annotated[
        str,
        Field(
            description="Hand it over on a way that nobody else reads; it holds once, for three days",
            examples=["/sign-in/welcome?token=…"],
        ),
    ]
    until: datetime | None


class NewPerson(_Model):
    person: Person
    invitation: Invitation


class GivenPassword(_Model):
    password: Annotated[str, Field(description="Shown only now; it holds once and has to be changed")]


class Preference(_Model):
    key: str
    value: Any


class PreferenceWish(_Model):
    value: Annotated[
        Any, Field(description="Any JSON, up to 16 KiB", examples=[[{"name": "nights", "branch": "Harbour Road"}]])
    ]
