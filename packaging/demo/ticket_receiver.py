"""A small ticket desk for the demo: it takes signed webhooks, keeps tickets in memory and shows them on a page that refreshes itself.

`python ticket_receiver.py --port 0 --secret-file FILE [--log FILE.jsonl]` prints its address and serves until SIGINT or SIGTERM.
GET / is the page, GET /tickets the same as JSON, POST / takes webhooks. It believes nothing unsigned and acts on no webhook id twice.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from tillwatch.collector.tickets.signature import Secret, SignatureError, read_secrets, verify

MAX_BODY = 256 * 1024
"""Bytes of a webhook: ten times what tillwatch sends."""

MAX_TICKETS = 1000
"""Tickets kept; past it the oldest resolved one goes, then the oldest."""

MAX_IDS = 100_000
"""Webhook ids remembered with their answers: more than a demo sends in the 72 h that the scheme asks for."""

REQUEST_S = 10.0
"""A sender that stops in the middle of a request holds a thread no longer than this."""


@dataclass
class Ticket:
    """One ticket. opened and resolved: ISO 8601 as sent, resolved empty while it is open. means: of the diagnosis card; told: who was called."""

    id: str
    incident: str
    level: int
    terminal: str
    what: str
    state: str
    opened: str
    resolved: str = ""
    seq: int = 0
    branch: str = ""
    cause: str = ""
    action: str = ""
    means: str = ""
    affected: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    history: list[str] = field(default_factory=list)


class TicketDesk:
    """Tickets by incident, and the answer to every webhook id seen. Thread-safe."""

    def __init__(self, address: str, journal: Callable[[dict[str, Any]], None] | None = None) -> None:
        self._address = address
        self._journal = journal
        self._lock = threading.Lock()
        self._tickets: dict[str, Ticket] = {}
        self._answers: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._numbers = 0

    def take(self, webhook_id: str, event: dict[str, Any]) -> dict[str, str]:
        """The answer to one webhook. Raises KeyError, TypeError or ValueError for an event of another form."""
        with self._lock:
            repeated = webhook_id in self._answers
            if not repeated:
                self._answers[webhook_id] = self._apply(event)
                if len(self._answers) > MAX_IDS:
                    self._answers.popitem(last=False)
            answer = self._answers[webhook_id]
            if self._journal:
                self._journal(
                    {
                        "webhook_id": webhook_id,
                        "repeated": repeated,
                        "type": event["type"],
                        "seq": event["data"]["seq"],
                        **answer,
                    }
                )
            return answer

    def tickets(self) -> list[dict[str, Any]]:
        """Open ones first, level 1 first, newest first."""
        with self._lock:
            newest = sorted(self._tickets.values(), key=lambda ticket: ticket.id, reverse=True)
            return [
                asdict(ticket)
                for ticket in sorted(newest, key=lambda ticket: (ticket.state == "resolved", ticket.level))
            ]

    def _apply(self, event: dict[str, Any]) -> dict[str, str]:
        kind, data = event["type"], event["data"]
        if kind not in {"incident.opened", "incident.updated", "incident.resolved"}:
            raise ValueError(f"unknown type {kind!r}")
        incident, seq = str(data["incident"]), int(data["seq"])
        level, terminal, what = int(data["level"]), str(data["terminal"]), str(data["what"])
        ticket = self._tickets.get(incident)
        if ticket is None:  # an update of a ticket that a restart forgot opens it again: every message says everything
            self._numbers += 1
            ticket = Ticket(
                f"T-{self._numbers:04}", incident, level, terminal, what, "open", opened=str(event["timestamp"])
            )
            self._tickets[incident] = ticket
            self._forget()
        ticket.history.append(f"{seq} {kind.removeprefix('incident.')}")
        if seq > ticket.seq:
            ticket.seq = seq
            ticket.level, ticket.terminal, ticket.what = level, terminal, what
            ticket.branch, ticket.affected = (
                str(data.get("branch", "")),
                [str(each) for each in data.get("affected", ())],
            )
            ticket.cause, ticket.action = str(data.get("cause", "")), str(data.get("action", ""))
            ticket.means = str(data.get("card", {}).get("means", ""))
            called = (f"{each['person']} ({each['role']})" for each in data.get("told", ()))
            ticket.told = list(dict.fromkeys((*ticket.told, *called)))
            if kind == "incident.resolved":
                ticket.state, ticket.resolved = "resolved", str(event["timestamp"])
            elif kind == "incident.opened":  # a fault that returned while its episode was young
                ticket.state, ticket.resolved = "open", ""
        return {"id": ticket.id, "url": f"{self._address}/#{ticket.id}", "state": ticket.state}

    def _forget(self) -> None:
        if len(self._tickets) > MAX_TICKETS:
            oldest = min(self._tickets.values(), key=lambda ticket: (ticket.state != "resolved", ticket.id))
            del self._tickets[oldest.incident]


def page(tickets: Sequence[dict[str, Any]]) -> str:
    shown = "".join(
        f"<tr id='{escape(t['id'])}' class='l{t['level']} {escape(t['state'])}'><td>{escape(t['id'])}<td>{t['level']}<td>{_whom(t)}"
        f"<td>{escape(t['what'])}<br><small>{escape(t['cause'])}</small><br><small>{escape(t['means'])}</small><td>{escape(', '.join(t['told']))}<td>{escape(t['state'])}<td>{escape(t['opened'][11:19])}<td>{escape(t['resolved'][11:19])}"
        for t in tickets
    )
    still_open = sum(t["state"] != "resolved" for t in tickets)
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<meta name="viewport" content="width=device-width"><title>{still_open} open - ticket desk</title>
<style>body{{font:15px system-ui,sans-serif;margin:2em;color:#222}}table{{border-collapse:collapse;width:100%}}
th,td{{text-align:left;padding:.4em .8em;border-bottom:1px solid #ddd;white-space:nowrap}}td:nth-child(n+3):nth-child(-n+5){{white-space:normal}}td{{vertical-align:top}}small{{color:#666}}.l1 td:nth-child(2){{color:#b00;font-weight:bold}}
.l2 td:nth-child(2){{color:#b60;font-weight:bold}}.resolved{{color:#777}}</style>
<h1>Ticket desk</h1><p>{still_open} open, {len(tickets) - still_open} resolved. This stands in for the bank's own ticket system.</p>
<table><thead><tr><th>Ticket<th>Level<th>Terminal<th>What, why, and what it means<th>Told<th>State<th>Opened (UTC)<th>Resolved</thead><tbody>{shown}</tbody></table></html>"""


