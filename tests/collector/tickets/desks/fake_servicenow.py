"""A ServiceNow instance as its documentation describes it: Table API and event intake, with all that they silently swallow.

Written from the Table API reference, the GlideRecord page (the invalid part of a query is dropped), the page on events over the web service, and the
error bodies that integrations quote. Fields that a table does not have are not stored, references to nothing are stored as empty, texts are
cut to their column, choices are not checked; what is closed is written by administrators only.
"""

from __future__ import annotations

import base64
import json
import os
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.collector.tickets.desks.contract import NotSupportedError, Seen
from tests.collector.tickets.desks.fake_http import Asked, FakeServer, Reply
from tillwatch.collector.tickets.desk import Desk
from tillwatch.collector.tickets.desks import servicenow, servicenow_events
from tillwatch.collector.tickets.message import TicketState

USER, PASSWORD, TOKEN = "tillwatch.svc", "Snow-S3cret-word", "oauth-bearer-token-0123456789"
SECRET = f"{USER}:{PASSWORD}"

COLUMNS = {
    "incident": {
        "short_description": 160,
        "description": 4000,
        "correlation_id": 100,
        "correlation_display": 100,
        "close_notes": 4000,
    }
    | dict.fromkeys(
        [
            "sys_id",
            "number",
            "state",
            "impact",
            "urgency",
            "priority",
            "assignment_group",
            "assigned_to",
            "caller_id",
            "cmdb_ci",
            "contact_type",
            "close_code",
            "hold_reason",
            "parent_incident",
            "u_finding",
            "sys_created_on",
            "sys_updated_on",
            "sys_updated_by",
        ],
        40,
    ),
    "sys_user": dict.fromkeys(("sys_id", "name", "user_name", "time_zone"), 100),
    "sys_user_group": dict.fromkeys(("sys_id", "name"), 100),
    "cmdb_ci": dict.fromkeys(("sys_id", "name"), 100),
    "sys_choice": dict.fromkeys(("sys_id", "name", "element", "value", "inactive"), 100),
    "sys_journal_field": dict.fromkeys(("sys_id", "element_id", "element", "sys_created_by", "sys_created_on"), 100)
    | {"value": 4000},
    "em_event": {"sys_id": 40},
}
REFERENCES = {
    "assignment_group": "sys_user_group",
    "assigned_to": "sys_user",
    "caller_id": "sys_user",
    "cmdb_ci": "cmdb_ci",
    "parent_incident": "incident",
}
JOURNALS = ("work_notes", "comments")
TERM = re.compile(r"(\w+?)(>=|<=|!=|=|>|<|NOT IN|IN(?=[^=]*$)|LIKE)(.*)", re.DOTALL)
NO_RECORD = {"message": "No Record found", "detail": "Record doesn't exist or ACL restricts the record retrieval"}


def failure(status: int, message: str, detail: str | None = None, **headers: str) -> Reply:
    return Reply(status, {"error": {"message": message, "detail": detail}, "status": "failure"}, headers)


