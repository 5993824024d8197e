"""GLPI over its REST API (apirest.php), written from the documentation and the public source of GLPI 10, not yet run against a live GLPI.

GLPI has no field for a key of ours, so the key stands in the title, `[HWM-...]`, and is looked for there. Sessions are opened with the user's token
and opened again when they end. GLPI tells times without a zone: `timezone` is the one that the user of the token has there.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tillwatch.collector.tickets.calling import NUMBER, Answer, Caller, as_id
from tillwatch.collector.tickets.delivery import SECOND
from tillwatch.collector.tickets.guarded import guarded
from tillwatch.collector.tickets.lookout import Lookout
from tillwatch.collector.tickets.message import OURS, TicketState
from tillwatch.collector.tickets.port import (
    FAILURES,
    BarredError,
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

MAX_TITLE = 200
"""Of glpi_tickets.name, varchar(255), with room for a key of 40 characters in brackets."""

PAGE = 100
"""Rows asked for at once; the default is 50."""

MAX_PAGES = 50
"""Of one list: of the newest notes of a ticket, or of the oldest changes, whose rest comes with the next look. A count that is a lie ends here."""

PEOPLE = 1000
"""Names that are kept: as many as ever work on such tickets. When there are more, they are asked for anew."""

OVERLAP_S = 3720
"""How far a look for changes reaches back: date_mod is local time, which goes back an hour in autumn."""

TITLE, ID, CHANGED = "1", "2", "19"
"""Search options of a Ticket. CommonITILObject::rawSearchOptions has had these numbers since 0.8; the preflight looks."""

FIELDS = {TITLE: "name", ID: "id", CHANGED: "date_mod"}
KEY = re.compile(rf"\[({OURS}[!-Z^-~]{{1,36}})\]")
WORDS = {1: "new", 2: "assigned", 3: "planned", 4: "waiting", 5: "solved", 6: "closed"}
"""CommonITILObject: INCOMING to CLOSED."""

STATES = {
    "new": TicketState.OPEN,
    "assigned": TicketState.WORKING,
    "planned": TicketState.WORKING,
    "waiting": TicketState.ON_HOLD,
    "solved": TicketState.RESOLVED,
    "closed": TicketState.CLOSED,
}
NUMBERS = {TicketState.OPEN: 1, TicketState.WORKING: 2, TicketState.ON_HOLD: 4, TicketState.CLOSED: 6}
URGENCY = {1: 5, 2: 4, 3: 3}
"""Level -> urgency and impact, of which GLPI makes the priority: 5 is very high."""

ASSIGNED = 2
"""CommonITILActor::ASSIGN."""

DECLINED = (400, 401, 403, 404)
"""Answered with a code, by which they are told apart: 401 may be a session that ended, 403 a ticket in an entity that we may not see."""

BARS = {"ERROR_WRONG_APP_TOKEN_PARAMETER", "ERROR_APP_TOKEN_PARAMETERS_MISSING", "ERROR_NOT_ALLOWED_IP"}
SESSION_OVER = {"ERROR_SESSION_TOKEN_INVALID", "ERROR_SESSION_TOKEN_MISSING"}


def _zone(value: Any) -> str:
    try:
        return str(ZoneInfo(text(value)))
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError('write a time zone by its name, for example "Asia/Shanghai"') from None


@dataclass(frozen=True, slots=True)
class Settings(ReceiverSettings):
    """url: of GLPI, without apirest.php. The secret: the user's API token, and in a second line the App-Token if the API client has one. queue: a
    category, or entity:category, by number or complete name. timezone: of the times that GLPI tells this user.
    """

    timezone: str = setting(_zone, "UTC")


def connect(name: str, settings: ReceiverSettings) -> Glpi:
    """Raises ValueError for an address that cannot be used."""
    assert isinstance(settings, Settings)
    return Glpi(name, settings)


@guarded
class Glpi:
    """One GLPI; see TicketPort."""

    caps = Caps(max_title=MAX_TITLE)

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._settings = settings
        self._root = settings.url.rstrip("/").removesuffix("/apirest.php")
        self._caller = Caller(
            f"{self._root}/apirest.php", self._app_token, ca=settings.ca_file, timeout_s=settings.timeout
        )
        self._zone = ZoneInfo(settings.timezone)
        self._session = ""
        self._user = 0
        self._people: dict[int, str] = {}
        self._places: dict[str, dict[str, int]] = {}
        self._lookout = Lookout[str](coarse=True)

    async def preflight(self) -> list[Problem]:
        try:
            options = (await self._ask("GET", "/listSearchOptions/Ticket")).json()
            wrong = [number for number, field in FIELDS.items() if options.get(number, {}).get("field") != field]
            await self._place(self._settings.queue)
        except FAILURES as error:
            return [problem_of(error)]
        return [Problem(f"search option {each} is not {FIELDS[each]} here", "report this version") for each in wrong]

    async def find(self, key: str) -> list[Remote]:
        rows = [row async for row in self._search({"field": TITLE, "searchtype": "contains", "value": f"[{key}]"})]
        if odd := [row for row in rows if _key(row.get(TITLE)) != key]:
            raise RejectedError(f"GLPI answered a search for {key} with other tickets: {len(odd)} of {len(rows)}")
        return [await self.read(ticket) for ticket in sorted((str(row[ID]) for row in rows), key=int)]

    async def create(self, draft: Draft) -> Remote:
        urgency = URGENCY.get(draft.level, 3)
        given = {"name": f"[{draft.key}] {draft.title}", "content": _rich(draft.body), "type": 1}
        place = await self._place(draft.queue or self._settings.queue)
        made = await self._add("Ticket", {**given, "urgency": urgency, "impact": urgency, **place})
        return Remote(made, draft.key, self._url(made), WORDS[1], TicketState.OPEN)

    async def note(self, ticket: str, text: str) -> None:
        await self._add("ITILFollowup", {**_of(ticket), "content": _rich(text), "is_private": 1})

    async def has_note(self, ticket: str, mark: str) -> bool:
        async for each in self._list(f"/Ticket/{as_id(ticket, NUMBER)}/ITILFollowup"):
            if mark in _plain(each.get("content")):
                return True
        return False

    async def set_state(self, ticket: str, target: TicketState, reason: str) -> None:
        if (number := NUMBERS.get(target)) is None:
            await self._add("ITILSolution", {**_of(ticket), "content": _rich(reason)})
            return
        answer = await self._ask("PUT", f"/Ticket/{as_id(ticket, NUMBER)}", {"input": {"status": number}}, write=True)
        rows = answer.json()
        if not (isinstance(rows, list) and rows and isinstance(rows[0], dict) and rows[0].get(str(ticket)) is True):
            raise RejectedError(f"GLPI declined to change ticket {ticket}: {answer.said()}")

    async def read(self, ticket: str) -> Remote:
        row = (await self._ask("GET", f"/Ticket/{as_id(ticket, NUMBER)}")).json()
        followed = ""
        if row.get("is_deleted"):
            links = self._list("/Ticket_Ticket", {"searchText[tickets_id_1]": f"^{ticket}$"})
            # The filter is a text search: only the row itself tells whose link it is.
            ends = [str(each["tickets_id_2"]) async for each in links if str(each.get("tickets_id_1")) == ticket]
            if not ends:
                raise GoneError(f"ticket {ticket} is in the dustbin")
            followed = ends[-1]
        actors = [each async for each in self._list(f"/Ticket/{ticket}/Ticket_User")]
        notes = [each async for each in self._list(f"/Ticket/{ticket}/ITILFollowup")]
        owner = next((each["users_id"] for each in actors if each.get("type") == ASSIGNED), 0)
        word = WORDS.get(int(row["status"]), str(row["status"]))
        state = self._settings.states.get(word) or STATES.get(word)
        said = [
            Said(str(each["id"]), await self._person(each["users_id"]), self._ns(each["date"]), _plain(each["content"]))
            for each in sorted(notes, key=lambda each: int(each["id"]))
            if each["users_id"] != self._user
        ]
        return Remote(
            ticket,
            _key(row.get("name")),
            self._url(ticket),
            word,
            TicketState.DUPLICATE if followed else TicketState(state) if state else None,
            owner=await self._person(owner),
            updated_at=self._ns(row["date_mod"]),
            by=await self._person(row.get("users_id_lastupdater") or 0),
            merged_into=followed,
            verdict=await self._verdict(ticket, row) if self._settings.verdict_field else "",
            said=tuple(said),
        )

    async def changed_since(self, cursor: str) -> tuple[list[Remote], str]:
        if not cursor:
            async for row in self._search(
                {"field": TITLE, "searchtype": "contains", "value": f"[{OURS}"}, order="DESC"
            ):
                return [], str(row[CHANGED])
            return [], "1970-01-01 00:00:00"
        since = str(datetime.fromisoformat(cursor) - timedelta(seconds=OVERLAP_S))
        rows: list[tuple[str, str]] = []
        for binned in ("0", "1"):
            found = self._search({"field": CHANGED, "searchtype": "morethan", "value": since}, binned=binned)
            rows += [(str(row[CHANGED]), str(row[ID])) async for row in found if _key(row.get(TITLE))]
        due, following = self._lookout.due(rows, cursor, cursor)
        changed: list[Remote] = []
        for ticket in due:
            with suppress(GoneError, RejectedError):  # whoever holds a link to it is told so when he reads it
                changed.append(await self.read(ticket))
        self._lookout.done()
        return changed, following

    async def close(self) -> None:
        await self._caller.close()

    async def _ask(
        self, method: str, path: str, body: Any = None, *, params: Mapping[str, str] | None = None, write: bool = False
    ) -> Answer:
        """One request in a session; in a new one if that had ended, of which GLPI tells before it does anything."""
        for again in (False, True):
            session = self._session or await self._begin()
            answer = await self._caller.call(
                method, path, write=write, params=params, body=body, headers={"session-token": session}, accept=DECLINED
            )
            code = _code(answer)
            if code not in SESSION_OVER or again:
                return _judged(answer, code, f"{method} {path.partition('?')[0]}")
            if self._session == session:
                self._session = ""
        raise AssertionError("the second time is the last one")

    async def _begin(self) -> str:
        try:
            token = self._settings.secret().splitlines()[0].strip()
        except ValueError as error:
            raise BarredError(str(error)) from None
        given = {"authorization": f"user_token {token}"}
        answer = await self._caller.call("GET", "/initSession", write=False, headers=given, accept=DECLINED)
        if code := _code(answer):
            raise BarredError(f"{answer.host} opens no session ({code}): check the token, and the App-Token")
        session = str(_judged(answer, "", "initSession").json()["session_token"])
        held = {"session-token": session}
        # As it begins, a session sees one entity only: tickets of the others would be searched in vain.
        everywhere = {"entities_id": "all", "is_recursive": True}
        await self._caller.call("POST", "/changeActiveEntities", write=False, body=everywhere, headers=held)
        told = (await self._caller.call("GET", "/getFullSession", write=False, headers=held)).json()
        self._user, self._session = int(told["session"]["glpiID"]), session
        return session

    async def _add(self, kind: str, fields: Mapping[str, Any]) -> str:
        answer = await self._ask("POST", f"/{kind}", {"input": fields}, write=True)
        made = answer.json()
        while isinstance(made, list) and made:
            made = made[-1]  # 207: [code, [what became of each]]
        number = made.get("id") if isinstance(made, dict) else None
        if number is False:
            raise RejectedError(f"GLPI declined to add {kind}: {answer.said()}")
        if not isinstance(number, int):
            raise UnclearError(f"GLPI answered {answer.status} to a new {kind} without its id")
        return str(number)

    async def _list(self, path: str, params: Mapping[str, str] | None = None) -> AsyncIterator[dict[str, Any]]:
        """All rows, the newest first, page by page; Content-Range says how many there are."""
        total = 1
        for start in range(0, MAX_PAGES * PAGE, PAGE):
            if start >= total:
                return
            asked = {**(params or {}), "range": f"{start}-{start + PAGE - 1}", "order": "DESC"}
            answer = await self._ask("GET", path, params=asked)
            told = re.search(r"/([0-9]+)$", answer.headers.get("content-range", ""))
            total = int(told[1]) if told else 0
            for row in answer.json():
                yield row

    async def _search(
        self, criterion: Mapping[str, str], *, binned: str = "0", order: str = "ASC"
    ) -> AsyncIterator[dict[str, Any]]:
        asked = {f"criteria[0][{name}]": value for name, value in criterion.items()}
        asked |= {f"forcedisplay[{place}]": number for place, number in enumerate(FIELDS)}
        asked |= {"sort": CHANGED, "order": order, "is_deleted": binned}
        total = 1
        for start in range(0, MAX_PAGES * PAGE, PAGE):
            if start >= total:
                return
            asked["range"] = f"{start}-{start + PAGE - 1}"
            found = (await self._ask("GET", "/search/Ticket", params=asked)).json()
            total = int(found["totalcount"])
            for row in found.get("data", []):
                yield row

    async def _place(self, queue: str) -> dict[str, int]:
        """Entity and category of a queue, by number or name."""
        if not queue:
            return {}
        if queue not in self._places:
            entity, _, category = queue.rpartition(":")
            named = (("entities_id", "Entity", entity), ("itilcategories_id", "ITILCategory", category))
            self._places[queue] = {
                field: int(word) if word.strip().isdigit() else await self._numbered(kind, word.strip())
                for field, kind, word in named
                if word.strip()
            }
        return self._places[queue]

    async def _numbered(self, kind: str, name: str) -> int:
        leaf = name.rpartition(">")[2].strip()
        async for row in self._list(f"/{kind}", {"searchText[name]": leaf}):
            if name in (html.unescape(str(row.get("completename"))), html.unescape(str(row.get("name")))):
                return int(row["id"])
        raise RejectedError(f"GLPI has no {kind} {name!r} that its user may see: check the queue")

    async def _person(self, number: int) -> str:
        if number and number not in self._people:
            name = str(number)
            with suppress(RejectedError, GoneError):  # a user who is gone, or whom our profile may not read
                name = str((await self._ask("GET", f"/User/{int(number)}")).json().get("name") or number)
            if len(self._people) >= PEOPLE:
                self._people.clear()
            self._people[number] = name
        return self._people.get(number, "")

    async def _verdict(self, ticket: str, row: Mapping[str, Any]) -> str:
        """From the newest solution, whose type says what it was, or from the ticket."""
        field = self._settings.verdict_field
        named = {"expand_dropdowns": "true"}
        async for each in self._list(f"/Ticket/{ticket}/ITILSolution", named):
            return self._settings.verdicts.get(html.unescape(str(each.get(field))), "")
        return self._settings.verdicts.get(str(row.get(field)), "")

    def _app_token(self) -> dict[str, str]:
        lines = self._settings.secret().splitlines()
        return {"app-token": lines[1].strip()} if len(lines) > 1 else {}

    def _url(self, ticket: str) -> str:
        return f"{self._root}/front/ticket.form.php?id={ticket}"

    def _ns(self, told: str) -> int:
        return int(datetime.fromisoformat(told).replace(tzinfo=self._zone).timestamp()) * SECOND


def _judged(answer: Answer, code: str, what: str) -> Answer:
    if answer.status < 300:
        return answer
    said = f"{answer.host} answered {answer.status} to {what}: {answer.said()}"
    if code == "ERROR_ITEM_NOT_FOUND":
        raise GoneError(said)
    if answer.status == 401 or code in BARS or not code:
        raise BarredError(said)
    raise RejectedError(said)


def _code(answer: Answer) -> str:
    """Of an error, which GLPI tells as [code, words]."""
    if answer.status < 300:
        return ""
    try:
        said = json.loads(answer.body)
    except ValueError:
        return ""
    return said[0] if isinstance(said, list) and said and isinstance(said[0], str) else ""


def _of(ticket: str) -> dict[str, Any]:
    return {"itemtype": "Ticket", "items_id": int(as_id(ticket, NUMBER))}


def _key(title: Any) -> str:
    match = KEY.search(str(title or ""))
    return match[1] if match else ""


def _rich(plain: str) -> str:
    """Texts are HTML since 9.5: what is not marked up runs together in one line."""
    return "<p>" + html.escape(plain, quote=False).replace("\n", "<br>") + "</p>"


def _plain(rich: Any) -> str:
    """GLPI 9 and 10 store HTML with its brackets as entities, 11 as it is."""
    told = str(rich or "")
    lines = re.sub(r"<br[^>]*>|</p>|</div>", "\n", told if "<" in told else html.unescape(told))
    return html.unescape(re.sub(r"<[^>]*>", "", lines)).strip()
