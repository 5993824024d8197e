"""GLPI 10 as apirest.md and its public source describe it: sessions, rights, search by numeric option, solutions, the dustbin.

What it does in silence, and so does this: an unknown field of a new ticket is dropped; a status that the profile forbids is left as it was and the
answer is true; a session sees only the entity in which it began until it asks for all.
"""

from __future__ import annotations

import html
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.collector.tickets.desks.contract import NotSupportedError, Seen
from tests.collector.tickets.desks.fake_http import Asked, FakeServer, Reply
from tillwatch.collector.tickets.desk import Desk
from tillwatch.collector.tickets.desks import glpi

USER_TOKEN, APP_TOKEN = "q56hqkniwot8wntb3z1qarka5atf365taaa2uyjrn", "f7g3csp8mgatg5ebc5elnazakw20i9fyev1qopya7"
US, TECH, BOSS = 7, 21, 22
USERS = {US: "hwmon", TECH: "weiss", BOSS: "管理员"}
OPTIONS = {"1": "name", "2": "id", "12": "status", "19": "date_mod", "7": "itilcategories_id", "80": "entities_id"}
FIELDS = {"name", "content", "urgency", "impact", "type", "entities_id", "itilcategories_id", "status", "priority"}
START = datetime(2026, 3, 1, 9, 0, 0)  # noqa: DTZ001 - GLPI tells times without a zone


def said(code: str, words: str = "") -> list[str]:
    return [code, f"{words or code}; view documentation in your browser at /apirest.php/#{code}"]


