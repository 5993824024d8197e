"""Redmine by its REST interface (measured with 5.0.4).

It says yes to much that it does not do: a change to a state that is unknown, or that the workflow does not allow, is 204 and nothing; a filter by a field that
is not there is ignored and answers with every ticket; a list that is asked for with a wrong key is what anonymous people see. So lists are only asked for
after it said who we are, and the key of each row is looked at. Its interface tells no version of a ticket that a change could be bound to.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

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
    "New": TicketState.OPEN,
    "In Progress": TicketState.WORKING,
    "Feedback": TicketState.ON_HOLD,
    "Resolved": TicketState.RESOLVED,
    "Closed": TicketState.CLOSED,
    "Rejected": TicketState.REJECTED,
    "新建": TicketState.OPEN,
    "进行中": TicketState.WORKING,
    "反馈": TicketState.ON_HOLD,
    "已解决": TicketState.RESOLVED,
    "已关闭": TicketState.CLOSED,
    "已拒绝": TicketState.REJECTED,
}
"""The words of its default data in English and Simplified Chinese. Any other one that Redmine counts as closed is closed."""

SETTLE_S = 30.0
"""A request takes up to half a second; behind a busy application server it waits its turn."""

MAX_SUBJECT = 255
"""Characters of a subject; a longer one is declined with 422."""

PAGE = 100
"""Tickets at once: the most that Redmine gives."""

MAX_PAGES = 200
"""Of changed tickets in one poll: 20,000 are more than a bank's desk touches in a month."""

OVERLAP_S = 60
"""A change is visible at its commit and carries the time of its beginning, in whole seconds."""


@dataclass(frozen=True, slots=True)
class Settings(ReceiverSettings):
    """The secret is the API key of a user who may see, add and edit issues of the project. queue: identifier of a project; key_field: number of the custom
    field for the incident, as in the address of its page; part_field: name of the one for what was changed; priorities: level -> priority, none if empty.
    """

    key_field: str = setting(values.text, "")
    part_field: str = setting(values.text, "")
    priorities: Mapping[str, str] = field(
        default_factory=lambda: {"1": "Immediate", "2": "Urgent", "3": "Normal"}, metadata={"read": values.words}
    )

    def problem(self) -> tuple[str, str] | None:
        if not self.queue:
            return "queue", "write the identifier of the project that tickets are made in"
        if not (self.key_field.isascii() and self.key_field.isdigit()):
            return "key_field", 'write the number of the custom field, as in the address of its page, for example "7"'
        return ReceiverSettings.problem(self)


def connect(name: str, settings: ReceiverSettings) -> RedminePort:
    """Raises ValueError for settings that cannot be used."""
    if not isinstance(settings, Settings):
        raise TypeError("settings of another kind")
    return RedminePort(name, settings)


