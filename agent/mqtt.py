"""One MQTT 3.1.1 connection, narrow enough to be replaced. A Link connects once, publishes, listens, and tells when it is lost; to connect
again is a new Link. gmqtt's own reconnect and its queue of unacknowledged messages are off: the spool is the queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Callable, Collection
from typing import Any

import gmqtt
import gmqtt.mqtt.connection
from gmqtt.mqtt.connection import MQTTConnection
from gmqtt.mqtt.constants import MQTTv311
from gmqtt.mqtt.protocol import MQTTProtocol

CONNECT_TIMEOUT = 30.0
"""Seconds for TCP, TLS, CONNACK and SUBACK together."""
CLOSE_TIMEOUT = 2.0
"""Seconds for the last messages to leave; then the socket is cut."""
KEEPALIVE = 60
_CLOSED = "the broker closed the connection"
_NEVER = -2
"""gmqtt reconnects where failures <= retries and always for -1, so that only this number means never."""

# Its own log is about its own reconnects and repeats what Link tells; a level above CRITICAL silences it.
logging.getLogger("gmqtt").setLevel(logging.CRITICAL + 1)

OnMessage = Callable[[str, bytes], None]


class _Protocol(MQTTProtocol):  # type: ignore[misc]  # gmqtt has no types
    """gmqtt's own fails with a traceback when it is lost before it was given its connection: a connect that is given up half-way."""

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            super().connection_lost(exc)


class _Connection(MQTTConnection):  # type: ignore[misc]  # gmqtt has no types
    """gmqtt's own says goodbye to a peer that fell silent, and waits for what was written to leave: half a minute with TLS, else for ever."""

    def _keep_connection(self) -> None:
        if time.monotonic() - self._last_data_in >= 2 * self._keepalive:
            self._transport.abort()
        else:
            super()._keep_connection()


# gmqtt has no other way to name them.
gmqtt.mqtt.connection.MQTTProtocol = _Protocol
gmqtt.mqtt.connection.MQTTConnection = _Connection


class LinkError(Exception):
    """The broker could not be reached or refused. The text says where and why."""


class TurnedAwayError(LinkError):
    """The broker answered and does not let this terminal in: its certificate is revoked, has ended, or is of another CA."""


class _Unanswered:
    """What gmqtt asks of its store of messages without PUBACK: here only their numbers, the bytes are in the spool."""

    def __init__(self) -> None:
        self._mids: set[int] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def is_empty(self) -> bool:
        return not self._mids

    def push_message(self, mid: int, _: object) -> None:
        self._mids.add(mid)
        self._empty.clear()

    def remove_message_by_mid(self, mid: int) -> None:
        self._mids.discard(mid)
        if not self._mids:
            self._empty.set()

    def clear(self) -> None:
        self._mids.clear()
        self._empty.set()

    def get_all(self) -> list[tuple[int, bytes]]:
        return []

    async def wait_empty(self) -> None:
        await self._empty.wait()


