"""The generic webhook: every message becomes one POST as Standard Webhooks 1.0 describes it.

The webhook id is the same for every attempt at a message, so sending again is safe with any receiver that remembers ids. A receiver may
answer with JSON `{"id", "url", "state"}`, which becomes the incident's ticket. Addresses may hold tokens and secrets are secrets: what is
logged or kept is the host, the status and our own words, never a path, a header or a body.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tillwatch.agent.model import MS
from tillwatch.collector.tickets.calling import Caller, retry_after
from tillwatch.collector.tickets.message import Op, TicketMessage
from tillwatch.collector.tickets.port import (
    FAILURES,
    Disabled,
    Done,
    Leg,
    Link,
    Outcome,
    Problem,
    Retry,
    Uncertain,
    outcome_of,
)
from tillwatch.collector.tickets.settings import ReceiverSettings
from tillwatch.collector.tickets.signature import Secret, read_secrets, signed_headers
from tillwatch.collector.tickets.two_way.hook_schemes import Scheme

TIMEOUT_S = 20.0
"""For the whole exchange. Standard Webhooks recommends 15 to 30 s."""

SETTLE_S = 5.0
"""Sending again is safe at any time; the wait spares a receiver that is still at work on the first."""

MAX_ANSWER = 64 * 1024
"""Bytes of an answer that are read. An id, an address and a state need far less."""

EVERY_STATUS = range(100, 1000)
"""Other than of a ticket system's API, no status of a webhook's receiver bars all messages, and one ends them: judge() says what each means."""

MAX_FIELD = 500
"""Characters of an id, an address or a state in an answer."""

_EVENT = {Op.OPEN: "incident.opened", Op.UPDATE: "incident.updated", Op.RESOLVE: "incident.resolved"}


class Settings(ReceiverSettings):
    """Nothing but what all have: states and verdicts are the receiver's own words, as its answers and its own webhooks have them."""

    def hook_problem(self) -> tuple[str, str] | None:
        if self.hook_scheme != Scheme.STANDARD:
            return "hook_scheme", "what a webhook says is believed as it stands: only the scheme standard protects it"
        return ReceiverSettings.hook_problem(self)


def connect(name: str, settings: ReceiverSettings) -> WebhookPort:
    """Raises ValueError for an address or a secret that cannot be used."""
    held = settings.secret_file
    secrets = read_secrets(held) if held else [Secret.parse(word) for word in settings.secret().split()]
    return WebhookPort(
        settings.url,
        secrets,
        ca=settings.ca_file,
        timeout_s=settings.timeout,
        settle_s=settings.settle or SETTLE_S,
        name=name,
    )


class WebhookPort:
    """One receiver. address: https, or http on this machine. secrets: the current one first. ca: trusted instead of the system's own; name:
    what it is called in the log and beside its tickets.
    """

    coalesces = False

    def __init__(
        self,
        address: str,
        secrets: Sequence[Secret],
        *,
        ca: Path | None = None,
        timeout_s: float = TIMEOUT_S,
        settle_s: float = SETTLE_S,
        clock: Callable[[], float] = time.time,
        name: str = "webhook",
    ) -> None:
        self._caller = Caller(address, dict, ca=ca, timeout_s=timeout_s, max_answer=MAX_ANSWER, clock=clock)
        if not secrets:
            raise ValueError("the webhook needs a secret to sign with")
        self.name = name
        self._secrets = tuple(secrets)
        self.settle_s = settle_s
        self._clock = clock

    async def preflight(self) -> list[Problem]:
        """There is nothing that could be asked without telling something."""
        return []

    async def deliver(self, message: TicketMessage, link: Link | None, *, doubtful: bool, leg: Leg) -> Outcome:  # noqa: ARG002 - the webhook id makes every attempt safe
        body = render(message)
        headers = signed_headers(self._secrets, webhook_id(message), int(self._clock()), body)
        try:
            answer = await self._caller.call("POST", "", write=True, body=body, headers=headers, accept=EVERY_STATUS)
        except FAILURES as error:
            return outcome_of(error)
        return judge(answer.status, answer.headers, answer.body, answer.host, self._clock())

    async def close(self) -> None:
        await self._caller.close()


def webhook_id(message: TicketMessage) -> str:
    """The identity of a message, the same for every attempt. No dot in it: dots part the fields of what is signed."""
    return f"{message.incident}_{message.seq}"


def render(message: TicketMessage) -> bytes:
    """The JSON body. A message always renders to the same bytes."""
    data: dict[str, Any] = {
        "incident": message.incident,
        "seq": message.seq,
        "level": message.level,
        "terminal": message.terminal,
        "branch": message.branch,
        "region": message.region,
        "component": message.component,
        "what": message.what,
        "since": _iso(message.since),
        "evidence": [
            {"signal": e.signal, "value": e.value, "unit": e.unit, "at": _iso(e.at)} for e in message.evidence
        ],
        "evidence_left_out": message.evidence_left_out,
        "cause": message.cause,
        "consequence": message.consequence,
        "action": message.action,
        "address": message.address,
        "scope": message.scope,
        "state": message.state,
        "note": message.note,
        "affected": list(message.affected),
        "affected_count": message.affected_count,
        "parent": message.parent,
        "told": [{"role": role, "person": person, "channel": channel} for role, person, channel in message.told],
        "drill": message.drill,
        "card": {
            "means": message.means,
            "checks": list(message.checks),
            "brings": list(message.brings),
            "parts": [{"what": label, "value": value} for label, value in message.parts],
        },
    }
    event = {"type": _EVENT[message.op], "timestamp": _iso(message.at), "data": data}
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def judge(status: int, headers: Mapping[str, str], body: bytes, host: str, now: float) -> Outcome:
    """What an answer means. headers: looked up by lower-case names; now: Unix seconds, for a Retry-After that is a date."""
    said = f"{host} answered {status}"
    if 200 <= status < 300:
        if body[:512].lstrip().lower().startswith((b"<!doctype html", b"<html")):
            # Single sign-on and proxies answer a POST that never got through with 200 and a page.
            return Retry(f"{said} with a web page, as a login or a proxy does: check the address", refused=True)
        return _done(body)
    if status == 410:
        return Disabled(f"{said} (gone): it wants no more messages")
    after_s = retry_after(headers.get("retry-after", ""), now)
    if status in {408, 429} or (status == 503 and after_s is not None):
        return Retry(said, after_s=after_s)
    if status >= 500:
        return Uncertain(said)
    if 300 <= status < 400:
        return Retry(f"{said} (redirect, not followed): configure the final address", refused=True)
    hint = {401: ": check the secret and both clocks", 403: ": check the secret", 404: ": check the address"}.get(
        status, ""
    )
    return Retry(f"{said} (declined){hint}", refused=True)


def _done(body: bytes) -> Done:
    """The ticket an answer names. An answer without one, or in another form, is as good: the specification asks for the status only."""
    try:
        said = json.loads(body) if len(body) <= MAX_ANSWER else {}
    except (ValueError, RecursionError):
        said = {}
    if not isinstance(said, dict):
        return Done()
    return Done(external_id=_field(said, "id"), url=_address(_field(said, "url")), state=_field(said, "state"))


def _field(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name, "")
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if len(text) <= MAX_FIELD and text.isprintable() else ""


def _address(text: str) -> str:
    # It becomes a link in the console: nothing but a web address may be one.
    return text if text.startswith(("https://", "http://")) else ""


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at // MS / 1000, UTC).isoformat(timespec="milliseconds")
