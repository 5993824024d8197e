"""One's own account over REST: who one is, settings, password, second factor, sessions, tokens and preferences. A token speaks for a program, which has no
password to change: what lets somebody in is changed in a browser only.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Any
from zoneinfo import available_timezones

from fastapi import APIRouter, HTTPException, Path, Request, Response

from tillwatch.collector.people import accounts, second_factor, sessions
from tillwatch.collector.people.accounts import AccountError, Actor
from tillwatch.collector.people.console_db import say
from tillwatch.collector.people.directory import NANO
from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.people.sessions import TOKEN_PREFIX
from tillwatch.collector.people.signing_in import Entered, Refused, SigningIn
from tillwatch.collector.web.entry.door import House, needs
from tillwatch.collector.web.entry.sign_in import ISSUER, asker_of, caller_of, set_cookies
from tillwatch.collector.web.rest.answers import PROBLEMS
from tillwatch.collector.web.rest.people_schema import (
    MAX_PREFERENCE,
    MAX_PREFERENCES,
    CodeOnly,
    FactorOffer,
    Me,
    MeChange,
    NewToken,
    PasswordChange,
    PasswordOnly,
    Preference,
    PreferenceWish,
    RecoveryCodes,
    Session,
    SignedIn,
    SigningInForm,
    Token,
    TokenWish,
)

DAY_NS = 86_400 * NANO
SEE, SELF, OPEN = (needs(each) for each in (Permission.SEE, Permission.SELF, Permission.OPEN))
REFUSALS: dict[int | str, dict[str, Any]] = {
    **PROBLEMS,
    403: {**PROBLEMS[404], "description": "Not with these credentials, or not by a program"},
    429: {**PROBLEMS[404], "description": "Too many tries; Retry-After says when the next is looked at"},
}
MINE: dict[str, Any] = {"responses": REFUSALS, "dependencies": [SELF], "tags": ["me"]}
"""What the routes about one's own account have in common."""
Key = Annotated[str, Path(min_length=1, max_length=60, pattern=r"^[a-z0-9][a-z0-9._-]*$", examples=["fleet.filters"])]
Mark = Annotated[str, Path(pattern="^[0-9a-f]{12}$", examples=["5f1d0c2b9a77"])]


async def tried(work: Awaitable[Any]) -> Any:
    """What may be refused, as problems of the API."""
    try:
        return await work
    except Refused as error:
        if error.code == "wait":
            seconds = max(1, int(error.wait + 0.999))
            raise HTTPException(
                429, f"too many tries; the next is looked at in {seconds} s", {"Retry-After": str(seconds)}
            ) from None
        said = {
            "wrong": "the name or the password is wrong",
            "code": "this code is wrong, or was used already",
            "over": "this is over: begin again",
        }
        raise HTTPException(403, said[error.code]) from None
    except AccountError as error:
        raise HTTPException(404 if error.code == "unknown" else 422, str(error)) from None


def add(api: APIRouter, people: SigningIn, house: House) -> None:
    directory = people.directory

    def own(request: Request) -> tuple[sessions.Session, accounts.Person]:
        """Raises HTTPException 403 for a program."""
        session = asker_of(request).session
        person = accounts.find(directory.db, session.person) if session is not None else None
        if session is None or person is None:
            raise HTTPException(
                403, "sign in with a browser: a token speaks for a program, which has no account of its own"
            )
        return session, person

    def renewed(response: Response, entered: Entered) -> SignedIn:
        set_cookies(response, house, entered)
        house.look()
        return SignedIn(name=entered.session.person, step=entered.session.step, csrf=entered.session.csrf)

    async def change(person: accounts.Person, did: str) -> None:
        actor = Actor(person.name, str(person.role))
        await tried(directory.write(lambda db: accounts.change(db, person, actor, did)))
        house.look()

    _coming(api, people, renewed)

    @api.post("/sign-out", status_code=204, summary="End this session", **MINE)
    async def sign_out(request: Request, response: Response) -> None:
        session, _ = own(request)
        await people.out(session)
        response.delete_cookie(house.cookie, secure=house.secure, httponly=True, samesite="strict")
        house.look()

    @api.get("/me", response_model=Me, dependencies=[SEE], tags=["me"], summary="Who asks, and what they may")
    async def me(response: Response) -> Me:
        response.headers["Cache-Control"] = "no-store"
        visitor = asking()
        return Me.of(visitor, accounts.find(directory.db, visitor.name) if visitor.name else None)

    @api.put("/me", response_model=Me, summary="Name, language, time zone, theme", **MINE)
    async def settings(request: Request, wish: MeChange) -> Me:
        _, person = own(request)
        if wish.zone and wish.zone not in available_timezones():
            raise HTTPException(422, f"body.zone: {wish.zone!r} is no time zone; write one such as Asia/Shanghai")
        after = person
        for key in ("language", "zone", "theme"):
            if (value := getattr(wish, key)) is not None:
                after = accounts.with_setting(after, key, value)
        if wish.full_name is not None:
            after = replace(after, full_name=wish.full_name)
        if after != person:
            await change(after, "settings")
        held = directory.by_cookie(request.cookies.get(house.cookie, ""))
        return Me.of(held.visitor, after)

    @api.put(
        "/me/active",
        status_code=204,
        dependencies=[SELF],
        tags=["me"],
        summary="Somebody is there: the session goes on",
    )
    async def active() -> None:
        """The door has seen it."""

    @api.post("/me/password", response_model=SignedIn, summary="Another password; ends all other sessions", **MINE)
    async def password(request: Request, response: Response, wish: PasswordChange) -> SignedIn:
        session, _ = own(request)
        return renewed(
            response, await tried(people.change_password(session, wish.before, wish.password, caller_of(request)))
        )

    _factor(api, people, own, change)
    _sessions(api, people, house, own)
    _tokens(api, people, own)
    _preferences(api, people)


