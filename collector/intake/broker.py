"""The embedded broker, for the demo and a site of up to some 200 terminals: amqtt in this process, behind a door that decides who comes in
under which name before amqtt reads a byte. A terminal is the CN of its certificate, and may speak on its own topics only.

amqtt alone takes packets of any size, lets a client id push out its namesake before anybody is authenticated, publishes wills on any
topic, hands retained messages to every client that connects, and never misses a client that went silent; the door mends these.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import secrets
import ssl
from asyncio import sslproto
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, cast

from amqtt.adapters import BufferReader, ReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import Action, BrokerConfig, ListenerConfig, ListenerType
from amqtt.errors import AMQTTError, MQTTError, NoDataError
from amqtt.mqtt.connect import ConnectPacket
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from tillwatch.agent.wire import MAX_PAYLOAD, TOPIC_ROOT, valid_terminal
from tillwatch.collector.trust.authority import COLLECTOR_NAME

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 500
"""A TLS client costs amqtt some 60 KiB and a tenth of a core goes with 200 messages/s: beyond this a broker of its own is due."""
MAX_KNOCKING = 200
"""Connections that have not said yet who they are: after a restart a whole site comes within a second, and each has ten to say it."""
PACE = 200.0
"""Messages a second that one client is read at; TCP holds the rest back. amqtt carries some 5,000 in all, and with 200 the backlog of a
day is through in seven seconds.
"""
PACE_BURST = 100
MAX_PACKET = MAX_PAYLOAD + 256
"""Bytes of an MQTT packet: the largest sealed batch with its topic and packet id."""
MAX_CONNECT = 4 * 1024
"""Bytes of a CONNECT, which holds a client id and a signed life message as its will."""
CONNECT_TIMEOUT_S = 10.0
MAX_SILENCE_S = 1800.0
"""For a client that asks for no keep-alive; others are gone after one and a half of theirs, as MQTT 3.1.1 wants."""
MAX_INSIDE = 2000
"""Messages that may wait inside amqtt; beyond it terminals are not read, so that TCP holds them back."""
HOLD_S = 0.05
TAKE_OVER_S = 5.0
"""For a connection to end: the old one of a client that comes back, or all of them when the broker stops."""
CONTEST_S = 600.0
"""Seconds without another one, after which a take-over is told again."""
TLS_BUFFER = 32 * 1024
"""Read buffer of a TLS connection; asyncio's 256 KiB make a client five times as large and nothing here faster."""
ANYBODY = "*"
"""Who a client is on a plain listener, which is on loopback only: any terminal, never the collector."""

_CONNECT = 0x10
_PUBLISH = 0x30
_RETAIN = 0x01
_NOT_AUTHORISED = bytes((0x20, 2, 0, 5))


_Inside = Callable[[str], int]


class BrokerStartError(Exception):
    """The broker cannot listen. The text names the port and the mend."""


def may(who: str, topic: str, action: Action) -> bool:
    """Whether `who` may publish on a topic or subscribe to a filter. Terminals get no wildcards."""
    if action is Action.RECEIVE:
        return True  # it was decided when the filter was subscribed to
    levels = topic.split("/")
    if len(levels) != 4 or "/".join(levels[:2]) != TOPIC_ROOT:
        return False
    terminal, kind = levels[2:]
    upward = kind in ("batch", "life")
    if not upward and kind not in ("ack", "command", "bundle"):
        return False
    if who == COLLECTOR_NAME:
        return (terminal == "+" or valid_terminal(terminal)) if action is Action.SUBSCRIBE else not upward
    if upward != (action is Action.PUBLISH):
        return False
    return valid_terminal(terminal) and who in (terminal, ANYBODY)


class DoorAuth(BaseAuthPlugin):  # type: ignore[misc] # amqtt has no types
    """amqtt asks whether a client may come in. The door has named it in the user name, or has not let it through."""

    async def authenticate(self, *, session: Session) -> bool | None:
        return bool(session.username)


class TopicRights(BaseTopicPlugin):  # type: ignore[misc]
    """amqtt asks what a client may publish and subscribe to."""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        if session is None or session.username is None or topic is None or action is None:
            return False
        allowed = may(session.username, topic, action)
        if not allowed:
            log.warning("MQTT client %s may not %s on %r", session.client_id, action.value, topic[:100])
        return allowed


