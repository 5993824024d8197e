"""PagerDuty over its Events API v2, written from the documentation, not yet run against a live PagerDuty.

Events are taken in (202) before anybody looks at them, and what fits nothing is dropped in silence. The incident's key is the `dedup_key`, so sending
again is safe. With a token for the REST API, every event is read back, and what people did there is seen.
"""
# ruff: noqa: RUF009 - setting() makes a dataclasses.field, which is what the rule wants to see

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tillwatch.agent.model import MS
from tillwatch.collector.tickets import text
from tillwatch.collector.tickets.calling import Answer, Caller, as_id
from tillwatch.collector.tickets.delivery import SECOND
from tillwatch.collector.tickets.guarded import guarded
from tillwatch.collector.tickets.lookout import Lookout
from tillwatch.collector.tickets.message import OURS, Op, TicketMessage, TicketState
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
    Remote,
    Retry,
    Said,
    Uncertain,
    UnclearError,
    outcome_of,
    problem_of,
)
from tillwatch.collector.tickets.settings import ReceiverSettings
from tillwatch.collector.values import path, setting, url, variable
from tillwatch.collector.values import text as text_of

SETTLE_S = 30.0
"""Events are carried out within seconds of the 202; nothing says how long at most."""

OVERLAP_S = 300
"""How far a look for changes reaches back: log entries are written behind the change that they tell of."""

PAGE = 100
"""The most log entries that are given at once."""

MAX_PAGES = 100
"""Offset and limit together may be 10,000; documented."""

ROUNDS = 5
"""50,000 entries of the log in one look: more than a bank's PagerDuty writes in a day."""

MAX_SUMMARY = 1024
"""Characters; documented, as are the limits of the other fields of an event below."""

MAX_FIELD = 255
MAX_DETAILS = 30_000
"""Characters of the text in an event: with every one of them escaped (6 bytes) still far below the 512 KB of an event."""

SEVERITIES = {1: "critical", 2: "error", 3: "warning"}
STATES = {
    "triggered": TicketState.OPEN,
    "acknowledged": TicketState.WORKING,
    "resolved": TicketState.RESOLVED,
}
ENDED = {"restored", "resolved", "closed", "dropped"}
"""States of an incident in which there is nothing to page about: a trigger would open a new one there."""

PEOPLE = "user_reference"
"""Kind of the agent of a log entry that a person caused; our own events come from an integration or a service."""


@dataclass(frozen=True, slots=True)
class Settings(ReceiverSettings):
    """url: https://events.pagerduty.com, or https://events.eu.pagerduty.com. The secret: the integration key of 32 characters. rest_url,
    rest_token_file, rest_token_env: the REST API and a read-only token for it, if incidents are to be read back. service: the id of the service that the
    key belongs to, so that only what happens to its incidents is read.
    """

    rest_url: str = field(default="https://api.pagerduty.com", repr=False, metadata={"read": url})
    rest_token_file: Path | None = setting(path, None)
    rest_token_env: str = setting(variable, "")
    service: str = setting(text_of, "")

    def problem(self) -> tuple[str, str] | None:
        if self.rest_token_file and self.rest_token_env:
            return "rest_token_env", "write either rest_token_file or rest_token_env, and not both"
        return ReceiverSettings.problem(self)

    @property
    def reads_back(self) -> bool:
        return bool(self.rest_token_file or self.rest_token_env)


def connect(name: str, settings: ReceiverSettings) -> PagerDuty:
    """Raises ValueError for an address that cannot be used."""
    assert isinstance(settings, Settings)
    return WatchedPagerDuty(name, settings) if settings.reads_back else PagerDuty(name, settings)


class PagerDuty:
    """One integration of one PagerDuty service, as a Receiver. It does not know what people did there: news of an incident that they ended while the
    fault lasts opens another one.
    """

    coalesces = True

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settle_s = settings.settle or SETTLE_S
        self._settings = settings
        self._events = Caller(settings.url, dict, ca=settings.ca_file, timeout_s=settings.timeout)

    async def preflight(self) -> list[Problem]:
        """Whether there is a key. Nobody can be asked whether it is right without somebody being paged."""
        try:
            key = self._settings.secret()
        except ValueError as error:
            return [Problem(str(error), "put the integration key there")]
        right = len(key) == 32 and key.isalnum()
        return [] if right else [Problem("an integration key has 32 letters and digits", "copy it again")]

    async def deliver(self, message: TicketMessage, link: Link | None, *, doubtful: bool, leg: Leg) -> Outcome:  # noqa: ARG002 - the same dedup_key makes every attempt safe
        event = action(message)
        if not event:
            return Done(also="there is nothing to page about any more, and PagerDuty takes no notes: not sent")
        try:
            await self._send(message, event)
        except FAILURES as error:
            return outcome_of(error)
        return Done()

    async def close(self) -> None:
        await self._events.close()

    async def _send(self, message: TicketMessage, event: str) -> None:
        try:
            key = self._settings.secret()
        except ValueError as error:
            raise BarredError(str(error)) from None
        body = render(message.in_language(self._settings.language), event, key, self._settings.language)
        answer = await self._events.call("POST", "/v2/enqueue", write=True, body=body, accept=(400,))
        if answer.status == 400 and re.search(rb"routing[_ ]key", answer.body, re.IGNORECASE):
            raise BarredError(f"{answer.host} does not know the integration key: {answer.said()}")
        if answer.status == 400:
            raise RejectedError(f"{answer.host} declined the event: {answer.said()}")
        if not isinstance(said := answer.json(), dict) or said.get("dedup_key") != message.incident:
            raise UnclearError(f"{answer.host} took the event for another incident: {answer.said()}")