class FakeServiceNow(FakeServer):
    """One instance. clock: Unix seconds.

    hidden: columns of incident that the user's rights keep from him, in rows and in queries; zone_s: how far his time zone is ahead of GMT;
    no_rows: glide.invalid_query.returns_no_rows; reverted: a business rule takes every change of a state back; calls: requests left in this
    hour, None for no limit; swallowed: events that are read and dropped.
    """

    secrets = (PASSWORD, TOKEN, base64.b64encode(SECRET.encode()).decode())

    def __init__(self, clock: Callable[[], float] = lambda: datetime.now(UTC).timestamp()) -> None:
        super().__init__()
        self.clock = clock
        self.hidden: set[str] = set()
        self.zone_s = 0
        self.no_rows = False
        self.reverted = False
        self.calls: int | None = None
        self.swallowed = False
        self.events: list[dict[str, str]] = []
        self.tables: dict[str, list[dict[str, str]]] = {table: [] for table in COLUMNS}
        self.person_id = self._add("sys_user", name="Li Wei", user_name="li.wei")
        self._add("sys_user", name="tillwatch", user_name=USER, time_zone="GMT")
        self.group_id = self._add("sys_user_group", name="Hardware")
        self.item_id = self._add("cmdb_ci", name="atm-017")
        for code in ("Duplicate", "No resolution provided", "Solution provided", "Workaround provided"):
            self._add("sys_choice", name="incident", element="close_code", value=code, inactive="false")

    def _add(self, table: str, **fields: str) -> str:
        row = dict.fromkeys(COLUMNS[table], "") | {"sys_id": uuid.uuid4().hex} | fields
        self.tables[table].append(row)
        return row["sys_id"]

    def now(self) -> str:
        return datetime.fromtimestamp(self.clock(), UTC).strftime("%Y-%m-%d %H:%M:%S")

    # What the instance answers.

    def answer(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") not in {
            f"Basic {base64.b64encode(SECRET.encode()).decode()}",
            f"Bearer {TOKEN}",
        }:
            return failure(401, "User Not Authenticated", "Required to provide Auth information")
        if self.calls is not None:
            self.calls -= 1
            if self.calls < 0:
                told = {
                    "X-RateLimit-Limit": "0",
                    "X-RateLimit-Reset": "1",
                    "X-RateLimit-Rule": "8f2c",
                    "Retry-After": "1",
                }
                return failure(429, "Rate limit exceeded", "Number of requests exceeds the hourly limit", **told)
        if asked.headers.get("accept") != "application/json":
            return failure(406, "Requested entity type is not acceptable")
        if asked.method != "GET" and not asked.headers.get("content-type", "").startswith("application/json"):
            return failure(415, "Unsupported media type")
        if (asked.method, asked.path) == ("POST", "/api/global/em/jsonv2"):
            return self._events(asked.body)
        match = re.fullmatch(r"/api/now/table/(\w+)(?:/([^/]+))?", asked.path)
        if not match:
            return failure(400, "Requested URI does not represent any resource", asked.path)
        table, sys_id = match.groups()
        if table not in COLUMNS:
            return failure(400, f"Invalid table {table}")
        return self._table(asked, table, sys_id)

    def _table(self, asked: Asked, table: str, sys_id: str | None) -> Reply:
        if asked.method == "GET" and sys_id is None:
            found = self._query(table, asked.query.get("sysparm_query", ""))
            start = int(asked.query.get("sysparm_offset", 0))
            page = found[start : start + int(asked.query.get("sysparm_limit", 10_000))]
            shown = [self._shown(table, row, asked) for row in page]
            return Reply(200, {"result": shown}, {"X-Total-Count": str(len(found))})
        row = next((row for row in self.tables[table] if row["sys_id"] == sys_id), None)
        if sys_id is not None and row is None:
            return Reply(404, {"error": NO_RECORD, "status": "failure"})
        if asked.method == "GET" and row is not None:
            return Reply(200, {"result": self._shown(table, row, asked)})
        if table != "incident" or not isinstance(asked.body, dict):
            return failure(403, "Operation Failed", "ACL Exception Insert Failed due to security constraints")
        if asked.method == "POST" and row is None:
            number = f"INC{10_000 + len(self.tables['incident']):07d}"
            fields = {"number": number, "state": "1", "sys_created_on": self.now()}
            if refused := self._policy(fields | asked.body):
                return refused
            made = self.tables["incident"][-1] if self._add("incident", **fields) else {}
            self.change(made, asked.body, USER)
            place = f"{self.address}/api/now/table/incident/{made['sys_id']}"
            return Reply(201, {"result": self._shown(table, made, asked)}, {"Location": place})
        if asked.method in {"PATCH", "PUT"} and row is not None:
            if row["state"] in {"7", "8"}:
                return failure(403, "Operation Failed", "ACL Exception Update Failed due to security constraints")
            if refused := self._policy(row | asked.body):
                return refused
            body = {name: held for name, held in asked.body.items() if name != "state" or not self.reverted}
            self.change(row, body, USER)
            return Reply(200, {"result": self._shown(table, row, asked)})
        return failure(405, "Method not supported")

    def _policy(self, row: dict[str, str]) -> Reply | None:
        needed = {"6": ("close_code", "close_notes"), "7": ("close_code", "close_notes"), "3": ("hold_reason",)}
        if missing := [name for name in needed.get(row.get("state", ""), ()) if not row.get(name)]:
            said = f"Data Policy Exception: The following fields are mandatory: {', '.join(missing)}"
            return failure(403, "Operation Failed", said)
        return None

    def change(self, row: dict[str, str], fields: dict[str, str], by: str) -> None:
        for name, given in fields.items():
            if name in JOURNALS:
                entry = {"element_id": row["sys_id"], "element": name, "value": given}
                self._add("sys_journal_field", **entry, sys_created_by=by, sys_created_on=self.now())
            elif name in REFERENCES:
                known = {each["sys_id"] for each in self.tables[REFERENCES[name]]}
                row[name] = given if given in known else ""
            elif name in COLUMNS["incident"]:
                row[name] = given[: COLUMNS["incident"][name]]
        row |= {"sys_updated_on": self.now(), "sys_updated_by": by}

    def _shown(self, table: str, row: dict[str, str], asked: Asked) -> dict[str, Any]:
        wanted = [name for name in asked.query.get("sysparm_fields", ",".join(row)).split(",") if name in row]
        hidden = self.hidden if table == "incident" else set()
        shown: dict[str, Any] = {}
        for name in wanted:
            held = "" if name in hidden else row[name]
            known = {
                each["sys_id"]: each["name"] for each in self.tables.get(REFERENCES.get(name, ""), []) if "name" in each
            }
            if asked.query.get("sysparm_display_value") == "all":
                shown[name] = {"display_value": known.get(held, held), "value": held}
            elif name in REFERENCES and held and asked.query.get("sysparm_exclude_reference_link") != "true":
                shown[name] = {"link": f"{self.address}/api/now/table/{REFERENCES[name]}/{held}", "value": held}
            else:
                shown[name] = held
        return shown

    def _query(self, table: str, query: str) -> list[dict[str, str]]:
        rows, groups, orders = (
            list(self.tables[table]),
            list[list[Callable[[dict[str, str]], bool]]](),
            list[tuple[str, bool]](),
        )
        for part in filter(None, query.split("^")):
            if order := re.fullmatch(r"ORDERBY(DESC)?(\w+)", part):
                orders.append((order[2], bool(order[1])))
                continue
            joined = part.startswith("OR")
            term = self._term(table, part.removeprefix("OR") if joined else part)
            if term is None:
                if self.no_rows:
                    return []
                continue  # "the invalid part of the query condition is dropped"
            if joined and groups:
                groups[-1].append(term)
            else:
                groups.append([term])
        rows = [row for row in rows if all(any(term(row) for term in group) for group in groups)]
        for column, down in reversed(orders):
            if column in COLUMNS[table]:
                rows.sort(key=lambda row: row[column], reverse=down)
        return rows

    def _term(self, table: str, part: str) -> Callable[[dict[str, str]], bool] | None:
        match = TERM.fullmatch(part)
        if not match or match[1] not in COLUMNS[table] or (table == "incident" and match[1] in self.hidden):
            return None
        name, operator, given = match.groups()
        if name.endswith("_on"):
            # Read in the time zone of the user.
            at = datetime.strptime(given, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp() - self.zone_s
            given = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        tests: dict[str, Callable[[str], bool]] = {
            "=": lambda held: held == given,
            "!=": lambda held: held != given,
            ">=": lambda held: held >= given,
            "<=": lambda held: held <= given,
            ">": lambda held: held > given,
            "<": lambda held: held < given,
            "IN": lambda held: held in given.split(","),
            "NOT IN": lambda held: held not in given.split(","),
            "LIKE": lambda held: given.lower() in held.lower(),
        }
        return lambda row: tests[operator](row[name])

    def _events(self, body: Any) -> Reply:
        records = body.get("records") if isinstance(body, dict) else None
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            return failure(400, "Invalid request body")
        taken = [] if self.swallowed else records
        for record in taken:
            assert isinstance(json.loads(record["additional_info"]), dict)
            assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", record["time_of_event"])
            assert record["severity"] in set("012345")
            assert record["resolution_state"] in {"New", "Closing"}
            assert all(isinstance(held, str) for held in record.values())
        self.events += taken
        return Reply(200, {"result": {"Default Bulk Endpoint": f"{len(taken)} events were inserted"}})

    # What a test asks for.

    def receiver(self, address: str, **settings: Any) -> Desk:
        os.environ["TILLWATCH_TEST_SERVICENOW"] = SECRET
        given = {
            "secret_env": "" if "secret_file" in settings else "TILLWATCH_TEST_SERVICENOW",
            "queue": "Hardware",
            "verdict_field": "u_finding",
            "verdicts": {"replaced": "part_changed", "nothing": "no_fault_found"},
        }
        chosen = servicenow.Settings(url=address, **(given | settings))
        assert chosen.problem() is None
        return Desk(servicenow.connect("servicenow", chosen), settle_s=chosen.settle)

    def incidents(self, key: str) -> list[dict[str, str]]:
        return [row for row in self.tables["incident"] if row["correlation_id"] == key]

    def tickets(self, key: str) -> list[Seen]:
        with self.lock:
            return [self._seen(row) for row in self.incidents(key)]

    def _seen(self, row: dict[str, str]) -> Seen:
        state = servicenow.STATES[row["state"]]
        if state is TicketState.RESOLVED and row["close_code"] == "Duplicate":
            state = TicketState.DUPLICATE
        notes = [each["value"] for each in self.tables["sys_journal_field"] if each["element_id"] == row["sys_id"]]
        told = row["short_description"], row["description"]
        return Seen(row["sys_id"], row["correlation_id"], *told, state, row["assigned_to"], notes)

    def person(self, ticket: str, act: str, text: str = "") -> None:
        done = {"close_code": "Solution provided", "close_notes": "mended"}
        acts: dict[str, dict[str, str]] = {
            "own": {"assigned_to": self.person_id},
            "work": {"state": "2"},
            "hold": {"state": "3", "hold_reason": "1"},
            "resolve": {"state": "6", **done},
            "close": {"state": "7", **done},
            "reopen": {"state": "2"},
            "note": {"work_notes": text},
            "merge": {"state": "6", "close_code": "Duplicate", "close_notes": "same", "parent_incident": text},
            "finding": {"u_finding": text},
        }
        with self.lock:
            [row] = [row for row in self.tables["incident"] if row["sys_id"] == ticket]
            if act == "delete":
                self.tables["incident"].remove(row)
            elif act in acts:
                self.change(row, acts[act], "li.wei")
            else:
                raise NotSupportedError(act)


class FakeEventManagement(FakeServiceNow):
    """The same instance as somebody sees it who is told events: alerts, one for each message key."""

    def receiver(self, address: str, **settings: Any) -> Any:
        os.environ["TILLWATCH_TEST_SERVICENOW"] = SECRET
        given = {"secret_env": "" if "secret_file" in settings else "TILLWATCH_TEST_SERVICENOW", "queue": "Hardware"}
        chosen = servicenow_events.Settings(url=address, **(given | settings))
        assert chosen.problem() is None
        return servicenow_events.connect("events", chosen)

    def tickets(self, key: str) -> list[Seen]:
        with self.lock:
            told = [record for record in self.events if record["message_key"] == key]
        if not told:
            return []
        title, _, body = told[0]["description"].partition("\n")
        state = TicketState.CLOSED if told[-1]["resolution_state"] == "Closing" else TicketState.OPEN
        return [Seen(key, key, title, body, state, "", [record["description"] for record in told[1:]])]
