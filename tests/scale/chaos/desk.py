"""The bank's ticket desk: takes the webhook's messages over TLS and opens a ticket for each `incident.opened` that it has not had under this id, as Standard
Webhooks asks of a receiver. It remembers all that it was told.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections import Counter
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple


class Told(NamedTuple):
    """id: of the message, the same at each attempt."""

    id: str
    kind: str
    incident: str


class Desk:
    """chain: certificate and key, in PEM."""

    def __init__(self, host: str, chain: Path) -> None:
        self.told: list[Told] = []
        self.lock = threading.Lock()
        desk = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with desk.lock:
                    desk.told.append(Told(self.headers["webhook-id"], body["type"], desk.incident(body)))
                content = json.dumps({"id": desk.incident(body), "state": "open"}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None: ...

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_: object) -> None:
                """The collector was killed, as it should be."""

        self._server = Server((host, 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @staticmethod
    def incident(body: dict[str, object]) -> str:
        data = body["data"]
        assert isinstance(data, dict)
        return str(data["incident"])

    def opened(self) -> Counter[str]:
        """Tickets of each incident: attempts at one message are one ticket."""
        with self.lock:
            return tickets(self.told)

    def attempts(self) -> tuple[int, int]:
        """Messages, and requests: the difference was told again."""
        with self.lock:
            return len({told.id for told in self.told}), len(self.told)


def tickets(told: Iterable[Told]) -> Counter[str]:
    """Of each incident. One that comes back after it was resolved has the same ticket, opened again; one that is opened while it is open has another."""
    found: Counter[str] = Counter()
    running: set[str] = set()
    for each in {one.id: one for one in told}.values():
        if each.kind == "incident.resolved":
            running.discard(each.incident)
        elif each.kind == "incident.opened":
            if each.incident in running or not found[each.incident]:
                found[each.incident] += 1
            running.add(each.incident)
    return found
