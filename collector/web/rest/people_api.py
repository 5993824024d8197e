"""Everybody's accounts over REST, for who manages people: add, invite, give another role or scope, disable, reset. Accounts are disabled and never removed:
the record names people, and a name must not come to mean somebody else.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Response

from tillwatch.collector.people import accounts, sessions
from tillwatch.collector.people.accounts import AccountError, Actor
from tillwatch.collector.people.console_db import say
from tillwatch.collector.people.directory import NANO
from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.people.signing_in import SigningIn
from tillwatch.collector.web.entry.door import House, needs
from tillwatch.collector.web.rest.answers import Limit, Offset
from tillwatch.collector.web.rest.me_api import REFUSALS, tried
from tillwatch.collector.web.rest.people_schema import (
    GivenPassword,
    Invitation,
    NewPerson,
    Person,
    PersonChange,
    PersonWish,
    Session,
    Token,
)
from tillwatch.collector.web.rest.schema import Page, iso

INVITED_NS = 3 * 24 * 3600 * NANO
"""A link to begin with: over a weekend. Whoever holds it becomes that person."""
WORDS = 20
"""Characters of a password that is given: typed once, from paper."""
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
ROUTE: dict[str, Any] = {"responses": REFUSALS, "dependencies": [needs(Permission.PEOPLE)], "tags": ["people"]}
"""What all of these routes have in common."""
Who = Annotated[str, Path(min_length=1, max_length=60, examples=["li.wei"])]


def given() -> str:
    """A password for the first sign-in: 99 bits, in groups that one can read out."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(WORDS))
    return "-".join(letters[k : k + 5] for k in range(0, WORDS, 5))


def actor_now() -> Actor:
    visitor = asking()
    return Actor(visitor.name, str(visitor.role))