class Link:
    """`lost` is set, once and for all, when the connection is gone, from whichever side."""

    def __init__(self, client_id: str, will: tuple[str, bytes], on_message: OnMessage) -> None:
        self.lost = asyncio.Event()
        self._unanswered = _Unanswered()
        self._on_message = on_message
        self._unheard = False
        self.denied: list[str] = []
        self._granted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._client = gmqtt.Client(
            client_id,
            clean_session=True,
            will_message=gmqtt.Message(*will, qos=1),
            persistent_storage=self._unanswered,
        )
        self._client.set_config({"reconnect_retries": _NEVER})
        self._client.on_message = self._message
        self._client.on_disconnect = self._disconnected
        self._client.on_subscribe = self._subscribed

    @classmethod
    async def connect(
        cls,
        host: str,
        port: int,
        *,
        client_id: str,
        tls: ssl.SSLContext | None,
        will: tuple[str, bytes],
        subscribe: str,
        on_message: OnMessage,
        also: Collection[str] = (),
    ) -> Link:
        """Connect and subscribe (QoS 0); both are done when this returns. also: topics that the connection can do without; `denied` are those that
        the broker refuses. Raises LinkError within CONNECT_TIMEOUT.
        """
        link = cls(client_id, will, on_message)
        where = f"broker {host}:{port}"
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await link._start(host, port, tls, subscribe)
                for topic in also:
                    if not await link._may_hear(topic):
                        link.denied.append(topic)
        except BaseException as error:
            link._cut()
            if isinstance(error, TimeoutError):
                raise LinkError(f"{where}: no answer in {CONNECT_TIMEOUT:.0f} s") from None
            if isinstance(error, gmqtt.MQTTConnectError | TurnedAwayError):
                raise TurnedAwayError(f"{where}: {error}") from None
            if isinstance(error, ssl.SSLError | OSError | LinkError):
                raise LinkError(f"{where}: {str(error) or _CLOSED}") from None
            raise
        return link

    async def _start(self, host: str, port: int, tls: ssl.SSLContext | None, subscribe: str) -> None:
        # gmqtt waits for a CONNACK for ever, also on a connection that is gone: whichever comes first counts.
        connecting = asyncio.ensure_future(self._client.connect(host, port, tls or False, KEEPALIVE, MQTTv311))
        self._unheard = tls is not None
        await self._unless_lost(connecting)
        self._unheard = False
        if not await self._may_hear(subscribe):
            raise LinkError(f"not allowed to subscribe to {subscribe}; look at the broker's access list")

    async def _may_hear(self, topic: str) -> bool:
        self._granted = asyncio.get_running_loop().create_future()
        self._client.subscribe(topic, qos=0)
        return bool(await self._unless_lost(self._granted) < 128)

    async def _unless_lost(self, wanted: asyncio.Future[Any]) -> Any:
        lost = asyncio.ensure_future(self.lost.wait())
        try:
            await asyncio.wait({wanted, lost}, return_when=asyncio.FIRST_COMPLETED)
            if not wanted.done():
                raise self._closed()
            return wanted.result()
        finally:
            lost.cancel()
            if not wanted.done():
                wanted.cancel()
            elif not wanted.cancelled():
                wanted.exception()  # failed as the time was over: looked at, else asyncio logs a traceback of what is a lost connection

    def _closed(self) -> LinkError:
        # In TLS 1.3 a refused client certificate is told by an alert after the handshake; gmqtt hands it to nobody.
        connection = self._client._connection  # noqa: SLF001 - see above
        closed = connection._protocol._closed if connection is not None else None  # noqa: SLF001 - see above
        error = closed.exception() if closed is not None and closed.done() and not closed.cancelled() else None
        if isinstance(error, ssl.SSLError):
            return TurnedAwayError(f"TLS: {error.reason}")
        if self._unheard:
            # The alert gets lost where the broker closes with bytes of ours unread.
            return TurnedAwayError("closed without an answer, as for a certificate that it refuses")
        return LinkError(_CLOSED)

    def publish(self, topic: str, payload: bytes) -> None:
        """Hand over with QoS 1; does not wait. Raises LinkError on a link that is lost."""
        if self.lost.is_set():
            raise LinkError("the connection is gone")
        try:
            self._client.publish(topic, payload, qos=1)
        except (OSError, OverflowError, RuntimeError) as error:
            self._cut()
            raise LinkError(str(error)) from None

    async def close(self) -> None:
        """Let what was published arrive, say goodbye (the will is not sent) and close. Bounded by CLOSE_TIMEOUT."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                if not self.lost.is_set():
                    await self._unless_lost(asyncio.ensure_future(self._unanswered.wait_empty()))
                await self._client.disconnect()
        except (TimeoutError, OSError, LinkError):
            pass
        finally:
            self._cut()

    def _cut(self) -> None:
        connection = self._client._connection  # noqa: SLF001 - gmqtt has no call that closes at once
        if connection is not None:
            # Up to Python 3.11.2 asyncio's TLS transport knows its protocol no more after a second close(): it is closed then.
            with contextlib.suppress(AttributeError):
                connection._transport.abort()  # noqa: SLF001 - close() would wait for a peer that does not read
        self.lost.set()

    def _message(self, _: object, topic: str, payload: bytes, *__: object) -> None:
        self._on_message(topic, payload)

    def _subscribed(self, _: object, __: int, granted: tuple[int, ...], ___: object) -> None:
        if not self._granted.done():
            self._granted.set_result(granted[0])

    def _disconnected(self, *_: object) -> None:
        self.lost.set()