class _Subscriptions(dict[str, list[Any]]):
    """amqtt walks through its subscriptions with pauses in between, and fails where a client subscribes or leaves meanwhile."""

    def __iter__(self) -> Iterator[str]:
        return iter(list(super().__iter__()))

    def items(self) -> Any:
        return list(super().items())


class EmbeddedBroker:
    """amqtt with two listeners: one for terminals, and one on loopback for the collector itself, with a password made at start.

    tls: the context of the terminals' listener, requiring client certificates; None for a plain listener on loopback.
    refuses: whether a terminal with the certificate of that serial number (hex) is to be turned away; asked at every connection, and of
    those that are there when `look_again` is called.
    Port 0 takes a free one; `port`, `internal_port` and `internal_password` hold after start().
    """

    internal_host = "127.0.0.1"

    def __init__(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        refuses: Callable[[str, str], bool] = lambda *_: False,
    ) -> None:
        for chatty in ("amqtt", "transitions"):
            logging.getLogger(chatty).setLevel(logging.CRITICAL)
        self.port = port
        self.internal_port = 0
        self.internal_password = secrets.token_urlsafe(24)
        self._host = host
        self._tls = tls
        self._refuses = refuses
        self.takeovers: Counter[str] = Counter()
        self._turned_away: set[str] = set()
        self._contested: OrderedDict[str, float] = OrderedDict()
        self._broker: Broker | None = None
        self._servers: list[asyncio.Server] = []
        self._clients: dict[str, _Door] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._crowded = False
        self._knocking = 0

    async def start(self) -> None:
        """Raises BrokerStartError when a port is taken."""
        if self._tls is not None:
            sslproto.SSLProtocol.max_size = TLS_BUFFER
        config = BrokerConfig(
            listeners={"default": ListenerConfig(type=ListenerType.EXTERNAL)},
            plugins={f"{__name__}.{plugin.__name__}": {} for plugin in (DoorAuth, TopicRights)},
        )
        terminals = await self._listen(self._terminal_connected, self._host, self.port, self._tls)
        internal = await self._listen(self._collector_connected, self.internal_host, 0, None)
        self._servers = [terminals, internal]
        self.port = terminals.sockets[0].getsockname()[1]
        self.internal_port = internal.sockets[0].getsockname()[1]
        self._broker = Broker(config)
        self._broker._subscriptions = _Subscriptions()  # noqa: SLF001 - see there
        await self._broker.start()
        for server in self._servers:
            await server.start_serving()

    async def stop(self) -> None:
        """Closes every connection; terminals come back by themselves. Safe without start()."""
        for server in self._servers:
            server.close()
        for door in list(self._clients.values()):
            door.end()
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=TAKE_OVER_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._broker is not None:
            await self._broker.shutdown()
        for server in self._servers:
            await server.wait_closed()
        self._servers, self._broker = [], None

    def look_again(self) -> None:
        """Close the connections of those who are refused by now."""
        for door in list(self._clients.values()):
            if self._tls is not None and door.who != COLLECTOR_NAME and self._refuses(door.who, door.serial):
                log.warning("MQTT client %s is cut off: its certificate was revoked", door.who)
                door.end()

    def _contest(self, old: _Door, new: _Door) -> None:
        """A client takes the place of one that lived a moment ago: a line that was cut, or a second machine under the same name."""
        self.takeovers[new.client_id] += 1
        now = asyncio.get_running_loop().time()
        again = now - self._contested.pop(new.client_id, -CONTEST_S) < CONTEST_S
        self._contested[new.client_id] = now
        if len(self._contested) > MAX_CONNECTIONS:
            self._contested.popitem(last=False)
        if not again:
            log.info("MQTT client %s at %s takes the place of the one at %s", new.client_id, new.peer, old.peer)

    async def _listen(self, connected: Any, host: str, port: int, tls: ssl.SSLContext | None) -> asyncio.Server:
        handshake = CONNECT_TIMEOUT_S if tls else None
        try:
            return await asyncio.start_server(
                connected, host, port, ssl=tls, ssl_handshake_timeout=handshake, start_serving=False
            )
        except OSError as error:
            raise BrokerStartError(
                f"cannot listen on {host} port {port} for MQTT: {error.strerror or error}; end the program that holds it, "
                "or set port in [broker]"
            ) from None

    async def _terminal_connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        who, serial = (ANYBODY, "") if self._tls is None else _certified(writer)
        if who and self._refuses(who, serial):
            if serial not in self._turned_away:
                log.warning(
                    "MQTT client %s comes with a revoked certificate (serial %s) and is turned away", who, serial
                )
            self._turned_away = (self._turned_away | {serial}) if len(self._turned_away) < MAX_CONNECTIONS else {serial}
            who = ""
        await self._serve(_Door(reader, writer, who, self._inside, serial=serial))

    async def _collector_connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._serve(_Door(reader, writer, COLLECTOR_NAME, None, self.internal_password))

    async def _serve(self, door: _Door) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if await self._admit(door) and self._broker is not None:
                await self._broker.external_connected(door, _Answers(door.writer), "default")
        except (OSError, AMQTTError, MQTTError, NoDataError) as error:
            log.debug("MQTT client %s: %s", door.client_id, error)
        finally:
            if self._clients.get(door.client_id) is door:
                del self._clients[door.client_id]
            self._tasks.discard(task)
            door.end()
            door.ended.set()

    async def _admit(self, door: _Door) -> bool:
        ours = door.who == COLLECTOR_NAME
        if self._knocking >= MAX_KNOCKING and not ours:
            return False
        self._knocking += 1
        try:
            opened = await door.open()
        finally:
            self._knocking -= 1
        if not opened:
            return False
        # Who comes back takes the place of its old connection.
        if len(self._clients) >= MAX_CONNECTIONS and door.client_id not in self._clients and not ours:
            if not self._crowded:
                log.warning(
                    "the embedded broker has %d clients and takes no more; give it a mosquitto", MAX_CONNECTIONS
                )
            self._crowded = True
            return False
        self._crowded = False
        if (old := self._clients.get(door.client_id)) is not None:
            self._contest(old, door)
            old.end()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(old.ended.wait(), TAKE_OVER_S)
        self._clients[door.client_id] = door
        return True

    def _inside(self, client_id: str) -> int:
        """Messages on their way through amqtt: those of one client that it has not looked at, those that wait to be sent on, and those
        that the collector has not acknowledged.
        """
        broker = self._broker
        if broker is None:
            return 0
        sessions = broker.sessions
        inside = broker._broadcast_queue.qsize()  # noqa: SLF001 - it tells nobody how full it is
        if client_id in sessions:
            inside += sessions[client_id][0].delivered_message_queue.qsize()
        if COLLECTOR_NAME in sessions:
            inside += len(sessions[COLLECTOR_NAME][0].inflight_out)
        return int(inside)


