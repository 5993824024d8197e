"""PagerDuty as its documentation and its API schema describe it: the Events API v2 that takes everything, and the REST API that shows what became of it.

What it does in silence, and so does this: an event is taken (202) before it is carried out; acknowledging or resolving what is not open, or what came
over another integration, is dropped; a trigger for an open alert is added to it, one for a resolved alert opens a new incident.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.collector.tickets.desks.contract import NotSupportedError, Seen
from tests.collector.tickets.desks.fake_http import Asked, FakeServer, Reply
from tillwatch.collector.tickets.desks import pagerduty
from tillwatch.collector.tickets.message import TicketState

ROUTING_KEY = "e93facc04764012d7bfb002500d5d1a6"
TOKEN = "y_NbAkKc66ryYTWUXYEu"
START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
REQUIRED = ("summary", "source", "severity")
SERVICE = {"id": "PN49J75", "type": "service_reference", "summary": "ATMs"}
PERSON = {"id": "P553OPV", "type": "user_reference", "summary": "李伟"}


def invalid(*errors: str) -> Reply:
    return Reply(400, {"status": "invalid event", "message": "Event object is invalid", "errors": list(errors)})


class FakePagerDuty(FakeServer):
    secrets = (ROUTING_KEY, TOKEN)

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.secret, self.token = folder / "routing-key", folder / "rest-token"
        self.secret.write_text(ROUTING_KEY)
        self.token.write_text(TOKEN)
        self.reads_back = False
        self.now = START
        self.lag = timedelta(0)
        self.suppressed = False
        self.events: list[dict[str, Any]] = []
        self.waiting: list[tuple[datetime, dict[str, Any]]] = []
        self.incidents: list[dict[str, Any]] = []
        self.log: list[dict[str, Any]] = []

    def tick(self) -> str:
        self.now += timedelta(seconds=1)
        return self.now.isoformat().replace("+00:00", "Z")

    def answer(self, asked: Asked) -> Reply:
        self.carry_out()
        if asked.path == "/v2/enqueue":
            reply = self.enqueue(asked)
            self.carry_out()
            return reply
        if asked.headers.get("authorization") != f"Token token={TOKEN}":
            return Reply(401, {"error": {"code": 2006, "message": "Invalid Credentials"}})
        if asked.headers.get("accept") != "application/vnd.pagerduty+json;version=2":
            return Reply(400, {"error": {"code": 2001, "message": "Invalid version"}})
        return self.rest(asked)

    def enqueue(self, asked: Asked) -> Reply:
        if asked.method != "POST":
            return Reply(404, "Not found")
        event = asked.body
        if len(json.dumps(event, ensure_ascii=False).encode()) > 512 * 1024:
            return Reply(413, "Request Entity Too Large")
        if not isinstance(event, dict):
            return invalid("JSON parse error")
        key = str(event.get("routing_key", ""))
        if len(key) != 32:
            return invalid("Length of 'routing_key' is incorrect (should be 32 characters)")
        if key != ROUTING_KEY:
            return invalid("Invalid routing key")
        if event.get("event_action") not in {"trigger", "acknowledge", "resolve"}:
            return invalid("'event_action' is invalid (must be one of: trigger, acknowledge, resolve)")
        if not 0 < len(event.get("dedup_key", "")) <= 255:
            return invalid("'dedup_key' is missing or too long")
        if event["event_action"] == "trigger":
            payload = event.get("payload") or {}
            if missing := [name for name in REQUIRED if not payload.get(name)]:
                return invalid(*(f"'payload.{name}' is missing or blank" for name in missing))
            if len(payload["summary"]) > 1024 or payload["severity"] not in {"critical", "error", "warning", "info"}:
                return invalid("'payload' is invalid")
        self.events.append(event)
        self.waiting.append((self.now + self.lag, event))
        return Reply(202, {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]})

    def carry_out(self) -> None:
        due = [event for at, event in self.waiting if at <= self.now]
        self.waiting = [each for each in self.waiting if each[0] > self.now]
        for event in due:
            self.happen(event)

    def happen(self, event: dict[str, Any]) -> None:
        key, what = event["dedup_key"], event["event_action"]
        alert = next((a for i in self.incidents for a in i["alerts"] if a["alert_key"] == key and a["open"]), None)
        if what == "trigger" and alert is None and not self.suppressed:
            number = f"PT{len(self.incidents):05}"
            self.incidents.append(
                {
                    "id": number,
                    "key": key,
                    "status": "triggered",
                    "assignments": [{"assignee": PERSON}],
                    "alerts": [{"alert_key": key, "open": True, "events": [event]}],
                    "notes": [],
                }
            )
            self.changed(self.incidents[-1], "trigger", SERVICE)
        elif alert is not None:
            incident = next(i for i in self.incidents if alert in i["alerts"])
            if what == "trigger":
                alert["events"].append(event)
            elif what == "acknowledge":
                self.become(incident, "acknowledged", SERVICE)
            else:
                alert["open"] = False
                if not any(each["open"] for each in incident["alerts"]):
                    self.become(incident, "resolved", SERVICE)

    def become(self, incident: dict[str, Any], status: str, by: dict[str, Any]) -> None:
        incident["status"] = status
        if status == "resolved":
            incident["assignments"] = []
            for alert in incident["alerts"]:
                alert["open"] = False
        self.changed(incident, {"triggered": "unacknowledge", "acknowledged": "acknowledge"}.get(status, "resolve"), by)

    def changed(self, incident: dict[str, Any], what: str, by: dict[str, Any]) -> None:
        at = self.tick()
        incident |= {"last_status_change_at": at, "last_status_change_by": by}
        entry = {"id": f"R{len(self.log):06}", "type": f"{what}_log_entry", "created_at": at, "agent": by}
        entry |= {"service": SERVICE, "incident": {"id": incident["id"], "type": "incident_reference"}}
        self.log.append(entry)

    def rest(self, asked: Asked) -> Reply:
        query, missing = asked.query, Reply(404, {"error": {"code": 2100, "message": "Not Found"}})
        if asked.method != "GET":
            return missing
        start, size = int(query.get("offset", "0")), int(query.get("limit", "25"))
        if not 0 < size <= 100 or start + size > 10_000:
            return Reply(400, {"error": {"code": 2001, "message": "Invalid Input Provided"}})
        found = next((each for each in self.incidents if each["id"] in asked.path.split("/")), None)
        match asked.path.strip("/").split("/"):
            case ["abilities"]:
                return Reply(200, {"abilities": ["teams"]})
            case ["incidents"]:
                assert query["date_range"] == "all"
                key = query["incident_key"]
                mine = [i for i in self.incidents if any(a["alert_key"] == key for a in i["alerts"])]
                return Reply(200, {"incidents": [self.told(each) for each in mine], "more": False})
            case ["log_entries"]:
                since, until = query.get("since", ""), query.get("until", "9999")
                rows = [e for e in reversed(self.log) if _at(since) <= _at(e["created_at"]) <= _at(until)]
                told = {"log_entries": rows[start : start + size], "more": start + size < len(rows)}
                return Reply(200, {**told, "offset": start, "limit": size, "total": None})
            case ["incidents", _, *rest] if found is not None:
                if not rest:
                    return Reply(200, {"incident": self.told(found)})
                if rest == ["notes"]:
                    return Reply(200, {"notes": found["notes"]})
                if rest == ["alerts"]:
                    words = {True: "triggered", False: "resolved"}
                    told = [{"alert_key": a["alert_key"], "status": words[a["open"]]} for a in found["alerts"]]
                    return Reply(200, {"alerts": told, "more": False})
        return missing

    def told(self, incident: dict[str, Any]) -> dict[str, Any]:
        hidden = {"key", "alerts", "notes"}
        kept = {name: value for name, value in incident.items() if name not in hidden}
        address = f"https://bank.pagerduty.com/incidents/{incident['id']}"
        return {"type": "incident", "incident_key": None, "html_url": address, "resolve_reason": None} | kept

    # What people and the tests see and do.

    def receiver(self, address: str, **settings: Any) -> pagerduty.PagerDuty:
        given = {"url": address, "secret_file": self.secret, "rest_url": address, **settings}
        if self.reads_back:
            given.setdefault("rest_token_file", self.token)
        return pagerduty.connect("pagerduty", pagerduty.Settings(**given))

    def tickets(self, key: str) -> list[Seen]:
        with self.lock:
            return [self.seen(each) for each in self.incidents if each["key"] == key]

    def seen(self, incident: dict[str, Any]) -> Seen:
        first, *others = [event["payload"] for alert in incident["alerts"] for event in alert["events"]]
        notes = [each["custom_details"]["text"] for each in others]
        words = {"triggered": TicketState.OPEN, "acknowledged": TicketState.WORKING, "resolved": TicketState.RESOLVED}
        state, body = words[incident["status"]], first["custom_details"]["text"]
        return Seen(incident["id"], incident["key"], first["summary"], body, state, "", notes)

    def person(self, ticket: str, act: str, text: str = "") -> None:
        with self.lock:
            incident = next(each for each in self.incidents if each["id"] == ticket)
            match act:
                case "own" | "work":
                    self.become(incident, "acknowledged", PERSON)
                case "resolve" | "close":
                    self.become(incident, "resolved", PERSON)
                case "note":
                    self.changed(incident, "annotate", PERSON)
                    note = {"id": f"PN{self.now:%H%M%S}", "content": text, "user": PERSON}
                    incident["notes"].append({**note, "created_at": incident["last_status_change_at"]})
                case "merge":
                    target = next(each for each in self.incidents if each["id"] == text)
                    target["alerts"] += incident["alerts"]
                    incident["alerts"] = []
                    incident["resolve_reason"] = {"type": "merge_resolve_reason", "incident": {"id": text}}
                    self.become(incident, "resolved", PERSON)
                case _:
                    raise NotSupportedError(act)


def _at(told: str) -> str:
    return told.replace("+00:00", "Z")
