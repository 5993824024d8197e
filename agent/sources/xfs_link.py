"""One WebSocket to one XFS4IoT service, and everything that may ever go over it: four commands without parameters, from fixed frames. The list
is held at the one place where bytes leave. What comes back is bounded, and of what a service says unasked only the names on a list are looked at: the
others speak of cards, keys, cheques and people.

A service provider of the public framework ends its own process over a frame that it does not know, so there is no frame here that a caller could shape.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import wsproto
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

GET_SERVICES = "ServicePublisher.GetServices"
CAPABILITIES = "Common.Capabilities"
STATUS = "Common.Status"
GET_STORAGE = "Storage.GetStorage"
COMMANDS = (GET_SERVICES, CAPABILITIES, STATUS, GET_STORAGE)
VERSIONS = ("2.0", "1.0", "2.1", "3.0")
"""Of commands, in the order tried: the match is exact, and a service refuses the others with `unsupportedCommand`."""
COMMAND_TIMEOUT_MS = 5_000
"""In the command: after that the service gives it up by itself."""
ANSWER_S = 10.0
CONNECT_S = 3.0
MAX_REQUEST_ID = 2**31 - 1
MAX_MESSAGE = 1 << 20
"""Characters of one message. Capabilities with all classes have some 60,000; the storage of a recycler with 20 units some 40,000."""
MAX_HEARD = 16 << 20
"""Bytes from one command to the next, a minute or more. A busy recycler says some 100 kB of its own in that time."""
READ_BYTES = 1 << 16
MAX_UNSENT = 1 << 16
"""Bytes that wait to leave. There are that many only for a peer that asks and does not read."""

EVENTS = frozenset(
    {
        "Common.StatusChangedEvent",
        "Common.ErrorEvent",
        "Storage.StorageChangedEvent",
        "Storage.StorageThresholdEvent",
        "Storage.CountsChangedEvent",
        "Printer.PaperThresholdEvent",
        "Printer.TonerThresholdEvent",
        "Printer.InkThresholdEvent",
        "Printer.LampThresholdEvent",
        "Printer.RetractBinThresholdEvent",
        "CashManagement.ShutterStatusChangedEvent",
        "VendorMode.ModeEnteredEvent",
        "VendorMode.ModeExitedEvent",
        "KeyManagement.IllegalKeyAccessEvent",
    }
)
"""Unsolicited events that are hints. Their payload is not looked at: the poll that follows tells."""

_FRAMES: Mapping[tuple[str, str], str] = {
    (command, version): (
        f'{{"header":{{"name":"{command}","requestId":%d,"type":"command","version":"{version}",'
        f'"timeout":{COMMAND_TIMEOUT_MS}}},"payload":{{}}}}'
    )
    for command in COMMANDS
    for version in VERSIONS
}
FRAME = re.compile("|".join(re.escape(frame).replace("%d", r"[1-9]\d{0,9}") for frame in _FRAMES.values()))
_TARGET = re.compile(r"/xfs4iot/v1\.0/(?:[A-Za-z0-9_.-]{1,40}/)?")
_CODE = re.compile(r"[A-Za-z]{1,40}")


class XfsError(Exception):
    """The service cannot be asked, or does not answer as it should. The text never holds what the service wrote in words of its own."""


class RefusedError(XfsError):
    """It answered, and not with `success`. code: the completion code or the status of the acknowledge."""

    def __init__(self, what: str, code: object) -> None:
        self.code = code if isinstance(code, str) and _CODE.fullmatch(code) else "a code that is none"
        super().__init__(f"{what} is answered with {self.code}")


class LostError(XfsError):
    """The connection ended while the service was being asked."""


@dataclass(frozen=True, slots=True)
class Address:
    """target: the path of the URI. tls: None for ws."""

    host: str
    port: int
    target: str
    tls: ssl.SSLContext | None = None

    @property
    def authority(self) -> str:
        """For the Host header: a service provider may serve the name alone that it was set up with."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{'wss' if self.tls else 'ws'}://{self.authority}{self.target}"


