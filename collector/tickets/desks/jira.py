"""Jira Cloud and Data Center, service projects included: written from the documentation, not yet run against a live site.

An issue is found by a label, or by a text field, that holds the incident's key, and from then on asked for by its numeric id, which a move to another
project does not change. What the search names is read again one by one, as its index may be behind, and a create without an answer is looked for only
after the settle time. Where an issue stands is told by the category of its status, never by the status's name, unless `states` explains
that name.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tillwatch.collector import values
from tillwatch.collector.tickets.delivery import SECOND
from tillwatch.collector.tickets.guarded import guarded
from tillwatch.collector.tickets.message import TicketState
from tillwatch.collector.tickets.port import (
    FAILURES,
    Caps,
    Draft,
    GoneError,
    NotAppliedError,
    Problem,
    RejectedError,
    Remote,
    UnclearError,
    problem_of,
)
from tillwatch.collector.tickets.products.atlassian_document import plain
from tillwatch.collector.tickets.products.jira_site import JiraSite, Told, at, issue, mapped, shown
from tillwatch.collector.tickets.products.jira_workflow import CATEGORIES, next_step, reached
from tillwatch.collector.tickets.settings import ReceiverSettings
from tillwatch.collector.values import setting

CLOUD, DATA_CENTER = "cloud", "data-center"

LABEL = "tillwatch"
"""On every issue that is ours; with `-` and the key behind it, the label that an incident is found by."""

LAG_S = 180
"""Cloud's search is eventually consistent, "seconds to minutes"; Data Center indexes before it answers."""

SETTLE_S = 30

OVERLAP_S = {CLOUD: 300, DATA_CENTER: 60}
"""The poll goes back as far: more than the index lags, or than two nodes of a cluster differ."""

PAGE = 50
"""Issues that one poll reads, each by two requests: the rest is left to the next one."""

MAX_PAGES = 20
"""Pages of one search. Reached only by a thousand issues of ours that changed at once; the next poll goes on behind them."""

MAX_STEPS = 4
"""Transitions on the way to a state. The longest usual way is open - in progress - resolved - closed."""

FIELDS = ("status", "assignee", "resolution", "updated", "labels")


def _edition(value: Any) -> str:
    if value in (CLOUD, DATA_CENTER):
        return str(value)
    raise ValueError(f'write "{CLOUD}" or "{DATA_CENTER}"')


@dataclass(frozen=True, slots=True)
class Settings(ReceiverSettings):
    """url: of the site; queue: a project key. key_field: `labels`, or `customfield_N` of a text field on the create screen; priorities: level ->
    name, for example { "1" = "Highest" }; resolution, duplicate_resolution: for screens that have one.
    """

    edition: str = setting(_edition, CLOUD)
    issue_type: str = setting(values.text, "Task")
    key_field: str = setting(values.text, "labels")
    resolution: str = setting(values.text, "Done")
    duplicate_resolution: str = setting(values.text, "Duplicate")
    priorities: Mapping[str, str] = field(default_factory=dict, metadata={"read": values.words})

    def problem(self) -> tuple[str, str] | None:
        if not self.queue:
            return "", "queue is missing; write the key of a project"
        if odd := sorted(set(self.priorities) - {"1", "2", "3"}):
            return "priorities", f'{odd[0]!r} is no level; write for example {{ "1" = "Highest" }}'
        return ReceiverSettings.problem(self)


def connect(name: str, settings: ReceiverSettings) -> Jira:
    """Raises ValueError for an address that cannot be used."""
    assert isinstance(settings, Settings)
    return Jira(name, settings)


