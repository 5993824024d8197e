"""The receiver of drills over real HTTP: what it believes, what it refuses, and that it stays bounded."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.collector.watch.running import free_ports
from tillwatch.collector.tickets.desks.webhook import WebhookPort, render, webhook_id
from tillwatch.collector.tickets.message import Op, TicketMessage
from tillwatch.collector.tickets.port import Leg
from tillwatch.collector.tickets.signature import Secret, signed_headers
from tillwatch.collector.watch.receiver import MAX_BODY, Receiver, ReceiverError, Ticket, read_ticket

SECRET = Secret(b"0123456789abcdef0123456789abcdef")
MS = 1_000_000
AT = 1_790_000_000_123 * MS
MESSAGE = TicketMessage("HWM-0011-1", Op.OPEN, 1, 3, "watchdog", "m", "m", "drill/07", "what", AT + MS, AT, drill=True)
TICKET = Ticket("HWM-0011-1", "watchdog", "drill/07", AT, resolved=False, drill=True)


class Listening:
    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self.address = f"http://127.0.0.1:{self.port}/drill"
        self.took: list[Ticket] = []
        self.receiver = Receiver(self.address, [SECRET], self.took.append)

    async def post(self, body: bytes, secret: Secret = SECRET, path: str = "/drill", at: float | None = None) -> int:
        headers = signed_headers([secret], webhook_id(MESSAGE), int(at or time.time()), body)
        async with httpx2.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"http://127.0.0.1:{self.port}{path}", content=body, headers=headers)
        return answer.status_code


@pytest.fixture
async def listening() -> AsyncIterator[Listening]:
    one = Listening()
    await one.receiver.start()
    yield one
    await one.receiver.stop()


async def test_the_collectors_own_connector_is_understood(listening: Listening) -> None:
    port = WebhookPort(listening.address, [SECRET], name="drills")
    outcome = await port.deliver(MESSAGE, None, doubtful=False, leg=Leg())
    assert type(outcome).__name__ == "Done"
    await port.close()
    assert listening.took == [TICKET]


async def test_what_is_not_signed_or_no_message_is_refused_and_said_once(listening: Listening, caplog) -> None:
    body = render(MESSAGE)
    assert await listening.post(body, Secret(b"another secret of thirty-two byt")) == 401
    assert await listening.post(body, at=time.time() - 4_000) == 401
    assert await listening.post(b"{}") == 400
    assert [record.levelname for record in caplog.records if "refused" in record.message] == ["WARNING"]
    assert await listening.post(body, path="/elsewhere") == 404
    assert await listening.post(b"x" * (MAX_BODY + 1)) == 413
    assert listening.took == []
    assert await listening.post(body) == 204
    assert listening.took == [TICKET]


async def test_a_port_that_is_taken_is_said_with_the_mend(listening: Listening) -> None:
    with pytest.raises(ReceiverError, match=f"cannot listen on 127.0.0.1 port {listening.port} .* set receiver"):
        await Receiver(listening.address, [SECRET], lambda _: None).start()


async def test_who_stops_in_the_middle_holds_nothing_up(listening: Listening) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", listening.port)
    writer.write(b"POST /drill HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf")
    await writer.drain()
    assert await listening.post(render(MESSAGE)) == 204
    writer.close()
    await writer.wait_closed()
    assert reader is not None


@pytest.mark.parametrize(
    "change",
    [{"since": "yesterday"}, {"incident": None, "since": 5}, {"component": ...}],
    ids=["time", "type", "missing"],
)
def test_a_message_of_another_form_is_no_ticket(change: dict[str, object]) -> None:
    event = json.loads(render(MESSAGE))
    for key, value in change.items():
        if value is ...:
            del event["data"][key]
        else:
            event["data"][key] = value
    with pytest.raises(ValueError, match="no message about an incident"):
        read_ticket(json.dumps(event).encode())


def test_a_ticket_of_an_older_collector_has_no_flag() -> None:
    event = json.loads(render(MESSAGE))
    del event["data"]["drill"]
    event["type"] = "incident.resolved"
    assert read_ticket(json.dumps(event).encode()) == Ticket(
        "HWM-0011-1", "watchdog", "drill/07", AT, resolved=True, drill=False
    )
