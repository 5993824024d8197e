"""Zammad over its REST API, written from the documentation and the public source of Zammad 6, not yet run against a live Zammad.

The incident's key stands in an attribute of the ticket object, which an administrator adds (single-line text). Tickets are looked for in the search
index, which lags behind what is written, so an attempt without an answer waits a minute before it is looked for.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tillwatch.collector.tickets.calling import NUMBER, Answer, Caller, as_id
from tillwatch.collector.tickets.delivery import SECOND
from tillwatch.collector.tickets.guarded import guarded
from tillwatch.collector.tickets.lookout import Lookout
from tillwatch.collector.tickets.message import TicketState
from tillwatch.collector.tickets.port import (
    FAILURES,
    Caps,
    Draft,
    GoneError,
    Problem,
    RejectedError,
    Remote,
    Said,
    UnclearError,
    problem_of,
)
from tillwatch.collector.tickets.settings import ReceiverSettings
from tillwatch.collector.values import setting, text

SETTLE_S = 60.0
"""The index is written by a background job, by default within seconds. How long a busy one takes is not documented: a minute is a guess on the safe side."""

OVERLAP_S = 600
"""How far a look for changes reaches back: ten times what the index is given to lag. What was seen as it is, is not read again."""

PAGE = 100
MAX_PAGES = 100
"""Elasticsearch hands out the first 10,000 rows of a result."""

HOLD = timedelta(days=1)
"""What is put on hold comes back to its people after this; Zammad takes no `pending` without a time."""

PRIORITIES = {1: "3 high", 2: "2 normal", 3: "1 low"}
STATES = {
    "new": TicketState.OPEN,
    "open": TicketState.WORKING,
    "pending reminder": TicketState.ON_HOLD,
    "pending close": TicketState.RESOLVED,
    "closed": TicketState.CLOSED,
    "merged": TicketState.DUPLICATE,
    "removed": TicketState.REJECTED,
}
"""The states of a new Zammad. They can be renamed and added to: `states` in the configuration, checked by the preflight."""

NOBODY = "-"
"""The login of user 1, who owns what nobody owns."""


@dataclass(frozen=True, slots=True)
class Settings(ReceiverSettings):
    """queue: the group. key_field: the attribute that holds the incident; customer: login or address for whom tickets are made, the user of the
    token if empty.
    """

    key_field: str = setting(text, "hwm_incident")
    customer: str = setting(text, "")


def connect(name: str, settings: ReceiverSettings) -> Zammad:
    """Raises ValueError for an address that cannot be used."""
    assert isinstance(settings, Settings)
    return Zammad(name, settings)


@guarded
class Zammad:
    """One Zammad; see TicketPort."""

    caps = Caps(settle_s=SETTLE_S, max_title=250)

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._settings = settings
        self._root = settings.url.rstrip("/")
        self._caller = Caller(
            f"{self._root}/api/v1",
            lambda: {"authorization": f"Token token={settings.secret()}"},
            ca=settings.ca_file,
            timeout_s=settings.timeout,
        )
        self._states = {**STATES, **{word: TicketState(ours) for word, ours in settings.states.items()}}
        self._login = ""
        self._lookout = Lookout[str](coarse=False)

    async def preflight(self) -> list[Problem]:
        field, group = self._settings.key_field, self._settings.queue
        try:
            await self._me()
            words = {each["name"] for each in (await self._ask("GET", "/ticket_states")).json() if each.get("active")}
            groups = (await self._ask("GET", "/groups")).json()
            seen = await self._attributes()
        except FAILURES as error:
            return [problem_of(error)]
        found = [
            Problem(f"Zammad has no state {self._word(target)!r}", "give its own word for it under `states`")
            for target in (TicketState.OPEN, TicketState.WORKING, TicketState.ON_HOLD, TicketState.RESOLVED)
            if self._word(target) not in words
        ]
        if group and group not in {each["name"] for each in groups if each.get("active")}:
            found.append(Problem(f"Zammad has no active group {group!r}", "write the name of a group as `queue`"))
        if seen is not None and field not in seen:
            found.append(Problem(f"tickets have no attribute {field!r}", "add it in Zammad under Objects, as text"))
        return found

    async def find(self, key: str) -> list[Remote]:
        field = self._settings.key_field
        rows = await self._search(f'{field}:"{key}"', "created_at", 1)
        # A phrase also finds longer texts that hold it, and a field that is not indexed finds by other fields.
        if odd := [row for row in rows if key not in str(row.get(field) or "")]:
            raise RejectedError(f"Zammad answered a search for {key} with {len(odd)} other tickets: check {field!r}")
        mine = sorted((row for row in rows if row[field] == key), key=lambda row: int(row["id"]))
        return [await self._remote(row) for row in mine]

    async def create(self, draft: Draft) -> Remote:
        article = {"subject": draft.title, "body": draft.body, "content_type": "text/plain", "type": "note"}
        given = {
            "title": draft.title,
            "group": draft.queue or self._settings.queue,
            "customer": self._settings.customer or await self._me(),
            "priority": PRIORITIES.get(draft.level, "2 normal"),
            self._settings.key_field: draft.key,
            "article": {**article, "internal": True},
        }
        row = (await self._ask("POST", "/tickets", given)).json()
        if not isinstance(row, dict) or not isinstance(row.get("id"), int):
            raise UnclearError("Zammad made a ticket and did not tell its id")
        ticket = str(row["id"])
        return Remote(ticket, draft.key, self._url(ticket), "", None)

    async def note(self, ticket: str, text: str) -> None:
        given = {
            "ticket_id": int(as_id(ticket, NUMBER)),
            "body": text,
            "content_type": "text/plain",
            "type": "note",
            "internal": True,
        }
        await self._ask("POST", "/ticket_articles", given)

    async def has_note(self, ticket: str, mark: str) -> bool:
        return any(mark in _plain(each) for each in await self._articles(ticket))

    async def set_state(self, ticket: str, target: TicketState, reason: str) -> None:  # noqa: ARG002 - the note says it
        word = self._word(target)
        given = {"state": word}
        if word.startswith("pending") or target is TicketState.ON_HOLD:
            given["pending_time"] = (datetime.now(UTC) + HOLD).isoformat(timespec="seconds").replace("+00:00", "Z")
        await self._ask("PUT", f"/tickets/{as_id(ticket, NUMBER)}", given)

    async def read(self, ticket: str) -> Remote:
        row = (await self._ask("GET", f"/tickets/{as_id(ticket, NUMBER)}", params={"expand": "true"})).json()
        return await self._remote(row)

    async def changed_since(self, cursor: str) -> tuple[list[Remote], str]:
        some = f"_exists_:{self._settings.key_field}"
        if not cursor:
            newest = await self._search(some, "updated_at", 1, order="desc")
            return [], str(newest[0]["updated_at"]) if newest else "1970-01-01T00:00:00.000Z"
        since = (
            (datetime.fromisoformat(cursor) - timedelta(seconds=OVERLAP_S))
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )
        rows = await self._search(f'{some} AND updated_at:["{since}" TO *]', "updated_at", MAX_PAGES)
        told = {str(row["id"]): row for row in rows}
        times = ((str(row["updated_at"]), ticket) for ticket, row in told.items())
        due, following = self._lookout.due(times, cursor, cursor)
        changed: list[Remote] = []
        for ticket in due:
            with suppress(GoneError, RejectedError):  # whoever holds a link to it is told so when he reads it
                changed.append(await self._remote(told[ticket]))
        self._lookout.done()
        return changed, following

    async def close(self) -> None:
        await self._caller.close()

    async def _ask(
        self, method: str, path: str, body: Any = None, *, params: Mapping[str, str] | None = None
    ) -> Answer:
        answer = await self._caller.call(method, path, write=method != "GET", params=params, body=body, accept=(403,))
        if answer.status == 403:
            # 403 is about this ticket or group; a token that is not known is a 401.
            raise RejectedError(f"{answer.host} answered 403 to {method} {path}: {answer.said()}")
        return answer

    async def _search(self, query: str, by: str, pages: int, *, order: str = "asc") -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for page in range(1, pages + 1):
            asked = {"query": query, "sort_by": by, "order_by": order, "expand": "true"}
            asked |= {"page": str(page), "per_page": str(PAGE)}
            found = (await self._ask("GET", "/tickets/search", params=asked)).json()
            if not isinstance(found, list):
                raise RejectedError("Zammad answered a search in a form that is not known; report its version")
            rows += found
            if len(found) < PAGE:
                break
        return rows

    async def _attributes(self) -> set[str] | None:
        """Of tickets; None where the token may not see them and there is no ticket to look at."""
        try:
            told = (await self._ask("GET", "/object_manager_attributes")).json()
        except RejectedError:
            rows = (await self._ask("GET", "/tickets", params={"expand": "true", "per_page": "1", "page": "1"})).json()
            return set(rows[0]) if rows else None
        return {each["name"] for each in told if each.get("object") == "Ticket" and each.get("active", True)}

    async def _me(self) -> str:
        if not self._login:
            self._login = str((await self._ask("GET", "/users/me")).json()["login"])
        return self._login

    async def _articles(self, ticket: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (
            await self._ask("GET", f"/ticket_articles/by_ticket/{as_id(ticket, NUMBER)}")
        ).json()
        return rows

    async def _remote(self, row: Mapping[str, Any]) -> Remote:
        ticket, word = str(row["id"]), str(row["state"])
        state, followed = self._states.get(word), ""
        if word == "merged":
            asked = {"link_object": "Ticket", "link_object_value": ticket}
            links = (await self._ask("GET", "/links", params=asked)).json()["links"]
            # Merging hands all other links over, so the one that is left leads to the ticket that goes on.
            followed = next((str(each["link_object_value"]) for each in links if each["link_type"] != "normal"), "")
        me = await self._me()
        verdict = str(row.get(self._settings.verdict_field) or "") if self._settings.verdict_field else ""
        return Remote(
            ticket,
            str(row.get(self._settings.key_field) or ""),
            self._url(ticket),
            word,
            state,
            owner="" if row.get("owner") in (NOBODY, None) else str(row["owner"]),
            updated_at=_ns(row["updated_at"]),
            by=str(row.get("updated_by") or ""),
            merged_into=followed,
            verdict=self._settings.verdicts.get(verdict, ""),
            said=tuple(
                Said(str(each["id"]), str(each.get("created_by", "")), _ns(each["created_at"]), _plain(each))
                for each in sorted(await self._articles(ticket), key=lambda each: int(each["id"]))
                if each.get("created_by") != me and each.get("sender") != "System"
            ),
        )

    def _word(self, target: TicketState) -> str:
        """The system's word: the configured one, or the one of a new Zammad, in which what is resolved is closed."""
        wanted = {target.value} if not target.over else {target.value, "closed"}
        given = next((word for word, ours in self._settings.states.items() if ours in wanted), "")
        return given or ("closed" if target.over else next(word for word, ours in STATES.items() if ours is target))

    def _url(self, ticket: str) -> str:
        return f"{self._root}/#ticket/zoom/{ticket}"


def _ns(told: str) -> int:
    return int(datetime.fromisoformat(told).timestamp() * 1000) * (SECOND // 1000)


def _plain(article: Mapping[str, Any]) -> str:
    body = str(article.get("body") or "")
    if article.get("content_type") != "text/html":
        return body
    lines = re.sub(r"<br[^>]*>|</p>|</div>", "\n", body)
    return html.unescape(re.sub(r"<[^>]*>", "", lines)).strip()
