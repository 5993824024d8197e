"""Alarms and incidents as people are shown them: nothing that is open is left out, lists are bounded and say what they leave out."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.desk import Desk
from tillwatch.collector.store import incident_reader
from tillwatch.collector.store.reader import SqliteReader


@pytest.fixture
def reader(desk: Desk) -> SqliteReader:
    return SqliteReader(desk.path)


def test_what_is_over_and_was_not_seen_stays_on_the_list(desk: Desk, reader: SqliteReader) -> None:
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 99)
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 20, lasting=400)
    (view,) = reader.alarms()
    assert (view.isa_state, view.returned, view.condition) == ("RTNUN", True, "normal")
    assert view.cleared_at > view.raised_at
    assert reader.terminal("atm-1").open_alarms == 0, "nothing is wrong any more"
    reader.close()


def test_no_mask_takes_an_alarm_off_the_list(desk: Desk, reader: SqliteReader) -> None:
    desk.done("shelve", "1", "--hours", "1", "--reason", "known")
    desk.done("maintain", "all", "--to", "+2h", "--reason", "known", "--approved-by", "chen")
    (view,) = reader.alarms()
    assert [mask.kind for mask in view.masks] == ["maintenance", "shelved"]
    assert [one.id for one in reader.alarms(terminal="atm-1")] == [1]
    assert reader.alarms(terminal="atm-2") == []
    reader.close()


def test_lists_are_bounded_and_say_how_many_there_are(
    desk: Desk, reader: SqliteReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.enrol("atm-2", "atm-3", branch="Hill")
    for name in ("atm-2", "atm-3"):
        desk.say(name, "host/disk:/", "host.disk.percent", 99)
    now = time.time_ns()
    views, total = reader.incidents(now, limit=2)
    assert ([view.level for view in views], total) == ([2, 2], 3), "the gravest first"
    assert len(reader.alarms(limit=2)) == 2
    monkeypatch.setattr(incident_reader, "MAX_EVENTS", 2)
    file = reader.incident(views[0].id, now)
    assert [event.at for event in file.events] == sorted(event.at for event in file.events)
    assert len(file.events) == 2
    reader.close()


def test_of_many_members_some_are_listed_and_the_rest_counted(
    desk: Desk, reader: SqliteReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"atm-{n}" for n in range(2, 6)]
    desk.enrol(*names, branch="Hill")
    for name in names:
        desk.say(name, "ups", "ups.output.source", "battery", lasting=16)
    desk.wait(120)
    wide = next(view for view in desk.incidents() if view.scope == "branch")
    assert (wide.alarms, wide.terminals) == (4, 4)
    monkeypatch.setattr(incident_reader, "MAX_MEMBERS", 3)
    file = reader.incident(wide.id, time.time_ns())
    assert (len(file.members), file.more_members) == (3, 1)
    assert {member.alarm.isa_state for member in file.members} == {"DSUPR"}
    reader.close()


def test_what_was_told_before_its_cause_is_named_with_it(desk: Desk, reader: SqliteReader) -> None:
    names = [f"atm-{n}" for n in range(2, 6)]
    desk.enrol(*names, branch="Hill")
    desk.say(names[0], "ups", "ups.output.source", "battery", lasting=35)
    early = next(view.id for view in desk.incidents() if view.branch == "Hill")
    for name in names[1:]:
        desk.say(name, "ups", "ups.output.source", "battery", lasting=4)
    desk.wait(120)
    wide = next(view for view in desk.incidents() if view.scope == "branch")
    assert reader.incident(wide.id, time.time_ns()).parts == (early,)
    assert reader.incident(early, time.time_ns()).view.parent == wide.id
    assert "why.parent" in {line.key for line in reader.incident(early, time.time_ns()).why.lines}
    reader.close()


def test_unknown_names_raise_key_errors(desk: Desk, reader: SqliteReader) -> None:
    for ask in (lambda: reader.incident("HWM-x", 0), lambda: reader.alarm(99), lambda: reader.why(99, 0)):
        with pytest.raises(KeyError):
            ask()
    assert reader.find_incident("HW") == []
    reader.close()


def test_a_held_clock_has_no_due_time_and_a_missed_one_says_so(desk: Desk, reader: SqliteReader) -> None:
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 99)
    name = desk.incidents()[0].id
    desk.done("hold", name, "--reason", "parts")
    response, repair = reader.incident(name, time.time_ns()).view.clocks
    assert (response.state, repair.state, repair.due) == ("running", "held", 0)
    later = response.due + 10**9
    assert reader.incident(name, later).view.clocks[0].missed
    assert not reader.incident(name, later).view.clocks[1].missed
    desk.done("acknowledge", name)
    response = reader.incident(name, later).view.clocks[0]
    assert (response.state, response.missed) == ("stopped", False)
    assert response.gross_s == response.net_s > 0
    reader.close()


def test_the_rules_and_the_policy_are_those_in_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(tmp_path, capsys, '[hold]\nsnow = "The road is closed"\n')
    with closing(SqliteReader(desk.path)) as reader:
        assert reader.in_force().policy.hold_reasons["snow"] == "The road is closed"
        with closing(sqlite3.connect(desk.path)) as db, db:
            db.execute("DELETE FROM meta WHERE key = 'policy'")
        assert "parts" in reader.in_force().policy.hold_reasons
