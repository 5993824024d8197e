"""A Jira site as its documentation describes it: Cloud's REST v3 with an index that lags, or Data Center's v2; with a workflow in Chinese, so that
nothing can hang on the names of statuses.

Written from the Cloud and Data Center REST references, the page on search and reconcile, and the error bodies that integrations quote. A bad
token is answered as to somebody without a name (Cloud), searching is bounded and answers with ids unless fields are named, an issue that
was moved is known by its old key, transitions are listed per issue and ask for what their screen asks for.
"""

from __future__ import annotations

import base64
import copy
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.collector.tickets.desks.contract import NotSupportedError, Seen
from tests.collector.tickets.desks.fake_http import Asked, FakeServer, Reply
from tillwatch.collector.tickets.desk import Desk
from tillwatch.collector.tickets.desks import jira
from tillwatch.collector.tickets.message import TicketState
from tillwatch.collector.tickets.products.atlassian_document import document, plain
from tillwatch.collector.tickets.products.jira_site import at

MAIL, TOKEN = "tillwatch@bank.example", "Jira-S3cret-token-0123456789"
SECRET = {"cloud": f"{MAIL}:{TOKEN}", "data-center": TOKEN}

CATEGORY = {
    "1": ("待办", "new"),
    "2": ("处理中", "indeterminate"),
    "3": ("等待供应商", "indeterminate"),
    "4": ("完成", "done"),
}
RESOLVING = {
    "resolution": {
        "required": True,
        "hasDefaultValue": False,
        "name": "Resolution",
        "allowedValues": [{"name": name} for name in ("Done", "Won't Do", "Duplicate")],
    }
}
WORKFLOW: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "1": [("11", "2", {})],
    "2": [("21", "1", {}), ("31", "3", {}), ("41", "4", RESOLVING)],
    "3": [("22", "2", {})],
    "4": [("51", "1", {})],
}
"""Status -> (transition, status behind it, fields on its screen). Nothing can be resolved before somebody works on it."""

NOT_THERE = "Issue does not exist or you do not have permission to see it."
UNSET = "Field '{}' cannot be set. It is not on the appropriate screen, or unknown."
SYSTEM = {"project", "issuetype", "summary", "description", "labels", "priority"}
FIELDS = {"status", "assignee", "resolution", "updated", "created", "comment", "reporter"} | SYSTEM


def errors(status: int, *messages: str, headers: dict[str, str] | None = None, **fields: str) -> Reply:
    return Reply(status, {"errorMessages": list(messages), "errors": fields}, headers or {})