class _Door(ReaderAdapter):  # type: ignore[misc] # amqtt has no types
    """What amqtt reads of one client: whole packets, bounded, with the name that the door gave it. Ends when the client falls silent."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        who: str,
        inside: _Inside | None,
        password: str = "",
        *,
        serial: str = "",
    ) -> None:
        self.writer = writer
        self.who = who
        self.serial = serial
        self.client_id = ""
        self.ended = asyncio.Event()
        self._reader = reader
        self._inside = inside
        self._password = password
        self._silence_s = CONNECT_TIMEOUT_S
        self._packet = memoryview(b"")
        self._credit = (float(PACE_BURST), 0.0)

    @property
    def peer(self) -> str:
        return str((self.writer.get_extra_info("peername") or ("",))[0])

    async def open(self) -> bool:
        """Reads the CONNECT. False, and the client answered, if it is not let in; else amqtt will read it under the right name."""
        packet = await self._receive(MAX_CONNECT)
        if packet is None or packet[0] != _CONNECT:
            return False
        try:
            connect = await ConnectPacket.from_stream(BufferReader(packet))
        except (AMQTTError, MQTTError, NoDataError, ValueError):
            return False
        if connect.proto_level == 4 and not self._name(connect):
            self.writer.write(_NOT_AUTHORISED)
            with contextlib.suppress(OSError):
                await self.writer.drain()
            self.writer.close()
            return False
        # Another version passes as it is: amqtt answers which one it speaks, and closes.
        self._packet = memoryview(connect.to_bytes() if connect.proto_level == 4 else packet)
        return True

    def _name(self, connect: ConnectPacket) -> bool:
        if not self.who:
            return False
        if self._password and not hmac.compare_digest((connect.password or "").encode(), self._password.encode()):
            return False
        if connect.will_flag and not may(self.who, connect.will_topic or "", Action.PUBLISH):
            log.warning("MQTT client %s may not leave a will on %r", self.who, (connect.will_topic or "")[:100])
            return False
        self.client_id = f"plain/{connect.client_id}" if self.who == ANYBODY else self.who
        self._silence_s = 1.5 * connect.keep_alive if connect.keep_alive else MAX_SILENCE_S
        connect.client_id = self.client_id
        connect.username_flag, connect.username = True, self.who
        connect.password_flag, connect.password = False, None
        connect.clean_session_flag, connect.will_retain_flag = True, False
        connect.keep_alive = 0  # silence is watched here; amqtt only notes it
        return True

    async def read(self, n: int = -1) -> bytes:
        if n == 0:
            return b""
        if not self._packet:
            packet = await self._receive(MAX_PACKET)
            if packet is None:
                self.end()
                raise ConnectionResetError("closed, silent, or no MQTT")
            self._packet = memoryview(packet)
        if n > len(self._packet):
            self.end()
            raise ConnectionResetError("a packet that claims more than it holds")
        taken = bytes(self._packet[:n])
        self._packet = self._packet[n:]
        return taken

    def feed_eof(self) -> None:
        self._reader.feed_eof()

    def end(self) -> None:
        self._packet = memoryview(b"")
        self.writer.transport.abort()

    async def _receive(self, most: int) -> bytes | None:
        """The next packet; None when the client is gone, silent or sends what is no packet of at most `most` bytes."""
        await asyncio.sleep(0)  # lets amqtt take what was read before, and other clients have their turn
        # amqtt has no back-pressure: its queues are looked at from outside, and a client that is not read is held by TCP.
        while self._inside and self._inside(self.client_id) > MAX_INSIDE and not self.writer.is_closing():  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(HOLD_S)
        try:
            async with asyncio.timeout(self._silence_s):
                head = bytearray(await self._reader.readexactly(2))
                while head[-1] & 0x80:
                    if len(head) == 5:
                        return None
                    head += await self._reader.readexactly(1)
                length = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(head[1:]))
                if length > most:
                    log.warning(
                        "MQTT client %s sends a packet of %d bytes; at most %d are taken",
                        self.client_id or self.who,
                        length,
                        most,
                    )
                    return None
                body = await self._reader.readexactly(length)
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            return None
        if head[0] & 0xF0 == _PUBLISH:
            await self._in_step()
            head[0] &= ~_RETAIN & 0xFF  # nothing in the protocol is retained, and amqtt would show it to everybody
        return bytes(head) + body

    async def _in_step(self) -> None:
        """Wait where a terminal sends faster than PACE."""
        if self._inside is None:
            return
        now = asyncio.get_running_loop().time()
        credit, at = self._credit
        credit = min(PACE_BURST, credit + (now - at) * PACE) - 1
        self._credit = (credit, now)
        if credit < 0:
            await asyncio.sleep(-credit / PACE)


class _Answers(StreamWriterAdapter):  # type: ignore[misc] # amqtt has no types
    """What amqtt writes to one client; nothing, at once, where that is gone. amqtt ends the answers to such a client wherever they are, and looks at none of
    them: one that waited, or failed otherwise than by a reset, would be told as a fault of this program. That the client is gone its reader says, after what
    it said last.
    """

    def write(self, data: bytes) -> None:
        if not self._writer.is_closing():
            super().write(data)

    async def drain(self) -> None:
        if self._writer.is_closing():
            return
        try:
            await super().drain()
        except OSError as error:
            raise ConnectionResetError(str(error)) from error


def _certified(writer: asyncio.StreamWriter) -> tuple[str, str]:
    """The terminal that the client certificate names, empty if it names none, and the certificate's serial number in hex."""
    certificate = cast("ssl.SSLObject", writer.get_extra_info("ssl_object")).getpeercert() or {}
    subject = cast("tuple[tuple[tuple[str, str], ...], ...]", certificate.get("subject", ()))
    names = [value for entry in subject for name, value in entry if name == "commonName"]
    serial = str(certificate.get("serialNumber", "")).lower().lstrip("0")
    return (names[0] if len(names) == 1 and valid_terminal(names[0]) else ""), serial
