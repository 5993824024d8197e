"""Request Tracker 5, over REST 2: one ticket in one queue, its incident's key in a custom field.

Request Tracker answers 200 to many things that it did not do (measured against 5.0.3, as is everything said of it here): a word that is no status, a
right that is missing, a custom field that it does not know. What is written is therefore read back, and found by its key before it is believed.
Its sentences come in the language of its user and decide nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tillwatch.collector import values
from tillwatch.collector.tickets.calling import Caller
from tillwatch.collector.tickets.guarded import guarded
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
from tillwatch.collector.tickets.products.rest2 import (
    SPOKEN,
    Rest2,
    Row,
    any_of,
    chunks,
    custom,
    id_of,
    lacks,
    name_of,
    ns,
    number,
    quoted,
    shaped,
)
from tillwatch.collector.tickets.settings import ReceiverSettings
from tillwatch.collector.tickets.state_words import StateWords
from tillwatch.collector.values import setting

STATES: Mapping[str, TicketState] = {
    "new": TicketState.OPEN,
    "open": TicketState.WORKING,
    "stalled": TicketState.ON_HOLD,
    "resolved": TicketState.RESOLVED,
    "rejected": TicketState.REJECTED,
    "deleted": TicketState.CLOSED,
}
"""The lifecycle `default`. Every lifecycle has `deleted`: the row stays, out of every search; `read` says that it is gone."""

DELETED = "deleted"

PRIORITY: Mapping[int, int] = {1: 100, 2: 50, 3: 0}
"""Level -> priority: what RT 5 shows as High, Medium and Low (its default %PriorityAsString)."""

MAX_TITLE = 200
"""Characters: Tickets.Subject is varchar(200)."""

SETTLE_S = 30.0
"""A request takes 0.3 s there; one that waits for a worker, the database or the mail server takes far longer and is carried out in the end."""

OVERLAP_S = 120
"""How far back before the last time is asked again: a change has the time of its beginning and is seen when its transaction ends, at most
the time-out of a web server later; and our clock may be set meanwhile."""

MAIL = frozenset({"EmailRecord", "CommentEmailRecord", "SystemError"})
"""Kinds of transactions by which RT records what it did itself because of another one."""

NOBODY = "Nobody"
"""The owner of a ticket that has none."""

SYSTEM = "RT_System"
"""Who carries out what RT does by itself, such as opening a ticket that somebody answered."""

_NEEDED = ("id", "Status", "LastUpdated", "LastUpdatedBy", "Owner", "EffectiveId")


@dataclass(frozen=True, slots=True)
class Settings(ReceiverSettings):
    """key_field: custom field that holds the incident's key; level_field: that holds its level; part_field: where the technician writes what he
    changed. The secret is an authentication token of RT.
    """

    key_field: str = setting(values.text, "DedupKey")
    level_field: str = setting(values.text, "")
    part_field: str = setting(values.text, "")

    def problem(self) -> tuple[str, str] | None:
        if not self.queue:
            return "queue", "queue is missing; write the name of the queue that its tickets go to"
        for name in ("key_field", "level_field", "verdict_field", "part_field"):
            if set(getattr(self, name)) & set("{}"):
                return name, f"{name} is the plain name of a custom field, without braces"
        return super(Settings, self).problem()


def connect(name: str, settings: ReceiverSettings) -> RequestTracker:
    """Raises ValueError for an address that cannot be used."""
    assert isinstance(settings, Settings)
    return RequestTracker(name, settings)


@guarded
class RequestTracker:
    """One queue of one Request Tracker, and those that a draft names. clock: Unix seconds."""

    def __init__(self, name: str, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self.caps = Caps(settle_s=SETTLE_S, max_title=MAX_TITLE)
        self._settings = settings
        self._clock = clock
        self._words = StateWords(STATES, settings.states)
        self._me: tuple[str, str] = ("", "")
        # Made here and not read yet. Where such a one is hidden from us, every other one is, and each doubt would make one more.
        self._unread: set[str] = set()
        self._hidden = ""
        # Queues that were seen to take tickets and to have the key's field: as many as routes name.
        self._fit: set[str] = set()
        self._caller = Caller(
            settings.url.rstrip("/") + "/REST/2.0",
            lambda: {"authorization": f"token {settings.secret()}"},
            ca=settings.ca_file,
            timeout_s=settings.timeout,
            clock=clock,
        )
        self._rest = Rest2(self._caller)

    async def close(self) -> None:
        await self._caller.close()

    async def preflight(self) -> list[Problem]:
        try:
            await self._who_am_i()
            return [*await self._queue_problems(), *await self._hidden_problems()]
        except GoneError as error:
            return [Problem(str(error), "check the address: REST 2 is part of Request Tracker since version 5")]
        except FAILURES as error:
            return [problem_of(error, "check the address, and that the secret is a token of a user who is enabled")]

    async def find(self, key: str) -> list[Remote]:
        if self._hidden:
            raise BarredError(f"ticket {self._hidden} was made and may not be read: nor would another one be found")
        # A search leaves out what was merged, unless it says something of EffectiveId.
        query = f"{custom(self._settings.key_field)} = {quoted(key)} AND EffectiveId > 0"
        rows = await self._rest.tickets(query)
        if odd := [row["id"] for row in rows if self._key(row) != key]:
            raise RejectedError(f"asked for the key {key}, {self._caller.host} showed ticket {odd[0]} of another one")
        return [self._remote(row) for row in rows]

    async def create(self, draft: Draft) -> Remote:
        queue = draft.queue or self._settings.queue
        if queue not in self._fit:
            # In a queue without the field the ticket would be made without its key, and answered with 201.
            if lacking := lacks(queue, await self._rest.queue(queue), (self._settings.key_field,)):
                raise RejectedError(f"{lacking[0].what}: {lacking[0].mend}")
            self._fit.add(queue)
        fields = {self._settings.key_field: draft.key}
        if self._settings.level_field:
            fields[self._settings.level_field] = str(draft.level)
        ticket = {
            "Queue": queue,
            "Subject": draft.title,
            "Content": draft.body,
            "ContentType": "text/plain",
            "Priority": PRIORITY[draft.level],
            "CustomFields": fields,
        }
        answer = await self._caller.call("POST", "/ticket", write=True, body=ticket, accept=(403,))
        if answer.status == 403:
            # One queue that a route names must not stop all the others.
            raise RejectedError(
                f"{answer.host} takes no ticket in the queue {queue!r}: check its name, and that our user has "
                f"CreateTicket there: {answer.said()}"
            )
        made = answer.json()
        if not isinstance(made, dict) or not str(made.get("id", "")).isdecimal():
            raise UnclearError(f"{answer.host} answered {answer.status} to a new ticket without naming it")
        self._unread.add(str(made["id"]))
        return Remote(str(made["id"]), draft.key, self._page(made["id"]), "", None)

    async def note(self, ticket: str, text: str) -> None:
        body = {"Content": text, "ContentType": "text/plain"}
        try:
            await self._caller.call("POST", f"/ticket/{number(ticket)}/comment", write=True, body=body)
        except RejectedError:
            # 400 "Permission Denied" is also what it says of a ticket that is not there.
            await self._ticket(ticket)
            raise

    async def has_note(self, ticket: str, mark: str) -> bool:
        user, _ = await self._who_am_i()
        return await self._rest.wrote(ticket, user, mark)

    async def set_state(self, ticket: str, target: TicketState, reason: str) -> None:  # noqa: ARG002 - RT asks for none
        said: list[str] = []
        # Nothing of ours is deleted.
        for word in (word for word in self._words.of(target) if word != DELETED):
            said += await self._put_status(ticket, word)
            if (await self._ticket(ticket))[0]["Status"] == word:
                return
        raise RejectedError(f"ticket {ticket} did not become {target.value}: {' '.join(said) or 'no status for it'}")

    async def read(self, ticket: str) -> Remote:
        row, _ = await self._ticket(ticket)
        self._unread.discard(ticket)
        into = str(row["id"])
        if into == ticket:
            _, me = await self._who_am_i()
            return self._remote(row, said=await self._rest.spoken(ticket, me))
        return Remote(ticket, "", self._page(ticket), row["Status"], TicketState.DUPLICATE, merged_into=into)

    async def changed_since(self, cursor: str) -> tuple[list[Remote], str]:
        now = self._clock()
        if not cursor:
            return [], f"{now:.0f}/0"
        since, _, after = cursor.partition("/")
        window = f"'{max(0.0, now - float(since)) + OVERLAP_S:.0f} seconds ago'"
        rows, last = await self._rest.changed(window, int(after or 0))
        rows = await self._ours(rows)
        if last:
            following = f"{since}/{last}"
        else:
            rows += await self._deleted(window)
            following = f"{now:.0f}/0"
        history = await self._history(rows, window)
        said = await self._rest.said([each for told in history.values() for each in told if each["Type"] in SPOKEN])
        found = []
        for row in rows:
            if told := history.get(str(row["id"])):
                people = [name_of(each["Creator"]) for each in told if name_of(each["Creator"]) != SYSTEM]
                by = people[-1] if people else name_of(told[-1]["Creator"])
                wrote = (said[each["id"]] for each in told if each["id"] in said)
                found.append(self._remote(row, by=by, said=tuple(wrote)))
        return found, following

    # What a preflight asks.

    async def _who_am_i(self) -> tuple[str, str]:
        """Number and name of our user. A token says whose it is: version, user, random."""
        try:
            secret = self._settings.secret()
        except ValueError as error:
            raise BarredError(str(error)) from None
        parts = secret.split("-")
        if len(parts) != 3 or not parts[1].isdecimal():
            raise BarredError(
                "the secret is no authentication token of Request Tracker: make one in its user's settings"
            )
        if self._me[0] != parts[1]:
            answer = await self._caller.call("GET", f"/user/{parts[1]}", write=False)
            self._me = parts[1], str(shaped(answer, "Name")["Name"])
        return self._me

    async def _queue_problems(self) -> list[Problem]:
        settings = self._settings
        queue = await self._rest.queue(settings.queue)
        wanted = (settings.key_field, settings.level_field, settings.verdict_field, settings.part_field)
        problems = lacks(settings.queue, queue, wanted)
        lifecycle = queue["Lifecycle"] if queue else "default"
        known = {TicketState(state) for state in settings.states.values()}
        if lifecycle != "default" and not (
            TicketState.RESOLVED in known and known & {TicketState.OPEN, TicketState.WORKING}
        ):
            problems.append(
                Problem(
                    f"nobody has told what the statuses of the lifecycle {lifecycle!r} mean",
                    'write them as states = { "its word" = "open", "another" = "resolved" }',
                )
            )
        return problems

    async def _hidden_problems(self) -> list[Problem]:
        if self._hidden:
            try:
                await self.read(self._hidden)
            except BarredError as error:
                return [Problem(str(error), "give our user ShowTicket in the queue")]
            except GoneError:
                pass
            self._hidden = ""
        return []

    # One ticket.

    async def _ticket(self, ticket: str) -> tuple[Row, str]:
        """The ticket, or the one that it was merged into, and its ETag."""
        answer = await self._caller.call("GET", f"/ticket/{number(ticket)}", write=False, accept=(403,))
        if answer.status == 403:
            if ticket in self._unread:
                self._hidden = ticket
                raise BarredError(f"ticket {ticket} was made and may not be read")
            raise RejectedError(
                f"ticket {ticket} may not be read: give our user ShowTicket in the queue it was moved to"
            )
        row = shaped(answer, *_NEEDED)
        if row["Status"] == DELETED:
            raise GoneError(f"ticket {ticket} was deleted")
        return row, answer.headers.get("etag", "")

    async def _put_status(self, ticket: str, word: str) -> list[str]:
        """The sentences that it answered. One of them may say that it did not happen."""
        for _ in range(2):
            row, etag = await self._ticket(ticket)
            if row["Status"] == word:
                return []
            answer = await self._caller.call(
                "PUT",
                f"/ticket/{number(ticket)}",
                write=True,
                body={"Status": word},
                headers={"if-match": etag} if etag else {},
                accept=(412,),
            )
            if answer.status != 412:
                said = answer.json()
                return [str(each) for each in said] if isinstance(said, list) else []
        raise NotAppliedError(f"ticket {ticket} was changed by somebody else each time")

    # What changed.

    async def _ours(self, rows: list[Row]) -> list[Row]:
        """Those that hold a key, or go on in the place of one that does."""
        keyless = [str(row["id"]) for row in rows if not self._key(row) and id_of(row["EffectiveId"]) == str(row["id"])]
        into: set[str] = set()
        for some in chunks(keyless):
            query = f"{custom(self._settings.key_field)} IS NOT NULL AND {any_of('EffectiveId', some)}"
            into |= {id_of(row["EffectiveId"]) for row in await self._rest.tickets(query)}
        return [row for row in rows if self._key(row) or str(row["id"]) in into]

    async def _deleted(self, window: str) -> list[Row]:
        """No search shows a deleted ticket. Its history does."""
        query = f"Type = 'Status' AND NewValue = '{DELETED}' AND Created > {window}"
        rows = []
        for ticket in sorted({str(each["ObjectId"]) for each in await self._rest.transactions(query)}, key=int):
            answer = await self._caller.call("GET", f"/ticket/{number(ticket)}", write=False, accept=(403, 404))
            if answer.status == 200 and (row := shaped(answer, *_NEEDED))["Status"] == DELETED and self._key(row):
                rows.append(row)
        return rows

    async def _history(self, rows: Iterable[Row], window: str) -> dict[str, list[Row]]:
        """Ticket -> what others than we did to it in this window, the oldest first."""
        _, me = await self._who_am_i()
        told: dict[str, list[Row]] = {}
        for some in chunks([str(row["id"]) for row in rows]):
            query = f"Created > {window} AND {any_of('ObjectId', some)}"
            for each in await self._rest.transactions(query):
                if name_of(each["Creator"]) != me and each["Type"] not in MAIL:
                    told.setdefault(str(each["ObjectId"]), []).append(each)
        return told

    # Rows.

    def _remote(self, row: Row, *, by: str = "", said: tuple[Said, ...] = ()) -> Remote:
        ticket, into = str(row["id"]), id_of(row["EffectiveId"])
        merged = into not in {"", ticket}
        owner, settings = name_of(row["Owner"]), self._settings
        verdict = self._value(row, settings.verdict_field)
        return Remote(
            id=ticket,
            key=self._key(row),
            url=self._page(ticket),
            status=row["Status"],
            # One that was merged keeps the status that it had.
            state=TicketState.DUPLICATE if merged else self._words.meaning(row["Status"]),
            owner="" if owner == NOBODY else owner,
            updated_at=ns(row["LastUpdated"]),
            by=by or name_of(row["LastUpdatedBy"]),
            merged_into=into if merged else "",
            verdict=settings.verdicts.get(verdict, ""),
            part=self._value(row, settings.part_field),
            said=said,
        )

    def _key(self, row: Row) -> str:
        return self._value(row, self._settings.key_field)

    def _value(self, row: Row, name: str) -> str:
        for field in row.get("CustomFields") or ():
            if name and field["name"] == name and field["values"]:
                return str(field["values"][0])
        return ""

    def _page(self, ticket: str | int) -> str:
        return f"{self._settings.url.rstrip('/')}/Ticket/Display.html?id={ticket}"
