"""What the doctor says of accounts and of who reaches the console."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from tests.collector.certified import certify
from tillwatch.collector.config import Config
from tillwatch.collector.people import accounts
from tillwatch.collector.people.accounts import Actor, Person
from tillwatch.collector.people.console_db import open_console, place, say, transaction
from tillwatch.collector.people.roles import Role
from tillwatch.collector.people.second_factor import SecondFactor
from tillwatch.collector.people.settings import Claim, ConsoleSection, OidcSection
from tillwatch.collector.people_check import PEOPLE, REACH, examine_people
from tillwatch.collector.sections import CollectorSection

NOW = time.time_ns()
BY = Actor("root")


def config(tmp_path, **console) -> Config:
    return Config(collector=CollectorSection(data_dir=tmp_path), console=ConsoleSection(**console))


def states(found: Config, subject: str) -> list[tuple[str, str]]:
    return [(state, text) for said, state, text in examine_people(found, NOW) if said == subject]


def put(found: Config, *people: Person) -> None:
    db = open_console(place(found.database))
    with transaction(db):
        for person in people:
            accounts.add(db, person, BY)
    db.close()


def test_nobody_has_an_account_yet(tmp_path):
    [(state, text)] = states(config(tmp_path), PEOPLE)
    assert (state, "people add NAME --role administrator" in text) == ("warn", True)
    [(state, text)] = states(config(tmp_path, names=("fleet.bank.example",)), PEOPLE)
    assert (state, "does not start" in text) == ("fail", True)
    open_console(place(config(tmp_path).database)).close()
    assert states(config(tmp_path), PEOPLE)[0][0] == "warn"


def test_accounts_as_they_should_be_and_not(tmp_path):
    found = config(tmp_path)
    put(found, Person("li.wei", "", Role.SUPERVISOR))
    assert [state for state, _ in states(found, PEOPLE)] == ["warn", "ok"]
    put(
        found,
        Person("root", "", Role.ADMINISTRATOR, factor=SecondFactor("A" * 32)),
        Person("wall", "", Role.VIEWER, board=True),
    )
    assert states(found, PEOPLE) == [("ok", "3 that may sign in, 1 of them administrators")]
    warned = states(config(tmp_path, names=("fleet.bank.example",)), PEOPLE)
    assert warned[0][0] == "warn"
    assert "li.wei;" in warned[0][1]


def test_acts_that_wait_long_are_told(tmp_path):
    found = config(tmp_path)
    db = open_console(place(found.database))
    with transaction(db):
        accounts.put(db, Person("root", "", Role.ADMINISTRATOR))
        say(db, BY.facts("sign-in", at=NOW - 3600 * 10**9))
    db.close()
    assert any(state == "warn" and "waits to be journaled" in text for state, text in states(found, PEOPLE))


def test_a_file_that_is_none_is_told(tmp_path):
    found = config(tmp_path)
    place(found.database).write_text("no database " * 100)
    assert states(found, PEOPLE)[0][0] == "fail"


def test_a_secret_that_is_not_there_is_told(tmp_path):
    oidc = OidcSection(
        "https://idp", "console", tmp_path / "none", "", None, "https://c", roles=(Claim("g", "v", Role.VIEWER),)
    )
    found = replace(config(tmp_path), oidc=oidc)
    put(found, Person("root", "", Role.ADMINISTRATOR))
    assert any(state == "fail" and "secret_file" in text for state, text in states(found, PEOPLE))


@pytest.mark.parametrize(
    ("names", "days", "state"),
    [
        (("fleet.bank.example",), 365, "ok"),
        (("*.bank.example",), 365, "ok"),
        (("other.bank.example",), 365, "fail"),
        (("fleet.bank.example",), 10, "warn"),
        (("fleet.bank.example",), -1, "fail"),
    ],
)
def test_the_certificate_holds_for_the_names_and_for_a_while(tmp_path, names, days, state):
    files = certify(tmp_path, *names, days=days)
    found = config(tmp_path, host="0.0.0.0", names=("fleet.bank.example",), **files)
    assert [each[0] for each in states(found, REACH)] == [state]


def test_a_certificate_that_cannot_be_read_is_told(tmp_path):
    found = config(tmp_path, names=("x",), certificate=tmp_path / "c.pem", key=tmp_path / "c.key")
    assert states(found, REACH)[0][0] == "fail"


def test_where_it_answers(tmp_path):
    assert states(config(tmp_path), REACH) == [("ok", "http://127.0.0.1:8080, on this machine only")]
    assert "proxy" in states(config(tmp_path, names=("fleet.bank.example",)), REACH)[0][1]