@guarded
class WatchedPagerDuty(PagerDuty):
    """With the REST API as well: what was sent is read back, and what people do there is told (Watched)."""

    def __init__(self, name: str, settings: Settings) -> None:
        super().__init__(name, settings)
        self._lookout = Lookout[str](coarse=True)
        self._rest = Caller(settings.rest_url, self._token, ca=settings.ca_file, timeout_s=settings.timeout)

    async def preflight(self) -> list[Problem]:
        found = await super().preflight()
        try:
            await self._get("/abilities")
        except FAILURES as error:
            found.append(problem_of(error))
        return found

    async def deliver(self, message: TicketMessage, link: Link | None, *, doubtful: bool, leg: Leg) -> Outcome:
        event, key = action(message), message.incident
        news = event == "trigger" and message.op is Op.UPDATE and message.wish is None
        if news or (doubtful and event):
            # That it cannot be looked at is no reason to page nobody: to send again is safe.
            with suppress(NotAppliedError, RejectedError, BarredError, GoneError):
                found = await self.find(key)
                if news and found and all(_over(each) for each in found):
                    return _done(found, also="people ended it at PagerDuty, and a trigger would page again: not sent")
                if not news and _fulfilled(event, found):
                    return _done(found)
        outcome = await super().deliver(message, link, doubtful=doubtful, leg=leg)
        if not isinstance(outcome, Done) or not event:
            return outcome
        try:
            found = await self.find(key)
        except (NotAppliedError, RejectedError, BarredError, GoneError) as error:
            return Done(also=f"taken (202), and not read back: {error}")
        if _fulfilled(event, found):
            return _done(found)
        if doubtful:
            said = f"PagerDuty took the {event} again and shows nothing of it: check the service and its event rules"
            return Retry(said, refused=True)
        return Uncertain(f"the {event} was taken (202), and is not to be seen yet")

    async def find(self, key: str) -> list[Remote]:
        """All incidents that hold an alert of this key, the oldest first."""
        asked = {"incident_key": key, "date_range": "all", "limit": str(PAGE), "sort_by": "created_at:asc"}
        rows = (await self._get("/incidents", asked))["incidents"]
        found = [await self._remote(row, key) for row in rows]
        if odd := [each.id for each in found if each.key != key]:
            raise RejectedError(f"PagerDuty answered a search for {key} with {len(odd)} other incidents")
        return found

    async def read(self, ticket: str) -> Remote:
        return await self._remote((await self._get(f"/incidents/{as_id(ticket)}"))["incident"])

    async def changed_since(self, cursor: str) -> tuple[list[Remote], str]:
        """As of TicketPort. What only our own events changed is left out: the log tells who caused a change."""
        if not cursor:
            newest = (await self._get("/log_entries", {"limit": "1", "time_zone": "UTC"}))["log_entries"]
            return [], str(newest[0]["created_at"]) if newest else "1970-01-01T00:00:00Z"
        touched, ahead = dict[str, str](), cursor
        since = (datetime.fromisoformat(cursor) - timedelta(seconds=OVERLAP_S)).isoformat(timespec="seconds")
        async for entry in self._log(since):
            ahead = max(ahead, str(entry["created_at"]))
            ours = self._settings.service in ("", (entry.get("service") or {}).get("id"))
            if ours and (entry.get("agent") or {}).get("type") == PEOPLE:
                touched.setdefault(str(entry["incident"]["id"]), str(entry["created_at"]))
        due, following = self._lookout.due(((at, incident) for incident, at in touched.items()), cursor, ahead)
        changed: list[Remote] = []
        for incident in due:
            with suppress(GoneError, RejectedError):  # whoever holds a link to it is told so when he reads it
                changed.append(await self.read(incident))
        self._lookout.done()
        return [each for each in changed if each.key.startswith(OURS) or each.merged_into], following

    async def close(self) -> None:
        await super().close()
        await self._rest.close()

    async def _log(self, since: str) -> AsyncIterator[dict[str, Any]]:
        """What happened since, the newest first. Pages are counted up to a limit; from there on they are counted anew."""
        asked, until, more = {"since": since, "limit": str(PAGE), "time_zone": "UTC"}, "", True
        for _ in range(ROUNDS):
            if not more:
                return
            for page in range(MAX_PAGES):
                told = await self._get("/log_entries", {**asked, "offset": str(page * PAGE)})
                for entry in told["log_entries"]:
                    yield entry
                    until = str(entry["created_at"])
                if not (more := bool(told.get("more"))):
                    break
            asked["until"] = until
        if more:
            raise RejectedError(f"PagerDuty tells of more than {ROUNDS * MAX_PAGES * PAGE} changes since {since}")

    async def _remote(self, row: Mapping[str, Any], wanted: str = "") -> Remote:
        asked = {"limit": str(PAGE), "sort_by": "created_at:asc"}
        path = f"/incidents/{as_id(str(row['id']))}"
        alerts = (await self._get(f"{path}/alerts", asked))["alerts"]
        # An incident that holds alerts has no key of its own. After a merge it holds the alerts of others too.
        keys = [str(each) for each in (row.get("incident_key"), *(each["alert_key"] for each in alerts)) if each]
        key = wanted if wanted in keys else next(iter(keys), "")
        ended = [each["status"] == "resolved" for each in alerts if each["alert_key"] == wanted]
        notes = (await self._get(f"{path}/notes"))["notes"]
        reason, word = row.get("resolve_reason") or {}, str(row["status"])
        state = self._settings.states.get(word) or STATES.get(word)
        owners = [str(each["assignee"]["summary"]) for each in row.get("assignments") or []]
        merged = str((reason.get("incident") or {}).get("id") or "")
        if ended and all(ended):
            state = TicketState.RESOLVED
        return Remote(
            str(row["id"]),
            key,
            str(row.get("html_url") or ""),
            word,
            TicketState.DUPLICATE if merged else TicketState(state) if state else None,
            owner=owners[0] if owners and word != "triggered" else "",
            updated_at=_ns(row.get("updated_at") or row["last_status_change_at"]),
            by=str((row.get("last_status_change_by") or {}).get("summary") or ""),
            merged_into=merged,
            said=tuple(
                Said(str(each["id"]), str(each["user"]["summary"]), _ns(each["created_at"]), str(each["content"]))
                for each in sorted(notes, key=lambda each: str(each["created_at"]))
            ),
        )

    async def _get(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        answer: Answer = await self._rest.call("GET", path, write=False, params=params, accept=(403,))
        if answer.status == 403:
            # An incident of a team or a service that the token's user may not see; a token that is not known is a 401.
            raise RejectedError(f"{answer.host} answered 403 to {path}: {answer.said()}")
        told = answer.json()
        if not isinstance(told, dict):
            raise RejectedError(f"{answer.host} answered {path} in a form that is not known")
        return told

    def _token(self) -> dict[str, str]:
        at = replace(
            self._settings, secret_file=self._settings.rest_token_file, secret_env=self._settings.rest_token_env
        )
        return {"authorization": f"Token token={at.secret()}", "accept": "application/vnd.pagerduty+json;version=2"}


def action(message: TicketMessage) -> str:
    """The event that says it; empty where none does."""
    if message.op is Op.RESOLVE or (message.wish and message.wish.over):
        return "resolve"
    if message.wish in (TicketState.WORKING, TicketState.ON_HOLD):
        return "acknowledge"
    if message.op is Op.UPDATE and message.wish is None and message.state in ENDED:
        return ""
    return "trigger"


def _over(remote: Remote) -> bool:
    return remote.state is not None and remote.state.over


def _fulfilled(event: str, found: list[Remote]) -> bool:
    """Whether it shows. People may be further: what they ended need not be acknowledged."""
    if event == "trigger":
        return any(not _over(each) for each in found)
    if event == "acknowledge":
        return bool(found) and all(_over(each) or each.state is TicketState.WORKING for each in found)
    return bool(found) and all(_over(each) for each in found)


def _done(found: list[Remote], also: str = "") -> Done:
    told = [each for each in found if not _over(each)] or found
    return Done(told[-1].id, told[-1].url, told[-1].state.value if told[-1].state else told[-1].status, also)


def render(message: TicketMessage, event: str, key: str, language: str) -> bytes:
    """The event. The same message renders to the same bytes."""
    body: dict[str, Any] = {"routing_key": key, "event_action": event, "dedup_key": message.incident}
    if event == "trigger":
        said = text.body(message, language) if message.op is Op.OPEN else text.note(message, language)
        at = datetime.fromtimestamp(message.since // MS / 1000, UTC).isoformat(timespec="milliseconds")
        body["payload"] = {
            "summary": text.title(message, language)[:MAX_SUMMARY],
            "source": (message.terminal or message.branch or message.region or message.scope)[:MAX_FIELD],
            "severity": SEVERITIES.get(message.level, "warning"),
            "timestamp": at,
            "component": message.component[:MAX_FIELD],
            "group": message.branch[:MAX_FIELD],
            "class": message.fault[:MAX_FIELD],
            "custom_details": {"text": said[:MAX_DETAILS], "incident": message.incident, "message": message.seq},
        }
        body["client"] = "tillwatch"
        if message.address:
            body |= {"client_url": message.address, "links": [{"href": message.address, "text": message.incident}]}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _ns(told: str) -> int:
    return int(datetime.fromisoformat(told).timestamp() * 1000) * (SECOND // 1000)
