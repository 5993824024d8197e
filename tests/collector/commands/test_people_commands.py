"""Accounts at the command line: made, changed and journaled, beside a console and without one; no password is ever an argument."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing

import pytest

from tests.collector.desk import Desk
from tillwatch.collector.people import accounts, passwords, sessions
from tillwatch.collector.people.accounts import Person
from tillwatch.collector.people.console_db import open_console, place, transaction, unsaid
from tillwatch.collector.people.roles import Role, Scope
from tillwatch.collector.people.second_factor import SecondFactor
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.store.lock import WriterLock

WORD = "violet tundra kayak 93"


@pytest.fixture
def desk(tmp_path, capsys, monkeypatch) -> Desk:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{WORD}\n"))
    return Desk(tmp_path, capsys)


def held(desk: Desk, name: str = "li.wei") -> Person:
    with closing(open_console(place(desk.path))) as db:
        return accounts.find(db, name)


def put(desk: Desk, name: str = "li.wei", role: Role = Role.SUPERVISOR, **more) -> None:
    with closing(open_console(place(desk.path))) as db, transaction(db):
        accounts.put(db, Person(name, "", role, **more))


def test_the_first_account_is_made_and_journaled(desk):
    assert "nobody has an account" in desk.done("people", "list")
    assert "li.wei is added as administrator" in desk.done(
        "people", "add", "Li.Wei", "--role", "administrator", "--full-name", "李伟"
    )
    person = held(desk)
    assert (person.role, person.full_name, passwords.Passwords().verify(person.password, WORD)) == (
        Role.ADMINISTRATOR,
        "李伟",
        True,
    )
    action, _, facts = desk.acts()[-1]
    assert (action, facts["person"], facts["did"], facts["via"]) == ("person", "li.wei", "added", "command line")
    [row] = desk.json("people", "list")
    assert (row["name"], row["role"], row["totp"], row["seen_at"]) == ("li.wei", "administrator", False, None)


def test_nothing_of_it_reaches_what_is_folded(desk, tmp_path):
    desk.done("people", "add", "li.wei", "--role", "administrator")
    desk.done("people", "token", "li.wei", "--label", "grafana")
    rebuild(desk.path, tmp_path / "again.db")
    with closing(sqlite3.connect(desk.path)) as before, closing(sqlite3.connect(tmp_path / "again.db")) as again:
        assert tables(before) == tables(again)
        assert WORD not in "".join(before.iterdump())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("add", "li.wei"), "needs --role"),
        (("add", "--role", "viewer"), "needs a name"),
        (("add", "<li>", "--role", "viewer"), "a name has 1 to 60"),
        (("add", "x", "--role", "technician", "--board"), "only a viewer"),
        (("add", "x", "--role", "administrator", "--region", "North"), "an administrator has no scope"),
        (("disable", "nobody"), "nobody is called nobody"),
        (("role", "li.wei"), "needs --role"),
        (("token", "nobody", "--label", "x"), "nobody is called"),
    ],
)
def test_what_cannot_be_says_why_and_changes_nothing(desk, words, says):
    code, _, err = desk.call("people", *words)
    assert code in {1, 2}
    assert says in err
    with closing(open_console(place(desk.path))) as db:
        assert (accounts.count(db), unsaid(db)) == (0, [])


def test_a_weak_password_is_refused(desk, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("li.wei-li.wei\n"))
    assert "your name" in desk.refused("people", "add", "li.wei", "--role", "viewer")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert "at least 12 characters" in desk.refused("people", "add", "li.wei", "--role", "viewer")


def test_a_link_stands_for_a_password(desk):
    said = desk.json("people", "add", "wang", "--role", "viewer", "--invite")
    assert said["link"].startswith("http://127.0.0.1:8080/sign-in/welcome?token=")
    with closing(open_console(place(desk.path))) as db:
        token = said["link"].partition("token=")[2]
        assert accounts.invited(db, sessions.digest_of(token), desk.now).name == "wang"
    again = desk.json("people", "invite", "wang")
    assert again["link"] != said["link"]


def test_role_state_and_second_factor_change_and_end_sessions(desk):
    put(desk, "root", Role.ADMINISTRATOR)
    put(desk, factor=SecondFactor("A" * 32))
    assert "viewer of North" in desk.done("people", "role", "li.wei", "--role", "viewer", "--region", "North")
    assert (held(desk).role, held(desk).scope) == (Role.VIEWER, Scope(frozenset({"North"})))
    assert "without a second factor" in desk.done("people", "reset-totp", "li.wei")
    assert held(desk).factor is None
    desk.done("people", "disable", "li.wei")
    assert not held(desk).active
    desk.done("people", "enable", "li.wei")
    assert held(desk).active
    assert "last administrator" in desk.refused("people", "disable", "root")
    assert [facts["did"] for action, _, facts in desk.acts() if action == "person"] == [
        "role, scope",
        "factor reset",
        "disabled",
        "enabled",
    ]


def test_another_password_is_the_way_back_in(desk):
    put(desk, password="x")
    desk.done("people", "passwd", "li.wei")
    assert held(desk).freed_at > 0
    assert passwords.Passwords().verify(held(desk).password, WORD)


def test_a_token_is_printed_once_and_revoked(desk):
    put(desk)
    made = desk.json("people", "token", "li.wei", "--label", "grafana", "--days", "30")
    assert made["token"].startswith("tw_")
    [row] = desk.json("people", "list")
    assert [(one["number"], one["name"], one["role"]) for one in row["tokens"]] == [
        (made["number"], "grafana", "viewer")
    ]
    assert "above" in desk.refused("people", "token", "li.wei", "--label", "x", "--role", "administrator")
    desk.done("people", "revoke-token", "li.wei", "--number", str(made["number"]))
    assert desk.json("people", "list")[0]["tokens"] == []
    assert "no token 1" in desk.refused("people", "revoke-token", "li.wei", "--number", "1")
    assert made["token"] not in str(desk.acts())


def test_where_it_cannot_be_journaled_now_it_is_done_and_waits(desk, monkeypatch):
    monkeypatch.setattr("tillwatch.collector.commands.acts.ANSWER_S", 0.1)
    lock = WriterLock(desk.path)
    assert lock.take()
    try:
        code, out, err = desk.call("people", "add", "li.wei", "--role", "viewer")
    finally:
        lock.release()
    assert (code, "li.wei is added" in out, "not journaled yet" in err) == (0, True, True)
    desk.done("people", "list")
    assert held(desk) is not None