@guarded
class Jira:
    """The issues of one site."""

    def __init__(self, name: str, settings: Settings) -> None:
        cloud = settings.edition == CLOUD
        self.name = name
        self.caps = Caps(settle_s=LAG_S if cloud else SETTLE_S, max_title=255, max_body=30_000)
        self._settings = settings
        self._states = {word: TicketState(state) for word, state in settings.states.items()}
        self._fields = {*FIELDS, settings.key_field, settings.verdict_field} - {""}
        self._site = JiraSite(settings, cloud=cloud)

    async def close(self) -> None:
        await self._site.caller.close()

    async def preflight(self) -> list[Problem]:
        try:
            return [problem async for problem in self._problems()]
        except FAILURES as error:
            return [problem_of(error, "check the address, the edition, the secret and what its user may do")]

    async def _problems(self) -> AsyncIterator[Problem]:
        settings, site = self._settings, self._site
        served = (await site.get("/serverInfo")).get("deploymentType")
        edition = {"Cloud": CLOUD, "Server": DATA_CENTER}.get(str(served), settings.edition)
        if edition != settings.edition:
            yield Problem(f"the site is Jira {served}", f'set edition = "{edition}"')
            return
        await site.myself()
        project = f"/issue/createmeta/{quote(settings.queue, safe='')}/issuetypes"
        try:
            types = _listed(await site.get(project, maxResults="200"), "issueTypes")
        except (GoneError, RejectedError):
            yield Problem(
                f"there is no project {settings.queue!r}",
                "set queue to the key of a project where its user may create issues",
            )
            return
        kind = next((one for one in types if settings.issue_type in (one.get("name"), one.get("id"))), None)
        if kind is None:
            names = ", ".join(str(one.get("name")) for one in types)
            yield Problem(
                f"{settings.queue} has no issue type {settings.issue_type!r}", f"set issue_type to one of {names}"
            )
            return
        screen = _listed(await site.get(f"{project}/{quote(str(kind.get('id')), safe='')}", maxResults="200"), "fields")
        offered = {str(one.get("fieldId")) for one in screen}
        for name in sorted({"labels", settings.key_field} - offered):
            yield Problem(
                f"{settings.queue} has no field {name} to create with", "put it on the screen, or correct key_field"
            )
        given = {"project", "issuetype", "summary", "description", "labels", settings.key_field}
        given |= {"priority"} if settings.priorities else set()
        for one in screen:
            if one.get("required") and not one.get("hasDefaultValue") and one.get("fieldId") not in given:
                yield Problem(
                    f"{settings.queue} asks for {one.get('fieldId')}", "make it optional, or give it a default"
                )
        if settings.verdict_field:
            known = (await site.call("GET", "/field", write=False)).json()
            if settings.verdict_field not in {str(mapped(one).get("id")) for one in known}:
                yield Problem(f"there is no field {settings.verdict_field}", "set verdict_field to the id of a field")
        if settings.key_field in offered:
            await self.find("no-such-key")

    async def find(self, key: str) -> list[Remote]:
        if not re.fullmatch(r"[A-Za-z0-9._:/-]{1,100}", key):
            raise RejectedError(f"{key[:100]!r} cannot be asked for in JQL")
        labelled = self._settings.key_field == "labels"
        clause = f'labels = "{LABEL}-{key}"' if labelled else f'{self._column()} ~ "\\"{key}\\""'
        found, _ = await self._site.search(f"{clause} ORDER BY created ASC", {"labels", self._settings.key_field}, PAGE)
        if labelled and any(self._key(one) != key for one in found):
            raise RejectedError(
                f"{self._site.host} was asked for {key} and told of other issues: it does not search labels"
            )
        # A text field is searched word by word, and the index may be behind: what counts is the issue itself.
        remotes = [await self._read_if_there(str(one.get("id"))) for one in found]
        return sorted((one for one in remotes if one and one.key == key), key=lambda one: int(one.id))

    async def create(self, draft: Draft) -> Remote:
        settings = self._settings
        fields: dict[str, Any] = {
            "project": {"key": draft.queue or settings.queue},
            "issuetype": {"id" if settings.issue_type.isdigit() else "name": settings.issue_type},
            "summary": " ".join(draft.title.split()),
            "description": self._site.text(draft.body),
            "labels": [LABEL, f"{LABEL}-{draft.key}"],
        }
        if settings.key_field != "labels":
            fields |= {"labels": [LABEL], settings.key_field: draft.key}
        if priority := settings.priorities.get(str(draft.level)):
            fields["priority"] = {"name": priority}
        answer = await self._site.call("POST", "/issue", write=True, body={"fields": fields})
        made = mapped(answer.json())
        if not made.get("id"):
            raise UnclearError(f"{self._site.host} answered {answer.status} and named no issue")
        self._site.wrote(str(made["id"]))
        return Remote(str(made["id"]), draft.key, self._address(made), status="", state=None)

    async def note(self, ticket: str, text: str) -> None:
        await self._site.comment(ticket, text)

    async def has_note(self, ticket: str, mark: str) -> bool:
        return any(mark in plain(one.get("body")) for one in await self._site.comments(ticket))

    async def set_state(self, ticket: str, target: TicketState, reason: str) -> None:  # noqa: ARG002 - the note before it says why
        settings, been, declined = self._settings, set[str](), False
        resolution = settings.duplicate_resolution if target is TicketState.DUPLICATE else settings.resolution
        for _ in range(MAX_STEPS):
            status = mapped(mapped((await self._site.get(issue(ticket), fields="status")).get("fields")).get("status"))
            if reached(target, self._state(status)):
                return
            been.add(str(status.get("id")))
            ways = (await self._site.get(f"{issue(ticket)}/transitions", expand="transitions.fields")).get(
                "transitions"
            )
            step = next_step(ways or [], target, self._state, resolution, frozenset(been))
            body = {"transition": {"id": step.id}} | ({"fields": step.fields} if step.fields else {})
            path = f"{issue(ticket)}/transitions"
            answer = await self._site.call("POST", path, write=True, body=body, accept=(400, 409))
            if answer.status >= 400:
                # Somebody else moved it meanwhile (409, or 400 as it is no longer offered): looked at again, once.
                if declined:
                    said = f"{self._site.host} answered {answer.status} to a transition: {answer.said()}"
                    raise NotAppliedError(said) if answer.status == 409 else RejectedError(said)
                declined = True
            self._site.wrote(ticket)

    async def read(self, ticket: str) -> Remote:
        try:
            told = await self._site.get(issue(ticket), fields=",".join(sorted(self._fields)), expand="changelog")
        except GoneError:
            self._site.forget(ticket)
            raise
        fields, own = mapped(told.get("fields")), await self._site.myself()
        if not fields or not told.get("id"):
            raise NotAppliedError(f"{self._site.host} answered with no issue {ticket}")
        comments = await self._site.comments(str(told["id"]))
        status, state = mapped(fields.get("status")), self._state(mapped(fields.get("status")))
        resolution = mapped(fields.get("resolution")).get("name")
        duplicate = state is not None and state.over and resolution == self._settings.duplicate_resolution
        changes: list[Told] = [*(mapped(told.get("changelog")).get("histories") or []), *comments]
        last = max(changes, key=lambda one: at(one.get("created")), default=None)
        return Remote(
            id=str(told["id"]),
            key=self._key(told),
            url=self._address(told),
            status=str(status.get("name", "")),
            state=TicketState.DUPLICATE if duplicate else state,
            owner=shown(fields.get("assignee")),
            updated_at=at(fields.get("updated")),
            by=shown(last.get("author")) if last else "",
            verdict=self._settings.verdicts.get(_word(fields.get(self._settings.verdict_field)), ""),
            said=self._site.said(comments, own),
        )

    async def changed_since(self, cursor: str) -> tuple[list[Remote], str]:
        ours, overlap = f"labels = {LABEL}", OVERLAP_S[self._settings.edition] * SECOND
        if not cursor:
            found, _ = await self._site.search(f"{ours} ORDER BY updated DESC", ("updated", "labels"), 1)
            return [], str(max(0, max(map(_updated, found), default=0) - overlap))
        since, token, changed = int(cursor), "", list[tuple[int, str]]()
        for _ in range(MAX_PAGES):
            # Milliseconds: a date in quotes is read in the time zone of the user, and to the minute.
            jql = f"{ours} AND updated >= {since // 1_000_000} ORDER BY updated ASC"
            found, token = await self._site.search(jql, ("updated", "labels"), PAGE, token)
            if any(LABEL not in (mapped(one.get("fields")).get("labels") or []) for one in found):
                raise RejectedError(f"{self._site.host} told of other issues than ours: it does not search labels")
            changed += [(_updated(one), str(one.get("id"))) for one in found if _updated(one) >= since]
            if len(changed) >= PAGE or not token:
                break
        remotes = list[Remote]()
        for _, ticket in changed:
            with suppress(GoneError, RejectedError):  # whoever holds a link to it is told so when he reads it
                remotes.append(await self.read(ticket))
        newest = max((when for when, _ in changed), default=since)
        after = max(newest, since + 1_000_000) if token else max(since, newest - overlap)
        return remotes, str(after)

    async def _read_if_there(self, ticket: str) -> Remote | None:
        try:
            return await self.read(ticket)
        except GoneError:
            return None

    def _address(self, told: Told) -> str:
        return f"{self._site.base}/browse/{quote(str(told.get('key')), safe='')}"

    def _column(self) -> str:
        custom = re.fullmatch(r"customfield_([0-9]+)", self._settings.key_field)
        return f"cf[{custom[1]}]" if custom else f'"{self._settings.key_field}"'

    def _state(self, status: Told) -> TicketState | None:
        explained = self._states.get(str(status.get("name", "")))
        return explained or CATEGORIES.get(str(mapped(status.get("statusCategory")).get("key")))

    def _key(self, told: Told) -> str:
        fields = mapped(told.get("fields"))
        if self._settings.key_field != "labels":
            return str(fields.get(self._settings.key_field) or "")
        own = [str(one) for one in fields.get("labels") or [] if str(one).startswith(f"{LABEL}-")]
        return own[0].removeprefix(f"{LABEL}-") if own else ""


def _updated(told: Told) -> int:
    return at(mapped(told.get("fields")).get("updated"))


def _listed(told: Told, name: str) -> list[Told]:
    """A page of createmeta: Cloud names it by what it holds, Data Center calls it values."""
    return [one for one in told.get(name) or told.get("values") or [] if isinstance(one, dict)]


def _word(held: Any) -> str:
    """What a field of one choice, or of text, says."""
    return str(mapped(held).get("value") or mapped(held).get("name") or (held if isinstance(held, str) else ""))
