"""A row asks for level, place, contract, time and roster; what it says of others is the first thing that does not fit."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fnmatch import fnmatchcase

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.collector.routing.made import FACTS, MATCHES, TIMES
from tests.collector.routing.site import ATM, POS, SERVER, at, message, policy, table
from tillwatch.collector.duty.policy import parse_policy
from tillwatch.collector.routing.matching import ANYTHING, Contract, Match, RouteFacts, _inside, contracts_of
from tillwatch.collector.tickets.message import TicketMessage

WIDE = RouteFacts(1, rule="branch.unreachable", branch="海港支行", region="north", scope="branch")
CONTRACTS = table().contracts


def miss(match: Match, facts: RouteFacts = ATM, when: int | None = None) -> str:
    return match.miss(facts, at() if when is None else when, policy(), CONTRACTS)


@pytest.mark.parametrize(
    ("match", "facts", "why"),
    [
        (ANYTHING, WIDE, ""),
        (Match(levels=(1, 2)), ATM, ""),
        (Match(levels=(1, 3)), ATM, "level is 2, not 1 or 3"),
        (Match(globs=(("component", ("ups", "atm/*")),)), ATM, ""),
        (Match(globs=(("component", ("ups",)),)), ATM, 'component is "atm/CDM1 dispenser", not "ups"'),
        (Match(globs=(("component", ("ups",)),)), WIDE, 'it has no component, not "ups"'),
        (Match(globs=(("component", ("*",)),)), WIDE, ""),
        (Match(globs=(("rule", ("atm.*",)),)), ATM, ""),
        (Match(globs=(("branch", ("海港*",)), ("region", ("north",)))), ATM, ""),
        (Match(globs=(("branch", ("海岛*",)), ("region", ("south",)))), ATM, 'branch is "海港支行", not "海岛*"'),
        (Match(globs=(("terminal", ("ATM-1",)),)), ATM, 'terminal is "atm-1", not "ATM-1"'),
        (Match(globs=(("class", ("pos", "server")),)), ATM, 'class is "atm", not "pos" or "server"'),
        (Match(globs=(("scope", ("branch", "region")),)), WIDE, ""),
        (Match(globs=(("scope", ("branch", "region")),)), ATM, 'scope is "terminal", not "branch" or "region"'),
        (Match(contracts=("北方*",)), ATM, ""),
        (
            Match(contracts=("北方维保",)),
            POS,
            'contract "北方维保" does not cover it: class is "pos", not "atm"',
        ),
        (Match(contracts=("别家",)), ATM, 'there is no contract "别家"'),
    ],
)
def test_what_of_an_incident_is_asked_for(match: Match, facts: RouteFacts, why: str) -> None:
    assert miss(match, facts) == why


NIGHT = "2026-11-18 22:00"


@pytest.mark.parametrize(
    ("match", "when", "why"),
    [
        (Match(hours="business"), "2026-11-18 10:00", ""),
        (Match(hours="business"), NIGHT, 'it is Wed 22:00 (Asia/Shanghai), outside the hours "business"'),
        (Match(not_hours="business"), NIGHT, ""),
        (Match(not_hours="business"), "2026-11-18 17:29", 'it is Wed 17:29 (Asia/Shanghai), within the hours "business"'),
        (Match(not_hours="business"), "2026-11-18 17:30", ""),
        (Match(hours="bussiness"), NIGHT, 'the policy has no calendar "bussiness"'),
        (Match(not_hours="bussiness"), NIGHT, 'the policy has no calendar "bussiness"'),
        (Match(on_duty=("section head",)), "2026-11-18 10:00", ""),
        (Match(on_duty=("section head", "director")), NIGHT, 'nobody has the role "section head" or "director" then'),
        (Match(nobody_on=("section head", "director")), NIGHT, ""),
        (Match(nobody_on=("director", "duty engineer")), NIGHT, 'Li Na has the role "duty engineer" then'),
        (Match(nobody_on=("duty engineer",)), "2026-11-18 10:00", '王芳 has the role "duty engineer" then'),
    ],
)  # fmt: skip
def test_what_of_the_clock_and_the_roster_is_asked_for(match: Match, when: str, why: str) -> None:
    assert miss(match, when=at(when)) == why


def test_days_are_those_of_the_branch_from_its_midnight_to_its_midnight() -> None:
    day = date(2026, 11, 18).toordinal()
    only = Match(first=day, last=day)
    assert miss(only, when=at("2026-11-17 23:59:59")) == "the row begins on 2026-11-18"
    assert miss(only, when=at("2026-11-18 00:00")) == ""
    assert miss(only, when=at("2026-11-18 23:59:59")) == ""
    assert miss(only, when=at("2026-11-19 00:00")) == "the row ended on 2026-11-18"
    west = replace(ATM, branch="乌鲁木齐-南门")
    assert miss(only, west, at("2026-11-18 01:00")) == "the row begins on 2026-11-18"
    assert miss(only, west, at("2026-11-19 01:00")) == ""


def test_hours_are_by_the_clocks_of_the_branch() -> None:
    west = replace(ATM, branch="乌鲁木齐-南门")
    assert miss(Match(hours="business"), west, at("2026-11-18 09:30")).startswith(
        "it is Wed 07:30 (Asia/Urumqi), outside"
    )
    assert miss(Match(hours="business"), west, at("2026-11-18 19:00")) == ""


def test_service_means_the_hours_of_the_terminal_itself() -> None:
    assert miss(Match(hours="service"), ATM, at(NIGHT)) == ""
    assert miss(Match(hours="service"), POS, at(NIGHT)).endswith('outside the hours "service"')


def test_without_a_roster_a_role_is_always_had_by_somebody() -> None:
    bare = parse_policy()
    assert Match(on_duty=("director",)).miss(ATM, at(), bare, {}) == ""
    said = Match(nobody_on=("director",)).miss(ATM, at(), bare, {})
    assert said == 'without a roster somebody always has the role "director" then'


def test_a_contract_holds_on_its_days_only() -> None:
    asked = Match(contracts=("北方维保",))
    assert miss(asked, when=at("2026-12-31 23:59")) == ""
    assert miss(asked, when=at("2027-01-01 00:00")) == 'contract "北方维保" ended on 2026-12-31'
    assert miss(asked, when=at("2025-12-31 12:00")) == 'contract "北方维保" begins on 2026-01-01'


def test_of_several_contracts_one_is_enough_and_all_are_told_of_otherwise() -> None:
    both = {
        "a": Contract("a", "A", covers=((("class", ("pos",)),),)),
        "b": Contract("b", "B", covers=((("class", ("atm",)),),)),
    }
    asked = Match(contracts=("a", "b"))
    assert asked.miss(ATM, at(), policy(), both) == ""
    assert asked.miss(SERVER, at(), policy(), both) == (
        'contract "a" does not cover it: class is "server", not "pos"; contract "b" does not cover it: class is "server", not "atm"'
    )


def test_what_covers_an_incident_and_what_its_ticket_says_of_it() -> None:
    (found,) = contracts_of(CONTRACTS, ATM, at(), policy())
    assert found.line == "北方机具, contract NM-118: +86 10 5550 0199"
    assert Contract("x", "V").line == "V"
    assert contracts_of(CONTRACTS, ATM, at("2027-01-01 10:00"), policy()) == ()
    assert contracts_of({"all": Contract("all", "V")}, WIDE, at(), policy()) == (Contract("all", "V"),)


def test_the_facts_of_a_message_are_those_of_its_incident() -> None:
    assert RouteFacts.of_message(message(SERVER)) == SERVER
    assert RouteFacts.of_message(TicketMessage.unpack(message(ATM).pack())) == ATM


# What one row takes of another.

PIECES = st.sampled_from(["a", "b", "*", "?", "[ab]", "[!a]", "中"])
PATTERNS = st.lists(PIECES, max_size=5).map("".join)


@given(PATTERNS, PATTERNS, st.lists(st.text(alphabet="ab*?[]!中", max_size=6), max_size=30))
@example("a*", "[a]*", ["a*"])
@example("[ab]*b]", "*b]", ["abb]"])
def test_a_pattern_within_another_fits_nothing_else(narrow: str, wide: str, words: list[str]) -> None:
    if _inside(narrow, wide):
        for word in (*words, narrow.replace("*", "").replace("?", "a")):
            if fnmatchcase(word, narrow):
                assert fnmatchcase(word, wide), (narrow, wide, word)


@pytest.mark.parametrize(
    ("narrow", "wide", "inside"),
    [
        ("atm-1", "atm-*", True),
        ("atm-1*", "atm-*", True),
        ("*", "atm-*", False),
        ("a?c", "a*", True),
        ("x[ab]", "*b]", False),
        ("a", "a?", False),
    ],
)
def test_which_patterns_are_seen_to_lie_within_others(narrow: str, wide: str, inside: bool) -> None:
    assert _inside(narrow, wide) is inside


@given(MATCHES, MATCHES, FACTS, TIMES)
def test_a_row_that_takes_all_of_another_matches_whatever_that_does(
    one: Match, other: Match, facts: RouteFacts, when: int
) -> None:
    if one.takes_all_of(other) and not miss(other, facts, when):
        assert not miss(one, facts, when)


@given(MATCHES)
def test_every_row_takes_all_of_itself_and_one_that_asks_for_nothing_takes_all(match: Match) -> None:
    assert match.takes_all_of(match)
    assert ANYTHING.takes_all_of(match)
