"""Roundup by its REST interface (measured with 2.6.0).

It is strict: unknown fields, filters and states are clean 400s, changes carry the ETag of what was read, and a ticket is made over a link that works
once and not for long, so that a request that was held up on its way makes nothing after it was given up. The tracker needs a String property for the
key on its issues; how to add it stands in the preflight's words.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from tillwatch.collector import values
from tillwatch.collector.tickets.calling import NUMBER, Answer, Caller, as_id
from tillwatch.collector.tickets.delivery import SECOND
from tillwatch.collector.tickets.guarded import guarded
from tillwatch.collector.tickets.lookout import Lookout
from tillwatch.collector.tickets.message import TicketState
from tillwatch.collector.tickets.port import (
    FAILURES,
    BarredError,
    Caps,
    Draft,
    GoneError,
    NotAppliedError,
    Problem,
    RejectedError,
    Remote,
    Said,
    UnclearError,
    problem_of,
)
from tillwatch.collector.tickets.settings import ReceiverSettings
from tillwatch.collector.tickets.state_words import StateWords
from tillwatch.collector.values import setting

STATES: Mapping[str, TicketState] = {
    "chatting": TicketState.OPEN,
    "unread": TicketState.OPEN,
    "in-progress": TicketState.WORKING,
    "testing": TicketState.WORKING,
    "deferred": TicketState.ON_HOLD,
    "need-eg": TicketState.ON_HOLD,
    "resolved": TicketState.RESOLVED,
    "done-cbb": TicketState.RESOLVED,
}
"""The classic template's words. Of several for one state the first is the one that is set; "unread" turns into "chatting" with the first note by itself."""

SETTLE_S = 30.0
"""A tracker answers in 10 ms; the wait is the life of the link that a ticket is made over, so it is longer than a request may take."""

PAGE = 100
"""Tickets asked for at once, and notes: their ids have to fit into an address."""

MAX_PAGES = 200
"""Of changed tickets in one poll: 20,000 are more than a bank's desk touches in a month."""

MAX_NOTES = 1000
"""Of one ticket: a hundred times what one collects, and ten requests."""

MAX_LIFE_S = 3600
"""Of a link, s: Roundup makes none that live longer."""

OVERLAP_S = 60
"""A change is visible at its commit and carries the time of its beginning; no request of Roundup takes a minute."""


@dataclass(frozen=True, slots=True)
class Settings(ReceiverSettings):
    """url: of the tracker, above /rest. user: login name; the secret is its password. queue: a keyword, empty for none. key_field: String property of
    issues for the incident; part_field: where the technician writes what he changed; priorities: level -> priority, an empty table where issues have none.
    """

    user: str = setting(values.text, "")
    key_field: str = setting(values.text, "dedup_key")
    part_field: str = setting(values.text, "")
    priorities: Mapping[str, str] = field(
        default_factory=lambda: {"1": "critical", "2": "urgent", "3": "bug"}, metadata={"read": values.words}
    )

    def problem(self) -> tuple[str, str] | None:
        if not self.user:
            return "user", "write the login name whose password is the secret"
        return ReceiverSettings.problem(self)


def connect(name: str, settings: ReceiverSettings) -> RoundupPort:
    """Raises ValueError for settings that cannot be used."""
    if not isinstance(settings, Settings):
        raise TypeError("settings of another kind")
    return RoundupPort(name, settings)


