"""Integration events of Jira Service Management as their documentation, and that of Opsgenie before, describe them.

Everything is taken in (202) and carried out later; until then its outcome is a 404, and then it may be `success: false`. An alias belongs to at most one
open alert: a second creation counts up the first, and what is asked of an alias without an open alert fails when it is carried out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.collector.tickets.desks.contract import NotSupportedError, Seen
from tests.collector.tickets.desks.fake_http import Asked, FakeServer, Reply
from tillwatch.collector.tickets.desks import jsm_ops
from tillwatch.collector.tickets.message import TicketState

KEY = "3b8c1d52-9b0a-4a3f-8f0e-0c5f6f1f7d11"
ROOT = "/jsm/ops/integration/v2/"
LIMITS = {"message": 130, "alias": 512, "description": 15_000, "entity": 512, "source": 100, "note": 25_000}
WAITS_S = (0.001, 0.001, 0.001)
DONE = {
    "Create": "Created alert",
    "Acknowledge": "Alert acknowledged",
    "Close": "Closed alert",
    "AddNote": "Note added",
}


class FakeJsmOps(FakeServer):
    secrets = (KEY,)

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.secret = folder / "genie-key"
        self.secret.write_text(KEY)
        self.alerts: list[dict[str, Any]] = []
        self.requests: dict[str, dict[str, Any]] = {}
        self.waiting: list[tuple[str, str, str, dict[str, Any]]] = []
        self.answers_late = 0
        """Questions for an outcome that come before the request was carried out."""
        self.fails = ""

    def answer(self, asked: Asked) -> Reply:
        if not asked.path.startswith(ROOT):
            return Reply(404, {"code": 404, "message": "Not Found"})
        scheme, _, key = asked.headers.get("authorization", "").partition(" ")
        if scheme != "GenieKey" or len(key) != 36:
            return self.told(422, message="Key format is not valid!")
        if key != KEY:
            return self.told(401, message="Could not authenticate")
        match asked.method, [unquote(part) for part in asked.path[len(ROOT) :].split("/")]:
            case "GET", ["alerts", "requests", request]:
                return self.outcome(request)
            case "POST", ["alerts"]:
                return self.take("Create", str((asked.body or {}).get("alias", "")), asked.body or {})
            case "POST", ["alerts", alias, "acknowledge" | "close" | "notes" as what]:
                if asked.query.get("identifierType") != "alias":
                    # An id is looked for, and there is none like it.
                    alias = ""
                names = {"acknowledge": "Acknowledge", "close": "Close", "notes": "AddNote"}
                return self.take(names[what], alias, asked.body or {})
        return Reply(404, {"code": 404, "message": "Not Found"})

    def told(self, status: int, **fields: Any) -> Reply:
        return Reply(status, {**fields, "took": 0.01, "requestId": f"request-{len(self.asked)}"})

    def take(self, action: str, alias: str, body: dict[str, Any]) -> Reply:
        if action == "Create" and not body.get("message"):
            return self.told(422, message="Request body is not processable. Message can not be empty.")
        if action == "AddNote" and not body.get("note"):
            return self.told(422, message="Request body is not processable. Note can not be empty.")
        if long := [name for name, most in LIMITS.items() if len(str(body.get(name, ""))) > most]:
            return self.told(422, message=f"Request body is not processable. {long[0]} is too long.")
        request = f"request-{len(self.asked)}"
        self.waiting.append((request, action, alias, body))
        if not self.answers_late:
            self.carry_out()
        return self.told(202, result="Request will be processed")

    def outcome(self, request: str) -> Reply:
        if self.answers_late:
            self.answers_late -= 1
        else:
            self.carry_out()
        if request not in self.requests:
            return self.told(404, message="Request not found. It might not be processed, yet.")
        return self.told(200, data=self.requests[request])

    def carry_out(self) -> None:
        waiting, self.waiting = self.waiting, []
        for request, action, alias, body in waiting:
            status, alert = self.fails, None
            if not status:
                status, alert = self.done(action, alias, body)
            success = alert is not None
            self.requests[request] = {
                "success": success,
                "action": action,
                "isSuccess": success,
                "status": status,
                "alertId": alert["id"] if alert else "",
                "alias": alias if alert else "",
            }

    def done(self, action: str, alias: str, body: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
        alert = next((each for each in self.alerts if each["alias"] == alias and each["open"]), None)
        if action == "Create":
            if alert is None:
                alert = {"id": f"alert-{len(self.alerts)}", "alias": alias, "open": True, "acknowledged": False}
                alert |= {"count": 0, "notes": [], **body}
                self.alerts.append(alert)
            alert["count"] += 1
        elif alert is None:
            return f"There is no open alert with alias [{alias}].", None
        if action != "Create" and body.get("note"):
            alert["notes"].append(body["note"])
        alert["acknowledged"] |= action == "Acknowledge"
        alert["open"] &= action != "Close"
        return DONE[action], alert

    # What people and the tests see and do.

    def receiver(self, address: str, **settings: Any) -> jsm_ops.JsmOps:
        given = {"url": address, "secret_file": self.secret, **settings}
        return jsm_ops.JsmOps("jsm", jsm_ops.Settings(**given), waits_s=WAITS_S)

    def tickets(self, key: str) -> list[Seen]:
        with self.lock:
            return [self.seen(each) for each in self.alerts if each["alias"] == key]

    def seen(self, alert: dict[str, Any]) -> Seen:
        state = TicketState.WORKING if alert["acknowledged"] else TicketState.OPEN
        state = state if alert["open"] else TicketState.CLOSED
        return Seen(alert["id"], alert["alias"], alert["message"], alert["description"], state, "", alert["notes"])

    def person(self, ticket: str, act: str, text: str = "") -> None:
        with self.lock:
            alert = next(each for each in self.alerts if each["id"] == ticket)
            if act not in {"own", "work", "resolve", "close", "note"}:
                raise NotSupportedError(act)
            alert["acknowledged"] |= act in {"own", "work"}
            alert["open"] &= act not in {"resolve", "close"}
