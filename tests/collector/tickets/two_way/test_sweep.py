"""Doubles are closed, and never what people have put in a ticket's place."""

from __future__ import annotations

import pytest

from tests.collector.tickets.two_way.following import Clock, MemoryPort
from tillwatch.collector.tickets.message import TicketState
from tillwatch.collector.tickets.port import NotAppliedError, RejectedError
from tillwatch.collector.tickets.two_way.sweep import Swept, sweep


@pytest.fixture
def port() -> MemoryPort:
    made = MemoryPort(Clock())
    for ticket in ("1", "2", "3"):
        made.open("H-1", ticket)
    made.open("H-2", "9")
    return made


def states(port: MemoryPort) -> dict[str, TicketState | None]:
    return {each.id: each.state for each in port.tickets.values()}


async def test_all_but_the_linked_one_are_closed(port) -> None:
    swept = await sweep(port, [("H-1", "2"), ("H-2", "9")])
    assert swept == [Swept("H-1", "2", ("1", "3"))]
    assert states(port) == {
        "1": TicketState.DUPLICATE,
        "2": TicketState.OPEN,
        "3": TicketState.DUPLICATE,
        "9": TicketState.OPEN,
    }
    assert await sweep(port, [("H-1", "2")]) == []


async def test_what_is_over_stays_as_it_is(port) -> None:
    port.change("1", state=TicketState.CLOSED)
    port.change("3", state=TicketState.RESOLVED)
    assert await sweep(port, [("H-1", "2")]) == []


async def test_ticket_that_lost_its_key_still_is_the_one(port) -> None:
    port.change("2", key="")
    assert await sweep(port, [("H-1", "2")]) == [Swept("H-1", "2", ("1", "3"))]


@pytest.mark.parametrize(
    "done",
    [{"merged_into": "1"}, {"state": TicketState.DUPLICATE}, None],
    ids=["merged", "closed as the double", "deleted"],
)
async def test_ticket_that_people_replaced_closes_nothing(port, done) -> None:
    if done is None:
        del port.tickets["2"]
    else:
        port.change("2", **done)
    assert await sweep(port, [("H-1", "2")]) == []
    assert states(port)["1"] is TicketState.OPEN


async def test_link_that_changed_meanwhile_closes_nothing(port) -> None:
    async def never(incident: str, ticket: str) -> bool:
        return False

    assert await sweep(port, [("H-1", "2")], is_linked=never) == []
    assert states(port)["1"] is TicketState.OPEN


async def test_system_that_is_away_ends_it_and_is_told(port) -> None:
    async def away(ticket: str, text: str) -> None:
        if ticket == "3":
            raise NotAppliedError("no connection")
        port.change(ticket)

    port.note = away
    assert await sweep(port, [("H-1", "2"), ("H-2", "9")]) == [Swept("H-1", "2", ("1",), "no connection")]


async def test_refusal_stops_no_other(port) -> None:
    port.open("H-2", "10")

    async def refuse(ticket: str, text: str) -> None:
        if ticket == "1":
            raise RejectedError("it is locked")

    port.note = refuse
    assert await sweep(port, [("H-1", "2"), ("H-2", "9")]) == [
        Swept("H-1", "2", (), "it is locked"),
        Swept("H-2", "9", ("10",)),
    ]