@guarded
class RoundupPort:
    """One tracker."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.caps = Caps(settle_s=SETTLE_S)
        self._settings = settings
        self._base = settings.url.rstrip("/")
        self._words = StateWords(STATES, settings.states)
        self._lookout = Lookout[int](coarse=True)
        self._shown = [
            *("title", "status", "superseder", "assignedto", "activity", "actor", "messages", settings.key_field),
            *filter(None, (settings.verdict_field, settings.part_field)),
        ]
        self._me = ""
        self._caller = Caller(f"{self._base}/rest/data", self._headers, ca=settings.ca_file, timeout_s=settings.timeout)

    def _headers(self) -> Mapping[str, str]:
        word = base64.b64encode(f"{self._settings.user}:{self._settings.secret()}".encode()).decode()
        parts = urlsplit(self._base)
        return {
            "authorization": f"Basic {word}",
            # Without these Roundup takes a write for a forged one of a browser.
            "x-requested-with": "tillwatch",
            "origin": f"{parts.scheme}://{parts.netloc}",
            "referer": f"{self._base}/",
        }

    async def close(self) -> None:
        await self._caller.close()

    async def preflight(self) -> list[Problem]:
        settings, found = self._settings, []
        try:
            await self._user()
            found += await self._check(
                "issue",
                {"@fields": settings.key_field, f"{settings.key_field}:": "tillwatch-preflight"},
                f"issues have no searchable field {settings.key_field!r}",
                f'add {settings.key_field}=String(indexme="no") to the issue class in schema.py, or name another key_field',
            )
            for name in filter(None, (settings.verdict_field, settings.part_field)):
                found += await self._check(
                    "issue",
                    {"@fields": name, "@page_size": "1"},
                    f"issues have no field {name!r}",
                    "add it to the issue class in schema.py, or name another one",
                )
            known = set(await self._names("status"))
            used = {self._word(TicketState.OPEN), self._word(TicketState.RESOLVED), *settings.states}
            found += [
                Problem(
                    f"there is no status {word!r}",
                    f"write those of the tracker into states: {', '.join(sorted(known))}",
                )
                for word in sorted(used - known)
            ]
            if settings.queue and settings.queue not in await self._names("keyword"):
                found.append(
                    Problem(f"there is no keyword {settings.queue!r}", "make it in the tracker, or name another queue")
                )
            if settings.priorities:
                known = set(await self._names("priority"))
                found += [
                    Problem(
                        f"there is no priority {word!r}",
                        f"write those of the tracker into priorities: {', '.join(sorted(known))}",
                    )
                    for word in settings.priorities.values()
                    if word not in known
                ]
        except FAILURES as error:
            mend = "check url, user and secret, and that REST is enabled in config.ini"
            return [*found, problem_of(error, mend)]
        return found

    async def _check(self, path: str, params: Mapping[str, str], what: str, mend: str) -> list[Problem]:
        try:
            await self._rows(path, params)
        except (RejectedError, GoneError):
            return [Problem(what, mend)]
        return []

    async def find(self, key: str) -> list[Remote]:
        rows = await self._rows("issue", {f"{self._settings.key_field}:": key, **self._fields, "@sort": "id"})
        if [row for row in rows if row.get(self._settings.key_field) != key]:
            raise RejectedError(f"{self._caller.host} answered with tickets of another key than was asked for")
        return [self._remote(row) for row in rows]

    async def create(self, draft: Draft) -> Remote:
        settings = self._settings
        message = await self._message(draft.body)
        life_s = max(1, min(MAX_LIFE_S, int(settings.settle or SETTLE_S)))
        link = _data(await self._caller.call("POST", "/issue/@poe", write=False, body={"lifetime": life_s}))["link"]
        # The address is the tracker's idea of its own; the secret goes to no other than the configured one, so only the token is used.
        token = quote(str(link).rsplit("/", 1)[-1], safe="")
        queue, priority = draft.queue or settings.queue, settings.priorities.get(str(draft.level), "")
        fields = {
            "title": draft.title,
            settings.key_field: draft.key,
            "messages": [message],
            "status": self._word(TicketState.OPEN),
            **({"keyword": [queue]} if queue else {}),
            **({"priority": priority} if priority else {}),
        }
        answer = await self._issue_call("POST", f"/issue/@poe/{token}", write=True, body=fields, accept=(400,))
        if answer.status == 400:
            said = f"{self._caller.host} answered 400 to POST: {answer.said()}"
            # Something on the way sent it twice, or it came too late: the link was used, and whether a ticket came of it the link does not say.
            raise UnclearError(said) if b"POE token" in answer.body else RejectedError(said)
        made = _data(answer, write=True)
        return self._remote({"id": str(made["id"]), settings.key_field: draft.key, "status": fields["status"]})

    async def note(self, ticket: str, text: str) -> None:
        await self._change(ticket, {}, await self._message(text))

    async def has_note(self, ticket: str, mark: str) -> bool:
        return any(mark in str(row["content"]) for row in await self._messages([await self._row(ticket)]))

    async def set_state(self, ticket: str, target: TicketState, reason: str) -> None:  # noqa: ARG002 - the note says what is new
        await self._change(ticket, {"status": self._word(target)})

    async def read(self, ticket: str) -> Remote:
        row = await self._row(ticket)
        return self._remote(row, self._said(await self._messages([row])))

    async def changed_since(self, cursor: str) -> tuple[list[Remote], str]:
        params = {**self._fields, "@sort": "-activity,-id"}
        if not cursor:
            newest = await self._rows("issue", params | {"@page_size": "1"})
            return [], str(_at(newest[0]["activity"]) if newest else SECOND)
        since = int(cursor) - OVERLAP_S * SECOND
        # A filter is read in the time zone of our user: it asks for a day more than is wanted. The newest come first, so that what changes meanwhile
        # and moves to the front pushes others to a later page, where they are seen, and is itself newer than the next cursor.
        params["activity"] = f"{datetime.fromtimestamp(since // SECOND, UTC) - timedelta(days=1):%Y-%m-%d.%H:%M:%S};"
        changed: dict[str, Mapping[str, Any]] = {}
        ahead = int(cursor)
        for page in range(1, MAX_PAGES + 1):
            rows = await self._rows("issue", params | {"@page_size": str(PAGE), "@page_index": str(page)})
            ahead = max([ahead, *(_at(row["activity"]) for row in rows)])
            changed |= {row["id"]: row for row in rows if _at(row["activity"]) >= since and row["id"] not in changed}
            if len(rows) < PAGE or _at(rows[-1]["activity"]) < since:
                ours = {str(row["id"]): row for row in changed.values() if row.get(self._settings.key_field)}
                times = ((_at(row["activity"]), ticket) for ticket, row in ours.items())
                due, following = self._lookout.due(times, int(cursor), ahead)
                said = await self._messages([ours[ticket] for ticket in due])
                found = [self._remote(ours[ticket], self._said(said, ours[ticket])) for ticket in due]
                self._lookout.done()
                return found, str(following)
        raise RejectedError(f"more than {MAX_PAGES * PAGE} tickets changed at {self._caller.host} since the last look")

    # One request each.

    async def _issue_call(self, method: str, path: str, *, accept: tuple[int, ...] = (), **given: Any) -> Answer:
        """Of one ticket. A permission may hang on what is in it, and says nothing of the others; who we are was told before."""
        answer = await self._caller.call(method, path, accept=(*accept, 403), **given)
        if answer.status == 403:
            raise RejectedError(
                f"{answer.host} does not let us {method} {path.partition('/@poe/')[0]}: {answer.said()}"
            )
        return answer

    async def _rows(self, kind: str, params: Mapping[str, str]) -> list[Mapping[str, Any]]:
        rows = _data(await self._caller.call("GET", f"/{kind}", write=False, params=params)).get("collection")
        if not isinstance(rows, list):
            raise NotAppliedError(f"{self._caller.host} answered without a list")
        return rows

    async def _names(self, kind: str) -> list[str]:
        return [str(row["name"]) for row in await self._rows(kind, {"@fields": "name"})]

    async def _user(self) -> str:
        """Our own id: whoever writes a message is named by it."""
        if not self._me:
            rows = await self._rows("user", {"username:": self._settings.user})
            if not rows:
                raise BarredError(f"there is no user {self._settings.user!r} at {self._caller.host}")
            self._me = str(rows[0]["id"])
        return self._me

    async def _message(self, text: str) -> str:
        """A message that belongs to no ticket yet: one that is left over by a failure is seen by nobody, so making it is no write. Without its author
        a reactor of the tracker declines it with 409.
        """
        body = {"content": text, "author": await self._user()}
        return str(_data(await self._caller.call("POST", "/msg", write=False, body=body))["id"])

    async def _row(self, ticket: str) -> Mapping[str, Any]:
        # Asked for by its own address, one that was retired still answers as if it lived; in a list it is not there.
        rows = await self._rows("issue", {"id": as_id(ticket, NUMBER), **self._fields})
        if not rows:
            raise GoneError(f"there is no ticket {ticket} at {self._caller.host}")
        return rows[0]

    async def _messages(self, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The newest MAX_NOTES messages of each of these tickets, the oldest first."""
        held = (sorted(int(each["id"]) for each in row.get("messages") or ())[-MAX_NOTES:] for row in rows)
        wanted = sorted({number for numbers in held for number in numbers})
        found: list[Mapping[str, Any]] = []
        for at in range(0, len(wanted), PAGE):
            ids = "&".join(f"id={one}" for one in wanted[at : at + PAGE])
            fields = "@fields=content,author.username,creation&@verbose=3&@sort=id"
            found += _data(await self._caller.call("GET", f"/msg?{ids}&{fields}", write=False))["collection"]
        return found

    async def _change(self, ticket: str, fields: Mapping[str, Any], message: str = "") -> None:
        """Of what was read just before. If somebody changed it in between, it is read and changed once more."""
        path = f"/issue/{as_id(ticket, NUMBER)}"
        for _ in range(2):
            held = _data(await self._issue_call("GET", path, write=False, params={"@fields": "messages,status"}))
            status, messages = held["attributes"]["status"], held["attributes"]["messages"]
            body = dict(fields)
            if message:
                body["messages"] = [*(each["id"] for each in messages), message]
                # A note alone opens a resolved ticket again, and turns "unread" into "chatting": a detector of the classic template.
                body |= {} if "status" in body or status is None else {"status": status["id"]}
            etag = {"if-match": str(held["@etag"])}
            answer = await self._issue_call("PATCH", path, write=True, body=body, headers=etag, accept=(412,))
            if answer.status != 412:
                return
        raise NotAppliedError(f"somebody else is changing ticket {ticket} at {self._caller.host}")

    # What its words mean.

    @property
    def _fields(self) -> Mapping[str, str]:
        return {"@fields": ",".join(self._shown), "@verbose": "2"}

    def _word(self, target: TicketState) -> str:
        for word in self._words.of(target):
            return word
        raise RejectedError(f"no word for {target.value!r}: write one into states")

    def _said(self, messages: Sequence[Mapping[str, Any]], row: Mapping[str, Any] | None = None) -> tuple[Said, ...]:
        """What people wrote, of one ticket if it is given."""
        own = None if row is None else {each["id"] for each in row.get("messages", ())}
        return tuple(
            Said(row["id"], row["author.username"] or "", _at(row["creation"]), row["content"] or "")
            for row in messages
            if row["author.username"] != self._settings.user and (own is None or row["id"] in own)
        )

    def _remote(self, row: Mapping[str, Any], said: tuple[Said, ...] = ()) -> Remote:
        settings = self._settings
        status = _label(row.get("status"))
        state = self._words.meaning(status)
        into = row.get("superseder") or ()
        found = _label(row.get(settings.verdict_field))
        return Remote(
            id=str(row["id"]),
            key=str(row.get(settings.key_field) or ""),
            url=f"{self._base}/issue{row['id']}",
            status=status,
            state=state,
            owner=_label(row.get("assignedto")),
            updated_at=_at(row["activity"]) if "activity" in row else 0,
            by=_label(row.get("actor")),
            # Superseded and still open, it may be worked on; over, the other one goes on in its place.
            merged_into=str(into[-1]["id"]) if into and state is not None and state.over else "",
            verdict=settings.verdicts.get(found, ""),
            part=_label(row.get(settings.part_field)),
            said=said,
        )


def _data(answer: Answer, *, write: bool = False) -> Mapping[str, Any]:
    decoded = answer.json()
    data = decoded.get("data") if isinstance(decoded, dict) else None
    if not isinstance(data, dict):
        said = f"{answer.host} answered {answer.status} without data"
        raise UnclearError(said) if write else NotAppliedError(said)
    return data


def _label(value: Any) -> str:
    """The name of what a link leads to, or a plain text."""
    if isinstance(value, Mapping):
        return str(next((text for key, text in value.items() if key not in {"id", "link"}), "") or "")
    return str(value or "")


def _at(text: str) -> int:
    """UTC ns of a time as Roundup writes it, which is in UTC and whole seconds."""
    return int(datetime.strptime(text, "%Y-%m-%d.%H:%M:%S").replace(tzinfo=UTC).timestamp()) * SECOND
