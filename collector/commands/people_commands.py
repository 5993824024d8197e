"""The commands about the accounts of the console. They work beside a running console, which notices at once, and without one; they are the way back in for
an administrator who is locked out, because who may run them owns the file anyway.
"""

from __future__ import annotations

import argparse
import getpass
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

from tillwatch.collector.commands.acts import ActError, actor, await_act, prepare_data_dir
from tillwatch.collector.commands.output import DONE, USAGE, CommandError, age, print_json, print_table
from tillwatch.collector.config import Config
from tillwatch.collector.people import accounts, sessions
from tillwatch.collector.people.accounts import AccountError, Actor, Person
from tillwatch.collector.people.console_db import ConsoleDbError, open_console, place, say, transaction, unsaid
from tillwatch.collector.people.passwords import MAX_LENGTH, Passwords, weakness
from tillwatch.collector.people.recording import Recorder
from tillwatch.collector.people.roles import Role
from tillwatch.collector.people.signing_in import WEAK
from tillwatch.collector.store.opening import open_db
from tillwatch.collector.store.requests import RequestError
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.trust.authority import AuthorityError

DAY_NS = 86_400 * 10**9
INVITED_NS = 3 * DAY_NS


def run_people(config: Config, options: argparse.Namespace) -> int:
    if options.do == "list":
        return _list(config, json=options.json)
    if not options.name:
        raise CommandError(f"people {options.do} needs a name; tillwatch-collector people list shows them", USAGE)
    try:
        name = accounts.tidy(options.name)
        said = _DO[options.do](config, options, name)
    except AccountError as error:
        raise CommandError(str(error)) from None
    if options.json:
        print_json({"person": name, "done": options.do, **{key: value for key, value in said.items() if key != "text"}})
    else:
        print(said["text"])
    return DONE


@contextmanager
def _open(config: Config) -> Iterator[sqlite3.Connection]:
    try:
        prepare_data_dir(config.collector.data_dir)
        with closing(open_console(place(config.database))) as db:
            yield db
    except (ConsoleDbError, ActError) as error:
        raise CommandError(str(error)) from None


def _by() -> Actor:
    return Actor(actor(), via="command line")


def _changing(config: Config, work: Callable[[sqlite3.Connection], Any]) -> Any:
    """`work` in a transaction, and what it says journaled."""
    with _open(config) as db:
        with transaction(db):
            done = work(db)
        _journal(config, db)
    return done


def _journal(config: Config, console: sqlite3.Connection) -> None:
    """Have it journaled now, by the running collector or by this process. Where that cannot be, it waits, and that is said."""
    try:
        with closing(open_db(config.store)) as db:
            recorder = Recorder(place(config.database), config.store)
            try:
                while unsaid(console, 1) and recorder.turn():
                    pass
            finally:
                recorder.close()
            last = db.execute("SELECT max(id) FROM operator_request").fetchone()[0]
            if last is not None:
                await_act(config, db, int(last))
    except (ActError, RequestError, StoreError, AuthorityError, sqlite3.Error) as error:
        print(f"tillwatch-collector: done, and not journaled yet: {error}", file=sys.stderr)


def _known(db: sqlite3.Connection, name: str) -> Person:
    person = accounts.find(db, name)
    if person is None:
        raise AccountError("unknown", f"nobody is called {name}; tillwatch-collector people list shows all")
    return person


def _password(*names: str) -> str:
    """Asked for twice, or the first line of standard input. Raises CommandError."""
    if sys.stdin.isatty():
        word = getpass.getpass("New password: ")
        if getpass.getpass("The same once more: ") != word:
            raise CommandError("the two are not the same; nothing was changed")
    else:
        word = sys.stdin.readline(MAX_LENGTH + 2).rstrip("\r\n")
    if (weak := weakness(word, *names)) is not None:
        raise CommandError(f"{WEAK[weak]}; nothing was changed")
    return Passwords().hash(word)


def _link(config: Config, db: sqlite3.Connection, name: str) -> str:
    secret = sessions.new_secret()
    accounts.invite(db, name, sessions.digest_of(secret), time.time_ns() + INVITED_NS)
    say(db, _by().facts("person", person=name, did="invited"))
    return f"{config.console.address}/sign-in/welcome?token={secret}"


def _add(config: Config, options: argparse.Namespace, name: str) -> dict[str, Any]:
    scope = accounts.scope_of(options.region, options.branch)
    if options.role is None and not options.board:
        raise CommandError("people add needs --role; the first account is best an administrator", USAGE)
    person = Person(
        name,
        options.full_name,
        Role(options.role or Role.VIEWER),
        scope,
        board=options.board,
        created_at=time.time_ns(),
    )
    accounts.check(person)
    with _open(config) as db:
        if accounts.find(db, name) is not None:
            raise AccountError(
                "taken", f"{name} is somebody already; tillwatch-collector people role gives another role"
            )
    if not options.invite:
        person = replace(person, password=_password(name, options.full_name))

    def work(db: sqlite3.Connection) -> str:
        accounts.add(db, person, _by())
        return _link(config, db, name) if options.invite else ""

    link = _changing(config, work)
    text = f"{name} is added as {person.role}"
    return {
        "role": str(person.role),
        "link": link,
        "text": f"{text}; the link holds once, for three days:\n{link}" if link else f"{text}.",
    }


def _passwd(config: Config, options: argparse.Namespace, name: str) -> dict[str, Any]:  # noqa: ARG001 - as the others
    with _open(config) as db:
        person = _known(db, name)
    if person.subject:
        raise AccountError("provider", f"{name} signs in through an identity provider and has no password here")
    held = _password(name, person.full_name)

    def work(db: sqlite3.Connection) -> None:
        after = replace(_known(db, name), password=held, must_change=False, freed_at=time.time_ns())
        accounts.change(db, after, _by(), "password")

    _changing(config, work)
    return {
        "text": f"{name} has another password; their sessions have ended, and no wait after wrong ones holds any more."
    }


