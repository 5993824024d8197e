"""A Jira site's REST API, v3 of Cloud or v2 of Data Center, as far as its documentation tells it: what is asked, and what its 200s hide.

A token that Cloud does not know is answered all the same, as to somebody without a name: nothing is found, nothing is there, and only the header
x-seraph-loginreason says why. Cloud's search answers from an index that lags by seconds to minutes; issues that it is given by id it looks at
as they are (reconcileIssues), so the latest that were written here go along with every search.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from tillwatch.collector.tickets.calling import Answer, Caller, as_id, authorization
from tillwatch.collector.tickets.port import BarredError, GoneError, NotAppliedError, RejectedError, Said
from tillwatch.collector.tickets.products.atlassian_document import document, plain
from tillwatch.collector.tickets.settings import ReceiverSettings

RECONCILED = 50
"""Ids that a search may be given."""

MAX_COMMENTS = 100
"""The newest of an issue; Data Center and Cloud both give as many at once."""

INTERNAL = [{"key": "sd.public.comment", "value": {"internal": True}}]
"""A comment without it is shown to the customer of a service project. Elsewhere it is a property that nobody reads."""

Told = Mapping[str, Any]


class JiraSite:
    """One site. cloud: which of the two APIs it has. The secret is `mail:token` (HTTP Basic) or a personal access token (bearer)."""

    def __init__(self, settings: ReceiverSettings, *, cloud: bool) -> None:
        self.base = settings.url.rstrip("/")
        self.caller = Caller(
            f"{self.base}/rest/api/{3 if cloud else 2}",
            lambda: authorization(settings.secret()),
            ca=settings.ca_file,
            timeout_s=settings.timeout,
        )
        self._cloud = cloud
        self._own = ""
        self._written: dict[str, None] = {}

    @property
    def host(self) -> str:
        return self.caller.host

    async def call(
        self,
        method: str,
        path: str,
        *,
        write: bool,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        accept: tuple[int, ...] = (),
    ) -> Answer:
        """The answer if it is 2xx or in `accept`. Raises as Caller.call does, and BarredError for a user who is not known."""
        answer = await self.caller.call(
            method, path, write=write, params=params, body=body, accept=(400, 403, 404, 409, *accept)
        )
        reason = answer.headers.get("x-seraph-loginreason", "")
        if "FAILED" in reason or "DENIED" in reason:
            raise BarredError(f"{self.host} does not know the user ({reason[:40]}): check the secret")
        if answer.status < 300 or answer.status in accept:
            return answer
        said = f"{self.host} answered {answer.status} to {method}: {answer.said()}"
        if answer.status == 404:
            raise GoneError(said)
        if answer.status == 403 and not (path.startswith("/issue/") and b'"errorMessages"' in answer.body):
            raise BarredError(said)
        # What one issue's permissions or security level forbid says nothing of the others.
        raise RejectedError(said)

    async def get(self, path: str, **params: str) -> Told:
        told = (await self.call("GET", path, write=False, params=params or None)).json()
        if not isinstance(told, dict):
            raise NotAppliedError(f"{self.host} answered with no object")
        return told

    async def search(self, jql: str, fields: Iterable[str], limit: int, token: str = "") -> tuple[list[Told], str]:
        """One page, and what the next one is asked for by, empty after the last."""
        # Without `fields` Cloud answers with ids only.
        body: dict[str, Any] = {"jql": jql, "fields": sorted(set(fields)), "maxResults": limit}
        if self._cloud:
            body |= {"nextPageToken": token} if token else {}
            body |= {"reconcileIssues": [int(one) for one in self._written]} if self._written else {}
        elif token:
            body["startAt"] = int(token)
        told = mapped(
            (await self.call("POST", "/search/jql" if self._cloud else "/search", write=False, body=body)).json()
        )
        found = told.get("issues")
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise NotAppliedError(f"{self.host} answered with no list of issues")
        if self._cloud:
            return found, "" if told.get("isLast") else str(told.get("nextPageToken") or "")
        end = int(token or 0) + len(found)
        return found, str(end) if found and end < int(told.get("total") or 0) else ""

    async def comments(self, ticket: str) -> list[Told]:
        """The newest, the oldest of them first."""
        told = await self.get(f"{issue(ticket)}/comment", orderBy="-created", maxResults=str(MAX_COMMENTS))
        found = [one for one in told.get("comments") or [] if isinstance(one, dict)]
        return sorted(found, key=lambda one: (at(one.get("created")), str(one.get("id"))))

    async def comment(self, ticket: str, text: str) -> None:
        body = {"body": self.text(text), "properties": INTERNAL}
        await self.call("POST", f"{issue(ticket)}/comment", write=True, body=body)
        self.wrote(ticket)

    def said(self, comments: Iterable[Told], own: str) -> tuple[Said, ...]:
        """What others than our own user wrote."""
        others = (one for one in comments if who(one.get("author")) != own)
        return tuple(
            Said(str(one.get("id")), shown(one.get("author")), at(one.get("created")), plain(one.get("body")))
            for one in others
        )

    async def myself(self) -> str:
        """Our own user, as its comments name him."""
        self._own = self._own or who(await self.get("/myself"))
        return self._own

    def text(self, text: str) -> Any:
        return document(text) if self._cloud else text

    def wrote(self, ticket: str) -> None:
        self.forget(ticket)
        self._written |= {ticket: None} if ticket.isdigit() else {}
        while len(self._written) > RECONCILED:
            del self._written[next(iter(self._written))]

    def forget(self, ticket: str) -> None:
        self._written.pop(ticket, None)


def issue(ticket: str) -> str:
    return f"/issue/{as_id(ticket)}"


def mapped(held: Any) -> Told:
    return held if isinstance(held, dict) else {}


def who(held: Any) -> str:
    return str(mapped(held).get("accountId") or mapped(held).get("name") or "")


def shown(held: Any) -> str:
    return str(mapped(held).get("displayName") or "")


def at(text: Any) -> int:
    """UTC ns of `2026-03-01T08:00:00.000+0000`, 0 for anything else."""
    try:
        return round(datetime.fromisoformat(str(text)).timestamp() * 1000) * 1_000_000
    except ValueError:
        return 0