class FakeJira(FakeServer):
    """One site. clock: Unix seconds.

    lag_s: how far the index is behind (Cloud); lags: the same for the next writes, one by one. custom: custom fields on the create screen; required: fields that creating asks for beyond
    those; unlabelled: labels are not on the screen; deaf: the search drops clauses about labels; locked: issues that
    the user may not write to; calls: requests left, None for no limit;
    conflicts: transitions that are answered with 409.
    """

    secrets = (TOKEN, base64.b64encode(SECRET["cloud"].encode()).decode())

    def __init__(self, edition: str, clock: Callable[[], float], *, lag_s: float = 0.0) -> None:
        super().__init__()
        self.cloud = edition == "cloud"
        self.edition = edition
        self.clock = clock
        self.lag_s = lag_s
        self.lags: list[float] = []
        self.workflow = copy.deepcopy(WORKFLOW)
        self.custom: set[str] = set()
        self.required: set[str] = set()
        self.unlabelled = self.deaf = False
        self.service_desk = False
        self.calls: int | None = None
        self.locked: set[str] = set()
        self.conflicts = 0
        self.issues: dict[str, dict[str, Any]] = {}
        self.moved: dict[str, str] = {}
        self.index: list[tuple[float, str, dict[str, Any] | None]] = []
        self.api = f"/rest/api/{3 if self.cloud else 2}"
        self.own = {"displayName": "tillwatch"} | ({"accountId": "5b10-own"} if self.cloud else {"name": "tillwatch"})
        self.li_wei = {"displayName": "Li Wei"} | ({"accountId": "5b10-li"} if self.cloud else {"name": "li.wei"})

    def at(self) -> str:
        return datetime.fromtimestamp(self.clock(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"

    # What the site answers.

    def answer(self, asked: Asked) -> Reply:
        if self.cloud and asked.path == "/rest/api/2/serverInfo":
            return Reply(200, {"deploymentType": "Cloud"})
        if not asked.path.startswith(f"{self.api}/"):
            return errors(404, "dead link")
        path = asked.path.removeprefix(self.api)
        given = asked.headers.get("authorization", "")
        expected = f"Basic {base64.b64encode(SECRET['cloud'].encode()).decode()}" if self.cloud else f"Bearer {TOKEN}"
        if given != expected:
            return self._stranger(asked.method, path, given)
        if self.calls is not None:
            self.calls -= 1
            if self.calls < 0:
                told = {"Retry-After": "1", "RateLimit-Reason": "jira-per-issue-on-write", "X-RateLimit-Remaining": "0"}
                return errors(429, "Rate limit exceeded.", headers=told)
        if asked.method == "POST" and not asked.headers.get("content-type", "").startswith("application/json"):
            return errors(415, "Unsupported media type")
        return self._known(asked, path)

    def _stranger(self, method: str, path: str, given: str) -> Reply:
        if not self.cloud:
            return Reply(401, headers={"X-Seraph-LoginReason": "AUTHENTICATED_FAILED"})
        if given.startswith("Bearer "):
            return Reply(403, {"error": "Failed to parse Connect Session Auth Token"})
        failed = {"X-Seraph-LoginReason": "AUTHENTICATED_FAILED"}
        if path == "/search/jql":
            return Reply(200, {"issues": [], "isLast": True}, failed)
        if path == "/serverInfo":
            return Reply(200, {"deploymentType": "Cloud"}, failed)
        if path == "/myself" or (method, path) == ("POST", "/issue"):
            return errors(401, "Client must be authenticated to access this resource.", headers=failed)
        return errors(404, NOT_THERE, headers=failed)

    def _known(self, asked: Asked, path: str) -> Reply:
        method, types = asked.method, "/issue/createmeta/OPS/issuetypes"
        match method, path:
            case "GET", "/serverInfo":
                return Reply(200, {"deploymentType": "Cloud" if self.cloud else "Server", "version": "1001.0.0"})
            case "GET", "/myself":
                return Reply(200, self.own)
            case "GET", "/field":
                return Reply(
                    200, [{"id": name, "name": name} for name in sorted(FIELDS | self.custom | {"customfield_10070"})]
                )
            case "GET", _ if path == types:
                listed = [{"id": "10001", "name": "Task"}, {"id": "10002", "name": "Incident"}]
                return Reply(200, {"issueTypes" if self.cloud else "values": listed, "total": 2})
            case "GET", _ if path.startswith(f"{types}/1000"):
                return Reply(200, {"fields" if self.cloud else "values": self._screen()})
            case "GET", _ if path.startswith("/issue/createmeta/"):
                return errors(404, "No project could be found with key or id.")
            case "POST", "/issue":
                return self._create(asked.body["fields"])
            case "POST", "/search/jql" if self.cloud:
                return self._search(asked.body, asked.body.get("reconcileIssues", []))
            case "POST", "/search" if not self.cloud:
                return self._search(asked.body, [])
            case _, "/search":
                return errors(
                    410, "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API."
                )
        found = re.fullmatch(r"/issue/([^/]+)(/comment|/transitions)?", path)
        issue = self._issue(found[1]) if found else None
        if not found or issue is None:
            return errors(404, NOT_THERE)
        return self._one(asked, issue, found[2] or "")

    def _one(self, asked: Asked, issue: dict[str, Any], part: str) -> Reply:
        if asked.method != "GET" and issue["id"] in self.locked:
            return errors(403, "You do not have permission to comment on this issue.")
        match asked.method, part:
            case "GET", "":
                return Reply(
                    200, self._shown(issue, asked.query.get("fields", "").split(","), asked.query.get("expand", ""))
                )
            case "GET", "/comment":
                told = list(issue["comments"])
                if asked.query.get("orderBy") == "-created":
                    told.reverse()
                page = told[: int(asked.query.get("maxResults", 50))]
                return Reply(200, {"comments": page, "total": len(told), "startAt": 0, "maxResults": len(page)})
            case "POST", "/comment":
                body = asked.body["body"]
                assert isinstance(body, dict if self.cloud else str)
                assert len(plain(body)) <= 32_767
                made = self.comment(issue, body, self.own, asked.body.get("properties", []))
                return Reply(201, made)
            case "GET", "/transitions":
                assert asked.query.get("expand") == "transitions.fields"
                return Reply(200, {"expand": "transitions", "transitions": self._transitions(issue)})
            case "POST", "/transitions":
                return self._move(issue, asked.body)
        return errors(405, "Method Not Allowed")

    def _screen(self) -> list[dict[str, Any]]:
        names = (SYSTEM - ({"labels"} if self.unlabelled else set())) | self.custom | self.required
        must = {"project", "issuetype", "summary"} | self.required
        return [{"fieldId": name, "required": name in must, "hasDefaultValue": False} for name in sorted(names)]

    def _create(self, fields: dict[str, Any]) -> Reply:
        screen = {field["fieldId"]: field["required"] for field in self._screen()}
        wrong = {name: UNSET.format(name) for name in fields if name not in screen}
        wrong |= {name: f"{name} is required." for name, must in screen.items() if must and name not in fields}
        if fields.get("project", {}).get("key") != "OPS":
            wrong["project"] = "valid project is required"
        if not wrong:
            assert isinstance(fields["description"], dict if self.cloud else str)
            if len(fields["summary"]) > 255 or "\n" in fields["summary"]:
                wrong["summary"] = "The summary is invalid"
            if any(" " in label or len(label) > 255 for label in fields["labels"]):
                wrong["labels"] = "The label contains spaces which is invalid."
            if fields.get("priority", {}).get("name") not in {None, "Highest", "Low"}:
                wrong["priority"] = "The priority selected is invalid."
        if wrong:
            return errors(400, **wrong)
        number = 10_000 + len(self.index)
        held = {name: value for name, value in fields.items() if name not in {"project", "issuetype"}}
        issue = {"id": str(number), "key": f"OPS-{number}", "comments": [], "histories": [], "fields": held}
        held |= {"status": "1", "assignee": None, "resolution": None, "created": self.at()}
        self.issues[issue["id"]] = issue
        self._changed(issue)
        return Reply(201, {"id": issue["id"], "key": issue["key"], "self": f"{self.address}{self.api}/issue/{number}"})

    def _changed(self, issue: dict[str, Any]) -> None:
        issue["fields"]["updated"] = self.at()
        self._indexed(issue["id"], copy.deepcopy(issue))

    def _indexed(self, number: str, held: dict[str, Any] | None) -> None:
        self.index.append((self.clock() + (self.lags.pop(0) if self.lags else self.lag_s), number, held))

    def _issue(self, name: str) -> dict[str, Any] | None:
        named = self.moved.get(name, name)
        return self.issues.get(named) or next((one for one in self.issues.values() if one["key"] == named), None)

    def _status(self, status: str) -> dict[str, Any]:
        name, category = CATEGORY[status]
        return {"id": status, "name": name, "statusCategory": {"key": category, "name": name}}

    def _shown(self, issue: dict[str, Any], wanted: list[str], expand: str = "") -> dict[str, Any]:
        held = issue["fields"] | {"status": self._status(issue["fields"]["status"])}
        shown = {name: held.get(name) for name in wanted if name in FIELDS | self.custom | {"customfield_10070"}}
        told = {"id": issue["id"], "key": issue["key"], "self": f"{self.address}{self.api}/issue/{issue['id']}"}
        history = {"changelog": {"histories": issue["histories"]}} if "changelog" in expand else {}
        return told | ({"fields": shown} if wanted != ["id"] else {}) | history

    def _transitions(self, issue: dict[str, Any]) -> list[dict[str, Any]]:
        ways = self.workflow[issue["fields"]["status"]]
        return [{"id": way, "name": f"→{to}", "to": self._status(to), "fields": screen} for way, to, screen in ways]

    def _move(self, issue: dict[str, Any], body: dict[str, Any]) -> Reply:
        if self.conflicts:
            self.conflicts -= 1
            return errors(409, "The issue was updated by another transition.")
        way = next((one for one in self._transitions(issue) if one["id"] == body["transition"]["id"]), None)
        if way is None:
            said = "It seems that you have tried to perform a workflow operation that is not valid for the current state of this issue."
            return errors(400, said)
        given = body.get("fields", {})
        wrong = {name: UNSET.format(name) for name in given if name not in way["fields"]}
        wrong |= {
            name: f"{name} is required."
            for name, told in way["fields"].items()
            if told["required"] and name not in given
        }
        if wrong:
            return errors(400, **wrong)
        self.change(issue, self.own, status=way["to"]["id"], resolution=given.get("resolution"))
        return Reply(204)

    def change(self, issue: dict[str, Any], by: dict[str, Any], **fields: Any) -> None:
        issue["fields"] |= fields
        issue["histories"].append({"id": str(len(issue["histories"])), "author": by, "created": self.at()})
        self._changed(issue)

    def comment(self, issue: dict[str, Any], body: Any, by: dict[str, Any], properties: list[Any]) -> dict[str, Any]:
        made: dict[str, Any] = {"id": str(20_000 + len(self.index)), "author": by, "body": body, "created": self.at()}
        if self.service_desk:
            made["jsdPublic"] = {"key": "sd.public.comment", "value": {"internal": True}} not in properties
        issue["comments"].append(made)
        self._changed(issue)
        return made

    # The search.

    def _view(self, fresh: set[str]) -> list[dict[str, Any]]:
        """What the index holds: every issue as it was before its lag, except for those that were asked for by id."""
        now = self.clock()
        seen = {number: held for shown, number, held in self.index if number in fresh or shown <= now}
        return [held for held in seen.values() if held is not None]

    def _search(self, body: dict[str, Any], reconciled: list[int]) -> Reply:
        assert len(reconciled) <= 50
        where, _, order = body["jql"].partition(" ORDER BY ")
        if not where.strip():
            return errors(
                400, "Unbounded JQL queries are not allowed here. Please add a search restriction to your query."
            )
        found = self._view({str(number) for number in reconciled})
        for clause in where.split(" AND "):
            test = self._clause(clause.strip())
            if isinstance(test, Reply):
                return test
            found = [issue for issue in found if test(issue)]
        name, _, way = order.partition(" ")
        found.sort(key=lambda issue: (issue["fields"].get(name, ""), int(issue["id"])), reverse=way == "DESC")
        start = (
            int((body.get("nextPageToken") or "page-0").removeprefix("page-")) if self.cloud else body.get("startAt", 0)
        )
        end = start + body.get("maxResults", 50)
        wanted = body.get("fields", ["id"] if self.cloud else sorted(FIELDS))
        told: dict[str, Any] = {"issues": [self._shown(issue, wanted) for issue in found[start:end]]}
        if not self.cloud:
            return Reply(200, told | {"startAt": start, "maxResults": body.get("maxResults", 50), "total": len(found)})
        return Reply(
            200, told | ({"isLast": True} if end >= len(found) else {"isLast": False, "nextPageToken": f"page-{end}"})
        )

    def _clause(self, clause: str) -> Callable[[dict[str, Any]], bool] | Reply:
        if match := re.fullmatch(r'labels = "?([^"\s]+)"?', clause):
            label = match[1]
            return lambda issue: self.deaf or label in issue["fields"].get("labels", [])
        if match := re.fullmatch(r"updated >= (\d+)", clause):
            since = int(match[1])
            return lambda issue: at(issue["fields"]["updated"]) // 1_000_000 >= since
        if (match := re.fullmatch(r'cf\[(\d+)\] ~ "\\"(.+)\\""', clause)) and f"customfield_{match[1]}" in self.custom:
            # Word by word, one after the other, anywhere in the text.
            name, words = f"customfield_{match[1]}", re.findall(r"\w+", match[2].lower())
            joined = " ".join(words)
            return lambda issue: joined in " ".join(re.findall(r"\w+", str(issue["fields"].get(name) or "").lower()))
        word = clause.split(maxsplit=1)[0].strip('"')
        return errors(400, f"Field '{word}' does not exist or you do not have permission to view it.")

    # What a test asks for.

    def receiver(self, address: str, **settings: Any) -> Desk:
        os.environ["TILLWATCH_TEST_JIRA"] = SECRET[self.edition]
        given = {
            "secret_env": "" if "secret_file" in settings else "TILLWATCH_TEST_JIRA",
            "edition": self.edition,
            "queue": "OPS",
            "states": {"等待供应商": "on_hold"},
            "verdict_field": "customfield_10070",
            "verdicts": {"Part replaced": "part_changed", "Nothing found": "no_fault_found"},
        }
        chosen = jira.Settings(url=address, **(given | settings))
        assert chosen.problem() is None
        return Desk(jira.connect("jira", chosen), settle_s=chosen.settle)

    def tickets(self, key: str) -> list[Seen]:
        with self.lock:
            return [self._seen(issue, key) for issue in self.issues.values() if key in self._keys(issue)]

    def _keys(self, issue: dict[str, Any]) -> set[str]:
        labels = {label.removeprefix("tillwatch-") for label in issue["fields"].get("labels", [])}
        return labels | {str(issue["fields"].get(name)) for name in self.custom}

    def _seen(self, issue: dict[str, Any], key: str) -> Seen:
        fields = issue["fields"]
        state = {"1": TicketState.OPEN, "2": TicketState.WORKING, "3": TicketState.ON_HOLD, "4": TicketState.RESOLVED}[
            fields["status"]
        ]
        if state.over and fields["resolution"] == {"name": "Duplicate"}:
            state = TicketState.DUPLICATE
        owner = (fields["assignee"] or {}).get("displayName", "")
        notes = [plain(comment["body"]) for comment in issue["comments"]]
        return Seen(issue["id"], key, fields["summary"], plain(fields["description"]), state, owner, notes)

    def person(self, ticket: str, act: str, text: str = "") -> None:
        acts: dict[str, dict[str, Any]] = {
            "own": {"assignee": self.li_wei},
            "work": {"status": "2"},
            "hold": {"status": "3"},
            "resolve": {"status": "4", "resolution": {"name": "Done"}},
            "close": {"status": "4", "resolution": {"name": "Won't Do"}},
            "reopen": {"status": "1", "resolution": None},
            "finding": {"customfield_10070": {"value": text}},
        }
        with self.lock:
            issue = self.issues[ticket]
            if act in acts:
                self.change(issue, self.li_wei, **acts[act])
            elif act == "note":
                body = document(text) if self.cloud else text
                self.comment(issue, body, self.li_wei, [])
            elif act == "delete":
                del self.issues[ticket]
                self._indexed(ticket, None)
            elif act == "move":
                self.moved[issue["key"]] = ticket
                issue["key"] = f"{text}-7"
                self._changed(issue)
            else:
                raise NotSupportedError(act)
