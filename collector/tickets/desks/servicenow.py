"""ServiceNow incidents through the Table API: written from the documentation, not yet run against a live instance.

An incident is found by `correlation_id` and `correlation_display`, which the instance does not keep unique. Choices are not checked when they are
written, so close codes are looked up in the preflight. The time zone of the service user must be GMT: times in a query are read in it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from tillwatch.collector import values
from tillwatch.collector.tickets.calling import as_id
from tillwatch.collector.tickets.delivery import SECOND
from tillwatch.collector.tickets.guarded import guarded
from tillwatch.collector.tickets.message import TicketState
from tillwatch.collector.tickets.port import (
    FAILURES,
    BarredError,
    Caps,
    Draft,
    Problem,
    RejectedError,
    Remote,
    Said,
    problem_of,
)
from tillwatch.collector.tickets.products.table_api import Row, TableApi, seconds, shown, term, value
from tillwatch.collector.tickets.settings import ReceiverSettings
from tillwatch.collector.values import setting

SOURCE = "tillwatch"
"""correlation_display of every incident that is ours."""

STATES = {
    "1": TicketState.OPEN,
    "2": TicketState.WORKING,
    "3": TicketState.ON_HOLD,
    "6": TicketState.RESOLVED,
    "7": TicketState.CLOSED,
    "8": TicketState.REJECTED,
}
"""Choices of incident.state as delivered: New, In Progress, On Hold, Resolved, Closed, Canceled."""

TARGETS = {
    TicketState.OPEN: "2",  # the button "Reopen Incident" puts it into progress, too
    TicketState.WORKING: "2",
    TicketState.ON_HOLD: "3",
    TicketState.REJECTED: "8",
}
"""What is written for a wish. Anything else is resolved, which the instance closes by itself after some days."""

AWAITING_VENDOR = "5"
"""hold_reason, mandatory on hold. "Awaiting caller" would write to the caller, and resolve without an answer."""

IMPACT_URGENCY = {1: ("1", "1"), 2: ("2", "1"), 3: ("3", "2")}
"""By level. The delivered priority lookup makes 1 Critical, 2 High and 4 Low of them; priority itself is read-only."""

PAGE = 100
"""Incidents in one answer of the poll: their ids have to fit into one query for their journals."""

MAX_JOURNAL = 500
"""Journal entries in one answer, the newest: some hundred times what one incident collects."""

OVERLAP_S = 120
"""The poll goes back as far: sys_updated_on is set when a write begins, and seen when it is committed."""

FIELDS = (
    "sys_id,number,state,assigned_to,sys_updated_on,sys_updated_by,correlation_id,correlation_display,close_code,"
    "parent_incident"
)
JOURNAL_FIELDS = "sys_id,element_id,value,sys_created_by,sys_created_on"


@dataclass(frozen=True, slots=True)
class Settings(ReceiverSettings):
    """url: of the instance; queue: an assignment group, by name or sys_id. caller: the user for caller_id, likewise; close_code: on resolving;
    duplicate_code: the close code of a duplicate.
    """

    caller: str = setting(values.text, "")
    close_code: str = setting(values.text, "Solution provided")
    duplicate_code: str = setting(values.text, "Duplicate")


def connect(name: str, settings: ReceiverSettings) -> ServiceNow:
    """Raises ValueError for an address that cannot be used."""
    assert isinstance(settings, Settings)
    return ServiceNow(name, settings)


@guarded
class ServiceNow:
    """The incidents of one instance."""

    caps = Caps(
        settle_s=30.0,
        max_title=160,  # incident.short_description
        max_body=4000,  # incident.description
        # The delivered write rule of incidents lets nobody but an administrator change these.
        final=frozenset({TicketState.CLOSED, TicketState.REJECTED}),
    )

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._settings = settings
        self._states = STATES | {word: TicketState(state) for word, state in settings.states.items()}
        self._fields = ",".join(filter(None, (FIELDS, settings.verdict_field)))
        self._tables = TableApi(settings)

    async def close(self) -> None:
        await self._tables.caller.close()

    async def preflight(self) -> list[Problem]:
        try:
            return [problem async for problem in self._problems()]
        except FAILURES as error:
            return [problem_of(error, "check the address, the secret, and that its user may read the table")]

    async def _problems(self) -> AsyncIterator[Problem]:
        settings, tables = self._settings, self._tables
        try:
            await self.find("no-such-key")
        except RejectedError as error:
            yield Problem(str(error), "let the user read incident.correlation_id and incident.correlation_display")
        for table, words in (("sys_user_group", settings.queue), ("sys_user", settings.caller)):
            try:
                await tables.reference(table, words)
            except RejectedError as error:
                yield Problem(str(error), "write a name or sys_id that exists once, and let the user read that table")
        codes = await tables.rows("sys_choice", "name=incident^element=close_code^inactive=false", "value", PAGE)
        if missing := sorted({settings.close_code, settings.duplicate_code} - {value(row, "value") for row in codes}):
            said = f"the instance has no close code {', '.join(missing)}"
            yield Problem(said, "set close_code and duplicate_code to values of the choice list incident.close_code")
        if user := tables.own_user():
            for row in await tables.rows("sys_user", f"user_name={term(user)}", "user_name,time_zone", 1):
                if value(row, "user_name") == user and value(row, "time_zone") not in {"", "GMT", "UTC"}:
                    said = f"the time zone of {user} is {value(row, 'time_zone')}"
                    yield Problem(said, "set it to GMT: times in a query are read in it")
        rows = await tables.rows("incident", "ORDERBYDESCsys_updated_on", self._fields, 1)
        if settings.verdict_field and rows and settings.verdict_field not in rows[0]:
            yield Problem(f"incidents have no field {settings.verdict_field}", "correct verdict_field")

    async def find(self, key: str) -> list[Remote]:
        query = f"correlation_id={term(key)}^correlation_display={SOURCE}^ORDERBYsys_created_on^ORDERBYnumber"
        rows = await self._tables.rows("incident", query, self._fields, PAGE)
        if any((value(row, "correlation_id"), value(row, "correlation_display")) != (key, SOURCE) for row in rows):
            raise RejectedError(
                f"{self._tables.host} was asked for {key} and told of other incidents: it does not search correlation_id"
            )
        return [self._remote(row) for row in rows]

    async def create(self, draft: Draft) -> Remote:
        impact, urgency = IMPACT_URGENCY[draft.level]
        body = {
            "short_description": draft.title,
            "description": draft.body,
            "impact": impact,
            "urgency": urgency,
            "correlation_id": term(draft.key),
            "correlation_display": SOURCE,
            "contact_type": "monitoring",
            "assignment_group": await self._tables.reference("sys_user_group", draft.queue or self._settings.queue),
            "caller_id": await self._tables.reference("sys_user", self._settings.caller),
            "cmdb_ci": await self._item(draft.terminal),
        }
        written = {field: held for field, held in body.items() if held}
        return self._remote(await self._tables.write("incident", "", self._fields, written))

    async def note(self, ticket: str, text: str) -> None:
        await self._tables.write("incident", ticket, self._fields, {"work_notes": text})

    async def has_note(self, ticket: str, mark: str) -> bool:
        query = f"element_id={term(ticket)}^element=work_notes^valueLIKE{term(mark)}"
        rows = await self._tables.rows("sys_journal_field", query, JOURNAL_FIELDS, PAGE)
        return any(value(row, "element_id") == ticket and mark in value(row, "value") for row in rows)

    async def set_state(self, ticket: str, target: TicketState, reason: str) -> None:
        body = {"state": TARGETS.get(target, "6")}
        if target is TicketState.ON_HOLD:
            body["hold_reason"] = AWAITING_VENDOR
        if target.over:
            # A data policy as delivered makes both mandatory: without them the answer is 403.
            duplicate = target is TicketState.DUPLICATE
            body["close_code"] = self._settings.duplicate_code if duplicate else self._settings.close_code
            body["close_notes"] = reason
        await self._tables.write("incident", ticket, self._fields, body)

    async def read(self, ticket: str) -> Remote:
        row = await self._tables.row("incident", ticket, self._fields)
        return self._remote(row, (await self._journals([ticket], "")).get(ticket, ()))

    async def changed_since(self, cursor: str) -> tuple[list[Remote], str]:
        if not cursor:
            rows = await self._ours("^ORDERBYDESCsys_updated_on", 1, 0)
            return [], str(max(0, _newest(rows) - OVERLAP_S))
        # Where more than a page changed within one second, the next page is found by its offset.
        start, _, skipped = cursor.partition("+")
        since = datetime.fromtimestamp(int(start), UTC).strftime("%Y-%m-%d %H:%M:%S")
        rows = await self._ours(f"^sys_updated_on>={since}^ORDERBYsys_updated_on", PAGE, int(skipped or 0))
        journals = await self._journals([value(row, "sys_id") for row in rows], f"^sys_created_on>={since}")
        found = [self._remote(row, journals.get(value(row, "sys_id"), ())) for row in rows]
        if len(rows) < PAGE:
            return found, str(max(int(start), _newest(rows) - OVERLAP_S))
        newest = _newest(rows)
        return found, str(newest) if newest > int(start) else f"{start}+{int(skipped or 0) + PAGE}"

    async def _ours(self, rest: str, limit: int, offset: int) -> list[Row]:
        rows = await self._tables.rows("incident", f"correlation_display={SOURCE}{rest}", self._fields, limit, offset)
        if any(value(row, "correlation_display") != SOURCE for row in rows):
            raise RejectedError(
                f"{self._tables.host} told of other incidents than ours: it does not search correlation_display"
            )
        return rows

    async def _journals(self, tickets: list[str], rest: str) -> Mapping[str, tuple[Said, ...]]:
        """What people wrote at these incidents, the oldest first."""
        if not tickets:
            return {}
        query = (
            f"element_idIN{','.join(map(as_id, tickets))}^elementINwork_notes,comments{rest}^ORDERBYDESCsys_created_on"
        )
        rows = await self._tables.rows("sys_journal_field", query, JOURNAL_FIELDS, MAX_JOURNAL)
        own, said = self._tables.own_user(), dict[str, tuple[Said, ...]]()
        for row in reversed(rows):
            by, ticket = value(row, "sys_created_by"), value(row, "element_id")
            if by != own and ticket in tickets:
                at = seconds(value(row, "sys_created_on")) * SECOND
                said[ticket] = (*said.get(ticket, ()), Said(value(row, "sys_id"), by, at, value(row, "value")))
        return said

    async def _item(self, terminal: str) -> str:
        """The configuration item of a terminal, empty unless there is exactly one: a ticket without one is better than no ticket."""
        try:
            rows = await self._tables.rows("cmdb_ci", f"name={term(terminal)}", "sys_id,name", 2) if terminal else []
        except (BarredError, RejectedError):
            return ""
        return value(rows[0], "sys_id") if len(rows) == 1 and value(rows[0], "name") == terminal else ""

    def _remote(self, row: Row, said: tuple[Said, ...] = ()) -> Remote:
        ticket, status = value(row, "sys_id"), value(row, "state")
        state = self._states.get(status)
        duplicate = state is not None and state.over and value(row, "close_code") == self._settings.duplicate_code
        return Remote(
            id=ticket,
            key=value(row, "correlation_id") if value(row, "correlation_display") == SOURCE else "",
            url=f"{self._tables.base}/incident.do?sys_id={quote(ticket, safe='')}",
            status=status,
            state=TicketState.DUPLICATE if duplicate and state is TicketState.RESOLVED else state,
            owner=shown(row, "assigned_to"),
            updated_at=seconds(value(row, "sys_updated_on")) * SECOND,
            by=value(row, "sys_updated_by"),
            merged_into=value(row, "parent_incident") if duplicate else "",
            verdict=self._settings.verdicts.get(value(row, self._settings.verdict_field), ""),
            said=said,
        )


def _newest(rows: list[Row]) -> int:
    return max((seconds(value(row, "sys_updated_on")) for row in rows), default=0)
