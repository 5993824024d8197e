"""People handle incidents by commands: each changes what it says it changes, says so, is on record, and is refused where it could change nothing."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from tests.collector.desk import Desk
from tillwatch.collector.alarm.alarms import ACK_NS

ME = getpass.getuser()


def test_an_alarm_is_taken_on_with_its_incident(desk: Desk) -> None:
    said = desk.json("acknowledge", "1", "--note", "on my way")
    assert (said["alarm"], said["terminal"], said["acked_by"]) == (1, "atm-1", ME)
    alarm, incident = desk.alarm(), desk.incidents()[0]
    assert (alarm.isa_state, alarm.ack_until - alarm.acked_at) == ("ACKED", ACK_NS[3])
    assert (incident.state, incident.owner) == ("acknowledged", ME)
    assert "is taken on by" in desk.done("acknowledge", "1")
    assert desk.acts()[-2] == ("acknowledge", "atm-1", {"alarm": 1, "note": "on my way"})


def test_an_incident_is_taken_on_with_its_alarms_by_the_beginning_of_its_id(desk: Desk) -> None:
    name = desk.incidents()[0].id
    said = desk.done("acknowledge", name[4:10])
    assert f"{name} (" in said
    assert "is acknowledged" in said
    assert desk.alarm().acked_by == ME
    assert desk.acts()[-1] == ("acknowledge", "atm-1", {"incident": name, "note": ""})


def test_an_alarm_that_is_over_leaves_the_list_when_it_was_seen(desk: Desk) -> None:
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 99)
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 20, lasting=400)
    assert desk.alarm().isa_state == "RTNUN"
    assert [row["id"] for row in desk.json("alarms")] == [1]
    assert "leaves the list" in desk.done("acknowledge", "1")
    assert desk.json("alarms") == []
    assert "Alarm 1 is over" in desk.refused("acknowledge", "1")


def test_the_way_of_an_incident_to_its_end(desk: Desk) -> None:
    name = desk.incidents()[0].id
    assert "Assigned" in desk.done("assign", name, "--to", "zhang.min")
    assert desk.incidents()[0].owner == "zhang.min"
    assert "At work on it" in desk.done("repair", name)
    assert desk.json("hold", name, "--reason", "parts")["view"]["on_hold"] == "parts"
    assert [clock.state for clock in desk.incidents()[0].clocks] == ["stopped", "held"]
    assert "is on hold already: parts" in desk.refused("hold", name, "--reason", "access")
    assert "Goes on" in desk.done("resume", name)
    assert "is not on hold" in desk.refused("resume", name)
    assert "branch has the key" in desk.done("note", name, "branch has the key")
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 20, lasting=400)
    incident = desk.incident().view
    assert incident.state == "resolved", "level 3 is resolved by its readings"
    desk.done("resolve", name, "--verdict", "part_changed", "--part", "SSD 480 GB")
    incident = desk.incident().view
    assert (incident.verdict, incident.part) == ("part_changed", "SSD 480 GB")
    assert "Closed" in desk.done("close", name)
    assert desk.incident().view.state == "closed"
    assert desk.incidents() == []
    acts = [action for action, _, detail in desk.acts() if detail.get("incident") == name]
    assert acts == ["assign", "in-repair", "hold", "resume", "note", "resolve", "close"]
    told = [
        event.kind for event in desk.incident().events if event.kind not in ("joined", "left", "escalated", "opened")
    ]
    assert told == [
        "announced", "assigned", "in_repair", "held", "resumed", "note", "restored", "resolved", "resolved", "verdict", "closed",
    ]  # fmt: skip


def test_who_resolves_what_still_lasts_is_told_so(desk: Desk) -> None:
    name = desk.incidents()[0].id
    code, out, error = desk.call("resolve", name, "--verdict", "no_fault_found")
    assert code == 1
    assert "The fault is back" in out
    assert f"{name} is open again: by its readings the fault is still there" in error
    view = desk.incidents()[0]
    assert (view.state, view.reopened, view.owner) == ("open", 1, "")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("acknowledge", "7"), 1, "there is no alarm 7"),
        (("acknowledge", "HWM-nothing"), 1, "there is no incident HWM-nothing"),
        (("acknowledge", "1", "--note", "x" * 201), 2, "--note takes up to 200"),
        (("acknowledge", "1", "--note", "a\nb"), 2, "--note takes up to 200"),
        (("hold", "{}", "--reason", "lunch"), 2, "none of the policy's: parts (Parts are on order)"),
        (("resolve", "{}", "--verdict", "part_changed"), 2, "needs --part"),
        (("close", "{}"), 1, "what is closed was resolved before"),
        (("note", "{}", "  "), 2, "TEXT is empty"),
        (("assign", "{}", "--to", ""), 2, "--to is empty"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_no_trace(
    desk: Desk, words: tuple[str, ...], status: int, said: str
) -> None:
    before = desk.incident()
    named = tuple(word.replace("{}", before.view.id) for word in words)
    assert said in desk.refused(*named, status=status)
    assert desk.incident().events == before.events
    assert desk.acts()[-1][0] == "enrol"


def test_an_incident_that_nobody_was_told_of_cannot_be_taken_on(desk: Desk) -> None:
    desk.say("atm-1", "ups", "ups.output.source", "battery", lasting=31)
    name = next(each.id for each in desk.incidents() if each.state == "settling")
    assert "is not told yet, it may be part of something wider" in desk.refused("acknowledge", name)
    assert "is not told yet" in desk.refused("repair", name)


def test_what_is_settled_for_good_does_not_change_any_more(desk: Desk) -> None:
    name = desk.incidents()[0].id
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 20, lasting=400)
    desk.done("close", name)
    desk.wait(5 * 3600)
    assert f"{name} has not changed: it is closed" in desk.refused("note", name, "too late")


POLICY = """
[person.zhang]
name = "Zhang Min"
phone = "13800000000"
[[shift]]
role = "duty engineer"
people = ["zhang"]
hours = "00:00-24:00"
"""


@pytest.mark.parametrize(
    ("name", "note"),
    [("zhang", ""), ("Zhang Min", ""), ("outside firm", "note: the roster does not know outside firm\n")],
)
def test_a_person_whom_the_roster_does_not_know_is_told_and_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, note: str
) -> None:
    desk = Desk(tmp_path, capsys, POLICY)
    desk.enrol("atm-1")
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 93)
    code, _, error = desk.call("assign", desk.incidents()[0].id, "--to", name)
    assert (code, error) == (0, note)
    assert desk.incidents()[0].owner == name


def test_incidents_are_merged_and_split_again(desk: Desk) -> None:
    desk.say("atm-1", "host/disk:/var", "host.disk.percent", 93)
    first, second = sorted(each.id for each in desk.incidents())
    assert f"Merged into incident {second}, which goes on" in desk.done("incidents", "merge", first, second)
    assert [each.id for each in desk.incidents()] == [second]
    (other,) = [each.alarm.id for each in desk.incident().members if each.role == "root"][1:2] or [1]
    said = desk.done("incidents", "split", second, str(other), "--note", "another disk")
    assert "Alarms of it were split off" in said
    assert len(desk.incidents()) == 2
    assert desk.acts()[-1] == ("split", "atm-1", {"incident": second, "alarms": [other], "note": "another disk"})


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("split",), 2, "takes an incident and the numbers of alarms"),
        (("split", "{}", "x"), 2, "takes an incident and the numbers of alarms"),
        (("merge", "{}"), 2, "takes an incident, and the one that goes on"),
        (("merge", "{}", "{}"), 1, "cannot be merged into itself"),
        (("split", "{}", "1"), 1, "would be left without what it is about"),
        (("split", "{}", "99"), 1, "Alarm 99 is not part of"),
        (("list", "{}"), 2, "takes no incident"),
    ],
)
def test_causes_that_cannot_be_regrouped_are_refused(
    desk: Desk, words: tuple[str, ...], status: int, said: str
) -> None:
    name = desk.incidents()[0].id
    assert said in desk.refused("incidents", *(word.replace("{}", name) for word in words), status=status)
