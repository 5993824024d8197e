"""Event Management against a fake of the documented intake: no live instance."""

from __future__ import annotations

import json

import pytest

from tests.collector.tickets.desks.contract import PushContract
from tests.collector.tickets.desks.fake_http import Reply
from tests.collector.tickets.desks.fake_servicenow import FakeEventManagement, failure
from tillwatch.collector.tickets.desks.servicenow_events import MAX_DESCRIPTION
from tillwatch.collector.tickets.message import Op, TicketState
from tillwatch.collector.tickets.port import Barred, Done, Leg, Retry

KEY = "HWM-0011-1"


@pytest.fixture
def system():
    with FakeEventManagement() as fake:
        yield fake


class TestServiceNowEvents(PushContract):
    """All of it: an event that is told twice belongs to the same alert."""


@pytest.fixture
async def receiver(system):
    receiver = system.receiver(system.address)
    yield receiver
    await receiver.close()


@pytest.fixture
def tell(receiver, message):
    async def deliver(op=Op.OPEN, seq=1, *, leg=None, **fields):
        return await receiver.deliver(message(op=op, seq=seq, **fields), None, doubtful=False, leg=leg or Leg())

    return deliver


@pytest.mark.parametrize("level", [1, 2, 3])
async def test_what_an_event_says(system, tell, level) -> None:
    assert await tell(level=level, fault="ups-on-battery", leg=Leg(queue="Field service")) == Done(external_id=KEY)
    [event] = system.events
    info = json.loads(event.pop("additional_info"))
    assert (info["queue"], info["level"], info["message"], info["drill"]) == ("Field service", level, 1, False)
    description = event.pop("description")
    assert "UPS runs on battery" in description
    assert event == {
        "source": "tillwatch",
        "event_class": "tillwatch",
        "node": "atm-017",
        "resource": "ups",
        "type": "ups-on-battery",
        "message_key": KEY,
        "severity": str(level),
        "resolution_state": "New",
        "time_of_event": "2026-03-01 08:00:01",
    }


@pytest.mark.parametrize(
    ("op", "wish", "state"),
    [
        (Op.UPDATE, None, "New"),
        (Op.UPDATE, TicketState.OPEN, "New"),
        (Op.UPDATE, TicketState.RESOLVED, "Closing"),
        (Op.RESOLVE, None, "Closing"),
    ],
)
async def test_end_closes_the_alert(system, tell, op, wish, state) -> None:
    await tell()
    await tell(op, 2, wish=wish)
    assert [event["resolution_state"] for event in system.events] == ["New", state]
    assert {event["message_key"] for event in system.events} == {KEY}


async def test_incident_of_a_branch_is_at_its_branch(system, tell) -> None:
    await tell(terminal="", component="", scope="branch")
    assert (system.events[0]["node"], system.events[0]["type"]) == ("north", "branch")


async def test_description_fits_its_column(system, tell) -> None:
    await tell(what="电" * 5000)
    assert len(system.events[0]["description"]) == MAX_DESCRIPTION


async def test_event_that_was_read_and_dropped_is_refused(system, tell) -> None:
    system.swallowed = True
    outcome = await tell()
    assert outcome == Retry(outcome.reason, refused=True)
    assert "0 events were inserted" in outcome.reason


async def test_error_under_a_200_is_refused(system, tell) -> None:
    system.answer = lambda _: Reply(200, {"error": {"message": "Invalid payload"}, "status": "failure"})
    outcome = await tell()
    assert outcome == Retry(outcome.reason, refused=True)


async def test_user_without_the_role_bars_the_receiver(system, tell) -> None:
    system.answer = lambda _: failure(403, "User Not Authorized", "Failed API level ACL Validation")
    assert isinstance(await tell(), Barred)


async def test_preflight_with_the_role_that_reads_nothing_back(system, receiver) -> None:
    system.answer = lambda _: failure(403, "User Not Authorized", "Failed API level ACL Validation")
    assert await receiver.preflight() == []


async def test_preflight_of_an_instance_without_event_management(system, receiver) -> None:
    system.answer = lambda _: failure(400, "Invalid table em_event")
    [problem] = await receiver.preflight()
    assert "Invalid table em_event" in problem.what
    assert "Event Management" in problem.mend
