"""`diagnose` at the command line: what cannot be asked is said, what was asked is listed. That it goes there and back: test_diagnosis_live."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import msgpack
import pytest

from tests.collector.desk import Desk
from tillwatch.agent.model import AGENT
from tillwatch.agent.wire import ALLOWED, RESULT, Outcome, Result


@pytest.fixture
def asking(desk: Desk) -> Desk:
    with closing(sqlite3.connect(desk.path)) as db, db:
        packed = msgpack.packb({"diagnosis.enabled": "True"})
        db.execute("INSERT OR REPLACE INTO meta VALUES ('settings', ?)", (packed,))
    return desk


def test_what_cannot_be_asked_is_said_with_the_mend(desk: Desk) -> None:
    assert "[diagnosis] enabled" in desk.refused("diagnose", "atm-1", "poll-now", "--reason", "x")


def test_what_the_terminal_does_not_take_is_not_asked(asking: Desk) -> None:
    ask = ("diagnose", "atm-1", "poll-now", "--reason", "x")
    assert "never said that it takes commands" in asking.refused(*ask)
    asking.say("atm-1", AGENT, ALLOWED, "off")
    assert "lets no commands in" in asking.refused(*ask)
    asking.say("atm-1", AGENT, ALLOWED, "collect-bundle")
    assert "allow" in asking.refused(*ask)
    assert asking.json("diagnose", "--list") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("atm-1",), "say what to ask"),
        (("atm-1", "poll-now"), "--reason is empty"),
        (("atm-1", "self-report", "--reason", "x"), "needs a component"),
        (("atm-1", "raise-sampling", "--minutes", "99", "--reason", "x"), "1 to 15"),
        (("atm-1", "bundle", "--component", "ups", "--reason", "x"), "takes no component"),
    ],
)
def test_what_is_wrong_is_told(asking: Desk, words: tuple[str, ...], said: str) -> None:
    assert said in asking.refused("diagnose", *words, status=2)


def test_asked_and_listed(asking: Desk) -> None:
    asking.say("atm-1", AGENT, ALLOWED, "poll-now raise-sampling")
    asked = asking.json("diagnose", "atm-1", "poll-now", "--component", "host", "--reason", "is it there?")
    assert (asked["state"], asked["arguments"], asked["reason"]) == ("asked", {"component": "host"}, "is it there?")
    said = asking.done("diagnose", "atm-1", "raise-sampling", "--reason", "repair")
    assert "raise-sampling to atm-1: asked" in said
    with closing(sqlite3.connect(asking.path)) as db:
        body = db.execute("SELECT body FROM command WHERE n = ?", (asked["command"],)).fetchone()[0]
    number = msgpack.unpackb(body)["number"]
    asking.operate(action="command-sent", terminal="atm-1", n=asked["command"], sha256=b"x")
    asking.say("atm-1", AGENT, RESULT, Result(number, Outcome.FAILED, "unread", "0 of 1 devices read").text())
    listed = asking.json("diagnose", "atm-1", "--list")
    assert [(one["kind"], one["state"], one["outcome"]) for one in listed] == [
        ("raise-sampling", "asked", ""),
        ("poll-now", "done", "failed"),
    ]
    table = asking.done("diagnose", "--list")
    assert "done, failed unread: 0 of 1 devices read" in table
    assert [act for act, _, _ in asking.acts() if act == "command"] == ["command", "command"]
    assert "no terminal is called" in asking.refused("diagnose", "atm-9", "--list")