def _whom(ticket: dict[str, Any]) -> str:
    """The terminal, or the branch with all who are concerned."""
    if ticket["terminal"]:
        return escape(ticket["terminal"])
    return f"{escape(ticket['branch'])}<br><small>{escape(', '.join(ticket['affected']))}</small>"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = REQUEST_S
    wbufsize = -1  # head and body in one packet
    desk: ClassVar[TicketDesk]
    secrets: ClassVar[tuple[Secret, ...]]

    def do_GET(self) -> None:
        if self.path == "/":
            self._answer(HTTPStatus.OK, page(self.desk.tickets()).encode(), "text/html; charset=utf-8")
        elif self.path == "/tickets":
            self._say(HTTPStatus.OK, self.desk.tickets())
        else:
            self._say(HTTPStatus.NOT_FOUND, {"error": "there is / and /tickets"})

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()) or int(length[:9]) > MAX_BODY:
            self.close_connection = True
            self._say(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": f"a webhook has a content-length of at most {MAX_BODY}"}
            )
            return
        body = self.rfile.read(int(length))
        try:
            webhook_id = verify(self.secrets, dict(self.headers.items()), body, time.time())
        except SignatureError as error:
            self._say(HTTPStatus.UNAUTHORIZED, {"error": str(error)})
            return
        try:
            answer = self.desk.take(webhook_id, json.loads(body))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            self._say(HTTPStatus.UNPROCESSABLE_ENTITY, {"error": f"not an incident event: {error!r}"})
            return
        self._say(HTTPStatus.OK, answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """The page shows what there is to see."""

    def _say(self, status: HTTPStatus, content: object) -> None:
        self._answer(status, json.dumps(content, ensure_ascii=False).encode(), "application/json")

    def _answer(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class DeskServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A sender that hung up: it comes again."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="A ticket desk for the tillwatch demo.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--secret-file", type=Path, required=True, help="whsec_ secrets, one a line")
    parser.add_argument("--log", type=Path, help="append every webhook to this file, one JSON object a line")
    options = parser.parse_args(arguments)
    try:
        secrets = read_secrets(options.secret_file)
        server = DeskServer((options.host, options.port), Handler)
    except (OSError, ValueError) as error:
        print(f"ticket_receiver: {error} ({options.host}:{options.port}, {options.secret_file})", file=sys.stderr)
        return 2
    address = f"http://{options.host}:{server.server_port}"
    log = options.log.open("a", encoding="utf-8", buffering=1) if options.log else None

    def journal(entry: dict[str, Any]) -> None:
        if log:
            log.write(json.dumps(entry) + "\n")

    Handler.desk = TicketDesk(address, journal)
    Handler.secrets = secrets
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    print(address, flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    if log:
        log.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