class FakeGlpi(FakeServer):
    secrets = (USER_TOKEN, APP_TOKEN)

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.secret = folder / "glpi-secret"
        self.secret.write_text(f"{USER_TOKEN}\n{APP_TOKEN}\n")
        self.rows: dict[int, dict[str, Any]] = {}
        self.notes: list[dict[str, Any]] = []
        self.solutions: list[dict[str, Any]] = []
        self.actors: list[dict[str, Any]] = []
        self.links: list[dict[str, Any]] = []
        self.sessions: dict[str, bool] = {}
        self.opened = 0
        self.now = START
        self.hidden: set[int] = set()
        self.options = dict(OPTIONS)
        self.forbidden_status: set[int] = set()
        self.without_rights = False
        self.entities = [{"id": 0, "name": "Bank", "completename": "Bank"}]
        self.entities += [{"id": 3, "name": "North", "completename": html.escape("Bank > North")}]
        self.categories = [{"id": 17, "name": "ATM", "completename": html.escape("Hardware > ATM")}]
        self.solution_types = {4: "False alarm", 5: "Part changed"}

    def tick(self) -> str:
        self.now += timedelta(seconds=1)
        return str(self.now)

    def touch(self, number: int, by: int) -> None:
        self.rows[number] |= {"date_mod": self.tick(), "users_id_lastupdater": by}

    def answer(self, asked: Asked) -> Reply:
        root, *what = [unquote(part) for part in asked.path.strip("/").split("/")]
        if root != "apirest.php" or not what:
            return Reply(404, "Not Found")
        if asked.method == "GET" and asked.headers.get("content-length", "0") != "0":
            return Reply(400, said("ERROR_JSON_PAYLOAD_FORBIDDEN", "GET requests must have an empty body"))
        if (token := asked.headers.get("app-token")) != APP_TOKEN:
            code = "ERROR_WRONG_APP_TOKEN_PARAMETER" if token else "ERROR_APP_TOKEN_PARAMETERS_MISSING"
            return Reply(400, said(code))
        if what == ["initSession"]:
            if asked.headers.get("authorization") != f"user_token {USER_TOKEN}":
                return Reply(401, said("ERROR_GLPI_LOGIN_USER_TOKEN"))
            self.opened += 1
            self.sessions[f"session-{self.opened}"] = False
            return Reply(200, {"session_token": f"session-{self.opened}"})
        session = asked.headers.get("session-token")
        if not session:
            return Reply(400, said("ERROR_SESSION_TOKEN_MISSING"))
        if session not in self.sessions:
            return Reply(401, said("ERROR_SESSION_TOKEN_INVALID"))
        if what == ["changeActiveEntities"]:
            self.sessions[session] = asked.body.get("entities_id") == "all"
            return Reply(200, True)
        if what == ["getFullSession"]:
            return Reply(200, {"session": {"glpiID": US, "glpiname": USERS[US]}})
        return self.within(asked, what, everywhere=self.sessions[session])

    def within(self, asked: Asked, what: list[str], *, everywhere: bool) -> Reply:
        match asked.method, what:
            case "GET", ["listSearchOptions", "Ticket"]:
                table = {"table": "glpi_tickets", "datatype": "string"}
                told = {number: {"name": field, "field": field, **table} for number, field in self.options.items()}
                return Reply(200, {"common": "Characteristics", **told})
            case "GET", ["search", "Ticket"]:
                return self.search(asked.query, everywhere=everywhere)
            case "GET", ["Ticket", number]:
                if int(number) not in self.rows:
                    return Reply(404, said("ERROR_ITEM_NOT_FOUND", "Item not found"))
                if int(number) in self.hidden:
                    return Reply(403, said("ERROR_RIGHT_MISSING", "You don't have permission to perform this action."))
                return Reply(200, self.rows[int(number)])
            case "GET", ["Ticket", number, kind] if kind in {"ITILFollowup", "ITILSolution", "Ticket_User"}:
                rows = {"ITILFollowup": self.notes, "ITILSolution": self.solutions, "Ticket_User": self.actors}[kind]
                mine = [row for row in rows if row.get("items_id", row.get("tickets_id")) == int(number)]
                if asked.query.get("expand_dropdowns") == "true" and kind == "ITILSolution":
                    mine = [r | {"solutiontypes_id": self.solution_types.get(r["solutiontypes_id"], 0)} for r in mine]
                return self.page(mine, asked.query)
            case "GET", ["User", number] if int(number) not in USERS:
                return Reply(403, said("ERROR_RIGHT_MISSING", "You don't have permission to perform this action."))
            case "GET", ["User", number]:
                return Reply(200, {"id": int(number), "name": USERS[int(number)]})
            case "GET", ["Ticket_Ticket" | "Entity" | "ITILCategory" as kind]:
                rows = {"Ticket_Ticket": self.links, "Entity": self.entities, "ITILCategory": self.categories}[kind]
                return self.page([row for row in rows if self.matches(row, asked.query)], asked.query)
            case "POST", ["Ticket" | "ITILFollowup" | "ITILSolution" as kind]:
                given = asked.body
                if not isinstance(given, dict) or not isinstance(given.get("input"), dict):
                    return Reply(400, said("ERROR_BAD_ARRAY", "input parameter must be an array of objects"))
                if self.without_rights:
                    return Reply(403, said("ERROR_RIGHT_MISSING", "You don't have permission to perform this action."))
                return self.add(kind, given["input"])
            case "PUT", ["Ticket", number]:
                return self.update(int(number), asked.body["input"])
        return Reply(400, said("ERROR_RESOURCE_NOT_FOUND_NOR_COMMONDBTM"))

    def matches(self, row: dict[str, Any], query: dict[str, str]) -> bool:
        """searchText is a text search in the field: ^ and $ hold on to its ends."""
        for name, value in query.items():
            if not name.startswith("searchText["):
                continue
            held, bare = str(row[name[11:-1]]), value.removeprefix("^").removesuffix("$")
            if (bare.lower() not in held.lower()) or (value.startswith("^") and not held.startswith(bare)):
                return False
            if value.endswith("$") and not held.endswith(bare):
                return False
        return True

    def page(self, rows: list[dict[str, Any]], query: dict[str, str]) -> Reply:
        start, end = (int(word) for word in query.get("range", "0-50").split("-"))
        if start and start >= len(rows):
            return Reply(400, said("ERROR_RANGE_EXCEED_TOTAL", "Provided range exceed total count of data"))
        rows = sorted(rows, key=lambda row: row["id"], reverse=query.get("order") == "DESC")
        part = rows[start : end + 1]
        headers = {"content-range": f"{start}-{start + len(part) - 1}/{len(rows)}", "accept-range": "Ticket 990"}
        return Reply(206 if len(part) < len(rows) else 200, part, headers)

    def search(self, query: dict[str, str], *, everywhere: bool) -> Reply:
        rows = [row for row in self.rows.values() if row["id"] not in self.hidden]
        rows = [row for row in rows if row["is_deleted"] == int(query.get("is_deleted", "0"))]
        rows = [row for row in rows if everywhere or row["entities_id"] == 0]
        for place in range(5):
            if (number := query.get(f"criteria[{place}][field]")) is None:
                continue
            if number not in self.options:
                return Reply(400, said("ERROR", "Bad field ID in search criteria"))
            field, value = self.options[number], query[f"criteria[{place}][value]"]
            how = query[f"criteria[{place}][searchtype]"]
            assert how in {"contains", "morethan"}
            rows = [
                row
                for row in rows
                if (value.lower() in str(row[field]).lower() if how == "contains" else str(row[field]) > value)
            ]
        sort = self.options[query.get("sort", "1")]
        rows.sort(key=lambda row: row[sort], reverse=query.get("order") == "DESC")
        start, end = (int(word) for word in query.get("range", "0-50").split("-"))
        if start and start >= len(rows):
            return Reply(400, said("ERROR_RANGE_EXCEED_TOTAL", "Provided range exceed total count of data"))
        columns = {"1", "2", "80"} | {value for name, value in query.items() if name.startswith("forcedisplay[")}
        part = [{number: row[self.options[number]] for number in columns} for row in rows[start : end + 1]]
        told: dict[str, Any] = {"totalcount": len(rows), "count": len(part), "sort": 1, "order": "ASC"}
        # An empty result has no `data` at all.
        return Reply(206 if len(part) < len(rows) else 200, told | ({"data": part} if part else {}))

    def add(self, kind: str, given: dict[str, Any]) -> Reply:
        if kind == "Ticket":
            if not given.get("content"):
                return Reply(
                    400, said("ERROR_GLPI_ADD", "Mandatory fields are not filled. Please correct: Description")
                )
            number = max(self.rows, default=100) + 1
            at = self.tick()
            self.rows[number] = {
                "id": number,
                "entities_id": 0,
                "itilcategories_id": 0,
                "status": 1,
                "date": at,
                "date_mod": at,
                "is_deleted": 0,
                "users_id_lastupdater": US,
                **{field: value for field, value in given.items() if field in FIELDS},
                "name": str(given["name"])[:255],
            }
            return Reply(201, {"id": number, "message": ""})
        ticket = self.rows.get(int(given["items_id"]))
        if ticket is None or given.get("itemtype") != "Ticket":
            return Reply(400, said("ERROR_GLPI_ADD", ""))
        if ticket["id"] in self.hidden:
            return Reply(403, said("ERROR_RIGHT_MISSING", "You don't have permission to perform this action."))
        if kind == "ITILSolution" and ticket["status"] == 5:
            return Reply(
                400, said("ERROR_GLPI_ADD", "The item is already solved, did anyone pushed a solution before you?")
            )
        return Reply(201, {"id": self.write(kind, ticket["id"], US, given), "message": ""})

    def write(self, kind: str, number: int, by: int, given: dict[str, Any]) -> int:
        rows = self.notes if kind == "ITILFollowup" else self.solutions
        row = {"id": len(self.notes) + len(self.solutions) + 1, "itemtype": "Ticket", "items_id": number}
        row |= {"users_id": by, "date": self.tick(), "is_private": given.get("is_private", 0)}
        # Since 9.5 a text is HTML, stored with its brackets as entities.
        row["content"] = html.escape(str(given["content"]), quote=False)
        row["solutiontypes_id"] = given.get("solutiontypes_id", 0)
        rows.append(row)
        if kind == "ITILSolution":
            self.rows[number]["status"] = 5
        self.touch(number, by)
        return int(row["id"])

    def update(self, number: int, given: dict[str, Any]) -> Reply:
        if number not in self.rows or self.rows[number]["is_deleted"]:
            return Reply(400, said("ERROR_GLPI_UPDATE", "Item not found"))
        if number in self.hidden:
            return Reply(200, [{str(number): False, "message": "You don't have permission to perform this action."}])
        if given.get("status") not in self.forbidden_status:
            self.rows[number]["status"] = given["status"]
        self.touch(number, US)
        return Reply(200, [{str(number): True, "message": ""}])

    # What people and the tests see and do.

    def receiver(self, address: str, **settings: Any) -> Desk:
        given = {"url": address, "secret_file": self.secret, **settings}
        return Desk(glpi.connect("glpi", glpi.Settings(**given)))

    def tickets(self, key: str) -> list[Seen]:
        with self.lock:
            mine = [row for row in self.rows.values() if f"[{key}]" in row["name"] and not row["is_deleted"]]
            return [self.seen(row, key) for row in mine]

    def seen(self, row: dict[str, Any], key: str) -> Seen:
        owners = [USERS[each["users_id"]] for each in self.actors if each["tickets_id"] == row["id"]]
        words = [*self.notes, *self.solutions]
        notes = [html.unescape(each["content"]) for each in words if each["items_id"] == row["id"]]
        state = glpi.STATES[glpi.WORDS[row["status"]]]
        owner = owners[0] if owners else ""
        return Seen(str(row["id"]), key, row["name"], html.unescape(row["content"]), state, owner, notes)

    def person(self, ticket: str, act: str, text: str = "") -> None:
        number = int(ticket)
        with self.lock:
            match act:
                case "own":
                    self.actors.append({"id": len(self.actors) + 1, "tickets_id": number, "users_id": TECH, "type": 2})
                    self.rows[number]["status"] = 2
                case "note":
                    self.write("ITILFollowup", number, TECH, {"content": f"<p>{text}</p>"})
                case "resolve":
                    self.write("ITILSolution", number, TECH, {"content": text or "done", "solutiontypes_id": 5})
                case "delete":
                    self.rows[number]["is_deleted"] = 1
                case "merge":
                    link = {"tickets_id_1": number, "tickets_id_2": int(text), "link": 2}
                    self.links.append({"id": len(self.links) + 1, **link})
                    self.rows[number]["is_deleted"] = 1
                case "work" | "hold" | "close" | "reopen":
                    self.rows[number]["status"] = {"work": 2, "hold": 4, "close": 6, "reopen": 1}[act]
                case _:
                    raise NotSupportedError(act)
            self.touch(number, TECH)
