"""Planned work by command: a window silences what it covers and nothing else, a life-cycle state takes a terminal out of everything."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.collector.desk import HOUR, Desk
from tests.collector.sending import S

ME = getpass.getuser()
AGREED = ("--reason", "new UPS", "--approved-by", "chen.jun")

POLICY = """
[site]
time_zone = "Asia/Shanghai"
[branch."Far West"]
time_zone = "Asia/Urumqi"
[[window]]
id = "weekly-restart"
scope = "branch:Harbour"
weekly = "mon-sun"
at = "02:00"
length = "30m"
reason = "restart"
approved_by = "board"
"""


def test_a_window_silences_what_is_raised_in_it_and_what_lasts_at_its_end_is_told(desk: Desk) -> None:
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 20, lasting=400)
    made = desk.json("maintain", "branch:Harbour", "--to", "+2h", *AGREED, "--change", "CHG-4711")
    assert (made["state"], made["by"], made["approved_by"], made["change_ref"]) == ("open", ME, "chen.jun", "CHG-4711")
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 93)
    alarm = desk.alarm()
    assert (alarm.isa_state, alarm.condition) == ("DSUPR", "active"), "also one that was open before"
    assert [(mask.kind, mask.ref) for mask in alarm.masks] == [("maintenance", made["id"])]
    assert desk.incidents() == []
    desk.wait(2 * HOUR / S)
    assert desk.alarm().isa_state == "UNACK"
    assert [each.state for each in desk.incidents()] == ["open"]
    assert desk.done("maintain", "--list") == "no maintenance window\n"


def test_a_window_over_an_incident_lets_its_clock_stand_still(desk: Desk) -> None:
    said = desk.done("maintain", "atm-1/host*", "--to", "+2h", *AGREED)
    assert "(host/disk:/)" in said
    assert [clock.state for clock in desk.incidents()[0].clocks][1] == "held"
    name = next(word for word in said.split() if word.startswith("M-"))
    assert "what lasts in its scope is told" in desk.done("maintain", "--cancel", name)
    assert desk.incidents()[0].on_hold == ""
    assert [action for action, _, _ in desk.acts()][-2:] == ["window", "window-cancel"]


def test_another_fault_on_another_part_gets_through(desk: Desk) -> None:
    desk.say("atm-1", "ups", "ups.battery.charge", 100)
    desk.done("maintain", "atm-1/ups*", "--to", "+2h", *AGREED)
    desk.say("atm-1", "ups", "ups.battery.charge", 10)
    desk.say("atm-1", "env/smoke", "env.smoke", "alarm")
    states = {row["rule"]: row["isa_state"] for row in desk.json("alarms")}
    assert states == {"disk.full": "UNACK", "ups.battery-low": "DSUPR", "env.fire": "UNACK"}


def test_times_without_an_offset_are_by_the_clocks_of_the_branch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = Desk(tmp_path, capsys, POLICY)
    desk.enrol("atm-1")
    desk.enrol("atm-9", branch="Far West")
    soon = str(datetime.now(UTC).year + 1)
    for scope, offset in (("branch:Harbour", 8), ("atm-1", 8), ("branch:Far West", 6), ("atm-9", 6), ("all", 8)):
        made = desk.json("maintain", scope, "--from", f"{soon}-03-05T22:00", "--to", f"{soon}-03-06T04:00", *AGREED)
        began = datetime.fromisoformat(made["since"])
        assert began == datetime.fromisoformat(f"{soon}-03-05T22:00+{offset:02}:00"), scope
        assert made["state"] == "to come"


def test_windows_of_the_policy_are_listed_and_stay_where_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = Desk(tmp_path, capsys, POLICY)
    desk.enrol("atm-1")
    (row,) = desk.json("maintain", "--list")
    assert (row["id"], row["made_in"], row["weekly"], row["approved_by"]) == ("weekly-restart", "policy", True, "board")
    assert "weekly-restart" in desk.done("maintain", "--list")
    assert "stands in the site's policy" in desk.refused("maintain", "--cancel", "weekly-restart")


def test_an_overlap_is_told_and_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(tmp_path, capsys, POLICY)
    desk.enrol("atm-1")
    desk.enrol("atm-9", branch="Far West")
    code, _, error = desk.call("maintain", "atm-1", "--to", "+25h", *AGREED)
    assert (code, "note: it overlaps weekly-restart (branch:Harbour, restart)" in error) == (0, True)
    code, _, error = desk.call("maintain", "atm-9", "--to", "+25h", *AGREED)
    assert (code, error) == (0, "")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ((), 2, "name a SCOPE to maintain"),
        (("atm-1", "--list"), 2, "name a SCOPE to maintain"),
        (("atm-1", *AGREED), 2, "--to is missing"),
        (("atm-1", "--to", "+2h", "--reason", "x"), 2, "--approved-by is missing"),
        (("atm-1", "--to", "+2h", "--reason", "x", "--approved-by", ME), 2, "that is you; somebody else has to agree"),
        (("atm-2", "--to", "+2h", *AGREED), 1, "no terminal is called atm-2; did you mean atm-1?"),
        (("branch:Harbor", "--to", "+2h", *AGREED), 1, "no branch is called Harbor; did you mean Harbour?"),
        (("region:", "--to", "+2h", *AGREED), 2, 'or "all"'),
        (("atm-1/upss", "--to", "+2h", *AGREED), 1, "no component of atm-1 is called upss"),
        (("atm-1", "--to", "tomorrow", *AGREED), 2, "'tomorrow' is no time"),
        (("atm-1", "--to", "+2w", *AGREED), 2, "is no length of time"),
        (("atm-1", "--to", "2020-01-01", *AGREED), 2, "--to: it must lie after the beginning and after now"),
        (("atm-1", "--to", "+93d", *AGREED), 2, "longer than 92 days"),
        (("--cancel", "M-nothing"), 1, "no maintenance window is called M-nothing"),
    ],
)
def test_a_window_that_cannot_be_meant_is_refused(desk: Desk, words: tuple[str, ...], status: int, said: str) -> None:
    assert said in desk.refused("maintain", *words, status=status)
    assert desk.acts()[-1][0] == "enrol"


def test_what_is_in_repair_raises_nothing_and_is_told_again_when_it_is_back(desk: Desk) -> None:
    said = desk.done("life-cycle", "atm-1", "repair", "--reason", "dispenser at the workshop")
    assert said.splitlines() == [
        "atm-1 is repair, before: in_service",
        "Nothing is raised on it any more; 1 open alarms have ended.",
    ]
    desk.say("atm-1", "env/smoke", "env.smoke", "alarm")
    assert desk.json("alarms") == []
    assert "is repair already" in desk.refused("life-cycle", "atm-1", "repair", "--reason", "again")
    assert "told again: 2 open alarms" in desk.done("life-cycle", "atm-1", "in_service", "--reason", "it is back")
    assert {row["rule"] for row in desk.json("alarms")} == {"env.fire", "disk.full"}
    assert desk.acts()[-1] == ("life-cycle", "atm-1", {"state": "in_service", "reason": "it is back"})
    assert "no terminal is called atm-7" in desk.refused("life-cycle", "atm-7", "spare", "--reason", "x")
    assert "--reason is empty" in desk.refused("life-cycle", "atm-1", "spare", "--reason", "", status=2)
