"""What REST 2 of Request Tracker 5 is asked, and how what it answers is read: queries, rows, and what people wrote (measured against 5.0.3).

Dates in a query are read in the time zone of the user who asks, even where they name another one; so the past is asked for in seconds ago. Pages go by
number of the row, since a row that changes between two pages would move the others out of both.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from tillwatch.collector.tickets.calling import NUMBER, Answer, Caller, as_id
from tillwatch.collector.tickets.delivery import SECOND
from tillwatch.collector.tickets.port import NotAppliedError, Problem, Said

PAGE = 100
"""Rows of one answer: what REST 2 cuts every page to."""

MAX_PAGES = 50
"""Pages that one question reads, some 15 s."""

TICKET_PAGES = 50
"""Pages of changed tickets in one poll; the next one goes on behind them."""

MANY = 40
"""Numbers that one query names: the address stays below the 8 kB that web servers take."""

NOTES = 40
"""Notes of ours in one answer. Of at most 30,000 characters each they stay below what is read of an answer."""

MAX_NOTE = 64 * 1024
"""Bytes of what a person wrote at once. RT takes 10 MB; a page of such notes would go past every bound, so a longer one is only told of."""

SPOKEN = frozenset({"Comment", "Correspond"})
"""Kinds of transactions that hold what somebody wrote."""

HAPPENED = "Type,Creator,Created,ObjectId"

SHOWN = ("Status", "LastUpdated", "LastUpdatedBy", "Owner", "EffectiveId", "CustomFields")

WRITTEN = (
    {"field": "ContentType", "operator": "STARTSWITH", "value": "text/"},
    {"field": "Filename", "operator": "IS", "value": "NULL"},
)
"""Of attachments what was written, not the files beside it."""

Row = dict[str, Any]


class Rest2:
    """Questions to one Request Tracker. Every one may raise what Caller.call raises for a read."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def tickets(self, query: str) -> list[Row]:
        """A page of tickets, the lowest numbers first. One that was merged shows only where the query says something of EffectiveId."""
        rows = await self._items("/tickets", query=query, fields=",".join(SHOWN))
        return sorted(rows, key=lambda row: int(row["id"]))

    async def changed(self, window: str, after: int) -> tuple[list[Row], int]:
        """Tickets changed in this window, by number, and after which one to go on (0: that was all)."""
        rows: list[Row] = []
        for _ in range(TICKET_PAGES):
            page = await self.tickets(f"LastUpdated > {window} AND EffectiveId > 0 AND id > {after}")
            rows += page
            if len(page) < PAGE:
                return rows, 0
            after = int(page[-1]["id"])
        return rows, after

    async def transactions(self, query: str) -> list[Row]:
        """What happened to tickets, the oldest first."""
        rows: list[Row] = []
        for _ in range(MAX_PAGES):
            after = rows[-1]["id"] if rows else 0
            asked = f"ObjectType = 'RT::Ticket' AND id > {after} AND ({query})"
            # A page is cut before what we may not see is taken out of it: only an empty one is the last.
            if not (page := await self._items("/transactions", query=asked, fields=HAPPENED)):
                break
            rows += page
        return rows

    async def spoken(self, ticket: str, me: str) -> tuple[Said, ...]:
        """What others than this user (by name) wrote at a ticket, the oldest first, of its newest PAGE notes."""
        kinds = " OR ".join(f"Type = '{kind}'" for kind in sorted(SPOKEN))
        asked = f"ObjectType = 'RT::Ticket' AND ObjectId = {number(ticket)} AND Creator != {quoted(me)} AND ({kinds})"
        newest = await self._items("/transactions", query=asked, fields=HAPPENED, order="DESC")
        said = await self.said(newest)
        return tuple(sorted(said.values(), key=lambda each: int(each.id)))

    async def wrote(self, ticket: str, user: str, text: str) -> bool:
        """Whether this user (by number) wrote something with this text in it; the newest is looked at first."""
        asked = [{"field": "Creator", "value": user}, *WRITTEN]
        older: list[Row] = []
        for _ in range(MAX_PAGES):
            rows = await self._items(
                f"/ticket/{number(ticket)}/attachments",
                query=json.dumps([*asked, *older]),
                fields="Content",
                order="DESC",
                per_page=str(NOTES),
            )
            if not rows or any(text in str(row.get("Content", "")) for row in rows):
                return bool(rows)
            older = [{"field": "id", "operator": "<", "value": rows[-1]["id"]}]
        return False

    async def said(self, spoken: list[Row]) -> dict[str, Said]:
        """Transaction -> what was written with it: plain text where there is any, since RT's own editor writes HTML only."""
        texts: dict[str, Row] = {}
        for some in chunks([str(each["id"]) for each in spoken]):
            for row in await self._attachments("TransactionId", some, "ContentLength"):
                best = texts.setdefault(str(row["TransactionId"]), row)
                if best["ContentType"] != "text/plain" and row["ContentType"] == "text/plain":
                    texts[str(row["TransactionId"])] = row
        contents: dict[str, str] = {}
        for some in chunks([str(row["id"]) for row in texts.values() if int(row["ContentLength"] or 0) <= MAX_NOTE]):
            for row in await self._attachments("id", some, "Content"):
                contents[str(row["id"])] = plain(str(row["Content"]), row["ContentType"])
        return {
            each["id"]: Said(
                each["id"],
                name_of(each["Creator"]),
                ns(each["Created"]),
                contents.get(str(texts[each["id"]]["id"]), "(too long to be repeated here)"),
            )
            for each in spoken
            if each["id"] in texts
        }

    async def queue(self, name: str) -> Row | None:
        """A queue by its name, None where none is shown to us."""
        query = json.dumps([{"field": "Name", "value": name}])
        queues = items(await self._caller.call("GET", "/queues", write=False, params={"query": query}))
        if not queues:
            return None
        answer = await self._caller.call("GET", f"/queue/{number(str(queues[0]['id']))}", write=False)
        return shaped(answer, "_hyperlinks", "Lifecycle", "TicketCustomFields")

    async def _attachments(self, field: str, numbers: list[str], shown: str) -> list[Row]:
        query = json.dumps([{"field": field, "operator": "IN", "value": numbers}, *WRITTEN])
        return await self._items("/attachments", query=query, fields=f"TransactionId,ContentType,{shown}")

    async def _items(self, path: str, **params: str) -> list[Row]:
        asked = {"orderby": "id", "per_page": str(PAGE), **params}
        return items(await self._caller.call("GET", path, write=False, params=asked))


