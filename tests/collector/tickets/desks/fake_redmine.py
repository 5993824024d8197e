"""A stand-in for Redmine 5.0.4, as it was measured: what it takes silently and does not do, it takes silently and does not do here.

Measured: 204 for a status that is not there, with the note beside it written; every ticket for a filter by a field that is not there, 422 for a filter
by one that is, but without a value; the view of nobody for a list with a wrong key, 401 with an empty body for all else; 404 with an empty body for a
ticket or project that is not there; 422 with a list of errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Any

from tests.collector.tickets.desks.contract import NotSupportedError, Seen
from tests.collector.tickets.desks.fake_http import Asked, FakeServer, Reply
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


class FakeRedmine(FakeServer):
    """workflow: whether statuses may be changed by the service's user."""

    secrets = (KEY,)

    def __init__(self) -> None:
        super().__init__()
        self.issues: dict[int, dict[str, Any]] = {}
        self.workflow = True
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

    def listed(self, asked: Mapping[str, str], *, known: bool) -> dict[str, Any]:
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
        page = [_shown(row) for row in rows[offset : offset + limit]]
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
        return 201, {"issue": _shown(issue)}

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

    def answer(self, asked: Asked) -> Reply:
        known = asked.headers.get("x-redmine-api-key") == KEY
        way = asked.path.removesuffix(".json").strip("/").split("/")
        if not asked.path.endswith(".json"):
            return Reply(404)
        if (asked.method, way) == ("GET", ["issues"]):
            name = asked.query.get("f[]", "")
            if name in {f"cf_{number}" for number in FIELDS} and f"v[{name}][]" not in asked.query:
                return Reply(422, {"errors": [f"{FIELDS[int(name[3:])]} cannot be blank"]})
            return Reply(200, self.listed(asked.query, known=known))
        if not known:
            return Reply(401)
        match asked.method, way:
            case "GET", ["users", "current"]:
                return Reply(200, {"user": {"id": SERVICE["id"], "login": "hwmon", "api_key": KEY}})
            case "GET", ["projects", name]:
                return Reply(200, {"project": PROJECT}) if name == "hardware" else Reply(404)
            case "GET", ["issue_statuses"]:
                return Reply(200, {"issue_statuses": [_status(number) for number in STATUSES]})
            case "GET", ["enumerations", "issue_priorities"]:
                return Reply(200, {"issue_priorities": [{"id": at, "name": name} for at, name in PRIORITIES.items()]})
            case "POST", ["issues"]:
                return Reply(*self.create(asked.body["issue"]))
            case "GET", ["issues", number] if int(number) in self.issues:
                more = {"journals", "relations"} - set(asked.query.get("include", "").split(","))
                return Reply(200, {"issue": _shown(self.issues[int(number)], more)})
            case "PUT", ["issues", number] if int(number) in self.issues:
                self.change(self.issues[int(number)], SERVICE, asked.body["issue"])
                return Reply(204)
        return Reply(404)


def _shown(
    issue: Mapping[str, Any], without: AbstractSet[str] = frozenset({"journals", "relations"})
) -> dict[str, Any]:
    return {name: value for name, value in issue.items() if name not in without}


def _matches(held: str | None, asked: str) -> bool:
    return bool(held) if asked == "*" else held == asked


def _status(number: int) -> dict[str, Any]:
    return {"id": number, "name": STATUSES[number], "is_closed": number in CLOSED}


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
