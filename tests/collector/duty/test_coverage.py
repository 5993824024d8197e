"""The roster laid out: who has a role when, against the roster's own answer minute by minute, and the gaps in which nobody has it."""

from __future__ import annotations

from itertools import pairwise

from tests.collector.duty.clocks_of_places import DAY, HOUR, MINUTE, ns, said
from tillwatch.collector.duty.coverage import MAX_PLACES, called_roles, coverage, stretches
from tillwatch.collector.duty.policy import Policy, parse_policy

START = ns("2026-02-16 00:00")  # a Monday
SITE = """
[person.li]
name = "Li Na"
phone = "+86 139 0000 0101"
[person.wang]
name = "Wang Wei"
phone = "+86 139 0000 0102"
[person.zhao]
name = "Zhao Yi"
mail = "zhao@bank.example"
[[shift]]
role = "duty engineer"
people = "li"
hours = "08:00-20:00"
[[shift]]
role = "duty engineer"
people = "wang"
hours = "20:00-06:00"
[[shift]]
role = "duty engineer"
people = "zhao"
scope = "branch:Harbour"
from = 2026-02-17T10:00:00
to = 2026-02-17T12:00:00
[[shift]]
role = "section head"
people = "zhao"
scope = "region:South"
hours = "24x7"
"""
REGION_OF = {"Harbour": "South", "Market": "South", "Far West": "West"}


def policy() -> Policy:
    return parse_policy(SITE)


def test_the_week_of_a_role_has_its_people_and_its_gaps():
    rows, left_out = coverage(policy(), REGION_OF, START, START + DAY)
    duty = next(row for row in rows if row.role == "duty engineer" and not row.branch)
    laid = [(said(each.since)[11:], "/".join(p.name for p in each.people)) for each in duty.stretches]
    assert laid == [("00:00", "Wang Wei"), ("06:00", ""), ("08:00", "Li Na"), ("20:00", "Wang Wei")]
    assert [(said(gap.since)[11:], said(gap.until)[11:]) for gap in duty.gaps] == [("06:00", "08:00")]
    assert duty.called
    assert left_out == 0


def test_a_place_with_a_shift_of_its_own_has_a_row_of_its_own():
    rows, _ = coverage(policy(), REGION_OF, START, START + 7 * DAY)
    assert [(row.role, row.branch, row.region) for row in rows if row.branch or row.region] == [
        ("duty engineer", "Harbour", "South"),
        ("section head", "", "South"),
    ]
    harbour = next(row for row in rows if row.branch == "Harbour")
    turn = next(each for each in harbour.stretches if [p.id for p in each.people] == ["zhao"])
    assert (said(turn.since), said(turn.until)) == ("2026-02-17 10:00", "2026-02-17 12:00")


def test_a_role_that_is_called_and_that_nobody_has_is_one_gap():
    rows, _ = coverage(policy(), REGION_OF, START, START + DAY)
    director = next(row for row in rows if row.role == "director")
    assert director.called
    assert [(gap.since, gap.until) for gap in director.gaps] == [(START, START + DAY)]
    assert not next(row for row in rows if row.role == "queue").called


def test_every_minute_is_as_the_roster_says():
    asked = policy()
    for branch, region in (("", ""), ("Harbour", "South"), ("Market", "South")):
        laid = stretches(asked.roster, "duty engineer", branch, region, START, START + 3 * DAY)
        assert (laid[0].since, laid[-1].until) == (START, START + 3 * DAY)
        assert all(one.until == other.since and one.people != other.people for one, other in pairwise(laid))
        for each in laid:
            for at in range(each.since, each.until, 30 * MINUTE):
                assert asked.roster.on_duty("duty engineer", at, branch, region) == each.people


def test_without_a_roster_there_is_nothing_to_lay_out():
    rows, _ = coverage(parse_policy(), REGION_OF, START, START + DAY)
    assert all(row.stretches == () for row in rows)


def test_roles_are_called_at_the_levels_of_their_steps():
    called = called_roles(parse_policy().targets)
    assert called["duty engineer"] == (1, 2, 3)
    assert called["director"] == (1,)
    assert "queue" not in called


def test_places_are_bounded():
    many = "".join(f'[[shift]]\nrole = "section head"\npeople = "li"\nscope = "branch:B{n}"\nhours = "24x7"\n' for n in range(MAX_PLACES + 3))  # fmt: skip
    rows, left_out = coverage(parse_policy(SITE + many), {}, START, START + HOUR)
    assert left_out == MAX_PLACES + 3 + 3 - MAX_PLACES
    assert sum(row.role == "section head" for row in rows) <= MAX_PLACES