@guarded
class RedminePort:
    """One Redmine."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.caps = Caps(settle_s=SETTLE_S, max_title=MAX_SUBJECT)
        self._settings = settings
        self._base = settings.url.rstrip("/")
        self._words = StateWords(STATES, settings.states)
        self._lookout = Lookout[int](coarse=True)
        self._caller = Caller(self._base, self._headers, ca=settings.ca_file, timeout_s=settings.timeout)

    def _headers(self) -> Mapping[str, str]:
        return {"x-redmine-api-key": self._settings.secret()}

    async def close(self) -> None:
        await self._caller.close()

    async def preflight(self) -> list[Problem]:
        settings, found = self._settings, []
        try:
            await self._me()
            found += await self._project_problems(settings.queue)
            known = set(await self._ids("issue_statuses"))
            if odd := sorted(set(settings.states) - known):
                found.append(Problem(f"there is no status {odd[0]!r}", f"known are {', '.join(sorted(known))}"))
            if unknown := [word for word in known if self._words.meaning(word) is None]:
                mend = "write into states what they mean: open, working, on_hold, resolved, closed, rejected"
                found.append(Problem(f"nobody has explained the status {', '.join(sorted(unknown))}", mend))
            priorities = set(await self._ids("enumerations/issue_priorities", "issue_priorities"))
            if odd := sorted(set(settings.priorities.values()) - priorities):
                found.append(Problem(f"there is no priority {odd[0]!r}", f"known are {', '.join(sorted(priorities))}"))
            # A filter without a value is declined with 422 if the field is known, and ignored if not: the one way to tell without being an administrator.
            probe = {"f[]": self._filter, f"op[{self._filter}]": "=", "limit": "1"}
            answer = await self._caller.call("GET", "/issues.json", write=False, params=probe, accept=(422,))
            if answer.status != 422:
                what = f"issues cannot be searched by the custom field {settings.key_field!r}"
                found.append(
                    Problem(what, 'make it "used as a filter", for all trackers of the project, or name another')
                )
        except FAILURES as error:
            mend = "check url and API key, and that the REST web service is enabled in Redmine's settings"
            return [*found, problem_of(error, mend)]
        return found

    async def _project_problems(self, queue: str) -> list[Problem]:
        path = f"/projects/{quote(queue, safe='')}.json"
        answer = await self._caller.call("GET", path, write=False, accept=(403, 404))
        if answer.status == 200:
            return []
        return [
            Problem(f"there is no project {queue!r} that we may see", "correct queue, or make the user a member of it")
        ]

    async def find(self, key: str) -> list[Remote]:
        await self._me()
        rows = await self._issues(self._all | {self._filter: key, "sort": "id"})
        if [row for row in rows if self._key(row) != key]:
            raise RejectedError(f"{self._caller.host} ignored the search by custom field {self._settings.key_field}")
        return [self._remote(row, {}, "") for row in rows]

    async def create(self, draft: Draft) -> Remote:
        settings = self._settings
        word = settings.priorities.get(str(draft.level), "")
        priority = (await self._ids("enumerations/issue_priorities", "issue_priorities")).get(word) if word else None
        issue = {
            "project_id": draft.queue or settings.queue,
            "subject": draft.title,
            "description": draft.body,
            "custom_fields": [{"id": int(settings.key_field), "value": draft.key}],
            **({"priority_id": priority} if priority is not None else {}),
        }
        answer = await self._write("POST", "/issues.json", {"issue": issue})
        return self._remote(_part(answer, "issue"), {}, "")

    async def note(self, ticket: str, text: str) -> None:
        await self._put(ticket, {"notes": text})

    async def has_note(self, ticket: str, mark: str) -> bool:
        return any(mark in (each.get("notes") or "") for each in (await self._issue(ticket)).get("journals", ()))

    async def set_state(self, ticket: str, target: TicketState, reason: str) -> None:  # noqa: ARG002 - the note says what is new
        known = await self._ids("issue_statuses")
        for word in self._words.of(target):
            if word in known:
                await self._put(ticket, {"status_id": known[word]})
                return
            if word in self._words.explained:
                raise RejectedError(f"there is no status {word!r} at {self._caller.host}: correct states")
        raise RejectedError(f"no status of {self._caller.host} stands for {target.value!r}: write one into states")

    async def read(self, ticket: str) -> Remote:
        issue = await self._issue(ticket)
        return self._remote(issue, issue, await self._me())

    async def changed_since(self, cursor: str) -> tuple[list[Remote], str]:
        me = await self._me()
        # `*` as the value of a filter: any. Rows are looked at all the same.
        newest_first = self._all | {self._filter: "*", "sort": "updated_on:desc"}
        if not cursor:
            rows = await self._issues(newest_first | {"limit": "1"})
            return [], str(_at(rows[0]["updated_on"]) if rows else SECOND)
        since = int(cursor) - OVERLAP_S * SECOND
        asked = newest_first | {"updated_on": f">={datetime.fromtimestamp(since // SECOND, UTC):%Y-%m-%dT%H:%M:%SZ}"}
        changed: dict[int, Mapping[str, Any]] = {}
        ahead = int(cursor)
        for page in range(MAX_PAGES):
            # What changes meanwhile moves to the front and pushes others to a later page, where they are seen; itself, it is newer than the next cursor.
            rows = await self._issues(asked | {"offset": str(page * PAGE)})
            ahead = max([ahead, *(_at(row["updated_on"]) for row in rows)])
            changed |= {row["id"]: row for row in rows if _at(row["updated_on"]) >= since and self._key(row)}
            if len(rows) < PAGE:
                times = [(_at(row["updated_on"]), str(ticket)) for ticket, row in changed.items()]
                due, following = self._lookout.due(times, int(cursor), ahead)
                found = []
                for ticket in due:
                    with suppress(GoneError, RejectedError):  # whoever holds a link to it is told so when he reads it
                        issue = await self._issue(ticket)
                        if not _only_by(me, issue, since):
                            found.append(self._remote(issue, issue, me))
                self._lookout.done()
                return found, str(following)
        raise RejectedError(f"more than {MAX_PAGES * PAGE} tickets changed at {self._caller.host} since the last look")

    # One request each.

    async def _issues(self, params: Mapping[str, str]) -> list[Any]:
        rows: list[Any] = _part(
            await self._caller.call("GET", "/issues.json", write=False, params=params), "issues", list
        )
        return rows

    async def _me(self) -> str:
        """Our id. With a key that is not known Redmine answers 401 here, and 200 with what everybody sees at a list."""
        user = _part(await self._caller.call("GET", "/users/current.json", write=False), "user")
        return str(user["id"])

    async def _ids(self, path: str, part: str = "") -> dict[str, int]:
        """Name -> id."""
        answer = await self._caller.call("GET", f"/{path}.json", write=False)
        return {each["name"]: each["id"] for each in _part(answer, part or path, list)}

    async def _issue(self, ticket: str) -> Mapping[str, Any]:
        path = f"/issues/{as_id(ticket, NUMBER)}.json"
        answer = await self._caller.call(
            "GET", path, write=False, params={"include": "journals,relations"}, accept=(403,)
        )
        if answer.status != 403:
            issue: Mapping[str, Any] = _part(answer, "issue")
            return issue
        if await self._project_problems(self._settings.queue):
            raise BarredError(f"{self._caller.host} shows us neither the project nor ticket {ticket}")
        # Somebody moved it to where we may not look: to us it is gone, and nothing else is wrong.
        raise GoneError(f"ticket {ticket} is not shown to us by {self._caller.host}")

    async def _put(self, ticket: str, fields: Mapping[str, Any]) -> None:
        await self._write("PUT", f"/issues/{as_id(ticket, NUMBER)}.json", {"issue": fields})

    async def _write(self, method: str, path: str, body: Mapping[str, Any]) -> Answer:
        answer = await self._caller.call(method, path, write=True, body=body, accept=(403,))
        if answer.status == 403:
            # One project, of a route or where somebody moved a ticket to; who we are was told before.
            raise RejectedError(
                f"{answer.host} does not let us {method} {path}: make the user a member of that project"
            )
        return answer

    # What its words mean.

    @property
    def _filter(self) -> str:
        return f"cf_{self._settings.key_field}"

    @property
    def _all(self) -> dict[str, str]:
        # Without it only open tickets are listed.
        return {"status_id": "*", "limit": str(PAGE)}

    def _key(self, row: Mapping[str, Any]) -> str:
        fields = row.get("custom_fields", ())
        return next((str(each["value"] or "") for each in fields if str(each["id"]) == self._settings.key_field), "")

    def _named(self, row: Mapping[str, Any], name: str) -> str:
        value = next((each["value"] for each in row.get("custom_fields", ()) if each["name"] == name), None)
        return str(value[-1] if isinstance(value, list) and value else value or "")

    def _remote(self, row: Mapping[str, Any], detail: Mapping[str, Any], me: str) -> Remote:
        """row: as in a list; detail: as asked for by its number, with its history."""
        settings, status = self._settings, row["status"]
        journals = detail.get("journals", ())
        state = self._words.meaning(status["name"])
        if state is None and status.get("is_closed"):
            state = TicketState.CLOSED
        into = [
            str(each["issue_to_id"])
            for each in detail.get("relations", ())
            if each["relation_type"] == "duplicates" and each["issue_id"] == row["id"]
        ]
        return Remote(
            id=str(row["id"]),
            key=self._key(row),
            url=f"{self._base}/issues/{row['id']}",
            status=status["name"],
            state=state,
            owner=(row.get("assigned_to") or {}).get("name", ""),
            updated_at=_at(row["updated_on"]),
            by=(journals[-1]["user"] if journals else row["author"])["name"],
            # Redmine closes a duplicate, and does not merge: the one that it duplicates goes on in its place.
            merged_into=into[-1] if into and state is not None and state.over else "",
            verdict=settings.verdicts.get(self._named(row, settings.verdict_field), ""),
            part=self._named(row, settings.part_field),
            said=tuple(
                Said(str(each["id"]), each["user"]["name"], _at(each["created_on"]), each["notes"])
                for each in journals
                if each.get("notes") and str(each["user"]["id"]) != me
            ),
        )


def _only_by(me: str, issue: Mapping[str, Any], since: int) -> bool:
    """Whether whatever changed since was our doing: every change leaves a journal, except that it was made."""
    journals = [each for each in issue.get("journals", ()) if _at(each["created_on"]) >= since]
    made = [issue["author"]] if _at(issue["created_on"]) >= since else []
    by = {str(user["id"]) for user in [*made, *(each["user"] for each in journals)]}
    return by == {me}


def _part(answer: Answer, name: str, kind: type = dict) -> Any:
    decoded = answer.json()
    part = decoded.get(name) if isinstance(decoded, dict) else None
    if not isinstance(part, kind):
        said = f"{answer.host} answered {answer.status} without {name}"
        raise UnclearError(said) if answer.write else NotAppliedError(said)
    return part


def _at(text: str) -> int:
    """UTC ns of a time as Redmine writes it."""
    return int(datetime.fromisoformat(text).timestamp()) * SECOND
