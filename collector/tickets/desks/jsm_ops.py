"""Alerts of Jira Service Management over its integration events, written from the documentation, not yet run against a live Jira.

It is the interface that Opsgenie had. Requests are taken in (202) and carried out later; what became of one is asked for by its request id, and a request
that was taken may have failed. An alert is known by its alias, the incident's key: while one is open, no second one is made.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from tillwatch.collector.tickets import text
from tillwatch.collector.tickets.calling import ID, Caller
from tillwatch.collector.tickets.message import Op, TicketMessage, TicketState
from tillwatch.collector.tickets.port import (
    FAILURES,
    BarredError,
    Done,
    GoneError,
    Leg,
    Link,
    NotAppliedError,
    Outcome,
    Problem,
    RejectedError,
    UnclearError,
    outcome_of,
    problem_of,
)
from tillwatch.collector.tickets.settings import ReceiverSettings

SETTLE_S = 30.0
WAITS_S = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Between questions for the outcome of a request: it is a 404 until the request was carried out (opsgenie-python-sdk #31)."""

MAX_ASKED = 1000
"""Requests whose outcome is still awaited: as many as a storm brings. The oldest is forgotten, and its message sent again."""

MAX_MESSAGE, MAX_DESCRIPTION, MAX_NOTE, MAX_SOURCE, MAX_ENTITY = 130, 15_000, 25_000, 100, 512
"""Characters; documented."""

PRIORITIES = {1: "P1", 2: "P2", 3: "P3"}
MISSING = re.compile(r"no open alert|does not exist", re.IGNORECASE)
"""Words of a failed request whose alert is closed or was never there."""


@dataclass(frozen=True, slots=True)
class Settings(ReceiverSettings):
    """url: https://api.atlassian.com. The secret: the API key of an API integration. queue: the team that answers, empty for the integration's own."""


def connect(name: str, settings: ReceiverSettings) -> JsmOps:
    """Raises ValueError for an address that cannot be used."""
    return JsmOps(name, settings)


class JsmOps:
    """One API integration, as a Receiver. waits_s: between questions for the outcome of a request."""

    coalesces = True

    def __init__(self, name: str, settings: ReceiverSettings, *, waits_s: Sequence[float] = WAITS_S) -> None:
        self.name = name
        self.settle_s = settings.settle or SETTLE_S
        self._settings = settings
        self._waits_s = waits_s
        self._caller = Caller(
            settings.url.rstrip("/") + "/jsm/ops/integration/v2",
            lambda: {"authorization": f"GenieKey {settings.secret()}"},
            ca=settings.ca_file,
            timeout_s=settings.timeout,
        )
        self._asked: dict[tuple[str, int], str] = {}

    async def preflight(self) -> list[Problem]:
        """Whether the key is known: the outcome of a request that was never made is a 404, without a key a 401 or 403."""
        try:
            await self._outcome(str(uuid4()))
        except GoneError:
            return []
        except FAILURES as error:
            return [problem_of(error)]
        return []

    async def deliver(self, message: TicketMessage, link: Link | None, *, doubtful: bool, leg: Leg) -> Outcome:  # noqa: ARG002 - the alias says which alert
        at = (message.incident, message.seq)
        try:
            if (request := self._asked.get(at)) is None:
                request = await self._send(message.in_language(self._settings.language), leg)
                while len(self._asked) >= MAX_ASKED:
                    del self._asked[next(iter(self._asked))]
                self._asked[at] = request
            told = await self._carried_out(request)
            self._asked.pop(at, None)
        except FAILURES as error:
            return outcome_of(error)
        said = str(told.get("status", ""))
        action, _ = call_for(message, leg, self._settings)
        if told.get("success", told.get("isSuccess")) is True:
            return Done(str(told.get("alertId") or ""), "", STATES[action].value)
        if action == "close" and MISSING.search(said):
            return Done(state=TicketState.CLOSED.value, also=f"no alert was open any more: {said}")
        return outcome_of(RejectedError(f"{self._caller.host} took the request to {action} and failed: {said}"))

    async def close(self) -> None:
        await self._caller.close()

    async def _send(self, message: TicketMessage, leg: Leg) -> str:
        action, body = call_for(message, leg, self._settings)
        path = "/alerts" if action == "create" else f"/alerts/{quote(message.incident, safe='')}/{action}"
        params = None if action == "create" else {"identifierType": "alias"}
        answer = await self._caller.call("POST", path, write=True, params=params, body=body, accept=(422,))
        if answer.status == 422:
            raise (BarredError if b"Key format" in answer.body else RejectedError)(
                f"{answer.host} answered 422 to the request to {action}: {answer.said()}"
            )
        told = answer.json()
        request = told.get("requestId") if isinstance(told, dict) else None
        if not isinstance(request, str) or not ID.fullmatch(request):
            raise UnclearError(f"{answer.host} answered {answer.status} without a request id")
        return request

    async def _carried_out(self, request: str) -> dict[str, Any]:
        for wait_s in self._waits_s:
            try:
                return await self._outcome(request)
            except GoneError:
                await asyncio.sleep(wait_s)
            except NotAppliedError as error:
                raise UnclearError(f"the request was taken, and its outcome cannot be asked for: {error}") from None
        raise UnclearError(f"{self._caller.host} took the request and has not carried it out yet")

    async def _outcome(self, request: str) -> dict[str, Any]:
        answer = await self._caller.call("GET", f"/alerts/requests/{quote(request, safe='')}", write=False)
        told = answer.json()
        if not isinstance(told, dict) or not isinstance(told.get("data"), dict):
            raise UnclearError(f"{answer.host} told the outcome of a request in a form that is not known")
        found: dict[str, Any] = told["data"]
        return found


STATES = {
    "create": TicketState.OPEN,
    "notes": TicketState.OPEN,
    "acknowledge": TicketState.WORKING,
    "close": TicketState.CLOSED,
}


def call_for(message: TicketMessage, leg: Leg, settings: ReceiverSettings) -> tuple[str, dict[str, Any]]:
    """What is to be done with the alert, and the body of the request."""
    language = settings.language
    note = {"source": "tillwatch", "note": text.note(message, language)[:MAX_NOTE]}
    if message.op is Op.RESOLVE or (message.wish and message.wish.over):
        return "close", note
    if message.wish in (TicketState.WORKING, TicketState.ON_HOLD):
        return "acknowledge", note
    if message.op is Op.UPDATE and message.wish is None:
        return "notes", note
    team = leg.queue or settings.queue
    body: dict[str, Any] = {
        **note,
        "message": text.title(message, language)[:MAX_MESSAGE],
        "alias": message.incident,
        "description": text.body(message, language)[:MAX_DESCRIPTION],
        "entity": (message.terminal or message.branch or message.region)[:MAX_ENTITY],
        "source": "tillwatch",
        "priority": PRIORITIES.get(message.level, "P3"),
        "details": {"branch": message.branch, "component": message.component, "address": message.address},
    }
    return "create", body | ({"responders": [{"type": "team", "name": team}]} if team else {})