def shaped(answer: Answer, *needed: str) -> Row:
    """The object that it answered. Raises NotAppliedError where it lacks one of these: that was not Request Tracker."""
    body = answer.json()
    if not isinstance(body, dict) or not body.keys() >= set(needed):
        raise NotAppliedError(f"{answer.host} answered {answer.status} with JSON that is not of Request Tracker")
    return body


def items(answer: Answer) -> list[Row]:
    found: list[Row] = shaped(answer, "items")["items"]
    return found


def lacks(name: str, queue: Row | None, fields: Iterable[str]) -> list[Problem]:
    """What keeps a ticket with these custom fields from being made in a queue."""
    if queue is None:
        return [Problem(f"no queue {name!r} is shown to us", "write its name, and give our user the right SeeQueue")]
    problems = []
    if "create" not in {link.get("ref") for link in queue["_hyperlinks"]}:
        problems.append(Problem(f"we may make no ticket in the queue {name!r}", "give our user CreateTicket there"))
    # Those that we may see in this queue; the list of a queue's fields shows them to administrators only.
    shown = {field["name"] for field in queue["TicketCustomFields"]}
    problems += (
        Problem(
            f"the queue {name!r} shows no custom field {wanted!r}",
            "apply it to the queue, and give our user SeeCustomField, ModifyCustomField and SetInitialCustomField",
        )
        for wanted in fields
        if wanted and wanted not in shown
    )
    return problems


def number(ticket: str) -> str:
    """The id as a part of a path or a query. Raises GoneError."""
    return as_id(ticket, NUMBER)


def quoted(text: str) -> str:
    """A text in a query. A quote in it is escaped by a backslash; a doubled one is an error."""
    return "'" + re.sub(r"(['\\])", r"\\\1", text) + "'"


def custom(name: str) -> str:
    """A custom field in a query. Of one that does not exist nothing is found, without a word."""
    return quoted(f"CF.{{{name}}}")


def any_of(field: str, numbers: Iterable[str]) -> str:
    return "(" + " OR ".join(f"{field} = {each}" for each in numbers) + ")"


def chunks(numbers: list[str]) -> Iterator[list[str]]:
    return (numbers[start : start + MANY] for start in range(0, len(numbers), MANY))


def id_of(value: Any) -> str:
    """A number that a search gives plainly and a ticket as an object."""
    return str(value.get("id", "") if isinstance(value, dict) else value)


def name_of(user: Any) -> str:
    return str(user.get("id", "")) if isinstance(user, dict) else str(user)


def ns(at: str) -> int:
    return int(datetime.fromisoformat(at).timestamp()) * SECOND


def plain(content: str, kind: str) -> str:
    if kind == "text/html":
        content = re.sub(r"(?i)<br[^>]*>\s*|</(p|div|li|tr|h[1-6])>\s*", "\n", content)
        content = html.unescape(re.sub(r"<[^>]*>", "", content))
    return content.strip()