def _invite(config: Config, options: argparse.Namespace, name: str) -> dict[str, Any]:  # noqa: ARG001 - as the others
    def work(db: sqlite3.Connection) -> str:
        person = _known(db, name)
        if not person.active or person.subject:
            raise AccountError("disabled", f"{name} is disabled, or signs in through an identity provider")
        return _link(config, db, name)

    link = _changing(config, work)
    return {"link": link, "text": f"the link holds once, for three days; whoever opens it becomes {name}:\n{link}"}


def _role(config: Config, options: argparse.Namespace, name: str) -> dict[str, Any]:
    if options.role is None:
        raise CommandError("people role needs --role, and --region or --branch for a part of the fleet", USAGE)
    scope = accounts.scope_of(options.region, options.branch)

    def work(db: sqlite3.Connection) -> None:
        accounts.change(db, replace(_known(db, name), role=Role(options.role), scope=scope), _by(), "role, scope")

    _changing(config, work)
    where = ", ".join([*sorted(scope.regions), *sorted(scope.branches)]) or "all of the fleet"
    return {"role": options.role, "text": f"{name} is {options.role} of {where}; their sessions have ended."}


def _active(config: Config, options: argparse.Namespace, name: str) -> dict[str, Any]:
    active = options.do == "enable"
    _changing(config, lambda db: accounts.change(db, replace(_known(db, name), active=active), _by(), options.do + "d"))
    after = "can sign in again" if active else "cannot sign in any more; sessions have ended and tokens do not hold"
    return {"active": active, "text": f"{name} {after}."}


def _reset(config: Config, options: argparse.Namespace, name: str) -> dict[str, Any]:  # noqa: ARG001 - as the others
    def work(db: sqlite3.Connection) -> None:
        accounts.change(db, replace(_known(db, name), factor=None), _by(), "factor reset")
        sessions.end_all(db, name)

    _changing(config, work)
    return {"text": f"{name} signs in without a second factor, and can begin another one."}


def _token(config: Config, options: argparse.Namespace, name: str) -> dict[str, Any]:
    secret, now = sessions.TOKEN_PREFIX + sessions.new_secret(), time.time_ns()
    scope = accounts.scope_of(options.region, options.branch)

    def work(db: sqlite3.Connection) -> sessions.Token:
        person = _known(db, name)
        role = Role(options.role or Role.VIEWER)
        asked = sessions.Token(0, options.label, name, role, scope, now, now + options.days * DAY_NS, 0)
        made = sessions.make_token(db, sessions.digest_of(secret), asked, person.role, person.scope)
        say(
            db,
            _by().facts(
                "token", did="made", person=name, number=made.number, name=made.name, holds=str(role), until=made.until
            ),
        )
        return made

    made = _changing(config, work)
    return {
        "number": made.number,
        "token": secret,
        "until": made.until,
        "text": f"{secret}\nIt is shown only now. Use it as: Authorization: Bearer TOKEN",
    }


def _revoke(config: Config, options: argparse.Namespace, name: str) -> dict[str, Any]:
    def work(db: sqlite3.Connection) -> None:
        held = sessions.revoke_token(db, _known(db, name).name, options.number)
        if held is None:
            raise AccountError(
                "unknown",
                f"{name} has no token {options.number}; tillwatch-collector people list --json has their numbers",
            )
        say(db, _by().facts("token", did="revoked", person=name, number=held.number, name=held.name))

    _changing(config, work)
    return {"number": options.number, "text": f"token {options.number} of {name} does not hold any more."}


_DO: dict[str, Callable[[Config, argparse.Namespace, str], dict[str, Any]]] = {
    "add": _add, "passwd": _passwd, "invite": _invite, "role": _role, "disable": _active, "enable": _active, "reset-totp": _reset, "token": _token,
    "revoke-token": _revoke,
}  # fmt: skip


def _list(config: Config, *, json: bool) -> int:
    if not place(config.database).exists():
        everybody: list[Person] = []
        tokens: dict[str, list[sessions.Token]] = {}
    else:
        with _open(config) as db:
            everybody = accounts.everybody(db)
            tokens = {each.name: sessions.tokens_of(db, each.name) for each in everybody}
    if json:
        print_json([
            {
                "name": each.name, "full_name": each.full_name, "role": str(each.role), "regions": sorted(each.scope.regions),
                "branches": sorted(each.scope.branches), "active": each.active, "board": each.board, "totp": each.factor is not None,
                "provider": bool(each.subject), "created_at": each.created_at, "seen_at": each.seen_at,
                "tokens": [{"number": one.number, "name": one.name, "role": str(one.role), "until": one.until, "seen_at": one.seen_at} for one in tokens[each.name]],
            }
            for each in everybody
        ])  # fmt: skip
        return DONE
    if not everybody:
        print("nobody has an account; make the first one with tillwatch-collector people add NAME --role administrator")
        return DONE
    print_table(
        ("name", "role", "part of the fleet", "state", "second factor", "tokens", "signed in"),
        [
            (
                each.name, str(each.role), ", ".join([*sorted(each.scope.regions), *sorted(each.scope.branches)]) or "all",
                "active" if each.active else "disabled", "totp" if each.factor else "provider" if each.subject else "none", str(len(tokens[each.name])),
                age(each.seen_at),
            )
            for each in everybody
        ],
    )  # fmt: skip
    return DONE
