"""Accounts: what may be, what ends sessions, and what becomes record."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import pytest

from tests.collector.people.peopled import BASE, BY, HASH, WORD
from tillwatch.collector.people import accounts, sessions
from tillwatch.collector.people.accounts import AccountError, Person, scope_of, tidy
from tillwatch.collector.people.console_db import ConsoleDbError, open_console, transaction, unsaid
from tillwatch.collector.people.roles import Role, Scope
from tillwatch.collector.people.second_factor import SecondFactor
from tillwatch.collector.people.sessions import Session, Token


@pytest.fixture
def db(tmp_path):
    db = open_console(tmp_path / "console.db")
    yield db
    db.close()


def session(k: int, person: str = "li.wei", at: int = BASE) -> Session:
    return Session(bytes([k]) * 32, person, "c", at, at, at + 10**12, 0, "192.0.2.1", "password", "")


def test_the_file_is_its_owners_only(tmp_path):
    path = tmp_path / "console.db"
    path.touch(mode=0o644)
    db = open_console(path)
    db.execute("INSERT INTO preference VALUES ('a', 'b', 'c')")
    assert {each.stat().st_mode & 0o777 for each in tmp_path.iterdir()} == {0o600}
    db.close()


def test_what_a_command_changes_is_seen_by_a_console_that_runs(tmp_path):
    """The console holds two connections; a command comes, and goes as the only one of its process."""
    path = tmp_path / "console.db"
    with closing(open_console(path)) as reading, closing(open_console(path)) as writing:
        code = (
            "import sys; from contextlib import closing; from pathlib import Path\n"
            "from tillwatch.collector.people.console_db import open_console, transaction\n"
            "with closing(open_console(Path(sys.argv[1]))) as db, transaction(db):\n"
            "    db.execute(\"INSERT INTO preference VALUES ('li.na', 'language', 'zh')\")"
        )
        subprocess.run((sys.executable, "-c", code, path), check=True)
        assert path.with_name("console.db-wal").exists(), "the console's own log"
        with transaction(writing):
            writing.execute("INSERT INTO preference VALUES ('li.na', 'zone', 'UTC')")
        assert reading.execute("SELECT count(*) FROM preference").fetchone() == (2,)
    with closing(sqlite3.connect(path)) as later:
        assert later.execute("SELECT count(*) FROM preference").fetchone() == (2,)


def test_a_newer_file_and_one_that_is_none_are_one_clear_error(tmp_path):
    db = open_console(tmp_path / "console.db")
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(ConsoleDbError, match="newer tillwatch"):
        open_console(tmp_path / "console.db")
    (tmp_path / "text.db").write_text("no database, and longer than a header of one" * 30)
    with pytest.raises(ConsoleDbError, match="not a database"):
        open_console(tmp_path / "text.db")


def test_somebody_is_kept_as_they_were(db):
    person = Person(
        "li.wei", "李伟", Role.TECHNICIAN, Scope(frozenset({"South"}), frozenset({"人民路支行"})), password=HASH, factor=SecondFactor("A" * 32, 5),
        settings={"language": "zh"}, created_at=BASE,
    )  # fmt: skip
    accounts.add(db, person, BY)
    assert accounts.find(db, "li.wei") == person
    assert accounts.everybody(db) == [person]
    assert HASH not in repr(person)


def test_what_becomes_record_holds_no_secret(db):
    accounts.add(db, Person("li.wei", "", Role.VIEWER, password=HASH, factor=SecondFactor("A" * 32)), BY)
    [(_, facts)] = unsaid(db)
    assert facts == {
        "action": "person", "actor": "root", "role": "", "via": "command line", "person": "li.wei", "did": "added", "holds": "viewer", "regions": [],
        "branches": [], "active": True, "factor": True, "board": False,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["", "-x", "a b", "x" * 61, "a/b", "<b>", "a\nb", "'--"])
def test_names_are_words(name):
    with pytest.raises(AccountError):
        tidy(name)


def test_names_are_one_in_all_their_forms():
    assert tidy(" Li.Wei@Bank ") == "li.wei@bank"
    assert tidy("李伟") == "李伟"


def test_a_name_is_taken_once(db):
    accounts.add(db, Person("li.wei", "", Role.VIEWER), BY)
    with pytest.raises(AccountError, match="somebody already"):
        accounts.add(db, Person("li.wei", "", Role.VIEWER), BY)


def test_the_last_administrator_stays(db):
    accounts.add(db, Person("root", "", Role.ADMINISTRATOR), BY)
    held = accounts.find(db, "root")
    for after in (replace(held, active=False), replace(held, role=Role.VIEWER)):
        with pytest.raises(AccountError, match="last administrator"):
            accounts.change(db, after, BY, "test")
    accounts.add(db, Person("second", "", Role.ADMINISTRATOR), BY)
    accounts.change(db, replace(held, active=False), BY, "disabled")
    with pytest.raises(AccountError, match="last administrator"):
        accounts.change(db, replace(accounts.find(db, "second"), active=False), BY, "disabled")


@pytest.mark.parametrize(
    "more",
    [
        {"role": Role.SUPERVISOR},
        {"scope": Scope(frozenset({"North"}))},
        {"active": False},
        {"password": "another"},
        {"board": True},
    ],
)
def test_who_may_something_else_signs_in_anew(db, more):
    accounts.add(db, Person("li.wei", "", Role.VIEWER), BY)
    sessions.begin(db, session(1), 5)
    accounts.change(db, replace(accounts.find(db, "li.wei"), **more), BY, "test")
    assert sessions.session(db, bytes([1]) * 32) is None


def test_a_change_of_the_name_or_the_language_ends_no_session(db):
    accounts.add(db, Person("li.wei", "", Role.VIEWER), BY)
    sessions.begin(db, session(1), 5)
    accounts.change(db, replace(accounts.find(db, "li.wei"), full_name="李伟", settings={"language": "zh"}), BY, "test")
    assert sessions.session(db, bytes([1]) * 32) is not None


@pytest.mark.parametrize(
    ("person", "code"),
    [
        (Person("a", "", Role.TECHNICIAN, board=True), "board"),
        (Person("a", "", Role.ADMINISTRATOR, Scope(frozenset({"North"}))), "administrator_scope"),
        (Person("a", "x" * 81, Role.VIEWER), "full_name"),
        (Person("a", "x\ny", Role.VIEWER), "full_name"),
    ],
)
def test_what_does_not_fit_together_is_refused(db, person, code):
    with pytest.raises(AccountError) as refused:
        accounts.add(db, person, BY)
    assert refused.value.code == code


def test_a_scope_is_bounded():
    with pytest.raises(AccountError):
        scope_of(["x"] * 201, [])
    with pytest.raises(AccountError):
        scope_of([], ["x" * 121])


def test_a_change_and_its_record_are_one(db):
    with pytest.raises(RuntimeError), transaction(db):  # noqa: PT012 - both belong to one transaction
        accounts.add(db, Person("li.wei", "", Role.VIEWER), BY)
        raise RuntimeError
    assert (accounts.count(db), unsaid(db)) == (0, [])


def test_the_quietest_session_ends_where_there_are_too_many(db):
    for k in range(1, 5):
        sessions.begin(db, session(k, at=BASE + k), 3)
    assert [each.id[0] for each in sessions.sessions_of(db, "li.wei", BASE)] == [4, 3, 2]
    sessions.begin(db, session(9, "wang"), 3)
    assert len(sessions.sessions_of(db, "li.wei", BASE)) == 3


def test_sessions_that_are_over_go_when_another_begins(db):
    sessions.begin(db, session(1), 3)
    sessions.begin(db, session(2, at=BASE + 10**13), 3)
    assert sessions.session(db, bytes([1]) * 32) is None


def test_a_link_holds_once_and_until_its_end(db):
    accounts.add(db, Person("li.wei", "", Role.VIEWER), BY)
    accounts.invite(db, "li.wei", b"a" * 32, BASE + 10)
    accounts.invite(db, "li.wei", b"b" * 32, BASE + 10)
    assert accounts.invited(db, b"a" * 32, BASE) is None
    assert accounts.invited(db, b"b" * 32, BASE + 10) is None
    assert accounts.invited(db, b"b" * 32, BASE).name == "li.wei"
    accounts.change(db, replace(accounts.find(db, "li.wei"), password=HASH), BY, "password")
    assert accounts.invited(db, b"b" * 32, BASE) is None


def token(role: Role = Role.VIEWER, scope: Scope = Scope(), days: int = 30, name: str = "grafana") -> Token:  # noqa: B008 - frozen
    return Token(0, name, "li.wei", role, scope, BASE, BASE + days * 86_400 * 10**9, 0)


def test_a_token_may_no_more_than_whose_it_is(db):
    north = Scope(frozenset({"North"}))
    sessions.make_token(db, b"a" * 32, token(), Role.TECHNICIAN, Scope())
    for wrong, owner, reach in (
        (token(Role.SUPERVISOR), Role.TECHNICIAN, Scope()),
        (token(Role.ADMINISTRATOR), Role.SUPERVISOR, Scope()),
        (token(Role.TECHNICIAN), Role.ADMINISTRATOR, Scope()),
        (token(scope=Scope(frozenset({"South"}))), Role.VIEWER, north),
        (token(), Role.VIEWER, north),
        (token(days=400), Role.VIEWER, Scope()),
        (token(days=0), Role.VIEWER, Scope()),
        (token(name=""), Role.VIEWER, Scope()),
    ):
        with pytest.raises(AccountError):
            sessions.make_token(db, b"b" * 32, wrong, owner, reach)
    for k in range(sessions.MAX_TOKENS - 1):
        sessions.make_token(db, bytes([k]) * 32, token(), Role.VIEWER, Scope())
    with pytest.raises(AccountError, match="most of one person"):
        sessions.make_token(db, b"c" * 32, token(), Role.VIEWER, Scope())


def test_nothing_that_is_kept_lets_anybody_in(db, tmp_path):
    secret = sessions.new_secret()
    sessions.make_token(db, sessions.digest_of(secret), token(), Role.VIEWER, Scope())
    sessions.begin(db, session(1), 3)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert secret.encode() not in kept
    assert WORD.encode() not in kept
