"""An incident has one ticket system whatever the table says, people are told through every row that takes the call, and each row says why."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.routing.made import FACTS, MATCHES, ROUTES, TABLES, TIMES, messages
from tests.collector.routing.site import ATM, POLICY, POS, SERVER, TICKETS, at, message, policy, table
from tillwatch.collector.duty.policy import parse_policy
from tillwatch.collector.routing.decide import NOTIFY, ROUTE, Routed, decide, undelivered
from tillwatch.collector.routing.matching import Match, RouteFacts
from tillwatch.collector.routing.table import Route, RouteTable
from tillwatch.collector.tickets.port import Leg

NIGHT = at("2026-11-18 22:00")
WANG_SMS, LI_SMS = Leg(channel="sms", contact="+86 139 5550 0101"), Leg(channel="sms", contact="+86 139 5550 0102")
LI_MAIL = Leg(channel="mail", contact="li.na@bank.example")


def routed(
    facts: RouteFacts = ATM, when: int | None = None, *, stays: str = "", on: RouteTable | None = None, **changes: Any
) -> Routed:
    return decide(
        on or table(), facts, message(facts, **changes), at() if when is None else when, policy(), stays=stays
    )


def whys(found: Routed, kind: str) -> list[tuple[str, bool, str]]:
    return [(each.name, each.matched, each.why) for each in found.because if each.kind == kind]


# Tickets.


@pytest.mark.parametrize(
    ("facts", "when", "ticket", "row"),
    [
        (SERVER, at(), ("desk", Leg(queue="核心系统")), "机房核心"),
        (ATM, at(), ("desk", Leg(queue="Vendors")), "under contract"),
        (POS, at(), ("desk", Leg()), "rest"),
        (POS, NIGHT, ("night", Leg()), "at night"),
        (ATM, at("2027-03-03 22:00"), ("night", Leg()), "at night"),
    ],
)
def test_the_first_row_that_matches_decides(facts: RouteFacts, when: int, ticket: tuple[str, Leg], row: str) -> None:
    found = routed(facts, when)
    assert (found.ticket, found.row, found.why) == (ticket, row, f'by the row "{row}"')


def test_each_row_says_whether_it_matched_and_what_did_not_fit() -> None:
    assert whys(routed(POS, NIGHT), ROUTE) == [
        ("机房核心", False, "level is 3, not 1"),
        ("under contract", False, 'contract "北方维保" does not cover it: class is "pos", not "atm"'),
        ("at night", True, "decides"),
        ("rest", True, 'comes after "at night", which decides'),
    ]


def test_the_contracts_that_cover_it_are_told() -> None:
    assert [each.name for each in routed(ATM).contracts] == ["北方维保"]
    assert routed(POS).contracts == ()


def test_what_no_row_takes_goes_to_the_first_ticket_system() -> None:
    found = routed(POS, on=replace(table(), routes=table().routes[:2]))
    assert (found.ticket, found.row) == (("desk", Leg()), "")
    assert found.why == "no row takes it: the first ticket system of collector.toml has it"


def test_without_rows_everything_goes_to_the_one_ticket_system() -> None:
    found = routed(POS, on=RouteTable(("only",)))
    assert (found.ticket, found.why) == (
        ("only", Leg()),
        "there are no rows: the first ticket system of collector.toml has it",
    )


def test_without_a_ticket_system_it_says_so() -> None:
    found = routed(POS, on=RouteTable())
    assert found.ticket is None
    assert found.why == "no ticket system is configured; write [tickets.NAME] into collector.toml"


def test_a_ticket_stays_where_it_was_opened() -> None:
    found = routed(POS, NIGHT, stays="desk")
    assert found.ticket == ("desk", Leg())
    assert found.why == 'it was opened in "desk" and stays there'
    assert whys(found, ROUTE)[2:] == [
        ("at night", True, 'would decide, but the ticket stays with "desk"'),
        ("rest", True, 'comes after "at night", which decides'),
    ]


def test_one_that_must_be_made_anew_gets_the_queue_of_its_own_system() -> None:
    assert routed(ATM, stays="desk").ticket == ("desk", Leg(queue="Vendors"))
    assert routed(ATM, stays="night").ticket == ("night", Leg())


def test_a_ticket_does_not_leave_a_system_that_is_not_configured_any_more() -> None:
    found = routed(POS, stays="old")
    assert found.ticket == ("old", Leg())
    assert found.why == 'it was opened in "old" and stays there, which is not configured any more'


def test_drills_go_to_the_watchdog_and_nobody_is_called() -> None:
    found = routed(SERVER, drill=True, told=(("duty engineer", "王芳", "sms"),))
    assert found.ticket == ("drills", Leg())
    assert found.notify == ()
    assert len(found.because) == 6
    assert {(each.matched, each.why) for each in found.because} == {(False, "rows are not asked of drills")}


# Calls.


def test_every_row_adds_one_leg_for_each_person_and_channel() -> None:
    told = (("duty engineer, section head", "王芳", "sms"), ("duty engineer, section head", "Li Na", "sms"), ("duty engineer, section head", "Li Na", "mail"))  # fmt: skip
    found = routed(told=told)
    assert found.notify == (
        ("sms-gateway", WANG_SMS),
        ("sms-gateway", LI_SMS),
        ("heads-group", LI_SMS),
        ("heads-group", LI_MAIL),
        ("mail", LI_SMS),
        ("mail", LI_MAIL),
    )
    assert whys(found, NOTIFY) == [
        ("短信", True, "王芳 by sms; Li Na by sms"),
        ("heads", True, "Li Na by sms; Li Na by mail"),
    ]


def test_nobody_is_told_twice_of_the_same_through_the_same() -> None:
    rows = '[[notify]]\nthrough = "sms-gateway"\n' * 2
    found = routed(on=table(rows), told=(("duty engineer", "王芳", "sms"), ("section head", "王芳", "sms")))
    assert found.notify == (("sms-gateway", WANG_SMS),)


@pytest.mark.parametrize(
    ("told", "facts", "why"),
    [
        ((), ATM, "nobody is to be told of this change"),
        ((("duty engineer", "王芳", "sms"),), POS, "level is 3, not 1 or 2"),
        ((("duty engineer", "王芳", "sms"),), ATM, '王芳 is told as "duty engineer", not "section*"'),
        ((("", "王芳", "sms"),), ATM, '王芳 is told as "duty engineer", not "section*"'),
        ((("", "who left", "sms"),), ATM, 'who left is told as nobody, not "section*"'),
    ],
)
def test_a_row_for_calls_says_why_it_takes_none(told: Any, facts: RouteFacts, why: str) -> None:
    assert whys(routed(facts, told=told), NOTIFY)[1] == ("heads", False, why)


def test_a_call_by_another_channel_is_not_taken() -> None:
    found = routed(told=(("金库管理员", "Chen Jun", "mail"),))
    assert whys(found, NOTIFY)[0] == ("短信", False, "Chen Jun is told by mail, not sms")
    assert found.notify == ()


def test_a_reminder_names_no_role_and_people_have_those_of_the_roster() -> None:
    assert ("heads-group", LI_SMS) in routed(told=(("", "Li Na", "sms"),)).notify
    assert ("heads-group", LI_SMS) not in routed(when=NIGHT, told=(("", "Li Na", "sms"),)).notify


def test_who_has_left_is_still_called_without_a_number() -> None:
    assert routed(told=(("section head", "who left", "sms"),)).notify[0] == ("sms-gateway", Leg(channel="sms"))


TWINS = POLICY + '[person.wang2]\nname = "王芳"\nsms = "+86 139 5550 0199"\n'
TWIN_SMS = Leg(channel="sms", contact="+86 139 5550 0199")


def test_of_two_people_of_one_name_the_one_on_duty_is_meant() -> None:
    facts, told = ATM, (("duty engineer", "王芳", "sms"),)
    both = parse_policy(TWINS)
    assert decide(table(), facts, message(told=told), at(), both).notify == (("sms-gateway", WANG_SMS),)
    assert decide(table(), facts, message(told=told), NIGHT, both).notify == (
        ("sms-gateway", WANG_SMS),
        ("sms-gateway", TWIN_SMS),
    )


def test_without_a_roster_the_role_is_told() -> None:
    bare = parse_policy()
    rows = table('[[notify]]\nrole = "duty*"\nthrough = "sms-gateway"\n')
    for roles in ("duty engineer", ""):
        found = decide(
            rows, ATM, message(told=((roles, "duty engineer", "phone"), (roles, "director", "sms"))), at(), bare
        )
        assert found.notify == (("sms-gateway", Leg(channel="phone")),)


# While a ticket is not delivered.


def test_the_first_role_that_somebody_has_is_told_otherwise() -> None:
    assert undelivered(table(), ATM, at(), policy()) == ((("sms-gateway", LI_SMS),), "section head: Li Na by sms")
    early = at("2026-11-18 08:30")
    assert undelivered(table(), ATM, early, policy()) == ((("sms-gateway", WANG_SMS),), "duty engineer: 王芳 by sms")


@pytest.mark.parametrize(
    ("facts", "changes", "drill", "why"),
    [
        (POS, {}, False, "level is 3; [fallback] is for 1 and 2"),
        (ATM, {}, True, "a drill calls nobody"),
        (
            ATM,
            {"roles": ("director", "金库管理员")},
            False,
            'nobody who has the role "director" or "金库管理员" then can be reached by sms or phone',
        ),
        (ATM, None, False, "the table has no [fallback]"),
    ],
)
def test_nobody_is_told_otherwise_and_why(
    facts: RouteFacts, changes: dict[str, Any] | None, drill: bool, why: str
) -> None:
    rows = table()
    assert rows.fallback is not None
    rows = replace(rows, fallback=None if changes is None else replace(rows.fallback, **changes))
    assert undelivered(rows, facts, at(), policy(), drill=drill) == ((), why)


def test_otherwise_the_role_itself_where_there_is_no_roster() -> None:
    assert undelivered(table(), ATM, at(), parse_policy()) == (
        (("sms-gateway", Leg(channel="sms")),),
        "section head: section head by sms",
    )


# Whatever the table and the incident.


def fits(match: Match, facts: RouteFacts, when: int) -> bool:
    """The same question, asked in the plainest way."""
    here, roster = policy().branch(facts.branch), policy().roster
    local = when // 10**9 + (6 if here.zone == "Asia/Urumqi" else 8) * 3600
    day = local // 86_400 + 719_163

    def globs(asked: Any) -> bool:
        return all(any(fnmatchcase(facts.of(what), glob) for glob in patterns) for what, patterns in asked)

    def is_open(name: str) -> bool:
        if name == "service":
            return policy().schedule(facts.terminal_class, facts.branch).is_open(when)
        return policy().hours(name, facts.branch).is_open(when)

    def covered(name: str) -> bool:
        contract = table().contracts[name]
        return contract.first <= day <= contract.last and any(map(globs, contract.covers))

    def had(role: str) -> bool:
        return bool(roster.on_duty(role, when, facts.branch, facts.region))

    return (
        (not match.levels or facts.level in match.levels)
        and globs(match.globs)
        and (
            not match.contracts
            or any(fnmatchcase(name, glob) and covered(name) for name in table().contracts for glob in match.contracts)
        )
        and match.first <= day <= (match.last or day)
        and (not match.hours or is_open(match.hours))
        and (not match.not_hours or not is_open(match.not_hours))
        and (not match.on_duty or any(map(had, match.on_duty)))
        and not any(map(had, match.nobody_on))
    )


@given(
    TABLES,
    FACTS.flatmap(lambda facts: st.tuples(st.just(facts), messages(facts))),
    TIMES,
    st.sampled_from(["", *TICKETS, "old"]),
)
def test_every_message_has_one_ticket_system_and_the_rows_say_which(
    rows: RouteTable, told: Any, when: int, stays: str
) -> None:
    facts, about = told
    found = decide(rows, facts, about, when, policy(), stays=stays)
    assert found.ticket is not None
    if about.drill:
        assert (found.ticket[0], found.notify) == ("drills", ())
        return
    expected = next((row for row in rows.routes if fits(row.match, facts, when)), None)
    assert found.row == (expected.name if expected is not None else "")
    if stays:
        assert found.ticket[0] == stays
    else:
        assert found.ticket == (
            (expected.ticket, Leg(queue=expected.queue)) if expected is not None else (TICKETS[0], Leg())
        )
    said = {each.name: each for each in found.because if each.kind == ROUTE}
    assert [name for name, each in said.items() if each.matched] == [
        row.name for row in rows.routes if fits(row.match, facts, when)
    ]
    assert all(each.why for each in found.because)
    calls = {each.name: each.matched for each in found.because if each.kind == NOTIFY}
    assert len(said) + len(calls) == len(rows.routes) + len(rows.notify)
    used = {through for row in rows.notify if calls[row.name] for through in row.through}
    assert {connector for connector, _ in found.notify} == used
    assert len(set(found.notify)) == len(found.notify)
    assert {leg.channel for _, leg in found.notify} <= {channel for _, _, channel in about.told}


@given(ROUTES, MATCHES, FACTS, TIMES)
def test_a_row_below_never_changes_what_the_rows_above_decide(
    routes: tuple[Route, ...], match: Match, facts: RouteFacts, when: int
) -> None:
    above = RouteTable(TICKETS, routes, contracts=table().contracts)
    below = replace(above, routes=(*routes, Route("last", match, "night", "Q")))
    before, after = (decide(each, facts, message(facts), when, policy()) for each in (above, below))
    if before.row:
        assert (after.ticket, after.row) == (before.ticket, before.row)
    else:
        assert after.row in ("", "last")
    assert after.because[: len(routes)] == before.because


@given(TABLES, FACTS, TIMES)
def test_a_row_that_is_said_not_to_match_can_be_taken_out(rows: RouteTable, facts: RouteFacts, when: int) -> None:
    whole = decide(rows, facts, message(facts), when, policy())
    idle = {each.name for each in whole.because if not each.matched}
    rest = replace(rows, routes=tuple(row for row in rows.routes if row.name not in idle))
    again = decide(rest, facts, message(facts), when, policy())
    assert (again.ticket, again.row) == (whole.ticket, whole.row)