def add(api: APIRouter, people: SigningIn, house: House) -> None:
    directory = people.directory

    def of(person: accounts.Person) -> Person:
        now = directory.now()
        return Person.of(
            person,
            len(sessions.sessions_of(directory.db, person.name, now)),
            len(sessions.tokens_of(directory.db, person.name)),
        )

    def known(name: str) -> accounts.Person:
        try:
            person = accounts.find(directory.db, accounts.tidy(name))
        except AccountError:
            person = None
        if person is None:
            raise HTTPException(404, f"nobody is called {name}")
        return person

    async def changed(name: str, work: Callable[[sqlite3.Connection, accounts.Person], Any]) -> Any:
        """`work` on the account as it is in the transaction."""
        known(name)

        def run(db: sqlite3.Connection) -> Any:
            person = accounts.find(db, accounts.tidy(name))
            assert person is not None
            return work(db, person)

        done = await tried(directory.write(run))
        house.look()
        return done

    def invite(db: sqlite3.Connection, name: str, by: Actor) -> Invitation:
        secret, until = sessions.new_secret(), directory.now() + INVITED_NS
        accounts.invite(db, name, sessions.digest_of(secret), until)
        say(db, by.facts("person", person=name, did="invited"))
        return Invitation(address=f"/sign-in/welcome?token={secret}", until=iso(until))

    @api.get("/people", response_model=Page[Person], summary="Everybody, by name", **ROUTE)
    async def everybody(response: Response, limit: Limit = 100, offset: Offset = 0) -> Page[Person]:
        response.headers["Cache-Control"] = "no-store"
        found = accounts.everybody(directory.db)
        return Page[Person].part(found, of, limit, offset)

    @api.post(
        "/people", response_model=NewPerson, status_code=201, summary="Somebody new, with a link to begin with", **ROUTE
    )
    async def new(wish: PersonWish) -> NewPerson:
        by, now = actor_now(), directory.now()

        def work(db: sqlite3.Connection) -> tuple[accounts.Person, Invitation]:
            person = accounts.Person(
                accounts.tidy(wish.name),
                wish.full_name,
                wish.role,
                wish.scope.scope(),
                board=wish.board,
                created_at=now,
            )
            accounts.add(db, person, by)
            return person, invite(db, person.name, by)

        person, invitation = await tried(directory.write(work))
        return NewPerson(person=of(person), invitation=invitation)

    @api.get("/people/{name}", response_model=Person, summary="One of them", **ROUTE)
    async def one(name: Who) -> Person:
        return of(known(name))

    @api.put(
        "/people/{name}", response_model=Person, summary="Another role, scope or state; ends their sessions", **ROUTE
    )
    async def change(name: Who, wish: PersonChange) -> Person:
        by = actor_now()

        def work(db: sqlite3.Connection, person: accounts.Person) -> accounts.Person:
            told: dict[str, Any] = wish.model_dump(exclude_none=True, exclude={"scope"})
            if person.subject and {"role"} & told.keys():
                raise AccountError(
                    "provider",
                    "the identity provider says the role of this person; change it there, or in [oidc] roles",
                )
            if wish.scope is not None:
                told["scope"] = wish.scope.scope()
            after = replace(person, **told)
            if after != person:
                accounts.change(
                    db, after, by, ", ".join(key for key in PersonChange.model_fields if getattr(wish, key) is not None)
                )
            return after

        return of(await changed(name, work))

    @api.post(
        "/people/{name}/invitation",
        response_model=Invitation,
        status_code=201,
        summary="A link to choose a password with",
        **ROUTE,
    )
    async def invited(name: Who) -> Invitation:
        by = actor_now()
        done: Invitation = await changed(name, lambda db, person: invite(db, _living(person).name, by))
        return done

    @api.post(
        "/people/{name}/password",
        response_model=GivenPassword,
        status_code=201,
        summary="A password that holds once; ends their sessions",
        **ROUTE,
    )
    async def password(name: Who) -> GivenPassword:
        by, word = actor_now(), given()
        known(name)
        held = await people.hashed_password(word)
        await changed(
            name,
            lambda db, person: accounts.change(
                db,
                replace(_living(person), password=held, must_change=True, freed_at=directory.now()),
                by,
                "password given",
            ),
        )
        return GivenPassword(password=word)

    @api.delete("/people/{name}/factor", response_model=Person, summary="They have lost their second factor", **ROUTE)
    async def factor(name: Who) -> Person:
        by = actor_now()

        def work(db: sqlite3.Connection, person: accounts.Person) -> accounts.Person:
            after = replace(person, factor=None)
            accounts.change(db, after, by, "factor reset")
            sessions.end_all(db, person.name)
            return after

        return of(await changed(name, work))

    @api.get("/people/{name}/sessions", response_model=list[Session], summary="Where they are signed in", **ROUTE)
    async def signed_in(name: Who) -> list[Session]:
        return [
            Session.of(each, asking().session)
            for each in sessions.sessions_of(directory.db, known(name).name, directory.now())
        ]

    @api.delete("/people/{name}/sessions", status_code=204, summary="Sign them out everywhere", **ROUTE)
    async def signed_out(name: Who) -> None:
        by = actor_now()

        def work(db: sqlite3.Connection, person: accounts.Person) -> None:
            sessions.end_all(db, person.name)
            say(db, by.facts("sign-out", person=person.name, session="all", at=directory.now()))

        await changed(name, work)

    @api.get("/people/{name}/tokens", response_model=list[Token], summary="Programs that speak for them", **ROUTE)
    async def tokens(name: Who) -> list[Token]:
        return [Token.of(each) for each in sessions.tokens_of(directory.db, known(name).name)]

    @api.delete("/people/{name}/tokens/{number}", status_code=204, summary="Revoke one", **ROUTE)
    async def revoke(name: Who, number: Annotated[int, Path(ge=1, le=2**53)]) -> None:
        await people.revoke(known(name).name, number, actor_now())
        house.look()


def _living(person: accounts.Person) -> accounts.Person:
    if not person.active:
        raise AccountError("disabled", f"{person.name} is disabled; enable the account first")
    if person.subject:
        raise AccountError("provider", "an identity provider vouches for this person, who has no password here")
    return person
