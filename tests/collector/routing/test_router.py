"""The store asks once for each message: one ticket comes first, then the calls."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.collector.routing.made import FACTS, TABLES, TIMES, messages
from tests.collector.routing.site import ATM, POS, at, message, policy, table
from tillwatch.collector.duty.policy import parse_policy
from tillwatch.collector.routing.router import Router
from tillwatch.collector.routing.table import RouteTable
from tillwatch.collector.tickets.message import Op
from tillwatch.collector.tickets.port import Destination, Leg

WANG = Leg(channel="sms", contact="+86 139 5550 0101")
ROUTER = Router(table(), policy)


def test_the_ticket_comes_first_then_the_calls() -> None:
    told = (("duty engineer", "王芳", "sms"),)
    assert ROUTER.legs(message(ATM, told=told), at()) == (
        Destination("desk", Leg(queue="Vendors")),
        Destination("sms-gateway", WANG, notify=True),
    )


def test_what_comes_later_goes_where_it_was_opened() -> None:
    night = at("2026-11-18 22:00")
    assert ROUTER.legs(message(POS), night) == (Destination("night"),)
    assert ROUTER.legs(message(POS, op=Op.RESOLVE), night, "desk") == (Destination("desk"),)


def test_without_a_ticket_system_it_waits_for_one() -> None:
    assert Router(RouteTable(), policy).legs(message(), at()) == (Destination(""),)


def test_a_drill_goes_to_the_watchdog_alone() -> None:
    told = (("duty engineer", "王芳", "sms"),)
    assert ROUTER.legs(message(drill=True, told=told), at(), "desk") == (Destination("drills"),)
    assert ROUTER.undelivered(message(drill=True), at()) == ()


def test_who_hears_that_a_ticket_waits() -> None:
    assert ROUTER.undelivered(message(), at("2026-11-18 08:30")) == (Destination("sms-gateway", WANG, notify=True),)


def test_the_contracts_of_a_message() -> None:
    assert [each.name for each in ROUTER.contracts(message(ATM), at())] == ["北方维保"]
    assert ROUTER.contracts(message(POS), at()) == ()


def test_the_policy_in_force_is_asked_for_each_message() -> None:
    now = [policy()]
    router = Router(table('[[notify]]\nthrough = "sms-gateway"\n'), lambda: now[0])
    told = message(told=(("duty engineer", "王芳", "sms"),))
    before = router.legs(told, at())
    now[0] = parse_policy('[person.wang]\nname = "王芳"\nsms = "+86 139 5550 0777"\n')
    assert router.legs(told, at())[1].leg.contact == "+86 139 5550 0777"
    assert before[1].leg == WANG


@given(TABLES, FACTS.flatmap(messages), TIMES, st.sampled_from(["", "desk", "night"]))
def test_every_message_has_exactly_one_ticket_destination(rows: RouteTable, about: Any, when: int, stays: str) -> None:
    found = Router(rows, policy).legs(about, when, stays)
    assert [each.notify for each in found].count(False) == 1
    assert found[0].connector in ({"drills"} if about.drill else {stays} if stays else set(rows.tickets))
    assert all(each.leg.channel and each.notify for each in found[1:])
    # A row of the outbox is known by these.
    assert len({(each.connector, each.leg.channel, each.leg.contact) for each in found}) == len(found)