def _coming(api: APIRouter, people: SigningIn, renewed: Callable[[Response, Entered], SignedIn]) -> None:
    @api.post(
        "/sign-in",
        response_model=SignedIn,
        responses=REFUSALS,
        dependencies=[OPEN],
        tags=["me"],
        summary="Sign in; programs better take a token",
    )
    async def sign_in(request: Request, response: Response, form: SigningInForm) -> SignedIn:
        entered = await tried(people.password(form.name, form.password, caller_of(request), asker_of(request).session))
        if entered.session.step == "totp" and form.code:
            entered = await tried(people.code(entered.session, form.code, caller_of(request)))
        return renewed(response, entered)


Own = Callable[[Request], tuple[sessions.Session, accounts.Person]]


def _factor(
    api: APIRouter, people: SigningIn, own: Own, change: Callable[[accounts.Person, str], Awaitable[None]]
) -> None:
    @api.post("/me/factor", response_model=FactorOffer, summary="Begin a second factor", **MINE)
    async def offer(request: Request) -> FactorOffer:
        session, person = own(request)
        if person.factor is not None:
            raise HTTPException(409, "there is a second factor already; take it away first")
        secret = people.offer_factor(session)
        address = second_factor.address(secret, person.name, ISSUER)
        return FactorOffer(secret=secret, address=address, picture=second_factor.picture(address))

    @api.put(
        "/me/factor", response_model=RecoveryCodes, summary="The app shows right codes: it counts from now on", **MINE
    )
    async def confirm(request: Request, wish: CodeOnly) -> RecoveryCodes:
        session, person = own(request)
        if person.factor is not None:
            raise HTTPException(409, "there is a second factor already; take it away first")
        _, codes = await tried(people.confirm_factor(session, wish.code, caller_of(request)))
        return RecoveryCodes(codes=list(codes))

    @api.post(
        "/me/factor/codes", response_model=RecoveryCodes, summary="New recovery codes; the old ones are over", **MINE
    )
    async def codes(request: Request, wish: PasswordOnly) -> RecoveryCodes:
        _, person = own(request)
        if person.factor is None:
            raise HTTPException(409, "there is no second factor; begin one first")
        await tried(people.is_own(person, wish.password, caller_of(request)))
        shown, kept = second_factor.new_codes()
        await change(replace(person, factor=replace(person.factor, codes=kept)), "recovery codes")
        return RecoveryCodes(codes=list(shown))

    @api.post("/me/factor/removal", status_code=204, summary="Without a second factor", **MINE)
    async def without(request: Request, wish: PasswordOnly) -> None:
        _, person = own(request)
        if person.role in people.settings.totp:
            raise HTTPException(
                409, f"a {person.role} needs one here; whoever manages people can reset it, to begin another"
            )
        await tried(people.is_own(person, wish.password, caller_of(request)))
        await change(replace(person, factor=None), "no factor")


