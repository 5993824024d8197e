"""A stand-in for Redmine 5.0.4, as it was measured: what it takes silently and does not do, it takes silently and does not do here.

Measured: 204 for a status that is not there, with the note beside it written; every ticket for a filter by a field that is not there, 422 for a filter by one that is there but
without a value; the view of nobody
for a list with a wrong key, 401 with an empty body for all else; 404 with an empty body for a ticket or project that is not there; 422 with a list of
errors. Its pages for addresses that nobody knows are HTML.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.collector.tickets.desks.contract import NotSupportedError, Seen
from tests.collector.tickets.desks.redmine_server import STATUS, connected, seen
from tillwatch.collector.tickets.desk import Desk

KEY = "0123456789abcdef0123456789abcdef01234567"
FIELDS = {1: "dedup_key", 2: "verdict", 3: "part"}
STATUSES = {1: "New", 2: "In Progress", 3: "Resolved", 4: "Feedback", 5: "Closed", 6: "Rejected"}
CLOSED = {5, 6}
PRIORITIES = {1: "Low", 2: "Normal", 3: "High", 4: "Urgent", 5: "Immediate"}
PROJECT = {"id": 1, "name": "Hardware"}
SERVICE = {"id": 5, "name": "tillwatch service"}
TECHNICIAN = {"id": 6, "name": "Wei Li"}


class FakeRedmine:
    """The state behind a lock, and the server. workflow: whether statuses may be changed by the service's user."""

    secrets = (KEY,)

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.issues: dict[int, dict[str, Any]] = {}
        self.workflow = True
        self.address = ""
        self._made = self._journaled = 0

    def receiver(self, address: str, **settings: Any) -> Desk:
        return connected(address, 1, KEY, **settings)

    def tickets(self, key: str) -> list[Seen]:
        with self.lock:
            return [seen(issue, 1) for issue in self.issues.values() if issue["custom_fields"][0]["value"] == key]

    def person(self, ticket: str, act: str, text: str = "") -> None:
        with self.lock:
            issue = self.issues[int(ticket)]
            words = {word: number for number, word in STATUSES.items()}
            if act in STATUS:
                self.change(issue, TECHNICIAN, {"status_id": words[STATUS[act]]})
            elif act == "own":
                self.change(issue, TECHNICIAN, {"assigned_to": TECHNICIAN})
            elif act == "note":
                self.change(issue, TECHNICIAN, {"notes": text})
            elif act == "delete":
                del self.issues[int(ticket)]
            elif act == "merge":
                relation = {"issue_id": int(ticket), "issue_to_id": int(text), "relation_type": "duplicates"}
                issue["relations"].append(relation)
                self.person(ticket, "close")
            else:
                raise NotSupportedError(act)

    def fill(self, ticket: str, name: str, value: str) -> None:
        with self.lock:
            issue = self.issues[int(ticket)]
            next(each for each in issue["custom_fields"] if each["name"] == name)["value"] = value
            self._journal(issue, TECHNICIAN, "")

    # What its interface does.

    def listed(self, asked: dict[str, str], *, known: bool) -> dict[str, Any]:
        rows = list(self.issues.values()) if known else []
        for name, value in asked.items():
            number = int(name.removeprefix("cf_")) if name.startswith("cf_") else 0
            if number in FIELDS:
                rows = [row for row in rows if _matches(row["custom_fields"][number - 1]["value"], value)]
        if asked.get("status_id") != "*":
            rows = [row for row in rows if not row["status"]["is_closed"]]
        if since := asked.get("updated_on"):
            assert since.startswith(">=")
            rows = [row for row in rows if row["updated_on"] >= since[2:]]
        by, _, order = asked.get("sort", "id:desc").partition(":")
        rows.sort(key=lambda row: (row[by], row["id"]), reverse=order == "desc")
        offset, limit = int(asked.get("offset", 0)), min(100, int(asked.get("limit", 25)))
        shown = [{k: v for k, v in row.items() if k not in {"journals", "relations"}} for row in rows]
        page = shown[offset : offset + limit]
        return {"issues": page, "total_count": len(rows), "offset": offset, "limit": limit}

    def create(self, asked: dict[str, Any]) -> tuple[int, Any]:
        errors = [] if asked.get("subject") else ["Subject cannot be blank"]
        if len(asked.get("subject") or "") > 255:
            errors.append("Subject is too long (maximum is 255 characters)")
        if asked.get("project_id") != "hardware":
            errors += ["Project cannot be blank", "Tracker cannot be blank", "Status cannot be blank"]
        if asked.get("priority_id", 2) not in PRIORITIES:
            errors.append("Priority cannot be blank")
        if errors:
            return 422, {"errors": errors}
        self._made += 1
        given = {each["id"]: each["value"] for each in asked.get("custom_fields", ())}
        number = asked.get("priority_id", 2)
        issue = {
            "id": self._made,
            "project": PROJECT,
            "status": _status(1),
            "priority": {"id": number, "name": PRIORITIES[number]},
            "author": SERVICE,
            "subject": asked["subject"],
            "description": asked.get("description"),
            "custom_fields": [{"id": one, "name": name, "value": given.get(one)} for one, name in FIELDS.items()],
            "created_on": _now(),
            "updated_on": _now(),
            "journals": [],
            "relations": [],
        }
        self.issues[self._made] = issue
        return 201, {"issue": {k: v for k, v in issue.items() if k not in {"journals", "relations"}}}

    def change(self, issue: dict[str, Any], user: dict[str, Any], asked: dict[str, Any]) -> None:
        """What is not known or not allowed is left out, and nobody is told."""
        if asked.get("status_id") in STATUSES and (self.workflow or user is not SERVICE):
            issue["status"] = _status(asked["status_id"])
        if "assigned_to" in asked:
            issue["assigned_to"] = asked["assigned_to"]
        if asked.get("notes") or set(asked) & {"status_id", "assigned_to"}:
            self._journal(issue, user, asked.get("notes", ""))

    def _journal(self, issue: dict[str, Any], user: dict[str, Any], notes: str) -> None:
        self._journaled += 1
        issue["journals"].append({"id": self._journaled, "user": user, "notes": notes, "created_on": _now()})
        issue["updated_on"] = _now()

    def answer(self, method: str, target: str, key: str, body: bytes) -> tuple[int, Any]:
        parts = urlsplit(target)
        asked = dict(parse_qsl(parts.query))
        known = key == KEY
        way = parts.path.removesuffix(".json").strip("/").split("/")
        if not parts.path.endswith(".json"):
            return 404, None
        if (method, way) == ("GET", ["issues"]):
            if (name := asked.get("f[]", "")) in {f"cf_{number}" for number in FIELDS} and f"v[{name}][]" not in asked:
                return 422, {"errors": [f"{FIELDS[int(name[3:])]} cannot be blank"]}
            return 200, self.listed(asked, known=known)
        if not known:
            return 401, b""
        match method, way:
            case "GET", ["users", "current"]:
                return 200, {"user": {"id": SERVICE["id"], "login": "hwmon", "api_key": KEY}}
            case "GET", ["projects", name]:
                return (200, {"project": PROJECT}) if name == "hardware" else (404, b"")
            case "GET", ["issue_statuses"]:
                return 200, {"issue_statuses": [_status(number) for number in STATUSES]}
            case "GET", ["enumerations", "issue_priorities"]:
                return 200, {"issue_priorities": [{"id": at, "name": name} for at, name in PRIORITIES.items()]}
            case "POST", ["issues"]:
                return self.create(json.loads(body)["issue"])
            case "GET", ["issues", number] if int(number) in self.issues:
                shown = self.issues[int(number)]
                more = {"journals", "relations"} - set(asked.get("include", "").split(","))
                return 200, {"issue": {k: v for k, v in shown.items() if k not in more}}
            case "PUT", ["issues", number] if int(number) in self.issues:
                self.change(self.issues[int(number)], SERVICE, json.loads(body)["issue"])
                return 204, b""
            case _, ["issues", _]:
                return 404, b""
        return 404, None


def _matches(held: str | None, asked: str) -> bool:
    return bool(held) if asked == "*" else held == asked


def _status(number: int) -> dict[str, Any]:
    return {"id": number, "name": STATUSES[number], "is_closed": number in CLOSED}


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    redmine: FakeRedmine


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: _Server

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        with self.server.redmine.lock:
            key = self.headers.get("x-redmine-api-key", "")
            status, said = self.server.redmine.answer(self.command, self.path, key, body)
            page = said if isinstance(said, bytes) else json.dumps(said).encode()
        if said is None:
            page = b"<!DOCTYPE html><html><title>Redmine 404 error</title></html>"
        self.send_response(status)
        self.send_header("content-type", "text/html" if said is None else "application/json; charset=utf-8")
        if status != 204:
            self.send_header("content-length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815 - the names that http.server looks for

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def running() -> Iterator[FakeRedmine]:
    fake = FakeRedmine()
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.redmine = fake
        fake.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()
