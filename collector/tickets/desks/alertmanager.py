"""Alertmanager's two doors. `form = "webhook"` sends the body of its webhook, version 4, which on-call tools take; `form = "api"` posts alerts to a
real Alertmanager, whose routes and silences then hold for them.

An incident is one alert. Sending it again says the same: the webhook's receivers know it by groupKey and fingerprint, Alertmanager by its labels.
Labels may change all the same, as when a fault gets graver: what Alertmanager still holds of the incident under other labels is ended with it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from tillwatch.agent.model import MS
from tillwatch.collector import values
from tillwatch.collector.tickets import text
from tillwatch.collector.tickets.calling import Caller
from tillwatch.collector.tickets.message import Op, TicketMessage
from tillwatch.collector.tickets.port import (
    FAILURES,
    Done,
    Leg,
    Link,
    Outcome,
    Problem,
    RejectedError,
    UnclearError,
    outcome_of,
    problem_of,
)
from tillwatch.collector.tickets.settings import ReceiverSettings
from tillwatch.collector.values import setting

WEBHOOK, API = "webhook", "api"

SETTLE_S = 5.0
"""Sending again is safe at any time; the wait spares a receiver that is still at work on the first."""

FIRING_FOR_NS = 400 * 86_400 * 10**9
"""How far ahead a firing alert ends. Alertmanager holds one without endsAt for resolved when it has not heard of it for resolve_timeout (5 min by
default), and an incident is told when it changes, not every minute. No incident lasts longer than this; its end is told and ends it sooner."""

STILL_FIRING = "0001-01-01T00:00:00Z"
"""endsAt in a webhook while the alert fires: Go's zero time."""

SEVERITY: Mapping[int, str] = {1: "critical", 2: "warning", 3: "info"}
"""The words that most routing trees ask for, in the label `severity`."""

OVER = frozenset({"restored", "resolved", "closed", "dropped"})
"""States of an incident whose fault is over: what is said of it later must not make it fire again."""

MAX_OWN = 50
"""Alerts of one incident that are looked at. It has one; a few while its level changed more than once during an outage."""


def _form(value: Any) -> str:
    if value in (WEBHOOK, API):
        return str(value)
    raise ValueError(f'write "{WEBHOOK}" or "{API}"')


@dataclass(frozen=True, slots=True)
class Settings(ReceiverSettings):
    """url: the receiver's whole address for the form "webhook", Alertmanager's own for "api". The secret is a bearer token, or with `user` the password
    that Alertmanager itself asks for (basic_auth_users); it may be left out.
    """

    form: str = setting(_form, WEBHOOK)
    user: str = setting(values.text, "")

    def problem(self) -> tuple[str, str] | None:
        if not self.url:
            return "", "url is missing; write the address of the receiver, or of Alertmanager"
        if self.secret_file and self.secret_env:
            return "", "write either secret_file or secret_env, and not both"
        if self.user and not (self.secret_file or self.secret_env):
            return "user", "user needs its password: write secret_file or secret_env"
        return None


def connect(name: str, settings: ReceiverSettings) -> AlertmanagerPort:
    """Raises ValueError for an address that cannot be used."""
    assert isinstance(settings, Settings)
    return AlertmanagerPort(name, settings)