def _sessions(api: APIRouter, people: SigningIn, house: House, own: Own) -> None:
    directory = people.directory

    @api.get("/me/sessions", response_model=list[Session], summary="Where one is signed in", **MINE)
    async def listed(request: Request) -> list[Session]:
        session, person = own(request)
        return [
            Session.of(each, session.mark) for each in sessions.sessions_of(directory.db, person.name, directory.now())
        ]

    @api.delete("/me/sessions/{mark}", status_code=204, summary="End one", **MINE)
    async def end(request: Request, mark: Mark) -> None:
        _, person = own(request)
        held = [each for each in sessions.sessions_of(directory.db, person.name, directory.now()) if each.mark == mark]
        if not held:
            raise HTTPException(404, f"you have no session {mark}")
        await people.out(held[0])
        house.look()

    @api.delete("/me/sessions", status_code=204, summary="End all but this one", **MINE)
    async def end_others(request: Request) -> None:
        session, person = own(request)
        actor = Actor(person.name, str(person.role))

        def work(db: sqlite3.Connection) -> None:
            sessions.end_all(db, person.name, besides=session.id)
            say(db, actor.facts("sign-out", session="others", at=directory.now()))

        await directory.write(work)
        house.look()


def _tokens(api: APIRouter, people: SigningIn, own: Own) -> None:
    directory = people.directory

    @api.get("/me/tokens", response_model=list[Token], summary="Programs that speak for one", **MINE)
    async def listed(request: Request) -> list[Token]:
        _, person = own(request)
        return [Token.of(each) for each in sessions.tokens_of(directory.db, person.name)]

    @api.post("/me/tokens", response_model=NewToken, status_code=201, summary="A token, shown once", **MINE)
    async def make(request: Request, wish: TokenWish) -> NewToken:
        _, person = own(request)
        secret, now = TOKEN_PREFIX + sessions.new_secret(), directory.now()
        actor = Actor(person.name, str(person.role))

        def work(db: sqlite3.Connection) -> sessions.Token:
            asked = sessions.Token(
                0, wish.name, person.name, wish.role, wish.scope.scope(), now, now + wish.days * DAY_NS, 0
            )
            made = sessions.make_token(db, sessions.digest_of(secret), asked, person.role, person.scope)
            say(
                db,
                actor.facts(
                    "token",
                    did="made",
                    person=person.name,
                    number=made.number,
                    name=made.name,
                    holds=str(made.role),
                    until=made.until,
                ),
            )
            return made

        return NewToken(token=secret, entry=Token.of(await tried(directory.write(work))))

    @api.delete("/me/tokens/{number}", status_code=204, summary="Revoke one", **MINE)
    async def revoke(request: Request, number: Annotated[int, Path(ge=1, le=2**53)]) -> None:
        _, person = own(request)
        await people.revoke(person.name, number, Actor(person.name, str(person.role)))


def _preferences(api: APIRouter, people: SigningIn) -> None:
    """Of programs, too: nothing here lets anybody in."""
    directory = people.directory

    @api.get(
        "/me/preferences/{key}",
        response_model=Preference,
        summary="What a page keeps for one; null for nothing",
        **MINE,
    )
    async def held(key: Key, response: Response) -> Preference:
        response.headers["Cache-Control"] = "no-store"
        row = directory.db.execute(
            "SELECT value FROM preference WHERE person = ? AND key = ?", (asking().name, key)
        ).fetchone()
        return Preference(key=key, value=json.loads(row[0]) if row is not None else None)

    @api.put("/me/preferences/{key}", response_model=Preference, summary="Keep it", **MINE)
    async def keep(key: Key, wish: PreferenceWish) -> Preference:
        name = asking().name
        try:
            packed = json.dumps(wish.value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            size = len(packed.encode())
        except ValueError:  # NaN, or half a character
            raise HTTPException(422, "body: this is no JSON that can be kept") from None
        if size > MAX_PREFERENCE:
            raise HTTPException(422, f"body: at most {MAX_PREFERENCE} bytes")

        def work(db: sqlite3.Connection) -> None:
            _forget(db, name, key)
            if db.execute("SELECT count(*) FROM preference WHERE person = ?", (name,)).fetchone()[0] >= MAX_PREFERENCES:
                raise AccountError("preferences", f"{MAX_PREFERENCES} preferences are the most of one person")
            db.execute("INSERT INTO preference (person, key, value) VALUES (?, ?, ?)", (name, key, packed))

        await tried(directory.write(work))
        return Preference(key=key, value=wish.value)

    @api.delete("/me/preferences/{key}", status_code=204, summary="Forget it", **MINE)
    async def forget(key: Key) -> None:
        name = asking().name
        await directory.write(lambda db: _forget(db, name, key))


def _forget(db: sqlite3.Connection, name: str, key: str) -> None:
    db.execute("DELETE FROM preference WHERE person = ? AND key = ?", (name, key))
