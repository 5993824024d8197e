"""Zammad 6 as its REST documentation and public source describe it, with a search index that lags by a clock of its own.

What it does in silence, and so does this: an attribute that the ticket object does not have is dropped from a new ticket; a search in a field that
is not indexed finds nothing; a phrase finds longer texts that hold its words.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from tests.collector.tickets.desks.contract import NotSupportedError, Seen
from tests.collector.tickets.desks.fake_http import Asked, FakeServer, Reply
from tillwatch.collector.tickets.desk import Desk
from tillwatch.collector.tickets.desks import zammad

TOKEN = "Sh4Zu3wYQmN9s-zammad-token-kLp7xT2vB1"
US, TECH = "hwmon@bank.example", "weiss@bank.example"
LAG_S = 50.0
START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
PLAIN = {"title", "group", "state", "priority", "customer", "owner", "pending_time"}


def error(status: int, words: str) -> Reply:
    return Reply(status, {"error": words, "error_human": words})


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


class FakeZammad(FakeServer):
    secrets = (TOKEN,)

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.secret = folder / "zammad-secret"
        self.secret.write_text(TOKEN)
        self.now = 0.0
        self.lag_s = LAG_S
        self.numbers = count(101)
        self.rows: dict[int, dict[str, Any]] = {}
        self.articles: list[dict[str, Any]] = []
        self.links: list[tuple[int, int]] = []
        self.index: list[tuple[float, dict[str, Any]]] = []
        self.states = {"new", "open", "pending reminder", "pending close", "closed", "merged"}
        self.groups = {"Users": True, "Hardware": True, "Old": False}
        self.attributes = {"hwm_incident", "finding"}
        self.administers = True
        self.hidden: set[int] = set()

    def tick(self) -> str:
        self.now += 0.01
        told = (START + timedelta(seconds=self.now)).isoformat(timespec="milliseconds")
        return told.replace("+00:00", "Z")

    def touch(self, number: int, by: str) -> None:
        row = self.rows[number]
        row |= {"updated_at": self.tick(), "updated_by": by}
        self.index.append((self.now + self.lag_s, dict(row)))

    def answer(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Token token={TOKEN}":
            return error(401, "Invalid BasicAuth credentials")
        parts = asked.path.strip("/").split("/")
        if parts[:2] != ["api", "v1"]:
            return Reply(404, {"error": "This page doesn't exist."})
        match asked.method, parts[2:]:
            case "GET", ["users", "me"]:
                return Reply(200, {"id": 7, "login": US, "active": True})
            case "GET", ["ticket_states"]:
                listed = [{"id": n, "name": each, "active": True} for n, each in enumerate(sorted(self.states), 1)]
                return Reply(200, [*listed, {"id": 99, "name": "removed", "active": False}])
            case "GET", ["groups"]:
                return Reply(200, [{"id": n, "name": g, "active": on} for n, (g, on) in enumerate(self.groups.items())])
            case "GET", ["object_manager_attributes"]:
                if not self.administers:
                    return error(403, "User authorization failed.")
                return Reply(200, [{"object": "Ticket", "name": n, "active": True} for n in PLAIN | self.attributes])
            case "GET", ["tickets"]:
                return Reply(200, list(self.rows.values())[: int(asked.query["per_page"])])
            case "GET", ["tickets", "search"]:
                return self.search(asked)
            case "GET", ["tickets", number]:
                return self.found(int(number)) or Reply(200, self.rows[int(number)])
            case "POST", ["tickets"]:
                return self.create(asked.body)
            case "PUT", ["tickets", number]:
                return self.found(int(number)) or self.update(int(number), asked.body)
            case "POST", ["ticket_articles"]:
                number = int(asked.body["ticket_id"])
                return self.found(number) or Reply(201, self.write(number, US, asked.body))
            case "GET", ["ticket_articles", "by_ticket", number]:
                mine = [each for each in self.articles if each["ticket_id"] == int(number)]
                return self.found(int(number)) or Reply(200, mine)
            case "GET", ["links"]:
                assert asked.query["link_object"] == "Ticket"
                number = int(asked.query["link_object_value"])
                ends = [(b, "parent") for a, b in self.links if a == number]
                ends += [(a, "child") for a, b in self.links if b == number]
                told = [{"link_type": kind, "link_object": "Ticket", "link_object_value": end} for end, kind in ends]
                return Reply(200, {"links": told, "assets": {}})
        return Reply(404, {"error": "This page doesn't exist."})

    def found(self, number: int) -> Reply | None:
        if number not in self.rows:
            return error(404, f"Couldn't find Ticket with 'id'={number}")
        return error(403, "Not authorized") if number in self.hidden else None

    def search(self, asked: Asked) -> Reply:
        assert asked.query["expand"] == "true"
        seen: dict[int, dict[str, Any]] = {}
        for visible_at, row in self.index:
            if visible_at <= self.now:
                seen[row["id"]] = row
        query, by = asked.query["query"], asked.query["sort_by"]
        hits = [row for row in seen.values() if all(self.hit(row, term) for term in query.split(" AND "))]
        hits.sort(key=lambda row: row[by], reverse=asked.query["order_by"] == "desc")
        page, size = int(asked.query["page"]), int(asked.query["per_page"])
        # The index gives ids; what is told of them is read from the database.
        ids = [row["id"] for row in hits if row["id"] in self.rows and row["id"] not in self.hidden]
        return Reply(200, [self.rows[number] for number in ids[(page - 1) * size : page * size]])

    def hit(self, row: dict[str, Any], term: str) -> bool:
        if match := re.fullmatch(r"_exists_:(\w+)", term):
            return bool(row.get(match[1]))
        if match := re.fullmatch(r'updated_at:\["([^"]+)" TO \*\]', term):
            return bool(row["updated_at"] >= match[1])
        match = re.fullmatch(r'(\w+):"([^"]*)"', term)
        assert match, f"a query that is not understood: {term}"
        held, wanted = words(str(row.get(match[1], ""))), words(match[2])
        return any(held[at : at + len(wanted)] == wanted for at in range(len(held)))

    def create(self, given: dict[str, Any]) -> Reply:
        if not self.groups.get(given.get("group", "")):
            return error(422, f"No lookup value found for 'group': {given.get('group')!r}")
        if not given.get("title") or not given.get("article", {}).get("body"):
            return error(422, "Missing required value for field 'title'!")
        number, at = next(self.numbers), self.tick()
        row = {"id": number, "number": f"34{number}", "state": "new", "owner": zammad.NOBODY, "created_at": at}
        row |= dict.fromkeys(self.attributes)
        row |= {name: value for name, value in given.items() if name in PLAIN | self.attributes}
        self.rows[number] = row
        self.write(number, US, given["article"])
        return Reply(201, row)

    def update(self, number: int, given: dict[str, Any]) -> Reply:
        if given["state"] not in self.states:
            return error(422, f"No lookup value found for 'state': {given['state']!r}")
        if given["state"].startswith("pending") and not given.get("pending_time"):
            return error(422, "Missing required value for field 'pending_time'!")
        self.rows[number] |= given
        self.touch(number, US)
        return Reply(200, self.rows[number])

    def write(self, number: int, by: str, given: dict[str, Any]) -> dict[str, Any]:
        article = {"id": len(self.articles) + 1, "ticket_id": number, "created_by": by, "created_at": self.tick()}
        article |= {"sender": "Agent", "body": given["body"], "content_type": given.get("content_type", "text/html")}
        article |= {"internal": given.get("internal", False), "type": given.get("type", "note")}
        self.articles.append(article)
        self.touch(number, by)
        return article

    # What people and the tests see and do.

    def receiver(self, address: str, **settings: Any) -> Desk:
        given = {"url": address, "secret_file": self.secret, "queue": "Hardware", **settings}
        return Desk(zammad.connect("zammad", zammad.Settings(**given)))

    def tickets(self, key: str) -> list[Seen]:
        with self.lock:
            return [self.seen(row) for row in self.rows.values() if row.get("hwm_incident") == key]

    def seen(self, row: dict[str, Any]) -> Seen:
        body, *notes = [each["body"] for each in self.articles if each["ticket_id"] == row["id"]] or [""]
        owner = "" if row["owner"] == zammad.NOBODY else row["owner"]
        state = zammad.STATES[row["state"]]
        return Seen(str(row["id"]), row["hwm_incident"], row["title"], body, state, owner, notes)

    def person(self, ticket: str, act: str, text: str = "") -> None:
        number = int(ticket)
        states = {"work": "open", "hold": "pending reminder", "resolve": "pending close", "close": "closed"}
        states["reopen"] = "open"
        with self.lock:
            match act:
                case "own":
                    self.rows[number]["owner"] = TECH
                case "note":
                    self.write(number, TECH, {"body": f"<div>{text}<br>&amp; more</div>"})
                case "delete":
                    del self.rows[number]
                    return
                case "merge":
                    target = int(text)
                    for each in self.articles:
                        each["ticket_id"] = target if each["ticket_id"] == number else each["ticket_id"]
                    self.links.append((target, number))
                    self.rows[number] |= {"state": "merged", "owner": zammad.NOBODY}
                    self.touch(target, TECH)
                case _ if act in states:
                    self.rows[number]["state"] = states[act]
                case _:
                    raise NotSupportedError(act)
            self.touch(number, TECH)