class XfsLink:
    """Open with `await XfsLink.open(...)`. hinted: called for each event of EVENTS, with nothing. One caller asks at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hinted: Callable[[], None]) -> None:
        self._reader, self._writer, self._hinted = reader, writer, hinted
        self._protocol = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting: tuple[str, int, asyncio.Future[Mapping[str, Any]]] | None = None
        self._last_id = 0
        self._heard = 0
        self._parts: list[str] = []
        self._size = 0
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, address: Address, hinted: Callable[[], None] = lambda: None) -> XfsLink:
        """Raises XfsError."""
        if not _TARGET.fullmatch(address.target):
            raise XfsError(f"{address.target[:80]!r} is no path of XFS4IoT")
        try:
            async with asyncio.timeout(CONNECT_S):
                streams = await asyncio.open_connection(address.host, address.port, ssl=address.tls, limit=READ_BYTES)
        except (OSError, TimeoutError) as error:
            raise XfsError(f"{address}: {_reason(error) or 'no answer'}") from error
        link = cls(*streams, hinted)
        link._reading = asyncio.create_task(link._read(), name=f"XFS4IoT {address.target}")
        try:
            async with asyncio.timeout(CONNECT_S):
                link._write(Request(host=address.authority, target=address.target))
                await link._accepted
        except (TimeoutError, XfsError) as error:
            await link.close()
            raise XfsError(f"{address}: {error if isinstance(error, XfsError) else 'no WebSocket answers'}") from error
        except BaseException:
            await link.close()
            raise
        return link

    @property
    def is_open(self) -> bool:
        return self._reading is not None and not self._reading.done()

    async def ask(self, command: str, version: str = VERSIONS[0]) -> Mapping[str, Any]:
        """The payload of a completion with `success`. Raises XfsError; LostError when the service went away over it."""
        if not self.is_open:
            raise XfsError("the connection has ended")
        self._last_id = self._last_id % MAX_REQUEST_ID + 1
        answer: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting, self._heard = (command, self._last_id, answer), 0
        try:
            async with asyncio.timeout(ANSWER_S):
                frame = _FRAMES.get((command, version), "")
                self._write(TextMessage(frame % self._last_id if frame else ""))
                return await answer
        except TimeoutError:
            raise XfsError(f"{command} is not answered within {ANSWER_S:g} s") from None
        finally:
            self._waiting = None

    async def close(self) -> None:
        with contextlib.suppress(XfsError):
            if self._accepted.done() and not self._accepted.cancelled() and self._accepted.exception() is None:
                self._write(CloseConnection(code=1000))
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        self._writer.close()
        with contextlib.suppress(OSError):
            self._writer.transport.abort()

    def _write(self, event: Event) -> None:
        """The one place where bytes leave. Beside the four commands: the upgrade, the answer to a ping, the end."""
        if isinstance(event, TextMessage):
            if not FRAME.fullmatch(event.data):
                raise XfsError("this is no frame that may be sent")
        elif isinstance(event, Request):
            if not _TARGET.fullmatch(event.target) or event.extra_headers or event.extensions or event.subprotocols:
                raise XfsError("this is no upgrade that may be sent")
        elif not isinstance(event, Pong | CloseConnection):
            raise XfsError(f"a {type(event).__name__} may not be sent")
        try:
            data = self._protocol.send(event)
        except LocalProtocolError:
            raise LostError("the connection has ended") from None
        if self._writer.transport.get_write_buffer_size() > MAX_UNSENT:
            raise XfsError("it does not read what it asks for")
        self._writer.write(data)

    async def _read(self) -> None:
        error: XfsError = LostError("the service ended the connection")
        try:
            while data := await self._reader.read(READ_BYTES):
                self._heard += len(data)
                if self._heard > MAX_HEARD:
                    raise XfsError(f"it sends more than {MAX_HEARD} bytes between two questions")
                self._protocol.receive_data(data)
                for event in self._protocol.events():
                    self._take(event)
        except XfsError as failed:
            error = failed
        except (RemoteProtocolError, LocalProtocolError):
            error = XfsError("what comes is no WebSocket")
        except OSError as failed:
            error = LostError(_reason(failed) or "the connection is lost")
        except Exception as failed:  # whatever hostile bytes do to a decoder, the one who waits must hear of it
            error = XfsError(f"what comes cannot be read: {type(failed).__name__}")
        finally:
            if not self._accepted.done():
                self._accepted.set_exception(error)
                self._accepted.exception()  # fetched: nobody may be waiting
            if self._waiting is not None and not self._waiting[2].done():
                self._waiting[2].set_exception(error)
            self._writer.transport.abort()

    def _take(self, event: Event) -> None:
        match event:
            case TextMessage():
                self._size += len(event.data)
                if self._size > MAX_MESSAGE:
                    raise XfsError(f"it sends a message of more than {MAX_MESSAGE} characters")
                self._parts.append(event.data)
                if event.message_finished:
                    text, self._parts, self._size = "".join(self._parts), [], 0
                    self._message(text)
            case AcceptConnection():
                self._accepted.set_result(None)
            case RejectConnection():
                raise XfsError(f"no WebSocket is served there (HTTP {event.status_code})")
            case Ping():
                self._write(event.response())
            case CloseConnection():
                with contextlib.suppress(XfsError):
                    self._write(event.response())
                raise LostError("the service ended the connection")

    def _message(self, text: str) -> None:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return
        header = message.get("header") if isinstance(message, dict) else None
        if not isinstance(header, dict):
            return
        kind, name = header.get("type"), header.get("name")
        if kind == "unsolicited":
            if isinstance(name, str) and name in EVENTS:
                self._hinted()
            return
        if self._waiting is None or header.get("requestId") != self._waiting[1] or self._waiting[2].done():
            return
        command, _, answer = self._waiting
        if name != command:
            return
        if kind == "acknowledge" and header.get("status") is not None:
            answer.set_exception(RefusedError(command, header["status"]))
        elif kind == "completion":
            if header.get("completionCode") != "success":
                answer.set_exception(RefusedError(command, header.get("completionCode")))
                return
            payload = message.get("payload")
            answer.set_result(payload if isinstance(payload, dict) else {})


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or 'refused'}"
    return str(getattr(error, "strerror", "") or "")