class AlertmanagerPort:
    """One receiver, or one Alertmanager. Of a pair each gets a table of its own, as Prometheus tells each of them."""

    coalesces = True

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settle_s = settings.settle or SETTLE_S
        self._settings = settings
        self._caller = Caller(settings.url, self._headers, ca=settings.ca_file, timeout_s=settings.timeout)

    def _headers(self) -> Mapping[str, str]:
        settings = self._settings
        if not (settings.secret_file or settings.secret_env):
            return {}
        if settings.user:
            known = base64.b64encode(f"{settings.user}:{settings.secret()}".encode()).decode()
            return {"authorization": f"Basic {known}"}
        return {"authorization": f"Bearer {settings.secret()}"}

    async def preflight(self) -> list[Problem]:
        """Whether there is an Alertmanager. A webhook cannot be asked anything without telling it something."""
        if self._settings.form == WEBHOOK:
            return []
        try:
            said = (await self._caller.call("GET", "/api/v2/status", write=False)).json()
            if not isinstance(said, dict) or "versionInfo" not in said:
                raise RejectedError(f"{self._caller.host} answers, but not as Alertmanager's API version 2")
        except FAILURES as error:
            return [problem_of(error, "check url: it is the one under which Alertmanager's own page is seen")]
        return []

    async def deliver(self, message: TicketMessage, link: Link | None, *, doubtful: bool, leg: Leg) -> Outcome:  # noqa: ARG002 - told twice it is the same alert
        try:
            if self._settings.form == WEBHOOK:
                body = webhook_body(message, self.name, leg.queue, self._settings.language)
                await self._caller.call("POST", "", write=True, body=body)
                return Done()
            return await self._post(message, leg)
        except FAILURES as error:
            return outcome_of(error)

    async def close(self) -> None:
        await self._caller.close()

    async def _post(self, message: TicketMessage, leg: Leg) -> Outcome:
        alert = api_alert(message, leg.queue, self._settings.language)
        await self._put([alert])
        held = await self._held(message.incident)
        stale = [each for each in held if over(message) or each["labels"] != alert["labels"]]
        if stale:
            ends = alert["endsAt"] if over(message) else _iso(message.at)
            await self._put([_ended(each, ends) for each in stale])
            held = await self._held(message.incident)
        own = [each for each in held if each["labels"] == alert["labels"]]
        if over(message):
            if held:
                raise UnclearError(f"{self._caller.host} was told the end of the alert and still shows it")
            return Done(state="resolved")
        if not own:
            raise UnclearError(
                f"{self._caller.host} took the alert and does not show it; nothing may share out requests between several Alertmanagers"
            )
        return Done(str(own[0].get("fingerprint", "")), state=_state(own[0]))

    async def _put(self, alerts: list[dict[str, Any]]) -> None:
        await self._caller.call("POST", "/api/v2/alerts", write=True, body=alerts)

    async def _held(self, incident: str) -> list[dict[str, Any]]:
        """The alerts of this incident that fire there, whatever mutes them. The label of each is looked at: the filter may not be believed."""
        said = await self._caller.call(
            "GET", "/api/v2/alerts", write=False, params={"filter": f'incident="{incident}"'}
        )
        rows = said.json()
        if not isinstance(rows, list):
            raise RejectedError(f"{self._caller.host} answers, but not as Alertmanager's API version 2")
        found = [row for row in rows if isinstance(row, dict) and isinstance(row.get("labels"), dict)]
        return [row for row in found if row["labels"].get("incident") == incident][:MAX_OWN]


def over(message: TicketMessage) -> bool:
    """Whether the fault is over with this message, or was before it."""
    return message.op is Op.RESOLVE or message.state in OVER


def labels_of(message: TicketMessage, queue: str) -> dict[str, str]:
    """What routes look at. An empty label is none, to Alertmanager."""
    told = {
        "alertname": message.fault or "tillwatch",
        "incident": message.incident,
        "level": str(message.level),
        "severity": SEVERITY.get(message.level, ""),
        "terminal": message.terminal,
        "branch": message.branch,
        "region": message.region,
        "component": message.component,
        "rule": message.fault,
        "class": message.terminal_class,
        "queue": queue,
        "drill": "true" if message.drill else "",
    }
    return {name: value for name, value in told.items() if value}


def annotations_of(message: TicketMessage, language: str) -> dict[str, str]:
    told = message.in_language(language)
    said = {
        "summary": text.title(told, language),
        "description": text.note(told, language) if message.op is not Op.OPEN else text.body(told, language),
        "action": told.action,
    }
    return {name: value for name, value in said.items() if value}


def api_alert(message: TicketMessage, queue: str, language: str) -> dict[str, Any]:
    """One alert as POST /api/v2/alerts takes it."""
    return {
        "labels": labels_of(message, queue),
        "annotations": annotations_of(message, language),
        # Alertmanager refuses what ends before it starts, and a terminal's clock may have run ahead of ours.
        "startsAt": _iso(min(message.since, message.at)),
        "endsAt": _iso(message.at if over(message) else message.at + FIRING_FOR_NS),
        "generatorURL": message.address,
    }


def webhook_body(message: TicketMessage, receiver: str, queue: str, language: str) -> bytes:
    """The body of webhook version 4. A message always renders to the same bytes."""
    labels, annotations = labels_of(message, queue), annotations_of(message, language)
    status = "resolved" if over(message) else "firing"
    page = urlsplit(message.address)
    body = {
        "version": "4",
        "groupKey": message.incident,
        "truncatedAlerts": 0,
        "status": status,
        "receiver": receiver,
        "groupLabels": {"incident": message.incident},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": f"{page.scheme}://{page.netloc}" if page.netloc else "",
        "alerts": [
            {
                "status": status,
                "labels": labels,
                "annotations": annotations,
                "startsAt": _iso(min(message.since, message.at)),
                "endsAt": _iso(message.at) if over(message) else STILL_FIRING,
                "generatorURL": message.address,
                # Of the incident and not of the labels: the same alert also after its level changed.
                "fingerprint": sha256(message.incident.encode()).hexdigest()[:16],
            }
        ],
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _ended(held: Mapping[str, Any], ends: str) -> dict[str, Any]:
    """An alert that Alertmanager holds, as over."""
    return {
        "labels": held["labels"],
        "annotations": held.get("annotations", {}),
        "startsAt": min(str(held.get("startsAt", ends)), ends),
        "endsAt": ends,
    }


def _state(held: Mapping[str, Any]) -> str:
    """Alertmanager's own word: active, suppressed (silenced or inhibited there) or unprocessed."""
    status = held.get("status")
    return str(status.get("state", "")) if isinstance(status, dict) else ""


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at // MS / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
