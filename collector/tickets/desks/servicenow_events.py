"""ServiceNow Event Management: every message is an event for `/api/global/em/jsonv2`; written from the documentation, not yet run against a live instance.

Events with one `message_key` belong to one alert, so that sending again is safe; what becomes of an alert (an incident, a task, nothing) is decided by
the instance's own rules. The event is taken now and worked off later: what is told here is that it was taken. The user needs the role
evt_mgmt_integration, which writes events and reads nothing back. The secret is `user:password` (HTTP Basic) or an OAuth bearer token.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tillwatch.collector.tickets import text
from tillwatch.collector.tickets.calling import Caller, authorization
from tillwatch.collector.tickets.delivery import SECOND
from tillwatch.collector.tickets.message import Op, TicketMessage, TicketState
from tillwatch.collector.tickets.port import FAILURES, Done, Leg, Link, Outcome, Problem, Retry, outcome_of, problem_of
from tillwatch.collector.tickets.settings import ReceiverSettings

PATH = "/api/global/em/jsonv2"
SOURCE = "tillwatch"

SETTLE_S = 5.0
"""Sending again is safe at any time; the wait spares an instance that is still at work on the first."""

SEVERITY = {1: "1", 2: "2", 3: "3"}
"""By level: Critical, Major, Minor. 4 is Warning, 5 OK, 0 Clear."""

MAX_DESCRIPTION = 4000
"""Characters of em_event.description."""


_NOTHING = re.compile(r"\b0 events were inserted")
"""What a bulk that was read and dropped answers, with 200: {"result": {"Default Bulk Endpoint": "1 events were inserted"}} is the good answer."""


@dataclass(frozen=True, slots=True)
class Settings(ReceiverSettings):
    """url: of the instance. queue: told in additional_info as `queue`, for the instance's rules."""


def connect(name: str, settings: ReceiverSettings) -> ServiceNowEvents:
    """Raises ValueError for an address that cannot be used."""
    return ServiceNowEvents(name, settings)


class ServiceNowEvents:
    """The event intake of one instance."""

    settle_s = SETTLE_S
    coalesces = True

    def __init__(self, name: str, settings: ReceiverSettings) -> None:
        self.name = name
        self._settings = settings
        self._caller = Caller(
            settings.url, lambda: authorization(settings.secret()), ca=settings.ca_file, timeout_s=settings.timeout
        )

    async def close(self) -> None:
        await self._caller.close()

    async def preflight(self) -> list[Problem]:
        """Who we are and whether there are events at all. Whether the user may write them is only known when there is one."""
        try:
            # With evt_mgmt_integration alone the table cannot be read; that says nothing about writing.
            params = {"sysparm_limit": "1", "sysparm_fields": "sys_id"}
            await self._caller.call("GET", "/api/now/table/em_event", write=False, params=params, accept=(403, 404))
        except FAILURES as error:
            return [problem_of(error, "check the address and the secret, and that Event Management is active")]
        return []

    async def deliver(self, message: TicketMessage, link: Link | None, *, doubtful: bool, leg: Leg) -> Outcome:  # noqa: ARG002 - the message key makes every attempt safe
        body = {"records": [event(message.in_language(self._settings.language), self._settings, leg)]}
        try:
            answer = await self._caller.call("POST", PATH, write=True, body=body)
            said = answer.json()
        except FAILURES as error:
            return outcome_of(error)
        if not isinstance(said, dict) or "error" in said or _NOTHING.search(answer.said()):
            return Retry(
                f"{self._caller.host} answered {answer.status} and took no event: {answer.said()}", refused=True
            )
        return Done(external_id=message.incident)


def event(message: TicketMessage, settings: ReceiverSettings, leg: Leg) -> dict[str, str]:
    """One record of em_event."""
    over = message.op is Op.RESOLVE or (message.wish or TicketState.OPEN).over
    words = (text.body if message.op is Op.OPEN else text.note)(message, settings.language)
    info: dict[str, Any] = {
        "incident": message.incident,
        "message": message.seq,
        "level": message.level,
        "branch": message.branch,
        "region": message.region,
        "fault": message.fault,
        "terminal_class": message.terminal_class,
        "affected": message.affected_count,
        "address": message.address,
        "queue": leg.queue or settings.queue,
        "drill": message.drill,
    }
    return {
        "source": SOURCE,
        "event_class": SOURCE,
        "node": message.terminal or message.branch or message.region,
        "resource": message.component,
        "type": message.fault or message.scope,
        "message_key": message.incident,
        "severity": SEVERITY[message.level],
        "resolution_state": "Closing" if over else "New",
        "time_of_event": datetime.fromtimestamp(message.at // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "description": f"{text.title(message, settings.language)}\n{words}"[:MAX_DESCRIPTION],
        "additional_info": json.dumps(info, ensure_ascii=False),
    }
