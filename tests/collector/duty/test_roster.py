"""Who is on duty: near before wide, certain days before every week, and nobody where there is nobody."""

from __future__ import annotations

import tomllib

import pytest

from tests.collector.duty.clocks_of_places import BERLIN, SHANGHAI, ns
from tillwatch.collector.duty.roster import Person, Roster, read_roster
from tillwatch.collector.duty.tables import PolicyError, Table

PEOPLE = """
[role]
duty = "takes faults on"
head = "answers for the shift"
[person.wang]
name = "Wang Fang"
phone = "+86 10 5550 0101"
[person.li]
name = "Li Na"
phone = "+86 10 5550 0102"
mail = "li.na@bank.example"
[person.zhao]
name = "Zhao Lei"
sms = "+86 139 5550 0103"
"""
SHIFTS = """
[[shift]]
role = "duty"
people = "wang"
hours = { mon-fri = "08:00-20:00" }
[[shift]]
role = "duty"
people = ["li"]
hours = { daily = "20:00-08:00" }
[[shift]]
role = "duty"
people = ["zhao"]
scope = ["region:west", "branch:harbour"]
[[shift]]
role = "duty"
people = ["li", "zhao"]
hours = "08:00-20:00"
from = 2026-10-01
to = 2026-10-07
"""
SHIFTS = SHIFTS.replace(
    'scope = ["region:west", "branch:harbour"]', 'scope = ["region:west", "branch:harbour"]\nhours = "24x7"'
)


def roster(text: str = PEOPLE + SHIFTS, zone: str = SHANGHAI) -> Roster:
    top = Table("", tomllib.loads(text))
    found = read_roster(top, zone)
    top.done()
    return found


def on_duty(at: str, branch: str = "market", region: str = "north", role: str = "duty") -> list[str]:
    return [person.id for person in roster().on_duty(role, ns(at), branch, region)]


@pytest.mark.parametrize(
    ("at", "people"),
    [
        ("2026-09-22 10:00", ["wang"]),
        ("2026-09-22 20:00", ["li"]),
        ("2026-09-23 07:59", ["li"]),
        ("2026-09-23 08:00", ["wang"]),
        ("2026-09-26 10:00", []),  # a Saturday
        ("2026-10-01 10:00", ["li", "zhao"]),
        ("2026-10-03 10:00", ["li", "zhao"]),  # also a Saturday
        ("2026-10-03 21:00", ["li"]),
        ("2026-10-08 10:00", ["wang"]),
    ],
)
def test_certain_days_go_before_every_week(at, people):
    assert on_duty(at) == people


def test_near_goes_before_wide():
    assert on_duty("2026-09-22 10:00", region="west") == ["zhao"]
    assert on_duty("2026-10-01 10:00", branch="harbour") == ["zhao"]
    assert on_duty("2026-09-22 10:00", role="head") == []


def test_a_night_that_was_planned_lasts_until_the_morning_after():
    text = (
        PEOPLE
        + SHIFTS
        + '[[shift]]\nrole = "duty"\npeople = "zhao"\nhours = "20:00-08:00"\nfrom = 2026-09-22\nto = 2026-09-22\n'
    )
    nights = {
        at: [p.id for p in roster(text).on_duty("duty", ns(at), "b", "r")]
        for at in ("2026-09-23 07:00", "2026-09-23 21:00")
    }
    assert nights == {"2026-09-23 07:00": ["zhao"], "2026-09-23 21:00": ["li"]}


def test_a_shift_to_the_minute():
    text = PEOPLE + '[[shift]]\nrole = "duty"\npeople = "zhao"\nfrom = 2026-10-25T01:00:00\nto = 2026-10-25T04:00:00\n'
    there = roster(text, BERLIN)
    assert there.shifts[0].until - there.shifts[0].since == 4 * 3600 * 10**9  # the hour that comes twice
    assert there.on_duty("duty", ns("2026-10-25 03:59", BERLIN), "b", "r")
    assert not there.on_duty("duty", ns("2026-10-25 04:00", BERLIN), "b", "r")


def test_a_roster_that_is_not_in_use_leaves_the_role_standing():
    assert Roster().on_duty("duty", 0, "b", "r") == (Person("duty", "duty"),)
    assert Person("duty", "duty").reach(("phone",)) == ("phone",)


def test_a_person_is_told_on_what_he_has():
    people = roster().people
    assert people["li"].reach(("phone", "sms")) == ("phone",)
    assert people["zhao"].reach(("phone", "mail")) == ("sms",)


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ('[person.x]\nname = "X"\n', r"\[person.x\] phone: nobody can be reached"),
        ('[person.x]\nphone = "1"\n', r"\[person.x\] name"),
        ('[person.x]\nname = "X"\nphone = "1"\npin = "2"\n', "unknown key 'pin'"),
        ("person = 3\n", r"\[person\] is a table"),
        ('shift = "x"\n', r"\[\[shift\]\] is a list of tables"),
        (PEOPLE + '[[shift]]\nrole = "boss"\npeople = "li"\nhours = "24x7"\n', r"number 1, role = 'boss': write one of duty, head"),
        (PEOPLE + '[[shift]]\nrole = "duty"\npeople = "chen"\nhours = "24x7"\n', r"there is no \[person.chen\]"),
        (PEOPLE + '[[shift]]\nrole = "duty"\npeople = []\nhours = "24x7"\n', "at least one person"),
        (PEOPLE + '[[shift]]\nrole = "duty"\npeople = "li"\n', "write both from and to"),
        (PEOPLE + '[[shift]]\nrole = "duty"\npeople = "li"\nhours = "24x7"\nscope = "T1"\n', '"branch:NAME"'),
        (PEOPLE + '[[shift]]\nrole = "duty"\npeople = "li"\nhours = "24x7"\ntime_zone = "x"\n', "write a time zone"),
        (PEOPLE + '[[shift]]\nrole = "duty"\npeople = "li"\nhours = "24x7"\nfrom = 2026-10-01T08:00:00\n', "a date alone"),
        (PEOPLE + '[[shift]]\nrole = "duty"\npeople = "li"\nhours = "24x7"\nuntil = 2026-10-01\n', "unknown key 'until'"),
    ],
)  # fmt: skip
def test_a_wrong_roster_is_told_with_key_and_mend(text, mend):
    with pytest.raises(PolicyError, match=mend):
        roster(text)
