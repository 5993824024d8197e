"""A self-service terminal over a real WebSocket server: a publisher and the recorded services, each on its path. It judges what it is asked as harshly
as a service provider may, which ends its process over a frame that it does not know.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

RECORDED = Path(__file__).parents[2] / "recordings" / "xfs4iot"
ROOT = "/xfs4iot/v1.0/"
NAMES = tuple(sorted(path.stem for path in RECORDED.glob("*.json")))
COMPLETION = {
    "ServicePublisher.GetServices": "2.0",
    "Common.Capabilities": "3.0",
    "Common.Status": "3.0",
    "Storage.GetStorage": "2.1",
}


def recorded(name: str) -> dict[str, Any]:
    payloads = json.loads((RECORDED / f"{name}.json").read_text("utf-8"))
    assert isinstance(payloads, dict)
    return payloads


class Terminal:
    """services: what each answers, by command. asked: every frame, as (service, command). deaths: frames that would have ended a service provider.

    instead: called with (connection, service, header) before a command is answered; returns True when it has dealt with it.
    """

    def __init__(self, names: tuple[str, ...] = NAMES, versions: tuple[str, ...] = ("2.0",)) -> None:
        self.services = {name: recorded(name) for name in names}
        self.versions = versions
        self.asked: list[tuple[str, str]] = []
        self.deaths: list[str] = []
        self.open: dict[str, set[ServerConnection]] = {}
        self.instead: Callable[[ServerConnection, str, dict[str, Any]], Any] | None = None
        self.uri = "ws://127.0.0.1:{port}{root}{name}/"
        self.vendor = "Kassenbau AG"
        self.port = 0
        self._server: Server | None = None

    async def start(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._server = await serve(
            self._serve, "127.0.0.1", port, ssl=tls, process_request=self._admit, compression=None
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def say(self, name: str, event: str, payload: dict[str, Any] | None = None) -> None:
        """An unsolicited event to all who are connected."""
        message = {"header": {"name": event, "type": "unsolicited", "version": "2.0"}, "payload": payload or {}}
        for connection in list(self.open.get(name, ())):
            await connection.send(json.dumps(message))

    def count(self, command: str) -> int:
        return sum(asked == command for _, asked in self.asked)

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        name = request.path.removeprefix(ROOT).removesuffix("/")
        if not request.path.startswith(ROOT) or (name and name not in self.services):
            return connection.respond(HTTPStatus.BAD_REQUEST, "")
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        name = connection.request.path.removeprefix(ROOT).removesuffix("/")
        self.open.setdefault(name, set()).add(connection)
        try:
            async for frame in connection:
                await self._command(connection, name, frame)
        finally:
            self.open[name].discard(connection)

    async def _command(self, connection: ServerConnection, name: str, frame: str | bytes) -> None:
        header = self._header(name, frame)
        if header is None:
            self.deaths.append(f"{name}: {frame!r}")
            connection.transport.abort()
            return
        self.asked.append((name, header["name"]))
        if self.instead is not None and await self.instead(connection, name, header):
            return
        if header["version"] not in self.versions:
            await self.complete(connection, header, {}, "unsupportedCommand")
            return
        await self.acknowledge(connection, header)
        await self.complete(connection, header, self._payload(name, header["name"]))

    def _header(self, name: str, frame: str | bytes) -> dict[str, Any] | None:
        try:
            message = json.loads(frame)
        except ValueError:
            return None
        header = message["header"]
        known = ["ServicePublisher.GetServices"] if not name else list(self.services[name])
        right = (
            isinstance(frame, str)
            and set(message) == {"header", "payload"}
            and set(header) == {"name", "requestId", "type", "version", "timeout"}
            and message["payload"] == {}
            and header["type"] == "command"
            and header["name"] in known
            and isinstance(header["requestId"], int)
            and header["requestId"] > 0
        )
        return header if right else None

    def _payload(self, name: str, command: str) -> dict[str, Any]:
        if name:
            payload: dict[str, Any] = self.services[name][command]
            return payload
        uris = [self.uri.format(port=self.port, root=ROOT, name=each) for each in self.services]
        return {"vendorName": self.vendor, "services": [{"serviceURI": uri} for uri in uris]}

    @staticmethod
    async def acknowledge(connection: ServerConnection, header: dict[str, Any], status: str | None = None) -> None:
        answer = {key: header[key] for key in ("name", "requestId", "version")} | {"type": "acknowledge"}
        await connection.send(json.dumps({"header": answer | ({"status": status} if status else {})}))

    @staticmethod
    async def complete(
        connection: ServerConnection, header: dict[str, Any], payload: dict[str, Any], code: str = "success"
    ) -> None:
        answer = {
            "name": header["name"],
            "requestId": header["requestId"],
            "type": "completion",
            "version": COMPLETION[header["name"]],
            "completionCode": code,
            "errorDescription": "free text of a maker",
        }
        await connection.send(json.dumps({"header": answer, "payload": payload}))
