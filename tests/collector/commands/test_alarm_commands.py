"""Alarms are listed whatever masks them, and shelved with a reason, a limit and, at level 1, a second person."""

from __future__ import annotations

import getpass
import time

import pytest

from tests.collector.desk import HOUR, Desk
from tests.collector.sending import S

ME = getpass.getuser()
FIRE = ("atm-1", "env/smoke", "env.smoke", "alarm")


def test_a_shelved_alarm_stays_on_the_list_and_says_who_and_until_when(desk: Desk) -> None:
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 20, lasting=400)
    said = desk.done("shelve", "1", "--hours", "2", "--reason", "sensor is being replaced")
    assert "is shelved until" in said
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 93)
    (row,) = desk.json("alarms")
    (mask,) = row["masks"]
    assert (row["isa_state"], row["condition"]) == ("SHLVD", "active"), "its condition is followed all the same"
    assert (mask["kind"], mask["by"], mask["reason"]) == ("shelved", ME, "sensor is being replaced")
    assert desk.incidents() == [], "nobody is told"
    assert "SHLVD" in desk.done("alarms")
    assert desk.acts()[-1][2]["second"] == ""
    assert "it lasts, and is told" in desk.done("unshelve", "1")
    assert desk.alarm().isa_state == "UNACK"
    assert [each.state for each in desk.incidents()] == ["open"]
    assert "Alarm 1 is not shelved" in desk.refused("unshelve", "1")


def test_a_shelf_has_its_end_and_what_lasts_then_is_told(desk: Desk) -> None:
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 20, lasting=400)
    desk.done("shelve", "1", "--hours", "0.5", "--reason", "cleaning")
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 93)
    desk.wait(HOUR / S)
    assert desk.alarm().isa_state == "UNACK"
    assert len(desk.incidents()) == 1


def test_of_an_incident_that_was_told_before_the_command_says_so(desk: Desk) -> None:
    assert "was told before and goes on" in desk.done("shelve", "1", "--hours", "1", "--reason", "known")
    assert [each.state for each in desk.incidents()] == ["open"]


def test_level_1_takes_a_second_person_who_is_not_the_first(desk: Desk) -> None:
    desk.say(*FIRE)
    grave = next(row for row in desk.json("alarms") if row["level"] == 1)
    words = ("shelve", str(grave["id"]), "--hours", "1", "--reason", "welding")
    assert "a second person has to agree, --second NAME" in desk.refused(*words, status=2)
    assert "that is you; somebody else has to agree" in desk.refused(*words, "--second", ME.upper(), status=2)
    assert desk.json(*words, "--second", "chen.jun")["second"] == "chen.jun"
    assert desk.acts()[-1][2]["second"] == "chen.jun"
    assert desk.alarm(grave["id"]).isa_state == "SHLVD"


def test_behind_sudo_both_names_are_the_one_who_acts(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "li.wei")
    words = ("shelve", "1", "--hours", "1", "--reason", "welding", "--second")
    for name in ("li.wei", ME):
        assert "that is you" in desk.refused(*words, name, status=2)
    desk.done(*words, "chen.jun")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("1", "--hours", "25", "--reason", "x"), 2, "at most 24"),
        (("1", "--hours", "0", "--reason", "x"), 2, "more than 0"),
        (("1", "--hours", "nan", "--reason", "x"), 2, "more than 0"),
        (("1", "--hours", "1", "--reason", " "), 2, "--reason is empty"),
        (("9", "--hours", "1", "--reason", "x"), 1, "there is no alarm 9"),
        (("one", "--hours", "1", "--reason", "x"), 1, "there is no alarm one"),
    ],
)
def test_what_cannot_be_shelved_is_said(desk: Desk, words: tuple[str, ...], status: int, said: str) -> None:
    assert said in desk.refused("shelve", *words, status=status)
    assert desk.alarm().masks == ()


def test_an_old_episode_cannot_be_shelved(desk: Desk) -> None:
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 20, lasting=400)
    desk.wait(2 * HOUR / S)
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 93)
    assert [row["id"] for row in desk.json("alarms")] == [2]
    assert "alarm 1 is not shelved: it is an old episode" in desk.refused(
        "shelve", "1", "--hours", "1", "--reason", "x"
    )


def test_those_that_are_over_are_listed_on_demand(desk: Desk) -> None:
    assert desk.json("alarms")[0]["raised_at"][:4] == str(time.gmtime().tm_year)
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 20, lasting=400)
    assert desk.done("alarms") == "no open alarm\n"
    assert "NORM" in desk.done("alarms", "--all")
